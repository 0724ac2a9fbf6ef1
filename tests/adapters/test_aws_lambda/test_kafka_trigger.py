"""The Kafka trigger: the records of one event, verified, handled and reported."""

from __future__ import annotations

import asyncio
import functools
import json

import pytest

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DuplicateDeliveryError,
    MissingHeaderError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
)
from port_webhook.adapters.aws_lambda import (
    KafkaItem,
    handle_kafka_event,
    verify_kafka_event,
)

from ..doubles import AsyncStore, Store
from .events import (
    NOW,
    HiddenAsyncStore,
    assert_hides,
    failed,
    kafka_event,
    later,
    make_verifier,
    message,
    record,
    sources,
)


class TestVerifyKafkaEvent:
    @sources
    def test_gives_a_delivery_or_an_error_for_each_record_in_order(self, source):
        event = kafka_event(
            record(5, message(1)),
            record(6, message(2, secret="of somebody else")),
            record(7, message(3), partition=1),
            record(8, b"not JSON"),
            source=source,
        )
        items = verify_kafka_event(event, make_verifier())
        assert [(item.topic, item.partition, item.offset) for item in items] == [
            ("acme.runs", 0, 5),
            ("acme.runs", 0, 6),
            ("acme.runs", 0, 8),
            ("acme.runs", 1, 7),
        ]
        assert [item.delivery and item.delivery.run_id for item in items] == [
            "r_1",
            None,
            None,
            "r_3",
        ]
        assert [type(item.error) for item in items] == [
            type(None),
            SignatureMismatchError,
            UnreadableBodyError,
            type(None),
        ]
        assert [item.delivery.via for item in items if item.delivery] == ["kafka"] * 2

    def test_takes_the_records_own_time_as_the_time_it_was_received(self):
        event = kafka_event(record(1, message(), timestamp=NOW * 1000 + 500))
        (item,) = verify_kafka_event(event, make_verifier(**later))
        assert item.delivery is not None
        assert item.received_at == NOW + 0.5

    def test_refuses_a_record_whose_own_time_lies_outside_the_window(self):
        event = kafka_event(record(1, message(), timestamp=(NOW + 301) * 1000))
        (item,) = verify_kafka_event(event, make_verifier())
        assert isinstance(item.error, TimestampError)

    @pytest.mark.parametrize("timestamp", [None, -1, "1", 1.5, True, 10**14, 10**400])
    def test_takes_the_clocks_time_for_a_record_without_its_own(self, timestamp):
        event = kafka_event(record(1, message(), timestamp=timestamp))
        (item,) = verify_kafka_event(event, make_verifier())
        assert item.received_at is None
        assert item.delivery is not None
        (item,) = verify_kafka_event(event, make_verifier(**later))
        assert isinstance(item.error, TimestampError)

    def test_takes_the_clocks_time_where_the_records_own_is_not_trusted(self):
        # The writer of a record chose its time: that of a captured message.
        event = kafka_event(record(1, message()))
        verifier = make_verifier(**later)
        (item,) = verify_kafka_event(event, verifier, trust_record_time=False)
        assert item.received_at is None
        assert isinstance(item.error, TimestampError)
        (item,) = verify_kafka_event(event, make_verifier(), trust_record_time=False)
        assert item.delivery is not None

    @pytest.mark.parametrize("wrong", [None, 1, "False"])
    def test_takes_nothing_but_a_boolean_as_trust(self, wrong):
        event = kafka_event(record(1, message()))
        with pytest.raises(ConfigurationError, match="trust_record_time"):
            verify_kafka_event(event, make_verifier(), trust_record_time=wrong)

    @pytest.mark.parametrize("value", [None, "missing"])
    def test_names_a_tombstone_as_such(self, value, records):
        bare = record(1, None)
        if value == "missing":
            del bare["value"]
        (item,) = verify_kafka_event(kafka_event(bare), make_verifier())
        assert "tombstone" in str(item.error)
        assert [each.port_code for each in records] == ["unreadable_body"]

    @pytest.mark.parametrize("value", [None, 5, "%", "AAAA=", b"\xff", b"", {}, []])
    def test_refuses_a_value_that_is_no_message(self, value, records):
        (item,) = verify_kafka_event(kafka_event(record(1, value)), make_verifier())
        assert isinstance(item.error, UnreadableBodyError)
        assert [each.port_code for each in records] == ["unreadable_body"]

    def test_takes_a_missing_value_as_no_message(self):
        bare = record(1, None)
        del bare["value"], bare["timestamp"]
        (item,) = verify_kafka_event(kafka_event(bare), make_verifier())
        assert isinstance(item.error, UnreadableBodyError)

    def test_refuses_a_message_over_the_limit(self):
        event = kafka_event(record(1, message()))
        (item,) = verify_kafka_event(event, make_verifier(max_body_bytes=20))
        assert isinstance(item.error, BodyTooLargeError)

    def test_verifies_a_message_that_looks_like_one_of_the_change_log(self):
        unsigned = json.dumps({"changelogDestination": {}, "diff": {}}).encode()
        forged = message(secret="of somebody else", changelogDestination={})
        event = kafka_event(record(1, unsigned), record(2, forged))
        errors = [item.error for item in verify_kafka_event(event, make_verifier())]
        assert [type(error) for error in errors] == [
            MissingHeaderError,
            SignatureMismatchError,
        ]

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "event",
            {},
            {"records": None},
            {"records": []},
            {"records": {"acme.runs-0": None}},
            {"records": {"acme.runs-0": [None]}},
            {"records": {"acme.runs-0": [{"offset": 1}]}},
            {"records": {"acme.runs-0": [{**record(1, b""), "offset": "1"}]}},
            {"records": {"acme.runs-0": [{**record(1, b""), "partition": 1.0}]}},
            {"Records": [{"body": "of SQS"}]},
            {"headers": {}, "body": "of an HTTP request"},
        ],
    )
    def test_refuses_what_is_not_the_event_of_a_kafka_trigger(self, event):
        handle = functools.partial(handle_kafka_event, handler=print)
        for verify in (verify_kafka_event, handle):
            with pytest.raises(ConfigurationError):
                verify(event, make_verifier())

    def test_has_nothing_to_say_about_an_event_without_records(self):
        assert verify_kafka_event({"records": {}}, make_verifier()) == []
        answer = handle_kafka_event({"records": {}}, make_verifier(), print)
        assert answer == {"batchItemFailures": []}

    def test_claims_and_commits_each_record_at_once(self):
        store = Store("claimed", "committed")
        event = kafka_event(record(1, message()), record(2, message()))
        items = verify_kafka_event(event, make_verifier(replay_store=store))
        assert store.steps == ["claim", "commit", "claim"]
        assert isinstance(items[1].error, DuplicateDeliveryError)

    @pytest.mark.parametrize("store", [AsyncStore(), HiddenAsyncStore()])
    def test_refuses_an_asynchronous_store(self, store):
        event = kafka_event(record(1, message()))
        verifier = make_verifier(replay_store=store)
        value = event["records"]["acme.runs-0"][0]["value"]
        with pytest.raises(ConfigurationError) as caught:
            verify_kafka_event(event, verifier)
        assert_hides(caught.value, "r_1", value)
        with pytest.raises(ConfigurationError) as caught:
            handle_kafka_event(event, verifier, print)
        assert_hides(caught.value, "r_1", value)

    def test_names_a_record_as_lambda_wants_it_reported(self):
        (item,) = verify_kafka_event(
            kafka_event(record(5, message(), partition=3)), make_verifier()
        )
        assert isinstance(item, KafkaItem)
        assert item.failure == failed("acme.runs-3", 5)

    def test_gives_errors_that_hold_nothing_of_the_message(self):
        value = message(7, secret="of somebody else")
        (item,) = verify_kafka_event(kafka_event(record(1, value)), make_verifier())
        signature = json.loads(value)["headers"]["X-Port-Signature"]
        assert_hides(item.error, "r_7", signature)


class TestHandleKafkaEvent:
    def test_handles_each_record_and_commits_it_before_the_next(self):
        store = Store()

        def handler(delivery):
            store.steps.append(delivery.run_id)

        event = kafka_event(record(1, message(1)), record(2, message(2)))
        answer = handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert answer == {"batchItemFailures": []}
        assert store.steps == ["claim", "r_1", "commit", "claim", "r_2", "commit"]

    def test_reports_every_failure_and_handles_the_rest(self, records):
        handled = []
        store = Store()

        def handler(delivery):
            handled.append(delivery.run_id)
            if delivery.run_id in ("r_2", "r_5"):
                msg = "caf"
                raise LookupError(msg)

        event = kafka_event(
            record(11, message(1)),
            record(12, message(2)),
            record(13, message(3)),
            record(14, message(2)),
            record(21, message(4), partition=1),
            record(31, message(5), topic="other.runs"),
        )
        answer = handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert handled == ["r_1", "r_2", "r_3", "r_2", "r_4", "r_5"]
        assert answer == {
            "batchItemFailures": [
                failed("acme.runs-0", 12),
                failed("acme.runs-0", 14),
                failed("other.runs-0", 31),
            ]
        }
        kept = ["claim", "commit"]
        released = ["claim", "release"]
        assert store.steps == kept + released + kept + released + kept + released
        logged = [each for each in records if each.port_event == "handler_failed"]
        assert [each.port_offset for each in logged] == [12, 14, 31]
        assert logged[0].port_topic == "acme.runs"
        assert logged[0].port_partition == 0
        assert logged[0].port_error == "LookupError"
        assert "test_kafka_trigger.py:" in logged[0].getMessage()
        assert "caf" not in logged[0].getMessage()

    def test_counts_a_record_that_fails_verification_as_done(self, records):
        handled = []
        event = kafka_event(
            record(1, message(1, secret="of somebody else")),
            record(2, b"not JSON"),
            record(3, None),
            record(4, message(4)),
        )
        answer = handle_kafka_event(
            event, make_verifier(), lambda delivery: handled.append(delivery.run_id)
        )
        assert answer == {"batchItemFailures": []}
        assert handled == ["r_4"]
        rejected = [each for each in records if each.port_event == "rejected"]
        assert [each.port_code for each in rejected] == [
            "signature_mismatch",
            "unreadable_body",
            "unreadable_body",
        ]

    @pytest.mark.parametrize(
        ("answer", "failures"),
        [
            ("committed", []),
            ("in_progress", [failed("acme.runs-0", 1)]),
            (OSError(), [failed("acme.runs-0", 1)]),
        ],
    )
    def test_has_a_record_sent_again_that_could_not_be_claimed(self, answer, failures):
        handled: list[object] = []
        verifier = make_verifier(replay_store=Store(answer))
        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, verifier, handled.append)
        assert result == {"batchItemFailures": failures}
        assert handled == []

    def test_has_a_record_sent_again_that_could_not_be_committed(self):
        verifier = make_verifier(replay_store=Store(commit=OSError()))
        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, verifier, str)
        assert result == {"batchItemFailures": [failed("acme.runs-0", 1)]}

    def test_has_a_record_sent_again_whose_handler_raised_an_error_of_ours(self):
        def handler(delivery):
            raise SignatureMismatchError

        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, make_verifier(), handler)
        assert result == {"batchItemFailures": [failed("acme.runs-0", 1)]}

    def test_has_a_record_sent_again_whose_handler_met_a_store_that_is_down(self):
        def handler(delivery):
            raise ReplayStoreError("of the handler's own failed")

        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, make_verifier(), handler)
        assert result == {"batchItemFailures": [failed("acme.runs-0", 1)]}

    def test_does_not_handle_a_stale_record_whose_time_is_not_trusted(self):
        handled: list[object] = []
        event = kafka_event(record(1, message()))
        result = handle_kafka_event(
            event, make_verifier(**later), handled.append, trust_record_time=False
        )
        assert handled == []
        assert result == {"batchItemFailures": []}

    def test_releases_and_lets_an_interrupt_through(self):
        store = Store()

        def handler(delivery):
            raise KeyboardInterrupt

        event = kafka_event(record(1, message()))
        with pytest.raises(KeyboardInterrupt):
            handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert store.steps == ["claim", "release"]

    def test_runs_an_asynchronous_handler(self):
        handled = []

        async def handler(delivery):
            await asyncio.sleep(0)
            handled.append(delivery.run_id)
            if delivery.run_id == "r_2":
                raise LookupError

        event = kafka_event(record(1, message(1)), record(2, message(2)))
        result = handle_kafka_event(event, make_verifier(), handler)
        assert handled == ["r_1", "r_2"]
        assert result == {"batchItemFailures": [failed("acme.runs-0", 2)]}

    def test_passes_the_model_instead_of_the_delivery(self):
        handled: list[object] = []
        handle_kafka_event(
            kafka_event(record(1, message())),
            make_verifier(),
            handled.append,
            model=port_webhook.CustomPayload,
        )
        assert [type(each).__name__ for each in handled] == ["CustomPayload"]

    def test_refuses_what_is_no_model_before_any_record_is_handled(self):
        store = Store()
        event = kafka_event(record(1, message()))
        with pytest.raises(ConfigurationError, match="int is not a model") as caught:
            handle_kafka_event(
                event, make_verifier(replay_store=store), print, model=int
            )
        assert store.steps == []
        assert_hides(caught.value, event["records"]["acme.runs-0"][0]["value"])

    def test_counts_a_payload_that_is_not_the_model_as_done(self, records):
        store = Store()
        result = handle_kafka_event(
            kafka_event(record(1, message(payload="no object"))),
            make_verifier(replay_store=store),
            print,
            model=port_webhook.ActionInvocation,
        )
        assert result == {"batchItemFailures": []}
        assert store.steps == ["claim", "release"]
        codes = [getattr(each, "port_code", None) for each in records]
        assert "invalid_payload" in codes
