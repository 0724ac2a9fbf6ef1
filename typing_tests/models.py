"""What the type checkers see of the models; never executed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, assert_never, assert_type

from typing_extensions import TypedDict

from port_webhook.decryption import (
    decrypt_client_side,
    decrypt_properties,
    decrypt_secret,
)
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models import (
    ActionInvocation,
    ActionPayload,
    CatalogEvent,
    Change,
    ChangelogMessage,
    CustomPayload,
    Entity,
    EventContext,
    Invocation,
    Resource,
    Run,
    RunContext,
    TriggerData,
    User,
    WorkflowNodeRun,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from port_webhook import Delivery


T = TypeVar("T")


class VmInputs(TypedDict):
    cpu: int


class Mine(ActionInvocation[T]): ...


class VmInvocation(ActionInvocation[VmInputs]): ...


def the_chain_is_typed(invocation: ActionInvocation) -> None:
    assert_type(invocation.action, str)
    assert_type(invocation.trigger.at, datetime)
    assert_type(invocation.trigger.by.user, User | None)
    if invocation.trigger.by.user is not None:
        assert_type(invocation.trigger.by.user.email, str | None)
        assert_type(invocation.trigger.by.user.providers, tuple[str, ...] | None)
    assert_type(invocation.context.run_id, str | None)
    assert_type(invocation.run_id, str | None)
    assert_type(invocation.payload.entity, Entity | None)
    assert_type(invocation.extra, dict[str, Any])
    assert_type(invocation.to_dict(), dict[str, Any])


def properties_have_a_default(invocation: ActionInvocation) -> None:
    assert_type(invocation, ActionInvocation[dict[str, Any]])
    assert_type(invocation.properties, dict[str, Any])
    assert_type(invocation.payload, ActionPayload[dict[str, Any]])


def a_typed_dict_types_the_properties(
    invocation: ActionInvocation[VmInputs], data: TriggerData[VmInputs]
) -> None:
    assert_type(invocation.properties, VmInputs)
    assert_type(invocation.payload.properties, VmInputs | None)
    assert_type(invocation.properties["cpu"], int)
    assert_type(data.inputs, VmInputs | None)


def subclasses_type_them_too(mine: Mine[VmInputs], vm: VmInvocation) -> None:
    assert_type(mine.properties, VmInputs)
    assert_type(vm.properties, VmInputs)
    # Of a class that is named in brackets, `from_dict` does not see them at run time.
    assert_type(VmInvocation.from_dict({}), VmInvocation)


def load_gives_the_model_or_an_error(data: bytes) -> None:
    assert_type(
        load(ActionInvocation[VmInputs], data),
        ActionInvocation[VmInputs] | PayloadError | ConfigurationError,
    )


def parse_gives_the_model(delivery: Delivery) -> None:
    assert_type(delivery.parse(ActionInvocation[VmInputs]), ActionInvocation[VmInputs])
    assert_type(delivery.parse(ChangelogMessage), ChangelogMessage)
    assert_type(delivery.parse(VmInputs), VmInputs)
    assert_type(delivery.parse(list[VmInputs]), list[VmInputs])


def invocation_gives_the_union(delivery: Delivery) -> str:
    invocation = delivery.invocation()
    assert_type(
        invocation,
        ActionInvocation[dict[str, Any]]
        | TriggerData[dict[str, Any]]
        | CatalogEvent
        | ChangelogMessage
        | CustomPayload,
    )
    match invocation:
        case ActionInvocation():
            assert_type(invocation, ActionInvocation[dict[str, Any]])
            return invocation.action
        case TriggerData():
            assert_type(invocation, TriggerData[dict[str, Any]])
            return invocation.run_id or ""
        case CatalogEvent():
            assert_type(invocation.context, EventContext | None)
        case ChangelogMessage():
            assert_type(invocation.context, RunContext | None)
        case WorkflowNodeRun():
            assert_type(invocation.run_id, str | None)
        case CustomPayload():
            assert_type(invocation.body, Any)
        case _:
            assert_never(invocation)
    return ""


def matching_without_the_node_run_is_exhaustive_too(invocation: Invocation) -> int:
    match invocation:
        case ActionInvocation() | TriggerData():
            return 1
        case CatalogEvent() | ChangelogMessage() | CustomPayload():
            return 2


def a_change_is_exhaustive(event: CatalogEvent) -> int:
    change: Change | None = event.change
    match change:
        case "created" | "updated" | "deleted" | "expired":
            return 1
        case None:
            return 2


def both_sides_of_a_change(event: CatalogEvent) -> None:
    assert_type(event.before, Entity | Run | Resource | None)
    if isinstance(event.after, Entity):
        assert_type(event.after.properties, dict[str, Any] | None)
    elif isinstance(event.after, Run):
        assert_type(event.after.status, str | None)


def models_are_read_only(invocation: ActionInvocation) -> None:
    invocation.action = "x"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # the point
    ActionInvocation(action="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point


def decryption_is_typed(
    key: RSAPrivateKey, invocation: Invocation, *, as_json: bool
) -> None:
    assert_type(decrypt_secret("", ""), str)
    assert_type(decrypt_secret("", b"", as_json=True), Any)
    assert_type(decrypt_secret("", "", as_json=False), str)
    assert_type(decrypt_secret("", "", as_json=as_json), Any)
    assert_type(decrypt_client_side("", key, as_json=as_json), Any)
    assert_type(decrypt_client_side("", key, password="x"), str)
    assert_type(decrypt_client_side("", b"", as_json=True), Any)
    assert_type(decrypt_properties(invocation, client_secret=""), dict[str, Any])
    assert_type(
        decrypt_properties(invocation, paths=["a.0", ("a", 0)], private_key=key), Any
    )


def a_mapping_is_enough(data: Mapping[str, Any]) -> None:
    assert_type(Entity.from_dict(data), Entity)
