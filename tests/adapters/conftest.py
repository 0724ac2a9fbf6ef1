"""The fixtures that tests of several adapters share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

PATIENCE = 60  # seconds; a message arrives within two


@pytest.fixture(scope="session")
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

    def produce(topic, value, milliseconds):
        producer.produce(topic, value, partition=0, timestamp=milliseconds)
        assert producer.flush(PATIENCE) == 0

    return SimpleNamespace(producer=producer, servers=servers, produce=produce)
