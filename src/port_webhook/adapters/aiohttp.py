"""aiohttp: ``@webhook`` gives a handler the verified `Delivery`.

::

    @routes.post("/port")
    @webhook(verifier)
    async def create_vm(request: web.Request, delivery: Delivery): ...

The delivery is also ``request["port_delivery"]``.
"""

# aiohttp has no public way to give a body back:
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from functools import partial, wraps
from inspect import isawaitable, signature
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from port_webhook._tracebacks import boundary, inner
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    Endpoint,
    abegin,
    aend,
    check_view,
    decorate,
    hide_delivery,
)
from port_webhook.integration._body import accept_body, expect_body

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Coroutine,
    )

    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._reception import AsyncReception
    from port_webhook._verifier import Verifier

    Answer = web.StreamResponse | Awaitable[web.StreamResponse]
    Verified = Coroutine[Any, Any, web.StreamResponse]
    Choose = Callable[[web.Request], Verifier | Awaitable[Verifier]]

__all__ = ["Decorator", "webhook"]

FirstT = TypeVar("FirstT")
SelfT = TypeVar("SelfT")
ModelT = TypeVar("ModelT")
ArgT_co = TypeVar("ArgT_co", covariant=True)

_KEY = "port_delivery"
_SIGNED = ("x-port-timestamp", "x-port-signature")


# Those that call these are boundaries already.
_abegin, _aend = inner(abegin), inner(aend)


class Decorator(Protocol[ArgT_co]):
    """The type of ``webhook(…)``; it takes a handler, or a method of a class."""

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
    verifier: Verifier | None = None, /, *, choose: Choose | None = None
) -> Decorator[Delivery]: ...
@overload
def webhook(
    verifier: Verifier | None = None,
    /,
    *,
    choose: Choose | None = None,
    model: TypeForm[ModelT],
) -> Decorator[ModelT]: ...
@overload
def webhook(
    handler: Callable[[FirstT, Delivery], Answer], /
) -> Callable[[FirstT], Verified]: ...
@overload
def webhook(
    handler: Callable[[SelfT, web.Request, Delivery], Answer], /
) -> Callable[[SelfT, web.Request], Verified]: ...
@boundary
def webhook(
    verifier: object = None, /, *, choose: Choose | None = None, model: Any = None
) -> Callable[..., Any]:
    """Call a handler with verified deliveries only.

    The delivery follows the request; in a method of a `web.View`, which has none, it
    follows ``self``. Handlers may be synchronous, too. The handler is not called for a
    request that is refused; the response is that of the `DeliveryError`. The verifier's
    limit counts, not ``client_max_size``.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the environment
            is read when the first request comes.
        choose: Takes the request and returns its `Verifier`. It may be asynchronous;
            otherwise it runs in a thread.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: An argument is not valid, or the handler has no parameter
            for the delivery.
    """

    def make(handler: Callable[..., Any], found: Verifier | None) -> Any:
        endpoint = Endpoint["web.Request"](
            found, choose=choose, model=model, synchronous=False
        )
        return _wrap(handler, endpoint, found)

    options = choose is not None or model is not None
    return decorate(verifier, make, options=options)


def _wrap(
    handler: Callable[..., Answer],
    endpoint: Endpoint[web.Request],
    fixed: Verifier | None,
) -> Callable[..., Verified]:
    parameter = check_view(handler, before=_count_before(handler))

    @boundary
    @wraps(handler)
    async def wrapper(*args: Any) -> web.StreamResponse:
        request = _find_request(args)
        verifier = fixed or await endpoint.averifier_for(request)
        headers = request.headers
        # Not through the request, which raises and catches an error for a key that
        # is not there, and warns of one that is text.
        state: dict[Any, Any] = request._state
        try:
            delivery, reception = await _abegin(
                verifier,
                [
                    (name, value)
                    for name in _SIGNED
                    for value in headers.getall(name, ())
                ],
                method=request.method,
                existing=state.get(_KEY),
                read=partial(_read, request),
            )
        except DeliveryError as refusal:
            return _respond(refusal)
        _replace_body(request, delivery.payload)
        state[_KEY] = delivery
        start = _Start(request, verifier, reception)
        try:
            with start:
                result = handler(*args, endpoint.argument(delivery))
                response = await result if isawaitable(result) else result
        except BaseException as error:
            if start.happened:
                raise
            try:
                await _aend(verifier, reception, _status_of(error), error)
            except DeliveryError as failure:
                return _respond(failure)
            raise
        if reception is not None and not start.happened:
            try:
                await _aend(verifier, reception, _status_of(response), None)
            except DeliveryError as failure:
                return _respond(failure)
        return response

    hide_delivery(wrapper, handler, None if parameter is None else parameter.name)
    return wrapper


def _count_before(handler: Callable[..., Any]) -> int:
    """Return 1 where the request stands before the delivery.

    Only a method of a `web.View`, which has the request itself, takes none.
    """
    try:
        names = [*signature(handler).parameters]
    except (TypeError, ValueError):
        return 1  # a built-in function, which does not tell
    return int(names[:1] != ["self"] or names[1:2] == ["request"])


def _find_request(args: tuple[Any, ...]) -> web.Request:
    """Return the request among the arguments of a handler or of a method.

    What follows it are the deliveries of decorators around this one.
    """
    for arg in args:
        # A request first: whether something is a view takes long to tell.
        if isinstance(arg, web.Request):
            return arg
        if isinstance(arg, web.View) and isinstance(arg.request, web.Request):
            return arg.request
    raise ConfigurationError(
        "webhook decorates functions that take a request, and methods of a web.View"
    )


class _Start:
    """A block in which a handler may start to stream its response.

    The claim ends before the response starts, since a claim that cannot be committed
    makes it a 503.
    """

    def __init__(
        self,
        request: web.Request,
        verifier: Verifier,
        reception: AsyncReception | None,
    ) -> None:
        self.happened = False
        self._verifier, self._reception = verifier, reception
        self._hooks = vars(request)
        self._outer: Any = self._hooks.get("_prepare_hook")
        self._announce = self._outer or request._prepare_hook

    def __enter__(self) -> None:
        self._hooks["_prepare_hook"] = self._prepare

    def __exit__(self, *_: object) -> None:
        if self._outer is None:
            del self._hooks["_prepare_hook"]
        else:
            self._hooks["_prepare_hook"] = self._outer

    @boundary
    async def _prepare(self, response: web.StreamResponse) -> None:
        self.happened = True
        try:
            await _aend(self._verifier, self._reception, response.status, None)
        except DeliveryError as failure:
            # Too late for another body, but not for another status.
            response._set_status(failure.http_status, None)
            kind = response.headers.get("Content-Type")
            response.headers.update(failure.http_headers)
            response.headers["Content-Type"] = kind or "application/octet-stream"
        await self._announce(response)


def _respond(error: DeliveryError) -> web.Response:
    return web.Response(
        status=error.http_status, headers=error.http_headers, body=error.http_body
    )


async def _read(request: web.Request, limit: int) -> bytes:
    """Read the raw body, or take what something before has read of it."""
    headers = request.headers
    content_type = ",".join(headers.getall("Content-Type", ()))
    # aiohttp has decompressed the body by whichever of them it liked.
    encoding = ",".join(headers.getall("Content-Encoding", ()))
    # After another adapter the body is the payload, which may be shorter.
    length = None if _KEY in request._state else headers.get("Content-Length")
    declared = expect_body(content_type, encoding, length, limit)
    body, content = request._read_bytes, request.content
    if body is None:
        body = await _drain(content, limit)
    accept_body(body, declared, limit, content_type)
    if len(body) != content.total_bytes:
        # A chunked body declares no length that would show it.
        raise UnreadableBodyError(
            "Something took a part of request.content before it could be verified."
        )
    return body


async def _drain(content: StreamReader, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while not content.at_eof():
            part = await content.readany()
            size += len(part)
            if size > limit:
                raise BodyTooLargeError(limit)
            parts.append(part)
    except (web.RequestPayloadError, HttpProcessingError, OSError, RuntimeError):
        raise UnreadableBodyError("The connection ended before the body did.")
    return b"".join(parts)


def _replace_body(request: web.Request, payload: bytes) -> None:
    """Let the handler read the payload, in all the ways that a request has."""
    loop = asyncio.get_running_loop()
    size = len(payload) + 1
    stream = StreamReader(BaseProtocol(loop), limit=size, loop=loop)
    stream.feed_data(payload)
    stream.feed_eof()
    request._payload = request._cache["content"] = stream
    request._read_bytes = payload
    request._post = None
    # It was applied to what arrived; forms are parsed up to it.
    if 0 < request._client_max_size < size:
        request._client_max_size = size


def _status_of(outcome: object) -> int | None:
    if isinstance(outcome, web.StreamResponse):
        return outcome.status
    # aiohttp makes a 500 of a handler that returns anything else.
    return None if isinstance(outcome, BaseException) else 500
