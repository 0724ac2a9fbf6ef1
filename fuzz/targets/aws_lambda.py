"""The Lambda adapter: the bytes of each body are those that the gateway received.

An input is a byte of flags, and a request or an event.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from fuzz import text as reference
from fuzz.common import (
    MARK,
    STAMP,
    call,
    check_mac,
    make_verifier,
    signature_of,
    splices,
)
from fuzz.targets.canonical import WORDS as CANONICAL
from port_webhook import (
    ConfigurationError,
    Delivery,
    PortWebhookError,
    UnreadableBodyError,
    UnsupportedMediaError,
)
from port_webhook.adapters.aws_lambda import (
    verify_event,
    verify_kafka_event,
    webhook,
)

__all__ = ["WORDS", "run", "seeds"]

VERIFIER = make_verifier()
SIGNATURE, TIMESTAMP = "x-port-signature", "x-port-timestamp"
# In an event: the base64 of the payload between two of them.
PAYLOAD = b'{"action":"create","name":"\xc3\xa9"}'
SIGNED = signature_of(STAMP, PAYLOAD)

BASE64, VERSION_2, BALANCER, MULTI_VALUE, RAW_EVENT = 1, 2, 4, 8, 16


@webhook(VERIFIER)
def handler(delivery: Delivery, context: object) -> bytes:
    """Return the payload, so that it can be compared."""
    del context
    return delivery.payload


def run(data: bytes) -> None:
    """Pass a request through a gateway, or an event to the function."""
    flags = data[0] if data else 0
    if flags & RAW_EVENT:
        _check_event(data[1:])
    else:
        _check_request(data[1:], flags)


def _check_request(data: bytes, flags: int) -> None:
    """Let the gateway make the event of a request with the body *data*."""
    text = None if flags & BASE64 else _decode(data)
    body = b64encode(data).decode() if text is None else text
    headers = {
        "Content-Type": "application/json",
        TIMESTAMP.title(): STAMP.decode(),
        SIGNATURE.title(): signature_of(STAMP, data).decode(),
    }
    event: dict[str, Any] = {"body": body, "isBase64Encoded": text is None}
    if flags & VERSION_2:  # HTTP APIs and function URLs
        lowered = {name.lower(): value for name, value in headers.items()}
        event |= {"version": "2.0", "headers": lowered}
        event["requestContext"] = {"http": {"method": "POST"}}
    elif flags & BALANCER:
        event |= {"httpMethod": "POST", "requestContext": {"elb": {}}}
        if flags & MULTI_VALUE:
            event["multiValueHeaders"] = {k: [v] for k, v in headers.items()}
        else:
            event["headers"] = headers
    else:
        event |= {"httpMethod": "POST", "requestContext": {}, "headers": headers}
        event["multiValueHeaders"] = {k: [v] for k, v in headers.items()}
    delivery = call(verify_event, event, VERIFIER)
    assert isinstance(delivery, Delivery)
    assert delivery.payload == data
    response = handler(event, None)
    assert response["statusCode"] == 200  # OK
    assert b64decode(response["body"], validate=True) == data
    _check_response(response, flags)
    record = {"topic": "a", "partition": 0, "offset": 0, "timestamp": 0}
    _check_records(
        {"records": {"a-0": [{**record, "value": b64encode(data).decode()}]}}
    )


def _check_response(response: dict[str, Any], flags: int) -> None:
    is_multi = flags & BALANCER and flags & MULTI_VALUE and not flags & VERSION_2
    assert response["isBase64Encoded"] is True
    assert ("multiValueHeaders" in response) == bool(is_multi)
    assert ("headers" in response) != bool(is_multi)


def _check_event(data: bytes) -> None:
    """Pass any JSON to the function, as somebody who may invoke it does."""
    document = reference.read(data.replace(MARK, SIGNED))
    if document is None or document.too_large:
        return
    event = document.value
    found = call(verify_event, event, VERIFIER)
    if isinstance(found, Delivery):
        assert found.payload == _body_of(event)
        check_mac(found, SIGNED, STAMP)
        if event.get("body") is not None:
            flag = event.get("isBase64Encoded")
            assert flag is None or type(flag) is bool
            # No second spelling of the same bytes passes.
            assert not flag or b64encode(found.payload).decode() == event["body"]
    else:
        assert issubclass(found, PortWebhookError)
    response = call(handler, event, None)
    if isinstance(found, Delivery):
        assert response["statusCode"] == 200  # OK
    elif found is ConfigurationError:
        assert response is ConfigurationError
    else:
        status = response["statusCode"]
        assert status >= 400, status  # an error
        if found is UnsupportedMediaError:
            assert status == 415  # as the contract says
        if found is UnreadableBodyError:
            assert status == 400  # the same
    _check_records(event)


def _body_of(event: dict[str, Any]) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    if event.get("isBase64Encoded"):
        return b64decode(body, validate=True)
    return body.encode()  # type: ignore[no-any-return]  # it is text


def _check_records(event: object) -> None:
    """Pass an event to the function of a Kafka trigger."""
    items = call(verify_kafka_event, event, VERIFIER)
    if items is ConfigurationError:
        return
    assert isinstance(event, dict)
    records = [each for listed in event["records"].values() for each in listed]
    assert len(items) == len(records)
    for item in items:
        assert (item.delivery is None) != (item.error is None)
        assert item.error is None or isinstance(item.error, PortWebhookError)
        assert item.delivery is None or signature_of(STAMP, item.delivery.payload)


def _decode(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def seeds() -> list[bytes]:
    """Return bodies for each gateway, and whole events."""
    bodies = [PAYLOAD, b"", b"\xff\xfe", "é😀".encode(), b"\x00", b'{"a": 1}\n']
    found = [bytes([flags]) + body for flags in range(16) for body in bodies[:3]]
    found += [bytes([at]) + body for at, body in enumerate(bodies)]
    signed = {TIMESTAMP: STAMP.decode(), SIGNATURE: SIGNED.decode()}
    multi = {name: [value] for name, value in signed.items()}
    text, encoded = PAYLOAD.decode(), b64encode(PAYLOAD).decode()
    respelled = f"{encoded[:-3]}{chr(ord(encoded[-3]) + 1)}=="  # the same bytes
    record = {"topic": "a", "partition": 0, "offset": 1, "timestamp": 1_713_277_889_000}
    events: list[Any] = [
        {"body": text, "isBase64Encoded": False, "headers": signed},
        {"body": encoded, "isBase64Encoded": True, "multiValueHeaders": multi},
        {"body": text, "headers": signed, "multiValueHeaders": multi},
        {"body": text, "isBase64Encoded": 0, "headers": signed},
        {"body": encoded, "isBase64Encoded": "true", "headers": signed},
        {"body": f"{encoded}\n", "isBase64Encoded": True, "headers": signed},
        {"body": respelled, "isBase64Encoded": True, "headers": signed},
        {"body": text, "headers": {**signed, "Content-Encoding": "gzip"}},
        {"body": text, "headers": {**signed, "content-type": "a/b; charset=latin-1"}},
        {"body": None, "headers": None, "requestContext": {"http": {"method": "HEAD"}}},
        {
            "httpMethod": "POST",
            "body": text,
            "headers": {k: [v] for k, v in signed.items()},
        },
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"records": {"a-0": [{**record, "value": encoded}, {**record, "value": None}]}},
        [],
        None,
    ]
    found += [bytes([RAW_EVENT]) + json.dumps(each).encode() for each in events]
    found += [each.replace(SIGNED, MARK) for each in found if SIGNED in each]
    return splices(found)


WORDS = (
    *CANONICAL,
    MARK,
    STAMP,
    SIGNED,
    b"\x10{",
    *(
        f'"{name}":'.encode()
        for name in (
            *("body", "isBase64Encoded", "headers", "multiValueHeaders", "httpMethod"),
            *(
                "requestContext",
                "http",
                "method",
                "elb",
                "Records",
                "records",
                "version",
            ),
            *("detail-type", "content-type", "content-encoding", "topic", "partition"),
            *("offset", "timestamp", "value", TIMESTAMP, SIGNATURE, "X-Port-Signature"),
        )
    ),
    b"application/json; charset=utf-8",
    b"identity",
)
