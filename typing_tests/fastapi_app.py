"""What FastAPI applications look like to a type checker; never executed."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, assert_type

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from port_webhook import ActionInvocation, CatalogEvent, Delivery, Verifier
from port_webhook.adapters.fastapi import PortWebhook, webhook, webhook_route
from port_webhook.replay import AsyncReplayStore


class Vm(BaseModel):
    cpu: int


class VmService:
    def create(self, run_id: str | None) -> int:
        return 1


def build(  # noqa: C901  # one application with an endpoint of each kind
    store: AsyncReplayStore, verifiers: dict[str, Verifier]
) -> FastAPI:
    verifier = Verifier("a secret", replay_store=store)

    async def choose(request: Request) -> Verifier:
        return verifiers[request.headers["x-org"]]

    def choose_by_header(x_org: Annotated[str, Header()]) -> Verifier:
        return verifiers[x_org]

    app = FastAPI()

    @app.post("/decorated")
    @webhook(verifier)
    def decorated(
        delivery: Delivery, vms: Annotated[VmService, Depends(VmService)]
    ) -> int:
        return vms.create(delivery.run_id)

    assert_type(decorated(VmService()), int)

    @app.post("/environment")
    @webhook
    async def environment(delivery: Delivery) -> str:
        return delivery.run_id or ""

    app.add_api_route("/again", accept(environment))

    @app.post("/request")
    @webhook(choose=choose_by_header)
    def with_request(request: Request, delivery: Delivery) -> bytes:
        return delivery.payload

    assert_type(with_request, Callable[[Request], bytes])

    @app.post("/decorated-model")
    @webhook(choose=choose, model=ActionInvocation)
    def decorated_model(invocation: ActionInvocation) -> str:
        return invocation.action

    @app.post("/union")
    @webhook(verifier, model=ActionInvocation | CatalogEvent)
    async def union(invocation: ActionInvocation | CatalogEvent) -> str | None:
        return invocation.action_identifier

    class Views:
        @webhook(verifier, model=Vm)
        def create(self, vm: Vm, zone: str) -> int:
            return vm.cpu

    assert_type(Views().create("a"), int)

    @app.post("/delivery")
    def delivery(delivery: Annotated[Delivery, Depends(PortWebhook(verifier))]) -> str:
        return assert_type(delivery.run_id, str | None) or ""

    @app.post("/model")
    async def model(
        invocation: Annotated[
            ActionInvocation, Depends(PortWebhook(verifier, model=ActionInvocation))
        ],
    ) -> str:
        return assert_type(invocation.action, str)

    hook = PortWebhook(choose=choose, model=Vm)

    @app.post("/chosen")
    def chosen(vm: Annotated[Vm, Depends(hook)]) -> int:
        return vm.cpu

    @app.post("/state", dependencies=[Depends(PortWebhook())])
    def state(request: Request) -> None:
        assert_type(request.state.port_delivery, Any)

    app.dependency_overrides[hook] = lambda: Vm(cpu=1)

    assert_type(webhook_route(choose=choose), type[APIRoute])
    router = APIRouter(route_class=webhook_route(verifier))

    @router.post("/declared")
    async def declared(vm: Vm) -> int:
        return vm.cpu

    app.include_router(router)
    return app


def accept(
    endpoint: Callable[[], Coroutine[Any, Any, str]],
) -> Callable[[], Coroutine[Any, Any, str]]:
    return endpoint


def refused(verifier: Verifier) -> Callable[..., int]:
    @webhook(verifier)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]  # the point: the endpoint takes a model
    def wrong(vm: Vm) -> int:
        return vm.cpu

    return wrong


PortWebhook("a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: a secret is no verifier
webhook_route("a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the same
webhook("a secret")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # the same
PortWebhook(choose=lambda: "a secret")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]  # the point: a secret again
