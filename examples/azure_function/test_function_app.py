"""The function as its host calls it. Port's own API is played by a function."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import azure.functions as func
import httpx2
import pytest

from port_webhook import ReplayStoreError
from port_webhook.replay import redis as redis_stores
from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.testing import sign_request, trigger_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ReplayStore

    Call = Callable[..., tuple[int, Any]]

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


def load(monkeypatch: pytest.MonkeyPatch, store: ReplayStore) -> Any:
    """Import the application anew, with *store* in place of the one in Redis."""
    monkeypatch.setenv("REDIS_URL", "redis://localhost")  # nobody connects to it
    monkeypatch.setattr(redis_stores, "RedisReplayStore", lambda _: store)
    sys.modules.pop("function_app", None)
    return importlib.import_module("function_app")


@pytest.fixture
def call(told: Told, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that calls one of the application, as the host does."""
    module = load(monkeypatch, MemoryReplayStore(single_process=True))
    functions = {each.get_function_name(): each for each in module.app.get_functions()}

    def call(
        body: bytes, headers: dict[str, str], name: str = "receive"
    ) -> tuple[int, Any]:
        request = func.HttpRequest("POST", "/port", headers=headers, body=body)
        answer = functions[name].get_user_function()(request)
        return answer.status_code, json.loads(answer.get_body())

    return call


def test_a_machine_is_created_and_reported(call: Call, told: Told) -> None:
    assert call(*sign_request(RUN, SECRET)) == (200, {"created": "web-1"})
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told
    entity = {"identifier": "web-1", "properties": {"cpu": 2}}
    assert ("/v1/blueprints/vm/entities", entity) in told
    logs = [sent["message"] for path, sent in told if path.endswith("/logs")]
    assert logs == ["creating web-1 with 2 CPUs"]


def test_a_machine_is_deleted(call: Call, told: Told) -> None:
    run = trigger_data(
        operation="DELETE",
        run_id="r_1",
        action={"identifier": "delete_vm"},
        entity={"identifier": "web-1"},
    )
    assert call(*sign_request(run, SECRET)) == (200, {"deleted": "web-1"})
    assert ("/v1/actions/runs/r_1", {"status": "SUCCESS"}) in told


def test_inputs_that_do_not_fit_end_the_run(call: Call, told: Told) -> None:
    status, _ = call(*sign_request({**RUN, "inputs": {}}, SECRET))
    assert status == 422
    (path, sent), *more = told
    assert (path, sent["status"], more) == ("/v1/actions/runs/r_1", "FAILURE", [])
    assert "inputs" in sent["summary"]


def test_a_request_runs_once(call: Call, told: Told) -> None:
    request = sign_request(RUN, SECRET)
    assert call(*request)[0] == 200
    told.clear()
    assert call(*request) == (200, {"status": "duplicate"})
    assert told == []


def test_without_its_store_the_application_does_not_start(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down(MemoryReplayStore):
        def claim(self, *_: object) -> NoReturn:
            raise OSError

    with pytest.raises(ReplayStoreError):
        load(monkeypatch, Down(single_process=True))


def test_a_forgery_is_refused(call: Call, told: Told) -> None:
    status, _ = call(*sign_request(RUN, "another secret"))
    assert (status, told) == (401, [])


def test_the_health_check_needs_no_signature(
    call: Call,
) -> None:
    assert call(b"", {}, "health") == (200, {"status": "ok"})
