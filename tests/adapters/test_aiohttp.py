"""The aiohttp adapter: the forms of the decorator, and the handlers it takes."""

from __future__ import annotations

import operator
from contextlib import AsyncExitStack
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from port_webhook import (
    ConfigurationError,
)
from port_webhook.adapters.aiohttp import webhook

from .aiohttp_requests import refuse, send, serve
from .doubles import Store, make, signed


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    async with AsyncExitStack() as stack:
        yield partial(serve, stack)


class Vm(BaseModel):
    cpu: int


async def test_the_delivery_follows_self_in_a_view(start):
    class View(web.View):
        @webhook(make())
        async def post(self, delivery):
            return web.Response(text=delivery.run_id + self.request.method)

    client = await start(View)
    assert await (await send(client)).text() == "r_1POST"
    assert (await send(client, headers={})).status == 401


async def test_the_delivery_follows_the_request_in_a_method(start):
    class Handlers:
        @webhook(make())
        async def create(self, request, delivery):
            return web.Response(text=delivery.run_id + request.method)

    assert await (await send(await start(Handlers().create))).text() == "r_1POST"


async def test_a_handler_may_be_synchronous(start):
    store = Store()

    @webhook(make(replay_store=store))
    def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    assert await (await send(await start(handler))).text() == "r_1"
    assert store.steps == ["claim", "commit"]


def test_a_class_is_refused_when_it_is_decorated():
    class Hooks(web.View): ...

    with pytest.raises(ConfigurationError, match="decorate the method"):
        webhook(make())(Hooks)


async def test_a_function_that_gets_no_request_is_an_error_that_says_so():
    handler: Any = webhook(make())(refuse)
    with pytest.raises(ConfigurationError, match="take a request"):
        await handler("no request")


# --- Nothing is guessed -------------------------------------------------------------


untyped: Any = webhook  # what a type checker would refuse


async def choose_later(request):
    pytest.fail("called")


async def handle_one(request, delivery):
    pytest.fail("called")


def decorate_class():
    class Port(web.View): ...

    untyped(Port)


def reverse_the_order():
    @untyped(make())
    @web.RouteTableDef().post("/port")
    async def port(request, delivery=None):
        pytest.fail("called")


class Methods(web.View):
    async def without(self):
        pytest.fail("called")

    async def default(self, delivery=None):
        pytest.fail("called")


class Handlers:
    async def without(self, request):
        pytest.fail("called")

    async def default(self, request, delivery=None):
        pytest.fail("called")


@pytest.mark.parametrize(
    ("misuse", "advice"),
    [
        (lambda: untyped(choose_later), "passed as choose="),
        (lambda: untyped(lambda request: make()), "passed as choose="),
        (lambda: untyped(choose_later, model=Vm), "passed as choose="),
        (lambda: untyped(operator.itemgetter("x"), model=Vm), "passed as choose="),
        (lambda: untyped(make(), choose=choose_later)(handle_one), "not both"),
        (lambda: untyped(choose=make())(handle_one), "must be a function"),
        (lambda: untyped("secret"), "must be a Verifier"),
        (lambda: untyped(make())(choose_later), "no parameter for the delivery"),
        (lambda: untyped(make())(lambda request, delivery=None: 0), "a default"),
        (lambda: untyped(make())(Methods.without), "no parameter for the delivery"),
        (lambda: untyped(make())(Methods.default), "must not have a default"),
        (lambda: untyped(make())(Handlers.without), "no parameter for the delivery"),
        (lambda: untyped(make())(Handlers.default), "must not have a default"),
        (lambda: untyped(make(), model=int)(handle_one), "is not a model"),
        (decorate_class, "decorate the method"),
        (reverse_the_order, "must not have a default"),
    ],
)
def test_what_cannot_be_meant_is_an_error_at_import(misuse, advice):
    with pytest.raises(ConfigurationError, match=advice):
        misuse()


def test_a_built_in_function_that_does_not_tell_its_signature_may_be_a_handler():
    class Untold:
        __signature__ = "unknown"

        def __call__(self, *args): ...

    handler: Any = untyped(make())(Untold())
    assert iscoroutinefunction(handler)


async def test_without_a_default_the_reversed_order_of_decorators_is_a_500(start):
    routes = web.RouteTableDef()

    async def port(request, delivery):
        pytest.fail("called")

    register: Any = routes.post("/port")
    untyped(make())(register(port))

    [route] = routes
    client = await start(getattr(route, "handler", None))
    assert (await send(client, headers={})).status == 500


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
async def test_a_method_that_port_does_not_use_is_405_before_claim_and_view(
    start, method
):
    store = Store()
    client = await start(webhook(make(replay_store=store))(refuse))
    either: list[dict[str, str]] = [signed(b""), {}]
    for headers in either:
        answer = await send(client, None, method=method, headers=headers)
        assert answer.status == 405
        assert "POST" in answer.headers["Allow"]
    assert store.steps == []
