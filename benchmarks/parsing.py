"""Typed models beside `json.loads`, the strict parse, pydantic and msgspec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from measure import in_turn, ratio
from pydantic import BaseModel
from tables import Table

from port_webhook._json import parse
from port_webhook.models import (
    ActionInvocation,
    Run,
    TriggerData,
    load,
    load_invocation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_BASE = "json.loads"
_BY = "auth0|ada1815"
_STAMP = {
    "createdAt": "2024-03-01T10:00:00.000Z",
    "createdBy": _BY,
    "updatedAt": "2024-03-02T11:00:00.500Z",
    "updatedBy": _BY,
}
ENVELOPE: dict[str, Any] = {
    "action": "grow_vm",
    "resourceType": "run",
    "status": "TRIGGERED",
    "trigger": {
        "by": {
            "orgId": "org_Analytical",
            "userId": _BY,
            "user": {
                "email": "ada@example.com",
                "firstName": "Ada",
                "lastName": "Lovelace",
                "phoneNumber": "",
                "picture": "https://images.example.com/ada.png?s=480&r=pg",
                "providers": ["port"],
                "status": "ACTIVE",
                "id": _BY,
                "createdAt": "2024-02-01T08:00:00.125Z",
                "updatedAt": "2024-05-01T09:30:00.250Z",
            },
        },
        "origin": "UI",
        "at": "2024-05-04T12:53:52.916Z",
    },
    "context": {"entity": "engine-1", "blueprint": "vm", "runId": "r_Vm1Engine"},
    "payload": {
        "entity": {
            "identifier": "engine-1",
            "title": "Engine One",
            "icon": "Server",
            "blueprint": "vm",
            "team": ["mechanics"],
            "properties": {"region": "eu-west-1", "cpu_cores": 2, "disk": 10},
            "relations": {"cluster": "mill", "owner": None},
            **_STAMP,
        },
        "action": {
            "id": "action_Vm1",
            "identifier": "grow_vm",
            "title": "Grow VM",
            "icon": "Server",
            "userInputs": {
                "properties": {
                    "cpu": {"type": "number", "title": "Number of cores"},
                    "memory": {"type": "number", "title": "Size of the memory"},
                    "disk": {"type": "number", "title": "Size of the disk"},
                    "note": {
                        "type": "string",
                        "title": "Note",
                        "description": "Why the machine has to grow, for the approver",
                        "format": "markdown",
                    },
                    "region": {
                        "type": "string",
                        "title": "Region",
                        "enum": ["eu-west-1", "eu-west-2", "us-east-1"],
                    },
                },
                "required": ["cpu", "memory", "region"],
            },
            "invocationMethod": {
                "type": "WEBHOOK",
                "url": "https://backend.example.com/vm",
                "agent": False,
                "synchronized": False,
                "method": "POST",
            },
            "trigger": "DAY-2",
            "description": "Give a virtual machine of the mill more cores",
            "blueprint": "vm",
            **_STAMP,
        },
        "properties": {
            "cpu": 4,
            "memory": 8.5,
            "disk": 20,
            "region": "eu-west-1",
            "note": "The looms of the second floor are waiting for it",
        },
        "censoredProperties": [],
    },
}
_METHOD: dict[str, Any] = {
    "type": "WEBHOOK",
    "url": "https://backend.example.com/grow",
    "agent": False,
    "synchronized": True,
    "method": "POST",
    "headers": {"RUN_ID": "{{ .run.id }}"},
    "body": {"port_context": {"runId": "{{ .run.id }}"}, "inputs": "{{ .inputs }}"},
}
_RUN: dict[str, Any] = {
    "id": "r_Vm6Engine",
    "status": "IN_PROGRESS",
    "blueprint": {"identifier": "vm", "title": "VM", "icon": "Server"},
    "entity": {"identifier": "engine-1", "title": "Engine One", "icon": None},
    "action": {"identifier": "grow_vm", "title": None, "icon": None, "deleted": True},
    "source": "UI",
    "link": ["https://logs.example.com/6"],
    "requiredApproval": False,
    "properties": {"cpu": 4, "memory": 8.5, "region": "eu-west-1"},
    "payload": _METHOD,
    **_STAMP,
}
RUN_EVENT: dict[str, Any] = {
    "inputs": None,
    "trigger": {**ENVELOPE["trigger"], "origin": "AUTOMATION"},
    "event": {
        "id": "event_Mill1",
        "resourceType": "run",
        "action": "UPDATE",
        "trigger": {
            "by": {"orgId": "org_Analytical", "userId": _BY},
            "origin": "UI",
            "at": "2024-05-04T12:53:52.477Z",
        },
        "context": {
            "action": {
                "identifier": "grow_vm",
                "title": "Grow VM",
                "trigger": {
                    "type": "self-service",
                    "operation": "DAY-2",
                    "blueprintIdentifier": "vm",
                    "userInputs": {"properties": {}, "required": [], "order": []},
                },
                "invocationMethod": _METHOD,
                "requiredApproval": False,
                **_STAMP,
            }
        },
        "diff": {
            "before": _RUN,
            "after": {
                **_RUN,
                "status": "SUCCESS",
                "statusLabel": "Grown",
                "endedAt": "2024-05-04T12:55:00.000Z",
                "response": {"ok": True},
            },
        },
    },
    "entity": None,
    "action": {"identifier": "notify"},
    "run": {"id": "r_Vm8Engine"},
}
DATA = json.dumps(ENVELOPE, separators=(",", ":")).encode()
EVENT_DATA = json.dumps(RUN_EVENT, separators=(",", ":")).encode()


class Envelope(BaseModel):
    action: str
    trigger: dict[str, Any]
    payload: dict[str, Any]


class Shell(msgspec.Struct):
    action: str
    trigger: dict[str, Any]
    payload: dict[str, Any]


class PydanticEvent(BaseModel):
    run: dict[str, str]
    trigger: dict[str, Any]
    event: dict[str, Any]


class StructEvent(msgspec.Struct):
    run: dict[str, str]
    trigger: dict[str, Any]
    event: dict[str, Any]


def _read() -> object:
    invocation = load(ActionInvocation, DATA)
    return invocation.trigger.at, invocation.user_email, invocation.properties["cpu"]


def _read_event() -> object:
    data = load(TriggerData, EVENT_DATA)
    assert isinstance(data.after, Run)
    return data.run_id, data.user_email, data.after.status


def _contenders(
    data: bytes, read: Callable[[], object], pydantic: type, struct: type
) -> dict[str, Callable[[], object]]:
    return {
        _BASE: lambda: json.loads(data),
        "strict parse (Delivery.json)": lambda: parse(data),
        "load_invocation (Delivery.invocation)": lambda: load_invocation(data),
        "loaded by name, three values read": read,
        "loaded, and every field checked": lambda: load_invocation(data).validate(),
        "strict parse, then pydantic with three fields": lambda: load(pydantic, data),
        "strict parse, then msgspec with three fields": lambda: load(struct, data),
        "pydantic alone": lambda: pydantic.model_validate_json(data),  # type: ignore[attr-defined]  # a BaseModel
        "msgspec alone": lambda: msgspec.json.decode(data, type=struct),
    }


def report() -> list[Table]:
    """Measure the ways to parse one envelope, and one event of a run."""
    assert isinstance(load_invocation(DATA), ActionInvocation)
    assert isinstance(load_invocation(EVENT_DATA), TriggerData)
    tables: list[Table] = []
    for name, data, contenders in (
        ("An envelope", DATA, _contenders(DATA, _read, Envelope, Shell)),
        (
            "The event of a run",
            EVENT_DATA,
            _contenders(EVENT_DATA, _read_event, PydanticEvent, StructEvent),
        ),
    ):
        seconds = in_turn(contenders)
        table = Table(
            f"{name} of {len(data)} bytes", ("", "time, relative to json.loads")
        )
        for way, each in seconds.items():
            table.add(way, "1" if way == _BASE else ratio(each, seconds[_BASE]))
        tables.append(table)
    return tables
