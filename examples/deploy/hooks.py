"""A service with a health check: ``gunicorn --workers 2 hooks:app``."""

from flask import Flask

from port_webhook import Delivery, Verifier
from port_webhook.adapters.flask import webhook

verifier = Verifier.from_env()
verifier.self_check()  # a clock that is not set stops it here
app = Flask(__name__)


@app.post("/port")
@webhook(verifier)
def create_vm(delivery: Delivery) -> dict[str, str | None]:
    """Receive what Port sends."""
    return {"run": delivery.run_id}


@app.get("/health")
def health() -> str:
    """Answer the load balancer: no signature, no secret, no detail."""
    return "ok"
