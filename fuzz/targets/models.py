"""Models: what was read is what came, and reading it raises a PayloadError at most.

An input is a byte that chooses the model, and a document.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
from typing_extensions import TypedDict

from fuzz import text as reference
from fuzz.common import STAMP, call, read_payloads, splices
from fuzz.targets.canonical import WORDS as CANONICAL
from port_webhook import Delivery, PayloadError, models
from port_webhook.models import Model, load, load_invocation

__all__ = ["WORDS", "run", "seeds"]


class Typed(TypedDict):
    """Inputs of a user's own."""

    name: str
    size: int


class Strict(pydantic.BaseModel):
    """The same for pydantic."""

    name: str
    size: int = 1


class Packed(msgspec.Struct):
    """The same for msgspec."""

    name: str
    size: int = 1


@dataclass
class Plain:
    """The same as a dataclass."""

    name: str
    size: int = 1


OURS: tuple[Any, ...] = (
    None,
    models.ActionInvocation,
    models.TriggerData,
    models.CatalogEvent,
    models.ChangelogMessage,
    models.WorkflowNodeRun,
    models.CustomPayload,
    models.ActionInvocation[Typed],
    models.TriggerData[Strict],
    models.ActionInvocation[Packed],
    models.CustomPayload[Plain],
    models.ActionInvocation | models.TriggerData[Packed] | None,
)
OTHERS: tuple[Any, ...] = (Typed, Strict, Packed, Plain, list[Strict], Packed | None)
ALL = OURS + OTHERS
RUN_IDS = (
    *("context.runId", "context.nodeRunId", "run.id", "port_context.runId"),
    *("port_context.run_id", "payload.context.runId"),
    *("runId", "run_id", "RUN_ID", "port_run_id"),
)


def run(data: bytes) -> None:
    """Load the document in *data* as a model, and read all of it."""
    model = ALL[data[0] % len(ALL)] if data else None
    data = data[1:]
    document = reference.read(data)
    found = call(load_invocation, data) if model is None else call(load, model, data)
    if document is None or document.too_large:
        assert found is PayloadError
        return
    if isinstance(found, Model):
        _check(found, document.value)
        run_id = Delivery(data, STAMP, 0, "port").run_id
        assert run_id == _find_run_id(document.value)
        assert found.run_id == run_id  # type: ignore[attr-defined]  # of every message
    elif found is not PayloadError:
        assert model in OTHERS or (found is None and document.value is None)


def _check(model: Model, value: Any) -> None:
    kind = type(model)
    assert repr(model.to_dict()) == repr(value)
    for same in (
        kind.from_dict(value),
        pickle.loads(pickle.dumps(model)),  # noqa: S301  # our own
        copy.deepcopy(model),
    ):
        assert same == model
        assert type(same) is kind
    assert len(f"{model!r}") < 1000  # identifiers, each cut
    if isinstance(value, dict):
        assert model.extra.items() <= value.items() if _is_flat(model.extra) else True
    is_valid = call(model.validate) is not PayloadError
    for name in _names(kind):
        found = call(getattr, model, name)
        assert found is not PayloadError or not is_valid or name == "properties", name
        assert not isinstance(found, type) or found is PayloadError
        if isinstance(found, Model):
            _check_part(found)
    _spoil(model.to_dict())
    assert repr(model.to_dict()) == repr(value)


def _spoil(value: Any) -> None:
    """Empty everything in *value*."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _spoil(each)
        value.clear()


def _find_run_id(document: Any) -> str | None:
    """Look where the contract says, in its order."""
    for place in RUN_IDS:
        found = document
        for key in place.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            return found
    return None


def _check_part(part: Model) -> None:
    for name in _names(type(part)):
        found = call(getattr, part, name)
        if isinstance(found, Model):
            _check_part(found)


def _is_flat(extra: dict[str, Any]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in extra.values())


_known: dict[type, list[str]] = {}


def _names(kind: type[Model]) -> list[str]:
    """Return what a user may read on a model: its fields and properties."""
    if kind not in _known:
        _known[kind] = [
            name
            for name in dir(kind)
            if not name.startswith("_") and not callable(getattr(kind, name))
        ]
    return _known[kind]


def seeds() -> list[bytes]:
    """Return every shape that Port documents, as each model, and fragments."""
    payloads = read_payloads()
    found = [bytes([at % len(ALL)]) + each for at, each in enumerate(payloads)]
    found += [b"\0" + each for each in payloads]
    found += [
        bytes([at]) + b'{"name":"a","size":2,"inputs":{"name":"a","size":"x"}}'
        for at in range(len(ALL))
    ]
    found += [
        b'\0{"runId":0,"run_id":"","RUN_ID":[],"port_run_id":"r_1","context":{"runId":1}}',
        b'\x06{"run":{"id":{}},"payload":{"context":{"runId":"r_1"}},"context":null}',
    ]
    return splices(found)


WORDS = (
    *CANONICAL,
    *(
        f'"{name}":'.encode()
        for name in (
            *("action", "resourceType", "status", "trigger", "context", "payload"),
            *("runId", "nodeRunId", "blueprint", "entity", "properties", "inputs"),
            *("event", "diff", "before", "after", "run", "id", "port_context", "by"),
            *("run_id", "RUN_ID", "port_run_id"),
            *("user", "email", "orgId", "at", "origin", "operation", "identifier"),
            *("blueprintIdentifier", "entityIdentifier", "invocationMethod", "type"),
            *("name", "size", "link", "team", "createdAt", "updatedAt", "source"),
        )
    ),
    *(b'"wfnr_1"', b'"r_1"', b'"CREATE"', b'"UPDATE"', b'"entity"', b'"run"'),
    *(
        b'"2024-04-16T14:31:29.000Z"',
        b'"0001-01-01T00:00:00+23:59"',
        b'""',
        b"[]",
        b"{}",
    ),
)
