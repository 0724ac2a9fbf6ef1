"""Deliveries from a smee.io channel.

smee sends no bytes: it parses the JSON of a request and puts it into a server-sent
event, beside the request's headers. Port signs compact JSON, so the signed bytes are
found again by printing the event's JSON compactly (protocol, section 2).

smee keeps nothing. What is sent while nobody listens is lost, and the ids of events
start at 0 with each connection, so that they identify nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode

import httpx2

from port_webhook._json import parse, read_object, spellings
from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["EventReader", "SmeeError", "SmeeEvent", "follow", "read_event"]

_MAX_EVENT = 8 * 1024 * 1024
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
# Whatever a server says, it is not asked more often.
_LEAST_DELAY = 0.5
# smee sends a ping every 30 s: longer silence is a dead connection.
_SILENCE = 75.0
_LINES = re.compile(rb"\r\n|\r|\n")
# Of the event's members these are smee's own; the others are the request's headers.
_OWN = frozenset(("body", "query", "timestamp"))
# About the connection to smee, or about bytes that are gone.
_CONNECTION = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_MARK = "\N{BYTE ORDER MARK}".encode()
_NOT_ASCII = re.compile("[^\x00-\x7e]")


class SmeeError(Exception):
    """The channel cannot be followed; trying again would not help."""


class SmeeEvent(NamedTuple):
    """A request that smee received.

    Attributes:
        target: The path and the query.
        headers: The headers of the request, as far as they are about its content.
        candidates: The texts of which one may have been signed, likely first.
    """

    target: str
    headers: list[tuple[str, str]]
    candidates: list[bytes]


class EventReader:
    """Split a stream of bytes into server-sent events (WHATWG HTML, section 9.2).

    Attributes:
        retry: How long to wait before connecting again, in seconds, if the server
            says so.
    """

    def __init__(self) -> None:
        self._held = b""
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._started = False
        self.retry: float | None = None

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Return the name and the data of each event that *chunk* completes.

        Raises:
            SmeeError: An event is too large.
        """
        events: list[tuple[str, bytes]] = []
        for line in self._split(self._held + chunk):
            if line:
                self._read(line)
            else:
                self._end(events)
        if self._size + len(self._line) > _MAX_EVENT:
            raise SmeeError(f"sent an event of more than {_MAX_EVENT} bytes")
        return events

    def _split(self, text: bytes) -> list[bytes]:
        """Return the lines that *text* completes; look at each byte once."""
        self._held = b""
        if not self._started:
            if len(text) < len(_MARK):
                self._held = text
                return []
            self._started = True
            text = text.removeprefix(_MARK)
        # A final CR may be the first half of a line's end.
        if text.endswith(b"\r"):
            text, self._held = text[:-1], b"\r"
        first, *others = _LINES.split(text)
        self._line += first
        if not others:
            return []
        lines = [bytes(self._line), *others[:-1]]
        self._line = bytearray(others[-1])
        return lines

    def _read(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._name = value
        elif name == b"retry" and value.isdigit():
            seconds = int(value[:9]) / 1000
            self.retry = min(max(seconds, _LEAST_DELAY), _LONGEST_DELAY)

    def _end(self, events: list[tuple[str, bytes]]) -> None:
        if self._data:
            name = self._name.decode("utf-8", "replace") or "message"
            events.append((name, b"\n".join(self._data)))
        self._name, self._data, self._size = b"", [], 0


def read_event(data: bytes) -> SmeeEvent | None:
    """Read the *data* of an event; None if it is no request.

    The text of the body is taken from the event as it stands there. Parsed and printed
    again, it would have Python's numbers.
    """
    try:
        found = read_object(data, {"body": None})
        members: Any = parse(data)
    except PayloadError:
        return None
    if found is None or "body" not in found.spans:
        return None
    start, end = found.spans["body"]
    text = found.text[start:end]
    # Behind the key, which has no escapes, and the colon.
    body = text[text.index(":", len('"body"')) + 1 :].strip(" \t\r\n").encode("utf-8")
    headers = [
        (name.lower(), value if isinstance(value, str) else str(value))
        for name, value in members.items()
        if name.lower() not in _OWN | _CONNECTION
        and isinstance(value, str | int)
        and not isinstance(value, bool)
    ]
    query = members.get("query")
    pairs = cast("dict[str, Any]", query) if isinstance(query, dict) else {}
    listed = [(name, str(value)) for name, value in pairs.items()]
    encoded = urlencode(listed, errors="replace")  # a lone surrogate is no UTF-8
    target = f"/?{encoded}" if encoded else "/"
    return SmeeEvent(target, headers, _candidates(body))


def _candidates(body: bytes) -> list[bytes]:
    """Return what may have been signed: Port's form, and the agent's, in ASCII."""
    *_, printed = texts = list(spellings(body))
    escaped = _NOT_ASCII.sub(_escape, printed.decode("utf-8")).encode("ascii")
    return list(dict.fromkeys([printed, *texts, escaped]))


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


async def follow(
    url: str,
    on_event: Callable[[SmeeEvent], Awaitable[object]],
    report: Callable[[str], object],
) -> None:
    """Receive from the channel at *url* until the task is cancelled.

    A connection that ends is opened again, later each time it fails.

    Args:
        url: The address of the channel.
        on_event: Awaited with each request.
        report: Called with a sentence when the connection begins or ends.

    Raises:
        SmeeError: The address is no channel.
    """
    reader = EventReader()
    delay = _FIRST_DELAY
    lost: float | None = None
    timeout = httpx2.Timeout(10.0, read=_SILENCE)
    async with httpx2.AsyncClient(timeout=timeout) as client:
        while True:
            try:
                async with client.stream(
                    "GET", url, headers={"accept": "text/event-stream"}
                ) as response:
                    _check(response)
                    report(_greeting(lost))
                    lost, delay, reader = None, _FIRST_DELAY, EventReader()
                    async for chunk in response.aiter_bytes():
                        await _hand_on(reader.feed(chunk), on_event, report)
                problem = "the server closed the connection"
            except httpx2.HTTPError as error:
                problem = str(error) or type(error).__name__
            if lost is None:
                lost = time.monotonic()
            if reader.retry is not None:
                delay, reader.retry = reader.retry, None
            report(
                f"smee: {problem}; connecting again in {delay:g} s. What Port sends "
                "meanwhile is lost."
            )
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)


def _greeting(lost: float | None) -> str:
    if lost is None:
        return "smee: connected. Only what is sent from now on arrives."
    return (
        f"smee: connected again after {time.monotonic() - lost:.1f} s. What Port sent "
        "in between is lost, because smee keeps nothing: run the action once more."
    )


def _check(response: httpx2.Response) -> None:
    """Tell a server that is down for a moment from an address that is wrong.

    Raises:
        HTTPStatusError: Trying again may help.
        SmeeError: It would not.
    """
    status = response.status_code
    if status in {408, 429} or response.is_server_error:
        raise httpx2.HTTPStatusError(
            f"the server answered {status}", request=response.request, response=response
        )
    if response.is_redirect:
        # smee.io/new, for one, leads to a channel that was made for this request.
        raise SmeeError(
            f"answered {status}; is the channel {response.headers.get('location')} ?"
        )
    kind = response.headers.get("content-type", "")
    if not response.is_success or not kind.startswith("text/event-stream"):
        raise SmeeError(f"is no channel: it answered {status} with {kind or 'nothing'}")


async def _hand_on(
    events: list[tuple[str, bytes]],
    on_event: Callable[[SmeeEvent], Awaitable[object]],
    report: Callable[[str], object],
) -> None:
    for name, data in events:
        if name != "message":
            continue
        event = read_event(data)
        if event is None:
            report("smee: an event came that is no request with a JSON body.")
        else:
            await on_event(event)
