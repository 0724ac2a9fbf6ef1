"""The complete services of ``examples/services``, against Port's API."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest

from port_webhook import Verifier, sign
from port_webhook.adapters.kafka import receive_message
from port_webhook.exceptions import PayloadError

from .port_api import CLIENT_ID, CLIENT_SECRET

FOLDER = Path(__file__).parents[2] / "examples" / "services"


@pytest.fixture
def load(api, monkeypatch):
    """Load a service as a user starts it: with the environment alone."""
    monkeypatch.setenv("PORT_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("PORT_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("PORT_BASE_URL", api.url)
    monkeypatch.delenv("PORT_CLIENT_SECRET_FILE", raising=False)
    logging.getLogger("vms").setLevel(logging.INFO)
    made = []

    def load(name):
        path = FOLDER / f"{name}.py"
        module = ModuleType(name)
        # pydantic looks for the module of a class.
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(path.read_text("utf-8"), path, "exec"), vars(module))  # noqa: S102  # as Python loads it
        made.append(module)
        return module

    yield load
    for each in made:
        if hasattr(each.port, "close"):
            each.port.close()


@contextlib.contextmanager
def flask_service(load):
    client = load("flask_service").app.test_client()

    def post(text):
        found = client.post("/port", data=text, headers=sign(text, CLIENT_SECRET))
        return found.status_code

    yield post


@contextlib.contextmanager
def fastapi_service(load):
    from fastapi.testclient import TestClient

    service = load("fastapi_service")
    # One event loop for all, as under a server.
    with TestClient(service.app) as client:

        def post(text):
            headers = sign(text, CLIENT_SECRET)
            return client.post("/port", content=text, headers=headers).status_code

        yield post
        assert client.portal is not None
        client.portal.call(service.port.aclose)


@contextlib.contextmanager
def kafka_service(load):
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
    service = load("kafka_service")
    verifier = Verifier(CLIENT_SECRET)

    def post(text):
        document = json.loads(text) | {"headers": {}}
        signed = sign(json.dumps(document, separators=(",", ":")), CLIENT_SECRET)
        document["headers"] = {
            "X-Port-Signature": signed["x-port-signature"],
            "X-Port-Timestamp": signed["x-port-timestamp"],
        }
        try:
            with receive_message(json.dumps(document), verifier) as delivery:
                service.handlers(delivery)
        except PayloadError as error:
            return error.http_status
        return 200

    yield post


@pytest.fixture(params=[flask_service, fastapi_service, kafka_service])
def post(request, load):
    with request.param(load) as post:
        yield post


def test_a_service_does_what_a_service_does(post, api):
    def body(run_id, action="create_vm", cpu=2):
        document = {
            "action": {"identifier": action},
            "run": {"id": api.add_run(run_id)},
        }
        more = {"inputs": {"cpu": cpu}, "trigger": {}, "event": None, "entity": {}}
        return json.dumps(document | more)

    assert post(body("r_1")) == 200
    assert api.log_of("r_1") == ["creating a machine with 2 CPUs"]
    assert api.runs["r_1"]["status"] == "SUCCESS"
    ((blueprint, entity, params),) = api.entities
    assert (blueprint, params["run_id"]) == ("vm", "r_1")
    assert entity == {"identifier": "vm-r_1", "properties": {"cpu": 2}}

    assert post(body("r_2", "grow_vm")) == 200
    assert api.runs["r_2"]["changes"] == [
        {"status": "FAILURE", "summary": "no host has room for 2 CPUs"}
    ]
    assert post(body("r_3", cpu="many")) == 422
    assert "inputs.cpu" in api.runs["r_3"]["summary"]
    assert post(body("r_4", "other")) == 422
    assert "no handler" in api.runs["r_4"]["summary"]


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem
)
def test_a_service_has_at_most_35_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 35
