"""Kafka: `receive_message`, and the records of two clients."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest

from port_webhook import (
    ConfigurationError,
    Delivery,
    DuplicateDeliveryError,
    SignatureMismatchError,
    UnreadableBodyError,
    sign,
)
from port_webhook.adapters.kafka import (
    Record,
    areceive_message,
    read_record,
    receive_message,
    verify_message,
)

from ..doubles import AsyncStore, Store

PATIENCE = 30  # seconds; a message arrives within two


class TestReceive:
    def test_the_claim_is_committed_after_the_block(self, message, make_verifier):
        store = Store(remembers=True)
        verifier = make_verifier(replay_store=store)
        value, signed = message()

        with receive_message(value, verifier) as delivery:
            assert delivery.payload == signed
            assert store.steps == ["claim"]

        assert store.steps == ["claim", "commit"]
        with pytest.raises(DuplicateDeliveryError):
            receive_message(value, verifier).__enter__()

    def test_a_respelled_message_is_the_same_request(self, message, make_verifier):
        verifier = make_verifier(replay_store=Store(remembers=True))
        value, _ = message()

        verify_message(value, verifier)
        with pytest.raises(DuplicateDeliveryError):
            verify_message(
                value.replace(b":", b": ").replace(b"v1, ", b"v1,"), verifier
            )

    def test_a_block_that_raises_releases(self, message, make_verifier):
        store = Store(remembers=True)
        value, _ = message()

        with (
            pytest.raises(ZeroDivisionError),
            receive_message(value, make_verifier(replay_store=store)),
        ):
            raise ZeroDivisionError

        assert store.steps == ["claim", "release"]

    def test_what_cannot_be_read_is_refused_at_once(self, verifier):
        for receive in (receive_message, areceive_message):
            with pytest.raises(UnreadableBodyError):
                receive(b"nope", verifier)

    def test_what_is_not_authentic_is_refused_on_entry(self, message, verifier):
        value, _ = message()

        reception = receive_message(value.replace(b"create", b"delete"), verifier)

        with pytest.raises(SignatureMismatchError):
            reception.__enter__()

    @pytest.mark.parametrize("kind", [Store, AsyncStore])
    async def test_the_asynchronous_one_awaits_the_store(
        self, message, make_verifier, kind
    ):
        store = kind()
        value, signed = message()

        async with areceive_message(
            value, make_verifier(replay_store=store), received_at=1_713_277_900
        ) as delivery:
            assert delivery.payload == signed

        assert store.steps == ["claim", "commit"]

    def test_a_synchronous_call_on_an_asynchronous_store_is_refused(
        self, message, make_verifier
    ):
        verifier = make_verifier(replay_store=AsyncStore(remembers=True))
        value, _ = message()

        for call in (verify_message, receive_message):
            with pytest.raises(ConfigurationError, match="averify or areceive"):
                call(value, verifier)


class Confluent:
    """What `read_record` uses of ``confluent_kafka.Message``."""

    def __init__(self, value=b"{}", timestamp=(1, 1_713_277_889_123), error=None):
        self.value = lambda: value
        self.timestamp = lambda: timestamp
        self.error = lambda: error


class TestRecords:
    @pytest.mark.parametrize("kind", [1, 2])
    def test_confluents_own_time_is_in_milliseconds(self, kind):
        record = read_record(Confluent(timestamp=(kind, 1_713_277_889_123)))

        assert record == Record(b"{}", 1_713_277_889.123)

    @pytest.mark.parametrize(
        "record",
        [Confluent(), SimpleNamespace(value=b"{}", timestamp=1_713_277_889_123)],
    )
    def test_a_time_that_its_writer_chose_need_not_be_trusted(self, record):
        assert read_record(record, trust_record_time=False) == (b"{}", None)
        with pytest.raises(ConfigurationError):
            read_record(record, trust_record_time=cast("bool", None))

    def test_confluent_may_have_no_time(self):
        assert read_record(Confluent(timestamp=(0, 0))).received_at is None

    def test_an_error_of_the_broker_is_no_message(self):
        with pytest.raises(UnreadableBodyError, match="error of the broker"):
            read_record(Confluent(error="_PARTITION_EOF"))

    @pytest.mark.parametrize(
        ("timestamp", "received_at"),
        [(1_713_277_889_123, 1_713_277_889.123), (None, None), (-1, None), (0, 0.0)],
    )
    def test_aiokafkas_own_time_is_in_milliseconds(self, timestamp, received_at):
        record = SimpleNamespace(value=b"{}", timestamp=timestamp)

        assert read_record(record) == (b"{}", received_at)

    @pytest.mark.parametrize(
        "record",
        [
            None,
            5,
            b"{}",
            SimpleNamespace(value=b"{}"),
            SimpleNamespace(value=b"{}", timestamp="now"),
            SimpleNamespace(value=lambda: b"{}"),
            Confluent(timestamp=5),
            {"a": 1},
        ],
        ids=lambda record: type(record).__name__,
    )
    def test_what_is_no_record_is_named(self, record):
        with pytest.raises(ConfigurationError, match="is no record of confluent"):
            read_record(record)

    def test_a_record_without_a_value_is_unreadable(self, verifier):
        value, received_at = read_record(Confluent(value=None))

        for read in (verify_message, receive_message, areceive_message):
            with pytest.raises(UnreadableBodyError, match="tombstone") as caught:
                read(value, verifier, received_at=received_at)
            assert caught.value.http_status == 400


class TestRealClients:
    def test_confluent_kafka(self, cluster, message, make_verifier):
        import confluent_kafka

        value, signed = message()
        cluster.produce("org_a.runs", value, 1_713_277_889_500)
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": cluster.servers,
                "enable.partition.eof": True,
                "group.id": "org_a.test",
                "log_level": 0,
            }
        )
        try:
            start = confluent_kafka.TopicPartition(
                "org_a.runs", 0, confluent_kafka.OFFSET_BEGINNING
            )
            consumer.assign([start])
            record = consumer.poll(PATIENCE)
            end = consumer.poll(PATIENCE)
        finally:
            consumer.close()

        read = read_record(record)
        # A clock of today: only the record's own time lets the message pass.
        delivery = verify_message(
            read.value, make_verifier(clock=lambda: 1.9e9), received_at=read.received_at
        )

        assert read == (value, 1_713_277_889.5)
        assert isinstance(delivery, Delivery)
        assert delivery.payload == signed
        with pytest.raises(UnreadableBodyError, match="error of the broker"):
            read_record(end)

    async def test_aiokafka(self, cluster, message, make_verifier):
        aiokafka = pytest.importorskip("aiokafka", reason="aiokafka is not installed")
        value, signed = message()
        cluster.produce("org_b.runs", value, 1_713_277_889_500)
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.servers)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition("org_b.runs", 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            record = await asyncio.wait_for(consumer.getone(), PATIENCE)
        finally:
            await consumer.stop()

        read = read_record(record)
        verifier = make_verifier(
            clock=lambda: 1.9e9, replay_store=AsyncStore(remembers=True)
        )
        async with areceive_message(
            read.value, verifier, received_at=read.received_at
        ) as delivery:
            assert delivery.payload == signed

        assert read == (value, 1_713_277_889.5)

    def test_a_record_of_aiokafka_without_a_time(self):
        structs = pytest.importorskip(
            "aiokafka.structs", reason="aiokafka is not installed"
        )
        record = structs.ConsumerRecord(
            topic="org_a.runs",
            partition=0,
            offset=0,
            timestamp=-1,
            timestamp_type=-1,
            key=None,
            value=b"{}",
            checksum=None,
            serialized_key_size=-1,
            serialized_value_size=2,
            headers=(),
        )

        assert read_record(record) == (b"{}", None)


@pytest.mark.parametrize(
    "function", [verify_message, receive_message, areceive_message]
)
@pytest.mark.parametrize("wrong", ["a secret", None, object])
def test_what_is_no_verifier_is_refused_without_showing_anything(function, wrong):
    with pytest.raises(ConfigurationError, match="must be a Verifier") as caught:
        function(b'{"payload":"marker"}', wrong)
    trace = caught.value.__traceback__
    assert trace is not None
    for frame in (trace.tb_next, getattr(trace.tb_next, "tb_next", None)):
        local = "" if frame is None else repr(frame.tb_frame.f_locals)
        assert "marker" not in local
        assert "a secret" not in local


def test_a_message_that_does_not_match_is_not_blamed_on_the_agent(verifier):
    signed = sign(b"{}", "another secret")
    value = json.dumps(
        {
            "headers": {
                "X-Port-Signature": signed["x-port-signature"],
                "X-Port-Timestamp": signed["x-port-timestamp"],
            }
        }
    )
    with pytest.raises(SignatureMismatchError) as caught:
        verify_message(value, verifier, received_at=int(signed["x-port-timestamp"]))
    assert "agent" not in str(caught.value)


class Odd:
    def __init__(self, stamp):
        self._stamp = stamp

    def value(self):
        return b""

    def error(self):
        return None

    def timestamp(self):
        if isinstance(self._stamp, Exception):
            raise self._stamp
        return (1, self._stamp)


@pytest.mark.parametrize("stamp", [10**400, OSError(), RuntimeError()])
def test_a_record_that_raises_anything_is_refused(stamp):
    with pytest.raises(ConfigurationError):
        read_record(Odd(stamp))
