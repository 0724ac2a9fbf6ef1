"""The aiohttp adapter: the end of a claim, streamed responses, stacked decorators."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel

from port_webhook import (
    CustomPayload,
    PayloadError,
    Verifier,
)
from port_webhook.adapters.aiohttp import webhook

from .aiohttp_requests import (
    BODY,
    NOW,
    OTHER,
    make,
    refuse,
    send,
    serve,
    signed,
)
from .doubles import AsyncStore, Store


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    async with AsyncExitStack() as stack:
        yield partial(serve, stack)


class Vm(BaseModel):
    cpu: int


async def test_a_payload_that_is_not_the_model_is_422(start):
    rejected: list[Any] = []
    store = Store()
    verifier = make(on_rejected=rejected.append, replay_store=store)
    client = await start(webhook(verifier, model=Vm)(refuse))
    answer = await send(client)
    assert answer.status == 422
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


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
