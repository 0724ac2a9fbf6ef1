"""Servers without a network: each takes one raw request to an application.

They do what the real ones do and no more: WSGI joins a repeated header by a comma,
ASGI sends a body in parts, and aiohttp's own parser reads bytes.
"""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass, field, replace
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from .doubles import BODY, SECRET, signed

CHUNK = 5
# Seconds, after which a test fails that would never end.
PATIENCE = 60


@dataclass
class Raw:
    """One request as it arrives.

    Attributes:
        length: The Content-Length header; None for none.
    """

    body: bytes = BODY
    headers: list[tuple[str, str]] = field(default_factory=list)
    method: str = "POST"
    length: str | None = None
    chunked: bool = False

    def change(self, **changes):
        return replace(self, **changes)

    def having(self, *pairs):
        return replace(self, headers=[*self.headers, *pairs])


def raw(body=BODY, *pairs, signs=None, secret=SECRET, chunked=False, method="POST"):
    """Return the request that Port makes of *body*, unless *signs* was signed."""
    headers = signed(body if signs is None else signs, secret)
    length = None if chunked else str(len(body))
    return Raw(body, [*headers.items(), *pairs], method, length, chunked)


def unsigned(body=BODY, **options):
    return raw(body, **options).change(headers=[])


@dataclass
class Answer:
    """What the client gets, what reached the server besides, and what was read.

    Attributes:
        status: None if nothing was sent.
        error: What left the application.
        taken: How many bytes of the body the application took.
    """

    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: BaseException | None = None
    taken: int = 0

    def header(self, name):
        """Return the one value of a header, or None."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2
        return values[0] if values else None


class _Input(io.BytesIO):
    """A body that counts what is read of it."""

    taken = 0

    def read(self, size=-1, /):
        found = super().read(size)
        self.taken += len(found)
        return found


def ask_wsgi(app, request):
    """Call a WSGI application, under the eyes of wsgiref."""
    body = _Input(request.body)
    environ: dict[str, Any] = {"wsgi.input": body, "wsgi.errors": sys.stderr}
    environ |= {"REQUEST_METHOD": request.method, "PATH_INFO": "/port"}
    environ |= {"SCRIPT_NAME": "", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    if request.length is not None:
        environ["CONTENT_LENGTH"] = request.length
    if request.chunked:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    answer = Answer()

    def start_response(status, headers, exc_info=None):
        answer.status, answer.headers = int(status[:3]), headers
        return lambda _: None

    checked: Any = app
    if (request.length or "0").isdigit():  # it would refuse the request itself
        checked = validator(app)
    try:
        parts = checked(environ, start_response)
        try:
            for part in parts:
                answer.body += part
        finally:
            getattr(parts, "close", int)()
    except AssertionError:
        raise
    except BaseException as error:  # as a server does
        answer.error = error
        answer.status = answer.status or 500
    answer.taken = body.taken
    return answer


class Connection:
    """An ASGI server's side of one request."""

    def __init__(self, request, fails=None):
        self.answer = Answer()
        self._fails = fails
        self.gone = asyncio.Event()
        self._body = request.body
        self._is_over = False
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": request.method,
            "path": "/port",
            "raw_path": b"/port",
            "query_string": b"",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in _framed(request)
            ],
        }

    async def receive(self):
        if self._is_over:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        part, self._body = self._body[:CHUNK], self._body[CHUNK:]
        if len(self._body) > 1000:  # nobody looks at the middle of a large body
            part, self._body = part + self._body[:-CHUNK], self._body[-CHUNK:]
        if self._fails is not None and self.answer.taken:
            raise self._fails
        self.answer.taken += len(part)
        self._is_over = not self._body
        return {"type": "http.request", "body": part, "more_body": not self._is_over}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = [
                (name.decode(), value.decode())
                for name, value in message.get("headers", [])
            ]
        else:
            self.answer.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.gone.set()


async def ask_asgi(app, request, *, fails=None):
    """Call an ASGI application; receiving more than one part *fails*."""
    connection = Connection(request, fails)
    answer = connection.answer
    try:
        await app(connection.scope, connection.receive, connection.send)
    except BaseException as error:  # as a server does
        answer.error = error
        answer.status = answer.status or 500
    return answer


class _Transport(asyncio.Transport):
    """The other end of a connection: it keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = asyncio.Event()

    def write(self, data):
        self.written += bytes(data)

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def is_closing(self):
        return self.closed.is_set()

    def close(self):
        self.closed.set()

    abort = close

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name == "peername" else default

    def pause_reading(self): ...

    def resume_reading(self): ...


class Wire:
    """A connection to aiohttp's own protocol, which parses what is sent."""

    def __init__(self, runner):
        self.transport = _Transport()
        self.protocol = runner.server()
        self.protocol.connection_made(self.transport)
        self.task = self.protocol._task_handler

    def send(self, request):
        lines = [f"{request.method} /port HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in _framed(request)]
        body = request.body
        if request.chunked:
            cut = CHUNK if len(body) < 1000 else 65_536
            parts = [body[at : at + cut] for at in range(0, len(body), cut)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
            body += b"0\r\n\r\n"
        head = "\r\n".join(lines).encode("latin-1")
        for part in (head + b"\r\n\r\n" + body[:CHUNK], body[CHUNK:]):
            self.protocol.data_received(part)
        length = request.length or ""
        self._is_cut = length.isdigit() and int(length) > len(body)

    def leave(self):
        self.transport.close()
        self.protocol.connection_lost(None)

    async def answer(self):
        if self._is_cut:
            for _ in range(10):  # turns of the loop, until the handler waits for more
                await asyncio.sleep(0)
            self.leave()
        await asyncio.wait([self.task], timeout=PATIENCE)
        answer = Answer()
        if not self.transport.written:
            return answer
        head, _, answer.body = self.transport.written.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        answer.status = int(first.split(" ")[1])
        answer.headers = [tuple(line.split(": ", 1)) for line in lines]  # type: ignore[misc]  # two of them
        return answer


def _framed(request):
    if request.length is not None:
        return [*request.headers, ("Content-Length", request.length)]
    if request.chunked:
        return [*request.headers, ("Transfer-Encoding", "chunked")]
    return request.headers
