"""`consume`, against the broker that librdkafka plays in memory."""

from __future__ import annotations

from functools import partial

import pytest

from port_webhook import (
    DeliveryInProgressError,
    DuplicateDeliveryError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
)
from port_webhook.adapters.kafka import consume
from port_webhook.replay.memory import MemoryReplayStore

from .doubles import Until, run_ids


def _note(seen, error, _):
    seen.append(error)


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
                on_error=partial(_note, seen),
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
