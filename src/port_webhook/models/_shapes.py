"""The messages that Port sends, and how to tell them apart (protocol, section 3)."""

from __future__ import annotations

from copy import deepcopy
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    Self,
    TypeAlias,
    cast,
    get_args,
)

from port_webhook._json import parse
from port_webhook._run_id import find_run_id
from port_webhook._tracebacks import boundary
from port_webhook.models._base import (
    Search,
    find,
    load_model,
    part,
    raw_of,
    search,
    text,
    value,
    wrong,
)
from port_webhook.models._generic import InputsModel, P
from port_webhook.models._parts import (
    ActionPayload,
    ActionReference,
    Entity,
    EventContext,
    PortContext,
    Resource,
    Run,
    RunContext,
    RunReference,
    Trigger,
    WebhookInvocationMethod,
)
from port_webhook.models._recognition import NODE_RUN_PREFIX, shape_of

Change: TypeAlias = Literal["created", "updated", "deleted", "expired"]

_CHANGES: dict[str, Change] = {
    "CREATE": "created",
    "UPDATE": "updated",
    "DELETE": "deleted",
    "TIMER_EXPIRED": "expired",
    "TIMER_PROPERTY_EXPIRED": "expired",
}
# By whether there is something before, and after.
_SIDES: dict[tuple[bool, bool], Change] = {
    (False, True): "created",
    (True, True): "updated",
    (True, False): "deleted",
}
_RESOURCES: dict[str, type[Resource]] = {"entity": Entity, "run": Run}


class Invocation(Protocol):
    """The accessors of every message, whatever its shape; for annotations.

    Each is None if the document has no such value. Reading a value of another type than
    Port documents raises a `PayloadError`.
    """

    @property
    def run_id(self) -> str | None:
        """The id to report back to."""

    @property
    def action_identifier(self) -> str | None:
        """The identifier of the action."""

    @property
    def operation(self) -> str | None:
        """``CREATE``, ``DAY-2`` or ``DELETE``."""

    @property
    def blueprint(self) -> str | None:
        """The identifier of the blueprint."""

    @property
    def entity_identifier(self) -> str | None:
        """The identifier of the entity."""

    @property
    def entity(self) -> Entity | None:
        """The entity, if the document holds all of it."""

    @property
    def inputs(self) -> Any:
        """The inputs: a dict, or the type in the brackets of the model."""

    @property
    def user_email(self) -> str | None:
        """The e-mail address of the user.

        Do not authorise on it if the action has a body template of its own: the
        template's author decides what stands in these places, and may have put an input
        there. The signature then only proves that Port sent what the user typed.
        """

    @property
    def organization_id(self) -> str | None:
        """The organisation."""

    @property
    def before(self) -> Entity | Run | Resource | None:
        """The resource before a change."""

    @property
    def after(self) -> Entity | Run | Resource | None:
        """The resource after a change."""


_INPUTS = Search(
    "inputs properties payload.properties payload.payload.properties "
    "context.nodeConfig.body.inputs context.nodeConfig.body.properties"
)


def _resource_of(document: dict[str, Any]) -> type[Resource]:
    """Return the class of both sides of the change that *document* is, or holds."""
    has_diff = isinstance(document.get("diff"), dict)
    event: Any = document if has_diff else document["event"]
    kind = event.get("resourceType")
    return _RESOURCES.get(kind, Resource) if isinstance(kind, str) else Resource


def _entity_of(document: dict[str, Any]) -> type[Entity] | None:
    return Entity if document.get("resourceType") == "entity" else None


class Message(InputsModel[P]):
    """Base class of the messages, which share the accessors; see `Invocation`.

    The accessors look at the document, not at fields, so that they also work on an
    author's own body. Each looks in several places, in order. In an old document the
    whole envelope is in ``payload``. For ``user_email`` see `Invocation.user_email`.
    """

    _derived = ("inputs",)

    action_identifier: str | None = search("action payload.action")
    operation: str | None = search(
        "trigger.operation payload.action.trigger context.action.trigger.operation "
        "port_context.operation port_context.trigger.operation "
        "payload.trigger.operation payload.payload.action.trigger operation"
    )
    blueprint: str | None = search(
        "context.blueprint context.blueprintIdentifier action.blueprint "
        "payload.action.blueprint entity.blueprint payload.entity.blueprint "
        "event.context.blueprintIdentifier diff.after.blueprint "
        "event.diff.after.blueprint port_context.blueprint payload.context.blueprint "
        "blueprint"
    )
    entity_identifier: str | None = search(
        "context.entity context.entityIdentifier entity payload.entity "
        "event.context.entityIdentifier diff.after.entity event.diff.after.entity "
        "port_context.entity payload.context.entity payload.payload.entity"
    )
    entity: Entity | None = search(
        "entity payload.entity port_context.entity payload.payload.entity", Entity
    )
    user_email: str | None = search(
        "trigger.by.user.email port_context.trigger.by.user.email "
        "payload.trigger.by.user.email"
    )
    organization_id: str | None = search(
        "trigger.by.orgId port_context.trigger.by.orgId payload.trigger.by.orgId"
    )
    before: Entity | Run | Resource | None = search(
        "diff.before event.diff.before", _resource_of
    )
    after: Entity | Run | Resource | None = search(
        "diff.after event.diff.after", _resource_of
    )

    @property
    @boundary
    def run_id(self) -> str | None:
        """The id to report back to, as `Delivery.run_id` finds it."""
        return find_run_id(raw_of(self))

    @property
    @boundary
    def inputs(self) -> P | None:
        """The inputs of the action; None if it has none."""
        raw, path = find(self, _INPUTS.places, dict)
        return None if raw is None else self._typed(raw, path)


class ActionInvocation(Message[P], shown="action run_id"):
    """The classic body of an action: an envelope around its inputs.

    ``ActionInvocation[VmInputs]`` reads the inputs as your own type.

    Attributes:
        action: The identifier of the action.
        resource_type: ``run`` and others.
        status: ``TRIGGERED``, ``SUCCESS``, ``FAILURE`` and others.
        headers: Only on deliveries by Kafka or by the agent.
    """

    _inputs_name = "properties"

    action: str = text("action", required=True)
    resource_type: str = text("resourceType", required=True)
    status: str = text("status", required=True)
    trigger: Trigger = part("trigger", Trigger, required=True)
    context: RunContext = part("context", RunContext, required=True)
    payload: ActionPayload[P] = part("payload", ActionPayload, required=True)
    headers: dict[str, Any] | None = value("headers", dict)

    @property
    @boundary
    def inputs(self) -> P | None:
        """The inputs: ``payload.properties``; None if Port sent none."""
        return self.payload.properties

    @property
    @boundary
    def properties(self) -> P:
        """The inputs: ``payload.properties``, or empty ones if Port sent none."""
        found = self.payload.properties
        if found is None:
            found = self._typed({}, "payload.properties")
        return found


class _Change(Message[dict[str, Any]], shown="resource_type action"):
    """Base class of the two messages about a change, which have no inputs."""

    action: str | None = text("action")
    resource_type: str | None = text("resourceType")
    trigger: Trigger | None = part("trigger", Trigger)
    diff: dict[str, Any] | None = value("diff", dict)
    action_identifier: str | None = search(
        "context.action diff.after.action diff.before.action"
    )
    # Of a run, it is a reference in `Run.entity`.
    entity: Entity | None = search("diff.after diff.before", _entity_of)

    @property
    @boundary
    def change(self) -> Change | None:
        """The kind of change: ``created``, ``updated``, ``deleted`` or ``expired``.

        It is read from ``action``. In the change log of a run, ``action`` is the
        identifier of the action; the change is then read from the two sides, if both
        are there. None if neither tells.
        """
        known = _CHANGES.get(self.action or "")
        if known is not None or self.resource_type != "run":
            return known
        diff = self.diff or {}
        if "before" not in diff or "after" not in diff:
            return None
        return _SIDES.get((diff["before"] is not None, diff["after"] is not None))


class CatalogEvent(_Change):
    """A change of an entity or of a run, as an automation sees it.

    Attributes:
        id: The id of the event, if it is about a run.
        action: ``CREATE``, ``UPDATE``, ``DELETE`` and others; see ``change``.
        resource_type: ``entity``, ``run`` and others.
        diff: Both sides as received; see ``before`` and ``after``.
    """

    id: str | None = text("id")
    context: EventContext | None = part("context", EventContext)

    @property
    @boundary
    def change(self) -> Change | None:
        """The kind of change; ``expired`` if the event names a property (a timer)."""
        context = self.context
        if context is not None and context.property_identifier is not None:
            return "expired"
        return super().change


class ChangelogMessage(_Change):
    """A message of the change log, which Port does not sign on Kafka.

    Attributes:
        action: As in a `CatalogEvent`, or ``TIMER_EXPIRED``, or the identifier of
            the action of a run; see ``change``.
        status: ``TRIGGERED``, ``SUCCESS``, ``FAILURE`` and others.
        diff: Both sides as received; a timer that expired has none.
        changelog_destination: Where the agent sends the message.
    """

    status: str | None = text("status")
    context: RunContext | None = part("context", RunContext)
    changelog_destination: WebhookInvocationMethod | None = part(
        "changelogDestination", WebhookInvocationMethod
    )


class TriggerData(Message[P], shown="run_id"):
    """Everything Port knows about a run: the body ``{{ . }}``.

    ``TriggerData[VmInputs]`` reads the inputs as your own type. ``inputs`` is None for
    an automation, and ``entity`` for an action that creates one (Port sends ``{}``).

    Do not authorise on ``user_email`` if the action has a body template of its own: it
    is read from three places of the payload, and the template's author, who decides
    what stands there, may have put an input there. The signature then only proves that
    Port sent what the user typed.

    Attributes:
        event: The event that triggered an automation; None for a self-service action.
    """

    _own_inputs: dict[str, Any] | None = value("inputs", dict)
    trigger: Trigger | None = part("trigger", Trigger)
    event: CatalogEvent | None = part("event", CatalogEvent)
    _own_entity: dict[str, Any] | None = value("entity", dict)
    action: ActionReference | None = part("action", ActionReference)
    run: RunReference | None = part("run", RunReference)


class CustomPayload(Message[P]):
    """A body of any other shape, such as one templated by the action's author.

    ``from_dict`` takes any JSON value. The accessors look where most authors put these
    values; one of another type counts as absent.
    """

    _is_authored = True

    port_context: PortContext | None = search("port_context", PortContext)

    if TYPE_CHECKING:

        @classmethod
        def from_dict(cls, data: Any) -> Self:
            """Build the model from any JSON value, which is copied."""
            ...

    @property
    @boundary
    def body(self) -> Any:
        """The payload: an object, a list, text, a number, true, false or None."""
        return raw_of(self)

    @boundary
    def to_dict(self) -> Any:
        """Return a copy of the payload, which need not be an object."""
        return deepcopy(raw_of(self))


class WorkflowNodeRun(CustomPayload[P], shown="run_id"):
    """The run of a workflow's node, unless it is a whole envelope.

    It is a subclass of `CustomPayload`: match it first.

    Attributes:
        context: Its ``run_id`` starts with ``wfnr_``.
        headers: Only on deliveries by Kafka or by the agent.
    """

    _is_authored = False

    context: RunContext = part("context", RunContext, required=True)
    payload: ActionPayload[P] | None = part("payload", ActionPayload)
    headers: dict[str, Any] | None = value("headers", dict)

    @classmethod
    def _load(cls, raw: Any, path: str, root: Any) -> Self:
        model = super()._load(raw, path, root)
        run_id = model.context.run_id
        if run_id is None or not run_id.startswith(NODE_RUN_PREFIX):
            problem = f"must start with {NODE_RUN_PREFIX}" if run_id else "is missing"
            raise wrong(model, "context.runId", problem)
        return model


AnyInvocation: TypeAlias = (
    ActionInvocation
    | TriggerData
    | CatalogEvent
    | ChangelogMessage
    | WorkflowNodeRun
    | CustomPayload
)

_SHAPES = {model.__name__: model for model in get_args(AnyInvocation)}


def recognise(raw: Any) -> type[Message[Any]]:
    """Tell by its structure which message *raw* is."""
    return cast("type[Message[Any]]", _SHAPES[shape_of(raw)])


@boundary
def load_invocation(data: bytes) -> AnyInvocation:
    """Load *data* as the message that its structure says it is.

    Raises:
        PayloadError: It is not strict JSON, or lacks a required part of such a message;
            ``path`` names the field.
    """
    raw = parse(data)
    return cast("AnyInvocation", load_model(recognise(raw), raw))
