"""An adapter shows nothing either, whenever it is interrupted; see `test_boundary`."""

from __future__ import annotations

import base64
from functools import partial
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import flask
import pytest

from port_webhook.adapters import asgi, aws_lambda, wsgi
from port_webhook.adapters import flask as flask_adapter

from .injection import SoftTimeLimit, Stop
from .leaks import NOW, PAYLOAD
from .test_boundary import LOOP, message, search_for_leaks
from .test_leaks import VALID, build

pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning"
)

KAFKA_EVENT = {
    "records": {
        "runs-0": [
            {
                "topic": "runs",
                "partition": 0,
                "offset": 0,
                "timestamp": NOW * 1000,
                "value": base64.b64encode(message()).decode(),
            }
        ]
    }
}


def answer(_environ, start_response):
    start_response("204 No Content", [])
    return []


def post_wsgi(app):
    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": "/port"}
    setup_testing_defaults(environ)
    for name, value in VALID.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ |= {"CONTENT_LENGTH": str(len(PAYLOAD)), "wsgi.input": BytesIO(PAYLOAD)}
    response = app(environ, lambda *_: None)
    list(response)
    getattr(response, "close", int)()


async def aanswer(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def post_asgi(app):
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/port",
        "raw_path": b"/port",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in VALID.items()],
    }

    async def receive():
        return {"type": "http.request", "body": PAYLOAD, "more_body": False}

    async def send(_):
        pass

    LOOP.run_until_complete(app(scope, receive, send))


def post_flask():
    FLASK.test_client().post("/port", data=PAYLOAD, headers=VALID)


FLASK = flask.Flask(__name__)
FLASK.testing = True


@FLASK.post("/port")
@flask_adapter.webhook(build())
def create_vm(delivery):
    return delivery.json()


CALLS: dict[str, Any] = {
    "flask": lambda: post_flask,
    "wsgi": lambda: partial(post_wsgi, wsgi.PortWebhookMiddleware(answer, build())),
    "asgi": lambda: partial(post_asgi, asgi.PortWebhookMiddleware(aanswer, build())),
    "aws_lambda": lambda: partial(
        aws_lambda.webhook(build())(lambda delivery, _: delivery.json()),
        {"headers": VALID, "body": PAYLOAD.decode()},
        None,
    ),
    "aws_lambda, Kafka": lambda: partial(
        aws_lambda.handle_kafka_event, KAFKA_EVENT, build(), repr
    ),
}


@pytest.mark.parametrize("kind", [Stop, SoftTimeLimit])
@pytest.mark.parametrize("name", CALLS)
def test_an_exception_at_any_line_shows_nothing(records, name, kind):
    assert search_for_leaks(CALLS[name](), kind, records) == []
