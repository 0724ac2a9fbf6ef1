"""Choose the verifier of a request by a function that FastAPI calls.

A chooser is a dependency like any other, so it may declare whatever one may.
"""

from __future__ import annotations

from functools import wraps
from inspect import Parameter, Signature, isawaitable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from port_webhook.integration import Endpoint

from ._signatures import declare, evaluated, is_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from port_webhook._verifier import Verifier

    Choose = Callable[..., Verifier | Awaitable[Verifier]]

__all__ = ["choosing"]

_UNTYPED = (Parameter.empty, Any, object)


def choosing(
    verifier: object, choose: Choose | None, model: Any = None
) -> tuple[Endpoint[Any], list[Parameter]]:
    """Check the arguments of `PortWebhook`, and leave it to FastAPI to call *choose*.

    Returns:
        The endpoint, and the parameters whose values FastAPI fills in. If there is a
        chooser, its result is one of them, ``chosen``, and the endpoint takes it in
        place of a request.
    """
    endpoint = Endpoint[Any](verifier, choose=choose, model=model, synchronous=False)
    request = Parameter("request", Parameter.KEYWORD_ONLY, annotation=Request)
    if choose is None:
        return endpoint, [request]
    endpoint = Endpoint[Any](choose=_solved, model=model, synchronous=False)
    kind = Annotated[Any, Depends(_as_dependency(choose))]
    chosen = Parameter("chosen", Parameter.KEYWORD_ONLY, annotation=kind)
    return endpoint, [request, chosen]


async def _solved(chosen: Any) -> Any:
    return await chosen if isawaitable(chosen) else chosen


def _as_dependency(choose: Callable[..., Any]) -> Callable[..., Any]:
    """Say that the first parameter of *choose* is the request, if it has no type."""
    parameters = [*evaluated(choose).parameters.values()]
    if not parameters or parameters[0].annotation not in _UNTYPED:
        return choose
    first, *others = parameters
    name = first.name

    @wraps(choose)
    async def asynchronous(**values: Any) -> Any:
        return await choose(values.pop(name), **values)

    @wraps(choose)
    def synchronous(**values: Any) -> Any:
        return choose(values.pop(name), **values)

    dependency = asynchronous if is_async(choose) else synchronous
    request = Parameter(name, Parameter.KEYWORD_ONLY, annotation=Request)
    kept = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in others]
    declare(dependency, Signature([request, *kept]))
    return dependency
