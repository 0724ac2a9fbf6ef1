"""The parts that HTTP adapters share, public for adapters of your own.

The request life cycle, the arguments of a decorator, bodies, ASGI, and paths; see
``docs/writing-an-adapter.md``.
"""

from __future__ import annotations

from port_webhook._verifier import SignedForms
from port_webhook.integration._asgi import answer, serve
from port_webhook.integration._body import (
    check_body,
    check_charset,
    check_media,
    check_method,
    collect,
    declared_length,
    perhaps_consumed,
)
from port_webhook.integration._endpoint import (
    Endpoint,
    check_view,
    decorate,
    hide_delivery,
    require_verifier,
)
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
from port_webhook.integration._wsgi import read_input, replace_input, signed_headers

__all__ = [
    "DELIVERY_KEY",
    "Endpoint",
    "PathPrefixes",
    "SignedForms",
    "abegin",
    "aend",
    "ahandle",
    "answer",
    "begin",
    "check_body",
    "check_charset",
    "check_media",
    "check_method",
    "check_view",
    "collect",
    "declared_length",
    "decorate",
    "end",
    "handle",
    "hide_delivery",
    "perhaps_consumed",
    "read_input",
    "replace_input",
    "require_verifier",
    "reusable",
    "serve",
    "signed_headers",
]
