"""Sign requests and messages as each sender does (protocol, section 2).

Port signs the body that it sends. Its agent signs compact JSON and sends other white
space. A Kafka message carries its signature inside the JSON that was signed.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from port_webhook._arguments import read_body, read_instant, require_function
from port_webhook._json import parse, spellings
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary
from port_webhook._verifier import sign
from port_webhook.exceptions import (
    ConfigurationError,
    PayloadError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = [
    "FixedClock",
    "SignedRequest",
    "Signer",
    "sign_as_agent",
    "sign_kafka_message",
    "sign_request",
]

# Any JSON value; text and bytes are JSON already.
Document: TypeAlias = Any
T = TypeVar("T")

_JSON_TYPE = ("content-type", "application/json")
_KAFKA_SIGNATURE = "X-Port-Signature"
_KAFKA_TIMESTAMP = "X-Port-Timestamp"
_NEW_YEAR_2025 = 1_735_689_600
_NOT_JSON = "document must be strict JSON"


class SignedRequest(NamedTuple):
    """A body, and the headers to send with it.

    Attributes:
        body: The bytes of the body.
        headers: The two headers of the signature, and the content type.
    """

    body: bytes
    headers: dict[str, str]


class FixedClock:
    """A clock that stands still until it is advanced.

    Give it to a `Verifier` and to a `Signer`, or to a client, as their ``clock``.

    Args:
        now: The time to start with: seconds since the epoch, or an aware datetime.
            The default is the start of the year 2025, UTC.

    Attributes:
        now: The current time, in seconds since the epoch. It may be set.

    Raises:
        ConfigurationError: *now* is neither.
    """

    @boundary
    def __init__(self, now: float | datetime = _NEW_YEAR_2025) -> None:
        self._start = read_instant(now, "now")
        self.now: float = self._start

    def __call__(self) -> float:
        """Return ``now``."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock by *seconds*, which may be negative."""
        self.now += seconds

    def reset(self) -> None:
        """Set the clock to the time that it started with."""
        self.now = self._start


class Signer:
    """The signing functions of this module, with a secret and a clock.

    Args:
        secret: The client secret that the receiver verifies with.
        clock: Returns the time in seconds since the epoch. None is the real time,
            looked up at each call, so that tools that freeze time work.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """

    __slots__ = ("_clock", "_secret")

    @boundary
    def __init__(
        self, secret: str | bytes, *, clock: Callable[[], float] | None = None
    ) -> None:
        sign(b"", secret, timestamp=_NEW_YEAR_2025)  # checks the secret
        if clock is not None:
            require_function("clock", clock)
        self._secret = secret
        self._clock = clock

    @boundary
    def __call__(self, document: Document) -> SignedRequest:
        """Sign *document*; see `sign_request`."""
        return sign_request(document, self._secret, timestamp=self._now())

    @boundary
    def as_agent(self, document: Document) -> SignedRequest:
        """Sign *document* as Port's agent does; see `sign_as_agent`."""
        return sign_as_agent(document, self._secret, timestamp=self._now())

    @boundary
    def kafka_message(self, document: Document, *, gitlab: bool = False) -> bytes:
        """Sign *document* as a Kafka message; see `sign_kafka_message`."""
        return sign_kafka_message(
            document, self._secret, timestamp=self._now(), gitlab=gitlab
        )

    @boundary
    def headers(
        self, body: bytes | str, *, timestamp: int | None = None
    ) -> dict[str, str]:
        """Return the two headers for *body*; see `port_webhook.sign`.

        Without a *timestamp* they have the time of the clock.
        """
        stamp = self._now() if timestamp is None else timestamp
        return sign(body, self._secret, timestamp=stamp)

    def _now(self) -> int | None:
        """Return the time in whole seconds; None for the real one."""
        if self._clock is None:
            return None
        try:
            now = self._clock()
        except Exception as error:  # a user's clock may raise anything
            msg = f"clock raised {type(error).__name__}"
            raise ConfigurationError(msg)
        return int(read_instant(now, "clock"))


@boundary
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
    body = _write(document)
    return _request(body, sign(body, secret, timestamp=timestamp))


@boundary
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
    value = _copy(document)
    signed = json.dumps(value, separators=(",", ":"))
    # As observed: the white space of Python's default, and nothing for null.
    body = b"" if value is None else json.dumps(value).encode("ascii")
    return _request(body, sign(signed, secret, timestamp=timestamp))


@boundary
def sign_kafka_message(
    document: Document,
    secret: str | bytes,
    *,
    timestamp: int | None = None,
    gitlab: bool = False,
) -> bytes:
    """Sign a message of the topic ``<organisation>.runs``.

    A GitLab invocation is signed by another rule. It is recognised by
    ``payload.action.invocationMethod.type``.

    Args:
        document: An object, or its JSON text. Its ``headers`` stay, except a signature
            and a timestamp.
        secret: As for `sign_request`.
        timestamp: As for `sign_request`.
        gitlab: Make it a GitLab invocation.

    Returns:
        The value of the message.

    Raises:
        ConfigurationError: As for `sign_request`, or *document* or its ``headers`` is
            not an object.
        UnreadableBodyError: As for `sign_request`.
    """
    message = _copy(document)
    headers = _open(message, "headers", create=True)
    method = _open(message, "payload", "action", "invocationMethod", create=gitlab)
    if headers is None or (gitlab and method is None):
        msg = "document must be a JSON object, and so must its headers and payload"
        raise ConfigurationError(msg)
    if gitlab:
        method["type"] = "GITLAB"
    for key in (_KAFKA_SIGNATURE, _KAFKA_TIMESTAMP):
        headers.pop(key, None)
    signed = message
    if method is not None and method.get("type") == "GITLAB":
        signed = {key: message[key] for key in message if key != "headers"}
    made = sign(_print(signed), secret, timestamp=timestamp)
    headers[_KAFKA_SIGNATURE] = made[SIGNATURE_HEADER]
    headers[_KAFKA_TIMESTAMP] = int(made[TIMESTAMP_HEADER])
    return _print(message)


def _open(value: Any, *path: str, create: bool) -> Any:
    """Return the object at *path*, created if missing; None if it is no object."""
    for key in path:
        if not isinstance(value, dict):
            return None
        found = cast("dict[str, Any]", value)
        value = found.get(key)
        if value is None and create:
            value = found[key] = {}
    return cast("Any", value) if isinstance(value, dict) else None


def _request(body: bytes, signed: dict[str, str]) -> SignedRequest:
    return SignedRequest(body, dict([_JSON_TYPE, *signed.items()] if body else signed))


def _write(document: object) -> bytes:
    """Return *document* as a body, written as JSON unless it is text or bytes."""
    if isinstance(document, str | bytes | bytearray | memoryview):
        return read_body(cast("object", document), sys.maxsize)
    try:
        return _print(document)
    except Exception:  # a foreign class may raise anything
        raise ConfigurationError(_NOT_JSON)


def _copy(document: object) -> Any:
    """Return a copy of *document*, or of what its text says."""
    try:
        return parse(_write(document))
    except PayloadError:
        raise ConfigurationError(_NOT_JSON)


def _print(value: object) -> bytes:
    """Print JSON compactly, its strings as JavaScript does."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return [*spellings(text.encode("ascii"))][-1]
