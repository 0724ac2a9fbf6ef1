"""Read the two headers leniently, and say what is wrong with them."""

from __future__ import annotations

import re
from binascii import a2b_base64
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote

from port_webhook._signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    read_headers,
    read_timestamp,
)
from port_webhook.devtools._causes import cause
from port_webhook.exceptions import MalformedHeaderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from port_webhook.devtools._causes import Cause

    Pairs = list[tuple[str, str]]

__all__ = ["Facts", "Mac", "Stamp", "find_header", "read_facts", "read_pairs"]

_MAX_HEADERS = 10_000
_MAX_VALUES = 32
_MAX_TEXT = 8192
_SAMPLE_SIGNATURE = f"v1,{'A' * 43}="
_SAMPLE_TIMESTAMP = "1713277889"
_SECONDS, _MILLIS = 10, 13

_V1 = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")
_SHA1 = re.compile(r"(?:v1[,=:]?|sha(?:1|256)=)?([0-9A-Fa-f]{40}|[A-Za-z0-9+/]{27}=)")
_HEX = re.compile(r"(?:v1[,=:]?|sha256=)?([0-9A-Fa-f]{64})")
_BARE = re.compile(r"([A-Za-z0-9+/]{43}=)")
# Any other spelling from which the MAC can still be read.
_LOOSE = re.compile(
    r"(?:v1|sha256|v1a)?\s*[,=:;]?\s*([A-Za-z0-9+/_-]{43})=*",
    re.IGNORECASE | re.ASCII,  # else U+017F is taken for an s
)
_DIGITS = re.compile(r"[1-9][0-9]{9,18}")
_SEPARATORS = re.compile(r"[^a-z0-9]")
# Of the names, what is left when a gateway puts something before or behind them.
_CORE = {SIGNATURE_HEADER: "portsignature", TIMESTAMP_HEADER: "porttimestamp"}


class Stamp(NamedTuple):
    """A text that may have been signed as the timestamp."""

    text: str
    causes: tuple[Cause, ...]


class Mac(NamedTuple):
    """A MAC that is presented, in whatever spelling and under whatever name."""

    mac: bytes
    causes: tuple[Cause, ...]


class Facts(NamedTuple):
    """The outcome of reading the headers.

    Attributes:
        causes: The rules that they break.
        stamps: The texts that may have been signed as the timestamp, likely first.
        macs: The MACs that are presented. Causes of a stamp or a MAC hold only if it
            turns out to be the right one; then no header is missing.
    """

    causes: list[Cause]
    stamps: list[Stamp]
    macs: list[Mac]


def read_pairs(headers: object) -> Pairs:
    """Return any mapping or iterable of pairs as pairs of text, a value each.

    Raises:
        MalformedHeaderError: It is neither.
    """
    source: Any = headers
    pairs: Pairs = []
    try:
        if hasattr(source, "items"):
            source = source.items()
        for name, value in source or ():
            values: Iterable[object] = (
                cast("Any", value) if isinstance(value, list | tuple) else (value,)
            )
            pairs += [
                (_decode(name), _decode(each)) for each in values if each is not None
            ]
            if len(pairs) > _MAX_HEADERS:
                raise ValueError
    except Exception:  # a foreign mapping may raise anything
        raise MalformedHeaderError(
            SIGNATURE_HEADER,
            "cannot be looked up: headers must be a mapping or an iterable of pairs",
        )
    return pairs


def _decode(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def find_header(pairs: Pairs, name: str) -> str | None:
    """Return the only value of a header that says something else; None without one."""
    values = {value.strip() for each, value in pairs if each.lower() == name}
    return values.pop() if len(values) == 1 else None


def read_facts(pairs: Pairs) -> Facts:
    """Find the two headers in *pairs*, or what became of them."""
    facts = Facts([], [], [])
    for value in _find(pairs, SIGNATURE_HEADER, facts):
        _read_signature(value, facts)
    for value in _find(pairs, TIMESTAMP_HEADER, facts):
        _read_stamp(value, facts)
    return facts


def _find(pairs: Pairs, wanted: str, facts: Facts) -> list[str]:
    """Return the values of one header, under whatever name; note what is wrong."""
    exact = [value for name, value in pairs if name.lower() == wanted]
    if len(exact) > 1:
        same = "equal" if len(set(exact)) == 1 else "different"
        words = f"The {wanted} header came {len(exact)} times, with {same} values."
        facts.causes.append(cause("duplicate_header", words))
    if exact:
        return exact[:_MAX_VALUES]
    renamed = [
        (name, value)
        for name, value in pairs
        if _CORE[wanted] in _SEPARATORS.sub("", name.lower()) and value.strip()
    ]
    if renamed:
        names = ", ".join(dict.fromkeys(_quote(name) for name, _ in renamed))
        words = f"The {wanted} header is not there, but one that is called {names}."
        facts.causes.append(cause("renamed_header", words))
        if len(renamed) > 1:
            words = f"There are {len(renamed)} headers in place of {wanted}."
            facts.causes.append(cause("duplicate_header", words))
        return [value for _, value in renamed[:_MAX_VALUES]]
    words = f"There is no {wanted} header."
    facts.causes.append(cause("missing_header", words))
    _guess(pairs, wanted, facts)
    return []


def _guess(pairs: Pairs, wanted: str, facts: Facts) -> None:
    """Note what may be the value, under a name of which nothing is left."""
    count = 0
    for name, value in pairs:
        text = value.strip()
        fits = (
            _V1.fullmatch(text) is not None
            if wanted == SIGNATURE_HEADER
            else "time" in name.lower() and _is_stamp(text)
        )
        if fits and count < _MAX_VALUES:
            count += 1
            words = (
                f"The {wanted} header is not there; its value came as {_quote(name)}."
            )
            renamed = (cause("renamed_header", words),)
            if wanted == SIGNATURE_HEADER:
                facts.macs.append(Mac(a2b_base64(text[3:]), renamed))
            else:
                facts.stamps.append(Stamp(text, renamed))


def _quote(name: str) -> str:
    """Return a foreign name as it can be printed: short, and in ASCII."""
    return ascii(name[:60]).strip("'\"")


def _read_signature(value: str, facts: Facts) -> None:
    try:
        macs = read_headers(
            [(SIGNATURE_HEADER, value), (TIMESTAMP_HEADER, _SAMPLE_TIMESTAMP)]
        )[2]
    except MalformedHeaderError as error:
        problem, code = str(error), error.code
    else:
        facts.macs.extend(Mac(mac, ()) for mac in macs if mac)
        if not all(macs):
            words = f"The {SIGNATURE_HEADER} header is base64 in a second spelling."
            facts.causes.append(cause("malformed_header", words))
        return
    text = value[:_MAX_TEXT].strip().strip("\"'").strip()
    if code == "duplicate_header":
        facts.causes.append(cause(code, problem))
        parts = re.split(r",\s*(?=v1,)", text)
        facts.macs.extend(
            Mac(a2b_base64(found[1]), ())
            for part in parts[:_MAX_VALUES]
            for found in _V1.finditer(part)
        )
        return
    facts.causes.append(_name_signature(text, problem, facts.macs))


def _name_signature(text: str, problem: str, macs: list[Mac]) -> Cause:
    """Say in which form a signature is that Port does not write."""
    if (found := _SHA1.fullmatch(text)) is not None:
        form = "base64" if found[1].endswith("=") else "hexadecimal"
        return cause("sha1_signature", f"The signature is 20 bytes in {form}: SHA-1.")
    if (found := _HEX.fullmatch(text)) is not None:
        macs.append(Mac(bytes.fromhex(found[1]), ()))
        return cause("hex_signature", "The signature is 64 hexadecimal digits.")
    if (found := _BARE.fullmatch(text)) is not None:
        macs.append(Mac(a2b_base64(found[1]), ()))
        words = "The signature is base64 without the v1 and comma before it."
        return cause("unprefixed_signature", words)
    decoded = unquote(text)
    found = _V1.fullmatch(decoded) or _LOOSE.fullmatch(decoded)
    if found is not None:
        standard = found[1].rstrip("=").replace("-", "+").replace("_", "/")
        macs.append(Mac(a2b_base64(f"{standard}="), ()))
    return cause("malformed_header", problem)


def _read_stamp(value: str, facts: Facts) -> None:
    text = value.strip(" \t")
    try:
        read_timestamp(text)
    except MalformedHeaderError as error:
        facts.causes.append(cause(error.code, str(error)))
        pieces = [text]
        if error.code == "duplicate_header":
            pieces = [each.strip() for each in text.split(",")[:_MAX_VALUES]]
        for piece in pieces:
            facts.stamps.extend(_respell(piece[:100]))
        return
    facts.stamps.append(Stamp(text, ()))
    if len(text) == _MILLIS:
        words = "13 digits arrived (milliseconds), 10 were signed (seconds)."
        facts.stamps.append(Stamp(text[:_SECONDS], (_changed(words),)))
    else:
        words = "10 digits arrived (seconds), 13 were signed (milliseconds)."
        facts.stamps.append(Stamp(f"{text}000", (_changed(words),)))


def _changed(words: str) -> Cause:
    return cause("timestamp_changed", f"The timestamp was changed: {words}")


def _is_stamp(text: str) -> bool:
    return len(text) in (_SECONDS, _MILLIS) and _DIGITS.fullmatch(text) is not None


def _respell(text: str) -> Iterator[Stamp]:
    """Yield what may have been signed where no timestamp arrived."""
    if _is_stamp(text):
        yield Stamp(text, ())
        return
    bare = text.strip("\"' +")
    words = "another spelling of the time arrived than was signed."
    digits = _DIGITS.match(bare)
    found = [] if digits is None else [digits[0]]
    try:
        number = datetime.fromisoformat(bare).timestamp()
        found += [str(int(number)), str(round(number * 1000))]
    except (ValueError, OverflowError, OSError):
        pass
    for each in found:
        for length in (_SECONDS, _MILLIS):
            if _is_stamp(each[:length]):  # a time before 1970 is negative
                yield Stamp(each[:length], (_changed(words),))
