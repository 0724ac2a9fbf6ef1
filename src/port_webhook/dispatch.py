"""One endpoint, many actions: a view that chooses a handler for each delivery.

::

    handlers = Dispatcher()

    @handlers.on(action="create_vm", inputs=VmInputs)
    def create_vm(inputs: VmInputs): ...

    @handlers.on(event="ENTITY_DELETED", model=TriggerData)
    def clean_up(data: TriggerData): ...

    app.post("/port")(webhook(verifier)(handlers))

The most specific handler that matches is called: by action first, then by operation,
event and model, and the default last. Its result is the view's.
"""

from __future__ import annotations

import asyncio
import sys
from inspect import Parameter, iscoroutinefunction, signature
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from port_webhook._delivery import Delivery
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models import (
    ActionInvocation,
    CatalogEvent,
    ChangelogMessage,
    CustomPayload,
    TriggerData,
    WorkflowNodeRun,
    check_model,
)
from port_webhook.models._reading import check_inputs, read_inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from typing_extensions import TypeForm

    from port_webhook.models import AnyInvocation
    from port_webhook.models._shapes import Message

__all__ = ["AsyncDispatcher", "AsyncReporter", "Dispatcher", "Reporter"]

T = TypeVar("T")
R = TypeVar("R")
ReportT = TypeVar("ReportT")
Unknown = Literal["fail", "ignore"]

_SHOWN_LENGTH = 64
_CHANGES = {
    **dict.fromkeys(("CREATE", "CREATED"), "created"),
    **dict.fromkeys(("UPDATE", "UPDATED"), "updated"),
    **dict.fromkeys(("DELETE", "DELETED"), "deleted"),
    **dict.fromkeys(("EXPIRED", "TIMER_EXPIRED", "TIMER_PROPERTY_EXPIRED"), "expired"),
}
_SHAPES = (
    *(ActionInvocation, TriggerData, CatalogEvent, ChangelogMessage),
    *(WorkflowNodeRun, CustomPayload),
)
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
# Views of these frameworks must return a response of theirs.
_RESPONSES = {
    "django": ("django.http", "HttpResponse"),
    "aiohttp": ("aiohttp.web", "Response"),
}


class Reporter(Protocol):
    """A client that reports the end of a run to Port, such as a ``PortClient``."""

    def report(self, delivery: Delivery, /) -> AbstractContextManager[Any]:
        """Return a context manager that gives the run; an exception is its failure."""
        ...


class AsyncReporter(Protocol):
    """A `Reporter` for an `AsyncDispatcher`, such as an ``AsyncPortClient``."""

    def report(self, delivery: Delivery, /) -> AbstractAsyncContextManager[Any]:
        """Return an asynchronous context manager that gives the run."""
        ...


class Decorator(Protocol[T]):
    """Registers a handler and returns it; the handler may take the run, too."""

    @overload
    def __call__(self, handler: Callable[[T], R], /) -> Callable[[T], R]: ...
    @overload
    def __call__(self, handler: Callable[[T, Any], R], /) -> Callable[[T, Any], R]: ...


class _Key(NamedTuple):
    """The deliveries that a handler is for; None matches all."""

    action: str | None = None
    operation: str | None = None
    event: tuple[str | None, str | None] | None = None  # the resource, and the change
    shape: type[Message[Any]] | None = None


class _Handler(NamedTuple):
    call: Callable[..., Any]
    model: Any
    inputs: Any
    takes_run: bool


class _Handlers(Generic[ReportT]):
    """The part that both dispatchers share: handlers, and how one is chosen."""

    _is_async = False
    __name__ = "dispatcher"  # frameworks name an endpoint after its view

    @boundary
    def __init__(
        self, *, report: ReportT | None = None, unknown: Unknown = "fail"
    ) -> None:
        if report is not None and not callable(getattr(report, "report", None)):
            raise ConfigurationError(
                "report must be a client with a method report(delivery)"
            )
        if unknown not in ("fail", "ignore"):
            raise ConfigurationError('unknown must be "fail" or "ignore"')
        self._report = report
        self._unknown = unknown
        self._handlers: dict[_Key, _Handler] = {}

    @overload
    def on(
        self,
        *,
        action: str | None = None,
        operation: str | None = None,
        event: str | None = None,
    ) -> Decorator[Delivery]: ...
    @overload
    def on(
        self,
        *,
        action: str | None = None,
        operation: str | None = None,
        event: str | None = None,
        model: TypeForm[T],
    ) -> Decorator[T]: ...
    @overload
    def on(
        self,
        *,
        action: str | None = None,
        operation: str | None = None,
        event: str | None = None,
        inputs: TypeForm[T],
    ) -> Decorator[T]: ...
    @boundary
    def on(
        self,
        *,
        action: str | None = None,
        operation: str | None = None,
        event: str | None = None,
        model: Any = None,
        inputs: Any = None,
    ) -> Any:
        """Register a handler for the deliveries that match all arguments.

        The handler's first argument is the delivery, or the parsed *model* or *inputs*.
        With ``report=`` it may take the run as its second.

        Args:
            action: The identifier of the action; see ``action_identifier``.
            operation: ``CREATE``, ``DAY-2`` or ``DELETE``.
            event: A change: ``created``, ``updated``, ``deleted`` or ``expired``, of
                any resource; or with the resource, as Port names the triggers of
                automations: ``ENTITY_CREATED``, ``ANY_RUN_CHANGE`` and so on.
            model: The type to parse the payload into; see `Delivery.parse`. As the only
                argument it must be a message of this library, and matches deliveries of
                its shape.
            inputs: The type to read the inputs as, for any shape of the payload.

        Raises:
            ConfigurationError: There is a handler for the same already; *model* or
                *inputs* cannot be read; *event* is no change; or the handler is
                asynchronous in a `Dispatcher`, or takes a run without ``report=``.
        """
        shape = None
        if action is None and operation is None and event is None:
            shape = _shape_of(model)
        key = _Key(action, operation, _read_event(event), shape)
        return self._register(key, model, inputs)

    @overload
    def default(
        self, handler: Callable[[Delivery], R], /
    ) -> Callable[[Delivery], R]: ...
    @overload
    def default(
        self, handler: Callable[[Delivery, Any], R], /
    ) -> Callable[[Delivery, Any], R]: ...
    @overload
    def default(self, *, model: TypeForm[T]) -> Decorator[T]: ...
    @overload
    def default(self, *, inputs: TypeForm[T]) -> Decorator[T]: ...
    @boundary
    def default(
        self, handler: Any = None, *, model: Any = None, inputs: Any = None
    ) -> Any:
        """Register the handler for deliveries that no other handler matches.

        Raises:
            ConfigurationError: As for `on`.
        """
        register = self._register(_Key(), model, inputs)
        return register if handler is None else register(handler)

    def _register(self, key: _Key, model: Any, inputs: Any) -> Callable[[Any], Any]:
        if model is not None and inputs is not None:
            raise ConfigurationError("A handler takes a model or inputs, not both")
        if model is not None:
            check_model(model)
        if inputs is not None:
            check_inputs(inputs)

        @boundary
        def register(handler: Any) -> Any:
            takes_run = self._check_handler(handler)
            if key in self._handlers:
                name = _name(self._handlers[key].call)
                raise ConfigurationError(
                    f"{name} is already the handler for the same deliveries"
                )
            self._handlers[key] = _Handler(handler, model, inputs, takes_run)
            return handler

        return register

    def _check_handler(self, handler: Any) -> bool:
        """Check that *handler* can be called here; tell whether it takes the run."""
        if not callable(handler) or isinstance(handler, type):
            raise ConfigurationError(
                f"A handler is a function, not {type(handler).__name__}"
            )
        is_async = _is_async(handler)
        count = _count_parameters(handler)
        problem = None
        if is_async and not self._is_async:
            problem = "is asynchronous; use an AsyncDispatcher"
        elif count not in (1, 2):
            problem = "must take the delivery, and may take the run"
        elif count == 2 and self._report is None:  # the run is the second
            problem = "takes a second argument, the run, which needs report="
        elif count == 2 and self._is_async and not is_async:  # the same
            problem = "takes the run, whose methods only a coroutine function can await"
        if problem is not None:
            raise ConfigurationError(f"{_name(handler)} {problem}")
        return count == 2  # the same

    def _choose(self, invocation: AnyInvocation) -> _Handler | None:
        """Return the most specific handler that is for *invocation*."""
        event = None
        if any(key.event is not None for key in self._handlers):
            event = _event_of(invocation)
        fitting = [
            key
            for key in self._handlers
            if (key.action is None or key.action == invocation.action_identifier)
            and (key.operation is None or key.operation == invocation.operation)
            and (key.event is None or _fits(key.event, event))
            and (key.shape is None or isinstance(invocation, key.shape))
        ]
        return self._handlers[max(fitting, key=_weight)] if fitting else None

    def _prepare(
        self, delivery: Delivery, run: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Return the handler of *delivery* and its arguments.

        Raises:
            PayloadError: There is none, or the payload does not fit it.
        """
        try:
            invocation = delivery.invocation()
            handler = self._choose(invocation)
            if handler is None:
                raise _unknown(invocation)
            argument: Any = delivery
            if handler.model is not None:
                argument = delivery.parse(handler.model)
            elif handler.inputs is not None:
                argument = _inputs_as(handler.inputs, invocation, delivery)
        except PayloadError as error:
            error.run_id = delivery.run_id
            raise
        return handler.call, [argument, run] if handler.takes_run else [argument]

    def _ignores(self, delivery: Delivery) -> bool:
        """Tell whether *delivery* has no handler and is to be ignored."""
        if self._unknown == "fail":
            return False
        try:
            return self._choose(delivery.invocation()) is None
        except PayloadError:
            return False  # which is one


class Dispatcher(_Handlers[Reporter]):
    """A view that calls one of many synchronous handlers.

    Args:
        report: A client whose ``report(delivery)`` tells Port how the run ended. Each
            handler runs inside it. Inputs that do not fit, and an action without a
            handler, end the run as a failure.
        unknown: What to do if no handler matches and there is no default: ``fail``
            raises a `PayloadError` (422), ``ignore`` answers 200 and reports nothing.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler of the delivery among the arguments of a view.

        Raises:
            PayloadError: No handler matches, or the payload does not fit its model.
            ConfigurationError: There is no delivery among the arguments.
        """
        delivery = _find_delivery(args, kwargs)
        if self._ignores(delivery):
            return _empty_answer(args)
        if self._report is None:
            return _call(*self._prepare(delivery))
        manager = self._report.report(delivery)
        if not hasattr(manager, "__enter__"):
            raise ConfigurationError(
                "A Dispatcher needs a synchronous client to report with"
            )
        with manager as run:
            return _call(*self._prepare(delivery, run))


class AsyncDispatcher(_Handlers[AsyncReporter]):
    """A view that awaits one of many handlers.

    A synchronous handler runs in a thread. The arguments are those of `Dispatcher`; the
    client of *report* must be asynchronous.
    """

    _is_async = True

    @boundary
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what a `Dispatcher` does, awaiting the handler."""
        delivery = _find_delivery(args, kwargs)
        if self._ignores(delivery):
            return _empty_answer(args)
        if self._report is None:
            return await _acall(*self._prepare(delivery))
        manager = self._report.report(delivery)
        if not hasattr(manager, "__aenter__"):
            raise ConfigurationError(
                "An AsyncDispatcher needs an asynchronous client to report with"
            )
        async with manager as run:
            return await _acall(*self._prepare(delivery, run))

    # What `inspect` takes for a coroutine function, as adapters must.
    __code__: Any = cast("Any", __call__).__code__
    __defaults__: None = None
    __kwdefaults__: None = None


def _call(handler: Callable[..., Any], arguments: list[Any]) -> Any:
    return handler(*arguments)


async def _acall(handler: Callable[..., Any], arguments: list[Any]) -> Any:
    if _is_async(handler):
        return await handler(*arguments)
    return await asyncio.to_thread(handler, *arguments)


def _is_async(function: Any) -> bool:
    """Tell whether *function*, or the ``__call__`` of an object, is asynchronous."""
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _count_parameters(handler: Any) -> int:
    """Return with how many positional arguments to call *handler*; 0 if it cannot be.

    A second one that has a default counts if it is called ``run``.
    """
    parameters = [*signature(handler).parameters.values()]
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    required = [each for each in parameters if each.default is Parameter.empty]
    required = [each for each in required if each.kind not in _VARIABLE]
    if any(each not in positional for each in required):
        return 0
    names = [each.name for each in positional]
    if len(required) <= 1 and names[1:2] == ["run"]:
        return 2
    can_be_called = bool(positional) or any(
        each.kind is Parameter.VAR_POSITIONAL for each in parameters
    )
    return max(len(required), int(can_be_called))


def _shape_of(model: Any) -> type[Message[Any]]:
    """Return the message whose shape *model* chooses."""
    bases: tuple[Any, ...] = getattr(model, "__mro__", ())
    for base in bases:
        if base in _SHAPES:
            return cast("type[Message[Any]]", base)
    raise ConfigurationError(
        "Say which deliveries the handler is for: an action, an operation, an event, "
        "or a message of port_webhook as model; for all others, use default"
    )


def _read_event(event: str | None) -> tuple[str | None, str | None] | None:
    """Return the resource and the change that *event* names; None is any."""
    if event is None:
        return None
    word = event.upper() if isinstance(cast("Any", event), str) else ""
    if word in _CHANGES:
        return None, _CHANGES[word]
    resource, _, change = word.rpartition("_")
    if change in _CHANGES and resource:
        return resource.lower(), _CHANGES[change]
    if change == "CHANGE" and resource.startswith("ANY_"):
        return resource.removeprefix("ANY_").lower(), None
    raise ConfigurationError(
        "event must be created, updated, deleted or expired, or the type of a trigger "
        "such as ENTITY_CREATED or ANY_RUN_CHANGE"
    )


def _event_of(invocation: AnyInvocation) -> tuple[str | None, str | None] | None:
    """Return the resource and the change of an event; None if there is no event."""
    event: Any = invocation
    if isinstance(invocation, TriggerData):
        event = invocation.event
    if isinstance(event, CatalogEvent | ChangelogMessage):
        return event.resource_type, event.change
    return None


def _fits(
    wanted: tuple[str | None, str | None], came: tuple[str | None, str | None] | None
) -> bool:
    return came is not None and all(
        one is None or one == other for one, other in zip(wanted, came, strict=True)
    )


def _weight(key: _Key) -> tuple[bool, bool, int, int]:
    """Return how specific *key* is."""
    event = sum(each is not None for each in key.event) if key.event else 0
    depth = len(key.shape.__mro__) if key.shape else 0
    return key.action is not None, key.operation is not None, event, depth


def _unknown(invocation: AnyInvocation) -> PayloadError:
    """Return the error that says that no handler is for *invocation*."""
    kind, name = type(invocation).__name__, invocation.action_identifier
    what = f"{'an' if kind[0] == 'A' else 'a'} {kind}"
    if name is not None:
        short = len(name) <= _SHOWN_LENGTH and name.isascii() and name.isprintable()
        what += f" of the action {name if short else '?'}"
    return PayloadError(f"is {what}, for which there is no handler")


def _inputs_as(argument: Any, invocation: AnyInvocation, delivery: Delivery) -> Any:
    """Read the inputs of *delivery* as *argument*; if there are none, empty ones."""
    found = None
    if not isinstance(invocation, CatalogEvent | ChangelogMessage):
        generic: Any = type(invocation)
        found = delivery.parse(generic[argument]).inputs
    return read_inputs(argument, {}, "inputs", None) if found is None else found


def _find_delivery(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Delivery:
    """Return the delivery among the arguments of a view."""
    for each in (*args, *kwargs.values()):
        if isinstance(each, Delivery):
            return each
    raise ConfigurationError(
        "A dispatcher takes the delivery: decorate it with an adapter's webhook, and "
        "give model= to its handlers, not to the adapter"
    )


def _empty_answer(args: tuple[Any, ...]) -> Any:
    """Return what every framework takes for a response with status 200."""
    for each in args:
        found = _RESPONSES.get(type(each).__module__.partition(".")[0])
        if found is not None:
            module, name = found
            return getattr(sys.modules[module], name)()
    return ""
