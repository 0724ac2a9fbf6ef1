"""Kafka: the messages that Port signs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
)
from port_webhook.adapters.kafka import (
    verify_message,
)

GITLAB = b'"payload":{"action":{"invocationMethod":{"type":"GITLAB"}}}'
WEBHOOK = b'"payload":{"action":{"invocationMethod":{"type":"WEBHOOK"}}}'


class TestRunsForm:
    def test_the_two_keys_go_and_the_rest_was_signed(self, message, verifier):
        value, signed = message()

        delivery = verify_message(value, verifier)

        assert delivery.payload == signed == b'{"action":"create","headers":{}}'
        assert delivery.via == "kafka"

    def test_the_empty_headers_stay_in_their_place(self, message, verifier):
        value, signed = message(b'"a":1,', b',"z":2')

        assert signed == b'{"a":1,"headers":{},"z":2}'
        assert verify_message(value, verifier).payload == signed

    def test_other_headers_stay(self, message, verifier):
        value, signed = message(rest=b'"X-Other":"1","x-third":[1,2]')

        assert b'"headers":{"X-Other":"1","x-third":[1,2]}' in signed
        assert verify_message(value, verifier).payload == signed

    def test_the_two_keys_may_stand_anywhere_among_them(self, message, verifier):
        value, signed = message(rest=b'"X-Other":"1"')
        message = json.loads(value)
        headers = message["headers"]
        message["headers"] = {
            "X-Port-Timestamp": headers["X-Port-Timestamp"],
            "X-Other": "1",
            "X-Port-Signature": headers["X-Port-Signature"],
        }

        delivery = verify_message(json.dumps(message), verifier)

        assert delivery.payload == signed

    @pytest.mark.parametrize(
        "timestamp", [b"1713277889", b'"1713277889"', b"1713277889123"]
    )
    def test_the_timestamp_may_be_an_integer_or_text(
        self, message, verifier, timestamp
    ):
        value, signed = message(timestamp=timestamp)

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(
        "timestamp",
        [b"1713277889.0", b"1.713277889e9", b"-1713277889", b"true", b"[1]", b"{}"],
    )
    def test_any_other_timestamp_is_malformed(self, message, verifier, timestamp):
        value, _ = message(timestamp=timestamp)

        with pytest.raises(MalformedHeaderError) as caught:
            verify_message(value, verifier)
        assert caught.value.header == "x-port-timestamp"

    @pytest.mark.parametrize("key", ["X-Port-Signature", "X-Port-Timestamp"])
    @pytest.mark.parametrize("change", [str.lower, str.upper])
    def test_the_case_of_the_keys_is_exact(self, message, verifier, key, change):
        value, _ = message()

        with pytest.raises(MissingHeaderError) as caught:
            verify_message(value.replace(key.encode(), change(key).encode()), verifier)
        assert caught.value.header == key.lower()

    def test_a_key_of_another_case_is_part_of_what_was_signed(self, message, verifier):
        value, signed = message(rest=b'"x-port-signature":"v1,other"')

        assert b"x-port-signature" in signed
        assert verify_message(value, verifier).payload == signed

    def test_an_escaped_key_is_the_same_key(self, message, verifier):
        value, signed = message()
        value = value.replace(b"X-Port-Signature", b"X-Port-Signatur\\u0065")

        assert verify_message(value, verifier).payload == signed

    def test_white_space_between_the_tokens_is_not_signed(self, message, verifier):
        value, signed = message()
        spaced = value.replace(b",", b" ,\n").replace(b"v1 ,\n", b"v1,")

        assert verify_message(spaced, verifier).payload == signed

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
    def test_the_message_may_be_bytes_or_text(self, message, verifier, kind):
        value, signed = message()

        assert verify_message(kind(value), verifier).payload == signed

    def test_the_payload_holds_the_run(self, message, verifier):
        value, _ = message(b'"context":{"runId":"wfnr_1"},')

        delivery = verify_message(value, verifier)

        assert delivery.run_id == "wfnr_1"
        assert delivery.timestamp == datetime(2024, 4, 16, 14, 31, 29, tzinfo=UTC)


class TestGitlabForm:
    def test_the_whole_headers_go(self, message, verifier):
        value, signed = message(GITLAB + b",", b',"z":2', gitlab=True)

        assert signed == b"{" + GITLAB + b',"z":2}'
        assert verify_message(value, verifier).payload == signed

    def test_other_headers_go_too(self, message, verifier):
        value, signed = message(GITLAB + b",", rest=b'"X-Other":"1"', gitlab=True)

        assert verify_message(value, verifier).payload == signed

    def test_an_escaped_type_is_the_same_type(self, message, verifier):
        gitlab = GITLAB.replace(b"GITLAB", b"GITL\\u0041B")
        value, signed = message(gitlab + b",", gitlab=True)

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(("before", "gitlab"), [(GITLAB, False), (WEBHOOK, True)])
    def test_each_rule_rejects_a_message_of_the_other(
        self, message, verifier, before, gitlab
    ):
        value, _ = message(before + b",", gitlab=gitlab)

        with pytest.raises(SignatureMismatchError):
            verify_message(value, verifier)

    @pytest.mark.parametrize(
        "before",
        [
            b'"payload":{"action":{"invocationMethod":{"type":"gitlab"}}}',
            b'"payload":{"action":{"invocationMethod":{"type":["GITLAB"]}}}',
            b'"payload":{"action":{"invocationMethod":{"type":null}}}',
            b'"payload":{"action":{"invocationMethod":"GITLAB"}}',
            b'"payload":{"action":{"type":"GITLAB"}}',
            b'"payload":{"action":null}',
            b'"payload":[]',
            b'"invocationMethod":{"type":"GITLAB"}',
            b'"action":{"invocationMethod":{"type":"GITLAB"}}',
        ],
    )
    def test_gitlab_is_read_from_its_place_alone(self, message, verifier, before):
        value, signed = message(before + b",")

        assert verify_message(value, verifier).payload == signed


class TestTokens:
    @pytest.mark.parametrize(
        "token",
        [
            b"1e-7",
            b"0.000001",
            b"1.0",
            b"-0",
            b"1E+2",
            b"1e21",
            b"123456789012345678901234567890",
            b"0.1000",
            b"1e999",
            b'"\xc3\xa9"',
            b'"\\u00e9"',
            b'"\\/"',
            b'"/"',
            b'"\xe2\x80\xa8"',
            b'"\\u2028"',
            b'"\\ud800"',
            b'"\\uDFFF\\ud83d"',
            b'"\\ud83d\\ude00"',
            b'"\x7f"',
            b'" spaces : , kept "',
            b"{}",
            b"[]",
        ],
    )
    def test_each_is_signed_as_it_was_received(self, message, verifier, token):
        value, signed = message(b'"a":' + token + b",")

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(
        ("received", "signed"),
        [
            (b'"\\u00e9"', b'"\xc3\xa9"'),
            (b'"\\/"', b'"/"'),
            (b'"\\u2028"', b'"\xe2\x80\xa8"'),
            (b'"\\ud83d\\ude00"', b'"\xf0\x9f\x98\x80"'),
            (b'"\\uD800"', b'"\\ud800"'),
            (b'"\\u007f\\u0008"', b'"\x7f\\b"'),
            (b'{"\\u00e9":1e-7}', b'{"\xc3\xa9":1e-7}'),
        ],
    )
    def test_strings_are_then_tried_as_javascript_prints_them(
        self, message, verifier, received, signed
    ):
        text = b'{"a":' + signed + b',"headers":{}}'
        value, _ = message(b'"a":' + received + b",", signed=text)

        assert verify_message(value, verifier).payload == text

    @pytest.mark.parametrize(
        ("received", "signed"), [(b"1.0", b"1"), (b"1e-07", b"1e-7"), (b"-0", b"0")]
    )
    def test_numbers_are_never_printed_anew(self, message, verifier, received, signed):
        text = b'{"a":' + signed + b',"headers":{}}'
        value, _ = message(b'"a":' + received + b",", signed=text)

        with pytest.raises(SignatureMismatchError):
            verify_message(value, verifier)


class TestRefused:
    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"nope",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b'{"headers":{},"headers":{}}',
            b'{"a":NaN}',
            b"[" * 65 + b"]" * 65,
            b'"\\' * 1000,
            None,
            {"headers": {}},
            5,
            "\ud800",
        ],
    )
    def test_what_is_not_strict_json_is_unreadable(self, verifier, value):
        with pytest.raises(UnreadableBodyError) as caught:
            verify_message(value, verifier)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        "value",
        [
            b"{}",
            b"[]",
            b'[{"headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}]',
            b"null",
            b'"headers"',
            b"5",
            b'{"headers":null}',
            b'{"headers":[]}',
            b'{"headers":"X-Port-Signature"}',
            b'{"headers":{}}',
            b'{"headers":{"X-Port-Timestamp":1713277889}}',
            b'{"headers":{"X-Port-Signature":null,"X-Port-Timestamp":1713277889}}',
            b'{"Headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}',
            b'{"body":{"headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}}',
        ],
    )
    def test_without_a_signature_it_is_unauthorized(self, verifier, value):
        with pytest.raises(MissingHeaderError) as caught:
            verify_message(value, verifier)
        assert caught.value.header == "x-port-signature"

    def test_a_signature_that_is_no_text_is_malformed(self, message, verifier):
        value, _ = message()
        for other in (b'["v1,x"]', b"1", b"true", b"{}"):
            start = value.index(b'"v1,')
            changed = value[:start] + other + value[start + 49 :]
            with pytest.raises(MalformedHeaderError):
                verify_message(changed, verifier)

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_a_changelog_destination_never_skips_verification(
        self, message, verifier, place
    ):
        # Port's own agent takes any message that holds the key for a change log.
        member = b'"changelogDestination":{"type":"WEBHOOK"}'

        for forged in (
            b"{" + member + b"}",
            b"{" + member + b',"headers":{}}',
        ):
            with pytest.raises(MissingHeaderError):
                verify_message(forged, verifier)
        options = {"before": member + b","} if place == "before" else {}
        value, _ = message(**options, after=b"" if options else b"," + member)
        verify_message(value, verifier)
        with pytest.raises(SignatureMismatchError):
            verify_message(value.replace(b"WEBHOOK", b"KAFKA"), verifier)

    def test_a_changed_message_is_a_mismatch(self, message, verifier):
        value, _ = message()

        with pytest.raises(SignatureMismatchError):
            verify_message(value.replace(b"create", b"delete"), verifier)

    def test_a_duplicate_key_cannot_hide_a_second_message(self, message, verifier):
        value, _ = message()

        with pytest.raises(UnreadableBodyError):
            verify_message(value[:-1] + b',"action":"delete"}', verifier)

    def test_the_limit_of_the_verifier_counts(self, message, make_verifier):
        value, _ = message()

        verify_message(value, make_verifier(max_body_bytes=len(value)))
        with pytest.raises(BodyTooLargeError):
            verify_message(value, make_verifier(max_body_bytes=len(value) - 1))

    def test_the_window_counts(self, message, verifier, clock, now):
        value, _ = message()
        clock.now += 301

        with pytest.raises(TimestampError):
            verify_message(value, verifier)
        verify_message(value, verifier, received_at=now)
        with pytest.raises(ConfigurationError):
            verify_message(value, verifier, received_at=now * 1000)

    def test_every_refusal_is_recorded_once(self, message, make_verifier, records):
        rejected: list[DeliveryError] = []
        verifier = make_verifier(on_rejected=rejected.append)
        value, _ = message()

        for wrong in (b"nope", b"{}", value.replace(b"create", b"delete")):
            with pytest.raises(DeliveryError) as caught:
                verify_message(wrong, verifier)
            assert rejected.pop() is caught.value

        assert [record.port_code for record in records] == [
            "unreadable_body",
            "missing_header",
            "signature_mismatch",
        ]
