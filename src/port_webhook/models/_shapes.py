"""The messages that Port sends, and how to tell them apart (protocol, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, cast

from port_webhook.models._base import (
    Field,
    Model,
    copy_json,
    inside,
    mapping,
    part,
    part_or_empty,
    properties,
    text,
)
from port_webhook.models._parts import (
    ActionPayload,
    ActionReference,
    Entity,
    EventContext,
    P,
    Resource,
    Run,
    RunContext,
    RunReference,
    Trigger,
    WebhookInvocationMethod,
)

if TYPE_CHECKING:
    from port_webhook.models._base import Wrong

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


class ActionInvocation(Model, Generic[P]):
    """The classic body of an action: an envelope around its inputs.

    ``ActionInvocation[VmInputs]`` types the properties with your own ``TypedDict``.

    Attributes:
        action: The identifier of the action.
        resource_type: ``run`` and others.
        status: ``TRIGGERED``, ``SUCCESS``, ``FAILURE`` and others.
        trigger: Who ran it, and when.
        context: The entity, the blueprint and the run.
        payload: The entity, the action and the inputs.
        headers: Only on deliveries by Kafka or by the agent.
    """

    __slots__ = ()
    _shown = ("action", "run_id")

    action: Field[str] = text("action", required=True)
    resource_type: Field[str] = text("resourceType", required=True)
    status: Field[str] = text("status", required=True)
    trigger: Field[Trigger] = part("trigger", Trigger, required=True)
    context: Field[RunContext] = part("context", RunContext, required=True)
    payload: Field[ActionPayload[P]] = part("payload", ActionPayload, required=True)
    headers: Field[dict[str, Any] | None] = mapping("headers")

    @property
    def properties(self) -> P:
        """The inputs: ``payload.properties``, or empty ones if Port sent none."""
        found = self.payload.properties
        if found is None:
            # Loading puts the user's type here, made of an empty object.
            found = self._parts.setdefault("payload.properties", {})
        return cast("P", found)

    @property
    def run_id(self) -> str | None:
        """The id to report back to: ``context.runId``."""
        return self.context.run_id


class _Change(Model):
    """What the two messages about a change share."""

    __slots__ = ()
    _shown = ("resource_type", "action")

    action: Field[str | None] = text("action")
    resource_type: Field[str | None] = text("resourceType")
    trigger: Field[Trigger | None] = part("trigger", Trigger)
    diff: Field[dict[str, Any] | None] = mapping("diff")

    @classmethod
    def _resource(cls, raw: dict[str, Any]) -> type[Resource]:
        return _RESOURCES.get(raw.get("resourceType") or "", Resource)

    @classmethod
    def check(cls, raw: Any) -> Wrong | None:
        """Say what is wrong; the type of resource decides about both sides."""
        wrong = super().check(raw)
        if wrong is not None:
            return wrong
        model = cls._resource(raw)
        diff: dict[str, Any] = raw.get("diff") or {}
        for side in ("before", "after"):
            value = diff.get(side)
            wrong = None if value is None else model.check(value)
            if wrong is not None:
                return inside("diff", inside(side, wrong))
        return None

    def _side(self, side: str) -> Any:
        """Return one side of the difference, which is read once."""
        key = f"diff.{side}"
        if key not in self._parts:
            value = (self.diff or {}).get(side)
            if value is not None:
                value = self._resource(self._raw).view(value)
            return self._parts.setdefault(key, value)
        return self._parts[key]

    @property
    def before(self) -> Entity | Run | Resource | None:
        """The resource before the change; None if it did not exist, or did not come.

        It is an `Entity` or a `Run` by ``resource_type``, else a `Resource`.
        """
        return cast("Resource | None", self._side("before"))

    @property
    def after(self) -> Entity | Run | Resource | None:
        """The resource after the change; None if it is gone, or did not come."""
        return cast("Resource | None", self._side("after"))

    @property
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

    __slots__ = ()

    id: Field[str | None] = text("id")
    context: Field[EventContext | None] = part("context", EventContext)

    @property
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

    __slots__ = ()

    status: Field[str | None] = text("status")
    context: Field[RunContext | None] = part("context", RunContext)
    changelog_destination: Field[WebhookInvocationMethod | None] = part(
        "changelogDestination", WebhookInvocationMethod
    )


class TriggerData(Model, Generic[P]):
    """Everything Port knows about a run: the body ``{{ . }}``.

    ``TriggerData[VmInputs]`` types the inputs with your own ``TypedDict``.

    Attributes:
        inputs: The inputs of a self-service action; None for an automation.
        trigger: Who ran it, and when.
        event: What set an automation off; None for a self-service action.
        entity: The entity that the action is about; None for one that creates it
            (Port sends ``{}``) and for an automation.
        action: The action, and which of its inputs are encrypted.
        run: The run to report back to.
    """

    __slots__ = ()
    _shown = ("run_id",)

    inputs: Field[P | None] = properties("inputs")
    trigger: Field[Trigger | None] = part("trigger", Trigger)
    event: Field[CatalogEvent | None] = part("event", CatalogEvent)
    entity: Field[Entity | None] = part_or_empty("entity", Entity)
    action: Field[ActionReference | None] = part("action", ActionReference)
    run: Field[RunReference | None] = part("run", RunReference)

    @property
    def run_id(self) -> str | None:
        """The id to report back to: ``run.id``."""
        return None if self.run is None else self.run.id


class CustomPayload(Model):
    """Any other body: what the author of an action templated, or nobody documented.

    ``from_dict`` takes any JSON value.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @classmethod
        def from_dict(cls, data: Any) -> Self:
            """Build the model from any JSON value, which is copied."""
            ...

    @classmethod
    def check(cls, raw: Any) -> Wrong | None:  # noqa: ARG003  # see below
        """Find nothing wrong: any JSON is right."""
        return None

    @property
    def body(self) -> Any:
        """What came: an object, a list, text, a number, true, false or None."""
        return self._raw

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that this model does not know; none if it is not an object."""
        return super().extra if isinstance(self._raw, dict) else {}

    def to_dict(self) -> Any:
        """Return a copy of what came, which need not be an object."""
        return copy_json(self._raw)

    def __repr__(self) -> str:
        """Show the kind of JSON, and no content."""
        kind = type(self._raw).__name__
        sized = isinstance(self._raw, dict | list)
        size = f" of {len(self._raw)}" if sized else ""
        return f"<{type(self).__name__} {kind}{size}>"


class WorkflowNodeRun(CustomPayload):
    """The run of a workflow's node, where it has less than an envelope.

    It is a `CustomPayload`, too: match it first.

    Attributes:
        context: Its ``run_id`` starts with ``wfnr_``.
        payload: The action, and what else came.
        headers: Only on deliveries by Kafka or by the agent.
    """

    __slots__ = ()
    _shown = ("run_id",)

    context: Field[RunContext] = part("context", RunContext, required=True)
    payload: Field[ActionPayload | None] = part("payload", ActionPayload)
    headers: Field[dict[str, Any] | None] = mapping("headers")

    @classmethod
    def check(cls, raw: Any) -> Wrong | None:
        """Say what is wrong, as for every other model, and with the run's id."""
        wrong = super(CustomPayload, cls).check(raw)
        if wrong is not None:
            return wrong
        run_id = raw["context"].get("runId")
        if run_id is None:
            return "context.runId", "is missing"
        if not run_id.startswith(_NODE_RUN_PREFIX):
            return "context.runId", f"must start with {_NODE_RUN_PREFIX}"
        return None

    def __repr__(self) -> str:
        """Show the run's id, as the other models do."""
        return super(CustomPayload, self).__repr__()

    @property
    def run_id(self) -> str | None:
        """The id to report back to: ``context.runId``."""
        return self.context.run_id


Invocation: TypeAlias = (
    ActionInvocation | TriggerData | CatalogEvent | ChangelogMessage | CustomPayload
)

_ENVELOPE = frozenset(
    ("action", "resourceType", "status", "trigger", "context", "payload")
)
_CHANGE = frozenset(("action", "resourceType", "trigger", "context"))
_EVENT_CONTEXT = frozenset(("blueprintIdentifier", "entityIdentifier"))
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
    if names >= _ENVELOPE and _has_object(document, "trigger", "context", "payload"):
        return ActionInvocation
    context, payload = document.get("context"), document.get("payload")
    if names >= _CHANGE and _has_object(document, "trigger", "context"):
        if "status" in names:
            return ChangelogMessage
        if "diff" in names or (
            isinstance(context, dict) and not context.keys().isdisjoint(_EVENT_CONTEXT)
        ):
            return CatalogEvent
    if names >= _TRIGGER_DATA and _has_object(document, "trigger", "run", "action"):
        return TriggerData
    if (
        "inputs" in names
        and _has_object(document, "trigger")
        and _has_object(document, "run")
    ):
        return TriggerData
    if isinstance(context, dict) and isinstance(payload, dict):
        run_id = cast("dict[str, Any]", context).get("runId")
        action = cast("dict[str, Any]", payload).get("action")
        if (
            isinstance(run_id, str)
            and run_id.startswith(_NODE_RUN_PREFIX)
            and isinstance(action, dict)
        ):
            return WorkflowNodeRun
    return CustomPayload


def _has_object(document: dict[str, Any], *names: str) -> bool:
    """Tell whether one of the *names* holds an object."""
    return any(isinstance(document.get(name), dict) for name in names)
