"""What a Lambda event says of its HTTP request, and the answer in the same shape.

AWS spells one request in four ways: API Gateway's payload formats 1.0 (REST APIs) and
2.0 (HTTP APIs; function URLs use it too), and the two modes of an Application Load
Balancer. As in ``signature``, errors are returned: an event holds the body and the
signature.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from port_webhook._arguments import read_body
from port_webhook._delivery import Delivery
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

_NAMES = (SIGNATURE_HEADER, TIMESTAMP_HEADER)
_STATUS = re.compile("[1-5][0-9]{2}")
_BINARY = "application/octet-stream"


class Request:
    """The parts of an event, of which headers and body can be taken once.

    What a handler raises shows the frames that hold it, so it shows neither.

    Attributes:
        balancer: The event is that of a load balancer.
        multi_value: The answer's headers are read from ``multiValueHeaders`` alone.
    """

    def __init__(  # described above
        self,
        headers: list[tuple[str, object]],
        body: object = None,
        is_base64: object = None,
        *,
        balancer: bool = False,
        multi_value: bool = False,
    ) -> None:
        self._headers = headers
        self._body = body
        self._is_base64 = is_base64
        self.balancer: bool = balancer
        self.multi_value: bool = multi_value

    def take_headers(self) -> list[tuple[str, object]]:
        """Return all values of the two signature headers."""
        headers, self._headers = self._headers, []
        return headers

    def read(self, limit: int) -> bytes | DeliveryError:
        """Return the bytes of the body; *limit* is in bytes.

        An event holds the whole body or does not exist. So nothing can be truncated
        here, and Content-Length, which may count a compressed body, is not compared.
        """
        body, self._body = self._body, None
        if body is None:
            return b""
        if self._is_base64 is None or self._is_base64 is False:
            return read_body(body, limit)
        if self._is_base64 is True:
            return decode_base64(body, limit)
        return UnreadableBodyError("The event's isBase64Encoded is not true or false.")

    def forget(self) -> None:
        """Drop a body that was not taken, because the headers were refused."""
        self._body = None


PLAIN = Request([])
"""Stands for an event that says nothing of its request."""


def open_event(event: object) -> Request | UnreadableBodyError | ConfigurationError:
    """Find the parts of *event*, of which each may be missing, null or wrong."""
    if isinstance(event, Delivery):
        return PLAIN  # by a webhook around this one, which has verified it
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        return UnreadableBodyError(f"The event is {kind}, not that of an HTTP request.")
    fields = cast("Mapping[str, Any]", event)
    try:
        if "Records" in fields or "records" in fields:
            # An answer would tell the queue that its messages are done.
            return ConfigurationError(
                "The event is that of a queue or a stream, not of an HTTP request; "
                "for a Kafka trigger there is handle_kafka_event"
            )
        single = _read_map(fields.get("headers"))
        multi = _read_map(fields.get("multiValueHeaders"))
        if single is not None and multi is not None:
            # A load balancer sends one of the two maps, a REST API both.
            return Request(
                _merge(single, multi),
                fields.get("body"),
                fields.get("isBase64Encoded"),
                balancer="elb" in (_read_map(fields.get("requestContext")) or {}),
                multi_value=bool(multi) and not single,
            )
    except Exception:  # noqa: BLE001, S110  # a foreign mapping may raise anything
        pass
    return UnreadableBodyError("The event's headers are not a mapping.")


def _read_map(value: object) -> Mapping[str, Any] | None:
    """Return a mapping, an empty one for null, and None for what is neither."""
    if value is None:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _merge(
    single: Mapping[str, Any], multi: Mapping[str, Any]
) -> list[tuple[str, object]]:
    """Return each value of the two headers as often as it was sent.

    A REST API shows every value in ``multiValueHeaders`` and the last one in
    ``headers`` as well; that one is not a second value.
    """
    pairs: list[tuple[str, object]] = []
    for name, values in multi.items():
        if (lowered := str(name).lower()) in _NAMES:
            listed: list[object] = [values]
            if isinstance(values, list):
                listed = cast("list[object]", values)
            pairs.extend((lowered, value) for value in listed)
    unmatched = pairs.copy()
    for name, value in single.items():
        if (lowered := str(name).lower()) in _NAMES:
            pair = (lowered, value)
            if pair in unmatched:
                unmatched.remove(pair)
            else:
                pairs.append(pair)
    return pairs


def decode_base64(text: object, limit: int) -> bytes | DeliveryError:
    """Decode strict base64 of at most *limit* bytes."""
    if not isinstance(text, str):
        return UnreadableBodyError(f"The body is {type(text).__name__}, not base64.")
    # Four characters stand for three bytes: this bounds the work.
    if len(text) > (limit + 2) // 3 * 4:
        return BodyTooLargeError(limit)
    try:
        body = a2b_base64(text, strict_mode=True)
    except ValueError:
        body = None
    # Python lets some needless padding pass, and bits that stand for nothing.
    if body is None or b2a_base64(body, newline=False) != text.encode("ascii"):
        return UnreadableBodyError("The body is not valid base64.")
    return body if len(body) <= limit else BodyTooLargeError(limit)


def finish(result: Any) -> Any:
    """Run to its end what an asynchronous handler returned, or return it as it is."""
    if isawaitable(result):
        import asyncio

        return asyncio.run(_finish(result))
    return result


async def _finish(result: Awaitable[Any]) -> Any:
    return await result


def refuse(error: DeliveryError, request: Request) -> dict[str, Any]:
    """Write the answer to a *request* that was not handled."""
    response = {"body": error.http_body.decode("ascii"), "isBase64Encoded": False}
    return _shape(error.http_status, response, dict(error.http_headers), request)


def respond(result: object, request: Request) -> dict[str, Any] | ConfigurationError:
    """Write the answer that a handler returned: a full response, or only a body."""
    if isinstance(result, Mapping):
        result = dict(cast("Mapping[str, Any]", result))
    response: dict[str, Any] = {"statusCode": 200, "body": result}
    if isinstance(result, dict) and "statusCode" in result:
        response = cast("dict[str, Any]", result)
    elif isinstance(result, str):
        response["headers"] = {"Content-Type": "text/plain; charset=utf-8"}
    status = str(response["statusCode"])
    if _STATUS.fullmatch(status) is None:
        return ConfigurationError("The handler returned a statusCode that is none")
    single = _read_map(response.get("headers"))
    multi = _read_map(response.get("multiValueHeaders"))
    if single is None or multi is None:
        return ConfigurationError("The handler returned headers that are not a dict")
    headers = dict(single)
    encoded: object = response.get("isBase64Encoded", False)
    body, kind = _write_body(response.get("body"))
    if not isinstance(body, str):
        return ConfigurationError(
            "The handler returned something that is not a response: it may return "
            "JSON in a dict or a list, text, bytes, None, or a dict with statusCode"
        )
    if kind is not None:
        encoded = kind == _BINARY
        if "content-type" not in {str(name).lower() for name in (*headers, *multi)}:
            headers["Content-Type"] = kind
    response = {**response, "body": body, "isBase64Encoded": encoded}
    return _shape(int(status), response, headers, request)


def _write_body(body: object) -> tuple[object, str | None]:
    """Return *body* as text, and the media type of what was not text before."""
    if body is None:
        return "", None
    if isinstance(body, bytes):
        return b2a_base64(body, newline=False).decode("ascii"), _BINARY
    if not isinstance(body, dict | list):
        return body, None
    import json

    try:
        return json.dumps(body, allow_nan=False), "application/json"
    except (TypeError, ValueError, RecursionError):
        return None, None


def _shape(
    status: int, response: dict[str, Any], headers: dict[str, Any], request: Request
) -> dict[str, Any]:
    """Write *response* as the service that sent the event reads it."""
    shaped = {**response, "statusCode": status, "headers": headers}
    if request.balancer:
        shaped.setdefault("statusDescription", f"{status} {_phrase(status)}")
    if request.multi_value:
        # In this mode a load balancer reads no other headers than these.
        del shaped["headers"]
        listed: dict[str, Any] = {name: [headers[name]] for name in headers}
        shaped["multiValueHeaders"] = {
            **listed,
            **(response.get("multiValueHeaders") or {}),
        }
    return shaped


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
