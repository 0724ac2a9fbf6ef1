"""The applications of ``examples/``: each one's own test, and Port's strict API."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from port_webhook import Verifier
from port_webhook.exceptions import PayloadError
from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.reporting import PortClient
from port_webhook.testing import lambda_event, sign_kafka_message, sign_request
from tests.reporting.port_api import CLIENT_ID, CLIENT_SECRET, PortApi

FOLDER = Path(__file__).parents[2] / "examples"
NEEDED = {  # by the name under which it is imported
    "azure_function": ["azure.functions"],
    "django_project": ["django"],
    "fastapi_service": ["fastapi"],
    "flask_service": ["flask"],
    "kafka_consumer": ["confluent_kafka"],
    "lambda_function": ["boto3", "moto"],
}
PYTEST = ["pytest", "-q", "-pno:cacheprovider", "-pno:asyncio", "-pno:xdist"]
DJANGO = ["manage", "test", "--settings=platform_site.test_settings"]
PATIENCE = 300  # seconds; the slowest takes seven


def skip_without(name):
    for module in NEEDED[name]:
        pytest.importorskip(module, reason=f"{module} is not installed")


def test_every_example_is_tested():
    folders = {each.name for each in FOLDER.iterdir() if (each / "README.md").exists()}
    assert folders == NEEDED.keys()


@pytest.mark.parametrize("name", NEEDED)
def test_the_test_of_an_example_passes_in_a_copy(name, tmp_path, monkeypatch):
    skip_without(name)
    for variable in ("PORT_CLIENT_ID", "PORT_CLIENT_SECRET", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(variable, raising=False)
    copy = shutil.copytree(FOLDER / name, tmp_path / name)
    command = DJANGO if name == "django_project" else PYTEST
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed|Ran \d+ tests", done.stdout + done.stderr)


@pytest.mark.parametrize("name", NEEDED)
def test_the_requirements_of_an_example_have_extras_that_exist(name):
    lines = (FOLDER / name / "requirements.txt").read_text("utf-8").splitlines()
    assert lines == sorted(lines)
    (own,) = (line for line in lines if line.startswith("port-webhook"))
    extras = set(re.findall(r"\w+", own.removeprefix("port-webhook")))
    known = metadata("port-webhook").get_all("Provides-Extra")
    assert extras <= set(known or ())


@pytest.fixture
def api():
    api = PortApi()
    yield api
    api.close()


@pytest.fixture
def load(api, monkeypatch):
    """Load a module as a user starts it: with the environment alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("REPLAY_TABLE", "replay")
    monkeypatch.setenv("REDIS_URL", "redis://localhost")  # nobody connects to it
    monkeypatch.setenv("PORT_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("PORT_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("PORT_BASE_URL", api.url)
    monkeypatch.delenv("PORT_CLIENT_SECRET_FILE", raising=False)
    made, make = [], PortClient.from_env

    def from_env(**options):
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(PortClient, "from_env", from_env)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def load(folder, name):
        skip_without(folder)
        place = FOLDER / folder / f"{name}.py"
        module = ModuleType(name)
        # pydantic looks for the module of a class.
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(place.read_text("utf-8"), place, "exec"), vars(module))  # noqa: S102  # as Python loads it
        return module

    yield load
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("vms").setLevel(logging.NOTSET)
    for client in made:
        client.close()


def memory():
    return MemoryReplayStore(single_process=True)


@contextlib.contextmanager
def flask_service(load):
    client = load("flask_service", "flask_app").create_app(memory()).test_client()

    def post(document):
        body, headers = sign_request(document, CLIENT_SECRET)
        return client.post("/port", data=body, headers=headers).status_code

    yield post


@contextlib.contextmanager
def fastapi_service(load):
    module = load("fastapi_service", "fastapi_app")
    from fastapi.testclient import TestClient

    with TestClient(module.app) as client:

        def post(document):
            body, headers = sign_request(document, CLIENT_SECRET)
            return client.post("/port", content=body, headers=headers).status_code

        yield post


@contextlib.contextmanager
def lambda_function(load):
    skip_without("lambda_function")
    import boto3
    from moto import mock_aws

    from port_webhook.replay.dynamodb import create_table

    with mock_aws():
        create_table(boto3.client("dynamodb"), "replay")
        module = load("lambda_function", "lambda_function")

        def post(document):
            event = lambda_event(*sign_request(document, CLIENT_SECRET))
            return module.handler(event, None)["statusCode"]

        yield post


@contextlib.contextmanager
def azure_function(load):
    skip_without("azure_function")
    import azure.functions as func

    from port_webhook.replay import redis

    with patch.object(redis, "RedisReplayStore", lambda _: memory()):
        module = load("azure_function", "function_app")
    functions = {each.get_function_name(): each for each in module.app.get_functions()}

    def post(document):
        body, headers = sign_request(document, CLIENT_SECRET)
        request = func.HttpRequest("POST", "/port", headers=headers, body=body)
        return functions["receive"].get_user_function()(request).status_code

    yield post


@contextlib.contextmanager
def kafka_consumer(load):
    module = load("kafka_consumer", "kafka_consumer")
    from port_webhook.adapters.kafka import receive_message

    port = PortClient.from_env(logger=logging.getLogger("vms"))
    handle = module.make_handler(port)

    def post(document):
        message = sign_kafka_message({**document, "headers": {}}, CLIENT_SECRET)
        try:
            with receive_message(message, Verifier(CLIENT_SECRET)) as delivery:
                handle(delivery)
        except PayloadError as error:
            return error.http_status
        return 200

    yield post


@pytest.mark.parametrize(
    "example",
    [flask_service, fastapi_service, lambda_function, kafka_consumer, azure_function],
    ids=lambda example: example.__name__,
)
def test_an_example_reports_what_port_accepts(example, load, api):
    def document(run_id, action, **more):
        run = {"action": {"identifier": action}, "run": {"id": api.add_run(run_id)}}
        return {**run, "trigger": {}, "event": None, "entity": {}, "inputs": {}, **more}

    vm = {"name": "web-1", "cpu": 2}
    with example(load) as post:
        first = post(document("r_1", "create_vm", inputs=vm))
        second = post(document("r_2", "delete_vm", entity={"identifier": "web-1"}))
        third = post(document("r_3", "delete_vm"))
        fourth = post(document("r_4", "create_vm", inputs={"cpu": "many"}))
        fifth = post(document("r_5", "other"))

    # The FastAPI service answers before it works.
    later = example is fastapi_service
    assert [first, second, third] == [202 if later else 200] * 3
    assert [fourth, fifth] == [202 if later else 422] * 2
    assert api.log_of("r_1") == ["creating web-1 with 2 CPUs"]
    assert api.log_of("r_2") == ["deleting 'web-1'"]
    ended = [api.runs[f"r_{number}"]["status"] for number in range(1, 6)]
    assert ended == ["SUCCESS", "SUCCESS", "FAILURE", "FAILURE", "FAILURE"]
    ((blueprint, entity, params),) = api.entities
    assert (blueprint, params["run_id"]) == ("vm", "r_1")
    assert entity == {"identifier": "web-1", "properties": {"cpu": 2}}
    assert "inputs" in api.runs["r_4"]["summary"]
    assert "no handler" in api.runs["r_5"]["summary"]
