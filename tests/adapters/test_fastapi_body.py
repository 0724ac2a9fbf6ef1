"""FastAPI: what is refused, and what the endpoint reads of the body."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import inspect
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, HTTPException, Request, Response
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware

from port_webhook import Delivery, PayloadError, UnreadableBodyError
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .doubles import BODY, FORM, Store, make, signed
from .fastapi_requests import (
    FORM_TYPE,
    JSON_TYPE,
    VM,
    Ways,
    ask,
    every_way,
    part,
    send,
    serve,
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


# What the endpoint reads


def test_what_was_read_of_the_agent_before_is_read_again(app, client):
    async def early(request: Request):
        return [await request.json(), dict(await request.form())]

    hook = Depends(PortWebhook(make(agent=True)))

    @app.post("/port", dependencies=[Depends(early), hook])
    async def endpoint(request: Request):
        document, form = await request.json(), await request.form()
        return [document, dict(form)]

    answer = send(client, b' { "a" : 1 } ', headers=signed(b'{"a":1}'), **FORM_TYPE)
    assert answer.json() == [{"a": 1}, {'{"a":1}': ""}]


# What is refused


@every_way
def test_a_handler_of_the_application_may_change_the_answer(app, client, way):
    @app.exception_handler(HTTPException)
    def show(request, error):
        return Response(error.detail, error.status_code, error.headers)

    @way(app, make())
    def endpoint(): ...

    answer = send(client, headers={})
    assert (answer.status_code, answer.text) == (401, "unauthorized")
    assert "content-type" not in answer.headers


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


@every_way
async def test_a_truncated_body_is_unreadable(app, way):
    rejected: list[Any] = []

    @way(app, make(on_rejected=rejected.append))
    def endpoint():
        pytest.fail("called")

    sent, _ = await ask(app, part(BODY[:5]))
    # Starlette asks for an answer; the client of the route class is known to be gone.
    assert [message.get("status") for message in sent[:1]] in ([400], [])
    assert [type(error) for error in rejected] == [UnreadableBodyError]


@every_way
async def test_a_body_that_is_not_bytes_is_a_bad_request(app, way):
    rejected: list[Any] = []

    @way(app, make(on_rejected=rejected.append))
    def endpoint():
        pytest.fail("called")

    sent, _ = await ask(app, part(BODY[:5]), part(None, more=False))
    assert sent[0]["status"] == 400
    assert [type(error) for error in rejected] == [UnreadableBodyError]
    assert "NoneType, not bytes" in str(rejected[0])


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


@pytest.mark.parametrize("way", [Ways.decorator, Ways.dependency])
def test_a_body_that_a_middleware_took_is_400(app, client, way):
    class Taking(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            async for _ in request.stream():
                pass
            return await call_next(request)

    app.add_middleware(Taking)

    @way(app, make())
    def endpoint(): ...

    assert send(client).status_code == 400


@every_way
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
@every_way
def test_a_limit_of_the_application_is_its_own_413(way):
    app = FastAPI(max_body_size=5)

    @way(app, make())
    def endpoint(): ...

    def chunks():
        yield BODY

    assert (
        serve(app).post("/port", content=chunks(), headers=signed()).status_code == 413
    )


# Payloads


@pytest.mark.parametrize("decorated", [False, True])
def test_a_payload_that_is_not_the_model_is_422(app, client, decorated):
    rejected: list[Any] = []
    store = Store()
    verifier = make(on_rejected=rejected.append, replay_store=store)
    if decorated:

        @app.post("/port")
        @webhook(verifier, model=Vm)
        def endpoint(vm: Vm):
            pytest.fail("called")

    else:

        @app.post("/port")
        def other(vm: Annotated[Vm, Depends(PortWebhook(verifier, model=Vm))]):
            pytest.fail("called")

    answer = send(client)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "unprocessable_content"}
    assert [(type(error), error.run_id) for error in rejected] == [
        (PayloadError, "r_1")
    ]
    assert store.steps == ["claim", "release"]
