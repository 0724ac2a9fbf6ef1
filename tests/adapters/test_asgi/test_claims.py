"""How the application's answer ends a claim."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from port_webhook import (
    PayloadError,
    Verifier,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware

from .server import (
    BODY,
    NOW,
    OTHER,
    App,
    AsyncStore,
    Connection,
    Store,
    ask,
    make,
    parts,
    scope_of,
)


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
