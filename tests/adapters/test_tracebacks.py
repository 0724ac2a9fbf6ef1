"""Exceptions of a view, or of a function that chooses a verifier, are the user's own.

Their tracebacks pass through frames of ours, and error trackers print the locals of
each frame. None may show the payload, the signature or the secret.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from django.conf import settings
from django.test import RequestFactory
from fastapi import APIRouter, Depends, FastAPI
from flask import Flask

import port_webhook
from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    Delivery,
    Verifier,
    sign,
)
from port_webhook.adapters import aiohttp, aws_lambda, fastapi, flask
from port_webhook.adapters import django as django_adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware as AsgiMiddleware
from port_webhook.adapters.wsgi import PortWebhookMiddleware as WsgiMiddleware
from port_webhook.testing import action_invocation, lambda_event, sign_request

OURS = ("port_webhook.integration", "port_webhook.adapters")
PACKAGE = str(Path(port_webhook.__file__).parent)
SECRET = "SECRET-marker-of-the-test"
NOW = 1_700_000_000
BODY, HEADERS = sign_request(
    action_invocation(action="PAYLOAD-marker"), SECRET, timestamp=NOW
)
NEEDLES = (SECRET, "PAYLOAD-marker", HEADERS["x-port-signature"])


class ViewError(Exception):
    """Raised by a view."""


def make(**options):
    """Make a verifier whose clock stands at the time of signing."""
    return Verifier(SECRET, **{"clock": lambda: NOW, **options})


def raise_it(*_args, **_kwargs):
    raise ViewError


async def raise_it_later(*_args, **_kwargs):
    raise ViewError


def environ():
    found: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": "/port"}
    setup_testing_defaults(found)
    for name, value in HEADERS.items():
        found["HTTP_" + name.upper().replace("-", "_")] = value
    found |= {"CONTENT_LENGTH": str(len(BODY)), "wsgi.input": BytesIO(BODY)}
    return found


async def receive_all():
    return {"type": "http.request", "body": BODY, "more_body": False}


async def ignore(_message):
    pass


def send_asgi(app, receive=receive_all):
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/port",
        "raw_path": b"/port",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in HEADERS.items()],
    }
    asyncio.run(app(scope, receive, ignore))


def send_flask(*verifier, **options):
    app = Flask(__name__)
    app.testing = True
    app.post("/port")(flask.webhook(*verifier, **options)(lambda _: raise_it()))
    app.test_client().post("/port", data=BODY, headers=HEADERS)


def send_django(view):
    if not settings.configured:
        settings.configure()
    request = RequestFactory().post("/port", BODY, "application/json", headers=HEADERS)
    return view(request)


def send_django_sync(*verifier, **options):
    send_django(django_adapter.webhook(*verifier, **options)(raise_it))


def send_django_async(*verifier, **options):
    view: Any = django_adapter.webhook(*verifier, **options)(raise_it_later)
    asyncio.run(send_django(view))


def send_fastapi(*verifier, **options):
    app = FastAPI()

    @app.post("/port")
    @fastapi.webhook(*verifier, **options)
    async def port(delivery):
        raise_it()

    send_asgi(app)


def send_fastapi_dependency(*verifier, **options):
    app = FastAPI()
    dependency = Depends(fastapi.PortWebhook(*verifier, **options))

    @app.post("/port", dependencies=[dependency])
    async def port():
        raise_it()

    send_asgi(app)


def make_routes(*verifier, **options):
    app = FastAPI()
    route: Any = fastapi.webhook_route(*verifier, **options)
    router = APIRouter(route_class=route)

    @router.post("/port")
    async def port():
        raise_it()

    app.include_router(router)
    return app


def send_fastapi_route(*verifier, model=None, **options):
    send_asgi(make_routes(*verifier, **options))


def send_asgi_middleware(*verifier, model=None, **options):
    send_asgi(AsgiMiddleware(raise_it_later, *verifier, **options))


def send_wsgi_middleware(*verifier, model=None, **options):
    WsgiMiddleware(raise_it, *verifier, **options)(environ(), raise_it)


def send_aiohttp(*verifier, **options):
    async def send():
        loop = asyncio.get_running_loop()
        stream = StreamReader(BaseProtocol(loop), limit=2**16, loop=loop)
        stream.feed_data(BODY)
        stream.feed_eof()
        request = make_mocked_request("POST", "/port", HEADERS, payload=stream)
        handler: Any = aiohttp.webhook(*verifier, **options)(raise_it_later)
        await handler(request)

    asyncio.run(send())


def send_lambda(*verifier, **options):
    handler: Any = aws_lambda.webhook(*verifier, **options)(raise_it)
    handler(lambda_event(BODY, HEADERS), None)


def send_lambda_async(*verifier, **options):
    handler: Any = aws_lambda.webhook(*verifier, **options)(raise_it_later)
    handler(lambda_event(BODY, HEADERS), None)


every_adapter = pytest.mark.parametrize(
    "send",
    [
        send_flask,
        send_django_sync,
        send_django_async,
        send_fastapi,
        send_fastapi_dependency,
        send_fastapi_route,
        send_asgi_middleware,
        send_wsgi_middleware,
        send_aiohttp,
        send_lambda,
        send_lambda_async,
    ],
)


def assert_hides(error, more=()):
    """Assert that no frame of ours shows what it worked on; return all of them.

    An error of ours begins at the caller, so that it has none.
    """
    needles = [*NEEDLES, *more]
    shown = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            local = trace.tb_frame.f_locals
            assert not any(isinstance(value, Delivery) for value in local.values())
            # What an object of ours holds counts, too; a framework's request does not.
            held = [
                vars(value)
                for value in local.values()
                if type(value).__module__.startswith(OURS)
                and hasattr(value, "__dict__")
            ]
            shown.append(repr([local, held]))
        trace = trace.tb_next
    assert not [text for text in shown if any(each in text for each in needles)]
    return shown


@every_adapter
@pytest.mark.parametrize("options", [{}, {"model": ActionInvocation}])
def test_what_a_view_raises_shows_nothing_of_the_delivery(send, options):
    with pytest.raises(ViewError) as caught:
        send(make(), **options)
    # What FastAPI throws into a dependency comes out without the dependency's frames.
    assert assert_hides(caught.value) or send is send_fastapi_dependency


@every_adapter
def test_what_a_choosing_function_raises_shows_nothing_of_the_request(send):
    with pytest.raises(ViewError) as caught:
        send(choose=lambda request: raise_it())
    assert_hides(caught.value)


@every_adapter
def test_that_no_verifier_was_chosen_shows_nothing_of_the_request(send):
    with pytest.raises(ConfigurationError) as caught:
        send(choose=lambda request: None)
    assert_hides(caught.value)


@every_adapter
def test_a_clock_that_fails_shows_nothing_of_the_request(send):
    with pytest.raises(ConfigurationError) as caught:
        send(make(clock=lambda: float("nan")))
    assert_hides(caught.value)


@every_adapter
def test_a_hook_that_ends_the_process_shows_nothing_of_the_request(send):
    def interrupt(_delivery):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        send(make(on_verified=interrupt))
    assert assert_hides(caught.value)


def test_a_bare_decorator_shows_nothing_of_the_event(monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    # The bare form reads the real clock, which may be any time after this.
    _, headers = sign_request(BODY, SECRET)

    @aws_lambda.webhook
    def handler(delivery, context):
        raise_it()

    with pytest.raises(ViewError) as caught:
        handler(lambda_event(BODY, headers), None)
    assert assert_hides(caught.value, [headers["x-port-signature"]])


@pytest.mark.parametrize(
    "make_app", [make_routes, lambda verifier: AsgiMiddleware(raise_it_later, verifier)]
)
def test_a_connection_that_fails_shows_nothing_of_what_arrived(make_app):
    messages = [{"type": "http.request", "body": BODY[:40], "more_body": True}]

    async def receive():
        return messages.pop() if messages else raise_it()

    with pytest.raises(ViewError) as caught:
        send_asgi(make_app(make()), receive)
    assert assert_hides(caught.value)


@every_adapter
def test_a_secret_in_the_place_of_a_verifier_shows_nowhere(send):
    with pytest.raises(ConfigurationError, match="must be a Verifier") as caught:
        send(SECRET)
    assert_hides(caught.value)


def test_the_markers_are_in_what_is_sent():
    assert b"PAYLOAD-marker" in BODY[:40]
    assert sign(BODY, SECRET, timestamp=NOW).items() <= HEADERS.items()
