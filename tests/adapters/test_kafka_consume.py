"""`consume` and `aconsume`, against the broker that librdkafka plays in memory."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from port_webhook import (
    ConfigurationError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    sign,
)
from port_webhook.adapters.kafka import aconsume, consume
from port_webhook.replay.memory import MemoryReplayStore

PATIENCE = 60  # seconds; a message arrives within two
_numbers = count(1)


@pytest.fixture(scope="module")
def cluster():
    """A broker that librdkafka plays in memory, on loopback."""
    confluent_kafka = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is not installed"
    )
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": "localhost:1",  # replaced by the mock's own
            "log_level": 0,
            "test.mock.num.brokers": 1,
        }
    )
    brokers = producer.list_topics(timeout=PATIENCE).brokers.values()
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    return SimpleNamespace(producer=producer, servers=servers)


@pytest.fixture
def message(secret, now):
    """Make the message of a run, as Port writes it."""

    def make(run, **more):
        document = {"context": {"runId": run}, "headers": {}, **more}
        text = json.dumps(document, separators=(",", ":"))
        signed = sign(text, secret, timestamp=now)
        document["headers"] = {
            "X-Port-Signature": signed["x-port-signature"],
            "X-Port-Timestamp": int(signed["x-port-timestamp"]),
        }
        return json.dumps(document, separators=(",", ":")).encode()

    return make


@pytest.fixture
def topic(cluster, now):
    """A topic of its own, with what a test writes to it and where a group stands."""
    import confluent_kafka

    name = f"org_{next(_numbers)}.runs"
    consumers = []

    def write(*values, partition=0):
        for value in values:
            cluster.producer.produce(
                name, value, partition=partition, timestamp=now * 1000
            )
        assert cluster.producer.flush(PATIENCE) == 0

    def new(group="group", **options):
        consumer = confluent_kafka.Consumer(
            {
                "auto.offset.reset": "earliest",
                "bootstrap.servers": cluster.servers,
                "enable.auto.commit": False,
                "group.id": f"{name}.{group}",
                "log_level": 0,
                **options,
            }
        )
        consumers.append(consumer)
        return consumer

    def join(group="group", **options):
        # Assigned by hand, since the mock lets a group wait for three seconds.
        consumer = new(group, **options)
        consumer.assign([confluent_kafka.TopicPartition(name, 0)])
        return consumer

    def subscribe():
        consumer = new(**{"heartbeat.interval.ms": 100, "session.timeout.ms": 4500})
        consumer.subscribe([name])
        return consumer

    def committed(consumer, partition=0):
        place = confluent_kafka.TopicPartition(name, partition)
        [found] = consumer.committed([place], PATIENCE)
        return max(found.offset, 0)

    yield SimpleNamespace(
        name=name, write=write, join=join, subscribe=subscribe, committed=committed
    )
    for consumer in consumers:
        consumer.close()


class Until:
    """Says to go on until *seen* holds *size* things, and never without end."""

    def __init__(self, seen, size):
        self.seen = seen
        self.size = size
        self.polls = 0

    def __call__(self):
        self.polls += 1
        assert self.polls < PATIENCE * 10
        return len(self.seen) < self.size


def run_ids(deliveries):
    return [delivery.run_id for delivery in deliveries]


class TestConsume:
    def test_each_message_is_handled_and_its_offset_committed(
        self, topic, message, verifier
    ):
        topic.write(message("r_1"), message("r_2"))
        consumer, seen = topic.join(), []

        def handle(delivery):
            # Nothing of this message or a later one is committed yet.
            assert topic.committed(consumer) == len(seen)
            seen.append(delivery)

        consume(consumer, verifier, handle, running=Until(seen, 2), poll_timeout=0.1)

        assert run_ids(seen) == ["r_1", "r_2"]
        assert topic.committed(consumer) == 2

    def test_it_ends_between_two_messages(self, topic, message, verifier):
        topic.write(message("r_1"), message("r_2"))
        consumer, seen = topic.join(), []
        consume(
            consumer, verifier, seen.append, running=Until(seen, 1), poll_timeout=0.1
        )
        assert topic.committed(consumer) == 1
        consumer.close()

        consumer = topic.join()
        consume(
            consumer, verifier, seen.append, running=Until(seen, 2), poll_timeout=0.1
        )
        assert run_ids(seen) == ["r_1", "r_2"]

    def test_a_message_that_is_refused_stops_nothing(
        self, topic, message, verifier, records
    ):
        forged = message("r_1").replace(b"r_1", b"r_0")
        topic.write(forged, b"no JSON", None, message("r_2"))
        consumer, seen, passed = topic.join(), [], []
        consume(
            consumer,
            verifier,
            seen.append,
            running=Until(seen, 1),
            on_error=lambda error, record: passed.append((error, record.offset())),
            poll_timeout=0.1,
        )
        assert run_ids(seen) == ["r_2"]
        assert topic.committed(consumer) == 4
        assert [(type(error), offset) for error, offset in passed] == [
            (SignatureMismatchError, 0),
            (UnreadableBodyError, 1),
            (UnreadableBodyError, 2),
        ]
        assert "tombstone" in str(passed[2][0])
        codes = [getattr(record, "port_code", None) for record in records]
        assert codes[:3] == ["signature_mismatch", "unreadable_body", "unreadable_body"]

    def test_nobody_need_be_told_of_it(self, topic, message, verifier):
        topic.write(b"no JSON", message("r_1"))
        consumer, seen = topic.join(), []
        consume(
            consumer, verifier, seen.append, running=Until(seen, 1), poll_timeout=0.1
        )
        assert topic.committed(consumer) == 2

    def test_a_handler_that_raises_gets_the_message_again(
        self, topic, message, verifier
    ):
        topic.write(message("r_1"), message("r_2"))
        consumer, seen = topic.join(), []

        def handle(delivery):
            seen.append(delivery)
            if len(seen) == 2:
                raise ZeroDivisionError

        until = Until(seen, 3)
        with pytest.raises(ZeroDivisionError):
            consume(consumer, verifier, handle, running=until, poll_timeout=0.1)
        assert topic.committed(consumer) == 1
        # The same consumer does not go on behind the message, either.
        consume(consumer, verifier, handle, running=until, poll_timeout=0.1)

        assert run_ids(seen) == ["r_1", "r_2", "r_2"]
        assert topic.committed(consumer) == 2

    def test_an_interrupt_leaves_after_what_is_done_is_committed(
        self, topic, message, verifier
    ):
        topic.write(message("r_1"), message("r_2"))
        consumer, seen = topic.join(), []

        def handle(delivery):
            if seen:
                raise KeyboardInterrupt
            seen.append(delivery)

        with pytest.raises(KeyboardInterrupt):
            consume(
                consumer, verifier, handle, running=Until(seen, 9), poll_timeout=0.1
            )
        assert topic.committed(consumer) == 1

    def test_what_on_error_raises_leaves_the_message_for_later(
        self, topic, message, verifier
    ):
        topic.write(b"no JSON")
        consumer = topic.join()

        def on_error(error, record):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            consume(
                consumer,
                verifier,
                print,
                running=Until([], 1),
                on_error=on_error,
                poll_timeout=0.1,
            )
        assert topic.committed(consumer) == 0

    def test_the_model_is_passed_and_a_payload_that_is_not_it_is_refused(
        self, topic, message, verifier
    ):
        topic.write(message("r_1"), message("r_2", status="TRIGGERED"))
        consumer, seen, passed = topic.join(), [], []
        pytest.importorskip("pydantic")
        from pydantic import BaseModel

        class Run(BaseModel):
            status: str

        consume(
            consumer,
            verifier,
            seen.append,
            model=Run,
            running=Until(seen, 1),
            on_error=lambda error, record: passed.append(error),
            poll_timeout=0.1,
        )
        assert seen == [Run(status="TRIGGERED")]
        assert [error.path for error in passed] == ["status"]
        assert topic.committed(consumer) == 2

    @pytest.mark.parametrize(
        ("error", "passes"),
        [(PayloadError("is empty"), True), (SignatureMismatchError(), False)],
    )
    def test_of_a_handlers_own_errors_only_that_of_the_payload_passes(
        self, topic, message, verifier, error, passes
    ):
        topic.write(message("r_1"), message("r_2"))
        consumer, seen, passed = topic.join(), [], []

        def handle(delivery):
            seen.append(delivery)
            raise error

        def run():
            consume(
                consumer,
                verifier,
                handle,
                running=Until(seen, 1),
                on_error=lambda error, record: passed.append(error),
                poll_timeout=0.1,
            )

        if passes:
            run()
        else:
            with pytest.raises(type(error)):
                run()
        assert passed == [error] * passes
        assert topic.committed(consumer) == int(passes)

    def test_the_time_of_the_record_is_trusted_unless_told_otherwise(
        self, topic, message, make_verifier
    ):
        topic.write(message("r_1"))
        late = make_verifier(clock=lambda: 1.9e9)
        for trust, group in ((True, "trusting"), (False, "careful")):
            consumer, seen = topic.join(group), []
            consume(
                consumer,
                late,
                seen.append,
                running=Until(seen, 1),
                on_error=lambda error, record, seen=seen: seen.append(error),
                trust_record_time=trust,
                poll_timeout=0.1,
            )
            assert isinstance(seen[0], TimestampError) is not trust
            assert topic.committed(consumer) == 1


class TestReplay:
    def test_a_message_that_was_written_twice_runs_once(
        self, topic, message, make_verifier
    ):
        topic.write(message("r_1"), message("r_1"), message("r_2"))
        store = MemoryReplayStore(single_process=True)
        consumer, seen, passed = topic.join(), [], []
        consume(
            consumer,
            make_verifier(replay_store=store),
            seen.append,
            running=Until(seen, 2),
            on_error=lambda error, record: passed.append(type(error)),
            poll_timeout=0.1,
        )
        assert run_ids(seen) == ["r_1", "r_2"]
        assert passed == [DuplicateDeliveryError]
        assert topic.committed(consumer) == 3

    def test_a_claim_is_released_when_the_handler_raises(
        self, topic, message, make_verifier
    ):
        topic.write(message("r_1"))
        verifier = make_verifier(replay_store=MemoryReplayStore(single_process=True))
        consumer, seen = topic.join(), []

        def handle(delivery):
            seen.append(delivery)
            if len(seen) == 1:
                raise ZeroDivisionError

        until = Until(seen, 2)
        with pytest.raises(ZeroDivisionError):
            consume(consumer, verifier, handle, running=until, poll_timeout=0.1)
        consume(consumer, verifier, handle, running=until, poll_timeout=0.1)

        assert run_ids(seen) == ["r_1", "r_1"]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [("in_progress", DeliveryInProgressError), (OSError(), ReplayStoreError)],
    )
    def test_a_message_that_cannot_be_claimed_is_not_done(
        self, topic, message, make_verifier, answer, error
    ):
        class Store:
            def claim(self, key, owner, lease):
                if isinstance(answer, Exception):
                    raise answer
                return answer

            commit = release = claim

        topic.write(message("r_1"))
        consumer, passed = topic.join(), []
        with pytest.raises(error):
            consume(
                consumer,
                make_verifier(replay_store=Store()),
                print,
                running=Until([], 1),
                on_error=lambda error, record: passed.append(error),
                poll_timeout=0.1,
            )
        assert passed == []
        assert topic.committed(consumer) == 0


class TestGroups:
    def test_a_second_consumer_takes_over_and_nothing_runs_twice(
        self, topic, message, verifier
    ):
        runs = [f"r_{number}" for number in range(8)]
        for number, run in enumerate(runs[:4]):
            topic.write(message(run), partition=number % 4)
        first, seen = topic.subscribe(), []
        consume(first, verifier, seen.append, running=Until(seen, 4), poll_timeout=0.1)
        second = topic.subscribe()
        # Both poll, since a rebalance needs all members of the group.
        until = Until(range(1), 2)
        while not (second.assignment() and len(first.assignment()) < 4):
            assert until()
            for consumer in (first, second):
                consume(
                    consumer,
                    verifier,
                    seen.append,
                    running=iter([True, False]).__next__,
                    poll_timeout=0.1,
                )
        for number, run in enumerate(runs[4:]):
            topic.write(message(run), partition=number % 4)
        until = Until(seen, 8)
        while until():
            for consumer in (first, second):
                consume(
                    consumer,
                    verifier,
                    seen.append,
                    running=iter([True, False]).__next__,
                    poll_timeout=0.1,
                )

        assert sorted(run_ids(seen)) == runs
        committed = [topic.committed(first, partition) for partition in range(4)]
        assert committed == [2, 2, 2, 2]


class Problem:
    """An error in a record, as ``confluent_kafka.KafkaError`` describes it."""

    def __init__(self, code=3, name="UNKNOWN_TOPIC_OR_PART", *, fatal=False):
        self.code = lambda: code
        self.name = lambda: name
        self.fatal = lambda: fatal


class Message:
    """A record of confluent-kafka."""

    def __init__(self, value=None, problem=None):
        self.value = lambda: value
        self.error = lambda: problem
        self.timestamp = lambda: (0, 0)
        self.topic = lambda: "org.runs"
        self.partition = lambda: 0
        self.offset = lambda: 7


class Consumer:
    """A consumer of confluent-kafka that gives *records* and may fail to commit."""

    def __init__(self, *records, results=None):
        self.records = list(records)
        self.results = results
        self.commits = 0

    def poll(self, timeout):
        return self.records.pop(0)

    def commit(self, *, message, asynchronous):
        self.commits += 1
        if isinstance(self.results, Exception):
            raise self.results
        return self.results

    def run(self, verifier, handle=print, **options):
        consume(self, verifier, handle, running=lambda: bool(self.records), **options)


class TestTrouble:
    def test_an_error_of_the_broker_is_told_and_passed(
        self, message, verifier, records
    ):
        record, seen, passed = Message(problem=Problem()), [], []
        consumer = Consumer(record, Message(message("r_1")))

        consumer.run(verifier, seen.append, on_error=lambda *each: passed.append(each))

        assert run_ids(seen) == ["r_1"]
        [(error, about)] = passed
        assert type(error) is UnreadableBodyError
        assert "UNKNOWN_TOPIC_OR_PART" in str(error)
        assert about is record
        assert records[0].port_code == "unreadable_body"
        assert consumer.commits == 1

    def test_nobody_need_be_told_of_that_either(self, verifier, records):
        consumer = Consumer(Message(problem=Problem()))
        consumer.run(verifier)
        assert [record.port_code for record in records] == ["unreadable_body"]
        assert consumer.commits == 0

    def test_the_end_of_a_partition_is_no_trouble(self, verifier, records):
        passed = []
        consumer = Consumer(Message(problem=Problem(-191, "_PARTITION_EOF")))
        consumer.run(verifier, on_error=lambda *each: passed.append(each))
        assert passed == records == []

    def test_a_fatal_error_ends_the_loop(self, verifier):
        consumer = Consumer(Message(problem=Problem(name="_FENCED", fatal=True)))
        with pytest.raises(UnreadableBodyError, match="_FENCED"):
            consumer.run(verifier)

    @pytest.mark.parametrize(
        ("results", "name"),
        [
            (OSError(Problem(name="UNKNOWN_MEMBER_ID")), "UNKNOWN_MEMBER_ID"),
            (OSError(), "OSError"),
            ([SimpleNamespace(error=Problem(name="NOT_COORDINATOR"))], "NOT_COORD"),
        ],
    )
    def test_a_commit_that_fails_is_logged_and_the_loop_goes_on(
        self, message, verifier, records, results, name
    ):
        consumer = Consumer(
            Message(message("r_1")), Message(message("r_2")), results=results
        )
        seen = []
        consumer.run(verifier, seen.append)

        assert run_ids(seen) == ["r_1", "r_2"]
        failed = [each for each in records if each.port_event == "commit_failed"]
        assert len(failed) == 2
        assert failed[0].port_error.startswith(name)
        assert (failed[0].port_topic, failed[0].port_offset) == ("org.runs", 7)

    def test_commits_that_went_well_say_nothing(self, message, verifier, records):
        consumer = Consumer(
            Message(message("r_1")), results=[SimpleNamespace(error=None)]
        )
        consumer.run(verifier, lambda _: None)
        assert [each.port_event for each in records] == ["verified"]

    def test_a_partition_that_was_lost_is_not_read_again(self, message, verifier):
        def fail(_):
            raise ZeroDivisionError

        other = SimpleNamespace(topic="org.runs", partition=1, offset=0)
        for assigned in ([], [other]):
            consumer = Consumer(Message(message("r_1")))
            consumer.assignment = lambda assigned=assigned: assigned
            with pytest.raises(ZeroDivisionError):
                consumer.run(verifier, fail)
            assert consumer.commits == 0
        assert other.offset == 0

    def test_a_coroutine_is_not_dropped(self, message, verifier):
        def handle(_):
            return _asynchronous()

        consumer = Consumer(Message(message("r_1")))
        with pytest.raises(ConfigurationError, match="use aconsume"):
            consumer.run(verifier, handle)
        assert consumer.commits == 0

    @pytest.mark.parametrize("record", [{"partition": []}, object()])
    def test_records_of_another_client_are_named(self, verifier, record):
        with pytest.raises(ConfigurationError, match="is no record of confluent"):
            Consumer(record).run(verifier)


async def _asynchronous(*_):
    raise AssertionError


class AsyncStore(MemoryReplayStore):
    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        return super().release(key, owner)


@pytest.mark.parametrize(
    "wrong",
    [
        {"handle": None},
        {"handle": _asynchronous},
        {"on_error": 5},
        {"on_error": _asynchronous},
        {"running": True},
        {"running": _asynchronous},
        {"poll_timeout": 0},
        {"poll_timeout": float("nan")},
        {"trust_record_time": "no"},
        {"model": 5},
        {"verifier": "a secret"},
        {"consumer": object()},
        {"consumer": SimpleNamespace(poll=_asynchronous)},
    ],
    ids=str,
)
class TestArguments:
    def test_consume_refuses_what_it_cannot_use(self, verifier, wrong):
        options = {
            "consumer": Consumer(),
            "verifier": verifier,
            "handle": print,
            "running": lambda: False,
        }
        consume(**options)
        with pytest.raises(ConfigurationError) as caught:
            consume(**{**options, **wrong})
        assert "a secret" not in str(caught.value)

    async def test_aconsume_refuses_the_same_but_for_coroutine_functions(
        self, verifier, wrong
    ):
        options = {
            "consumer": SimpleNamespace(getmany=_asynchronous),
            "verifier": verifier,
            "handle": print,
            "running": lambda: False,
        }
        await aconsume(**options)
        if wrong in ({"handle": _asynchronous}, {"on_error": _asynchronous}):
            await aconsume(**{**options, **wrong})
        else:
            with pytest.raises(ConfigurationError):
                await aconsume(**{**options, **wrong})


def test_consume_refuses_an_asynchronous_store(make_verifier):
    verifier = make_verifier(replay_store=AsyncStore(single_process=True))
    with pytest.raises(ConfigurationError):
        consume(Consumer(), verifier, print)


@pytest.fixture
async def aconsumer(topic, cluster):
    """A consumer of aiokafka, at the beginning of the topic."""
    aiokafka = pytest.importorskip("aiokafka", reason="aiokafka is not installed")
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=cluster.servers,
        group_id=f"{topic.name}.group",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    topic.write(b"no JSON")  # makes the topic, which assigning does not
    await consumer.start()
    partition = aiokafka.TopicPartition(topic.name, 0)
    consumer.assign([partition])

    async def committed():
        return await consumer.committed(partition)

    consumer.written = committed
    yield consumer
    await consumer.stop()


class TestAconsume:
    async def test_each_message_is_handled_and_its_offset_committed(
        self, topic, aconsumer, message, make_verifier
    ):
        topic.write(message("r_1"), message("r_1"), message("r_2"))
        store = AsyncStore(single_process=True)
        seen, passed = [], []

        async def handle(delivery):
            assert (await aconsumer.written() or 0) in (1, 3)
            seen.append(delivery)

        async def on_error(error, record):
            passed.append((type(error), record.offset))

        await aconsume(
            aconsumer,
            make_verifier(replay_store=store),
            handle,
            running=Until(seen, 2),
            on_error=on_error,
            poll_timeout=0.1,
        )
        assert run_ids(seen) == ["r_1", "r_2"]
        assert passed == [(UnreadableBodyError, 0), (DuplicateDeliveryError, 2)]
        assert await aconsumer.written() == 4

    async def test_plain_functions_will_do(self, topic, aconsumer, message, verifier):
        topic.write(message("r_1"))
        seen, passed = [], []
        await aconsume(
            aconsumer,
            verifier,
            seen.append,
            running=Until(seen, 1),
            on_error=lambda error, record: passed.append(record.offset),
            poll_timeout=0.1,
        )
        assert run_ids(seen) == ["r_1"]
        assert passed == [0]

    async def test_a_handler_that_raises_gets_the_message_again(
        self, topic, aconsumer, message, verifier
    ):
        topic.write(message("r_1"))
        seen = []

        def handle(delivery):
            seen.append(delivery)
            if len(seen) == 1:
                raise ZeroDivisionError

        until = Until(seen, 2)
        with pytest.raises(ZeroDivisionError):
            await aconsume(aconsumer, verifier, handle, running=until, poll_timeout=0.1)
        assert await aconsumer.written() == 1
        await aconsume(aconsumer, verifier, handle, running=until, poll_timeout=0.1)
        assert run_ids(seen) == ["r_1", "r_1"]
        assert await aconsumer.written() == 2

    async def test_errors_of_other_deliveries_are_not_taken_for_its_own(
        self, topic, aconsumer, message, verifier
    ):
        topic.write(message("r_1"))

        async def handle(_):
            raise SignatureMismatchError

        with pytest.raises(SignatureMismatchError):
            await aconsume(
                aconsumer, verifier, handle, running=Until([], 1), poll_timeout=0.1
            )
        assert await aconsumer.written() == 1

    async def test_a_cancelled_handler_is_not_done(
        self, topic, aconsumer, message, make_verifier
    ):
        topic.write(message("r_1"))
        started = asyncio.Event()

        async def handle(_):
            started.set()
            await asyncio.Event().wait()

        verifier = make_verifier(replay_store=AsyncStore(single_process=True))
        loop = asyncio.ensure_future(
            aconsume(aconsumer, verifier, handle, poll_timeout=0.1)
        )
        await asyncio.wait_for(started.wait(), PATIENCE)
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop
        assert await aconsumer.written() == 1
        # The claim was released, and the consumer reads the message again.
        seen = []
        await aconsume(
            aconsumer, verifier, seen.append, running=Until(seen, 1), poll_timeout=0.1
        )
        assert run_ids(seen) == ["r_1"]


class Partition(NamedTuple):
    topic: str
    partition: int


class AsyncConsumer:
    """A consumer of aiokafka with one message, whose commit waits for a while."""

    def __init__(self, value, *, error=None):
        self.value = value
        self.error = error
        self.committing = asyncio.Event()
        self.go_on = asyncio.Event()
        self.committed = []

    async def getmany(self, *, timeout_ms, max_records):
        assert (timeout_ms, max_records) == (1000, 1)
        record = SimpleNamespace(value=self.value, timestamp=-1, offset=7)
        return {Partition("org.runs", 0): [record]}

    async def commit(self, offsets):
        self.committing.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.committed += offsets.values()


async def test_a_commit_goes_on_when_the_loop_is_cancelled(message, verifier):
    consumer = AsyncConsumer(message("r_1"))
    loop = asyncio.ensure_future(aconsume(consumer, verifier, lambda _: None))
    await asyncio.wait_for(consumer.committing.wait(), PATIENCE)
    loop.cancel()
    asyncio.get_running_loop().call_soon(consumer.go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert consumer.committed == [8]


@pytest.mark.parametrize(
    ("error", "events"),
    [
        (OSError(), ["verified", "commit_failed"]),
        # The consumer was stopped meanwhile.
        (asyncio.CancelledError(), ["verified"]),
    ],
)
async def test_a_commit_of_aiokafka_that_fails_is_logged(
    message, verifier, records, error, events
):
    consumer = AsyncConsumer(message("r_1"), error=error)
    consumer.go_on.set()
    await aconsume(
        consumer, verifier, lambda _: None, running=iter([True, False]).__next__
    )
    assert [each.port_event for each in records] == events


async def test_a_consumer_that_commits_by_itself_is_refused(verifier):
    consumer = SimpleNamespace(getmany=_asynchronous, _enable_auto_commit=True)
    with pytest.raises(ConfigurationError, match="enable_auto_commit=False"):
        await aconsume(consumer, verifier, print)
