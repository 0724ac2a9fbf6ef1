"""The route class."""

from __future__ import annotations

from collections import deque
from inspect import Signature
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.responses import Response

from port_webhook._tracebacks import boundary, inner
from port_webhook.integration import serve

from ._choice import choosing
from ._claims import body_of, exception_of
from ._openapi import Scheme
from ._signatures import declare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fastapi.params import Depends as Dependency
    from starlette.requests import Request

    from port_webhook._verifier import Verifier
    from port_webhook.exceptions import DeliveryError
    from port_webhook.integration._asgi import (
        Application,
        Message,
        Receive,
        Scope,
        Send,
    )

    from ._choice import Choose

__all__ = ["webhook_route"]

_serve = inner(serve)  # the route is a boundary already

_REST_KEY = "port_webhook.rest"


@boundary
def webhook_route(
    verifier: Verifier | None = None,
    *,
    choose: Choose | None = None,
) -> type[APIRoute]:
    """Return a route class that verifies requests before FastAPI parses them.

    ::

        router = APIRouter(route_class=webhook_route(verifier))

    Its endpoints may declare bodies, models and forms; an unsigned body that is
    malformed is 401 and not 422. The delivery is ``request.state.port_delivery``, or
    comes from ``Depends(PortWebhook(verifier))``, which then does not verify again.

    Args:
        verifier: As for `PortWebhook`.
        choose: As for `PortWebhook`. If it reads the body, the endpoint reads it
            again, and the verifier's limit comes after.

    Raises:
        ConfigurationError: As for `PortWebhook`.
    """
    scheme = Scheme(verifier)
    endpoint, parameters = choosing(verifier, choose)

    async def gate(request: Request, chosen: Any) -> Response:
        return _Rest(request.scope[_REST_KEY], await endpoint.averifier_for(chosen))

    declare(gate, Signature(parameters))

    class PortWebhookRoute(APIRoute):
        """A route whose endpoint sees verified requests only."""

        def __init__(
            self,
            *args: Any,
            dependencies: Sequence[Dependency] | None = None,
            **options: Any,
        ) -> None:
            given = [each for each in dependencies or () if each.dependency != scheme]
            super().__init__(*args, dependencies=[Depends(scheme), *given], **options)
            # By application, since one router may be in several, and by path.
            self._gates: WeakKeyDictionary[Any, dict[tuple[str, ...], APIRoute]] = (
                WeakKeyDictionary()
            )

        @boundary
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            handle = super().handle
            if choose is None:
                verifier = await endpoint.averifier_for(None)
                await _verify(handle, verifier, scope, receive, send)
                return
            replay = _Replay(receive)

            async def rest(
                verifier: Verifier, scope: Scope, _: Receive, send: Send
            ) -> None:
                await _verify(handle, verifier, scope, replay.receive, send)

            scope[_REST_KEY] = rest
            await self._gate_for(scope).app(scope, replay.record, send)

        def _gate_for(self, scope: Scope) -> APIRoute:
            """Return the route that calls the chooser: it knows the path's names."""
            app, names = scope["app"], tuple(scope["path_params"])
            gates = self._gates.setdefault(app, {})
            if names not in gates:
                path = "/" + "/".join(f"{{{name}}}" for name in names)
                gates[names] = APIRoute(path, gate, dependency_overrides_provider=app)
            return gates[names]

    return PortWebhookRoute


class _Rest(Response):
    """A response that handles the request once its verifier is chosen."""

    def __init__(self, run: Callable[..., Awaitable[None]], verifier: Verifier) -> None:
        super().__init__()
        self._run, self._verifier = run, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._run(self._verifier, scope, receive, send)


class _Replay:
    """Keeps what a chooser receives, for those who come after it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()

    async def record(self) -> Message:
        """Return the next message, and keep it."""
        self._kept.append(await self._receive())
        return self._kept[-1]

    async def receive(self) -> Message:
        """Return what was kept, and then what the server says."""
        return self._kept.popleft() if self._kept else await self._receive()


async def _verify(
    app: Application, verifier: Verifier, scope: Scope, receive: Receive, send: Send
) -> None:
    # A middleware outside reads what the endpoint leaves in the state.
    state: dict[str, Any] = scope.setdefault("state", {})

    async def verified(inner: Scope, receive: Receive, send: Send) -> None:
        state.update(inner["state"])
        inner["state"] = state
        await app(inner, receive, send)

    async def refuse(error: DeliveryError) -> None:
        raise exception_of(error)

    await _serve(
        verified, verifier, scope, receive, send, body_of=body_of, refuse=refuse
    )
