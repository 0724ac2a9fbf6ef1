"""The table: what is sent, and what every adapter on every server answers.

Where a server answers by itself, before the application sees the request, the case
names it with the reason. So a row that names nobody is the same everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .apps.common import LIMIT, NOW, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Framing = Literal["length", "chunked", "none"]
Headers = list[tuple[bytes, bytes]]

TIMESTAMP = b"x-port-timestamp"
SIGNATURE = b"x-port-signature"
BODY = b'{"context":{"runId":"r_1"},"text":"\xc3\xa9"}'
CHUNK = 65_536
BOUNDARY = b"x-y-z"
FULL_WIDTH = "".join(chr(0xFF10 + int(digit)) for digit in str(NOW)).encode()


def mac(body: bytes, text: bytes | None = None) -> bytes:
    """Sign *body* with any *text* as its timestamp, odd ones included."""
    stamp = str(NOW).encode() if text is None else text
    digest = hmac.digest(SECRET.encode(), stamp + b"." + body, hashlib.sha256)
    return b"v1," + b64encode(digest)


def signed(body: bytes, text: bytes | None = None) -> Headers:
    """Return the two headers that Port sends with *body*."""
    stamp = str(NOW).encode() if text is None else text
    return [(TIMESTAMP, stamp), (SIGNATURE, mac(body, text))]


@dataclass(frozen=True)
class Request:
    """A request, byte for byte."""

    method: str = "POST"
    path: str = "/port"
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    framing: Framing = "length"
    declared: bytes | None = None  # a Content-Length that lies
    waits: bool = False  # for "100 Continue"
    ends: bool = False  # closes its half of the connection after the body
    last: bool = False  # is followed by bytes that are no request

    def parts(self) -> list[bytes]:
        """Return the head, and the body in parts."""
        head = [
            f"{self.method} {self.path} HTTP/1.1".encode(),
            b"Host: localhost",
            *(name + b": " + value for name, value in self.headers),
        ]
        if self.framing == "chunked":
            head.append(b"Transfer-Encoding: chunked")
        elif self.framing == "length":
            length = str(len(self.body)).encode()
            head.append(b"Content-Length: " + (self.declared or length))
        return [b"\r\n".join([*head, b"", b""]), *self._payload()]

    def _payload(self) -> Iterator[bytes]:
        if self.framing != "chunked":
            yield self.body
            return
        for start in range(0, len(self.body), CHUNK):
            part = self.body[start : start + CHUNK]
            yield b"%x\r\n%b\r\n" % (len(part), part)
        if not self.ends:
            yield b"0\r\n\r\n"


@dataclass(frozen=True)
class Outcome:
    """What is expected of one request.

    Attributes:
        status: The HTTP status; None if the connection closes without an answer.
        code: What the verifier recorded; None if it recorded nothing.
        reason: Why the outcome is not the same everywhere.
    """

    status: int | None
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: What is sent.
        request: The request.
        outcome: What every adapter answers.
        elsewhere: Where it is another, or one of several: by ``app@server``, by
            application, or by server; the first that is found counts.
        form: The form that the view finds afterwards.
    """

    name: str
    request: Request
    outcome: Outcome
    elsewhere: Mapping[str, Outcome | tuple[Outcome, ...]] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    def expected(self, app: str, server: str) -> tuple[Outcome, ...]:
        """Return what *app* on *server* may do; any of it is right."""
        outcome: Outcome | tuple[Outcome, ...] = self.outcome
        for key in (server, app, f"{app}@{server}"):
            outcome = self.elsewhere.get(key, outcome)
        return outcome if isinstance(outcome, tuple) else (outcome,)


OK = Outcome(200)
MISMATCH = Outcome(401, "signature_mismatch")
MALFORMED = Outcome(401, "malformed_header")
MISSING = Outcome(401, "missing_header")
DUPLICATE = Outcome(401, "duplicate_header")
UNREADABLE = Outcome(400, "unreadable_body")
TOO_LARGE = Outcome(413, "body_too_large")
METHOD = Outcome(405, "method_not_allowed")
MEDIA = Outcome(415, "unsupported_media")


def _valid() -> Iterator[Case]:
    def valid(name: str, body: bytes, **changes: object) -> Case:
        request = {"headers": signed(body), "body": body, **changes}
        return Case(name, Request(**request), OK)  # type: ignore[arg-type]  # rows of one table

    yield valid("valid", BODY)
    upper = [(name.upper(), value) for name, value in signed(BODY)]
    yield valid("upper-case header names", BODY, headers=upper)
    padded = [(name, b" \t " + value + b" \t ") for name, value in signed(BODY)]
    yield valid("padded header values", BODY, headers=padded)
    yield valid("milliseconds", BODY, headers=signed(BODY, b"%d000" % NOW))
    yield valid("chunked", BODY, framing="chunked")
    large = bytes(range(256)) * 5860
    yield valid("1.5 MB", large)
    yield valid("1.5 MB, chunked", large, framing="chunked")
    yield valid("exactly at the limit", b"x" * LIMIT)
    yield valid("exactly at the limit, chunked", b"x" * LIMIT, framing="chunked")
    yield valid("empty", b"")
    yield valid("empty, without a length", b"", framing="none")
    yield valid("empty, chunked", b"", framing="chunked")
    yield valid("not UTF-8", b"\xff\xfe\x00\x80")
    yield valid("not JSON", b"{")
    yield valid("GET, signed", b"", method="GET", framing="none")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        yield valid(f"{method} with a body, signed", BODY, method=method)
        yield valid(
            f"{method} with a chunked body", BODY, method=method, framing="chunked"
        )


def _forms() -> Iterator[Case]:
    form = {"payload": "a b", "other": "c"}
    encoded = b"payload=a+b&other=c"
    kind = (b"content-type", b"application/x-www-form-urlencoded")
    multipart = b"".join(
        b"--%b\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n"
        % (BOUNDARY, name.encode(), value.encode())
        for name, value in form.items()
    )
    multipart += b"--" + BOUNDARY + b"--\r\n"
    multi = (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)
    framings: tuple[Framing, ...] = ("length", "chunked")
    for framing in framings:
        for name, header, body in (
            ("form", kind, encoded),
            ("multipart form", multi, multipart),
        ):
            request = Request(
                headers=[header, *signed(body)], body=body, framing=framing
            )
            yield Case(f"{name}, {framing}", request, OK, form=form)
            request = Request(headers=[header], body=body, framing=framing)
            yield Case(f"{name}, {framing}, unsigned", request, MISSING)


def _forged() -> Iterator[Case]:
    def forged(
        name: str, headers: Headers, outcome: Outcome, **elsewhere: Outcome
    ) -> Case:
        return Case(name, Request(headers=headers, body=BODY), outcome, elsewhere)

    stamp, signature = signed(BODY)
    bad = (SIGNATURE, mac(b"something else"))
    for name, sent in (
        ("tampered", BODY.replace(b"r_1", b"r_2")),
        ("trailing newline", BODY + b"\n"),
        ("body removed", b""),
    ):
        yield Case(name, Request(headers=signed(BODY), body=sent), MISMATCH)
    yield forged("without the timestamp", [signature], MISSING)
    yield forged("without the signature", [stamp], MISSING)
    yield forged("without both", [], MISSING)
    yield forged(
        "stale", signed(BODY, b"%d" % (NOW - 301)), Outcome(401, "timestamp_too_old")
    )
    yield forged("at the oldest", signed(BODY, b"%d" % (NOW - 300)), OK)
    yield forged(
        "future", signed(BODY, b"%d" % (NOW + 61)), Outcome(401, "timestamp_in_future")
    )
    yield forged("at the farthest", signed(BODY, b"%d" % (NOW + 60)), OK)
    yield forged(
        "another timestamp", [(TIMESTAMP, b"%d" % (NOW + 1)), signature], MISMATCH
    )
    yield forged("two signatures, good and bad", [stamp, signature, bad], DUPLICATE)
    yield forged("two signatures, bad and good", [stamp, bad, signature], DUPLICATE)
    yield forged("two signatures, equal", [stamp, signature, signature], DUPLICATE)
    yield forged("two timestamps", [stamp, signature, stamp], DUPLICATE)
    both = bad[1] + b" " + signature[1]
    yield forged("a list of signatures", [stamp, (SIGNATURE, both)], OK)
    joined = bad[1] + b", " + signature[1]
    yield forged("joined signatures", [stamp, (SIGNATURE, joined)], DUPLICATE)
    underscores = [(b"x_port_timestamp", stamp[1]), (b"x_port_signature", signature[1])]
    yield forged("underscore header names", underscores, MISSING)
    beside = [stamp, signature, (b"x_port_signature", bad[1])]
    yield forged("an underscore header beside the good one", beside, OK)
    over = [stamp, bad, (b"x_port_signature", signature[1])]
    yield forged("an underscore header beside a bad one", over, MISMATCH)
    for name, text in (
        ("plus", b"+%d" % NOW),
        ("underscore", b"1_700_000_000"),
        ("fraction", b"%d.0" % NOW),
        ("leading zero", b"0%d" % NOW),
        ("exponent", b"17e8"),
        ("hexadecimal", b"0x6553f100"),
        ("microseconds", b"%d000000" % NOW),
        ("empty", b""),
        ("inner space", b"1700 000000"),
        ("full-width digits", FULL_WIDTH),
        ("a word", b"now"),
    ):
        yield forged(
            f"timestamp, correctly signed: {name}", signed(BODY, text), MALFORMED
        )
    for name, value in (
        ("Latin-1", b"v1,\xe9" + signature[1][4:]),
        ("UTF-8", b"v1,\xc3\xa9" + signature[1][5:]),
        ("URL-safe base64", b"v1," + b"-_" * 21 + b"A="),
        ("no padding", signature[1][:-1]),
        ("no version", signature[1][3:]),
        ("empty", b""),
    ):
        yield forged(f"signature: {name}", [stamp, (SIGNATURE, value)], MALFORMED)
    yield forged(
        "signature: malleable base64",
        [stamp, (SIGNATURE, respell(signature[1]))],
        MISMATCH,
    )


def respell(value: bytes) -> bytes:
    """Write the same bits in another way: two of the last character are unused."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(value[-2]) ^ 1]
    return value[:-2] + bytes([other]) + b"="


def _large() -> Iterator[Case]:
    body = b"x" * (LIMIT + 1)
    framings: tuple[Framing, ...] = ("length", "chunked")
    for framing in framings:
        request = Request(headers=signed(body), body=body, framing=framing)
        yield Case(f"one byte over the limit, {framing}", request, TOO_LARGE)
    request = Request(headers=[], body=body)
    yield Case("one byte over the limit, unsigned", request, MISSING)


def _other_methods() -> Iterator[Case]:
    request = Request("HEAD", headers=signed(b""), framing="none")
    yield Case("HEAD, signed", request, METHOD)
    yield Case("HEAD, unsigned", Request("HEAD", framing="none"), METHOD)
    request = Request("HEAD", path="/boom", body=BODY)
    yield Case("HEAD with a body, unsigned, failing view", request, METHOD)


def _unsigned() -> Iterator[Case]:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        request = Request(method, framing="none")
        yield Case(f"{method}, unsigned", request, MISSING)
        request = Request(method, path="/boom", body=BODY)
        yield Case(f"{method} with a body, unsigned, failing view", request, MISSING)
    for name, kind, body in (
        ("JSON", b"application/json", BODY),
        ("broken JSON", b"application/json", b'{"a":'),
        ("JSON array", b"application/json", b"[1]"),
        ("broken multipart", b"multipart/form-data; boundary=q", b"--q\r\nx"),
        ("multipart without a boundary", b"multipart/form-data", b"x"),
        ("unknown content type", b"?", b"\x00"),
        ("unknown charset", b"application/json; charset=none", BODY),
    ):
        framings: tuple[Framing, ...] = ("length", "chunked")
        for framing in framings:
            request = Request(
                headers=[(b"content-type", kind)], body=body, framing=framing
            )
            yield Case(f"{name}, {framing}, unsigned", request, MISSING)


def _encoded() -> Iterator[Case]:
    coding = (b"content-encoding", b"gzip")
    packed = gzip.compress(BODY, mtime=0)
    request = Request(headers=[coding, *signed(packed)], body=packed)
    yield Case("gzip, signed over the wire", request, MEDIA)
    request = Request(headers=[coding, *signed(BODY)], body=packed)
    yield Case("gzip, signed over the plain text", request, MEDIA)
    for charset in (b"utf-7", b"utf-16", b"none"):
        kind = (b"content-type", b"application/json; charset=" + charset)
        request = Request(headers=[kind, *signed(BODY)], body=BODY)
        yield Case(f"charset {charset.decode()}, signed", request, MEDIA)


def _framed() -> Iterator[Case]:
    expect = (b"expect", b"100-continue")
    request = Request(headers=[expect, *signed(BODY)], body=BODY, waits=True)
    yield Case("Expect: 100-continue", request, OK)
    request = Request(headers=[expect], body=BODY, waits=True)
    yield Case("Expect: 100-continue, unsigned", request, MISSING)
    large = b"x" * (LIMIT + 1)
    request = Request(headers=[expect, *signed(large)], body=large, waits=True)
    yield Case("Expect: 100-continue, over the limit", request, TOO_LARGE)

    waits = "it calls an application when the request is complete"
    gone = "it takes a sender who ends its half for gone, and tells the application"
    races = f"{gone}; either of them answers, if at all"
    reads = "Django reads the body before it calls a view"
    ends: dict[str, Outcome | tuple[Outcome, ...]] = {
        "waitress": Outcome(None, None, waits),
        "uvicorn_httptools": Outcome(None, "unreadable_body", gone),
        "uvicorn_h11": Outcome(None, "unreadable_body", gone),
        "aiohttp": Outcome(None, "unreadable_body", gone),
        "hypercorn": (
            Outcome(None, "unreadable_body", races),
            Outcome(400, "unreadable_body", races),
        ),
        "django_asgi": (Outcome(None, None, reads), Outcome(400, None, reads)),
    }
    request = Request(
        headers=signed(BODY), body=BODY[:-5], declared=b"%d" % len(BODY), ends=True
    )
    yield Case("truncated", request, UNREADABLE, ends)
    # The part that arrives is signed, so only its length can tell.
    request = Request(
        headers=signed(BODY), body=BODY, declared=b"%d" % (len(BODY) + 1), ends=True
    )
    yield Case("truncated, signed as far as it goes", request, UNREADABLE, ends)
    request = Request(headers=signed(BODY), body=BODY, framing="chunked", ends=True)
    yield Case(
        "truncated, chunked, signed as far as it goes", request, UNREADABLE, ends
    )
    request = Request(headers=signed(BODY), declared=b"5", ends=True)
    yield Case("declared, but not sent", request, UNREADABLE, ends)
    request = Request(
        headers=signed(BODY), body=BODY, declared=b"%d" % (len(BODY) - 1), last=True
    )
    parses = "it parses what follows, and answers before the application does"
    elsewhere: dict[str, Outcome | tuple[Outcome, ...]] = {
        "uvicorn_httptools": (
            Outcome(400, None, parses),
            Outcome(400, "signature_mismatch", parses),
        ),
        "aiohttp": Outcome(400, None, parses),
    }
    yield Case("longer than declared", request, MISMATCH, elsewhere)
    request = Request(
        headers=[*signed(BODY), (b"transfer-encoding", b"chunked")],
        body=b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n",
        framing="none",
        last=True,
    )
    joins = "it puts the chunks together by itself"
    either = (Outcome(400, None, joins), Outcome(400, "unreadable_body", joins))
    elsewhere = {
        "waitress": either[0],
        "uvicorn_httptools": either,
        "uvicorn_h11": either,
        "hypercorn": either,
        "aiohttp": either[0],
    }
    yield Case("chunked, without a size", request, UNREADABLE, elsewhere)
    for declared in (b"+5", b"5_0", b"-1", b"five", b"0x5"):
        request = Request(headers=signed(BODY), body=BODY, declared=declared, last=True)
        name = f"Content-Length: {declared.decode()}"
        yield Case(name, request, Outcome(400, None, "every server refuses it"))


def _failing() -> Iterator[Case]:
    for method in ("POST", "GET", "DELETE"):
        request = Request(method, path="/boom", headers=signed(BODY), body=BODY)
        yield Case(f"{method}, a view that raises", request, Outcome(500))


CASES = [
    *_valid(),
    *_forms(),
    *_forged(),
    *_large(),
    *_other_methods(),
    *_unsigned(),
    *_encoded(),
    *_framed(),
    *_failing(),
]
