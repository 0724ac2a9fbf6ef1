"""The request life cycle that all HTTP adapters share.

The order is the same in every framework: method, headers, body, signature, claim, view,
and the end of the claim by the final status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from port_webhook._delivery import Delivery
from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import (
    DeliveryError,
    MethodNotAllowedError,
    PayloadError,
)
from port_webhook.integration._body import METHODS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._signature import Headers
    from port_webhook._verifier import SignedForms, Verifier

__all__ = [
    "DELIVERY_KEY",
    "abegin",
    "aend",
    "ahandle",
    "begin",
    "end",
    "handle",
    "reusable",
]

ResultT = TypeVar("ResultT")

DELIVERY_KEY = "port_webhook.delivery"
"""Where a WSGI environ or an ASGI scope holds the request's verified `Delivery`."""


def reusable(existing: object, verifier: Verifier) -> Delivery | None:
    """Return the delivery that an outer adapter left, if *verifier* verified it."""
    if isinstance(existing, Delivery) and existing.verified_by(verifier):
        return existing
    return None


@boundary
def handle(
    verifier: Verifier,
    headers: Headers,
    *,
    method: str | None,
    existing: object,
    read: Callable[[int], bytes | SignedForms],
    run: Callable[[Delivery], ResultT],
    status_of: Callable[[ResultT | BaseException], int | None],
    respond: Callable[[DeliveryError], ResultT],
    received_at: float | datetime | None = None,
) -> ResultT:
    """Verify one request, run its view, and end its claim by the final status.

    Args:
        verifier: The verifier of this request.
        headers: Its headers, as for `Verifier.verify`.
        method: Its HTTP method; None if it is unknown.
        existing: The delivery that an outer adapter left on the request, or None.
        read: Returns the whole body, given the limit in bytes. It is called once the
            headers were checked, and raises a `DeliveryError` for a body that it
            cannot read.
        run: Calls the view. Its exceptions go through, except for a `PayloadError`,
            which becomes a response.
        status_of: Returns the HTTP status of a result or of an exception, or None if
            an exception has none. A result's is asked for only if there is a claim.
        respond: Returns the response for an error.
        received_at: As for `Verifier.verify`.

    Returns:
        What *run* or *respond* returned.
    """
    try:
        delivery, reception = _begin(
            verifier,
            headers,
            method=method,
            existing=existing,
            read=read,
            received_at=received_at,
        )
    except DeliveryError as refusal:
        return respond(refusal)
    try:
        result = run(delivery)
        if reception is None:
            return result  # there is no claim that its status would end
        status = status_of(result)
    except BaseException as error:
        try:
            _end(verifier, reception, status_of(error), error)
        except DeliveryError as failure:
            return respond(failure)
        raise
    try:
        _end(verifier, reception, status, None)
    except DeliveryError as failure:
        return respond(failure)
    return result


@boundary
def begin(
    verifier: Verifier,
    headers: Headers,
    *,
    method: str | None,
    existing: object,
    read: Callable[[int], bytes | SignedForms],
    received_at: float | datetime | None = None,
) -> tuple[Delivery, Reception | None]:
    """Do the first half of `handle`, for a framework that calls the view itself.

    Args:
        verifier: As for `handle`.
        headers: As for `handle`.
        method: As for `handle`.
        existing: As for `handle`.
        read: As for `handle`.
        received_at: As for `handle`.

    Returns:
        The delivery, and the reception to pass to `end`; None if there is no claim to
        end.

    Raises:
        DeliveryError: The request is refused; the error carries the response.
    """
    if existing is not None:
        delivery = reusable(existing, verifier)
        if delivery is not None:
            return delivery, None
    if method is not None and method not in METHODS:
        raise _refuse_method(verifier)
    checked = verifier.check_headers(headers, received_at=received_at)
    try:
        body = read(verifier.max_body_bytes)
    except DeliveryError as error:
        verifier.reject(error)
        raise
    if not verifier.has_replay_store:
        # Nothing is claimed, so there is nothing to end.
        return verifier.verify(body, checked), None
    reception = verifier.receive(body, checked)
    return reception.__enter__(), reception


@boundary
def end(
    verifier: Verifier,
    reception: Reception | None,
    status: int | None,
    error: BaseException | None,
) -> None:
    """Do the second half of `handle`: commit or release.

    Args:
        verifier: As it was given to `begin`.
        reception: What `begin` returned; None if there is no claim, or an outer adapter
            ends it.
        status: The HTTP status of the response, or of *error*; None if it has none.
        error: What the view raised, or None.

    Raises:
        DeliveryError: The response to send instead of the view's, which may be *error*
            itself.
    """
    invalid = _prepare(verifier, reception, status, error)
    if reception is not None:
        reception.finish(error)
    if invalid is not None:
        raise invalid


def _prepare(
    verifier: Verifier,
    reception: Reception | AsyncReception | None,
    status: int | None,
    error: BaseException | None,
) -> PayloadError | None:
    """Tell *reception* the status; return *error* if it becomes a response."""
    if isinstance(error, PayloadError):
        # A hook would see the delivery in the frames between.
        clean(error)
        if reception is None:
            verifier.reject(error)
        return error
    if reception is not None:
        reception.status = status
    return None


@boundary
async def ahandle(
    verifier: Verifier,
    headers: Headers,
    *,
    method: str | None,
    existing: object,
    read: Callable[[int], Awaitable[bytes | SignedForms]],
    run: Callable[[Delivery], Awaitable[ResultT]],
    status_of: Callable[[ResultT | BaseException], int | None],
    respond: Callable[[DeliveryError], ResultT],
) -> ResultT:
    """Do what `handle` does, awaiting the body, the view and the replay store."""
    try:
        delivery, reception = await _abegin(
            verifier, headers, method=method, existing=existing, read=read
        )
    except DeliveryError as refusal:
        return respond(refusal)
    try:
        result = await run(delivery)
        if reception is None:
            return result  # there is no claim that its status would end
        status = status_of(result)
    except BaseException as error:
        try:
            await _aend(verifier, reception, status_of(error), error)
        except DeliveryError as failure:
            return respond(failure)
        raise
    try:
        await _aend(verifier, reception, status, None)
    except DeliveryError as failure:
        return respond(failure)
    return result


@boundary
async def abegin(
    verifier: Verifier,
    headers: Headers,
    *,
    method: str | None,
    existing: object,
    read: Callable[[int], Awaitable[bytes | SignedForms]],
) -> tuple[Delivery, AsyncReception | None]:
    """Do what `begin` does, awaiting the body and the replay store."""
    if existing is not None:
        delivery = reusable(existing, verifier)
        if delivery is not None:
            return delivery, None
    if method is not None and method not in METHODS:
        raise _refuse_method(verifier)
    checked = verifier.check_headers(headers)
    try:
        body = await read(verifier.max_body_bytes)
    except DeliveryError as error:
        verifier.reject(error)
        raise
    if not verifier.has_replay_store:
        return verifier.verify(body, checked), None
    reception = verifier.areceive(body, checked)
    return await reception.__aenter__(), reception


@boundary
async def aend(
    verifier: Verifier,
    reception: AsyncReception | None,
    status: int | None,
    error: BaseException | None,
) -> None:
    """Do what `end` does, for what `abegin` returned."""
    invalid = _prepare(verifier, reception, status, error)
    if reception is not None:
        await reception.finish(error)
    if invalid is not None:
        raise invalid


def _refuse_method(verifier: Verifier) -> MethodNotAllowedError:
    error = MethodNotAllowedError()
    verifier.reject(error)
    return error


# Those that call these are boundaries already.
_begin, _abegin, _end, _aend = inner(begin), inner(abegin), inner(end), inner(aend)
