"""Typed models of what Port sends.

`Delivery.invocation` tells the messages apart and returns one of five:
`ActionInvocation`, `TriggerData`, `CatalogEvent`, `ChangelogMessage` and, for every
other body, `CustomPayload`. They are frozen views of the JSON that came, snake_case
over Port's camelCase; `to_dict` gives the JSON back, whole.

Port documents what it sends by example. So every field is optional but those that
every known example has, and unknown fields and words are kept.
"""

from __future__ import annotations

from port_webhook.models._base import Model
from port_webhook.models._parts import (
    ActionDefinition,
    ActionPayload,
    ActionReference,
    ActionTrigger,
    Actor,
    Entity,
    EventContext,
    InvokedAction,
    PortContext,
    Reference,
    Resource,
    Run,
    RunContext,
    RunReference,
    Trigger,
    User,
    WebhookInvocationMethod,
)
from port_webhook.models._reading import check_model, load
from port_webhook.models._shapes import (
    ActionInvocation,
    AnyInvocation,
    CatalogEvent,
    Change,
    ChangelogMessage,
    CustomPayload,
    Invocation,
    TriggerData,
    WorkflowNodeRun,
    load_invocation,
)

__all__ = [
    "ActionDefinition",
    "ActionInvocation",
    "ActionPayload",
    "ActionReference",
    "ActionTrigger",
    "Actor",
    "AnyInvocation",
    "CatalogEvent",
    "Change",
    "ChangelogMessage",
    "CustomPayload",
    "Entity",
    "EventContext",
    "Invocation",
    "InvokedAction",
    "Model",
    "PortContext",
    "Reference",
    "Resource",
    "Run",
    "RunContext",
    "RunReference",
    "Trigger",
    "TriggerData",
    "User",
    "WebhookInvocationMethod",
    "WorkflowNodeRun",
    "check_model",
    "load",
    "load_invocation",
]
