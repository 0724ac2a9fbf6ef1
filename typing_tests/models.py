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
from port_webhook.models import (
    ActionInvocation,
    ActionPayload,
    AnyInvocation,
    CatalogEvent,
    Change,
    ChangelogMessage,
    CustomPayload,
    Entity,
    EventContext,
    Invocation,
    PortContext,
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
    assert_type(VmInvocation.from_dict({}), VmInvocation)


def load_gives_the_model(data: bytes) -> None:
    assert_type(load(ActionInvocation[VmInputs], data), ActionInvocation[VmInputs])
    assert_type(load(ActionInvocation, data), ActionInvocation[dict[str, Any]])
    assert_type(load(VmInputs, data, validate=True), VmInputs)
    assert_type(
        load(ActionInvocation[VmInputs] | TriggerData, data),
        ActionInvocation[VmInputs] | TriggerData[dict[str, Any]],
    )
    assert_type(load(list[ChangelogMessage], data), list[ChangelogMessage])
    assert_type(load(User | None, data), User | None)


def parse_gives_the_model(delivery: Delivery) -> None:
    assert_type(delivery.parse(ActionInvocation[VmInputs]), ActionInvocation[VmInputs])
    assert_type(delivery.parse(ActionInvocation), ActionInvocation[dict[str, Any]])
    assert_type(delivery.parse(ChangelogMessage, validate=True), ChangelogMessage)
    assert_type(delivery.parse(VmInputs), VmInputs)
    assert_type(delivery.parse(list[VmInputs]), list[VmInputs])
    assert_type(
        delivery.parse(TriggerData[VmInputs] | CustomPayload[VmInputs]),
        TriggerData[VmInputs] | CustomPayload[VmInputs],
    )


def brackets_have_class_methods(vm: ActionInvocation[VmInputs]) -> None:
    assert_type(ActionInvocation[VmInputs].from_dict({}), ActionInvocation[VmInputs])
    assert_type(TriggerData[VmInputs].from_dict({}).inputs, VmInputs | None)
    assert_type(vm.validate(), None)


def every_message_fits_the_protocol(
    action: ActionInvocation,
    vm: ActionInvocation[VmInputs],
    data: TriggerData,
    event: CatalogEvent,
    message: ChangelogMessage,
    node: WorkflowNodeRun,
    custom: CustomPayload,
    either: AnyInvocation,
) -> list[Invocation]:
    return [action, vm, data, event, message, node, custom, either]


def the_protocol_is_typed(invocation: Invocation) -> None:
    assert_type(invocation.run_id, str | None)
    assert_type(invocation.action_identifier, str | None)
    assert_type(invocation.operation, str | None)
    assert_type(invocation.blueprint, str | None)
    assert_type(invocation.entity_identifier, str | None)
    assert_type(invocation.entity, Entity | None)
    assert_type(invocation.inputs, Any)
    assert_type(invocation.user_email, str | None)
    assert_type(invocation.organization_id, str | None)
    assert_type(invocation.before, Entity | Run | Resource | None)
    assert_type(invocation.after, Entity | Run | Resource | None)


def the_accessors_of_any_message_are_typed(invocation: AnyInvocation) -> None:
    assert_type(invocation.run_id, str | None)
    assert_type(invocation.action_identifier, str | None)
    assert_type(invocation.operation, str | None)
    assert_type(invocation.blueprint, str | None)
    assert_type(invocation.entity_identifier, str | None)
    assert_type(invocation.entity, Entity | None)
    assert_type(invocation.inputs, dict[str, Any] | None)
    assert_type(invocation.user_email, str | None)
    assert_type(invocation.organization_id, str | None)
    assert_type(invocation.before, Entity | Run | Resource | None)
    assert_type(invocation.after, Entity | Run | Resource | None)


def the_accessors_of_each_model_are_typed(
    action: ActionInvocation[VmInputs],
    data: TriggerData[VmInputs],
    custom: CustomPayload[VmInputs],
    node: WorkflowNodeRun[VmInputs],
    event: CatalogEvent,
    message: ChangelogMessage,
) -> None:
    assert_type(action.inputs, VmInputs | None)
    assert_type(data.inputs, VmInputs | None)
    assert_type(custom.inputs, VmInputs | None)
    assert_type(custom.port_context, PortContext | None)
    assert_type(node.inputs, VmInputs | None)
    assert_type(event.inputs, dict[str, Any] | None)
    assert_type(message.inputs, dict[str, Any] | None)
    for each in (action, data, custom, node, event, message):
        assert_type(each.run_id, str | None)
        assert_type(each.action_identifier, str | None)
        assert_type(each.operation, str | None)
        assert_type(each.blueprint, str | None)
        assert_type(each.entity_identifier, str | None)
        assert_type(each.entity, Entity | None)
        assert_type(each.user_email, str | None)
        assert_type(each.organization_id, str | None)
        assert_type(each.before, Entity | Run | Resource | None)
        assert_type(each.after, Entity | Run | Resource | None)


def invocation_gives_the_union(delivery: Delivery) -> str:
    invocation = delivery.invocation()
    assert_type(
        invocation,
        ActionInvocation[dict[str, Any]]
        | TriggerData[dict[str, Any]]
        | CatalogEvent
        | ChangelogMessage
        | WorkflowNodeRun[dict[str, Any]]
        | CustomPayload[dict[str, Any]],
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


def matching_without_the_node_run_is_exhaustive_too(invocation: AnyInvocation) -> int:
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
    invocation.action = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # the point
    ActionInvocation(action="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point


def decryption_is_typed(
    key: RSAPrivateKey, invocation: AnyInvocation, *, as_json: bool
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
