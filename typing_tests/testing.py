"""The types of the tools for tests; never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import httpx2
import requests
from flask import Flask

from port_webhook import Verifier
from port_webhook.testing import (
    FixedClock,
    SignedRequest,
    Signer,
    aassert_refuses_forgeries,
    action_invocation,
    assert_refuses_forgeries,
    automation_trigger_data,
    changelog_message,
    custom_payload,
    entity_event,
    kafka_event,
    lambda_event,
    run_event,
    sign_as_agent,
    sign_kafka_message,
    sign_request,
    trigger_data,
    workflow_node_run,
)
from port_webhook.testing.django import AsyncSigningClient
from port_webhook.testing.django import SigningClient as DjangoClient
from port_webhook.testing.fastapi import SigningClient as FastAPIClient
from port_webhook.testing.flask import SigningClient as FlaskClient
from port_webhook.testing.httpx2 import SigningAuth
from port_webhook.testing.requests import SigningAuth as RequestsAuth

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

clock = FixedClock()
app = Flask(__name__)


def requests_are_pairs() -> None:
    request = sign_request({"a": 1}, "secret", timestamp=1)
    assert_type(request, SignedRequest)
    body, headers = request
    assert_type(body, bytes)
    assert_type(headers, dict[str, str])
    Verifier("secret", clock=clock).verify(*request)
    assert_type(sign_as_agent(None, b"secret"), SignedRequest)
    assert_type(sign_kafka_message({}, "secret", gitlab=True), bytes)


def a_signer_does_the_same(signer: Signer) -> None:
    assert_type(Signer("secret", clock=clock), Signer)
    assert_type(signer([1, 2]), SignedRequest)
    assert_type(signer.as_agent("{}"), SignedRequest)
    assert_type(signer.kafka_message({}), bytes)
    assert_type(signer.headers(b"", timestamp=1), dict[str, str])


def builders_return_dicts() -> None:
    assert_type(action_invocation(operation="DAY-2", status="FAILURE"), dict[str, Any])
    assert_type(trigger_data(inputs={"a": 1}), dict[str, Any])
    assert_type(automation_trigger_data(run_event("created")), dict[str, Any])
    assert_type(entity_event("expired"), dict[str, Any])
    assert_type(changelog_message("created", resource="run"), dict[str, Any])
    assert_type(workflow_node_run(), dict[str, Any])
    assert_type(custom_payload(run_id="r_1"), dict[str, Any])


def words_are_checked() -> None:
    action_invocation(operation="day-2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point
    run_event("deleted")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point
    lambda_event(b"", {}, shape="sqs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


def events_take_requests() -> None:
    event = lambda_event(*sign_request({}, "secret"), shape="alb", base64=True)
    assert_type(event, dict[str, Any])
    assert_type(lambda_event(b"", [("a", "b"), ("a", "c")]), dict[str, Any])
    assert_type(kafka_event(b"", b"", source="self_managed"), dict[str, Any])


def clients_are_those_of_their_frameworks() -> None:
    flask = FlaskClient(app, secret="secret", clock=clock)
    answer: TestResponse = flask.post("/port", json={})
    assert_type(answer.status_code, int)
    django = DjangoClient(secret="secret", enforce_csrf_checks=True)
    assert_type(django.post("/port", {}).status_code, int)
    assert_type(FastAPIClient(app, secret="secret").post("/").status_code, int)
    auth = SigningAuth("secret", clock=clock)
    assert_type(httpx2.Client(auth=auth).post("/").status_code, int)
    session = requests.Session()
    session.auth = RequestsAuth("secret", clock=clock)
    session.post("http://localhost", auth=RequestsAuth(b"secret"))


def forgeries_take_any_client(signer: Signer) -> None:
    client = FlaskClient(app, secret="secret")
    assert_refuses_forgeries(client, "/port")
    assert_refuses_forgeries(requests.Session(), "http://localhost", signer=signer)
    assert_refuses_forgeries(client, "/", secret=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


async def asynchronous_clients_are_awaited() -> None:
    client = AsyncSigningClient(secret="secret")
    await aassert_refuses_forgeries(client, "/port", document={"a": 1}, agent=True)
    assert_type((await client.post("/port", {})).status_code, int)


def clients_need_a_secret() -> None:
    FlaskClient(app)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
    DjangoClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
    FastAPIClient(app)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
    RequestsAuth()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
    SigningAuth()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point
