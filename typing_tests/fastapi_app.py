"""What FastAPI applications look like to a type checker; never executed."""

from typing import Annotated, Any, assert_type

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from port_webhook import ActionInvocation, Delivery, Verifier
from port_webhook.adapters.fastapi import PortWebhook, webhook_route
from port_webhook.replay import AsyncReplayStore


class Vm(BaseModel):
    cpu: int


def build(store: AsyncReplayStore, verifiers: dict[str, Verifier]) -> FastAPI:
    verifier = Verifier("a secret", replay_store=store)

    async def choose(request: Request) -> Verifier:
        return verifiers[request.headers["x-org"]]

    app = FastAPI()

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

    hook = PortWebhook(lambda request: verifiers[request.headers["x-org"]], model=Vm)

    @app.post("/chosen")
    def chosen(vm: Annotated[Vm, Depends(hook)]) -> int:
        return vm.cpu

    @app.post("/environment", dependencies=[Depends(PortWebhook())])
    def environment(request: Request) -> None:
        assert_type(request.state.port_delivery, Any)

    app.dependency_overrides[hook] = lambda: Vm(cpu=1)

    assert_type(webhook_route(choose), type[APIRoute])
    router = APIRouter(route_class=webhook_route(verifier))

    @router.post("/declared")
    async def declared(vm: Vm) -> int:
        return vm.cpu

    app.include_router(router)
    return app


PortWebhook("a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: a secret is no verifier
webhook_route("a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the same
