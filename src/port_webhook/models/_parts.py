"""The parts that Port's messages share (protocol, section 3).

Every field that Port does not always send is None when it is absent or null. Fields
such as ``origin`` and ``status`` are open: known words are listed, others are passed on
unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from port_webhook._tracebacks import boundary
from port_webhook.models._base import (
    Model,
    part,
    text,
    texts,
    time,
    value,
    wrong,
)
from port_webhook.models._generic import InputsModel, P

if TYPE_CHECKING:
    from datetime import datetime


class User(Model, shown="id"):
    """A person with an account; ``status`` is ``ACTIVE`` and others."""

    email: str | None = text("email")
    first_name: str | None = text("firstName")
    last_name: str | None = text("lastName")
    id: str | None = text("id")
    phone_number: str | None = text("phoneNumber")
    picture: str | None = text("picture")
    providers: tuple[str, ...] | None = texts("providers")
    status: str | None = text("status")
    created_at: datetime | None = time("createdAt")
    updated_at: datetime | None = time("updatedAt")


class Actor(Model, shown="org_id user_id"):
    """The cause of a run or a change: a user, an API client, or Port itself.

    Attributes:
        org_id: The organisation; None only if Port itself is the cause.
        user_id: The user, or the API client (``…@clients``).
        by_port: True for Port itself, such as a timer that expired.
    """

    org_id: str | None = text("orgId")
    user_id: str | None = text("userId")
    user: User | None = part("user", User)
    by_port: bool | None = value("byPort", bool)

    @boundary
    def validate(self) -> None:
        """Check every field now; only Port itself needs no organisation."""
        super().validate()
        if self.org_id is None and not self.by_port:
            raise wrong(self, "orgId", "is missing")


class Trigger(Model, shown="origin operation"):
    """The cause of a run or a change, and its time.

    Attributes:
        origin: ``UI``, ``API``, ``AUTOMATION`` and others.
        at: The time, an aware datetime.
        operation: ``CREATE``, ``DAY-2`` or ``DELETE`` of a self-service action.
    """

    by: Actor = part("by", Actor, required=True)
    origin: str = text("origin", required=True)
    at: datetime = time("at", required=True)
    operation: str | None = text("operation")


class RunContext(Model, shown="blueprint entity run_id"):
    """The run, and the entity and blueprint that it is about.

    Attributes:
        entity: The identifier of the entity; None for an action that creates one.
        blueprint: The identifier of the blueprint.
        run_id: The id to report back to: ``r_…``, ``run_…``, or ``wfnr_…`` for the
            run of a workflow's node.
        node_run_id: The same in an older form of a node's run.
        node_config: The configuration of a workflow's node.
        blueprint_identifier: ``blueprint`` in old messages of a timer.
        entity_identifier: ``entity`` in old messages of a timer.
    """

    entity: str | None = text("entity")
    blueprint: str | None = text("blueprint")
    run_id: str | None = text("runId")
    node_run_id: str | None = text("nodeRunId")
    workflow_run_id: str | None = text("workflowRunId")
    node_config: dict[str, Any] | None = value("nodeConfig", dict)
    blueprint_identifier: str | None = text("blueprintIdentifier")
    entity_identifier: str | None = text("entityIdentifier")


class WebhookInvocationMethod(Model, shown="type method"):
    """The way in which an action calls its backend, be it a webhook or not.

    Attributes:
        type: ``WEBHOOK``, ``KAFKA``, ``GITLAB`` and others.
        agent: Whether Port's agent forwards the call, or a JQ expression for it.
        synchronized: Whether the HTTP response ends the run, or a JQ expression for it.
        method: The HTTP method; None means ``POST``.
        headers: The headers that the author added.
        body: The author's template, any JSON.
    """

    type: str | None = text("type")
    url: str | None = text("url")
    agent: bool | str | None = value("agent", bool, str)
    synchronized: bool | str | None = value("synchronized", bool, str)
    method: str | None = text("method")
    headers: dict[str, Any] | None = value("headers", dict)
    body: Any = value("body")


class Reference(Model, shown="identifier"):
    """The short form of a blueprint or an entity that a run names."""

    identifier: str | None = text("identifier")
    title: str | None = text("title")
    icon: str | None = text("icon")
    deleted: bool | None = value("deleted", bool)


class ActionReference(Reference):
    """The short form of an action, and which of its inputs are encrypted."""

    blueprint: str | None = text("blueprint")
    encrypted_properties: tuple[str, ...] | None = texts("encryptedProperties")


class Resource(Model, shown="id identifier"):
    """A resource of the catalog, before or after a change.

    It stands for every resource type that this library does not know.
    """

    id: str | None = text("id")
    identifier: str | None = text("identifier")
    created_at: datetime | None = time("createdAt")
    created_by: str | None = text("createdBy")
    updated_at: datetime | None = time("updatedAt")
    updated_by: str | None = text("updatedBy")


class _Action(Reference, Resource):
    """Base class of the two long forms of an action."""

    description: str | None = text("description")
    invocation_method: WebhookInvocationMethod | None = part(
        "invocationMethod", WebhookInvocationMethod
    )


class InvokedAction(_Action):
    """The action of an envelope; newer ones hold the method and the trigger only.

    Attributes:
        trigger: ``CREATE``, ``DAY-2``, ``DELETE`` and others.
        user_inputs: The form, as a JSON schema.
    """

    trigger: str | None = text("trigger")
    blueprint: str | None = text("blueprint")
    user_inputs: dict[str, Any] | None = value("userInputs", dict)


class ActionTrigger(Model, shown="type operation"):
    """The trigger of an action, as its author configured it.

    Attributes:
        type: ``self-service``, ``automation`` and others.
        user_inputs: The form, as a JSON schema.
    """

    type: str | None = text("type")
    operation: str | None = text("operation")
    blueprint_identifier: str | None = text("blueprintIdentifier")
    user_inputs: dict[str, Any] | None = value("userInputs", dict)


class ActionDefinition(_Action):
    """The action of a run event, as its author configured it.

    Attributes:
        required_approval: Whether somebody must approve a run, or the rule for it.
    """

    trigger: ActionTrigger | None = part("trigger", ActionTrigger)
    required_approval: Any = value("requiredApproval")


class EventContext(Model, shown="blueprint_identifier entity_identifier"):
    """The entity, blueprint or action that an event is about.

    Attributes:
        affected_entities: The changes that the run made, any JSON.
    """

    blueprint_identifier: str | None = text("blueprintIdentifier")
    entity_identifier: str | None = text("entityIdentifier")
    property_identifier: str | None = text("propertyIdentifier")
    action: ActionDefinition | None = part("action", ActionDefinition)
    affected_entities: Any = value("affectedEntities")


class Entity(Resource, shown="blueprint identifier"):
    """An entity of the catalog.

    Attributes:
        team: The names of the teams that own it; a single one may come as text.
    """

    title: str | None = text("title")
    icon: str | None = text("icon")
    blueprint: str | None = text("blueprint")
    team: tuple[str, ...] | None = texts("team", or_one=True)
    properties: dict[str, Any] | None = value("properties", dict)
    relations: dict[str, Any] | None = value("relations", dict)


class Run(Resource, shown="id status"):
    """The run of an action.

    Attributes:
        status: ``IN_PROGRESS``, ``SUCCESS``, ``FAILURE``, ``WAITING_FOR_APPROVAL``,
            ``DECLINED`` and others.
        action: The action; older messages only name it.
        source: ``UI``, ``API`` and others, or an object.
        link: Addresses of logs.
        raw_properties: The inputs as the user typed them.
        impersonated_by: The user who ran it in another user's name, any JSON.
        payload: The request that the run sent, with its templates filled in.
        response: The response of the backend, any JSON.
    """

    status: str | None = text("status")
    status_label: str | None = text("statusLabel")
    action: ActionReference | None = part("action", ActionReference, bare=True)
    blueprint: Reference | None = part("blueprint", Reference, bare=True)
    entity: Reference | None = part("entity", Reference, bare=True)
    source: str | dict[str, Any] | None = value("source", str, dict)
    link: tuple[str, ...] | None = texts("link", or_one=True)
    properties: dict[str, Any] | None = value("properties", dict)
    payload: WebhookInvocationMethod | None = part("payload", WebhookInvocationMethod)
    required_approval: Any = value("requiredApproval")
    response: Any = value("response")
    approval: Any = value("approval")
    ended_at: datetime | None = time("endedAt")
    summary: str | None = text("summary")
    raw_properties: dict[str, Any] | None = value("rawProperties", dict)
    impersonated_by: Any = value("impersonatedBy")


class PortContext(Model, shown="run_id blueprint"):
    """The object ``port_context``, which most authors put into a body of their own.

    Attributes:
        entity: The entity; if it is text, it has only an identifier.
    """

    _run_id: str | None = text("runId")
    _other_run_id: str | None = text("run_id")
    blueprint: str | None = text("blueprint")
    entity: Entity | None = part("entity", Entity, bare=True)
    trigger: Trigger | None = part("trigger", Trigger)
    operation: str | None = text("operation")

    @property
    @boundary
    def run_id(self) -> str | None:
        """The id to report back to: ``runId`` or ``run_id``."""
        return self._run_id or self._other_run_id or None


class RunReference(Model, shown="id"):
    """The run that a call belongs to; its ``id`` is the one to report back to."""

    id: str | None = text("id")


class ActionPayload(InputsModel[P]):
    """The payload of an envelope; ``P`` types its properties.

    Attributes:
        entity: The entity that the action is about; None for one that creates it.
        censored_properties: The names of the encrypted inputs.
    """

    entity: Entity | None = part("entity", Entity)
    action: InvokedAction | None = part("action", InvokedAction)
    _properties: dict[str, Any] | None = value("properties", dict)
    censored_properties: tuple[str, ...] | None = texts("censoredProperties")
    _inputs_name = "properties"
    _derived = ("properties",)

    @property
    @boundary
    def properties(self) -> P | None:
        """The inputs; None if Port sent none."""
        raw = self._properties
        return None if raw is None else self._typed(raw, "properties")
