"""The same service for an ASGI server: ``uvicorn --workers 2 asgi_hooks:app``."""

from fastapi import FastAPI

from port_webhook import Delivery, Verifier
from port_webhook.adapters.fastapi import webhook

verifier = Verifier.from_env()
verifier.self_check()  # a clock that is not set stops it here
app = FastAPI()


@app.post("/port")
@webhook(verifier)
def create_vm(delivery: Delivery) -> dict[str, str | None]:
    """Receive what Port sends."""
    return {"run": delivery.run_id}


@app.get("/health")
def health() -> str:
    """Answer the load balancer: no signature, no secret, no detail."""
    return "ok"
