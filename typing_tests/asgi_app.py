"""What ASGI applications look like to a type checker; never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from port_webhook import Delivery, Verifier
from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of

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
    delivery: Delivery = delivery_of(scope)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": delivery.payload})


async def choose(scope: MutableMapping[str, Any]) -> Verifier:
    return verifiers[scope["path"]]


async def endpoint(request: Request) -> PlainTextResponse:
    delivery: Delivery = delivery_of(request.scope)
    return PlainTextResponse(delivery.run_id)


wrapped: ASGIApp = PortWebhookMiddleware(application, verifier, paths=["/port"])
PortWebhookMiddleware(application)
PortWebhookMiddleware(PortWebhookMiddleware(application, choose=choose), verifier)
PortWebhookMiddleware(application, choose=lambda scope: verifiers[scope["path"]])
PortWebhookMiddleware(application, verifier, exclude=("/health",))

app = Starlette(
    routes=[Route("/port", endpoint, methods=["POST"])],
    middleware=[Middleware(PortWebhookMiddleware, verifier, paths={"/port"})],
)
FastAPI().add_middleware(PortWebhookMiddleware, verifier=verifier, paths=("/port",))

PortWebhookMiddleware(application, "a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: a secret is no verifier
PortWebhookMiddleware(application, choose)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # by keyword only
delivery_of(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no scope
PortWebhookMiddleware(application, verifier, path="/port")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the same
