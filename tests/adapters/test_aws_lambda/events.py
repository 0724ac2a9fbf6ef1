"""Lambda events in the formats that AWS documents, written by hand, and their answers.

The formats: "Set up Lambda proxy integrations in API Gateway" (payload format 1.0),
"Create AWS Lambda proxy integrations for HTTP APIs" (2.0), "Invoking Lambda function
URLs", "Use Lambda functions as targets of an Application Load Balancer", and "Using
Lambda with Amazon MSK" (the Kafka trigger).
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

import port_webhook
from port_webhook import Verifier, sign
from port_webhook.adapters.aws_lambda import webhook

from ..doubles import Store

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


def set_method(event, method):
    """Change the HTTP method where the event of a service names it."""
    if "http" in event.get("requestContext", {}):
        event["requestContext"]["http"]["method"] = method
    else:
        event["httpMethod"] = method
    return event


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


def assert_shape(service, answer, description):
    json.dumps(answer)
    multi = service is balancer_multi
    assert ("multiValueHeaders" in answer) is multi
    assert ("headers" in answer) is not multi
    if service in (balancer, balancer_multi):
        assert answer["statusDescription"] == description
    else:
        assert "statusDescription" not in answer


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
