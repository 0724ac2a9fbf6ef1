"""The local receiver: verify each request, keep it, answer it, pass it on."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from port_webhook import sign
from port_webhook._json import parse
from port_webhook._run_id import find_run_id
from port_webhook.devtools._history import Forwarded, Record
from port_webhook.exceptions import (
    DeliveryError,
    PayloadError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    SignedForms,
    check_media,
    check_method,
    collect,
)
from port_webhook.models import load_invocation
from port_webhook.models._recognition import shape_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from port_webhook import Verifier
    from port_webhook.devtools._history import History
    from port_webhook.devtools._smee import SmeeEvent

__all__ = ["Answer", "Forwarder", "Incoming", "Receiver", "join_url"]

_SIGNED = ("x-port-timestamp", "x-port-signature")
# RFC 9110, section 7.6.1: about one connection, not about the message.
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_FRAMING = frozenset(("content-length", "host"))
# The server adds its own to what is passed back.
_DATE = frozenset(("date",))
_MAX_RESPONSE = 1024 * 1024
_KEPT_RESPONSE = 64 * 1024
_NO_RESPONSE = 502
# Seconds for a whole response, which may come byte by byte.
_MAX_SECONDS = 60.0
# What a server can send on (RFC 9110, section 15).
_STATUSES = range(200, 600)
_WITHOUT_BODY = (204, 304)


@dataclass(frozen=True)
class Answer:
    """What the sender of a verified delivery is told.

    Attributes:
        status: The status. None: as the forward URL answers, or 202 without one.
        body: The body.
        delay: How long to wait before it, in seconds.
    """

    status: int | None = None
    body: bytes = b""
    delay: float = 0.0


class Incoming(NamedTuple):
    """A request, as far as it could be read.

    Attributes:
        source: As in `Record`.
        method: The HTTP method.
        target: The path and the query, as they were sent.
        headers: The headers, a pair for each line.
        body: The bytes of the body.
        candidates: The texts of which one was signed, where no bytes arrive.
        error: Why the body could not be read.
    """

    source: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    candidates: Sequence[bytes] = ()
    error: DeliveryError | None = None

    def header(self, name: str) -> str | None:
        """Return all lines of the header *name* (lower case) joined by commas."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None


class Receiver:
    """The ASGI application that receives deliveries, and the other ways to receive.

    Args:
        verifier: Verifies each of them.
        secret: Signs what is sent again.
        history: Keeps them.
        answer: What the sender is told.
        forwarder: Passes them on; None does not.
        on_record: Awaited with each one after its sender was answered.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(
        self,
        verifier: Verifier,
        secret: str | bytes,
        history: History,
        *,
        answer: Answer,
        forwarder: Forwarder | None = None,
        on_record: Callable[[Record], Awaitable[object]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.history = history
        self.forwarder = forwarder
        self._verifier = verifier
        self._secret = secret
        self._answer = answer
        self._on_record = on_record
        self._clock = clock
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one HTTP request."""
        request = Request(scope, receive)
        raw: list[tuple[bytes, bytes]] = list(scope["headers"])
        target: bytes = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        body = b""
        error: DeliveryError | None = None
        try:
            body = await collect(
                request.stream(),
                request.headers.get("content-length"),
                self._verifier.max_body_bytes,
            )
        except ClientDisconnect:
            error = UnreadableBodyError("The connection ended before the body did.")
        except DeliveryError as refusal:
            error = refusal
        headers = [
            (name.decode("latin-1"), text.decode("latin-1")) for name, text in raw
        ]
        incoming = Incoming(
            "http", scope["method"], target.decode("latin-1"), headers, body, (), error
        )
        record, response = await self.handle(incoming)
        if record.verified and self._answer.delay:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self._answer.delay)
        await response(scope, receive, send)
        await self._on_record(record)

    async def receive_event(self, event: SmeeEvent) -> None:
        """Receive one delivery from a smee.io channel, whose sender is not answered."""
        first = event.candidates[0]
        record, _ = await self.handle(
            Incoming(
                "smee", "POST", event.target, event.headers, first, event.candidates
            )
        )
        await self._on_record(record)

    async def send_again(
        self, record: Record, *, body: bytes | None, fresh: bool
    ) -> Record:
        """Send the bytes of *record*, or another *body*, as a new delivery.

        Args:
            record: What to send again, with its method, path and headers.
            body: The bytes to send in place of the record's.
            fresh: Sign them now; otherwise the old two headers go along.
        """
        headers = record.headers
        content = record.body if body is None else body
        if fresh:
            signed = sign(content, self._secret, timestamp=int(self._clock()))
            kept = [pair for pair in headers if pair[0].lower() not in _SIGNED]
            headers = [*kept, *signed.items()]
        length = str(len(content))
        headers = [
            (name, length if name.lower() == "content-length" else value)
            for name, value in headers
        ]
        incoming = Incoming("again", record.method, record.target, headers, content)
        new, _ = await self.handle(incoming)
        await self._on_record(new)
        return new

    async def handle(self, incoming: Incoming) -> tuple[Record, Response]:
        """Verify, keep and pass on one delivery.

        Returns:
            What is kept of it, and the response to its sender.
        """
        record, error = self._judge(incoming)
        self.history.add(record)
        self._notify()
        forwarded: Forwarded | None = None
        status: int | None = None
        try:
            # What is refused goes no further, unless it was sent again on purpose.
            if self.forwarder is not None and (
                error is None or record.source == "again"
            ):
                forwarded = await self.forwarder.send(record)
            response = self._respond(error, forwarded)
            if record.source == "http":
                status = response.status_code
        finally:
            # Also if the process ends before there is a response.
            if forwarded is not None:
                forwarded.body = forwarded.body[:_KEPT_RESPONSE]
            self.history.finish(record, status, forwarded)
            self._notify()
        return record, response

    async def changes(self, version: int, seconds: float) -> None:
        """Wait until the history is newer than *version*, but not for long."""
        if self.history.version <= version and not self._closed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    def now(self) -> float:
        """Return the time by which deliveries are stamped."""
        return self._clock()

    def close(self) -> None:
        """Let everybody go who waits for changes, or for a delayed response."""
        self._closed.set()
        self._changed.set()

    def _notify(self) -> None:
        self._changed.set()
        if not self._closed.is_set():
            self._changed = asyncio.Event()

    def _judge(self, incoming: Incoming) -> tuple[Record, DeliveryError | None]:
        """Verify *incoming* in the order of the adapters."""
        record = Record(
            self._clock(),
            incoming.source,
            incoming.method,
            incoming.target,
            incoming.headers,
            incoming.body,
        )
        error: DeliveryError | None = None
        try:
            delivery = self._verify(incoming)
            record.verified = True
            record.secret_index = delivery.secret_index
            record.via = delivery.via
            if incoming.candidates:
                # There are no other bytes that could be passed on.
                record.body = delivery.payload
            elif delivery.payload != record.body:
                record.payload = delivery.payload
        except DeliveryError as refusal:
            error = refusal
            record.code, record.reason = refusal.code, str(refusal)
        _describe(record)
        return record, error

    def _verify(self, incoming: Incoming) -> Any:
        if incoming.error is not None:
            raise incoming.error
        check_method(incoming.method)
        checked = self._verifier.check_headers(incoming.headers)
        check_media(*map(incoming.header, ("content-type", "content-encoding")))
        body: Any = incoming.body
        if incoming.candidates:
            body = SignedForms("port", incoming.candidates)
        return self._verifier.verify(body, checked)

    def _respond(
        self, error: DeliveryError | None, forwarded: Forwarded | None
    ) -> Response:
        if error is not None:
            return Response(
                error.http_body, error.http_status, dict(error.http_headers)
            )
        if self._answer.status is None and forwarded is not None:
            return _pass_back(forwarded)
        body = self._answer.body
        return Response(body, self._answer.status or 202, media_type=_type_of(body))


class Forwarder:
    """Passes deliveries on to a URL, byte for byte.

    Args:
        url: Where to. If it has a path, all go there; otherwise to their own path.
        timeout: How long to wait for the response, in seconds.
    """

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        self.url = url
        parts = urlsplit(url)
        self._has_path = parts.path not in {"", "/"}
        self._has_query = bool(parts.query)
        # A proxy of the environment is not for local addresses.
        self._client = httpx2.AsyncClient(timeout=timeout, trust_env=False)

    async def send(self, record: Record) -> Forwarded:
        """Send the bytes and the headers of *record*; report what became of it."""
        url = self.target(record)
        outcome = Forwarded(url)
        started = time.perf_counter()
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in _end_to_end(record.headers, _FRAMING)
        ]
        try:
            request = httpx2.Request(
                record.method, url, headers=headers, content=record.body
            )
            async with asyncio.timeout(_MAX_SECONDS):
                await self._exchange(request, outcome)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            outcome.error = _name_failure(error)
        outcome.seconds = time.perf_counter() - started
        return outcome

    async def _exchange(self, request: httpx2.Request, outcome: Forwarded) -> None:
        """Send *request* and note the response in *outcome*."""
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_RESPONSE:
                    break
        finally:
            await response.aclose()
        outcome.body = bytes(body)
        outcome.headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in response.headers.raw
        ]
        if response.status_code in _STATUSES:
            outcome.status = response.status_code
        else:
            outcome.error = f"{response.status_code} is no status of a response"

    def target(self, record: Record) -> str:
        """Return the URL to which *record* goes."""
        if not self._has_path:
            return join_url(self.url.rstrip("/"), record.target)
        query = record.target.partition("?")[2]
        return f"{self.url}?{query}" if query and not self._has_query else self.url

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def join_url(base: str, target: str) -> str:
    """Return the URL of what was asked for, at *base*.

    The sender wrote the *target*, which is not signed. One that does not begin with a
    slash would go on where the host ends, and lead to another one.
    """
    if target.startswith("/"):
        return base + target
    path, mark, query = target.partition("?")
    # A proxy is sent a whole URL (RFC 9112, section 3.2.2).
    rest = path.partition("://")[2].partition("/")[2]
    return f"{base}/{rest}{mark}{query}"


def _end_to_end(
    headers: list[tuple[str, str]], others: frozenset[str]
) -> list[tuple[str, str]]:
    """Return the *headers* that are for the next hop, too, without some *others*."""
    named = {
        each.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for each in value.split(",")
    }
    left_out = (_HOP_BY_HOP | named | others).difference(_SIGNED)
    return [pair for pair in headers if pair[0].lower() not in left_out]


def _name_failure(error: Exception) -> str:
    if isinstance(error, httpx2.ConnectError):
        return "nothing answers there: is your application running?"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "no response in time"
    return str(error) or type(error).__name__


def _pass_back(forwarded: Forwarded) -> Response:
    """Return the response of the forward URL, for the sender."""
    if forwarded.status is None:
        return Response(
            b'{"error": "bad_gateway"}', _NO_RESPONSE, media_type="application/json"
        )
    response = Response(forwarded.body, forwarded.status)
    response.raw_headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in _end_to_end(forwarded.headers, _FRAMING | _DATE)
    ]
    if forwarded.status not in _WITHOUT_BODY:
        length = str(len(forwarded.body)).encode("ascii")
        response.raw_headers.append((b"content-length", length))
    return response


def _type_of(body: bytes) -> str | None:
    if not body:
        return None
    try:
        parse(body)
    except PayloadError:
        return "text/plain"
    return "application/json"


def _describe(record: Record) -> None:
    """Note what the JSON of *record* says it is, authentic or not."""
    try:
        document = parse(record.signed)
        record.shape = shape_of(document)
        record.run_id = find_run_id(document)
        record.action = load_invocation(record.signed).action_identifier
    except PayloadError:
        # Of what is no JSON, or not what its names say, less is known.
        return
