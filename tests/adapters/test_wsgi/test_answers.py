"""The application's answer, held back until its claim has ended."""

from __future__ import annotations

from io import BytesIO
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from port_webhook import PayloadError
from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .server import BODY, LIMIT, Closing, Failing, fail


@pytest.mark.parametrize(
    ("status", "last"),
    [
        ("200 OK", "commit"),
        ("302 Found", "commit"),
        ("399 Odd", "commit"),
        ("400 Bad Request", "release"),
        ("503 Unavailable", "release"),
        ("what", "release"),
    ],
)
def test_the_status_decides_whether_the_request_may_run_again(
    client, guarded, store, status, last
):
    def app(environ, start_response):
        start_response(status, [])
        return [b""]

    assert client.send(PortWebhookMiddleware(app, guarded))[0] == status
    assert store.steps == ["claim", last]


def test_a_payload_error_of_the_application_is_an_answer(client, guarded, store):
    parts = Failing(PayloadError("is wrong"))
    middleware = PortWebhookMiddleware(lambda *_: parts, guarded)
    assert client.send(middleware)[0].startswith("422 ")
    assert store.steps == ["claim", "release"]
    assert parts.closed == 1


def test_a_commit_that_fails_replaces_the_answer(client, guarded, store):
    store.fails = "commit"
    parts = Closing([b"done"])

    def app(environ, start_response):
        start_response("200 OK", [("X-Secret", "of the application")])
        return parts

    status, headers, body = client.send(PortWebhookMiddleware(app, guarded))
    assert (status, body) == ("503 Service Unavailable", b'{"error": "unavailable"}')
    assert headers["Retry-After"] == "5"
    assert "X-Secret" not in headers
    assert len(client.calls) == 1
    assert parts.closed == 1


def test_an_iterable_is_passed_on_as_it_is(client, verifier):
    file = FileWrapper(BytesIO(b"content"))

    def app(environ, start_response):
        start_response("200 OK", [])
        return file

    middleware = PortWebhookMiddleware(app, verifier)
    result = middleware(client.environ_of(), lambda *_: bytes)
    assert result is file


def test_a_generator_says_its_status_with_its_first_item(client, guarded, store):
    def app(environ, start_response):
        yield b""
        start_response("404 Not Found", [("X", "y")])
        yield b"a"
        yield b"b"

    answer = client.send(PortWebhookMiddleware(app, guarded))
    assert answer == ("404 Not Found", {"X": "y"}, b"ab")
    assert store.steps == ["claim", "release"]


def test_an_iterable_that_had_to_be_read_is_closed_by_the_server(client, verifier):
    parts = Closing([])

    def app(environ, start_response):
        def late():
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        parts._parts = late()
        return parts

    assert client.send(PortWebhookMiddleware(app, verifier))[2] == b"ab"
    assert parts.closed == 1


@pytest.mark.parametrize("parts", [[], [b"too early", b"too early"]])
def test_an_application_without_a_status_releases(client, guarded, store, parts):
    closing = Closing(parts)
    middleware = PortWebhookMiddleware(lambda *_: closing, guarded)
    assert client.send(middleware)[2] == b"".join(parts)
    assert client.calls == []  # which no server accepts
    assert store.steps == ["claim", "release"]
    assert closing.closed == 1


def test_an_iterable_that_fails_before_its_status_is_closed(client, guarded, store):
    parts = Failing(KeyError("own"))
    with pytest.raises(KeyError):
        client.send(PortWebhookMiddleware(lambda *_: parts, guarded))
    assert store.steps == ["claim", "release"]
    assert parts.closed == 1


def test_an_iterable_is_closed_when_the_server_refuses_the_headers(client, verifier):
    parts = Closing([b"a"])

    def app(environ, start_response):
        start_response("200 OK", [])
        return parts

    def refuse(*_):
        msg = "header"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="header"):
        PortWebhookMiddleware(app, verifier)(client.environ_of(), refuse)
    assert parts.closed == 1


def test_what_is_written_comes_before_what_is_returned(client, guarded, store):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]

    assert client.send(PortWebhookMiddleware(app, guarded))[2] == b"abc"
    assert store.steps == ["claim", "commit"]


def test_an_application_may_change_its_mind_before_the_answer(client, guarded, store):
    def app(environ, start_response):
        start_response("200 OK", [("A", "b")])
        start_response("500 Oops", [("C", "d")], fail())
        return [b"sorry"]

    answer = client.send(PortWebhookMiddleware(app, guarded))
    assert answer == ("500 Oops", {"C": "d"}, b"sorry")
    assert len(client.calls) == 1
    assert store.steps == ["claim", "release"]


def test_an_application_may_not_change_its_mind_silently(client, verifier):
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("500 Oops", [])

    with pytest.raises(AssertionError, match="exc_info"):
        client.send(PortWebhookMiddleware(app, verifier))


def test_an_application_that_has_written_may_not_change_its_mind(
    client, guarded, store
):
    def app(environ, start_response):
        start_response("200 OK", [])(b"a")
        start_response("500 Oops", [], fail())

    with pytest.raises(ValueError, match="own"):
        client.send(PortWebhookMiddleware(app, guarded))
    assert store.steps == ["claim", "release"]


def test_what_happens_after_the_start_is_between_application_and_server(
    client, guarded, store
):
    info = fail()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        start_response("500 Oops", [], info)
        yield b"b"

    client.send(PortWebhookMiddleware(app, guarded))
    assert [call[0] for call in client.calls] == ["200 OK", "500 Oops"]
    assert client.calls[1][2] is info
    assert store.steps == ["claim", "commit"]


@pytest.mark.parametrize("kind", ["list", "generator", "write"])
@pytest.mark.parametrize("sent", [BODY, b'{ "context": {"runId": "r_1"} }'])
def test_it_keeps_the_rules_that_wsgiref_checks(client, make_verifier, kind, sent):
    """Around it and inside of it, for answers of every form and refusals."""

    def read(environ):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        assert environ["wsgi.input"].read(1) == b""
        return body

    def returns(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [read(environ)]

    def yields(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield read(environ)

    def writes(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(read(environ))
        return []

    app = {"list": returns, "generator": yields, "write": writes}[kind]
    inner = PortWebhookMiddleware(validator(app), make_verifier(agent=True))
    checked = validator(inner)

    def send(body=sent, **changes):
        changes = {"wsgi.input": BytesIO(body), "QUERY_STRING": "", **changes}
        return client.send(checked, body, **changes)

    assert send()[2] == BODY
    assert send(CONTENT_TYPE="application/json")[2] == BODY
    assert send(signs=None)[0] == "401 Unauthorized"
    assert send(signs=b"other")[0] == "401 Unauthorized"
    assert send(CONTENT_LENGTH="99")[0] == "400 Bad Request"
    assert send(REQUEST_METHOD="OPTIONS")[0] == "405 Method Not Allowed"
    assert send(REQUEST_METHOD="HEAD")[2] == b""
    assert send(HTTP_CONTENT_ENCODING="gzip")[0] == "415 Unsupported Media Type"
    assert send(b"x" * (LIMIT + 1))[0].startswith("413 ")
