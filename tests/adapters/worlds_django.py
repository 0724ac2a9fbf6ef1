"""The worlds of Django and the REST framework."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.views import View as DjangoView
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from port_webhook.adapters import django as django_adapter
from port_webhook.adapters import wsgi

from .doubles import Stream
from .servers import PATIENCE, Connection, ask_wsgi
from .world import (
    ALL_AT_ONCE,
    METHODS,
    SYNC,
    AsyncWorld,
    World,
    after_request,
    outcome_of,
)


class DjangoWorld(World):
    cannot = {"await": SYNC}
    webhook = staticmethod(django_adapter.webhook)
    request_type = HttpRequest
    roomless = (lambda: None, lambda request: None)
    defaulted = staticmethod(lambda request, delivery=None: None)
    typed = (after_request, ["request", "org"])
    accessors = {
        "body": lambda r: r.body,
        "read": lambda r: r.read(),
        "lines": b"".join,
    }
    forms = {"POST": lambda r: r.POST.dict()}

    def __init__(self):
        super().__init__()
        self._settings = override_settings(
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
            REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
            LOGGING_CONFIG=None,
        )
        self._settings.enable()
        self._urls: Any = None
        self._error: BaseException | None = None
        got_request_exception.connect(self._keep)

    def _keep(self, **_):
        """Keep what Django makes a 500 of."""
        self._error = sys.exc_info()[1]

    def close(self):
        super().close()
        got_request_exception.disconnect(self._keep)
        for each in (self._urls, self._settings):  # the last comes first
            if each is not None:
                each.disable()
        django_adapter._conf.default.verifier = None

    def respond(self, outcome):
        if isinstance(outcome, Stream):
            return StreamingHttpResponse(outcome.chunks, status=outcome.status)
        return HttpResponse("done", status=outcome)

    def function(self, view):
        def port(request, *given):
            return self.respond(view(given[-1], request))

        return port

    def put(self, function):
        if self._urls is not None:
            self._urls.disable()
        self._urls = override_settings(ROOT_URLCONF=(path("port", function),))
        self._urls.enable()
        self.app = WSGIHandler()

    def ask(self, request):
        self._error = None
        answer = self.send(request)
        answer.error = answer.error or self._error
        return answer

    def send(self, request):
        return ask_wsgi(self.app, request)

    def http_error(self, status):
        return {400: BadRequest, 403: PermissionDenied, 404: Http404}[status]()

    def left_on(self, request):
        return request.port_delivery


class AsyncDjangoWorld(DjangoWorld, AsyncWorld):
    cannot = {"early": ALL_AT_ONCE}
    send = AsyncWorld.ask

    def function(self, view):
        async def port(request, *given):
            return self.respond(await outcome_of(view, given[-1], request))

        return port

    def respond(self, outcome):
        if isinstance(outcome, Stream):
            outcome = Stream(outcome.status, _later(outcome.chunks))
        return super().respond(outcome)

    def put(self, function):
        super().put(function)
        self.app = ASGIHandler()

    def cancel(self, request, started, ended):
        async def run():
            # Django cancels the view when the client has gone.
            connection = Connection(request)
            call = self.app(connection.scope, connection.receive, connection.send)
            task = asyncio.create_task(call)
            await asyncio.wait_for(started.wait(), PATIENCE)
            connection.gone.set()
            await asyncio.wait([task])
            await asyncio.wait_for(ended.wait(), PATIENCE)

        self.runner.run(run())


async def _later(chunks):
    for chunk in chunks:
        yield chunk


class MixinWorld(DjangoWorld):
    """A class-based view with the mixin, whose attributes are the arguments."""

    cannot = {
        "await": SYNC,
        "decorator": "its arguments are attributes of a class",
        "not both": "a chooser is the same attribute as a verifier",
        "chooser in its place": "a chooser is the same attribute as a verifier",
    }
    base: Any = DjangoView

    def serve(self, view, *verifier, **options):
        self.put(self.make_class(view, *verifier, **options).as_view())

    def make_class(self, view, verifier=None, *, choose=None, model=None):
        def handle(mixin, request):
            return self.respond(view(mixin.parsed, request))

        members: dict[str, Any] = {name.lower(): handle for name in METHODS}
        members |= {"verifier": verifier, "model": model}
        if choose is not None:
            members["verifier"] = choose
            if not isinstance(choose, type) and hasattr(choose, "__get__"):
                members["verifier"] = staticmethod(choose)
        bases = (django_adapter.PortWebhookMixin, self.base)
        return type("Port", bases, members)

    def stack(self, view, outer, inner):
        self.serve(view, inner)
        self.app = wsgi.PortWebhookMiddleware(self.app, outer)


class RestFrameworkWorld(MixinWorld):
    base = APIView
    accessors = {
        "data": lambda r: r.data,
        "body": lambda r: r.body,
        "stream": lambda r: r.stream.read(),
    }
    forms = {"data": lambda r: r.data.dict(), "POST": lambda r: r.POST.dict()}

    def http_error(self, status):
        error = APIException()
        error.status_code = status
        return error
