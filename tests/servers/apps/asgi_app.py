"""The ASGI middleware, around an application without a framework."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of

from .common import VERIFIER, count_call, describe, report

if TYPE_CHECKING:
    from port_webhook.integration._asgi import Receive, Scope, Send

KIND = "asgi"
REQUIRES = ()
PARSES_FORMS = False


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
    elif scope["path"] == "/calls":
        await answer(scope, send, 200, report())
    elif scope["path"] == "/port":
        count_call()
        message = await receive()
        delivery = delivery_of(scope)
        described = describe(delivery, body=message["body"], form=None)
        await answer(scope, send, 200, described)
    elif scope["path"] == "/boom":
        count_call()
        raise ValueError
    else:
        await answer(scope, send, 404, None)


async def live(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def answer(scope: Scope, send: Send, status: int, value: Any) -> None:
    body = json.dumps(value).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    shown = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": shown})


app = PortWebhookMiddleware(serve, VERIFIER, paths=["/port", "/boom"])
