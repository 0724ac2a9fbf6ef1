"""The ASGI middleware, through messages written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from port_webhook import (
    ConfigurationError,
    Verifier,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware

from ..doubles import Store, make
from .server import App, Connection, ask, scope_of


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
    scope["headers"].append((b"x-port-receipts!", b"as long as a name of Port's"))
    await ask(PortWebhookMiddleware(app, make()), scope)
    assert app.scopes[0]["headers"] == scope["headers"]


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


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_protocols_pass_through(kind):
    app = App()
    connection = Connection()
    scope = {"type": kind, "path": "/port"}
    await PortWebhookMiddleware(app, make())(scope, connection.receive, connection.send)
    assert app.scopes == [scope]
    assert app.scopes[0] is scope


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
