"""Verify one request of Django's, for views, classes and authentication alike."""

from __future__ import annotations

from functools import partial, update_wrapper
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from port_webhook._tracebacks import boundary, inner
from port_webhook._verifier import Verifier
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    ahandle,
    begin,
    end,
    handle,
    signed_headers,
)

from ._body import put_delivery, read_body
from ._conf import default, default_verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import SignedForms
    from port_webhook.exceptions import DeliveryError

__all__ = ["around", "aserve", "authenticate", "new_endpoint", "serve"]

# On a request: the endpoint that verified it last, and the verifier that it chose.
_CHOICE = "_port_webhook_choice"
_NO_CHOICE = (None, None)

# The wrappers, `dispatch` and `authenticate` are boundaries already.
_handle, _ahandle = inner(handle), inner(ahandle)


def new_endpoint(
    verifier: Any,
    *,
    choose: Any = None,
    model: Any = None,
    synchronous: bool,
    claims: bool = True,
) -> Endpoint[HttpRequest]:
    """Return an `Endpoint` that reads the settings where it has no verifier.

    Args:
        verifier: A verifier, or of a class also a method that chooses one.
        choose: As for `webhook`.
        model: As for `webhook`.
        synchronous: Whether nothing can be awaited.
        claims: Whether a replay store can be used.

    Raises:
        ConfigurationError: The verifier cannot be used here.
    """
    if callable(verifier) and not isinstance(verifier, type):
        verifier, choose = None, verifier
    if not claims and isinstance(verifier, Verifier):
        _refuse_store(verifier)
    if verifier is None and choose is None:
        # Let the system check report what is wrong with the settings.
        default.is_used = True
    return Endpoint["HttpRequest"](
        verifier,
        choose=choose,
        model=model,
        synchronous=synchronous,
        default=default_verifier,
        to_thread=_to_thread,
    )


def authenticate(endpoint: Endpoint[HttpRequest], request: object) -> Delivery:
    """Verify *request* for a framework that calls the view later.

    Raises:
        DeliveryError: The request is refused.
        ConfigurationError: The verifier has a replay store.
    """
    http = _plain(request)
    verifier = endpoint.verifier_for(http)
    _refuse_store(verifier)
    delivery, reception = begin(
        verifier,
        # From META: making request.headers of it takes longer than verifying.
        signed_headers(http.META),
        method=http.method,
        existing=_found(http, endpoint)[0],
        read=partial(read_body, http),
    )
    put_delivery(http, delivery, {})
    end(verifier, reception, None, None)
    return delivery


def around(
    function: Callable[..., Any],
    endpoint: Endpoint[HttpRequest],
    *,
    is_async: bool,
    passes: bool = True,
) -> Callable[..., Any]:
    """Return *function* behind the verification of its request.

    Args:
        function: Called with the request, the delivery or its model, and the rest.
        endpoint: Has the verifier and the model.
        is_async: Whether *function* must be awaited.
        passes: Whether *function* takes a delivery.
    """

    def call_of(request: object, args: Any, kwargs: Any) -> Callable[[Delivery], Any]:
        if passes:
            return lambda delivery: function(
                request, endpoint.argument(delivery), *args, **kwargs
            )
        return lambda _: function(request, *args, **kwargs)

    if is_async:

        @boundary
        async def async_wrapper(request: object, *args: Any, **kwargs: Any) -> Any:
            return await aserve(endpoint, request, call_of(request, args, kwargs))

        return update_wrapper(async_wrapper, function)

    @boundary
    def wrapper(request: object, *args: Any, **kwargs: Any) -> Any:
        return serve(endpoint, request, call_of(request, args, kwargs))

    return update_wrapper(wrapper, function)


def serve(
    endpoint: Endpoint[HttpRequest],
    request: object,
    call: Callable[[Delivery], Any],
) -> Any:
    http = _plain(request)
    existing, verifier = _found(http, endpoint)
    if verifier is None:
        verifier = endpoint.verifier_for(http)

    def run(delivery: Delivery) -> Any:
        put_delivery(http, delivery, {_CHOICE: (endpoint, verifier)})
        response = call(delivery)
        if isinstance(response, HttpResponseBase):
            return _rendered(request, response)
        if iscoroutine(response):
            response.close()
            msg = "An asynchronous view must be marked with markcoroutinefunction"
            raise ConfigurationError(msg)
        return response

    return _handle(
        verifier,
        signed_headers(http.META),
        method=http.method,
        existing=existing,
        read=partial(read_body, http),
        run=run,
        status_of=_status_of,
        respond=lambda error: _respond(http, error),
    )


async def aserve(
    endpoint: Endpoint[HttpRequest],
    request: object,
    call: Callable[[Delivery], Any],
) -> Any:
    http = _plain(request)
    existing, verifier = _found(http, endpoint)
    if verifier is None:
        verifier = await endpoint.averifier_for(http)

    async def run(delivery: Delivery) -> Any:
        put_delivery(http, delivery, {_CHOICE: (endpoint, verifier)})
        response = call(delivery)
        return await response if isawaitable(response) else response

    async def read(limit: int) -> bytes | SignedForms:
        return read_body(http, limit)

    return await _ahandle(
        verifier,
        signed_headers(http.META),
        method=http.method,
        existing=existing,
        read=read,
        run=run,
        status_of=_status_of,
        respond=lambda error: _respond(http, error),
    )


async def _to_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run *function* where Django runs all that is synchronous, as its ORM requires."""
    return await sync_to_async(function, thread_sensitive=True)(*args)


def _rendered(request: Any, response: Any) -> Any:
    """Render a response of the REST framework while its claim is still open.

    Django does so later, and a failure would be a 500 for a claim that is committed.
    Not so with templates, which template-response middleware may still change.
    """
    if not hasattr(response, "data"):
        return response
    if not hasattr(response, "accepted_renderer"):
        if not hasattr(request, "accepted_renderer"):
            return response
        # Below api_view, which does the same when the view has returned.
        response.accepted_renderer = request.accepted_renderer
        response.accepted_media_type = request.accepted_media_type
        response.renderer_context = request.parser_context
    response.render()
    return response


def _respond(request: HttpRequest, error: DeliveryError) -> HttpResponse:
    # Not every server leaves out the body of a response to HEAD, nor does Django.
    body = b"" if request.method == "HEAD" else error.http_body
    headers = dict(error.http_headers)
    return HttpResponse(body, status=error.http_status, headers=headers)


def _status_of(outcome: object) -> int:
    """Return the status of a response, and 500 for everything else.

    Django turns every exception, including Http404, into a 4xx or 5xx response.
    """
    return outcome.status_code if isinstance(outcome, HttpResponseBase) else 500


def _plain(request: object) -> HttpRequest:
    """Return Django's own request, which the REST framework wraps in one of its."""
    if not isinstance(request, HttpRequest):
        request = getattr(request, "_request", None)
    if isinstance(request, HttpRequest):
        return request
    msg = "webhook decorates functions whose first argument is the request"
    raise ConfigurationError(msg)


def _found(
    request: HttpRequest, endpoint: Endpoint[HttpRequest]
) -> tuple[object, Verifier | None]:
    """Return the delivery and the verifier of an adapter around this one.

    The verifier is that of *endpoint* itself, around an operation of Django Ninja: a
    second choice could be another verifier, which would claim the request again.
    """
    state = vars(request)
    owner, verifier = state.get(_CHOICE, _NO_CHOICE)
    delivery = (
        state.get("port_delivery")
        or request.META.get(DELIVERY_KEY)
        or ("scope" in state and state["scope"].get(DELIVERY_KEY))
    )
    return delivery, verifier if owner is endpoint else None


def _refuse_store(verifier: Verifier) -> None:
    if verifier.has_replay_store:
        msg = (
            "Authentication is done before the view runs, so it cannot tell how that "
            "ends: with a replay store, use PortWebhookMixin or webhook"
        )
        raise ConfigurationError(msg)
