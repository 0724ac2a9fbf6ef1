"""What the view reads is what was signed, whatever the unsigned headers say."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import RequestFactory

from port_webhook.adapters.django import webhook

from .project import BODY, FORM, JSON, MULTIPART, PARTS, chunked, make_mixed

# What Port's agent sends, and what it signs: the same without white space.
SENT = b'{"context": {"runId": "r_1"}, "a": [1, 2]}'
SIGNED = b'{"context":{"runId":"r_1"},"a":[1,2]}'


@pytest.fixture
def agent(make_verifier):
    return make_verifier(agent=True)


@pytest.mark.parametrize("kind", ["function", "mixin"])
def test_every_accessor_gives_what_the_agent_signed(site, views, view, agent, kind):
    def read(request):
        assert request.body == SIGNED
        assert request.read() == SIGNED
        assert request.META["CONTENT_LENGTH"] == request.headers["content-length"]
        return HttpResponse(request.headers["content-length"])

    views.act = read
    site.serve(
        webhook(agent)(view)
        if kind == "function"
        else make_mixed(view).as_view(verifier=agent)
    )
    for response in (
        site.send(SENT, signs=SIGNED),
        async_to_sync(site.asend)(SENT, signs=SIGNED),
        site.send(SENT, signs=SIGNED, **chunked(SENT)),
    ):
        assert (response.status_code, response.content) == (200, b"%d" % len(SIGNED))


@pytest.mark.parametrize("early", [None, "body", "POST", "headers"])
def test_a_form_is_parsed_from_what_the_agent_signed(site, views, agent, early):
    def read_early(get_response):
        def middleware(request):
            if early is not None:
                assert getattr(request, early)
            return get_response(request)

        return middleware

    seen = []

    def read(request):
        seen.append((dict(request.POST), dict(request.FILES)))
        return HttpResponse(request.headers["content-length"])

    views.act = read
    site.serve(webhook(agent)(views.of("sync")), middleware=read_early)
    response = site.send(SENT, signs=SIGNED, kind=FORM)
    assert response.content == b"%d" % len(SIGNED)
    assert seen == [({SIGNED.decode(): [""]}, {})]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_files_are_parsed_from_the_payload(site, views, verifier, kind):
    body = (
        b'--q\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nb\r\n'
        b"--q--\r\n"
    )
    views.act = lambda request: HttpResponse(request.FILES["f"].read())
    site.serve(webhook(verifier)(views.of(kind)))
    for response in (
        site.send(body, signs=body, kind=MULTIPART),
        async_to_sync(site.asend)(body, signs=body, kind=MULTIPART),
    ):
        assert response.content == b"b"


def test_a_stream_that_was_read_after_the_body_starts_again(site, views, verifier):
    def read_early(get_response):
        def middleware(request):
            assert request.body == request.read()
            return get_response(request)

        return middleware

    views.act = lambda request: HttpResponse(request.read())
    site.serve(webhook(verifier)(views.of("sync")), middleware=read_early)
    assert site.send().content == BODY


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("form", ["function", "mixin"])
def test_a_method_that_port_does_not_use_is_refused_before_the_claim(
    site, views, view, guarded, *, store, method, form
):
    site.serve(
        webhook(guarded)(view)
        if form == "function"
        else make_mixed(view).as_view(verifier=guarded)
    )
    for signs in (BODY, None):
        response = site.send(signs=signs, method=method)
        assert response.status_code == 405
        assert "POST" in response["Allow"]
        body = b"" if method == "HEAD" else b'{"error": "method_not_allowed"}'
        assert response.content == body
    assert (views.seen, store.steps) == ([], [])
    assert site.send().status_code == 200


def test_a_refusal_of_head_has_no_body_without_a_server(site, verifier):
    """Neither Django's handlers nor every server leaves it out."""
    request = RequestFactory().head("/port")
    response = webhook(verifier)(lambda request, delivery: HttpResponse())(request)
    assert (response.status_code, response.content) == (405, b"")


# Consumed bodies


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_was_taken_from_the_environ_is_told_from_a_wrong_secret(
    site, views, view, verifier, *, framing, caplog
):
    def read_early(get_response):
        def middleware(request):
            assert request.META["wsgi.input"].read()
            return get_response(request)

        return middleware

    site.serve(webhook(verifier)(view), middleware=read_early)
    changes = chunked(BODY) if framing == "chunked" else {}
    response = site.send(**{**changes, "wsgi.input": io.BytesIO(BODY)})
    assert response.status_code == 400
    assert "read the body before" in caplog.text
    assert "secret" not in caplog.text
    assert views.seen == []


def test_a_request_made_by_hand_gives_the_payload(site, agent):
    environ: dict[str, Any] = {
        **RequestFactory().post("/port", SENT, content_type=JSON).environ
    }
    for name, value in site.headers(SIGNED).items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    request = WSGIRequest(environ)
    view = webhook(agent)(lambda request, delivery: HttpResponse(request.body))
    assert json.loads(view(request).content) == json.loads(SENT)
    assert PARTS not in view(request).content
