"""Each builder's dict parses into its type, and keywords change it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from port_webhook import (
    ActionInvocation,
    CatalogEvent,
    ChangelogMessage,
    ConfigurationError,
    CustomPayload,
    PayloadError,
    TriggerData,
    decrypt_properties,
    verify,
)
from port_webhook.models import Entity, Run, WorkflowNodeRun
from port_webhook.testing import (
    action_invocation,
    automation_trigger_data,
    changelog_message,
    custom_payload,
    encrypt_secret,
    entity_event,
    run_event,
    sign_request,
    trigger_data,
    workflow_node_run,
)

SECRET = "a-made-up-secret-that-is-long-enough"
OPERATIONS: Any = ("CREATE", "DAY-2", "DELETE")
CHANGES: Any = ("created", "updated", "deleted", "expired")
BUILT = [
    *((action_invocation(operation=each), ActionInvocation) for each in OPERATIONS),
    *((trigger_data(operation=each), TriggerData) for each in OPERATIONS),
    (automation_trigger_data(), TriggerData),
    (automation_trigger_data(run_event("created")), TriggerData),
    *((entity_event(each), CatalogEvent) for each in CHANGES),
    (run_event("created"), CatalogEvent),
    (run_event("updated"), CatalogEvent),
    *((changelog_message(each), ChangelogMessage) for each in CHANGES),
    (changelog_message("created", resource="run"), ChangelogMessage),
    (changelog_message("updated", resource="run"), ChangelogMessage),
    (workflow_node_run(), WorkflowNodeRun),
    (custom_payload(), CustomPayload),
]


def load(model, document) -> Any:
    return model.from_dict(document)


def delivered(document):
    return verify(*sign_request(document, SECRET), SECRET)


def received(document):
    return delivered(document).invocation()


@pytest.mark.parametrize(("document", "kind"), BUILT)
def test_an_invocation_parses_into_its_type_and_stays_whole(document, kind):
    invocation = received(document)

    assert type(invocation) is kind
    assert invocation.extra == {} or kind is CustomPayload
    assert invocation.to_dict() == document == json.loads(json.dumps(document))


@pytest.mark.parametrize(
    "build",
    [
        action_invocation,
        trigger_data,
        automation_trigger_data,
        entity_event,
        run_event,
        changelog_message,
        workflow_node_run,
        custom_payload,
    ],
)
def test_each_call_builds_anew(build):
    first = build()
    for value in first.values():
        if isinstance(value, dict):
            value.clear()

    assert build() != first
    assert build() == build()


class TestActionInvocation:
    def test_that_creates_has_no_entity(self):
        invocation = load(ActionInvocation, action_invocation())

        assert invocation.payload.entity is invocation.context.entity is None
        assert invocation.payload.action.trigger == "CREATE"
        assert invocation.payload.action.identifier == invocation.action
        assert invocation.trigger.by.user.email == "grace@example.com"

    @pytest.mark.parametrize("operation", ["DAY-2", "DELETE"])
    def test_about_an_entity_has_it_in_both_places(self, operation):
        invocation = load(ActionInvocation, action_invocation(operation=operation))

        assert invocation.payload.entity.identifier == invocation.context.entity
        assert invocation.payload.action.trigger == operation

    def test_takes_the_inputs_and_the_run(self):
        document = action_invocation(properties={"replicas": 2}, run_id="r_7")

        assert received(document).properties == {"replicas": 2}
        assert delivered(document).run_id == "r_7"
        assert received(action_invocation(properties={})).properties == {}

    def test_carries_secret_inputs(self):
        document = action_invocation(
            properties={"password": encrypt_secret("hunter2", SECRET)},
            payload={"censoredProperties": ["password"]},
        )
        inputs = decrypt_properties(received(document), client_secret=SECRET)
        assert inputs == {"password": "hunter2"}


class TestTriggerData:
    def test_that_creates_has_an_empty_entity(self):
        document = trigger_data()

        assert document["entity"] == {}
        assert document["trigger"]["operation"] == "CREATE"

    def test_about_an_entity_has_it(self):
        data = load(TriggerData, trigger_data(operation="DAY-2", run_id="r_7"))

        assert data.entity.identifier == "checkout"
        assert data.trigger.operation == "DAY-2"
        assert data.run_id == "r_7"
        assert data.event is None

    def test_of_an_automation_has_the_event_and_no_inputs(self):
        data = load(TriggerData, automation_trigger_data(run_id="r_7"))

        assert data.inputs is data.entity is None
        assert data.event.change == "updated"
        assert data.run_id == "r_7"

    def test_of_an_automation_takes_the_event_whole(self):
        event = run_event("created", run_id="r_8")
        assert automation_trigger_data(event)["event"] == event


class TestEvents:
    @pytest.mark.parametrize("change", CHANGES)
    def test_of_an_entity_say_what_happened(self, change):
        event = load(CatalogEvent, entity_event(change))

        assert event.change == change
        assert (event.before is None) == (change in ("created", "expired"))
        assert (event.after is None) == (change == "deleted")
        assert isinstance(event.before or event.after, Entity)
        assert event.trigger.by.by_port is (True if change == "expired" else None)

    @pytest.mark.parametrize("change", CHANGES)
    def test_of_an_entity_name_a_property_if_they_are_a_timers(self, change):
        context = load(CatalogEvent, entity_event(change)).context

        expected = "expires" if change == "expired" else None
        assert context.property_identifier == expected
        assert context.blueprint_identifier == "service"
        assert context.entity_identifier == "checkout"

    @pytest.mark.parametrize("change", ["created", "updated"])
    def test_of_a_run_say_what_happened(self, change):
        event = load(CatalogEvent, run_event(change, run_id="r_7"))

        assert event.change == change
        assert isinstance(event.after, Run)
        assert event.after.id == "r_7"
        assert event.after.status == (
            "IN_PROGRESS" if change == "created" else "SUCCESS"
        )

    @pytest.mark.parametrize("change", CHANGES)
    def test_of_the_change_log_say_what_happened_to_an_entity(self, change):
        document = changelog_message(change)

        assert load(ChangelogMessage, document).change == change
        assert ("diff" in document) == (change != "expired")

    @pytest.mark.parametrize("change", ["created", "updated"])
    def test_of_the_change_log_say_what_happened_to_a_run(self, change):
        message = load(
            ChangelogMessage, changelog_message(change, resource="run", run_id="r_7")
        )

        assert message.change == change
        assert message.context.run_id == message.after.id == "r_7"
        assert message.after.action.identifier == message.action

    def test_of_the_change_log_may_have_a_destination(self):
        document = changelog_message(changelogDestination={"type": "WEBHOOK"})
        assert received(document).changelog_destination.type == "WEBHOOK"


class TestOthers:
    def test_the_run_of_a_node_has_its_id(self):
        assert delivered(workflow_node_run(run_id="wfnr_7")).run_id == "wfnr_7"

    def test_a_custom_payload_has_its_id(self):
        assert delivered(custom_payload(run_id="r_7")).run_id == "r_7"


class TestChanges:
    def test_are_merged_into_objects(self):
        document = action_invocation(
            trigger={"by": {"user": {"email": "a@example.com"}}}
        )
        expected = action_invocation()
        expected["trigger"]["by"]["user"]["email"] = "a@example.com"
        assert document == expected

    def test_take_the_place_of_anything_else(self):
        document = action_invocation(
            status="FAILURE",
            trigger=None,
            payload={"censoredProperties": ["password"], "entity": {"icon": None}},
            added={"by": "me"},
        )

        assert document["status"] == "FAILURE"
        assert document["trigger"] is None
        assert document["payload"]["censoredProperties"] == ["password"]
        assert document["payload"]["entity"] == {"icon": None}
        assert document["added"] == {"by": "me"}

    def test_take_the_place_of_what_is_not_ports(self):
        assert trigger_data(inputs={"a": 1})["inputs"] == {"a": 1}
        event = entity_event(diff={"after": {"properties": {"a": 1}}})
        assert event["diff"]["after"]["properties"] == {"a": 1}
        assert event["diff"]["after"]["identifier"] == "checkout"

    def test_leave_what_they_were_made_of_alone(self):
        event = entity_event()
        given = {"diff": {"after": {"title": "New"}}}
        automation_trigger_data(event, action={"blueprint": "vm"})
        entity_event("updated", **given)
        assert event == entity_event()
        assert given == {"diff": {"after": {"title": "New"}}}

    def test_may_make_an_invocation_that_port_would_not_send(self):
        model = received(action_invocation(trigger={"by": {"orgId": 5}}))
        with pytest.raises(PayloadError) as caught:
            model.validate()
        assert caught.value.path == "trigger.by.orgId"


@pytest.mark.parametrize("wrong", ["moved", "", None, 5, [], {}])
def test_a_word_that_is_none_of_the_choices_is_refused(wrong):
    for build in (action_invocation, trigger_data):
        with pytest.raises(
            ConfigurationError, match="operation must be one of CREATE,"
        ):
            build(operation=wrong)
    for build in (entity_event, run_event, changelog_message):
        with pytest.raises(ConfigurationError, match="change must be one of created,"):
            build(wrong)
    with pytest.raises(ConfigurationError, match="resource must be one of entity, run"):
        changelog_message(resource=wrong)


@pytest.mark.parametrize("change", ["deleted", "expired"])
def test_a_run_is_neither_deleted_nor_expired(change):
    with pytest.raises(ConfigurationError):
        run_event(change)
    with pytest.raises(ConfigurationError):
        changelog_message(change, resource="run")
