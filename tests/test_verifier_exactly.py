"""What a `Verifier` says and hands on, word for word and field by field.

Mutation testing found that other tests would not see a change here.
"""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import Mock

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    Verifier,
    _secrets,
    sign,
    verify,
)
from port_webhook._verifier import SignedForms
from port_webhook.replay.memory import MemoryReplayStore

BODY = b'{"context":{"runId":"r_1"}}'
OLD = "the secret before it"
AGENT = "or Port's agent forwarded it (set agent=True)."


@pytest.fixture
def store():
    return MemoryReplayStore(single_process=True)


def message(error_type: type[Exception], call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(error_type) as caught:
        call(*args, **options)
    return str(caught.value)


class TestForms:
    def test_the_delivery_of_a_form_has_all_its_parts(
        self, make_verifier, headers_for, now
    ):
        verifier = make_verifier(previous_secrets=[OLD], replay_scope="orders")
        forms = SignedForms("kafka", iter([b"another", BODY]))

        delivery = verifier.verify(forms, headers_for(BODY, key=OLD.encode()))

        plain = verifier.verify(BODY, headers_for(BODY, key=OLD.encode()))
        assert (delivery.payload, delivery.via) == (BODY, "kafka")
        assert delivery.secret_index == 1
        assert delivery.timestamp.timestamp() == now
        assert delivery.replay_key == plain.replay_key
        assert delivery.verified_by(verifier)

    def test_a_mismatch_of_forms_does_not_suggest_the_agent(
        self, verifier, headers_for
    ):
        forms = SignedForms("kafka", [b"another"])

        text = message(
            SignatureMismatchError, verifier.verify, forms, headers_for(BODY)
        )

        assert "agent" not in text


class TestSuggestions:
    def test_a_mismatch_suggests_the_agent(self, verifier, headers_for):
        text = message(SignatureMismatchError, verifier.verify, b"", headers_for(BODY))

        assert text.endswith(AGENT)

    @pytest.mark.parametrize("body", [b"", b"[ ]", b"[]"])
    def test_not_where_its_form_was_tried(self, make_verifier, headers_for, body):
        agent = make_verifier(agent=True)

        text = message(SignatureMismatchError, agent.verify, body, headers_for(BODY))

        assert "agent" not in text

    def test_the_limit_of_the_agents_form_is_named(self, make_verifier, headers_for):
        agent = make_verifier(agent=True, agent_max_bytes=9)

        text = message(
            BodyTooLargeError, agent.verify, b'{"a": 123}', headers_for(b'{"a":123}')
        )

        assert text == (
            "The body matches no signature as it came, and to look for the agent's "
            "form it is larger than the limit of 9 bytes; agent_max_bytes sets it."
        )


class TestMessages:
    def test_checked_headers_of_another_verifier(self, make_verifier, headers_for):
        checked = make_verifier().check_headers(headers_for(BODY))

        text = message(ConfigurationError, make_verifier().verify, BODY, checked)

        assert text == "The headers were checked by another Verifier"

    def test_received_at_beside_checked_headers(self, verifier, headers_for, now):
        checked = verifier.check_headers(headers_for(BODY))

        text = message(
            ConfigurationError, verifier.verify, BODY, checked, received_at=now
        )

        assert text == "received_at belongs to check_headers, which got the headers"

    def test_a_clock_that_is_not_set(self, make_verifier):
        verifier = make_verifier(clock=lambda: 0)

        assert message(ConfigurationError, verifier.self_check) == (
            "The clock is not set: it says a time before 2020 or after 2100"
        )

    def test_an_asynchronous_store(self, make_verifier, headers_for):
        async def nothing(*_: object) -> None: ...

        store = Mock(claim=nothing, commit=nothing, release=nothing)
        verifier = make_verifier(replay_store=store)

        text = "The replay store is asynchronous; use "
        assert message(
            ConfigurationError, verifier.verify, BODY, headers_for(BODY)
        ) == (f"{text}averify or areceive")
        assert message(ConfigurationError, verifier.self_check) == f"{text}aself_check"

    def test_a_weak_secret(self, monkeypatch, records):
        monkeypatch.setattr(_secrets, "_weak_seen", set())

        Verifier("fifteen-bytes-3")

        (record,) = records
        assert record.getMessage() == (
            "A client secret is shorter than 16 bytes: it can be guessed from one "
            "captured delivery. Port's own are longer."
        )

    def test_a_previous_secret(self, make_verifier, headers_for, records):
        verifier = make_verifier(previous_secrets=[OLD])

        verifier.verify(BODY, headers_for(BODY, key=OLD.encode()))

        assert [record.getMessage() for record in records] == [
            "Port delivery verified via port with previous secret 1"
        ]

    def test_a_body_of_an_error_is_in_no_record(self, verifier, records):
        error: Any = UnreadableBodyError("The body is not there.")
        error.http_body = b"made by an adapter"

        verifier.reject(error)

        (record,) = records
        assert {name for name in vars(record) if name.startswith("port_")} == {
            *("port_code", "port_event", "port_http_status"),
        }


class TestInstants:
    def test_a_store_and_received_at_go_together(
        self, make_verifier, headers_for, store, clock, now
    ):
        verifier = make_verifier(replay_store=store)
        clock.now += 1_000_000

        delivery = verifier.verify(BODY, headers_for(BODY), received_at=now)

        assert delivery.payload == BODY

    def test_a_slow_body_ends_at_the_second(self, verifier, headers_for, clock, now):
        checked = verifier.check_headers(headers_for(BODY))
        # The last float before the end: a clock's fraction must not decide.
        clock.now = math.nextafter(now + 330, 0)

        with pytest.raises(TimestampError) as caught:
            verifier.verify(BODY, checked)

        error = caught.value
        assert (error.age, error.max_age, error.max_future) == (330, 300, 60)


class TestTheFunctions:
    def test_it_does_not_look_for_the_agents_form_unless_it_is_asked(
        self, headers_for, secret, now
    ):
        options: Any = {"received_at": now}
        headers = headers_for(b'{"a":1}')

        text = message(
            SignatureMismatchError, verify, b'{"a": 1}', headers, secret, **options
        )

        assert text.endswith(AGENT)
        assert verify(b'{"a": 1}', headers, secret, agent=True, **options).via == (
            "agent"
        )

    def test_it_hands_on_how_far_ahead_a_timestamp_may_lie(
        self, headers_for, secret, now
    ):
        headers = headers_for(BODY)

        verify(BODY, headers, secret, max_future=90, received_at=now - 90)
        with pytest.raises(TimestampError):
            verify(BODY, headers, secret, max_future=30, received_at=now - 31)

    def test_signing_names_the_argument_that_is_wrong(self, secret):
        assert message(ConfigurationError, sign, BODY, "").startswith("secret ")
        assert message(ConfigurationError, sign, BODY, secret, timestamp=1) == (
            "timestamp must be an int of 10 digits (seconds) or 13 (milliseconds)"
        )
