"""Tools for your own tests: signed requests, realistic invocations, and events.

::

    from port_webhook.testing import action_invocation, sign_request

    body, headers = sign_request(action_invocation(), secret)

Nothing here switches a check off. Everything is signed, or encrypted, with a secret
that you choose, as Port does with the real one; your application verifies it.

The clients for web frameworks live in modules of their own and are imported only by
name: ``port_webhook.testing.flask``, ``django``, ``fastapi``, ``httpx2`` and
``requests``. The fixtures for pytest are in ``port_webhook.testing.plugin``.
"""

from __future__ import annotations

from port_webhook.testing._builders import (
    action_invocation,
    automation_trigger_data,
    changelog_message,
    custom_payload,
    entity_event,
    run_event,
    trigger_data,
    workflow_node_run,
)
from port_webhook.testing._encryption import encrypt_client_side, encrypt_secret
from port_webhook.testing._forgeries import (
    aassert_refuses_forgeries,
    assert_refuses_forgeries,
)
from port_webhook.testing._lambda_events import kafka_event, lambda_event
from port_webhook.testing._signing import (
    FixedClock,
    SignedRequest,
    Signer,
    sign_as_agent,
    sign_kafka_message,
    sign_request,
)

__all__ = [
    "FixedClock",
    "SignedRequest",
    "Signer",
    "aassert_refuses_forgeries",
    "action_invocation",
    "assert_refuses_forgeries",
    "automation_trigger_data",
    "changelog_message",
    "custom_payload",
    "encrypt_client_side",
    "encrypt_secret",
    "entity_event",
    "kafka_event",
    "lambda_event",
    "run_event",
    "sign_as_agent",
    "sign_kafka_message",
    "sign_request",
    "trigger_data",
    "workflow_node_run",
]
