"""Recognise messages by their structure (protocol, section 3)."""

from __future__ import annotations

from typing import Any, cast

CUSTOM = "CustomPayload"
NODE_RUN_PREFIX = "wfnr_"

_ENVELOPE = frozenset(
    ("action", "resourceType", "status", "trigger", "context", "payload")
)
_CHANGE = frozenset(("action", "resourceType", "trigger", "context"))
_EVENT_CONTEXT = frozenset(("blueprintIdentifier", "entityIdentifier"))
_OBJECT_NAMES = ("trigger", "context", "payload", "run", "action")
_TRIGGER_DATA = frozenset(("inputs", "trigger", "event", "action", "run"))


def shape_of(raw: Any) -> str:
    """Name the message that *raw* is by its structure.

    An author may use Port's names for something else in a template. So all names of a
    message count only if there is an object where Port always has one, and fewer names
    only if there are more of these objects.
    """
    if not isinstance(raw, dict):
        return CUSTOM
    document = cast("dict[str, Any]", raw)
    names = document.keys()
    objects = {name for name in _OBJECT_NAMES if document.get(name).__class__ is dict}
    context: dict[str, Any] = document["context"] if "context" in objects else {}
    found = CUSTOM
    if names >= _ENVELOPE and objects & {"trigger", "context", "payload"}:
        found = "ActionInvocation"
    elif names >= _CHANGE and "status" in names and objects & {"trigger", "context"}:
        found = "ChangelogMessage"
    elif names >= _CHANGE and (
        ("diff" in names and objects & {"trigger", "context"})
        or not context.keys().isdisjoint(_EVENT_CONTEXT)
    ):
        found = "CatalogEvent"
    elif (names >= _TRIGGER_DATA and objects & {"trigger", "run", "action"}) or (
        "inputs" in names and objects >= {"trigger", "run"}
    ):
        found = "TriggerData"
    elif "payload" in objects and isinstance(document["payload"].get("action"), dict):
        run_id = context.get("runId")
        if isinstance(run_id, str) and run_id.startswith(NODE_RUN_PREFIX):
            found = "WorkflowNodeRun"
    return found
