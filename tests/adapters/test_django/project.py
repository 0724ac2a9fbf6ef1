"""A project with one view, its clients, and what the tests of Django share."""

from __future__ import annotations

import inspect
import io
from typing import Any

import django
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from django.views import View

from port_webhook import sign
from port_webhook.adapters.django import (
    PortWebhookMixin,
)

if not settings.configured:
    # As the tests of the replay stores do; whichever comes first.
    settings.configure(INSTALLED_APPS=["port_webhook.replay.django"], USE_TZ=True)
    django.setup()
# Error pages need one. An override could not be undone: Django refuses to read none.
settings.SECRET_KEY = "not-a-secret"

BODY = b'{"context":{"runId":"r_1"}}'
LIMIT = 1_048_576
UNAUTHORIZED = b'{"error": "unauthorized"}'
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=q"
PARTS = b"--q\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--q--\r\n"


def chosen_middleware(get_response):
    """Stand in for the middleware that a test chooses: the setting takes paths only."""
    return Site.middleware(get_response)


class Site:
    """A project with one view, and its clients."""

    middleware = staticmethod(lambda get_response: get_response)

    def __init__(self, secret, clock):
        self._secret = secret
        self._now = int(clock())
        self._overrides = []
        self.options = {"secret": secret, "clock": clock}
        self.set(
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
            ROOT_URLCONF=(),
            DATA_UPLOAD_MAX_MEMORY_SIZE=2_621_440,
            REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
            LOGGING_CONFIG=None,
        )

    def set(self, **changes):
        override = override_settings(**changes)
        override.enable()
        self._overrides.append(override)

    def serve(self, view, *, middleware=None, **changes):
        if middleware is not None:
            Site.middleware = staticmethod(middleware)
            self.set(MIDDLEWARE=[f"{__name__}.chosen_middleware"])
        self.set(ROOT_URLCONF=(path("port", view), path("port/<int:pk>", view)))
        self.set(**changes)

    def close(self):
        for override in reversed(self._overrides):
            override.disable()

    def headers(self, body):
        return sign(body, self._secret, timestamp=self._now)

    def _arguments(self, body, signs, content_type, where, **extra):
        headers = {} if signs is None else self.headers(signs)
        return {
            "path": where,
            "data": body,
            "content_type": content_type,
            "headers": headers,
            **extra,
        }

    def send(
        self, body=BODY, *, signs=BODY, kind=JSON, method="POST", where="/port", **extra
    ):
        """Send one request to the WSGI application."""
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        return client.generic(
            method, **self._arguments(body, signs, kind, where, **extra)
        )

    async def asend(
        self, body=BODY, *, signs=BODY, kind=JSON, method="POST", where="/port"
    ):
        """Send one request to the ASGI application."""
        client = AsyncClient(enforce_csrf_checks=True, raise_request_exception=False)
        return await client.generic(method, **self._arguments(body, signs, kind, where))

    async def asend_parts(self, *parts, signs=BODY, headers=(), app=None):
        """Send parts of a body as an ASGI server does."""
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/port",
            "headers": [
                *headers,
                *((k.encode(), v.encode()) for k, v in self.headers(signs).items()),
            ],
        }
        messages = [
            {"type": "http.request", "body": part, "more_body": True} for part in parts
        ]
        server = ApplicationCommunicator(app or get_asgi_application(), scope)
        for message in [*messages, {"type": "http.request"}]:
            await server.send_input(message)
        start = await server.receive_output()
        body = await server.receive_output()
        await server.send_input({"type": "http.disconnect"})
        await server.wait()
        return start["status"], body["body"]


class Views:
    """Views of both kinds, and what they have seen."""

    def __init__(self):
        self.seen = []
        self.act = lambda request: HttpResponse("done")

    def sync(self, request, delivery, **kwargs):
        self.seen.append((request, delivery, kwargs))
        return self.act(request)

    async def asynchronous(self, request, delivery, **kwargs):
        return self.sync(request, delivery, **kwargs)

    def of(self, kind) -> Any:
        """Return a function, which can carry attributes."""

        async def asynchronous(request, delivery, **kwargs):
            return await self.asynchronous(request, delivery, **kwargs)

        def sync(request, delivery, **kwargs):
            return self.sync(request, delivery, **kwargs)

        return asynchronous if kind == "async" else sync


def make_method(view):
    """Return *view* as a method, for ``self`` in front."""
    if inspect.iscoroutinefunction(view):

        async def asynchronous(self, *args, **kwargs):
            return await view(*args, **kwargs)

        return asynchronous
    return lambda self, *args, **kwargs: view(*args, **kwargs)


def make_class(view, name="post", base=View, **attributes) -> Any:
    """Return a class-based view with one method, called as *view* is."""
    attributes[name] = make_method(view)
    return type("Made", (base,), attributes)


class Mixed(PortWebhookMixin, View):
    """What the tests of the mixin start with."""


def make_mixed(view, base=Mixed, **attributes) -> Any:
    """Return a class with the mixin, whose post gives *view* what was parsed."""

    def handle(self, request, **kwargs):
        assert request.port_delivery is self.delivery
        return view(request, self.parsed, **kwargs)

    async def ahandle(self, request, **kwargs):
        return await handle(self, request, **kwargs)

    is_async = inspect.iscoroutinefunction(view)
    return type(
        "Made", (base,), {"post": ahandle if is_async else handle, **attributes}
    )


def chunked(body, **changes):
    """Return what gunicorn says of a chunked request."""
    return {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        **changes,
    }
