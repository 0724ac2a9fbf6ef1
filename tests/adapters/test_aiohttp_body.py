"""The aiohttp adapter: how it reads a body, and what the handler reads afterwards."""

from __future__ import annotations

import gzip
import json
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import TransferEncodingError
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from port_webhook import (
    UnreadableBodyError,
)
from port_webhook.adapters.aiohttp import webhook

from .aiohttp_requests import (
    FORM_TYPE,
    MULTIPART,
    MULTIPART_TYPE,
    chunks,
    refuse,
    send,
    serve,
)
from .doubles import BODY, make, signed


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    async with AsyncExitStack() as stack:
        yield partial(serve, stack)


@pytest.mark.parametrize("size", [5, 2**20])
async def test_the_payload_can_be_read_in_every_way(start, size):
    body = b"x" * size

    @webhook(make(max_body_bytes=2 * size))
    async def handler(request, delivery):
        assert await request.read() == body
        assert await request.content.read() == body
        return web.Response()

    assert (await send(await start(handler, client_max_size=2), body)).status == 200


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
    assert [error.code for error in rejected] == ["unsupported_media"]
    assert [record.port_http_status for record in records] == [415]


@pytest.mark.parametrize("order", [("identity", "gzip"), ("gzip", "identity")])
async def test_a_second_content_encoding_does_not_hide_the_first(start, order):
    client = await start(webhook(make())(refuse))
    headers = [*signed().items(), *(("content-encoding", each) for each in order)]
    body = gzip.compress(BODY)
    answer = await client.post("/port", data=body, headers=headers, compress=False)
    assert answer.status == 415


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


# --- What the handler reads ---------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-7",
        'application/json; charset="UTF-16"',
        "application/json;charset=latin-1",
    ],
)
async def test_a_charset_that_would_read_another_document_is_415(start, kind):
    rejected: list[Any] = []
    client = await start(webhook(make(on_rejected=rejected.append))(refuse))
    body = b'{"a":"+AGIAIgAsACIAYwAi-"}'
    answer = await send(client, body, **{"content-type": kind})
    assert answer.status == 415
    assert await answer.json() == {"error": "unsupported_media_type"}
    answer = await send(client, body, headers={"content-type": kind})
    assert answer.status == 401
    assert [error.code for error in rejected] == [
        "unsupported_media",
        "missing_header",
    ]


async def test_a_second_content_type_does_not_hide_a_charset():
    # aiohttp's C parser refuses it; the one in Python, and older ones, do not.
    kinds = ("application/json", "application/json; charset=utf-7")
    pairs = [*signed(b"").items(), *(("content-type", each) for each in kinds)]
    request = make_mocked_request("POST", "/port", headers=CIMultiDict(pairs))
    handler: Any = webhook(make())(refuse)
    assert (await handler(request)).status == 415


SPELLED = b'{ "context": {"runId": "r_1"} }'


async def read_multipart(request):
    reader = await request.multipart()
    part = await reader.next()
    return await part.read()


async def read_content_in_parts(request):
    return b"".join([part async for part in request.content.iter_chunked(5)])


async def read_json(request):
    return json.dumps(await request.json(), separators=(",", ":")).encode()


async def read_text(request):
    return (await request.text()).encode()


async def read_body(request):
    return await request.read()


async def read_content(request):
    return await request.content.read()


@pytest.mark.parametrize(
    "read", [read_body, read_text, read_json, read_content, read_content_in_parts]
)
@pytest.mark.parametrize("first", [None, read_body, read_json])
async def test_the_handler_reads_what_the_agent_signed_in_every_way(start, read, first):
    @web.middleware
    async def reading(request, handler):
        if first is not None:
            await first(request)
        return await handler(request)

    @webhook(make(agent=True))
    async def handler(request, delivery):
        assert delivery.via == "agent"
        return web.Response(body=await read(request))

    client = await start(handler, middlewares=[reading])
    answer = await send(client, SPELLED, headers=signed())
    assert await answer.read() == BODY


@pytest.mark.parametrize("first", [None, web.Request.post])
async def test_the_handler_reads_the_agents_form_as_it_was_signed(start, first):
    @web.middleware
    async def reading(request, handler):
        if first is not None:
            await first(request)
        return await handler(request)

    @webhook(make(agent=True))
    async def handler(request, delivery):
        return web.json_response([*await request.post()])

    client = await start(handler, middlewares=[reading])
    answer = await send(client, SPELLED, headers=signed(), **FORM_TYPE)
    assert await answer.json() == [BODY.decode()]


@pytest.mark.parametrize("size", [2, 0])
async def test_the_verifiers_limit_replaces_client_max_size(start, size):
    @webhook(make())
    async def handler(request, delivery):
        form = await request.post()
        return web.Response(text=str(form["payload"]))

    client = await start(handler, client_max_size=size)
    answer = await send(client, MULTIPART, **MULTIPART_TYPE)
    assert (answer.status, await answer.text()) == (200, "a b")


async def test_the_parts_of_a_form_can_be_read_one_by_one(start):
    @webhook(make())
    async def handler(request, delivery):
        return web.Response(body=await read_multipart(request))

    client = await start(handler, client_max_size=2)
    assert await (await send(client, MULTIPART, **MULTIPART_TYPE)).read() == b"a b"


async def test_a_form_that_a_middleware_parsed_is_told_from_a_wrong_secret(
    start, records
):
    @web.middleware
    async def parsing(request, handler):
        await request.post()
        return await handler(request)

    client = await start(webhook(make())(refuse), middlewares=[parsing])
    assert (await send(client, MULTIPART, **MULTIPART_TYPE)).status == 400
    assert "something read the body" in records[-1].getMessage()


async def test_two_verifiers_read_one_body(start):
    @webhook(make(agent=True))
    @webhook(make())
    async def handler(request, outer, inner):
        return web.Response(body=await request.read())

    answer = await send(await start(handler), SPELLED, headers=signed())
    assert await answer.read() == BODY
