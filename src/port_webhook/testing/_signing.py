"""Requests and messages, signed as each sender signs them (protocol, section 2).

Port signs the body that it sends. Its agent signs compact JSON and sends other white
space. A Kafka message carries its signature inside the JSON that was signed.

As in ``signature``, what works with a secret returns its error instead of raising it.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from port_webhook._arguments import read_body, read_instant, require_function
from port_webhook._json import parse, respell_strings
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, read_secret
from port_webhook._verifier import sign
from port_webhook.exceptions import (
    ConfigurationError,
    PayloadError,
    PortWebhookError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

# Any JSON value; text and bytes are JSON already.
Document: TypeAlias = Any

_JSON_TYPE = ("content-type", "application/json")
_KAFKA_SIGNATURE = "X-Port-Signature"
_KAFKA_TIMESTAMP = "X-Port-Timestamp"
_NEW_YEAR_2025 = 1_735_689_600.0


class SignedRequest(NamedTuple):
    """What a client sends.

    Attributes:
        body: The bytes of the body.
        headers: The two headers of the signature, and the type of the content.
    """

    body: bytes
    headers: dict[str, str]


class FixedClock:
    """A clock that stands still until it is told otherwise.

    Give it to a `Verifier` and to a `Signer`, or to a client, as their ``clock``.

    Args:
        now: What it shows: seconds since the epoch, or an aware datetime. The start
            of the year 2025, UTC, unless you choose.

    Attributes:
        now: What it shows, in seconds since the epoch. It may be set.

    Raises:
        ConfigurationError: *now* is neither.
    """

    def __init__(
        self, now: float | datetime = _NEW_YEAR_2025
    ) -> None:  # described above
        instant = read_instant(now, "now")
        if isinstance(instant, ConfigurationError):
            raise instant
        self.now: float = instant

    def __call__(self) -> float:
        """Return ``now``."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let the clock go on; back, if *seconds* is negative."""
        self.now += seconds


class Signer:
    """Signs what a test sends: the functions of this module, with their secret.

    Args:
        secret: The client secret that the receiver verifies with.
        clock: Returns the time in seconds since the epoch; the real time if None.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """

    __slots__ = ("_clock", "_secret")

    def __init__(  # described above
        self, secret: str | bytes, *, clock: Callable[[], float] | None = None
    ) -> None:
        key = read_secret(secret, "secret")
        del secret
        if isinstance(key, ConfigurationError):
            raise key
        self._secret = key
        del key
        if clock is not None:
            require_function("clock", clock)
        self._clock = clock

    def __call__(self, document: Document) -> SignedRequest:
        """Do what `sign_request` does."""
        signed = _sign_request(document, self._secret, self._now())
        del document
        if isinstance(signed, PortWebhookError):
            raise signed
        return signed

    def as_agent(self, document: Document) -> SignedRequest:
        """Do what `sign_as_agent` does."""
        signed = _sign_as_agent(document, self._secret, self._now())
        del document
        if isinstance(signed, PortWebhookError):
            raise signed
        return signed

    def kafka_message(self, document: Document, *, gitlab: bool = False) -> bytes:
        """Do what `sign_kafka_message` does."""
        message = _sign_message(document, self._secret, self._now(), gitlab=gitlab)
        del document
        if isinstance(message, PortWebhookError):
            raise message
        return message

    def headers(self, body: bytes | str) -> dict[str, str]:
        """Do what `port_webhook.sign` does."""
        headers = _sign(body, self._secret, self._now())
        del body
        if isinstance(headers, PortWebhookError):
            raise headers
        return headers

    def _now(self) -> int | ConfigurationError | None:
        """Return the time in whole seconds; None for the real one."""
        if self._clock is None:
            return None
        try:
            now = self._clock()
        except Exception as error:  # noqa: BLE001  # whatever a user's clock raises
            return ConfigurationError(f"clock raised {type(error).__name__}")
        instant = read_instant(now, "clock")
        return instant if isinstance(instant, ConfigurationError) else int(instant)


def sign_request(
    document: Document, secret: str | bytes, *, timestamp: int | None = None
) -> SignedRequest:
    """Sign what Port sends directly.

    Args:
        document: Any JSON value, which is written compactly as Port does. Text and
            bytes are the body already, and sent as they are.
        secret: The client secret that the receiver verifies with.
        timestamp: Seconds since the epoch, or milliseconds (13 digits); now if None.

    Returns:
        The body and the headers.

    Raises:
        ConfigurationError: *document* is not JSON, or the secret or the timestamp is
            not valid.
        UnreadableBodyError: *document* is text that cannot be encoded.
    """
    signed = _sign_request(document, secret, timestamp)
    del document, secret
    if isinstance(signed, PortWebhookError):
        raise signed
    return signed


def sign_as_agent(
    document: Document, secret: str | bytes, *, timestamp: int | None = None
) -> SignedRequest:
    """Sign what Port's execution agent forwards.

    It sends other bytes than it signs, so only a `Verifier` with ``agent=True``
    accepts them. None is sent as an empty body.

    Args:
        document: Any JSON value, or its text.
        secret: As for `sign_request`.
        timestamp: As for `sign_request`.

    Returns:
        The body and the headers.

    Raises:
        ConfigurationError: As for `sign_request`.
        UnreadableBodyError: As for `sign_request`.
    """
    signed = _sign_as_agent(document, secret, timestamp)
    del document, secret
    if isinstance(signed, PortWebhookError):
        raise signed
    return signed


def sign_kafka_message(
    document: Document,
    secret: str | bytes,
    *,
    timestamp: int | None = None,
    gitlab: bool = False,
) -> bytes:
    """Sign a message of the topic ``<organisation>.runs``.

    A call of GitLab is signed by another rule. It is one by its
    ``payload.action.invocationMethod.type``.

    Args:
        document: An object, or its JSON text. Its ``headers`` stay, but for a
            signature and a timestamp.
        secret: As for `sign_request`.
        timestamp: As for `sign_request`.
        gitlab: Make it a call of GitLab.

    Returns:
        The value of the message.

    Raises:
        ConfigurationError: As for `sign_request`, or *document* is no object, or its
            ``headers`` are none.
        UnreadableBodyError: As for `sign_request`.
    """
    message = _sign_message(document, secret, timestamp, gitlab=gitlab)
    del document, secret
    if isinstance(message, PortWebhookError):
        raise message
    return message


def _sign_request(
    document: object, secret: str | bytes, timestamp: int | PortWebhookError | None
) -> SignedRequest | PortWebhookError:
    body = _write(document)
    if isinstance(body, PortWebhookError):
        return body
    return _request(body, _sign(body, secret, timestamp))


def _sign_as_agent(
    document: object, secret: str | bytes, timestamp: int | PortWebhookError | None
) -> SignedRequest | PortWebhookError:
    value = _copy(document)
    if isinstance(value, PortWebhookError):
        return value
    signed = json.dumps(value, separators=(",", ":"))
    # As observed: the white space of Python's default, and nothing for null.
    body = b"" if value is None else json.dumps(value).encode("ascii")
    return _request(body, _sign(signed, secret, timestamp))


def _sign_message(
    document: object,
    secret: str | bytes,
    timestamp: int | PortWebhookError | None,
    *,
    gitlab: bool,
) -> bytes | PortWebhookError:
    message = _copy(document)
    if isinstance(message, PortWebhookError):
        return message
    headers = _open(message, "headers", create=True)
    method = _open(message, "payload", "action", "invocationMethod", create=gitlab)
    if headers is None or (gitlab and method is None):
        return ConfigurationError(
            "document must be a JSON object, and so must its headers and payload"
        )
    if gitlab:
        method["type"] = "GITLAB"
    for key in (_KAFKA_SIGNATURE, _KAFKA_TIMESTAMP):
        headers.pop(key, None)
    signed = message
    if method is not None and method.get("type") == "GITLAB":
        signed = {key: message[key] for key in message if key != "headers"}
    made = _sign(_print(signed), secret, timestamp)
    if isinstance(made, PortWebhookError):
        return made
    headers[_KAFKA_SIGNATURE] = made[SIGNATURE_HEADER]
    headers[_KAFKA_TIMESTAMP] = int(made[TIMESTAMP_HEADER])
    return _print(message)


def _open(value: Any, *path: str, create: bool) -> Any:
    """Return the object at *path*, made if it is missing; None if there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        found = cast("dict[str, Any]", value)
        value = found.get(key)
        if value is None and create:
            value = found[key] = {}
    return cast("Any", value) if isinstance(value, dict) else None


def _sign(
    body: bytes | str, secret: str | bytes, timestamp: int | PortWebhookError | None
) -> dict[str, str] | PortWebhookError:
    if isinstance(timestamp, PortWebhookError):
        return timestamp
    try:
        return sign(body, secret, timestamp=timestamp)
    except PortWebhookError as error:
        # Its traceback would show this frame's locals.
        return error.with_traceback(None)


def _request(
    body: bytes, signed: dict[str, str] | PortWebhookError
) -> SignedRequest | PortWebhookError:
    if isinstance(signed, PortWebhookError):
        return signed
    return SignedRequest(body, dict([_JSON_TYPE, *signed.items()] if body else signed))


def _write(document: object) -> bytes | PortWebhookError:
    """Return the body that *document* is, or is written as."""
    if isinstance(document, str | bytes | bytearray | memoryview):
        return read_body(cast("object", document), sys.maxsize)
    try:
        return _print(document)
    except Exception:  # noqa: BLE001  # a foreign class may raise anything
        return _not_json()


def _copy(document: object) -> Any:
    """Return a copy of *document*, or of what its text says; or the error."""
    body = _write(document)
    if isinstance(body, PortWebhookError):
        return body
    value = parse(body)
    return _not_json() if isinstance(value, PayloadError) else value


def _print(value: object) -> bytes:
    """Print JSON compactly, its strings as JavaScript does."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return respell_strings(text.encode("ascii"))


def _not_json() -> ConfigurationError:
    return ConfigurationError("document must be strict JSON")
