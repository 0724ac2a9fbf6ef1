"""What every HTTP adapter shares, public for the adapter of the next framework.

The request life cycle, the arguments of a decorator, bodies, ASGI, and paths; see
``docs/writing-an-adapter.md``.
"""

from __future__ import annotations

from port_webhook.integration._asgi import answer, serve
from port_webhook.integration._body import check_body, collect, declared_length
from port_webhook.integration._endpoint import Endpoint, check_verifier, decorate
from port_webhook.integration._lifecycle import (
    DELIVERY_KEY,
    abegin,
    aend,
    ahandle,
    begin,
    end,
    handle,
    reusable,
)
from port_webhook.integration._paths import PathPrefixes

__all__ = [
    "DELIVERY_KEY",
    "Endpoint",
    "PathPrefixes",
    "abegin",
    "aend",
    "ahandle",
    "answer",
    "begin",
    "check_body",
    "check_verifier",
    "collect",
    "declared_length",
    "decorate",
    "end",
    "handle",
    "reusable",
    "serve",
]
