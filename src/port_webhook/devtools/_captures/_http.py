"""Raw HTTP/1.1, as a proxy, netcat or a log keeps it."""

from __future__ import annotations

import re

from port_webhook.devtools._captures._capture import Capture, CaptureError, Pairs

__all__ = ["read_http"]

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_REQUEST = re.compile(rb"[A-Z]+ \S+(?: HTTP/[0-9.]+)?")
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_END = re.compile(rb"\r?\n")
# The trailer section (RFC 9112, section 7.1.2), and white space that an editor adds.
_TRAILER = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*(?:\r?\n|\Z))*+\s*+")
_MAX_DIGITS = 12
_NO_CHUNKS = (
    "Transfer-Encoding says chunked, but the body does not begin with the size of a "
    "chunk. It is used as it is"
)
_JOINED = "if a tool has joined the chunks, remove the Transfer-Encoding line"


def read_http(raw: bytes) -> Capture:
    """Read a request: its line, which may be missing, headers and body.

    Line breaks may have lost their CR. White space that follows the body, by
    Content-Length, is dropped: most often it is an editor's line break. If anything
    else follows, all of it is kept, since the header may be wrong.

    Chunks are joined. A body that is said to be chunked and does not begin with a
    chunk is kept as it is, with a note: many tools save the joined body beside the
    headers that arrived.

    Raises:
        CaptureError: *raw* is a response, or no HTTP, or its chunks are broken.
    """
    raw = raw.lstrip(b"\r\n")
    end = _HEAD_END.search(raw)
    if end is None:
        head, body = raw.rstrip(b"\r\n"), b""
    else:
        head, body = raw[: end.start()], raw[end.end() :]
    # A CR alone ends no line (RFC 9112, section 2.2).
    lines = _LINE_END.split(head) if head else []
    if lines and lines[0].startswith(b"HTTP/"):
        raise CaptureError("the file is a response, not a request")
    start = 1 if lines and _REQUEST.fullmatch(lines[0].strip()) else 0
    headers = _read_lines(lines[start:], start + 1)
    if not headers:
        raise CaptureError("the file has no headers; is it raw HTTP?")
    if _is_chunked(headers):
        if _CHUNK.match(body) is not None:
            return Capture(_join_chunks(body), headers)
        return Capture(_cut(body, headers), headers, note=_NO_CHUNKS)
    return Capture(_cut(body, headers), headers)


def _is_chunked(headers: Pairs) -> bool:
    codings = (
        coding.strip(" \t").lower()
        for name, value in headers
        if name.lower() == "transfer-encoding"
        for coding in value.split(",")
    )
    return "chunked" in codings


def _cut(body: bytes, headers: Pairs) -> bytes:
    """Return *body* without white space that is beyond its length."""
    length = {name.lower(): value for name, value in headers}.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS:
        end = int(length)
        return body if body[end:].strip() else body[:end]
    return body


def _read_lines(lines: list[bytes], first: int) -> Pairs:
    headers: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, first):
        if line[:1] in (b" ", b"\t") and headers:
            # RFC 9112, section 5.2: an obsolete line folding.
            headers[-1][1].append(line.strip().decode("latin-1"))
            continue
        name, colon, value = line.removeprefix(b":").decode("latin-1").partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise CaptureError(f"line {number} is no header; is it raw HTTP?")
        if not line.startswith(b":"):  # HTTP/2 has such instead of a request line
            headers.append((name, [value.strip(" \t")]))
    return [(name, " ".join(filter(None, parts))) for name, parts in headers]


def _join_chunks(body: bytes) -> bytes:
    """Return a chunked body as one (RFC 9112, section 7.1).

    Raises:
        CaptureError: It breaks off, or it goes on behind its last chunk.
    """
    parts: list[bytes] = []
    at = 0
    while True:
        number = len(parts) + 1
        found = _CHUNK.match(body, at)
        if found is None and at >= len(body):
            raise _broken(f"it ends behind chunk {number - 1}, without one of 0 bytes")
        if found is None:
            raise _broken(f"no size of a chunk where chunk {number} should begin")
        at = found.end()
        size = int(found[1], 16)
        if size == 0:
            if _TRAILER.fullmatch(body, at) is not None:
                return b"".join(parts)
            raise _broken("it goes on behind the chunk of 0 bytes, which is the last")
        parts.append(body[at : at + size])
        missing = size - len(parts[-1])
        if missing > 0:
            raise _broken(f"chunk {number} lacks {missing} of its {size} bytes")
        at += size
        end = _LINE_END.match(body, at)
        if end is None and at < len(body):
            raise _broken(f"no line break behind the {size} bytes of chunk {number}")
        at = at if end is None else end.end()


def _broken(problem: str) -> CaptureError:
    return CaptureError(f"the chunked body is broken: {problem}; {_JOINED}")
