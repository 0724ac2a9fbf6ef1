"""Nothing hangs: what no handler can take ends its run as a failure."""

from __future__ import annotations

import json
from functools import cache

import flask
import pydantic
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from port_webhook import ActionInvocation, Verifier, sign
from port_webhook.adapters import flask as flask_adapter
from port_webhook.adapters.fastapi import PortWebhook
from port_webhook.adapters.kafka import receive_message
from port_webhook.dispatch import AsyncDispatcher, Dispatcher
from port_webhook.exceptions import (
    DuplicateDeliveryError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
)
from port_webhook.replay.memory import MemoryReplayStore
from port_webhook.reporting import AsyncPortClient, PortClient

from .port_api import CLIENT_ID, CLIENT_SECRET

SECRET = "the client secret of a harbour, thirty-two"


class VmInputs(pydantic.BaseModel):
    cpu: int


def body(*, action="create_vm", cpu=2, run_id="r_1", **more):
    return json.dumps(
        {
            "action": action,
            "resourceType": "run",
            "status": "TRIGGERED",
            "trigger": {"by": {"orgId": "org_1"}, "origin": "UI", "at": "2024-01-01"},
            "context": {"entity": None, "blueprint": "vm", "runId": run_id},
            "payload": {
                "entity": None,
                "action": {"identifier": action},
                "properties": {"cpu": cpu},
            },
            **more,
        }
    )


@pytest.fixture
def blocking(api, clock):
    options = {"base_url": api.url, "clock": clock, "sleep": clock.sleep, "timeout": 60}
    with PortClient(CLIENT_ID, CLIENT_SECRET, **options) as client:
        yield client


def serve(view, verifier, **options):
    app = flask.Flask(__name__)
    app.post("/port")(flask_adapter.webhook(verifier, **options)(view))
    client = app.test_client()
    signed = cache(lambda text: sign(text, SECRET))  # a second copy is a duplicate
    return lambda text: client.post("/port", data=text, headers=signed(text))


# The hook


def test_a_payload_that_does_not_fit_its_model_fails_its_run(api, blocking):
    verifier = Verifier(SECRET, on_rejected=blocking.report_refusals)
    post = serve(lambda invocation: "", verifier, model=ActionInvocation[VmInputs])
    api.add_run()
    assert post(body(cpu="many")).status_code == 422
    # Told before the answer.
    assert api.runs["r_1"]["status"] == "FAILURE"
    assert "payload.properties.cpu" in api.runs["r_1"]["summary"]
    assert "many" not in api.runs["r_1"]["summary"]


def test_a_payload_that_a_view_cannot_parse_fails_its_run(api, blocking):
    verifier = Verifier(SECRET, on_rejected=blocking.report_refusals)
    post = serve(lambda delivery: str(delivery.invocation()), verifier)
    api.add_run()
    assert post(body(payload=[])).status_code == 422
    assert api.runs["r_1"]["changes"][0]["status"] == "FAILURE"


def test_a_record_of_kafka_that_does_not_fit_fails_its_run(api, blocking):
    verifier = Verifier(SECRET, on_rejected=blocking.report_refusals)
    message = json.loads(body(payload=[])) | {"headers": {}}
    text = json.dumps(message, separators=(",", ":"))
    signed = sign(text, SECRET)
    message["headers"] = {
        "X-Port-Signature": signed["x-port-signature"],
        "X-Port-Timestamp": signed["x-port-timestamp"],
    }
    api.add_run()
    with (
        pytest.raises(PayloadError),
        receive_message(json.dumps(message), verifier) as delivery,
    ):
        delivery.invocation()
    assert api.runs["r_1"]["status"] == "FAILURE"


def test_a_duplicate_and_a_forgery_are_reported_to_nobody(api, blocking):
    verifier = Verifier(
        SECRET,
        on_rejected=blocking.report_refusals,
        replay_store=MemoryReplayStore(single_process=True),
    )
    post = serve(lambda delivery: "", verifier)
    api.add_run()
    assert post(body()).get_data() == b""
    assert post(body()).get_json() == {"status": "duplicate"}
    for error in (
        DuplicateDeliveryError(),
        ReplayStoreError("is full"),
        SignatureMismatchError(),
        PayloadError("is not JSON"),
    ):
        if hasattr(error, "run_id") and not isinstance(error, PayloadError):
            error.run_id = "r_1"
        blocking.report_refusals(error)
    assert api.requests == []


def test_a_hook_that_cannot_report_does_not_change_the_answer(api, blocking, records):
    verifier = Verifier(SECRET, on_rejected=blocking.report_refusals)
    post = serve(lambda invocation: "", verifier, model=ActionInvocation[VmInputs])
    assert post(body(cpu="many", run_id="r_unknown")).status_code == 422
    assert [each.port_event for each in records][-1] == "reporting_failed"


# The dispatcher


@pytest.fixture
def handlers(blocking):
    handlers = Dispatcher(report=blocking)

    @handlers.on(action="create_vm", inputs=VmInputs)
    def create(inputs, run):
        run.log(f"creating {inputs.cpu}")
        if inputs.cpu > 8:
            raise OverflowError("a password")
        return {"status": "accepted"}

    return handlers


def test_each_handler_runs_inside_a_report(api, handlers):
    post = serve(handlers, Verifier(SECRET))
    api.add_run()
    assert post(body()).status_code == 200
    assert (api.log_of(), api.runs["r_1"]["status"]) == (["creating 2"], "SUCCESS")


def test_an_exception_of_a_handler_fails_the_run(api, handlers):
    post = serve(handlers, Verifier(SECRET))
    api.add_run()
    assert post(body(cpu=9)).status_code == 500
    assert api.runs["r_1"]["changes"] == [
        {"status": "FAILURE", "summary": "OverflowError"}
    ]


def test_what_no_handler_can_take_fails_the_run_once(api, handlers, blocking):
    # Both tell, and the run is told once.
    verifier = Verifier(SECRET, on_rejected=blocking.report_refusals)
    post = serve(handlers, verifier)
    api.add_run()
    assert post(body(cpu="many")).status_code == 422
    (change,) = api.runs["r_1"]["changes"]
    assert "payload.properties.cpu" in change["summary"]
    api.add_run("r_2")
    assert post(body(action="other", run_id="r_2")).status_code == 422
    (change,) = api.runs["r_2"]["changes"]
    assert "of the action other, for which there is no handler" in change["summary"]
    assert api.count("PATCH") == 2


def test_an_unknown_action_may_be_ignored(api, blocking):
    handlers = Dispatcher(report=blocking, unknown="ignore")
    handlers.on(action="create_vm")(lambda delivery: "done")
    post = serve(handlers, Verifier(SECRET))
    assert post(body(action="other")).status_code == 200
    assert api.requests == []


def test_a_failed_report_never_makes_done_work_count_as_failed(api, handlers):
    store = MemoryReplayStore(single_process=True)
    post = serve(handlers, Verifier(SECRET, replay_store=store))
    api.script("access_token", *[401] * 9)
    assert post(body()).status_code == 200
    assert post(body()).get_json() == {"status": "duplicate"}


def test_an_async_dispatcher_reports_with_the_other_client(api, clock):
    options = {"base_url": api.url, "clock": clock, "timeout": 60}
    client = AsyncPortClient(CLIENT_ID, CLIENT_SECRET, **options)
    handlers = AsyncDispatcher(report=client)

    @handlers.on(action="create_vm", inputs=VmInputs)
    async def create(inputs, run):
        await run.log(f"creating {inputs.cpu}")
        return {"status": "accepted"}

    app = FastAPI()
    port = PortWebhook(Verifier(SECRET))

    @app.post("/port")
    async def endpoint(delivery=Depends(port)):  # noqa: B008  # as FastAPI has it
        try:
            return await handlers(delivery)
        finally:
            await client.aclose()

    api.add_run()
    text = body()
    answer = TestClient(app).post("/port", content=text, headers=sign(text, SECRET))
    assert answer.json() == {"status": "accepted"}
    assert (api.log_of(), api.runs["r_1"]["status"]) == (["creating 2"], "SUCCESS")
