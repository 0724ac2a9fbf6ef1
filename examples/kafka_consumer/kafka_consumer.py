"""A consumer of Port's Kafka topic of runs: ``python kafka_consumer.py``."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer
from pydantic import BaseModel, Field
from redis import Redis

from port_webhook import Delivery, PayloadError, Verifier
from port_webhook.adapters.kafka import consume
from port_webhook.dispatch import Dispatcher
from port_webhook.replay.redis import RedisReplayStore
from port_webhook.reporting import PortClient, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ReplayStore

log = logging.getLogger("vms")
log.setLevel(logging.INFO)


class NewVm(BaseModel):
    """The inputs of the action ``create_vm``."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")  # it becomes a host name
    cpu: int = Field(ge=1, le=64)


def make_handler(port: PortClient) -> Callable[[Delivery], object]:
    """Choose a function by the action; each of them runs inside a report."""
    handlers = Dispatcher(report=port)

    @handlers.on(action="create_vm", inputs=NewVm)
    def create_vm(vm: NewVm, run: Run) -> None:
        log.info("creating %s with %d CPUs", vm.name, vm.cpu)
        # Create the machine here. An exception ends the run as FAILURE.
        run.update(status_label="Started", links=[f"https://{vm.name}.example.com"])
        entity = {"identifier": vm.name, "properties": {"cpu": vm.cpu}}
        port.upsert_entity("vm", entity, run_id=run.run_id)

    @handlers.on(action="delete_vm")
    def delete_vm(delivery: Delivery, run: Run) -> None:
        name = delivery.invocation().entity_identifier
        if name is None:
            run.fail("The action was run without an entity.")
            return
        log.info("deleting %r", name)

    def handle(delivery: Delivery) -> None:
        try:
            handlers(delivery)
        except PayloadError:
            raise  # `consume` logs it
        except Exception:
            # Port knows that the run has failed; the next message is read.
            log.exception("run %s failed", delivery.run_id)

    return handle


def run(consumer: Consumer, store: ReplayStore, running: Callable[[], bool]) -> None:
    """Read messages while *running* says so."""
    port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too
    verifier = Verifier.from_env(replay_store=store, replay_scope="vms")
    verifier.self_check()  # does the store answer?
    with port:
        # The time of each record counts, so that a backlog verifies. Its writer chooses
        # it: where others than Port may write to the topic, pass
        # trust_record_time=False (docs/kafka.md, "Whose time counts").
        consume(consumer, verifier, make_handler(port), running=running)


def main() -> None:
    """Consume until a signal says to stop."""
    logging.basicConfig(level=logging.INFO)
    organisation = os.environ["PORT_ORG_ID"]
    heartbeat = Path(os.environ.get("HEALTH_FILE", "healthy"))
    stopped: list[int] = []

    def running() -> bool:
        heartbeat.touch()  # a probe looks at its age
        return not stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopped.append(number))
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BROKERS"],
            "security.protocol": os.environ.get("KAFKA_PROTOCOL", "SASL_SSL"),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": os.environ.get("KAFKA_USERNAME", ""),
            "sasl.password": os.environ.get("KAFKA_PASSWORD", ""),
            "group.id": f"{organisation}.vms",
            "enable.auto.commit": False,  # `consume` commits, after the work
            "auto.offset.reset": "latest",  # a new group does not run what is past
        }
    )
    consumer.subscribe([f"{organisation}.runs"])
    redis = Redis.from_url(os.environ["REDIS_URL"], socket_timeout=1)
    try:
        run(consumer, RedisReplayStore(redis), running)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
