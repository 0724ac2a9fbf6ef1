"""`Delivery`: what a verifier lets through."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    CustomPayload,
    Delivery,
    PayloadError,
)

if TYPE_CHECKING:
    from types import TracebackType


@pytest.fixture
def deliver(verifier, headers_for):
    """Sign a payload and verify it."""

    def make(payload, *, by=verifier, **options):
        return by.verify(payload, headers_for(payload, **options))

    return make


def test_the_payload_is_exactly_what_was_signed(deliver):
    body = b'\xff\xfe {"a" : 1}\n'

    assert deliver(body).payload is body


def test_the_repr_shows_no_payload(deliver):
    text = repr(deliver(b'{"password":"hunter2"}'))

    assert text == "<Delivery via='port' timestamp=1713277889 secret_index=0 bytes=22>"


def test_it_has_no_other_attributes(deliver):
    delivery = deliver(b"{}")

    assert not hasattr(delivery, "__dict__")
    with pytest.raises(AttributeError):
        delivery.extra = 1


def test_it_knows_who_verified_it(deliver, make_verifier):
    verifier, other = make_verifier(), make_verifier()
    delivery = deliver(b"{}", by=verifier)

    assert delivery.verified_by(verifier)
    assert not delivery.verified_by(other)


class TestTimestamp:
    def test_seconds_become_an_aware_datetime(self, deliver):
        timestamp = deliver(b"{}").timestamp

        assert timestamp == datetime(2024, 4, 16, 14, 31, 29, tzinfo=UTC)
        assert timestamp.tzinfo is UTC

    @pytest.mark.parametrize("milliseconds", [0, 1, 7, 123, 999])
    def test_milliseconds_are_not_rounded(self, deliver, milliseconds):
        delivery = deliver(b"{}", timestamp=f"1713277888{milliseconds:03}")

        assert delivery.timestamp == datetime(
            2024, 4, 16, 14, 31, 28, milliseconds * 1000, tzinfo=UTC
        )

    @pytest.mark.parametrize("text", ["9999999999", "9999999999999"])
    def test_the_last_one_of_the_grammar_is_a_datetime(
        self, make_verifier, deliver, text
    ):
        far = make_verifier(clock=lambda: 9_999_999_999)

        assert deliver(b"", by=far, timestamp=text).timestamp.year == 2286

    def test_it_is_computed_once(self, deliver):
        delivery = deliver(b"{}")

        assert delivery.timestamp is delivery.timestamp


class TestReplayKey:
    def test_it_is_a_digest_over_the_parts_with_their_lengths(
        self, make_verifier, deliver
    ):
        delivery = deliver(b"{}", by=make_verifier(replay_scope="café"))

        expected = hashlib.sha256()
        for part in ("café".encode(), b"1713277889", b"{}"):
            expected.update(len(part).to_bytes(8, "big") + part)
        assert delivery.replay_key == expected.hexdigest()

    def test_it_is_computed_once(self, deliver):
        delivery = deliver(b"{}")

        assert delivery.replay_key is delivery.replay_key

    def test_scope_timestamp_and_payload_all_count(self, make_verifier, deliver):
        orders, users = (make_verifier(replay_scope=scope) for scope in "ab")

        keys = {
            deliver(b"{}", by=orders).replay_key,
            deliver(b"{}", by=users).replay_key,
            deliver(b"{} ", by=orders).replay_key,
            deliver(b"{}", by=orders, timestamp="1713277888").replay_key,
            # The same instant, but another text was signed.
            deliver(b"{}", by=orders, timestamp="1713277889000").replay_key,
        }

        assert len(keys) == 5

    def test_a_part_cannot_pass_for_the_end_of_another(self, make_verifier, deliver):
        one = make_verifier(replay_scope="")
        two = make_verifier(replay_scope="1713277889")

        assert (
            deliver(b"1713277889x", by=one).replay_key
            != deliver(b"x", by=two).replay_key
        )

    def test_a_rotation_does_not_change_it(self, make_verifier, headers_for):
        verifier = make_verifier(previous_secrets=["old"])

        keys = {
            verifier.verify(b"{}", headers_for(b"{}", **key)).replay_key
            for key in ({}, {"key": b"old"})
        }

        assert len(keys) == 1

    def test_the_agents_spelling_does_not_change_it(self, make_verifier, headers_for):
        verifier = make_verifier(agent=True)
        headers = headers_for(b'{"a":1}')

        assert (
            verifier.verify(b'{"a":1}', headers).replay_key
            == verifier.verify(b'{"a": 1}', headers).replay_key
        )


class TestRunId:
    @pytest.mark.parametrize(
        ("payload", "run_id"),
        [
            (b'{"context":{"runId":"r_1"}}', "r_1"),
            (b'{"run":{"id":"r_2"}}', "r_2"),
            (b'{"port_context":{"runId":"r_3"}}', "r_3"),
            (b'{"port_context":{"run_id":"r_4"}}', "r_4"),
            (b'{"context":{"runId":"wfnr_5"}}', "wfnr_5"),
            (b'{"run":{"id":"b"},"context":{"runId":"a"}}', "a"),
            (b'{"run":{"id":"b"},"context":{"runId":null}}', "b"),
            (b'{"run":{"id":"b"},"context":null}', "b"),
            (b'{"run":{"id":"b"},"context":{"runId":""}}', "b"),
            (b'{"context":{"runId":5}}', None),
            (b'{"context":["runId"]}', None),
            (b'{"runId":"r_6"}', None),
            (b'{"Context":{"runId":"r_7"}}', None),
            (b"{}", None),
            (b'[{"context":{"runId":"r_8"}}]', None),
            (b'"r_9"', None),
            (b"null", None),
            (b"", None),
            (b"\xff", None),
            (b'{"context":{"runId":"a","runId":"b"}}', None),
        ],
    )
    def test_it_is_found_in_the_documented_places(self, deliver, payload, run_id):
        assert deliver(payload).run_id == run_id

    def test_the_places_have_an_order(self, deliver):
        document = {
            "port_context": {"run_id": "r_4", "runId": "r_3"},
            "run": {"id": "r_2"},
            "context": {"runId": "r_1"},
        }
        found = []
        for place, key in (
            ("context", "runId"),
            ("run", "id"),
            ("port_context", "runId"),
            ("port_context", "run_id"),
        ):
            found.append(deliver(json.dumps(document).encode()).run_id)
            del document[place][key]

        assert found == ["r_1", "r_2", "r_3", "r_4"]

    def test_it_is_looked_for_once(self, deliver):
        delivery = deliver(b'{"context":{"runId":"r_1"}}')

        assert delivery.run_id is delivery.run_id


class TestJson:
    def test_it_is_the_parsed_payload_new_each_time(self, deliver):
        delivery = deliver(b'{"a":[1,null]}')

        assert delivery.json() == {"a": [1, None]}
        assert delivery.json() is not delivery.json()

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"nope",
            b"\xff",
            b'{"a":1,"a":2}',
            b"[NaN]",
            b"1e999",
            b"1" * 10_000,
            b"[" * 100_000,
            b'{"a":' * 100_000,
        ],
    )
    def test_it_is_a_payload_error_and_never_another(self, deliver, payload):
        delivery = deliver(payload)

        with pytest.raises(PayloadError) as caught:
            delivery.json()

        assert caught.value.path == ""
        assert caught.value.__context__ is None


ENVELOPE = (
    b'{"action":"create","resourceType":"run","status":"TRIGGERED",'
    b'"trigger":{"by":{"orgId":"org_1"},"origin":"UI","at":"2024-04-16T14:31:29Z"},'
    b'"context":{"entity":null,"blueprint":"service","runId":"r_1"},'
    b'"payload":{"entity":null,"properties":{}}}'
)


class TestModels:
    def test_a_known_shape_becomes_its_model(self, deliver):
        invocation = deliver(ENVELOPE).invocation()

        assert isinstance(invocation, ActionInvocation)

    def test_any_other_json_is_a_custom_payload(self, deliver):
        assert isinstance(deliver(b"[1]").invocation(), CustomPayload)

    def test_a_payload_is_parsed_into_a_model(self, deliver):
        assert isinstance(deliver(ENVELOPE).parse(ActionInvocation), ActionInvocation)

    def test_the_strict_check_comes_before_any_model(self, deliver):
        for payload in (b"nope", b'{"a":1,"a":2}'):
            with pytest.raises(PayloadError):
                deliver(payload).invocation()
            with pytest.raises(PayloadError):
                deliver(payload).parse(CustomPayload)

    def test_an_exception_of_the_users_own_model_passes_without_the_payload(
        self, deliver
    ):
        class Order(msgspec.Struct):
            name: str

            def __post_init__(self):
                raise KeyError(self.name)

        with pytest.raises(KeyError) as caught:
            deliver(b'{"name":"payload-marker"}').parse(Order)

        assert caught.value.__context__ is None
        ours: list[object] = []
        trace: TracebackType | None = caught.tb
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_globals["__name__"].startswith("port_webhook."):
                ours.extend(frame.f_locals.values())
            trace = trace.tb_next
        assert "payload-marker" not in repr(ours)
        # Its repr does not show the payload that it holds.
        assert not any(isinstance(value, Delivery) for value in ours)

    def test_what_is_no_model_is_a_configuration_error(self, deliver):
        with pytest.raises(ConfigurationError):
            deliver(b"{}").parse(int)


def test_a_delivery_is_made_by_a_verifier_alone():
    make: Any = Delivery

    with pytest.raises(TypeError):
        make()
