"""A curl command, as browsers and Port's documentation print it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from port_webhook.devtools._captures._capture import Capture, CaptureError, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_curl"]

_DATA = ("-d", "--data", "--data-ascii", "--data-binary", "--data-raw", "--json")
_ENCODED = "--data-urlencode"
_HEADER = ("-H", "--header")
_FORM = ("-F", "--form", "--form-string", "-T", "--upload-file", "-G", "--get")
# The letters of curl's options that take a value, and the long ones that are common.
_VALUED = frozenset("AbcCdDeEFhHKmoPQrtTuUwxXyYz")
_VALUED_LONG = (
    "--request",
    "--url",
    "--user",
    "--user-agent",
    "--referer",
    "--cookie",
    "--max-time",
    "--connect-timeout",
    "--output",
    "--proxy",
    "--cacert",
    "--cert",
    "--key",
    "--resolve",
    "--retry",
    "--write-out",
)
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_ANSI = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})"
    r"|([0-7]{1,3})|(.))",
    re.DOTALL,
)
_DOUBLE = re.compile(r'\\([\\"$`])|\\\n')
_WORD = re.compile(
    r"(?P<space>[ \t\r\n]+|\\\r?\n)"
    r"|\$'(?P<ansi>(?:[^'\\]|\\.)*+)'"
    r"|'(?P<single>[^']*+)'"
    r'|\$?"(?P<double>(?:[^"\\]|\\.)*+)"'
    r"|\\(?P<escaped>.)"
    r"|(?P<plain>\$|[^ \t\r\n'\"\\$]+)",
    re.DOTALL,
)


def read_curl(raw: bytes) -> Capture:
    """Read the headers and the body of a curl command for a POSIX shell.

    A file that the command names (``-d @body.json``) is not opened.

    Raises:
        CaptureError: *raw* is no such command, or its body is not in it.
    """
    words = [*_split(raw.decode("utf-8", "surrogateescape"))]
    if not words or not words[0].rsplit("/", 1)[-1].startswith("curl"):
        raise CaptureError("the file does not begin with curl")
    headers: Pairs = []
    parts: list[str] = []
    for option, value in _options(words[1:]):
        if option in _HEADER:
            if value.startswith("@"):
                raise CaptureError(f"{option} names a file of headers: insert them")
            name, _, text = value.partition(":")
            headers.append((name.rstrip(";"), text.strip()))
        elif option in _DATA:
            if value.startswith("@") and option != "--data-raw":
                raise CaptureError(f"{option} names a file: pass it as the body, too")
            parts.append(value)
        elif option == _ENCODED:
            parts.append(_encode(value))
        elif option in _FORM:
            raise CaptureError(f"{option} sends a form or a file, not a body")
    return Capture("&".join(parts).encode("utf-8", "surrogateescape"), headers)


def _encode(value: str) -> str:
    name, equals, text = value.rpartition("=")
    raw = text.encode("utf-8", "surrogateescape")
    return f"{name}{equals if name else ''}{quote(raw, safe='')}"


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option that matters, with its value."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if name in (*_DATA, *_HEADER, *_FORM, _ENCODED, *_VALUED_LONG):
                yield name, value if equals else next(rest, "")
        elif word.startswith("-"):
            for at, letter in enumerate(word[1:], 2):
                if letter in _VALUED:
                    yield f"-{letter}", word[at:] or next(rest, "")
                    break
                yield f"-{letter}", ""


def _split(text: str) -> Iterator[str]:
    """Split a command as a POSIX shell does, and unquote its words."""
    word: list[str] | None = None
    at = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise CaptureError("a quote is not closed")
        at = found.end()
        if found["space"] is None:
            word = [] if word is None else word
            word.append(_unquote(found))
        elif word is not None:
            yield "".join(word)
            word = None
    if word is not None:
        yield "".join(word)


def _unquote(found: re.Match[str]) -> str:
    if found["ansi"] is not None:
        return _ANSI.sub(_unescape, found["ansi"])
    if found["double"] is not None:
        return _DOUBLE.sub(lambda each: each[1] or "", found["double"])
    return found[found.lastgroup or 0]


def _unescape(found: re.Match[str]) -> str:
    byte, short, long, octal, letter = found.groups()
    if byte is not None or octal is not None:
        number = int(byte, 16) if byte is not None else int(octal, 8) & 0xFF
        return bytes([number]).decode("utf-8", "surrogateescape")
    if letter is not None:
        return _ESCAPES.get(letter, letter)
    number = int(short or long, 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:  # Unicode's own bounds
        raise CaptureError("a \\u escape is no character")
    return chr(number)
