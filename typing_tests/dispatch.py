"""What the type checkers see of the dispatchers; never executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_type

from typing_extensions import TypedDict

from port_webhook import ActionInvocation, Delivery
from port_webhook.dispatch import AsyncDispatcher, Dispatcher
from port_webhook.models import CatalogEvent, ChangelogMessage, TriggerData

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager


class VmInputs(TypedDict):
    cpu: int


class Client:
    def report(self, delivery: Delivery) -> AbstractContextManager[int]:
        raise NotImplementedError


class AsyncClient:
    def report(self, delivery: Delivery) -> AbstractAsyncContextManager[int]:
        raise NotImplementedError


handlers = Dispatcher(report=Client(), unknown="ignore")
awaited = AsyncDispatcher(report=AsyncClient())


@handlers.on(action="create_vm")
def takes_the_delivery(delivery: Delivery) -> str:
    return ""


@handlers.on(action="create_vm", operation="DAY-2", model=ActionInvocation[VmInputs])
def takes_the_model(invocation: ActionInvocation[VmInputs]) -> int:
    return 1


@handlers.on(event="ENTITY_CREATED", model=CatalogEvent | ChangelogMessage)
def takes_a_union(event: CatalogEvent | ChangelogMessage) -> None: ...


@handlers.on(action="grow_vm", inputs=VmInputs)
def takes_the_inputs_and_the_run(inputs: VmInputs, run: int) -> None: ...


@handlers.default
def takes_the_rest(delivery: Delivery) -> None: ...


@handlers.default(model=TriggerData)
def takes_the_rest_as_a_model(data: TriggerData, run: int) -> None: ...


@awaited.on(model=TriggerData[VmInputs])
async def is_awaited(data: TriggerData[VmInputs]) -> str:
    return ""


@awaited.default
async def is_awaited_with_the_run(delivery: Delivery, run: int) -> None: ...


@handlers.on(action="wrong", inputs=VmInputs)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]  # the point
def takes_something_else(delivery: Delivery) -> None: ...


def handlers_keep_their_types() -> None:
    assert_type(takes_the_delivery, Callable[[Delivery], str])
    assert_type(takes_the_model, Callable[[ActionInvocation[VmInputs]], int])


async def they_are_called_like_views(
    delivery: Delivery, request: object, data: TriggerData[VmInputs]
) -> None:
    assert_type(await is_awaited(data), str)
    handlers(delivery)
    handlers(request, delivery)
    await awaited(delivery)
