"""One HTTP request on ASGI, from its body to its response.

`serve` reads and verifies the body, hands exactly the signed payload to the
application, and ends the replay claim when the response starts, before any of it is
sent: a store that fails can still turn it into a 503, and background tasks, which run
after the response, run after the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration._body import (
    check_body,
    check_media,
    declared_length,
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

__all__ = ["answer", "join_header", "serve"]

_CONTENT_LENGTH = b"content-length"
_FRAMING = (_CONTENT_LENGTH, b"transfer-encoding")
_READ = frozenset({*_FRAMING, b"content-type", b"content-encoding"})
_SIGNED = frozenset({TIMESTAMP_HEADER.encode(), SIGNATURE_HEADER.encode()})


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

    The application gets a scope of its own, with the delivery in its state and under
    `DELIVERY_KEY`. It receives the payload as one message, then what the server says.

    Args:
        app: Called if the request is verified. What it raises is its own and goes
            through, except for a `PayloadError`, which becomes a response.
        verifier: The verifier of this request.
        scope: As the server passed it; it is not changed.
        receive: As the server passed it.
        send: As the server passed it.
        body_of: Makes the body of an error's response.
        refuse: Responds to a refused request; nothing was sent before. It is not
            called for a client that is gone.
    """
    headers: RawHeaders = [*scope["headers"]]  # any iterable, for ASGI
    signed, fields = _select(headers)
    gone = False

    async def read(limit: int) -> bytes | SignedForms:
        nonlocal gone
        check_media(fields.get(b"content-type"), fields.get(b"content-encoding"))
        declared = declared_length(fields.get(_CONTENT_LENGTH), limit)
        try:
            body = await _read(receive, limit)
        except OSError:
            gone = True
            raise UnreadableBodyError(
                "The connection ended before the body did, or something read the body "
                "before it could be verified."
            )
        check_body(body, declared, limit)
        is_chunked = declared is None and b"transfer-encoding" in fields
        return perhaps_consumed(body) if is_chunked and not body else body

    try:
        delivery, reception = await abegin(
            verifier,
            signed,
            method=scope["method"],
            existing=scope.get(DELIVERY_KEY),
            read=read,
        )
    except DeliveryError as refusal:
        if not gone:
            await refuse(refusal)
        return
    if reception is not None:
        scope = _scope_of(delivery, scope, headers)
    channel = _Channel(
        verifier, delivery, reception, receive=receive, send=send, body_of=body_of
    )
    try:
        await app(scope, channel.receive, channel.send)
    except BaseException as error:
        channel.forget()
        if channel.started:
            raise
        try:
            await aend(verifier, reception, None, error)
        except DeliveryError as failure:
            await refuse(failure)
            return
        raise
    if not channel.started:
        # The server makes this a 500, if the client is still there.
        await aend(verifier, reception, 500, None)


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
    await send({"type": "http.response.body", "body": body})


@boundary
def join_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return all lines of the header *name* (lower case) joined by commas, if any."""
    values = [value for key, value in headers if key.lower() == name]
    return b",".join(values).decode("latin-1") if values else None


class _Channel:
    """The two halves of the connection, as the application sees them."""

    def __init__(
        self,
        verifier: Verifier,
        delivery: Delivery,
        reception: AsyncReception | None,
        *,
        receive: Receive,
        send: Send,
        body_of: Callable[[DeliveryError], bytes],
    ) -> None:
        self.started = False
        self._failed = False
        self._verifier = verifier
        self._reception = reception
        # An outer adapter hands out the payload, if it verified the request.
        self._payload = None if reception is None else delivery.payload
        self._receive = receive
        self._send = send
        self._body_of = body_of

    def forget(self) -> None:
        """Drop a payload that the application did not read."""
        self._payload = None

    @boundary
    async def receive(self) -> Message:
        """Return the payload once, and then what the server says."""
        if self._failed:
            return {"type": "http.disconnect"}
        if self._payload is None:
            return await self._receive()
        body, self._payload = self._payload, None
        return {"type": "http.request", "body": body, "more_body": False}

    @boundary
    async def send(self, message: Message) -> None:
        """End the claim when the response starts; send no more if that failed."""
        if message["type"] == "http.response.start" and not self.started:
            self.started = True
            try:
                await aend(self._verifier, self._reception, message["status"], None)
            except DeliveryError as failure:
                self._failed = True
                await answer(self._send, failure, self._body_of(failure))
        if not self._failed:
            await self._send(message)


def _select(headers: RawHeaders) -> tuple[RawHeaders, dict[bytes, str]]:
    """Return the signature's headers, and those that say how to read the body.

    Several lines of one of the latter are joined by commas (RFC 9110, section 5.3).
    """
    signed: RawHeaders = []
    fields: dict[bytes, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in _SIGNED:
            signed.append((key, value))
        elif key in _READ:
            text = value.decode("latin-1")
            fields[key] = f"{fields[key]},{text}" if key in fields else text
    return signed, fields


async def _read(receive: Receive, limit: int) -> bytes:
    """Read a body up to the *limit*, or raise an OSError if its client is gone."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        more = message.get("more_body", False)
        body = message.get("body", b"")
        size += len(body)
        if size > limit:
            raise BodyTooLargeError(limit)
        parts.append(body)
    return b"".join(parts)


def _scope_of(delivery: Delivery, scope: Scope, headers: RawHeaders) -> Scope:
    """Return the scope for the application."""
    if delivery.via == "agent":
        # The payload is not what arrived, so neither is its length.
        length = str(len(delivery.payload)).encode("ascii")
        kept = [pair for pair in headers if pair[0].lower() not in _FRAMING]
        headers = [*kept, (_CONTENT_LENGTH, length)]
    state = {**scope.get("state", {}), "port_delivery": delivery}
    return {**scope, "headers": headers, "state": state, DELIVERY_KEY: delivery}
