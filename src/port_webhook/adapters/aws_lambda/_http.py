"""The decorator, and `verify_event`, for events of HTTP requests."""

from __future__ import annotations

from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import ConfigurationError, DeliveryError
from port_webhook.integration import (
    Endpoint,
    begin,
    check_view,
    decorate,
    end,
    handle,
    require_verifier,
)

from ._event import PLAIN, finish, open_event, refuse, respond

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    Result = Mapping[str, Any] | list[Any] | str | bytes | None
    Answer = Result | Awaitable[Result]
    Choose = Callable[[dict[str, Any]], Verifier]

__all__ = ["Decorator", "verify_event", "webhook"]

_handle = inner(handle)  # its caller is a boundary already

ArgT_co = TypeVar("ArgT_co", covariant=True)
ModelT = TypeVar("ModelT")
ContextT = TypeVar("ContextT")

# What Lambda calls, whatever the names and types of the handler's parameters.
_SIGNATURE = Signature(
    [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)
        for name in ("event", "context")
    ],
    return_annotation=dict[str, Any],
)


class Decorator(Protocol[ArgT_co]):
    """The type of ``webhook(…)``; it takes a handler."""

    def __call__(
        self, handler: Callable[[ArgT_co, ContextT], Answer], /
    ) -> Callable[[Any, ContextT], dict[str, Any]]:
        """Return the function that Lambda calls."""
        ...


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
    handler: Callable[[Delivery, ContextT], Answer], /
) -> Callable[[Any, ContextT], dict[str, Any]]: ...
@boundary
def webhook(
    verifier: object = None, /, *, choose: Choose | None = None, model: Any = None
) -> Callable[..., Any]:
    """Call a handler with verified deliveries only.

    A request that is refused gets the response of its `DeliveryError`, in the shape of
    its event, and the handler is not called. The handler's result becomes a proxy
    response: a dict or a list as JSON, text, bytes, None, or a full response, which is
    a dict with ``statusCode``. Its exceptions go through, so that Lambda reports them,
    and the request may run again.

    An asynchronous handler runs in an event loop that ends with the invocation, since
    Lambda freezes the process between two invocations.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the environment
            is read when the first request comes.
        choose: Takes the event and returns its `Verifier`. It is synchronous.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: An argument is not valid, the handler cannot be called with
            the delivery and the context, or the verifier's replay store is
            asynchronous. The decorated function raises it for the event of a queue or a
            stream, and for a result that is not a response.
    """
    return decorate(
        verifier,
        lambda handler, found: _wrap(
            handler,
            Endpoint["dict[str, Any]"](
                found, choose=choose, model=model, synchronous=True
            ),
            found,
        ),
        options=choose is not None or model is not None,
    )


@boundary
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

    Returns:
        The delivery.

    Raises:
        UnreadableBodyError: *event* is not that of an HTTP request, or its body is
            not in the encoding that it declares.
        UnsupportedMediaError: It has a Content-Encoding, or a charset but UTF-8.
        MethodNotAllowedError: It names a method that Port does not use.
        VerificationError: As for `Verifier.verify`.
        ReplayError: As for `Verifier.verify`.
        ConfigurationError: *event* is that of a queue or a stream, *received_at* is
            not valid, or the replay store is asynchronous.
    """
    require_verifier(verifier)
    try:
        request = open_event(event)
    except DeliveryError as error:
        verifier.reject(error)
        raise
    delivery, reception = begin(
        verifier,
        request.headers,
        method=request.method,
        existing=event,
        read=request.read,
        received_at=received_at,
    )
    end(verifier, reception, None, None)
    return delivery


def _wrap(
    handler: Callable[..., Any],
    endpoint: Endpoint[dict[str, Any]],
    fixed: Verifier | None,
) -> Callable[[Any, Any], dict[str, Any]]:
    _check_handler(handler)

    @wraps(handler)
    def wrapper(event: Any, context: Any) -> dict[str, Any]:
        # A boundary by hand, because every request comes by.
        try:
            return serve(event, context)
        except BaseException as error:
            del event, context
            clean(error)
            raise

    def serve(event: Any, context: Any) -> dict[str, Any]:
        verifier = fixed or endpoint.verifier_for(event)
        try:
            request = open_event(event)
        except DeliveryError as error:
            verifier.reject(error)
            return refuse(error, PLAIN)
        return _handle(
            verifier,
            request.headers,
            method=request.method,
            existing=event if request is PLAIN else None,
            read=request.read,
            run=lambda delivery: respond(
                finish(handler(endpoint.argument(delivery), context)), request
            ),
            status_of=_status_of,
            respond=lambda error: refuse(error, request),
        )

    target = cast("Any", wrapper)
    target.__signature__ = _SIGNATURE
    target.__annotations__ = {"event": Any, "context": Any, "return": dict[str, Any]}
    return wrapper


def _check_handler(handler: Callable[..., Any]) -> None:
    """Refuse a handler that cannot be called as ``handler(delivery, context)``."""
    try:
        found = signature(handler)
    except (TypeError, ValueError):
        return  # a built-in function, which does not tell
    try:
        found.bind(None, None)
    except TypeError:
        name = getattr(handler, "__name__", type(handler).__name__)
        raise ConfigurationError(
            f"{name} cannot be called with the delivery and the context; write "
            f"def {name}(delivery, context). A function that chooses a verifier is "
            "passed as choose="
        )
    check_view(handler)


def _status_of(outcome: dict[str, Any] | BaseException) -> int:
    """Return the status of a response; for the caller, anything else is an error."""
    return 500 if isinstance(outcome, BaseException) else outcome["statusCode"]
