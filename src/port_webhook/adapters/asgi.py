"""ASGI: a middleware that lets only verified deliveries reach an application.

::

    app = PortWebhookMiddleware(app, verifier, exclude=["/health"])

A view calls `delivery_of` with its scope, and receives exactly the payload that was
signed. ``lifespan`` and ``websocket`` pass through: a websocket is not verified, since
Port opens none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from port_webhook._delivery import Delivery
from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    PathPrefixes,
    answer,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from port_webhook._verifier import Verifier
    from port_webhook.exceptions import DeliveryError
    from port_webhook.integration._asgi import Receive, Scope, Send

__all__ = ["PortWebhookMiddleware", "delivery_of"]

_serve = inner(serve)  # its caller is a boundary already


class PortWebhookMiddleware:
    """Verify requests before *app* sees them.

    All requests are verified, whatever their method, unless *exclude* or *paths* says
    otherwise. A request that is refused gets the response of its `DeliveryError`.
    Nothing is sent to a client that is gone.

    Args:
        app: The ASGI application.
        verifier: The verifier; None reads the environment when the first request comes.
        choose: Takes the scope of a request and returns its verifier, in place of
            *verifier*. It may be asynchronous; otherwise it runs in a thread.
        paths: The path prefixes to protect, such as ``["/port"]``, wherever the
            application is mounted. See `PathPrefixes` for what a prefix covers.
        exclude: The exact paths that are not verified, such as ``["/health"]``. Under
            a ``root_path``, list them with and without it.

    Raises:
        ConfigurationError: *verifier* is not a verifier, *choose* is not a function,
            both are given, or both *paths* and *exclude* are; or one of these is not a
            collection of paths.
    """

    @boundary
    def __init__(
        self,
        app: Callable[..., Awaitable[None]],  # each framework types a scope of its own
        verifier: Verifier | None = None,
        *,
        choose: Callable[[Scope], Verifier | Awaitable[Verifier]] | None = None,
        paths: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
    ) -> None:
        self.app = app
        self._endpoint = Endpoint["Scope"](verifier, choose=choose, synchronous=False)
        self._verifier = verifier
        chosen = PathPrefixes(paths, exclude=exclude)
        self._paths = None if chosen.covers_all else chosen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        # Not `boundary`, which takes any arguments: uvicorn calls an application
        # without any, to tell it from a factory by its TypeError.
        try:
            paths = self._paths
            if scope["type"] != "http" or not (
                paths is None or _is_covered(scope, paths)
            ):
                await self.app(scope, receive, send)
                return
            await _serve(
                self.app,
                self._verifier or await self._endpoint.averifier_for(scope),
                scope,
                receive,
                send,
                body_of=_body_of,
                refuse=partial(_refuse, scope, send),
            )
        except BaseException as error:
            del scope, receive, send
            clean(error)
            raise


def _is_covered(scope: Scope, paths: PathPrefixes) -> bool:
    path, root = scope["path"], scope.get("root_path") or ""
    raw = scope.get("raw_path") or path.encode("utf-8", "surrogatepass")
    return paths.covers(
        path.encode("utf-8", "surrogatepass"),
        bytes(raw),
        mount=root.encode("utf-8", "surrogatepass"),
    )


@boundary
def delivery_of(scope: Mapping[str, Any]) -> Delivery:
    """Return the delivery that was verified for this request.

    Args:
        scope: The request's scope; ``request.scope`` in most frameworks.

    Raises:
        ConfigurationError: Nothing was verified, so the view must not run.
    """
    if not isinstance(cast("object", scope), Mapping):
        raise ConfigurationError("delivery_of takes the scope, such as request.scope")
    state = scope.get("state")
    delivery = scope.get(DELIVERY_KEY)
    if delivery is None and isinstance(state, Mapping):
        delivery = cast("Mapping[str, Any]", state).get("port_delivery")
    if not isinstance(delivery, Delivery):
        raise ConfigurationError(
            "This request was not verified: PortWebhookMiddleware is not around the "
            "application, or does not cover the path"
        )
    return delivery


async def _refuse(scope: Scope, send: Send, error: DeliveryError) -> None:
    await answer(send, error, error.http_body, method=scope["method"])


def _body_of(error: DeliveryError) -> bytes:
    return error.http_body
