"""A FastAPI service that answers at once, and works and reports afterwards.

In development: ``fastapi dev fastapi_app.py``, or ``uvicorn fastapi_app:app``.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, Field

from port_webhook import Delivery, Verifier
from port_webhook.adapters.fastapi import webhook
from port_webhook.dispatch import AsyncDispatcher
from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.reporting import AsyncPortClient, AsyncRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("vms")
log.setLevel(logging.INFO)

port = AsyncPortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = AsyncDispatcher(report=port)
# One process; several share an `AsyncRedisReplayStore`.
verifier = Verifier.from_env(replay_store=MemoryReplayStore(single_process=True))


class NewVm(BaseModel):
    """The inputs of the action ``create_vm``."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")  # it becomes a host name
    cpu: int = Field(ge=1, le=64)


@handlers.on(action="create_vm", inputs=NewVm)
async def create_vm(vm: NewVm, run: AsyncRun) -> None:
    """Create the machine here. An exception ends the run as FAILURE."""
    log.info("creating %s with %d CPUs", vm.name, vm.cpu)
    await run.update(status_label="Started", links=[f"https://{vm.name}.example.com"])
    entity = {"identifier": vm.name, "properties": {"cpu": vm.cpu}}
    await port.upsert_entity("vm", entity, run_id=run.run_id)


@handlers.on(action="delete_vm")
async def delete_vm(delivery: Delivery, run: AsyncRun) -> None:
    """Delete the machine that the action was run on."""
    name = delivery.invocation().entity_identifier
    if name is None:
        await run.fail("The action was run without an entity.")
        return
    log.info("deleting %r", name)


async def work(delivery: Delivery) -> None:
    """Run the handler; Port has its answer, and hears of the end by the report."""
    try:
        await handlers(delivery)
    except Exception:
        log.exception("run %s failed", delivery.run_id)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the connections to Port at the end."""
    async with port:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/port", status_code=202)
@webhook(verifier)
async def receive(delivery: Delivery, tasks: BackgroundTasks) -> dict[str, str | None]:
    """Answer first: Port's agent waits for 30 seconds at most."""
    tasks.add_task(work, delivery)
    return {"run": delivery.run_id}


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}
