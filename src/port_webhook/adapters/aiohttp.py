"""aiohttp: ``@webhook`` gives a handler the verified `Delivery`.

::

    @routes.post("/port")
    @webhook(verifier)
    async def create_vm(request: web.Request, delivery: Delivery): ...

The delivery is also ``request["port_delivery"]``. aiohttp decompresses a body before
a handler can read it, so that what was signed is lost: a ``Content-Encoding`` is 415.
"""

# aiohttp has no public way to give a body back:
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial, wraps
from inspect import isawaitable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    Endpoint,
    abegin,
    aend,
    collect,
    decorate,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
    )

    from typing_extensions import TypeVar as DefaultTypeVar

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    ModelT = DefaultTypeVar("ModelT", default=Delivery)

    Answer = web.StreamResponse | Awaitable[web.StreamResponse]
    Verified = Coroutine[Any, Any, web.StreamResponse]
    Choose = Callable[[web.Request], Verifier | Awaitable[Verifier]]

FirstT = TypeVar("FirstT")
SelfT = TypeVar("SelfT")
ArgT_co = TypeVar("ArgT_co", covariant=True)

_KEY = "port_delivery"


class Decorator(Protocol[ArgT_co]):
    """What ``webhook(…)`` returns; it takes a handler, or a method of a class."""

    @overload
    def __call__(
        self, handler: Callable[[FirstT, ArgT_co], Answer], /
    ) -> Callable[[FirstT], Verified]: ...
    @overload
    def __call__(
        self, handler: Callable[[SelfT, web.Request, ArgT_co], Answer], /
    ) -> Callable[[SelfT, web.Request], Verified]: ...


@overload
def webhook(
    verifier: Verifier | Choose | None = None, /, *, model: type[ModelT] | None = None
) -> Decorator[ModelT]: ...
@overload
def webhook(
    handler: Callable[[FirstT, Delivery], Answer], /
) -> Callable[[FirstT], Verified]: ...
@overload
def webhook(
    handler: Callable[[SelfT, web.Request, Delivery], Answer], /
) -> Callable[[SelfT, web.Request], Verified]: ...
def webhook(
    verifier: object = None, /, *, model: type[Any] | None = None
) -> Callable[..., Any]:
    """Let a handler see verified deliveries only.

    The delivery follows the request; in a method of a `web.View`, which has none, it
    follows ``self``. Handlers may be synchronous, too. A request that fails is answered
    without calling the handler: 401, 400, 413, 415, 422, or what a replay store says.
    The verifier's limit counts, not ``client_max_size``.

    Args:
        verifier: A `Verifier`, or a function, which may be asynchronous, that takes
            the request and returns one. Without it, and as bare ``@webhook``, the
            environment is read when the first request comes.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.
    """
    return decorate(
        verifier, lambda handler, target: _wrap(handler, target, model), view_takes=2
    )


def _wrap(
    handler: Callable[..., Answer], verifier: object, model: type[Any] | None
) -> Callable[..., Verified]:
    endpoint = Endpoint["web.Request"](verifier, model, synchronous=False)
    if isinstance(handler, type):
        msg = "webhook decorates functions; of a web.View, decorate the methods"
        raise ConfigurationError(msg)

    @wraps(handler)
    async def wrapper(*args: Any) -> web.StreamResponse:
        request = _find_request(args)
        verifier = await endpoint.averifier_for(request)
        opened = await abegin(
            verifier,
            request.headers.items(),
            existing=request.get(_KEY),
            read=partial(_read, request),
        )
        if isinstance(opened, DeliveryError):
            return _answer(opened)
        delivery, reception = opened
        del opened
        _replace_body(request, delivery.payload)
        # Not through the request, which warns of a key that is text.
        request._state[_KEY] = delivery
        started = False

        async def start(response: web.StreamResponse) -> None:
            nonlocal started
            started = True
            failure = await aend(verifier, reception, response.status, None)
            if failure is not None:
                # Too late for another body, but not for another status.
                response._set_status(failure.http_status, None)
                kind = response.headers.get("Content-Type")
                response.headers.update(failure.http_headers)
                response.headers["Content-Type"] = kind or "application/octet-stream"

        try:
            with _before_start(request, start):
                try:
                    result = handler(*args, endpoint.argument(delivery))
                finally:
                    del delivery  # whoever sees an error sees this frame
                answer = await result if isawaitable(result) else result
        except BaseException as error:
            if started:
                raise
            failure = await aend(verifier, reception, _status_of(error), error)
            if failure is None:
                raise
            return _answer(failure)
        failure = await aend(verifier, reception, _status_of(answer), None)
        return answer if failure is None else _answer(failure)

    return wrapper


def _find_request(args: tuple[Any, ...]) -> web.Request:
    """Return the request among the arguments of a handler or of a method.

    What follows it are the deliveries of decorators around this one.
    """
    for arg in args:
        request = arg.request if isinstance(arg, web.View) else arg
        if isinstance(request, web.Request):
            return request
    msg = "webhook decorates functions that take a request, and methods of a web.View"
    raise ConfigurationError(msg)


@contextmanager
def _before_start(
    request: web.Request, start: Callable[[web.StreamResponse], Awaitable[None]]
) -> Generator[None]:
    """Call *start* when a handler starts to stream its answer, before that is sent."""
    announce = request._prepare_hook

    async def prepare(response: web.StreamResponse) -> None:
        await start(response)
        await announce(response)

    vars(request)["_prepare_hook"] = prepare
    try:
        yield
    finally:
        vars(request)["_prepare_hook"] = announce


def _answer(error: DeliveryError) -> web.Response:
    return web.Response(
        status=error.http_status, headers=error.http_headers, body=error.http_body
    )


class _EncodedBodyError(UnreadableBodyError):
    """The body was compressed, and what was signed is lost."""

    http_status: ClassVar[int] = 415
    # RFC 9110, section 15.5.16: what would have been accepted.
    http_headers = MappingProxyType(
        {**UnreadableBodyError.http_headers, "Accept-Encoding": "identity"}
    )
    http_body: ClassVar[bytes] = b'{"error": "unsupported_media_type"}'

    def __init__(self) -> None:
        super().__init__("The body has a Content-Encoding, which aiohttp removes.")


async def _read(request: web.Request, limit: int) -> bytes | DeliveryError:
    """Read the raw body, or take what something before has read of it."""
    # Every line of it: aiohttp decompresses by whichever of them it likes.
    for encoding in request.headers.getall("Content-Encoding", ()):
        if encoding.strip().lower() != "identity":
            return _EncodedBodyError()
    # After another adapter the body is the payload, which may be shorter.
    length = None if _KEY in request else request.headers.get("Content-Length")
    try:
        chunks: AsyncIterable[bytes] = request.content.iter_any()
        if not request.can_read_body:
            chunks = _once(await request.read())
        body = await collect(chunks, length, limit)
    except (web.RequestPayloadError, HttpProcessingError, OSError, RuntimeError):
        return UnreadableBodyError("The connection ended before the body did.")
    if isinstance(body, bytes) and len(body) != request.content.total_bytes:
        # A chunked body declares no length that would show it.
        return UnreadableBodyError(
            "Something took a part of request.content before it could be verified."
        )
    return body


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _replace_body(request: web.Request, payload: bytes) -> None:
    """Let the handler read the payload, in all the ways that a request has."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), limit=len(payload) + 1, loop=loop)
    stream.feed_data(payload)
    stream.feed_eof()
    request._payload = request._cache["content"] = stream
    request._read_bytes = payload


def _status_of(outcome: object) -> int | None:
    if isinstance(outcome, web.StreamResponse):
        return outcome.status
    # aiohttp makes a 500 of a handler that returns anything else.
    return None if isinstance(outcome, BaseException) else 500
