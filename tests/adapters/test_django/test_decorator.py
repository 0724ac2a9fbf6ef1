"""The decorator: its forms, what it passes, and what it refuses at import."""

from __future__ import annotations

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory

from port_webhook import ConfigurationError
from port_webhook.adapters.django import webhook

from .project import (
    BODY,
    UNAUTHORIZED,
)


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


def test_only_a_function_of_a_request_can_be_decorated(verifier):
    view = webhook(verifier)(lambda *_: HttpResponse())
    with pytest.raises(ConfigurationError, match="first argument"):
        view(object())


def test_an_answer_to_head_has_no_body(site, view, verifier):
    site.serve(webhook(verifier)(view))
    wsgi = get_wsgi_application()
    environ = RequestFactory().head("/port").environ
    assert b"".join(wsgi(environ, lambda *_: bytes)) == b""


def test_a_view_keeps_its_name_and_its_attributes(verifier):
    @transaction.non_atomic_requests
    def view(request, delivery):
        """Say something."""

    for decorated in (webhook(verifier)(view), webhook(view)):
        assert decorated.__name__ == "view"
        assert decorated.__doc__ == "Say something."
        assert vars(decorated)["_non_atomic_requests"] == {"default"}
