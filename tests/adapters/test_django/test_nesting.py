"""Adapters within adapters: one verification and one claim."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import RequestFactory

from port_webhook.adapters.asgi import PortWebhookMiddleware as ASGIMiddleware
from port_webhook.adapters.django import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware as WSGIMiddleware

from .project import (
    BODY,
    JSON,
)


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
    assert views.seen[0][1] is environ["port_webhook.delivery"]
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
