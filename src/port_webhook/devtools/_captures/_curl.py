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
_NEXT = ("-:", "--next")
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
    "E": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    **{each: each for each in "\\'\"?"},
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


# What ends a command, if it is not quoted.
_OPERATOR = re.compile(r"\||&&|;")
_BLANK = ("", " ", "\t", "\r", "\n")


def read_curl(raw: bytes, *, has_body: bool = False) -> Capture:
    """Read the headers and the body of a curl command for a POSIX shell.

    A file that the command names (``-d @body.json``) is not opened. Further commands,
    behind ``|``, ``&&``, ``;`` or on a line of their own, and comments are left out.

    Args:
        raw: The command.
        has_body: The body is given in another way, so this one need not be read.

    Raises:
        CaptureError: *raw* is no such command, or its body is not in it.
    """
    words = [*_split(_first_command(raw.decode("utf-8", "surrogateescape")))]
    if not words or not words[0].rsplit("/", 1)[-1].startswith("curl"):
        raise CaptureError("the file does not begin with curl")
    headers: Pairs = []
    parts: list[str] = []
    options = _options(words[1:])
    for option, value in _without_body(options) if has_body else options:
        if option in _HEADER:
            if value.startswith("@"):
                raise CaptureError(f"{option} names a file of headers: insert them")
            name, _, text = value.partition(":")
            headers.append((name.rstrip(";"), text.strip()))
        elif option in _NEXT:
            raise CaptureError(f"{option} begins a second request: keep one of them")
        elif option in _DATA:
            if value.startswith("@") and option != "--data-raw":
                raise CaptureError(f"{option} names a file: pass it as the body, too")
            # What --json adds is a part of the same JSON.
            parts += (value,) if option == "--json" or not parts else ("&", value)
        elif option == _ENCODED:
            parts += ("&", _encode(value)) if parts else (_encode(value),)
        elif option in _FORM:
            raise CaptureError(f"{option} sends a form or a file, not a body")
    return Capture("".join(parts).encode("utf-8", "surrogateescape"), headers)


def _encode(value: str) -> str:
    """Encode as curl does: what is behind the first =, with + for a space."""
    name, equals, text = value.partition("=")
    if not equals:
        name, text = "", value
        if "@" in value:
            raise CaptureError(f"{_ENCODED} names a file: pass it as the body, too")
    encoded = quote(text.encode("utf-8", "surrogateescape"), safe="")
    return f"{name}{'=' if name else ''}{encoded.replace('%20', '+')}"


def _without_body(options: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return (each for each in options if each[0] not in (*_DATA, *_FORM, _ENCODED))


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option that matters, with its value."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if name in _NEXT:
                yield name, ""
            elif name in (*_DATA, *_HEADER, *_FORM, _ENCODED, *_VALUED_LONG):
                yield name, value if equals else next(rest, "")
        elif word.startswith("-"):
            for at, letter in enumerate(word[1:], 2):
                if letter in _VALUED:
                    yield f"-{letter}", word[at:] or next(rest, "")
                    break
                yield f"-{letter}", ""


def _first_command(text: str) -> str:
    """Return *text* up to an operator of the shell, or a comment, that is not quoted.

    Raises:
        CaptureError: It is a command for another shell.
    """
    at = 0
    is_inside = False
    while (found := _WORD.match(text, at)) is not None:
        plain = found["plain"] or ""
        if not is_inside and plain[:1] in ("#", ";", "&"):
            return text[:at]
        if not is_inside and plain[:1] == "^":
            raise CaptureError(
                "the command is for Windows (^): copy the one for a POSIX shell (bash)"
            )
        for operator in _OPERATOR.finditer(text, at, at + len(plain)):
            # A semicolon within a word is most often one of a URL.
            behind = text[operator.end() : operator.end() + 1]
            if operator[0] != ";" or operator.start() == at or behind in _BLANK:
                return text[: operator.start()]
        space: str | None = found["space"]
        is_inside = space is None
        # An option on the next line belongs to the command: its backslash was lost.
        is_end = space is not None and "\n" in space and space[0] != "\\"
        if is_end and text[:at].strip() and not text.startswith("-", found.end()):
            return text[:at]
        at = found.end()
    return text


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
        return _ESCAPES.get(letter, found[0])
    number = int(short or long, 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:  # Unicode's own bounds
        raise CaptureError("a \\u escape is no character")
    return chr(number)
