"""The request life cycle that all HTTP adapters share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from port_webhook._delivery import Delivery
from port_webhook.exceptions import DeliveryError, PayloadError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._signature import Headers
    from port_webhook._verifier import Verifier

ResultT = TypeVar("ResultT")

DELIVERY_KEY = "port_webhook.delivery"
"""Where a WSGI environ or an ASGI scope holds the request's verified `Delivery`."""


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
