"""The decorator and the mixin for views."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import classonlymethod
from django.views import View

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import (
    Endpoint,
    check_view,
    decorate,
    hide_delivery,
)

from ._checks import CLASS_HINT, MARK
from ._serving import around, aserve, new_endpoint, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

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

__all__ = ["PortWebhookMixin", "webhook"]

P = ParamSpec("P")
RequestT = TypeVar("RequestT")
ModelT = TypeVar("ModelT")
ArgT_co = TypeVar("ArgT_co", covariant=True)

# Where Django Ninja looks for functions that change an operation.
_NINJA = "_ninja_contribute_to_operation"


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
    """Call a view with verified deliveries only, after the request.

    Views may be synchronous or asynchronous. Of a class-based view, decorate
    ``dispatch`` with ``method_decorator``, or use `PortWebhookMixin`. The view needs no
    CSRF token and no login, wherever the decorator stands among others. It is not
    called for a request that is refused; the response is that of the `DeliveryError`.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the settings or
            the environment are read when the first request comes.
        choose: Takes the request and returns its verifier, in place of *verifier*. For
            an asynchronous view it may be asynchronous; otherwise it runs in a thread.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: The view is a class or a method, or has no parameter for the
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
    """Verify requests before a class-based view handles them.

    Put it before ``View``, or before ``APIView`` of the REST framework. Everything
    else is as for `webhook`.

    Attributes:
        verifier: A `Verifier`, or a method that takes the request and returns one
            (in an asynchronous view, it may be asynchronous); None reads the settings
            or the environment. ``as_view`` takes it as well.
        model: The type to parse the payload into, as ``parsed``; None: the delivery.
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

        return (aserve if is_async else serve)(endpoint, request, call)


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

    wrapper = around(view, endpoint, is_async=is_async)
    if is_own:
        hide_delivery(wrapper, view, taken)

    def join_ninja(operation: Any) -> None:
        """Verify around a whole operation of Django Ninja, which calls this for it.

        It parses the parameters before it calls the view, and makes the response
        afterwards: the first must come after the verification, and only after the
        second is it known whether the claim is to be committed.
        """
        decorator = partial(around, endpoint=endpoint, is_async=is_async, passes=False)
        operation.run = decorator(operation.run)
        # What Ninja's decorate_view keeps, for the copies that are made of operations.
        decorators = [*getattr(operation, "_run_decorators", ()), decorator]
        vars(operation)["_run_decorators"] = decorators

    state = vars(wrapper)
    state[MARK] = endpoint_of
    callbacks = state.get(_NINJA, ())
    state[_NINJA] = [*callbacks, join_ninja]
    return _exempt(wrapper)


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
