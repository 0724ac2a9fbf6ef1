"""Read the event of an HTTP request, and write the response in the same shape.

AWS spells one request in four ways: API Gateway's payload formats 1.0 (REST APIs) and
2.0 (HTTP APIs; function URLs use it too), and the two modes of an Application Load
Balancer.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from port_webhook._arguments import read_body
from port_webhook._delivery import Delivery
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration._body import accept_body, expect_body

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = [
    "PLAIN",
    "Request",
    "decode_base64",
    "finish",
    "open_event",
    "refuse",
    "respond",
]

_CONTENT_TYPE = "content-type"
_CONTENT_ENCODING = "content-encoding"
_MEDIA = (_CONTENT_TYPE, _CONTENT_ENCODING)
_NAMES = frozenset((SIGNATURE_HEADER, TIMESTAMP_HEADER, *_MEDIA))
# A length is compared faster than a name, and most headers have another.
_LENGTHS = frozenset(len(name) for name in _NAMES)
# Tuples, and dict first: to ask an abstract class takes long, and to make a union. Of
# no type, so that what passes needs no cast, which is a call each time.
_MAPPING: Any = (dict, Mapping)
_LISTS: Any = (list, tuple)
_STATUSES = range(100, 600)
_STATUS = re.compile("[1-5][0-9]{2}")
_BINARY = "application/octet-stream"


class Request:
    """The parts of an event that say something about its HTTP request.

    Attributes:
        headers: All values of the two signature headers.
        method: The HTTP method; None if the event names none.
        balancer: The event is that of a load balancer.
        multi_value: The response's headers are read from ``multiValueHeaders`` alone.
    """

    balancer: bool = False
    multi_value: bool = False

    def __init__(
        self,
        pairs: list[tuple[str, object]],
        body: object = None,
        is_base64: object = None,
        method: str | None = None,
    ) -> None:
        self.headers = pairs
        self.method = method
        self._body = body
        self._is_base64 = is_base64

    def read(self, limit: int) -> bytes:
        """Return the bytes of the body; *limit* is in bytes.

        An event holds the whole body or does not exist. So nothing can be truncated
        here, and Content-Length, which may count a compressed body, is not compared.

        Raises:
            UnsupportedMediaError: As `check_media` does.
            UnreadableBodyError: The body is not what the event declares.
            BodyTooLargeError: It is larger than *limit*.
        """
        media: dict[str, str] = {}
        for name, value in self.headers:
            if name in _MEDIA and isinstance(value, str):
                media[name] = f"{media[name]},{value}" if name in media else value
        content_type = media.get(_CONTENT_TYPE)
        expect_body(content_type, media.get(_CONTENT_ENCODING), None, limit)
        return accept_body(self._read_body(limit), None, limit, content_type)

    def _read_body(self, limit: int) -> bytes:
        if self._body is None:
            return b""
        if self._is_base64 is None or self._is_base64 is False:
            return read_body(self._body, limit)
        if self._is_base64 is True:
            return decode_base64(self._body, limit)
        raise UnreadableBodyError("The event's isBase64Encoded is not true or false.")


PLAIN = Request([])
"""Placeholder for an event without request details."""


def open_event(event: Any) -> Request:
    """Find the parts of *event*, of which each may be missing, null or wrong.

    Raises:
        UnreadableBodyError: It is not the event of an HTTP request.
        ConfigurationError: It is the event of a queue or a stream.
    """
    if isinstance(event, Delivery):
        return PLAIN  # a webhook around this one has verified it
    if not isinstance(event, _MAPPING):
        kind = type(event).__name__
        raise UnreadableBodyError(f"The event is {kind}, not that of an HTTP request.")
    try:
        return _read_request(event)
    except ConfigurationError:
        raise
    except Exception:  # a foreign mapping may raise anything
        raise UnreadableBodyError("The event's headers are not a mapping.")


def _read_request(event: Mapping[str, Any]) -> Request:
    """Do what `open_event` does; raise anything for what is not an event."""
    # What the events of queues, streams and buses have, and no HTTP request's.
    if "Records" in event or "records" in event or "detail-type" in event:
        from ._queues import refuse_queue

        refuse_queue(event)
    single = _read_map(event.get("headers"))
    multi = _read_map(event.get("multiValueHeaders"))
    context = _read_part(event, "requestContext")
    request = Request(
        # A load balancer sends one of the two maps, a REST API both.
        _merge(single, multi) if multi else _flatten(single),
        event.get("body"),
        event.get("isBase64Encoded"),
        _read_method(event, context),
    )
    if "elb" in context:
        request.balancer = True
    if multi and not single:
        request.multi_value = True
    return request


def _read_map(value: Any) -> Mapping[str, Any]:
    """Return a mapping, which null is too, an empty one."""
    if value is None:
        return {}
    if not isinstance(value, _MAPPING):
        raise TypeError
    found: Mapping[str, Any] = value
    return found


def _read_part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of an event that may be anything, and then says nothing."""
    part: Any = fields.get(name, {})
    return part if isinstance(part, _MAPPING) else {}


def _read_method(event: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """Return the HTTP method, of payload format 1.0 or a load balancer, or of 2.0."""
    method = event.get("httpMethod")
    if method is None:
        method = _read_part(context, "http").get("method")
    if method is None or isinstance(method, str):
        return method
    return ""  # no method that is allowed


def _merge(
    single: Mapping[str, Any], multi: Mapping[str, Any]
) -> list[tuple[str, object]]:
    """Return each value of the headers that matter as often as it was sent.

    A REST API shows every value in ``multiValueHeaders`` and the last one in
    ``headers`` as well; that one is not a second value.
    """
    pairs = _flatten(multi)
    unmatched = pairs.copy()
    for pair in _flatten(single):
        if pair in unmatched:
            unmatched.remove(pair)
        else:
            pairs.append(pair)
    return pairs


def _flatten(headers: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return a pair for each value; event parsers make lists of single values, too."""
    pairs: list[tuple[str, object]] = []
    for given, value in headers.items():
        name = given if type(given) is str else str(given)
        if len(name) in _LENGTHS and (lowered := name.lower()) in _NAMES:
            if isinstance(value, _LISTS):
                pairs += [(lowered, each) for each in value]
            else:
                pairs.append((lowered, value))
    return pairs


def decode_base64(text: object, limit: int) -> bytes:
    """Decode strict base64 of at most *limit* bytes.

    Raises:
        UnreadableBodyError: It is not the only spelling of its bytes.
        BodyTooLargeError: It is larger than *limit*.
    """
    if not isinstance(text, str):
        raise UnreadableBodyError(f"The body is {type(text).__name__}, not base64.")
    # Four characters stand for three bytes: this bounds the work.
    if len(text) > (limit + 2) // 3 * 4:
        raise BodyTooLargeError(limit)
    try:
        body = a2b_base64(text, strict_mode=True)
    except ValueError:
        body = None
    # Python lets some needless padding pass, and bits that stand for nothing.
    if body is None or b2a_base64(body, newline=False) != text.encode("ascii"):
        raise UnreadableBodyError("The body is not valid base64.")
    if len(body) > limit:
        raise BodyTooLargeError(limit)
    return body


def finish(result: object) -> Any:
    """Run a coroutine to completion; return any other result unchanged."""
    kind = type(result)
    # Most results are a dict; of anything else it takes long to tell.
    if kind is not dict and isawaitable(result):
        import asyncio

        return asyncio.run(_finish(result))
    return result


async def _finish(result: Awaitable[Any]) -> Any:
    return await result


def refuse(error: DeliveryError, request: Request) -> dict[str, Any]:
    """Write the response to a *request* that is not handled."""
    response = {"body": error.http_body.decode("ascii"), "isBase64Encoded": False}
    return _shape(error.http_status, response, dict(error.http_headers), request)


def respond(result: Any, request: Request) -> dict[str, Any]:
    """Write the response that a handler returned: a full one, or only its body.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(result, _MAPPING):
        response: dict[str, Any] = dict(result)  # a copy, which is completed below
        if "statusCode" not in response:
            response = {"statusCode": 200, "body": response}
    else:
        response = {"statusCode": 200, "body": result}
        if isinstance(result, str):
            response["headers"] = {"Content-Type": "text/plain; charset=utf-8"}
    status = _read_status(response["statusCode"])
    try:
        headers = dict(_read_map(response.get("headers")))
        multi = _read_map(response.get("multiValueHeaders"))
    except TypeError:
        raise ConfigurationError("The handler returned headers that are not a dict")
    encoded: object = response.get("isBase64Encoded", False)
    body, kind = _write_body(response.get("body"))
    if not isinstance(body, str):
        raise ConfigurationError(
            "The handler returned something that is not a response: it may return "
            "JSON in a dict or a list, text, bytes, None, or a dict with statusCode"
        )
    if kind is not None:
        encoded = kind == _BINARY
        if _CONTENT_TYPE not in {str(name).lower() for name in (*headers, *multi)}:
            headers["Content-Type"] = kind
    response["body"], response["isBase64Encoded"] = body, encoded
    return _shape(status, response, headers, request)


def _read_status(code: object) -> int:
    """Return a status, which may be given as text.

    Raises:
        ConfigurationError: It is none.
    """
    if type(code) is int and code in _STATUSES:
        return code
    text = str(code)
    if _STATUS.fullmatch(text) is None:
        raise ConfigurationError(
            "The handler returned a statusCode that is not a number from 100 to 599"
        )
    return int(text)


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
    """Complete *response* in the form that the sender of the event reads."""
    response["statusCode"], response["headers"] = status, headers
    if request.balancer:
        response.setdefault("statusDescription", f"{status} {_phrase(status)}")
    if request.multi_value:
        # In this mode a load balancer reads no other headers than these.
        del response["headers"]
        listed: dict[str, Any] = {name: [headers[name]] for name in headers}
        response["multiValueHeaders"] = {
            **listed,
            **(response.get("multiValueHeaders") or {}),
        }
    return response


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
