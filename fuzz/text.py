"""JSON as text, read by other means than the library's: token by token."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, NoReturn

__all__ = [
    "Document",
    "compact",
    "depth_of",
    "members",
    "numbers",
    "print_as_javascript",
    "read",
    "spaced",
    "tokens",
]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^ \t\r\n"{}\[\],:]++', re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]")
_DEEPEST = 64
_ESCAPES = {
    code: f"\\u{code:04x}" for code in (*range(0x20), *range(0xD800, 0xE000))
} | {
    ord(each): f"\\{letter}"
    for each, letter in zip('\b\t\n\f\r"\\', 'btnfr"\\', strict=True)
}


class Document(NamedTuple):
    """What strict JSON holds, and whether a number in it fits no float."""

    value: Any
    too_large: bool
    text: str


def read(data: bytes) -> Document | None:
    """Read strict JSON by the rules of the contract; None for what is not."""
    too_large = False

    def to_float(text: str) -> float:
        nonlocal too_large
        number = float(text)
        too_large = too_large or math.isinf(number)
        return number

    def to_int(text: str) -> int:
        nonlocal too_large
        try:
            return int(text)
        except ValueError:
            too_large = True
            return 0

    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_members_of,
            parse_constant=_refuse,
            parse_float=to_float,
            parse_int=to_int,
        )
    except (ValueError, RecursionError):
        return None
    return None if depth_of(text) > _DEEPEST else Document(value, too_large, text)


def _members_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError


def tokens(text: str) -> list[str]:
    """Return the tokens of valid JSON."""
    return _TOKEN.findall(text)


def depth_of(text: str) -> int:
    """Return how deep the brackets of valid JSON nest."""
    depth = deepest = 0
    for token in tokens(text):
        if token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest


def compact(text: str) -> str:
    """Return valid JSON without the white space between its tokens."""
    return "".join(tokens(text))


def spaced(text: str, space: str) -> str:
    """Return valid JSON with *space* around each token."""
    return space.join(["", *tokens(text), ""])


def numbers(text: str) -> list[str]:
    """Return the numbers of valid JSON as they are spelled."""
    return [token for token in tokens(text) if _NUMBER.match(token)]


def print_as_javascript(text: str) -> str:
    """Return valid JSON, compact, with each string as ``JSON.stringify`` prints it."""
    return "".join(
        f'"{json.loads(token).translate(_ESCAPES)}"' if token[0] == '"' else token
        for token in tokens(text)
    )


def members(text: str) -> list[tuple[str, str]]:
    """Return the members of an object: each key, and its value's compact text."""
    found: list[tuple[str, str]] = []
    part: list[str] = []
    depth = 0
    for token in tokens(text)[1:]:
        if depth == 0 and token in ",}":
            if part:
                found.append((part[0], "".join(part[2:])))
            part = []
            continue
        depth += (token in "[{") - (token in "]}")
        part.append(token)
    return found
