"""The aiohttp adapter: the forms of the decorator, and the handlers it takes."""

from __future__ import annotations

import operator
import threading
from contextlib import AsyncExitStack
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from port_webhook import (
    ConfigurationError,
    Delivery,
    Verifier,
    sign,
)
from port_webhook.adapters.aiohttp import webhook

from .aiohttp_requests import (
    BODY,
    NOW,
    OTHER,
    SECRET,
    make,
    refuse,
    send,
    serve,
    signed,
)
from .doubles import Store


@pytest.fixture
async def start():
    """Serve a handler on ``/port``, and return a client."""
    async with AsyncExitStack() as stack:
        yield partial(serve, stack)


class Vm(BaseModel):
    cpu: int


async def test_a_handler_gets_the_request_and_the_delivery(start):
    verifier = make()

    @webhook(verifier)
    async def handler(request, delivery):
        assert delivery.verified_by(verifier)
        assert request["port_delivery"] is delivery
        return web.Response(text=delivery.run_id)

    answer = await send(await start(handler))
    assert (answer.status, await answer.text()) == (200, "r_1")


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


async def test_a_handler_gets_the_model(start):
    @webhook(make(), model=Vm)
    async def handler(request, vm):
        return web.Response(text=str(vm.cpu))

    client = await start(handler)
    assert await (await send(client, b'{"cpu":2}')).text() == "2"


@pytest.mark.parametrize("bare", [False, True])
async def test_the_environment_is_read_on_first_use(start, monkeypatch, bare):
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    wrapped = webhook(handler) if bare else webhook()(handler)
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    answer = await send(await start(wrapped), headers=sign(BODY, SECRET))
    assert answer.status == 200


async def test_a_verifier_is_chosen_by_the_request(start):
    verifiers = {"a": make(), "b": Verifier(OTHER, clock=lambda: NOW)}

    @webhook(choose=lambda request: verifiers[request.headers["x-org"]])
    async def handler(request, delivery):
        return web.Response()

    client = await start(handler)
    assert (await send(client, **{"x-org": "a"})).status == 200
    assert (await send(client, **{"x-org": "b"})).status == 401


async def test_an_asynchronous_function_may_choose_the_verifier(start):
    async def choose(request):
        return make()

    @webhook(choose=choose)
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    assert await (await send(await start(handler))).text() == "r_1"


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


def test_a_verifier_that_is_none_is_refused():
    with pytest.raises(ConfigurationError):
        webhook("secret")(refuse)  # type: ignore[call-overload]  # the point


async def test_a_handler_keeps_its_name():
    @webhook(make())
    async def create_vm(request, delivery):
        """Create it."""

    assert (create_vm.__name__, create_vm.__doc__) == ("create_vm", "Create it.")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_is_verified(start, method):
    seen = []

    @webhook(make())
    async def handler(request, delivery):
        seen.append(delivery.payload)
        return web.Response()

    client = await start(handler)
    assert (await send(client, method=method, headers={})).status == 401
    assert seen == []
    assert (await send(client, method=method)).status == 200
    assert seen == [BODY]


async def test_an_unsigned_request_is_401(start):
    answer = await send(await start(webhook(make())(refuse)), headers={})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "PortWebhook"
    assert answer.content_type == "application/json"
    assert await answer.json() == {"error": "unauthorized"}


async def test_a_tampered_body_is_401(start):
    client = await start(webhook(make())(refuse))
    assert (await send(client, BODY + b"\n", headers=signed())).status == 401


async def test_a_header_that_comes_twice_is_401(start):
    client = await start(webhook(make())(refuse))
    headers = [*signed().items(), *signed().items()]
    answer = await client.post("/port", data=BODY, headers=headers)
    assert answer.status == 401


async def test_an_exception_is_the_handlers_own(start):
    @webhook(make())
    async def handler(request, delivery):
        raise ValueError

    assert (await send(await start(handler))).status == 500


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


def test_a_built_in_function_may_be_a_handler():
    handler: Any = untyped(make())(operator.itemgetter("x"))
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


def test_the_signature_shows_what_is_left_to_fill_in():
    async def typed(request: web.Request, delivery: Delivery) -> web.Response:
        pytest.fail("called")

    found = signature(webhook(make())(typed))
    assert [*found.parameters] == ["request"]
    assert found.parameters["request"].annotation is web.Request
    assert found.return_annotation is web.Response


async def test_a_synchronous_choice_does_not_block_the_loop(start):
    threads = []

    def choose(request):
        threads.append(threading.current_thread())
        return make()

    @webhook(choose=choose)
    async def handler(request, delivery):
        return web.Response(text=delivery.run_id)

    assert await (await send(await start(handler))).text() == "r_1"
    assert threads != [threading.main_thread()]


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
