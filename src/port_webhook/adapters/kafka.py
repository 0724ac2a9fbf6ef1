"""Kafka: messages of the topic ``<organisation>.runs``, signed inside their JSON.

::

    consume(consumer, verifier, handle)  # confluent-kafka; aconsume for aiokafka

or, in a loop of your own::

    value, received_at = read_record(record)
    with receive_message(value, verifier, received_at=received_at) as delivery: ...

Decide by topic what to verify, never by content: the topic
``<organisation>.change.log`` is not signed, and a message of the runs topic that
looks like one of it must not pass for it (protocol, section 2).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from port_webhook import _log
from port_webhook._arguments import require_bool, require_function, require_seconds
from port_webhook._kafka_message import open_message
from port_webhook._tracebacks import boundary
from port_webhook._verifier import require_verifier
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    DeliveryInProgressError,
    PayloadError,
    ReplayStoreError,
    UnreadableBodyError,
)
from port_webhook.integration import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._verifier import Body, Verifier

    OnError = Callable[[DeliveryError, Any], object]

__all__ = [
    "Record",
    "aconsume",
    "areceive_message",
    "consume",
    "read_record",
    "receive_message",
    "verify_message",
]

ModelT = TypeVar("ModelT")

_NO_TIMESTAMP = 0  # confluent_kafka.TIMESTAMP_NOT_AVAILABLE
_PARTITION_EOF = -191  # confluent_kafka.KafkaError._PARTITION_EOF


class Record(NamedTuple):
    """The parts of a consumer's record that `verify_message` takes.

    Attributes:
        value: The message.
        received_at: The record's own time in seconds since the epoch; None if it
            has none, or it is not trusted.
    """

    value: Any
    received_at: float | None


@boundary
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
        UnreadableBodyError: The message is not strict JSON, or a tombstone.
        BodyTooLargeError: It is larger than the limit.
        MissingHeaderError: It has no ``headers`` with a signature and a timestamp.
        VerificationError: As for `Verifier.verify`.
        ReplayError: As for `Verifier.verify`.
        ConfigurationError: *received_at* is not valid, or the replay store is
            asynchronous.
    """
    forms, headers = open_message(value, verifier)
    return verifier.verify(forms, headers, received_at=received_at)


@boundary
def receive_message(
    value: Body, verifier: Verifier, *, received_at: float | datetime | None = None
) -> Reception:
    """Verify one message around the block that handles it.

    The claim is committed when the block ends, and released when it raises; see
    `Verifier.receive`. Commit the consumer's offset after the block.

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
    forms, headers = open_message(value, verifier)
    return verifier.receive(forms, headers, received_at=received_at)


@boundary
def areceive_message(
    value: Body, verifier: Verifier, *, received_at: float | datetime | None = None
) -> AsyncReception:
    """Do what `receive_message` does, for ``async with``."""
    forms, headers = open_message(value, verifier)
    return verifier.areceive(forms, headers, received_at=received_at)


@boundary
def read_record(record: Any, *, trust_record_time: bool = True) -> Record:
    """Read a record of confluent-kafka, or of aiokafka.

    Args:
        record: A ``confluent_kafka.Message``, or a ``ConsumerRecord`` of aiokafka or
            kafka-python.
        trust_record_time: False leaves out the record's own time, so that the clock
            counts: unless the topic uses ``LogAppendTime``, the writer of a record
            chooses it.

    Returns:
        Its value and its own time.

    Raises:
        UnreadableBodyError: The record reports an error of the broker, such as the
            end of a partition, and carries no message.
        ConfigurationError: *record* is a record of neither; ``poll()`` returns None
            when there is none.
    """
    require_bool("trust_record_time", trust_record_time)
    try:
        if callable(record.value):
            problem, value = record.error(), record.value()
            kind, stamp = record.timestamp()
            stamp = None if kind == _NO_TIMESTAMP else stamp
        else:
            problem, value, stamp = None, record.value, record.timestamp
            stamp = None if stamp is None or stamp < 0 else stamp
        received_at = None if stamp is None else stamp / 1e3
    except Exception:  # whatever a record of another kind raises
        kind = type(record).__name__
        msg = f"{kind} is no record of confluent-kafka or aiokafka"
        raise ConfigurationError(msg)
    if problem is not None:
        raise _broker_error(problem)
    return Record(value, received_at if trust_record_time else None)


@overload
def consume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[Delivery], object],
    *,
    model: None = None,
    running: Callable[[], bool] = ...,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None: ...
@overload
def consume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[ModelT], object],
    *,
    model: TypeForm[ModelT],
    running: Callable[[], bool] = ...,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None: ...
@boundary
def consume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[Any], object],
    *,
    model: Any = None,
    running: Callable[[], bool] = lambda: True,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None:
    """Verify and handle the messages of a confluent-kafka consumer, one by one.

    The offset of a message is committed, and the broker's answer awaited, when *handle*
    has returned, or when no retry could make the message valid: it fails verification,
    it is a duplicate, or its payload is not *model* (a `PayloadError`, of *handle*
    too). Any other exception ends the loop. The offset is then not committed, and the
    consumer, if it is used again, reads the message again.

    A commit that fails is logged as ``commit_failed`` and the loop goes on: after a
    rebalance another consumer reads the message once more, and the next commit
    includes this one.

    Args:
        consumer: A ``confluent_kafka.Consumer`` that has subscribed to the topic.
            Set its ``enable.auto.commit`` to False: else offsets are committed
            before the work is done. Closing it is left to the caller.
        verifier: As for `verify_message`. With a replay store, which must be
            synchronous, each message is claimed while it is handled.
        handle: Called with each delivery. Its result is ignored.
        model: Parse the payload into this, and pass it instead of the delivery.
        running: Asked before each poll; the loop ends when it returns False.
        on_error: Called with the error and the record of a message that is passed over,
            and with errors of the broker that are not fatal. An exception of it ends
            the loop like one of *handle*.
        trust_record_time: As for `read_record`.
        poll_timeout: How long one poll waits for a message, in seconds. The loop may
            end so much later than *running* says.

    Raises:
        DeliveryInProgressError: Another consumer handles the message now.
        ReplayStoreError: The replay store failed.
        UnreadableBodyError: The broker reports a fatal error.
        ConfigurationError: An argument is not valid.
    """
    loop = _Loop(
        verifier,
        model,
        handle,
        on_error,
        trust_record_time=trust_record_time,
        synchronous=True,
    )
    require_function("running", running)
    require_seconds("poll_timeout", poll_timeout, positive=True)
    poll: Any = getattr(consumer, "poll", None)
    if not callable(poll) or iscoroutinefunction(poll):
        kind = type(consumer).__name__
        msg = f"consume takes a Consumer of confluent-kafka, not {kind}; see aconsume"
        raise ConfigurationError(msg)
    while running():
        record = poll(poll_timeout)
        if record is None or loop.passes_error(record):
            continue
        try:
            loop.handle(record)
        except BaseException:
            _read_again(consumer, record)
            raise
        _commit(consumer, record)


@overload
async def aconsume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[Delivery], object],
    *,
    model: None = None,
    running: Callable[[], bool] = ...,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None: ...
@overload
async def aconsume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[ModelT], object],
    *,
    model: TypeForm[ModelT],
    running: Callable[[], bool] = ...,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None: ...
@boundary
async def aconsume(
    consumer: Any,
    verifier: Verifier,
    handle: Callable[[Any], object],
    *,
    model: Any = None,
    running: Callable[[], bool] = lambda: True,
    on_error: OnError | None = None,
    trust_record_time: bool = True,
    poll_timeout: float = 1.0,
) -> None:
    """Do what `consume` does, for a consumer of aiokafka.

    Args:
        consumer: An ``AIOKafkaConsumer`` that has started, with
            ``enable_auto_commit=False``.
        verifier: As for `consume`; its replay store may be asynchronous.
        handle: As for `consume`; it may be asynchronous, and so may *on_error*.
        model: As for `consume`.
        running: As for `consume`.
        on_error: As for `consume`. aiokafka raises the broker's errors instead.
        trust_record_time: As for `consume`.
        poll_timeout: As for `consume`.

    Raises:
        DeliveryInProgressError: As for `consume`.
        ReplayStoreError: As for `consume`.
        ConfigurationError: An argument is not valid, or the consumer commits by
            itself.
    """
    loop = _Loop(
        verifier,
        model,
        handle,
        on_error,
        trust_record_time=trust_record_time,
        synchronous=False,
    )
    require_function("running", running)
    require_seconds("poll_timeout", poll_timeout, positive=True)
    if not hasattr(consumer, "getmany"):
        kind = type(consumer).__name__
        msg = f"aconsume takes a consumer of aiokafka, not {kind}; see consume"
        raise ConfigurationError(msg)
    if getattr(consumer, "_enable_auto_commit", None) is True:
        msg = "The consumer commits by itself: set enable_auto_commit=False"
        raise ConfigurationError(msg)
    milliseconds = max(1, round(poll_timeout * 1000))
    while running():
        batch = await consumer.getmany(timeout_ms=milliseconds, max_records=1)
        for partition, (record,) in batch.items():
            try:
                await loop.ahandle(record)
            except BaseException:
                with suppress(Exception):  # it may have lost the partition
                    consumer.seek(partition, record.offset)
                raise
            await _acommit(consumer, partition, record.offset)


class _Loop:
    """The handling of one record, which both loops share."""

    def __init__(
        self,
        verifier: Verifier,
        model: Any,
        handle: Callable[[Any], object],
        on_error: OnError | None,
        *,
        trust_record_time: bool,
        synchronous: bool,
    ) -> None:
        require_verifier(verifier)
        require_bool("trust_record_time", trust_record_time)
        check = require_function if synchronous else _require_callable
        check("handle", handle)
        if on_error is not None:
            check("on_error", on_error)
        self._endpoint = Endpoint[object](
            verifier, model=model, synchronous=synchronous
        )
        self._verifier = verifier
        self._handle = handle
        self._on_error = on_error
        self._trust_record_time = trust_record_time

    def passes_error(self, record: Any) -> bool:
        """Tell whether *record* is an error of the broker, and raise a fatal one."""
        error: Any = getattr(record, "error", None)
        problem: Any = error() if callable(error) else None
        if problem is None:
            return False
        failure = _broker_error(problem)
        if problem.fatal():
            raise failure
        if problem.code() != _PARTITION_EOF:
            self._verifier.reject(failure)
            if self._on_error is not None:
                self._on_error(failure, record)
        return True

    def handle(self, record: Any) -> None:
        """Handle one record; it is done unless this raises."""
        value, received_at = read_record(
            record, trust_record_time=self._trust_record_time
        )
        handling = False
        try:
            with receive_message(
                value, self._verifier, received_at=received_at
            ) as delivery:
                handling = True
                result = self._handle(self._endpoint.argument(delivery))
                if iscoroutine(result):
                    result.close()  # against a warning that it was not awaited
                    msg = "handle returned a coroutine; use aconsume"
                    raise ConfigurationError(msg)
        except DeliveryError as error:
            if not _is_done(error, handling=handling):
                raise
            if self._on_error is not None:
                self._on_error(error, record)

    async def ahandle(self, record: Any) -> None:
        """Do what `handle` does, and await what is asynchronous."""
        value, received_at = read_record(
            record, trust_record_time=self._trust_record_time
        )
        handling = False
        try:
            async with areceive_message(
                value, self._verifier, received_at=received_at
            ) as delivery:
                handling = True
                result = self._handle(self._endpoint.argument(delivery))
                if isawaitable(result):
                    await result
        except DeliveryError as error:
            if not _is_done(error, handling=handling):
                raise
            if self._on_error is not None:
                result = self._on_error(error, record)
                if isawaitable(result):
                    await result


def _is_done(error: DeliveryError, *, handling: bool) -> bool:
    """Tell whether no second try can make the record valid."""
    if isinstance(error, DeliveryInProgressError | ReplayStoreError):
        return False
    # A handler may raise errors of other deliveries. They say nothing of this one.
    return not handling or isinstance(error, PayloadError)


def _require_callable(name: str, value: object) -> None:
    if not callable(value):
        msg = f"{name} must be callable"
        raise ConfigurationError(msg)


def _broker_error(problem: Any) -> UnreadableBodyError:
    name = f" ({problem.name()})" if hasattr(problem, "name") else ""
    return UnreadableBodyError(
        f"The record reports an error of the broker{name} and carries no message."
    )


def _read_again(consumer: Any, record: Any) -> None:
    """Go back to *record*, if its partition is still assigned to *consumer*."""
    with suppress(Exception):  # the record's own exception goes on
        place = (record.topic(), record.partition())
        for partition in consumer.assignment():
            if (partition.topic, partition.partition) == place:
                partition.offset = record.offset()
                consumer.seek(partition)


def _commit(consumer: Any, record: Any) -> None:
    try:
        results = consumer.commit(message=record, asynchronous=False) or ()
        failed = next((each.error for each in results if each.error), None)
    except Exception as error:  # confluent-kafka's need not be loaded
        failed = error.args[0] if error.args else error
    if failed is not None:
        _log_commit(failed, record.topic(), record.partition(), record.offset())


async def _acommit(consumer: Any, partition: Any, offset: int) -> None:
    committing = asyncio.ensure_future(consumer.commit({partition: offset + 1}))
    try:
        await asyncio.wait([committing])
    except asyncio.CancelledError:
        # The work is done, and so must be its offset before the loop ends.
        await asyncio.wait([committing])
        raise
    finally:
        if committing.done() and not committing.cancelled():
            error = committing.exception()
            if error is not None:
                _log_commit(error, partition.topic, partition.partition, offset)


def _log_commit(error: Any, topic: str, partition: int, offset: int) -> None:
    kind = error.name() if hasattr(error, "name") else type(error).__name__
    _log.write(
        _log.WARNING,
        f"The offset of record {offset} of {topic}-{partition} was not committed "
        f"({kind}); the record may be read again.",
        "commit_failed",
        error=kind,
        topic=topic,
        partition=partition,
        offset=offset,
    )
