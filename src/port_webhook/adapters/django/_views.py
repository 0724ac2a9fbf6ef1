"""The decorator and the mixin for views, and what they share with other classes."""

from __future__ import annotations

from functools import partial, wraps
from inspect import isawaitable, iscoroutine
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import classonlymethod
from django.views import View

from port_webhook.exceptions import ConfigurationError, DeliveryError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    ahandle,
    decorate,
    handle,
)

from ._body import read_body
from ._conf import default_verifier, use_default

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from django.template.response import SimpleTemplateResponse
    from typing_extensions import TypeVar as DefaultTypeVar

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    ModelT = DefaultTypeVar("ModelT", default=Delivery)

    Choose = Callable[[HttpRequest], Verifier | Awaitable[Verifier]]
    AsyncAnswer = Coroutine[Any, Any, HttpResponseBase]
    Served = HttpResponseBase | AsyncAnswer
    # Constrained to the two, so that a view stays what it was.
    AnswerT = TypeVar("AnswerT", HttpResponseBase, AsyncAnswer)
    ViewBase = View
else:
    ViewBase = object

P = ParamSpec("P")
RequestT = TypeVar("RequestT")
ArgT_co = TypeVar("ArgT_co", covariant=True)


class Decorator(Protocol[ArgT_co]):
    """What ``webhook(…)`` returns."""

    def __call__(
        self, view: Callable[Concatenate[RequestT, ArgT_co, P], AnswerT], /
    ) -> Callable[Concatenate[RequestT, P], AnswerT]:
        """Return the view that Django calls."""
        ...


@overload
def webhook(
    verifier: Verifier | Choose | None = None, /, *, model: type[ModelT] | None = None
) -> Decorator[ModelT]: ...
@overload
def webhook(
    view: Callable[Concatenate[RequestT, Delivery, P], AnswerT], /
) -> Callable[Concatenate[RequestT, P], AnswerT]: ...
def webhook(
    verifier: object = None, /, *, model: type[Any] | None = None
) -> Callable[..., Any]:
    """Let a view see verified deliveries only; they follow the request.

    Views may be synchronous or asynchronous. Of a class-based view, decorate
    ``dispatch`` with ``method_decorator``, or use `PortWebhookMixin`. The view needs
    no CSRF token and no login, wherever the decorator stands among others. A request
    that fails is answered without calling the view: 401, 400, 413, 422, or what a
    replay store says.

    Args:
        verifier: A `Verifier`, or a function that takes the request and returns one;
            for an asynchronous view it may be asynchronous. Without it, and as bare
            ``@webhook``, the settings or the environment are read when the first
            request comes.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: The view is synchronous and the verifier's replay store is
            not.
    """
    return decorate(
        verifier, lambda view, target: _wrap(view, target, model), view_takes=2
    )


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
    model: type[Any] | None = None
    delivery: Delivery
    parsed: Any

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
        def as_view(cls, *args, **initkwargs):  # noqa: ANN002, ANN003, N805  # as Django writes it
            """Return the view function, which needs no CSRF token and no login.

            Raises:
                ConfigurationError: The view is synchronous and the verifier's replay
                    store is not, or nothing can be parsed into its model.
            """
            verifier = initkwargs.get("verifier", cls.verifier)
            model = initkwargs.get("model", cls.model)
            new_endpoint(verifier, model, synchronous=not cls.view_is_async)
            return _exempt(super().as_view(*args, **initkwargs))

    def dispatch(
        self,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Verify *request*, and handle it as the next class does."""
        is_async = self.view_is_async
        endpoint = new_endpoint(self.verifier, self.model, synchronous=not is_async)
        dispatch = super().dispatch

        def call(delivery: Delivery) -> Served:
            self.delivery = delivery
            self.parsed = endpoint.argument(delivery)
            del delivery  # what the view raises shows this frame
            return dispatch(request, *args, **kwargs)

        return (_aserve if is_async else _serve)(endpoint, request, call)


def _wrap(
    view: Callable[..., Served], verifier: object, model: type[Any] | None
) -> Callable[..., Any]:
    is_async = _is_async(view)
    # Before there is a request, method_decorator calls its decorators with a dummy,
    # which says nothing about the class.
    is_dummy = getattr(view, "__module__", None) == "django.utils.decorators"
    endpoint = new_endpoint(verifier, model, synchronous=not (is_async or is_dummy))

    def caller(
        request: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[Delivery], Served]:
        def call(delivery: Delivery) -> Served:
            try:
                return view(request, endpoint.argument(delivery), *args, **kwargs)
            finally:
                del delivery  # whoever sees an error sees this frame

        return call

    if is_async:

        @wraps(view)
        async def async_wrapper(
            request: object, *args: Any, **kwargs: Any
        ) -> HttpResponseBase:
            return await _aserve(endpoint, request, caller(request, args, kwargs))

        return _exempt(markcoroutinefunction(async_wrapper))

    @wraps(view)
    def wrapper(request: object, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _serve(endpoint, request, caller(request, args, kwargs))

    return _exempt(wrapper)


def new_endpoint(
    verifier: object, model: type[Any] | None, *, synchronous: bool
) -> Endpoint[HttpRequest]:
    """Return an `Endpoint` that reads the settings where it has no verifier."""
    if verifier is None:
        use_default()
        verifier = default_verifier
    return Endpoint["HttpRequest"](verifier, model, synchronous=synchronous)


def _is_async(view: object) -> bool:
    """Tell whether *view* must be awaited.

    The ``dispatch`` of an asynchronous class-based view does not show it itself;
    method_decorator passes it as a partial, within whatever else decorates it.
    """
    if iscoroutinefunction(view):  # pyright: ignore[reportDeprecated]  # asgiref knows
        return True
    while view is not None:
        owner = getattr(getattr(view, "func", view), "__self__", None)
        if getattr(owner, "view_is_async", False):
            return True
        view = getattr(view, "__wrapped__", None)
    return False


def _exempt(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark *view* for CsrfViewMiddleware and LoginRequiredMiddleware (Django 5.1)."""
    vars(view).update(csrf_exempt=True, login_required=False)
    return view


def _serve(
    endpoint: Endpoint[HttpRequest],
    request: object,
    call: Callable[[Delivery], Served],
) -> HttpResponseBase:
    http = plain(request)

    def run(delivery: Delivery) -> HttpResponseBase:
        remember(http, delivery)
        try:
            response = call(delivery)
        finally:
            del delivery  # whoever sees an error sees this frame
        if iscoroutine(response):
            response.close()
            msg = "An asynchronous view must be marked with markcoroutinefunction"
            raise ConfigurationError(msg)
        return _rendered(cast("HttpResponseBase", response))

    answer = handle(
        endpoint.verifier_for(http),
        http.headers,
        existing=existing(http),
        read=partial(read_body, http),
        run=run,
        status_of=_status_of,
    )
    return _respond(http, answer)


async def _aserve(
    endpoint: Endpoint[HttpRequest],
    request: object,
    call: Callable[[Delivery], Served],
) -> HttpResponseBase:
    http = plain(request)

    async def run(delivery: Delivery) -> HttpResponseBase:
        remember(http, delivery)
        try:
            response = call(delivery)
        finally:
            del delivery  # whoever sees an error sees this frame
        return await response if isawaitable(response) else response

    async def read(limit: int) -> bytes | DeliveryError:
        return read_body(http, limit)

    answer = await ahandle(
        await endpoint.averifier_for(http),
        http.headers,
        existing=existing(http),
        read=read,
        run=run,
        status_of=_status_of,
    )
    return _respond(http, answer)


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Render the finished response of a REST framework view, while it still counts.

    Django does so later, and a failure would be a 500 for a claim that is committed.
    Not so with templates, which template-response middleware may still change.
    """
    if hasattr(response, "accepted_renderer"):
        cast("SimpleTemplateResponse", response).render()
    return response


def _respond(
    request: HttpRequest, answer: HttpResponseBase | DeliveryError
) -> HttpResponseBase:
    if not isinstance(answer, DeliveryError):
        return answer
    # Not every server leaves out the body of an answer to HEAD, nor does Django.
    body = b"" if request.method == "HEAD" else answer.http_body
    headers = dict(answer.http_headers)
    return HttpResponse(body, status=answer.http_status, headers=headers)


def _status_of(outcome: object) -> int:
    """Return the status of a response, and for all else one that releases a claim.

    Whatever a view raises, Http404 and its like among it, is answered as 4xx or 5xx.
    """
    return outcome.status_code if isinstance(outcome, HttpResponseBase) else 500


def plain(request: object) -> HttpRequest:
    """Return Django's own request, which the REST framework wraps in one of its."""
    if not isinstance(request, HttpRequest):
        request = getattr(request, "_request", None)
    if isinstance(request, HttpRequest):
        return request
    msg = "webhook decorates functions whose first argument is the request"
    raise ConfigurationError(msg)


def existing(request: HttpRequest) -> object:
    """Return what an adapter around this one has left on *request*."""
    scope = cast("dict[str, Any]", getattr(request, "scope", {}))
    return (
        getattr(request, "port_delivery", None)
        or request.META.get(DELIVERY_KEY)
        or scope.get(DELIVERY_KEY)
    )


def remember(request: HttpRequest, delivery: Delivery) -> None:
    """Leave *delivery* on *request*, which is proven not to be forged by a browser."""
    vars(request).update(port_delivery=delivery, csrf_processing_done=True)
