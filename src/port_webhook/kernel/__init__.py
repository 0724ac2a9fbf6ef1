"""What every HTTP adapter shares: bytes and headers in, a delivery or an answer out.

An adapter knows where its framework keeps the headers and the body, and what an
answer looks like. The order of the checks, the claim's end and the choice of the
verifier are the same everywhere, so they are here. Nothing in this module is
private to the library: an adapter for the next framework may use all of it.

Readers of bodies return their `DeliveryError` instead of raising it, because the
part of the body that they have read is a local of theirs (see ``signature``).
"""

from __future__ import annotations

from functools import cached_property, update_wrapper
from inspect import isawaitable, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from port_webhook.delivery import Delivery
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    PayloadError,
    UnreadableBodyError,
)
from port_webhook.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable
    from datetime import datetime

    from port_webhook.reception import AsyncReception, Reception
    from port_webhook.signature import Headers

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")

DELIVERY_KEY = "port_webhook.delivery"
"""Where a WSGI environ or an ASGI scope holds the request's verified `Delivery`."""


class Endpoint(Generic[RequestT]):
    """What a decorated view was given: how to find its verifier, and its model.

    Args:
        verifier: A verifier; a function that chooses one for a request; or None,
            which reads the environment on first use.
        model: What to parse the payload into, for the view; None gives the delivery.
        synchronous: The framework cannot await a replay store.

    Raises:
        ConfigurationError: *verifier* is none of these, or its store is asynchronous
            and the framework is not; or nothing can be parsed into *model*.
    """

    def __init__(  # noqa: D107  # described above
        self,
        verifier: object,
        model: type[object] | None,
        *,
        synchronous: bool,
    ) -> None:
        if model is not None:
            from port_webhook.models.loading import check_model

            unusable = check_model(model)
            if unusable is not None:
                raise unusable
        self._model = model
        self._synchronous = synchronous
        self._choose: Callable[[RequestT], object]
        if verifier is None:
            self._choose = self._read_env
        elif isinstance(verifier, Verifier):
            self._accept(verifier)
            self._choose = lambda _: verifier
        elif callable(verifier) and not isinstance(verifier, type):
            self._choose = verifier
        else:
            del verifier  # it may be a secret
            msg = "An adapter takes a Verifier, or a function that returns one"
            raise ConfigurationError(msg)

    def _read_env(self, request: RequestT) -> Verifier:
        del request  # whoever sees an error sees this frame
        return self._from_env

    @cached_property
    def _from_env(self) -> Verifier:
        return Verifier.from_env()

    def verifier_for(self, request: RequestT) -> Verifier:
        """Return the verifier of this *request*."""
        try:
            return self._accept(self._choose(request))
        finally:
            del request  # whoever sees an error sees this frame

    async def averifier_for(self, request: RequestT) -> Verifier:
        """Return the verifier of this *request*; the function may be asynchronous."""
        try:
            chosen = self._choose(request)
            return self._accept(await chosen if isawaitable(chosen) else chosen)
        finally:
            del request  # whoever sees an error sees this frame

    def argument(self, delivery: Delivery) -> Any:  # noqa: ANN401  # the user's model
        """Return what the view is called with."""
        try:
            return delivery if self._model is None else delivery.parse(self._model)
        finally:
            del delivery  # whoever sees an error sees this frame

    def _accept(self, verifier: object) -> Verifier:
        if not isinstance(verifier, Verifier):
            msg = "The function that chooses a verifier did not return a Verifier"
            raise ConfigurationError(msg)
        if self._synchronous and verifier.is_async:
            msg = "A synchronous framework needs a synchronous replay store"
            raise ConfigurationError(msg)
        return verifier


def decorate(
    target: object,
    make: Callable[[Callable[..., Any], Any], Callable[..., Any]],
    *,
    view_takes: int = 1,
) -> Callable[..., Any]:
    """Serve every way of writing ``webhook``, with one positional argument *target*.

    ``@webhook`` on a view and ``@webhook(choose)`` both call ``webhook`` with a
    function, and only what happens next tells them apart: the framework calls a view
    with a request or with keywords, while a decorator is called with one function. A
    coroutine function, which could not be called to find out, is a view.

    Args:
        target: The argument of ``webhook``.
        make: Called with a view and the verifier argument; returns the wrapper.
        view_takes: With how many positional arguments a view is called at least; a
            coroutine function that takes one where a view takes more is one that
            chooses a verifier.
    """
    is_view = iscoroutinefunction(target) and (
        view_takes == 1 or _may_take(target, view_takes)
    )
    if (
        target is None
        or isinstance(target, Verifier | type)
        or not callable(target)
        or (iscoroutinefunction(target) and not is_view)
    ):
        if not callable(target) and check_verifier(target) is not None:
            # To be refused with the view; by its type, since it may be a secret.
            target = None if target is None else type(target)

        def decorator(view: Callable[..., Any]) -> Callable[..., Any]:
            return make(view, target)

        return decorator
    view = make(target, None)
    if is_view:
        return view

    def view_or_decorator(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # the view's
        if len(args) == 1 and not kwargs and callable(args[0]):
            return make(args[0], target)
        try:
            return view(*args, **kwargs)
        finally:
            del args, kwargs  # whoever sees an error sees this frame

    return update_wrapper(view_or_decorator, view)


def _may_take(function: Callable[..., object], count: int) -> bool:
    """Tell whether *function* may be called with *count* positional arguments."""
    try:
        signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def declared_length(text: str | None, limit: int) -> int | DeliveryError | None:
    """Return the length that a Content-Length header declares, before a body is read.

    Args:
        text: The header.
        limit: The largest size that is accepted, in bytes.

    Returns:
        The length in bytes, or None if there is no header; an error if it is not a
        number (RFC 9110, section 8.6) or larger than the limit.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return UnreadableBodyError("The Content-Length header is not a number.")
    digits = text.lstrip("0") or "0"
    # The number of digits first: int() of a long text takes quadratic time.
    if len(digits) > len(f"{limit}") or int(digits) > limit:
        return BodyTooLargeError(limit)
    return int(digits)


def check_body(body: bytes, declared: int | None, limit: int) -> bytes | DeliveryError:
    """Compare a body that was read with its declared length and the *limit*."""
    if len(body) > limit:
        return BodyTooLargeError(limit)
    if declared is not None and len(body) != declared:
        if len(body) > declared:
            return UnreadableBodyError(
                f"The body is longer than declared: {len(body)} bytes instead of "
                f"{declared}."
            )
        if body:
            return UnreadableBodyError(
                f"The body was truncated: {len(body)} of {declared} bytes arrived."
            )
        return UnreadableBodyError(
            f"The body is empty, but {declared} bytes were declared: the sender did "
            "not send them, or something read the body before it could be verified."
        )
    return body


async def collect(
    chunks: AsyncIterable[bytes], length: str | None, limit: int
) -> bytes | DeliveryError:
    """Join the *chunks* of a body, and stop reading at the *limit*.

    Args:
        chunks: The body; what iterating raises goes through.
        length: The Content-Length header, if there is one.
        limit: The largest size that is accepted, in bytes.
    """
    declared = declared_length(length, limit)
    if isinstance(declared, DeliveryError):
        return declared
    body, chunk = bytearray(), b""
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                return BodyTooLargeError(limit)
    except BaseException:
        del body, chunk  # whoever sees the error sees this frame
        raise
    return check_body(bytes(body), declared, limit)


def check_verifier(verifier: object) -> ConfigurationError | None:
    """Say that *verifier* is none: some pass a secret, as `verify` takes it."""
    if isinstance(verifier, Verifier):
        return None
    kind = type(verifier).__name__
    return ConfigurationError(f"verifier must be a Verifier, not {kind}")


def reusable(existing: object, verifier: Verifier) -> Delivery | None:
    """Return the delivery that an outer adapter left, if *verifier* verified it."""
    if isinstance(existing, Delivery) and existing.verified_by(verifier):
        return existing
    return None


def handle(
    verifier: Verifier,
    headers: Headers,
    *,
    existing: object,
    read: Callable[[int], bytes | DeliveryError],
    run: Callable[[Delivery], ResultT],
    status_of: Callable[[ResultT | BaseException], int | None],
    received_at: float | datetime | None = None,
) -> ResultT | DeliveryError:
    """Verify one request, run its view, and end its claim by the final status.

    Args:
        verifier: The verifier of this request.
        headers: Its headers, as for `Verifier.verify`.
        existing: What an outer adapter left on the request; None if nothing.
        read: Returns the whole body, given the limit in bytes, or an error.
        run: Calls the view. What it raises is the view's own and goes through,
            except for a `PayloadError`, which is an answer.
        status_of: Returns the HTTP status of a result or of an exception, or None if
            an exception has none.
        received_at: As for `Verifier.verify`.

    Returns:
        What *run* returned, or the error to answer with.
    """
    try:
        opened = begin(
            verifier, headers, existing=existing, read=read, received_at=received_at
        )
    finally:
        del headers, existing, read  # whoever sees an error sees this frame
    if isinstance(opened, DeliveryError):
        return opened
    delivery, reception = opened
    del opened
    try:
        result = run(delivery)
        status = status_of(result)
    except BaseException as error:
        del delivery
        failure = end(verifier, reception, status_of(error), error)
        if failure is None:
            raise
        return failure
    failure = end(verifier, reception, status, None)
    return result if failure is None else failure


def begin(
    verifier: Verifier,
    headers: Headers,
    *,
    existing: object,
    read: Callable[[int], bytes | DeliveryError],
    received_at: float | datetime | None = None,
) -> tuple[Delivery, Reception | None] | DeliveryError:
    """Do the first half of `handle`, for a framework that calls the view itself.

    Args:
        verifier: As for `handle`.
        headers: As for `handle`.
        existing: As for `handle`.
        read: As for `handle`.
        received_at: As for `handle`.

    Returns:
        The delivery, and what to give to `end`; or the error to answer with.
    """
    delivery = reusable(existing, verifier)
    if delivery is not None:
        return delivery, None
    body: bytes | DeliveryError = b""
    try:
        now = verifier.check_headers(headers, received_at=received_at)
        body = read(verifier.max_body_bytes)
        if isinstance(body, DeliveryError):
            verifier.reject(body)
            return body
        reception = verifier.receive(body, headers, received_at=now)
    except DeliveryError as error:
        return error.with_traceback(None)
    finally:
        del headers, existing, read, body  # whoever sees an error sees this frame
    try:
        return reception.__enter__(), reception
    except DeliveryError as error:
        return error


def end(
    verifier: Verifier,
    reception: Reception | None,
    status: int | None,
    error: BaseException | None,
) -> DeliveryError | None:
    """Do the second half of `handle`: commit or release.

    Args:
        verifier: As it was given to `begin`.
        reception: What `begin` returned; None if an outer adapter ends the claim.
        status: The HTTP status of the answer, or of *error*; None if it has none.
        error: What the view raised, or None.

    Returns:
        The error to answer with, instead of the view's answer or exception. None
        leaves it as it is.
    """
    invalid = _ending(verifier, reception, status, error)
    if reception is None:
        return invalid
    return reception.finish(error) or invalid


def _ending(
    verifier: Verifier,
    reception: Reception | AsyncReception | None,
    status: int | None,
    error: BaseException | None,
) -> PayloadError | None:
    """Tell *reception* the status; return *error* if it is an answer."""
    invalid = error if isinstance(error, PayloadError) else None
    if invalid is not None:
        # A hook would see the delivery in the frames between.
        invalid.with_traceback(None)
        if reception is None:
            verifier.reject(invalid)
    elif reception is not None:
        reception.status = status
    return invalid


async def ahandle(
    verifier: Verifier,
    headers: Headers,
    *,
    existing: object,
    read: Callable[[int], Awaitable[bytes | DeliveryError]],
    run: Callable[[Delivery], Awaitable[ResultT]],
    status_of: Callable[[ResultT | BaseException], int | None],
) -> ResultT | DeliveryError:
    """Do what `handle` does, awaiting the body, the view and the replay store."""
    try:
        opened = await abegin(verifier, headers, existing=existing, read=read)
    finally:
        del headers, existing, read  # whoever sees an error sees this frame
    if isinstance(opened, DeliveryError):
        return opened
    delivery, reception = opened
    del opened
    try:
        result = await run(delivery)
        status = status_of(result)
    except BaseException as error:
        del delivery
        failure = await aend(verifier, reception, status_of(error), error)
        if failure is None:
            raise
        return failure
    failure = await aend(verifier, reception, status, None)
    return result if failure is None else failure


async def abegin(
    verifier: Verifier,
    headers: Headers,
    *,
    existing: object,
    read: Callable[[int], Awaitable[bytes | DeliveryError]],
) -> tuple[Delivery, AsyncReception | None] | DeliveryError:
    """Do what `begin` does, awaiting the body and the replay store."""
    delivery = reusable(existing, verifier)
    if delivery is not None:
        return delivery, None
    body: bytes | DeliveryError = b""
    try:
        now = verifier.check_headers(headers)
        body = await read(verifier.max_body_bytes)
        if isinstance(body, DeliveryError):
            verifier.reject(body)
            return body
        reception = verifier.areceive(body, headers, received_at=now)
    except DeliveryError as error:
        return error.with_traceback(None)
    finally:
        del headers, existing, read, body  # whoever sees an error sees this frame
    try:
        return await reception.__aenter__(), reception
    except DeliveryError as error:
        return error


async def aend(
    verifier: Verifier,
    reception: AsyncReception | None,
    status: int | None,
    error: BaseException | None,
) -> DeliveryError | None:
    """Do what `end` does, for what `abegin` returned."""
    invalid = _ending(verifier, reception, status, error)
    if reception is None:
        return invalid
    return await reception.finish(error) or invalid
