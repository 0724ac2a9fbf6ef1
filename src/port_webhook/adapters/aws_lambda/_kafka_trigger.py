"""AWS Lambda with a Kafka trigger: one event holds records of several partitions.

Import its names from ``port_webhook.adapters.aws_lambda``, of which this is a part.

A record that fails verification counts as done: it is logged, and no retry makes it
valid. A record whose handler fails is reported in ``batchItemFailures``, and so is
one that could not be claimed. The others are handled all the same: AWS documents that
the failed records are retried, and not whether those after them come along. Whichever
it is, none gets lost, and a replay store keeps any from running twice.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from port_webhook import _log
from port_webhook._kafka_message import hand_over
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryInProgressError,
    PortWebhookError,
    ReplayStoreError,
)
from port_webhook.integration import Endpoint, check_verifier, end

from ._event import decode_base64, finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    Failure = dict[str, dict[str, str | int]]

T = TypeVar("T")
ModelT = TypeVar("ModelT")

# Later times, in milliseconds, are beyond what a Verifier takes: the year 5138.
_LAST_TIME = 10**14


class KafkaItem(NamedTuple):
    """One record of a trigger, verified: it has a delivery or an error.

    Attributes:
        topic: The topic of the record.
        partition: The number of the partition.
        offset: The place in the partition.
        received_at: The record's own time in seconds since the epoch; None if it
            has none.
        delivery: The delivery, if the record is authentic.
        error: Why there is none.
    """

    topic: str
    partition: int
    offset: int
    received_at: float | None
    delivery: Delivery | None
    error: DeliveryError | None

    @property
    def failure(self) -> Failure:
        """What to list in ``batchItemFailures`` for Lambda to send it again."""
        return _failure(self.topic, self.partition, self.offset)


class _Record(NamedTuple):
    place: tuple[str, int, int]
    received_at: float | None
    value: object


def verify_kafka_event(event: Mapping[str, Any], verifier: Verifier) -> list[KafkaItem]:
    """Verify each record of a Kafka trigger's event.

    Each record's own time is taken as the time it was received. With a replay store
    a record is claimed and committed at once; `handle_kafka_event` commits it after
    its handler.

    Args:
        event: What Lambda passed to the handler, of Amazon MSK or of a self-managed
            cluster.
        verifier: Its ``max_body_bytes`` bounds each message.

    Returns:
        An item for each record, in the order of the event.

    Raises:
        ConfigurationError: *event* is not that of a Kafka trigger, or the replay
            store is asynchronous.
    """
    items = _verify_all(event, verifier)
    del event, verifier
    if isinstance(items, PortWebhookError):
        raise items
    return items


@overload
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[Delivery], object],
    *,
    model: None = None,
) -> dict[str, Any]: ...
@overload
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[ModelT], object],
    *,
    model: type[ModelT],
) -> dict[str, Any]: ...
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[Any], object],
    *,
    model: type[Any] | None = None,
) -> dict[str, Any]:
    """Verify and handle the records of a Kafka trigger's event, one after another.

    With a replay store a record is committed when its handler ends, and released
    when it raises. The exception is logged by its type and place, since its message
    may quote the payload; a handler that wants more logged catches it itself.

    The event source mapping must have ``ReportBatchItemFailures`` among its function
    response types. Without it Lambda takes any answer for a success.

    Args:
        event: As for `verify_kafka_event`.
        verifier: As for `verify_kafka_event`.
        handler: Called with each delivery; it may be asynchronous. What it returns
            is dropped.
        model: Parse the payload into this and pass it instead of the delivery; a
            payload that is not the model counts as done.

    Returns:
        What the Lambda function returns: ``{"batchItemFailures": […]}``, with every
        record that failed.

    Raises:
        ConfigurationError: *event* is not that of a Kafka trigger, nothing can be
            parsed into *model*, or the replay store is asynchronous.
    """
    try:
        endpoint = Endpoint["object"](verifier, model, synchronous=True)
    except BaseException:
        del event, verifier  # whoever sees the error sees this frame
        raise

    def run(delivery: Delivery) -> None:
        try:
            finish(handler(endpoint.argument(delivery)))
        finally:
            del delivery  # whoever sees an error sees this frame

    failures = _handle_all(event, verifier, run)
    del event
    if isinstance(failures, PortWebhookError):
        raise failures
    return {"batchItemFailures": failures}


def _verify_all(
    event: object, verifier: Verifier
) -> list[KafkaItem] | PortWebhookError:
    partitions = _open(event, verifier)
    if isinstance(partitions, ConfigurationError):
        return partitions
    items: list[KafkaItem] = []
    for record in chain.from_iterable(partitions):
        outcome = _hand_over(lambda one: one.verify, record, verifier)
        if isinstance(outcome, DeliveryError):
            items.append(KafkaItem(*record.place, record.received_at, None, outcome))
        elif isinstance(outcome, PortWebhookError):
            return outcome
        else:
            items.append(KafkaItem(*record.place, record.received_at, outcome, None))
    return items


def _handle_all(
    event: object, verifier: Verifier, run: Callable[[Delivery], None]
) -> list[Failure] | PortWebhookError:
    partitions = _open(event, verifier)
    if isinstance(partitions, ConfigurationError):
        return partitions
    failures: list[Failure] = []
    for record in chain.from_iterable(partitions):
        done = _handle(record, verifier, run)
        if isinstance(done, PortWebhookError):
            return done
        if not done:
            failures.append(_failure(*record.place))
    return failures


def _handle(
    record: _Record, verifier: Verifier, run: Callable[[Delivery], None]
) -> bool | PortWebhookError:
    """Verify and handle one record; return whether it is done."""
    reception = _hand_over(lambda one: one.receive, record, verifier)
    if isinstance(reception, PortWebhookError):
        return True if isinstance(reception, DeliveryError) else reception
    try:
        delivery = reception.__enter__()
    except DeliveryError as error:
        return not isinstance(error, DeliveryInProgressError | ReplayStoreError)
    except PortWebhookError as error:
        return error.with_traceback(None)
    try:
        run(delivery)
    except BaseException as error:
        del delivery  # whoever sees the error sees this frame
        is_invalid = end(verifier, reception, None, error) is error
        if not isinstance(error, Exception):
            raise
        if not is_invalid:
            _log_failure(record, error)
        return is_invalid
    return end(verifier, reception, None, None) is None


def _hand_over(
    method_of: Callable[[Verifier], Callable[..., T]],
    record: _Record,
    verifier: Verifier,
) -> T | PortWebhookError:
    """Call a method of *verifier* with what the record holds, or return an error."""
    message = decode_base64(record.value, verifier.max_body_bytes)
    if isinstance(message, DeliveryError):
        verifier.reject(message)
        return message
    return hand_over(method_of, message, verifier, record.received_at)


def _log_failure(record: _Record, error: Exception) -> None:
    from traceback import walk_tb

    *_, (frame, line) = walk_tb(error.__traceback__)
    topic, partition, offset = record.place
    kind = type(error).__name__
    _log.write(
        _log.ERROR,
        f"The handler raised {kind} at {frame.f_code.co_filename}:{line} for record "
        f"{offset} of {topic}-{partition}; Lambda will send it again.",
        "handler_failed",
        error=kind,
        topic=topic,
        partition=partition,
        offset=offset,
    )


def _failure(topic: str, partition: int, offset: int) -> Failure:
    # AWS, "Configuring error handling controls for Kafka event sources": the
    # partition is the key under which the event lists the record.
    where: dict[str, str | int] = {
        "partition": f"{topic}-{partition}",
        "offset": offset,
    }
    return {"itemIdentifier": where}


def _open(
    event: object, verifier: Verifier
) -> list[list[_Record]] | ConfigurationError:
    """Return the records of each partition in *event*."""
    unusable = check_verifier(verifier)
    if unusable is not None:
        return unusable
    if verifier.is_async:
        return ConfigurationError("Lambda needs a synchronous replay store")
    try:
        if isinstance(event, Mapping):
            partitions = cast("Mapping[str, Any]", event)["records"].values()
            return [[_read_record(each) for each in records] for records in partitions]
    except Exception:  # noqa: BLE001, S110  # whatever an event of another shape raises
        pass
    return ConfigurationError("The event is not that of a Kafka trigger")


def _read_record(record: dict[str, Any]) -> _Record:
    """Read one record; raise anything if it is not one."""
    topic, partition, offset = (record[key] for key in ("topic", "partition", "offset"))
    for number in (partition, offset):
        operator.index(number)
    stamp = record.get("timestamp")
    received_at = None
    if type(stamp) is int and 0 <= stamp < _LAST_TIME:
        received_at = stamp / 1e3
    return _Record((topic, partition, offset), received_at, record.get("value"))
