"""Two actions of the blueprint ``vm``: ``flask --app flask_service run``."""

import logging

from flask import Flask
from pydantic import BaseModel

from port_webhook import Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.dispatch import Dispatcher
from port_webhook.reporting import PortClient, Run

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("vms")
port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = Dispatcher(report=port)
app = Flask(__name__)
app.post("/port")(webhook(Verifier.from_env())(handlers))


class Vm(BaseModel):
    cpu: int


@handlers.on(action="create_vm", inputs=Vm)
def create_vm(vm: Vm, run: Run) -> str:
    log.info("creating a machine with %d CPUs", vm.cpu)
    entity = {"identifier": f"vm-{run.run_id}", "properties": {"cpu": vm.cpu}}
    return str(port.upsert_entity("vm", entity, run_id=run.run_id)["identifier"])


@handlers.on(action="grow_vm", inputs=Vm)
def grow_vm(vm: Vm, run: Run) -> str:
    run.fail(f"no host has room for {vm.cpu} CPUs")
    return ""
