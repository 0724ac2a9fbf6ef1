"""`explain --http`: raw HTTP/1.1, with and without what a log does to it.

An input is a byte of flags, and a request or a body.
"""

from __future__ import annotations

from fuzz.common import STAMP, signature_of, splices
from port_webhook.devtools._captures import Capture, CaptureError, read_http

__all__ = ["WORDS", "run", "seeds"]

BUILT, CHUNKED, BARE, TRAILED = 1, 2, 4, 8


def run(data: bytes) -> None:
    """Read the request in *data*, or one with it as the body."""
    flags = data[0] if data else 0
    data = data[1:]
    if flags & BUILT:
        _check_built(data, flags)
        return
    try:
        capture = read_http(data)
    except CaptureError:
        return
    assert isinstance(capture, Capture)
    assert capture.headers
    assert isinstance(capture.body, bytes)
    # Nothing is in the body that did not arrive.
    assert len(capture.body) <= len(data)
    for name, value in capture.headers:
        assert name.strip()
        assert value == value.strip(" \t")


def _check_built(data: bytes, flags: int) -> None:
    """Send *data*, save what was sent, and read it."""
    headers = [("Host", "example.com"), ("x-port-timestamp", STAMP.decode())]
    headers.append(("X-Port-Signature", signature_of(STAMP, data).decode()))
    body = data
    if flags & CHUNKED:
        headers.append(("Transfer-Encoding", "chunked"))
        size = (flags >> 4) + 1
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
        body = b"".join([*chunks, b"0\r\n\r\n"])
    else:
        headers.append(("Content-Length", str(len(data))))
    lines = [b"POST /port HTTP/1.1"]
    lines += [f"{name}: {value}".encode() for name, value in headers]
    end = b"\n" if flags & BARE else b"\r\n"
    raw = end.join([*lines, b"", b""]) + body
    if flags & TRAILED:
        raw += b"\n"
    assert read_http(raw) == Capture(data, headers)
    if flags & CHUNKED:
        # A part of a chunked body is never taken for the whole.
        whole = len(raw) - len(body) - bool(flags & TRAILED)
        try:
            cut = read_http(raw[: whole + len(body) * (flags >> 4) // 16])
        except CaptureError:
            return
        assert cut.note is not None or cut.body == data


def seeds() -> list[bytes]:
    """Return requests as tools keep them, and bodies."""
    signature = signature_of(STAMP, b"{}")
    head = b"x-port-timestamp: 1713277889\r\nX-Port-Signature: " + signature
    found = [
        b"\0POST /port HTTP/1.1\r\n" + head + b"\r\nContent-Length: 2\r\n\r\n{}\n",
        b"\0POST /port\n" + head.replace(b"\r", b"") + b"\n\n{}",
        b"\0:method: POST\n" + head + b"\n folded\n\n{}",
        b"\0"
        + head
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"\0HTTP/1.1 200 OK\r\n\r\n",
        b"\0GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"\0",
    ]
    bodies = (b"{}", b"", b"\r\n0\r\n\r\n", b"\xff\x00", b"0123456789abcdef" * 4)
    found += [
        bytes([flags]) + body
        for flags in (1, 3, 5, 7, 9, 11, 0x33, 0xF3)
        for body in bodies
    ]
    return splices(found)


WORDS = (
    *(b"POST /port HTTP/1.1\r\n", b"HTTP/1.1 ", b"\r\n\r\n", b"\n\n", b"\r\n", b"\n "),
    *(b"Content-Length: 2", b"Transfer-Encoding: chunked", b"0\r\n\r\n", b"1\r\n"),
    *(
        b"ffffffff\r\n",
        b":method: POST",
        b": ",
        b":",
        b"\x0b",
        b"\x0c",
        b"\x1c",
        b"\x85",
    ),
    b"x-port-timestamp: 1713277889",
    b"x-port-signature: v1,",
)
