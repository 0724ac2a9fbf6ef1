"""`Verifier`, `verify` and `sign`: the policy, and what it is composed of."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any
from unittest.mock import Mock, patch

import freezegun
import pytest
import time_machine

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    Delivery,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    _json,
    _secrets,
    _verifier,
)
from port_webhook.replay.memory import MemoryReplayStore

# Called with wrong types on purpose.
Verifier: Any = port_webhook.Verifier
sign: Any = port_webhook.sign
verify: Any = port_webhook.verify

BODY = b'{"action":"create","resourceType":"run"}'
NAN = float("nan")
INFINITE = float("inf")


async def coroutine_function(_=None):
    """Nobody would await what this returns."""


class TestSign:
    def test_it_returns_the_two_headers(self, secret, now, headers_for):
        assert sign(BODY, secret, timestamp=now) == headers_for(BODY)

    def test_text_is_signed_as_utf_8(self, secret, now, headers_for):
        assert sign("é", secret, timestamp=now) == headers_for("é".encode())

    def test_a_secret_may_be_bytes(self, secret, now, headers_for):
        assert sign(BODY, secret.encode(), timestamp=now) == headers_for(BODY)

    def test_a_timestamp_may_be_in_milliseconds(self, secret, headers_for):
        assert sign(BODY, secret, timestamp=1_713_277_889_123) == headers_for(
            BODY, timestamp="1713277889123"
        )

    def test_a_subclass_of_int_is_a_number(self, secret, headers_for, now):
        class Instant(IntEnum):
            NOW = now

        assert sign(BODY, secret, timestamp=Instant.NOW) == headers_for(BODY)

    def test_the_timestamp_is_now_if_there_is_none(
        self, secret, monkeypatch, headers_for
    ):
        monkeypatch.setattr("time.time", lambda: 1_713_277_889.9)

        assert sign(BODY, secret) == headers_for(BODY)

    @pytest.mark.parametrize(
        "timestamp",
        [
            0,
            -1,
            -1_713_277_889,
            1,
            171_327_788,
            17_132_778_891,
            10**13,
            10**5_000,
            True,
            1_713_277_889.0,
            "1713277889",
            NAN,
            datetime(2024, 4, 16, tzinfo=UTC),
        ],
        ids=lambda value: str(type(value)) if value == 10**5_000 else None,
    )
    def test_any_other_timestamp_is_refused(self, secret, timestamp):
        with pytest.raises(ConfigurationError, match="10 digits"):
            sign(BODY, secret, timestamp=timestamp)

    @pytest.mark.parametrize("body", [None, {}, [], 5, "\ud800"])
    def test_what_is_not_bytes_is_refused(self, secret, now, body):
        with pytest.raises(UnreadableBodyError):
            sign(body, secret, timestamp=now)

    @pytest.mark.parametrize("wrong", ["", " ", "a\n", None, 5])
    def test_what_is_no_secret_is_refused(self, now, wrong):
        with pytest.raises(ConfigurationError):
            sign(BODY, wrong, timestamp=now)


class TestVerifyFunction:
    def test_it_returns_the_delivery(self, secret, now, headers_for):
        delivery = verify(BODY, headers_for(BODY), secret, received_at=now)

        assert isinstance(delivery, Delivery)
        assert delivery.payload is BODY
        assert delivery.secret_index == 0
        assert delivery.via == "port"

    def test_what_was_just_signed_verifies(self, secret):
        assert verify(BODY, sign(BODY, secret), secret).payload == BODY

    def test_the_window_is_five_minutes_back_and_one_ahead(
        self, secret, now, headers_for
    ):
        for received_at in (now - 60, now + 300):
            verify(BODY, headers_for(BODY), secret, received_at=received_at)
        for received_at in (now - 61, now + 301):
            with pytest.raises(TimestampError):
                verify(BODY, headers_for(BODY), secret, received_at=received_at)

    def test_its_options_are_those_of_the_verifier(self, secret, now, headers_for):
        headers = headers_for(b'{"a":1}')

        verify(b'{"a": 1}', headers, secret, received_at=now, agent=True)
        verify(b'{"a":1}', headers, secret, received_at=now + 9, max_age=9)
        verify(b'{"a":1}', headers, secret, received_at=now - 9, max_future=9)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"body": b"other"}, SignatureMismatchError),
            ({"body": None}, UnreadableBodyError),
            ({"headers": {}}, MissingHeaderError),
            ({"headers": 5}, MalformedHeaderError),
            ({"secret": "another"}, SignatureMismatchError),
            ({"secret": ""}, ConfigurationError),
            ({"max_age": -1}, ConfigurationError),
            ({"received_at": True}, ConfigurationError),
        ],
    )
    def test_it_raises_and_never_returns_false(
        self, secret, now, headers_for, changes, error
    ):
        arguments = {
            "body": BODY,
            "headers": headers_for(BODY),
            "secret": secret,
            "received_at": now,
        }

        with pytest.raises(error) as caught:
            verify(**{**arguments, **changes})

        assert caught.value.__cause__ is caught.value.__context__ is None


class TestBodies:
    @pytest.mark.parametrize(
        "kind", [bytes, bytearray, memoryview, lambda body: body.decode("ascii")]
    )
    def test_bytes_and_text_are_the_same_body(self, verifier, headers_for, kind):
        assert verifier.verify(kind(BODY), headers_for(BODY)).payload == BODY

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe\x80", b"\x00", b"null", b"{"])
    def test_the_raw_form_is_never_decoded(self, verifier, headers_for, body):
        assert verifier.verify(body, headers_for(body)).payload == body

    @pytest.mark.parametrize("body", [None, {"a": 1}, [], "\ud800", 5, object()])
    def test_what_cannot_be_read_is_refused(self, verifier, headers_for, body):
        with pytest.raises(UnreadableBodyError) as caught:
            verifier.verify(body, headers_for(b""))

        assert caught.value.http_status == 400

    def test_the_limit_is_included(self, make_verifier, headers_for):
        verifier = make_verifier(max_body_bytes=len(BODY))

        verifier.verify(BODY, headers_for(BODY))
        with pytest.raises(BodyTooLargeError) as caught:
            verifier.verify(BODY + b" ", headers_for(BODY))

        assert caught.value.limit == verifier.max_body_bytes == len(BODY)

    def test_a_body_of_one_mebibyte_is_accepted_and_no_larger_one(
        self, verifier, headers_for
    ):
        body = b"x" * 1_048_576

        assert verifier.verify(body, headers_for(body)).payload is body
        with pytest.raises(BodyTooLargeError):
            verifier.verify(body + b"x", headers_for(body))

    @pytest.mark.parametrize("position", range(len(BODY)))
    def test_one_changed_bit_is_a_mismatch(self, verifier, headers_for, position):
        body = bytearray(BODY)
        body[position] ^= 1

        with pytest.raises(SignatureMismatchError):
            verifier.verify(body, headers_for(BODY))

    def test_another_timestamp_is_a_mismatch(self, verifier, headers_for, now):
        headers = {**headers_for(BODY), "x-port-timestamp": str(now + 1)}

        with pytest.raises(SignatureMismatchError):
            verifier.verify(BODY, headers)

    def test_the_text_of_the_timestamp_is_signed_not_its_value(
        self, verifier, headers_for, now
    ):
        headers = {**headers_for(BODY), "x-port-timestamp": f"{now}000"}

        with pytest.raises(SignatureMismatchError):
            verifier.verify(BODY, headers)

    def test_the_dot_cannot_move(self, verifier, headers_for):
        # Signed is "<timestamp>.<body>"; a digit more here is a digit less there.
        headers = headers_for(b"123.{}", timestamp="1713277889")

        with pytest.raises(SignatureMismatchError):
            verifier.verify(b"{}", headers)


class TestWindow:
    @pytest.mark.parametrize(("age", "sign"), [(300, 1), (-60, -1)])
    @pytest.mark.parametrize("milliseconds", [0, 1, 123, 999])
    def test_both_ends_are_included_to_the_millisecond(
        self, make_verifier, headers_for, age, sign, milliseconds
    ):
        headers = headers_for(BODY, timestamp=f"1713277889{milliseconds:03}")
        sent = datetime(2024, 4, 16, 14, 31, 29, milliseconds * 1000, tzinfo=UTC)
        end = sent + timedelta(seconds=age)
        beyond = end + sign * timedelta(milliseconds=1)

        make_verifier(clock=end.timestamp).verify(BODY, headers)
        make_verifier().verify(BODY, headers, received_at=end)
        with pytest.raises(TimestampError):
            make_verifier(clock=beyond.timestamp).verify(BODY, headers)
        with pytest.raises(TimestampError):
            make_verifier().verify(BODY, headers, received_at=beyond)

    def test_zero_is_strict_and_there_is_no_off(
        self, make_verifier, headers_for, clock
    ):
        strict = make_verifier(max_age=0, max_future=0)

        strict.verify(BODY, headers_for(BODY))
        for step in (0.001, -0.002):
            clock.now += step
            with pytest.raises(TimestampError):
                strict.verify(BODY, headers_for(BODY))

    def test_the_error_tells_the_age_and_the_bounds(self, verifier, headers_for, clock):
        clock.now += 1000

        with pytest.raises(TimestampError) as caught:
            verifier.verify(BODY, headers_for(BODY))

        error = caught.value
        assert (error.age, error.max_age, error.max_future) == (1000, 300, 60)
        assert error.code == "timestamp_too_old"

    def test_the_clock_is_read_once(self, make_verifier, headers_for, now):
        readings = iter([now])

        make_verifier(clock=readings.__next__).verify(BODY, headers_for(BODY))

        assert list(readings) == []

    def test_the_time_of_the_machine_is_the_default(self, secret):
        Verifier(secret).verify(BODY, sign(BODY, secret))

    @pytest.mark.parametrize(
        "answer", [None, "now", NAN, INFINITE, True, 1e12, 10**400]
    )
    def test_a_clock_that_shows_no_time_is_refused(
        self, make_verifier, headers_for, answer
    ):
        verifier = make_verifier(clock=lambda: answer)

        with pytest.raises(ConfigurationError, match=r"^clock must be"):
            verifier.verify(BODY, headers_for(BODY))

    def test_a_clock_that_raises_is_refused(self, make_verifier, headers_for):
        def clock():
            msg = "quotes something"
            raise OSError(msg)

        with pytest.raises(ConfigurationError) as caught:
            make_verifier(clock=clock).verify(BODY, headers_for(BODY))

        assert str(caught.value) == "clock raised OSError"
        assert caught.value.__context__ is None

    def test_a_signature_is_compared_without_computing_the_expected_one(
        self, verifier, headers_for
    ):
        # `HMAC.verify` takes constant time, and keeps the expected MAC to itself.
        called = []

        class Key:
            def __init__(self, context):
                self._context = context

            def copy(self):
                return Key(self._context.copy())

            def __getattr__(self, name):
                called.append(name)
                return getattr(self._context, name)

        verifier._keys = [Key(key) for key in verifier._keys]
        verifier.verify(BODY, headers_for(BODY))
        with pytest.raises(SignatureMismatchError):
            verifier.verify(BODY + b" ", headers_for(BODY))

        assert set(called) == {"update", "verify"}


class TestReceivedAt:
    def test_an_old_delivery_is_accepted_at_its_own_time(
        self, verifier, headers_for, now, clock
    ):
        clock.now += 1e6

        for received_at in (now, now + 0.5, datetime.fromtimestamp(now, UTC)):
            verifier.verify(BODY, headers_for(BODY), received_at=received_at)

    def test_it_counts_in_place_of_the_machines_time(self, secret, headers_for, now):
        verifier = Verifier(secret)

        verifier.check_headers(headers_for(BODY), received_at=now)
        verifier.verify(BODY, headers_for(BODY), received_at=now)

    def test_it_is_no_way_around_the_window(self, verifier, headers_for, now):
        with pytest.raises(TimestampError):
            verifier.verify(BODY, headers_for(BODY), received_at=now + 301)

    @pytest.mark.parametrize(
        "received_at",
        [
            NAN,
            INFINITE,
            -INFINITE,
            True,
            False,
            1_713_277_889_000,
            "1713277889",
            datetime(2024, 4, 16),  # noqa: DTZ001  # naive on purpose
            timedelta(seconds=1),
        ],
    )
    @pytest.mark.parametrize("method", ["verify", "check_headers", "receive"])
    def test_what_is_no_instant_is_a_configuration_error(
        self, verifier, headers_for, received_at, method
    ):
        headers = headers_for(BODY)

        with pytest.raises(ConfigurationError, match=r"^received_at must be"):  # noqa: PT012  # three ways to call
            if method == "check_headers":
                verifier.check_headers(headers, received_at=received_at)
            elif method == "receive":
                verifier.receive(BODY, headers, received_at=received_at).__enter__()
            else:
                verifier.verify(BODY, headers, received_at=received_at)


class TestCheckHeaders:
    def test_it_returns_what_takes_the_place_of_the_headers(
        self, verifier, headers_for
    ):
        checked = verifier.check_headers(headers_for(BODY))

        assert type(checked) is port_webhook.CheckedHeaders
        delivery = verifier.verify(BODY, checked)
        assert (delivery.payload, delivery.via) == (BODY, "port")

    async def test_every_method_takes_it(self, verifier, headers_for):
        checked = verifier.check_headers(headers_for(BODY))

        assert (await verifier.averify(BODY, checked)).payload == BODY
        with verifier.receive(BODY, checked) as delivery:
            assert delivery.payload == BODY
        async with verifier.areceive(BODY, checked) as delivery:
            assert delivery.payload == BODY

    def test_the_headers_are_not_read_twice(self, verifier, headers_for, monkeypatch):
        pairs = iter(headers_for(BODY).items())
        checked = verifier.check_headers(pairs)
        monkeypatch.setattr(
            "port_webhook._verifier.read_headers", lambda _: pytest.fail("read")
        )

        verifier.verify(BODY, checked)

    def test_another_body_is_a_mismatch(self, verifier, headers_for, records):
        checked = verifier.check_headers(headers_for(BODY))

        with pytest.raises(SignatureMismatchError):
            verifier.verify(BODY + b" ", checked)

        assert [record.port_code for record in records] == ["signature_mismatch"]

    def test_its_repr_shows_no_signature(self, verifier, headers_for, now):
        headers = headers_for(BODY)

        text = repr(verifier.check_headers(headers))

        assert text == f"<CheckedHeaders timestamp={now}>"

    def test_it_belongs_to_its_verifier(self, verifier, make_verifier, headers_for):
        checked = make_verifier().check_headers(headers_for(BODY))

        with pytest.raises(ConfigurationError, match="by another Verifier"):
            verifier.verify(BODY, checked)
        with (
            pytest.raises(ConfigurationError, match="by another Verifier"),
            verifier.receive(BODY, checked),
        ):
            pytest.fail("the block must not run")

    def test_received_at_beside_it_is_refused(self, verifier, headers_for, now):
        for options in ({}, {"received_at": now}):
            checked = verifier.check_headers(headers_for(BODY), **options)

            with pytest.raises(ConfigurationError, match="received_at belongs to"):
                verifier.verify(BODY, checked, received_at=now)

    def test_a_body_that_trickles_in_may_take_thirty_seconds_past_the_window(
        self, verifier, headers_for, clock, now, records
    ):
        clock.now = now + 299.0
        checked = verifier.check_headers(headers_for(BODY))

        clock.now = now + 329.999
        verifier.verify(BODY, checked)
        clock.now = now + 330.0
        with pytest.raises(TimestampError) as caught:
            verifier.verify(BODY, checked)

        assert caught.value.http_status == 401
        assert caught.value.age == 330
        assert records[-1].port_code == "timestamp_too_old"

    def test_a_second_copy_cannot_outlive_the_claim_of_the_first(
        self, make_verifier, headers_for, clock, now
    ):
        store = MemoryReplayStore(single_process=True, clock=clock)
        verifier = make_verifier(replay_store=store)
        headers = headers_for(BODY)
        late = verifier.check_headers(headers)
        verifier.verify(BODY, headers)

        for waited in range(400):
            clock.now = now + waited
            with pytest.raises((DuplicateDeliveryError, TimestampError)):
                verifier.verify(BODY, late)

    @pytest.mark.parametrize("answer", [NAN, "now"])
    def test_a_clock_that_breaks_meanwhile_is_refused(
        self, make_verifier, headers_for, now, answer
    ):
        answers = iter([now, answer])
        verifier = make_verifier(clock=answers.__next__)
        checked = verifier.check_headers(headers_for(BODY))

        with pytest.raises(ConfigurationError, match=r"^clock must be"):
            verifier.verify(BODY, checked)

    def test_with_a_time_of_the_callers_the_clock_is_not_asked(
        self, make_verifier, headers_for, now
    ):
        verifier = make_verifier(clock=lambda: pytest.fail("asked"))
        aware = datetime.fromtimestamp(now, UTC)

        for received_at in (now, aware):
            checked = verifier.check_headers(headers_for(BODY), received_at=received_at)
            verifier.verify(BODY, checked)

    def test_with_a_time_of_the_callers_the_mark_lasts_for_the_window(
        self, make_verifier, headers_for, now
    ):
        store = Mock()
        store.claim.return_value, store.commit.return_value = "claimed", True
        verifier = make_verifier(replay_store=store)
        checked = verifier.check_headers(headers_for(BODY), received_at=now + 200)

        verifier.verify(BODY, checked)

        assert store.commit.call_args.args[2] == 300 + 60 + 60

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"x-port-signature": None}, MissingHeaderError),
            ({"x-port-timestamp": None}, MissingHeaderError),
            ({"x-port-signature": "v1,x"}, MalformedHeaderError),
            ({"x-port-timestamp": "now"}, MalformedHeaderError),
            ({"x-port-timestamp": "1713277000"}, TimestampError),
            ({"x-port-timestamp": "1713278000"}, TimestampError),
            ({"X-PORT-SIGNATURE": "v1,x"}, MalformedHeaderError),
        ],
    )
    def test_it_refuses_before_a_body_is_read(
        self, verifier, headers_for, records, changes, error
    ):
        with pytest.raises(error):
            verifier.check_headers({**headers_for(BODY), **changes})

        assert len(records) == 1

    def test_it_accepts_a_signature_that_only_the_body_can_refute(
        self, verifier, headers_for
    ):
        verifier.check_headers(headers_for(b"another body"))

    def test_the_headers_come_before_the_body(self, verifier):
        with pytest.raises(MissingHeaderError):
            verifier.verify(None, {})


class TestHeaders:
    @pytest.mark.parametrize(
        "change",
        [
            dict,
            OrderedDict,
            lambda headers: list(headers.items()),
            lambda headers: iter(headers.items()),
            lambda headers: {k.upper(): v for k, v in headers.items()},
            lambda headers: [(k.encode(), v.encode()) for k, v in headers.items()],
            lambda headers: {k.encode(): f" {v}\t" for k, v in headers.items()},
        ],
    )
    def test_any_form_of_headers_will_do(self, verifier, headers_for, change):
        assert verifier.verify(BODY, change(headers_for(BODY))).payload == BODY

    @pytest.mark.parametrize("headers", [None, {}, [], "", 5, "text", b"raw"])
    def test_what_holds_no_headers_is_unauthorized(self, verifier, headers):
        with pytest.raises((MissingHeaderError, MalformedHeaderError)) as caught:
            verifier.verify(BODY, headers)

        assert caught.value.http_status == 401

    def test_a_second_value_is_refused_with_its_own_code(self, verifier, headers_for):
        pairs = list(headers_for(BODY).items())

        for pair in pairs:
            with pytest.raises(MalformedHeaderError) as caught:
                verifier.verify(BODY, [*pairs, pair])
            assert caught.value.code == "duplicate_header"

    def test_the_right_one_of_several_signatures_may_be_the_last(
        self, verifier, headers_for
    ):
        headers = headers_for(BODY)
        wrong = "v1," + "A" * 43 + "="
        headers["x-port-signature"] = f"v2,x {wrong} " + headers["x-port-signature"]

        assert verifier.verify(BODY, headers).payload == BODY


class TestRotation:
    def test_the_index_tells_which_secret_signed(self, make_verifier, headers_for):
        verifier = make_verifier(secret="new", previous_secrets=["old", b"older"])

        for index, key in enumerate([b"new", b"old", b"older"]):
            delivery = verifier.verify(BODY, headers_for(BODY, key=key))
            assert delivery.secret_index == index

    def test_a_secret_that_was_taken_out_is_refused(self, make_verifier, headers_for):
        verifier = make_verifier(secret="new", previous_secrets=["old"])

        with pytest.raises(SignatureMismatchError):
            verifier.verify(BODY, headers_for(BODY, key=b"older"))

    def test_text_and_bytes_are_the_same_secret(self, make_verifier, headers_for):
        make_verifier(secret=b"schl\xc3\xbcssel").verify(
            BODY, headers_for(BODY, key="schlüssel".encode())
        )

    def test_the_list_of_the_caller_may_change_later(self, make_verifier, headers_for):
        previous = ["old"]
        verifier = make_verifier(secret="new", previous_secrets=previous)
        previous.clear()

        verifier.verify(BODY, headers_for(BODY, key=b"old"))

    def test_previous_secrets_work_on_the_agent_path(self, make_verifier, headers_for):
        verifier = make_verifier(secret="new", previous_secrets=["old"], agent=True)

        delivery = verifier.verify(b'{"a": 1}', headers_for(b'{"a":1}', key=b"old"))

        assert (delivery.secret_index, delivery.via) == (1, "agent")


class TestConstruction:
    @pytest.mark.parametrize(
        "secret", ["", b"", " ", "a\n", "\ufeffa", b"a ", None, 5, bytearray(b"a"), []]
    )
    def test_what_is_no_secret_is_refused_when_it_is_built(self, secret):
        with pytest.raises(ConfigurationError, match=r"^secret "):
            Verifier(secret)

    @pytest.mark.parametrize("previous", ["old", b"old", None, 5, {"old"}, ["a"] * 9])
    def test_what_is_no_list_of_secrets_is_refused(self, secret, previous):
        with pytest.raises(ConfigurationError, match=r"^previous_secrets"):
            Verifier(secret, previous_secrets=previous)

    @pytest.mark.parametrize(
        ("option", "values"),
        [
            ("max_age", [NAN, INFINITE, -INFINITE, -1, True, None, "300", 1e11]),
            ("max_future", [NAN, INFINITE, -INFINITE, -1, False, None, "60"]),
            ("replay_lease", [NAN, INFINITE, -1, 0, 0.0, True, None]),
            ("replay_ttl", [NAN, INFINITE, -1, True, "300"]),
            ("max_body_bytes", [NAN, INFINITE, -1, 0, True, 1.5, None]),
            ("agent_max_bytes", [NAN, INFINITE, -1, 0, True, 1.5, None]),
            ("agent", [0, 1, None, "yes"]),
            ("replay_fail_open", [0, 1, None, "yes"]),
            ("replay_scope", [None, b"scope", 5, "\ud800"]),
            ("clock", [5, "time", coroutine_function]),
            ("on_verified", [5, "print", coroutine_function]),
            ("on_rejected", [5, "print", coroutine_function]),
        ],
    )
    def test_an_option_that_is_not_valid_is_named(self, secret, option, values):
        for value in values:
            with pytest.raises(ConfigurationError, match=rf"^{option} must be "):
                Verifier(secret, **{option: value})

    @pytest.mark.parametrize("option", ["max_age", "max_future"])
    def test_a_window_is_at_most_seven_days(self, secret, option):
        Verifier(secret, **{option: 7 * 86_400})

        with pytest.raises(ConfigurationError) as caught:
            Verifier(secret, **{option: 7 * 86_400 + 1})

        assert str(caught.value) == (
            f"{option} must be at most 604800 seconds; to accept an older delivery, "
            "pass received_at"
        )

    def test_a_mark_may_last_longer_than_a_window(self, secret):
        Verifier(secret, replay_ttl=30 * 86_400)

    def test_the_repr_of_one_that_is_half_built_shows_nothing(self):
        verifier = Verifier.__new__(Verifier)

        assert repr(verifier) == "<Verifier that could not be built>"

    def test_zero_is_a_window(self, secret):
        Verifier(secret, max_age=0, max_future=0)

    def test_there_is_no_option_that_switches_verification_off(self, secret):
        for option in ("verify", "verify_signature", "enabled", "debug"):
            with pytest.raises(TypeError):
                Verifier(secret, **{option: False})

    def test_options_are_passed_by_name(self, secret):
        with pytest.raises(TypeError):
            Verifier(secret, ())

    def test_the_repr_shows_the_rules(self, secret):
        verifier = Verifier(secret, previous_secrets=["old"], max_age=0.5, agent=True)

        assert repr(verifier) == (
            "<Verifier secrets=2 max_age=0.5 max_future=60 agent=True>"
        )

    def test_what_adapters_ask_for_can_be_read(self, secret):
        verifier = Verifier(secret, max_body_bytes=5, replay_scope="orders")

        assert verifier.max_body_bytes == 5
        assert verifier.replay_scope == "orders"
        assert not verifier.has_replay_store
        assert not verifier.is_async

    def test_it_does_not_keep_the_secret(self, secret):
        verifier = Verifier(secret)

        kept = [
            getattr(verifier, name, None)
            for name in Verifier.__slots__
            if not name.startswith("__")
        ]
        assert secret not in map(str, kept)
        with pytest.raises(TypeError):
            copy.deepcopy(verifier)

    def test_threads_may_share_it(self, verifier, headers_for):
        bodies = [b"%d" % number * 1000 for number in range(20)]
        verified: list[bytes] = []

        def work():
            verified.extend(
                verifier.verify(body, headers_for(body)).payload for body in bodies
            )

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(verified) == sorted(bodies * 8)

    def test_its_secrets_are_kept_apart_from_it_for_decryption(self):
        verifier = Verifier("new", previous_secrets=["old"])

        assert verifier._decryption_keys() == (b"new", b"old")

    def test_what_is_no_verifier_is_refused_by_those_that_need_one(self):
        _verifier.require_verifier(Verifier("new"))
        with pytest.raises(ConfigurationError) as caught:
            _verifier.require_verifier("new")

        assert str(caught.value) == "verifier must be a Verifier, not str"


class TestFromEnv:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch, secret):
        monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
        monkeypatch.delenv("PORT_CLIENT_SECRET_PREVIOUS", raising=False)
        monkeypatch.delenv("PORT_CLIENT_SECRET_FILE", raising=False)

    def test_the_secret_is_read_from_the_environment(self, clock, headers_for):
        Verifier.from_env(clock=clock).verify(BODY, headers_for(BODY))

    def test_so_are_the_previous_ones(self, monkeypatch, clock, headers_for):
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "old,older")
        verifier = Verifier.from_env(clock=clock)

        delivery = verifier.verify(BODY, headers_for(BODY, key=b"older"))

        assert delivery.secret_index == 2

    def test_a_subclass_makes_itself(self):
        class Strict(port_webhook.Verifier):
            pass

        assert type(Strict.from_env()) is Strict

    def test_its_options_are_those_of_the_class(self):
        assert "max_age=5 " in repr(Verifier.from_env(max_age=5))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_age": -1}, "^max_age must be"),
            ({"secret": "x"}, "^from_env reads secret from the environment"),
            (
                {"secret": "x", "previous_secrets": []},
                "^from_env reads previous_secrets and secret from the environment",
            ),
        ],
    )
    def test_an_option_that_is_not_valid_is_refused(self, options, message):
        with pytest.raises(ConfigurationError, match=message):
            Verifier.from_env(**options)

    def test_an_option_that_does_not_exist_is_a_type_error(self):
        with pytest.raises(TypeError, match="max_size"):
            Verifier.from_env(max_size=5)

    def test_a_variable_that_is_not_set_is_named(self, monkeypatch):
        monkeypatch.delenv("PORT_CLIENT_SECRET")

        with pytest.raises(
            ConfigurationError, match=r"^PORT_CLIENT_SECRET is not set$"
        ):
            Verifier.from_env()

    def test_the_secret_may_be_in_a_file(
        self, monkeypatch, tmp_path, secret, clock, headers_for
    ):
        file = tmp_path / "secret"
        file.write_bytes(secret.encode() + b"\n")
        monkeypatch.delenv("PORT_CLIENT_SECRET")
        monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", str(file))
        verifier = Verifier.from_env(clock=clock)

        assert verifier.verify(BODY, headers_for(BODY)).payload == BODY
        with pytest.raises(SignatureMismatchError) as caught:
            verifier.verify(b"", headers_for(BODY))

        assert caught.value.secret_source == "PORT_CLIENT_SECRET_FILE"

    def test_a_mismatch_names_the_variable(self, monkeypatch, clock, headers_for):
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "old,older")

        with pytest.raises(SignatureMismatchError) as caught:
            Verifier.from_env(clock=clock).verify(b"", headers_for(BODY))

        error = caught.value
        assert (error.secret_source, error.secrets_tried) == ("PORT_CLIENT_SECRET", 3)

    def test_too_many_previous_secrets_are_refused(self, monkeypatch):
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", ",".join("abcdefghi"))

        with pytest.raises(ConfigurationError, match="more than 8"):
            Verifier.from_env()


class TestSourceOfTheSecret:
    def test_an_argument_is_told_from_the_environment(
        self, make_verifier, headers_for, records
    ):
        verifier = make_verifier(previous_secrets=["the secret before it"])

        with pytest.raises(SignatureMismatchError) as caught:
            verifier.verify(b"", headers_for(BODY))

        error = caught.value
        assert (error.secret_source, error.secrets_tried) == ("an argument", 2)
        (record,) = records
        assert record.port_secret_source == "an argument"
        assert record.port_secrets_tried == 2
        assert "(2 secrets from an argument tried)" in record.getMessage()

    def test_the_function_takes_an_argument(self, secret, headers_for, now):
        with pytest.raises(SignatureMismatchError) as caught:
            verify(b"", headers_for(BODY), secret, received_at=now)

        assert caught.value.secret_source == "an argument"


class TestWeakSecrets:
    @pytest.fixture(autouse=True)
    def _forget(self, monkeypatch):
        monkeypatch.setattr(_secrets, "_weak_seen", set())

    def test_a_short_secret_is_logged_once_for_a_process_and_a_secret(self, records):
        for _ in range(3):
            Verifier("fifteen-bytes-1")
            Verifier("sixteen-bytes-12", previous_secrets=["fifteen-bytes-2"])

        assert [record.port_event for record in records] == ["weak_secret"] * 2
        assert {record.levelno for record in records} == {logging.WARNING}
        assert "fifteen" not in str([vars(record) for record in records])

    def test_the_length_counts_bytes(self, records):
        Verifier("é" * 8)

        assert records == []

    def test_the_functions_log_it_too(self, records):
        verify(BODY, sign(BODY, "weak"), "weak")

        assert records[0].port_event == "weak_secret"


class TestFrozenTime:
    """With `clock=None` the time is looked up at each call."""

    BUILT = Verifier("a-made-up-secret")  # before the time is frozen

    def check(self, at):
        headers = sign(BODY, "a-made-up-secret")
        assert headers["x-port-timestamp"] == str(at)
        verify(BODY, headers, "a-made-up-secret")
        assert self.BUILT.verify(BODY, headers).timestamp.timestamp() == at
        self.BUILT.verify(BODY, self.BUILT.check_headers(headers))
        return headers

    def test_with_a_patch(self):
        with patch.object(time, "time", lambda: 1_713_277_889.5):
            headers = self.check(1_713_277_889)

        with pytest.raises(TimestampError):
            self.BUILT.verify(BODY, headers)

    def test_with_freezegun(self):
        with freezegun.freeze_time("2024-04-16T14:31:29Z") as frozen:
            headers = self.check(1_713_277_889)
            frozen.tick(301)
            with pytest.raises(TimestampError):
                self.BUILT.verify(BODY, headers)

    def test_with_time_machine(self):
        with time_machine.travel(1_713_277_889, tick=False) as traveller:
            headers = self.check(1_713_277_889)
            traveller.shift(301)
            with pytest.raises(TimestampError):
                self.BUILT.verify(BODY, headers)


class TestSelfCheck:
    async def test_a_verifier_without_a_store_has_a_clock_to_check(self, verifier):
        verifier.self_check()
        await verifier.aself_check()

    @pytest.mark.parametrize("time_of_day", [0, 1_577_836_800, 4_102_444_800, 1e10])
    async def test_a_clock_that_is_not_set_is_refused(self, make_verifier, time_of_day):
        verifier = make_verifier(clock=lambda: time_of_day)

        with pytest.raises(ConfigurationError, match="The clock is not set"):
            verifier.self_check()
        with pytest.raises(ConfigurationError, match="The clock is not set"):
            await verifier.aself_check()

    async def test_the_store_must_answer(self, make_verifier):
        store = Mock()
        store.claim.return_value, store.release.return_value = "claimed", True
        verifier = make_verifier(replay_store=store)

        verifier.self_check()
        await verifier.aself_check()

        steps = [call[0] for call in store.method_calls]
        assert steps == ["claim", "release"] * 2
        keys = {call.args[0] for call in store.method_calls}
        assert len(keys) == 2  # random, so that no delivery's key is touched

    @pytest.mark.parametrize("fail_open", [False, True])
    async def test_a_store_that_fails_is_named(self, make_verifier, fail_open, records):
        store = Mock()
        store.claim.side_effect = OSError("redis://:password@host")
        verifier = make_verifier(replay_store=store, replay_fail_open=fail_open)

        with pytest.raises(ReplayStoreError, match="failed to claim") as caught:
            verifier.self_check()
        with pytest.raises(ReplayStoreError, match="failed to claim"):
            await verifier.aself_check()

        assert "password" not in str(caught.value)
        assert records == []

    async def test_an_asynchronous_store_needs_the_asynchronous_check(
        self, make_verifier
    ):
        class Store:
            async def claim(self, *_):
                return "claimed"

            async def commit(self, *_):
                return True

            async def release(self, *_):
                return True

        verifier = make_verifier(replay_store=Store())

        with pytest.raises(ConfigurationError, match="use aself_check"):
            verifier.self_check()
        await verifier.aself_check()


class TestAgent:
    @pytest.fixture
    def agent(self, make_verifier):
        return make_verifier(agent=True)

    @pytest.mark.parametrize(
        ("body", "signed"),
        [
            (b'{"a": 1, "b": [1, 2]}', b'{"a":1,"b":[1,2]}'),
            (b'["\\u00e9", 1e-07, 1.0]', b'["\\u00e9",1e-07,1.0]'),
            (b'"a, b: c" ', b'"a, b: c"'),
            (b"{ }", b"{}"),
        ],
    )
    def test_what_it_signed_becomes_the_payload(self, agent, headers_for, body, signed):
        delivery = agent.verify(body, headers_for(signed))

        assert delivery.payload == signed
        assert delivery.via == "agent"

    @pytest.mark.parametrize("body", [b'{"a": 1}', b"\xff", b"", b"nope", b"{}"])
    def test_the_raw_bytes_come_first(self, agent, headers_for, body):
        delivery = agent.verify(body, headers_for(body))

        assert delivery.payload is body
        assert delivery.via == "port"

    def test_an_empty_body_is_also_tried_as_null(self, agent, headers_for):
        delivery = agent.verify(b"", headers_for(b"null"))

        assert delivery.payload == b"null"
        assert delivery.via == "agent"
        assert delivery.json() is None

    @pytest.mark.parametrize("body", [b" ", b"\n", b"{}", b"nul"])
    def test_only_an_empty_body_is_null(self, agent, headers_for, body):
        with pytest.raises(SignatureMismatchError):
            agent.verify(body, headers_for(b"null"))

    @pytest.mark.parametrize("body", [b'{"a": 1}', b""])
    def test_without_the_option_the_agents_form_is_a_mismatch(
        self, verifier, headers_for, body
    ):
        with pytest.raises(SignatureMismatchError):
            verifier.verify(body, headers_for(b'{"a":1}' if body else b"null"))

    @pytest.mark.parametrize(
        "body",
        [
            b"nope",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b'{"a":1, "a":2}',
            b"[NaN, 1]",
            b"[" * 65 + b"]" * 65,
            b'"\\' * 1000,
            b'{"a": 2}',
            b'{"a":1}',
        ],
    )
    def test_what_cannot_be_the_agents_is_a_mismatch(self, agent, headers_for, body):
        with pytest.raises(SignatureMismatchError):
            agent.verify(body, headers_for(b"something else"))

    @pytest.mark.parametrize(
        ("body", "signed"),
        [
            (b"[NaN, 1]", b"[NaN,1]"),
            (b'{"a":1, "a":2}', b'{"a":1,"a":2}'),
            (b"\xef\xbb\xbf{ }", b"\xef\xbb\xbf{}"),
            (b"[" * 65 + b" " + b"]" * 65, b"[" * 65 + b"]" * 65),
            (b"no pe", b"nope"),
            (b"\xff ", b"\xff"),
            (b" ", b""),
        ],
    )
    def test_what_it_signed_and_is_not_strict_json_is_a_payload_error(
        self, agent, headers_for, records, body, signed
    ):
        with pytest.raises(PayloadError) as caught:
            agent.verify(body, headers_for(signed))

        assert caught.value.http_status == 422
        assert [record.port_code for record in records] == ["invalid_payload"]

    def test_a_forger_cannot_make_us_parse(self, agent, headers_for, monkeypatch):
        monkeypatch.setattr(_json, "require_json", lambda _: pytest.fail("parsed"))

        with pytest.raises(SignatureMismatchError):
            agent.verify(b'{"a": 1}', headers_for(b'{"a":2}'))

    def test_a_body_over_the_agents_limit_is_not_parsed(
        self, make_verifier, headers_for
    ):
        agent = make_verifier(agent=True, agent_max_bytes=9)

        assert agent.verify(b'{"a": 12}', headers_for(b'{"a":12}')).via == "agent"
        with pytest.raises(BodyTooLargeError) as caught:
            agent.verify(b'{"a": 123}', headers_for(b'{"a":123}'))

        assert caught.value.limit == 9

    def test_the_agents_limit_does_not_concern_raw_bodies(self, agent, headers_for):
        body = b" " * 262_145

        assert agent.verify(body, headers_for(body)).via == "port"
        with pytest.raises(BodyTooLargeError) as caught:
            agent.verify(body, headers_for(b"other"))
        assert caught.value.limit == 262_144

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"x-port-signature": None}, MissingHeaderError),
            ({"x-port-timestamp": "1"}, MalformedHeaderError),
            ({"x-port-timestamp": "1713270000"}, TimestampError),
        ],
    )
    def test_nothing_is_parsed_before_headers_and_window_passed(
        self, agent, headers_for, monkeypatch, changes, error
    ):
        for name in ("strip_white_space", "require_json"):
            monkeypatch.setattr(_json, name, lambda _: pytest.fail("parsed"))

        with pytest.raises(error):
            agent.verify(b'{"a": 1}', {**headers_for(b'{"a":1}'), **changes})

    def test_nothing_is_parsed_if_the_raw_bytes_match(
        self, agent, headers_for, monkeypatch
    ):
        for name in ("strip_white_space", "require_json"):
            monkeypatch.setattr(_json, name, lambda _: pytest.fail("parsed"))

        agent.verify(b'{"a": 1}', headers_for(b'{"a": 1}'))


class TestAverify:
    async def test_it_returns_the_delivery(self, verifier, headers_for):
        delivery = await verifier.averify(BODY, headers_for(BODY))

        assert delivery.payload is BODY

    async def test_it_refuses_like_verify(self, verifier, headers_for, records, now):
        with pytest.raises(SignatureMismatchError):
            await verifier.averify(b"{}", headers_for(BODY))
        with pytest.raises(TimestampError):
            await verifier.averify(BODY, headers_for(BODY), received_at=now + 301)
        with pytest.raises(ConfigurationError):
            await verifier.averify(BODY, headers_for(BODY), received_at=True)

        assert len(records) == 2


class TestHooks:
    def test_on_verified_is_called_with_the_delivery(self, make_verifier, headers_for):
        seen: list[object] = []
        verifier = make_verifier(on_verified=seen.append, on_rejected=pytest.fail)

        delivery = verifier.verify(BODY, headers_for(BODY))

        assert seen == [delivery]

    def test_on_rejected_is_called_with_the_error(self, make_verifier, headers_for):
        seen: list[object] = []
        verifier = make_verifier(on_verified=pytest.fail, on_rejected=seen.append)

        for call in (
            lambda: verifier.verify(BODY, {}),
            lambda: verifier.check_headers({}),
            lambda: verifier.receive(BODY, {}).__enter__(),
        ):
            with pytest.raises(MissingHeaderError) as caught:
                call()
            assert seen.pop() is caught.value

    def test_a_configuration_error_is_no_rejected_delivery(
        self, make_verifier, headers_for
    ):
        verifier = make_verifier(on_rejected=pytest.fail)

        with pytest.raises(ConfigurationError):
            verifier.verify(BODY, headers_for(BODY), received_at=True)

    def test_a_hook_that_raises_never_changes_the_answer(
        self, make_verifier, headers_for, records
    ):
        def hook(argument):
            msg = f"may quote {argument!r}"
            raise RuntimeError(msg)

        verifier = make_verifier(on_verified=hook, on_rejected=hook)

        assert verifier.verify(BODY, headers_for(BODY)).payload is BODY
        with pytest.raises(SignatureMismatchError) as caught:
            verifier.verify(b"{}", headers_for(BODY))

        assert caught.value.__context__ is None
        failed = [each for each in records if each.port_event == "hook_failed"]
        assert [each.levelno for each in failed] == [logging.ERROR] * 2
        assert all("may quote" not in each.getMessage() for each in failed)

    def test_check_headers_calls_no_on_verified(self, make_verifier, headers_for):
        make_verifier(on_verified=pytest.fail).check_headers(headers_for(BODY))


class TestRecords:
    def test_a_verified_delivery_is_logged_for_debugging(
        self, verifier, headers_for, records
    ):
        verifier.verify(BODY, headers_for(BODY))

        (record,) = records
        assert record.name == "port_webhook"
        assert record.levelno == logging.DEBUG
        assert record.getMessage() == "Port delivery verified via port"
        assert record.port_event == "verified"
        assert (record.port_via, record.port_secret_index) == ("port", 0)

    def test_a_previous_secret_is_told_at_info(
        self, make_verifier, headers_for, records
    ):
        verifier = make_verifier(previous_secrets=["the secret before it"])

        verifier.verify(BODY, headers_for(BODY, key=b"the secret before it"))

        assert records[0].levelno == logging.INFO
        assert records[0].getMessage().endswith("with previous secret 1")

    def test_a_refused_delivery_is_a_warning_with_its_fields(
        self, verifier, headers_for, records, clock
    ):
        clock.now += 1000

        with pytest.raises(TimestampError) as caught:
            verifier.verify(BODY, headers_for(BODY))

        (record,) = records
        assert record.levelno == logging.WARNING
        assert record.port_event == "rejected"
        assert record.port_code == "timestamp_too_old"
        assert record.port_http_status == 401
        assert (record.port_age, record.port_max_age, record.port_max_future) == (
            1000,
            300,
            60,
        )
        assert record.getMessage() == (
            f"Port delivery refused (timestamp_too_old): {caught.value}"
        )
        assert record.exc_info is None

    def test_the_header_that_is_wrong_is_a_field(self, verifier, records):
        with pytest.raises(MissingHeaderError):
            verifier.verify(BODY, {})

        assert records[0].port_header == "x-port-signature"

    def test_nothing_is_formatted_that_nobody_reads(
        self, verifier, headers_for, records
    ):
        logging.getLogger("port_webhook").setLevel(logging.WARNING)

        verifier.verify(BODY, headers_for(BODY))

        assert records == []

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (DuplicateDeliveryError(), "not run again (duplicate_delivery)"),
            (UnreadableBodyError("It."), "refused (unreadable_body)"),
        ],
    )
    def test_a_duplicate_is_not_run_again_and_all_else_is_refused(
        self, verifier, records, error, words
    ):
        verifier.reject(error)

        assert records[0].getMessage() == f"Port delivery {words}: {error}"
        assert records[0].levelno == logging.WARNING

    def test_a_record_that_no_handler_takes_is_not_formatted(self, verifier, records):
        class UnprintableError(UnreadableBodyError):
            def __str__(self):
                raise AssertionError

        logging.getLogger("port_webhook").setLevel(logging.ERROR)

        verifier.reject(UnprintableError("It."))

        assert records == []

    def test_reject_cleans_the_error_before_a_hook_sees_it(self, make_verifier):
        seen: list[object] = []

        def look(error):
            seen.extend((error.__traceback__, error.__cause__, error.__context__))

        verifier = make_verifier(on_rejected=look)
        with pytest.raises(UnreadableBodyError) as caught:
            port_webhook._arguments.read_body("\ud800", 9)
        assert caught.value.__context__ is not None

        verifier.reject(caught.value)

        assert seen == [None, None, None]

    def test_an_adapter_records_its_own_errors(self, make_verifier, records):
        seen: list[object] = []
        error = UnreadableBodyError("The body was truncated.")

        make_verifier(on_rejected=seen.append).reject(error)

        assert seen == [error]
        assert records[0].port_code == "unreadable_body"

    def test_a_store_that_failed_is_an_error(self, verifier, records):
        verifier.reject(ReplayStoreError("is full"))

        assert records[0].levelno == logging.ERROR

    def test_an_error_may_carry_any_attribute(self, verifier, records):
        error = PayloadError("is not valid", path="a")
        vars(error).update(message="m", event="e", level="l")
        error.add_note("a note")

        verifier.reject(error)

        assert records[0].port_event == "rejected"
        assert records[0].port_path == "a"


class Broken:
    """A lazy object whose look-up fails, as Django's and werkzeug's may."""

    @property  # type: ignore[misc]  # as such objects do
    def __class__(self):
        raise ZeroDivisionError


class Text(str):
    """Text with methods of its own."""

    __slots__ = ()

    def encode(self, *_):
        raise ZeroDivisionError


class Number(float):
    def __lt__(self, other):
        raise ZeroDivisionError

    __gt__ = __le__ = __ge__ = __lt__


@pytest.mark.parametrize(
    "option",
    [
        "previous_secrets",
        "max_age",
        "max_future",
        "agent",
        "max_body_bytes",
        "agent_max_bytes",
        "replay_scope",
        "replay_lease",
        "replay_ttl",
        "replay_fail_open",
        "clock",
        "on_verified",
        "on_rejected",
    ],
)
def test_a_lazy_object_that_fails_is_no_option(option):
    with pytest.raises(ConfigurationError, match=option):
        Verifier("secret", **{option: Broken()})


def test_a_lazy_object_that_fails_is_no_secret_no_body_and_no_time():
    broken: Any = Broken()
    headers = sign(BODY, "secret")
    with pytest.raises(ConfigurationError, match="must be text or bytes"):
        Verifier(broken)
    with pytest.raises(UnreadableBodyError):
        Verifier("secret").verify(broken, headers)
    with pytest.raises(ConfigurationError, match="received_at"):
        Verifier("secret").verify(BODY, headers, received_at=broken)


def test_a_subclass_counts_by_what_it_holds_and_not_by_its_methods():
    verifier = Verifier(Text("secret"), max_age=Number(300))
    assert verifier.verify(BODY, sign(BODY, "secret")).payload == BODY
