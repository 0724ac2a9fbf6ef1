"""Typed models beside `json.loads`, the strict parse, pydantic and msgspec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from measure import in_turn, ratio
from pydantic import BaseModel
from rich.table import Table

from port_webhook._json import parse
from port_webhook.models import ActionInvocation, load, load_invocation

if TYPE_CHECKING:
    from collections.abc import Callable

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
DATA = json.dumps(ENVELOPE, separators=(",", ":")).encode()


class Envelope(BaseModel):
    action: str
    trigger: dict[str, Any]
    payload: dict[str, Any]


class Shell(msgspec.Struct):
    action: str
    trigger: dict[str, Any]
    payload: dict[str, Any]


def _read() -> object:
    invocation = load(ActionInvocation, DATA)
    assert isinstance(invocation, ActionInvocation)
    user = invocation.trigger.by.user
    assert user is not None
    return invocation.trigger.at, user.email, invocation.properties["cpu"]


def report() -> list[Table]:
    """Measure the ways to parse one envelope."""
    assert isinstance(load_invocation(DATA), ActionInvocation)
    base = "json.loads"
    contenders: dict[str, Callable[[], object]] = {
        base: lambda: json.loads(DATA),
        "strict parse (Delivery.json)": lambda: parse(DATA),
        "load_invocation (Delivery.invocation)": lambda: load_invocation(DATA),
        "ActionInvocation, three values read": _read,
        "pydantic, three fields checked": lambda: load(Envelope, DATA),
        "msgspec, three fields checked": lambda: load(Shell, DATA),
    }
    seconds = in_turn(contenders)
    table = Table(title=f"Parsing an envelope of {len(DATA)} bytes; aim: at most 3")
    table.add_column("way")
    table.add_column("times json.loads", justify="right")
    for name, each in seconds.items():
        table.add_row(name, f"{ratio(each, seconds[base]):.2f}")
    return [table]


if __name__ == "__main__":
    from rich.console import Console

    for shown in report():
        Console(width=100).print(shown)
