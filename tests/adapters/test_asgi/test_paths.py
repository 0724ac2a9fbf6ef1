"""Which requests the ASGI middleware verifies, and how a view tells."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.test import override_settings
from django.urls import re_path
from django.urls.resolvers import RegexPattern, URLResolver
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from port_webhook import ConfigurationError, Verifier, sign
from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of
from port_webhook.integration import DELIVERY_KEY

SECRET = "the-client-secret"
VERIFIER = Verifier(SECRET)
BODY = b"{}"

if not settings.configured:
    settings.configure()


class App:
    """An application that keeps the scopes that it saw."""

    def __init__(self):
        self.scopes: list[Any] = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def app():
    return App()


async def ask(middleware, **options):
    """Send an unsigned request; return its status and the scope that was sent."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], **options}
    sent: list[Any] = []

    async def receive():
        raise AssertionError

    async def send(message):
        sent.append(message)

    await middleware(scope, receive, send)
    return sent[0]["status"], scope


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/port"},
        {"path": "/port/deep/er"},
        {"path": "/PORT"},
        {"path": "//port"},
        {"path": "/open/../port"},
        {"path": "/open/../port", "raw_path": b"/open/%2e%2e/port"},
        {"path": "/%70ort", "raw_path": b"/%2570ort"},
        {"path": "/elsewhere", "raw_path": b"/port"},
        {"path": "/elsewhere", "raw_path": b"/p%6Frt?x=1"},
        {"path": "/open/port"},
        {"path": "/api/port", "root_path": "/api"},
        {"path": "/api/port", "root_path": "/api", "raw_path": b"/api/port"},
        {"path": "/apiport", "root_path": "/api"},
        {"path": "/x/api/port", "root_path": "/api"},
        {"path": "/ort", "root_path": "/p"},
        {"path": "/open", "root_path": "/port"},
        {"path": "http://x/port", "raw_path": b"http://x/port"},
        {"path": "http://x/open", "raw_path": b"http://x/open"},
        {"path": "/open", "raw_path": b"http://x/open"},
        {"path": "*"},
        {"path": ""},
        {"path": "/\ud800"},
        {"path": "/po\udcffrt"},
        {"path": "/open\ufffd", "raw_path": b"/open%ff"},
    ],
)
async def test_every_reading_of_a_path_is_protected(app, options):
    middleware = PortWebhookMiddleware(app, VERIFIER, paths=["/port", "/p/ort"])
    status, _ = await ask(middleware, **options)
    assert status == 401
    assert app.scopes == []


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/portal"},
        {"path": "/"},
        {"path": "/open", "raw_path": None},
        {"path": "/open", "raw_path": b"", "root_path": ""},
        {"path": "/open", "raw_path": b"/%6Fpen", "root_path": "/app"},
    ],
)
async def test_other_paths_are_open(app, options):
    middleware = PortWebhookMiddleware(app, VERIFIER, paths=["/port"])
    status, scope = await ask(middleware, **options)
    assert status == 200
    assert app.scopes[0] is scope


@pytest.mark.parametrize(
    ("options", "is_open"),
    [
        ({"path": "/health"}, True),
        ({"path": "/health", "raw_path": b"/health"}, True),
        ({"path": "/app/health", "root_path": "/app"}, True),
        ({"path": "/health", "root_path": "/app", "raw_path": b"/health"}, True),
        ({"path": "/health/"}, False),
        ({"path": "/Health"}, False),
        ({"path": "/health", "raw_path": b"/%68ealth"}, False),
        ({"path": "/health", "raw_path": b"/health#/port"}, False),
        ({"path": "/health", "raw_path": b"http://x/health"}, False),
        ({"path": "http://x/health"}, False),
        ({"path": "/other/health", "root_path": "/other"}, False),
        ({"path": "/health", "root_path": "/other"}, False),
        ({"path": "/port"}, False),
        ({"path": "/"}, False),
        ({"path": ""}, False),
    ],
)
async def test_exactly_the_excluded_paths_are_open(app, options, is_open):
    excluded = ["/health", "/app/health"]
    middleware = PortWebhookMiddleware(app, VERIFIER, exclude=excluded)
    status, _ = await ask(middleware, **options)
    assert status == (200 if is_open else 401)
    assert len(app.scopes) == is_open


@pytest.mark.parametrize("path", ["/ap\u0131/port", "/AP\u0130/port", "/app/api/port"])
async def test_a_route_of_django_that_ignores_case_is_protected(app, path):
    """Its routes are regular expressions, and it takes off a root path of its own."""
    routes = URLResolver(RegexPattern(r"^/"), [re_path(r"(?i)^api/port$", App())])
    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    with override_settings(FORCE_SCRIPT_NAME="/app"):
        routes.resolve(ASGIRequest(scope, BytesIO()).path_info)
    middleware = PortWebhookMiddleware(app, VERIFIER, paths=["/api/port"])
    assert (await ask(middleware, **scope))[0] == 401


@pytest.mark.parametrize("path", ["/port%0a", "/port%0A", "/port/%0d%0a"])
def test_a_line_break_does_not_hide_a_path_from_the_middleware(path):
    """Starlette's routes end with a dollar sign, which a line break may follow."""

    async def port(request):
        pytest.fail("called")

    routes = Starlette(routes=[Route("/port", port, methods=["POST"])])
    app = PortWebhookMiddleware(routes, VERIFIER, paths=["/port"])
    assert TestClient(app).post(path, content=BODY).status_code == 401


# What a view asks


async def endpoint(request):
    return PlainTextResponse(delivery_of(request.scope).payload)


def test_a_view_gets_the_delivery_that_was_verified():
    app = Starlette(
        routes=[Mount("/a", routes=[Route("/b", endpoint, methods=["POST"])])]
    )
    client = TestClient(PortWebhookMiddleware(app, VERIFIER))
    answer = client.post("/a/b", content=BODY, headers=sign(BODY, SECRET))
    assert answer.content == BODY


def test_a_view_that_was_missed_fails_closed():
    app = Starlette(routes=[Route("/renamed", endpoint, methods=["POST"])])
    client = TestClient(
        PortWebhookMiddleware(app, VERIFIER, paths=["/port"]),
        raise_server_exceptions=False,
    )
    answer = client.post("/renamed", content=BODY, headers=sign(BODY, SECRET))
    assert answer.status_code == 500


def test_the_delivery_is_found_under_its_key_and_in_the_state():
    delivery = VERIFIER.verify(BODY, sign(BODY, SECRET))
    other = VERIFIER.verify(BODY, sign(BODY, SECRET))
    state = {"port_delivery": delivery}
    assert delivery_of({DELIVERY_KEY: delivery}) is delivery
    assert delivery_of({"state": state}) is delivery
    assert delivery_of({DELIVERY_KEY: other, "state": state}) is other
    assert delivery_of(Request({"type": "http", "state": state})) is delivery


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"state": None},
        {"state": {}},
        {"state": {"port_delivery": None}},
        {"state": {"port_delivery": {"payload": b"{}"}}},
        {DELIVERY_KEY: "forged"},
        {"type": "websocket", "path": "/port"},
    ],
)
def test_nothing_verified_is_an_error(scope):
    with pytest.raises(ConfigurationError, match="was not verified"):
        delivery_of(scope)


@pytest.mark.parametrize("value", [None, "scope", SimpleNamespace(scope={}), object])
def test_what_is_no_scope_is_an_error_that_says_what_to_pass(value):
    with pytest.raises(ConfigurationError, match=r"request\.scope"):
        delivery_of(value)
