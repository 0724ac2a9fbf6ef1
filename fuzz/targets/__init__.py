"""The targets: each module has `run`, `seeds` and `WORDS`."""

from __future__ import annotations

__all__ = ["INSTRUMENTED"]

# For each target, the modules whose branches atheris counts, and no others: what is
# instrumented takes several times as long.
INSTRUMENTED: dict[str, tuple[str, ...]] = {
    "headers": ("port_webhook._signature",),
    "canonical": ("port_webhook._json",),
    "node": ("port_webhook._json",),
    "kafka": ("port_webhook._json", "port_webhook._kafka_message"),
    "models": ("port_webhook.models", "port_webhook._run_id"),
    "decryption": ("port_webhook.decryption",),
    "aws_lambda": (
        "port_webhook.adapters.aws_lambda",
        "port_webhook.integration._body",
    ),
    "paths": ("port_webhook.integration._paths", "starlette.routing"),
    "curl": ("port_webhook.devtools._captures",),
    "har": ("port_webhook.devtools._captures",),
    "http": ("port_webhook.devtools._captures",),
    "explain": ("port_webhook.devtools",),
}
