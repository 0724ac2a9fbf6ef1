"""FastAPI: what is refused, and what the endpoint reads of the body."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import inspect
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, HTTPException, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware

from port_webhook import Delivery, PayloadError, UnreadableBodyError
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .doubles import Store
from .fastapi_requests import (
    BODY,
    FORM,
    FORM_TYPE,
    JSON_TYPE,
    VM,
    Ways,
    ask,
    every_way,
    make,
    part,
    send,
    serve,
    signed,
)

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
SPACED = b'{ "context": {"runId": "r_1"} }'


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


@every_way
def test_the_delivery_is_on_the_state_and_the_body_can_be_read(app, client, way):
    @way(app, make())
    async def endpoint(request: Request):
        body = await request.body()
        return [body == BODY, request.state.port_delivery.payload == body]

    assert send(client).json() == [True, True]


@every_way
def test_every_accessor_gives_what_the_agent_signed(app, client, way):
    @way(app, make(agent=True))
    async def endpoint(request: Request):
        document = await request.json()
        body = await request.body()
        stream = b"".join([chunk async for chunk in request.stream()])
        return [document, body.decode(), stream.decode()]

    assert send(client, SPACED, headers=signed()).json() == [
        {"context": {"runId": "r_1"}},
        BODY.decode(),
        BODY.decode(),
    ]


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


@every_way
def test_a_form_can_be_parsed_afterwards(app, client, way):
    @way(app, make())
    async def endpoint(request: Request):
        return dict(await request.form())

    assert send(client, FORM, **FORM_TYPE).json() == {"payload": "a b", "other": "c"}


@every_way
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=utf-7"},
        {"content-type": "application/json;charset=latin-1"},
        {"content-type": "multipart/form-data; boundary=x; charset=utf-16"},
        {"content-encoding": "gzip"},
        {"content-encoding": "identity, br"},
    ],
)
def test_a_body_that_would_be_decoded_otherwise_is_415(app, client, way, headers):
    store = Store()

    @way(app, make(replay_store=store))
    def endpoint():
        pytest.fail("called")

    answer = send(client, **headers)
    assert answer.status_code == 415
    assert answer.json() == {"detail": "unsupported_media_type"}
    assert store.steps == []


@every_way
def test_a_charset_that_changes_nothing_is_accepted(app, client, way):
    @way(app, make())
    def endpoint(): ...

    headers = {"content-type": 'application/json; charset="UTF-8"'}
    assert send(client, **headers).status_code == 200
    assert send(client, **{"content-encoding": "identity"}).status_code == 200


# What is refused


@every_way
def test_an_unsigned_request_is_401_in_the_shape_of_fastapi(app, client, way):
    @way(app, make())
    def endpoint():
        pytest.fail("called")

    answer = send(client, headers={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "PortWebhook"
    assert answer.json() == {"detail": "unauthorized"}


@every_way
async def test_a_second_signature_is_refused(app, way):
    @way(app, make())
    def endpoint():
        pytest.fail("called")

    twice = {**signed(), "X-Port-Signature": signed()["x-port-signature"]}
    sent, _ = await ask(app, part(BODY, more=False), headers=twice)
    assert sent[0]["status"] == 401


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


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_port_is_verified(app, client, method):
    @app.api_route("/port", methods=METHODS)
    @webhook(make())
    def endpoint(delivery: Delivery): ...

    assert send(client, method=method).status_code == 200
    assert send(client, method=method, headers={}).status_code == 401


@every_way
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
async def test_a_method_that_port_does_not_use_is_405_before_the_claim(
    app, way, method
):
    store = Store()

    @way(app, make(replay_store=store))
    def endpoint():
        pytest.fail("called")

    for route in app.routes:
        getattr(route, "methods", set()).add(method)
    sent, _ = await ask(app, part(BODY, more=False), method=method)
    assert sent[0]["status"] == 405
    assert dict(sent[0]["headers"])[b"allow"] == b"GET, POST, PUT, PATCH, DELETE"
    assert store.steps == []


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
def test_a_declared_length_over_the_limit_is_413(app, client, way):
    @way(app, make(max_body_bytes=5))
    def endpoint(): ...

    answer = send(client)
    assert answer.status_code == 413
    assert answer.json() == {"detail": "content_too_large"}


@every_way
async def test_reading_stops_at_the_limit(app, way):
    @way(app, make(max_body_bytes=5))
    def endpoint(): ...

    sent, read = await ask(app, part(b"abcd"), part(b"ef"), part(b"g", more=False))
    assert sent[0]["status"] == 413
    assert read == 2


@every_way
@pytest.mark.parametrize("length", [b"-1", b"100"])
async def test_a_length_that_lies_is_400(app, way, length):
    @way(app, make())
    def endpoint(): ...

    sent, _ = await ask(app, part(BODY, more=False), length=length)
    assert sent[0]["status"] == 400


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


@every_way
@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_frame_of_an_error_shows_the_body(app, way, asynchronous):
    if asynchronous:

        @way(app, make())
        async def endpoint():
            raise ValueError

    else:

        @way(app, make())
        def endpoint():
            raise ValueError

    with pytest.raises(ValueError) as caught:
        send(TestClient(app))
    for each in caught.traceback:
        if each.frame.f_globals["__name__"].startswith("port_webhook."):
            shown = repr(each.frame.f_locals)
            assert "r_1" not in shown
            assert signed()["x-port-signature"] not in shown


def test_no_frame_of_an_error_shows_the_model(app):
    @app.post("/port")
    @webhook(make(), model=Vm)
    def endpoint(vm: Vm):
        raise ValueError

    with pytest.raises(ValueError) as caught:
        send(TestClient(app), VM)
    for each in caught.traceback:
        if each.frame.f_globals["__name__"].startswith("port_webhook."):
            assert "cpu" not in repr(each.frame.f_locals)


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


@every_way
def test_a_payload_that_the_endpoint_cannot_use_is_422(app, client, way):
    rejected: list[Any] = []
    store = Store()

    @way(app, make(on_rejected=rejected.append, replay_store=store))
    def endpoint(request: Request):
        return request.state.port_delivery.json()

    assert send(client, b"no json").status_code == 422
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]
