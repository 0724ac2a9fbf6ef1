"""Which bodies the WSGI middleware reads, and what it hands on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .server import BODY, LIMIT, Input


@pytest.mark.parametrize("chunked", [None, "chunked"])
def test_a_body_without_a_length_is_read_to_the_end_that_the_server_marks(
    client, app, verifier, chunked
):
    middleware = PortWebhookMiddleware(app, verifier)
    changes = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": chunked}
    status, _, _ = client.send(middleware, **changes, **{"wsgi.input_terminated": True})
    assert status == "200 OK"
    assert app.seen == [(BODY, str(len(BODY)))]
    assert "HTTP_TRANSFER_ENCODING" not in client.environ
    assert client.environ["wsgi.input_terminated"] is True


def test_a_chunked_body_is_refused_where_the_server_does_not_mark_its_end(
    client, app, verifier, caplog
):
    status, _, _ = client.send(
        PortWebhookMiddleware(app, verifier),
        CONTENT_LENGTH=None,
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert status == "400 Bad Request"
    assert "does not pass on" in caplog.text


@pytest.mark.parametrize("length", [str(len(BODY)), None])
def test_a_body_that_something_read_before_is_told_from_a_wrong_secret(
    client, app, verifier, caplog, length
):
    """With a length it is known at once; of a chunked one, if nothing matches."""
    chunked = None if length else "chunked"
    status, _, _ = client.send(
        PortWebhookMiddleware(app, verifier),
        b"",
        CONTENT_LENGTH=length,
        HTTP_TRANSFER_ENCODING=chunked,
        **{"wsgi.input_terminated": True},
    )
    assert status == "400 Bad Request"
    assert "read the body before it" in caplog.text
    assert app.seen == []


def test_nothing_is_read_beyond_the_declared_length(client, app, verifier):
    middleware = PortWebhookMiddleware(app, verifier)
    length = str(len(BODY))
    status, _, _ = client.send(middleware, BODY + b"next", CONTENT_LENGTH=length)
    assert status == "200 OK"
    assert app.seen == [(BODY, length)]


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("bad chunk")])
def test_a_body_that_the_server_cannot_read_is_a_bad_request(
    client, app, verifier, error, caplog
):
    middleware = PortWebhookMiddleware(app, verifier)
    failing = Input(BODY, error=error)
    status, _, _ = client.send(middleware, **{"wsgi.input": failing})
    assert status == "400 Bad Request"
    assert type(error).__name__ in caplog.text
    assert str(error) not in caplog.text


@pytest.mark.parametrize("length", [str(len(BODY)), None])
@pytest.mark.parametrize("given", [[None], [BODY[:5], None]])
def test_a_body_that_the_server_does_not_wait_for_is_a_bad_request(
    *, client, app, verifier, given, length, caplog
):
    """``read()`` of a socket that does not block returns None."""
    middleware = PortWebhookMiddleware(app, verifier)
    left = iter(given)
    stream = SimpleNamespace(read=lambda _: next(left))
    changes = {"wsgi.input": stream, "wsgi.input_terminated": True}
    status, _, _ = client.send(middleware, CONTENT_LENGTH=length, **changes)
    assert (status, app.seen) == ("400 Bad Request", [])
    assert "does not wait for the body" in caplog.text


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(client, app, verifier, declared):
    body = b"x" * (LIMIT + 100)
    stream = Input(body, LIMIT)
    changes = {"wsgi.input": stream, "wsgi.input_terminated": True}
    if not declared:
        changes["CONTENT_LENGTH"] = None
    middleware = PortWebhookMiddleware(app, verifier)
    status, _, _ = client.send(middleware, body, signs=body, **changes)
    assert status.startswith("413 ")
    assert stream.position == (0 if declared else LIMIT + 1)
    assert app.seen == []
