"""One HTTP request on ASGI, from its body to its response.

`serve` reads and verifies the body, hands exactly the signed payload to the
application, and ends the replay claim when the response starts, before any of it is
sent: a store that fails can still turn it into a 503, and background tasks, which run
after the response, run after the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration._body import (
    accept_body,
    expect_body,
    not_bytes,
    perhaps_consumed,
)
from port_webhook.integration._lifecycle import DELIVERY_KEY, abegin, aend

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Iterable,
        MutableMapping,
    )

    from port_webhook._delivery import Delivery
    from port_webhook._reception import AsyncReception
    from port_webhook._verifier import SignedForms, Verifier

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]
    RawHeaders = list[tuple[bytes, bytes]]

__all__ = ["answer", "select_headers", "serve"]

# `serve` is a boundary already, and a channel is one by hand: on this path of every
# request, each further one would cost as much as a step of the verification.
_abegin, _aend = inner(abegin), inner(aend)

_CONTENT_LENGTH = b"content-length"
_FRAMING = (_CONTENT_LENGTH, b"transfer-encoding")
_READ = frozenset({*_FRAMING, b"content-type", b"content-encoding"})
_SIGNED = {name.encode(): name for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER)}
# A length is compared faster than a name, and most headers have another.
_LENGTHS = frozenset(len(name) for name in (*_READ, *_SIGNED))


@boundary
async def serve(
    app: Application,
    verifier: Verifier,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    body_of: Callable[[DeliveryError], bytes],
    refuse: Callable[[DeliveryError], Awaitable[None]],
) -> None:
    """Verify one request, and let *app* respond to it.

    The application gets a copy of the scope, with the delivery in its state and under
    `DELIVERY_KEY`. It receives the payload as one message, then the server's messages.

    Args:
        app: Called if the request is verified. Its exceptions go through, except for a
            `PayloadError`, which becomes a response.
        verifier: The verifier of this request.
        scope: As the server passed it; it is not changed.
        receive: As the server passed it.
        send: As the server passed it.
        body_of: Returns the body of an error's response.
        refuse: Responds to a refused request; nothing was sent before. It is not
            called for a client that is gone.
    """
    headers: RawHeaders = [*scope["headers"]]  # any iterable, for ASGI
    signed, fields = select_headers(headers)
    gone = False

    async def read(limit: int) -> bytes | SignedForms:
        nonlocal gone
        content_type = fields.get(b"content-type")
        declared = expect_body(
            content_type,
            fields.get(b"content-encoding"),
            fields.get(_CONTENT_LENGTH),
            limit,
        )
        try:
            body = await _read(receive, limit)
        except OSError:
            gone = True
            raise UnreadableBodyError(
                "The connection ended before the body did, or something read the body "
                "before it could be verified."
            )
        accept_body(body, declared, limit, content_type)
        is_chunked = declared is None and b"transfer-encoding" in fields
        return perhaps_consumed(body) if is_chunked and not body else body

    existing = scope.get(DELIVERY_KEY)
    try:
        delivery, reception = await _abegin(
            verifier, signed, method=scope["method"], existing=existing, read=read
        )
    except DeliveryError as refusal:
        if not gone:
            await refuse(refusal)
        return
    payload = None
    if delivery is not existing:  # else an outer adapter hands out the payload
        scope = _scope_of(delivery, scope, headers)
        payload = delivery.payload
    channel = _Channel(verifier, payload, reception, receive, send, body_of)
    try:
        await app(scope, channel.receive, channel.send)
    except BaseException as error:
        channel.forget()
        if channel.started:
            raise
        try:
            await _aend(verifier, reception, None, error)
        except DeliveryError as failure:
            await refuse(failure)
            return
        raise
    if not channel.started:
        # The server makes this a 500, if the client is still there.
        await _aend(verifier, reception, 500, None)


@boundary
async def answer(
    send: Send, error: DeliveryError, body: bytes, *, method: str = "POST"
) -> None:
    """Send the response that *error* gives, with *body*, or to HEAD without it."""
    fields = {**error.http_headers, "Content-Length": str(len(body))}
    headers = [
        (name.lower().encode("ascii"), value.encode("ascii"))
        for name, value in fields.items()
    ]
    status = error.http_status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if method == "HEAD" else body
    # The default; but some test clients expect the key.
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Channel:
    """The two halves of the connection, as the application sees them."""

    __slots__ = (
        "_body_of",
        "_failed",
        "_payload",
        "_receive",
        "_reception",
        "_send",
        "_verifier",
        "started",
    )

    def __init__(
        self,
        verifier: Verifier,
        payload: bytes | None,
        reception: AsyncReception | None,
        receive: Receive,
        send: Send,
        body_of: Callable[[DeliveryError], bytes],
    ) -> None:
        self.started = False
        self._failed = False
        self._verifier = verifier
        self._reception = reception
        self._payload = payload
        self._receive = receive
        self._send = send
        self._body_of = body_of

    def forget(self) -> None:
        """Drop a payload that the application did not read."""
        self._payload = None

    async def receive(self) -> Message:
        """Return the payload once, then the server's messages."""
        try:
            if self._failed:
                return {"type": "http.disconnect"}
            if self._payload is None:
                return await self._receive()
            return self._take_payload()
        except BaseException as error:
            del self
            clean(error)
            raise

    async def send(self, message: Message) -> None:
        """End the claim when the response starts; send no more if that failed."""
        try:
            if not self.started and message["type"] == "http.response.start":
                self.started = True
                if self._reception is not None:
                    await self._end(message["status"])
            if not self._failed:
                await self._send(message)
        except BaseException as error:
            del self, message
            clean(error)
            raise

    def _take_payload(self) -> Message:
        body, self._payload = self._payload, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _end(self, status: int) -> None:
        try:
            await _aend(self._verifier, self._reception, status, None)
        except DeliveryError as failure:
            self._failed = True
            await answer(self._send, failure, self._body_of(failure))


def select_headers(
    headers: Iterable[tuple[bytes, bytes]],
) -> tuple[list[tuple[str, str]], dict[bytes, str]]:
    """Return the signature's headers, and those that say how to read the body.

    Several lines of one of the latter are joined by commas (RFC 9110, section 5.3).
    """
    signed: list[tuple[str, str]] = []
    fields: dict[bytes, str] = {}
    for name, value in headers:
        if len(name) not in _LENGTHS:
            continue
        key = name.lower()
        if key in _SIGNED:
            signed.append((_SIGNED[key], value.decode("latin-1")))
        elif key in _READ:
            text = value.decode("latin-1")
            fields[key] = f"{fields[key]},{text}" if key in fields else text
    return signed, fields


async def _read(receive: Receive, limit: int) -> bytes:
    """Read a body up to the *limit*, or raise an OSError if its client is gone."""
    parts: list[Any] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        more = message.get("more_body", False)
        body = message.get("body", b"")
        try:  # costs nothing until something is raised
            size += len(body)
        except TypeError:
            raise not_bytes(body)
        if size > limit:
            raise BodyTooLargeError(limit)
        if body:  # an empty part would take memory, and no limit counts it
            parts.append(body)
    try:
        return b"".join(parts)  # a single part is not copied
    except TypeError:  # text, or a list
        kinds = (bytes, bytearray, memoryview)
        raise not_bytes(next(part for part in parts if not isinstance(part, kinds)))


def _scope_of(delivery: Delivery, scope: Scope, headers: RawHeaders) -> Scope:
    """Return the scope for the application."""
    if delivery.via == "agent":
        # The payload is not what arrived, so neither is its length.
        length = str(len(delivery.payload)).encode("ascii")
        kept = [pair for pair in headers if pair[0].lower() not in _FRAMING]
        headers = [*kept, (_CONTENT_LENGTH, length)]
    state = {**scope.get("state", {}), "port_delivery": delivery}
    return {**scope, "headers": headers, "state": state, DELIVERY_KEY: delivery}
