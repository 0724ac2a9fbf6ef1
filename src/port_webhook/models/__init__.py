"""Typed models of what Port sends: frozen views of the received JSON.

Port documents its messages by example. So only the fields that every known example has
are required, unknown fields and words are kept, and a field is checked when it is read.
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
