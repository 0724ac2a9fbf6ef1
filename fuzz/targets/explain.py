"""`explain`: it says "verified" exactly where a Verifier accepts the delivery.

An input is lines of ``name:value``, an empty line, and a body.
"""

from __future__ import annotations

from base64 import b64encode

from fuzz.common import (
    MARK,
    NOW,
    SECRET,
    STAMP,
    call,
    make_verifier,
    signature_of,
    splices,
)
from fuzz.targets.canonical import WORDS as CANONICAL
from fuzz.targets.headers import WORDS as HEADERS
from port_webhook import Delivery
from port_webhook.devtools import explain

__all__ = ["WORDS", "run", "seeds"]

VERIFIER = make_verifier()
CODES = frozenset(
    (
        *("agent_form", "base64_body", "bom_added", "duplicate_header", "gzip_body"),
        *(
            "hex_signature",
            "html_escaped",
            "http_form",
            "kafka_form",
            "malformed_header",
        ),
        *("missing_header", "newline_added", "newline_removed", "other_secret"),
        *("renamed_header", "reserialised", "secret_quoted", "secret_whitespace"),
        *(
            "sha1_signature",
            "text_reencoded",
            "timestamp_changed",
            "timestamp_in_future",
        ),
        *("timestamp_too_old", "truncated", "unknown", "unprefixed_signature"),
        "url_encoded",
    )
)


def run(data: bytes) -> None:
    """Explain the delivery in *data*, and verify it."""
    head, _, body = data.partition(b"\n\n")
    head = head.replace(MARK, signature_of(STAMP, body))
    headers = [
        (name, value)
        for name, _, value in (
            line.partition(":")
            for line in head.decode("utf-8", "surrogateescape").split("\n")
        )
    ]
    found = explain(body, headers, SECRET, now=NOW)
    outcome = call(VERIFIER.verify, body, headers)
    assert found.verified == isinstance(outcome, Delivery), (found, outcome)
    assert found.verified == (not found.causes)
    codes = [each.code for each in found.causes]
    assert CODES.issuperset(codes)
    assert len({*codes}) == len(codes)
    assert SECRET not in f"{found} {found!r}"


def seeds() -> list[bytes]:
    """Return a delivery, and what gateways and editors make of it."""
    body = b'{"a":1,"b":["\xc3\xa9 <b>&"],"c":"x"}\n'
    plain = signature_of(STAMP, body)
    raw = plain[3:]
    stamp = b"x-port-timestamp:" + STAMP
    good = stamp + b"\nx-port-signature:\x01"
    signed = stamp + b"\nx-port-signature:" + plain
    message = b'{"headers":{"X-Port-Signature":"%b","X-Port-Timestamp":"%b"}}' % (
        plain,
        STAMP,
    )
    deliveries = [
        (good, b'{"a":1}'),
        (good, b""),
        (signed, body),
        (signed, body[:-1]),
        (signed, body.replace(b":", b": ")),
        (signed, b"\xef\xbb\xbf" + body),
        (signed, body.replace(b"\xc3\xa9", b"\\u00e9")),
        (signed, body.decode().encode("latin-1")),
        (signed, b64encode(body)),
        (signed, body[:9]),
        (signed.replace(b"v1,", b""), body),
        (good.replace(b"x-port-", b"X-Amzn-Remapped-X-Port-"), body),
        (stamp + b"000\nx-port-signature:" + plain, body),
        (stamp + b"\nx-port-signature:" + raw + b"," + plain, body),
        (stamp.replace(b"17", b"16") + b"\nx-port-signature:\x01", body),
        (b"x-port-signature:\x01\nx-port-timestamp:2024-04-16T14:31:29Z", body),
        (b"", body),
        (b"", message),
        (good + b"\nContent-Length:99\nContent-Encoding:gzip", b"\x1f\x8b\x08\0"),
    ]
    return splices([headers + b"\n\n" + body for headers, body in deliveries])


WORDS = (*HEADERS, *CANONICAL, b"\n\n", b"sha256=", b"%7B", b"&quot;", b"\x1f\x8b\x08")
