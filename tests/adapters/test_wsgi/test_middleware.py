"""The WSGI middleware, called as a server calls it."""

from __future__ import annotations

import pytest
from flask import Flask, g

from port_webhook import ConfigurationError, Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .server import BODY, choose_later


def test_the_application_reads_what_was_signed_and_finds_the_delivery(
    client, app, verifier
):
    answer = client.send(PortWebhookMiddleware(app, verifier))
    assert answer == ("200 OK", {"Content-Type": "text/plain"}, b"done")
    assert app.seen == [(BODY, str(len(BODY)))]
    assert client.environ["port_webhook.delivery"].run_id == "r_1"


def test_the_environment_gives_the_verifier(client, app, monkeypatch, secret):
    monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
    status, _, _ = client.send(PortWebhookMiddleware(app), signs=None)
    assert status == "401 Unauthorized"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["secret"], {}, "Verifier"),
        ([Verifier], {}, "Verifier"),
        ([lambda environ: Verifier("secret")], {}, "choose="),
        ([Verifier("secret")], {"choose": lambda environ: None}, "not both"),
        ([], {"choose": Verifier("secret")}, "function"),
        ([], {"choose": choose_later}, "asynchronous"),
        ([], {"paths": ["/port"], "exclude": ["/health"]}, "not both"),
        ([], {"paths": "/port"}, "collection"),
        ([], {"paths": []}, "nothing would be verified"),
        ([], {"exclude": "/health"}, "collection"),
        ([], {"exclude": ["/health/*"]}, "placeholders"),
    ],
)
def test_what_cannot_be_meant_is_refused(app, arguments, options, message):
    with pytest.raises(ConfigurationError, match=message):
        PortWebhookMiddleware(app, *arguments, **options)


def test_a_choice_that_is_no_verifier_is_an_error(client, app):
    middleware = PortWebhookMiddleware(app, choose=lambda environ: None)  # type: ignore[arg-type,return-value]  # the point
    with pytest.raises(ConfigurationError):
        client.send(middleware)
    assert app.seen == []


def test_a_function_chooses_the_verifier(client, app, make_verifier, verifier):
    verifiers = {"a": verifier, "b": make_verifier(secret="another")}
    middleware = PortWebhookMiddleware(
        app, choose=lambda env: verifiers[env["HTTP_X_ORG"]]
    )
    assert client.send(middleware, HTTP_X_ORG="a")[0] == "200 OK"
    assert client.send(middleware, HTTP_X_ORG="b")[0] == "401 Unauthorized"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "changes",
    [
        {"signs": None},
        {"signs": b"another"},
        {"HTTP_X_PORT_SIGNATURE": None},
        {"HTTP_X_PORT_SIGNATURE": "v1,bad"},
        {"CONTENT_TYPE": "multipart/form-data", "signs": None},
        {"CONTENT_LENGTH": "x", "signs": None},
    ],
)
def test_an_unsigned_request_never_reaches_the_application(
    client, app, verifier, method, changes
):
    middleware = PortWebhookMiddleware(app, verifier)
    answer = client.send(middleware, REQUEST_METHOD=method, **changes)
    headers = {
        "Content-Type": "application/json",
        "WWW-Authenticate": "PortWebhook",
        "Content-Length": "25",
    }
    assert answer == ("401 Unauthorized", headers, b'{"error": "unauthorized"}')
    assert app.seen == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "post", ""])
@pytest.mark.parametrize("signs", [BODY, None])
def test_other_methods_are_405_without_a_claim(
    client, app, guarded, store, method, signs
):
    middleware = PortWebhookMiddleware(app, guarded)
    status, headers, body = client.send(middleware, REQUEST_METHOD=method, signs=signs)
    assert status == "405 Method Not Allowed"
    assert headers["Allow"] == "GET, POST, PUT, PATCH, DELETE"
    assert headers["Content-Length"] == "31"
    assert len(body) == (0 if method == "HEAD" else 31)
    assert client.environ["wsgi.input"].position == 0
    assert (app.seen, store.steps) == ([], [])


@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"HTTP_CONTENT_ENCODING": "identity, br"},
        {"CONTENT_TYPE": "application/json; charset=utf-7"},
        {"CONTENT_TYPE": 'text/plain; charset="latin-1"'},
    ],
)
def test_what_would_be_decoded_otherwise_is_415_before_the_body_is_read(
    client, app, verifier, header
):
    middleware = PortWebhookMiddleware(app, verifier)
    assert client.send(middleware, **header)[0] == "415 Unsupported Media Type"
    assert client.environ["wsgi.input"].position == 0
    assert app.seen == []
    assert client.send(middleware, signs=None, **header)[0] == "401 Unauthorized"


def test_a_header_that_comes_twice_is_refused(client, app, verifier):
    signed = client.environ_of()["HTTP_X_PORT_SIGNATURE"]
    middleware = PortWebhookMiddleware(app, verifier)
    twice = {"HTTP_X_PORT_SIGNATURE": f"{signed},{signed}"}
    assert client.send(middleware, **twice)[0] == "401 Unauthorized"


def test_headers_are_checked_before_the_body_is_read(client, app, verifier):
    client.send(PortWebhookMiddleware(app, verifier), signs=None)
    assert client.environ["wsgi.input"].position == 0


def test_a_flask_view_behind_it_verifies_and_claims_nothing_again(
    client, guarded, store
):
    flask = Flask(__name__)
    seen = []

    @flask.post("/port")
    @webhook(guarded)
    def view(delivery):
        seen.append((delivery, g.port_delivery))
        return "done"

    middleware = PortWebhookMiddleware(flask, guarded)
    assert client.send(middleware)[0] == "200 OK"
    assert store.steps == ["claim", "commit"]
    delivery = client.environ["port_webhook.delivery"]
    assert seen == [(delivery, delivery)]


def test_two_middlewares_verify_and_claim_once(client, app, guarded, store):
    middleware = PortWebhookMiddleware(PortWebhookMiddleware(app, guarded), guarded)
    assert client.send(middleware)[0] == "200 OK"
    assert store.steps == ["claim", "commit"]
    assert app.seen == [(BODY, str(len(BODY)))]
