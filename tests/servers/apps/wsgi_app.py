"""The WSGI middleware before a plain WSGI application."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from port_webhook.adapters.wsgi import PortWebhookMiddleware, delivery_of

from .common import VERIFIER, count_call, describe, report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

KIND = "wsgi"
REQUIRES = ()
PARSES_FORMS = False


def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/calls":
        return respond(environ, start_response, report())
    count_call()
    if environ["PATH_INFO"] == "/boom":
        raise ValueError
    body = environ["wsgi.input"].read()
    assert environ["CONTENT_LENGTH"] == str(len(body))
    delivery = delivery_of(environ)
    return respond(environ, start_response, describe(delivery, body=body, form=None))


def respond(
    environ: WSGIEnvironment, start_response: StartResponse, content: Any
) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    length = str(len(body))
    headers = [("Content-Type", "application/json"), ("Content-Length", length)]
    start_response("200 OK", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


app = PortWebhookMiddleware(application, VERIFIER, paths=["/port", "/boom"])
