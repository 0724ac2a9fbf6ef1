"""The project as Port calls it. Port's own API is played by a function."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest.mock import patch

import httpx2
from django.test import TestCase

from port_webhook.testing import assert_refuses_forgeries, sign_request, trigger_data
from port_webhook.testing.django import SigningClient
from vms.models import Vm

SECRET = os.environ["PORT_CLIENT_SECRET"]
CREATE = trigger_data(
    run_id="r_1",
    action={"identifier": "create_vm"},
    inputs={"name": "web-1", "cpu": 2},
    trigger={"by": {"user": {"email": "ada@example.com"}}},
)
DELETE = trigger_data(
    operation="DELETE",
    run_id="r_2",
    action={"identifier": "delete_vm"},
    entity={"identifier": "web-1"},
    trigger={"by": {"user": {"email": "ada@example.com"}}},
)


class PortWebhookTest(TestCase):
    """Requests to ``/port``."""

    def setUp(self) -> None:
        """Keep what the project tells Port: each path and what was sent to it."""
        self.told: list[tuple[str, Any]] = []

        def answer(_: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
            if request.url.path == "/v1/auth/access_token":
                token = {"accessToken": "t", "expiresIn": 10800, "tokenType": "Bearer"}
                return httpx2.Response(200, json={"ok": True, **token})
            self.told.append((request.url.path, json.loads(request.content)))
            return httpx2.Response(200, json={"ok": True, "run": {}, "entity": {}})

        patched = patch.object(httpx2.HTTPTransport, "handle_request", answer)
        patched.start()
        self.addCleanup(patched.stop)

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """Send a request; return the status and the JSON."""
        answer = self.client.post(
            "/port", body, content_type="application/json", headers=headers
        )
        return answer.status_code, answer.json()

    def test_a_machine_is_created_and_reported(self) -> None:
        """The row is there, and Port knows of the entity and the end of the run."""
        answer = self.post(*sign_request(CREATE, SECRET))
        self.assertEqual(answer, (200, {"created": "web-1"}))
        self.assertEqual(Vm.objects.get().owner, "ada@example.com")
        self.assertIn(("/v1/actions/runs/r_1", {"status": "SUCCESS"}), self.told)
        entity = {"identifier": "web-1", "properties": {"cpu": 2}}
        self.assertIn(("/v1/blueprints/vm/entities", entity), self.told)

    def test_the_owner_deletes_a_machine(self) -> None:
        """The entity of the action is the machine."""
        Vm.objects.create(name="web-1", cpu=2, owner="ada@example.com")
        answer = self.post(*sign_request(DELETE, SECRET))
        self.assertEqual(answer, (200, {"deleted": "web-1"}))
        self.assertFalse(Vm.objects.exists())

    def test_nobody_else_does(self) -> None:
        """The run fails, and the machine stays."""
        Vm.objects.create(name="web-1", cpu=2, owner="grace@example.com")
        self.post(*sign_request(DELETE, SECRET))
        self.assertTrue(Vm.objects.exists())
        [(path, sent)] = self.told
        self.assertEqual((path, sent["status"]), ("/v1/actions/runs/r_2", "FAILURE"))

    def test_inputs_that_do_not_fit_end_the_run(self) -> None:
        """Port's user reads which input it was."""
        status, _ = self.post(*sign_request({**CREATE, "inputs": {}}, SECRET))
        self.assertEqual(status, 422)
        [(path, sent)] = self.told
        self.assertEqual((path, sent["status"]), ("/v1/actions/runs/r_1", "FAILURE"))
        self.assertIn("inputs", sent["summary"])

    def test_a_request_runs_once(self) -> None:
        """The second is answered, and not run."""
        request = sign_request(CREATE, SECRET)
        self.assertEqual(self.post(*request)[0], 200)
        self.assertEqual(self.post(*request), (200, {"status": "duplicate"}))
        self.assertEqual(Vm.objects.count(), 1)

    def test_forgeries_are_refused(self) -> None:
        """None of some fifty gets through."""
        client = SigningClient(secret=SECRET)
        assert_refuses_forgeries(client, "/port", document=CREATE)

    def test_the_health_check_needs_no_signature(self) -> None:
        """Nor does it read the body."""
        self.assertEqual(self.client.get("/health").json(), {"status": "ok"})
