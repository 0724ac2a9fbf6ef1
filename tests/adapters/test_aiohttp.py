"""The aiohttp adapter, on aiohttp's own server on the loopback interface."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import TransferEncodingError
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from pydantic import BaseModel

from port_webhook import (
    ConfigurationError,
    CustomPayload,
    PayloadError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters.aiohttp import webhook

SECRET = "the-client-secret"
OTHER = "the-client-secret-of-another-organisation"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
FORM = b"payload=a+b&other=c"
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = (
    b'--q\r\nContent-Disposition: form-data; name="payload"\r\n\r\na b\r\n--q--\r\n'
)
MULTIPART_TYPE = {"content-type": "multipart/form-data; boundary=q"}


class Store:
    """A synchronous replay store that writes down what it is asked."""

    def __init__(self, *, claim="claimed", commit=True):
        self.steps: list[str] = []
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
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await asyncio.sleep(0)
        self.ended.set()
        return super().release(key, owner)


class Vm(BaseModel):
    cpu: int


def make(**options):
    return Verifier(SECRET, **{"clock": lambda: NOW, **options})


def signed(body=BODY):
    return sign(body, SECRET, timestamp=NOW)


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    clients = []

    async def start(handler, *, middlewares=(), on_response_prepare=None, **options):
        app = web.Application(middlewares=middlewares, **options)
        if on_response_prepare is not None:
            app.on_response_prepare.append(on_response_prepare)
        app.router.add_route("*", "/port", handler)
        client = TestClient(TestServer(app), auto_decompress=False)
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


async def send(client, body=BODY, *, headers=None, method="POST", **extra):
    """Send *body*, signed unless *headers* are given."""
    headers = signed(body) if headers is None else headers
    answer = await client.request(
        method, "/port", data=body, headers={**headers, **extra}, allow_redirects=False
    )
    await answer.read()
    return answer


def refuse(*_):
    pytest.fail("called")


# What a handler gets


async def test_a_handler_gets_the_request_and_the_delivery(start):
    verifier = make()

    @webhook(verifier)
    async def handler(request, delivery):
        assert delivery.verified_by(verifier)
        assert request["port_delivery"] is delivery
        return web.Response(text=delivery.run_id)

    answer = await send(await start(handler))
    assert (answer.status, await answer.text()) == (200, "r_1")


async def test_the_delivery_follows_self_in_a_view(start):
    class View(web.View):
        @webhook(make())
        async def post(self, delivery):
            return web.Response(text=delivery.run_id + self.request.method)

    client = await start(View)
    assert await (await send(client)).text() == "r_1POST"
    assert (await send(client, headers={})).status == 401


async def test_the_delivery_follows_the_request_in_a_method(start):
    class Handlers:
        @webhook(make())
        async def create(self, request, delivery):
            return web.Response(text=delivery.run_id + request.method)

    assert await (await send(await start(Handlers().create))).text() == "r_1POST"


async def test_a_handler_gets_the_model(start):
    @webhook(make(), model=Vm)
    async def handler(request, vm):
        return web.Response(text=str(vm.cpu))

    client = await start(handler)
    assert await (await send(client, b'{"cpu":2}')).text() == "2"


@pytest.mark.parametrize("bare", [False, True])
async def test_the_environment_is_read_on_first_use(start, monkeypatch, bare):
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    wrapped = webhook(handler) if bare else webhook()(handler)
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    answer = await send(await start(wrapped), headers=sign(BODY, SECRET))
    assert answer.status == 200


async def test_a_verifier_is_chosen_by_the_request(start):
    verifiers = {"a": make(), "b": Verifier(OTHER, clock=lambda: NOW)}

    @webhook(lambda request: verifiers[request.headers["x-org"]])
    async def handler(request, delivery):
        return web.Response()

    client = await start(handler)
    assert (await send(client, **{"x-org": "a"})).status == 200
    assert (await send(client, **{"x-org": "b"})).status == 401


async def test_an_asynchronous_function_may_choose_the_verifier(start):
    async def choose(request):
        return make()

    @webhook(choose)
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    assert await (await send(await start(handler))).text() == "r_1"


async def test_a_handler_may_be_synchronous(start):
    store = Store()

    @webhook(make(replay_store=store))
    def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    assert await (await send(await start(handler))).text() == "r_1"
    assert store.steps == ["claim", "commit"]


def test_a_class_is_refused_when_it_is_decorated():
    class Hooks(web.View): ...

    with pytest.raises(ConfigurationError, match="decorate the methods"):
        webhook(make())(Hooks)


async def test_a_function_that_gets_no_request_is_an_error_that_says_so():
    handler: Any = webhook(make())(refuse)
    with pytest.raises(ConfigurationError, match="take a request"):
        await handler("no request")


def test_a_verifier_that_is_none_is_refused():
    with pytest.raises(ConfigurationError):
        webhook("secret")(refuse)  # type: ignore[call-overload]  # the point


async def test_a_handler_keeps_its_name():
    @webhook(make())
    async def create_vm(request, delivery):
        """Create it."""

    assert (create_vm.__name__, create_vm.__doc__) == ("create_vm", "Create it.")


@pytest.mark.parametrize("size", [5, 2**20])
async def test_the_payload_can_be_read_in_every_way(start, size):
    body = b"x" * size

    @webhook(make(max_body_bytes=2 * size))
    async def handler(request, delivery):
        assert await request.read() == body
        assert await request.content.read() == body
        return web.Response()

    assert (await send(await start(handler, client_max_size=2), body)).status == 200


@pytest.mark.parametrize(
    ("body", "kind", "form"),
    [
        (FORM, FORM_TYPE, {"payload": "a b", "other": "c"}),
        (MULTIPART, MULTIPART_TYPE, {"payload": "a b"}),
    ],
)
async def test_a_form_can_be_parsed_afterwards(start, body, kind, form):
    @webhook(make())
    async def handler(request, delivery):
        return web.json_response(dict(await request.post()))

    answer = await send(await start(handler), body, **kind)
    assert await answer.json() == form


async def test_what_the_agent_sent_is_read_as_it_was_signed(start):
    @webhook(make(agent=True))
    async def handler(request, delivery):
        return web.Response(body=await request.read())

    spelled = b'{ "context": {"runId": "r_1"} }'
    answer = await send(await start(handler), spelled, headers=signed())
    assert await answer.read() == BODY


# What is refused


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_is_verified(start, method):
    seen = []

    @webhook(make())
    async def handler(request, delivery):
        seen.append(delivery.payload)
        return web.Response()

    client = await start(handler)
    assert (await send(client, method=method, headers={})).status == 401
    assert seen == []
    assert (await send(client, method=method)).status == 200
    assert seen == [BODY]


async def test_an_unsigned_request_is_401(start):
    answer = await send(await start(webhook(make())(refuse)), headers={})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "PortWebhook"
    assert answer.content_type == "application/json"
    assert await answer.json() == {"error": "unauthorized"}


async def test_a_tampered_body_is_401(start):
    client = await start(webhook(make())(refuse))
    assert (await send(client, BODY + b"\n", headers=signed())).status == 401


async def test_a_header_that_comes_twice_is_401(start):
    client = await start(webhook(make())(refuse))
    headers = [*signed().items(), *signed().items()]
    answer = await client.post("/port", data=BODY, headers=headers)
    assert answer.status == 401


async def chunks():
    for start in range(0, len(BODY), 5):
        yield BODY[start : start + 5]


async def test_a_chunked_body_is_verified(start):
    @webhook(make())
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    answer = await send(await start(handler), chunks(), headers=signed())
    assert await answer.text() == "r_1"


@pytest.mark.parametrize("body", [lambda: BODY, chunks])
async def test_a_body_over_the_limit_is_413(start, body):
    client = await start(webhook(make(max_body_bytes=5))(refuse))
    answer = await send(client, body(), headers=signed())
    assert answer.status == 413
    assert await answer.json() == {"error": "content_too_large"}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "made-up"])
async def test_a_content_encoding_is_415(start, encoding, records):
    rejected: list[Any] = []
    client = await start(webhook(make(on_rejected=rejected.append))(refuse))
    body = gzip.compress(BODY)
    headers = {**signed(body), "content-encoding": encoding}
    answer = await client.post("/port", data=body, headers=headers, compress=False)
    assert answer.status == 415
    assert answer.headers["Accept-Encoding"] == "identity"
    assert await answer.json() == {"error": "unsupported_media_type"}
    assert [error.code for error in rejected] == ["unreadable_body"]
    assert [record.port_http_status for record in records] == [415]


@pytest.mark.parametrize("order", [("identity", "gzip"), ("gzip", "identity")])
async def test_a_second_content_encoding_does_not_hide_the_first(start, order):
    client = await start(webhook(make())(refuse))
    headers = [*signed().items(), *(("content-encoding", each) for each in order)]
    body = gzip.compress(BODY)
    answer = await client.post("/port", data=body, headers=headers, compress=False)
    assert answer.status == 415


async def test_an_unsigned_content_encoding_is_401(start):
    client = await start(webhook(make())(refuse))
    answer = await send(client, headers={}, **{"content-encoding": "gzip"})
    assert answer.status == 401


async def test_the_identity_encoding_is_none(start):
    @webhook(make())
    async def handler(request, delivery):
        return web.Response()

    answer = await send(await start(handler), **{"content-encoding": " Identity"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("Connection lost"),
        TransferEncodingError("Not enough data"),
        web.RequestPayloadError("Not enough data"),
        RuntimeError("Connection closed."),
    ],
)
async def test_a_truncated_body_is_400(error):
    rejected: list[Any] = []
    stream = StreamReader(Mock(_reading_paused=False), 2**16)
    stream.feed_data(BODY[:5])
    request = make_mocked_request("POST", "/port", headers=signed(), payload=stream)
    stream.set_exception(error)
    handler: Any = webhook(make(on_rejected=rejected.append))(refuse)
    assert (await handler(request)).status == 400
    assert [type(error) for error in rejected] == [UnreadableBodyError]


async def test_a_body_that_ends_early_is_400():
    request = make_mocked_request(
        "POST", "/port", headers={**signed(), "Content-Length": "100"}
    )
    handler: Any = webhook(make())(refuse)
    assert (await handler(request)).status == 400


async def test_a_body_that_was_read_and_kept_is_verified(start):
    @web.middleware
    async def reading(request, handler):
        await request.read()
        return await handler(request)

    @webhook(make())
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    client = await start(handler, middlewares=[reading])
    assert await (await send(client)).text() == "r_1"
    assert (await send(client, b"?", headers=signed())).status == 401


async def test_a_body_that_was_read_and_lost_is_400(start):
    @web.middleware
    async def losing(request, handler):
        await request.content.read()
        return await handler(request)

    client = await start(webhook(make())(refuse), middlewares=[losing])
    assert (await send(client)).status == 400
    assert (await send(client, chunks(), headers=signed())).status == 400


async def test_a_chunked_body_of_which_a_part_was_read_is_400(start, records):
    @web.middleware
    async def losing(request, handler):
        await request.content.read(3)
        return await handler(request)

    client = await start(webhook(make())(refuse), middlewares=[losing])
    assert (await send(client, chunks(), headers=signed())).status == 400
    assert "took a part of request.content" in records[0].getMessage()


async def test_an_exception_is_the_handlers_own(start):
    @webhook(make())
    async def handler(request, delivery):
        raise ValueError

    assert (await send(await start(handler))).status == 500


# Payloads


async def test_a_payload_that_is_not_the_model_is_422(start):
    rejected: list[Any] = []
    store = Store()
    verifier = make(on_rejected=rejected.append, replay_store=store)
    client = await start(webhook(verifier, model=Vm)(refuse))
    answer = await send(client)
    assert answer.status == 422
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


# Replay protection


@pytest.mark.parametrize("store_type", [Store, AsyncStore])
@pytest.mark.parametrize(
    ("status", "end"),
    [(200, "commit"), (302, "commit"), (400, "release"), (503, "release")],
)
async def test_the_status_of_the_answer_counts(start, store_type, status, end):
    store = store_type()

    @webhook(make(replay_store=store))
    async def handler(request, delivery):
        return web.Response(status=status)

    assert (await send(await start(handler))).status == status
    assert store.steps == ["claim", end]


@pytest.mark.parametrize(
    ("raised", "status", "end"),
    [
        (web.HTTPNotFound, 404, "release"),
        (web.HTTPNoContent, 204, "commit"),
        (ValueError, 500, "release"),
    ],
)
async def test_an_exception_counts_by_its_status(start, raised, status, end):
    store = Store()

    @webhook(make(replay_store=store))
    async def handler(request, delivery):
        raise raised

    assert (await send(await start(handler))).status == status
    assert store.steps == ["claim", end]


async def test_a_streamed_answer_counts_when_it_starts(start):
    store = Store()
    steps = []

    @webhook(make(replay_store=store))
    async def handler(request, delivery):
        answer = web.StreamResponse(status=202)
        await answer.prepare(request)
        steps.extend(store.steps)
        await answer.write(b"a")
        await answer.write_eof()
        return answer

    async def announce(request, response):
        response.headers["x-signal"] = "sent"

    client = await start(handler, on_response_prepare=announce)
    answer = await send(client)
    assert (answer.status, answer.headers["x-signal"]) == (202, "sent")
    assert steps == store.steps == ["claim", "commit"]


@pytest.mark.parametrize("error", [ValueError, lambda: PayloadError("is wrong")])
async def test_an_exception_after_the_start_changes_nothing(start, error):
    store = Store()

    @webhook(make(replay_store=store))
    async def handler(request, delivery):
        await web.StreamResponse().prepare(request)
        raise error()

    client = await start(handler)
    assert (await client.post("/port", data=BODY, headers=signed())).status == 200
    assert store.steps == ["claim", "commit"]


async def test_a_streamed_answer_is_503_if_its_commit_fails(start):
    @webhook(make(replay_store=Store(commit="?")))
    async def handler(request, delivery):
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write_eof()
        return answer

    answer = await send(await start(handler))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.content_type == "application/octet-stream"


async def test_a_handler_that_returns_nothing_is_released(start):
    store = Store()

    @webhook(make(replay_store=store))
    async def handler(request, delivery): ...

    assert (await send(await start(handler))).status == 500
    assert store.steps == ["claim", "release"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"claim": "committed"}, 200),
        ({"claim": "in_progress"}, 409),
        ({"claim": "?"}, 503),
        ({"commit": "?"}, 503),
    ],
)
async def test_the_answer_of_a_replay_store_replaces_the_handlers(
    start, options, status
):
    @webhook(make(replay_store=Store(**options)))
    async def handler(request, delivery):
        return web.Response(status=201)

    assert (await send(await start(handler))).status == status


async def test_a_cancelled_request_releases():
    store, running = AsyncStore(), asyncio.Event()

    @webhook(make(replay_store=store))
    async def handler(request, delivery):
        running.set()
        await asyncio.Event().wait()

    request: Any = make_mocked_request("POST", "/port", headers=signed(b""))
    task = asyncio.ensure_future(handler(request))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.ended.wait()
    await asyncio.sleep(0)
    assert store.steps == ["claim", "release"]


async def test_a_second_decorator_reuses_the_delivery(start):
    verified: list[Any] = []
    store = Store()
    verifier = make(replay_store=store, on_verified=verified.append)

    @webhook(verifier)
    async def inner(request, delivery):
        return web.Response(text=delivery.run_id)

    @webhook(verifier)
    async def outer(request, delivery):
        return await inner(request)

    assert await (await send(await start(outer))).text() == "r_1"
    assert len(verified) == 1
    assert store.steps == ["claim", "commit"]


async def test_stacked_decorators_pass_their_deliveries_in_order(start):
    store = Store()
    verifier = make(replay_store=store)

    class Hooks(web.View):
        @webhook(verifier)
        @webhook(verifier, model=CustomPayload)
        async def post(self, delivery, payload):
            return web.json_response([delivery.run_id, payload.to_dict()])

    @webhook(verifier)
    @webhook(verifier)
    async def handler(request, outer, inner):
        return web.json_response(outer is inner)

    assert await (await send(await start(handler))).json() is True
    answer = await (await send(await start(Hooks))).json()
    assert answer == ["r_1", {"context": {"runId": "r_1"}}]
    assert store.steps == ["claim", "commit"] * 2


async def test_another_verifier_accepts_what_the_agent_sent_to_the_first(start):
    @webhook(make(agent=True))
    @webhook(make())
    async def handler(request, outer, inner):
        return web.Response(text=f"{outer.via} {inner.via}")

    spaced = BODY.replace(b":", b": ")
    answer = await send(await start(handler), spaced, headers=signed())
    assert await answer.text() == "agent port"


async def test_another_verifier_verifies_anew(start):
    @webhook(Verifier(OTHER, clock=lambda: NOW))
    async def inner(request, delivery):
        pytest.fail("called")

    @webhook(make())
    async def outer(request, delivery):
        return await inner(request)

    assert (await send(await start(outer))).status == 401
