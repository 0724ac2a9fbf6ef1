"""The arguments of a decorator or a middleware: ``verifier``, ``choose``, ``model``.

Nothing is guessed. A wrong argument is a `ConfigurationError` when the decorating
module is imported, and the message says what to write instead.
"""

from __future__ import annotations

from functools import cache, update_wrapper
from inspect import (
    Parameter,
    Signature,
    isawaitable,
    iscoroutinefunction,
    isfunction,
    signature,
)
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from port_webhook._tracebacks import boundary, clean
from port_webhook._verifier import Verifier, require_verifier
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from port_webhook._delivery import Delivery

__all__ = [
    "Endpoint",
    "check_view",
    "decorate",
    "hide_delivery",
    "require_verifier",
]

RequestT = TypeVar("RequestT")

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Endpoint(Generic[RequestT]):
    """The verifier and the model of a decorated view.

    Args:
        verifier: A verifier; None reads the environment on first use.
        choose: Returns the verifier of a request, in place of *verifier*. In an
            asynchronous framework it may be asynchronous; else it runs in a thread.
        model: The type to parse the payload into; None passes the delivery.
        synchronous: The framework cannot await a replay store, or *choose*.
        default: Returns the verifier if neither is given, for each request; None is
            `Verifier.from_env`, once.
        to_thread: Runs a function in a thread; None is `asyncio.to_thread`.

    Raises:
        ConfigurationError: *verifier* is no verifier, or its store is asynchronous and
            the framework is not; *choose* cannot be called or awaited; both are given;
            or nothing can be parsed into *model*.
    """

    @boundary
    def __init__(
        self,
        verifier: object = None,
        *,
        choose: Callable[[RequestT], object] | None = None,
        model: Any = None,
        synchronous: bool,
        default: Callable[[], Verifier] | None = None,
        to_thread: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        self._synchronous = synchronous
        self._verifier: Verifier | None = None
        self._choose = choose
        self._default = default or cache(Verifier.from_env)
        self._to_thread = to_thread
        if model is not None:
            from port_webhook.models import check_model

            check_model(model)
        self._model = model
        if verifier is not None:
            _refuse_chooser(verifier)
            _require_verifier(verifier)
            self._verifier = self._accept(verifier)
        if choose is not None:
            self._check_choice()

    def _check_choice(self) -> None:
        if self._verifier is not None:
            raise ConfigurationError("Give a verifier or choose=, not both")
        if not callable(self._choose) or isinstance(self._choose, type):
            raise ConfigurationError(
                "choose must be a function that returns the Verifier of a request"
            )
        if self._synchronous and _is_async(self._choose):
            raise ConfigurationError(
                "choose is asynchronous, and nothing here can await it; pass a "
                "synchronous function"
            )

    # These three are boundaries by hand, because every request comes by.

    def verifier_for(self, request: RequestT) -> Verifier:
        """Return the verifier of this *request*.

        Raises:
            ConfigurationError: There is none, or it cannot be used here.
        """
        try:
            if self._verifier is not None:
                return self._verifier
            if self._choose is None:
                return self._accept(self._default())
            return self._accept(self._choose(request))
        except BaseException as error:
            del request
            clean(error)
            raise

    async def averifier_for(self, request: RequestT) -> Verifier:
        """Do what `verifier_for` does, and await the choice."""
        try:
            if self._verifier is not None:
                return self._verifier
            if self._choose is None:
                return self._accept(self._default())
            return self._accept(await self._choose_for(request))
        except BaseException as error:
            del request
            clean(error)
            raise

    def argument(self, delivery: Delivery) -> Any:
        """Return the argument for the view: the delivery, or the model."""
        try:
            return delivery if self._model is None else delivery.parse(self._model)
        except BaseException as error:
            del delivery
            clean(error)
            raise

    async def _choose_for(self, request: RequestT) -> object:
        choose: Any = self._choose
        if _is_async(choose):
            chosen = choose(request)
        else:
            # It may block: it may ask a database, or fetch a secret.
            if self._to_thread is None:
                # Not at the top: a cold start on Lambda needs no asyncio.
                from asyncio import to_thread

                self._to_thread = to_thread
            chosen = await self._to_thread(choose, request)
        return await chosen if isawaitable(chosen) else chosen

    def _accept(self, verifier: object) -> Verifier:
        if not isinstance(verifier, Verifier):
            raise ConfigurationError(
                f"choose did not return a Verifier, but {type(verifier).__name__}; to "
                "refuse a request, raise what the framework answers with 404"
            )
        if self._synchronous and verifier.is_async:
            raise ConfigurationError(
                "A synchronous framework needs a synchronous replay store"
            )
        return verifier


def _refuse_chooser(value: object) -> None:
    if callable(value) and not isinstance(value, type):
        raise ConfigurationError(
            "A function that chooses a verifier is passed as choose=, by keyword"
        )


def _is_async(function: Any) -> bool:
    """Tell whether *function*, or the ``__call__`` of an object, is asynchronous."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # not whether it can be called
    )


@boundary
def decorate(
    target: object,
    make: Callable[[Callable[..., Any], Verifier | None], Callable[..., Any]],
    *,
    options: bool = False,
    class_hint: str = "decorate the method, or see the page of the framework",
) -> Callable[..., Any]:
    """Support the three ways of writing ``webhook``.

    They are ``@webhook(verifier)``, ``@webhook()`` and bare ``@webhook``.

    Args:
        target: The positional argument of ``webhook``.
        make: Called with the view and the verifier, or None; returns the wrapper.
        options: Whether ``webhook`` was given keywords; bare ``@webhook`` has none.
        class_hint: The advice in the error for a class.

    Raises:
        ConfigurationError: *target* is something else, such as a class or a secret.
    """
    if target is None or isinstance(target, Verifier):

        @boundary
        def decorator(view: Callable[..., Any]) -> Callable[..., Any]:
            return make(_require_function(view, class_hint), target)

        return decorator
    if not callable(target):
        _require_verifier(target)
    if options:
        _refuse_chooser(target)
    return _guard(make(_require_function(target, class_hint), None))


def _require_verifier(value: object) -> None:
    try:
        require_verifier(value)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}; write Verifier(secret) or Verifier.from_env()"
        )


def _require_function(view: Any, class_hint: str) -> Callable[..., Any]:
    if view is Verifier:
        raise ConfigurationError(
            "webhook takes verifiers, not classes; write Verifier(secret) or "
            "Verifier.from_env()"
        )
    if isinstance(view, type):
        raise ConfigurationError(
            f"webhook decorates functions, not classes; of a class-based view, "
            f"{class_hint}"
        )
    if not callable(view):
        raise ConfigurationError(
            f"webhook decorates functions, not {type(view).__name__}"
        )
    return cast("Callable[..., Any]", view)


def _guard(wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse ``@webhook(choose)``, where *choose* was taken for the view.

    Nothing else calls a view with one function. An asynchronous view is not called
    when its module is imported; `check_view` tells it from a chooser.
    """
    if iscoroutinefunction(wrapper):
        return wrapper

    @boundary
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isfunction(args[0]):
            _refuse_chooser(args[0])
        return wrapper(*args, **kwargs)

    return update_wrapper(guarded, wrapper)


@boundary
def check_view(view: Callable[..., Any], *, before: int = 0) -> Parameter | None:
    """Return the parameter of *view* that takes the delivery.

    Args:
        view: The function that is decorated.
        before: How many positional arguments precede the delivery, such as the request.
            The ``self`` of a method is not counted.

    Returns:
        The parameter; None where ``*args`` or ``**kwargs`` takes it.

    Raises:
        ConfigurationError: There is no parameter for the delivery, or it has a default:
            with two decorators in the wrong order, the view would run unverified.
    """
    try:
        parameters = [*signature(view).parameters.values()]
    except (TypeError, ValueError):
        return None  # a built-in function, which does not tell
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    is_method = bool(parameters) and parameters[0].name == "self"
    first = ["self"] * is_method + ["request"] * before
    before = len(first)
    if len(positional) > before:
        found = positional[before]
    elif any(each.kind in _VARIABLE for each in parameters):
        return None
    else:
        raise ConfigurationError(
            f"{_name(view)} has no parameter for the delivery; write "
            f"def {_name(view)}({', '.join([*first, 'delivery'])}). A function "
            "that chooses a verifier is passed as choose="
        )
    if found.default is not Parameter.empty:
        raise ConfigurationError(
            f"The parameter {found.name} of {_name(view)} takes the delivery and must "
            "not have a default: with the decorators in the wrong order, the view "
            "would run unverified. A function that chooses a verifier is passed as "
            "choose="
        )
    return found


@boundary
def hide_delivery(
    wrapper: Callable[..., Any], view: Callable[..., Any], name: str | None
) -> None:
    """Give *wrapper* the signature of *view* without the parameter *name*.

    Frameworks that read signatures (FastAPI, Django Ninja) then see only the other
    parameters. The annotations are evaluated, since the wrapper's module has other
    names.
    """
    try:
        own = signature(view)
    except (TypeError, ValueError):
        return
    names = getattr(view, "__globals__", {})
    parameters = [
        each.replace(annotation=_evaluate(each.annotation, names))
        for each in own.parameters.values()
        if each.name != name
    ]
    returned = _evaluate(own.return_annotation, names)
    target = cast("Any", wrapper)
    target.__signature__ = Signature(parameters, return_annotation=returned)
    target.__annotations__ = {
        each.name: each.annotation
        for each in parameters
        if each.annotation is not Parameter.empty
    }
    if returned is not Signature.empty:
        target.__annotations__["return"] = returned


def _evaluate(annotation: Any, names: dict[str, Any]) -> Any:
    """Evaluate *annotation* if it is text; one that cannot be evaluated stays."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # noqa: S307  # the module's own source
    except Exception:  # such as a name for type checkers alone
        return annotation


def _name(view: Callable[..., Any]) -> str:
    name: str = getattr(view, "__name__", type(view).__name__)
    return name if name.isidentifier() else "view"  # a lambda
