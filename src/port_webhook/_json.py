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
from itertools import accumulate, chain, zip_longest
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
_BETWEEN = f",{_WHITE_SPACE}"
_SPACES = re.compile(f"[{_WHITE_SPACE}]*")
# A key, up to its value. Its escapes are not checked.
_KEY = re.compile(
    rf'[{_WHITE_SPACE}]*"([^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+)"'
    rf"[{_WHITE_SPACE}]*:[{_WHITE_SPACE}]*"
)
# As signed bytes: an opening bracket is one level more, a closing one is one less.
_LEVELS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

# Bytes that UTF-8 never has stand for the escapes of a backslash and of a quote.
_BACKSLASH = b"\xfe"
_QUOTE = b"\xff"


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


def _is_too_deep(data: bytes) -> bool:
    """Tell whether brackets nest more than ``MAX_DEPTH`` deep, valid JSON or not."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    # A backslash stands only in strings, so that escapes can go first; without them
    # a string is what stands between two quotes, or behind the last one.
    outside = b"".join(_split_strings(data, escaped=b"\\" in data)[::2])
    levels = outside.translate(_LEVELS, _NOT_BRACKETS)
    return max(accumulate(memoryview(levels).cast("b")), default=0) > MAX_DEPTH


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
    return next(spellings(data))


def spellings(data: bytes) -> Iterator[bytes]:
    """Yield JSON without white space, then with its strings as JavaScript prints them.

    ``JSON.stringify`` escapes quotes, backslashes, control characters and, since
    ECMAScript 2019, lone surrogates. The second is left out where it is the first.

    Args:
        data: Valid JSON; for the first, any bytes, as for `strip_white_space`.
    """
    escaped = b"\\" in data
    if escaped and (_BACKSLASH in data or _QUOTE in data):
        yield data
        return
    parts = _split_strings(data, escaped=escaped)
    outside = b'"'.join(parts[::2])
    bare = outside.translate(None, b" \t\n\r")
    if len(bare) != len(outside):
        parts[::2] = bare.split(b'"')
        data = _restore(b'"'.join(parts)) if escaped else b'"'.join(parts)
    yield data
    if escaped:
        strings = _restore(b'","'.join(parts[1::2])).decode("utf-8")
        texts: list[str] = bare.decode("ascii").split('"')
        printed = map(encode_basestring, json.loads(f'["{strings}"]'))
        # One string less than there are parts outside, so that the last has none.
        both = chain.from_iterable(zip_longest(texts, printed, fillvalue=""))
        text = "".join(both).encode("utf-8", "backslashreplace")
        if text != data:
            yield text


def _split_strings(data: bytes, *, escaped: bool) -> list[bytes]:
    """Split *data* at the quotes around strings, which are every second part then."""
    if escaped:
        data = data.replace(b"\\\\", _BACKSLASH).replace(b'\\"', _QUOTE)
    return data.split(b'"')


def _restore(data: bytes) -> bytes:
    return data.replace(_QUOTE, b'\\"').replace(_BACKSLASH, b"\\\\")


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
