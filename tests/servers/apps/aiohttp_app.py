"""aiohttp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from port_webhook.adapters.aiohttp import webhook

from .common import VERIFIER, count_call, describe, report

if TYPE_CHECKING:
    from port_webhook import Delivery

KIND = "aiohttp"
REQUIRES = ("aiohttp",)
PARSES_FORMS = True
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@webhook(VERIFIER)
async def port(request: web.Request, delivery: Delivery) -> web.Response:
    count_call()
    body = await request.read()
    form = {name: str(value) for name, value in (await request.post()).items()}
    return web.json_response(describe(delivery, body=body, form=form))


@webhook(VERIFIER)
async def boom(request: web.Request, delivery: Delivery) -> web.Response:
    count_call()
    raise ValueError


async def calls(request: web.Request) -> web.Response:
    return web.json_response(report())


app = web.Application()
for method in METHODS:
    app.router.add_route(method, "/port", port)
    app.router.add_route(method, "/boom", boom)
app.router.add_get("/calls", calls)
