"""The aiohttp adapter: the end of a claim, streamed responses, stacked decorators."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import pytest
from aiohttp import web

from port_webhook import (
    CustomPayload,
    PayloadError,
)
from port_webhook.adapters.aiohttp import webhook

from .aiohttp_requests import send, serve
from .doubles import BODY, Store, make, signed


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    async with AsyncExitStack() as stack:
        yield partial(serve, stack)


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
