"""The definition of an automation that runs an action."""

from __future__ import annotations

import json

import pytest

from port_webhook import ConfigurationError
from port_webhook.reporting import Automation


def test_a_definition_is_printed_as_port_takes_it():
    automation = Automation(
        "tell_on_failure",
        title="Tell the owners of a service that fails",
        event="ENTITY_UPDATED",
        of="service",
        conditions=[
            '.diff.before.properties.passed == "Passed"',
            '.diff.after.properties.passed == "Not passed"',
        ],
        action="slack_notify",
        run_as="user@example.com",
        properties={"message": "{{ .event.diff.after.title }} fails: ü"},
    )
    assert json.loads(str(automation)) == {
        "identifier": "tell_on_failure",
        "title": "Tell the owners of a service that fails",
        "trigger": {
            "type": "automation",
            "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"},
            "condition": {
                "type": "JQ",
                "expressions": [
                    '.diff.before.properties.passed == "Passed"',
                    '.diff.after.properties.passed == "Not passed"',
                ],
                "combinator": "and",
            },
        },
        "invocationMethod": {
            "type": "WEBHOOK",
            "url": "https://api.port.io/v1/actions/slack_notify/runs?run_as=user@example.com",
            "synchronized": True,
            "method": "POST",
            "body": {
                "properties": {"message": "{{ .event.diff.after.title }} fails: ü"}
            },
        },
        "publish": True,
    }
    assert "fails: ü" in str(automation)


def test_the_least_is_an_event_and_an_action():
    found = Automation("a", event="RUN_UPDATED", of="create_vm", action="x/y").to_dict()
    assert found["trigger"] == {
        "type": "automation",
        "event": {"type": "RUN_UPDATED", "actionIdentifier": "create_vm"},
    }
    method = found["invocationMethod"]
    assert method["url"] == "https://api.port.io/v1/actions/x%2Fy/runs"
    assert method["body"] == {"properties": {}}
    assert "title" not in found


def test_a_timer_names_its_property():
    automation = Automation(
        "a",
        event="TIMER_PROPERTY_EXPIRED",
        of="env",
        property="ttl",
        action="b",
        entity="{{ .event.context.entityIdentifier }}",
        run_as="{{ .trigger.by.user.email }}",
        base_url="https://api.us.port.io/",
        publish=False,
    )
    found = automation.to_dict()
    assert found["trigger"]["event"] == {
        "type": "TIMER_PROPERTY_EXPIRED",
        "blueprintIdentifier": "env",
        "propertyIdentifier": "ttl",
    }
    method = found["invocationMethod"]
    assert method["url"] == (
        "https://api.us.port.io/v1/actions/b/runs?run_as={{ .trigger.by.user.email }}"
    )
    assert method["body"]["entity"] == "{{ .event.context.entityIdentifier }}"
    assert json.loads(automation.to_json(indent=None)) == found


def test_what_json_cannot_express_is_refused():
    with pytest.raises(ConfigurationError, match="JSON"):
        Automation(
            "a", event="RUN_CREATED", of="b", action="c", properties={"a": object()}
        ).to_json()
