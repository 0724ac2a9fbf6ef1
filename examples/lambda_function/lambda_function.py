"""An AWS Lambda function behind API Gateway: ``lambda_function.handler``.

What is built here is built once, in a cold start.
"""

from __future__ import annotations

import logging
import os

import boto3
from botocore.config import Config
from pydantic import BaseModel, Field

from port_webhook import Delivery, Verifier
from port_webhook.adapters.aws_lambda import webhook
from port_webhook.dispatch import Dispatcher
from port_webhook.replay.dynamodb import DynamoDBReplayStore
from port_webhook.reporting import PortClient, Run

logging.getLogger().setLevel(logging.INFO)  # Lambda's own handler writes to CloudWatch
log = logging.getLogger("vms")

# boto3 would wait for a minute, several times.
quick = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})
dynamodb = boto3.client("dynamodb", config=quick)
store = DynamoDBReplayStore(dynamodb, os.environ["REPLAY_TABLE"])
verifier = Verifier.from_env(replay_store=store, replay_scope="vms")
verifier.self_check()  # does the table answer, and may the role use it?
port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = Dispatcher(report=port)


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


handler = webhook(verifier)(handlers)
