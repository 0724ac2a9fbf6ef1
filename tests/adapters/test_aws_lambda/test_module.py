"""What the module lists and loads, and what is no verifier."""

from __future__ import annotations

import subprocess
import sys

import pytest

from port_webhook import ConfigurationError
from port_webhook.adapters import aws_lambda
from port_webhook.adapters.aws_lambda import (
    handle_kafka_event,
    verify_event,
    verify_kafka_event,
)

from .events import (
    SECRET,
    SIGNED,
    assert_hides,
    kafka_event,
    make_verifier,
    message,
    record,
    signed_event,
)


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
