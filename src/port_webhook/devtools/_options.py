"""What the options of the commands read: files, captures, headers, secrets."""

from __future__ import annotations

import math
import os
import sys
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from port_webhook._arguments import (
    ENV_FILE,
    ENV_PREVIOUS,
    ENV_SECRET,
    read_env,
    read_secret,
)
from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook.devtools._captures import (
    Capture,
    CaptureError,
    read_curl,
    read_har,
    read_http,
    read_kafka,
    read_lambda,
)
from port_webhook.devtools._search import find_message
from port_webhook.devtools._secrets import Candidate
from port_webhook.devtools._terminal import fail, hint

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Secrets",
    "Sources",
    "find_candidates",
    "find_instant",
    "find_secrets",
    "read_file",
]

_MAX_FILE = 64 * 1024 * 1024
_MAX_SECRET = 65_536
_STDIN = "-"
# As seconds they lie beyond the year 5000.
_FIRST_MILLISECONDS = 1e11


def read_file(path: str, limit: int = _MAX_FILE) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``.

    Raises:
        CaptureError: It cannot be read, or is larger than *limit*, in bytes.
    """
    try:
        if path == _STDIN:
            raw = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CaptureError(f"{path}: {reason}")
    if len(raw) > limit:
        raise CaptureError(f"{path}: larger than {limit} bytes")
    return raw


class Sources(NamedTuple):
    """Where a delivery is read from, as the options say it."""

    body: str | None
    headers: list[str] | None
    timestamp: str | None
    signature: str | None
    http: str | None
    curl: str | None
    har: str | None
    lambda_event: str | None
    kafka: str | None
    entry: int | None

    def read(self) -> Capture:
        """Return the delivery; headers that are given are added to a capture's.

        What a capture's reader notes is printed to standard error.

        Raises:
            CaptureError: There is none, there are two, or it cannot be read.
        """
        capture = self._read_capture()
        if capture is None and self.body is None:
            raise CaptureError("Give a BODY, or a capture such as --http FILE")
        if capture is None or self.body is not None:
            known = capture or Capture(b"", [])
            capture = known._replace(body=read_file(self.body or _STDIN), note=None)
        if capture.note is not None:
            hint(f"{capture.note}.")
        headers = [*capture.headers, *self._read_headers()]
        if not headers and self._is_bare and find_message(capture.body) is None:
            raise CaptureError(
                "Give the headers: --timestamp and --signature, -H, or a capture such "
                "as --http FILE"
            )
        return capture._replace(headers=headers)

    @property
    def _is_bare(self) -> bool:
        """There is no capture, which could have headers."""
        captures = (self.http, self.curl, self.har, self.lambda_event, self.kafka)
        return all(each is None for each in captures)

    def _read_capture(self) -> Capture | None:
        entry = self.entry
        readers: dict[str, tuple[str | None, Callable[[bytes], Capture]]] = {
            "http": (self.http, read_http),
            "curl": (self.curl, partial(read_curl, has_body=self.body is not None)),
            "har": (self.har, partial(read_har, entry=entry)),
            "lambda": (self.lambda_event, partial(read_lambda, entry=entry)),
            "kafka": (self.kafka, partial(read_kafka, entry=entry)),
        }
        given = [name for name, (path, _) in readers.items() if path is not None]
        if len(given) > 1:
            raise CaptureError(f"Give one of --{' and --'.join(given)}, not both")
        for path, read in readers.values():
            if path is not None:
                raw = read_file(path)
                try:
                    return read(raw)
                except CaptureError as error:
                    raise CaptureError(f"{path}: {error}")
        return None

    def _read_headers(self) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        for text in self.headers or ():
            name, colon, value = text.partition(":")
            if not colon or not name.strip():
                raise CaptureError("--header takes 'Name: value'")
            pairs.append((name.strip(), value.strip(" \t")))
        if self.timestamp is not None:
            pairs.append((TIMESTAMP_HEADER, self.timestamp))
        if self.signature is not None:
            pairs.append((SIGNATURE_HEADER, self.signature))
        return pairs


def find_instant(at: float | None, capture: Capture) -> float | None:
    """Return when the delivery arrived, in seconds; None for now.

    Raises:
        CaptureError: ``--at`` is no such time.
    """
    if at is None:
        return capture.received_at
    if not math.isfinite(at):
        raise CaptureError("--at must be a number of seconds")
    if abs(at) >= _FIRST_MILLISECONDS:
        raise CaptureError("--at must be in seconds, not milliseconds")
    return at


class Secrets(NamedTuple):
    """The secrets that a receiver accepts, and where they come from."""

    source: str
    current: str | bytes
    previous: tuple[str | bytes, ...] = ()

    @property
    def all(self) -> list[str | bytes]:
        """The current one, then the previous ones."""
        return [self.current, *self.previous]


def find_secrets(files: list[str] | None) -> Secrets:
    """Return the secrets of the files, of the environment, or of a prompt.

    Raises:
        ConfigurationError: One of them was damaged.
        CaptureError: A file cannot be read.
    """
    if files:
        current, *previous = (
            read_secret(_read_secret_file(path), f"The secret in {path}")
            for path in files
        )
        return Secrets(files[0], current, tuple(previous))
    if ENV_SECRET in os.environ or os.environ.get(ENV_FILE):
        source, current, listed = read_env()
        return Secrets(source, current, tuple(listed))
    return Secrets("the prompt", read_secret(_prompt(), "The secret"))


def find_candidates(
    files: list[str] | None, candidates: list[str] | None
) -> list[Candidate]:
    """Return the secrets for a diagnosis, which may be damaged.

    Args:
        files: As for `find_secrets`: the first holds the current secret, the others
            previous ones.
        candidates: Files with a further candidate in each line.

    Raises:
        CaptureError: A file cannot be read.
    """
    found: list[Candidate] = []
    if files:
        for path in files:
            secret = _read_secret_file(path)
            found.append(Candidate(f"the secret in {path}", secret, accepted=True))
    elif ENV_SECRET in os.environ or os.environ.get(ENV_FILE):
        found += _read_environment()
    else:
        found.append(Candidate("the secret", _prompt(), accepted=True))
    for path in candidates or ():
        for number, line in enumerate(read_file(path, _MAX_SECRET).split(b"\n"), 1):
            # Only a line's own end is none of the secret's.
            secret = line.removesuffix(b"\r")
            if secret.strip():
                label = f"the secret in line {number} of {path}"
                found.append(Candidate(label, secret, accepted=False))
    return found


def _read_environment() -> list[Candidate]:
    path = os.environ.get(ENV_FILE)
    if path:
        secret: str | bytes = _read_secret_file(path)
        found = [Candidate(f"the secret of {ENV_FILE}", secret, accepted=True)]
    else:
        secret = os.environ[ENV_SECRET]
        found = [Candidate(ENV_SECRET, secret, accepted=True)]
    listed = os.environ.get(ENV_PREVIOUS)
    for index, each in enumerate(listed.split(",") if listed else ()):
        found.append(Candidate(f"{ENV_PREVIOUS}[{index}]", each, accepted=True))
    return found


def _read_secret_file(path: str) -> bytes:
    raw = read_file(path, _MAX_SECRET)
    # Editors and echo end a file with a line break, which is no part of the secret.
    end = b"\r\n" if raw.endswith(b"\r\n") else b"\n"
    return raw.removesuffix(end)


def _prompt() -> str:
    """Ask for the secret if there is a terminal."""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        fail(f"There is no secret: set {ENV_SECRET}, or give --secret-file.")
    return getpass("Client secret: ")
