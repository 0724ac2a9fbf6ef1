"""Strict JSON, and removing white space or keys from the text of a document.

Two delivery paths do not carry the bytes that were signed (protocol, section 2).
Port's agent signs compact JSON and sends the same tokens with white space between
them; a Kafka message carries its signature inside the JSON that was signed. Both
are undone here on the text itself: a document that is parsed and printed again
would have Python's numbers and escapes instead of the sender's.

Every function takes linear time for any input. Tokens are only looked at in C, since
one step in Python costs more than parsing a token.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar, cast

from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Wanted = Mapping[str, "Wanted | None"]

T = TypeVar("T")

MAX_DEPTH = 64

_NOT_JSON = "is not JSON"
_REPEATED = "repeats a key"

_WHITE_SPACE = " \t\n\r"
_SPACE_BYTES = _WHITE_SPACE.encode()
_BETWEEN = f",{_WHITE_SPACE}"
_SPACES = re.compile(f"[{_WHITE_SPACE}]*")
# A key, up to its value. Its escapes are not checked.
_KEY = re.compile(
    rf'[{_WHITE_SPACE}]*"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
    rf"[{_WHITE_SPACE}]*:[{_WHITE_SPACE}]*"
)
# As signed bytes: an opening bracket is one level more, a closing one is one less.
_LEVELS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
# Quotes, and what the name says, are not among them.
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_NO_SPACES = bytes(byte for byte in range(256) if byte not in b' \t\n\r"')

# Bytes that UTF-8 never has stand for the escapes of a backslash and of a quote.
_BACKSLASH = b"\xfe"
_QUOTE = b"\xff"
_BETWEEN_STRINGS = b"\xfd"
# Large texts are worked on in pieces of about this size, which fit into the caches.
_PIECE = 8192
# Where to cut: within no escape and no character, nor between the two escapes of one.
_CUT = re.compile(rb"(?<=[^\\]{6})(?![\x80-\xbf])|(?=\\(?!u[dD][c-fC-F]))")
# An escape of ASCII, some of which JavaScript escapes, too.
_ASCII_ESCAPE = re.compile(rb"\\u00[0-7]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# What JavaScript escapes, apart from backslashes and lone surrogates.
_PRINTED = [
    (each.encode(), encode_basestring(each)[1:-1].encode())
    for each in ('"', *map(chr, range(32)))
]


class _RefusedError(ValueError):
    """JSON that Python accepts and this library does not."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: two parsers may pick different ones."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedError(_REPEATED)
    return members


def _no_constant(_: str) -> NoReturn:
    msg = "holds NaN or Infinity, which are not JSON"
    raise _RefusedError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        msg = "holds a number that is too large"
        raise _RefusedError(msg)
    return number


_VALUES = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
)
# Only says whether a text is JSON. Numbers stay text: converting a long one takes
# quadratic time.
_GRAMMAR = json.JSONDecoder(
    object_pairs_hook=_no_duplicates,
    parse_constant=_no_constant,
    parse_float=str,
    parse_int=str,
)
# ``raw_decode`` without its frame: returns the value at an index, and where it ends.
_read_value: Callable[[str, int], tuple[Any, int]] = cast("Any", _GRAMMAR).scan_once


def _has_many(data: bytes) -> bool:
    """Tell whether there are more than ``MAX_DEPTH`` opening brackets, in strings too.

    `bytes.find` is 20 times as fast as `bytes.count` where there are few.
    """
    left = MAX_DEPTH
    for bracket in (b"[", b"{"):
        at = -1
        while (at := data.find(bracket, at + 1)) >= 0:
            left -= 1
            if left < 0:
                return True
    return False


def _is_too_deep(data: bytes) -> bool:
    """Tell whether brackets nest more than ``MAX_DEPTH`` deep, valid JSON or not."""
    if not _has_many(data):
        return False
    # A backslash stands only in strings, so that escapes can go first; without them
    # a string is what stands between two quotes, or behind the last one.
    text = _hide_escapes(data)
    # What is not UTF-8 is refused anyway.
    levels = b"" if text is None else _outside_strings(text, _NO_BRACKETS)
    counts = memoryview(levels.translate(_LEVELS)).cast("b")
    return max(accumulate(counts), default=0) > MAX_DEPTH


def _check(data: bytes, decode: Callable[[str], T]) -> T:
    """Call *decode*, or raise the PayloadError that says why it is not strict JSON."""
    if _is_too_deep(data):
        msg = f"is nested more than {MAX_DEPTH} levels deep"
        raise PayloadError(msg)
    try:
        return decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except (json.JSONDecodeError, IndexError, StopIteration):
        problem = "is not JSON"
    except _RefusedError as refusal:
        problem = str(refusal)
    except ValueError:
        # int() refuses more than sys.get_int_max_str_digits() digits.
        problem = "holds a number that is too large"
    except RecursionError:
        problem = "is nested too deep for the stack that is left"
    raise PayloadError(problem)


def parse(data: bytes) -> Any:
    """Parse strict JSON.

    Strict means UTF-8 without a byte order mark, no repeated key, no NaN or
    Infinity, no number beyond Python's limits, and at most ``MAX_DEPTH`` levels.

    Raises:
        PayloadError: *data* is not strict JSON.
    """
    return _check(data, _VALUES.decode)


def require_json(data: bytes) -> None:
    """Check that *data* is strict JSON, without converting its numbers.

    Raises:
        PayloadError: It is not; see `parse`.
    """
    _check(data, _GRAMMAR.decode)


def strip_white_space(data: bytes) -> bytes:
    """Remove the insignificant white space of JSON and keep every token.

    *data* may be any bytes: whether it is JSON is not checked. What has escapes and
    is not UTF-8, and so not JSON, stays as it is.
    """
    text = _hide_escapes(data)
    bare = data if text is None else _remove_spaces(text)
    if text is None or len(bare) == len(text):
        return data
    return _restore(bare) if b"\\" in data else bare


def spellings(data: bytes) -> Iterator[bytes]:
    """Yield JSON without white space, then with its strings as JavaScript prints them.

    ``JSON.stringify`` escapes quotes, backslashes, control characters and, since
    ECMAScript 2019, lone surrogates. The second is left out where it is the first.

    Args:
        data: Valid JSON.
    """
    text = _hide_escapes(data)
    if text is None:
        yield data
        return
    # Port sends none, and finding none is several times as fast as removing it.
    if _outside_strings(text, _NO_SPACES):
        text = _remove_spaces(text)
        data = _restore(text)
    yield data
    if b"\\" in text:
        printed = _unescape(text, data) or _print_strings(text)
        if printed != data:
            yield printed


def _hide_escapes(data: bytes) -> bytes | None:
    """Replace escaped backslashes and quotes, so that quotes only end strings.

    Returns:
        None, if *data* has escapes, and bytes that are not UTF-8.
    """
    if b"\\" not in data:
        return data
    if _BACKSLASH in data or _QUOTE in data:
        return None
    return data.replace(b"\\\\", _BACKSLASH).replace(b'\\"', _QUOTE)


def _restore(text: bytes) -> bytes:
    return text.replace(_QUOTE, b'\\"').replace(_BACKSLASH, b"\\\\")


def _split_strings(text: bytes) -> Iterator[tuple[list[bytes], int]]:
    """Split what `_hide_escapes` returned at quotes, piece by piece.

    The parts take up to thirty times as much memory as a piece, so there is only one at
    a time. A string may begin in one and end in another.

    Yields:
        The parts of a piece, and the index of the first one that is outside a string:
        0 or 1. Every second one from there is outside, too.
    """
    start = outside = 0
    while start < len(text):
        cut = _CUT.search(text, start + _PIECE)
        end = len(text) if cut is None else cut.end()
        parts = text[start:end].split(b'"')
        quotes = len(parts) - 1
        yield parts, outside
        start, outside = end, (outside + quotes) % 2


def _outside_strings(text: bytes, without: bytes) -> bytes:
    """Return what stands outside of strings, except the bytes *without*.

    Args:
        text: What `_hide_escapes` returned.
        without: Bytes, but no quotes.
    """
    # Most strings are empty then. Without them all others still begin where they did:
    # a string has two quotes.
    marks = text.translate(None, without).replace(b'""', b"")
    return b"".join([b"".join(parts[at::2]) for parts, at in _split_strings(marks)])


def _remove_spaces(text: bytes) -> bytes:
    pieces: list[bytes] = []
    for parts, at in _split_strings(text):
        outside = b'"'.join(parts[at::2])
        bare = outside.translate(None, _SPACE_BYTES)
        if len(bare) != len(outside):
            parts[at::2] = bare.split(b'"')
        pieces.append(b'"'.join(parts))
    return b"".join(pieces)


def _unescape(text: bytes, data: bytes) -> bytes | None:
    """Do what `_print_strings` does, for what a printer of pure ASCII makes of it.

    It takes a fifth of the time.

    Args:
        text: What `_hide_escapes` returned for *data*.
        data: JSON without white space.

    Returns:
        None, if *data* may hold something else than escapes of characters that
        JavaScript prints as they are.
    """
    # A look at the beginning finds surrogates where they are not rare.
    if not data.isascii() or _SURROGATE.search(text, 0, _PIECE):
        return None
    if b"\\/" in text or _ASCII_ESCAPE.search(text):
        return None
    try:
        # A backslash that is escaped begins no escape in this codec either.
        return data.decode("raw_unicode_escape").encode("utf-8")
    except UnicodeEncodeError:  # surrogates, alone or in pairs
        return None


def _print_strings(text: bytes) -> bytes:
    pieces: list[bytes] = []
    for parts, at in _split_strings(text):
        strings = b'","'.join(parts[1 - at :: 2])
        # What has no other escapes than those that are hidden stays as it is.
        if b"\\" in strings:
            parts[1 - at :: 2] = _printed(_restore(strings).decode("utf-8"))
        pieces.append(_restore(b'"'.join(parts)))
    return b"".join(pieces)


def _printed(strings: str) -> list[bytes]:
    """Return strings, given with ``","`` between them, as JavaScript prints them."""
    decoded: list[str] = json.loads(f'["{strings}"]')
    # One by one only until surrogates have a backslash, which is not escaped again.
    text = _BETWEEN_STRINGS.join(
        [
            each.replace("\\", "\\\\").encode("utf-8", "backslashreplace")
            for each in decoded
        ]
    )
    # Python's own function for all of this takes several times as long on long texts,
    # since a search for a single byte takes next to no time.
    for character, printed in _PRINTED:
        text = text.replace(character, printed)
    return text.split(_BETWEEN_STRINGS)


class ObjectText(NamedTuple):
    """An object within a document, and where some of its members are.

    Attributes:
        text: The whole document.
        start: The index of the opening brace.
        end: The index behind the closing brace.
        values: The parsed members; numbers are text.
        spans: For each key that was wanted, its index and the one behind its value.
    """

    text: str
    start: int
    end: int
    values: dict[str, Any]
    spans: dict[str, tuple[int, int]]

    def without_spans(self) -> str:
        """Return the text of the object without the members in ``spans``."""
        kept: list[str] = []
        at = self.start + 1
        for start, end in self.spans.values():
            kept.append(self.text[at:start].strip(_BETWEEN))
            at = end
        kept.append(self.text[at : self.end - 1].strip(_BETWEEN))
        return "{" + ",".join([part for part in kept if part]) + "}"


def read_object(data: bytes, wanted: Wanted) -> ObjectText | None:
    """Parse strict JSON, and return where members of an object are.

    Args:
        data: The document.
        wanted: The keys of the members. If one is given keys of its own, and is an
            object, its value becomes an `ObjectText`.

    Returns:
        The object; None if *data* is no object.

    Raises:
        PayloadError: *data* is not strict JSON; see `parse`.
    """

    def read(text: str) -> ObjectText | None:
        start = _skip_spaces(text, 0)
        if text[start] != "{":
            _GRAMMAR.decode(text)
            return None
        found = _read_object(text, start, wanted)
        if _skip_spaces(text, found.end) != len(text):
            raise _RefusedError(_NOT_JSON)
        return found

    return _check(data, read)


def _skip_spaces(text: str, at: int) -> int:
    return cast("re.Match[str]", _SPACES.match(text, at)).end()


def _read_object(text: str, start: int, wanted: Wanted) -> ObjectText:
    """Parse the object at *start*; an IndexError means that the text ended.

    Only its members are told apart here; what they hold is read by the C parser.
    """
    values: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    count = 0
    at = _skip_spaces(text, start + 1)
    mark = ","
    if text[at] == "}":
        mark, at = "}", at + 1
    while mark == ",":
        found = _KEY.match(text, at)
        if found is None:
            raise _RefusedError(_NOT_JSON)
        key, at = found[1], found.end()
        if "\\" in key:
            key, _ = _read_value(text, found.start(1) - 1)
        inner = wanted.get(key)
        if inner is not None and text[at] == "{":
            value = _read_object(text, at, inner)
            at = value.end
        else:
            value, at = _read_value(text, at)
        values[key] = value
        count += 1
        if key in wanted:
            spans[key] = (found.start(1) - 1, at)
        mark = text[at]
        if mark in _WHITE_SPACE:
            at = _skip_spaces(text, at)
            mark = text[at]
        at += 1
    if mark != "}":
        raise _RefusedError(_NOT_JSON)
    if len(values) != count:
        raise _RefusedError(_REPEATED)
    return ObjectText(text, start, at, values, spans)
