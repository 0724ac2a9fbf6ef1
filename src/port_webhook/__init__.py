"""Verify what Port sends: webhooks, agent-forwarded requests and Kafka messages.

::

    from port_webhook import verify

    delivery = verify(body, headers, secret)

The adapters for web frameworks are in ``port_webhook.adapters``, one module each, and
are imported by name. Models and decryption are loaded when they are first used (PEP
562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook._verifier import (
    CheckedHeaders,
    Delivery,
    Verifier,
    sign,
    verify,
)
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DecryptionError,
    DeliveryError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MethodNotAllowedError,
    MissingHeaderError,
    PayloadError,
    PortWebhookError,
    ReplayError,
    ReplayStoreError,
    ReportingError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    UnsupportedMediaError,
    VerificationError,
)

if TYPE_CHECKING:
    from port_webhook._options import VerifierOptions
    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._source import VerifierSource
    from port_webhook.decryption import (
        decrypt_client_side,
        decrypt_properties,
        decrypt_secret,
    )
    from port_webhook.models import (
        ActionInvocation,
        CatalogEvent,
        ChangelogMessage,
        CustomPayload,
        TriggerData,
        WorkflowNodeRun,
    )

__all__ = [
    "ActionInvocation",
    "AsyncReception",
    "BodyTooLargeError",
    "CatalogEvent",
    "ChangelogMessage",
    "CheckedHeaders",
    "ConfigurationError",
    "CustomPayload",
    "DecryptionError",
    "Delivery",
    "DeliveryError",
    "DeliveryInProgressError",
    "DuplicateDeliveryError",
    "MalformedHeaderError",
    "MethodNotAllowedError",
    "MissingHeaderError",
    "PayloadError",
    "PortWebhookError",
    "Reception",
    "ReplayError",
    "ReplayStoreError",
    "ReportingError",
    "SignatureMismatchError",
    "TimestampError",
    "TriggerData",
    "UnreadableBodyError",
    "UnsupportedMediaError",
    "VerificationError",
    "Verifier",
    "VerifierOptions",
    "VerifierSource",
    "WorkflowNodeRun",
    "decrypt_client_side",
    "decrypt_properties",
    "decrypt_secret",
    "sign",
    "verify",
]

_LAZY = {
    "ActionInvocation": "models",
    "AsyncReception": "_reception",
    "CatalogEvent": "models",
    "ChangelogMessage": "models",
    "CustomPayload": "models",
    "Reception": "_reception",
    "TriggerData": "models",
    "VerifierOptions": "_options",
    "VerifierSource": "_source",
    "WorkflowNodeRun": "models",
    "decrypt_client_side": "decryption",
    "decrypt_properties": "decryption",
    "decrypt_secret": "decryption",
}


def __getattr__(name: str) -> object:
    """Load a model or a decryption function when it is first asked for."""
    module = _LAZY.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
