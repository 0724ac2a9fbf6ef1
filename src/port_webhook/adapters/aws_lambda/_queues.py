"""The events of queues, topics, streams and buses, which are not HTTP requests.

A response would tell a queue that its messages are done, so these events are errors
that say what to use instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from port_webhook.exceptions import ConfigurationError

__all__ = ["refuse_queue"]

# By the name that each of the event's ``Records`` has.
_SOURCES = {
    "aws:sqs": (
        "an SQS queue. If a function verified the messages before, use "
        "Delivery.from_json(record['body']); else verifier.receive(record['body'], "
        "headers, received_at=…) with the headers of its messageAttributes and its "
        "SentTimestamp, and set replay_ttl"
    ),
    "aws:sns": (
        "an SNS topic. Verify before you publish, and use "
        "Delivery.from_json(record['Sns']['Message'])"
    ),
    "aws:kinesis": (
        "a Kinesis stream. Verify before you write to it, and use "
        "Delivery.from_json(base64.b64decode(record['kinesis']['data']))"
    ),
}
_KAFKA = "a Kafka trigger; use handle_kafka_event"
_BUS = (
    "EventBridge, which keeps no text that could be verified. Verify before you put "
    "an event on the bus, and use Delivery.from_json(event['detail'][…])"
)
_OTHER = "a queue or a stream. Verify before you write to it, and use Delivery.to_json"


def refuse_queue(event: Mapping[str, Any]) -> NoReturn:
    """Raise the `ConfigurationError` that says what to use for *event*."""
    if isinstance(event.get("records"), Mapping):
        source = _KAFKA
    elif "detail-type" in event:
        source = _BUS
    else:
        source = _OTHER
        records: Any = event.get("Records")
        if isinstance(records, list) and records and isinstance(records[0], Mapping):
            first = cast("Mapping[str, Any]", records[0])
            # SNS writes the name with a capital letter.
            name = first.get("eventSource") or first.get("EventSource")
            source = _SOURCES.get(str(name), _OTHER)
    raise ConfigurationError(f"The event is that of {source}")
