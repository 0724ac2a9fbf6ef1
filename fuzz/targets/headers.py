"""Header parsing: beside a grammar of its own, and beside the standard library's MAC.

An input is a byte of flags and lines of ``name:value``.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from fuzz.common import (
    MARK,
    STAMP,
    call,
    mac_of,
    make_verifier,
    signature_of,
    splices,
)
from port_webhook import Delivery, SignatureMismatchError
from port_webhook._signature import read_headers
from port_webhook.exceptions import MalformedHeaderError, MissingHeaderError

if TYPE_CHECKING:
    from collections.abc import Iterable

    Parsed = tuple[bytes, float, list[bytes]]

__all__ = ["WORDS", "run", "seeds"]

BODY = b'{"action":"create"}'
VERIFIER = make_verifier()

BYTES, MAPPING, LISTS, LONG = 1, 2, 4, 8
SEPARATOR = b"\x02"  # between the values of a list

TIMESTAMP, SIGNATURE = "x-port-timestamp", "x-port-signature"
MILLIS = 13  # digits
GRAMMAR = re.compile(r"[1-9][0-9]{9}(?:[0-9]{3})?")
VERSION_1 = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")
OTHER = re.compile(r"(?!v1,)[A-Za-z0-9]+,[!-+\--~]+")
MOST, LONGEST = 8, 4096


def run(data: bytes) -> None:
    """Read the headers in *data*, and compare with what the grammar says."""
    flags = data[0] if data else 0
    pairs = _read_pairs(data[1:], flags)
    headers: Any = dict(pairs) if flags & MAPPING else pairs
    expected = _model(headers.items() if flags & MAPPING else pairs)
    found = call(read_headers, headers)
    if not isinstance(expected, tuple):
        assert found is expected
        return
    stamp, seconds, macs = expected
    assert (found[0], found[1], [*found[2]]) == (stamp, seconds, macs)
    outcome = call(VERIFIER.verify, BODY, headers, received_at=seconds)
    if mac_of(stamp, BODY) in macs:
        assert isinstance(outcome, Delivery)
        assert outcome.payload is BODY
    else:
        assert outcome is SignatureMismatchError


def _read_pairs(data: bytes, flags: int) -> list[tuple[Any, Any]]:
    if MARK in data:
        data = data.replace(MARK, signature_of(_find_stamp(data), BODY))
    if flags & BYTES:
        pairs: list[tuple[Any, Any]] = [
            (name, value)
            for name, _, value in [x.partition(b":") for x in data.split(b"\n")]
        ]
    else:
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        pairs = [(name, value) for name, _, value in [x.partition(":") for x in lines]]
    if flags & LONG:
        pairs = [(name, value * 9) for name, value in pairs]
    if flags & LISTS:
        separator: Any = SEPARATOR if flags & BYTES else SEPARATOR.decode()
        pairs = [(name, value.split(separator)) for name, value in pairs]
    return pairs


def _find_stamp(data: bytes) -> bytes:
    """Return the value of the first header that is the timestamp's."""
    _, found, rest = data.lower().partition(TIMESTAMP.encode() + b":")
    return rest.partition(b"\n")[0].strip(b" \t") if found else STAMP


def _model(pairs: Iterable[tuple[Any, Any]]) -> Parsed | type[Exception]:
    """Read *pairs* by the grammar of the contract, written once more."""
    kept: dict[str, list[Any]] = {SIGNATURE: [], TIMESTAMP: []}
    for name, value in pairs:
        folded = (name if type(name) is str else name.decode("latin-1")).lower()
        if folded in kept:
            kept[folded].append(value)
    values: list[str] = []
    if len(kept[SIGNATURE]) > 1 or len(kept[TIMESTAMP]) > 1:
        return MalformedHeaderError
    for found in kept.values():
        listed = found[0] if found and type(found[0]) is list else found
        if len(listed) != 1:
            return MalformedHeaderError if listed else MissingHeaderError
        text = listed[0] if type(listed[0]) is str else listed[0].decode("latin-1")
        values.append(text.strip(" \t"))
    text, stamp = values
    macs = _read_macs(text)
    if macs is None or GRAMMAR.fullmatch(stamp) is None:
        return MalformedHeaderError
    seconds = int(stamp) / (1000 if len(stamp) == MILLIS else 1)
    return stamp.encode(), seconds, macs


def _read_macs(text: str) -> list[bytes] | None:
    signatures = text.split(" ")
    if len(text) > LONGEST or len(signatures) > MOST:
        return None
    macs: list[bytes] = []
    for each in signatures:
        version_1 = VERSION_1.fullmatch(each)
        if version_1 is not None:
            mac = base64.b64decode(version_1[1])
            # Of several spellings one counts; another matches nothing.
            macs.append(mac if base64.b64encode(mac).decode() == version_1[1] else b"")
        elif OTHER.fullmatch(each) is None:
            return None
    return macs or None


def seeds() -> list[bytes]:
    """Return valid requests, their variants, and what is spliced from them."""
    millis = b"1713277889123"
    timestamp, name = TIMESTAMP.encode(), SIGNATURE.encode()
    other = b"v1," + base64.b64encode(bytes(32))
    forms = [
        (STAMP, MARK),
        (millis, MARK),
        (b" " + STAMP + b"\t", b"\t" + MARK + b" "),
        (STAMP, b"v2,abc " + MARK),
        (STAMP, other + b" " + MARK),
        (STAMP, b" ".join([other] * 7 + [MARK])),
        (STAMP, b" ".join([other] * 8 + [MARK])),
        (STAMP, MARK + b"," + MARK),
        (STAMP, MARK + b", " + MARK),
        (STAMP, signature_of(STAMP, BODY)),
        (STAMP, signature_of(STAMP, BODY)[:-2] + b"B="),
        (STAMP + b"," + STAMP, MARK),
        (STAMP + SEPARATOR + STAMP, MARK + SEPARATOR + MARK),
        (b"0" + STAMP[1:], b"v2,abc"),
        (b"", b""),
    ]
    found: list[bytes] = []
    for at, (stamp, signature) in enumerate(forms):
        stamps, signed = timestamp + b":" + stamp, name + b":" + signature
        flag = bytes([at % 8])
        found += [
            b"\0" + stamps + b"\n" + signed,
            flag + b"Host:example.com\n" + signed.title() + b"\n" + stamps.upper(),
        ]
        if at % 4 == 0:
            found += [
                b"\0" + b"\n".join([stamps, signed, stamps]),
                flag + b"\n".join([signed, stamps, signed]),
                bytes([LONG]) + stamps + b"\n" + signed,
            ]
    return splices(found)


WORDS = (
    TIMESTAMP.encode(),
    SIGNATURE.encode(),
    TIMESTAMP.title().encode(),
    SIGNATURE.upper().encode(),
    b"\n" + TIMESTAMP.encode() + b":" + STAMP,
    b"\n" + SIGNATURE.encode() + b":" + MARK,
    STAMP,
    b"1713277889123",
    signature_of(STAMP, BODY),
    b"v1,",
    b" v1,",
    b",v1,",
    b", ",
    b"v2,a ",
    b"=",
    MARK,
    SEPARATOR,
    b"\n",
    b":",
    "\u0663".encode(),
    "\uff11".encode(),
    "\u0130".encode(),
    b"\xff",
    b"\xa0",
    b"\x0b",
)
