"""The decorator."""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from inspect import Parameter
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from fastapi import Depends
from fastapi.dependencies.utils import get_dependant

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import check_view, decorate, hide_delivery

from ._claims import DECORATED
from ._dependency import PortWebhook
from ._signatures import (
    declare,
    evaluated,
    is_async,
    is_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi.dependencies.models import Dependant
    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    from ._choice import Choose

__all__ = ["Decorator", "webhook"]

P = ParamSpec("P")
R = TypeVar("R")
FirstT = TypeVar("FirstT")
ModelT = TypeVar("ModelT")
ArgT_co = TypeVar("ArgT_co", covariant=True)

_REST, _KEYWORDS = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD


class Decorator(Protocol[ArgT_co]):
    """The type of ``webhook(…)``; before the delivery may stand a request or self."""

    @overload
    def __call__(
        self, view: Callable[Concatenate[ArgT_co, P], R], /
    ) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, view: Callable[Concatenate[FirstT, ArgT_co, P], R], /
    ) -> Callable[Concatenate[FirstT, P], R]: ...


@overload
def webhook(
    verifier: Verifier | None = None,
    /,
    *,
    choose: Choose | None = None,
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
def webhook(view: Callable[Concatenate[Delivery, P], R], /) -> Callable[P, R]: ...
@overload
def webhook(
    view: Callable[Concatenate[FirstT, Delivery, P], R], /
) -> Callable[Concatenate[FirstT, P], R]: ...
@boundary
def webhook(
    verifier: object = None,
    /,
    *,
    choose: Choose | None = None,
    model: Any = None,
) -> Callable[..., Any]:
    """Call an endpoint with verified deliveries only.

    Put it below ``@app.post``. The first parameter takes the delivery, after one that
    is annotated as the `Request`, and after ``self``; FastAPI fills in the others. The
    endpoint is not called for a request that is refused; see `PortWebhook`.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the environment
            is read when the first request comes.
        choose: As for `PortWebhook`.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: An argument is not valid; or the endpoint has no parameter
            for the delivery, or declares a body of its own, which needs
            `webhook_route`.
    """

    def make(view: Callable[..., Any], found: Verifier | None) -> Any:
        return _wrap(view, PortWebhook(found, choose=choose, model=model))

    options = choose is not None or model is not None
    return decorate(verifier, make, options=options)


def _wrap(view: Callable[..., Any], hook: PortWebhook) -> Callable[..., Any]:
    own = evaluated(view)
    parameters = [*own.parameters.values()]
    method = [each for each in parameters[:1] if each.name == "self"]
    others = parameters[len(method) :]
    found = check_view(view, before=bool(others) and is_request(others[0]))
    if found is not None and found.name == "request":
        raise ConfigurationError(
            f"The parameter request of {_name(view)} would take the delivery; write "
            "request: Request, with a Request that is imported at run time. A function "
            "that chooses a verifier is passed as choose="
        )
    name = "delivery" if found is None else found.name
    # FastAPI passes everything by name.
    by_position = [
        each.name for each in others if each.kind is Parameter.POSITIONAL_ONLY
    ]
    if found is None and all(each.kind is not _KEYWORDS for each in others):
        by_position = [each.name for each in others if each.kind is not _REST]
        by_position.append(name)

    def arguments(args: tuple[Any, ...], values: dict[str, Any]) -> list[Any]:
        if name not in values:
            raise ConfigurationError(
                f"{_name(view)} was called without a verified delivery; put @webhook "
                "below the decorator of FastAPI, such as @app.post"
            )
        return [*args, *(values.pop(each) for each in by_position)]

    @wraps(view)
    @boundary
    async def asynchronous(*args: Any, **values: Any) -> Any:
        return await view(*arguments(args, values), **values)

    @wraps(view)
    @boundary
    def synchronous(*args: Any, **values: Any) -> Any:
        return view(*arguments(args, values), **values)

    wrapper = asynchronous if is_async(view) else synchronous
    with suppress(AttributeError, TypeError):  # an object may have slots
        setattr(view, DECORATED, view)
    hide_delivery(wrapper, view, name)
    # Before the others, so that nothing else runs for a request that is refused.
    verified = Parameter(
        name, Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Depends(hook)]
    )
    rest = [
        each.replace(kind=Parameter.KEYWORD_ONLY)
        for each in others
        if each.name != name and each.kind not in (_REST, _KEYWORDS)
    ]
    declare(wrapper, own.replace(parameters=[*method, verified, *rest]))
    _refuse_body(wrapper, hook)
    return wrapper


def _refuse_body(wrapper: Callable[..., Any], hook: PortWebhook) -> None:
    """Refuse a body that FastAPI would parse before the dependency verifies it."""
    declared = next(_bodies(get_dependant(path="/", call=wrapper), hook), None)
    if declared is not None:
        raise ConfigurationError(
            f"The parameter {declared} of {_name(wrapper)} is a body, which FastAPI "
            "parses before it is verified; write @webhook(…, model=…), or put the "
            "endpoint without @webhook on a router with webhook_route"
        )


def _bodies(dependant: Dependant, hook: PortWebhook) -> Iterator[str]:
    """Yield the names of the bodies that an endpoint and its dependencies declare."""
    if dependant.call is not hook:
        yield from (field.name for field in dependant.body_params)
        for each in dependant.dependencies:
            yield from _bodies(each, hook)


def _name(view: Callable[..., Any]) -> str:
    return getattr(view, "__name__", type(view).__name__)
