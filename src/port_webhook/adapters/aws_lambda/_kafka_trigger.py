"""AWS Lambda with a Kafka trigger: one event holds records of several partitions.

Import its names from ``port_webhook.adapters.aws_lambda``, of which this is a part.

A record that fails verification counts as done: it is logged, and no retry makes it
valid. A record whose handler fails is reported in ``batchItemFailures``, and so is
one that could not be claimed. The others are handled all the same: AWS documents that
the failed records are retried, and not whether those after them come along. In both
cases none gets lost, and a replay store keeps any from running twice.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar, cast, overload

from port_webhook import _log
from port_webhook._arguments import require_bool
from port_webhook._kafka_message import read_message
from port_webhook._tracebacks import boundary, clean
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryInProgressError,
    PayloadError,
    ReplayStoreError,
)
from port_webhook.integration import Endpoint, require_verifier

from ._event import decode_base64, finish
from ._queues import refuse_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import SignedForms, Verifier

    Failure = dict[str, dict[str, str | int]]
    Message = tuple[SignedForms, list[tuple[str, object]]]

__all__ = ["KafkaItem", "handle_kafka_event", "verify_kafka_event"]

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
            has none, or it is not trusted.
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
        """The entry of ``batchItemFailures`` that lets Lambda send it again."""
        return _failure(self.topic, self.partition, self.offset)


class _Record(NamedTuple):
    place: tuple[str, int, int]
    received_at: float | None
    value: object


@boundary
def verify_kafka_event(
    event: Mapping[str, Any], verifier: Verifier, *, trust_record_time: bool = True
) -> list[KafkaItem]:
    """Verify each record of a Kafka trigger's event.

    With a replay store a record is claimed and committed at once;
    `handle_kafka_event` commits it after its handler.

    Args:
        event: What Lambda passed to the handler, of Amazon MSK or of a self-managed
            cluster.
        verifier: Its ``max_body_bytes`` bounds each message.
        trust_record_time: Take each record's own time as the time it was received, so
            that a function that lags behind still verifies. False takes the
            verifier's clock: unless the topic uses ``LogAppendTime``, the writer of a
            record chooses its time.

    Returns:
        An item for each record, in the order of the event.

    Raises:
        ConfigurationError: *event* is not that of a Kafka trigger, or the replay
            store is asynchronous.
    """
    items: list[KafkaItem] = []
    for record in _open(event, verifier, trust_record_time=trust_record_time):
        delivery = failure = None
        try:
            forms, headers = _take_apart(record, verifier)
            delivery = verifier.verify(forms, headers, received_at=record.received_at)
        except DeliveryError as error:
            clean(error)  # it is returned, and its traceback shows this frame
            failure = error
        items.append(KafkaItem(*record.place, record.received_at, delivery, failure))
    return items


@overload
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[Delivery], object],
    *,
    model: None = None,
    trust_record_time: bool = True,
) -> dict[str, Any]: ...
@overload
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[ModelT], object],
    *,
    model: TypeForm[ModelT],
    trust_record_time: bool = True,
) -> dict[str, Any]: ...
@boundary
def handle_kafka_event(
    event: Mapping[str, Any],
    verifier: Verifier,
    handler: Callable[[Any], object],
    *,
    model: Any = None,
    trust_record_time: bool = True,
) -> dict[str, Any]:
    """Verify and handle the records of a Kafka trigger's event, one after another.

    With a replay store a record is committed when its handler returns, and released
    when it raises. Only the type and the place of the exception are logged, since its
    message may quote the payload.

    The event source mapping must have ``ReportBatchItemFailures`` among its function
    response types. Without it Lambda takes any answer for a success.

    Args:
        event: As for `verify_kafka_event`.
        verifier: As for `verify_kafka_event`.
        handler: Called with each delivery; it may be asynchronous. Its result is
            ignored.
        model: Parse the payload into this and pass it instead of the delivery; a
            payload that is not the model counts as done.
        trust_record_time: As for `verify_kafka_event`.

    Returns:
        What the Lambda function returns: ``{"batchItemFailures": […]}``, with every
        record that failed.

    Raises:
        ConfigurationError: *event* is not that of a Kafka trigger, nothing can be
            parsed into *model*, or the replay store is asynchronous.
    """
    records = _open(event, verifier, trust_record_time=trust_record_time)
    endpoint = Endpoint["object"](verifier, model=model, synchronous=True)

    def run(delivery: Delivery) -> None:
        finish(handler(endpoint.argument(delivery)))

    failed = (each for each in records if not _handle(each, verifier, run))
    return {"batchItemFailures": [_failure(*record.place) for record in failed]}


def _handle(
    record: _Record, verifier: Verifier, run: Callable[[Delivery], None]
) -> bool:
    """Verify and handle one record; return whether it is done."""
    handling = False
    try:
        forms, headers = _take_apart(record, verifier)
        with verifier.receive(
            forms, headers, received_at=record.received_at
        ) as delivery:
            handling = True
            run(delivery)
            handling = False
    except PayloadError:
        return True  # recorded already, and no retry makes it valid
    except Exception as error:
        # What a handler raises says nothing about its own record, whatever its type.
        if not handling:
            if not isinstance(error, DeliveryError):
                raise
            return not isinstance(error, DeliveryInProgressError | ReplayStoreError)
        kind, place = type(error).__name__, _place_of(error)
    else:
        return True
    # Not inside the handler: a log handler may look at sys.exc_info().
    _log_failure(record, kind, place)
    return False


def _take_apart(record: _Record, verifier: Verifier) -> Message:
    """Return what *verifier* takes; raise what is wrong with the record's value."""
    limit = verifier.max_body_bytes
    try:
        value = record.value
        # A tombstone has no value, and a message of its own.
        return read_message(
            None if value is None else decode_base64(value, limit), limit
        )
    except DeliveryError as error:
        verifier.reject(error)
        raise


def _place_of(error: Exception) -> str:
    from traceback import walk_tb

    *_, (frame, line) = walk_tb(error.__traceback__)
    return f"{frame.f_code.co_filename}:{line}"


def _log_failure(record: _Record, kind: str, place: str) -> None:
    topic, partition, offset = record.place
    _log.write(
        _log.ERROR,
        f"The handler raised {kind} at {place} for record {offset} of "
        f"{topic}-{partition}; Lambda will send it again.",
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
    event: object, verifier: Verifier, *, trust_record_time: bool
) -> list[_Record]:
    """Return the records in *event*; nothing is handled if one of them is not one."""
    require_verifier(verifier)
    require_bool("trust_record_time", trust_record_time)
    if verifier.is_async:
        raise ConfigurationError("Lambda needs a synchronous replay store")
    try:
        return [
            _read_record(record, trust_record_time=trust_record_time)
            for partition in cast("dict[str, Any]", event)["records"].values()
            for record in partition
        ]
    except Exception:  # whatever an event of another shape raises
        _refuse(event)


def _refuse(event: object) -> NoReturn:
    if isinstance(event, dict) and ("Records" in event or "detail-type" in event):
        refuse_queue(cast("dict[str, Any]", event))
    raise ConfigurationError(
        "The event is not that of a Kafka trigger; for an HTTP request there is webhook"
    )


def _read_record(record: dict[str, Any], *, trust_record_time: bool) -> _Record:
    """Read one record; raise anything if it is not one."""
    topic, partition, offset = (record[key] for key in ("topic", "partition", "offset"))
    for number in (partition, offset):
        operator.index(number)
    stamp = record.get("timestamp")
    received_at = None
    if trust_record_time and type(stamp) is int and 0 <= stamp < _LAST_TIME:
        received_at = stamp / 1e3
    return _Record((topic, partition, offset), received_at, record.get("value"))
