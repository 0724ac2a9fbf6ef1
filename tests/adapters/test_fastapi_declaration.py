"""FastAPI: what is refused when an endpoint is declared, or fails closed."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

from typing import Annotated, Any

import pytest
from fastapi import (
    Body,
    Depends,
    FastAPI,
    Form,
    Request,
    WebSocket,
)
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from starlette.routing import Route

from port_webhook import ConfigurationError, Delivery, Verifier
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .doubles import BODY, NOW, OTHER, make, signed
from .fastapi_requests import send, serve


class Disk(BaseModel):
    size: int


class Vm(BaseModel):
    cpu: int
    disk: Disk


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def client(app):
    return serve(app)


def test_an_endpoint_without_room_for_the_delivery_is_refused():
    with pytest.raises(ConfigurationError, match=r"endpoint\(request, delivery\)"):

        @webhook(make())
        def endpoint(request: Request): ...


def test_a_request_without_its_type_is_refused():
    with pytest.raises(ConfigurationError, match="request: Request"):

        @webhook(make())
        def endpoint(request, delivery): ...


@pytest.mark.parametrize("kind", [Delivery, Delivery | None])
def test_a_delivery_without_anything_says_what_to_write(app, kind):
    with pytest.raises(ConfigurationError, match=r"@webhook\(verifier\) below"):

        @app.post("/port")
        def endpoint(delivery: kind): ...


def test_a_delivery_that_is_not_the_first_parameter_says_what_to_write():
    with pytest.raises(ConfigurationError, match="as first parameter"):

        @webhook(make())
        def endpoint(zone: str, delivery: Delivery): ...


def test_a_model_may_hold_a_delivery_where_it_allows_any_type():
    class Job(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        delivery: Delivery

    delivery = make().verify(BODY, signed())
    assert Job(delivery=delivery).delivery is delivery


def test_decorators_in_the_wrong_order_run_nothing_unverified(app, client):
    def endpoint(delivery):
        pytest.fail("called")

    webhook(make())(app.post("/port")(endpoint))
    # The parameter is one of the query, as FastAPI sees it.
    for path in ("/port", "/port?delivery=x"):
        assert send(client, path=path).status_code == 500
        assert send(client, path=path, headers={}).status_code == 500
    with pytest.raises(ConfigurationError, match="below the decorator"):
        send(TestClient(app))

    with pytest.raises(ConfigurationError, match="must not have a default"):

        @webhook(make())
        @app.post("/default")
        def other(delivery=None): ...


def test_an_endpoint_may_be_decorated_more_than_once(app, client):
    class Views:
        def endpoint(self, delivery: Delivery):
            return delivery.run_id

    def endpoint(delivery: Delivery):
        return delivery.run_id

    app.post("/a")(webhook(make())(endpoint))
    app.post("/b")(webhook(Verifier(OTHER, clock=lambda: NOW))(endpoint))
    assert send(client, path="/a").json() == "r_1"
    assert send(client, path="/b").status_code == 401
    # But a method that is registered itself is not.
    hook = PortWebhook(make())
    Views.endpoint.__annotations__["delivery"] = Annotated[Delivery, Depends(hook)]
    app.post("/raw")(Views().endpoint)
    assert send(client, path="/raw").json() == "r_1"
    webhook(make())(Views.endpoint)
    assert send(client, path="/raw").status_code == 500


async def test_an_endpoint_that_is_not_called_by_fastapi_fails_closed():
    @webhook(make())
    async def endpoint(delivery: Delivery):
        pytest.fail("called")

    route = Route("/port", endpoint, methods=["POST"])
    client = serve(FastAPI(routes=[route]))
    assert send(client).status_code == 500
    with pytest.raises(ConfigurationError, match="below the decorator"):
        await endpoint()


def test_the_class_alone_is_refused_when_the_route_is_made(app):
    with pytest.raises(ConfigurationError, match=r"Depends\(PortWebhook\(verifier\)\)"):

        @app.post("/port")
        def endpoint(delivery: Annotated[Any, Depends(PortWebhook)]): ...


def needs_body(vm: Vm): ...


@pytest.mark.parametrize(
    "kind",
    [
        Vm,
        Annotated[str, Form()],
        Annotated[str, Body()],
        Annotated[Any, Depends(needs_body)],
    ],
)
def test_an_endpoint_that_declares_a_body_is_sent_to_the_route_class(kind):
    with pytest.raises(ConfigurationError, match="webhook_route"):

        @webhook(make())
        def endpoint(delivery: Delivery, vm: kind): ...


def test_a_websocket_is_not_verified_and_cannot_ask_for_a_delivery(app):
    @app.websocket("/talk")
    async def talk(
        websocket: WebSocket,
        delivery: Annotated[Delivery, Depends(PortWebhook(make()))],
    ):
        pytest.fail("called")

    with pytest.raises(TypeError), TestClient(app).websocket_connect("/talk"):
        pytest.fail("accepted")


async def test_a_request_that_fastapi_does_not_route_is_refused():
    request = Request({"type": "http", "headers": [], "method": "POST"})
    with pytest.raises(ConfigurationError, match="middleware"):
        await PortWebhook(make())(request)
