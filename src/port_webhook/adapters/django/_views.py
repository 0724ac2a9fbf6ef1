"""The decorator and the mixin for views, and what they share with other classes."""

from __future__ import annotations

from functools import partial, update_wrapper
from inspect import isawaitable, iscoroutine, signature
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import classonlymethod
from django.views import View

from port_webhook._tracebacks import boundary, inner
from port_webhook._verifier import Verifier
from port_webhook.adapters.django._body import put_delivery, read_body
from port_webhook.adapters.django._checks import CLASS_HINT, MARK
from port_webhook.adapters.django._conf import default, default_verifier
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    ahandle,
    begin,
    check_view,
    decorate,
    end,
    handle,
    hide_delivery,
    signed_headers,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import SignedForms
    from port_webhook.exceptions import DeliveryError

    Choose = Callable[[HttpRequest], Verifier | Awaitable[Verifier]]
    AsyncResponse = Coroutine[Any, Any, HttpResponseBase]
    # A view keeps its kind. Those of Django Ninja return anything.
    ResponseT = TypeVar(
        "ResponseT",
        HttpResponseBase,
        AsyncResponse,
        Coroutine[Any, Any, object],
        object,
    )
    ViewBase = View
else:
    ViewBase = object

__all__ = ["PortWebhookMixin", "authenticate", "new_endpoint", "webhook"]

P = ParamSpec("P")
RequestT = TypeVar("RequestT")
ModelT = TypeVar("ModelT")
ArgT_co = TypeVar("ArgT_co", covariant=True)

# On a request: the endpoint that verified it last, and the verifier that it chose.
_CHOICE = "_port_webhook_choice"
_NO_CHOICE = (None, None)
# Where Django Ninja looks for functions that change an operation.
_NINJA = "_ninja_contribute_to_operation"

# The wrappers, `dispatch` and `authenticate` are boundaries already.
_handle, _ahandle = inner(handle), inner(ahandle)


class Decorator(Protocol[ArgT_co]):
    """The type of ``webhook(…)``."""

    def __call__(
        self, view: Callable[Concatenate[RequestT, ArgT_co, P], ResponseT], /
    ) -> Callable[Concatenate[RequestT, P], ResponseT]:
        """Return the view that Django calls."""
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
    view: Callable[Concatenate[RequestT, Delivery, P], ResponseT], /
) -> Callable[Concatenate[RequestT, P], ResponseT]: ...
@boundary
def webhook(
    verifier: object = None,
    /,
    *,
    choose: Choose | None = None,
    model: Any = None,
) -> Callable[..., Any]:
    """Let a view see verified deliveries only; they follow the request.

    Views may be synchronous or asynchronous. Of a class-based view, decorate
    ``dispatch`` with ``method_decorator``, or use `PortWebhookMixin`. The view needs
    no CSRF token and no login, wherever the decorator stands among others. A request
    that fails gets its response without a call of the view: 400, 401, 405, 413, 415,
    422, or what a replay store says.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the settings or
            the environment are read when the first request comes.
        choose: Takes the request and returns its verifier, in place of *verifier*.
            For an asynchronous view it may be asynchronous, or else runs in a thread.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: The view is a class, a method or has no parameter for the
            delivery; or it is synchronous, and *choose* or the replay store is not.
    """
    # method_decorator decorates anew for each request.
    endpoints: dict[bool, Endpoint[HttpRequest]] = {}

    def make(view: Callable[..., Any], given: Verifier | None) -> Callable[..., Any]:
        def endpoint(*, synchronous: bool) -> Endpoint[HttpRequest]:
            if synchronous not in endpoints:
                endpoints[synchronous] = new_endpoint(
                    given, choose=choose, model=model, synchronous=synchronous
                )
            return endpoints[synchronous]

        return _wrap(view, endpoint)

    options = choose is not None or model is not None
    return decorate(verifier, make, options=options, class_hint=CLASS_HINT)


class PortWebhookMixin(ViewBase):
    """Let a class-based view see verified deliveries only.

    Put it before ``View``, or before ``APIView`` of the REST framework. Everything
    else is as for `webhook`.

    Attributes:
        verifier: A `Verifier`, or a method that takes the request and returns one
            (in an asynchronous view, it may be asynchronous); None reads the settings
            or the environment. ``as_view`` takes it as well.
        model: What to parse the payload into, for ``parsed``; None for nothing.
        delivery: The verified `Delivery`, from ``dispatch`` on.
        parsed: The payload as *model*, or the delivery if that is None.
    """

    verifier: Verifier | Callable[..., Verifier | Awaitable[Verifier]] | None = None
    model: Any = None
    delivery: Delivery
    parsed: Any

    @boundary
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class in which ``View.dispatch`` would come first.

        Raises:
            ConfigurationError: The mixin stands behind a view among the bases.
        """
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if View in order and order.index(View) < order.index(PortWebhookMixin):
            msg = "PortWebhookMixin must stand before the view classes"
            raise ConfigurationError(msg)

    # To type checkers, as_view is that of the view class, whose type is its own.
    if not TYPE_CHECKING:  # pragma: no branch  # never so when it runs

        @classonlymethod
        @boundary
        def as_view(cls, *args: Any, **initkwargs: Any) -> Any:  # noqa: N805  # as Django writes it
            """Return the view function, which needs no CSRF token and no login.

            Raises:
                ConfigurationError: The view is synchronous and the verifier's replay
                    store, or the method that returns the verifier, is not; or nothing
                    can be parsed into its model.
            """
            verifier = initkwargs.get("verifier", cls.verifier)
            model = initkwargs.get("model", cls.model)
            new_endpoint(verifier, model=model, synchronous=not cls.view_is_async)
            return _exempt(super().as_view(*args, **initkwargs))

    @boundary
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Verify *request*, and handle it as the next class does."""
        is_async = self.view_is_async
        # Without the model, which `as_view` has checked.
        endpoint = new_endpoint(self.verifier, synchronous=not is_async)
        dispatch = super().dispatch

        def call(delivery: Delivery) -> Any:
            self.delivery = delivery
            model = self.model
            self.parsed = delivery if model is None else delivery.parse(model)
            return dispatch(request, *args, **kwargs)

        return (_aserve if is_async else _serve)(endpoint, request, call)


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


def _wrap(
    view: Callable[..., Any], endpoint_of: Callable[..., Endpoint[HttpRequest]]
) -> Callable[..., Any]:
    # method_decorator calls its decorators with a function of its own before there is
    # a request, which does not show the class, and with a method for each request.
    is_dummy = getattr(view, "__module__", None) == "django.utils.decorators"
    instance = _instance(view)
    is_async = iscoroutinefunction(view) or getattr(instance, "view_is_async", False)  # pyright: ignore[reportDeprecated]  # asgiref knows more
    is_own = not (is_dummy or instance or hasattr(view, "view_class"))
    taken = _check_function(view) if is_own else None
    endpoint = endpoint_of(synchronous=not (is_async or is_dummy))

    wrapper = _around(view, endpoint, is_async=is_async)
    if is_own:
        hide_delivery(wrapper, view, taken)

    def join_ninja(operation: Any) -> None:
        """Verify around a whole operation of Django Ninja, which calls this for it.

        It parses the parameters before it calls the view, and makes the response
        afterwards: the first must come after the verification, and only after the
        second is it known whether the claim is to be committed.
        """
        decorator = partial(_around, endpoint=endpoint, is_async=is_async, passes=False)
        operation.run = decorator(operation.run)
        # What Ninja's decorate_view keeps, for the copies that are made of operations.
        decorators = [*getattr(operation, "_run_decorators", ()), decorator]
        vars(operation)["_run_decorators"] = decorators

    state = vars(wrapper)
    state[MARK] = endpoint_of
    callbacks = state.get(_NINJA, ())
    state[_NINJA] = [*callbacks, join_ninja]
    return _exempt(wrapper)


def _around(
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
            return await _aserve(endpoint, request, call_of(request, args, kwargs))

        return update_wrapper(async_wrapper, function)

    @boundary
    def wrapper(request: object, *args: Any, **kwargs: Any) -> Any:
        return _serve(endpoint, request, call_of(request, args, kwargs))

    return update_wrapper(wrapper, function)


def _check_function(view: Callable[..., Any]) -> str | None:
    """Return the name of the parameter for the delivery, if it has one of its own."""
    if "self" in _parameters(view)[:1]:
        raise ConfigurationError(
            f"{getattr(view, '__qualname__', view)} is a method, and Django looks for "
            "the exemption from CSRF protection on dispatch only. Do not decorate it "
            f"with webhook; instead, {CLASS_HINT}"
        )
    found = check_view(view, before=1)
    return None if found is None else found.name


def _parameters(view: Callable[..., Any]) -> list[str]:
    try:
        return [*signature(view).parameters]
    except (TypeError, ValueError):
        return []  # a built-in function, which does not tell


def _instance(view: Any) -> Any:
    """Return the class-based view whose method *view* is, if it is one.

    method_decorator passes a partial of it, within whatever else decorates it.
    """
    while view is not None:
        owner = getattr(getattr(view, "func", view), "__self__", None)
        if issubclass(type(owner), View):
            return owner
        view = getattr(view, "__wrapped__", None)
    return None


def _exempt(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark *view* for CsrfViewMiddleware and LoginRequiredMiddleware (Django 5.1)."""
    vars(view).update(csrf_exempt=True, login_required=False)
    return view


def _serve(
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


async def _aserve(
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
