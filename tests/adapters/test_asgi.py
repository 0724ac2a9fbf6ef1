"""The ASGI middleware, through messages written by hand."""

from __future__ import annotations

import asyncio
import json
import threading
from traceback import walk_tb
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DuplicateDeliveryError,
    PayloadError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of

SECRET = "the-client-secret"
OTHER = "the-client-secret-of-another-organisation"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
FORM = b"payload=a+b&other=c"


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
        if isinstance(self._commit, Exception):
            raise self._commit
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
        self.ended.set()
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await asyncio.sleep(0)
        self.ended.set()
        return super().release(key, owner)


class Connection:
    """A server's side of one request."""

    def __init__(self, *messages, log=None):
        self.incoming = list(messages)
        self.received = 0
        self.sent = []
        self.log = log

    async def receive(self):
        self.received += 1
        if self.incoming:
            return self.incoming.pop(0)
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.log is not None:
            self.log.append(message["type"].removeprefix("http.response."))
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent[1:])


class App:
    """An application that reads everything and answers with a status."""

    def __init__(self, status=200, *, raises=None, answers=True):
        self.scopes = []
        self.messages = []
        self._status = status
        self._raises = raises
        self._answers = answers

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        self.messages += [await receive(), await receive()]
        if self._raises is not None:
            raise self._raises
        if self._answers:
            start = {"type": "http.response.start", "status": self._status}
            await send({**start, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})

    @property
    def delivery(self):
        return delivery_of(self.scopes[0])


def make(**options):
    return Verifier(SECRET, **{"clock": lambda: NOW, **options})


def parts(*bodies):
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": index < last}
        for index, body in enumerate(bodies)
    ]


def scope_of(body=BODY, *, headers=None, length=True, **options):
    """Make a scope for *body*, signed unless *headers* are given."""
    if headers is None:
        headers = sign(body, SECRET, timestamp=NOW)
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    if length:
        pairs.append((b"Content-Length", str(len(body)).encode()))
    return {
        "type": "http",
        "method": "POST",
        "path": "/port",
        "headers": pairs,
        **options,
    }


async def ask(app, scope=None, *messages):
    """Send one request through *app*."""
    connection = Connection(*(messages or parts(BODY)))
    await app(scope or scope_of(), connection.receive, connection.send)
    return connection


async def test_the_application_gets_the_delivery_in_its_state():
    app, verifier = App(), make()
    answer = await ask(PortWebhookMiddleware(app, verifier))
    assert (answer.status, answer.body) == (200, b"done")
    assert app.delivery.payload == BODY
    assert app.delivery.verified_by(verifier)


def test_a_server_can_tell_it_from_a_factory():
    """Uvicorn calls what it is given without arguments, and awaits a TypeError."""
    middleware: Any = PortWebhookMiddleware(App(), make())
    with pytest.raises(TypeError):
        middleware()


async def test_the_scope_and_the_state_of_the_server_are_not_changed():
    app = App()
    state = {"pool": object()}
    scope = scope_of(state=state)
    before = dict(scope)
    await ask(PortWebhookMiddleware(app, make()), scope)
    assert scope == before
    assert set(state) == {"pool"}
    assert app.scopes[0]["state"]["pool"] is state["pool"]


async def test_a_state_that_a_server_shares_does_not_carry_a_delivery_over():
    app = App()
    state: dict[str, Any] = {}
    middleware = PortWebhookMiddleware(app, make())
    await ask(middleware, scope_of(state=state))
    answer = await ask(middleware, scope_of(headers={}, state=state))
    assert answer.status == 401
    assert len(app.scopes) == 1


async def test_the_application_receives_the_payload_once_and_then_the_server():
    app = App()
    scope = scope_of(length=False)
    await ask(PortWebhookMiddleware(app, make()), scope, *parts(BODY[:5], BODY[5:]))
    assert app.messages == [
        {"type": "http.request", "body": BODY, "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_the_headers_stay_as_they_came():
    app = App()
    scope = scope_of()
    await ask(PortWebhookMiddleware(app, make()), scope)
    assert app.scopes[0]["headers"] == scope["headers"]


async def test_a_message_may_lack_its_optional_keys():
    app = App()
    await ask(
        PortWebhookMiddleware(app, make()), scope_of(b""), {"type": "http.request"}
    )
    assert app.delivery.payload == b""


async def test_the_length_of_what_the_agent_sent_is_corrected():
    app = App()
    sent = b'{ "context": {"runId": "r_1"} }'
    scope = scope_of(sent, headers=sign(BODY, SECRET, timestamp=NOW))
    scope["headers"].append((b"Transfer-Encoding", b"identity"))
    await ask(PortWebhookMiddleware(app, make(agent=True)), scope, *parts(sent))
    headers = dict(app.scopes[0]["headers"])
    assert app.delivery.via == "agent"
    assert app.messages[0]["body"] == BODY
    assert headers[b"content-length"] == str(len(BODY)).encode()
    assert not {b"Content-Length", b"Transfer-Encoding"} & set(headers)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_of_ports_is_verified(method):
    app = App()
    middleware = PortWebhookMiddleware(app, make())
    answer = await ask(middleware, scope_of(headers={}, method=method))
    assert answer.status == 401
    assert app.scopes == []
    assert (await ask(middleware, scope_of(method=method))).status == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "post"])
@pytest.mark.parametrize("headers", [None, {}])
async def test_other_methods_are_405_without_a_claim(method, headers):
    app, store = App(), Store()
    middleware = PortWebhookMiddleware(app, make(replay_store=store))
    answer = await ask(middleware, scope_of(headers=headers, method=method))
    assert answer.status == 405
    assert answer.headers[b"allow"] == b"GET, POST, PUT, PATCH, DELETE"
    assert (answer.body == b"") == (method == "HEAD")
    assert (answer.received, app.scopes, store.steps) == (0, [], [])


@pytest.mark.parametrize(
    "header",
    [
        (b"content-encoding", b"gzip"),
        (b"Content-Encoding", b"identity, br"),
        (b"content-type", b"application/json; charset=utf-7"),
        (b"Content-Type", b'text/plain; charset="latin-1"'),
    ],
)
async def test_what_would_be_decoded_otherwise_is_415_before_the_body_is_read(header):
    app = App()
    scope = scope_of()
    scope["headers"].append(header)
    answer = await ask(PortWebhookMiddleware(app, make()), scope)
    assert (answer.status, answer.received) == (415, 0)
    assert app.scopes == []
    scope = scope_of(headers={})
    scope["headers"].append(header)
    assert (await ask(PortWebhookMiddleware(app, make()), scope)).status == 401


async def test_characters_may_be_split_across_chunks():
    body = '{"name":"é€😀"}'.encode()
    chunks = parts(*(body[index : index + 1] for index in range(len(body))))
    for length in (True, False):
        app = App()
        scope = scope_of(body, length=length)
        answer = await ask(PortWebhookMiddleware(app, make()), scope, *chunks)
        assert answer.status == 200
        assert app.messages[0]["body"] == body


async def test_a_body_that_something_read_before_is_told_from_a_wrong_secret(records):
    """With a length it is 400 at once; a chunked one if nothing matches."""
    scope = scope_of()
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 400
    scope = scope_of(length=False)
    scope["headers"].append((b"transfer-encoding", b"chunked"))
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 400
    gone = {"type": "http.disconnect"}
    answer = await ask(PortWebhookMiddleware(App(), make()), scope_of(), gone)
    assert answer.sent == []
    messages = [record.getMessage() for record in records]
    assert len(messages) == 3
    assert all("read the body before it" in message for message in messages)


async def test_an_empty_chunked_body_can_be_signed():
    scope = scope_of(b"", length=False)
    scope["headers"].append((b"transfer-encoding", b"chunked"))
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 200


async def test_an_unsigned_request_is_answered_before_its_body_is_read():
    answer = await ask(PortWebhookMiddleware(App(), make()), scope_of(headers={}))
    assert answer.received == 0
    assert answer.status == 401
    assert answer.headers[b"www-authenticate"] == b"PortWebhook"
    assert answer.headers[b"content-type"] == b"application/json"
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert json.loads(answer.body) == {"error": "unauthorized"}


async def test_a_tampered_body_is_401_and_not_seen():
    app = App()
    answer = await ask(PortWebhookMiddleware(app, make()), None, *parts(BODY + b"\n"))
    assert answer.status == 400  # its length was declared
    answer = await ask(
        PortWebhookMiddleware(app, make()),
        scope_of(length=False),
        *parts(BODY + b"\n"),
    )
    assert answer.status == 401
    assert app.scopes == []


async def test_a_header_that_comes_twice_is_401():
    scope = scope_of()
    scope["headers"].append(scope["headers"][0])
    assert (await ask(PortWebhookMiddleware(App(), make()), scope)).status == 401


async def test_a_declared_length_over_the_limit_is_413_before_the_body_is_read():
    answer = await ask(PortWebhookMiddleware(App(), make(max_body_bytes=5)))
    assert (answer.status, answer.received) == (413, 0)


async def test_reading_stops_at_the_limit():
    verifier = make(max_body_bytes=5)
    scope = scope_of(length=False)
    answer = await ask(
        PortWebhookMiddleware(App(), verifier), scope, *parts(b"abcd", b"ef", b"g")
    )
    assert (answer.status, answer.received) == (413, 2)


@pytest.mark.parametrize("length", [b"1e1", b"-1"])
async def test_a_length_that_is_no_number_is_400(length):
    scope = scope_of(length=False)
    scope["headers"].append((b"content-length", length))
    assert (await ask(PortWebhookMiddleware(App(), make()), scope)).status == 400


async def test_nothing_is_sent_to_a_client_that_is_gone():
    rejected: list[Any] = []
    app = App()
    middleware = PortWebhookMiddleware(app, make(on_rejected=rejected.append))
    messages = [{**parts(BODY)[0], "more_body": True}, {"type": "http.disconnect"}]
    answer = await ask(middleware, None, *messages)
    assert answer.sent == []
    assert app.scopes == []
    assert [type(error) for error in rejected] == [UnreadableBodyError]


async def test_nothing_is_sent_when_the_server_cannot_receive():
    rejected: list[Any] = []

    async def receive():
        raise ConnectionResetError

    connection = Connection()
    middleware = PortWebhookMiddleware(App(), make(on_rejected=rejected.append))
    await middleware(scope_of(), receive, connection.send)
    assert connection.sent == []
    assert [error.code for error in rejected] == ["unreadable_body"]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_protocols_pass_through(kind):
    app = App()
    connection = Connection()
    scope = {"type": kind, "path": "/port"}
    await PortWebhookMiddleware(app, make())(scope, connection.receive, connection.send)
    assert app.scopes == [scope]
    assert app.scopes[0] is scope


async def test_the_environment_is_read_on_first_use(monkeypatch):
    middleware = PortWebhookMiddleware(App())
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    body = b"{}"
    answer = await ask(
        middleware, scope_of(body, headers=sign(body, SECRET)), *parts(body)
    )
    assert answer.status == 200


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_verifier_is_chosen_by_the_scope(asynchronous):
    verifiers = {"/a": make(), "/b": Verifier(OTHER, clock=lambda: NOW)}

    def choose(scope):
        return verifiers[scope["path"]]

    async def achoose(scope):
        return choose(scope)

    middleware = PortWebhookMiddleware(
        App(), choose=achoose if asynchronous else choose
    )
    assert (await ask(middleware, scope_of(path="/a"))).status == 200
    assert (await ask(middleware, scope_of(path="/b"))).status == 401


async def test_a_synchronous_choice_does_not_run_on_the_event_loop():
    threads = []

    def choose(scope):
        threads.append(threading.current_thread())
        return make()

    answer = await ask(PortWebhookMiddleware(App(), choose=choose))
    assert answer.status == 200
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["secret"], {}, "Verifier"),
        ([Verifier], {}, "Verifier"),
        ([lambda scope: make()], {}, "choose="),
        ([make()], {"choose": lambda scope: make()}, "not both"),
        ([], {"choose": make()}, "function"),
        ([], {"paths": ["/port"], "exclude": ["/health"]}, "not both"),
        ([], {"paths": "/port"}, "collection"),
        ([], {"paths": []}, "nothing would be verified"),
        ([], {"exclude": "/health"}, "collection"),
        ([], {"exclude": ["/health/*"]}, "placeholders"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, options, message):
    with pytest.raises(ConfigurationError, match=message):
        PortWebhookMiddleware(App(), *arguments, **options)


async def test_a_choice_that_is_no_verifier_is_an_error():
    app = App()
    middleware: Any = PortWebhookMiddleware(app, choose=lambda scope: None)  # type: ignore[arg-type,return-value]  # the point
    with pytest.raises(ConfigurationError):
        await ask(middleware)
    assert app.scopes == []


@pytest.mark.parametrize("status", [200, 302, 399])
async def test_a_status_under_400_commits_before_it_is_sent(status):
    log: list[Any] = []
    store = Store(log=log)
    middleware = PortWebhookMiddleware(App(status), make(replay_store=store))
    connection = Connection(*parts(BODY), log=log)
    await middleware(scope_of(), connection.receive, connection.send)
    assert log == ["claim", "commit", "start", "body"]


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_status_of_400_and_over_releases(status):
    store = AsyncStore()
    answer = await ask(PortWebhookMiddleware(App(status), make(replay_store=store)))
    assert answer.status == status
    assert store.steps == ["claim", "release"]


async def test_a_status_is_counted_once():
    store = Store()

    async def app(scope, receive, send):
        for status in (200, 500):
            await send({"type": "http.response.start", "status": status})

    await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert store.steps == ["claim", "commit"]


async def test_an_exception_is_the_applications_own_and_releases():
    store = Store()
    app = App(raises=ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert store.steps == ["claim", "release"]


async def test_an_exception_after_the_start_changes_nothing():
    store = Store()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError

    with pytest.raises(ValueError):
        await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert store.steps == ["claim", "commit"]


async def test_an_application_that_does_not_answer_releases():
    store = Store()
    app = App(answers=False)
    answer = await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert answer.sent == []
    assert store.steps == ["claim", "release"]


async def test_a_payload_that_the_application_cannot_use_is_422():
    rejected: list[Any] = []
    store = Store()

    async def app(scope, receive, send):
        scope["state"]["port_delivery"].json()

    verifier = make(replay_store=store, on_rejected=rejected.append)
    body = b"no json"
    answer = await ask(
        PortWebhookMiddleware(app, verifier), scope_of(body), *parts(body)
    )
    assert answer.status == 422
    assert store.steps == ["claim", "release"]
    assert [type(error) for error in rejected] == [PayloadError]


@pytest.mark.parametrize(
    ("claim", "status"), [("committed", 200), ("in_progress", 409), ("?", 503)]
)
async def test_a_request_that_cannot_be_claimed_is_not_run(claim, status):
    app, store = App(), AsyncStore(claim=claim)
    answer = await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert answer.status == status
    assert app.scopes == []
    assert store.steps == ["claim"]


async def test_a_commit_that_fails_replaces_the_answer():
    store = Store(commit=OSError())
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        seen.append(await receive())
        await send({"type": "http.response.body", "body": b"done"})

    answer = await ask(
        PortWebhookMiddleware(app, make(replay_store=store)),
        None,
        *parts(BODY),
        {"type": "http.request"},
    )
    assert answer.status == 503
    assert answer.headers[b"retry-after"]
    assert json.loads(answer.body) == {"error": "unavailable"}
    assert len(answer.sent) == 2
    assert seen == [{"type": "http.disconnect"}]  # an application that streams stops


async def test_a_cancelled_request_releases():
    store = AsyncStore()
    running = asyncio.Event()

    async def app(scope, receive, send):
        running.set()
        await asyncio.Event().wait()

    middleware = PortWebhookMiddleware(app, make(replay_store=store))
    task = asyncio.create_task(ask(middleware))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.ended.wait()
    await asyncio.sleep(0)
    assert store.steps == ["claim", "release"]


async def test_a_second_middleware_reuses_the_delivery():
    verified: list[Any] = []
    app, store = App(), Store()
    verifier = make(replay_store=store, on_verified=verified.append)
    inner = PortWebhookMiddleware(app, verifier)
    answer = await ask(PortWebhookMiddleware(inner, verifier))
    assert answer.status == 200
    assert len(verified) == 1
    assert app.messages[0]["body"] == BODY
    assert store.steps == ["claim", "commit"]


async def test_a_second_middleware_answers_for_a_payload_that_cannot_be_used():
    rejected: list[Any] = []
    store = Store()
    verifier = make(replay_store=store, on_rejected=rejected.append)

    async def app(scope, receive, send):
        scope["state"]["port_delivery"].json()

    body = b"no json"
    answer = await ask(
        PortWebhookMiddleware(PortWebhookMiddleware(app, verifier), verifier),
        scope_of(body),
        *parts(body),
    )
    assert answer.status == 422
    assert len(rejected) == 1
    assert store.steps == ["claim", "release"]


async def test_another_verifier_verifies_anew():
    inner = PortWebhookMiddleware(App(), Verifier(OTHER, clock=lambda: NOW))
    assert (await ask(PortWebhookMiddleware(inner, make()))).status == 401


async def test_errors_keep_the_payload_out_of_their_frames():
    errors: list[Any] = []
    verifier = make(max_body_bytes=5, on_rejected=errors.append)
    await ask(PortWebhookMiddleware(App(), verifier), scope_of(length=False))
    (error,) = errors
    assert isinstance(error, BodyTooLargeError)
    assert error.__context__ is None
    frames = [frame.f_locals for frame, _ in walk_tb(error.__traceback__)]
    assert repr(BODY)[2:-1] not in repr(frames)


# The same through Starlette, which is what most applications are made of.


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


def test_a_streamed_answer_commits_when_it_starts():
    log: list[Any] = []

    async def stream(request):
        async def chunks():
            log.append("chunk")
            yield b"a"

        return StreamingResponse(chunks())

    app = Starlette(routes=[Route("/port", stream, methods=["POST"])])
    verifier = make(replay_store=Store(log=log))
    assert post(TestClient(PortWebhookMiddleware(app, verifier))).content == b"a"
    assert log == ["claim", "commit", "chunk"]


def test_an_exception_in_starlette_is_a_500():
    store = Store()

    async def broken(request):
        raise ValueError

    app = Starlette(routes=[Route("/port", broken, methods=["POST"])])
    middleware = PortWebhookMiddleware(app, make(replay_store=store))
    client = TestClient(middleware, raise_server_exceptions=False)
    assert post(client).status_code == 500
    assert store.steps == ["claim", "release"]


def test_a_duplicate_is_200_and_logged(records):
    rejected: list[Any] = []
    verifier = make(replay_store=Store(claim="committed"), on_rejected=rejected.append)
    client = TestClient(PortWebhookMiddleware(Starlette(), verifier))
    answer = post(client)
    assert answer.status_code == 200
    assert answer.json() == {"status": "duplicate"}
    assert [type(error) for error in rejected] == [DuplicateDeliveryError]
    assert [record.levelname for record in records] == ["WARNING"]
