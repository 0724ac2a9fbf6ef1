"""WSGI applications as users write them: read by mypy and pyright, never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application
from flask import Flask

from port_webhook import Verifier
from port_webhook.adapters.wsgi import PortWebhookMiddleware, delivery_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from port_webhook import Delivery

verifier = Verifier("secret")
verifiers = {"acme": verifier}


def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    delivery: Delivery = delivery_of(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [delivery.payload]


def choose(environ: dict[str, Any]) -> Verifier:
    return verifiers[environ["HTTP_X_ORG"]]


from_environment = PortWebhookMiddleware(application)
with_paths = PortWebhookMiddleware(application, verifier, paths=("/port", "/hooks"))
chosen = PortWebhookMiddleware(application, choose=choose)
by_lambda = PortWebhookMiddleware(
    application, choose=lambda environ: verifiers[environ["X"]]
)
excluding = PortWebhookMiddleware(application, verifier, exclude=["/health"])
around_django = PortWebhookMiddleware(get_wsgi_application(), verifier)
flask = Flask(__name__)
flask.wsgi_app = PortWebhookMiddleware(flask.wsgi_app, verifier)  # type: ignore[method-assign]  # as Flask documents it
nested: WSGIApplication = PortWebhookMiddleware(with_paths, verifier)

PortWebhookMiddleware(application, "secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # not a verifier
PortWebhookMiddleware(application, choose)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # by keyword only
