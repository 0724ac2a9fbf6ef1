"""The consumer on a broker that librdkafka plays in memory.

Port's own API is played by a function.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka_consumer import run

from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.testing import sign_kafka_message, trigger_data

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a made-up secret, for tests alone"
Told = list[tuple[str, Any]]
TOPIC = TopicPartition("ORG.runs", 0)
PATIENCE = 60  # seconds; a message arrives at once


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what the consumer tells Port: each path and what was sent to it."""
    told: Told = []

    def answer(_: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/auth/access_token":
            token = {"accessToken": "t", "expiresIn": 10800, "tokenType": "Bearer"}
            return httpx2.Response(200, json={"ok": True, **token})
        told.append((request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={"ok": True, "run": {}, "entity": {}})

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    monkeypatch.setenv("PORT_CLIENT_ID", "id")
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    return told


@pytest.fixture
def producer() -> Producer:
    """Return a producer, whose process plays the broker, too."""
    return Producer(
        {"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 0}
    )


@pytest.fixture
def consumer(producer: Producer) -> Iterator[Consumer]:
    """Return a consumer that reads the topic from its beginning."""
    brokers = producer.list_topics(timeout=PATIENCE).brokers.values()
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(f"{at.host}:{at.port}" for at in brokers),
            "group.id": "ORG.vms",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    yield consumer
    consumer.close()


def consume_all(producer: Producer, consumer: Consumer, *messages: bytes) -> None:
    """Write the messages, and run the consumer until the last one is committed."""
    for message in messages:
        producer.produce(TOPIC.topic, message, partition=TOPIC.partition)
    assert producer.flush(PATIENCE) == 0
    # By hand, since the mock lets a group wait for three seconds.
    consumer.assign([TOPIC])

    def running() -> bool:
        [place] = consumer.committed([TOPIC], PATIENCE)
        return place.offset < len(messages)

    run(consumer, MemoryReplayStore(single_process=True), running)


def invocation(run_id: str, action: str, **more: Any) -> dict[str, Any]:
    """Make the message of a run, still without its signature."""
    document = trigger_data(run_id=run_id, action={"identifier": action}, **more)
    return {**document, "headers": {}}


def test_machines_are_created_and_deleted_and_reported(
    producer: Producer, consumer: Consumer, told: Told
) -> None:
    vm = {"name": "web-1", "cpu": 2}
    create = invocation("r_1", "create_vm", inputs=vm)
    delete = invocation("r_2", "delete_vm", entity={"identifier": "web-1"})
    consume_all(
        producer,
        consumer,
        sign_kafka_message(create, SECRET),
        sign_kafka_message(delete, SECRET),
    )
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told
    assert ("/v1/actions/runs/r_2", {"status": "SUCCESS"}) in told
    entity = {"identifier": "web-1", "properties": {"cpu": 2}}
    assert ("/v1/blueprints/vm/entities", entity) in told
    logs = [sent["message"] for path, sent in told if path.endswith("/logs")]
    assert logs == ["creating web-1 with 2 CPUs", "deleting 'web-1'"]


def test_what_is_forged_or_does_not_fit_or_ran_before_stops_nothing(
    producer: Producer, consumer: Consumer, told: Told
) -> None:
    vm = {"name": "web-1", "cpu": 2}
    forged = sign_kafka_message(
        invocation("r_1", "create_vm", inputs=vm), "another secret"
    )
    unfit = sign_kafka_message(
        invocation("r_2", "create_vm", inputs={"cpu": "many"}), SECRET
    )
    good = sign_kafka_message(invocation("r_3", "create_vm", inputs=vm), SECRET)
    consume_all(producer, consumer, forged, unfit, good, good)

    ends = [
        (path.rpartition("/")[2], sent["status"])
        for path, sent in told
        if "status" in sent
    ]
    assert ends == [("r_2", "FAILURE"), ("r_3", "SUCCESS")]
