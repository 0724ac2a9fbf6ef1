"""Decide which failed requests are sent again, and when."""

from __future__ import annotations

import json
import math
import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpx2

from port_webhook.exceptions import ReportingError
from port_webhook.reporting._requests import TOKEN_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from port_webhook.reporting._requests import Request

__all__ = [
    "FailedRequestError",
    "Reply",
    "may_repeat",
    "read_response",
    "unanswered",
    "wait_for",
]

_TEMPORARY = (429, 502, 503, 504)
_UNAUTHORIZED = 401
_CREDENTIALS = "PORT_CLIENT_ID, PORT_CLIENT_SECRET and PORT_REGION"
# Before a connection stood, nothing was sent.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_BROKEN = (
    httpx2.TimeoutException,
    httpx2.NetworkError,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
    TimeoutError,
)
_FIRST_WAIT = 0.2
# A server that says less would be asked again and again without a pause.
_LEAST_TOLD = 1.0
# A reset over this is a time, one below it is seconds to wait (protocol, section 5).
_LARGEST_WAIT = 10_000
_MAX_MESSAGE = 500


class FailedRequestError(Exception):
    """A request failed; it does not leave this package.

    Attributes:
        error: What the caller will see.
        repeat: The request may be sent again.
        headers: Those of the response, in lower case.
    """

    def __init__(
        self,
        error: ReportingError,
        *,
        repeat: bool,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.repeat = repeat
        self.headers: Mapping[str, str] = headers or {}


class Reply(NamedTuple):
    """A response, and its body, which it does not hold itself."""

    response: httpx2.Response
    body: bytes


def may_repeat(error: Exception) -> bool:
    """Tell whether a request that ended with *error* is sent again."""
    return isinstance(error, FailedRequestError) and error.repeat


def wait_for(
    failure: FailedRequestError,
    attempt: int,
    now: float,
    jitter: Callable[[], float] = random.random,
) -> float:
    """Return how long to wait after the failure of *attempt*, in seconds.

    That is what Port says. If it says nothing, or less than a second, each wait is
    about twice the one before.

    Args:
        failure: How it failed.
        attempt: Its number, from 1 on.
        now: The seconds since the epoch.
        jitter: A random number from 0 to 1.
    """
    told = _read_retry_after(failure.headers.get("retry-after"), now)
    if told is None:
        told = _read_reset(failure.headers.get("x-ratelimit-reset"), now)
    if told is not None and told >= _LEAST_TOLD:
        return told
    # Clients that failed together do not come back together.
    backoff: float = _FIRST_WAIT * 2 ** (attempt - 1) * (0.75 + jitter() / 2)
    return max(backoff, told or 0.0)


def read_response(
    reply: Reply, request: Request, hide: Callable[[str], str]
) -> dict[str, Any]:
    """Return the body of a response that says that *request* is done.

    Raises:
        FailedRequestError: It says something else.
    """
    response = reply.response
    status = response.status_code
    body = _read_json(reply.body)
    if response.is_success:
        return body
    word = _quoted(body.get("error"), hide)
    said = [word, _quoted(body.get("message"), hide)]
    text = f"Port answered {status} to {request.what}"
    if any(said):
        text += f": {': '.join(each for each in said if each)}"
    elif response.is_redirect:
        text += ": a redirect, which is not followed; see region and base_url"
    elif status == _UNAUTHORIZED:
        text += ": the client id or the client secret is not valid"
    if status == _UNAUTHORIZED and request.path == TOKEN_PATH:
        text = f"{text.rstrip('.')}. Check {_CREDENTIALS}."
    raise FailedRequestError(
        ReportingError(text, status_code=status, error=word),
        repeat=request.is_safe and status in _TEMPORARY,
        headers={name.lower(): value for name, value in response.headers.items()},
    )


def _quoted(text: object, hide: Callable[[str], str]) -> str | None:
    """Return Port's message, shortened to one printable line."""
    if not isinstance(text, str):
        return None
    return "".join(
        each if each.isprintable() else " " for each in hide(text)[:_MAX_MESSAGE]
    )


def unanswered(
    error: Exception, request: Request, base_url: str, hide: Callable[[str], str]
) -> FailedRequestError:
    """Return what becomes of an exception of the HTTP client.

    Its message may quote a header, so it is shown only where none had been sent.
    """
    is_sent = not isinstance(error, _NOT_SENT)
    problem = type(error).__name__
    if not is_sent and (said := _quoted(str(error), hide)):
        problem += f", {said}"
    elif isinstance(error, RuntimeError):
        problem += "; is the client closed, or used in a second event loop?"
    host = urlsplit(base_url).hostname
    text = f"Port, at {host}, did not answer to {request.what}: {problem}"
    return FailedRequestError(
        ReportingError(text),
        repeat=not is_sent or (request.is_safe and isinstance(error, _BROKEN)),
    )


def _read_json(content: bytes) -> dict[str, Any]:
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _read_retry_after(text: str | None, now: float) -> float | None:
    """Read seconds, or a date (RFC 9110, section 10.2.3)."""
    number = _read_number(text)
    if number is not None or text is None:
        return number
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _read_reset(text: str | None, now: float) -> float | None:
    number = _read_number(text)
    return number - now if number is not None and number > _LARGEST_WAIT else number


def _read_number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
