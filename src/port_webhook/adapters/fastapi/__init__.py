"""FastAPI: ``@webhook`` gives an endpoint the verified `Delivery`.

::

    @app.post("/port")
    @webhook(verifier)
    def create_vm(delivery: Delivery, vms: Annotated[VmService, Depends(vms)]): ...

`PortWebhook` is the same as a dependency. FastAPI reads a body that an endpoint
declares before it calls any dependency, so an endpoint that declares one, or a form,
belongs on a router whose `webhook_route` verifies before FastAPI parses. The delivery
is also ``request.state.port_delivery``.
"""

from __future__ import annotations

from ._decorator import webhook
from ._dependency import PortWebhook
from ._route import webhook_route

__all__ = ["PortWebhook", "webhook", "webhook_route"]
