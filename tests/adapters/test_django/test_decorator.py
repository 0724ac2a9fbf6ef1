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
    FORM,
    JSON,
    MULTIPART,
    PARTS,
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


def test_the_bare_decorator_reads_the_environment(
    site, views, view, monkeypatch, secret
):
    monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
    site.serve(webhook(view), PORT_WEBHOOK={"clock": site.options["clock"]})
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_a_function_chooses_the_verifier(site, views, view, make_verifier, verifier):
    verifiers = {"a": verifier, "b": make_verifier(secret="another")}
    site.serve(
        webhook(choose=lambda request: verifiers[request.headers["x-org"]])(view)
    )
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


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
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
