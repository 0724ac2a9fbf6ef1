"""Separate the signature of a Kafka message from the text that was signed.

Port signs a message of the runs topic inside its own JSON (protocol, section 2). The
adapters for consumers and for Lambda triggers use this module.
"""

from __future__ import annotations

from typing import Any

from port_webhook._arguments import read_body
from port_webhook._json import ObjectText, read_object, spellings
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._verifier import SignedForms, Verifier, require_verifier
from port_webhook.exceptions import (
    DeliveryError,
    MissingHeaderError,
    PayloadError,
    UnreadableBodyError,
)

__all__ = ["open_message", "read_message"]

# Exactly these, in this case: any other key is part of what was signed.
_KEYS = {"X-Port-Signature": SIGNATURE_HEADER, "X-Port-Timestamp": TIMESTAMP_HEADER}
_WANTED = {"headers": dict.fromkeys(_KEYS)}


def read_message(
    value: object, limit: int
) -> tuple[SignedForms, list[tuple[str, object]]]:
    """Separate the signature from what was signed.

    Args:
        value: The message, bytes or text.
        limit: The largest message that is accepted, in bytes.

    Returns:
        The body and the headers to pass to a method of a Verifier.

    Raises:
        UnreadableBodyError: It is a tombstone, or not strict JSON.
        BodyTooLargeError: It is larger than *limit*.
        MissingHeaderError: It is not an object that has ``headers``.
    """
    if value is None:
        msg = (
            "The record is a tombstone: it has no value. Port writes none to the runs "
            "topic; it may come from a tool that compacts or deletes."
        )
        raise UnreadableBodyError(msg)
    raw = read_body(value, limit)
    try:
        message = read_object(raw, _WANTED)
    except PayloadError:
        msg = "The message is not strict JSON."
        raise UnreadableBodyError(msg)
    headers = None if message is None else message.values.get("headers")
    if message is None or not isinstance(headers, ObjectText):
        raise MissingHeaderError(SIGNATURE_HEADER)
    if _method_type(message.values) == "GITLAB":
        signed = message.without_spans()
    else:
        rest = headers.without_spans()
        text = message.text
        signed = text[message.start : headers.start] + rest + text[headers.end :]
    pairs = [
        (name, _header_value(headers.values[key]))
        for key, name in _KEYS.items()
        if key in headers.values
    ]
    return SignedForms("kafka", spellings(signed.encode("utf-8"))), pairs


def open_message(
    value: object, verifier: Verifier
) -> tuple[SignedForms, list[tuple[str, object]]]:
    """Do what `read_message` does, and let *verifier* record an error."""
    require_verifier(verifier)
    try:
        return read_message(value, verifier.max_body_bytes)
    except DeliveryError as error:
        verifier.reject(error)
        raise


def _method_type(values: dict[str, Any]) -> object:
    """Return the type of the invocation method, if there is one."""
    try:
        return values["payload"]["action"]["invocationMethod"]["type"]
    except (KeyError, TypeError):
        return None


def _header_value(value: object) -> object:
    """Return text (numbers are text here, too) or None; False for any other value."""
    return value if value is None or isinstance(value, str) else False
