"""The schema of a verified body, for an OpenAPI 3.1 document.

FastAPI documents only the bodies that it parses itself, and not those that are verified
first.
"""

from __future__ import annotations

import sys
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from port_webhook.models._base import Model, fields_of
from port_webhook.models._parts import ActionPayload

__all__ = ["describe_body"]

_TYPES: dict[Any, str] = {str: "string", bool: "boolean", dict: "object", list: "array"}
_SUFFIX = "-PortWebhook"
_REFERENCE = "#/components/schemas/"

Schema = dict[str, Any]


def describe_body(model: Any) -> tuple[Schema, dict[str, Schema]]:
    """Return the Request Body Object of *model*, and the schemas that it refers to.

    Args:
        model: What `Delivery.parse` takes, or None for any JSON. One that has no
            schema is described as any JSON too.
    """
    definitions: dict[str, Schema] = {}
    schema = {} if model is None else _describe(model, definitions)
    content = {"application/json": {"schema": schema}}
    return {"required": True, "content": content}, definitions


def _describe(model: Any, definitions: dict[str, Schema]) -> Schema:
    """Describe any type; add the schemas that it refers to to *definitions*."""
    origin, members = get_origin(model), get_args(model)
    if _holds_ours(model) and origin is list:
        return {"type": "array", "items": _describe(members[0], definitions)}
    if _holds_ours(model) and origin in (Union, UnionType):
        return {"anyOf": [_describe(each, definitions) for each in members]}
    if isinstance(model, type) and issubclass(model, Model):
        return _describe_model(model, definitions)
    try:
        return _describe_foreign(model, definitions)
    except Exception:  # documentation must not stop a service
        return {}


def _holds_ours(model: Any) -> bool:
    if isinstance(model, type) and issubclass(model, Model):
        return True
    return any(_holds_ours(each) for each in get_args(model))


def _describe_model(model: type[Model], definitions: dict[str, Schema]) -> Schema:
    """Describe one of our models, which may hold more fields than it names."""
    fields = [field for field in fields_of(model).values() if field.key]
    if not fields:
        return {}
    properties = {
        field.key: _describe_kind(field.kind, definitions) for field in fields
    }
    inputs: Any = getattr(model, "_argument", None)
    if issubclass(model, ActionPayload) and not isinstance(inputs, TypeVar):
        properties["properties"] = _describe(inputs, definitions)
    return {
        "title": model.__name__.partition("[")[0],
        "type": "object",
        "properties": properties,
        "required": [field.key for field in fields if field.required],
    }


def _describe_kind(kind: type | None, definitions: dict[str, Schema]) -> Schema:
    if kind is not None and issubclass(kind, Model):
        return _describe_model(kind, definitions)
    return {"type": _TYPES[kind]} if kind in _TYPES else {}


def _describe_foreign(model: Any, definitions: dict[str, Schema]) -> Schema:
    """Ask the library of *model*; its names get a suffix, to be FastAPI's no more."""
    template = f"{_REFERENCE}{{}}{_SUFFIX}"
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    if struct is not None and issubclass(get_origin(model) or model, struct):
        from msgspec.json import schema_components

        (schema,), found = schema_components(
            [model], ref_template=template.format("{name}")
        )
    else:
        from pydantic import TypeAdapter

        schema = TypeAdapter[Any](model).json_schema(
            ref_template=template.format("{model}")
        )
        found = schema.pop("$defs", {})
    definitions |= {f"{name}{_SUFFIX}": each for name, each in found.items()}
    return schema
