"""Raw HTTP/1.1, as a proxy, netcat or a log keeps it."""

from __future__ import annotations

import re

from port_webhook.devtools._captures._capture import Capture, CaptureError, Pairs

__all__ = ["read_http"]

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_REQUEST = re.compile(rb"[A-Z]+ \S+(?: HTTP/[0-9.]+)?")
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r?\n")
_MAX_DIGITS = 12


def read_http(raw: bytes) -> Capture:
    """Read a request: its line, which may be missing, headers and body.

    Line breaks may have lost their CR. White space that follows the body, by
    Content-Length, is dropped: most often it is an editor's line break. If anything
    else follows, all of it is kept, since the header may be wrong.

    Raises:
        CaptureError: *raw* is a response, or no HTTP.
    """
    raw = raw.lstrip(b"\r\n")
    end = _HEAD_END.search(raw)
    head, body = (raw, b"") if end is None else (raw[: end.start()], raw[end.end() :])
    lines = head.splitlines()
    if lines and lines[0].startswith(b"HTTP/"):
        raise CaptureError("the file is a response, not a request")
    start = 1 if lines and _REQUEST.fullmatch(lines[0].strip()) else 0
    headers = _read_lines(lines[start:], start + 1)
    if not headers:
        raise CaptureError("the file has no headers; is it raw HTTP?")
    values = {name.lower(): value for name, value in headers}
    if "chunked" in values.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    else:
        length = values.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS:
            end_at = int(length)
            body = body if body[end_at:].strip() else body[:end_at]
    return Capture(body, headers)


def _read_lines(lines: list[bytes], first: int) -> Pairs:
    headers: Pairs = []
    for number, line in enumerate(lines, first):
        if line[:1] in (b" ", b"\t") and headers:
            # RFC 9112, section 5.2: an obsolete line folding.
            name, value = headers[-1]
            text = line.strip().decode("latin-1")
            headers[-1] = name, f"{value} {text}".strip(" \t")
            continue
        name, colon, value = line.removeprefix(b":").decode("latin-1").partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise CaptureError(f"line {number} is no header; is it raw HTTP?")
        if not line.startswith(b":"):  # HTTP/2 has such instead of a request line
            headers.append((name, value.strip(" \t")))
    return headers


def _join_chunks(body: bytes) -> bytes:
    """Return a chunked body as one; one that is none, or breaks off, as it is."""
    parts: list[bytes] = []
    at = 0
    while (found := _CHUNK.match(body, at)) is not None:
        size = int(found[1], 16)
        parts.append(body[found.end() : found.end() + size])
        at = found.end() + size
        if size == 0:
            break
        # The line break behind a chunk.
        at += 2 if body[at : at + 2] == b"\r\n" else 1
    return b"".join(parts) if parts else body
