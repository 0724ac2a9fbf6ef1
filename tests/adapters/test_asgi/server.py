"""A server of ASGI, through messages written by hand, and an application for it."""

from __future__ import annotations

from port_webhook import (
    sign,
)
from port_webhook.adapters.asgi import delivery_of

from ..doubles import BODY, NOW, SECRET


class Connection:
    """A server's side of one request."""

    def __init__(self, *messages, log=None):
        self.incoming = list(messages)
        self.received = 0
        self.sent = []
        self.log = log

    async def receive(self):
        self.received += 1
        if self.incoming:
            return self.incoming.pop(0)
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.log is not None:
            self.log.append(message["type"].removeprefix("http.response."))
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class App:
    """An application that reads everything and answers with a status."""

    def __init__(self, status=200, *, raises=None, answers=True):
        self.scopes = []
        self.messages = []
        self._status = status
        self._raises = raises
        self._answers = answers

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        self.messages += [await receive(), await receive()]
        if self._raises is not None:
            raise self._raises
        if self._answers:
            start = {"type": "http.response.start", "status": self._status}
            await send({**start, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})

    @property
    def delivery(self):
        return delivery_of(self.scopes[0])


def parts(*bodies):
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": index < last}
        for index, body in enumerate(bodies)
    ]


def scope_of(body=BODY, *, headers=None, length=True, **options):
    """Make a scope for *body*, signed unless *headers* are given."""
    if headers is None:
        headers = sign(body, SECRET, timestamp=NOW)
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    if length:
        pairs.append((b"Content-Length", str(len(body)).encode()))
    return {
        "type": "http",
        "method": "POST",
        "path": "/port",
        "headers": pairs,
        **options,
    }


async def ask(app, scope=None, *messages):
    """Send one request through *app*."""
    connection = Connection(*(messages or parts(BODY)))
    await app(scope or scope_of(), connection.receive, connection.send)
    return connection
