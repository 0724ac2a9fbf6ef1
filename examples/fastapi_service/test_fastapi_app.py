"""The service as Port calls it. Port's own API is played by a function."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from port_webhook.testing import assert_refuses_forgeries, sign_request, trigger_data
from port_webhook.testing.fastapi import SigningClient

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a made-up secret, for tests alone"
Told = list[tuple[str, Any]]
RUN = trigger_data(
    run_id="r_1",
    action={"identifier": "create_vm"},
    inputs={"name": "web-1", "cpu": 2},
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what the service tells Port: each path and what was sent to it."""
    told: Told = []

    async def answer(
        _: httpx2.AsyncHTTPTransport, request: httpx2.Request
    ) -> httpx2.Response:
        if request.url.path == "/v1/auth/access_token":
            token = {"accessToken": "t", "expiresIn": 10800, "tokenType": "Bearer"}
            return httpx2.Response(200, json={"ok": True, **token})
        told.append((request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={"ok": True, "run": {}, "entity": {}})

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", answer)
    monkeypatch.setenv("PORT_CLIENT_ID", "id")
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    return told


@pytest.fixture
def client(told: Told) -> Iterator[SigningClient]:
    """Return a client that signs what it sends, as Port does."""
    sys.modules.pop("fastapi_app", None)  # a new one reads the environment of the test
    module = importlib.import_module("fastapi_app")
    with SigningClient(module.app, secret=SECRET) as client:
        yield client


def test_a_machine_is_created_and_reported(client: SigningClient, told: Told) -> None:
    answer = client.post("/port", json=RUN)

    assert (answer.status_code, answer.json()) == (202, {"run": "r_1"})
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
    assert client.post("/port", json=run).status_code == 202
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told


def test_inputs_that_do_not_fit_end_the_run_after_the_answer(
    client: SigningClient, told: Told
) -> None:
    assert client.post("/port", json={**RUN, "inputs": {}}).status_code == 202
    (path, sent), *more = told
    assert (path, sent["status"], more) == ("/v1/actions/runs/r_1", "FAILURE", [])
    assert "inputs" in sent["summary"]


def test_a_request_runs_once(client: SigningClient, told: Told) -> None:
    body, headers = sign_request(RUN, SECRET)
    assert client.post("/port", content=body, headers=headers).status_code == 202
    told.clear()
    answer = client.post("/port", content=body, headers=headers)
    assert (answer.json(), told) == ({"detail": "duplicate"}, [])


def test_forgeries_are_refused(client: SigningClient) -> None:
    assert_refuses_forgeries(client, "/port", document=RUN)


def test_the_health_check_needs_no_signature(client: SigningClient) -> None:
    assert client.get("/health", headers={"x-port-signature": ""}).status_code == 200
