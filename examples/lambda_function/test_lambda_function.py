"""The function as API Gateway calls it. moto plays DynamoDB, a function Port's API."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import boto3
import httpx2
import pytest
from moto import mock_aws

from port_webhook import ReplayStoreError
from port_webhook.replay.dynamodb import create_table
from port_webhook.testing import lambda_event, sign_request, trigger_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = Callable[[dict[str, Any]], dict[str, Any]]

SECRET = "a made-up secret, for tests alone"
Told = list[tuple[str, Any]]
RUN = trigger_data(
    run_id="r_1",
    action={"identifier": "create_vm"},
    inputs={"name": "web-1", "cpu": 2},
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what the function tells Port: each path and what was sent to it."""
    told: Told = []

    def answer(_: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/auth/access_token":
            token = {"accessToken": "t", "expiresIn": 10800, "tokenType": "Bearer"}
            return httpx2.Response(200, json={"ok": True, **token})
        told.append((request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={"ok": True, "run": {}, "entity": {}})

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    monkeypatch.setenv("PORT_CLIENT_ID", "id")
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    return told


@pytest.fixture
def handler(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handler]:
    """Return a function that calls the handler as Lambda does."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("REPLAY_TABLE", "replay")
    with mock_aws():
        create_table(boto3.client("dynamodb"), "replay")
        sys.modules.pop("lambda_function", None)  # a cold start
        module = importlib.import_module("lambda_function")
        yield lambda event: module.handler(event, None)


def test_a_machine_is_created_and_reported(handler: Handler, told: Told) -> None:
    answer = handler(lambda_event(*sign_request(RUN, SECRET)))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"created": "web-1"}
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told
    entity = {"identifier": "web-1", "properties": {"cpu": 2}}
    assert ("/v1/blueprints/vm/entities", entity) in told
    logs = [sent["message"] for path, sent in told if path.endswith("/logs")]
    assert logs == ["creating web-1 with 2 CPUs"]


def test_a_machine_is_deleted(handler: Handler, told: Told) -> None:
    run = trigger_data(
        operation="DELETE",
        run_id="r_1",
        action={"identifier": "delete_vm"},
        entity={"identifier": "web-1"},
    )
    answer = handler(lambda_event(*sign_request(run, SECRET), shape="rest_api"))
    assert json.loads(answer["body"]) == {"deleted": "web-1"}
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told


def test_inputs_that_do_not_fit_end_the_run(handler: Handler, told: Told) -> None:
    answer = handler(lambda_event(*sign_request({**RUN, "inputs": {}}, SECRET)))
    assert answer["statusCode"] == 422
    (path, sent), *more = told
    assert (path, sent["status"], more) == ("/v1/actions/runs/r_1", "FAILURE", [])
    assert "inputs" in sent["summary"]


def test_a_request_runs_once(handler: Handler, told: Told) -> None:
    event = lambda_event(*sign_request(RUN, SECRET))
    assert handler(event)["statusCode"] == 200
    told.clear()
    answer = handler(event)
    assert (json.loads(answer["body"]), told) == ({"status": "duplicate"}, [])


def test_without_its_table_the_function_does_not_start(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_TABLE", "another")
    del sys.modules["lambda_function"]
    with pytest.raises(ReplayStoreError, match="ResourceNotFoundException"):
        importlib.import_module("lambda_function")


def test_a_forgery_is_refused(handler: Handler, told: Told) -> None:
    event = lambda_event(*sign_request(RUN, "another secret"))
    assert (handler(event)["statusCode"], told) == (401, [])
