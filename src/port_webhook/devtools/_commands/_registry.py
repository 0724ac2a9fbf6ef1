"""The commands by their names, in the order of the help, each with an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from port_webhook.devtools._commands._decrypt import decrypt
from port_webhook.devtools._commands._explain import explain
from port_webhook.devtools._commands._listen import listen
from port_webhook.devtools._commands._send import send
from port_webhook.devtools._commands._sign import sign
from port_webhook.devtools._commands._verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS"]

COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "sign": (
        sign,
        (
            "port-webhook sign body.json > headers\n\n"
            "curl --data-binary @body.json -H @headers http://127.0.0.1:8000/port"
        ),
    ),
    "verify": (
        verify,
        "port-webhook verify body.json --timestamp 1713277889 --signature 'v1,…'",
    ),
    "explain": (
        explain,
        (
            "port-webhook explain --http request.txt\n\n"
            "port-webhook explain body.json -H 'x-port-timestamp: 1713277889' "
            "-H 'x-port-signature: v1,…'"
        ),
    ),
    "send": (
        send,
        (
            "port-webhook send http://127.0.0.1:8000/port --set context.runId=r_1\n\n"
            "port-webhook send http://127.0.0.1:8000/port --check"
        ),
    ),
    "listen": (
        listen,
        (
            "port-webhook listen --forward http://127.0.0.1:5000/port\n\n"
            "port-webhook listen --smee https://smee.io/CHANNEL "
            "--history deliveries.jsonl"
        ),
    ),
    "decrypt": (decrypt, "port-webhook decrypt --body body.json"),
}
