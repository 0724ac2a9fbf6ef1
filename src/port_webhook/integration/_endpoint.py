"""Which verifier and which model a decorated view has."""

from __future__ import annotations

from functools import cached_property, update_wrapper
from inspect import isawaitable, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from port_webhook._delivery import Delivery
from port_webhook._verifier import Verifier
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

RequestT = TypeVar("RequestT")


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

    def __init__(  # described above
        self,
        verifier: object,
        model: type[object] | None,
        *,
        synchronous: bool,
    ) -> None:
        if model is not None:
            from port_webhook.models._loading import check_model

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

    def argument(self, delivery: Delivery) -> Any:
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

    def view_or_decorator(*args: Any, **kwargs: Any) -> Any:
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


def check_verifier(verifier: object) -> ConfigurationError | None:
    """Say that *verifier* is none: some pass a secret, as `verify` takes it."""
    if isinstance(verifier, Verifier):
        return None
    kind = type(verifier).__name__
    return ConfigurationError(f"verifier must be a Verifier, not {kind}")
