"""Requests to aiohttp's own server on the loopback interface, signed as Port does."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from .doubles import BODY, signed

FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = (
    b'--q\r\nContent-Disposition: form-data; name="payload"\r\n\r\na b\r\n--q--\r\n'
)
MULTIPART_TYPE = {"content-type": "multipart/form-data; boundary=q"}


async def serve(stack, handler, *, middlewares=(), on_response_prepare=None, **options):
    """Serve *handler* on ``/port`` until *stack* is left, and return a client."""
    app = web.Application(middlewares=middlewares, **options)
    if on_response_prepare is not None:
        app.on_response_prepare.append(on_response_prepare)
    app.router.add_route("*", "/port", handler)
    client = TestClient(TestServer(app), auto_decompress=False)
    return await stack.enter_async_context(client)


async def send(client, body=BODY, *, headers=None, method="POST", **extra):
    """Send *body*, signed unless *headers* are given."""
    headers = signed(body) if headers is None else headers
    answer = await client.request(
        method, "/port", data=body, headers={**headers, **extra}, allow_redirects=False
    )
    await answer.read()
    return answer


async def chunks():
    for start in range(0, len(BODY), 5):
        yield BODY[start : start + 5]


def refuse(*_):
    pytest.fail("called")
