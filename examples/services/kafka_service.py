"""Two actions of the blueprint ``vm``, from Kafka: ``python kafka_service.py``."""

from confluent_kafka import Consumer
from pydantic import BaseModel

from port_webhook import Verifier
from port_webhook.adapters.kafka import consume
from port_webhook.dispatch import Dispatcher
from port_webhook.reporting import PortClient, Run

SETTINGS = {"bootstrap.servers": "…", "group.id": "…", "enable.auto.commit": False}
port = PortClient.from_env()
handlers = Dispatcher(report=port)


class Vm(BaseModel):
    cpu: int


@handlers.on(action="create_vm", inputs=Vm)
def create_vm(vm: Vm, run: Run) -> None:
    run.log(f"creating a machine with {vm.cpu} CPUs")
    entity = {"identifier": f"vm-{run.run_id}", "properties": {"cpu": vm.cpu}}
    port.upsert_entity("vm", entity, run_id=run.run_id)


@handlers.on(action="grow_vm", inputs=Vm)
def grow_vm(vm: Vm, run: Run) -> None:
    run.fail(f"no host has room for {vm.cpu} CPUs")


if __name__ == "__main__":
    (consumer := Consumer(SETTINGS)).subscribe(["ORG.runs"])
    consume(consumer, Verifier.from_env(), handlers)
