"""The models: each shape, each documented peculiarity, and that nothing gets lost."""

from __future__ import annotations

import copy
import json
import pickle
import re
import types
from collections import UserDict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_webhook import models
from port_webhook._run_id import find_run_id
from port_webhook.exceptions import PayloadError
from port_webhook.models import (
    ActionInvocation,
    ActionPayload,
    Actor,
    CatalogEvent,
    ChangelogMessage,
    CustomPayload,
    Entity,
    Model,
    Resource,
    Run,
    RunContext,
    Trigger,
    TriggerData,
    User,
    WebhookInvocationMethod,
    WorkflowNodeRun,
    load_invocation,
)
from port_webhook.models._base import fields_of as all_fields_of

PAYLOADS = Path(__file__).parent / "fixtures" / "payloads"
SHAPES: dict[str, Any] = {
    "changelog_entity_updated": ChangelogMessage,
    "changelog_run_created": ChangelogMessage,
    "changelog_timer_expired": ChangelogMessage,
    "changelog_timer_old": ChangelogMessage,
    "custom_flat": CustomPayload,
    "custom_port_context": CustomPayload,
    "custom_wrapped": CustomPayload,
    "envelope_create": ActionInvocation,
    "envelope_day2_agent": ActionInvocation,
    "envelope_minimal": ActionInvocation,
    "event_entity_created": CatalogEvent,
    "event_entity_deleted": CatalogEvent,
    "event_entity_updated": CatalogEvent,
    "event_timer": CatalogEvent,
    "node_run": WorkflowNodeRun,
    "trigger_data_automation_entity": TriggerData,
    "trigger_data_automation_run": TriggerData,
    "trigger_data_create": TriggerData,
    "trigger_data_day2": TriggerData,
    "trigger_data_test_dialog": TriggerData,
}
SENTINEL = "s3cret-value-that-nobody-may-quote"


def read(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


def document(name):
    return json.loads(read(name))


def invocation(name):
    return load_invocation(read(name))


def load(body):
    return load_invocation(json.dumps(body).encode())


def at(body, path):
    """Return the container of *path* in *body*, and its last step."""
    *way, last = path.split(".")
    for step in way:
        body = body[int(step) if isinstance(body, list) else step]
    return body, int(last) if isinstance(body, list) else last


def changed(name, path, value):
    body = document(name)
    holder, key = at(body, path)
    holder[key] = value
    return body


def fields_of(model):
    """Return the fields of a class that read one key, by the names of attributes."""
    return {name: field for name, field in all_fields_of(model).items() if field.key}


def parts_of(model, way=()):
    """Yield *model* and every part of it, with the keys that lead there."""
    yield way, model
    inner = {name: [field.key] for name, field in fields_of(type(model)).items()}
    if "diff" in inner:
        inner |= {side: ["diff", side] for side in ("before", "after")}
    if isinstance(model, CustomPayload):
        inner["port_context"] = ["port_context"]
    for name, keys in inner.items():
        value = getattr(model, name)
        if isinstance(value, Model):
            yield from parts_of(value, (*way, *keys))


def classes_below(model):
    for child in model.__subclasses__():
        yield child
        yield from classes_below(child)


OURS = [
    model
    for model in classes_below(Model)
    if model.__module__.startswith("port_webhook.models")
    and "_origin" not in vars(model)  # it has a type in brackets
]


# Telling the shapes apart


def test_every_fixture_has_a_shape():
    assert {path.stem for path in PAYLOADS.glob("*.json")} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_document_is_loaded_as_its_own_shape_and_given_back_whole(name):
    model = invocation(name)
    assert type(model) is SHAPES[name]
    # Compared as text, so that the order of the keys counts.
    assert json.dumps(model.to_dict()) == json.dumps(document(name))


@pytest.mark.parametrize(
    "body", [None, True, 0, 1.5, "text", [], {}, [{"action": "x"}], {"action": 1}]
)
def test_any_other_json_is_a_custom_payload(body):
    model = load(body)
    assert type(model) is CustomPayload
    assert model.body == body
    assert model.to_dict() == body
    assert model.extra == (body if isinstance(body, dict) else {})


@pytest.mark.parametrize(
    "missing", ["action", "resourceType", "status", "trigger", "context"]
)
def test_an_envelope_without_one_of_its_names_is_a_custom_payload(missing):
    body = document("envelope_create")
    del body[missing]
    assert type(load(body)) is CustomPayload


def test_an_authors_own_body_may_use_ports_names_for_text():
    body = {"inputs": {"cpu": 2}, "trigger": "CREATE", "run": "r_1", "action": "x"}
    assert type(load(body)) is CustomPayload
    assert type(load({"context": {"runId": "wfnr_1"}, "payload": "x"})) is CustomPayload
    assert type(load({"context": {"runId": "r_1"}, "payload": {}})) is CustomPayload
    assert type(load({"context": {"runId": 5}, "payload": {"action": {}}})) is (
        CustomPayload
    )


def names_of(name, *, but=()):
    """Return the document *name* with text and null in place of each object."""
    body = document(name)
    for key, value in body.items():
        if isinstance(value, dict) and key not in but:
            body[key] = "text"
    return body


@pytest.mark.parametrize(
    "body",
    [
        names_of("envelope_create"),
        names_of("changelog_entity_updated"),
        names_of("event_entity_updated"),
        names_of("trigger_data_create"),
        dict.fromkeys(document("envelope_create")),
        dict.fromkeys(document("trigger_data_create")),
        {
            "action": "deploy",
            "inputs": {"a": 1},
            "trigger": "ada@example.com",
            "event": None,
            "run": "r_1",
        },
        {
            "action": "deploy",
            "resourceType": "run",
            "status": "s",
            "trigger": "manual",
            "context": "prod",
        },
    ],
)
def test_all_of_ports_names_without_one_of_its_objects_are_an_authors_own(body):
    model = load(body)
    assert type(model) is CustomPayload
    assert model.body == body


@pytest.mark.parametrize(
    ("name", "part", "path"),
    [
        ("envelope_create", "trigger", "context"),
        ("envelope_create", "context", "trigger"),
        ("envelope_create", "payload", "trigger"),
        ("changelog_entity_updated", "trigger", "context"),
        ("changelog_entity_updated", "context", "trigger"),
        ("event_entity_updated", "trigger", "context"),
        ("event_entity_updated", "context", "trigger"),
        ("trigger_data_create", "trigger", "inputs"),
        ("trigger_data_create", "run", "inputs"),
        ("trigger_data_create", "action", "inputs"),
    ],
)
def test_one_of_ports_objects_makes_it_ports_and_the_others_wrong(name, part, path):
    body = names_of(name, but=[part])
    if name == "envelope_create":  # whose three objects are required
        with pytest.raises(PayloadError) as caught:
            load(body)
        assert caught.value.path == path
    else:
        with pytest.raises(PayloadError) as caught:
            load(body).validate()
        assert body[path] == body[caught.value.path] == "text"


@pytest.mark.parametrize(
    "run_id", ["wfnr", "wfnr-1", "wfn_1", "w_1", "r_1", " wfnr_1", "WFNR_1"]
)
def test_the_run_of_a_node_has_the_whole_prefix(run_id):
    assert type(load(changed("node_run", "context.runId", run_id))) is CustomPayload
    assert type(load(changed("node_run", "context.runId", "wfnr_"))) is WorkflowNodeRun


def test_trigger_data_is_recognised_without_its_event_or_action():
    body = document("trigger_data_create")
    del body["event"], body["action"]
    assert type(load(body)) is TriggerData


def test_an_event_is_recognised_by_its_diff_or_its_context():
    body = document("event_entity_updated")
    del body["diff"]
    assert type(load(body)) is CatalogEvent
    body["context"] = {}
    assert type(load(body)) is CustomPayload
    body["context"] = None
    assert type(load(body)) is CustomPayload


def test_an_envelope_that_names_a_changelog_destination_is_still_an_envelope():
    body = document("envelope_create") | {"changelogDestination": {"type": "KAFKA"}}
    model = load(body)
    assert type(model) is ActionInvocation
    assert model.extra == {"changelogDestination": {"type": "KAFKA"}}


def test_a_node_run_with_a_whole_envelope_is_an_invocation():
    model = load(changed("envelope_create", "context.runId", "wfnr_9"))
    assert type(model) is ActionInvocation
    assert model.run_id == "wfnr_9"


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"\xff", b"\xef\xbb\xbf{}"]
)
def test_what_is_not_strict_json_is_no_invocation(data):
    with pytest.raises(PayloadError) as caught:
        load_invocation(data)
    assert caught.value.path == ""


# Reading


def test_an_envelope_reads_in_snake_case():
    model = invocation("envelope_create")
    assert model.action == "create_vm"
    assert model.resource_type == "run"
    assert model.status == "TRIGGERED"
    assert model.trigger.origin == "UI"
    assert model.trigger.by.org_id == "org_Analytical"
    assert model.trigger.by.user_id == "auth0|ada1815"
    assert model.trigger.by.user.email == "ada@example.com"
    assert model.trigger.by.user.first_name == "Ada"
    assert model.trigger.by.user.last_name == "Lovelace"
    assert model.trigger.by.user.phone_number == ""
    assert model.trigger.by.user.providers == ("port",)
    assert model.context.entity is None
    assert model.context.blueprint == "vm"
    assert model.run_id == model.context.run_id == "r_Vm1Engine"
    assert model.payload.entity is None
    assert model.payload.action.identifier == "create_vm"
    assert model.payload.action.trigger == "CREATE"
    assert model.payload.action.user_inputs["required"] == ["cpu", "region"]
    assert model.payload.action.invocation_method.type == "WEBHOOK"
    assert model.payload.action.invocation_method.synchronized is False
    assert model.payload.censored_properties == ()
    assert model.properties == {"cpu": 2, "memory": 4.5, "region": "eu-west-1"}
    assert model.headers is None
    assert model.extra == {}


def test_times_are_aware_whether_they_end_in_z_or_in_an_offset():
    zulu = invocation("envelope_create").trigger.at
    assert zulu == datetime(2024, 5, 4, 12, 53, 52, 916000, tzinfo=UTC)
    offset = invocation("envelope_day2_agent").trigger.at
    assert offset.utcoffset() == timedelta(hours=2)
    assert offset == datetime(2024, 5, 4, 12, 53, 52, tzinfo=UTC)


def test_an_envelope_of_the_agent_has_headers_and_an_entity():
    model = invocation("envelope_day2_agent")
    assert model.headers["X-Port-Timestamp"] == 1714834432
    assert model.trigger.by.user is None
    entity = model.payload.entity
    assert entity.identifier == "engine-1"
    assert entity.icon is None
    assert entity.team is None
    assert entity.relations["disks"] == ["a", "b"]
    assert entity.created_by == "auth0|ada1815"
    method = model.payload.action.invocation_method
    assert method.agent is True
    assert method.synchronized == "{{ .inputs.wait }}"
    assert method.headers == {"X-Mill": "1"}
    assert method.body is None


def test_the_fields_of_every_example_suffice_and_all_others_are_none():
    model = invocation("envelope_minimal")
    assert model.status == "SUCCESS"
    assert model.trigger.origin == "SUNDIAL"
    assert model.context.run_id is None
    assert model.payload.action is None
    assert model.payload.censored_properties is None
    assert model.payload.properties is None
    assert model.properties == {}
    assert model.properties is model.properties


def test_null_properties_are_none_and_the_shortcut_to_them_is_empty():
    model = load(changed("envelope_create", "payload.properties", None))
    assert model.payload.properties is None
    assert model.properties == {}
    model = load(changed("envelope_create", "payload.properties", {}))
    assert model.properties is model.payload.properties


def test_whether_the_agent_calls_may_be_a_jq_expression():
    for value in (True, False, "{{ .inputs.agent }}"):
        assert WebhookInvocationMethod.from_dict({"agent": value}).agent == value


def test_trigger_data_of_a_creation_has_no_entity_though_an_empty_object_came():
    model = invocation("trigger_data_create")
    assert model.entity is None
    assert model.to_dict()["entity"] == {}
    assert model.event is None
    assert model.inputs == {"cpu": 2, "region": "eu-west-1"}
    assert model.trigger.operation == "CREATE"
    assert model.action.encrypted_properties == ("password",)
    assert model.run_id == "r_Vm3Engine"


def test_trigger_data_of_a_day_2_action_has_its_entity():
    entity = invocation("trigger_data_day2").entity
    assert entity.team == ("mechanics",)
    assert entity.properties == {"region": "eu-west-1", "cpu_cores": 2}


def test_trigger_data_of_the_test_dialog_has_secrets_and_no_entity():
    model = invocation("trigger_data_test_dialog")
    assert model.entity is None
    assert model.extra == {"secrets": {"token": "{{ secret }}"}}


def test_trigger_data_of_an_automation_has_an_event_and_no_inputs():
    model = invocation("trigger_data_automation_entity")
    assert model.inputs is None
    assert model.entity is None
    assert model.trigger.operation is None
    assert model.action.blueprint is None
    assert model.event.context.blueprint_identifier == "vm"
    assert model.event.context.entity_identifier == "engine-1"
    assert model.event.context.property_identifier is None
    assert model.event.before.icon is None
    assert model.event.after.title == "Engine One, repaired"
    assert model.event.change == "updated"


def test_trigger_data_without_a_run_has_no_run_id():
    assert TriggerData.from_dict({}).run_id is None
    assert TriggerData.from_dict({"run": {}}).run_id is None


def test_a_run_event_holds_the_action_and_both_runs():
    event = invocation("trigger_data_automation_run").event
    assert event.id == "event_Mill1"
    assert event.context.action.trigger.operation == "DAY-2"
    assert event.context.action.trigger.user_inputs["order"] == []
    assert event.context.action.required_approval is False
    assert [type(side) for side in (event.before, event.after)] == [Run, Run]
    run = event.after
    assert run.id == "r_Vm6Engine"
    assert run.action.identifier == "grow_vm"
    assert run.action.deleted is True
    assert run.action.title is None
    assert run.blueprint.icon == "Server"
    assert run.entity.title == "Engine One"
    assert run.link == ("https://logs.example.com/6",)
    assert run.payload.body == {"port_context": {"runId": "r_Vm6Engine"}}
    assert run.response == {"ok": True}
    assert run.approval == {"state": "APPROVE"}
    assert run.status_label == "Grown"
    assert run.ended_at.minute == 55
    assert event.before.ended_at is None
    assert event.before.source == {"type": "UI"}
    assert run.raw_properties == {"cpu": "4"}
    assert event.context.affected_entities[0]["action"] == "CREATE"


def test_a_changelog_message_names_the_action_of_a_run_as_bare_text():
    message = invocation("changelog_run_created")
    assert message.after.action.identifier == "grow_vm"
    assert message.after.to_dict()["action"] == "grow_vm"
    assert message.after.extra == {"relatedEntityExists": False}
    assert message.context.run_id == "r_Vm9Engine"
    assert message.changelog_destination.agent is True
    assert message.status == "TRIGGERED"


def test_the_link_of_a_run_may_be_one_text():
    assert Run.from_dict({"link": "https://x.example.com"}).link == (
        "https://x.example.com",
    )


def test_a_node_run_is_a_custom_payload_that_knows_its_run():
    model = invocation("node_run")
    assert issubclass(type(model), CustomPayload)
    assert model.run_id == "wfnr_mill1"
    assert model.payload.action.invocation_method.agent is True
    assert model.headers["X-Port-Timestamp"] == 1714834432
    assert model.body == document("node_run")
    assert model.extra == {}
    assert model.context.workflow_run_id == "wfr_mill1"
    assert model.inputs == {"cpu": 2}  # from context.nodeConfig.body


@pytest.mark.parametrize(
    ("body", "path", "problem"),
    [
        ({}, "context", "is missing"),
        ({"context": {}}, "context.runId", "is missing"),
        ({"context": {"runId": None}}, "context.runId", "is missing"),
        ({"context": {"runId": 5}}, "context.runId", "must be text"),
        ({"context": {"runId": SENTINEL}}, "context.runId", "must start with wfnr_"),
        ({"context": {"runId": "wfnr-1"}}, "context.runId", "must start with wfnr_"),
    ],
)
def test_a_node_run_must_have_the_id_of_one(body, path, problem):
    with pytest.raises(PayloadError) as caught:
        WorkflowNodeRun.from_dict(body)
    assert caught.value.path == path
    assert str(caught.value) == f"The payload's field {path} {problem}."


def test_port_itself_needs_no_organisation_but_everybody_else_does():
    assert Actor.from_dict({"byPort": True}).org_id is None
    assert invocation("event_timer").trigger.by.by_port is True
    for body in ({}, {"byPort": False}, {"orgId": None}):
        with pytest.raises(PayloadError, match="is missing") as caught:
            Actor.from_dict(body).validate()
        assert caught.value.path == "orgId"


# What happened


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("event_entity_created", "created"),
        ("event_entity_updated", "updated"),
        ("event_entity_deleted", "deleted"),
        ("event_timer", "expired"),
        ("changelog_timer_expired", "expired"),
        ("changelog_entity_updated", "updated"),
        # Its action is the identifier of an action; the two sides tell.
        ("changelog_run_created", "created"),
    ],
)
def test_a_change_is_told_from_the_action_or_from_the_two_sides(name, change):
    assert invocation(name).change == change


@pytest.mark.parametrize("model", [CatalogEvent, ChangelogMessage])
@pytest.mark.parametrize(
    ("diff", "change"),
    [
        ({"before": None, "after": {}}, "created"),
        ({"before": {}, "after": {}}, "updated"),
        ({"before": {}, "after": None}, "deleted"),
        ({"before": None, "after": None}, None),
        ({"after": {}}, None),
        ({"before": {}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_sides_of_a_run_tell_where_its_action_has_another_word(model, diff, change):
    body = {"action": "grow_vm", "diff": diff}
    event = model.from_dict(body | {"resourceType": "run"})
    assert event.change == change
    assert event.action == "grow_vm"
    # Of anything else nobody says what another word means.
    for kind in ("entity", "team", None):
        assert model.from_dict(body | {"resourceType": kind}).change is None


def test_the_word_of_a_run_counts_more_than_its_sides():
    body = {"resourceType": "run", "diff": {"before": None, "after": {}}}
    assert CatalogEvent.from_dict(body | {"action": "UPDATE"}).change == "updated"
    assert CatalogEvent.from_dict(body).change == "created"


@pytest.mark.parametrize("word", ["TIMER_EXPIRED", "TIMER_PROPERTY_EXPIRED"])
@pytest.mark.parametrize("model", [CatalogEvent, ChangelogMessage])
def test_the_words_of_a_timer_are_no_creation_though_nothing_was_before(model, word):
    body = {"action": word, "resourceType": "entity"}
    assert model.from_dict(body).change == "expired"
    for before in (False, True):
        diff: dict[str, Any] = {"before": None, "after": {}}
        if not before:
            del diff["before"]
        assert model.from_dict(body | {"diff": diff}).change == "expired"


@pytest.mark.parametrize("word", ["CREATE", "UPDATE", "DELETE", "TRANSMUTE", None])
def test_an_event_that_names_a_property_is_that_of_a_timer(word):
    body = document("event_timer") | {"action": word}
    body["diff"]["before"] = None
    for named in ("ttl", ""):
        body["context"]["propertyIdentifier"] = named
        assert CatalogEvent.from_dict(body).change == "expired"
    body["context"]["propertyIdentifier"] = None
    assert CatalogEvent.from_dict(body).change != "expired"


def test_both_sides_are_entities_runs_or_something_unknown():
    for kind, model in (("entity", Entity), ("run", Run), ("team", Resource)):
        diff = {"before": None, "after": {"identifier": "x", "colour": "red"}}
        event = CatalogEvent.from_dict({"resourceType": kind, "diff": diff})
        assert event.before is None
        assert type(event.after) is model
        assert event.after is event.after
        assert event.after.identifier == "x"
        assert event.after.extra == {"colour": "red"}
    assert CatalogEvent.from_dict({}).after is None
    assert type(CatalogEvent.from_dict({"diff": {"after": {}}}).after) is Resource


def test_a_timer_of_the_change_log_has_no_sides():
    message = invocation("changelog_timer_expired")
    assert message.diff is None
    assert message.before is None
    assert message.after is None


# One set of accessors

ACCESSORS = (
    "run_id",
    "action_identifier",
    "operation",
    "blueprint",
    "entity_identifier",
    "user_email",
    "organization_id",
)
ADA, ORG = "ada@example.com", "org_Analytical"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "envelope_create",
            ("r_Vm1Engine", "create_vm", "CREATE", "vm", None, ADA, ORG),
        ),
        (
            "envelope_day2_agent",
            ("run_Vm2Engine", "grow_vm", "DAY-2", "vm", "engine-1", None, ORG),
        ),
        (
            "trigger_data_create",
            ("r_Vm3Engine", "create_vm", "CREATE", "vm", None, ADA, ORG),
        ),
        (
            "trigger_data_day2",
            ("r_Vm4Engine", "grow_vm", "DAY-2", "vm", "engine-1", ADA, ORG),
        ),
        (
            "trigger_data_automation_entity",
            ("r_Vm7Engine", "notify", None, "vm", "engine-1", ADA, ORG),
        ),
        (
            "event_entity_updated",
            (None, None, None, "vm", "engine-1", None, ORG),
        ),
        (
            "changelog_run_created",
            ("r_Vm9Engine", "grow_vm", None, "vm", None, None, ORG),
        ),
        ("changelog_timer_old", (None, None, None, "vm", "engine-1", None, ORG)),
        ("node_run", ("wfnr_mill1", None, None, None, None, None, None)),
        (
            "custom_port_context",
            ("r_VmBEngine", "grow_vm", "DAY-2", "vm", "engine-1", ADA, ORG),
        ),
        (
            "custom_wrapped",
            ("run_Vm2Engine", "grow_vm", "DAY-2", "vm", "engine-1", None, ORG),
        ),
    ],
)
def test_every_shape_has_the_same_accessors(name, expected):
    model = invocation(name)
    assert tuple(getattr(model, accessor) for accessor in ACCESSORS) == expected


def test_the_entity_and_the_inputs_are_found_in_every_shape():
    assert invocation("envelope_create").entity is None
    assert invocation("envelope_create").inputs["cpu"] == 2
    assert invocation("envelope_day2_agent").entity.identifier == "engine-1"
    assert invocation("trigger_data_day2").entity.team == ("mechanics",)
    assert invocation("trigger_data_automation_entity").inputs is None
    assert invocation("custom_wrapped").entity.identifier == "engine-1"
    assert isinstance(invocation("custom_wrapped").inputs, dict)
    assert invocation("custom_port_context").inputs == {"cpu": 4}
    assert invocation("custom_port_context").entity is None  # its identifier alone
    assert invocation("event_entity_updated").entity.identifier == "engine-1"
    assert invocation("event_entity_deleted").entity.identifier == "engine-1"
    assert invocation("event_entity_updated").inputs is None
    assert load(changed("envelope_create", "payload.properties", None)).inputs is None


def test_both_sides_of_a_change_are_found_in_every_shape():
    data = invocation("trigger_data_automation_entity")
    assert data.before == data.event.before
    assert isinstance(data.after, Entity)
    assert isinstance(invocation("trigger_data_automation_run").after, Run)
    custom = load({"diff": {"after": {"id": "r_1"}}, "resourceType": "run"})
    assert type(custom) is CustomPayload
    assert isinstance(custom.after, Run)
    assert custom.before is None
    odd = load({"diff": {"after": {"id": "r_1"}}, "resourceType": []})
    assert type(odd.after) is Resource
    assert invocation("envelope_create").after is None
    assert load([]).after is None


def test_port_context_is_typed():
    context = invocation("custom_port_context").port_context
    assert context.run_id == "r_VmBEngine"
    assert context.blueprint == "vm"
    assert context.entity.identifier == "engine-1"
    assert context.trigger.by.user.email == ADA
    assert context.operation == "DAY-2"
    body = {"port_context": {"run_id": "r_1", "entity": {"identifier": "x"}}}
    model = load(body)
    assert model.run_id == model.port_context.run_id == "r_1"
    assert model.entity_identifier == model.entity.identifier == "x"
    assert load({}).port_context is None
    assert load({"port_context": {}}).port_context.run_id is None
    assert load([1]).port_context is None


@pytest.mark.parametrize(
    "body",
    [
        {"context": {"runId": "r_1"}, "run": {"id": "r_2"}},
        {"context": {"runId": "", "nodeRunId": "r_1"}, "run_id": "r_2"},
        {"run": {"id": "r_1"}, "runId": "r_2"},
        {"port_context": {"runId": "r_1", "run_id": "r_2"}},
        {"port_context": {"run_id": "r_1"}, "payload": {"context": {"runId": "r_2"}}},
        {"payload": {"context": {"runId": "r_1"}}, "runId": "r_2"},
        {"runId": "r_1", "run_id": "r_2"},
        {"run_id": "r_1", "RUN_ID": "r_2"},
        {"RUN_ID": "r_1", "port_run_id": "r_2"},
        {"port_run_id": "r_1", "headers": {"RUN_ID": "r_2"}},
        {"context": "text", "run": ["x"], "runId": 5, "run_id": "r_1"},
    ],
)
def test_the_run_id_is_found_where_people_put_it(body):
    assert find_run_id(body) == load(body).run_id == "r_1"


@pytest.mark.parametrize(
    "body", [None, [], "runId", 5, {}, {"headers": {"RUN_ID": "r_1"}}, {"runId": ""}]
)
def test_a_body_that_names_no_run_has_none(body):
    assert find_run_id(body) is None
    assert load(body).run_id is None


@pytest.mark.parametrize(
    ("path", "value", "accessor"),
    [
        ("context.blueprint", 5, "blueprint"),
        ("context.entity", True, "entity_identifier"),
        ("trigger.by.user", [], "user_email"),
        ("trigger.by.orgId", {}, "organization_id"),
        ("payload.action.trigger", {}, "operation"),
        ("payload.properties", [], "inputs"),
        ("payload.entity", [], "entity"),
    ],
)
def test_an_accessor_names_what_port_never_sends_there(path, value, accessor):
    body = changed("envelope_create", path, value)
    if accessor == "blueprint":
        del body["payload"]["action"]["blueprint"]
    with pytest.raises(PayloadError) as caught:
        getattr(load(body), accessor)
    assert caught.value.path == path
    assert caught.value.run_id == "r_Vm1Engine"


def test_a_second_place_counts_where_the_first_has_nothing_of_use():
    model = load(changed("envelope_create", "context.blueprint", 5))
    assert model.blueprint == "vm"  # of payload.action
    model = load(changed("envelope_day2_agent", "context.entity", None))
    assert model.entity_identifier == "engine-1"  # of payload.entity


def test_in_an_authors_own_body_another_type_is_not_ports():
    body = {"action": 5, "trigger": [], "inputs": "x", "entity": 7, "context": True}
    model = load(body)
    assert {getattr(model, accessor) for accessor in ACCESSORS} == {None}
    assert model.inputs is model.entity is model.before is None
    model.validate()


def test_a_reference_may_be_text_or_an_object():
    model = load({"action": {"identifier": "grow"}, "blueprint": {"identifier": "vm"}})
    assert model.action_identifier == "grow"
    assert model.blueprint == "vm"
    assert load({"action": "grow", "entity": "x"}).entity_identifier == "x"
    assert load({"entity": "x"}).entity is None


def test_an_error_of_a_part_names_its_place_and_the_run():
    body = changed("trigger_data_automation_run", "event.diff.after.link", 5)
    with pytest.raises(PayloadError) as caught:
        _ = load(body).event.after.link
    assert caught.value.path == "event.diff.after.link"
    assert caught.value.run_id == "r_Vm8Engine"


def test_a_single_team_may_be_text():
    assert Entity.from_dict({"team": "mechanics"}).team == ("mechanics",)


# The wrong model


@pytest.mark.parametrize(
    ("name", "model", "problem"),
    [
        ("changelog_run_created", ActionInvocation, "a ChangelogMessage, not ActionI"),
        ("envelope_create", TriggerData, "an ActionInvocation, not TriggerData"),
        ("trigger_data_create", CatalogEvent, "a TriggerData, not CatalogEvent"),
        ("node_run", ActionInvocation, "a WorkflowNodeRun, not ActionInvocation"),
    ],
)
def test_the_wrong_model_says_what_came(name, model, problem):
    with pytest.raises(PayloadError, match=f"The payload is {problem}") as caught:
        models.load(model, read(name))
    assert caught.value.path == ""


@pytest.mark.parametrize("name", SHAPES)
def test_everything_is_a_custom_payload_to_those_who_ask(name):
    assert models.load(CustomPayload, read(name)).body == document(name)


def test_an_envelope_of_a_node_run_can_be_read_as_either():
    data = json.dumps(changed("envelope_create", "context.runId", "wfnr_9")).encode()
    assert models.load(WorkflowNodeRun, data).run_id == "wfnr_9"
    assert models.load(ActionInvocation, data).run_id == "wfnr_9"


# Wrong types

WRONG = [
    ("envelope_create", "action", 5),
    ("envelope_create", "status", {}),
    ("envelope_create", "trigger", "text"),
    ("envelope_create", "trigger.by", []),
    ("envelope_create", "trigger.by.user", "ada"),
    ("envelope_create", "trigger.by.user.email", 5),
    ("envelope_create", "trigger.by.user.providers", "port"),
    ("envelope_create", "trigger.by.user.providers.0", 5),
    ("envelope_create", "trigger.by.byPort", 1),
    ("envelope_create", "trigger.at", 1714834432),
    ("envelope_create", "trigger.at", SENTINEL),
    ("envelope_create", "trigger.at", "2024-05-04T12:53:52"),
    ("envelope_create", "trigger.at", "2024-05-04"),
    ("envelope_create", "context", []),
    ("envelope_create", "context.entity", {}),
    ("envelope_create", "payload", []),
    ("envelope_create", "payload.properties", []),
    ("envelope_create", "payload.censoredProperties", {}),
    ("envelope_create", "payload.censoredProperties", [SENTINEL, 1]),
    ("envelope_create", "payload.action.userInputs", SENTINEL),
    ("envelope_create", "payload.action.invocationMethod.agent", 1),
    ("envelope_create", "payload.action.invocationMethod.headers", []),
    ("envelope_day2_agent", "payload.entity.relations", SENTINEL),
    ("envelope_day2_agent", "payload.entity.team", {}),
    ("envelope_day2_agent", "headers", SENTINEL),
    ("trigger_data_create", "inputs", [SENTINEL]),
    ("trigger_data_create", "entity", [SENTINEL]),
    ("trigger_data_create", "run.id", 7),
    ("trigger_data_automation_entity", "event.diff.after.properties", SENTINEL),
    ("trigger_data_automation_entity", "event.diff.before", SENTINEL),
    ("trigger_data_automation_run", "event.diff.after.link.0", 1),
    ("trigger_data_automation_run", "event.diff.after.action", 1),
    ("trigger_data_automation_run", "event.diff.after.action.deleted", SENTINEL),
    ("trigger_data_automation_run", "event.context.action.trigger", SENTINEL),
    ("event_entity_updated", "diff", SENTINEL),
    ("changelog_run_created", "changelogDestination.url", 1),
    ("node_run", "payload.action.invocationMethod", SENTINEL),
]


REQUIRED = ("action", "resourceType", "status", "trigger", "context", "payload")
PARTS = ("trigger", "context", "payload")


@pytest.mark.parametrize(("name", "path", "value"), WRONG)
def test_a_wrong_type_is_found_when_it_is_read_and_quotes_nothing(name, path, value):
    body = changed(name, path, value)
    if path in PARTS and name.startswith("envelope"):
        with pytest.raises(PayloadError) as caught:
            load(body)
    else:
        model = load(body)  # which no detail can stop
        assert type(model) is SHAPES[name]
        assert model.to_dict() == body
        assert SENTINEL not in repr(model)
        with pytest.raises(PayloadError) as caught:
            model.validate()
        with pytest.raises(PayloadError) as again:
            models.load(SHAPES[name], json.dumps(body).encode(), validate=True)
        assert again.value.path == caught.value.path
    error = caught.value
    expected = path + ".1" if value == [SENTINEL, 1] else path
    assert error.path == expected
    assert str(error).startswith(f"The payload's field {expected} must be ")
    assert SENTINEL not in f"{error!s} {error!r} {vars(error)}"
    assert error.run_id == find_run_id(body)


@pytest.mark.parametrize("name", SHAPES)
def test_every_document_is_valid(name):
    invocation(name).validate()
    models.load(SHAPES[name], read(name), validate=True)


@pytest.mark.parametrize(
    "path",
    [
        "action",
        "resourceType",
        "status",
        "trigger",
        "context",
        "payload",
        "trigger.by",
        "trigger.origin",
        "trigger.at",
        "trigger.by.orgId",
    ],
)
def test_a_field_of_every_example_must_be_there(path):
    body = document("envelope_create")
    holder, key = at(body, path)
    for value in (None, ...):
        if value is None:
            holder[key] = None
        else:
            del holder[key]
        late = path not in REQUIRED  # only a required part can stop a message
        data = json.dumps(body).encode()
        with pytest.raises(PayloadError) as caught:
            models.load(ActionInvocation, data, validate=late)
        if path == "payload" and value is ...:
            problem = "The payload is a ChangelogMessage, not ActionInvocation."
            assert str(caught.value) == problem
        else:
            assert caught.value.path == path
            assert str(caught.value) == f"The payload's field {path} is missing."


def is_required(part, name, field):
    """Tell whether *part*, as it is, needs the field *name*."""
    is_context = isinstance(part, RunContext) and name == "run_id"
    return field.required or (is_context and part.run_id.startswith("wfnr_"))


@pytest.mark.parametrize("name", SHAPES)
def test_every_other_field_is_none_if_it_is_null_or_absent(name):
    whole = invocation(name)
    for way, part in parts_of(whole):
        for attribute, field in fields_of(type(part)).items():
            holder, key = at(body := document(name), ".".join((*way, field.key)))
            if key not in holder or is_required(part, attribute, field):
                continue
            for absent in (False, True):
                holder[key] = None
                if absent:
                    del holder[key]
                model = SHAPES[name].from_dict(body)
                again = next(each for place, each in parts_of(model) if place == way)
                assert getattr(again, attribute) is None, (way, attribute)


def test_a_reference_is_an_object_or_text():
    with pytest.raises(PayloadError, match="must be an object or text"):
        _ = Run.from_dict({"blueprint": 1}).blueprint


# Frozen, slotted, whole


def test_a_model_is_frozen_and_slotted():
    model = invocation("envelope_create")
    assert not hasattr(model, "__dict__")
    with pytest.raises(AttributeError, match="ActionInvocation is frozen"):
        model.action = "other"
    with pytest.raises(AttributeError, match="ActionInvocation is frozen"):
        model.other = "other"
    with pytest.raises(AttributeError, match="ActionInvocation is frozen"):
        del model.action
    with pytest.raises(AttributeError, match="ActionInvocation is frozen"):
        object.__setattr__(model, "action", "other")
    with pytest.raises(TypeError, match=r"use User\.from_dict"):
        User()


def test_every_model_has_slots_alone():
    for model in OURS:
        assert model.__dictoffset__ == 0, model


def test_a_part_is_built_once():
    model = invocation("envelope_create")
    assert model.trigger is model.trigger
    assert model.trigger.at is model.trigger.at


def test_what_to_dict_gives_may_be_changed():
    model = invocation("envelope_create")
    model.to_dict()["payload"]["properties"]["cpu"] = 99
    model.to_dict()["payload"]["censoredProperties"].append("cpu")
    assert model.to_dict() == document("envelope_create")


def test_models_of_one_type_with_the_same_content_are_equal():
    model = invocation("envelope_create")
    assert model == invocation("envelope_create")
    assert model != invocation("envelope_day2_agent")
    assert User.from_dict({"id": "x"}) != Resource.from_dict({"id": "x"})
    assert model != document("envelope_create")
    with pytest.raises(TypeError):
        hash(model)


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_survives_pickle_and_copy(name):
    model = invocation(name)
    for twin in (
        pickle.loads(pickle.dumps(model)),  # noqa: S301  # made a moment ago
        copy.copy(model),
        copy.deepcopy(model),
    ):
        assert twin == model
        assert type(twin) is type(model)


@pytest.mark.parametrize("name", SHAPES)
def test_a_repr_shows_identifiers_and_no_property(name):
    shown = repr(invocation(name))
    for word in ("ada@example.com", "eu-west-1", "Lovelace", "https", "v1,"):
        assert word not in shown


def test_reprs_read_well():
    assert repr(invocation("envelope_create")) == (
        "<ActionInvocation action='create_vm' run_id='r_Vm1Engine'>"
    )
    assert repr(Entity.from_dict({"identifier": "x" * 99})) == (
        f"<Entity identifier='{'x' * 64}'>"
    )
    assert repr(CustomPayload.from_dict([SENTINEL])) == "<CustomPayload list of 1>"
    assert repr(CustomPayload.from_dict(SENTINEL)) == "<CustomPayload str>"
    node = WorkflowNodeRun.from_dict({"context": {"runId": "wfnr_1"}})
    assert repr(node) == "<WorkflowNodeRun run_id='wfnr_1'>"


def test_the_class_gives_the_field_itself():
    fields: Any = ActionInvocation  # to a type checker its attributes are values
    assert fields.action.key == "action"
    assert fields.trigger.required


def test_from_dict_copies_what_it_is_given():
    body = document("envelope_create")
    model = ActionInvocation.from_dict(body)
    body["payload"]["properties"]["cpu"] = 99
    assert model.properties["cpu"] == 2


class Hostile(dict[str, int]):
    def __bool__(self):
        raise KeyError(SENTINEL)

    def items(self):
        raise KeyError(SENTINEL)


@pytest.mark.parametrize(
    "wrap", [types.MappingProxyType, UserDict, lambda body: UserDict(UserDict(body))]
)
def test_from_dict_takes_any_mapping_at_any_depth(wrap):
    def wrapped(value):
        if isinstance(value, dict):
            return wrap({key: wrapped(inner) for key, inner in value.items()})
        return [wrapped(each) for each in value] if isinstance(value, list) else value

    body = document("envelope_day2_agent")
    model = ActionInvocation.from_dict(wrapped(body))
    assert json.dumps(model.to_dict()) == json.dumps(body)
    assert model == ActionInvocation.from_dict(body)
    assert CustomPayload.from_dict([wrapped(body)]).body == [body]


class HostileMapping(UserDict[str, Any]):
    def keys(self):
        raise KeyError(SENTINEL)


@pytest.mark.parametrize(
    "body",
    [
        {"a": float("nan")},
        {"a": object()},
        {"a": {1, 2}},
        {1: 2, "1": 3},
        Hostile(a=1),
        HostileMapping(a=1),
        {"a": HostileMapping(a=1)},
        "x",
    ],
)
def test_from_dict_refuses_what_is_no_json_object(body):
    for model in (TriggerData, User):
        with pytest.raises(PayloadError) as caught:
            model.from_dict(body)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_from_dict_of_a_custom_payload_takes_any_json():
    assert CustomPayload.from_dict([1, None]).body == [1, None]
    with pytest.raises(PayloadError):
        CustomPayload.from_dict(object())


def test_no_frame_of_an_error_holds_the_payload():
    body = changed("envelope_create", "trigger.by.user.email", [SENTINEL])
    with pytest.raises(PayloadError) as caught:
        ActionInvocation.from_dict(body).validate()
    assert caught.tb.tb_next is None  # the only frame is this test's


def test_the_public_names_are_these():
    assert sorted(models.__all__) == [
        "ActionDefinition",
        "ActionInvocation",
        "ActionPayload",
        "ActionReference",
        "ActionTrigger",
        "Actor",
        "AnyInvocation",
        "CatalogEvent",
        "Change",
        "ChangelogMessage",
        "CustomPayload",
        "Entity",
        "EventContext",
        "Invocation",
        "InvokedAction",
        "Model",
        "PortContext",
        "Reference",
        "Resource",
        "Run",
        "RunContext",
        "RunReference",
        "Trigger",
        "TriggerData",
        "User",
        "WebhookInvocationMethod",
        "WorkflowNodeRun",
        "check_model",
        "load",
        "load_invocation",
    ]


# The names on the wire

UNKNOWN_ON_PURPOSE = {
    "changelog_run_created": {"relatedEntityExists"},
    "changelog_timer_old": {"identifier", "additionalData", "port"},
    "custom_flat": {"service", "port_context", "owner"},
    "custom_port_context": {"port_context", "action", "inputs"},
    "custom_wrapped": {"payload"},
    "trigger_data_test_dialog": {"secrets"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_key_of_a_document_is_an_attribute(name):
    unknown: set[str] = set()
    for _, part in parts_of(invocation(name)):
        unknown |= part.extra.keys()
    assert unknown == UNKNOWN_ON_PURPOSE.get(name, set())


def test_every_field_has_a_value_in_some_document():
    fields = {
        field: f"{model.__name__}.{attribute}"
        for model in OURS
        for attribute, field in fields_of(model).items()
    }
    for name in SHAPES:
        for _, part in parts_of(invocation(name)):
            for attribute, field in fields_of(type(part)).items():
                if getattr(part, attribute) is not None:
                    fields.pop(field, None)
    assert list(fields.values()) == []


def test_an_attribute_is_named_as_its_key_is():
    for model in OURS:
        for attribute, field in fields_of(model).items():
            if attribute.startswith("_"):
                continue
            snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", field.key)
            assert attribute == snake, model


# Properties of all documents

KEYS = sorted(
    {key for name in SHAPES for key in document(name)} | {"orgId", "runId", "user"}
)
scalars = st.none() | st.booleans() | st.integers() | st.text() | st.just("wfnr_1")
values = scalars | st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    values,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=8)
    ),
    max_leaves=30,
)


def read_everything(model):
    """Read every attribute of *model*, and of its parts."""
    for name in dir(type(model)):
        if not name.startswith("_") and name not in ("from_dict", "validate"):
            try:
                value = getattr(model, name)
            except PayloadError as error:
                assert error.path  # noqa: PT017  # any of both is right
                continue
            if isinstance(value, Model):
                read_everything(value)
    assert repr(model)
    assert model == copy.copy(model)


@given(documents)
def test_any_json_is_an_invocation_or_a_payload_error(body):
    try:
        model = load(body)
    except PayloadError as error:
        assert error.__context__ is None  # noqa: PT017  # any of both is right
        assert error.path.split(".")[0] in REQUIRED  # noqa: PT017  # the same
    else:
        assert model.to_dict() == body
        read_everything(model)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_invocation_or_a_payload_error(data):
    with suppress(PayloadError):
        assert isinstance(load_invocation(data), Model)


@given(st.data(), st.sampled_from(sorted(SHAPES)))
def test_a_wrong_value_anywhere_is_refused_or_kept(data, name):
    body = document(name)
    holder = body
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        holder = inner
    holder[key] = data.draw(values)
    try:
        model = load(body)
    except PayloadError as error:
        assert error.path in REQUIRED  # noqa: PT017  # nothing else can stop it
    else:
        assert model.to_dict() == body
        read_everything(model)


@given(st.data(), st.sampled_from(sorted(SHAPES)))
def test_a_known_shape_with_unknown_fields_loses_nothing(data, name):
    body = document(name)
    holders = [body]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders.extend(value for value in inner if isinstance(value, dict | list))
    for holder in data.draw(st.lists(st.sampled_from(range(len(holders))), max_size=5)):
        if isinstance(holders[holder], dict):
            unknown = "x-" + data.draw(st.text(max_size=10))
            holders[holder][unknown] = data.draw(documents)
    model = load(body)
    assert type(model) is SHAPES[name]
    assert json.dumps(model.to_dict()) == json.dumps(body)
    read_everything(model)


def test_every_shape_can_be_read_whole():
    for name in SHAPES:
        read_everything(invocation(name))
    assert isinstance(invocation("envelope_create").payload, ActionPayload)
    assert isinstance(invocation("envelope_create").trigger, Trigger)
