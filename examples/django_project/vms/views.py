"""What Port calls, and the functions that run its actions."""

from __future__ import annotations

import logging

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from pydantic import BaseModel, Field

from port_webhook import TriggerData
from port_webhook.adapters.django import webhook
from port_webhook.dispatch import Dispatcher
from port_webhook.reporting import PortClient, Run
from vms.models import Vm

log = logging.getLogger("vms")
port = PortClient.from_env(logger=log)  # what is logged is in the run's log, too
handlers = Dispatcher(report=port)
port_webhook = webhook(handlers)  # with the verifier that the settings describe


class NewVm(BaseModel):
    """The inputs of the action ``create_vm``."""

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")
    cpu: int = Field(ge=1, le=64)


@handlers.on(action="create_vm", model=TriggerData[NewVm])
def create_vm(data: TriggerData[NewVm], run: Run) -> HttpResponse:
    """Create the machine here. An exception ends the run as FAILURE."""
    vm = data.inputs
    if vm is None:  # as in an automation
        run.fail("The action has no inputs.")
        return JsonResponse({"error": "no inputs"})
    log.info("creating %s with %d CPUs", vm.name, vm.cpu)
    with transaction.atomic():
        Vm.objects.create(name=vm.name, cpu=vm.cpu, owner=data.user_email or "")
    run.update(status_label="Started", links=[f"https://{vm.name}.example.com"])
    entity = {"identifier": vm.name, "properties": {"cpu": vm.cpu}}
    port.upsert_entity("vm", entity, run_id=run.run_id)
    return JsonResponse({"created": vm.name})


@handlers.on(action="delete_vm", model=TriggerData)
def delete_vm(data: TriggerData, run: Run) -> HttpResponse:
    """Delete a machine for its owner: the signed payload says who asks."""
    vm = Vm.objects.filter(name=data.entity_identifier).first()
    if vm is None or vm.owner != data.user_email:
        run.fail("There is no such machine of yours.")
        return JsonResponse({"error": "not found"})
    log.info("deleting %s", vm.name)
    vm.delete()
    return JsonResponse({"deleted": vm.name})


def health(_: HttpRequest) -> HttpResponse:
    """Say that the process and its database answer."""
    Vm.objects.exists()
    return JsonResponse({"status": "ok"})
