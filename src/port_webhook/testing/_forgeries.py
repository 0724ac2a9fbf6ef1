"""Send forged requests to an application, and fail if one of them gets through."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

from port_webhook._arguments import ENV_SECRET
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError
from port_webhook.testing._builders import action_invocation
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from port_webhook.testing._signing import Document

    Pairs = list[tuple[str, str]]
    Send = Callable[[str, str, Pairs, bytes], Any]

__all__ = [
    "REFUSALS",
    "Forgery",
    "aassert_refuses_forgeries",
    "assert_refuses_forgeries",
    "forge",
]

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_JSON = "application/json"
_MINUTE = 60
_EIGHT_DAYS = 8 * 86_400  # more than any Verifier accepts
_STRANGER = "a-secret-that-no-application-has"
_ACCEPTED = range(200, 300)
_REDIRECTED = range(300, 400)
# The statuses that refuse a forgery.
REFUSALS = frozenset((400, 401, 405, 413, 415))
_SERVER_ERROR = 500
_GENUINE_HINTS = {
    401: "does the application have another secret, or another clock?",
    403: "something before the view refuses it, such as a check against CSRF.",
    404: "there is no view at this path.",
    405: "the view does not take this method.",
    422: "its document does not fit the handler: pass one that does as document=.",
}
_FORGED_HINTS = {
    404: "the path answers 404, so nothing was shown",
    422: "the body was read before it was verified",
}
# The attribute in which the clients of this package keep their signer.
_SIGNER = "_signer"


class Forgery(NamedTuple):
    """A request that must be refused, but for the first, which is genuine.

    Attributes:
        name: In which way it is forged.
        signature: The headers of the signature.
        body: The body.
    """

    name: str
    signature: Pairs
    body: bytes


class _Silent:
    """A signer that leaves a request unsigned."""

    def headers(self, _: bytes) -> dict[str, str]:
        return {}


@boundary
def assert_refuses_forgeries(
    client: Any,
    path: str,
    *,
    secret: str | bytes | None = None,
    signer: Signer | None = None,
    document: Document = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    agent: bool = False,
    max_age: int = 300,
) -> None:
    """Assert that an application refuses what Port did not sign.

    First a genuine request is sent, which must be accepted. Then come some fifty
    forgeries: unsigned, tampered with, truncated, spelled anew, stale, signed with
    another secret, and with other values in the two headers. Each must be answered
    with 400, 401, 405, 413 or 415.

    Args:
        client: The test client of Flask, Django, Starlette or FastAPI, with or
            without signing; an `httpx2.Client` or a `requests.Session`; or a function
            that takes method, path, a list of header pairs and the body, and returns
            the response or its status.
        path: The path of the view; a complete URL for a client without a base URL.
        secret: The application's secret, used at the real time. If neither it nor
            *signer* is given, a signing client's own signer is used, or else
            ``PORT_CLIENT_SECRET``.
        signer: A `Signer` with the application's secret and its clock.
        document: A document that the view accepts, as for `sign_request`; an
            `action_invocation` if None.
        method: The HTTP method.
        headers: Other headers that every request needs.
        agent: The application accepts Port's agent, so added white space is no
            forgery.
        max_age: The oldest timestamp that the application accepts, in seconds.

    Raises:
        AssertionError: The genuine request is refused, or a forgery is not; each
            one is listed.
        ConfigurationError: There is no secret to sign with, or *client* is none of
            the above, or asynchronous.
    """
    trial = _Trial(client, path, method, headers)
    signer = _find_signer(client, secret, signer)
    with _unsigned(client):
        for request in forge(signer, document, agent=agent, max_age=max_age):
            with trial.watch(request):
                response = trial.send(request)
                if hasattr(response, "__await__"):
                    response.close()
                    msg = "client is asynchronous; await aassert_refuses_forgeries"
                    raise ConfigurationError(msg)
                trial.judge(request, response)
    trial.conclude()


@boundary
async def aassert_refuses_forgeries(
    client: Any,
    path: str,
    *,
    secret: str | bytes | None = None,
    signer: Signer | None = None,
    document: Document = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    agent: bool = False,
    max_age: int = 300,
) -> None:
    """Do what `assert_refuses_forgeries` does with an asynchronous client.

    That is aiohttp's test client, Django's `AsyncClient`, an `httpx2.AsyncClient` or
    a coroutine function.
    """
    trial = _Trial(client, path, method, headers)
    signer = _find_signer(client, secret, signer)
    with _unsigned(client):
        for request in forge(signer, document, agent=agent, max_age=max_age):
            with trial.watch(request):
                response = trial.send(request)
                if hasattr(response, "__await__"):
                    response = await response
                trial.judge(request, response)
    trial.conclude()


class _Trial:
    """The requests of one call, and how they were answered."""

    def __init__(
        self,
        client: Any,
        path: str,
        method: str,
        headers: Mapping[str, str] | None,
    ) -> None:
        self._send = _sender(client)
        self._method = method
        self._path = path
        self._headers = list((headers or {}).items())
        self._sent = 0
        self._failures: list[str] = []

    def send(self, request: Forgery) -> Any:
        self._sent += 1
        pairs = [("content-type", _JSON), *self._headers, *request.signature]
        return self._send(self._method, self._path, pairs, request.body)

    @contextmanager
    def watch(self, request: Forgery) -> Generator[None]:
        """Note an exception for a forgery; that for the genuine request is raised."""
        try:
            yield
        except (AssertionError, ConfigurationError):
            raise
        except Exception as error:
            if self._sent == 1:
                raise
            problem = f"the application raised {type(error).__name__}"
            self._failures.append(f"{request.name}: {problem}")

    def judge(self, request: Forgery, response: Any) -> None:
        status = _status_of(response)
        if self._sent == 1:
            if status not in _ACCEPTED:
                hint = _GENUINE_HINTS.get(status, "the application failed.")
                if status in _REDIRECTED:
                    hint = "give the path that it redirects to."
                msg = f"The genuine request to {self._path} got {status}: {hint}"
                raise AssertionError(msg)
        elif status not in REFUSALS:
            hint = "this is no refusal"
            if status in _ACCEPTED or status in _REDIRECTED:
                hint = "it got through"
            elif status >= _SERVER_ERROR:
                hint = "the application failed"
            hint = _FORGED_HINTS.get(status, hint)
            self._failures.append(f"{request.name}: {status}, {hint}")

    def conclude(self) -> None:
        if self._failures:
            listed = "".join(f"\n- {failure}" for failure in self._failures)
            count = f"{len(self._failures)} of {self._sent - 1} forgeries"
            msg = f"{self._path} does not refuse {count}:{listed}"
            raise AssertionError(msg)


def _sender(client: Any) -> Send:
    """Return a function that sends a request through *client*, of any library."""
    roots = {each.__module__.partition(".")[0] for each in type(client).__mro__}
    if "django" in roots:
        return lambda method, path, pairs, body: client.generic(
            method, path, body, content_type=_JSON, headers=_join(pairs)
        )
    if "werkzeug" in roots:
        return lambda method, path, pairs, body: client.open(
            path, method=method, data=body, headers=pairs
        )
    if roots & {"httpx", "httpx2"}:
        # Starlette's client is made of one of them. Their own may have a transport
        # that shows only the last of two values, so that these are joined.
        write = list if "starlette" in roots else _join
        return lambda method, path, pairs, body: client.request(
            method, path, content=body, headers=write(pairs), follow_redirects=False
        )
    if "requests" in roots:
        return lambda method, path, pairs, body: client.request(
            method, path, data=body, headers=_join(pairs), allow_redirects=False
        )
    if "aiohttp" in roots:
        return lambda method, path, pairs, body: client.request(
            method, path, data=body, headers=pairs, allow_redirects=False
        )
    if callable(client):
        return cast("Send", client)
    msg = "client must be a test client, an HTTP client or a function"
    raise ConfigurationError(msg)


def _join(pairs: Pairs) -> dict[str, str]:
    """Join the values of a header that comes twice, as servers do."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _status_of(response: Any) -> int:
    if isinstance(response, int):
        return response
    found = getattr(response, "status_code", None)
    return int(response.status if found is None else found)


def _find_signer(
    client: Any, secret: str | bytes | None, signer: Signer | None
) -> Signer:
    if signer is not None:
        return signer
    holder = _find_holder(client)
    if secret is None and holder is not None:
        return cast("Signer", getattr(holder, _SIGNER))
    if secret is None:
        secret = os.environ.get(ENV_SECRET)
    if secret is None:
        msg = "Pass secret= or signer=, or a client that signs"
        raise ConfigurationError(msg)
    return Signer(secret)


def _find_holder(client: Any) -> Any:
    """Return what signs for *client*: itself, its ``auth``, or None."""
    for each in (client, getattr(client, "auth", None)):
        if isinstance(getattr(each, _SIGNER, None), Signer):
            return each
    return None


@contextmanager
def _unsigned(client: Any) -> Generator[None]:
    """Let a signing client send what it is given."""
    holder = _find_holder(client)
    if holder is None:
        yield
        return
    kept = getattr(holder, _SIGNER)
    setattr(holder, _SIGNER, _Silent())
    try:
        yield
    finally:
        setattr(holder, _SIGNER, kept)


def forge(
    signer: Signer, document: Document, *, agent: bool, max_age: int
) -> Iterator[Forgery]:
    """Yield a genuine request, then all forgeries of it."""
    if document is None:
        # An id of its own, since an application may remember what it has run.
        document = action_invocation(run_id=f"r_{uuid4().hex}")
    body, headers = signer(document)
    text, signature = headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER]
    yield Forgery("genuine", _pairs(text, signature), body)
    for name, forged in _bodies(body, agent=agent):
        if forged != body:
            yield Forgery(name, _pairs(text, signature), forged)
    for name, other in _timestamps(text):
        yield Forgery(name, _pairs(other, signature), body)
    for name, other in _signatures(signature):
        if other != signature:
            yield Forgery(name, _pairs(text, other), body)
    for name, pairs in _other_headers(text, signature):
        yield Forgery(name, pairs, body)
    now = int(text)
    for name, moment in (
        ("stale", now - max_age - _MINUTE),
        ("stale, in milliseconds", (now - max_age - _MINUTE) * 1000),
        ("far in the future", now + _EIGHT_DAYS),
        ("far in the future, in milliseconds", (now + _EIGHT_DAYS) * 1000),
    ):
        yield Forgery(name, list(signer.headers(body, timestamp=moment).items()), body)
    millis = signer.headers(body, timestamp=now * 1000)[SIGNATURE_HEADER]
    yield Forgery("signed in milliseconds, sent in seconds", _pairs(text, millis), body)
    stranger = Signer(_STRANGER).headers(body, timestamp=now)
    yield Forgery("signed with another secret", list(stranger.items()), body)
    other = signer.headers(body + b" ", timestamp=now)[SIGNATURE_HEADER]
    yield Forgery("signature of another body", _pairs(text, other), body)


def _pairs(timestamp: str, signature: str) -> Pairs:
    return [(TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signature)]


def _bodies(body: bytes, *, agent: bool) -> Iterator[tuple[str, bytes]]:
    """Yield other bodies than the one that was signed, or in a few cases the same."""
    if not agent or body != b"null":  # the agent sends nothing for null
        yield "body left out", b""
    yield "body truncated", body[:-1]
    yield "body sent twice", body * 2
    yield "body tampered with", re.sub(rb"\w(?=\W*\Z)", _change, body, count=1)
    yield "body in upper case", body.upper()
    yield "byte order mark added", b"\xef\xbb\xbf" + body
    yield "letter escaped", re.sub(rb'(?<=")[A-Za-z]', _escape, body, count=1)
    if not agent:
        yield "line break added", body + b"\n"
    try:
        value = json.loads(body)
    except ValueError:
        return
    if not agent:
        yield "white space added", _print(value, (", ", ": "))
    if isinstance(value, dict):
        turned = dict(reversed(cast("dict[str, Any]", value).items()))
        yield "keys in another order", _print(turned, (",", ":"))


def _print(value: Any, separators: tuple[str, str]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def _change(match: re.Match[bytes]) -> bytes:
    return b"7" if match[0] != b"7" else b"8"


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0])


def _timestamps(text: str) -> Iterator[tuple[str, str]]:
    """Yield other spellings of the timestamp, and other timestamps."""
    yield "timestamp changed", str(int(text) - 1)
    yield "timestamp in milliseconds", f"{text}000"
    yield "timestamp with a zero before it", f"0{text}"
    yield "timestamp with a sign", f"+{text}"
    yield "timestamp with a fraction", f"{text}.0"
    yield "timestamp with an exponent", f"{text}e0"
    yield "timestamp with an underscore", f"{text[:1]}_{text[1:]}"
    yield "timestamp in hexadecimal", hex(int(text))
    yield "timestamp that is a word", "now"


def _signatures(signature: str) -> Iterator[tuple[str, str]]:
    """Yield other spellings of the signature, and other signatures."""
    mac = signature.removeprefix("v1,")
    raw = b64decode(mac)
    last = _BASE64.index(mac[-2])
    zero, one = (f"v1,{letter * 43}=" for letter in "AE")
    yield "second base64 spelling", f"v1,{mac[:-2]}{_BASE64[last + 1]}="
    yield "base64 without padding", f"v1,{mac[:-1]}"
    yield "base64 with more padding", f"v1,{mac}="
    yield "base64 for URLs", signature.replace("+", "-").replace("/", "_")
    yield "signature in hexadecimal", f"v1,{raw.hex()}"
    yield "signature in upper case", signature.upper()
    yield "version in upper case", f"V1,{mac}"
    yield "signature without a version", mac
    yield "signature of version 0", f"v0,{mac}"
    yield "signature of version 2", f"v2,{mac}"
    yield "signature as other senders spell it", f"sha256={raw.hex()}"
    yield "signature truncated", signature[:24]
    yield "signature continued", f"{signature}AAAA"
    yield "signature of zeros", zero
    yield "two signatures, both wrong", f"{zero} {one}"
    yield "nine signatures, the last one right", " ".join([zero] * 8 + [signature])
    yield "two signatures with a comma", f"{signature},{signature}"


def _other_headers(text: str, signature: str) -> Iterator[tuple[str, Pairs]]:
    """Yield headers of which one is missing, or has more than one value."""
    good = _pairs(text, signature)
    wrong = _pairs(str(int(text) + 1), f"v1,{'A' * 43}=")
    yield "unsigned", []
    yield "signature missing", good[:1]
    yield "timestamp missing", good[1:]
    yield "signature empty", [good[0], (SIGNATURE_HEADER, "")]
    yield "timestamp empty", [(TIMESTAMP_HEADER, ""), good[1]]
    yield "signature repeated", [*good, good[1]]
    yield "timestamp repeated", [*good, good[0]]
    yield "signature before a wrong one", [*good, wrong[1]]
    yield "signature after a wrong one", [wrong[1], *good]
    yield "timestamp before another", [*good, wrong[0]]
    yield "timestamp after another", [wrong[0], *good]
