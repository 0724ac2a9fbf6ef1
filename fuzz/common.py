"""What the targets share: a secret, a clock that stands, and an independent MAC."""

from __future__ import annotations

import base64
import hmac
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_webhook import Delivery, PortWebhookError, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "MARK",
    "NOW",
    "SECRET",
    "STAMP",
    "Refusal",
    "call",
    "check_mac",
    "mac_of",
    "make_verifier",
    "read_payloads",
    "signature_of",
    "splices",
]

SECRET = "a-made-up-secret-of-forty-characters-xyz"
NOW = 1_713_277_889
STAMP = b"1713277889"
# Stands in an input for the signature that its target computes: no mutation finds one.
MARK = b"\x01"

Refusal = type[PortWebhookError]


def make_verifier(**options: Any) -> Verifier:
    """Build a verifier with the clock and the secret of the targets."""
    return Verifier(SECRET, clock=lambda: float(NOW), **options)


def mac_of(stamp: bytes, payload: bytes) -> bytes:
    """Compute the MAC with the standard library, not with the one under test."""
    return hmac.digest(SECRET.encode(), stamp + b"." + payload, "sha256")


def signature_of(stamp: bytes, payload: bytes) -> bytes:
    """Return the header value for *payload*."""
    return b"v1," + base64.b64encode(mac_of(stamp, payload))


def check_mac(delivery: Delivery, presented: bytes, stamp: bytes) -> None:
    """Confirm that one of the *presented* signatures signs exactly the payload."""
    expected = signature_of(stamp, delivery.payload)
    assert expected in presented.strip(b" \t").split(b" ")


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return the result, or the class of one of this library's errors."""
    try:
        return function(*args, **options)
    except PortWebhookError as error:
        return type(error)


def splices(seeds: Sequence[bytes]) -> list[bytes]:
    """Return *seeds*, and the first half of each with the second half of the next."""
    found = dict.fromkeys(seeds)
    for first, second in zip(seeds, [*seeds[1:], *seeds[:1]], strict=True):
        found[first[: len(first) // 2] + second[len(second) // 2 :]] = None
    return [*found]


@cache
def read_payloads() -> tuple[bytes, ...]:
    """Return the payloads of the tests: every shape that Port documents, compact."""
    folder = Path(__file__).parent.parent / "tests" / "fixtures" / "payloads"
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir())]
    return tuple(
        json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()
        for text in texts
    )
