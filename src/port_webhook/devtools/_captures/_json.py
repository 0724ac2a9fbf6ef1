"""Captures that are JSON: HAR, the events of AWS Lambda, and Kafka's records."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

from port_webhook.devtools._captures._capture import Capture, CaptureError, Pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["read_har", "read_kafka", "read_lambda"]

_SIGNATURE = "portsignature"
_WITH_BODY = ("POST", "PUT", "PATCH")
_MILLIS = 1000.0
# Beyond these, in milliseconds, a time is none: 2001 and 2286.
_EARLIEST, _LATEST = 10**12, 10**13


def read_har(raw: bytes, entry: int | None = None) -> Capture:
    """Read one request of a HAR file.

    Args:
        raw: The file.
        entry: Which of its entries, from 1. None: the only one, or the only one that
            has Port's signature.

    Raises:
        CaptureError: *raw* is no HAR file, or it does not say which entry is meant.
    """
    log = _get(_load(raw), "log")
    listed = _list(_get(log, "entries"))
    at = _choose([_read_names(each) for each in listed], entry, "entries")
    if _has_lost_body(_get(listed[at], "request")):
        raise CaptureError(
            f"entry {at + 1} holds no body (postData.text); the browser did not save it"
        )
    return _read_entry(listed[at])


def _has_lost_body(request: Any) -> bool:
    """Tell whether a request had a body that is not in the file."""
    if isinstance(_get(_get(request, "postData"), "text"), str):
        return False
    size = _get(request, "bodySize")
    if _get(request, "method") in _WITH_BODY:
        return bool(size != 0)
    return isinstance(size, int | float) and size > 0


def read_lambda(raw: bytes, entry: int | None = None) -> Capture:
    """Read the event of an HTTP request, or of a Kafka trigger.

    Args:
        raw: The file.
        entry: Which record of a Kafka trigger, from 1, if there are several.

    Raises:
        CaptureError: *raw* is no such event.
    """
    event = _load(raw)
    records = _get(event, "records")
    if isinstance(records, dict):
        partitions = cast("dict[str, Any]", records).values()
        found = [each for listed in partitions for each in _list(listed)]
        headers = [_read_record_headers(each) for each in found]
        at = _choose(headers, entry, "records")
        return _read_record(found[at], headers[at])
    if not isinstance(event, dict) or not ({"body", "headers"} & event.keys()):
        raise CaptureError("the file is no event of an HTTP request or a Kafka trigger")
    text = _get(event, "body")
    if text is not None and not isinstance(text, str):
        raise CaptureError("the event's body is no text; save the event unchanged")
    encoded = _get(event, "isBase64Encoded") is True
    body = _decode(text or "") if encoded else _encode(text or "")
    context = _get(event, "requestContext")
    epoch = _get(context, "timeEpoch") or _get(context, "requestTimeEpoch")
    return Capture(body, _read_maps(event), received_at=_seconds(epoch))


def read_kafka(raw: bytes, entry: int | None = None) -> Capture:
    """Read a message, bare or as ``kcat -J`` or a console prints its record.

    Args:
        raw: The file: the value of the message, or a record, or one record a line.
        entry: Which line, from 1, if there are several records.

    Raises:
        CaptureError: It does not say which record is meant.
    """
    lines = [line for line in raw.splitlines() if line.strip()]
    # One line that is none is enough: the file is one message.
    found = takewhile(lambda record: record is not None, map(_find_record, lines))
    records = [record for record in found if record is not None]
    if len(records) > 1 and len(records) == len(lines):
        return records[_choose([each.headers for each in records], entry, "records")]
    return _find_record(raw) or Capture(raw, [], kafka=True)


def _find_record(raw: bytes) -> Capture | None:
    """Return the record that kcat or a console printed; None for a bare message."""
    try:
        record = _load(raw)
    except CaptureError:
        return None
    value = _get(record, "payload", _get(record, "value"))
    if not isinstance(value, str) or "topic" not in record:
        return None
    stamp = _get(record, "ts", _get(record, "timestamp"))
    headers = [*_read_list(_get(record, "headers"))]
    return Capture(_encode(value), headers, kafka=True, received_at=_seconds(stamp))


def _read_list(headers: Any) -> Iterator[tuple[str, str]]:
    """Yield a record's headers: an object, objects, or names and values in turn."""
    if isinstance(headers, dict):
        members = cast("dict[str, Any]", headers)
        yield from ((name, str(value)) for name, value in members.items())
    else:
        listed = _list(headers)
        if listed and all(isinstance(each, str) for each in listed):
            yield from zip(listed[::2], listed[1::2], strict=False)
            return
        for each in listed:
            name = _get(each, "key", _get(each, "name"))
            if isinstance(name, str):
                yield name, str(_get(each, "value"))


def _load(raw: bytes) -> Any:
    try:
        return json.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        raise CaptureError("the file is not JSON")


def _get(value: Any, key: str, default: Any = None) -> Any:
    """Return a member of what may be anything."""
    if not isinstance(value, dict):
        return default
    return cast("dict[str, Any]", value).get(key, default)


def _list(value: object) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _choose(found: list[Pairs], entry: int | None, what: str) -> int:
    """Return which of the requests with these headers is meant, from 0.

    Their bodies are not read: one that cannot be is no reason to refuse another.
    """
    if entry is not None:
        if not 0 < entry <= len(found):
            raise CaptureError(f"there is no entry {entry}; the file has {len(found)}")
        return entry - 1
    signed = [at for at, headers in enumerate(found) if _is_signed(headers)]
    likely = signed or [*range(len(found))]
    if len(likely) == 1:
        return likely[0]
    if not likely:
        raise CaptureError(f"the file has no {what}")
    listed = ", ".join(str(at + 1) for at in likely[:20])
    raise CaptureError(f"the file has {len(likely)} {what}: choose --entry of {listed}")


def _is_signed(headers: Pairs) -> bool:
    names = ("".join(filter(str.isalnum, name.lower())) for name, _ in headers)
    return any(_SIGNATURE in name for name in names)


def _read_names(entry: Any) -> Pairs:
    """Return the headers of one entry of a HAR file (HAR 1.2)."""
    headers: Pairs = []
    for each in _list(_get(_get(entry, "request"), "headers")):
        name, value = _get(each, "name"), _get(each, "value")
        if isinstance(name, str) and isinstance(value, str) and name[:1] != ":":
            headers.append((name, value))
    return headers


def _read_entry(entry: Any) -> Capture:
    """Read one entry of a HAR file."""
    data = _get(_get(entry, "request"), "postData")
    text = _get(data, "text")
    text = text if isinstance(text, str) else ""
    encoded = _get(data, "encoding") == "base64"
    started = _get(entry, "startedDateTime")
    received_at = None
    if isinstance(started, str):
        try:
            moment = datetime.fromisoformat(started)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            received_at = moment.timestamp()
    body = _decode(text) if encoded else _encode(text)
    return Capture(body, _read_names(entry), received_at=received_at)


def _read_record(record: Any, headers: Pairs) -> Capture:
    """Read one record of a Kafka trigger."""
    value = _get(record, "value")
    body = _decode(value) if isinstance(value, str) else b""
    stamp = _seconds(_get(record, "timestamp"))
    return Capture(body, headers, kafka=True, received_at=stamp)


def _read_record_headers(record: Any) -> Pairs:
    headers: Pairs = []
    for each in _list(_get(record, "headers")):
        if isinstance(each, dict):
            for name, listed in cast("dict[str, Any]", each).items():
                numbers = [n for n in _list(listed) if type(n) is int]
                text = "".join(chr(number & 0xFF) for number in numbers)
                headers.append((name, text))
    return headers


def _read_maps(event: Any) -> Pairs:
    """Return each header as often as it was sent, from both maps of an event."""
    pairs: Pairs = []
    known: set[tuple[str, str]] = set()
    for key in ("multiValueHeaders", "headers"):
        headers = _get(event, key)
        if not isinstance(headers, dict):
            continue
        for name, value in cast("dict[str, Any]", headers).items():
            values = _list(value) or (value,)
            for each in values:
                pair = (name, each if isinstance(each, str) else str(each))
                # A REST API shows each value in both.
                if each is not None and (key != "headers" or pair not in known):
                    pairs.append(pair)
                    known.add(pair)
    return pairs


def _seconds(epoch: Any) -> float | None:
    """Return milliseconds since the epoch as seconds; None for what is none."""
    if isinstance(epoch, bool) or not isinstance(epoch, int | float):
        return None
    # Compared before it is divided: a long integer fits no float.
    return epoch / _MILLIS if _EARLIEST < epoch < _LATEST else None


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise CaptureError("the body is not the base64 that it says it is")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
