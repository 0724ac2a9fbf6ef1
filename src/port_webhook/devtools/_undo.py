"""Undo what may have happened to a body on its way: candidates for what was signed.

Each candidate is only a guess; `_explain` tells by the MAC whether it is right. What
cannot have happened to a body, by its look, is not tried.
"""

from __future__ import annotations

import html
import json
import re
import zlib
from base64 import urlsafe_b64decode
from binascii import a2b_base64
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

from port_webhook._json import strip_white_space
from port_webhook.devtools._causes import cause
from port_webhook.devtools._reprint import (
    MAX_REPRINT,
    describe,
    is_agent_form,
    reorders,
    reprints,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from port_webhook.devtools._causes import Cause

    Guess = tuple[str, bytes]
    Steps = tuple[tuple[str, Callable[[bytes], Iterator[Guess]]], ...]

__all__ = ["Undone", "gunzip", "is_cut", "undo", "unwrap"]

_AGENT = (
    "Port's agent forwarded it: a space stands behind each comma and colon, and was "
    "not signed."
)
_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\r\n", b"\n", b"\r")
_MAX_INFLATED = 8 * 1024 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_WRAPPED = re.compile(rb"[A-Za-z0-9+/_=-]+(?:\r?\n[A-Za-z0-9+/_=-]+)*")
_FORM = re.compile(rb"(?:[A-Za-z0-9_.\[\]-]{1,64}=)?([^&=]*)=?")
_CUT_ESCAPE = re.compile(rb"%[0-9A-Fa-f]?\Z")
_ESCAPED = re.compile(rb"&(?:#[0-9xX]|[A-Za-z]+;)")
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|"(?:[^"\\]|\\.)*+\\?\Z|[][{}]', re.DOTALL)
# Those that real systems still have by default, and what reads UTF-8 as them.
_ENCODINGS = (
    "latin-1",
    "cp1252",
    "iso8859-15",
    "cp1250",
    "cp1251",
    "koi8-r",
    "mac-roman",
    "cp437",
    "cp850",
    "shift_jis",
    "euc-jp",
    "euc-kr",
    "big5",
    "gb18030",
)
_WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


class Undone(NamedTuple):
    """A body, what it may have been before something happened to it, and what."""

    arrived: bytes
    body: bytes
    code: str
    text: str

    @property
    def cause(self) -> Cause:
        """The cause, if *body* turns out to be right."""
        code, text = self.code, self.text
        if code == "reserialised":
            if self.body == strip_white_space(self.arrived) and is_agent_form(
                self.arrived
            ):
                return cause("agent_form", _AGENT)
            text = describe(self.arrived, self.body)
        return cause(code, text)


def undo(
    body: bytes, *, done: Collection[str] = (), orders: bool = False
) -> Iterator[Undone]:
    """Yield what *body* may have been one step ago, the likeliest first.

    Args:
        body: The bytes that arrived.
        done: The codes of changes that are undone already. Two of one kind are one.
        orders: Yield its JSON with other orders of its keys instead.
    """
    seen = {body}
    for code, steps in _ORDERS if orders else _STEPS:
        if code in done:
            continue
        for text, candidate in steps(body):
            if candidate not in seen:
                seen.add(candidate)
                yield Undone(body, candidate, code, text)


def unwrap(body: bytes) -> Cause | None:
    """Say what a body that is no JSON is by its look, if JSON is inside."""
    if _looks_like_json(body):
        return None
    for code, steps in _WRAPPERS:
        for text, candidate in steps(body):
            if _looks_like_json(candidate):
                return cause(code, text, proven=False)
    return None


def _looks_like_json(data: bytes) -> bool:
    text = data.strip()
    return (text[:1] + text[-1:]) in (b"{}", b"[]")


def _bom(body: bytes) -> Iterator[Guess]:
    if body.startswith(_BOM):
        yield "A byte order mark stands before the body.", body[len(_BOM) :]


def _reprint(body: bytes) -> Iterator[Guess]:
    for candidate in reprints(body):
        yield "", candidate


def _reorder(body: bytes) -> Iterator[Guess]:
    for candidate in reorders(body):
        yield "", candidate


def _newline_added(body: bytes) -> Iterator[Guess]:
    words = "A line break was added at the end of the body."
    for end in _LINE_ENDS:
        if body.endswith(end):
            yield words, body.removesuffix(end)
    bare = body.strip(b"\r\n")
    if bare != body:
        yield "Line breaks were added around the body.", bare
    if b"\r\n" in body:
        words = "Line breaks arrived as CR LF, and were signed as LF."
        yield words, body.replace(b"\r\n", b"\n")


def _newline_removed(body: bytes) -> Iterator[Guess]:
    for end in _LINE_ENDS:
        yield "A line break was removed from the end of the body.", body + end
    if b"\n" in body and b"\r" not in body:
        words = "Line breaks arrived as LF, and were signed as CR LF."
        yield words, body.replace(b"\n", b"\r\n")


def gunzip(body: bytes) -> tuple[bytes, bool] | None:
    """Return what is compressed in *body*, and whether it is all there.

    At most 8 MiB are decompressed. None: *body* is not compressed.
    """
    for window, magic in ((31, b"\x1f\x8b"), (15, b"\x78"), (-15, b"")):
        if body.startswith(magic) and (magic or body[:1] not in b"{[ "):
            inflater = zlib.decompressobj(window)
            try:
                data = inflater.decompress(body, _MAX_INFLATED)
            except zlib.error:
                continue
            if inflater.eof and not inflater.unused_data:
                return data, True
            if magic == b"\x1f\x8b" and not inflater.unused_data:
                return data, False
    return None


def _gzip(body: bytes) -> Iterator[Guess]:
    found = gunzip(body)
    if found is not None:
        yield (
            "The body is compressed (gzip or deflate); plain text was signed.",
            found[0],
        )


def _base64(body: bytes) -> Iterator[Guess]:
    text = body
    if len(text) > 1 and text[:1] == text[-1:] == b'"':
        text = text[1:-1]
    if _WRAPPED.fullmatch(text) is None:
        return
    text = text.replace(b"\r", b"").replace(b"\n", b"")
    if _BASE64.fullmatch(text) is None:
        return
    padded = text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4)
    try:
        yield (
            "The body is base64; what it stands for was signed.",
            (
                urlsafe_b64decode(padded)
                if b"-" in text or b"_" in text
                else a2b_base64(padded)
            ),
        )
    except ValueError:  # one digit too many
        return


def _html(body: bytes) -> Iterator[Guess]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    if _ESCAPED.search(body):
        words = "Characters arrived as HTML entities, such as &quot;."
        try:
            resolved = html.unescape(text)
        except ValueError:  # a reference with more digits than int() reads
            pass
        else:
            yield words, resolved.encode("utf-8", "replace")
    if len(body) <= MAX_REPRINT:
        words = "HTML entities arrived as the characters that they stand for."
        yield words, html.escape(text, quote=False).encode()


def _url(body: bytes) -> Iterator[Guess]:
    words = "The body arrived URL-encoded."
    field = _FORM.fullmatch(body)
    if field is not None and (b"=" in body or b"%" in body):
        words_form = "The body arrived URL-encoded, as a field of a form."
        raw = unquote_to_bytes(field[1].replace(b"+", b" "))
        yield (words_form if b"=" in body else words), raw
    if b"%" in body or b"+" in body:
        yield words, unquote_to_bytes(body)
        yield words, unquote_to_bytes(_CUT_ESCAPE.sub(b"", body))
        yield words, unquote_to_bytes(body.replace(b"+", b" "))
    if body.endswith(b"="):
        # JSON that was read as a form: one field without a value.
        yield "The body was read as a form, which adds a =.", body[:-1]
    if b" " in body:
        words = "The body was URL-decoded: each + arrived as a space."
        yield words, body.replace(b" ", b"+")


def _text(body: bytes) -> Iterator[Guess]:
    if b"\x00" in body:
        for encoding in _WIDE:
            yield from _recode(
                body, encoding, "utf-8", f"The body arrived as {encoding}"
            )
    if body.isascii():
        return
    try:
        text = body.decode()
    except UnicodeDecodeError:
        for encoding in _ENCODINGS:
            yield from _recode(
                body, encoding, "utf-8", f"The body arrived as {encoding}"
            )
        return
    for encoding in _ENCODINGS:
        words = f"UTF-8 was read as {encoding} and encoded again"
        yield from _recode(body, "utf-8", encoding, words)
    for form in ("NFC", "NFD"):
        words = f"Characters were composed or decomposed (Unicode); {form} was signed."
        yield words, normalize(form, text).encode()


def _recode(body: bytes, read: str, write: str, words: str) -> Iterator[Guess]:
    try:
        yield f"{words}; UTF-8 was signed.", body.decode(read).encode(write)
    except (UnicodeError, ValueError):
        return


def _agent(body: bytes) -> Iterator[Guess]:
    if not body:
        yield "The body is empty and null was signed, as Port's agent does it.", b"null"


def _close_json(body: bytes) -> bytes:
    """Return the quote and the brackets that *body* lacks at its end."""
    opened: list[bytes] = []
    for found in _BRACKETS.finditer(body):
        token = found[0]
        if token in (b"{", b"["):
            opened.append(b"}" if token == b"{" else b"]")
        elif token in (b"}", b"]"):
            if not opened or opened.pop() != token:
                return b""
        elif len(token) == 1 or not token.endswith(b'"'):
            return b'"' + b"".join(reversed(opened))
    return b"".join(reversed(opened))


def is_cut(body: bytes) -> bool:
    """Tell whether the JSON in *body* breaks off at its end, by its look."""
    # A byte that was changed may look the same, but rarely behind such an end.
    if body[:1] not in (b"{", b"[") or body[-1:] in b"}] \t\r\n":
        return False
    try:
        json.loads(body.decode())
    except UnicodeDecodeError as error:
        return error.end == len(body) and "unexpected end" in error.reason
    except json.JSONDecodeError as error:
        return error.pos >= len(error.doc) or error.msg.startswith("Unterminated")
    except (ValueError, RecursionError):
        pass
    return False


def _truncated(body: bytes) -> Iterator[Guess]:
    if len(body) > MAX_REPRINT or body[:1] not in (b"{", b"["):
        return
    missing = _close_json(body)
    for count in range(1, min(len(missing), 64) + 1):
        noun = "byte is" if count == 1 else "bytes are"
        yield (
            f"The body was cut: its last {count} {noun} missing.",
            body + missing[:count],
        )


_WRAPPERS: Steps = (
    ("bom_added", _bom),
    ("gzip_body", _gzip),
    ("base64_body", _base64),
    ("html_escaped", _html),
    ("url_encoded", _url),
)
_ORDERS: Steps = (("reserialised", _reorder),)
_STEPS: Steps = (
    ("bom_added", _bom),
    ("newline_added", _newline_added),
    ("gzip_body", _gzip),
    ("base64_body", _base64),
    ("agent_form", _agent),
    ("reserialised", _reprint),
    ("html_escaped", _html),
    ("url_encoded", _url),
    ("text_reencoded", _text),
    ("newline_removed", _newline_removed),
    ("truncated", _truncated),
)
