"""How the application's answer ends a claim."""

from __future__ import annotations

import json
from typing import Any

import pytest

from port_webhook.adapters.asgi import PortWebhookMiddleware

from ..doubles import BODY, Store, make
from .server import App, Connection, ask, parts, scope_of


@pytest.mark.parametrize("status", [200, 302, 399])
async def test_a_status_under_400_commits_before_it_is_sent(status):
    log: list[Any] = []
    store = Store(log=log)
    middleware = PortWebhookMiddleware(App(status), make(replay_store=store))
    connection = Connection(*parts(BODY), log=log)
    await middleware(scope_of(), connection.receive, connection.send)
    assert log == ["claim", "commit", "start", "body"]


async def test_a_status_is_counted_once():
    store = Store()

    async def app(scope, receive, send):
        for status in (200, 500):
            await send({"type": "http.response.start", "status": status})

    await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert store.steps == ["claim", "commit"]


async def test_an_application_that_does_not_answer_releases():
    store = Store()
    app = App(answers=False)
    answer = await ask(PortWebhookMiddleware(app, make(replay_store=store)))
    assert answer.sent == []
    assert store.steps == ["claim", "release"]


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


async def test_a_connection_that_fails_while_the_answer_is_sent_is_the_servers_own():
    store = Store()

    async def send(message):
        raise ConnectionResetError

    connection = Connection(*parts(BODY))
    middleware = PortWebhookMiddleware(App(), make(replay_store=store))
    with pytest.raises(ConnectionResetError):
        await middleware(scope_of(), connection.receive, send)
    assert store.steps == ["claim", "commit"]
