"""The parts that Port's messages share (protocol, section 3).

Every field that Port does not always send is None when it is absent or null. Words
such as ``origin`` and ``status`` are open: the known ones are listed, others come
through as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from port_webhook.models._base import (
    Field,
    Model,
    anything,
    flag,
    flag_or_text,
    mapping,
    part,
    properties,
    reference,
    text,
    texts,
    time,
)

if TYPE_CHECKING:
    from datetime import datetime

    from port_webhook.models._base import Wrong

P = TypeVar("P", default=dict[str, Any])


class User(Model):
    """A person with an account.

    Attributes:
        providers: Names of the identity providers.
        status: ``ACTIVE`` and others.
    """

    __slots__ = ()
    _shown = ("id",)

    email: Field[str | None] = text("email")
    first_name: Field[str | None] = text("firstName")
    last_name: Field[str | None] = text("lastName")
    id: Field[str | None] = text("id")
    phone_number: Field[str | None] = text("phoneNumber")
    picture: Field[str | None] = text("picture")
    providers: Field[tuple[str, ...] | None] = texts("providers")
    status: Field[str | None] = text("status")
    created_at: Field[datetime | None] = time("createdAt")
    updated_at: Field[datetime | None] = time("updatedAt")


class Actor(Model):
    """Who caused something: a user, an API client, or Port itself.

    Attributes:
        org_id: The organisation; only what Port does by itself may come without.
        user_id: The user, or the API client (``…@clients``).
        user: The person, if it is one.
        by_port: True for Port itself, such as a timer that expired.
    """

    __slots__ = ()
    _shown = ("org_id", "user_id")

    org_id: Field[str | None] = text("orgId")
    user_id: Field[str | None] = text("userId")
    user: Field[User | None] = part("user", User)
    by_port: Field[bool | None] = flag("byPort")

    @classmethod
    def check(cls, raw: Any) -> Wrong | None:
        """Say what is wrong; Port itself needs no organisation."""
        wrong = super().check(raw)
        if wrong is None and raw.get("orgId") is None and not raw.get("byPort"):
            return "orgId", "is missing"
        return wrong


class Trigger(Model):
    """Who or what set something off, and when.

    Attributes:
        by: Who did it.
        origin: ``UI``, ``API``, ``AUTOMATION`` and others.
        at: When, an aware datetime.
        operation: ``CREATE``, ``DAY-2`` or ``DELETE`` of a self-service action.
    """

    __slots__ = ()
    _shown = ("origin", "operation")

    by: Field[Actor] = part("by", Actor, required=True)
    origin: Field[str] = text("origin", required=True)
    at: Field[datetime] = time("at", required=True)
    operation: Field[str | None] = text("operation")


class RunContext(Model):
    """What a run is about.

    Attributes:
        entity: The identifier of the entity; None for an action that creates one.
        blueprint: The identifier of the blueprint.
        run_id: The id to report back to: ``r_…``, ``run_…``, or ``wfnr_…`` for the
            run of a workflow's node.
    """

    __slots__ = ()
    _shown = ("blueprint", "entity", "run_id")

    entity: Field[str | None] = text("entity")
    blueprint: Field[str | None] = text("blueprint")
    run_id: Field[str | None] = text("runId")


class WebhookInvocationMethod(Model):
    """How an action calls its backend; other methods than webhooks look alike.

    Attributes:
        type: ``WEBHOOK``, ``KAFKA``, ``GITLAB`` and others.
        agent: Whether Port's agent forwards the call, or a JQ expression for it.
        synchronized: Whether the HTTP answer ends the run, or a JQ expression for it.
        method: The HTTP method; None means ``POST``.
        headers: What the author added: text to text, as far as is documented.
        body: What the author templated, any JSON.
    """

    __slots__ = ()
    _shown = ("type", "method")

    type: Field[str | None] = text("type")
    url: Field[str | None] = text("url")
    agent: Field[bool | str | None] = flag_or_text("agent")
    synchronized: Field[bool | str | None] = flag_or_text("synchronized")
    method: Field[str | None] = text("method")
    headers: Field[dict[str, Any] | None] = mapping("headers")
    body: Field[Any] = anything("body")


class Reference(Model):
    """The short form of a blueprint or an entity that a run names."""

    __slots__ = ()
    _shown = ("identifier",)

    identifier: Field[str | None] = text("identifier")
    title: Field[str | None] = text("title")
    icon: Field[str | None] = text("icon")
    deleted: Field[bool | None] = flag("deleted")


class ActionReference(Reference):
    """The short form of an action.

    Attributes:
        blueprint: The identifier of the blueprint.
        encrypted_properties: Which inputs are encrypted.
        deleted: Whether the action is gone by now.
    """

    __slots__ = ()

    blueprint: Field[str | None] = text("blueprint")
    encrypted_properties: Field[tuple[str, ...] | None] = texts("encryptedProperties")


class _Action(Reference):
    """What the two long forms of an action share."""

    __slots__ = ()

    id: Field[str | None] = text("id")
    description: Field[str | None] = text("description")
    invocation_method: Field[WebhookInvocationMethod | None] = part(
        "invocationMethod", WebhookInvocationMethod
    )
    created_at: Field[datetime | None] = time("createdAt")
    created_by: Field[str | None] = text("createdBy")
    updated_at: Field[datetime | None] = time("updatedAt")
    updated_by: Field[str | None] = text("updatedBy")


class InvokedAction(_Action):
    """The action of an envelope; newer ones hold the method and the trigger only.

    Attributes:
        trigger: ``CREATE``, ``DAY-2``, ``DELETE`` and others.
        user_inputs: The form, as a JSON schema.
    """

    __slots__ = ()

    trigger: Field[str | None] = text("trigger")
    blueprint: Field[str | None] = text("blueprint")
    user_inputs: Field[dict[str, Any] | None] = mapping("userInputs")


class ActionTrigger(Model):
    """What sets an action off, as its author configured it.

    Attributes:
        type: ``self-service``, ``automation`` and others.
        operation: ``CREATE``, ``DAY-2`` or ``DELETE``.
        user_inputs: The form, as a JSON schema.
    """

    __slots__ = ()
    _shown = ("type", "operation")

    type: Field[str | None] = text("type")
    operation: Field[str | None] = text("operation")
    blueprint_identifier: Field[str | None] = text("blueprintIdentifier")
    user_inputs: Field[dict[str, Any] | None] = mapping("userInputs")


class ActionDefinition(_Action):
    """The action of a run event, as its author configured it.

    Attributes:
        required_approval: Whether somebody must approve a run, or the rule for it.
    """

    __slots__ = ()

    trigger: Field[ActionTrigger | None] = part("trigger", ActionTrigger)
    required_approval: Field[Any] = anything("requiredApproval")


class EventContext(Model):
    """What an event is about.

    Attributes:
        action: The action, if the event is about a run.
    """

    __slots__ = ()
    _shown = ("blueprint_identifier", "entity_identifier")

    blueprint_identifier: Field[str | None] = text("blueprintIdentifier")
    entity_identifier: Field[str | None] = text("entityIdentifier")
    property_identifier: Field[str | None] = text("propertyIdentifier")
    action: Field[ActionDefinition | None] = part("action", ActionDefinition)


class Resource(Model):
    """Something in the catalog, before or after a change.

    Its own class for types of resource that this library does not know.
    """

    __slots__ = ()
    _shown = ("id", "identifier")

    id: Field[str | None] = text("id")
    identifier: Field[str | None] = text("identifier")
    created_at: Field[datetime | None] = time("createdAt")
    created_by: Field[str | None] = text("createdBy")
    updated_at: Field[datetime | None] = time("updatedAt")
    updated_by: Field[str | None] = text("updatedBy")


class Entity(Resource):
    """An entity of the catalog.

    Attributes:
        blueprint: The identifier of its blueprint.
        team: The names of the teams that own it.
    """

    __slots__ = ()
    _shown = ("blueprint", "identifier")

    title: Field[str | None] = text("title")
    icon: Field[str | None] = text("icon")
    blueprint: Field[str | None] = text("blueprint")
    team: Field[tuple[str, ...] | None] = texts("team")
    properties: Field[dict[str, Any] | None] = mapping("properties")
    relations: Field[dict[str, Any] | None] = mapping("relations")


class Run(Resource):
    """The run of an action.

    Attributes:
        status: ``IN_PROGRESS``, ``SUCCESS``, ``FAILURE``, ``WAITING_FOR_APPROVAL``,
            ``DECLINED`` and others.
        action: What runs; older messages name it only.
        source: ``UI``, ``API`` and others.
        link: Addresses of logs.
        payload: The call that the run made, filled in.
        response: What the backend answered, any JSON.
        approval: Who approved or declined, any JSON.
    """

    __slots__ = ()
    _shown = ("id", "status")

    status: Field[str | None] = text("status")
    status_label: Field[str | None] = text("statusLabel")
    action: Field[ActionReference | None] = reference("action", ActionReference)
    blueprint: Field[Reference | None] = reference("blueprint", Reference)
    entity: Field[Reference | None] = reference("entity", Reference)
    source: Field[str | None] = text("source")
    link: Field[tuple[str, ...] | None] = texts("link", or_one=True)
    properties: Field[dict[str, Any] | None] = mapping("properties")
    payload: Field[WebhookInvocationMethod | None] = part(
        "payload", WebhookInvocationMethod
    )
    required_approval: Field[Any] = anything("requiredApproval")
    response: Field[Any] = anything("response")
    approval: Field[Any] = anything("approval")
    ended_at: Field[datetime | None] = time("endedAt")


class RunReference(Model):
    """The run that a call belongs to.

    Attributes:
        id: The id to report back to.
    """

    __slots__ = ()
    _shown = ("id",)

    id: Field[str | None] = text("id")


class ActionPayload(Model, Generic[P]):
    """The payload of an envelope; ``P`` types its properties.

    Attributes:
        entity: The entity that the action is about; None for one that creates it.
        action: The action that was run.
        properties: The inputs; None if Port sent none.
        censored_properties: Which of the inputs are encrypted.
    """

    __slots__ = ()

    entity: Field[Entity | None] = part("entity", Entity)
    action: Field[InvokedAction | None] = part("action", InvokedAction)
    properties: Field[P | None] = properties("properties")
    censored_properties: Field[tuple[str, ...] | None] = texts("censoredProperties")
