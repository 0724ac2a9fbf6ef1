"""Kafka: messages of the topic ``<organisation>.runs``, signed inside their JSON.

::

    value, received_at = read_record(record)
    with receive_message(value, verifier, received_at=received_at) as delivery: ...

Decide by topic what to verify, never by content: the topic
``<organisation>.change.log`` is not signed, and a message of the runs topic that
looks like one of it must not pass for it (protocol, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from port_webhook._kafka_message import hand_over
from port_webhook.exceptions import (
    ConfigurationError,
    PortWebhookError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from datetime import datetime

    from port_webhook._delivery import Delivery
    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._verifier import Body, Verifier

_NO_TIMESTAMP = 0  # confluent_kafka.TIMESTAMP_NOT_AVAILABLE


class Record(NamedTuple):
    """What `verify_message` needs of a consumer's record.

    Attributes:
        value: The message.
        received_at: The record's own time in seconds since the epoch; None if it
            has none.
    """

    value: Any
    received_at: float | None


def verify_message(
    value: Body, verifier: Verifier, *, received_at: float | datetime | None = None
) -> Delivery:
    """Verify one message.

    The payload of the delivery is the text that was signed: the message as compact
    JSON, without the signature.

    Args:
        value: The message, bytes or text.
        verifier: Its ``max_body_bytes`` bounds the message.
        received_at: The record's time, in seconds since the epoch or as an aware
            datetime; now if None. A consumer that lags behind needs it.

    Returns:
        The delivery; its ``via`` is ``kafka``.

    Raises:
        UnreadableBodyError: The message is not strict JSON.
        BodyTooLargeError: It is larger than the limit.
        MissingHeaderError: It has no ``headers`` with a signature and a timestamp.
        VerificationError: As for `Verifier.verify`.
        ReplayError: As for `Verifier.verify`.
        ConfigurationError: *received_at* is not valid, or the replay store is
            asynchronous.
    """
    outcome = hand_over(lambda one: one.verify, value, verifier, received_at)
    del value, verifier
    if isinstance(outcome, PortWebhookError):
        raise outcome
    return outcome


def receive_message(
    value: Body, verifier: Verifier, *, received_at: float | datetime | None = None
) -> Reception:
    """Verify one message around the block that handles it.

    The claim is committed when the block ends, and released when it raises; see
    `Verifier.receive`. Store the consumer's offset after the block.

    Args:
        value: As for `verify_message`.
        verifier: As for `verify_message`.
        received_at: As for `verify_message`.

    Returns:
        A context manager for one use, which gives the `Delivery`.

    Raises:
        VerificationError: As for `verify_message`.
        ConfigurationError: The replay store is asynchronous.
    """
    outcome = hand_over(lambda one: one.receive, value, verifier, received_at)
    del value, verifier
    if isinstance(outcome, PortWebhookError):
        raise outcome
    return outcome


def areceive_message(
    value: Body, verifier: Verifier, *, received_at: float | datetime | None = None
) -> AsyncReception:
    """Do what `receive_message` does, for ``async with``."""
    outcome = hand_over(lambda one: one.areceive, value, verifier, received_at)
    del value, verifier
    if isinstance(outcome, PortWebhookError):
        raise outcome
    return outcome


def read_record(record: Any) -> Record:
    """Read a record of confluent-kafka, or of aiokafka.

    Args:
        record: A ``confluent_kafka.Message``, or a ``ConsumerRecord`` of aiokafka or
            kafka-python.

    Returns:
        Its value and its own time.

    Raises:
        UnreadableBodyError: The record reports an error of the broker, such as the
            end of a partition, and carries no message.
        ConfigurationError: *record* is a record of neither; ``poll()`` returns None
            when there is none.
    """
    found = _read_record(record)
    del record
    if isinstance(found, PortWebhookError):
        raise found
    return found


def _read_record(record: Any) -> Record | PortWebhookError:
    try:
        if not callable(record.value):
            stamp = record.timestamp
            if stamp is None or stamp < 0:
                return Record(record.value, None)
            return Record(record.value, stamp / 1e3)
        if record.error() is not None:
            return UnreadableBodyError(
                "The record reports an error of the broker and carries no message."
            )
        kind, stamp = record.timestamp()
        return Record(record.value(), None if kind == _NO_TIMESTAMP else stamp / 1e3)
    except Exception:  # noqa: BLE001  # whatever a record of another kind raises
        return ConfigurationError(
            f"{type(record).__name__} is no record of confluent-kafka or aiokafka"
        )
