"""The header grammar, the timestamp window and the MAC.

Port sends ``x-port-timestamp`` and ``x-port-signature``. The second is ``v1,`` and
the standard base64 of HMAC-SHA-256 over the timestamp's header text, a dot and the
payload, keyed with the organisation's client secret (protocol, section 1).

This module is the only importer of the MAC primitive, and it reads no clock.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from port_webhook.exceptions import (
    MalformedHeaderError,
    MissingHeaderError,
    PortWebhookError,
    TimestampError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Headers = (
        Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[object, object]]
    )
    # The timestamp's text, which was signed; the same in seconds since the epoch; the
    # MACs that are presented.
    SignedHeaders = tuple[bytes, float, Sequence[bytes]]

__all__ = [
    "DIVISORS",
    "HMAC",
    "MAX_SIGNATURES",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "check_window",
    "compute_signature",
    "match_signature",
    "new_key",
    "read_headers",
    "read_timestamp",
]

TIMESTAMP_HEADER = "x-port-timestamp"
SIGNATURE_HEADER = "x-port-signature"
_NAMES = frozenset({TIMESTAMP_HEADER, SIGNATURE_HEADER})

# Both names have this length, and few others do: comparing it first is what makes the
# search through the headers fast.
_NAME_LENGTH = len(SIGNATURE_HEADER)

MAX_SIGNATURES = 8
# Eight signatures with room for longer versions to come; a longer value is refused
# before it is split.
_MAX_SIGNATURE_TEXT = 4096
_MAC_BYTES = 32
# Below so many bytes, copying a payload costs less than a second update.
_SMALL = 4096
_V1_LENGTH = len("v1,") + 44
# The last digit before the padding holds four bits of the MAC and two zeros. Any other
# digit there would be a second spelling of the same MAC.
_LAST_DIGITS = "AEIMQUYcgkosw048"
# Compiled on first use, and cached by re: what Port sends needs neither.
_VERSIONED = r"[A-Za-z0-9]+,[!-~]+"
_V1 = r"v1,[A-Za-z0-9+/]{43}="
# Digits of a timestamp: what to divide it by to have seconds.
DIVISORS = {10: 1, 13: 1000}
_SECONDS_LENGTH = 10
_ZERO = ord("0")


def read_headers(headers: Headers) -> SignedHeaders:  # noqa: C901  # a call for each step would cost as much as the steps
    """Find and parse the two headers, each of which must have exactly one value.

    Returns:
        The timestamp's text, which was signed; the same in seconds since the epoch;
        and the MACs of version 1 that are presented.

    Raises:
        MissingHeaderError: A header is absent.
        MalformedHeaderError: A header is not in the grammar, or came twice.
    """
    text: Any = None
    listed: Any = None
    source: Any = headers  # None: a Lambda event without headers
    pairs: Any = () if source is None else source
    # Multi-value mappings (Werkzeug, Starlette, aiohttp) list a repeated name
    # repeatedly in items(); indexing them would show its first value only.
    try:
        if type(source) is dict or hasattr(pairs, "items"):
            pairs = pairs.items()
        for raw_name, value in pairs:
            # A subclass of either may answer anything when it is asked for its length.
            kind = type(raw_name)  # pyright: ignore[reportUnknownVariableType]  # any
            if (kind is str or kind is bytes) and len(raw_name) != _NAME_LENGTH:
                continue
            name = raw_name.lower() if kind is str else _fold(raw_name)
            if name == TIMESTAMP_HEADER and text is None:
                text = value
            elif name == SIGNATURE_HEADER and listed is None:
                listed = value
            elif name in _NAMES and value is not None:
                raise _duplicate(name)
    except PortWebhookError:
        raise
    except Exception:  # a foreign mapping may raise anything
        raise MalformedHeaderError(
            SIGNATURE_HEADER,
            "cannot be looked up: headers must be a mapping or an iterable of pairs",
        )
    if type(listed) is not str or type(text) is not str:
        listed = _read_value(SIGNATURE_HEADER, listed)
        text = _read_value(TIMESTAMP_HEADER, text)
    try:
        # What Port sends is read in place; `_parse` finds out what else it may be.
        # Bytes know ASCII digits only; UTF-8 makes anything else longer or no digit.
        stamp = text.encode()
        if (
            len(stamp) == _SECONDS_LENGTH
            and stamp.isdigit()
            and stamp[0] != _ZERO
            and len(listed) == _V1_LENGTH
            and listed[:3] == "v1,"
            and listed[-2] in _LAST_DIGITS
        ):
            mac = a2b_base64(listed[3:], strict_mode=True)
            if len(mac) == _MAC_BYTES:
                return stamp, int(stamp), (mac,)
    except ValueError:  # a lone surrogate, or not base64
        pass
    return _parse(text, listed)


def _parse(text: str, listed: str) -> SignedHeaders:
    # RFC 9110, section 5.5: white space around a value is not part of it.
    text = text.strip(" \t")
    timestamp = read_timestamp(text)
    return text.encode("ascii"), timestamp, _read_signatures(listed.strip(" \t"))


def _duplicate(name: str) -> MalformedHeaderError:
    return MalformedHeaderError(
        name, "has more than one value", code="duplicate_header"
    )


def _fold(name: object) -> str:
    """Return a header name in lower case; empty if it is not a name."""
    return (_decode(name) or "").lower()


def _read_value(name: str, value: object) -> str:
    """Return text, bytes, or a list of exactly one of them, as plain text.

    Raises:
        MissingHeaderError: *value* is None, or an empty list.
        MalformedHeaderError: It is anything else.
    """
    # Event parsers and Twisted keep each header as a list of its values.
    if isinstance(value, list | tuple):
        values = cast("Sequence[object]", value)
        if len(values) > 1:
            raise _duplicate(name)
        value = values[0] if values else None
    if value is None:
        raise MissingHeaderError(name)
    text = _decode(value)
    if text is None:
        raise MalformedHeaderError(name, "is neither text nor bytes")
    return text


def _decode(value: object) -> str | None:
    """Return text or bytes as plain text, and None for anything else."""
    if isinstance(value, str):
        # A copy of a subclass, whose own methods may answer anything.
        return str.__str__(value)
    return value.decode("latin-1") if isinstance(value, bytes) else None


def read_timestamp(text: str) -> float:
    """Parse 10 digits as seconds, 13 as milliseconds, both without a leading zero.

    Raises:
        MalformedHeaderError: *text* is anything else.
    """
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
        raise _duplicate(TIMESTAMP_HEADER)
    raise MalformedHeaderError(
        TIMESTAMP_HEADER, "is not a time in seconds or milliseconds"
    )


def _read_signatures(text: str) -> list[bytes]:
    """Split the list of signatures and decode those of version 1."""
    if len(text) > _MAX_SIGNATURE_TEXT:
        raise MalformedHeaderError(SIGNATURE_HEADER, "is too long")
    listed = text.split(" ")
    if len(listed) > MAX_SIGNATURES:
        raise MalformedHeaderError(
            SIGNATURE_HEADER, f"lists more than {MAX_SIGNATURES} signatures"
        )
    # A signature holds one comma; a server that joins two header lines adds another,
    # and most add a space, too (RFC 9110, section 5.3).
    if ", " in text or text.count(",") > sum(1 for one in listed if one.strip(",")):
        raise _duplicate(SIGNATURE_HEADER)
    macs: list[bytes] = []
    for one in listed:
        if one.startswith("v1,"):
            if re.fullmatch(_V1, one) is None:
                raise MalformedHeaderError(
                    SIGNATURE_HEADER, "does not hold v1 and 44 characters of base64"
                )
            # Another spelling of a MAC is another text: nothing matches it.
            canonical = one[-2] in _LAST_DIGITS
            macs.append(a2b_base64(one[3:]) if canonical else b"")
        elif re.fullmatch(_VERSIONED, one) is None:
            raise MalformedHeaderError(
                SIGNATURE_HEADER, "is not a version, a comma and a signature"
            )
    if not macs:
        raise MalformedHeaderError(SIGNATURE_HEADER, "holds no signature of version 1")
    return macs


def check_window(
    timestamp: float, now: float, max_age: float, max_future: float
) -> None:
    """Compare *timestamp* with *now*, both in seconds; both ends are accepted.

    Raises:
        TimestampError: The timestamp lies outside the window.
    """
    # A float holds today's seconds to a quarter of a microsecond, so an exact end of
    # the window can come out just beyond it.
    age = round(now - timestamp, 6)
    # Written so that a NaN, which compares false to everything, is refused.
    if not -max_future <= age <= max_age:
        raise TimestampError(age, max_age, max_future)


def new_key(secret: bytes) -> HMAC:
    """Build the keyed context that is copied for each delivery.

    Copying it costs about half of what keying a fresh one does.
    """
    _invalid_signature()  # see there
    return HMAC(secret, SHA256())


def compute_signature(key: HMAC, stamp: bytes, payload: bytes) -> bytes:
    """Return the header value for *payload* and the timestamp *stamp*."""
    mac = key.copy()
    mac.update(stamp + b".")
    mac.update(payload)
    return b"v1," + b2a_base64(mac.finalize(), newline=False)


def match_signature(
    keys: Sequence[HMAC], stamp: bytes, macs: Sequence[bytes], payload: bytes
) -> int | None:
    """Return the index of the key that signed *payload*, or None.

    `HMAC.verify` compares in constant time, and the expected MAC never becomes an
    object of Python's.
    """
    prefix = stamp + b"."
    index = 0
    for key in keys:
        context = key.copy()
        if len(payload) < _SMALL:
            context.update(prefix + payload)
        else:
            # Not joined, so that a large payload is not copied.
            context.update(prefix)
            context.update(payload)
        try:
            if len(macs) == 1:
                context.verify(macs[0])
            else:
                _verify_any(context, macs)
        except _invalid_signature():
            index += 1
        else:
            return index
    return None


def _verify_any(context: HMAC, macs: Sequence[bytes]) -> None:
    """Compare with each of *macs*, on a copy, since a context can compare once."""
    for mac in macs:
        try:
            return context.copy().verify(mac)
        except _invalid_signature():
            continue
    raise _invalid_signature()


@cache
def _invalid_signature() -> type[Exception]:
    """Return what `HMAC.verify` raises.

    Its module takes as long to import as two of this package's, so that waits for the
    first key. It must not wait longer: at the first mismatch, cryptography would import
    it in Rust, and abort the process if a signal handler raised in the middle of it.
    """
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature
