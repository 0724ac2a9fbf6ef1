"""Bodies, of any framing, read before or not; and what the view reads of them."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from django.http import HttpRequest, HttpResponse

from port_webhook.adapters.django import webhook

from .project import (
    BODY,
    FORM,
    LIMIT,
    MULTIPART,
    PARTS,
    chunked,
)


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


@pytest.mark.parametrize("changes", [{}, chunked(BODY)], ids=["length", "chunked"])
def test_a_body_that_the_server_does_not_wait_for_is_a_bad_request(
    *, site, views, view, verifier, changes, caplog
):
    site.serve(webhook(verifier)(view))
    stream = SimpleNamespace(read=lambda *_: None, readline=None)
    response = site.send(**{**changes, "wsgi.input": stream})
    assert (response.status_code, views.seen) == (400, [])
    assert "could not read the body" in caplog.text


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
