"""The fixtures of these tests: a topic, and messages to write to it."""

from __future__ import annotations

import json
from itertools import count
from types import SimpleNamespace

import pytest

from port_webhook import (
    sign,
)

PATIENCE = 60  # seconds; a message arrives within two
_numbers = count(1)


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
