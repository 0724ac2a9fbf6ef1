"""The service as Port calls it. Port's own API is played by a function."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from flask_app import create_app

from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.testing import assert_refuses_forgeries, sign_request, trigger_data
from port_webhook.testing.flask import SigningClient

SECRET = "a made-up secret, for tests alone"
Told = list[tuple[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what the service tells Port: each path and what was sent to it."""
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
def client(told: Told) -> SigningClient:
    """Return a client that signs what it sends, as Port does."""
    store = MemoryReplayStore(single_process=True)
    return SigningClient(create_app(store), secret=SECRET)


def test_a_machine_is_created_and_reported(client: SigningClient, told: Told) -> None:
    run = trigger_data(
        run_id="r_1",
        action={"identifier": "create_vm"},
        inputs={"name": "web-1", "cpu": 2},
    )
    answer = client.post("/port", json=run)

    assert (answer.status_code, answer.json) == (200, {"created": "web-1"})
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told
    entity = {"identifier": "web-1", "properties": {"cpu": 2}}
    assert ("/v1/blueprints/vm/entities", entity) in told
    logs = [sent["message"] for path, sent in told if path.endswith("/logs")]
    assert logs == ["creating web-1 with 2 CPUs"]


def test_a_machine_is_deleted(client: SigningClient, told: Told) -> None:
    run = trigger_data(
        operation="DELETE",
        run_id="r_1",
        action={"identifier": "delete_vm"},
        entity={"identifier": "web-1"},
    )
    assert client.post("/port", json=run).json == {"deleted": "web-1"}
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told


def test_inputs_that_do_not_fit_end_the_run(client: SigningClient, told: Told) -> None:
    run = trigger_data(
        run_id="r_1", action={"identifier": "create_vm"}, inputs={"cpu": "many"}
    )
    assert client.post("/port", json=run).status_code == 422
    (path, sent), *more = told
    assert (path, sent["status"], more) == ("/v1/actions/runs/r_1", "FAILURE", [])
    assert "inputs" in sent["summary"]


def test_a_request_runs_once(client: SigningClient, told: Told) -> None:
    run = trigger_data(
        action={"identifier": "create_vm"}, inputs={"name": "web-1", "cpu": 2}
    )
    body, headers = sign_request(run, SECRET)
    assert client.post("/port", data=body, headers=headers).status_code == 200
    told.clear()
    answer = client.post("/port", data=body, headers=headers)
    assert (answer.json, told) == ({"status": "duplicate"}, [])


def test_forgeries_are_refused(client: SigningClient) -> None:
    run = trigger_data(
        action={"identifier": "create_vm"}, inputs={"name": "web-1", "cpu": 2}
    )
    assert_refuses_forgeries(client, "/port", document=run)


def test_the_health_check_needs_no_signature(client: SigningClient) -> None:
    assert client.get("/health", headers={"x-port-signature": ""}).status_code == 200
