"""A Flask service that runs two actions of the blueprint ``vm``.

In development: ``flask --app flask_app run``.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from flask import Flask
from pydantic import BaseModel, Field
from redis import Redis

from port_webhook import Delivery, Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.dispatch import Dispatcher
from port_webhook.replay.redis import RedisReplayStore
from port_webhook.reporting import PortClient, Run

if TYPE_CHECKING:
    from port_webhook.replay import ReplayStore

log = logging.getLogger("vms")
log.setLevel(logging.INFO)


class NewVm(BaseModel):
    """The inputs of the action ``create_vm``."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")  # it becomes a host name
    cpu: int = Field(ge=1, le=64)


def make_handlers(port: PortClient) -> Dispatcher:
    """Choose a function by the action; each of them runs inside a report."""
    handlers = Dispatcher(report=port)

    @handlers.on(action="create_vm", inputs=NewVm)
    def create_vm(vm: NewVm, run: Run) -> dict[str, str]:
        log.info("creating %s with %d CPUs", vm.name, vm.cpu)
        # Create the machine here. An exception ends the run as FAILURE.
        run.update(status_label="Started", links=[f"https://{vm.name}.example.com"])
        entity = {"identifier": vm.name, "properties": {"cpu": vm.cpu}}
        port.upsert_entity("vm", entity, run_id=run.run_id)
        return {"created": vm.name}

    @handlers.on(action="delete_vm")
    def delete_vm(delivery: Delivery, run: Run) -> dict[str, str]:
        name = delivery.invocation().entity_identifier
        if name is None:
            run.fail("The action was run without an entity.")
            return {}
        log.info("deleting %r", name)
        return {"deleted": name}

    return handlers


def create_app(store: ReplayStore | None = None) -> Flask:
    """Build the application from the environment; *store* is for tests."""
    logging.basicConfig(level=logging.INFO)
    if store is None:  # shared by all workers
        redis = Redis.from_url(os.environ["REDIS_URL"], socket_timeout=1)
        store = RedisReplayStore(redis)
    verifier = Verifier.from_env(replay_store=store, replay_scope="vms")
    verifier.self_check()  # does the store answer?
    port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too

    app = Flask(__name__)
    app.post("/port")(webhook(verifier)(make_handlers(port)))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app
