"""Answers to synchronous actions, in every adapter."""

from __future__ import annotations

import asyncio
import json
import pickle

import aiohttp.web
import django.conf
import flask
import pytest
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from port_webhook import ConfigurationError, Verifier, sign
from port_webhook.adapters import aiohttp as aiohttp_adapter
from port_webhook.adapters import aws_lambda
from port_webhook.adapters import django as django_adapter
from port_webhook.adapters import fastapi as fastapi_adapter
from port_webhook.adapters import flask as flask_adapter
from port_webhook.reporting import ActionFailedError, answer

SECRET = "the client secret of a harbour, thirty-two"
RESULT = {"ip": "10.0.0.1", "name": "ünï"}
MESSAGE = "There is no quota left für today"
BODY = '{"context":{"runId":"r_1"}}'


def work(request=None):
    return answer(RESULT, request=request)


def fail(request=None):
    raise ActionFailedError(MESSAGE)


def by_flask(function):
    app = flask.Flask(__name__)
    app.post("/port")(flask_adapter.webhook(Verifier(SECRET))(lambda d: function()))
    found = app.test_client().post("/port", data=BODY, headers=sign(BODY, SECRET))
    return found.status_code, found.get_json()


def by_fastapi(function):
    app = FastAPI()
    port = fastapi_adapter.PortWebhook(Verifier(SECRET))

    @app.post("/port")
    def endpoint(delivery=Depends(port)):  # noqa: B008  # as FastAPI has it
        return function()

    found = TestClient(app).post("/port", content=BODY, headers=sign(BODY, SECRET))
    return found.status_code, found.json()


def by_django(function):
    if not django.conf.settings.configured:
        django.conf.settings.configure()
    from django.test import RequestFactory

    view = django_adapter.webhook(Verifier(SECRET))(
        lambda request, d: function(request)
    )
    headers = dict(sign(BODY, SECRET))
    request = RequestFactory().post(
        "/", BODY, content_type="application/json", headers=headers
    )
    found = view(request)
    assert found["content-type"] == "application/json"
    return found.status_code, json.loads(found.content)


def by_aiohttp(function):
    async def main():
        app = aiohttp.web.Application()

        @aiohttp_adapter.webhook(Verifier(SECRET))
        async def view(request, delivery):
            return function(request)

        app.router.add_post("/port", view)
        async with AiohttpClient(TestServer(app)) as client:
            found = await client.post("/port", data=BODY, headers=sign(BODY, SECRET))
            return found.status, await found.json()

    return asyncio.run(main())


def by_lambda(function):
    handler = aws_lambda.webhook(Verifier(SECRET))(lambda delivery, context: function())
    event = {
        "version": "2.0",
        "headers": sign(BODY, SECRET),
        "requestContext": {"http": {"method": "POST"}},
        "body": BODY,
        "isBase64Encoded": False,
    }
    found = handler(event, None)
    return found["statusCode"], json.loads(found["body"])


EVERY = pytest.mark.parametrize(
    "serve", [by_flask, by_fastapi, by_django, by_aiohttp, by_lambda]
)


@EVERY
def test_a_result_is_answered(serve):
    assert serve(work) == (200, RESULT)


@EVERY
def test_a_failure_is_answered_with_its_message(serve):
    status, found = serve(fail)
    assert status == 422
    assert found == {"detail" if serve is by_fastapi else "error": MESSAGE}


def test_the_log_has_the_message_too(records):
    by_flask(fail)
    assert MESSAGE in records[-1].getMessage()
    assert records[-1].port_code == "action_failed"


def test_a_message_is_cut_and_kept_by_pickle():
    error = pickle.loads(pickle.dumps(ActionFailedError("x" * 2_000)))  # noqa: S301  # our own
    assert str(error) == "x" * 1_000
    assert json.loads(error.http_body) == {"error": "x" * 1_000}


@pytest.mark.parametrize("result", [object(), float("nan"), {1: {2}}])
def test_a_result_that_is_no_json_is_refused(result):
    with pytest.raises(ConfigurationError, match="JSON"):
        answer(result)


@pytest.mark.parametrize("result", [None, "text", [1], {"a": 1}])
def test_a_result_of_another_framework_is_left_as_it_is(result):
    assert answer(result) is result
    assert answer(result, request=flask.Flask(__name__)) is result
