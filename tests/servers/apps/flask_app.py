"""Flask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, request

from port_webhook.adapters.flask import webhook

from .common import VERIFIER, count_call, describe, report

if TYPE_CHECKING:
    from port_webhook import Delivery

KIND = "wsgi"
REQUIRES = ("flask",)
PARSES_FORMS = True
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

app = Flask(__name__)


@app.route("/port", methods=METHODS)
@webhook(VERIFIER)
def port(delivery: Delivery) -> dict[str, Any]:
    count_call()
    return describe(delivery, body=request.get_data(), form=request.form)


@app.route("/boom", methods=METHODS)
@webhook(VERIFIER)
def boom(delivery: Delivery) -> dict[str, Any]:
    count_call()
    raise ValueError


@app.get("/calls")
def calls() -> dict[str, Any]:
    return report()
