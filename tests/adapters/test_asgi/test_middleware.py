"""The ASGI middleware, through messages written by hand."""

from __future__ import annotations

import json
import threading
from traceback import walk_tb
from typing import Any

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    Verifier,
    sign,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware

from .server import (
    BODY,
    NOW,
    OTHER,
    SECRET,
    App,
    Connection,
    Store,
    ask,
    make,
    parts,
    scope_of,
)


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


async def test_the_headers_stay_as_they_came():
    app = App()
    scope = scope_of()
    await ask(PortWebhookMiddleware(app, make()), scope)
    assert app.scopes[0]["headers"] == scope["headers"]


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


async def test_an_unsigned_request_is_answered_before_its_body_is_read():
    answer = await ask(PortWebhookMiddleware(App(), make()), scope_of(headers={}))
    assert answer.received == 0
    assert answer.status == 401
    assert answer.headers[b"www-authenticate"] == b"PortWebhook"
    assert answer.headers[b"content-type"] == b"application/json"
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert json.loads(answer.body) == {"error": "unauthorized"}


async def test_a_header_that_comes_twice_is_401():
    scope = scope_of()
    scope["headers"].append(scope["headers"][0])
    assert (await ask(PortWebhookMiddleware(App(), make()), scope)).status == 401


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


async def test_errors_keep_the_payload_out_of_their_frames():
    errors: list[Any] = []
    verifier = make(max_body_bytes=5, on_rejected=errors.append)
    await ask(PortWebhookMiddleware(App(), verifier), scope_of(length=False))
    (error,) = errors
    assert isinstance(error, BodyTooLargeError)
    assert error.__context__ is None
    frames = [frame.f_locals for frame, _ in walk_tb(error.__traceback__)]
    assert repr(BODY)[2:-1] not in repr(frames)
