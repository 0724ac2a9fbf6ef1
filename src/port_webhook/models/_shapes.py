"""The messages that Port sends, and how to tell them apart (protocol, section 3)."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    TypeAlias,
    cast,
)

from port_webhook._run_id import find_run_id
from port_webhook._tracebacks import boundary
from port_webhook.models._base import (
    MUST_BE,
    M,
    Model,
    copy_json,
    find,
    join,
    load_model,
    mapping,
    part,
    parts_of,
    path_of,
    raw_of,
    root_of,
    search,
    split_places,
    text,
    view,
    wrong,
)
from port_webhook.models._foreign import read_inputs
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

_NODE_RUN_PREFIX = "wfnr_"

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

    Each is None where the document has nothing to say. Where it has something of
    another type than Port documents, reading it raises a `PayloadError`.
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
        """The entity, if the whole of it came."""

    @property
    def inputs(self) -> Any:
        """The inputs: a dict, or the type in the brackets of the model."""

    @property
    def user_email(self) -> str | None:
        """The e-mail address of the user."""

    @property
    def organization_id(self) -> str | None:
        """The organisation."""

    @property
    def before(self) -> Entity | Run | Resource | None:
        """The resource before a change."""

    @property
    def after(self) -> Entity | Run | Resource | None:
        """The resource after a change."""

    def validate(self) -> None:
        """Check every field at once."""

    def to_dict(self) -> Any:
        """Return a copy of what came."""


# Where the accessors of objects look. In an old document the whole envelope stands
# in ``payload``.
_OBJECTS = {
    name: split_places(places)
    for name, places in {
        "entity": "entity payload.entity port_context.entity payload.payload.entity",
        "inputs": (
            "inputs properties payload.properties payload.payload.properties "
            "context.nodeConfig.body.inputs context.nodeConfig.body.properties"
        ),
        "before": "diff.before event.diff.before",
        "after": "diff.after event.diff.after",
        "port_context": "port_context",
    }.items()
}


class Message(InputsModel[P]):
    """Base class of the messages, which share the accessors; see `Invocation`.

    The accessors look at the document, not at fields, so that they work on a body
    that an author templated, too. Each looks in several places, in order.
    """

    _derived: ClassVar[tuple[str, ...]] = ("entity", "inputs", "before", "after")
    # In a body of an author's own, a value of another type is not Port's.
    _is_authored: ClassVar[bool] = False

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
    user_email: str | None = search(
        "trigger.by.user.email port_context.trigger.by.user.email "
        "payload.trigger.by.user.email"
    )
    organization_id: str | None = search(
        "trigger.by.orgId port_context.trigger.by.orgId payload.trigger.by.orgId"
    )

    @property
    @boundary
    def run_id(self) -> str | None:
        """The id to report back to, as `Delivery.run_id` finds it."""
        return find_run_id(raw_of(self))

    @property
    @boundary
    def entity(self) -> Entity | None:
        """The entity that the action is about, if the whole of it came."""
        return self._part("entity", Entity)

    @property
    @boundary
    def inputs(self) -> P | None:
        """The inputs of the action; None if it has none."""
        raw, path = find(self, _OBJECTS["inputs"], dict, empty=True)
        return None if raw is None else self._typed(raw, path)

    @property
    @boundary
    def before(self) -> Entity | Run | Resource | None:
        """The resource before the change; None if it did not exist, or did not come.

        It is an `Entity` or a `Run` by ``resourceType``, else a `Resource`.
        """
        return self._side("before")

    @property
    @boundary
    def after(self) -> Entity | Run | Resource | None:
        """The resource after the change; None if it is gone, or did not come."""
        return self._side("after")

    def _side(self, side: str) -> Entity | Run | Resource | None:
        raw = raw_of(self)
        holder: Any = raw if raw.__class__ is dict and "diff" in raw else None
        if raw.__class__ is dict and holder is None:
            holder = raw.get("event")
        kind: Any = holder.get("resourceType") if holder.__class__ is dict else None
        model = _RESOURCES.get(kind, Resource) if isinstance(kind, str) else Resource
        return self._part(side, model, empty=True)

    def _part(self, name: str, model: type[M], *, empty: bool = False) -> M | None:
        """Return the *model* at the first place of *name*, made once."""
        parts, key = parts_of(self), f"@{name}"
        if key not in parts:
            raw, path = find(self, _OBJECTS[name], dict, empty=empty)
            made = None if raw is None else view(model, raw, path, root_of(self))
            parts.setdefault(key, made)
        return cast("M | None", parts[key])


class ActionInvocation(Message[P], shown="action run_id"):
    """The classic body of an action: an envelope around its inputs.

    ``ActionInvocation[VmInputs]`` reads the inputs as your own type.

    Attributes:
        action: The identifier of the action.
        resource_type: ``run`` and others.
        status: ``TRIGGERED``, ``SUCCESS``, ``FAILURE`` and others.
        trigger: Who ran it, and when.
        context: The entity, the blueprint and the run.
        payload: The entity, the action and the inputs.
        headers: Only on deliveries by Kafka or by the agent.
    """

    _inputs_name = "properties"

    action: str = text("action", required=True)
    resource_type: str = text("resourceType", required=True)
    status: str = text("status", required=True)
    trigger: Trigger = part("trigger", Trigger, required=True)
    context: RunContext = part("context", RunContext, required=True)
    payload: ActionPayload[P] = part("payload", ActionPayload, required=True)
    headers: dict[str, Any] | None = mapping("headers")

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
            found = self._typed({}, join(path_of(self), "payload.properties"))
        return found


class _Change(Message[dict[str, Any]], shown="resource_type action"):
    """What the two messages about a change share."""

    action: str | None = text("action")
    resource_type: str | None = text("resourceType")
    trigger: Trigger | None = part("trigger", Trigger)
    diff: dict[str, Any] | None = mapping("diff")

    action_identifier: str | None = search(
        "context.action diff.after.action diff.before.action"
    )

    @property
    @boundary
    def entity(self) -> Entity | None:
        """The entity after the change, or before it if it is gone."""
        sides = (self.after, self.before)
        return next((side for side in sides if isinstance(side, Entity)), None)

    @property
    @boundary
    def inputs(self) -> dict[str, Any] | None:
        """None: a change has no inputs. Those of a run are in its ``properties``."""
        return None

    @property
    @boundary
    def change(self) -> Change | None:
        """What happened: ``created``, ``updated``, ``deleted`` or ``expired``.

        ``action`` says so. In the change log of a run it is the identifier of the
        action, and the two sides say so, if both came. None if nothing does.
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
        trigger: Who made the change, and when.
        context: What changed.
        diff: Both sides as they came; see ``before`` and ``after``.
    """

    id: str | None = text("id")
    context: EventContext | None = part("context", EventContext)

    @property
    @boundary
    def change(self) -> Change | None:
        """What happened; only the event of a timer names a property: ``expired``."""
        context = self.context
        if context is not None and context.property_identifier is not None:
            return "expired"
        return super().change


class ChangelogMessage(_Change):
    """A message of the change log, which Port does not sign on Kafka.

    Attributes:
        action: As in a `CatalogEvent`, or ``TIMER_EXPIRED``, or the identifier of
            the action of a run; see ``change``.
        resource_type: ``entity``, ``run`` and others.
        status: ``TRIGGERED``, ``SUCCESS``, ``FAILURE`` and others.
        trigger: Who made the change, and when.
        context: What changed.
        diff: Both sides as they came; a timer that expired has none.
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

    Attributes:
        trigger: Who ran it, and when.
        event: What set an automation off; None for a self-service action.
        action: The action, and which of its inputs are encrypted.
        run: The run to report back to.
    """

    _own_inputs: dict[str, Any] | None = mapping("inputs")
    trigger: Trigger | None = part("trigger", Trigger)
    event: CatalogEvent | None = part("event", CatalogEvent)
    _own_entity: Entity | None = part("entity", Entity, or_empty=True)
    action: ActionReference | None = part("action", ActionReference)
    run: RunReference | None = part("run", RunReference)


class CustomPayload(Message[P]):
    """A body of any other shape, such as one templated by the action's author.

    ``from_dict`` takes any JSON value. The accessors look where most authors put
    things; a value of another type is the author's own, and counts as none.
    """

    _is_authored = True
    _derived = ("entity", "inputs", "before", "after", "port_context")

    if TYPE_CHECKING:

        @classmethod
        def from_dict(cls, data: Any) -> Self:
            """Build the model from any JSON value, which is copied."""
            ...

    @classmethod
    def _load(cls, raw: Any, path: str, root: Any) -> Self:
        return cls._with_inputs(view(cls, raw, path, root))

    @property
    @boundary
    def body(self) -> Any:
        """What came: an object, a list, text, a number, true, false or None."""
        return raw_of(self)

    @property
    @boundary
    def port_context(self) -> PortContext | None:
        """The object ``port_context`` at the top of the body, if there is one."""
        return self._part("port_context", PortContext, empty=True)

    @property
    @boundary
    def extra(self) -> dict[str, Any]:
        """The fields that this model does not know; none if it is not an object."""
        return super().extra if isinstance(raw_of(self), dict) else {}

    @boundary
    def to_dict(self) -> Any:
        """Return a copy of what came, which need not be an object."""
        return copy_json(raw_of(self))

    @boundary
    def __repr__(self) -> str:
        raw: Any = raw_of(self)
        size = f" of {len(raw)}" if raw.__class__ in (dict, list) else ""
        return f"<{type(self).__name__} {type(raw).__name__}{size}>"


class WorkflowNodeRun(CustomPayload[P], shown="run_id"):
    """The run of a workflow's node, where it has less than an envelope.

    It is a `CustomPayload`, too: match it first.

    Attributes:
        context: Its ``run_id`` starts with ``wfnr_``.
        payload: The action, and what else came.
        headers: Only on deliveries by Kafka or by the agent.
    """

    _is_authored = False

    context: RunContext = part("context", RunContext, required=True)
    payload: ActionPayload[P] | None = part("payload", ActionPayload)
    headers: dict[str, Any] | None = mapping("headers")

    @classmethod
    def _load(cls, raw: Any, path: str, root: Any) -> Self:
        model = super(CustomPayload, cls)._load(raw, path, root)
        run_id = raw["context"].get("runId")
        if run_id is None:
            raise wrong(model, "context.runId", "is missing")
        if run_id.__class__ is not str:
            raise wrong(model, "context.runId", MUST_BE[str])
        if not run_id.startswith(_NODE_RUN_PREFIX):
            problem = f"must start with {_NODE_RUN_PREFIX}"
            raise wrong(model, "context.runId", problem)
        return model

    def __repr__(self) -> str:
        return super(CustomPayload, self).__repr__()


AnyInvocation: TypeAlias = (
    ActionInvocation
    | TriggerData
    | CatalogEvent
    | ChangelogMessage
    | WorkflowNodeRun
    | CustomPayload
)


def inputs_as(invocation: Message[Any], argument: Any) -> Any:
    """Read the inputs of *invocation* as *argument*; where none came, empty ones.

    Raises:
        PayloadError: They do not fit.
        ConfigurationError: Nothing can be read as *argument*.
    """
    raw = raw_of(invocation)
    found = None
    if not isinstance(invocation, _Change):
        generic: Any = type(invocation)
        found = load_model(generic[argument], raw).inputs
    return read_inputs(argument, {}, "inputs", raw) if found is None else found


_ENVELOPE = frozenset(
    ("action", "resourceType", "status", "trigger", "context", "payload")
)
_CHANGE = frozenset(("action", "resourceType", "trigger", "context"))
_EVENT_CONTEXT = frozenset(("blueprintIdentifier", "entityIdentifier"))
_OBJECT_NAMES = ("trigger", "context", "payload", "run", "action")
_TRIGGER_DATA = frozenset(("inputs", "trigger", "event", "action", "run"))


def recognise(raw: Any) -> type[Model]:
    """Tell by its structure which message *raw* is.

    An author may template a body that has Port's names for something else. All the
    names of a message count only if it has an object where Port always has one; fewer
    names only if it has more of those objects.
    """
    if not isinstance(raw, dict):
        return CustomPayload
    document = cast("dict[str, Any]", raw)
    names = document.keys()
    objects = {name for name in _OBJECT_NAMES if document.get(name).__class__ is dict}
    context: dict[str, Any] = document["context"] if "context" in objects else {}
    found: type[Model] = CustomPayload
    if names >= _ENVELOPE and objects & {"trigger", "context", "payload"}:
        found = ActionInvocation
    elif names >= _CHANGE and "status" in names and objects & {"trigger", "context"}:
        found = ChangelogMessage
    elif names >= _CHANGE and (
        ("diff" in names and objects & {"trigger", "context"})
        or not context.keys().isdisjoint(_EVENT_CONTEXT)
    ):
        found = CatalogEvent
    elif (names >= _TRIGGER_DATA and objects & {"trigger", "run", "action"}) or (
        "inputs" in names and objects >= {"trigger", "run"}
    ):
        found = TriggerData
    elif "payload" in objects and isinstance(document["payload"].get("action"), dict):
        run_id = context.get("runId")
        if isinstance(run_id, str) and run_id.startswith(_NODE_RUN_PREFIX):
            found = WorkflowNodeRun
    return found
