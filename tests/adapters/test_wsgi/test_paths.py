"""Which requests the WSGI middleware verifies, and how a view tells."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import override_settings
from django.urls import re_path
from django.urls.resolvers import RegexPattern, URLResolver
from flask import Flask, request

from port_webhook import ConfigurationError
from port_webhook.adapters.wsgi import PortWebhookMiddleware, delivery_of
from port_webhook.integration import DELIVERY_KEY

if not settings.configured:
    settings.configure()


class App:
    """An application that counts what reaches it."""

    def __init__(self):
        self.environs = []

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        start_response("200 OK", [])
        return [b"done"]


@pytest.fixture
def app():
    return App()


def ask(middleware, path="", mount="", **more):
    """Send an unsigned request, and return its status."""
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": mount}
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": path, "wsgi.input": BytesIO(), **more}
    environ = {key: value for key, value in environ.items() if value is not None}
    statuses = []
    middleware(environ, lambda status, *_: statuses.append(status))
    return statuses[0]


@pytest.mark.parametrize(
    ("place", "is_protected"),
    [
        (("", "/port"), True),
        (("", "/port/a"), True),
        (("", "//port"), True),
        (("", "/PORT"), True),
        (("", "/x/../port"), True),
        (("", "/%70ort"), True),
        (("", "/users/port"), True),
        (("", "/port;a"), True),
        (("", "/port#a"), True),
        (("", "http://x/port"), True),
        (("", "*"), True),
        (("/port", "/a"), True),
        (("/port", ""), True),
        (("/po", "rt"), True),
        (("/api", "/port"), True),
        (("/api", "port"), True),
        (("", "/\xc3\xa9t\xc3\xa9/a"), True),
        (("", "/\u1234port"), True),
        (("", "/\xff"), True),
        (("", "/portal"), False),
        (("", "/other"), False),
        (("/api", ""), False),
        (("/api", "/"), False),
        (("/api/", "/other"), False),
    ],
)
def test_only_requests_to_the_paths_are_verified(app, verifier, place, is_protected):
    mount, path = place
    middleware = PortWebhookMiddleware(app, verifier, paths=["/port", "/été"])
    status = ask(middleware, path, mount)
    assert status == ("401 Unauthorized" if is_protected else "200 OK")
    assert len(app.environs) == (not is_protected)


@pytest.mark.parametrize("name", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize(
    ("target", "is_protected"),
    [
        ("/port", True),
        ("/%70ort?a=b", True),
        ("http://x/open", True),
        ("/open#/port", True),
        ("/open?/port", False),
        ("/%6Fpen", False),
    ],
)
def test_the_target_as_it_came_counts_where_the_server_gives_it(
    app, verifier, name, target, is_protected
):
    middleware = PortWebhookMiddleware(app, verifier, paths=["/port"])
    status = ask(middleware, "/open", **{name: target})
    assert status == ("401 Unauthorized" if is_protected else "200 OK")


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({"path": "/health"}, True),
        ({"path": "/health", "RAW_URI": "/health?a=/port"}, True),
        ({"path": "/health", "mount": "/app"}, True),
        ({"path": "/health", "mount": "/app", "REQUEST_URI": "/app/health"}, True),
        ({"path": "/health", "mount": "/other"}, False),
        ({"path": "/health/"}, False),
        ({"path": "/Health"}, False),
        ({"path": "/health", "RAW_URI": "/%68ealth"}, False),
        ({"path": "/health", "REQUEST_URI": "/health#/port"}, False),
        ({"path": "/health", "REQUEST_URI": "http://x/health"}, False),
        ({"path": "/health\u1234"}, False),
        ({"path": "/port"}, False),
        ({"path": "", "mount": "/health"}, False),
    ],
)
def test_exactly_the_excluded_paths_are_open(app, verifier, changes, is_open):
    excluded = ["/health", "/app/health"]
    middleware = PortWebhookMiddleware(app, verifier, exclude=excluded)
    assert ask(middleware, **changes) == ("200 OK" if is_open else "401 Unauthorized")
    assert len(app.environs) == is_open


@pytest.mark.parametrize("options", [{}, {"paths": ["/"]}, {"exclude": ["/health"]}])
def test_a_server_may_leave_out_the_path(app, verifier, options):
    middleware = PortWebhookMiddleware(app, verifier, **options)
    status = ask(middleware, PATH_INFO=None, SCRIPT_NAME=None)
    assert status == "401 Unauthorized"


@pytest.mark.parametrize("path", ["/ap\u0131/port", "/AP\u0130/port", "/app/api/port"])
def test_a_route_of_django_that_ignores_case_is_protected(app, verifier, path):
    """Its routes are regular expressions."""
    path = path.encode().decode("latin-1")
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "wsgi.input": BytesIO()}
    routes = URLResolver(
        RegexPattern(r"^/"),
        [re_path(r"(?i)^(app/)?api/port$", lambda _: HttpResponse())],
    )
    with override_settings(FORCE_SCRIPT_NAME=None):
        routes.resolve(WSGIRequest(environ).path_info)
    middleware = PortWebhookMiddleware(app, verifier, paths=["/api/port"])
    assert ask(middleware, path) == "401 Unauthorized"


# What a view asks


@pytest.fixture
def flask():
    app = Flask(__name__)

    @app.post("/renamed")
    def renamed():
        return delivery_of(request.environ).payload

    return app


def test_a_view_gets_the_delivery_that_was_verified(flask, verifier, headers_for):
    flask.wsgi_app = PortWebhookMiddleware(flask.wsgi_app, verifier)
    answer = flask.test_client().post(
        "/renamed", data=b"{}", headers=headers_for(b"{}")
    )
    assert answer.data == b"{}"


def test_a_view_that_was_missed_fails_closed(flask, verifier, headers_for):
    flask.wsgi_app = PortWebhookMiddleware(flask.wsgi_app, verifier, paths=["/port"])
    answer = flask.test_client().post(
        "/renamed", data=b"{}", headers=headers_for(b"{}")
    )
    assert answer.status_code == 500


@pytest.mark.parametrize(
    "environ", [{}, {DELIVERY_KEY: None}, {DELIVERY_KEY: "forged"}]
)
def test_nothing_verified_is_an_error(environ):
    with pytest.raises(ConfigurationError, match="was not verified"):
        delivery_of(environ)


@pytest.mark.parametrize("value", [None, "environ", SimpleNamespace(environ={})])
def test_what_is_no_environ_is_an_error_that_says_what_to_pass(value):
    with pytest.raises(ConfigurationError, match=r"request\.environ"):
        delivery_of(value)
