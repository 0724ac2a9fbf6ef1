"""Events of HTTP requests: their bodies, their headers, and what is wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MethodNotAllowedError,
    MissingHeaderError,
    PortWebhookError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    UnsupportedMediaError,
)
from port_webhook.adapters.aws_lambda import verify_event, verify_kafka_event

from ..doubles import AsyncStore, Store
from .events import (
    BINARY,
    NOW,
    OTHER_SIGNATURE,
    SECRET,
    SIGNED,
    TEXT,
    all_services,
    assert_hides,
    balancer_multi,
    direct,
    function_url,
    http_api,
    make_verifier,
    rest,
    set_method,
    signed_event,
)


class TestVerifyEvent:
    @all_services
    @pytest.mark.parametrize("encoded", [False, True])
    def test_accepts_a_signed_body_as_text_and_as_base64(self, service, encoded):
        event = signed_event(service, encoded=encoded)
        delivery = verify_event(event, make_verifier())
        assert delivery.payload == TEXT
        assert delivery.via == "port"

    @all_services
    def test_keeps_bytes_that_are_not_utf_8(self, service):
        event = signed_event(service, BINARY, encoded=True)
        assert verify_event(event, make_verifier()).payload == BINARY

    @all_services
    @pytest.mark.parametrize("body", [None, ""])
    @pytest.mark.parametrize("encoded", [False, True, None])
    def test_takes_null_and_empty_text_as_an_empty_body(self, service, body, encoded):
        event = signed_event(service, b"")
        event["body"] = body
        event["isBase64Encoded"] = encoded
        assert verify_event(event, make_verifier()).payload == b""

    @all_services
    def test_takes_a_missing_body_as_an_empty_one(self, service):
        event = signed_event(service, b"")
        event.pop("body", None)
        event.pop("isBase64Encoded", None)
        assert verify_event(event, make_verifier()).payload == b""

    @all_services
    @pytest.mark.parametrize("value", ["missing", None])
    def test_finds_no_signature_where_the_headers_are_missing_or_null(
        self, service, value
    ):
        event = signed_event(service)
        for name in ("headers", "multiValueHeaders"):
            event.pop(name, None)
            if value is None:
                event[name] = None
        with pytest.raises(MissingHeaderError):
            verify_event(event, make_verifier())

    @all_services
    def test_needs_no_other_key_than_headers_and_body(self, service):
        event = signed_event(service)
        wanted = ("headers", "multiValueHeaders", "body", "isBase64Encoded")
        event = {name: event[name] for name in wanted if name in event}
        assert verify_event(event, make_verifier()).payload == TEXT

    @all_services
    def test_finds_the_headers_in_any_case(self, service):
        event = service(TEXT, [(name.title(), value) for name, value in SIGNED])
        assert verify_event(event, make_verifier()).payload == TEXT

    @all_services
    def test_refuses_a_changed_body(self, service):
        event = service(TEXT + b" ", SIGNED)
        with pytest.raises(SignatureMismatchError):
            verify_event(event, make_verifier())

    @all_services
    def test_refuses_an_unsigned_request(self, service):
        with pytest.raises(MissingHeaderError):
            verify_event(service(TEXT), make_verifier())

    # A load balancer in single-value mode shows the last value alone.
    @pytest.mark.parametrize("service", [rest, http_api, function_url, balancer_multi])
    @pytest.mark.parametrize(
        "extra",
        [
            ("x-port-signature", SIGNED[1][1]),
            ("x-port-signature", OTHER_SIGNATURE),
            ("x-port-timestamp", str(NOW)),
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_refuses_a_header_that_came_twice(self, service, extra, first):
        pairs = [extra, *SIGNED] if first else [*SIGNED, extra]
        with pytest.raises(MalformedHeaderError) as caught:
            verify_event(service(TEXT, pairs), make_verifier())
        assert caught.value.code == "duplicate_header"

    # The other services lower the names themselves, so that nothing can collide.
    @pytest.mark.parametrize("service", [rest, direct])
    @pytest.mark.parametrize("value", [SIGNED[1][1], OTHER_SIGNATURE])
    def test_takes_names_that_differ_in_case_as_two_values(self, service, value):
        event = service(TEXT, [*SIGNED, ("X-Port-Signature", value)])
        with pytest.raises(MalformedHeaderError) as caught:
            verify_event(event, make_verifier())
        assert caught.value.code == "duplicate_header"

    def test_counts_a_value_that_only_the_single_headers_show(self):
        event = signed_event(rest)
        event["headers"]["x-port-signature"] = OTHER_SIGNATURE
        with pytest.raises(MalformedHeaderError) as caught:
            verify_event(event, make_verifier())
        assert caught.value.code == "duplicate_header"

    def test_reads_either_map_of_a_rest_api_alone(self):
        for name in ("headers", "multiValueHeaders"):
            event = signed_event(rest)
            event[name] = None
            assert verify_event(event, make_verifier()).payload == TEXT

    @all_services
    @pytest.mark.parametrize("make", [list, tuple])
    @pytest.mark.parametrize("place", ["headers", "multiValueHeaders"])
    def test_reads_a_list_of_one_as_that_value(self, service, make, place):
        # So do event parsers write what they read, and some tests of users.
        event = signed_event(service)
        event["headers"] = event["multiValueHeaders"] = None
        event[place] = {name: make([value]) for name, value in SIGNED}
        assert verify_event(event, make_verifier()).payload == TEXT

    def test_reads_a_list_of_one_beside_the_same_value_as_one(self):
        event = signed_event(rest)
        event["headers"] = {name: [value] for name, value in SIGNED}
        assert verify_event(event, make_verifier()).payload == TEXT

    @pytest.mark.parametrize("place", ["headers", "multiValueHeaders"])
    @pytest.mark.parametrize("index", [0, 1])
    @pytest.mark.parametrize("second", ["equal", "other"])
    def test_takes_a_list_of_two_as_two_values(self, place, index, second):
        name, value = SIGNED[index]
        other = value if second == "equal" else OTHER_SIGNATURE
        event = {place: {**dict(SIGNED), name: [value, other]}, "body": TEXT.decode()}
        with pytest.raises(MalformedHeaderError) as caught:
            verify_event(event, make_verifier())
        assert caught.value.code == "duplicate_header"

    @pytest.mark.parametrize("place", ["headers", "multiValueHeaders"])
    @pytest.mark.parametrize("nothing", [[], [None], None])
    def test_takes_an_empty_list_as_no_value(self, place, nothing):
        event = {place: {**dict(SIGNED), "x-port-signature": nothing}}
        with pytest.raises(MissingHeaderError):
            verify_event(event, make_verifier())

    def test_reads_a_multi_value_header_that_is_no_list_as_one_value(self):
        event = signed_event(balancer_multi)
        event["multiValueHeaders"] = dict(SIGNED)
        assert verify_event(event, make_verifier()).payload == TEXT

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("headers", [], UnreadableBodyError),
            ("headers", "x-port-signature", UnreadableBodyError),
            ("multiValueHeaders", 5, UnreadableBodyError),
            ("headers", {"x-port-signature": 5}, MalformedHeaderError),
            ("headers", {"x-port-signature": {}}, MalformedHeaderError),
            ("multiValueHeaders", {"x-port-signature": [{}]}, MalformedHeaderError),
            ("body", {"parsed": True}, UnreadableBodyError),
            ("body", ["parsed"], UnreadableBodyError),
            ("body", 5, UnreadableBodyError),
            ("body", "\ud800", UnreadableBodyError),
            ("isBase64Encoded", "true", UnreadableBodyError),
            ("isBase64Encoded", 1, UnreadableBodyError),
        ],
    )
    def test_refuses_a_part_of_the_wrong_type(self, name, value, error):
        with pytest.raises(error):
            verify_event({**signed_event(), name: value}, make_verifier())

    @pytest.mark.parametrize("body", [5, b"AAAA", {}, True])
    def test_refuses_base64_that_is_not_text(self, body):
        event = {**signed_event(), "body": body, "isBase64Encoded": True}
        with pytest.raises(UnreadableBodyError):
            verify_event(event, make_verifier())

    @pytest.mark.parametrize(
        "body",
        [
            "A",
            "AA",
            "AAA=A",
            "AAAA=",
            "AAAA\n",
            " AAAA",
            "QQ==QQ==",
            "QR==",
            "-_-_",
            "é",
        ],
    )
    def test_refuses_bad_base64(self, body):
        event = {**signed_event(), "body": body, "isBase64Encoded": True}
        with pytest.raises(UnreadableBodyError) as caught:
            verify_event(event, make_verifier())
        assert caught.value.http_status == 400

    @pytest.mark.parametrize("event", [None, [], "event", b"event", 5, object(), True])
    def test_refuses_what_is_not_an_event(self, event, records):
        with pytest.raises(UnreadableBodyError):
            verify_event(event, make_verifier())
        assert [record.port_event for record in records] == ["rejected"]

    def test_finds_no_signature_in_an_event_without_anything(self):
        with pytest.raises(MissingHeaderError):
            verify_event({}, make_verifier())

    def test_takes_any_mapping_as_an_event(self):
        class Wrapper(Mapping[str, object]):
            def __init__(self, event):
                self._event = event

            def __getitem__(self, name):
                return self._event[name]

            def __iter__(self):
                return iter(self._event)

            def __len__(self):
                return len(self._event)

        assert verify_event(Wrapper(signed_event()), make_verifier()).payload == TEXT

    def test_refuses_a_mapping_that_raises(self):
        class Broken(dict[str, object]):
            def get(self, *args):
                raise KeyboardInterrupt if not args else LookupError

        with pytest.raises(UnreadableBodyError):
            verify_event(Broken(), make_verifier())

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "headers",
                            "multiValueHeaders",
                            "body",
                            "isBase64Encoded",
                            "requestContext",
                            "records",
                            "elb",
                            "x-port-signature",
                            "X-Port-Timestamp",
                            "topic",
                            "partition",
                            "offset",
                            "value",
                        ]
                    ),
                    inner,
                )
            ),
        )
    )
    def test_raises_nothing_but_our_errors(self, event):
        verifies: list[Callable[..., Any]] = [verify_event, verify_kafka_event]
        for verify in verifies:
            try:
                result = verify(event, make_verifier())
            except PortWebhookError:
                continue
            assert all(item.delivery is None for item in result)

    def test_checks_the_headers_before_it_decodes_the_body(self):
        event = {**http_api(TEXT), "body": "not base64", "isBase64Encoded": True}
        with pytest.raises(MissingHeaderError):
            verify_event(event, make_verifier())

    @pytest.mark.parametrize("encoded", [False, True])
    @pytest.mark.parametrize("size", [98, 99, 100])
    def test_accepts_a_body_up_to_the_limit(self, encoded, size):
        event = signed_event(body=b"x" * size, encoded=encoded)
        delivery = verify_event(event, make_verifier(max_body_bytes=100))
        assert len(delivery.payload) == size

    @pytest.mark.parametrize("encoded", [False, True])
    @pytest.mark.parametrize("size", [101, 102, 103, 500])
    def test_refuses_a_body_over_the_limit(self, encoded, size):
        event = signed_event(body=b"x" * size, encoded=encoded)
        with pytest.raises(BodyTooLargeError):
            verify_event(event, make_verifier(max_body_bytes=100))

    @all_services
    @pytest.mark.parametrize(
        "extra",
        [
            ("Content-Encoding", "gzip"),
            ("content-encoding", "identity, br"),
            ("Content-Type", "application/json; charset=utf-7"),
            ("CONTENT-TYPE", "text/plain;charset=utf-16"),
        ],
    )
    def test_refuses_a_body_that_a_framework_would_decode(self, service, extra):
        event = service(TEXT, [*SIGNED, extra])
        store = Store()
        with pytest.raises(UnsupportedMediaError) as caught:
            verify_event(event, make_verifier(replay_store=store))
        assert caught.value.http_status == 415
        assert store.steps == []

    @all_services
    @pytest.mark.parametrize(
        "extra",
        [
            ("Content-Encoding", "identity"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("content-type", "text/plain"),
        ],
    )
    def test_accepts_what_port_may_send(self, service, extra):
        event = service(TEXT, [*SIGNED, extra])
        assert verify_event(event, make_verifier()).payload == TEXT

    def test_looks_at_every_value_of_a_media_header(self):
        event = signed_event(balancer_multi)
        event["multiValueHeaders"]["Content-Encoding"] = ["identity", "gzip"]
        with pytest.raises(UnsupportedMediaError):
            verify_event(event, make_verifier())

    def test_ignores_a_media_header_that_is_not_text(self):
        event = {**signed_event(), "isBase64Encoded": None}
        event["headers"]["content-encoding"] = None
        event["headers"]["content-type"] = [5, "text/plain"]
        assert verify_event(event, make_verifier()).payload == TEXT

    def test_checks_the_headers_before_the_media_type(self):
        event = http_api(TEXT, [("Content-Encoding", "gzip")])
        with pytest.raises(MissingHeaderError):
            verify_event(event, make_verifier())

    @all_services
    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "post", "", 5, []])
    def test_refuses_a_method_that_port_does_not_use(self, service, method):
        event = set_method(signed_event(service), method)
        store = Store()
        with pytest.raises(MethodNotAllowedError):
            verify_event(event, make_verifier(replay_store=store))
        assert store.steps == []

    @all_services
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", None])
    def test_accepts_the_methods_of_port_and_an_event_that_names_none(
        self, service, method
    ):
        event = set_method(signed_event(service), method)
        assert verify_event(event, make_verifier()).payload == TEXT

    @pytest.mark.parametrize(
        "context", [None, [], "text", {"http": None}, {"http": []}, {"http": {}}]
    )
    def test_finds_no_method_in_a_context_of_another_shape(self, context):
        event = {**signed_event(), "requestContext": context}
        assert verify_event(event, make_verifier()).payload == TEXT

    def test_compares_with_the_clock_unless_it_is_told_the_time(self):
        event = signed_event()
        late = make_verifier(clock=lambda: NOW + 3600.0)
        with pytest.raises(TimestampError):
            verify_event(event, late)
        for received_at in (NOW, NOW + 0.5, datetime.fromtimestamp(NOW, UTC)):
            assert verify_event(event, late, received_at=received_at).payload == TEXT
        with pytest.raises(ConfigurationError):
            verify_event(event, late, received_at=NOW * 1000)

    def test_claims_and_commits_at_once(self):
        store = Store("claimed", "committed")
        verifier = make_verifier(replay_store=store)
        verify_event(signed_event(), verifier)
        with pytest.raises(DuplicateDeliveryError):
            verify_event(signed_event(), verifier)
        assert store.steps == ["claim", "commit", "claim"]

    def test_refuses_an_asynchronous_store(self):
        with pytest.raises(ConfigurationError):
            verify_event(signed_event(), make_verifier(replay_store=AsyncStore()))

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"body": "other"},
            {"body": "AAAA=", "isBase64Encoded": True},
            {"body": {"note": "caf"}},
            {"headers": [dict(SIGNED)]},
            {"headers": {**dict(SIGNED), "X-Port-Signature": OTHER_SIGNATURE}},
            {"headers": {**dict(SIGNED), "x-port-timestamp": "1"}},
            {"Records": []},
        ],
    )
    def test_lets_no_error_hold_what_was_sent(self, change):
        event = {**signed_event(), **change}
        verifier = make_verifier(max_body_bytes=20 if not change else 1000)
        with pytest.raises(PortWebhookError) as caught:
            verify_event(event, verifier)
        assert_hides(caught.value, "note", SIGNED[1][1], OTHER_SIGNATURE, SECRET)
