"""The decorator, and `verify_event`, for events of HTTP requests."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from port_webhook._delivery import Delivery
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    PortWebhookError,
)
from port_webhook.integration import Endpoint, check_verifier, decorate, handle

from ._event import (
    PLAIN,
    finish,
    open_event,
    refuse,
    respond,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from typing_extensions import TypeVar as DefaultTypeVar

    from port_webhook._verifier import Verifier

    ModelT = DefaultTypeVar("ModelT", default=Delivery)

    Result = Mapping[str, Any] | list[Any] | str | bytes | None
    Answer = Result | Awaitable[Result]
    Choose = Callable[[dict[str, Any]], Verifier]

ArgT_co = TypeVar("ArgT_co", covariant=True)
ContextT = TypeVar("ContextT")


class Decorator(Protocol[ArgT_co]):
    """What ``webhook(…)`` returns; it takes a handler."""

    def __call__(
        self, handler: Callable[[ArgT_co, ContextT], Answer], /
    ) -> Callable[[Any, ContextT], dict[str, Any]]:
        """Return the function that Lambda calls."""
        ...


@overload
def webhook(
    verifier: Verifier | Choose | None = None, /, *, model: type[ModelT] | None = None
) -> Decorator[ModelT]: ...
@overload
def webhook(
    handler: Callable[[Delivery, ContextT], Answer], /
) -> Callable[[Any, ContextT], dict[str, Any]]: ...
def webhook(
    verifier: object = None, /, *, model: type[Any] | None = None
) -> Callable[..., Any]:
    """Let a handler see verified deliveries only.

    A request that fails is answered in the shape of its event without calling the
    handler: 401, 400, 413, 422, or what a replay store says. What the handler
    returns becomes a proxy response: a dict or a list as JSON, text, bytes, None, or
    a full response, which is a dict with ``statusCode``. What it raises is raised,
    so that Lambda reports it, and the request may run again.

    An asynchronous handler runs in an event loop of its own. Lambda freezes the
    process between two invocations: a loop that outlived its invocation would carry
    forgotten tasks and dead connections into the next one.

    Args:
        verifier: A `Verifier`, or a function that takes the event and returns one.
            Without it, and as bare ``@webhook``, the environment is read when the
            first request comes.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: The verifier's replay store is asynchronous, which
            Lambda's synchronous call cannot await. The decorated function raises it
            for the event of a queue or a stream, and for a result that is no answer.
    """
    return decorate(
        verifier, lambda handler, target: _wrap(handler, target, model), view_takes=2
    )


def verify_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    *,
    received_at: float | datetime | None = None,
) -> Delivery:
    """Verify the event of one HTTP request.

    Args:
        event: What Lambda passed to the handler.
        verifier: With a replay store, it claims and commits at once.
        received_at: As for `Verifier.verify`.

    Raises:
        UnreadableBodyError: *event* is not that of an HTTP request, or its body is
            not in the encoding that it declares.
        VerificationError: As for `Verifier.verify`.
        ReplayError: As for `Verifier.verify`.
        ConfigurationError: *event* is that of a queue or a stream, *received_at* is
            not valid, or the replay store is asynchronous.
    """
    request = check_verifier(verifier) or open_event(event)
    existing = event if isinstance(event, Delivery) else None
    del event
    if isinstance(request, PortWebhookError):
        if isinstance(request, DeliveryError):
            verifier.reject(request)
        del verifier  # it may be a secret
        raise request
    try:
        outcome = handle(
            verifier,
            request.take_headers(),
            existing=existing,
            read=request.read,
            run=lambda delivery: delivery,
            status_of=lambda _: None,
            received_at=received_at,
        )
    finally:
        request.forget()  # whoever sees an error sees this frame
    if isinstance(outcome, DeliveryError):
        raise outcome
    return outcome


def _wrap(
    handler: Callable[..., Any], verifier: object, model: type[Any] | None
) -> Callable[[Any, Any], dict[str, Any]]:
    endpoint = Endpoint["dict[str, Any]"](verifier, model, synchronous=True)

    @wraps(handler)
    def wrapper(event: Any, context: Any) -> dict[str, Any]:
        try:
            verifier = endpoint.verifier_for(event)
            request = open_event(event)
            existing = event if isinstance(event, Delivery) else None
        finally:
            del event  # whoever sees an error sees this frame
        if isinstance(request, ConfigurationError):
            raise request
        if isinstance(request, DeliveryError):
            verifier.reject(request)
            return refuse(request, PLAIN)

        def run(delivery: Delivery) -> dict[str, Any] | ConfigurationError:
            try:
                result = finish(handler(endpoint.argument(delivery), context))
            finally:
                del delivery  # whoever sees an error sees this frame
            return respond(result, request)

        try:
            answer = handle(
                verifier,
                request.take_headers(),
                existing=existing,
                read=request.read,
                run=run,
                status_of=_status_of,
            )
        finally:
            request.forget()  # whoever sees an error sees this frame
        if isinstance(answer, ConfigurationError):
            raise answer
        return refuse(answer, request) if isinstance(answer, DeliveryError) else answer

    return wrapper


def _status_of(outcome: dict[str, Any] | BaseException) -> int:
    """Return the status of an answer; to the caller, anything else is an error."""
    return 500 if isinstance(outcome, BaseException) else outcome["statusCode"]
