"""The sender: signed requests over raw sockets, each attempt with an id of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app import SECRET

from port_webhook import sign

if TYPE_CHECKING:
    import random

TIMEOUT = 60.0
# FastAPI names it in its own shape.
DUPLICATES = (b'{"status":"duplicate"}', b'{"detail":"duplicate"}')


@dataclass
class Answer:
    """What one attempt was told; no status if the connection ended without."""

    request: str
    status: int | None
    body: bytes = b""
    worker: str = ""
    copy: bool = False

    @property
    def is_duplicate(self) -> bool:
        return self.status == 200 and self.body.replace(b" ", b"") in DUPLICATES


@dataclass
class Run:
    """One signed request, and every attempt to deliver it.

    Attributes:
        manner: How it is sent: once, as ``copies`` at the same time, by a client that
            is ``gone`` before the answer or in the middle of the body (``torn``), or as
            a ``forged``, ``stale`` or ``bare`` request that must never run.
    """

    name: str
    body: bytes
    headers: dict[str, str]
    manner: str
    signed_at: float
    answers: list[Answer] = field(default_factory=list)
    attempts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_valid(self) -> bool:
        return self.manner not in {"forged", "stale", "bare"}

    @property
    def is_settled(self) -> bool:
        return any(each.status == 200 for each in self.answers)

    def next_id(self) -> str:
        with self.lock:
            self.attempts += 1
            return f"{self.name}.{self.attempts}"


def make_run(
    chance: random.Random, *, deed: str, manner: str, name: str = "KILL"
) -> Run:
    """Return a new run whose handler does *deed*; *name* is a signal."""
    run = f"r_{uuid.UUID(int=chance.getrandbits(128)).hex}"
    order: dict[str, Any] = {"context": {"runId": run}, "do": deed}
    order |= {"signal": f"SIG{name}", "filler": "x" * chance.randrange(2000)}
    body = json.dumps(order).encode()
    now = time.time()
    headers = sign(
        body, SECRET, timestamp=int(now) - (1000 if manner == "stale" else 0)
    )
    if manner == "forged":
        headers = {**sign(body + b" ", SECRET, timestamp=int(now))}
    if manner == "bare":
        headers = {}
    return Run(run, body, headers, manner, now)


class Connection:
    """A connection that is kept while the server keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._file: Any = None

    def close(self) -> None:
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None

    def send(self, run: Run, *, gone: str = "", copy: bool = False) -> Answer:
        """Send one attempt; *gone* says when the client disconnects."""
        answer = Answer(run.next_id(), None, copy=copy)
        lines = ["POST /port HTTP/1.1", "Host: soak", f"X-Request-Id: {answer.request}"]
        lines += [f"{name}: {value}" for name, value in run.headers.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(run.body)}"]
        message = "\r\n".join(lines).encode() + b"\r\n\r\n" + run.body
        try:
            if self._socket is None:
                self._open()
            assert self._socket is not None
            if gone == "torn":
                message = message[: -len(run.body) // 2]
            self._socket.sendall(message)
            if gone:
                self.close()
            else:
                self._read(answer)
        except OSError:
            self.close()
        run.answers.append(answer)
        return answer

    def ask(self, path: str) -> bool:
        """Tell whether the server answers at *path*."""
        try:
            self._open()
            assert self._socket is not None
            message = f"GET {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n"
            self._socket.sendall(message.encode())
            return b" 200 " in self._file.readline()
        except OSError:
            return False
        finally:
            self.close()

    def _open(self) -> None:
        self.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def _read(self, answer: Answer) -> None:
        line = self._file.readline()
        if not line:
            self.close()
            return
        fields: dict[str, str] = {}
        while (text := self._file.readline()).strip():
            name, _, value = text.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._file.readline() or b"0", 16):
                body += self._file.read(size)
                self._file.readline()
            self._file.readline()
        else:
            length = int(fields.get("content-length", 0))
            body = self._file.read(length)
            if len(body) < length:
                self.close()
                return
        answer.status = int(line.split(b" ")[1])
        answer.body, answer.worker = body, fields.get("x-worker", "")
        if fields.get("connection", "").lower() == "close":
            self.close()
