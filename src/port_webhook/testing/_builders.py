"""Realistic invocations of every shape, in Port's own names (protocol, section 3).

Each function returns a new dict that `Delivery.invocation` recognises. Keywords are
Port's names and change it: an object is merged into the one that is there, any other
value replaces it. ``inputs`` and ``properties`` are always replaced, since they are
yours.

    action_invocation(context={"runId": "r_7"}, properties={"replicas": 2})

Nothing is checked, since some tests need an invocation that Port would not send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    Json = dict[str, Any]
    Operation = Literal["CREATE", "DAY-2", "DELETE"]
    EntityChange = Literal["created", "updated", "deleted", "expired"]
    RunChange = Literal["created", "updated"]

__all__ = [
    "action_invocation",
    "automation_trigger_data",
    "changelog_message",
    "custom_payload",
    "entity_event",
    "run_event",
    "trigger_data",
    "workflow_node_run",
]

_RUN_ID = "r_Harbour7Qm2"
_NODE_RUN_ID = "wfnr_Harbour4Tz9"
_ORG = "org_Harbour"
_USER = "auth0|grace1906"
_SERVICE = "checkout"
_URL = "https://backend.example.com/port"

_OPERATIONS = {
    "CREATE": ("create_service", "Create service"),
    "DAY-2": ("scale_service", "Scale service"),
    "DELETE": ("delete_service", "Delete service"),
}
_ENTITY_ACTIONS = {
    "created": "CREATE",
    "updated": "UPDATE",
    "deleted": "DELETE",
    "expired": "TIMER_EXPIRED",
}
_RUN_ACTIONS = {"created": "CREATE", "updated": "UPDATE"}
_YOURS = frozenset(("inputs", "properties"))


@boundary
def action_invocation(
    *,
    properties: dict[str, Any] | None = None,
    operation: Operation = "CREATE",
    run_id: str = _RUN_ID,
    **changes: Any,
) -> dict[str, Any]:
    """Build the classic body of a self-service action, an `ActionInvocation`.

    Args:
        properties: The inputs, ``payload.properties``.
        operation: ``CREATE`` has no entity; ``DAY-2`` and ``DELETE`` have one.
        run_id: The id of the run, ``context.runId``.
        changes: Anything else, by Port's names.

    Raises:
        ConfigurationError: *operation* is none of the three.
    """
    identifier, title = _choose("operation", operation, _OPERATIONS)
    entity = None if operation == "CREATE" else _entity()
    envelope: Json = {
        "action": identifier,
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": _trigger(_person()),
        "context": {
            "entity": None if entity is None else _SERVICE,
            "blueprint": "service",
            "runId": run_id,
        },
        "payload": {
            "entity": entity,
            "action": {
                "id": "action_Harbour1",
                "identifier": identifier,
                "title": title,
                "icon": "Service",
                "userInputs": _form(),
                "invocationMethod": _method(),
                "trigger": operation,
                "description": f"{title} in the harbour",
                "blueprint": "service",
                **_stamps(),
            },
            "properties": _inputs() if properties is None else properties,
            "censoredProperties": [],
        },
    }
    return _merge(envelope, changes)


@boundary
def trigger_data(
    *, operation: Operation = "CREATE", run_id: str = _RUN_ID, **changes: Any
) -> dict[str, Any]:
    """Build the `TriggerData` of a self-service action: the body ``{{ . }}``.

    Args:
        operation: With ``CREATE``, ``entity`` is an empty object.
        run_id: The id of the run, ``run.id``.
        changes: ``inputs`` and anything else, by Port's names.

    Raises:
        ConfigurationError: *operation* is none of the three.
    """
    identifier, _ = _choose("operation", operation, _OPERATIONS)
    data: Json = {
        "inputs": _inputs(),
        "trigger": {**_trigger(_person()), "operation": operation},
        "event": None,
        "entity": {} if operation == "CREATE" else _entity(),
        "action": {
            "identifier": identifier,
            "blueprint": "service",
            "encryptedProperties": [],
        },
        "run": {"id": run_id},
    }
    return _merge(data, changes)


@boundary
def automation_trigger_data(
    event: dict[str, Any] | None = None, *, run_id: str = _RUN_ID, **changes: Any
) -> dict[str, Any]:
    """Build the `TriggerData` of an automation, with the event that set it off.

    Args:
        event: The event, as `entity_event` or `run_event` builds it. None: an entity
            was updated.
        run_id: The id of the automation's run, ``run.id``.
        changes: Anything else, by Port's names.
    """
    data: Json = {
        "inputs": None,
        "trigger": _trigger(_person(), origin="AUTOMATION"),
        "event": entity_event() if event is None else event,
        "entity": None,
        "action": {"identifier": "notify_owners"},
        "run": {"id": run_id},
    }
    return _merge(data, changes)


@boundary
def entity_event(change: EntityChange = "updated", **changes: Any) -> dict[str, Any]:
    """Build the `CatalogEvent` of an entity.

    Args:
        change: What happened. ``expired`` is a timer, which has no ``before``.
        changes: Anything else, by Port's names.

    Raises:
        ConfigurationError: *change* is none of the four.
    """
    action = _choose("change", change, _ENTITY_ACTIONS)
    expired = change == "expired"
    event: Json = {
        "action": action,
        "resourceType": "entity",
        "trigger": _trigger({"byPort": True}, "API") if expired else _trigger(_actor()),
        "context": {
            "blueprintIdentifier": "service",
            "entityIdentifier": _SERVICE,
            "propertyIdentifier": "expires" if expired else None,
        },
        "diff": {"after": _entity()} if expired else _entity_diff(change),
    }
    return _merge(event, changes)


@boundary
def run_event(
    change: RunChange = "updated", *, run_id: str = _RUN_ID, **changes: Any
) -> dict[str, Any]:
    """Build the `CatalogEvent` of a run.

    Args:
        change: A run that was ``updated`` has succeeded.
        run_id: The id of the run that the event is about.
        changes: Anything else, by Port's names.

    Raises:
        ConfigurationError: *change* is neither ``created`` nor ``updated``.
    """
    identifier, title = _OPERATIONS["DAY-2"]
    event: Json = {
        "id": "event_Harbour3",
        "resourceType": "run",
        "action": _choose("change", change, _RUN_ACTIONS),
        "trigger": _trigger(_actor()),
        "context": {
            "action": {
                "identifier": identifier,
                "title": title,
                "trigger": {
                    "type": "self-service",
                    "operation": "DAY-2",
                    "userInputs": _form(),
                },
                "invocationMethod": _method(),
                "requiredApproval": False,
                **_stamps(),
            }
        },
        "diff": _run_diff(change, run_id, {"identifier": identifier, "title": title}),
    }
    return _merge(event, changes)


@boundary
def changelog_message(
    change: EntityChange = "updated",
    *,
    resource: Literal["entity", "run"] = "entity",
    run_id: str = _RUN_ID,
    **changes: Any,
) -> dict[str, Any]:
    """Build a `ChangelogMessage`, which Port does not sign on Kafka.

    Args:
        change: What happened. ``expired`` is a timer, which has no ``diff``; a run is
            ``created`` or ``updated``.
        resource: What it happened to.
        run_id: The id of the run, ``context.runId``, if it is one.
        changes: Anything else, by Port's names, such as ``changelogDestination``.

    Raises:
        ConfigurationError: *resource* or *change* is none of these.
    """
    if _choose("resource", resource, {"entity": "entity", "run": "run"}) == "run":
        _choose("change", change, _RUN_ACTIONS)
        action = _OPERATIONS["DAY-2"][0]
        message: Json = {
            "action": action,
            "resourceType": "run",
            "status": "TRIGGERED" if change == "created" else "SUCCESS",
            "trigger": _trigger(_actor()),
            "context": {"entity": _SERVICE, "blueprint": "service", "runId": run_id},
            "diff": _run_diff(change, run_id, action),
        }
        return _merge(message, changes)
    action = _choose("change", change, _ENTITY_ACTIONS)
    expired = change == "expired"
    actor = {"byPort": True, "orgId": _ORG} if expired else _actor()
    message = {
        "action": action,
        "resourceType": "entity",
        "status": "SUCCESS",
        "trigger": _trigger(actor, "API" if expired else "UI"),
        "context": {"entity": _SERVICE, "blueprint": "service"},
    }
    if not expired:
        message["diff"] = _entity_diff(change)
    return _merge(message, changes)


@boundary
def workflow_node_run(*, run_id: str = _NODE_RUN_ID, **changes: Any) -> dict[str, Any]:
    """Build the run of a workflow's node, a `WorkflowNodeRun`.

    Args:
        run_id: The id of the node's run, which starts with ``wfnr_``.
        changes: Anything else, by Port's names.
    """
    run: Json = {
        "payload": {"action": {"invocationMethod": _method(agent=True)}},
        "context": {"runId": run_id},
    }
    return _merge(run, changes)


@boundary
def custom_payload(*, run_id: str = _RUN_ID, **changes: Any) -> dict[str, Any]:
    """Build a body of an author's own, a `CustomPayload`.

    Args:
        run_id: The id of the run, ``port_context.runId``.
        changes: Anything else. A body of your own needs no builder.
    """
    body: Json = {
        "service": _SERVICE,
        "environment": "production",
        "port_context": {"runId": run_id},
    }
    return _merge(body, changes)


def _choose(name: str, value: object, choices: dict[str, Any]) -> Any:
    if not isinstance(value, str) or value not in choices:
        msg = f"{name} must be one of {', '.join(choices)}"
        raise ConfigurationError(msg)
    return choices[value]


def _merge(target: Json, changes: Json) -> Json:
    """Change *target*, which was built for this call, and return it."""
    for key, value in changes.items():
        old = target.get(key)
        if key not in _YOURS and isinstance(old, dict) and isinstance(value, dict):
            _merge(cast("Json", old), cast("Json", value))
        else:
            target[key] = value
    return target


def _actor() -> Json:
    return {"orgId": _ORG, "userId": _USER}


def _person() -> Json:
    user = {
        "email": "grace@example.com",
        "firstName": "Grace",
        "lastName": "Hopper",
        "phoneNumber": "",
        "picture": "https://images.example.com/grace.png",
        "providers": ["port"],
        "status": "ACTIVE",
        "id": _USER,
        "createdAt": "2024-01-08T07:15:00.250Z",
        "updatedAt": "2024-11-04T16:20:00.500Z",
    }
    return {**_actor(), "user": user}


def _trigger(actor: Json, origin: str = "UI") -> Json:
    # Moments before the time that a `FixedClock` shows.
    return {"by": actor, "origin": origin, "at": "2024-12-31T23:59:58.750Z"}


def _stamps() -> Json:
    return {
        "createdAt": "2024-03-11T09:00:00.000Z",
        "createdBy": _USER,
        "updatedAt": "2024-10-02T13:45:00.125Z",
        "updatedBy": "deployer@clients",
    }


def _inputs() -> Json:
    return {"name": _SERVICE, "replicas": 3, "public": True}


def _form() -> Json:
    return {
        "properties": {
            "name": {"type": "string", "title": "Name"},
            "replicas": {"type": "number", "title": "Replicas"},
            "public": {"type": "boolean", "title": "Reachable from outside"},
        },
        "required": ["name"],
        "order": ["name", "replicas", "public"],
    }


def _method(*, agent: bool = False) -> Json:
    return {
        "type": "WEBHOOK",
        "url": _URL,
        "agent": agent,
        "synchronized": False,
        "method": "POST",
    }


def _entity(replicas: int = 3) -> Json:
    return {
        "identifier": _SERVICE,
        "title": "Checkout",
        "icon": "Service",
        "blueprint": "service",
        "team": ["payments"],
        "properties": {"language": "COBOL", "replicas": replicas},
        "relations": {"cluster": "pier-4", "depends_on": ["ledger"], "owner": None},
        **_stamps(),
    }


def _entity_diff(change: str) -> Json:
    return {
        "before": None if change == "created" else _entity(),
        "after": None if change == "deleted" else _entity(replicas=5),
    }


def _run(run_id: str, action: object) -> Json:
    return {
        "id": run_id,
        "status": "IN_PROGRESS",
        "blueprint": {"identifier": "service", "title": "Service", "icon": "Service"},
        "entity": {"identifier": _SERVICE, "title": "Checkout", "icon": None},
        "action": action,
        "source": "UI",
        "link": ["https://logs.example.com/7"],
        "requiredApproval": False,
        "properties": {"replicas": 5},
        "payload": {**_method(), "body": {"replicas": 5}},
        **_stamps(),
    }


def _run_diff(change: str, run_id: str, action: object) -> Json:
    if change == "created":
        return {"before": None, "after": _run(run_id, action)}
    ended = {
        "status": "SUCCESS",
        "statusLabel": "Scaled",
        "endedAt": "2024-12-31T23:59:58.500Z",
        "response": {"replicas": 5},
    }
    return {
        "before": _run(run_id, action),
        "after": {**_run(run_id, action), **ended},
    }
