"""The FastAPI adapter: the dependency and the route class."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import asyncio
import inspect
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    HTTPException,
    Request,
    Response,
    WebSocket,
)
from fastapi.exceptions import FastAPIError
from fastapi.testclient import TestClient
from pydantic import BaseModel, SkipValidation
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse

from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    CustomPayload,
    Delivery,
    PayloadError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters import fastapi as fastapi_adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware
from port_webhook.adapters.fastapi import PortWebhook, webhook_route

SECRET = "the-client-secret"
OTHER = "the-client-secret-of-another-organisation"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
VM = b'{"cpu":2,"disk":{"size":10}}'
FORM = b"payload=a+b&other=c"
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
JSON_TYPE = {"content-type": "application/json"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Store:
    """A synchronous replay store that writes down what it is asked."""

    def __init__(self, *, claim="claimed", commit=True, log=None):
        self.steps = [] if log is None else log
        self._claim = claim
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return self._claim

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore(Store):
    """The same, asynchronous; it says when a claim has ended."""

    def __init__(self, **options):
        super().__init__(**options)
        self.ended = asyncio.Event()

    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        await asyncio.sleep(0)
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await asyncio.sleep(0)
        self.ended.set()
        return super().release(key, owner)


class Disk(BaseModel):
    size: int


class Vm(BaseModel):
    cpu: int
    disk: Disk


class Struct(msgspec.Struct):
    cpu: int
    disk: dict[str, int]


@dataclass
class Plain:
    cpu: int


def make(**options):
    return Verifier(SECRET, **{"clock": lambda: NOW, **options})


def signed(body=BODY, secret=SECRET):
    return sign(body, secret, timestamp=NOW)


def send(client, body=BODY, *, headers=None, path="/port", method="POST", **extra):
    """Send *body*, signed unless *headers* are given."""
    headers = signed(body) if headers is None else headers
    return client.request(method, path, content=body, headers={**headers, **extra})


def serve(app, **options):
    return TestClient(app, raise_server_exceptions=False, **options)


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def client(app):
    return serve(app)


class Ways:
    """The two ways to protect an endpoint that takes the delivery."""

    @staticmethod
    def dependency(app, verifier):
        """Return a decorator for endpoints on ``/port``."""
        hook = Depends(PortWebhook(verifier))
        return app.post("/port", dependencies=[hook])

    @staticmethod
    def route(app, verifier):
        router = APIRouter(route_class=webhook_route(verifier))

        def decorator(endpoint):
            router.post("/port")(endpoint)
            app.include_router(router)
            return endpoint

        return decorator


both = pytest.mark.parametrize("way", [Ways.dependency, Ways.route])


# What an endpoint gets


def test_a_synchronous_endpoint_gets_the_delivery(app, client):
    verifier = make()

    @app.post("/port")
    def endpoint(delivery: Annotated[Delivery, Depends(PortWebhook(verifier))]):
        assert delivery.verified_by(verifier)
        return delivery.run_id

    answer = send(client)
    assert (answer.status_code, answer.json()) == (200, "r_1")


def test_an_asynchronous_endpoint_gets_the_model(app, client):
    hook = PortWebhook(make(), model=Vm)

    @app.post("/port/{name}")
    async def endpoint(vm: Annotated[Vm, Depends(hook)], name: str, zone: str = "a"):
        return [vm.cpu, vm.disk.size, name, zone]

    answer = send(client, VM, path="/port/x?zone=b")
    assert answer.json() == [2, 10, "x", "b"]


def test_the_delivery_is_on_the_state_and_the_body_can_be_read(app, client):
    @app.post("/port", dependencies=[Depends(PortWebhook(make()))])
    async def endpoint(request: Request):
        body = await request.body()
        return [body == BODY, request.state.port_delivery.payload == body]

    assert send(client).json() == [True, True]


def test_what_the_agent_sent_is_read_as_it_was_signed(app, client):
    @app.post("/port", dependencies=[Depends(PortWebhook(make(agent=True)))])
    async def endpoint(request: Request):
        return (await request.body()).decode()

    spelled = b'{ "context": {"runId": "r_1"} }'
    assert send(client, spelled, headers=signed()).json() == BODY.decode()


def test_a_form_can_be_parsed_afterwards(app, client):
    @app.post("/port", dependencies=[Depends(PortWebhook(make()))])
    async def endpoint(request: Request):
        return dict(await request.form())

    assert send(client, FORM, **FORM_TYPE).json() == {"payload": "a b", "other": "c"}


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


def test_the_class_alone_is_refused_when_the_route_is_made(app):
    with pytest.raises(FastAPIError):

        @app.post("/port")
        def endpoint(delivery: Annotated[Any, Depends(PortWebhook)]): ...


def test_a_verifier_that_is_none_is_refused():
    with pytest.raises(ConfigurationError):
        PortWebhook("secret")  # type: ignore[arg-type]  # the point
    with pytest.raises(ConfigurationError):
        webhook_route("secret")  # type: ignore[arg-type]  # the point


@both
def test_the_environment_is_read_on_first_use(app, client, way, monkeypatch):
    @way(app, None)
    def endpoint(): ...

    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    assert send(client, headers=sign(BODY, SECRET)).status_code == 200


@both
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_verifier_is_chosen_by_the_request(app, client, way, asynchronous):
    verifiers = {"a": make(), "b": Verifier(OTHER, clock=lambda: NOW)}

    def choose(request):
        return verifiers[request.headers["x-org"]]

    async def achoose(request):
        return choose(request)

    @way(app, achoose if asynchronous else choose)
    def endpoint(): ...

    assert send(client, **{"x-org": "a"}).status_code == 200
    assert send(client, **{"x-org": "b"}).status_code == 401
    assert send(client, **{"x-org": "c"}).status_code == 500


# What is refused


@both
def test_an_unsigned_request_is_401_in_the_shape_of_fastapi(app, client, way):
    @way(app, make())
    def endpoint():
        pytest.fail("called")

    answer = send(client, headers={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "PortWebhook"
    assert answer.json() == {"detail": "unauthorized"}


@both
def test_a_handler_of_the_application_may_change_the_answer(app, client, way):
    @app.exception_handler(HTTPException)
    def show(request, error):
        return Response(error.detail, error.status_code, error.headers)

    @way(app, make())
    def endpoint(): ...

    answer = send(client, headers={})
    assert (answer.status_code, answer.text) == (401, "unauthorized")
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_verified(app, client, method):
    @app.api_route("/port", methods=METHODS)
    def endpoint(delivery: Annotated[Delivery, Depends(PortWebhook(make()))]): ...

    assert send(client, method=method).status_code == 200
    assert send(client, method=method, headers={}).status_code == 401


def test_a_malformed_body_is_401_where_the_route_verifies(app, client):
    @Ways.route(app, make())
    def endpoint(vm: Vm): ...

    assert send(client, b"{", headers={}, **JSON_TYPE).status_code == 401
    assert send(client, b"{", **JSON_TYPE).status_code == 422
    assert send(client, VM, **JSON_TYPE).status_code == 200


def test_a_multipart_bomb_is_not_parsed_before_it_is_verified(app, client):
    @Ways.route(app, make())
    def endpoint(name: Annotated[str, Form()]): ...

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert send(client, b"--y", headers={}, **headers).status_code == 401


@both
def test_a_declared_length_over_the_limit_is_413(app, client, way):
    @way(app, make(max_body_bytes=5))
    def endpoint(): ...

    answer = send(client)
    assert answer.status_code == 413
    assert answer.json() == {"detail": "content_too_large"}


async def ask(app, *messages, headers=None, length=None):
    """Send *messages* to *app*, and return the answer's messages."""
    incoming, sent = list(messages), []
    pairs = [
        (name.encode(), value.encode()) for name, value in (headers or signed()).items()
    ]
    if length is not None:
        pairs.append((b"content-length", length))

    async def receive():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def keep(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/port",
        "query_string": b"",
        "headers": pairs,
    }
    await app(scope, receive, keep)
    return sent, len(messages) - len(incoming)


def part(body, *, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


@both
async def test_reading_stops_at_the_limit(app, way):
    @way(app, make(max_body_bytes=5))
    def endpoint(): ...

    sent, read = await ask(app, part(b"abcd"), part(b"ef"), part(b"g", more=False))
    assert sent[0]["status"] == 413
    assert read == 2


@both
@pytest.mark.parametrize("length", [b"-1", b"100"])
async def test_a_length_that_lies_is_400(app, way, length):
    @way(app, make())
    def endpoint(): ...

    sent, _ = await ask(app, part(BODY, more=False), length=length)
    assert sent[0]["status"] == 400


@both
async def test_a_truncated_body_is_unreadable(app, way):
    rejected: list[Any] = []

    @way(app, make(on_rejected=rejected.append))
    def endpoint():
        pytest.fail("called")

    sent, _ = await ask(app, part(BODY[:5]))
    # Starlette asks for an answer; the client of the route class is known to be gone.
    assert [message.get("status") for message in sent[:1]] in ([400], [])
    assert [type(error) for error in rejected] == [UnreadableBodyError]


def test_a_form_that_was_read_first_is_400(app, client):
    @app.post("/port")
    def endpoint(
        payload: Annotated[str, Form()],
        delivery: Annotated[Delivery, Depends(PortWebhook(make()))],
    ): ...

    assert send(client, FORM, **FORM_TYPE).status_code == 400


def test_a_body_that_was_read_and_kept_is_verified(app, client):
    @app.post("/port")
    def endpoint(
        vm: Vm, delivery: Annotated[Delivery, Depends(PortWebhook(make()))]
    ): ...

    assert send(client, VM, **JSON_TYPE).status_code == 200
    assert send(client, VM, headers=signed(), **JSON_TYPE).status_code == 401


def test_a_body_that_a_middleware_took_is_400(app, client):
    class Taking(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            async for _ in request.stream():
                pass
            return await call_next(request)

    app.add_middleware(Taking)

    @Ways.dependency(app, make())
    def endpoint(): ...

    assert send(client).status_code == 400


@both
def test_a_middleware_may_read_the_body_and_what_the_endpoint_left(app, client, way):
    seen = []

    class Reading(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            request.state.early = await request.body()
            answer = await call_next(request)
            seen.append((request.state.early, request.state.late))
            return answer

    app.add_middleware(Reading)

    @way(app, make())
    def endpoint(request: Request):
        request.state.late = request.state.port_delivery.payload

    assert send(client).status_code == 200
    assert seen == [(BODY, BODY)]


@pytest.mark.skipif(
    "max_body_size" not in inspect.signature(FastAPI).parameters,
    reason="this FastAPI has no max_body_size",
)
def test_a_limit_of_the_application_is_its_own_413():
    app = FastAPI(max_body_size=5)

    @Ways.dependency(app, make())
    def endpoint(): ...

    def chunks():
        yield BODY

    assert (
        serve(app).post("/port", content=chunks(), headers=signed()).status_code == 413
    )


@both
def test_no_frame_of_an_error_shows_the_body(app, way):
    @way(app, make())
    def endpoint():
        raise ValueError

    with pytest.raises(ValueError) as caught:
        send(TestClient(app))
    trace = caught.value.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if "port_webhook" in frame.f_code.co_filename:
            assert "r_1" not in repr(frame.f_locals)
            assert signed()["x-port-signature"] not in repr(frame.f_locals)
        trace = trace.tb_next


# Payloads


def test_a_payload_that_is_not_the_model_is_422(app, client):
    rejected: list[Any] = []
    store = Store()
    verifier = make(on_rejected=rejected.append, replay_store=store)

    @app.post("/port")
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(verifier, model=Vm))]):
        pytest.fail("called")

    answer = send(client)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "unprocessable_content"}
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


@both
def test_a_payload_that_the_endpoint_cannot_use_is_422(app, client, way):
    rejected: list[Any] = []
    store = Store()

    @way(app, make(on_rejected=rejected.append, replay_store=store))
    def endpoint(request: Request):
        return request.state.port_delivery.json()

    assert send(client, b"no json").status_code == 422
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


# Replay protection


@both
@pytest.mark.parametrize("store_type", [Store, AsyncStore])
def test_a_request_that_succeeds_is_committed(app, client, way, store_type):
    store = store_type()

    @way(app, make(replay_store=store))
    def endpoint(): ...

    assert send(client).status_code == 200
    assert store.steps == ["claim", "commit"]


@both
def test_the_commit_comes_before_background_tasks(app, client, way):
    log: list[Any] = []

    @way(app, make(replay_store=Store(log=log)))
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(log.append, "task")

    assert send(client).status_code == 200
    assert log == ["claim", "commit", "task"]


@both
def test_the_commit_comes_before_a_streamed_answer(app, client, way):
    log: list[Any] = []

    @way(app, make(replay_store=Store(log=log)))
    def endpoint():
        async def chunks():
            log.append("chunk")
            yield b"a"

        return StreamingResponse(chunks())

    assert send(client).content == b"a"
    assert log == ["claim", "commit", "chunk"]


@both
@pytest.mark.parametrize(
    ("raised", "status", "end"),
    [
        (HTTPException(404), 404, "release"),
        (HTTPException(303, headers={"location": "/"}), 303, "commit"),
        (ValueError(), 500, "release"),
    ],
)
def test_an_exception_counts_by_its_status(app, way, raised, status, end):
    store = Store()

    @way(app, make(replay_store=store))
    def endpoint():
        raise raised

    answer = send(serve(app, follow_redirects=False))
    assert answer.status_code == status
    assert store.steps == ["claim", end]


@pytest.mark.parametrize(("status", "end"), [(201, "commit"), (503, "release")])
def test_the_status_that_the_route_declares_counts(app, client, status, end):
    store = Store()
    hook = Depends(PortWebhook(make(replay_store=store)))

    @app.post("/port", status_code=status, dependencies=[hook])
    def endpoint(): ...

    assert send(client).status_code == status
    assert store.steps == ["claim", end]


def test_another_verifier_accepts_what_the_agent_sent_to_the_first(app, client):
    @app.post("/port")
    def endpoint(
        outer: Annotated[Delivery, Depends(PortWebhook(make(agent=True)))],
        inner: Annotated[Delivery, Depends(PortWebhook(make()))],
    ):
        return [outer.via, inner.via]

    spaced = BODY.replace(b":", b": ")
    assert send(client, spaced, headers=signed()).json() == ["agent", "port"]


@both
@pytest.mark.parametrize(("status", "end"), [(202, "commit"), (418, "release")])
def test_the_status_of_an_injected_response_counts(app, client, way, status, end):
    store = Store()

    @way(app, make(replay_store=store))
    def endpoint(response: Response):
        response.status_code = status

    assert send(client).status_code == status
    assert store.steps == ["claim", end]


def test_the_route_class_counts_a_returned_response(app, client):
    store = Store()

    @Ways.route(app, make(replay_store=store))
    def endpoint():
        return JSONResponse("busy", 503)

    assert send(client).status_code == 503
    assert store.steps == ["claim", "release"]


def test_the_dependency_does_not_see_a_returned_response(app, client):
    store = Store()

    @Ways.dependency(app, make(replay_store=store))
    def endpoint():
        return JSONResponse("busy", 503)

    assert send(client).status_code == 503
    assert store.steps == ["claim", "commit"]


def test_the_route_class_counts_the_answer_of_an_exception_handler(app, client):
    store = Store()

    @app.exception_handler(KeyError)
    def known(request, error):
        return JSONResponse("done before", 200)

    @Ways.route(app, make(replay_store=store))
    def endpoint():
        raise KeyError

    assert send(client).status_code == 200
    assert store.steps == ["claim", "commit"]


@both
def test_a_request_that_fastapi_refuses_is_released(app, client, way):
    store = Store()

    @way(app, make(replay_store=store))
    def endpoint(zone: int):
        pytest.fail("called")

    assert send(client, path="/port?zone=x").status_code == 422
    assert store.steps == ["claim", "release"]


@both
@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("committed", (200, {"detail": "duplicate"})),
        ("in_progress", (409, {"detail": "in_progress"})),
        ("?", (503, {"detail": "unavailable"})),
    ],
)
def test_a_request_that_cannot_be_claimed_is_not_run(app, client, way, claim, expected):
    @way(app, make(replay_store=Store(claim=claim)))
    def endpoint():
        pytest.fail("called")

    answer = send(client)
    assert (answer.status_code, answer.json()) == expected


@both
def test_a_commit_that_fails_replaces_the_answer(app, client, way):
    @way(app, make(replay_store=Store(commit="?")))
    def endpoint(): ...

    answer = send(client)
    assert answer.status_code == 503
    assert answer.json() == {"detail": "unavailable"}
    assert answer.headers["retry-after"]


@both
async def test_a_cancelled_request_releases(app, way):
    store, running = AsyncStore(), asyncio.Event()

    @way(app, make(replay_store=store))
    async def endpoint():
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(ask(app, part(BODY, more=False)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.ended.wait()
    await asyncio.sleep(0)
    assert store.steps == ["claim", "release"]


# Adapters on adapters


@both
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


def test_a_payload_error_inside_is_logged_once(app):
    rejected: list[Any] = []
    store = Store()
    verifier = make(replay_store=store, on_rejected=rejected.append)

    @Ways.route(app, verifier)
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(verifier, model=Vm))]):
        pytest.fail("called")

    assert send(serve(PortWebhookMiddleware(app, verifier))).status_code == 422
    assert len(rejected) == 1
    assert store.steps == ["claim", "release"]


def test_another_verifier_verifies_anew(app):
    @Ways.dependency(app, Verifier(OTHER, clock=lambda: NOW))
    def endpoint(): ...

    assert send(serve(PortWebhookMiddleware(app, make()))).status_code == 401


def test_a_state_that_is_shared_does_not_carry_a_delivery_over(app):
    state: dict[str, Any] = {}

    async def sharing(scope, receive, send):
        await app({**scope, "state": state}, receive, send)

    @Ways.dependency(app, make())
    def endpoint(): ...

    client = serve(sharing)
    assert send(client).status_code == 200
    assert send(client, headers={}).status_code == 401


# The route class


def test_a_method_that_the_route_does_not_have_is_verified_too(app, client):
    @Ways.route(app, make())
    def endpoint(): ...

    assert send(client, method="GET", headers={}).status_code == 401
    assert send(client, method="GET").status_code == 405


def test_a_router_in_a_router_keeps_its_route_class(app, client):
    inner = APIRouter(route_class=webhook_route(make()), prefix="/b")
    outer = APIRouter(prefix="/a")

    @inner.post("/port")
    def endpoint(request: Request):
        return request.state.port_delivery.run_id

    outer.include_router(inner)
    app.include_router(outer)
    assert send(client, path="/a/b/port").json() == "r_1"
    assert send(client, path="/a/b/port", headers={}).status_code == 401


def test_a_route_keeps_the_dependencies_that_it_is_given(app, client):
    seen = []
    router = APIRouter(route_class=webhook_route(make()))

    @router.post("/port", dependencies=[Depends(lambda: seen.append("here"))])
    def endpoint(): ...

    app.include_router(router)
    assert send(client).status_code == 200
    assert seen == ["here"]


# OpenAPI


def describe(app, path="/port"):
    document = app.openapi()
    return document["paths"][path]["post"], document["components"]


def schema_of(operation):
    return operation["requestBody"]["content"]["application/json"]["schema"]


@both
def test_the_documentation_shows_the_scheme_and_the_answers(app, way):
    @way(app, make())
    def endpoint(): ...

    operation, components = describe(app)
    assert operation["security"] == [{"PortWebhook": []}]
    assert components["securitySchemes"]["PortWebhook"]["type"] == "apiKey"
    assert components["securitySchemes"]["PortWebhook"]["name"] == "x-port-signature"
    assert set(operation["responses"]) == {"200", "400", "401", "413", "422"}
    answer = operation["responses"]["401"]["content"]["application/json"]["schema"]
    assert answer["properties"] == {"detail": {"type": "string"}}
    assert schema_of(operation) == {}


def test_the_documentation_shows_the_answers_of_a_replay_store(app):
    @Ways.dependency(app, make(replay_store=Store()))
    def endpoint(): ...

    assert {"409", "503"} <= set(describe(app)[0]["responses"])


def test_a_fastapi_that_documents_in_another_way_is_left_alone():
    utils = SimpleNamespace()
    fastapi_adapter._extend_documentation(utils)
    assert vars(utils) == {}


def test_the_documentation_shows_a_pydantic_model(app):
    @app.post("/port")
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(make(), model=Vm))]): ...

    operation, components = describe(app)
    schema = schema_of(operation)
    assert schema["required"] == ["cpu", "disk"]
    name = schema["properties"]["disk"]["$ref"].removeprefix("#/components/schemas/")
    assert components["schemas"][name]["properties"]["size"]["type"] == "integer"


def test_a_model_of_the_same_name_in_an_answer_stays_as_it_is(app):
    @app.post("/port")
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(make(), model=Vm))]) -> Disk:
        return vm.disk

    _, components = describe(app)
    assert set(components["schemas"]) >= {"Disk", "Disk-PortWebhook"}


def test_the_documentation_shows_one_of_our_models(app):
    model = ActionInvocation[dict[str, str]]

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=model))]): ...

    schema = schema_of(describe(app)[0])
    assert schema["title"] == "ActionInvocation"
    assert "payload" in schema["required"]
    assert schema["properties"]["action"] == {"type": "string"}
    context = schema["properties"]["context"]
    assert context["properties"]["runId"] == {"type": "string"}


def test_a_custom_payload_is_any_json(app):
    hook = PortWebhook(make(), model=CustomPayload)

    @app.post("/port", dependencies=[Depends(hook)])
    def endpoint(): ...

    assert schema_of(describe(app)[0]) == {}


def test_the_documentation_shows_a_msgspec_struct(app):
    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Struct))]): ...

    operation, components = describe(app)
    name = schema_of(operation)["$ref"].removeprefix("#/components/schemas/")
    assert components["schemas"][name]["required"] == ["cpu", "disk"]


def test_the_documentation_shows_a_dataclass_without_msgspec(app, monkeypatch):
    monkeypatch.delitem(sys.modules, "msgspec")

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Plain))]): ...

    assert schema_of(describe(app)[0])["required"] == ["cpu"]


def test_a_model_without_a_schema_does_not_break_the_documentation(app):
    class Odd(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        thing: SkipValidation[Store]

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Odd))]): ...

    assert schema_of(describe(app)[0]) == {}


def test_what_a_route_says_itself_stays(app):
    hook = PortWebhook(make(), model=Vm)
    body: dict[str, Any] = {"content": {"text/plain": {}}}

    @app.post(
        "/port",
        dependencies=[Depends(hook)],
        responses={401: {"description": "Who are you?"}},
        openapi_extra={"requestBody": body},
    )
    def endpoint(): ...

    operation, _ = describe(app)
    assert operation["responses"]["401"]["description"] == "Who are you?"
    assert operation["requestBody"] == body


def test_a_body_that_the_endpoint_declares_is_documented_by_fastapi(app):
    @Ways.route(app, make())
    def endpoint(vm: Vm): ...

    assert schema_of(describe(app)[0]) == {"$ref": "#/components/schemas/Vm"}


def test_a_get_has_no_body_and_other_routes_do_not_change(app):
    @app.get("/port", dependencies=[Depends(PortWebhook(make()))])
    def endpoint(): ...

    @app.get("/open")
    def open_endpoint(): ...

    paths = app.openapi()["paths"]
    assert "requestBody" not in paths["/port"]["get"]
    assert "401" in paths["/port"]["get"]["responses"]
    assert set(paths["/open"]["get"]["responses"]) == {"200"}


def test_a_websocket_is_not_verified_and_cannot_ask_for_a_delivery(app):
    @app.websocket("/talk")
    async def talk(
        websocket: WebSocket,
        delivery: Annotated[Delivery, Depends(PortWebhook(make()))],
    ):
        pytest.fail("called")

    with pytest.raises(TypeError), TestClient(app).websocket_connect("/talk"):
        pytest.fail("accepted")
