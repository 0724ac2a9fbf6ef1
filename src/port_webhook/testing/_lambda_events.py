"""Build the events that AWS Lambda passes to a function.

The formats are those of AWS: "Set up Lambda proxy integrations in API Gateway" (REST
APIs, payload format 1.0), "Create AWS Lambda proxy integrations for HTTP APIs" (2.0),
"Invoking Lambda function URLs", "Use Lambda functions as targets of an Application
Load Balancer", and "Using Lambda with Amazon MSK" and "with self-managed Apache Kafka".
"""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from port_webhook._arguments import read_body, read_instant
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KafkaSource", "LambdaShape", "kafka_event", "lambda_event"]

T = TypeVar("T")

LambdaShape = Literal["rest_api", "http_api", "function_url", "alb", "alb_multi_value"]
KafkaSource = Literal["msk", "self_managed"]

_ACCOUNT = "111122223333"
_HOST = "hooks.example.com"
_URL_HOST = "harbour7.lambda-url.eu-west-1.on.aws"
_TARGET = f"arn:aws:elasticloadbalancing:eu-west-1:{_ACCOUNT}:targetgroup/port/7a1b"
_CLUSTER = f"arn:aws:kafka:eu-west-1:{_ACCOUNT}:cluster/harbour/7a1b2c3d-1"
_REQUEST_ID = "7a1b2c3d-0000-4000-8000-00000000harb"
_FIRST_OFFSET = 41


class _Http(NamedTuple):
    """One request, with the name of each header as it was given."""

    method: str
    path: str
    pairs: list[tuple[str, str]]
    body: str
    encoded: bool


@boundary
def lambda_event(
    body: bytes | str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    *,
    shape: LambdaShape = "http_api",
    base64: bool | None = None,
    method: str = "POST",
    path: str = "/port",
) -> dict[str, Any]:
    """Build the event of one HTTP request.

    ::

        lambda_event(*sign_request(document, secret), shape="alb")

    Args:
        body: The body, as `sign_request` or `sign_as_agent` made it.
        headers: The headers, a mapping or pairs; names may repeat. A few that AWS
            always sends are added.
        shape: Who calls the function: API Gateway (``rest_api``, ``http_api``), a
            ``function_url``, or a load balancer in its single-value or multi-value
            mode (``alb``, ``alb_multi_value``).
        base64: Whether the body is base64. None: only if it is not UTF-8.
        method: The HTTP method.
        path: The path of the request.

    Raises:
        ConfigurationError: *shape* is none of these, *headers* are not text, or the
            body is not UTF-8 and *base64* is false.
        UnreadableBodyError: *body* is neither bytes nor text.
    """
    write = _choose("shape", shape, _WRITERS)
    raw = read_body(body, sys.maxsize)
    pairs = _read_pairs(headers)
    text = None if base64 else _decode(raw)
    if text is None and base64 is not None and not base64:
        msg = "The body is not UTF-8, so base64 must be true"
        raise ConfigurationError(msg)
    encoded = text is None
    if text is None:
        text = b64encode(raw).decode("ascii")
    return write(_Http(method, path, pairs, text, encoded))


@boundary
def kafka_event(
    *messages: bytes | str,
    source: KafkaSource = "msk",
    topic: str = "org_Harbour.runs",
    timestamp: float | None = None,
) -> dict[str, Any]:
    """Build the event of a Kafka trigger, with all messages in one partition.

    Args:
        messages: As `sign_kafka_message` made them.
        source: The cluster: Amazon ``msk``, or ``self_managed``.
        topic: The topic of the records.
        timestamp: The records' own time, in seconds since the epoch; now if None.
            `verify_kafka_event` takes it as the time at which they were received.

    Raises:
        ConfigurationError: *source* or *timestamp* is none of these.
        UnreadableBodyError: A message is neither bytes nor text.
    """
    origin = _choose("source", source, _SOURCES)
    moment = time.time() if timestamp is None else timestamp
    instant = read_instant(moment, "timestamp")
    records: list[dict[str, Any]] = [
        {
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "timestamp": int(instant * 1000),
            "timestampType": "CREATE_TIME",
            "value": b64encode(read_body(message, sys.maxsize)).decode("ascii"),
            "headers": [],
        }
        for offset, message in enumerate(messages, _FIRST_OFFSET)
    ]
    return {
        **origin,
        "bootstrapServers": "b-1.harbour.example.com:9096",
        "records": {f"{topic}-0": records},
    }


def _choose(name: str, value: object, choices: dict[str, T]) -> T:
    found = choices.get(value) if isinstance(value, str) else None
    if found is None:
        msg = f"{name} must be one of {', '.join(choices)}"
        raise ConfigurationError(msg)
    return found


def _read_pairs(headers: object) -> list[tuple[str, str]]:
    """Return the headers behind those that every service shows."""
    try:
        given = cast("Mapping[object, object]", headers)
        source = given.items() if isinstance(headers, Mapping) else headers
        pairs = [(n, v) for n, v in cast("Iterable[tuple[object, object]]", source)]
    except Exception:  # a foreign mapping may raise anything
        pairs = [(None, None)]
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        msg = "headers must be pairs of text, or a mapping"
        raise ConfigurationError(msg)
    always = [("Host", _HOST), ("X-Forwarded-Proto", "https")]
    return always + cast("list[tuple[str, str]]", pairs)


def _decode(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _group(pairs: list[tuple[str, str]], *, lower: bool) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name.lower() if lower else name, []).append(value)
    return grouped


def _write_rest_api(request: _Http) -> dict[str, Any]:
    return {
        "resource": request.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.pairs),
        "multiValueHeaders": _group(request.pairs, lower=False),
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": "harbour7",
            "domainName": _HOST,
            "httpMethod": request.method,
            "path": f"/prod{request.path}",
            "protocol": "HTTP/1.1",
            "requestId": _REQUEST_ID,
            "resourceId": "pier4",
            "resourcePath": request.path,
            "stage": "prod",
        },
        "body": request.body or None,
        "isBase64Encoded": request.encoded,
    }


def _write_http_api(request: _Http) -> dict[str, Any]:
    route = f"{request.method} {request.path}"
    return _write_2_0(request, route, _HOST)


def _write_function_url(request: _Http) -> dict[str, Any]:
    return _write_2_0(request, "$default", _URL_HOST)


def _write_2_0(request: _Http, route: str, host: str) -> dict[str, Any]:
    prefix = host.partition(".")[0]
    grouped = {**_group(request.pairs, lower=True), "host": [host]}
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": request.path,
        "rawQueryString": "",
        "headers": {name: ",".join(values) for name, values in grouped.items()},
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": prefix,
            "domainName": host,
            "domainPrefix": prefix,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.44",
                "userAgent": "",
            },
            "requestId": _REQUEST_ID,
            "routeKey": route,
            "stage": "$default",
        },
        "isBase64Encoded": request.encoded,
    }
    if request.body:
        event["body"] = request.body
    return event


def _write_alb(request: _Http) -> dict[str, Any]:
    # This mode shows only the last value of a header that came twice.
    grouped = _group(request.pairs, lower=True)
    return {
        **_write_balancer(request),
        "queryStringParameters": {},
        "headers": {name: values[-1] for name, values in grouped.items()},
    }


def _write_alb_multi_value(request: _Http) -> dict[str, Any]:
    return {
        **_write_balancer(request),
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": _group(request.pairs, lower=True),
    }


def _write_balancer(request: _Http) -> dict[str, Any]:
    return {
        "requestContext": {"elb": {"targetGroupArn": _TARGET}},
        "httpMethod": request.method,
        "path": request.path,
        "body": request.body,
        "isBase64Encoded": request.encoded,
    }


_WRITERS: dict[str, Callable[[_Http], dict[str, Any]]] = {
    "rest_api": _write_rest_api,
    "http_api": _write_http_api,
    "function_url": _write_function_url,
    "alb": _write_alb,
    "alb_multi_value": _write_alb_multi_value,
}

_SOURCES: dict[str, dict[str, Any]] = {
    "msk": {"eventSource": "aws:kafka", "eventSourceArn": _CLUSTER},
    "self_managed": {"eventSource": "SelfManagedKafka"},
}
