"""The inspector: a page of `listen` that shows the deliveries and sends them again.

Everything that comes from outside reaches the page as JSON, and is shown as text. The
page acts only for those who have the token, and only for itself: a foreign page in the
same browser neither knows the token nor has this origin, and a name that was made to
lead here (DNS rebinding) is no host of ours.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from dataclasses import asdict
from difflib import SequenceMatcher
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from port_webhook.devtools._copies import as_curl, as_fixture
from port_webhook.devtools._masking import mask_headers
from port_webhook.devtools._pretty import pretty
from port_webhook.devtools._printer import summarise
from port_webhook.devtools._receiver import join_url
from port_webhook.exceptions import PayloadError, PortWebhookError
from port_webhook.models import load_invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from port_webhook.devtools._causes import Cause
    from port_webhook.devtools._history import Record
    from port_webhook.devtools._masking import Mask
    from port_webhook.devtools._receiver import Receiver

__all__ = ["PATH", "Inspector", "is_loopback", "new_token"]

PATH = "/_inspector"

_TOKEN_HEADER = "x-inspector-token"  # a header's name
_STATIC = {
    "/": ("inspector.html", "text/html"),
    "/inspector.css": ("inspector.css", "text/css"),
    "/inspector.js": ("inspector.js", "text/javascript"),
    "/inspector.svg": ("inspector.svg", "image/svg+xml"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# A tunnel adds one of them; it is for deliveries, not for the page.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "cf-connecting-ip")
# RFC 9110, section 7.2, without what no browser sends: a user, a zone, escapes.
_HOST = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]*:[0-9a-f:.]*)\]|(?P<name>[0-9a-z._-]+))(?::[0-9]{1,5})?"
)
# No receiver counts further, and Python refuses to read thousands of digits.
_NUMBER = re.compile(r"[0-9]{1,15}")
_PAGE_SIZE = 2000
_WAIT = 20.0
_MAX_TEXT = 512 * 1024
_MAX_EDIT = 2 * 1024 * 1024
_MAX_LINES = 4000
_CONTEXT = 3
_HEX_BYTES = 4096
_BEYOND = 65_536  # no secret is longer
_FIELDS = (
    "run_id",
    "action_identifier",
    "operation",
    "blueprint",
    "entity_identifier",
    "user_email",
    "organization_id",
    "inputs",
    "entity",
    "before",
    "after",
)


class Inspector:
    """The ASGI application of the page.

    Args:
        receiver: Has the deliveries, and sends them again.
        token: What a request must know.
        mask: Replaces the client secrets in all that is shown.
        diagnose: Returns the causes of a refusal.
        base_url: Where the receiver listens.
        hosts: Names by which the page may be reached, beside those of loopback.
        any_address: The page may be reached by any IP address.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        token: str,
        mask: Mask,
        diagnose: Callable[[Record], Sequence[Cause]],
        base_url: str,
        hosts: Sequence[str] = (),
        any_address: bool = False,
    ) -> None:
        self._receiver = receiver
        self._token = token
        self._mask = mask
        self._diagnose = diagnose
        self._base_url = base_url
        self._hosts = frozenset(each.lower() for each in hosts)
        self._any_address = any_address
        folder = files("port_webhook.devtools") / "static"
        self._static = {
            path: ((folder / name).read_bytes(), kind)
            for path, (name, kind) in _STATIC.items()
        }
        self._app: ASGIApp = Starlette(
            routes=[
                Route(f"{PATH}/api/deliveries", self._list),
                Route(f"{PATH}/api/deliveries/{{number}}", self._show),
                Route(
                    f"{PATH}/api/deliveries/{{number}}/send",
                    self._send,
                    methods=["POST"],
                ),
                Route(f"{PATH}/api/diff", self._compare),
                Route(f"{PATH}{{path:path}}", self._file),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the page, or for what it shows."""
        from starlette.requests import Request

        app: ASGIApp = self._refuse(Request(scope)) or self._app

        async def send_safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (name.lower().encode(), value.encode())
                    for name, value in _HEADERS.items()
                ]
            await send(message)

        await app(scope, receive, send_safely)

    def _refuse(self, request: Request) -> Response | None:
        """Return the response to a request that is not for us to serve."""
        headers = request.headers
        host = headers.getlist("host")
        if len(host) != 1 or not self._is_own(host[0]):
            return _problem(421, "The page is not reached by this name.")
        if any(name in headers for name in _FORWARDED):
            return _problem(404, "The page is not served through a proxy or a tunnel.")
        is_api = request.url.path.startswith(f"{PATH}/api/")
        if not is_api:
            return None
        return self._refuse_action(request, f"http://{host[0].lower()}")

    def _refuse_action(self, request: Request, own: str) -> Response | None:
        """Return the response to a request that the page did not send."""
        headers = request.headers
        origins = [each.lower() for each in headers.getlist("origin")]
        if origins != [own] and (origins or request.method != "GET"):
            return _problem(403, "The request comes from another origin.")
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _problem(403, "The request comes from another site.")
        given = headers.getlist(_TOKEN_HEADER)
        if len(given) != 1 or not secrets.compare_digest(
            given[0].encode("latin-1"), self._token.encode("latin-1")
        ):
            return _problem(401, "Open the address that the terminal shows.")
        return None

    def _is_own(self, host: str) -> bool:
        """Tell whether a browser that sends this Host looks for us."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["address"] or found["name"]
        if found["address"] and not _is_address(name):
            return False
        if is_loopback(name) or name in self._hosts:
            return True
        # An address is no name, so that nobody can have made it lead here.
        return self._any_address and _is_address(name)

    async def _file(self, request: Request) -> Response:
        path = request.path_params["path"]
        if path == "":
            return Response(status_code=307, headers={"Location": f"{PATH}/"})
        if path not in self._static:
            return _problem(404, "There is no such page.")
        content, kind = self._static[path]
        return Response(content, media_type=kind)

    async def _list(self, request: Request) -> Response:
        """Return what is new since a version; wait for it if that is asked."""
        after = _read_number(request.query_params.get("after", "0"))
        if after is None:
            return _problem(400, "after must be a number.")
        if "wait" in request.query_params:
            await self._receiver.changes(after, _WAIT)
        history = self._receiver.history
        changed = history.since(after)
        page = changed[:_PAGE_SIZE]
        more = len(page) < len(changed)
        forwarder = self._receiver.forwarder
        return self._json(
            {
                "version": page[-1].version if more else history.version,
                "more": more,
                "first": history.first_id,
                "forward": None if forwarder is None else forwarder.url,
                "now": self._receiver.now(),
                "deliveries": [summarise(each) for each in page],
            }
        )

    async def _show(self, request: Request) -> Response:
        record = self._find(_read_number(request.path_params["number"]))
        if record is None:
            return _problem(404, "The delivery is not kept any more.")
        return await asyncio.to_thread(lambda: self._json(self._detail(record)))

    async def _send(self, request: Request) -> Response:
        record = self._find(_read_number(request.path_params["number"]))
        if record is None:
            return _problem(404, "The delivery is not kept any more.")
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > _MAX_EDIT:
                return _problem(413, "The body is too large to be sent again.")
        try:
            wish = _read_wish(bytes(content))
        except PayloadError as error:
            return _problem(400, str(error))
        body, fresh = wish
        new = await self._receiver.send_again(record, body=body, fresh=fresh)
        return self._json(summarise(new))

    async def _compare(self, request: Request) -> Response:
        query = request.query_params
        numbers = [_read_number(query.get(name, "0")) for name in ("a", "b")]
        if None in numbers:
            return _problem(400, "a and b must be numbers.")
        first, second = map(self._find, numbers)
        if first is None or second is None:
            return _problem(404, "The delivery is not kept any more.")
        return await asyncio.to_thread(lambda: self._json(self._diff(first, second)))

    def _find(self, number: int | None) -> Record | None:
        return None if number is None else self._receiver.history.get(number)

    def _json(self, value: dict[str, Any]) -> Response:
        # In ASCII, because JSON may hold what UTF-8 cannot.
        text = json.dumps(self._mask.value(value))
        return Response(text, media_type="application/json")

    def _detail(self, record: Record) -> dict[str, Any]:
        """Return all that is known of *record*."""
        found = summarise(record)
        text = _to_text(record.body)
        found |= {
            "via": record.via,
            "secret_index": record.secret_index,
            "headers": mask_headers(record.headers),
            "signed": self._show_bytes(record.signed),
            "changed_on_the_way": record.payload is not None,
            "pretty": self._cut(pretty(record.signed)),
            "invocation": _describe(record),
            "causes": [] if record.verified else self._explain(record),
            "text": text if self._is_editable(text) else None,
            "curl": as_curl(record, self._url_of(record)),
            "fixture": as_fixture(record, self._mask.text),
        }
        if record.forwarded is not None:
            found["forwarded"] |= {
                "headers": mask_headers(record.forwarded.headers),
                "body": self._show_bytes(record.forwarded.body),
            }
        return found

    def _diff(self, first: Record, second: Record) -> dict[str, Any]:
        """Compare two deliveries line by line."""
        return {
            "a": first.id,
            "b": second.id,
            "headers": _diff_lines(_head(first), _head(second)),
            "body": _diff_lines(self._lines(first), self._lines(second)),
        }

    def _lines(self, record: Record) -> list[str]:
        text = pretty(record.signed) or _to_text(record.signed)
        text = record.signed.hex(" ", 32) if text is None else text
        # What is encoded may go on in the next line.
        return self._mask.text(text).split("\n")

    def _show_bytes(self, data: bytes) -> dict[str, Any]:
        """Return bytes as text, or in hexadecimal if they are none."""
        text = _to_text(data)
        if text is not None:
            return {"bytes": len(data), "text": self._cut(text)}
        # Concealed before it is cut: a part of a secret is not found.
        digits = self._mask.text(data[: _HEX_BYTES + _BEYOND].hex(" "))
        return {"bytes": len(data), "hex": digits[: 3 * _HEX_BYTES].rstrip()}

    def _cut(self, text: str | None) -> str | None:
        if text is None or len(text) <= _MAX_TEXT:
            return text
        text = self._mask.text(text)
        return f"{text[:_MAX_TEXT]}\n[{len(text) - _MAX_TEXT} more characters]"

    def _explain(self, record: Record) -> list[dict[str, Any]]:
        return [asdict(each) for each in self._diagnose(record)]

    def _is_editable(self, text: str | None) -> bool:
        # What is concealed would be sent as it is shown.
        return (
            text is not None
            and len(text) <= _MAX_TEXT
            and self._mask.text(text) == text
        )

    def _url_of(self, record: Record) -> str:
        if self._receiver.forwarder is not None:
            return self._receiver.forwarder.target(record)
        return join_url(self._base_url, record.target)


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Tell whether *host*, a name or an address, is this machine only."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _read_number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _problem(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _read_wish(content: bytes) -> tuple[bytes | None, bool]:
    """Return the body to send, None for the same, and whether to sign it now."""
    from port_webhook._json import parse

    wish = parse(content)
    if not isinstance(wish, dict):
        raise PayloadError("must be an object")
    members = cast("dict[str, Any]", wish)
    body, fresh = members.get("body"), members.get("fresh", True)
    if not isinstance(fresh, bool):
        raise PayloadError("must be true or false", path="fresh")
    if body is None:
        return None, fresh
    if not isinstance(body, str):
        raise PayloadError("must be text", path="body")
    try:
        return body.encode("utf-8"), fresh
    except UnicodeEncodeError:
        raise PayloadError("has a lone surrogate", path="body")


def _to_text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _describe(record: Record) -> dict[str, Any]:
    """Return what the typed invocation of *record* says, field by field."""
    try:
        invocation = load_invocation(record.signed)
    except PayloadError as error:
        return {"model": record.shape, "error": str(error), "fields": []}
    fields: list[tuple[str, Any]] = []
    for name in _FIELDS:
        try:
            value: Any = getattr(invocation, name)
        except PortWebhookError as error:
            value = f"({error})"
        value = value.to_dict() if hasattr(value, "to_dict") else value
        if value is not None:
            fields.append((name, value))
    return {"model": type(invocation).__name__, "error": None, "fields": fields}


def _head(record: Record) -> list[str]:
    headers = [f"{name}: {value}" for name, value in mask_headers(record.headers)]
    return [f"{record.method} {record.target}", *sorted(headers)]


def _diff_lines(first: list[str], second: list[str]) -> list[tuple[str, str]]:
    """Return the lines with a mark before each; equal ones far from others left out."""
    found: list[tuple[str, str]] = []
    if max(len(first), len(second)) > _MAX_LINES:
        # To compare them all could take minutes.
        found.append(("@", f"Only the first {_MAX_LINES} lines are compared."))
        first, second = first[:_MAX_LINES], second[:_MAX_LINES]
    matcher = SequenceMatcher(None, first, second)
    for tag, from_a, to_a, from_b, to_b in matcher.get_opcodes():
        if tag == "equal":
            lines = [(" ", line) for line in first[from_a:to_a]]
            head = _CONTEXT if from_a else 0
            tail = _CONTEXT if to_a < len(first) else 0
            left_out = len(lines) - head - tail
            if left_out > 1:
                note = ("@", f"({left_out} equal lines)")
                lines[head : len(lines) - tail] = [note]
            found += lines
        else:
            found += [("-", line) for line in first[from_a:to_a]]
            found += [("+", line) for line in second[from_b:to_b]]
    return found
