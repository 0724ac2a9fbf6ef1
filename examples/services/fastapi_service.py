"""Two actions of the blueprint ``vm``: ``uvicorn fastapi_service:app``."""

import logging

from fastapi import FastAPI
from pydantic import BaseModel

from port_webhook import Verifier
from port_webhook.adapters.fastapi import webhook
from port_webhook.dispatch import AsyncDispatcher
from port_webhook.reporting import AsyncPortClient, AsyncRun

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("vms")
port = AsyncPortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = AsyncDispatcher(report=port)
app = FastAPI()
app.post("/port")(webhook(Verifier.from_env())(handlers))


class Vm(BaseModel):
    cpu: int


@handlers.on(action="create_vm", inputs=Vm)
async def create_vm(vm: Vm, run: AsyncRun) -> None:
    log.info("creating a machine with %d CPUs", vm.cpu)
    entity = {"identifier": f"vm-{run.run_id}", "properties": {"cpu": vm.cpu}}
    await port.upsert_entity("vm", entity, run_id=run.run_id)


@handlers.on(action="grow_vm", inputs=Vm)
async def grow_vm(vm: Vm, run: AsyncRun) -> None:
    await run.fail(f"no host has room for {vm.cpu} CPUs")
