"""Strict JSON, and re-emission of a document without changing one of its tokens.

Two delivery paths do not carry the bytes that were signed (protocol, section 2).
Port's agent signs compact JSON and sends the same tokens with white space between
them; a Kafka message carries its signature inside the JSON that was signed. Both
are undone here on the text itself: a document that is parsed and printed again
would have Python's numbers and escapes instead of the sender's.

Every function takes time linear in its input, whatever the input is.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, NoReturn

from port_webhook.exceptions import PayloadError

MAX_DEPTH = 64

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_ANY_STRING = re.compile(_STRING)
# A string that never ends takes the rest, so that nothing is scanned a third time.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|"[\s\S]*|[^ \t\n\r"]+', re.DOTALL)
# Supposes valid JSON, in which every string ends; see _is_too_deep for any other.
_STRUCTURE = re.compile(_STRING + rb"|[\[\]{},:]")

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_MAYBE_STRING = re.compile(rb'"[^"]*"?')
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_SURROGATE = re.compile("[\ud800-\udfff]")


class _RefusedError(ValueError):
    """JSON that Python accepts and this library does not."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: two parsers may pick different ones."""
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "repeats a key"
        raise _RefusedError(msg)
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


def _is_too_deep(data: bytes) -> bool:
    """Tell whether brackets nest more than ``MAX_DEPTH`` deep, valid JSON or not."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    # A backslash stands only in strings, so that escapes can go first; without them
    # a string is whatever stands between two quotes. An unterminated one takes the
    # rest, so nothing is scanned twice.
    bare = _MAYBE_STRING.sub(b"", _ESCAPE.sub(b"", data))
    depth = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _decode(data: bytes, decoder: json.JSONDecoder) -> Any:
    """Parse *data*, or raise the PayloadError that says why it is not strict JSON."""
    if _is_too_deep(data):
        raise PayloadError(f"is nested more than {MAX_DEPTH} levels deep")
    try:
        return decoder.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except json.JSONDecodeError:
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
    return _decode(data, _VALUES)


def require_json(data: bytes) -> None:
    """Check that *data* is strict JSON, without converting its numbers.

    Raises:
        PayloadError: It is not; see `parse`.
    """
    _decode(data, _GRAMMAR)


def strip_white_space(data: bytes) -> bytes:
    """Remove the insignificant white space of JSON and keep every token.

    *data* may be any bytes: whether it is JSON is not checked.
    """
    if b"\\" in data:
        return b"".join(_TOKENS.findall(data))
    # Without a backslash, strings stand between every second pair of quotes.
    parts = data.split(b'"')
    parts[::2] = [part.translate(None, b" \t\n\r") for part in parts[::2]]
    return b'"'.join(parts)


class Member(NamedTuple):
    """One member of a JSON object: its key, and both tokens as they were written."""

    key: str
    key_text: bytes
    value_text: bytes


def members(text: bytes) -> list[Member]:
    """Split *text*, a compact and valid JSON object, into its members."""
    found: list[Member] = []
    depth = 0
    start = key_end = 1
    for token in _STRUCTURE.finditer(text):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        if depth > 1 or (depth == 1 and mark not in (b",", b":")):
            continue
        if mark == b":":
            key_end = token.start()
        elif key_end > start:  # not so in an empty object
            key_text = text[start:key_end]
            value_text = text[key_end + 1 : token.start()]
            found.append(Member(json.loads(key_text), key_text, value_text))
            start = key_end = token.end()
    return found


def find_value(text: bytes, *path: str) -> bytes | None:
    """Return the token at *path* in *text*, compact and valid JSON, or None."""
    for key in path:
        if not text.startswith(b"{"):
            return None
        found = (member.value_text for member in members(text) if member.key == key)
        text = next(found, b"")
    return text or None


def join_members(kept: list[Member]) -> bytes:
    """Write the members *kept* as one compact object."""
    pairs = (member.key_text + b":" + member.value_text for member in kept)
    return b"{" + b",".join(pairs) + b"}"


def respell_strings(text: bytes) -> bytes:
    """Print each string of valid JSON as JavaScript's ``JSON.stringify`` does.

    That is unescaped but for quotes, backslashes, control characters and, since
    ECMAScript 2019, lone surrogates.
    """
    return _ANY_STRING.sub(_respell, text)


def _respell(token: re.Match[bytes]) -> bytes:
    spelled = token[0]
    if b"\\" not in spelled:
        return spelled
    printed = json.dumps(json.loads(spelled), ensure_ascii=False)
    return _SURROGATE.sub(_escape_surrogate, printed).encode("utf-8")


def _escape_surrogate(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"
