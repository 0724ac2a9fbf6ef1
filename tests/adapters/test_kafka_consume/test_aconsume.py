"""`aconsume`, against the same broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from port_webhook import (
    ConfigurationError,
    DuplicateDeliveryError,
    SignatureMismatchError,
    UnreadableBodyError,
)
from port_webhook.adapters.kafka import aconsume

from ..doubles import AsyncStore
from .doubles import PATIENCE, Until, asynchronous, run_ids


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
        store = AsyncStore(remembers=True)
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

        verifier = make_verifier(replay_store=AsyncStore(remembers=True))
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
    consumer = SimpleNamespace(getmany=asynchronous, _enable_auto_commit=True)
    with pytest.raises(ConfigurationError, match="enable_auto_commit=False"):
        await aconsume(consumer, verifier, print)
