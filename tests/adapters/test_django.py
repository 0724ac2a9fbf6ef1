"""The Django adapter, through Django's own handlers for WSGI and ASGI."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed")

import django
from asgiref.sync import markcoroutinefunction
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.base import BaseHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from port_webhook import ConfigurationError, sign
from port_webhook.adapters import django as adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware as ASGIMiddleware
from port_webhook.adapters.django import (
    PortWebhookMixin,
    default_verifier,
    webhook,
)
from port_webhook.adapters.django import conf as adapter_conf
from port_webhook.adapters.wsgi import PortWebhookMiddleware as WSGIMiddleware
from port_webhook.replay.memory import MemoryReplayStore

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


@pytest.fixture
def site(secret, clock, monkeypatch):
    for name in ("PORT_CLIENT_SECRET", "PORT_CLIENT_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
    site = Site(secret, clock)
    yield site
    site.close()
    adapter_conf._default.verifier = None


class Store(MemoryReplayStore):
    """A store that remembers what was done, and fails if it is told to."""

    def __init__(self):
        super().__init__()
        self.steps = []
        self.fails = ""

    def _do(self, step, *args):
        self.steps.append(step)
        if step == self.fails:
            raise OSError
        return getattr(super(), step)(*args)

    def claim(self, *args):
        return self._do("claim", *args)

    def commit(self, *args):
        return self._do("commit", *args)

    def release(self, *args):
        return self._do("release", *args)


class AsyncStore:
    """The same, asynchronous."""

    def __init__(self):
        self._store = Store()
        self.steps = self._store.steps

    async def claim(self, *args):
        return self._store.claim(*args)

    async def commit(self, *args):
        return self._store.commit(*args)

    async def release(self, *args):
        return self._store.release(*args)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def guarded(make_verifier, store):
    """A verifier with a replay store."""
    return make_verifier(replay_store=store)


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


@pytest.fixture
def views():
    return Views()


@pytest.fixture(params=["sync", "async"])
def view(request, views):
    return views.of(request.param)


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


# The decorator


def test_a_view_gets_the_request_and_the_delivery(site, views, view, verifier):
    site.serve(webhook(verifier)(view))
    response = site.send(where="/port/7")
    assert (response.status_code, response.content) == (200, b"done")
    ((request, delivery, kwargs),) = views.seen
    assert delivery.payload == BODY
    assert request.port_delivery is delivery
    assert request.body == BODY
    assert kwargs == {"pk": 7}


async def test_a_view_works_under_asgi(site, views, view, verifier):
    site.serve(webhook(verifier)(view))
    response = await site.asend()
    assert (response.status_code, response.content) == (200, b"done")
    assert views.seen[0][1].payload == BODY
    assert views.seen[0][0].body == BODY
    response = await site.asend(signs=b"another")
    assert (response.status_code, response.content) == (401, UNAUTHORIZED)


def test_the_bare_decorator_reads_the_environment(
    site, views, view, monkeypatch, secret
):
    monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
    site.serve(webhook(view), PORT_WEBHOOK={"clock": site.options["clock"]})
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_a_function_chooses_the_verifier(site, views, view, make_verifier, verifier):
    verifiers = {"a": verifier, "b": make_verifier(secret="another")}
    site.serve(webhook(lambda request: verifiers[request.headers["x-org"]])(view))
    assert site.send(HTTP_X_ORG="a").status_code == 200
    assert site.send(HTTP_X_ORG="b").status_code == 401


def test_a_view_gets_the_model(site, views, view, verifier):
    from port_webhook import CustomPayload

    site.serve(webhook(verifier, model=CustomPayload)(view))
    assert site.send().status_code == 200
    assert isinstance(views.seen[0][1], CustomPayload)
    response = site.send(b"{", signs=b"{")
    assert response.status_code == 422
    assert response.content == b'{"error": "unprocessable_content"}'
    assert len(views.seen) == 1


def test_a_payload_error_of_the_view_is_an_answer(site, views, view, verifier):
    views.act = lambda request: request.port_delivery.json()
    site.serve(webhook(verifier)(view))
    assert site.send(b"{", signs=b"{").status_code == 422


def test_only_a_function_of_a_request_can_be_decorated(verifier):
    view = webhook(verifier)(lambda *_: HttpResponse())
    with pytest.raises(ConfigurationError, match="first argument"):
        view(object())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ""),
        (BODY, JSON),
        (b"{", JSON),
        (PARTS, MULTIPART),
        (b"--q\r\nx", MULTIPART),
        (b"x", "multipart/form-data"),
        (b"a=b", FORM),
        (b"\xff", "?"),
    ],
)
def test_an_unsigned_request_never_reaches_the_view(
    site, views, view, verifier, *, method, body, kind
):
    site.serve(webhook(verifier)(view))
    for signs in (None, b"another"):
        response = site.send(body, signs=signs, kind=kind, method=method)
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
        assert response["WWW-Authenticate"] == "PortWebhook"
        assert response["Content-Type"] == JSON
    assert views.seen == []


def test_an_answer_to_head_has_no_body(site, view, verifier):
    site.serve(webhook(verifier)(view))
    wsgi = get_wsgi_application()
    environ = RequestFactory().head("/port").environ
    assert b"".join(wsgi(environ, lambda *_: bytes)) == b""


def test_an_exception_is_the_views_own(site, views, view, verifier):
    def fail(request):
        raise ValueError

    views.act = fail
    site.serve(webhook(verifier)(view))
    assert site.send().status_code == 500


def test_a_view_keeps_its_name_and_its_attributes(verifier):
    @transaction.non_atomic_requests
    def view(request, delivery):
        """Say something."""

    for decorated in (webhook(verifier)(view), webhook(view)):
        assert decorated.__name__ == "view"
        assert decorated.__doc__ == "Say something."
        assert vars(decorated)["_non_atomic_requests"] == {"default"}


# What Django requires of other views


@pytest.mark.parametrize(
    "decorators",
    [
        ["webhook"],
        [require_POST, "webhook"],
        ["webhook", require_POST],
        [never_cache, "webhook", require_POST],
        ["webhook", csrf_protect],
        [csrf_protect, "webhook"],
    ],
)
@pytest.mark.parametrize("in_class", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_no_stacking_order_needs_a_csrf_token(
    site, views, view, verifier, *, decorators, in_class, bare
):
    if django.VERSION < (5, 0) and inspect.iscoroutinefunction(view):
        pytest.skip("Django's decorators take no asynchronous views before 5.0")
    site.set(PORT_WEBHOOK=site.options)
    ours = webhook if bare else webhook(verifier)
    chain = [ours if each == "webhook" else each for each in decorators]
    if in_class:
        made = make_class(view)
        served = method_decorator(chain, name="dispatch")(made).as_view()
    else:
        served = view
        for decorator in reversed(chain):
            served = decorator(served)
    site.serve(served)
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401
    assert len(views.seen) == 1


AUTH_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]


@pytest.mark.skipif(
    django.VERSION < (5, 1), reason="Django has no LoginRequiredMiddleware before 5.1"
)
@pytest.mark.parametrize(
    "form", ["function", "bare", "method_decorator", "mixin", "none"]
)
def test_no_login_is_required(site, views, verifier, form):
    site.set(INSTALLED_APPS=AUTH_APPS, PORT_WEBHOOK=site.options)
    from django.contrib.auth.middleware import LoginRequiredMiddleware
    from django.contrib.auth.models import AnonymousUser

    class Anonymous:
        def __init__(self, get_response):
            self._get_response = get_response
            self.process_view = LoginRequiredMiddleware(get_response).process_view

        def __call__(self, request):
            request.user = AnonymousUser()
            return self._get_response(request)

    served = {
        "function": webhook(verifier)(views.of("sync")),
        "bare": webhook(views.of("sync")),
        "method_decorator": method_decorator(webhook(verifier), name="dispatch")(
            make_class(views.of("sync"))
        ).as_view(),
        "mixin": make_mixed(views.of("sync")).as_view(verifier=verifier),
        "none": lambda request: HttpResponse(),
    }[form]
    site.serve(served, middleware=Anonymous)
    expected = (302, 302) if form == "none" else (200, 401)
    assert (site.send().status_code, site.send(signs=None).status_code) == expected


# Class-based views


@pytest.mark.parametrize("bare", [False, True])
async def test_dispatch_can_be_decorated(site, views, view, guarded, *, store, bare):
    site.set(PORT_WEBHOOK={**site.options, "replay_store": store})
    decorator = method_decorator(webhook if bare else webhook(guarded), name="dispatch")
    site.serve(decorator(make_class(view)).as_view())
    assert (await site.asend(where="/port/7")).status_code == 200
    assert views.seen[0][1].payload == BODY
    assert views.seen[0][2] == {"pk": 7}
    assert store.steps == ["claim", "commit"]
    assert (await site.asend(b"", signs=b"", method="GET")).status_code == 405
    assert (await site.asend(method="GET", signs=None)).status_code == 401
    assert store.steps == ["claim", "commit", "claim", "release"]


async def test_an_asynchronous_class_may_have_an_asynchronous_store(
    site, views, make_verifier
):
    store = AsyncStore()
    decorator = method_decorator(
        webhook(make_verifier(replay_store=store)), name="dispatch"
    )
    site.serve(decorator(make_class(views.of("async"))).as_view())
    assert (await site.asend()).status_code == 200
    assert store.steps == ["claim", "commit"]
    site.serve(decorator(make_class(views.of("sync"))).as_view())
    assert (await site.asend()).status_code == 500
    assert len(views.seen) == 1


def test_an_asynchronous_dispatch_can_be_decorated(site, views, verifier):
    dispatch = make_method(views.of("async"))
    made = make_class(
        views.of("async"), dispatch=method_decorator(webhook(verifier))(dispatch)
    )
    site.serve(made.as_view())
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


@pytest.mark.parametrize("bare", [False, True])
async def test_what_as_view_makes_can_be_decorated(
    site, views, view, verifier, *, bare
):
    site.set(PORT_WEBHOOK=site.options)
    made = make_class(view, dispatch=make_method(view)).as_view()
    site.serve(webhook(made) if bare else webhook(verifier)(made))
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401
    assert len(views.seen) == 1


@pytest.mark.parametrize("form", ["attribute", "method", "static", "argument", "none"])
async def test_a_mixin_finds_its_verifier(site, views, view, verifier, form):
    site.set(PORT_WEBHOOK=site.options)
    forms: dict[str, Any] = {
        "attribute": verifier,
        "method": lambda self, request: self and request and verifier,
        "static": staticmethod(lambda request: request and verifier),
        "none": None,
    }
    if form in forms:
        site.serve(make_mixed(view, verifier=forms[form]).as_view())
    else:
        site.serve(make_mixed(view).as_view(verifier=verifier))
    assert (await site.asend(where="/port/7")).status_code == 200
    assert views.seen[0][1].payload == BODY
    assert views.seen[0][2] == {"pk": 7}
    for method in ("POST", "GET", "PUT", "OPTIONS"):
        response = await site.asend(signs=None, method=method)
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
    assert len(views.seen) == 1


async def test_the_verifier_of_an_asynchronous_view_may_be_awaited(
    site, views, verifier
):
    async def choose(self, request):
        return verifier

    site.serve(make_mixed(views.of("async"), verifier=choose).as_view())
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401


def test_a_mixin_parses_the_payload(site, views, view, verifier):
    from port_webhook import CustomPayload

    site.serve(make_mixed(view).as_view(verifier=verifier, model=CustomPayload))
    assert site.send().status_code == 200
    assert isinstance(views.seen[0][1], CustomPayload)
    assert site.send(b"{", signs=b"{").status_code == 422


def test_a_mixin_needs_no_csrf_token_though_dispatch_is_overridden(
    site, view, verifier
):
    class Overridden(Mixed):
        def dispatch(self, request, *args, **kwargs):
            return super().dispatch(request, *args, **kwargs)

    site.serve(make_mixed(view, Overridden).as_view(verifier=verifier))
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_a_mixin_behind_the_view_is_refused():
    with pytest.raises(ConfigurationError, match="before the view"):
        type("Made", (View, PortWebhookMixin), {})


def test_a_mixin_may_be_extended_without_a_view():
    made: Any = type("Made", (PortWebhookMixin,), {})
    assert made.verifier is None


def test_a_mixin_refuses_an_asynchronous_store_in_a_synchronous_view(
    views, make_verifier
):
    verifier = make_verifier(replay_store=AsyncStore())
    make_mixed(views.of("async")).as_view(verifier=verifier)
    mixed = make_mixed(views.of("sync"))
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        mixed.as_view(verifier=verifier)
    mixed.verifier = verifier
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        mixed.as_view()


# Bodies


def chunked(body, **changes):
    """Return what gunicorn says of a chunked request."""
    return {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        **changes,
    }


def test_a_chunked_body_is_read_under_wsgi(site, views, view, verifier):
    site.serve(webhook(verifier)(view))
    assert site.send(**chunked(BODY)).status_code == 200
    assert views.seen[0][0].body == BODY
    assert site.send(**chunked(b"another")).status_code == 401


@pytest.mark.parametrize(
    ("body", "kind"), [(b"a=b", FORM), (PARTS, MULTIPART)], ids=["form", "multipart"]
)
@pytest.mark.parametrize("early", [False, True])
def test_a_chunked_form_is_parsed_afterwards(
    site, views, verifier, *, body, kind, early
):
    def read_early(get_response):
        def middleware(request):
            # Django takes the body for empty.
            assert dict(request.POST) == {}
            return get_response(request)

        return middleware

    views.act = lambda request: HttpResponse(request.POST["a"])
    site.serve(
        webhook(verifier)(views.of("sync")), middleware=read_early if early else None
    )
    response = site.send(signs=body, kind=kind, **chunked(body))
    assert (response.status_code, response.content) == (200, b"b")


def test_a_chunked_body_that_somebody_has_read_well_is_taken(site, views, verifier):
    def read_early(get_response):
        def middleware(request):
            request._body = request.META["wsgi.input"].read()
            return get_response(request)

        return middleware

    site.serve(webhook(verifier)(views.of("sync")), middleware=read_early)
    assert site.send(**chunked(BODY)).status_code == 200
    site.set(DATA_UPLOAD_MAX_MEMORY_SIZE=10)
    assert site.send(**chunked(BODY)).status_code == 413


def test_a_chunked_body_is_refused_where_the_server_does_not_mark_its_end(
    site, view, verifier, caplog
):
    site.serve(webhook(verifier)(view))
    response = site.send(**chunked(BODY, **{"wsgi.input_terminated": False}))
    assert (response.status_code, response.content) == (
        400,
        b'{"error": "bad_request"}',
    )
    assert "does not pass on" in caplog.text


@pytest.mark.parametrize("terminated", [False, True])
def test_an_empty_body_can_be_signed(site, view, verifier, terminated):
    site.serve(webhook(verifier)(view))
    changes = {"wsgi.input": io.BytesIO(), "wsgi.input_terminated": terminated}
    response = site.send(b"", signs=b"", CONTENT_LENGTH="", **changes)
    assert response.status_code == 200


async def test_a_chunked_body_is_read_under_asgi(site, views, view, verifier):
    views.act = lambda request: HttpResponse(request.POST["a"])
    site.serve(webhook(verifier)(view))
    kind = (b"content-type", MULTIPART.encode())
    parts = (PARTS[:10], PARTS[10:])
    answer = await site.asend_parts(*parts, signs=PARTS, headers=[kind])
    assert answer == (200, b"b")


async def test_a_body_over_the_limit_is_refused_under_asgi(
    site, views, view, verifier, caplog
):
    site.serve(webhook(verifier)(view))
    body = b"x" * (LIMIT + 1)
    assert (await site.asend_parts(body, signs=body))[0] == 413
    length = (b"content-length", str(len(body)).encode())
    assert (await site.asend_parts(body, signs=body, headers=[length]))[0] == 413
    body = b"x" * LIMIT
    assert (await site.asend_parts(body, signs=body))[0] == 200
    assert len(views.seen) == 1


async def test_a_body_that_differs_from_its_length_is_refused_under_asgi(
    site, view, verifier
):
    site.serve(webhook(verifier)(view))
    length = (b"content-length", b"100")
    assert (await site.asend_parts(BODY, headers=[length]))[0] == 400


class Stream(io.BytesIO):
    """An input that knows how much was read of it, or that fails."""

    def __init__(self, body, error=None):
        super().__init__(body)
        self._error = error
        self.count = 0

    def read(self, size=-1):
        if self._error is not None:
            raise self._error
        part = super().read(size)
        self.count += len(part)
        return part


@pytest.mark.parametrize("declared", [True, False])
def test_no_more_than_the_limit_is_read(site, views, view, verifier, declared):
    site.serve(webhook(verifier)(view))
    body = b"x" * (LIMIT + 100)
    stream = Stream(body)
    changes = {"wsgi.input": stream} if declared else chunked(b"")
    changes["wsgi.input"] = stream
    response = site.send(body, signs=body, **changes)
    assert response.status_code == 413
    assert response.content == b'{"error": "content_too_large"}'
    assert stream.count == (0 if declared else LIMIT + 1)
    assert views.seen == []


def test_headers_are_checked_before_the_body_is_read(site, view, verifier):
    site.serve(webhook(verifier)(view))
    stream = Stream(BODY)
    assert site.send(signs=None, **{"wsgi.input": stream}).status_code == 401
    assert stream.count == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_djangos_own_limit_is_an_answer_that_says_what_to_change(
    site, view, verifier, framing, caplog
):
    site.serve(webhook(verifier)(view), DATA_UPLOAD_MAX_MEMORY_SIZE=10)
    changes = chunked(BODY) if framing == "chunked" else {}
    assert site.send(**changes).status_code == 413
    assert "limit of 10 bytes" in caplog.text
    assert "DATA_UPLOAD_MAX_MEMORY_SIZE sets it" in caplog.text
    site.set(DATA_UPLOAD_MAX_MEMORY_SIZE=None)
    changes = chunked(BODY) if framing == "chunked" else {}
    assert site.send(**changes).status_code == 200


@pytest.mark.parametrize("how", ["POST", "read"])
async def test_a_body_that_was_read_before_is_an_answer_that_says_what_to_change(
    site, views, view, verifier, *, how, caplog
):
    def read_early(get_response):
        def middleware(request):
            assert request.POST if how == "POST" else request.read(1)
            return get_response(request)

        return middleware

    site.serve(webhook(verifier)(view), middleware=read_early)
    response = await site.asend(PARTS, signs=PARTS, kind=MULTIPART)
    assert (response.status_code, response.content) == (
        400,
        b'{"error": "bad_request"}',
    )
    assert "was used before the body could be verified" in caplog.text
    assert views.seen == []


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("bad chunk")])
def test_a_body_that_the_server_cannot_read_is_a_bad_request(
    site, view, verifier, error, caplog
):
    site.serve(webhook(verifier)(view))
    response = site.send(**{"wsgi.input": Stream(BODY, error)})
    assert response.status_code == 400
    assert "could not read the body" in caplog.text
    assert str(error) not in caplog.text


@pytest.mark.parametrize("length", ["100", "+27", "²"])
def test_a_length_that_lies_is_a_bad_request(site, view, verifier, length):
    site.serve(webhook(verifier)(view))
    stream = io.BytesIO(BODY)
    response = site.send(CONTENT_LENGTH=length, **{"wsgi.input": stream})
    assert response.status_code == 400


def test_a_request_without_a_stream_is_taken_as_it_is(verifier, site):
    """A request that a test has made by hand."""
    request = HttpRequest()
    request.method = "POST"
    request._body = BODY
    for name, value in site.headers(BODY).items():
        request.META["HTTP_" + name.upper().replace("-", "_")] = value
    view = webhook(verifier)(lambda request, delivery: HttpResponse(delivery.payload))
    assert view(request).content == BODY


# Replay protection


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (HttpResponse, "commit"),
        (lambda: HttpResponse(status=302), "commit"),
        (lambda: HttpResponse(status=404), "release"),
        (lambda: HttpResponse(status=503), "release"),
        (lambda: StreamingHttpResponse([b"a"]), "commit"),
        (lambda: StreamingHttpResponse([b"a"], status=500), "release"),
        (lambda: None, "release"),
    ],
)
def test_the_status_decides_whether_the_request_may_run_again(
    site, views, view, guarded, *, store, make, last
):
    views.act = lambda request: make()
    site.serve(webhook(guarded)(view))
    site.send()
    assert store.steps == ["claim", last]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404, 404),
        (PermissionDenied, 403),
        (SuspiciousOperation, 400),
        (BadRequest, 400),
        (ValueError, 500),
    ],
)
def test_an_exception_counts_by_the_status_of_its_answer(
    site, views, view, guarded, *, store, error, status
):
    def fail(request):
        raise error

    views.act = fail
    site.serve(webhook(guarded)(view))
    assert site.send().status_code == status
    assert store.steps == ["claim", "release"]


def test_a_duplicate_is_answered_without_the_view(site, views, view, guarded):
    site.serve(webhook(guarded)(view))
    assert site.send().content == b"done"
    response = site.send()
    assert (response.status_code, response.content) == (200, b'{"error": "duplicate"}')
    assert len(views.seen) == 1


def test_a_commit_that_fails_replaces_the_answer(site, view, guarded, store):
    store.fails = "commit"
    site.serve(webhook(guarded)(view))
    response = site.send()
    assert response.status_code == 503
    assert response["Retry-After"] == "5"


def test_a_synchronous_view_refuses_an_asynchronous_store(views, make_verifier):
    decorator = webhook(make_verifier(replay_store=AsyncStore()))
    assert decorator(views.of("async"))
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        decorator(views.of("sync"))


async def test_an_asynchronous_view_awaits_an_asynchronous_store(
    site, views, make_verifier
):
    store = AsyncStore()
    site.serve(webhook(make_verifier(replay_store=store))(views.of("async")))
    assert (await site.asend()).status_code == 200
    assert store.steps == ["claim", "commit"]


def test_a_view_that_hides_that_it_is_asynchronous_is_refused(
    site, views, guarded, store
):
    def view(*args):
        return views.asynchronous(*args)

    site.serve(webhook(guarded)(view))
    with pytest.raises(ConfigurationError, match="markcoroutinefunction"):
        Client().generic("POST", "/port", BODY, JSON, headers=site.headers(BODY))
    assert store.steps == ["claim", "release"]
    site.serve(webhook(guarded)(markcoroutinefunction(view)))
    assert site.send().status_code == 200


def test_an_asynchronous_view_may_answer_without_being_awaited(site, views, verifier):
    view = markcoroutinefunction(lambda request, delivery: HttpResponse("done"))
    site.serve(webhook(verifier)(view))
    assert site.send().content == b"done"


@pytest.mark.parametrize("form", ["above", "below", "mixin"])
def test_a_view_can_be_kept_out_of_the_transaction_of_the_request(
    view, verifier, form, monkeypatch
):
    exempt = transaction.non_atomic_requests
    served = {
        "above": lambda: exempt(webhook(verifier)(view)),
        "below": lambda: webhook(verifier)(exempt(view)),
        "mixin": lambda: method_decorator(exempt, name="dispatch")(
            make_mixed(view, verifier=verifier)
        ).as_view(),
    }[form]()
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert BaseHandler().make_view_atomic(served) is served


# Adapters within adapters


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_decorator_in_a_decorator_verifies_and_claims_nothing_again(
    site, views, guarded, store, kind
):
    inner = webhook(guarded)(views.of("sync"))

    async def asynchronous(request, delivery):
        return inner(request)

    outer = asynchronous if kind == "async" else lambda request, _: inner(request)
    site.serve(webhook(guarded)(outer))
    assert site.send().status_code == 200
    assert store.steps == ["claim", "commit"]


def test_a_decorated_view_behind_the_wsgi_middleware_claims_nothing_again(
    site, views, view, guarded, store
):
    site.serve(webhook(guarded)(view))
    app = WSGIMiddleware(get_wsgi_application(), guarded, paths=["/port"])
    headers = site.headers(BODY)
    factory = RequestFactory()
    environ = factory.post("/port", BODY, content_type=JSON, headers=headers).environ
    statuses = []

    def start(status, headers, exc_info=None) -> Any:
        statuses.append(status)

    result = app(environ, start)
    assert b"".join(result) == b"done"
    assert statuses == ["200 OK"]
    assert store.steps == ["claim", "commit"]
    assert views.seen[0][1] is environ["port_webhook._delivery"]
    assert views.seen[0][0].body == BODY


async def test_a_decorated_view_behind_the_asgi_middleware_claims_nothing_again(
    site, views, view, guarded, store
):
    views.act = lambda request: HttpResponse(request.body)
    site.serve(webhook(guarded)(view))
    django_app: Any = get_asgi_application()
    app = ASGIMiddleware(django_app, guarded, paths=["/port"])
    assert await site.asend_parts(BODY, app=app) == (200, BODY)
    assert store.steps == ["claim", "commit"]


# Settings


def test_the_verifier_of_the_settings_is_built_once(site):
    site.set(PORT_WEBHOOK=site.options)
    assert default_verifier() is default_verifier()


def test_a_changed_setting_gives_another_verifier(site):
    site.set(PORT_WEBHOOK=site.options)
    before = default_verifier()
    site.set(DEBUG=True)
    assert default_verifier() is before
    site.set(PORT_WEBHOOK={**site.options, "agent": True})
    assert "agent=True" in repr(default_verifier())


def test_the_options_are_those_of_a_verifier_in_either_case(site):
    site.set(PORT_WEBHOOK={"SECRET": "a", "previous_secrets": ["b"], "Max_Age": 60})
    assert "secrets=2 max_age=60 " in repr(default_verifier())


def test_a_secret_may_be_a_setting_of_its_own(site):
    site.set(PORT_CLIENT_SECRET="a", PORT_WEBHOOK={"previous_secrets": ["b"]})
    assert "secrets=2" in repr(default_verifier())
    site.set(PORT_CLIENT_SECRET="")
    with pytest.raises(ConfigurationError, match="empty"):
        default_verifier()


def test_without_settings_the_environment_is_read(site, monkeypatch):
    with pytest.raises(ConfigurationError, match="PORT_CLIENT_SECRET is not set"):
        default_verifier()
    monkeypatch.setenv("PORT_CLIENT_SECRET", "a")
    monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "b")
    assert "secrets=2" in repr(default_verifier())


def a_function(*_):
    """Be a hook that a setting names."""


def a_factory():
    return Store()


def a_bad_factory():
    message = "as the store says"
    raise ConfigurationError(message)


def test_what_cannot_be_imported_in_the_settings_is_named_by_its_path(site):
    hook = f"{__name__}.a_function"
    site.set(
        PORT_WEBHOOK={
            **site.options,
            "on_verified": hook,
            "on_rejected": hook,
            "replay_store": f"{__name__}.a_factory",
        }
    )
    assert default_verifier().has_replay_store
    assert default_verifier()._on_rejected is a_function
    site.set(
        PORT_WEBHOOK={
            **site.options,
            "replay_store": "port_webhook.replay.memory.MemoryReplayStore",
        }
    )
    assert default_verifier().has_replay_store


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("a-made-up-secret", "must be a dictionary"),
        (None, "must be a dictionary"),
        ({"secret": ""}, "secret is empty"),
        ({"secret": None}, "secret"),
        ({"secret": "a", "maxage": 1}, "has no option maxage"),
        ({"secret": "a", "SECRET": "b"}, "gives an option twice"),
        ({"secret": "a", "max_age": -1}, "max_age must be"),
        ({"previous_secrets": ["a"]}, "but no secret"),
        ({"secret": "a", "clock": "no.such.module"}, "ModuleNotFoundError"),
        ({"secret": "a", "clock": "nowhere"}, "ImportError"),
        ({"secret": "a", "replay_store": "builtins.compile"}, "TypeError"),
        ({"secret": "a", "replay_store": "builtins.bool"}, "with claim, commit"),
        (
            {"secret": "a", "replay_store": f"{__name__}.a_bad_factory"},
            "as the store says",
        ),
    ],
)
def test_wrong_settings_are_refused_and_reported_by_the_system_check(
    site, options, message
):
    site.set(PORT_WEBHOOK=options)
    with pytest.raises(ConfigurationError, match=message) as caught:
        default_verifier()
    assert caught.value.__context__ is None
    frames = []
    trace = caught.value.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    assert not any("options" in frame.f_locals for frame in frames[1:])
    (error,) = run_checks(tags=["security"])
    assert error.id == "port_webhook.E001"
    assert message in error.msg


def test_the_check_reports_nothing_where_all_is_well(site):
    site.set(PORT_WEBHOOK=site.options)
    assert run_checks(tags=["security"]) == []


def test_the_check_reports_a_missing_secret_where_one_is_needed(
    site, views, monkeypatch
):
    monkeypatch.setattr(adapter_conf._default, "is_used", False)
    assert run_checks(tags=["security"]) == []
    webhook(views.of("sync"))
    (error,) = run_checks(tags=["security"])
    assert error.msg == "PORT_CLIENT_SECRET is not set"
    monkeypatch.setattr(adapter_conf._default, "is_used", False)
    site.set(INSTALLED_APPS=["port_webhook.adapters.django"])
    (error,) = run_checks(tags=["security"])
    assert error.hint
    assert "PORT_WEBHOOK" in error.hint


async def test_an_asynchronous_function_may_choose_for_an_asynchronous_view(
    site, views, verifier
):
    async def choose(request):
        return verifier

    site.serve(webhook(choose)(views.of("async")))
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401
    assert len(views.seen) == 1


def test_the_check_asks_the_settings_even_if_a_verifier_was_built(
    site, views, monkeypatch
):
    webhook(views.of("sync"))
    monkeypatch.setenv("PORT_CLIENT_SECRET", "a secret")
    assert default_verifier() is default_verifier()
    assert run_checks(tags=["security"]) == []
    monkeypatch.setenv("PORT_CLIENT_SECRET", "")
    (error,) = run_checks(tags=["security"])
    assert error.msg == "PORT_CLIENT_SECRET is empty"


def test_a_mixin_refuses_what_is_no_model_when_it_is_set_up(verifier):
    made: Any = type("Made", (PortWebhookMixin, View), {"verifier": verifier})
    with pytest.raises(ConfigurationError, match="int is not a model"):
        made.as_view(model=int)


# The REST framework


@pytest.fixture
def rest(site) -> Any:
    """The modules of the REST framework, which need these settings to be imported."""
    pytest.importorskip("rest_framework", reason="no REST framework is installed")
    from rest_framework import decorators, exceptions, permissions, response, viewsets
    from rest_framework import views as rest_views

    class Rest:
        APIView = rest_views.APIView
        ViewSet = viewsets.ViewSet
        Response = response.Response
        APIException = exceptions.APIException
        IsAuthenticated = permissions.IsAuthenticated
        api_view = staticmethod(decorators.api_view)
        authentication_classes = staticmethod(decorators.authentication_classes)
        Authentication = adapter.PortWebhookAuthentication

    return Rest


def make_rest_view(rest, verifier, views, *, others=()) -> Any:
    authentication: Any = type("Authentication", (rest.Authentication,), {})
    # Later, so that a class may be made with what would be refused at once.
    authentication.verifier = verifier

    def post(request):
        views.seen.append((request, request.auth, request.data))
        return rest.Response({"user": str(request.user)})

    return make_class(
        post,
        base=rest.APIView,
        authentication_classes=(*others, authentication),
        permission_classes=(rest.IsAuthenticated,),
    )


def test_the_rest_framework_authenticates(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    response = site.send()
    assert (response.status_code, response.json()) == (200, {"user": "port"})
    ((request, auth, data),) = views.seen
    assert auth.payload == BODY
    assert data == json.loads(BODY)
    assert request.port_delivery is auth


def test_the_rest_framework_parses_a_chunked_body(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    assert site.send(**chunked(BODY)).status_code == 200
    assert views.seen[0][2] == json.loads(BODY)


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_the_rest_framework_refuses_as_every_adapter_does(
    site, rest, views, verifier, *, others, method
):
    class Other:
        def authenticate(self, request):
            return None

        def authenticate_header(self, request):
            return None

    classes = (Other,) if others else ()
    site.serve(make_rest_view(rest, verifier, views, others=classes).as_view())
    for signs in (None, b"another"):
        response = site.send(signs=signs, method=method)
        assert response.status_code == 401
        assert response.json() == {"error": "unauthorized"}
        assert response["WWW-Authenticate"] == "PortWebhook"
    assert views.seen == []


def test_the_rest_framework_answers_what_concerns_the_body(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    response = site.send(CONTENT_LENGTH="100")
    assert (response.status_code, response.json()) == (400, {"error": "bad_request"})
    assert "WWW-Authenticate" not in response
    body = b"x" * (LIMIT + 1)
    assert site.send(body, signs=body).status_code == 413


def test_the_challenge_of_the_rest_framework_is_ports(rest):
    assert rest.Authentication().authenticate_header(None) == "PortWebhook"


def test_the_rest_framework_reads_the_settings(site, rest, views):
    site.set(PORT_WEBHOOK=site.options)
    site.serve(make_rest_view(rest, None, views).as_view())
    assert site.send().status_code == 200


def test_the_rest_framework_asks_for_a_verifier(site, rest, views, verifier):
    def choose(self, request):
        return request.headers["x-org"] and verifier

    site.serve(make_rest_view(rest, choose, views).as_view())
    assert site.send(HTTP_X_ORG="a").status_code == 200


def test_an_authentication_class_refuses_a_replay_store(site, rest, views, guarded):
    with pytest.raises(ConfigurationError, match="PortWebhookMixin"):
        type("Authentication", (rest.Authentication,), {"verifier": guarded})
    site.serve(make_rest_view(rest, guarded, views).as_view())
    with pytest.raises(ConfigurationError, match="PortWebhookMixin"):
        Client().generic("POST", "/port", BODY, JSON, headers=site.headers(BODY))
    assert views.seen == []


def test_an_authentication_class_may_have_its_verifier_when_it_is_defined(
    site, rest, views, verifier
):
    made: Any = type("Authentication", (rest.Authentication,), {"verifier": verifier})
    assert made.verifier is verifier


def test_an_authentication_class_reuses_what_an_outer_adapter_verified(
    site, rest, views, verifier
):
    inner = make_rest_view(rest, verifier, views).as_view()
    site.serve(webhook(verifier)(lambda request, delivery: inner(request)))
    assert site.send().status_code == 200
    assert views.seen[0][1] is views.seen[0][0].port_delivery


@pytest.mark.parametrize(("status", "last"), [(None, "commit"), (429, "release")])
def test_the_mixin_protects_a_view_of_the_rest_framework(
    site, rest, views, guarded, *, store, status, last
):
    def post(request, delivery):
        views.seen.append((request.data, delivery))
        if status is not None:
            error = rest.APIException()
            error.status_code = status
            raise error
        return rest.Response({})

    base = type("Base", (PortWebhookMixin, rest.APIView), {})
    made = make_mixed(post, base, verifier=guarded, authentication_classes=())
    site.serve(made.as_view())
    assert site.send(signs=None).status_code == 401
    assert site.send().status_code == (status or 200)
    ((data, delivery),) = views.seen
    assert data == delivery.json()
    assert store.steps == ["claim", last]


def test_a_response_that_cannot_be_rendered_releases(site, rest, views, guarded, store):
    def post(request, delivery):
        return rest.Response({"no JSON": object()})

    base = type("Base", (PortWebhookMixin, rest.APIView), {})
    made = make_mixed(post, base, verifier=guarded, authentication_classes=())
    site.serve(made.as_view())
    assert site.send().status_code == 500
    assert store.steps == ["claim", "release"]


def test_an_authentication_class_refuses_what_is_no_verifier(rest):
    with pytest.raises(ConfigurationError, match="takes a Verifier"):
        type("Authentication", (rest.Authentication,), {"verifier": "secret"})


def test_the_mixin_protects_a_view_set(site, rest, views, verifier):
    def create(self, request):
        return views.sync(request, self.delivery)

    attributes = {"create": create, "authentication_classes": ()}
    made: Any = type("Made", (PortWebhookMixin, rest.ViewSet), attributes)
    site.serve(made.as_view({"post": "create"}, verifier=verifier))
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401
    assert len(views.seen) == 1


@pytest.mark.parametrize("outside", [False, True])
def test_function_views_of_the_rest_framework_can_be_decorated(
    site, rest, views, guarded, *, store, outside
):
    def view(request, delivery):
        assert request.port_delivery is delivery
        views.seen.append(request.data)
        return rest.Response({})

    served = view if outside else webhook(guarded)(view)
    served = rest.api_view(["POST"])(rest.authentication_classes([])(served))
    site.serve(webhook(guarded)(served) if outside else served)
    assert site.send(signs=None).status_code == 401
    assert site.send().status_code == 200
    assert views.seen == [json.loads(BODY)]
    assert store.steps == ["claim", "commit"]


def test_without_the_rest_framework_its_class_says_what_is_missing(monkeypatch):
    name = "port_webhook.adapters.django._authentication"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr(adapter, "authentication", raising=False)
    monkeypatch.setitem(sys.modules, "rest_framework.authentication", None)
    with pytest.raises(ConfigurationError, match="djangorestframework"):
        adapter.PortWebhookAuthentication  # noqa: B018  # loaded when it is asked for
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError):
        adapter.PortWebhookAuthentication  # noqa: B018  # the same


def test_the_adapter_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        adapter.nothing  # noqa: B018  # the access is the test


# Start-up


PROJECT = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["port_webhook.adapters.django"], ROOT_URLCONF="__main__"
)
urlpatterns = []
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
assert "rest_framework" not in sys.modules
"""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "(port_webhook.E001) PORT_CLIENT_SECRET is not set"),
        ("", "(port_webhook.E001) PORT_CLIENT_SECRET is empty"),
        ("good", ""),
    ],
)
def test_manage_py_check_reports_the_secret(value, message):
    env = {k: v for k, v in os.environ.items() if k != "PORT_CLIENT_SECRET"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    if value is not None:
        env["PORT_CLIENT_SECRET"] = value
    done = subprocess.run(
        [sys.executable, "-c", PROJECT],
        capture_output=True,
        check=False,
        text=True,
        env=env,
    )
    assert (done.returncode == 0) == (not message), done.stderr
    assert message in done.stderr


def test_the_page_of_the_documentation_runs_as_a_project(tmp_path):
    """Its settings are those of a process of its own, so its blocks are no doctests."""
    pytest.importorskip("rest_framework", reason="no REST framework is installed")
    page = Path(__file__).parents[2] / "docs" / "django.md"
    fence = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    blocks = fence.findall(page.read_text("utf-8"))
    assert len(blocks) > 5
    script = tmp_path / "hooks.py"
    script.write_text("\n".join(blocks), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "check"],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
