"""FastAPI: `PortWebhook` is a dependency that gives an endpoint the `Delivery`.

::

    @app.post("/port")
    def create_vm(delivery: Annotated[Delivery, Depends(PortWebhook(verifier))]): ...

FastAPI reads a body that an endpoint declares before it calls any dependency. An
endpoint that declares one, or a form, belongs on a router whose `webhook_route`
verifies before FastAPI parses. The delivery is also ``request.state.port_delivery``.
"""

from __future__ import annotations

from ._dependency import PortWebhook, webhook_route

__all__ = ["PortWebhook", "webhook_route"]
