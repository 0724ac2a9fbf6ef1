"""The dispatchers: which handler is called, with what, and what Port is told."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutinefunction, signature
from pathlib import Path
from typing import Any

import aiohttp.web
import django.conf
import django.http
import pydantic
import pytest
from typing_extensions import TypedDict

from port_webhook import dispatch, sign, verify
from port_webhook.dispatch import AsyncDispatcher, Dispatcher
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models import (
    ActionInvocation,
    CatalogEvent,
    ChangelogMessage,
    CustomPayload,
    Entity,
    TriggerData,
    WorkflowNodeRun,
)

SECRET = "the client secret of a harbour, thirty-two"
PAYLOADS = Path(__file__).parent / "fixtures" / "payloads"
SENTINEL = "s3cret-value-that-nobody-may-quote"


class VmInputs(pydantic.BaseModel):
    cpu: int


class Region(TypedDict):
    region: str


def deliver(body):
    text = json.dumps(body)
    return verify(text, sign(text, SECRET), SECRET)


def document(name):
    return json.loads((PAYLOADS / f"{name}.json").read_bytes())


def delivery(name):
    return deliver(document(name))


def says(word):
    """Return a handler that answers *word*."""

    def handler(delivery):
        return word

    return handler


class Client:
    """Stands for a PortClient: it notes what it would report."""

    def __init__(self):
        self.reported = []

    @contextmanager
    def report(self, delivery):
        try:
            yield f"run {delivery.run_id}"
        except BaseException as error:
            self.reported.append((delivery.run_id, "FAILURE", str(error)))
            raise
        self.reported.append((delivery.run_id, "SUCCESS", ""))


class AsyncClient:
    def __init__(self):
        self.client = Client()

    @asynccontextmanager
    async def report(self, delivery):
        with self.client.report(delivery) as run:
            yield run


# Choosing


def test_the_handler_of_the_action_is_called_whatever_the_shape():
    handlers = Dispatcher()
    handlers.on(action="create_vm")(says("create"))
    handlers.on(action="grow_vm")(says("grow"))
    handlers.default(says("other"))
    assert handlers(delivery("envelope_create")) == "create"
    assert handlers(delivery("trigger_data_create")) == "create"
    assert handlers(delivery("envelope_day2_agent")) == "grow"
    assert handlers(delivery("custom_port_context")) == "grow"
    assert handlers(delivery("changelog_run_created")) == "grow"
    assert handlers(delivery("event_entity_updated")) == "other"
    assert handlers(delivery("custom_flat")) == "other"


def test_the_handler_of_the_operation_is_called():
    handlers = Dispatcher()
    for operation in ("CREATE", "DAY-2"):
        handlers.on(operation=operation)(says(operation))
    assert handlers(delivery("envelope_create")) == "CREATE"
    assert handlers(delivery("trigger_data_day2")) == "DAY-2"


@pytest.mark.parametrize(
    ("name", "words", "others"),
    [
        (
            "event_entity_created",
            ["created", "CREATE", "ENTITY_CREATED", "ANY_ENTITY_CHANGE"],
            ["updated", "RUN_CREATED", "ANY_RUN_CHANGE", "TEAM_CREATED"],
        ),
        ("event_entity_updated", ["updated", "ENTITY_UPDATED"], ["created"]),
        ("event_entity_deleted", ["deleted", "DELETE"], ["ENTITY_UPDATED"]),
        ("event_timer", ["expired", "TIMER_PROPERTY_EXPIRED"], ["updated"]),
        ("changelog_run_created", ["created", "RUN_CREATED"], ["ENTITY_CREATED"]),
        ("trigger_data_automation_run", ["RUN_UPDATED", "UPDATE"], ["deleted"]),
        ("envelope_create", [], ["created", "CREATE", "RUN_CREATED"]),
        ("trigger_data_create", [], ["created", "ANY_RUN_CHANGE"]),
        ("custom_flat", [], ["ANY_ENTITY_CHANGE"]),
    ],
)
def test_the_handler_of_the_event_is_called(name, words, others):
    for word in words:
        handlers = Dispatcher()
        handlers.on(event=word)(says(word))
        assert handlers(delivery(name)) == word
    for word in others:
        handlers = Dispatcher(unknown="ignore")
        handlers.on(event=word)(says(word))
        assert handlers(delivery(name)) == ""


def test_the_handler_of_the_model_is_called():
    handlers = Dispatcher()
    shapes = {
        ActionInvocation: "envelope_create",
        TriggerData: "trigger_data_create",
        CatalogEvent: "event_entity_updated",
        ChangelogMessage: "changelog_run_created",
        CustomPayload: "custom_flat",
        WorkflowNodeRun: "node_run",  # which is a CustomPayload, too
    }
    for shape in shapes:
        handlers.on(model=shape)(says(shape))
    for shape, name in shapes.items():
        assert handlers(delivery(name)) is shape


def test_the_most_specific_handler_is_called():
    handlers = Dispatcher()
    steps: list[tuple[str, dict[str, Any]]] = [
        ("default", {}),
        ("model", {"model": TriggerData}),
        ("change", {"event": "updated"}),
        ("event", {"event": "ENTITY_UPDATED"}),
        ("action", {"action": "notify"}),
        ("both", {"action": "notify", "event": "updated"}),
        ("more", {"action": "notify", "event": "ENTITY_UPDATED"}),
    ]
    came = delivery("trigger_data_automation_entity")
    for word, options in steps:

        def handler(_, word=word):
            return word

        (handlers.on if options else handlers.default)(**options)(handler)
        assert handlers(came) == word


def test_an_operation_counts_less_than_an_action_and_more_than_an_event():
    handlers = Dispatcher()
    came = delivery("envelope_create")
    handlers.on(operation="CREATE")(says("operation"))
    assert handlers(came) == "operation"
    handlers.on(action="create_vm")(says("action"))
    assert handlers(came) == "action"
    handlers.on(action="create_vm", operation="CREATE")(says("both"))
    assert handlers(came) == "both"
    handlers.on(action="create_vm", operation="DELETE")(says("other"))
    assert handlers(came) == "both"


# What a handler is called with


def test_a_handler_takes_the_delivery_the_model_or_the_inputs():
    handlers = Dispatcher()
    came = delivery("envelope_create")

    @handlers.on(action="create_vm")
    def takes_delivery(delivery):
        return delivery

    assert handlers(came) is came

    @handlers.on(action="create_vm", operation="CREATE", model=ActionInvocation[Region])
    def takes_model(invocation):
        return invocation

    model = handlers(came)
    assert type(model) is ActionInvocation[Region]
    assert model.properties["region"] == "eu-west-1"

    other = Dispatcher()

    @other.default(inputs=VmInputs)
    def takes_inputs(inputs):
        return inputs

    for name in ("envelope_create", "trigger_data_create"):
        assert other(delivery(name)).cpu == 2
    assert other(delivery("custom_port_context")).cpu == 4


def test_inputs_that_do_not_fit_are_a_payload_error_with_its_path_and_run():
    handlers = Dispatcher()
    handlers.default(inputs=VmInputs)(lambda inputs: inputs)
    body = document("envelope_create")
    body["payload"]["properties"]["cpu"] = SENTINEL
    with pytest.raises(PayloadError) as caught:
        handlers(deliver(body))
    assert caught.value.path == "payload.properties.cpu"
    assert caught.value.run_id == "r_Vm1Engine"
    assert SENTINEL not in str(caught.value)
    assert caught.tb.tb_next is None
    for name in ("event_entity_updated", "custom_flat"):  # where there are none
        with pytest.raises(PayloadError) as caught:
            handlers(delivery(name))
        assert caught.value.path == "inputs.cpu"


def test_inputs_that_are_all_optional_need_not_come():
    class Loose(pydantic.BaseModel):
        cpu: int = 7

    handlers = Dispatcher()
    handlers.default(inputs=Loose)(lambda inputs: inputs.cpu)
    assert handlers(delivery("event_entity_updated")) == 7
    body = document("envelope_create")
    body["payload"]["properties"] = None
    assert handlers(deliver(body)) == 7


def test_inputs_of_a_plain_type_stay_as_they_came():
    handlers = Dispatcher()
    handlers.default(inputs=dict[str, Any])(lambda inputs: inputs)
    assert handlers(delivery("trigger_data_create"))["cpu"] == 2


def test_a_payload_that_does_not_fit_the_model_says_what_came():
    handlers = Dispatcher()
    handlers.on(action="create_vm", model=TriggerData)(says("x"))
    with pytest.raises(PayloadError, match="an ActionInvocation, not TriggerData"):
        handlers(delivery("envelope_create"))


def test_the_model_of_another_library_may_be_given_beside_an_action():
    handlers = Dispatcher()

    class Body(pydantic.BaseModel):
        status: str

    handlers.on(action="create_vm", model=Body)(lambda body: body.status)
    assert handlers(delivery("envelope_create")) == "TRIGGERED"


def test_the_delivery_may_follow_a_request_and_come_by_keyword():
    handlers = Dispatcher()
    handlers.default(says("x"))
    came = delivery("custom_flat")
    assert handlers("request", came, 5, user="ada") == "x"
    assert handlers(came, "context") == "x"
    assert handlers(delivery=came) == "x"
    for wrong in ((), ("request",), (ActionInvocation,)):
        with pytest.raises(ConfigurationError, match="give model= to its handlers"):
            handlers(*wrong)


def test_what_a_handler_raises_passes_with_our_frames_cleared():
    handlers = Dispatcher()

    @handlers.default(model=CustomPayload)
    def fails(payload):
        raise KeyError(payload.body["service"])

    with pytest.raises(KeyError) as caught:
        handlers(deliver({"service": SENTINEL}))
    trace: Any = caught.tb.tb_next
    while trace.tb_next is not None:
        assert SENTINEL not in repr(trace.tb_frame.f_locals)
        trace = trace.tb_next


# Unknown


def test_an_unknown_action_is_a_payload_error_that_names_it():
    handlers = Dispatcher()
    handlers.on(action="grow_vm")(says("x"))
    with pytest.raises(PayloadError) as caught:
        handlers(delivery("envelope_create"))
    assert caught.value.http_status == 422
    assert caught.value.run_id == "r_Vm1Engine"
    assert str(caught.value) == (
        "The payload is an ActionInvocation of the action create_vm, for which there "
        "is no handler."
    )
    with pytest.raises(PayloadError, match="is a CustomPayload, for which"):
        handlers(delivery("custom_flat"))


@pytest.mark.parametrize("name", ["a\nb", "ü", "x" * 65])
def test_an_action_that_should_not_reach_a_log_is_not_named(name):
    with pytest.raises(PayloadError, match=r"of the action \?, for which"):
        Dispatcher()(deliver({"action": name}))


def test_an_unknown_action_may_be_ignored():
    client = Client()
    handlers = Dispatcher(report=client, unknown="ignore")
    handlers.on(action="grow_vm")(says("grow"))
    assert handlers(delivery("envelope_create")) == ""
    assert client.reported == []
    assert handlers(delivery("envelope_day2_agent")) == "grow"
    with pytest.raises(PayloadError, match="payload must be an object"):
        handlers(deliver(document("envelope_create") | {"payload": []}))
    assert [status for _, status, _ in client.reported] == ["SUCCESS", "FAILURE"]


def test_what_is_ignored_is_answered_with_a_response_of_the_framework():
    handlers = Dispatcher(unknown="ignore")
    came = delivery("custom_flat")
    answer = handlers(django.http.HttpRequest(), came)
    assert isinstance(answer, django.http.HttpResponse)
    assert answer.status_code == 200

    class Request(aiohttp.web.Request):
        def __init__(self): ...

    Request.__module__ = "aiohttp.web_request"
    answer = asyncio.run(AsyncDispatcher(unknown="ignore")(Request(), came))
    assert isinstance(answer, aiohttp.web.Response)
    assert answer.status == 200


# Reporting


def test_each_handler_runs_inside_a_report_and_may_take_the_run():
    client = Client()
    handlers = Dispatcher(report=client)

    @handlers.on(action="create_vm", inputs=VmInputs)
    def create(inputs, run):
        return inputs.cpu, run

    @handlers.on(action="grow_vm")
    def grow(delivery):
        assert client.reported == [("r_Vm1Engine", "SUCCESS", "")]
        raise KeyError("cpu")

    assert handlers(delivery("envelope_create")) == (2, "run r_Vm1Engine")
    with pytest.raises(KeyError):
        handlers(delivery("envelope_day2_agent"))
    assert client.reported[1:] == [("run_Vm2Engine", "FAILURE", "'cpu'")]


def test_what_no_handler_can_take_is_reported_as_a_failure():
    client = Client()
    handlers = Dispatcher(report=client)
    handlers.on(action="create_vm", inputs=VmInputs)(says("x"))
    body = document("envelope_create")
    body["payload"]["properties"]["cpu"] = "many"
    for each in (deliver(body), delivery("envelope_day2_agent")):
        with pytest.raises(PayloadError):
            handlers(each)
    texts = [text for _, status, text in client.reported if status == "FAILURE"]
    assert "payload.properties.cpu is not valid" in texts[0]
    assert "of the action grow_vm, for which there is no handler" in texts[1]


def test_a_second_parameter_takes_the_run_if_it_is_required_or_called_run():
    handlers = Dispatcher(report=Client())

    @handlers.on(action="create_vm")
    def takes_the_run(delivery, run=None):
        return run

    @handlers.on(action="grow_vm")
    def has_an_option(delivery, other="own"):
        return other

    handlers.default(lambda *arguments: len(arguments))
    assert handlers(delivery("envelope_create")) == "run r_Vm1Engine"
    assert handlers(delivery("envelope_day2_agent")) == "own"
    assert handlers(delivery("custom_flat")) == 1


def test_a_client_of_the_other_kind_is_refused():
    handlers = Dispatcher(report=AsyncClient())  # type: ignore[arg-type]  # the point
    handlers.default(says("x"))
    with pytest.raises(ConfigurationError, match="needs a synchronous client"):
        handlers(delivery("custom_flat"))
    awaited = AsyncDispatcher(report=Client())  # type: ignore[arg-type]  # the point
    awaited.default(says("x"))
    with pytest.raises(ConfigurationError, match="needs an asynchronous client"):
        asyncio.run(awaited(delivery("custom_flat")))


# Asynchronous


def test_an_async_dispatcher_takes_handlers_of_both_kinds():
    client = AsyncClient()
    handlers = AsyncDispatcher(report=client)

    @handlers.on(action="create_vm", inputs=VmInputs)
    async def create(inputs, run):
        return inputs.cpu, run

    @handlers.on(action="grow_vm")
    def grow(delivery):
        return threading.current_thread() is threading.main_thread()

    assert asyncio.run(handlers(delivery("envelope_create"))) == (2, "run r_Vm1Engine")
    assert asyncio.run(handlers("request", delivery("envelope_day2_agent"))) is False
    with pytest.raises(PayloadError, match="there is no handler"):
        asyncio.run(handlers(delivery("custom_flat")))
    assert [status for _, status, _ in client.client.reported] == [
        "SUCCESS",
        "SUCCESS",
        "FAILURE",
    ]


def test_an_async_dispatcher_needs_no_client():
    class Handler:
        async def __call__(self, delivery):
            return delivery.run_id

    handlers = AsyncDispatcher(unknown="ignore")
    handlers.on(action="create_vm")(Handler())
    assert asyncio.run(handlers(delivery("envelope_create"))) == "r_Vm1Engine"
    assert asyncio.run(handlers(delivery("custom_flat"))) == ""


def test_a_dispatcher_looks_like_a_view_of_its_kind():
    assert iscoroutinefunction(AsyncDispatcher())
    assert not iscoroutinefunction(Dispatcher())
    for handlers in (Dispatcher(), AsyncDispatcher()):
        assert handlers.__name__ == "dispatcher"
        signature(handlers).bind("request", "delivery", more=1)
        assert repr(handlers).startswith("<port_webhook.dispatch.")


# What is refused when it is registered


async def asynchronous(delivery): ...


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "Say which deliveries the handler is for"),
        ({"model": VmInputs}, "Say which deliveries the handler is for"),
        ({"model": Entity}, "Say which deliveries the handler is for"),
        ({"inputs": VmInputs}, "Say which deliveries the handler is for"),
        ({"event": "renamed"}, "event must be"),
        ({"event": "_CREATED"}, "event must be"),
        ({"event": 5}, "event must be"),
        ({"action": "x", "model": int}, "int is not a model"),
        ({"action": "x", "inputs": Entity | VmInputs}, "no one library reads"),
        ({"action": "x", "model": TriggerData, "inputs": VmInputs}, "not both"),
        ({"model": VmInputs | Entity}, "Say which"),
    ],
)
def test_a_handler_for_nothing_in_particular_is_refused(options, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Dispatcher().on(**options)


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ({"action": "x"}, {"action": "x", "model": TriggerData}),
        ({"event": "created"}, {"event": "CREATE"}),
        ({"event": "ENTITY_CREATED"}, {"event": "entity_created"}),
        ({"model": TriggerData}, {"model": TriggerData[Region]}),
        ({"operation": "CREATE"}, {"operation": "CREATE", "inputs": VmInputs}),
    ],
)
def test_a_second_handler_for_the_same_is_refused(options, again):
    handlers = Dispatcher()
    handlers.on(**options)(says("x"))
    with pytest.raises(ConfigurationError, match="handler is already the handler for"):
        handlers.on(**again)(says("y"))


def test_a_second_default_is_refused():
    handlers = Dispatcher()
    handlers.default(says("x"))
    with pytest.raises(ConfigurationError, match="is already the handler for"):
        handlers.default(model=CustomPayload)(says("y"))


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (asynchronous, "asynchronous is asynchronous; use an AsyncDispatcher"),
        (lambda: 1, "must take the delivery"),
        (lambda a, b, c: 1, "must take the delivery"),
        (lambda *, delivery: 1, "must take the delivery"),
        (lambda delivery, run: 1, "needs report="),
        (5, "A handler is a function, not int"),
        (VmInputs, "A handler is a function, not"),
    ],
)
def test_a_handler_that_cannot_be_called_is_refused(handler, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Dispatcher().on(action="x")(handler)
    with pytest.raises(ConfigurationError, match=problem):
        Dispatcher().default(handler)


def test_a_synchronous_handler_cannot_take_an_asynchronous_run():
    handlers = AsyncDispatcher(report=AsyncClient())
    with pytest.raises(ConfigurationError, match="only a coroutine function can await"):
        handlers.default(lambda delivery, run: None)


@pytest.mark.parametrize("kind", [Dispatcher, AsyncDispatcher])
@pytest.mark.parametrize("options", [{"report": "client"}, {"unknown": "raise"}])
def test_wrong_options_are_refused(kind, options):
    with pytest.raises(ConfigurationError, match="must be"):
        kind(**options)


def test_a_built_in_function_may_be_a_handler():
    handlers = Dispatcher()
    handlers.default(repr)
    assert "Delivery" in handlers(delivery("custom_flat"))


def test_the_public_names_are_these():
    assert sorted(dispatch.__all__) == [
        "AsyncDispatcher",
        "AsyncReporter",
        "Dispatcher",
        "Reporter",
    ]
