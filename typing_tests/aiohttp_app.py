"""What aiohttp applications look like to a type checker; never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from aiohttp import web

from port_webhook import ActionInvocation, CustomPayload, Delivery, Verifier
from port_webhook.adapters.aiohttp import webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]

verifier = Verifier("a secret")
verifiers = {"a": verifier}
routes = web.RouteTableDef()  # its decorators forget the types


@webhook(verifier)
async def with_delivery(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


@webhook(verifier, model=ActionInvocation)
async def with_model(
    request: web.Request, invocation: ActionInvocation
) -> web.StreamResponse:
    return web.Response(text=invocation.action)


@webhook
async def bare(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


@webhook()
async def environment(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


def choose(request: web.Request) -> Verifier:
    return verifiers[request.headers["x-org"]]


@webhook(choose=choose)
async def chosen(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


async def choose_later(request: web.Request) -> Verifier:
    return verifiers[request.headers["x-org"]]


@webhook(choose=choose_later, model=CustomPayload)
async def chosen_with_model(
    request: web.Request, payload: CustomPayload
) -> web.Response:
    return web.Response(text=repr(payload))


@webhook(choose=lambda request: verifiers[request.headers["x-org"]])
async def chosen_by_lambda(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


@webhook(verifier, model=ActionInvocation | CustomPayload)
async def with_union(
    request: web.Request, message: ActionInvocation | CustomPayload
) -> web.Response:
    return web.Response(text=message.run_id)


@webhook(verifier)
def synchronous(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response(text=delivery.run_id)


class View(web.View):
    @webhook(verifier)
    async def post(self, delivery: Delivery) -> web.Response:
        return web.Response(text=delivery.run_id)

    @webhook
    async def put(self, delivery: Delivery) -> web.Response:
        return web.Response(text=delivery.run_id)

    @webhook(verifier, model=ActionInvocation)
    async def patch(self, invocation: ActionInvocation) -> web.Response:
        return web.Response(text=invocation.action)


class Handlers:
    @webhook(verifier)
    async def create(self, request: web.Request, delivery: Delivery) -> web.Response:
        return web.Response(text=delivery.run_id)


handlers: list[Handler] = [
    with_delivery,
    with_model,
    bare,
    environment,
    chosen,
    chosen_with_model,
    chosen_by_lambda,
    with_union,
    synchronous,
    Handlers().create,
]
routes.post("/delivery")(with_delivery)
routes.view("/view")(View)
app = web.Application()
app.add_routes(routes)
app.router.add_post("/method", Handlers().create)


async def call(request: web.Request) -> None:
    assert_type(await with_delivery(request), web.StreamResponse)
    assert_type(await bare(request), web.StreamResponse)
    assert_type(await View(request).post(), web.StreamResponse)
    assert_type(await View(request).put(), web.StreamResponse)
    assert_type(await Handlers().create(request), web.StreamResponse)


@webhook(verifier)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]  # the point: no place for the delivery
async def without_delivery(request: web.Request) -> web.Response:
    return web.Response()


@webhook(verifier, model=ActionInvocation)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]  # the point: not the model
async def with_another(request: web.Request, delivery: Delivery) -> web.Response:
    return web.Response()


webhook(choose, model=CustomPayload)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # by keyword only
webhook("secret")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not a Verifier
