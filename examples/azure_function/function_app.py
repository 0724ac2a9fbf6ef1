"""An Azure Function, in the programming model v2 for Python."""

from __future__ import annotations

import json
import logging
import os

import azure.functions as func
from pydantic import BaseModel, Field
from redis import Redis

from port_webhook import Delivery, DeliveryError, Verifier
from port_webhook.dispatch import Dispatcher
from port_webhook.replay.redis import RedisReplayStore
from port_webhook.reporting import PortClient, Run

log = logging.getLogger("vms")
log.setLevel(logging.INFO)  # the host has a handler on the root logger

redis = Redis.from_url(os.environ["REDIS_URL"], socket_timeout=1)
verifier = Verifier.from_env(replay_store=RedisReplayStore(redis), replay_scope="vms")
verifier.self_check()  # does the store answer?
port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = Dispatcher(report=port)

# Port sends no function key; the signature takes its place.
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


class NewVm(BaseModel):
    """The inputs of the action ``create_vm``."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")  # it becomes a host name
    cpu: int = Field(ge=1, le=64)


@handlers.on(action="create_vm", inputs=NewVm)
def create_vm(vm: NewVm, run: Run) -> dict[str, str]:
    """Create the machine here. An exception ends the run as FAILURE."""
    log.info("creating %s with %d CPUs", vm.name, vm.cpu)
    run.update(status_label="Started", links=[f"https://{vm.name}.example.com"])
    entity = {"identifier": vm.name, "properties": {"cpu": vm.cpu}}
    port.upsert_entity("vm", entity, run_id=run.run_id)
    return {"created": vm.name}


@handlers.on(action="delete_vm")
def delete_vm(delivery: Delivery, run: Run) -> dict[str, str]:
    """Delete the machine that the action was run on."""
    name = delivery.invocation().entity_identifier
    if name is None:
        run.fail("The action was run without an entity.")
        return {}
    log.info("deleting %r", name)
    return {"deleted": name}


@app.route(route="port", methods=["POST"])
def receive(req: func.HttpRequest) -> func.HttpResponse:
    """Verify the request and run what it asks for."""
    try:
        with verifier.receive(req.get_body(), req.headers) as delivery:
            result = handlers(delivery)
    except DeliveryError as error:
        return func.HttpResponse(
            error.http_body,
            status_code=error.http_status,
            headers=dict(error.http_headers),
        )
    return func.HttpResponse(json.dumps(result), mimetype="application/json")


@app.route(route="health", methods=["GET"])
def health(req: func.HttpRequest) -> func.HttpResponse:  # by contract
    """Say that the process answers."""
    return func.HttpResponse('{"status": "ok"}', mimetype="application/json")
