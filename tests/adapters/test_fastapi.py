"""FastAPI: what an endpoint gets, and several adapters on one request."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import inspect
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Request,
)
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from port_webhook import Delivery
from port_webhook.adapters import fastapi as fastapi_adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .doubles import BODY, Store, make, signed
from .fastapi_requests import VM, Ways, every_way, send, serve


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


# What an endpoint gets


def test_the_decorator_gives_a_synchronous_endpoint_the_delivery(app, client):
    verifier = make()

    @app.post("/port")
    @webhook(verifier)
    def endpoint(delivery: Delivery):
        assert delivery.verified_by(verifier)
        return delivery.run_id

    answer = send(client)
    assert (answer.status_code, answer.json()) == (200, "r_1")
    assert send(client, headers={}).status_code == 401


def test_the_dependency_gives_a_synchronous_endpoint_the_delivery(app, client):
    verifier = make()

    @app.post("/port")
    def endpoint(delivery: Annotated[Delivery, Depends(PortWebhook(verifier))]):
        assert delivery.verified_by(verifier)
        return delivery.run_id

    answer = send(client)
    assert (answer.status_code, answer.json()) == (200, "r_1")


def test_an_asynchronous_endpoint_gets_the_model_from_the_decorator(app, client):
    @app.post("/port/{name}")
    @webhook(make(), model=Vm)
    async def endpoint(vm: Vm, name: str, zone: str = "a"):
        return [vm.cpu, vm.disk.size, name, zone]

    answer = send(client, VM, path="/port/x?zone=b")
    assert answer.json() == [2, 10, "x", "b"]


def test_an_asynchronous_endpoint_gets_the_model_from_the_dependency(app, client):
    hook = PortWebhook(make(), model=Vm)

    @app.post("/port/{name}")
    async def endpoint(vm: Annotated[Vm, Depends(hook)], name: str, zone: str = "a"):
        return [vm.cpu, vm.disk.size, name, zone]

    answer = send(client, VM, path="/port/x?zone=b")
    assert answer.json() == [2, 10, "x", "b"]


def test_the_delivery_follows_a_request(app, client):
    @app.post("/port")
    @webhook(make())
    def endpoint(request: Request, delivery: Delivery):
        return request.state.port_delivery is delivery

    assert send(client).json() is True


@pytest.mark.parametrize("bound", [False, True])
def test_the_delivery_follows_self(app, client, bound):
    class Views:
        name = "views"

        @webhook(make())
        def endpoint(self, delivery: Delivery, zone: str = "a"):
            return [self.name, delivery.run_id, zone]

    if bound:
        app.post("/port")(Views().endpoint)
    else:
        # What class-based views of FastAPI's utilities do.
        own = inspect.signature(Views.endpoint)
        first, *others = own.parameters.values()
        view = Views.endpoint
        view.__signature__ = own.replace(
            parameters=[
                first.replace(kind=first.KEYWORD_ONLY, default=Depends(Views)),
                *others,
            ]
        )
        app.post("/port")(view)
    assert send(client).json() == ["views", "r_1", "a"]


def test_parameters_by_position_only_are_filled_in(app, client):
    @app.post("/port/{name}")
    @webhook(make())
    def endpoint(request: Request, delivery: Delivery, name: str, /):
        return [request.method, delivery.run_id, name]

    assert send(client, path="/port/x").json() == ["POST", "r_1", "x"]


def test_variable_arguments_are_room_for_the_delivery(app, client):
    @app.post("/keywords")
    @webhook(make())
    def keywords(**values: Any):
        return [*values, values["delivery"].run_id]

    @app.post("/positions")
    @webhook(make())
    def positions(request: Request, *values: Any):
        return [request.method, values[0].run_id]

    assert send(client, path="/keywords").json() == ["delivery", "r_1"]
    assert send(client, path="/positions").json() == ["POST", "r_1"]


def test_an_endpoint_may_be_an_object(app, client):
    class View:
        __slots__ = ()

        async def __call__(self, delivery: Delivery):
            return delivery.run_id

    app.post("/port")(webhook(make())(View()))
    assert send(client).json() == "r_1"


def test_what_is_filled_in_is_not_asked_of_the_client(app):
    @app.post("/port")
    @webhook(make())
    def endpoint(delivery: "Delivery", zone: "str" = "a") -> "dict[str, str]":
        """Make a machine."""
        return {}

    assert endpoint.__name__ == "endpoint"
    assert endpoint.__annotations__ == {"zone": str, "return": dict[str, str]}
    operation = app.openapi()["paths"]["/port"]["post"]
    assert [each["name"] for each in operation["parameters"]] == ["zone"]
    assert operation["description"] == "Make a machine."


def test_nothing_else_runs_for_a_request_that_is_refused(app, client):
    def database():
        pytest.fail("called")

    @app.post("/port")
    @webhook(make())
    def endpoint(
        delivery: Delivery, other: Annotated[Any, Depends(database)], zone: int
    ):
        pytest.fail("called")

    assert send(client, headers={}).status_code == 401


def test_a_dependency_of_a_dependency_may_ask_for_it(app, client):
    hook = PortWebhook(make())

    def run_id(delivery: Annotated[Delivery, Depends(hook)]):
        yield delivery.run_id

    @app.post("/port")
    def endpoint(run: Annotated[str, Depends(run_id)]):
        return run

    assert send(client).json() == "r_1"
    assert send(client, headers={}).status_code == 401


def test_a_test_may_replace_it(app, client):
    hook = PortWebhook(make())

    @app.post("/port")
    def endpoint(delivery: Annotated[Any, Depends(hook)]):
        return delivery

    app.dependency_overrides[hook] = lambda: "made up"
    assert send(client, headers={}).json() == "made up"


# Adapters on adapters


@every_way
def test_adapters_on_one_request_verify_claim_and_commit_once(app, way):
    verified: list[Any] = []
    store = Store()
    verifier = make(replay_store=store, on_verified=verified.append)

    @way(app, verifier)
    def endpoint(
        first: Annotated[Delivery, Depends(PortWebhook(verifier))],
        second: Annotated[Delivery, Depends(PortWebhook(verifier))],
    ):
        return first is second

    client = serve(PortWebhookMiddleware(app, verifier))
    assert send(client).json() is True
    assert len(verified) == 1
    assert store.steps == ["claim", "commit"]


@every_way
def test_a_payload_error_inside_is_logged_once(app, way):
    rejected: list[Any] = []
    store = Store()
    verifier = make(replay_store=store, on_rejected=rejected.append)

    @way(app, verifier)
    def endpoint(
        first: Annotated[Delivery, Depends(PortWebhook(verifier))],
        vm: Annotated[Vm, Depends(PortWebhook(verifier, model=Vm))],
    ):
        pytest.fail("called")

    assert send(serve(PortWebhookMiddleware(app, verifier))).status_code == 422
    assert len(rejected) == 1
    assert store.steps == ["claim", "release"]


def test_another_verifier_accepts_what_the_agent_sent_to_the_first(app, client):
    @app.post("/port")
    def endpoint(
        outer: Annotated[Delivery, Depends(PortWebhook(make(agent=True)))],
        inner: Annotated[Delivery, Depends(PortWebhook(make()))],
    ):
        return [outer.via, inner.via]

    spaced = BODY.replace(b":", b": ")
    assert send(client, spaced, headers=signed()).json() == ["agent", "port"]


@every_way
def test_a_state_that_is_shared_does_not_carry_a_delivery_over(app, way):
    state: dict[str, Any] = {}

    async def sharing(scope, receive, send):
        await app({**scope, "state": state}, receive, send)

    @way(app, make())
    def endpoint(): ...

    client = serve(sharing)
    assert send(client).status_code == 200
    assert send(client, headers={}).status_code == 401


# Routers


@every_way
def test_a_router_in_a_router_is_verified(app, client, way):
    inner, outer = APIRouter(prefix="/b"), APIRouter(prefix="/a")

    @way(inner, make())
    def endpoint(request: Request):
        return request.state.port_delivery.run_id

    outer.include_router(inner)
    app.include_router(outer)
    assert send(client, path="/a/b/port").json() == "r_1"
    assert send(client, path="/a/b/port", headers={}).status_code == 401


def test_a_dependency_of_an_included_router_ends_its_claims(app, client):
    store = Store()
    router = APIRouter()

    @router.post("/port")
    def endpoint(request: Request):
        return request.state.port_delivery.run_id

    hook = Depends(PortWebhook(make(replay_store=store)))
    app.include_router(router, dependencies=[hook])
    assert send(client).json() == "r_1"
    assert store.steps == ["claim", "commit"]


def test_a_mounted_application_is_verified(app, client):
    store = Store()
    inner = FastAPI()

    @Ways.decorator(inner, make(replay_store=store))
    def endpoint(): ...

    app.mount("/inner", inner)
    assert send(client, path="/inner/port").status_code == 200
    assert send(client, path="/inner/port", headers={}).status_code == 401
    assert store.steps == ["claim", "commit"]


def test_a_method_that_the_route_does_not_have_is_verified_too(app, client):
    @Ways.route(app, make())
    def endpoint(): ...

    assert send(client, method="GET", headers={}).status_code == 401
    assert send(client, method="GET").status_code == 405


def test_a_route_keeps_the_dependencies_that_it_is_given(app, client):
    seen = []

    @Ways.route(app, make(), dependencies=[Depends(lambda: seen.append("here"))])
    def endpoint(): ...

    assert send(client).status_code == 200
    assert seen == ["here"]


def test_a_route_that_verifies_nothing_is_left_alone(app):
    @app.get("/stream")
    def stream():
        return StreamingResponse(iter(["a", "b"]))

    @app.get("/fails")
    def fails():
        raise KeyError

    client = TestClient(app)
    assert client.get("/stream").text == "ab"
    with pytest.raises(KeyError) as caught:
        client.get("/fails")
    modules = [each.frame.f_globals["__name__"] for each in caught.traceback]
    assert not any(name.startswith("port_webhook.") for name in modules)


def test_the_package_holds_names_only():
    names = {each for each in vars(fastapi_adapter) if not each.startswith("_")}
    assert names >= {"PortWebhook", "webhook", "webhook_route"}
    assert fastapi_adapter.__all__ == ["PortWebhook", "webhook", "webhook_route"]
