"""ASGI applications of every framework, each mounted in one of its own kind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any

from port_webhook.adapters.asgi import PortWebhookMiddleware

from .common import (
    COUNT,
    GUARDS,
    MOUNT,
    OPEN,
    OWN,
    ROOT,
    VERIFIER,
    VIEW,
    ran,
    settle_django,
)


async def count() -> str:
    return ran()


async def be_healthy() -> str:
    return "open"


def starlette(own: str) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def view(request):
        return PlainTextResponse(ran())

    async def health(request):
        return PlainTextResponse("open")

    inner = Starlette(routes=[Route(VIEW, view, methods=["POST"])])
    routes = [Route(VIEW, view, methods=["POST"]), Mount(MOUNT, inner)]
    return Starlette(routes=[*routes, Route(OPEN, health, methods=["POST"])])


def fastapi(own: str) -> Any:
    from fastapi import FastAPI

    inner, app = FastAPI(), FastAPI(root_path=own)
    for each in (inner, app):
        each.post(VIEW)(ran)
    app.post(OPEN)(lambda: "open")
    app.mount(MOUNT, inner)
    return app


def quart(own: str) -> Any:
    from quart import Blueprint, Quart

    inner, app = Blueprint("inner", __name__), Quart(__name__)
    for each in (inner, app):
        each.post(VIEW)(count)
    app.register_blueprint(inner, url_prefix=MOUNT)
    app.post(OPEN)(be_healthy)
    return app


def litestar(own: str) -> Any:
    from litestar import Litestar, asgi, post

    @post(VIEW)
    async def view() -> str:
        return ran()

    @post(OPEN)
    async def health() -> str:
        return "open"

    inner = asgi(MOUNT, is_mount=True, copy_scope=True)(Litestar([view]))
    return Litestar([view, health, inner])


def sanic(own: str) -> Any:
    from sanic import Blueprint, Sanic, text

    app, inner = Sanic("paths"), Blueprint("inner", url_prefix=MOUNT)
    root = Blueprint("root", url_prefix=ROOT)  # Sanic takes no root path off

    async def view(request):
        return text(ran())

    async def health(request):
        return text("open")

    app.add_route(view, VIEW, methods=["POST"])
    for each in (inner, root):
        each.add_route(view, VIEW, methods=["POST"])
        app.blueprint(each)
    app.add_route(health, OPEN, methods=["POST"])
    app.add_route(health, ROOT + OPEN, methods=["POST"], name="rooted")
    return app


class Resource:
    async def on_post(self, request: Any, response: Any) -> None:
        response.text = ran()


class Open:
    async def on_post(self, request: Any, response: Any) -> None:
        response.text = "open"


def falcon(own: str) -> Any:
    from falcon.asgi import App

    app = App()
    for path in (VIEW, MOUNT + VIEW, ROOT + VIEW):  # it takes no root path off
        app.add_route(path, Resource())
        app.add_route(path.replace(VIEW, OPEN), Open())
    app.req_options.strip_url_path_trailing_slash = True
    return app


def blacksheep(own: str) -> Any:
    from blacksheep import Application, Router

    inner, app = Application(router=Router()), Application(router=Router())
    for each in (inner, app):
        each.router.add_post(VIEW, count)
    app.router.add_post(OPEN, be_healthy)
    app.mount(MOUNT, inner)
    app.mount_registry.auto_events = True
    return app


def django(own: str) -> Any:
    settle_django(own)
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


BUILDERS = {
    each.__name__: each
    for each in (starlette, fastapi, quart, litestar, sanic, falcon, blacksheep, django)
}
_living: set[asyncio.Task[None]] = set()


@cache
def build(framework: str, own: str, guard: str) -> Any:
    app = BUILDERS[framework](own) if guard == "none" else build(framework, own, "none")
    options = GUARDS[guard]
    return app if options is None else PortWebhookMiddleware(app, VERIFIER, **options)


@cache
def started(app: Any) -> asyncio.Future[Any]:
    """Start *app* as a server does, and leave it running."""
    done = asyncio.get_running_loop().create_future()
    messages = [{"type": "lifespan.startup"}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        done.set_result(message)

    async def live():
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        with suppress(Exception):  # one that knows no lifespan may raise
            await app(scope, receive, send)
        if not done.done():
            done.set_result(None)

    _living.add(asyncio.create_task(live()))
    return done


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = dict(scope["headers"])
    framework, place, guard = headers[b"x-case"].decode().split()
    before = COUNT["ran"]
    own = OWN if place == "own" else ""
    if framework == "django":
        settle_django(own)

    async def tell(message):
        if message["type"] == "http.response.start":
            told = (b"x-ran", str(COUNT["ran"] - before).encode())
            message = {**message, "headers": [*message.get("headers", []), told]}
        await send(message)

    if framework == "count":
        start = {"type": "http.response.start", "status": 200}
        body = str(COUNT["ran"]).encode()
        await send({**start, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
        return
    await started(build(framework, own, "none"))
    await build(framework, own, guard)(scope, receive, tell)
