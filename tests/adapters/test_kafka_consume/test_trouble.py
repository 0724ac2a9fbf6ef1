"""What goes wrong with `consume`, and what it is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from port_webhook import (
    ConfigurationError,
    UnreadableBodyError,
)
from port_webhook.adapters.kafka import aconsume, consume

from ..doubles import AsyncStore
from .doubles import Consumer, Message, Problem, asynchronous, run_ids


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
            consumer: Any = Consumer(Message(message("r_1")))
            consumer.assignment = lambda assigned=assigned: assigned
            with pytest.raises(ZeroDivisionError):
                consumer.run(verifier, fail)
            assert consumer.commits == 0
        assert other.offset == 0

    def test_a_coroutine_is_not_dropped(self, message, verifier):
        def handle(_):
            return asynchronous()

        consumer = Consumer(Message(message("r_1")))
        with pytest.raises(ConfigurationError, match="use aconsume"):
            consumer.run(verifier, handle)
        assert consumer.commits == 0

    @pytest.mark.parametrize("record", [{"partition": []}, object()])
    def test_records_of_another_client_are_named(self, verifier, record):
        with pytest.raises(ConfigurationError, match="is no record of confluent"):
            Consumer(record).run(verifier)


@pytest.mark.parametrize(
    "wrong",
    [
        {"handle": None},
        {"handle": asynchronous},
        {"on_error": 5},
        {"on_error": asynchronous},
        {"running": True},
        {"running": asynchronous},
        {"poll_timeout": 0},
        {"poll_timeout": float("nan")},
        {"trust_record_time": "no"},
        {"model": 5},
        {"verifier": "a secret"},
        {"consumer": object()},
        {"consumer": SimpleNamespace(poll=asynchronous)},
    ],
    ids=lambda wrong: " ".join(f"{k} {type(v).__name__}" for k, v in wrong.items()),
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
            "consumer": SimpleNamespace(getmany=asynchronous),
            "verifier": verifier,
            "handle": print,
            "running": lambda: False,
        }
        await aconsume(**options)
        if wrong in ({"handle": asynchronous}, {"on_error": asynchronous}):
            await aconsume(**{**options, **wrong})
        else:
            with pytest.raises(ConfigurationError):
                await aconsume(**{**options, **wrong})


def test_consume_refuses_anasynchronous_store(make_verifier):
    verifier = make_verifier(replay_store=AsyncStore())
    with pytest.raises(ConfigurationError):
        consume(Consumer(), verifier, print)
