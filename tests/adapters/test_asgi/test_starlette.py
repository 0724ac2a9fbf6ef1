"""The ASGI middleware in and around Starlette, which most applications are made of."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from port_webhook import (
    sign,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of

from ..doubles import BODY, FORM, NOW, SECRET, Store, make


async def echo(request):
    assert delivery_of(request.scope) is request.state.port_delivery
    delivery = delivery_of(request)
    form = dict(await request.form())
    return JSONResponse({"payload": delivery.payload.decode(), "form": form})


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


def post(client, body=BODY, **headers):
    return client.post(
        "/port", content=body, headers={**sign(body, SECRET, timestamp=NOW), **headers}
    )


def test_a_form_can_be_parsed_afterwards():
    middleware = [
        Middleware(Passing),
        Middleware(PortWebhookMiddleware, make(), paths=["/port"]),
        Middleware(Passing),
    ]
    routes = [Route("/port", echo, methods=["POST"])]
    client = TestClient(Starlette(routes=routes, middleware=middleware))
    kind = "application/x-www-form-urlencoded"
    answer = post(client, FORM, **{"content-type": kind})
    assert answer.json()["form"] == {"payload": "a b", "other": "c"}
    assert client.post("/port", content=FORM).status_code == 401


def test_one_route_can_be_protected():
    middleware = [Middleware(PortWebhookMiddleware, make())]
    routes = [
        Route("/port", echo, methods=["POST"], middleware=middleware),
        Route("/open", lambda _: JSONResponse("open")),
    ]
    client = TestClient(Starlette(routes=routes))
    assert post(client).json()["payload"] == BODY.decode()
    assert client.post("/port", content=BODY).status_code == 401
    assert client.get("/open").status_code == 200


def test_a_websocket_on_a_protected_path_is_not_verified():
    async def talk(websocket):
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/port", talk)])
    client = TestClient(PortWebhookMiddleware(app, make()))
    with client.websocket_connect("/port") as websocket:
        assert websocket.receive_text() == "hello"


def test_an_exception_in_starlette_is_a_500():
    store = Store()

    async def broken(request):
        raise ValueError

    app = Starlette(routes=[Route("/port", broken, methods=["POST"])])
    middleware = PortWebhookMiddleware(app, make(replay_store=store))
    client = TestClient(middleware, raise_server_exceptions=False)
    assert post(client).status_code == 500
    assert store.steps == ["claim", "release"]
