"""Requests to a FastAPI application, signed as Port does, and the forms to verify."""

from functools import wraps
from inspect import Parameter, iscoroutinefunction, signature
from typing import Any

import pytest
from fastapi import APIRouter, Depends
from fastapi.testclient import TestClient

from port_webhook.adapters.fastapi import PortWebhook, webhook, webhook_route

from .doubles import BODY, signed

VM = b'{"cpu":2,"disk":{"size":10}}'
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}
JSON_TYPE = {"content-type": "application/json"}


def send(client, body=BODY, *, headers=None, path="/port", method="POST", **extra):
    """Send *body*, signed unless *headers* are given."""
    headers = signed(body) if headers is None else headers
    return client.request(method, path, content=body, headers={**headers, **extra})


def serve(app, **options):
    return TestClient(app, raise_server_exceptions=False, **options)


class Ways:
    """The ways to protect an endpoint on ``/port`` that does not ask for more."""

    @staticmethod
    def decorator(app, verifier=None, **options):
        """Return a decorator for endpoints."""
        route = {each: options.pop(each) for each in [*options] if each != "choose"}

        def decorate(endpoint):
            decorated = webhook(verifier, **options)(_taking_delivery(endpoint))
            app.post("/port", **route)(decorated)
            return endpoint

        return decorate

    @staticmethod
    def dependency(app, verifier=None, *, choose=None, **route):
        hook = Depends(PortWebhook(verifier, choose=choose))
        return app.post("/port", dependencies=[hook], **route)

    @staticmethod
    def route(app, verifier=None, *, choose=None, **route):
        router = APIRouter(route_class=webhook_route(verifier, choose=choose))

        def decorate(endpoint):
            router.post("/port", **route)(endpoint)
            app.include_router(router)
            return endpoint

        return decorate


def _taking_delivery(endpoint):
    """Return an endpoint whose first parameter is the delivery."""
    if iscoroutinefunction(endpoint):

        @wraps(endpoint)
        async def taking(delivery, **values):
            return await endpoint(**values)

    else:

        @wraps(endpoint)
        def taking(delivery, **values):
            return endpoint(**values)

    own = signature(endpoint)
    first = Parameter("delivery", Parameter.POSITIONAL_OR_KEYWORD)
    made: Any = taking
    made.__signature__ = own.replace(parameters=[first, *own.parameters.values()])
    return made


every_way = pytest.mark.parametrize(
    "way", [Ways.decorator, Ways.dependency, Ways.route]
)


def part(body, *, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


async def ask(app, *messages, headers=None, length=None, path="/port", method="POST"):
    """Send *messages* to *app*; return the response's, and how many were taken."""
    incoming, sent = list(messages), []
    pairs = [
        (name.encode(), value.encode()) for name, value in (headers or signed()).items()
    ]
    if length is not None:
        pairs.append((b"content-length", length))

    async def receive():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def keep(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": pairs,
    }
    await app(scope, receive, keep)
    return sent, len(messages) - len(incoming)
