"""Events of queues, topics, streams and buses, which are not requests."""

from __future__ import annotations

import pytest

from port_webhook import ConfigurationError, DuplicateDeliveryError, Verifier
from port_webhook.adapters.aws_lambda import (
    handle_kafka_event,
    verify_event,
    verify_kafka_event,
)
from port_webhook.replay.memory import MemoryReplayStore

from .events import (
    NOW,
    SECRET,
    SIGNED,
    TEXT,
    assert_hides,
    kafka_event,
    make_verifier,
    message,
    record,
    serve,
)

QUEUES = [
    (
        {"Records": [{"eventSource": "aws:sqs", "body": "note"}]},
        r"SQS.*from_json\(record\['body'\]\).*received_at.*replay_ttl",
    ),
    (
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "note"}}]},
        r"SNS.*from_json\(record\['Sns'\]\['Message'\]\)",
    ),
    (
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "note"}}]},
        r"Kinesis.*\['kinesis'\]\['data'\]",
    ),
    ({"Records": [{"eventSource": "aws:dynamodb"}]}, "queue or a stream"),
    ({"Records": [{"eventSource": ["note"]}]}, "queue or a stream"),
    ({"Records": ["note"]}, "queue or a stream"),
    ({"Records": []}, "queue or a stream"),
    ({"Records": "note"}, "queue or a stream"),
    (
        {
            "version": "0",
            "detail-type": "order",
            "source": "a",
            "detail": {"a": "note"},
        },
        r"EventBridge.*from_json\(event\['detail'\]",
    ),
]


class TestHttpEntryPoints:
    @pytest.mark.parametrize(("event", "instead"), QUEUES)
    def test_say_what_to_use_and_raise_so_that_no_message_is_lost(
        self, event, instead, records
    ):
        for call in (serve, lambda event: verify_event(event, make_verifier())):
            with pytest.raises(ConfigurationError, match=instead) as caught:
                call(event)
            assert_hides(caught.value, "note")
        assert records == []

    @pytest.mark.parametrize(
        ("event", "instead"),
        [
            (kafka_event(record(1, message())), "handle_kafka_event"),
            ({"records": []}, "queue or a stream"),  # Firehose
            ({"records": None}, "queue or a stream"),
        ],
    )
    def test_name_the_kafka_trigger(self, event, instead):
        with pytest.raises(ConfigurationError, match=instead):
            serve(event)


class TestKafkaEntryPoints:
    @pytest.mark.parametrize(("event", "instead"), QUEUES)
    def test_say_what_to_use(self, event, instead):
        with pytest.raises(ConfigurationError, match=instead) as caught:
            verify_kafka_event(event, make_verifier())
        assert_hides(caught.value, "note")
        with pytest.raises(ConfigurationError, match=instead):
            handle_kafka_event(event, make_verifier(), print)

    def test_say_what_an_http_request_needs(self):
        with pytest.raises(ConfigurationError, match="webhook"):
            verify_kafka_event({"headers": {}, "body": "note"}, make_verifier())


class TestACopyInAQueue:
    """Enqueued within the window, and read long after the first was handled."""

    def run_first_and_copy(self, **options):
        times = [float(NOW)]

        def clock():
            return times[-1]

        store = MemoryReplayStore(single_process=True, clock=clock)
        verifier = Verifier(SECRET, clock=clock, replay_store=store, **options)
        with verifier.receive(TEXT, SIGNED, received_at=NOW + 1):
            pass
        times.append(NOW + 3 * 3600.0)
        with verifier.receive(TEXT, SIGNED, received_at=NOW + 60):
            pass

    def test_runs_again_without_a_replay_ttl(self):
        self.run_first_and_copy()

    def test_is_a_duplicate_with_one(self):
        with pytest.raises(DuplicateDeliveryError):
            self.run_first_and_copy(replay_ttl=14 * 86_400)
