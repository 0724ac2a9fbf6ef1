"""Make deliveries, genuine or not, and send them over HTTP."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from enum import Enum, auto
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit
from uuid import uuid4

from port_webhook import testing
from port_webhook._json import parse
from port_webhook.devtools._captures import CaptureError
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.testing._forgeries import REFUSALS, forge

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence
    from types import TracebackType
    from typing import Self

    from port_webhook.testing import SignedRequest

__all__ = [
    "Answer",
    "Outgoing",
    "Sender",
    "Variant",
    "Verdict",
    "check",
    "repeat",
    "set_field",
]

_JSON_TYPE = ("content-type", "application/json")
_MINUTE = 60
_MAX_ANSWER = 1_048_576
_MAX_INDEX = 10_000
_MAX_STATUS = 400
# What the library answers to a delivery that it has seen.
_DUPLICATE = {"status": "duplicate"}


class Variant(Enum):
    """What is wrong with a request."""

    GENUINE = auto()
    STALE = auto()
    TAMPERED = auto()


class Answer(NamedTuple):
    """The response to a request; without a status, why there is none."""

    status: int | None
    phrase: str
    body: bytes
    milliseconds: float
    error: str = ""

    @property
    def accepted(self) -> bool:
        """The endpoint took the request."""
        return self.status is not None and self.status < _MAX_STATUS

    @property
    def ran(self) -> bool:
        """The handler ran, as far as the response says."""
        if self.status is None or not 200 <= self.status < 300:  # HTTP's own class
            return False
        try:
            document: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return True
        return document != _DUPLICATE

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "status": self.status,
            "milliseconds": round(self.milliseconds, 1),
            "body": self.body.decode("utf-8", "replace"),
            **({"error": self.error} if self.error else {}),
        }


class Verdict(NamedTuple):
    """How one forgery was answered."""

    name: str
    status: int | None
    refused: bool


class Outgoing:
    """The deliveries of one call of the command.

    Args:
        shape: The name of a documented shape.
        body: Bytes to send instead.
        sets: Changes of fields, such as ``context.runId=r_1``.
        secret: The client secret.
        agent: Sign and send as Port's agent does.
        max_age: The oldest timestamp that the endpoint accepts, in seconds.

    Raises:
        CaptureError: A change does not fit the body.
    """

    def __init__(
        self,
        shape: str,
        body: bytes | None,
        sets: list[str],
        secret: str | bytes,
        agent: bool,  # noqa: FBT001  # passed on as it was given
        max_age: int,
    ) -> None:
        self._shape = shape
        self._body = body
        self._sets = [_read_set(each) for each in sets]
        self._signer = testing.Signer(secret)
        self._secret = secret
        self.agent = agent
        self.max_age = max_age

    @property
    def signer(self) -> testing.Signer:
        """Signs with the secret, at the current time."""
        return self._signer

    def document(self) -> Any:
        """Return what to sign: bytes as they are, or a new document."""
        if self._body is None:
            document = _build(self._shape)
        elif self._sets:
            try:
                document = parse(self._body)
            except PayloadError as error:
                raise CaptureError(f"--set needs a body of JSON. {error}")
        else:
            return self._body
        for path, value in self._sets:
            document = set_field(document, path, value)
        return document

    def make(self, variant: Variant = Variant.GENUINE) -> SignedRequest:
        """Make a request."""
        timestamp = None
        if variant is Variant.STALE:
            timestamp = int(time.time()) - self.max_age - _MINUTE
        sign = testing.sign_as_agent if self.agent else testing.sign_request
        try:
            request = sign(self.document(), self._secret, timestamp=timestamp)
        except ConfigurationError:
            # The secret and the timestamp are checked already.
            raise CaptureError("The body is not JSON, which the agent's form needs")
        if variant is Variant.TAMPERED:
            body = re.sub(rb"\w(?=\W*\Z)", _change, request.body, count=1)
            body = body if body != request.body else request.body + b"0"
            request = request._replace(body=body)
        return request


def _change(found: re.Match[bytes]) -> bytes:
    return b"7" if found[0] != b"7" else b"8"


def _build(shape: str) -> dict[str, Any]:
    """Build a document with a run id of its own, so that no two are duplicates."""
    run_id = f"r_{uuid4().hex[:12]}"
    builders: dict[str, Callable[[], dict[str, Any]]] = {
        "action": lambda: testing.action_invocation(run_id=run_id),
        "trigger-data": lambda: testing.trigger_data(run_id=run_id),
        "event": testing.entity_event,
        "changelog": testing.changelog_message,
        "node-run": lambda: testing.workflow_node_run(run_id=f"wfn{run_id}"),
        "custom": lambda: testing.custom_payload(run_id=run_id),
    }
    return builders[shape]()


def _read_set(text: str) -> tuple[list[str], Any]:
    """Split ``path=value``; a value that is no JSON is text."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise CaptureError("--set takes PATH=VALUE, such as context.runId=r_1")
    try:
        return path.split("."), parse(value.encode("utf-8", "surrogatepass"))
    except PayloadError:
        return path.split("."), value


def set_field(document: Any, path: list[str], value: Any) -> Any:
    """Set the field at *path*; objects that are missing on the way are made.

    Raises:
        CaptureError: The path leads through a value that has no fields.
    """
    if not path:
        return value
    key, *rest = path
    if isinstance(document, list):
        items = cast("MutableSequence[Any]", document)
        if not key.isdecimal() or int(key[:6]) >= min(len(items), _MAX_INDEX):
            raise CaptureError(f"--set: there is no element {key}")
        items[int(key)] = set_field(items[int(key)], rest, value)
        return items
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise CaptureError(f"--set: the value before {key} is no object")
    members = cast("dict[str, Any]", document)
    members[key] = set_field(members.get(key), rest, value)
    return members


class Sender:
    """An HTTP client for one URL, which follows no redirect.

    Args:
        url: Where to send.
        method: The HTTP method.
        headers: Further headers, ``Name: value``.
        timeout: How long to wait for a response, in seconds.

    Raises:
        CaptureError: The URL or a header is not valid.
    """

    def __init__(
        self, url: str, method: str, headers: list[str], timeout: float
    ) -> None:
        import httpx2

        self.url = url
        self.method = method.upper()
        self._timeout = timeout
        try:
            parts = urlsplit(url)
            self._host = parts.hostname or ""
        except ValueError:
            self._host = ""
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not self._host:
            raise CaptureError("The URL must begin with http:// or https://")
        self._pairs: list[tuple[str, str]] = []
        for text in headers:
            name, colon, value = text.partition(":")
            if not colon:
                raise CaptureError("--header takes 'Name: value'")
            self._pairs.append((name.strip(), value.strip()))
        # A proxy of the environment would not reach this machine's own loopback.
        self._client = httpx2.Client(
            timeout=timeout, follow_redirects=False, trust_env=not self.is_loopback
        )
        self._failures = (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError)

    @property
    def is_loopback(self) -> bool:
        """The URL is this machine's own."""
        try:
            return ip_address(self._host).is_loopback
        except ValueError:
            return self._host == "localhost" or self._host.endswith(".localhost")

    def __enter__(self) -> Self:
        """Return the sender."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._client.close()

    def send(self, request: SignedRequest) -> Answer:
        """Send a request."""
        return self.post(list(request.headers.items()), request.body)

    def post(self, signature: list[tuple[str, str]], body: bytes) -> Answer:
        """Send *body* with the headers of its signature."""
        own = {name.lower() for name, _ in self._pairs}
        signed = [pair for pair in signature if pair[0] not in own]
        if body and _JSON_TYPE[0] not in own | {name for name, _ in signed}:
            signed.insert(0, _JSON_TYPE)
        started = time.perf_counter()
        try:
            with self._client.stream(
                self.method, self.url, content=body, headers=[*self._pairs, *signed]
            ) as response:
                found = bytearray()
                for chunk in response.iter_bytes():
                    found += chunk
                    if len(found) > _MAX_ANSWER:
                        break
                status, phrase = response.status_code, response.reason_phrase
        except self._failures as error:
            elapsed = (time.perf_counter() - started) * 1000
            return Answer(None, "", b"", elapsed, self._name_failure(error))
        elapsed = (time.perf_counter() - started) * 1000
        return Answer(status, phrase, bytes(found[:_MAX_ANSWER]), elapsed)

    def _name_failure(self, error: Exception) -> str:
        name, reason = type(error).__name__, str(error) or "no answer"
        if name == "ConnectError":
            if "WRONG_VERSION_NUMBER" in reason:
                where = f"No TLS at {self.url} ({reason})"
                return f"{where}: does the server speak plain http?"
            return f"Nothing answers at {self.url} ({reason}): is the server running?"
        if name.endswith("Timeout"):
            return f"No answer in {self._timeout:g} s ({name}); see --timeout."
        return f"{name}: {reason}"


def check(sender: Sender, outgoing: Outgoing) -> tuple[Answer, list[Verdict]]:
    """Send a genuine request and, if it is accepted, every forgery of it."""
    genuine: Answer | None = None
    verdicts: list[Verdict] = []
    requests = forge(
        outgoing.signer,
        outgoing.document(),
        agent=outgoing.agent,
        max_age=outgoing.max_age,
    )
    for name, signature, body in requests:
        answer = sender.post(signature, body)
        if genuine is None:
            genuine = answer
            if not genuine.accepted:
                break
            continue
        verdicts.append(Verdict(name, answer.status, answer.status in REFUSALS))
    return cast("Answer", genuine), verdicts


def repeat(
    sender: Sender,
    outgoing: Outgoing,
    count: int,
    concurrency: int,
    progress: Callable[[], None],
) -> list[Answer]:
    """Send *count* requests, each signed when its turn comes."""
    answers: list[Answer] = []
    pool = ThreadPoolExecutor(concurrency)
    try:
        futures = [
            pool.submit(lambda: sender.send(outgoing.make())) for _ in range(count)
        ]
        for each in as_completed(futures):
            answers.append(each.result())
            progress()
    finally:
        # After Ctrl-C, those that are under way are not waited for any longer.
        pool.shutdown(wait=False, cancel_futures=True)
    return answers
