"""FastAPI: what the documentation of an application shows."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel, SkipValidation
from typing_extensions import TypedDict

from port_webhook import (
    ActionInvocation,
    CatalogEvent,
    CustomPayload,
)
from port_webhook.adapters.fastapi import PortWebhook, _openapi, webhook

from .doubles import Store, make
from .fastapi_requests import Ways, every_way


class Disk(BaseModel):
    size: int


class Vm(BaseModel):
    cpu: int
    disk: Disk


class Struct(msgspec.Struct):
    cpu: int
    disk: dict[str, int]


class Inputs(TypedDict):
    cpu: int
    disk: Disk


@dataclass
class Plain:
    cpu: int


@pytest.fixture
def app():
    return FastAPI()


def describe(app, path="/port"):
    document = app.openapi()
    return document["paths"][path]["post"], document["components"]


def schema_of(operation):
    return operation["requestBody"]["content"]["application/json"]["schema"]


@every_way
def test_the_documentation_shows_the_scheme_and_the_answers(app, way):
    @way(app, make())
    def endpoint(): ...

    operation, components = describe(app)
    assert operation["security"] == [{"PortWebhook": []}]
    assert components["securitySchemes"]["PortWebhook"]["type"] == "apiKey"
    assert components["securitySchemes"]["PortWebhook"]["name"] == "x-port-signature"
    assert set(operation["responses"]) == {"200", "400", "401", "413", "415", "422"}
    answer = operation["responses"]["401"]["content"]["application/json"]["schema"]
    assert answer["properties"] == {"detail": {"type": "string"}}
    assert schema_of(operation) == {}


def test_the_documentation_shows_the_answers_of_a_replay_store(app):
    @Ways.dependency(app, make(replay_store=Store()))
    def endpoint(): ...

    assert {"409", "503"} <= set(describe(app)[0]["responses"])


def test_a_fastapi_that_documents_in_another_way_is_left_alone():
    utils = SimpleNamespace()
    _openapi.extend_documentation(utils)
    assert vars(utils) == {}


def test_the_documentation_shows_a_pydantic_model(app):
    @app.post("/port")
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(make(), model=Vm))]): ...

    operation, components = describe(app)
    schema = schema_of(operation)
    assert schema["required"] == ["cpu", "disk"]
    name = schema["properties"]["disk"]["$ref"].removeprefix("#/components/schemas/")
    assert components["schemas"][name]["properties"]["size"]["type"] == "integer"


def test_a_model_of_the_same_name_in_an_answer_stays_as_it_is(app):
    @app.post("/port")
    def endpoint(vm: Annotated[Vm, Depends(PortWebhook(make(), model=Vm))]) -> Disk:
        return vm.disk

    _, components = describe(app)
    assert set(components["schemas"]) >= {"Disk", "Disk-PortWebhook"}


def test_the_documentation_shows_one_of_our_models(app):
    model = ActionInvocation[dict[str, str]]

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=model))]): ...

    schema = schema_of(describe(app)[0])
    assert schema["title"] == "ActionInvocation"
    assert "payload" in schema["required"]
    assert schema["properties"]["action"] == {"type": "string"}
    context = schema["properties"]["context"]
    assert context["properties"]["runId"] == {"type": "string"}


def payload_of(operation):
    schema = schema_of(operation)
    return schema["properties"]["payload"]["properties"]["properties"]


@pytest.mark.parametrize("model", [Inputs, Vm])
@pytest.mark.parametrize("decorated", [False, True])
def test_the_documentation_shows_the_inputs_of_an_action(app, model, decorated):
    if decorated:

        @app.post("/port")
        @webhook(make(), model=ActionInvocation[model])
        def endpoint(it: ActionInvocation): ...

    else:
        hook = PortWebhook(make(), model=ActionInvocation[model])

        @app.post("/port")
        def other(it: Annotated[Any, Depends(hook)]): ...

    operation, components = describe(app)
    inputs = payload_of(operation)
    assert inputs["properties"]["cpu"]["type"] == "integer"
    assert inputs["required"] == ["cpu", "disk"]
    name = inputs["properties"]["disk"]["$ref"].removeprefix("#/components/schemas/")
    assert components["schemas"][name]["properties"]["size"]["type"] == "integer"


def test_inputs_without_a_type_are_any_object(app):
    @app.post("/port")
    @webhook(make(), model=ActionInvocation)
    def endpoint(it: ActionInvocation): ...

    assert payload_of(describe(app)[0]) == {"type": "object"}


def test_the_documentation_shows_each_member_of_a_union_and_a_list(app):
    @app.post("/port")
    @webhook(make(), model=ActionInvocation | CatalogEvent)
    def endpoint(it: ActionInvocation | CatalogEvent): ...

    @app.post("/list")
    @webhook(make(), model=list[CatalogEvent])
    def several(them: list[CatalogEvent]): ...

    members = schema_of(describe(app)[0])["anyOf"]
    assert [each["title"] for each in members] == ["ActionInvocation", "CatalogEvent"]
    schema = schema_of(describe(app, "/list")[0])
    assert (schema["type"], schema["items"]["title"]) == ("array", "CatalogEvent")


def test_a_custom_payload_is_any_json(app):
    hook = PortWebhook(make(), model=CustomPayload)

    @app.post("/port", dependencies=[Depends(hook)])
    def endpoint(): ...

    assert schema_of(describe(app)[0]) == {}


def test_the_documentation_shows_a_msgspec_struct(app):
    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Struct))]): ...

    operation, components = describe(app)
    name = schema_of(operation)["$ref"].removeprefix("#/components/schemas/")
    assert components["schemas"][name]["required"] == ["cpu", "disk"]


def test_the_documentation_shows_a_dataclass_without_msgspec(app, monkeypatch):
    monkeypatch.delitem(sys.modules, "msgspec")

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Plain))]): ...

    assert schema_of(describe(app)[0])["required"] == ["cpu"]


def test_a_model_without_a_schema_does_not_break_the_documentation(app):
    class Odd(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        thing: SkipValidation[Store]

    @app.post("/port")
    def endpoint(it: Annotated[Any, Depends(PortWebhook(make(), model=Odd))]): ...

    assert schema_of(describe(app)[0]) == {}


def test_what_a_route_says_itself_stays(app):
    hook = PortWebhook(make(), model=Vm)
    body: dict[str, Any] = {"content": {"text/plain": {}}}

    @app.post(
        "/port",
        dependencies=[Depends(hook)],
        responses={401: {"description": "Who are you?"}},
        openapi_extra={"requestBody": body},
    )
    def endpoint(): ...

    operation, _ = describe(app)
    assert operation["responses"]["401"]["description"] == "Who are you?"
    assert operation["requestBody"] == body


def test_a_body_that_the_endpoint_declares_is_documented_by_fastapi(app):
    @Ways.route(app, make())
    def endpoint(vm: Vm): ...

    assert schema_of(describe(app)[0]) == {"$ref": "#/components/schemas/Vm"}


def test_a_get_has_no_body_and_other_routes_do_not_change(app):
    @app.get("/port", dependencies=[Depends(PortWebhook(make()))])
    def endpoint(): ...

    @app.get("/open")
    def open_endpoint(): ...

    paths = app.openapi()["paths"]
    assert "requestBody" not in paths["/port"]["get"]
    assert "401" in paths["/port"]["get"]["responses"]
    assert set(paths["/open"]["get"]["responses"]) == {"200"}
