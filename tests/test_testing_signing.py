"""What the helpers sign is accepted with the secret, and with no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import port_webhook
from port_webhook import (
    ConfigurationError,
    PortWebhookError,
    SignatureMismatchError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters.kafka import verify_message
from port_webhook.testing import (
    FixedClock,
    SignedRequest,
    Signer,
    sign_as_agent,
    sign_kafka_message,
    sign_request,
)

PACKAGE = str(Path(port_webhook.__file__).parent)
SECRET = "a-made-up-secret"
NOW = 1_713_277_889
VERIFIER = Verifier(SECRET, agent=True, clock=lambda: float(NOW))
STRICT = Verifier(SECRET, clock=lambda: float(NOW))
OTHER = Verifier("another-secret", agent=True, clock=lambda: float(NOW))
DOCUMENT = {"run": {"id": "r_1"}, "note": "café 🚢 \ud83d", "sizes": [1, 2.5, None]}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


class Foreign(dict[str, object]):
    """A mapping that raises whatever it likes."""

    def items(self):
        raise LookupError


def deep(levels):
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def assert_hides(error, *texts):
    """Assert that nothing that *error* keeps alive in the package holds *texts*."""
    seen = [repr(error), repr(vars(error)), str(error)]
    assert error.__cause__ is None
    assert error.__context__ is None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            seen.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    for text in texts:
        assert not [each for each in seen if text in each]


class TestSignRequest:
    def test_writes_a_document_as_javascript_prints_it(self):
        body, headers = sign_request(DOCUMENT, SECRET, timestamp=NOW)

        expected = '{"run":{"id":"r_1"},"note":"café 🚢 \\ud83d","sizes":[1,2.5,null]}'
        assert body == expected.encode()
        assert headers == {
            "content-type": "application/json",
            **sign(body, SECRET, timestamp=NOW),
        }
        assert VERIFIER.verify(body, headers).json() == DOCUMENT

    @pytest.mark.parametrize(
        "body", [b"\x00\xff", "caf\xe9", bytearray(b" { }"), memoryview(b"x")]
    )
    def test_takes_text_and_bytes_for_the_body_itself(self, body):
        sent, headers = sign_request(body, SECRET, timestamp=NOW)

        assert sent == (body.encode() if isinstance(body, str) else bytes(body))
        assert STRICT.verify(sent, headers).payload == sent

    def test_gives_no_type_to_an_empty_body(self):
        assert sign_request(b"", SECRET, timestamp=NOW) == SignedRequest(
            b"", sign(b"", SECRET, timestamp=NOW)
        )

    def test_signs_at_the_time_that_it_is(self):
        assert Verifier(SECRET).verify(*sign_request({}, SECRET)).payload == b"{}"

    def test_signs_in_milliseconds_if_it_is_told_to(self):
        _, headers = sign_request({}, SECRET, timestamp=NOW * 1000 + 7)
        assert headers["x-port-timestamp"] == f"{NOW}007"

    def test_is_refused_with_another_secret(self):
        with pytest.raises(SignatureMismatchError):
            OTHER.verify(*sign_request({}, SECRET, timestamp=NOW))


class TestSignAsAgent:
    def test_sends_white_space_that_it_does_not_sign(self):
        body, headers = sign_as_agent(DOCUMENT, SECRET, timestamp=NOW)

        assert body == json.dumps(DOCUMENT).encode()
        delivery = VERIFIER.verify(body, headers)
        assert delivery.via == "agent"
        assert delivery.payload == json.dumps(DOCUMENT, separators=(",", ":")).encode()
        with pytest.raises(SignatureMismatchError):
            STRICT.verify(body, headers)
        with pytest.raises(SignatureMismatchError):
            OTHER.verify(body, headers)

    def test_spells_a_text_anew(self):
        body, headers = sign_as_agent('{"a":[1,"é"]}', SECRET, timestamp=NOW)

        assert body == b'{"a": [1, "\\u00e9"]}'
        assert VERIFIER.verify(body, headers).json() == {"a": [1, "é"]}

    def test_sends_nothing_for_null(self):
        body, headers = sign_as_agent(None, SECRET, timestamp=NOW)

        assert body == b""
        assert "content-type" not in headers
        assert VERIFIER.verify(body, headers).payload == b"null"

    def test_sends_an_empty_object_as_it_is(self):
        assert sign_as_agent({}, SECRET, timestamp=NOW).body == b"{}"


class TestSignKafkaMessage:
    def test_puts_the_signature_into_headers_of_its_own(self):
        message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)

        delivery = verify_message(message, STRICT)
        assert delivery.via == "kafka"
        assert delivery.json() == {**DOCUMENT, "headers": {}}
        with pytest.raises(SignatureMismatchError):
            verify_message(message, OTHER)

    def test_keeps_other_headers_in_their_place_and_an_old_signature_not(self):
        document = {
            "headers": {"X-Port-Signature": "v1,AAAA", "X": "1", "X-Port-Timestamp": 5},
            "payload": None,
        }
        message = sign_kafka_message(document, SECRET, timestamp=NOW)

        sent = json.loads(message)
        assert list(sent) == ["headers", "payload"]
        assert list(sent["headers"]) == ["X", "X-Port-Signature", "X-Port-Timestamp"]
        assert sent["headers"]["X-Port-Timestamp"] == NOW
        expected = b'{"headers":{"X":"1"},"payload":null}'
        assert verify_message(message, STRICT).payload == expected
        assert document["headers"]["X-Port-Timestamp"] == 5  # type: ignore[index]  # the caller's own

    def test_takes_a_text(self):
        message = sign_kafka_message('{"headers": null}', SECRET, timestamp=NOW)
        assert verify_message(message, STRICT).payload == b'{"headers":{}}'

    @pytest.mark.parametrize(
        ("document", "gitlab"),
        [
            ({"payload": {"action": {"invocationMethod": {"type": "GITLAB"}}}}, False),
            ({"payload": {"action": {"invocationMethod": {"type": "WEBHOOK"}}}}, True),
            ({"payload": {"action": {"invocationMethod": None}}}, True),
            ({"headers": {"X": "1"}, "a": 1}, True),
            ({}, True),
        ],
    )
    def test_leaves_all_headers_of_a_call_of_gitlab_unsigned(self, document, gitlab):
        message = sign_kafka_message(document, SECRET, timestamp=NOW, gitlab=gitlab)

        signed = verify_message(message, STRICT).json()
        assert "headers" not in signed
        assert signed["payload"]["action"]["invocationMethod"]["type"] == "GITLAB"

    @pytest.mark.parametrize(
        ("document", "gitlab"),
        [
            (None, False),
            ([], False),
            ("5", False),
            ({"headers": []}, False),
            ({"headers": "X"}, False),
            ({"payload": "text"}, True),
            ({"payload": {"action": {"invocationMethod": []}}}, True),
        ],
    )
    def test_refuses_what_cannot_hold_a_signature(self, document, gitlab):
        with pytest.raises(ConfigurationError, match="JSON object"):
            sign_kafka_message(document, SECRET, timestamp=NOW, gitlab=gitlab)

    def test_leaves_a_payload_of_another_kind_alone(self):
        message = sign_kafka_message({"payload": "text"}, SECRET, timestamp=NOW)
        assert verify_message(message, STRICT).json() == {
            "payload": "text",
            "headers": {},
        }


SIGNERS = [sign_request, sign_as_agent, sign_kafka_message]


class TestWhatGoesWrong:
    @pytest.mark.parametrize("function", SIGNERS)
    @pytest.mark.parametrize(
        "document",
        [
            {"a": object()},
            {"a": float("nan")},
            {("a", "b"): 1},
            Foreign(a=1),
            deep(100_000),
        ],
        ids=["object", "NaN", "key", "foreign", "deep"],
    )
    def test_a_document_that_is_not_json_is_refused(self, function, document):
        with pytest.raises(ConfigurationError, match="JSON"):
            function(document, SECRET)

    @pytest.mark.parametrize("function", [sign_as_agent, sign_kafka_message])
    @pytest.mark.parametrize("text", ['{"a":1,"a":2}', b"\xff", "", "{", "[NaN]"])
    def test_a_text_that_is_taken_apart_must_be_strict_json(self, function, text):
        with pytest.raises(ConfigurationError, match="strict JSON"):
            function(text, SECRET)

    @pytest.mark.parametrize("function", SIGNERS)
    def test_text_that_cannot_be_encoded_is_refused(self, function):
        with pytest.raises(UnreadableBodyError):
            function("\ud800", SECRET)

    @pytest.mark.parametrize("function", SIGNERS)
    @pytest.mark.parametrize("timestamp", [True, 0, 1.5, "1713277889", 10**400])
    def test_a_timestamp_that_port_would_not_send_is_refused(self, function, timestamp):
        with pytest.raises(ConfigurationError, match="timestamp"):
            function({}, SECRET, timestamp=timestamp)

    @pytest.mark.parametrize("function", SIGNERS)
    @pytest.mark.parametrize("secret", ["", " padded ", None, 5])
    def test_a_secret_that_a_verifier_refuses_is_refused(self, function, secret):
        with pytest.raises(ConfigurationError, match="secret"):
            function({}, secret)

    @pytest.mark.parametrize("function", SIGNERS)
    @pytest.mark.parametrize(
        ("document", "secret"),
        [
            ({"hidden-body": 1}, "hidden-secret\n"),
            ({"hidden-body": object()}, "hidden-secret"),
            ("hidden-body \ud800", "hidden-secret"),
        ],
    )
    def test_an_error_holds_neither_secret_nor_document(
        self, function, document, secret
    ):
        with pytest.raises(PortWebhookError) as caught:
            function(document, secret)
        assert_hides(caught.value, "hidden")


@given(json_values)
def test_every_document_is_accepted_as_each_sender_sends_it(document):
    # Text stands for itself: it is written first.
    text = json.dumps(document)
    for body, headers in (
        sign_request(text, SECRET, timestamp=NOW),
        sign_request([document], SECRET, timestamp=NOW),
        sign_as_agent(text, SECRET, timestamp=NOW),
    ):
        assert VERIFIER.verify(body, headers).json() in (document, [document])
    message = sign_kafka_message({"it": document}, SECRET, timestamp=NOW)
    assert verify_message(message, STRICT).json() == {"it": document, "headers": {}}


class TestSigner:
    def test_does_what_the_functions_do_at_the_time_of_its_clock(self):
        signer = Signer(SECRET, clock=lambda: NOW + 0.9)

        assert signer(DOCUMENT) == sign_request(DOCUMENT, SECRET, timestamp=NOW)
        assert signer.as_agent([1]) == sign_as_agent([1], SECRET, timestamp=NOW)
        assert signer.headers("x") == sign("x", SECRET, timestamp=NOW)
        for gitlab in (False, True):
            message = signer.kafka_message({}, gitlab=gitlab)
            assert message == sign_kafka_message(
                {}, SECRET, timestamp=NOW, gitlab=gitlab
            )

    def test_signs_headers_at_another_time_if_it_is_told_to(self):
        signer = Signer(SECRET, clock=lambda: 5e9)
        assert signer.headers("x", timestamp=NOW) == sign("x", SECRET, timestamp=NOW)

    def test_looks_up_the_real_time_so_that_it_can_be_frozen(self, monkeypatch):
        signer = Signer(SECRET)
        monkeypatch.setattr("time.time", lambda: float(NOW))
        assert signer({}).headers["x-port-timestamp"] == str(NOW)

    def test_takes_the_real_time_without_a_clock(self):
        assert Verifier(SECRET).verify(*Signer(SECRET.encode())({})).payload == b"{}"

    @pytest.mark.parametrize("secret", ["", "hidden\n", None])
    def test_refuses_a_bad_secret_at_once(self, secret):
        with pytest.raises(ConfigurationError, match="secret") as caught:
            Signer(secret)
        assert_hides(caught.value, "hidden")

    def test_refuses_a_clock_that_cannot_be_called(self):
        with pytest.raises(ConfigurationError, match="clock") as caught:
            Signer("hidden-secret", clock=5)  # type: ignore[arg-type]  # the point
        assert_hides(caught.value, "hidden")

    @pytest.mark.parametrize("shown", [float("nan"), "now", None, 5.0, 1e300])
    @pytest.mark.parametrize(
        "method", ["__call__", "as_agent", "kafka_message", "headers"]
    )
    def test_refuses_what_no_clock_shows(self, method, shown):
        signer = Signer("hidden-secret", clock=lambda: shown)
        with pytest.raises(ConfigurationError) as caught:
            getattr(signer, method)('{"hidden":1}')
        assert_hides(caught.value, "hidden")

    def test_says_which_error_its_clock_raised(self):
        def clock():
            raise LookupError

        with pytest.raises(
            ConfigurationError, match="clock raised LookupError"
        ) as caught:
            Signer(SECRET, clock=clock).headers(b"")
        assert_hides(caught.value)


class TestFixedClock:
    def test_stands_still_until_it_is_told_otherwise(self):
        clock = FixedClock()

        assert clock() == clock() == datetime(2025, 1, 1, tzinfo=UTC).timestamp()
        clock.advance(1.5)
        assert (
            clock() == clock.now == datetime(2025, 1, 1, tzinfo=UTC).timestamp() + 1.5
        )
        clock.now = NOW
        assert clock() == NOW

    def test_goes_back_to_its_start(self):
        clock = FixedClock(NOW)
        clock.advance(5)
        clock.reset()
        assert clock() == clock.now == NOW

    def test_shows_the_time_that_it_is_given(self):
        assert FixedClock(NOW)() == NOW
        assert FixedClock(datetime.fromtimestamp(NOW, UTC))() == NOW

    @pytest.mark.parametrize("now", [None, True, "now", float("inf"), NOW * 1000])
    def test_refuses_what_is_not_a_time(self, now):
        with pytest.raises(ConfigurationError, match="now"):
            FixedClock(now)

    def test_serves_both_sides(self):
        clock = FixedClock()
        verifier = Verifier(SECRET, clock=clock)
        request = Signer(SECRET, clock=clock)({})

        clock.advance(300)
        assert verifier.verify(*request).payload == b"{}"
        clock.advance(1)
        with pytest.raises(port_webhook.TimestampError):
            verifier.verify(*request)
