"""Document verified endpoints in the OpenAPI schema of an application.

FastAPI lets a dependency show a security scheme, but neither a body nor responses, so
`extend_documentation` adds to the function that documents a route.
"""

from __future__ import annotations

from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.openapi import utils as openapi_utils
from fastapi.openapi.models import APIKey
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._verifier import Verifier
from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryInProgressError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    UnreadableBodyError,
    UnsupportedMediaError,
)

from ._schema import describe_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi.dependencies.models import Dependant

__all__ = ["Scheme", "extend_documentation"]

# RFC 9110, section 9.3: content means nothing in the others.
_METHODS_WITH_BODY = {"post", "put", "patch", "delete"}
_ERRORS = (
    UnreadableBodyError,
    SignatureMismatchError,
    BodyTooLargeError,
    UnsupportedMediaError,
    PayloadError,
)
_REPLAY_ERRORS = (DeliveryInProgressError, ReplayStoreError)
_SCHEMA = {
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}


class Scheme(SecurityBase):
    """How the documentation shows a verified endpoint; to a request it does nothing."""

    def __init__(self, verifier: object, payload_model: Any = None) -> None:
        self.model: SecurityBaseModel = APIKey.model_validate(
            {
                "in": "header",
                "name": SIGNATURE_HEADER,
                "description": "Port signs each delivery; port-webhook verifies it.",
            }
        )
        self.scheme_name = "PortWebhook"
        self.replay: bool = isinstance(verifier, Verifier) and verifier.has_replay_store
        self.payload_model = payload_model

    async def __call__(self) -> None:
        """Do nothing: the route has verified the request."""


def extend_documentation(utils: Any) -> None:
    """Put the extension in place, unless a FastAPI to come has other names.

    Then routes are verified all the same, and show the security scheme alone.
    """
    get_path = getattr(utils, "get_openapi_path", None)
    if get_path is not None:
        utils.get_openapi_path = _documenting(get_path)


def _documenting(get_path: Callable[..., Any]) -> Callable[..., Any]:
    """Extend *get_path* for routes that have a `Scheme`; what they say stays."""

    @wraps(get_path)
    def get_openapi_path(*, route: Any, **options: Any) -> Any:
        operations, schemes, definitions = get_path(route=route, **options)
        for scheme in _find_schemes(route.dependant):
            body, schemas = describe_body(scheme.payload_model)
            definitions.update(schemas)
            for method, operation in operations.items():
                if method in _METHODS_WITH_BODY:
                    operation.setdefault("requestBody", body)
                for status, response in _responses(replay=scheme.replay).items():
                    operation["responses"].setdefault(status, response)
        return operations, schemes, definitions

    return get_openapi_path


def _find_schemes(dependant: Dependant) -> Iterator[Scheme]:
    if isinstance(dependant.call, Scheme):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _find_schemes(dependency)


def _responses(*, replay: bool) -> dict[str, Any]:
    """Return the Responses Object of a verified endpoint."""
    errors = (*_ERRORS, *(_REPLAY_ERRORS if replay else ()))
    return {
        str(error.http_status): {
            "description": HTTPStatus(error.http_status).phrase,
            "content": {"application/json": {"schema": _SCHEMA}},
        }
        for error in errors
    }


extend_documentation(openapi_utils)
