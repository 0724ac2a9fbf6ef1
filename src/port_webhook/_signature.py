"""What Port signs: the header grammar, the timestamp window and the MAC.

Port sends ``x-port-timestamp`` and ``x-port-signature``. The second is ``v1,`` and
the standard base64 of HMAC-SHA-256 over the timestamp's header text, a dot and the
payload, keyed with the organisation's client secret (protocol, section 1).

The functions here return their error instead of raising it. An exception keeps
alive every frame that it passes, with its locals, and the frames here hold secrets,
payloads and MACs; so only a public function, once it has dropped those names,
raises. This module is the only importer of the MAC primitive, and it reads no clock.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from port_webhook.exceptions import (
    ConfigurationError,
    MalformedHeaderError,
    MissingHeaderError,
    TimestampError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from port_webhook.exceptions import VerificationError

    Headers = (
        Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[object, object]]
    )
    SignedHeaders = tuple[str, float, list[bytes]]

TIMESTAMP_HEADER = "x-port-timestamp"
SIGNATURE_HEADER = "x-port-signature"

_NAMES = frozenset({TIMESTAMP_HEADER, SIGNATURE_HEADER})

MAX_SIGNATURES = 8
# Eight signatures with room for longer versions to come; a longer value is refused
# before it is split.
_MAX_SIGNATURE_TEXT = 4096
_VERSIONED = re.compile(r"[A-Za-z0-9]+,[!-~]+")
_V1 = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_ORDINARY = re.compile(rf"[1-9][0-9]{{9}} {_V1.pattern}")
# Digits of a timestamp: what to divide it by to have seconds.
DIVISORS = {10: 1, 13: 1000}
_BOM = "\ufeff"


def read_headers(headers: Headers) -> SignedHeaders | VerificationError:
    """Find and parse the two headers, each of which must have exactly one value.

    Returns:
        The timestamp's text, which was signed; the same in seconds since the epoch;
        and the signatures of a version that is known. Or what is wrong.
    """
    values = _find(headers)
    if not isinstance(values, dict):
        return values
    listed = values.get(SIGNATURE_HEADER)
    if listed is None:
        return MissingHeaderError(SIGNATURE_HEADER)
    text = values.get(TIMESTAMP_HEADER)
    if text is None:
        return MissingHeaderError(TIMESTAMP_HEADER)
    # What Port sends takes one step; what follows finds out what else it may be.
    # The pattern has a single space, so that neither value can hold another.
    if _ORDINARY.fullmatch(f"{text} {listed}") is not None:
        return text, float(text), [listed.encode("ascii")]
    # RFC 9110, section 5.5: white space around a value is not part of it.
    text, listed = text.strip(" \t"), listed.strip(" \t")
    timestamp = read_timestamp(text)
    if isinstance(timestamp, MalformedHeaderError):
        return timestamp
    signatures = _read_signatures(listed)
    if not isinstance(signatures, list):
        return signatures
    return text, timestamp, signatures


def _find(headers: Headers) -> dict[str, str] | VerificationError:
    """Collect the two headers from any mapping or iterable of pairs."""
    found: dict[str, str] = {}
    if headers is None:  # pyright: ignore[reportUnnecessaryComparison]  # Lambda: null
        return found
    # Multi-value mappings (Werkzeug, Starlette, aiohttp) list a repeated name
    # repeatedly in items(); indexing them would show its first value only.
    try:
        source = cast("Any", headers)
        for raw_name, value in source.items() if hasattr(source, "items") else source:
            name = raw_name.lower() if type(raw_name) is str else _fold(raw_name)
            if name not in _NAMES or value is None:
                continue
            if name in found:
                return MalformedHeaderError(
                    name, "has more than one value", code="duplicate_header"
                )
            text = value if type(value) is str else _decode(value)
            if text is None:
                return MalformedHeaderError(name, "is neither text nor bytes")
            found[name] = text
    except Exception:  # noqa: BLE001, S110  # a foreign mapping may raise anything
        pass
    else:
        return found
    return MalformedHeaderError(
        SIGNATURE_HEADER,
        "cannot be looked up: headers must be a mapping or an iterable of pairs",
    )


def _fold(name: object) -> str:
    """Return a header name in lower case; that of no header if it is not a name."""
    return (_decode(name) or "").lower()


def _decode(value: object) -> str | None:
    """Return text or bytes as plain text, and None for anything else."""
    if isinstance(value, str):
        # A copy of a subclass, whose own methods may answer anything.
        return str.__str__(value)
    return value.decode("latin-1") if isinstance(value, bytes) else None


def read_timestamp(text: str) -> float | MalformedHeaderError:
    """Parse 10 digits as seconds, 13 as milliseconds, both without a leading zero."""
    # The length comes first: int() of a long text takes quadratic time.
    divisor = DIVISORS.get(len(text))
    if (
        divisor is not None
        and text.isascii()
        and text.isdigit()
        and not text.startswith("0")
    ):
        return int(text) / divisor
    if "," in text:
        return MalformedHeaderError(
            TIMESTAMP_HEADER, "has more than one value", code="duplicate_header"
        )
    return MalformedHeaderError(
        TIMESTAMP_HEADER, "is not a time in seconds or milliseconds"
    )


def _read_signatures(text: str) -> list[bytes] | VerificationError:
    """Split the list of signatures and keep those of version 1."""
    if len(text) > _MAX_SIGNATURE_TEXT:
        return MalformedHeaderError(SIGNATURE_HEADER, "is too long")
    listed = text.split(" ")
    if len(listed) > MAX_SIGNATURES:
        return MalformedHeaderError(
            SIGNATURE_HEADER, f"lists more than {MAX_SIGNATURES} signatures"
        )
    # A signature holds one comma; a server that joins two header lines adds another,
    # and most add a space, too (RFC 9110, section 5.3).
    if ", " in text or text.count(",") > sum(1 for one in listed if one.strip(",")):
        return MalformedHeaderError(
            SIGNATURE_HEADER, "has more than one value", code="duplicate_header"
        )
    signatures: list[bytes] = []
    for one in listed:
        if one.startswith("v1,"):
            if _V1.fullmatch(one) is None:
                return MalformedHeaderError(
                    SIGNATURE_HEADER, "does not hold v1 and 44 characters of base64"
                )
            signatures.append(one.encode("ascii"))
        elif _VERSIONED.fullmatch(one) is None:
            return MalformedHeaderError(
                SIGNATURE_HEADER, "is not a version, a comma and a signature"
            )
    if not signatures:
        return MalformedHeaderError(SIGNATURE_HEADER, "holds no signature of version 1")
    return signatures


def check_window(
    timestamp: float, now: float, max_age: float, max_future: float
) -> TimestampError | None:
    """Compare *timestamp* with *now*, both in seconds; both ends are accepted."""
    age = now - timestamp
    # Written so that a NaN, which compares false to everything, is refused.
    if -max_future <= age <= max_age:
        return None
    # A float holds today's seconds to a quarter of a microsecond, so that an exact
    # end of the window can come out just beyond it.
    age = round(age, 6)
    if -max_future <= age <= max_age:
        return None
    return TimestampError(age, max_age, max_future)


def read_secret(secret: object, label: str) -> bytes | ConfigurationError:
    """Return the bytes of a secret, or say what is wrong with the one at *label*."""
    problem = None
    try:
        raw = _to_bytes(secret)
    except UnicodeEncodeError:
        return ConfigurationError(f"{label} holds a lone surrogate")
    except Exception:  # noqa: BLE001  # a lazy object looks itself up, and fails
        return ConfigurationError(
            f"{label} must be text or bytes, not {type(secret).__name__}"
        )
    # Any bytes may be a key; where they are UTF-8, its wider white space shows too.
    text = raw.decode("utf-8", errors="replace")
    if not raw:
        problem = "is empty"
    elif not text.strip():
        problem = "is blank"
    elif _BOM in text or raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        problem = "holds a byte order mark"
    elif len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        problem = "holds a line break"
    elif text != text.strip():
        problem = "has white space around it"
    if problem is not None:
        return ConfigurationError(f"{label} {problem}")
    return raw


def _to_bytes(secret: object) -> bytes:
    """Return text or bytes as bytes; raise for all else, or whatever it raises."""
    # Not by its own methods, since a subclass may have others.
    if isinstance(secret, str):
        return str.encode(secret, "utf-8")
    if isinstance(secret, bytes):
        return bytes.__getitem__(secret, slice(None))
    raise TypeError


def new_key(secret: bytes) -> HMAC:
    """Build the keyed context that is copied for each delivery.

    Copying it costs about half of what keying a fresh one does.
    """
    return HMAC(secret, SHA256())


def compute_signature(key: HMAC, text: str, payload: bytes) -> bytes:
    """Return the header value that signs *payload* at the time that *text* says."""
    mac = key.copy()
    # Two updates rather than a joined message, so that the payload is not copied.
    mac.update(f"{text}.".encode("ascii"))
    mac.update(payload)
    return b"v1," + b2a_base64(mac.finalize(), newline=False)


def match_signature(
    keys: Sequence[HMAC], text: str, signatures: Sequence[bytes], payload: bytes
) -> int | None:
    """Return the index of the key that signed *payload*, or None.

    The comparison is with the canonical encoding and takes constant time; another
    spelling of the same MAC is another text and does not match.
    """
    for index, key in enumerate(keys):
        expected = compute_signature(key, text, payload)
        for signature in signatures:
            if compare_digest(expected, signature):
                return index
    return None
