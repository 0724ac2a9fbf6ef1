"""`Verifier.verify` beside the bare primitives and beside other verifiers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import stripe
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from measure import duration, in_turn, peak, ratio
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook as StandardWebhook
from svix import Webhook as SvixWebhook
from tables import Table

from port_webhook import Verifier, sign

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "0123456789abcdef0123456789abcdef"
SIZES = {
    "200 B": 200,
    "1 KiB": 1024,
    "10 KiB": 10 * 1024,
    "100 KiB": 100 * 1024,
    "1 MiB": 1024 * 1024,
}
OURS = "Verifier.verify"
SHA = "hashlib.sha256 of the body"


def published_snippet(body: bytes, headers: dict[str, str]) -> None:
    """Do what Port's documentation shows: no window, and a comparison with ``!=``."""
    message = f"{headers['x-port-timestamp']}.{body.decode()}"
    mac = hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).digest()
    if base64.b64encode(mac).decode() != headers["x-port-signature"].split(",")[1]:
        raise ValueError


def contenders(size: int) -> dict[str, Callable[[], object]]:
    """Return a call for each contender that verifies a body of *size* bytes."""
    # The body is JSON, because some peers parse what they verified; one long string
    # is the cheapest JSON to parse.
    body = json.dumps({"a": "x" * (size - 8)}, separators=(",", ":")).encode()
    text = body.decode()
    now = datetime.now(UTC)
    stamp = str(int(now.timestamp()))
    key = HMAC(SECRET.encode(), SHA256())
    verifier = Verifier(SECRET)
    headers = sign(body, SECRET)

    def bare_hmac() -> bytes:
        mac = key.copy()
        mac.update(b"1713277889.")
        mac.update(body)
        return mac.finalize()

    encoded = base64.b64encode(SECRET.encode()).decode()
    standard = StandardWebhook(encoded)
    standard_headers = {
        "webhook-id": "1",
        "webhook-timestamp": stamp,
        "webhook-signature": standard.sign("1", now, text),
    }
    svix = SvixWebhook(encoded)
    svix_headers = {
        "svix-id": "1",
        "svix-timestamp": stamp,
        "svix-signature": svix.sign("1", now, text),
    }
    slack = SignatureVerifier(SECRET)
    slack_signature = slack.generate_signature(timestamp=stamp, body=body)
    slack_headers = {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": slack_signature or "",
    }
    stripe_mac = hmac.new(
        SECRET.encode(), f"{stamp}.{text}".encode(), hashlib.sha256
    ).hexdigest()
    stripe_header = f"t={stamp},v1={stripe_mac}"
    assert slack.is_valid_request(body, slack_headers)
    return {
        OURS: lambda: verifier.verify(body, headers),
        "bare HMAC": bare_hmac,
        SHA: lambda: hashlib.sha256(body).digest(),
        "published snippet (checks less)": lambda: published_snippet(body, headers),
        "standardwebhooks": lambda: standard.verify(text, standard_headers),
        "svix": lambda: svix.verify(text, svix_headers),
        "stripe": lambda: stripe.WebhookSignature.verify_header(
            text, stripe_header, SECRET, 300
        ),
        "slack_sdk": lambda: slack.is_valid_request(body, slack_headers),
    }


def report() -> list[Table]:
    """Measure every contender at every size."""
    times = Table(f"Time, relative to {OURS}; above 1 is slower", ("", *SIZES))
    own = Table(f"{OURS} itself", ("", *SIZES))
    memory = Table(
        "Peak memory of a call with a body of 1 MiB",
        ("", "KiB"),
        note="The body itself, which the caller holds, is not counted.",
    )
    rows: dict[str, list[str]] = {}
    taken: list[str] = []
    beside: list[str] = []
    for size in SIZES.values():
        calls = contenders(size)
        seconds = in_turn(calls)
        taken.append(duration(seconds[OURS]))
        beside.append(ratio(seconds[OURS], seconds[SHA]))
        for name, each in seconds.items():
            figure = "1" if name == OURS else ratio(each, seconds[OURS])
            rows.setdefault(name, []).append(figure)
    for name, figures in rows.items():
        times.add(name, *figures)
    own.add("time", *taken)
    own.add("relative to SHA-256 of the body alone", *beside)
    for name, call in calls.items():
        memory.add(name, f"{peak(call) / 1024:,.1f}")
    return [times, own, memory]
