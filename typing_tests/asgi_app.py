"""What ASGI applications look like to a type checker; never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from port_webhook import Delivery, Verifier
from port_webhook.adapters.asgi import PortWebhookMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

verifier = Verifier("a secret")
verifiers = {"/a": verifier}


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    delivery: Delivery = scope["state"]["port_delivery"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": delivery.payload})


async def choose(scope: MutableMapping[str, Any]) -> Verifier:
    return verifiers[scope["path"]]


async def endpoint(request: Request) -> PlainTextResponse:
    delivery: Delivery = request.state.port_delivery
    return PlainTextResponse(delivery.run_id)


wrapped: ASGIApp = PortWebhookMiddleware(application, verifier, paths=["/port"])
PortWebhookMiddleware(application)
PortWebhookMiddleware(PortWebhookMiddleware(application, choose), verifier)
PortWebhookMiddleware(application, lambda scope: verifiers[scope["path"]])

app = Starlette(
    routes=[Route("/port", endpoint, methods=["POST"])],
    middleware=[Middleware(PortWebhookMiddleware, verifier, paths={"/port"})],
)
FastAPI().add_middleware(PortWebhookMiddleware, verifier=verifier, paths=("/port",))

PortWebhookMiddleware(application, "a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: a secret is no verifier
PortWebhookMiddleware(application, verifier, path="/port")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the same
