"""The WSGI middleware, called as a server calls it."""

from __future__ import annotations

import pytest
from flask import Flask, g

from port_webhook import ConfigurationError, Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .server import BODY, choose_later


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
