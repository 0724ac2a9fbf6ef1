"""Read the signatures of endpoints and of choosers as FastAPI does."""

from __future__ import annotations

from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

from port_webhook.integration import hide_delivery

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Parameter, Signature

__all__ = ["declare", "evaluated", "is_async", "is_request"]


def is_async(function: Any) -> bool:
    """Tell whether *function*, or the ``__call__`` of an object, is asynchronous."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # not whether it can be called
    )


def evaluated(function: Callable[..., Any]) -> Signature:
    """Return the signature of *function*, with annotations that are not text."""

    def holder() -> None: ...

    hide_delivery(holder, function, None)
    return signature(holder)


def declare(function: Any, signature: Signature) -> None:
    """Let FastAPI read *signature* instead of the real one of *function*."""
    function.__signature__ = signature


def is_request(parameter: Parameter) -> bool:
    """Tell whether FastAPI passes the request to an evaluated *parameter*."""
    kind = parameter.annotation
    return isinstance(kind, type) and issubclass(kind, HTTPConnection)
