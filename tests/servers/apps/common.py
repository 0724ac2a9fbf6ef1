"""What every application under test shares: its verifier, its counter, its answer.

The clock stands still, so that a request which was signed for `NOW` never ages.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

from port_webhook import Verifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from port_webhook import Delivery, DeliveryError

SECRET = "the-client-secret-of-the-servers-under-test"
NOW = 1_700_000_000
LIMIT = 2_000_000

_lock = threading.Lock()
_state: dict[str, Any] = {"calls": 0, "last": None}


def _remember(error: DeliveryError) -> None:
    with _lock:
        _state["last"] = error.code


VERIFIER = Verifier(
    SECRET, max_body_bytes=LIMIT, clock=lambda: NOW, on_rejected=_remember
)


def count_call() -> None:
    """Say that a protected view began: the first line of each of them."""
    with _lock:
        _state["calls"] += 1


def report() -> dict[str, Any]:
    """Return what ``/calls`` answers, and forget the last rejection."""
    with _lock:
        seen = dict(_state)
        _state["last"] = None
    return seen


def describe(
    delivery: Delivery, *, body: bytes | None, form: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return what ``/port`` answers: see README.md."""
    return {
        "sha256": hashlib.sha256(delivery.payload).hexdigest(),
        "length": len(delivery.payload),
        "via": delivery.via,
        "body": None if body is None else hashlib.sha256(body).hexdigest(),
        "form": None if form is None else dict(form),
    }
