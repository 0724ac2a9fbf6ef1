"""Lambda events in the formats that AWS documents, written by hand, and their answers.

The formats: "Set up Lambda proxy integrations in API Gateway" (payload format 1.0),
"Create AWS Lambda proxy integrations for HTTP APIs" (2.0), "Invoking Lambda function
URLs", "Use Lambda functions as targets of an Application Load Balancer", and "Using
Lambda with Amazon MSK" (the Kafka trigger).
"""

from __future__ import annotations

import asyncio
import base64
import functools
import http
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    Delivery,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    PortWebhookError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters import aws_lambda
from port_webhook.adapters.aws_lambda import (
    KafkaItem,
    handle_kafka_event,
    verify_event,
    verify_kafka_event,
    webhook,
)

SECRET = "the-client-secret"
NOW = 1_713_277_889
TEXT = b'{"context":{"runId":"r_1"},"note":"caf\xc3\xa9"}'
BINARY = b"\x00\xff\xfe not UTF-8 \x80"
SIGNED = list(sign(TEXT, SECRET, timestamp=NOW).items())
OTHER_SIGNATURE = "v1," + base64.b64encode(bytes(32)).decode()
CONTEXT = object()
PACKAGE = str(Path(port_webhook.__file__).parent)


# The services: each writes the same request in its own way, among other headers.

OTHERS = [("Content-Type", "application/json"), ("Host", "hooks.example")]


def _fields(body, encoded):
    if encoded:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body.decode() if body else None, "isBase64Encoded": False}


def _grouped(pairs):
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _lowered(pairs):
    return _grouped((name.lower(), value) for name, value in [*OTHERS, *pairs])


def rest(body, pairs=(), *, encoded=False):
    return {
        "resource": "/port",
        "path": "/port",
        "httpMethod": "POST",
        "headers": dict([*OTHERS, *pairs]),
        "multiValueHeaders": _grouped([*OTHERS, *pairs]),
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"resourceId": "2gxmpl", "stage": "prod", "path": "/prod"},
        **_fields(body, encoded),
    }


def http_api(body, pairs=(), *, encoded=False):
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/port",
        "rawQueryString": "",
        "headers": {name: ",".join(many) for name, many in _lowered(pairs).items()},
        "requestContext": {
            "apiId": "api-id",
            "http": {"method": "POST", "path": "/port", "protocol": "HTTP/1.1"},
            "stage": "$default",
        },
        **_fields(body, encoded),
    }
    if event["body"] is None:
        del event["body"]
    return event


def function_url(body, pairs=(), *, encoded=False):
    event = http_api(body, pairs, encoded=encoded)
    event["requestContext"]["domainName"] = "url-id.lambda-url.us-west-2.on.aws"
    return event


def balancer(body, pairs=(), *, encoded=False):
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": "POST",
        "path": "/port",
        "queryStringParameters": {},
        "headers": {name: many[-1] for name, many in _lowered(pairs).items()},
        **_fields(body, encoded),
    }


def balancer_multi(body, pairs=(), *, encoded=False):
    event = balancer(body, encoded=encoded)
    del event["headers"], event["queryStringParameters"]
    event["multiValueQueryStringParameters"] = {}
    event["multiValueHeaders"] = _lowered(pairs)
    return event


def direct(body, pairs=(), *, encoded=False):
    fields = _fields(body, encoded)
    if not encoded:
        del fields["isBase64Encoded"]
    return {"headers": dict([*OTHERS, *pairs]), **fields}


SERVICES = [rest, http_api, function_url, balancer, balancer_multi, direct]
all_services = pytest.mark.parametrize("service", SERVICES)


def signed_event(service=http_api, body=TEXT, **options):
    pairs = list(sign(body, SECRET, timestamp=NOW).items())
    return service(body, pairs, **options)


class Store:
    """A replay store that writes down what it is asked."""

    def __init__(self, *answers, commit=True):
        self.steps = []
        self._answers = list(answers)
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        answer = self._answers.pop(0) if self._answers else "claimed"
        if isinstance(answer, Exception):
            raise answer
        return answer

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        if isinstance(self._commit, Exception):
            raise self._commit
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore:
    async def claim(self, key, owner, lease): ...

    async def commit(self, key, owner, ttl): ...

    async def release(self, key, owner): ...


class Unfinished(pydantic.BaseModel):
    """A model that pydantic can only find out to be useless when it is used."""

    thing: NobodyDefinedThis  # type: ignore[name-defined]  # noqa: F821  # on purpose


class HiddenAsyncStore(Store):
    """An asynchronous store that does not show before it is called."""

    def claim(self, key, owner, lease):
        return asyncio.sleep(0)


def make_verifier(**options):
    return Verifier(SECRET, **{"clock": lambda: float(NOW), **options})


def serve(event, result=None, *, verifier=None):
    @webhook(verifier or make_verifier())
    def handler(delivery, context):
        return result

    return handler(event, CONTEXT)


def header(answer, name):
    """Read a header of an answer in either of its shapes."""
    listed = {key.lower(): [value] for key, value in answer.get("headers", {}).items()}
    for key, values in answer.get("multiValueHeaders", {}).items():
        listed[key.lower()] = values
    return listed.get(name.lower(), [None])[0]


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
            ("multiValueHeaders", {"x-port-signature": [[]]}, MalformedHeaderError),
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

    @pytest.mark.parametrize("name", ["Records", "records"])
    def test_refuses_the_event_of_a_queue_or_a_stream(self, name):
        with pytest.raises(ConfigurationError):
            verify_event({name: []}, make_verifier())

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


class TestWebhook:
    @all_services
    @pytest.mark.parametrize("encoded", [False, True])
    def test_calls_the_handler_with_the_delivery_and_the_context(
        self, service, encoded
    ):
        seen = []

        @webhook(make_verifier())
        def handler(delivery, context):
            seen.append((delivery.payload, context))

        answer = handler(signed_event(service, encoded=encoded), CONTEXT)
        assert seen == [(TEXT, CONTEXT)]
        assert answer["statusCode"] == 200
        assert answer["body"] == ""
        assert answer["isBase64Encoded"] is False

    @all_services
    @pytest.mark.parametrize(
        ("result", "body", "kind", "encoded"),
        [
            ({"status": "ok"}, '{"status": "ok"}', "application/json", False),
            ({}, "{}", "application/json", False),
            ([1, "two"], '[1, "two"]', "application/json", False),
            ("done", "done", "text/plain; charset=utf-8", False),
            (b"\xff\x00", "/wA=", "application/octet-stream", True),
            (None, "", None, False),
        ],
    )
    def test_turns_what_the_handler_returns_into_a_response(
        self, service, result, body, kind, encoded
    ):
        answer = serve(signed_event(service), result)
        assert answer["statusCode"] == 200
        assert answer["body"] == body
        assert answer["isBase64Encoded"] is encoded
        assert header(answer, "Content-Type") == kind
        self._assert_shape(service, answer, "200 OK")

    @staticmethod
    def _assert_shape(service, answer, description):
        json.dumps(answer)
        multi = service is balancer_multi
        assert ("multiValueHeaders" in answer) is multi
        assert ("headers" in answer) is not multi
        if service in (balancer, balancer_multi):
            assert answer["statusDescription"] == description
        else:
            assert "statusDescription" not in answer

    @all_services
    def test_keeps_a_full_response(self, service):
        response = {"statusCode": 202, "headers": {"X-A": "1"}, "body": "later"}
        answer = serve(signed_event(service), response)
        assert answer["statusCode"] == 202
        assert answer["body"] == "later"
        assert header(answer, "X-A") == "1"
        assert header(answer, "Content-Type") is None
        self._assert_shape(service, answer, "202 Accepted")
        assert response == {
            "statusCode": 202,
            "headers": {"X-A": "1"},
            "body": "later",
        }

    @pytest.mark.parametrize(
        ("body", "written", "encoded", "kind"),
        [
            (b"\xff", "/w==", True, "application/octet-stream"),
            ({"a": 1}, '{"a": 1}', False, "application/json"),
            (None, "", False, None),
        ],
    )
    def test_writes_the_body_of_a_full_response(self, body, written, encoded, kind):
        answer = serve(signed_event(), {"statusCode": 201, "body": body})
        assert answer["body"] == written
        assert answer["isBase64Encoded"] is encoded
        assert header(answer, "Content-Type") == kind

    def test_keeps_the_rest_of_a_full_response(self):
        response = {
            "statusCode": "200",
            "headers": None,
            "body": "/w==",
            "isBase64Encoded": True,
            "cookies": ["a=1"],
        }
        answer = serve(signed_event(), response)
        assert answer == {**response, "statusCode": 200, "headers": {}}

    @pytest.mark.parametrize("name", ["content-type", "CONTENT-TYPE"])
    @pytest.mark.parametrize("place", ["headers", "multiValueHeaders"])
    def test_keeps_a_content_type_that_the_handler_chose(self, name, place):
        value = "text/csv" if place == "headers" else ["text/csv"]
        response = {"statusCode": 200, place: {name: value}, "body": b"a;b"}
        answer = serve(signed_event(rest), response)
        assert answer[place] == {name: value}

    def test_moves_all_headers_to_where_a_multi_value_balancer_reads_them(self):
        response = {
            "statusCode": 299,
            "headers": {"X-A": "1", "X-B": "2"},
            "multiValueHeaders": {"X-B": ["3", "4"]},
        }
        answer = serve(signed_event(balancer_multi), response)
        assert answer["multiValueHeaders"] == {"X-A": ["1"], "X-B": ["3", "4"]}
        assert answer["statusDescription"] == "299 Unknown"

    def test_keeps_the_status_description_that_the_handler_chose(self):
        response = {"statusCode": http.HTTPStatus.OK, "statusDescription": "200 Fine"}
        answer = serve(signed_event(balancer), response)
        assert (answer["statusCode"], answer["statusDescription"]) == (200, "200 Fine")

    @all_services
    @pytest.mark.parametrize(
        ("body", "headers", "options", "status"),
        [
            (TEXT, [], {}, 401),
            (b"other", SIGNED, {}, 401),
            (TEXT, SIGNED, {"clock": lambda: NOW + 1e6}, 401),
            (TEXT, SIGNED, {"max_body_bytes": 5}, 413),
            (TEXT, SIGNED, {"replay_store": Store("committed")}, 200),
            (TEXT, SIGNED, {"replay_store": Store("in_progress")}, 409),
            (TEXT, SIGNED, {"replay_store": Store(OSError())}, 503),
        ],
        ids=["unsigned", "changed", "stale", "large", "ran", "running", "down"],
    )
    def test_answers_a_refusal_in_the_shape_of_the_caller(
        self, service, body, headers, options, status
    ):
        # A store's answers are used up; each case needs one of its own.
        if "replay_store" in options:
            options = {"replay_store": Store(*options["replay_store"]._answers)}
        answer = serve(service(body, headers), verifier=make_verifier(**options))
        assert answer["statusCode"] == status
        assert header(answer, "Content-Type") == "application/json"
        assert set(json.loads(answer["body"])) == {"error"}
        assert answer["isBase64Encoded"] is False
        challenge = "PortWebhook" if status == 401 else None
        assert header(answer, "WWW-Authenticate") == challenge
        assert header(answer, "Retry-After") == ("5" if status in (409, 503) else None)
        phrase = http.HTTPStatus(status).phrase
        self._assert_shape(service, answer, f"{status} {phrase}")

    @all_services
    @pytest.mark.parametrize(
        "change",
        [
            {"body": "%", "isBase64Encoded": True},
            {"body": {"parsed": 1}},
            {"isBase64Encoded": "yes"},
        ],
    )
    def test_answers_400_for_a_body_that_cannot_be_read(self, service, change, records):
        answer = serve({**signed_event(service), **change})
        assert answer["statusCode"] == 400
        assert [record.port_code for record in records] == ["unreadable_body"]

    @pytest.mark.parametrize("event", [None, [], "event", 5, {"headers": 5}])
    def test_answers_400_for_what_is_not_an_event(self, event, records):
        assert serve(event)["statusCode"] == 400
        assert [record.port_code for record in records] == ["unreadable_body"]

    def test_raises_for_the_event_of_a_queue_so_that_no_message_is_lost(self):
        with pytest.raises(ConfigurationError) as caught:
            serve({"Records": [{"body": "note", "eventSource": "aws:sqs"}]})
        assert_hides(caught.value, "note")

    def test_does_not_call_the_handler_for_a_request_that_fails(self):
        called = []
        handler = webhook(make_verifier())(lambda *_: called.append(1))
        handler(http_api(TEXT), CONTEXT)
        handler(None, CONTEXT)
        assert called == []

    @pytest.mark.parametrize(
        "result",
        [
            5,
            True,
            object(),
            ({"ok": True}, 201),
            {1, 2},
            {"when": datetime.now(UTC)},
            {"nan": float("nan")},
            [{1: {2}}],
            {"statusCode": 99},
            {"statusCode": True},
            {"statusCode": None},
            {"statusCode": "2000"},
            {"statusCode": 200, "body": 5},
            {"statusCode": 200, "headers": ["X-A"]},
            {"statusCode": 200, "multiValueHeaders": "X-A"},
        ],
    )
    def test_refuses_a_result_that_is_no_answer_and_releases(self, result):
        store = Store()
        with pytest.raises(ConfigurationError) as caught:
            serve(signed_event(), result, verifier=make_verifier(replay_store=store))
        assert store.steps == ["claim", "release"]
        assert_hides(caught.value, "note", SIGNED[1][1])

    def test_refuses_a_result_that_nests_too_deep(self):
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(ConfigurationError):
            serve(signed_event(), deep)

    @pytest.mark.parametrize(
        ("result", "step"),
        [
            ({"ok": True}, "commit"),
            ({"statusCode": 399}, "commit"),
            ({"statusCode": 400}, "release"),
            ({"statusCode": "503"}, "release"),
        ],
    )
    def test_commits_or_releases_by_the_final_status(self, result, step):
        store = Store()
        serve(signed_event(), result, verifier=make_verifier(replay_store=store))
        assert store.steps == ["claim", step]

    def test_releases_and_lets_the_handlers_own_exception_through(self):
        store = Store()

        @webhook(make_verifier(replay_store=store))
        def handler(delivery, context):
            msg = "its own"
            raise LookupError(msg)

        with pytest.raises(LookupError, match="its own"):
            handler(signed_event(), CONTEXT)
        assert store.steps == ["claim", "release"]

    def test_runs_an_asynchronous_handler_in_a_loop_of_its_own(self):
        store = Store()
        loops = []

        @webhook(make_verifier(replay_store=store))
        async def handler(delivery, context):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return delivery.run_id

        for _ in range(2):
            assert handler(signed_event(), CONTEXT)["body"] == "r_1"
        assert store.steps == ["claim", "commit"] * 2
        assert loops[0] is not loops[1]
        assert all(loop.is_closed() for loop in loops)

    def test_releases_when_an_asynchronous_handler_raises(self):
        store = Store()

        @webhook(make_verifier(replay_store=store))
        async def handler(delivery, context):
            raise LookupError

        with pytest.raises(LookupError):
            handler(signed_event(), CONTEXT)
        assert store.steps == ["claim", "release"]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_reads_the_environment_when_it_is_bare(self, monkeypatch, is_async):
        if is_async:

            @webhook
            async def handler(delivery, context):
                return delivery.run_id
        else:

            @webhook
            def handler(delivery, context):
                return delivery.run_id

        event = direct(TEXT, list(sign(TEXT, SECRET).items()))
        with pytest.raises(ConfigurationError) as caught:
            handler(event, CONTEXT)
        assert_hides(caught.value, "note", event["headers"]["x-port-signature"])
        monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
        assert handler(event, CONTEXT)["body"] == "r_1"
        assert handler.__name__ == "handler"

    def test_takes_a_verifier_that_is_chosen_by_the_event(self):
        verifiers = {"acme": make_verifier(), "other": make_verifier()}

        @webhook(lambda event: verifiers[event["pathParameters"]["org"]])
        def handler(delivery, context):
            return [
                name for name, each in verifiers.items() if delivery.verified_by(each)
            ]

        event = signed_event(rest)
        event["pathParameters"] = {"org": "other"}
        assert handler(event, CONTEXT)["body"] == '["other"]'
        event["pathParameters"] = {"org": "unknown"}
        with pytest.raises(KeyError):
            handler(event, CONTEXT)

    def test_refuses_a_choice_that_is_no_verifier(self):
        def choose(event) -> Any:
            return None

        @webhook(choose)
        def handler(delivery, context): ...

        with pytest.raises(ConfigurationError) as caught:
            handler(signed_event(), CONTEXT)
        assert_hides(caught.value, "note", SIGNED[1][1])

    def test_refuses_an_asynchronous_store_when_it_is_set_up(self):
        with pytest.raises(ConfigurationError):
            webhook(make_verifier(replay_store=AsyncStore()))(lambda *_: None)

    def test_passes_the_model_instead_of_the_delivery(self):
        @webhook(make_verifier(), model=port_webhook.CustomPayload)
        def handler(payload, context):
            return type(payload).__name__

        assert handler(signed_event(), CONTEXT)["body"] == "CustomPayload"

    def test_answers_422_for_a_payload_that_is_not_the_model(self):
        store = Store()

        @webhook(make_verifier(replay_store=store), model=port_webhook.ActionInvocation)
        def handler(invocation, context): ...

        answer = handler(signed_event(balancer_multi, b"[]"), CONTEXT)
        assert answer["statusCode"] == 422
        assert answer["statusDescription"].startswith("422 ")
        assert store.steps == ["claim", "release"]

    def test_answers_422_when_the_handler_finds_that_it_is_not_json(self):
        @webhook(make_verifier())
        def handler(delivery, context):
            return delivery.json()

        assert handler(signed_event(body=b"{"), CONTEXT)["statusCode"] == 422

    def test_refuses_what_is_no_model_when_it_is_set_up(self):
        with pytest.raises(ConfigurationError, match="int is not a model"):
            webhook(make_verifier(), model=int)(print)

    def test_refuses_a_model_that_cannot_be_used_without_showing_the_payload(self):
        store = Store()

        @webhook(make_verifier(replay_store=store), model=Unfinished)
        def handler(number, context): ...

        with pytest.raises(ConfigurationError) as caught:
            handler(signed_event(), CONTEXT)
        assert_hides(caught.value, "note", SIGNED[1][1])
        assert store.steps == ["claim", "release"]

    def test_verifies_once_when_it_is_stacked(self):
        seen: list[Delivery] = []
        store = Store()
        verifier = make_verifier(replay_store=store, on_verified=seen.append)

        @webhook(verifier)
        @webhook(verifier)
        def handler(delivery, context):
            assert isinstance(delivery, Delivery)
            return {"statusCode": 500}

        answer = handler(signed_event(balancer_multi), CONTEXT)
        assert answer["statusCode"] == 500
        assert "multiValueHeaders" in answer
        assert len(seen) == 1
        assert store.steps == ["claim", "release"]


# The Kafka trigger.


def message(number=1, *, secret=SECRET, **members):
    """Write a message of the runs topic as Port signs it."""
    value = {"context": {"runId": f"r_{number}"}, "headers": {}, **members}
    signed = sign(json.dumps(value, separators=(",", ":")), secret, timestamp=NOW)
    value["headers"] = {
        "X-Port-Signature": signed["x-port-signature"],
        "X-Port-Timestamp": int(signed["x-port-timestamp"]),
    }
    return json.dumps(value).encode()


def record(offset, value, *, topic="acme.runs", partition=0, timestamp=NOW * 1000):
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "timestampType": "CREATE_TIME",
        "key": "cmVjb3JkS2V5",
        "value": value,
        "headers": [{"headerKey": [104, 101, 97, 100]}],
    }


def kafka_event(*records, source="aws:kafka"):
    grouped: dict[str, list[object]] = {}
    for each in records:
        key = f"{each['topic']}-{each['partition']}"
        grouped.setdefault(key, []).append(each)
    event = {
        "eventSource": source,
        "bootstrapServers": "b-1.example:9092,b-2.example:9092",
        "records": grouped,
    }
    if source == "aws:kafka":
        event["eventSourceArn"] = "arn:aws:kafka:us-east-1:123456789012:cluster/x"
    return event


def failed(partition, offset):
    return {"itemIdentifier": {"partition": partition, "offset": offset}}


sources = pytest.mark.parametrize("source", ["aws:kafka", "SelfManagedKafka"])
later = {"clock": lambda: NOW + 1e6}


class TestVerifyKafkaEvent:
    @sources
    def test_gives_a_delivery_or_an_error_for_each_record_in_order(self, source):
        event = kafka_event(
            record(5, message(1)),
            record(6, message(2, secret="of somebody else")),
            record(7, message(3), partition=1),
            record(8, b"not JSON"),
            source=source,
        )
        items = verify_kafka_event(event, make_verifier())
        assert [(item.topic, item.partition, item.offset) for item in items] == [
            ("acme.runs", 0, 5),
            ("acme.runs", 0, 6),
            ("acme.runs", 0, 8),
            ("acme.runs", 1, 7),
        ]
        assert [item.delivery and item.delivery.run_id for item in items] == [
            "r_1",
            None,
            None,
            "r_3",
        ]
        assert [type(item.error) for item in items] == [
            type(None),
            SignatureMismatchError,
            UnreadableBodyError,
            type(None),
        ]
        assert [item.delivery.via for item in items if item.delivery] == ["kafka"] * 2

    def test_takes_the_records_own_time_as_the_time_it_was_received(self):
        event = kafka_event(record(1, message(), timestamp=NOW * 1000 + 500))
        (item,) = verify_kafka_event(event, make_verifier(**later))
        assert item.delivery is not None
        assert item.received_at == NOW + 0.5

    def test_refuses_a_record_whose_own_time_lies_outside_the_window(self):
        event = kafka_event(record(1, message(), timestamp=(NOW + 301) * 1000))
        (item,) = verify_kafka_event(event, make_verifier())
        assert isinstance(item.error, TimestampError)

    @pytest.mark.parametrize("timestamp", [None, -1, "1", 1.5, True, 10**14, 10**400])
    def test_takes_the_clocks_time_for_a_record_without_its_own(self, timestamp):
        event = kafka_event(record(1, message(), timestamp=timestamp))
        (item,) = verify_kafka_event(event, make_verifier())
        assert item.received_at is None
        assert item.delivery is not None
        (item,) = verify_kafka_event(event, make_verifier(**later))
        assert isinstance(item.error, TimestampError)

    @pytest.mark.parametrize("value", [None, 5, "%", "AAAA=", b"\xff", b"", {}, []])
    def test_refuses_a_value_that_is_no_message(self, value, records):
        (item,) = verify_kafka_event(kafka_event(record(1, value)), make_verifier())
        assert isinstance(item.error, UnreadableBodyError)
        assert [each.port_code for each in records] == ["unreadable_body"]

    def test_takes_a_missing_value_as_no_message(self):
        bare = record(1, None)
        del bare["value"], bare["timestamp"]
        (item,) = verify_kafka_event(kafka_event(bare), make_verifier())
        assert isinstance(item.error, UnreadableBodyError)

    def test_refuses_a_message_over_the_limit(self):
        event = kafka_event(record(1, message()))
        (item,) = verify_kafka_event(event, make_verifier(max_body_bytes=20))
        assert isinstance(item.error, BodyTooLargeError)

    def test_verifies_a_message_that_looks_like_one_of_the_change_log(self):
        unsigned = json.dumps({"changelogDestination": {}, "diff": {}}).encode()
        forged = message(secret="of somebody else", changelogDestination={})
        event = kafka_event(record(1, unsigned), record(2, forged))
        errors = [item.error for item in verify_kafka_event(event, make_verifier())]
        assert [type(error) for error in errors] == [
            MissingHeaderError,
            SignatureMismatchError,
        ]

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "event",
            {},
            {"records": None},
            {"records": []},
            {"records": {"acme.runs-0": None}},
            {"records": {"acme.runs-0": [None]}},
            {"records": {"acme.runs-0": [{"offset": 1}]}},
            {"records": {"acme.runs-0": [{**record(1, b""), "offset": "1"}]}},
            {"records": {"acme.runs-0": [{**record(1, b""), "partition": 1.0}]}},
            {"Records": [{"body": "of SQS"}]},
        ],
    )
    def test_refuses_what_is_not_the_event_of_a_kafka_trigger(self, event):
        handle = functools.partial(handle_kafka_event, handler=print)
        for verify in (verify_kafka_event, handle):
            with pytest.raises(ConfigurationError):
                verify(event, make_verifier())

    def test_has_nothing_to_say_about_an_event_without_records(self):
        assert verify_kafka_event({"records": {}}, make_verifier()) == []
        answer = handle_kafka_event({"records": {}}, make_verifier(), print)
        assert answer == {"batchItemFailures": []}

    def test_claims_and_commits_each_record_at_once(self):
        store = Store("claimed", "committed")
        event = kafka_event(record(1, message()), record(2, message()))
        items = verify_kafka_event(event, make_verifier(replay_store=store))
        assert store.steps == ["claim", "commit", "claim"]
        assert isinstance(items[1].error, DuplicateDeliveryError)

    @pytest.mark.parametrize("store", [AsyncStore(), HiddenAsyncStore()])
    def test_refuses_an_asynchronous_store(self, store):
        event = kafka_event(record(1, message()))
        verifier = make_verifier(replay_store=store)
        value = event["records"]["acme.runs-0"][0]["value"]
        with pytest.raises(ConfigurationError) as caught:
            verify_kafka_event(event, verifier)
        assert_hides(caught.value, "r_1", value)
        with pytest.raises(ConfigurationError) as caught:
            handle_kafka_event(event, verifier, print)
        assert_hides(caught.value, "r_1", value)

    def test_names_a_record_as_lambda_wants_it_reported(self):
        (item,) = verify_kafka_event(
            kafka_event(record(5, message(), partition=3)), make_verifier()
        )
        assert isinstance(item, KafkaItem)
        assert item.failure == failed("acme.runs-3", 5)

    def test_gives_errors_that_hold_nothing_of_the_message(self):
        value = message(7, secret="of somebody else")
        (item,) = verify_kafka_event(kafka_event(record(1, value)), make_verifier())
        signature = json.loads(value)["headers"]["X-Port-Signature"]
        assert_hides(item.error, "r_7", signature)


class TestHandleKafkaEvent:
    def test_handles_each_record_and_commits_it_before_the_next(self):
        store = Store()

        def handler(delivery):
            store.steps.append(delivery.run_id)

        event = kafka_event(record(1, message(1)), record(2, message(2)))
        answer = handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert answer == {"batchItemFailures": []}
        assert store.steps == ["claim", "r_1", "commit", "claim", "r_2", "commit"]

    def test_reports_every_failure_and_handles_the_rest(self, records):
        handled = []
        store = Store()

        def handler(delivery):
            handled.append(delivery.run_id)
            if delivery.run_id in ("r_2", "r_5"):
                msg = "caf"
                raise LookupError(msg)

        event = kafka_event(
            record(11, message(1)),
            record(12, message(2)),
            record(13, message(3)),
            record(14, message(2)),
            record(21, message(4), partition=1),
            record(31, message(5), topic="other.runs"),
        )
        answer = handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert handled == ["r_1", "r_2", "r_3", "r_2", "r_4", "r_5"]
        assert answer == {
            "batchItemFailures": [
                failed("acme.runs-0", 12),
                failed("acme.runs-0", 14),
                failed("other.runs-0", 31),
            ]
        }
        kept = ["claim", "commit"]
        released = ["claim", "release"]
        assert store.steps == kept + released + kept + released + kept + released
        logged = [each for each in records if each.port_event == "handler_failed"]
        assert [each.port_offset for each in logged] == [12, 14, 31]
        assert logged[0].port_topic == "acme.runs"
        assert logged[0].port_partition == 0
        assert logged[0].port_error == "LookupError"
        assert "test_aws_lambda.py:" in logged[0].getMessage()
        assert "caf" not in logged[0].getMessage()

    def test_counts_a_record_that_fails_verification_as_done(self, records):
        handled = []
        event = kafka_event(
            record(1, message(1, secret="of somebody else")),
            record(2, b"not JSON"),
            record(3, None),
            record(4, message(4)),
        )
        answer = handle_kafka_event(
            event, make_verifier(), lambda delivery: handled.append(delivery.run_id)
        )
        assert answer == {"batchItemFailures": []}
        assert handled == ["r_4"]
        rejected = [each for each in records if each.port_event == "rejected"]
        assert [each.port_code for each in rejected] == [
            "signature_mismatch",
            "unreadable_body",
            "unreadable_body",
        ]

    @pytest.mark.parametrize(
        ("answer", "failures"),
        [
            ("committed", []),
            ("in_progress", [failed("acme.runs-0", 1)]),
            (OSError(), [failed("acme.runs-0", 1)]),
        ],
    )
    def test_has_a_record_sent_again_that_could_not_be_claimed(self, answer, failures):
        handled: list[object] = []
        verifier = make_verifier(replay_store=Store(answer))
        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, verifier, handled.append)
        assert result == {"batchItemFailures": failures}
        assert handled == []

    def test_has_a_record_sent_again_that_could_not_be_committed(self):
        verifier = make_verifier(replay_store=Store(commit=OSError()))
        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, verifier, str)
        assert result == {"batchItemFailures": [failed("acme.runs-0", 1)]}

    def test_has_a_record_sent_again_whose_handler_raised_an_error_of_ours(self):
        def handler(delivery):
            raise SignatureMismatchError

        event = kafka_event(record(1, message()))
        result = handle_kafka_event(event, make_verifier(), handler)
        assert result == {"batchItemFailures": [failed("acme.runs-0", 1)]}

    def test_releases_and_lets_an_interrupt_through(self):
        store = Store()

        def handler(delivery):
            raise KeyboardInterrupt

        event = kafka_event(record(1, message()))
        with pytest.raises(KeyboardInterrupt):
            handle_kafka_event(event, make_verifier(replay_store=store), handler)
        assert store.steps == ["claim", "release"]

    def test_runs_an_asynchronous_handler(self):
        handled = []

        async def handler(delivery):
            await asyncio.sleep(0)
            handled.append(delivery.run_id)
            if delivery.run_id == "r_2":
                raise LookupError

        event = kafka_event(record(1, message(1)), record(2, message(2)))
        result = handle_kafka_event(event, make_verifier(), handler)
        assert handled == ["r_1", "r_2"]
        assert result == {"batchItemFailures": [failed("acme.runs-0", 2)]}

    def test_passes_the_model_instead_of_the_delivery(self):
        handled: list[object] = []
        handle_kafka_event(
            kafka_event(record(1, message())),
            make_verifier(),
            handled.append,
            model=port_webhook.CustomPayload,
        )
        assert [type(each).__name__ for each in handled] == ["CustomPayload"]

    def test_refuses_what_is_no_model_before_any_record_is_handled(self):
        store = Store()
        event = kafka_event(record(1, message()))
        with pytest.raises(ConfigurationError, match="int is not a model") as caught:
            handle_kafka_event(
                event, make_verifier(replay_store=store), print, model=int
            )
        assert store.steps == []
        assert_hides(caught.value, event["records"]["acme.runs-0"][0]["value"])

    def test_counts_a_payload_that_is_not_the_model_as_done(self, records):
        store = Store()
        result = handle_kafka_event(
            kafka_event(record(1, message(payload="no object"))),
            make_verifier(replay_store=store),
            print,
            model=port_webhook.ActionInvocation,
        )
        assert result == {"batchItemFailures": []}
        assert store.steps == ["claim", "release"]
        codes = [getattr(each, "port_code", None) for each in records]
        assert "invalid_payload" in codes


@pytest.mark.parametrize("wrong", [SECRET, None, make_verifier])
def test_what_is_no_verifier_is_refused_without_showing_it(wrong):
    records = kafka_event(record(1, message()))
    for call in (
        lambda: verify_event(signed_event(), wrong),
        lambda: verify_kafka_event(records, wrong),
        lambda: handle_kafka_event(records, wrong, print),
    ):
        with pytest.raises(ConfigurationError, match="Verifier") as caught:
            call()
        assert_hides(caught.value, SECRET, SIGNED[1][1])


class TestModule:
    def test_lists_the_names_that_it_loads_late(self):
        for name in aws_lambda.__all__:
            assert getattr(aws_lambda, name).__name__ == name
            assert name in dir(aws_lambda)
        with pytest.raises(AttributeError):
            aws_lambda.unknown  # noqa: B018  # the look-up is the test

    def test_loads_nothing_that_an_http_request_does_not_need(self):
        code = (
            "import sys; import port_webhook.adapters.aws_lambda; "
            "late = {'asyncio', 'boto3', 'json', 'http', 'logging', 'dataclasses', "
            "'port_webhook._json', "
            "'port_webhook.adapters.aws_lambda._kafka_trigger'}; "
            "print(sorted(late & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        assert done.stdout.strip() == "[]"
