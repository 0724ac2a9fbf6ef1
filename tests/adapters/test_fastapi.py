"""FastAPI: what an endpoint gets, and what is refused when it is declared."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import inspect
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    Body,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Path,
    Request,
    WebSocket,
)
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse
from starlette.routing import Route

from port_webhook import ConfigurationError, Delivery, Verifier, VerifierSource, sign
from port_webhook.adapters import fastapi as fastapi_adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware
from port_webhook.adapters.fastapi import PortWebhook, webhook, webhook_route

from .doubles import Store
from .fastapi_requests import (
    BODY,
    NOW,
    OTHER,
    SECRET,
    VM,
    Ways,
    every_way,
    make,
    send,
    serve,
    signed,
)


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


def test_bare_and_empty_decorators_read_the_environment(app, client, monkeypatch):
    @app.post("/bare")
    @webhook
    def bare(delivery: Delivery):
        return delivery.run_id

    @app.post("/empty")
    @webhook()
    async def empty(delivery: Delivery):
        return delivery.run_id

    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    for path in ("/bare", "/empty"):
        assert send(client, path=path, headers=sign(BODY, SECRET)).json() == "r_1"
        assert send(client, path=path, headers={}).status_code == 401


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


@every_way
def test_the_environment_is_read_on_first_use(app, client, way, monkeypatch):
    @way(app)
    def endpoint(): ...

    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    assert send(client, headers=sign(BODY, SECRET)).status_code == 200


# A verifier that is chosen


VERIFIERS = {"a": make(), "b": Verifier(OTHER, clock=lambda: NOW)}


def by_header(request):
    return VERIFIERS[request.headers["x-org"]]


async def by_header_asynchronously(request):
    return by_header(request)


def by_declared_header(x_org: Annotated[str, Header()]):
    return VERIFIERS[x_org]


async def known(request: Request):
    if request.headers["x-org"] not in VERIFIERS:
        raise KeyError
    return VERIFIERS


def by_dependency(request: "Request", verifiers: Annotated[Any, Depends(known)]):
    return verifiers[request.headers["x-org"]]


def by_generator(request: Any, verifiers: Annotated[Any, Depends(known)]):
    return by_header_asynchronously(request)


CHOOSERS = [
    by_header,
    by_header_asynchronously,
    by_declared_header,
    by_dependency,
    by_generator,
]


@every_way
@pytest.mark.parametrize("choose", CHOOSERS)
def test_a_verifier_is_chosen_by_the_request(app, client, way, choose):
    @way(app, choose=choose)
    def endpoint(): ...

    assert send(client, **{"x-org": "a"}).status_code == 200
    assert send(client, **{"x-org": "b"}).status_code == 401
    assert send(client, **{"x-org": "c"}).status_code == 500


@every_way
def test_a_chooser_may_refuse(app, client, way):
    def choose(request: Request):
        raise HTTPException(404)

    @way(app, choose=choose)
    def endpoint():
        pytest.fail("called")

    assert send(client).status_code == 404


@every_way
def test_a_header_that_a_chooser_declares_may_be_missing(app, client, way):
    @way(app, choose=by_declared_header)
    def endpoint():
        pytest.fail("called")

    assert send(client).status_code == 422


@every_way
def test_a_secret_that_is_fetched_again_is_a_chooser(app, client, way):
    source = VerifierSource(lambda: SECRET, clock=lambda: NOW)

    @way(app, choose=source)
    def endpoint(): ...

    assert send(client).status_code == 200
    assert send(client, headers={}).status_code == 401


@every_way
def test_what_is_chosen_must_be_a_verifier(app, way):
    @way(app, choose=lambda request: SECRET)
    def endpoint():
        pytest.fail("called")

    with pytest.raises(ConfigurationError, match="did not return a Verifier"):
        send(TestClient(app))


def test_a_chooser_may_read_the_path(app, client):
    def choose(org: Annotated[str, Path()]):
        return VERIFIERS[org]

    @app.post("/decorated/{org}")
    @webhook(choose=choose)
    def decorated(delivery: Delivery, org: str):
        return org

    inner = APIRouter(route_class=webhook_route(choose=choose))

    @inner.post("/routed")
    def routed(org: str):
        return org

    app.include_router(inner, prefix="/{org}")
    for path in ("/decorated/{}", "/{}/routed"):
        assert send(client, path=path.format("a")).json() == "a"
        assert send(client, path=path.format("b")).status_code == 401


@every_way
def test_a_chooser_may_read_the_body_before_it_is_verified(app, client, way):
    async def choose(request: Request):
        assert (await request.json())["context"]["runId"] == "r_1"
        return make()

    @way(app, choose=choose)
    async def endpoint(request: Request):
        return (await request.body()).decode()

    assert send(client).json() == BODY.decode()
    assert send(client, headers={}).status_code == 401


def test_a_chooser_of_the_route_may_read_a_form(app, client):
    async def choose(request: Request):
        assert (await request.form())["payload"] == "a b"
        return make()

    @Ways.route(app, choose=choose)
    def endpoint(payload: Annotated[str, Form()]):
        return payload

    content = "application/x-www-form-urlencoded"
    answer = send(client, b"payload=a+b", **{"content-type": content})
    assert answer.json() == "a b"


@every_way
def test_a_chooser_may_be_replaced(app, client, way):
    def choose(request: Request):
        pytest.fail("called")

    @way(app, choose=choose)
    def endpoint(): ...

    app.dependency_overrides[choose] = lambda: make()  # noqa: PLW0108  # no options
    assert send(client).status_code == 200


# What is refused when it is declared


def test_a_verifier_that_is_none_is_refused():
    for refused in (SECRET, lambda request: make(), Verifier):
        with pytest.raises(ConfigurationError):
            PortWebhook(refused)  # type: ignore[arg-type]  # the point
        with pytest.raises(ConfigurationError):
            webhook_route(refused)  # type: ignore[arg-type]  # the point
    with pytest.raises(ConfigurationError):
        webhook(SECRET)  # type: ignore[call-overload]  # the point
    with pytest.raises(ConfigurationError):
        PortWebhook(choose=Verifier)
    with pytest.raises(ConfigurationError):
        webhook_route(make(), choose=by_header)


def test_a_chooser_in_the_place_of_the_verifier_is_refused():
    decorator: Any = webhook
    with pytest.raises(ConfigurationError, match="choose="):

        @decorator(by_header)
        def endpoint(delivery: Delivery): ...

    with pytest.raises(ConfigurationError, match="choose="):

        @decorator(known)
        def other(delivery: Delivery): ...


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
    app.post("/b")(webhook(VERIFIERS["b"])(endpoint))
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
        await endpoint()  # type: ignore[misc]  # the point


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


@every_way
def test_a_payload_error_of_the_endpoint_is_logged_once(app, way):
    rejected: list[Any] = []
    verifier = make(on_rejected=rejected.append)

    @way(app, verifier)
    def endpoint(request: Request):
        return request.state.port_delivery.parse(Vm)

    assert send(serve(PortWebhookMiddleware(app, verifier))).status_code == 422
    assert len(rejected) == 1


@every_way
def test_another_verifier_verifies_anew(app, way):
    @way(app, Verifier(OTHER, clock=lambda: NOW))
    def endpoint(): ...

    assert send(serve(PortWebhookMiddleware(app, make()))).status_code == 401


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
