"""Every event is accepted by the Lambda adapter, and refused with another secret."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, get_args

import pytest

import port_webhook
from port_webhook import (
    ConfigurationError,
    MalformedHeaderError,
    MissingHeaderError,
    PortWebhookError,
    SignatureMismatchError,
    UnreadableBodyError,
    Verifier,
)
from port_webhook.adapters.aws_lambda import verify_event, verify_kafka_event, webhook
from port_webhook.testing import (
    FixedClock,
    Signer,
    kafka_event,
    lambda_event,
    sign_kafka_message,
)
from port_webhook.testing._lambda_events import KafkaSource, LambdaShape

PACKAGE = str(Path(port_webhook.__file__).parent)
SECRET = "a-made-up-secret"
CLOCK = FixedClock()
VERIFIER = Verifier(SECRET, clock=CLOCK)
OTHER = Verifier("another-secret", clock=CLOCK)
sign = Signer(SECRET, clock=CLOCK)

SHAPES = get_args(LambdaShape)
all_shapes = pytest.mark.parametrize("shape", SHAPES)


class TestLambdaEvent:
    @all_shapes
    @pytest.mark.parametrize("encoded", [None, False, True])
    def test_is_accepted_with_the_secret_alone(self, shape, encoded):
        request = sign({"note": "café"})
        event = lambda_event(*request, shape=shape, base64=encoded)

        assert verify_event(event, VERIFIER).payload == request.body
        assert event["isBase64Encoded"] is bool(encoded)
        assert json.loads(json.dumps(event)) == event
        with pytest.raises(SignatureMismatchError):
            verify_event(event, OTHER)

    @all_shapes
    def test_holds_base64_where_the_body_is_not_utf_8(self, shape):
        event = lambda_event(*sign(b"\x00\xff"), shape=shape)

        assert event["isBase64Encoded"] is True
        assert verify_event(event, VERIFIER).payload == b"\x00\xff"

    @all_shapes
    def test_may_have_no_body(self, shape):
        event = lambda_event(*sign(b""), shape=shape)

        assert not event.get("body")
        assert verify_event(event, VERIFIER).payload == b""

    @all_shapes
    def test_may_be_unsigned(self, shape):
        with pytest.raises(MissingHeaderError):
            verify_event(lambda_event("{}", {}, shape=shape), VERIFIER)

    @all_shapes
    def test_may_be_that_of_the_agent(self, shape):
        event = lambda_event(*sign.as_agent({"a": 1}), shape=shape)
        verifier = Verifier(SECRET, clock=CLOCK, agent=True)
        assert verify_event(event, verifier).via == "agent"

    @all_shapes
    def test_is_answered_in_its_own_shape(self, shape):
        @webhook(VERIFIER)
        def handler(delivery, context):
            return delivery.json()

        answer = handler(lambda_event(*sign({"a": 1}), shape=shape), None)
        assert answer["statusCode"] == 200
        assert ("statusDescription" in answer) == shape.startswith("alb")
        assert ("multiValueHeaders" in answer) == (shape == "alb_multi_value")

    @all_shapes
    def test_shows_a_header_that_came_twice_as_the_service_does(self, shape):
        body, headers = sign({})
        pairs = [*headers.items(), ("x-port-timestamp", headers["x-port-timestamp"])]
        event = lambda_event(body, pairs, shape=shape)

        if shape == "alb":
            # It shows the last value alone.
            assert verify_event(event, VERIFIER).payload == body
        else:
            with pytest.raises(MalformedHeaderError) as caught:
                verify_event(event, VERIFIER)
            assert caught.value.code == "duplicate_header"

    def test_takes_method_and_path(self):
        found = []
        for shape in SHAPES:
            event = lambda_event("", {}, shape=shape, method="PATCH", path="/a/b")
            http = event["requestContext"].get("http", {})
            found.append(
                (
                    event.get("httpMethod") or http["method"],
                    event.get("path") or event["rawPath"],
                )
            )
        assert found == [("PATCH", "/a/b")] * len(SHAPES)

    def test_of_a_function_url_names_its_own_host(self):
        event = lambda_event("", {}, shape="function_url")
        assert event["headers"]["host"] == event["requestContext"]["domainName"]
        assert ".lambda-url." in event["headers"]["host"]

    @pytest.mark.parametrize("shape", ["sqs", "", None, [], 5])
    def test_refuses_another_shape(self, shape):
        with pytest.raises(ConfigurationError, match="shape must be one of rest_api,"):
            lambda_event("hidden", {}, shape=shape)

    @pytest.mark.parametrize(
        "headers",
        [None, 5, "x-port", {"a": 5}, {b"a": "b"}, [("a",)], [("a", "b", "c")], [None]],
    )
    def test_refuses_headers_that_are_not_text(self, headers):
        with pytest.raises(ConfigurationError, match="headers") as caught:
            lambda_event("hidden", headers)
        assert_hides(caught.value)

    @pytest.mark.parametrize("body", [None, {}, 5, "hidden\ud800"])
    def test_refuses_a_body_that_is_not_bytes(self, body):
        with pytest.raises(UnreadableBodyError) as caught:
            lambda_event(body, {"x-port-signature": "hidden"})
        assert_hides(caught.value)

    def test_refuses_to_write_as_text_what_is_none(self):
        with pytest.raises(ConfigurationError, match="base64") as caught:
            lambda_event(b"hidden \xff", {}, base64=False)
        assert_hides(caught.value)


class TestKafkaEvent:
    @pytest.mark.parametrize("source", get_args(KafkaSource))
    def test_is_accepted_with_the_secret_alone(self, source):
        messages = [sign.kafka_message({"run": {"id": f"r_{i}"}}) for i in range(3)]
        event = kafka_event(*messages, source=source, timestamp=CLOCK.now)

        items: Any = verify_kafka_event(event, Verifier(SECRET))
        assert [item.delivery.run_id for item in items] == ["r_0", "r_1", "r_2"]
        assert [item.offset for item in items] == [41, 42, 43]
        assert {item.received_at for item in items} == {CLOCK.now}
        assert json.loads(json.dumps(event)) == event
        for item in verify_kafka_event(event, OTHER):
            assert isinstance(item.error, SignatureMismatchError)

    def test_says_which_cluster_it_is_of(self):
        assert kafka_event()["eventSource"] == "aws:kafka"
        event = kafka_event(source="self_managed")
        assert event["eventSource"] == "SelfManagedKafka"
        assert "eventSourceArn" not in event

    def test_has_the_topic_and_the_time_that_it_is(self):
        event = kafka_event(sign_kafka_message({}, SECRET), topic="acme.runs")

        (item,) = verify_kafka_event(event, Verifier(SECRET))
        assert item.topic == "acme.runs"
        assert item.error is None
        (record,) = event["records"]["acme.runs-0"]
        assert base64.b64decode(record["value"]).startswith(b'{"headers"')

    @pytest.mark.parametrize("source", ["sqs", None, [], 5])
    def test_refuses_another_source(self, source):
        with pytest.raises(ConfigurationError, match="source must be one of msk,"):
            kafka_event(source=source)

    @pytest.mark.parametrize("timestamp", ["now", True, float("nan"), 10**12])
    def test_refuses_a_time_that_is_none(self, timestamp):
        with pytest.raises(ConfigurationError, match="timestamp") as caught:
            kafka_event("hidden", timestamp=timestamp)
        assert_hides(caught.value)

    def test_refuses_a_message_that_is_not_bytes(self):
        with pytest.raises(UnreadableBodyError) as caught:
            kafka_event("hidden", {"hidden": 1})  # type: ignore[arg-type]  # the point
        assert_hides(caught.value)


def assert_hides(error: PortWebhookError) -> None:
    """Assert that nothing that *error* keeps alive in the package is hidden."""
    seen = [repr(error), repr(vars(error)), str(error)]
    assert error.__cause__ is None
    assert error.__context__ is None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            seen.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert not [each for each in seen if "hidden" in each]
