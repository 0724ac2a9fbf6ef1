"""What a verified endpoint looks like in an OpenAPI 3.1 document.

FastAPI documents what it parses itself. A body that is verified before it is parsed
is none of that, so its schema and the answers of a verifier are described here.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any, get_origin

from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryInProgressError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    UnreadableBodyError,
)
from port_webhook.models._base import Model, fields_of

_TYPES: dict[Any, str] = {str: "string", bool: "boolean", dict: "object", list: "array"}
_SUFFIX = "-PortWebhook"
_REFERENCE = "#/components/schemas/"
_ANSWERS = (
    UnreadableBodyError,
    SignatureMismatchError,
    BodyTooLargeError,
    PayloadError,
)
_REPLAY_ANSWERS = (DeliveryInProgressError, ReplayStoreError)


def describe_answers(key: str, *, replay: bool) -> dict[str, Any]:
    """Return the Responses Object of a verified endpoint.

    Args:
        key: The one key of an error's JSON body.
        replay: Whether there is a replay store.
    """
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"}},
        "required": [key],
    }
    errors = (*_ANSWERS, *(_REPLAY_ANSWERS if replay else ()))
    return {
        str(error.http_status): {
            "description": HTTPStatus(error.http_status).phrase,
            "content": {"application/json": {"schema": schema}},
        }
        for error in errors
    }


def describe_body(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Request Body Object of *model*, and the schemas that it refers to.

    Args:
        model: What `Delivery.parse` takes, or None for any JSON. One that has no
            schema is described as any JSON too.
    """
    schema: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    origin = get_origin(model) or model
    if isinstance(origin, type) and issubclass(origin, Model):
        schema = _describe_model(origin)
    elif model is not None:
        try:
            schema, definitions = _describe_foreign(model)
        except Exception:  # noqa: BLE001  # documentation must not stop a service
            schema = {}
    content = {"application/json": {"schema": schema}}
    return {"required": True, "content": content}, definitions


def _describe_model(model: type[Model]) -> dict[str, Any]:
    """Describe one of our models, which may hold more fields than it names."""
    fields = [field for field in fields_of(model).values() if field.key]
    if not fields:
        return {}
    return {
        "title": model.__name__,
        "type": "object",
        "properties": {field.key: _describe_field(field.kind) for field in fields},
        "required": [field.key for field in fields if field.required],
    }


def _describe_field(kind: type | None) -> dict[str, Any]:
    if kind is not None and issubclass(kind, Model):
        return _describe_model(kind)
    return {"type": _TYPES[kind]} if kind in _TYPES else {}


def _describe_foreign(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask the library of *model*; its names get a suffix, to be FastAPI's no more."""
    template = f"{_REFERENCE}{{}}{_SUFFIX}"
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    if struct is not None and issubclass(get_origin(model) or model, struct):
        from msgspec.json import schema_components

        (schema,), definitions = schema_components(
            [model], ref_template=template.format("{name}")
        )
    else:
        from pydantic import TypeAdapter

        schema = TypeAdapter[Any](model).json_schema(
            ref_template=template.format("{model}")
        )
        definitions = schema.pop("$defs", {})
    return schema, {f"{name}{_SUFFIX}": each for name, each in definitions.items()}
