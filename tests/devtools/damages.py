"""Healthy deliveries, and what may happen to them on their way."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import html
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

NOW = 1_713_277_889
SECRET = "a-made-up-secret-of-port"
OTHER = "another-secret-of-a-staging-org"
# Non-ASCII text, an HTML character, a slash, white space and a number.
DOCUMENT = {"run": "r_1", "name": "Zoë & Søn", "at": "a/b", "size": 2, "tags": ["x"]}


def mac(payload, *, secret=SECRET, stamp=str(NOW)):
    """Compute a MAC with the standard library, not with the code under test."""
    key = secret.encode()
    return hmac.digest(key, stamp.encode() + b"." + payload, hashlib.sha256)


def compact(document, *, ascii_only=False):
    text = json.dumps(document, ensure_ascii=ascii_only, separators=(",", ":"))
    return text.encode()


@dataclass
class Case:
    """A delivery on its way, and who expects it."""

    body: bytes
    stamp: str = str(NOW)
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    now: float = NOW
    sent: bytes = b""
    secret: str = SECRET
    pairs: list[Any] = field(default_factory=list)
    mac: bytes | None = None

    def sign(self):
        """Sign the body as it is now."""
        self.mac = mac(self.body, secret=self.secret, stamp=self.stamp)
        value = "v1," + base64.b64encode(self.mac).decode()
        self.pairs = [("x-port-timestamp", self.stamp), ("x-port-signature", value)]
        return self

    def set(self, name, change):
        self.pairs = [
            (each, change(value) if each == name else value)
            for each, value in self.pairs
        ]


def new(body=None):
    return Case(compact(DOCUMENT) if body is None else body)


# Before it is signed.
def prepare_newline_removed(case):
    case.body += b"\n"


def prepare_agent(case):
    case.body = compact(json.loads(case.body), ascii_only=True)


def prepare_changed(case):
    case.stamp += "000"


def prepare_old(case):
    case.now += 1000


def prepare_future(case):
    case.now -= 100


# After it was signed: the body.
def newline_added(case):
    case.body += b"\n"


def newline_removed(case):
    case.body = case.body.rstrip(b"\n")


def bom_added(case):
    case.body = b"\xef\xbb\xbf" + case.body


def text_reencoded(case):
    case.body = case.body.decode().encode("latin-1")


def url_encoded(case):
    case.body = urllib.parse.quote_from_bytes(case.body).encode()


def html_escaped(case):
    case.body = html.escape(case.body.decode()).encode()


def base64_body(case):
    case.body = base64.b64encode(case.body)


def gzip_body(case):
    case.body = gzip.compress(case.body, mtime=0)


def agent_form(case):
    case.body = json.dumps(json.loads(case.body)).encode()


def reserialised(case):
    case.body = json.dumps(json.loads(case.body), indent=2, ensure_ascii=False).encode()


def truncated(case):
    case.body = case.body[:-1]


# The headers.
def timestamp_changed(case):
    case.set("x-port-timestamp", lambda value: value[:10])


def duplicate_header(case):
    case.pairs += [pair for pair in case.pairs if pair[0] == "x-port-timestamp"]


def renamed_header(case):
    case.pairs = [
        ("HTTP_X_PORT_SIGNATURE" if name == "x-port-signature" else name, value)
        for name, value in case.pairs
    ]


def _signature(change):
    def damage(case):
        case.pairs = [
            (name, value if name == "x-port-timestamp" else change(value))
            for name, value in case.pairs
        ]

    return damage


def _raw(value):
    return base64.b64decode(value.removeprefix("v1,"))


unprefixed_signature = _signature(lambda value: value.removeprefix("v1,"))
malformed_header = _signature(lambda value: value.replace("v1,", "V1,"))
hex_signature = _signature(lambda value: f"sha256={_raw(value).hex()}")
sha1_signature = _signature(lambda value: f"sha1={_raw(value)[:20].hex()}")


def missing_header(case):
    case.pairs = [pair for pair in case.pairs if pair[0] == "x-port-timestamp"]


# The secrets.
def secret_whitespace(case):
    case.secrets[0] = f" {case.secrets[0]}\n"


def secret_quoted(case):
    case.secrets[0] = f'"{case.secrets[0]}"'


def other_secret(case):
    case.secrets = [OTHER, *case.secrets]


def nothing(_):
    pass


BODIES = {
    "newline_added": (nothing, newline_added),
    "newline_removed": (prepare_newline_removed, newline_removed),
    "bom_added": (nothing, bom_added),
    "text_reencoded": (nothing, text_reencoded),
    "url_encoded": (nothing, url_encoded),
    "html_escaped": (nothing, html_escaped),
    "base64_body": (nothing, base64_body),
    "gzip_body": (nothing, gzip_body),
    "agent_form": (prepare_agent, agent_form),
    "reserialised": (nothing, reserialised),
    "truncated": (nothing, truncated),
}
HEADERS = {
    "duplicate_header": (nothing, duplicate_header),
    "renamed_header": (nothing, renamed_header),
    "unprefixed_signature": (nothing, unprefixed_signature),
    "hex_signature": (nothing, hex_signature),
    "malformed_header": (nothing, malformed_header),
}
TIMES = {
    "timestamp_too_old": (prepare_old, nothing),
    "timestamp_in_future": (prepare_future, nothing),
    "timestamp_changed": (prepare_changed, timestamp_changed),
}
SECRETS = {
    "secret_whitespace": (nothing, secret_whitespace),
    "secret_quoted": (nothing, secret_quoted),
    "other_secret": (nothing, other_secret),
}
ALL = {**BODIES, **HEADERS, **TIMES, **SECRETS}
# Parsed headers prove these, and no signature is left that could prove anything else.
BLIND = {
    "sha1_signature": (nothing, sha1_signature),
    "missing_header": (nothing, missing_header),
}


def damage(*names, body=None):
    """Return a delivery to which all of *names* happened, in this order."""
    damages = [({**ALL, **BLIND})[name] for name in names]
    case = new(body)
    for prepare, _ in damages:
        prepare(case)
    case.sign()
    for _, apply in damages:
        apply(case)
    return case
