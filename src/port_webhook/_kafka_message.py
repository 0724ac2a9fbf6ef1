"""A signed Kafka message: its signature apart from the texts that were signed.

Port signs a message of the runs topic inside its own JSON (protocol, section 2). Both
adapters that meet such messages, of a consumer and of a Lambda trigger, take them
apart here. As in ``signature``, errors are returned.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from port_webhook._arguments import read_body
from port_webhook._json import (
    find_value,
    join_members,
    members,
    require_json,
    respell_strings,
    strip_white_space,
)
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._verifier import SignedForms
from port_webhook.exceptions import (
    DeliveryError,
    MissingHeaderError,
    PayloadError,
    PortWebhookError,
    UnreadableBodyError,
)
from port_webhook.integration._endpoint import check_verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from port_webhook._verifier import Verifier

T = TypeVar("T")

# Exactly these, in this case: any other key is part of what was signed.
_KEYS = {"X-Port-Signature": SIGNATURE_HEADER, "X-Port-Timestamp": TIMESTAMP_HEADER}


def hand_over(
    method_of: Callable[[Verifier], Callable[..., T]],
    value: object,
    verifier: Verifier,
    received_at: object,
) -> T | PortWebhookError:
    """Call a method of *verifier* with the texts and headers of a message.

    Args:
        method_of: Returns ``verify``, ``receive`` or ``areceive`` of the verifier.
        value: The message, bytes or text.
        verifier: Its ``max_body_bytes`` bounds the message; it records an error that
            is found here.
        received_at: As for the method.

    Returns:
        What the method returned, or the error instead of raising it.
    """
    unusable = check_verifier(verifier)
    if unusable is not None:
        return unusable
    message = read_message(value, verifier.max_body_bytes)
    if isinstance(message, DeliveryError):
        verifier.reject(message)
        return message
    try:
        return method_of(verifier)(*message, received_at=received_at)
    except PortWebhookError as error:
        # Its traceback would show this frame's locals.
        return error.with_traceback(None)


def read_message(
    value: object, limit: int
) -> tuple[SignedForms, list[tuple[str, object]]] | DeliveryError:
    """Separate the signature from what was signed; *limit* is in bytes."""
    raw = read_body(value, limit)
    if isinstance(raw, DeliveryError):
        return raw
    try:
        require_json(raw)
    except PayloadError:
        return UnreadableBodyError("The message is not strict JSON.")
    text = strip_white_space(raw)
    headers = find_value(text, "headers")
    if headers is None or not headers.startswith(b"{"):
        return MissingHeaderError(SIGNATURE_HEADER)
    found = members(headers)
    kind = find_value(text, "payload", "action", "invocationMethod", "type")
    if kind is not None and _read_token(kind) == "GITLAB":
        signed = [member for member in members(text) if member.key != "headers"]
    else:
        rest = join_members([member for member in found if member.key not in _KEYS])
        signed = [
            member._replace(value_text=rest) if member.key == "headers" else member
            for member in members(text)
        ]
    pairs = [
        (_KEYS[member.key], _read_token(member.value_text))
        for member in found
        if member.key in _KEYS
    ]
    return SignedForms("kafka", _spellings(join_members(signed))), pairs


def _read_token(token: bytes) -> object:
    """Return a string's text, a whole number as it is written, None, or no text."""
    if token.startswith(b'"'):
        return json.loads(token)
    if token.isdigit():
        return token
    return None if token == b"null" else False


def _spellings(text: bytes) -> Iterator[bytes]:
    """Yield the text as it was received, then with its strings as JavaScript prints."""
    yield text
    respelled = respell_strings(text)
    if respelled != text:
        yield respelled
