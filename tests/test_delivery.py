"""`Delivery`: what a verifier lets through."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest

from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    CustomPayload,
    Delivery,
    PayloadError,
    TriggerData,
    UnreadableBodyError,
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
            (b'{"context":{"nodeRunId":"wfnr_6"}}', "wfnr_6"),
            (b'{"payload":{"context":{"runId":"r_6"}}}', "r_6"),
            (b'{"runId":"r_6"}', "r_6"),
            (b'{"run_id":"r_6"}', "r_6"),
            (b'{"RUN_ID":"r_6"}', "r_6"),
            (b'{"port_run_id":"r_6"}', "r_6"),
            (b'{"payload":{"runId":"r_6"}}', None),
            (b'{"payload":{"context":["runId"]}}', None),
            (b'{"runId":{"id":"r_6"}}', None),
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
            "port_run_id": "r_10",
            "RUN_ID": "r_9",
            "run_id": "r_8",
            "runId": "r_7",
            "payload": {"context": {"runId": "r_6"}},
            "port_context": {"run_id": "r_5", "runId": "r_4"},
            "run": {"id": "r_3"},
            "context": {"nodeRunId": "r_2", "runId": "r_1"},
        }
        found = []
        for *parents, key in (
            ("context", "runId"),
            ("context", "nodeRunId"),
            ("run", "id"),
            ("port_context", "runId"),
            ("port_context", "run_id"),
            ("payload", "context", "runId"),
            ("runId",),
            ("run_id",),
            ("RUN_ID",),
            ("port_run_id",),
        ):
            found.append(deliver(json.dumps(document).encode()).run_id)
            place: Any = document
            for parent in parents:
                place = place[parent]
            del place[key]

        assert found == [f"r_{number}" for number in range(1, 11)]

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


class TestValidate:
    """``inputs`` of trigger data is read late, and must be an object."""

    PAYLOAD = b'{"inputs":{},"trigger":{"by":5}}'

    def test_fields_are_checked_when_they_are_read(self, deliver):
        for options in ({}, {"validate": False}):
            data = deliver(self.PAYLOAD).parse(TriggerData, **options)
            with pytest.raises(PayloadError):
                data.trigger.by  # noqa: B018  # reading it is the check

    def test_they_are_checked_at_once_on_request(self, deliver):
        with pytest.raises(PayloadError):
            deliver(self.PAYLOAD).parse(TriggerData, validate=True)


class TestRunIdOfAnError:
    PAYLOAD = b'{"context":{"runId":"r_1"}}'

    @pytest.mark.parametrize(
        "read",
        [
            lambda delivery: delivery.parse(ActionInvocation),
            lambda delivery: delivery.parse(msgspec.defstruct("Order", ["name"])),
        ],
    )
    def test_a_payload_that_is_not_the_model_names_its_run(self, deliver, read):
        with pytest.raises(PayloadError) as caught:
            read(deliver(self.PAYLOAD))

        assert caught.value.run_id == "r_1"
        assert caught.value.__context__ is None

    def test_a_known_shape_that_is_broken_names_its_run(self, deliver):
        document = json.loads(ENVELOPE)
        document["trigger"] = 5

        delivery = deliver(json.dumps(document).encode())
        for read in (lambda: delivery.parse(ActionInvocation), delivery.invocation):
            with pytest.raises(PayloadError) as caught:
                read()
            assert caught.value.run_id == "r_1"

    def test_what_is_not_json_names_none(self, deliver):
        delivery = deliver(b"nope")

        for read in (delivery.json, delivery.invocation):
            with pytest.raises(PayloadError) as caught:
                read()
            assert caught.value.run_id is None


PAIRS = [
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    pytest.param(lambda each: pickle.loads(pickle.dumps(each)), id="pickle"),  # noqa: S301  # made here
    pytest.param(lambda each: Delivery.from_json(each.to_json()), id="json"),
    pytest.param(
        lambda each: Delivery.from_json(each.to_json().encode()), id="json bytes"
    ),
]


@pytest.mark.parametrize("hand_over", PAIRS)
class TestHandedOver:
    @pytest.mark.parametrize("payload", [b"", b"{}", b"\xff\x00", "é".encode()])
    @pytest.mark.parametrize("timestamp", ["1713277889", "1713277889007"])
    def test_it_is_the_same_delivery(
        self, make_verifier, headers_for, hand_over, payload, timestamp
    ):
        verifier = make_verifier(previous_secrets=["old"], replay_scope="café")
        delivery = verifier.verify(
            payload, headers_for(payload, timestamp=timestamp, key=b"old")
        )

        same = hand_over(delivery)

        assert type(same) is Delivery
        assert repr(same) == repr(delivery)
        for name in ("payload", "timestamp", "secret_index", "via", "replay_key"):
            assert getattr(same, name) == getattr(delivery, name)
        assert type(same.payload) is bytes

    def test_a_verifier_and_its_secrets_stay_behind(
        self, make_verifier, headers_for, hand_over
    ):
        verifier = make_verifier(secret="SECRET-marker-1")
        payload = b'{"context":{"runId":"r_1"}}'
        delivery = verifier.verify(
            payload, headers_for(payload, key=b"SECRET-marker-1")
        )
        assert (delivery.run_id, delivery.verified_by(verifier)) == ("r_1", True)

        same = hand_over(delivery)

        assert same._owner is None
        assert not same.verified_by(verifier)
        assert not same.verified_by(None)
        assert same.run_id == "r_1"
        assert b"SECRET-marker" not in pickle.dumps(same)
        assert "SECRET-marker" not in same.to_json()


class TestFromJson:
    @pytest.fixture
    def fields(self, deliver):
        return json.loads(deliver(b"{}").to_json())

    def test_it_is_what_to_json_wrote(self, fields):
        assert fields == {
            "payload": "e30=",
            "timestamp": "1713277889",
            "secret_index": 0,
            "via": "port",
            "scope": "",
        }
        assert Delivery.from_json(json.dumps(fields)).json() == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("payload", None),
            ("payload", 5),
            ("payload", "e30"),
            ("payload", "e3 0="),
            ("payload", "é"),
            ("timestamp", None),
            ("timestamp", 1_713_277_889),
            ("timestamp", "0713277889"),
            ("timestamp", "1713277889 "),
            ("timestamp", "１７１３２７７８８９"),
            ("timestamp", ["1"] * 10),
            ("secret_index", -1),
            ("secret_index", "0"),
            ("secret_index", True),
            ("secret_index", 0.0),
            ("via", "smee"),
            ("via", None),
            ("via", []),
            ("scope", None),
            ("scope", 5),
            ("scope", "\ud800"),
        ],
    )
    def test_a_field_that_is_not_valid_is_refused(self, fields, name, value):
        with pytest.raises(UnreadableBodyError) as caught:
            Delivery.from_json(json.dumps({**fields, name: value}))

        assert caught.value.http_status == 400
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        "name", ["payload", "timestamp", "secret_index", "via", "scope"]
    )
    def test_a_field_that_is_missing_is_refused(self, fields, name):
        del fields[name]

        with pytest.raises(UnreadableBodyError):
            Delivery.from_json(json.dumps(fields))

    @pytest.mark.parametrize(
        "text", ["", "nope", "[]", "5", "null", "[" * 10**6, b"\xff"]
    )
    def test_what_is_no_such_text_is_refused(self, text):
        with pytest.raises(UnreadableBodyError) as caught:
            Delivery.from_json(text)

        assert str(caught.value) == (
            "The text is not a delivery that Delivery.to_json wrote."
        )

    @pytest.mark.parametrize("text", [None, 5, {}, object()])
    def test_what_is_no_text_is_refused(self, text):
        from_json: Any = Delivery.from_json

        with pytest.raises(UnreadableBodyError):
            from_json(text)

    def test_a_subclass_makes_itself(self, fields):
        class Mine(Delivery):
            __slots__ = ()

        mine = Mine.from_json(json.dumps(fields))

        assert type(mine) is Mine
        assert type(copy.copy(mine)) is Mine


class TestPydantic:
    """FastAPI asks pydantic for the schema of every annotation that it reads."""

    def test_what_pydantic_makes_of_a_foreign_class_is_kept(self):
        model = pydantic.create_model(
            "Job", __config__={"arbitrary_types_allowed": True}, delivery=Delivery
        )
        with pytest.raises(pydantic.ValidationError, match="instance of Delivery"):
            model(delivery=5)

    def test_the_error_says_what_to_write(self):
        with pytest.raises(ConfigurationError) as caught:
            pydantic.TypeAdapter(Delivery)

        assert str(caught.value) == (
            "FastAPI cannot parse a Delivery; put @webhook(verifier) below @app.post, "
            "with the delivery as first parameter, or annotate it "
            "Annotated[Delivery, Depends(PortWebhook(verifier))]"
        )


def test_a_delivery_has_no_scope_unless_its_verifier_has_one(deliver):
    same = Delivery(b"{}", b"1713277889", 0, "port")

    assert same.replay_key == deliver(b"{}").replay_key


def test_a_delivery_is_made_by_a_verifier_alone():
    make: Any = Delivery

    with pytest.raises(TypeError):
        make()
