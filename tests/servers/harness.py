"""Real servers as subprocesses, and a client that writes HTTP/1.1 by hand.

A client library would refuse or repair most of what the tests send.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
TIMEOUT = 20.0
SMALL = 4096


class App(NamedTuple):
    """An application under test: what its module says in plain literals."""

    name: str
    kind: str
    requires: tuple[str, ...]
    parses_forms: bool
    folder: Path = HERE
    target: str = ""

    @classmethod
    def read(cls, path: Path) -> App:
        """Read the module at *path* without importing its framework."""
        found = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in {"KIND", "REQUIRES", "PARSES_FORMS"}
        }
        return cls(
            path.stem.removesuffix("_app"),
            found["KIND"],
            found["REQUIRES"],
            found["PARSES_FORMS"],
        )


class Server(NamedTuple):
    """How to start a server; its first argument is the module that is run."""

    name: str
    kind: str
    arguments: tuple[str, ...]
    requires: tuple[str, ...] = ()


_GUNICORN = (
    "--workers=1",
    "--bind=127.0.0.1:{port}",
    "--log-level=warning",
    "{app}",
)
_UVICORN = ("--port={port}", "--loop=asyncio", "--log-level=warning", "{app}")
SERVERS = (
    Server(
        "gunicorn",
        "wsgi",
        ("gunicorn", *_GUNICORN),
    ),
    Server(
        "gunicorn_threads",
        "wsgi",
        (
            "gunicorn",
            "--worker-class=gthread",
            "--threads=8",
            *_GUNICORN,
        ),
    ),
    Server(
        "waitress",
        "wsgi",
        ("waitress", "--listen=127.0.0.1:{port}", "--threads=8", "{app}"),
    ),
    Server(
        "uvicorn_httptools",
        "asgi",
        ("uvicorn", "--http=httptools", *_UVICORN),
        ("httptools",),
    ),
    Server("uvicorn_h11", "asgi", ("uvicorn", "--http=h11", *_UVICORN)),
    Server("hypercorn", "asgi", ("hypercorn", "--bind=127.0.0.1:{port}", "{app}")),
    Server("aiohttp", "aiohttp", ("apps.run_aiohttp", "{port}", "{app}")),
)


class Pair(NamedTuple):
    """An application on a server."""

    app: App
    server: Server

    def __str__(self) -> str:
        return f"{self.app.name}@{self.server.name}"

    @property
    def missing(self) -> list[str]:
        """The modules that are not installed, without which nothing can be tested."""
        module = self.server.arguments[0]
        needed = (*self.app.requires, *self.server.requires)
        if "." not in module:
            needed += (module,)
        return [name for name in needed if find_spec(name) is None]


def pairs() -> list[Pair]:
    """Return every application under ``apps`` with every server that suits it."""
    apps = [App.read(path) for path in sorted((HERE / "apps").glob("*_app.py"))]
    return [
        Pair(app, server)
        for app in apps
        for server in SERVERS
        if app.kind == server.kind
    ]


class Running:
    """A server process that accepts connections."""

    def __init__(self, pair: Pair, port: int) -> None:
        """Start the process; nothing tells yet whether it could bind *port*."""
        self.pair = pair
        self.port = port
        module, *arguments = (
            text.format(
                port=port, app=pair.app.target or f"apps.{pair.app.name}_app:app"
            )
            for text in pair.server.arguments
        )
        path = [str(pair.app.folder), str(HERE.parents[1] / "src"), *sys.path]
        # A file rather than a pipe, which a talkative server would fill.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `stop`
        # No configuration file and no control socket of the user's own.
        self._home = tempfile.TemporaryDirectory(prefix="pw-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self._home.name,
            env={
                **os.environ,
                "HOME": self._home.name,
                "PYTHONPATH": os.pathsep.join(path),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # gunicorn's worker is a process of its own, and must not outlive it.
            start_new_session=True,
        )

    def is_ready(self) -> bool:
        """Wait until the port accepts connections; False if the process ended."""
        while True:
            with contextlib.suppress(OSError):
                Connection(self.port).close()
                return self._process.poll() is None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                return False

    def stop(self) -> None:
        """End the process at once: it holds nothing worth keeping."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._output.close()
        self._home.cleanup()

    def output(self) -> str:
        """Return what the process has printed."""
        self._output.seek(0)
        return self._output.read().decode("utf-8", "replace")


def start(pair: Pair) -> Running:
    """Start *pair* on a free port, and on another one if somebody took that."""
    printed = ""
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running = Running(pair, port)
        if running.is_ready():
            return running
        printed = running.output()
        running.stop()
    message = f"{pair} did not start:\n{printed}"
    raise RuntimeError(message)


class Answer(NamedTuple):
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    continued: bool

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection to a server."""

    def __init__(self, port: int) -> None:
        """Connect to *port* on loopback."""
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._line = b""
        self.is_open = True

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, parts: list[bytes]) -> None:
        """Send *parts*; a server may have answered and closed before their end."""
        if sum(map(len, parts)) < SMALL:
            # In one packet, so that what a server sees first is always the same.
            parts = [b"".join(parts)]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                self._socket.sendall(part)

    def end(self) -> None:
        """Send nothing more, but go on listening."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def interim(self) -> bool:
        """Read a status line; tell whether it says to send the body."""
        line = self._file.readline()
        if line.split(b" ")[1:2] != [b"100"]:
            self._line = line
            return False
        while self._file.readline().strip():
            pass
        return True

    def read(self, method: str) -> Answer | None:
        """Read an answer to *method*; None if the server closes without one."""
        try:
            continued = not self._line and self.interim()
            line, self._line = self._line, b""
            if continued:
                line = self._file.readline()
            if not line:
                self.is_open = False
                return None
            status = int(line.split(b" ")[1])
            headers: dict[str, str] = {}
            while line := self._file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self._read_body(method, headers)
        except ConnectionResetError:
            self.is_open = False
            return None
        if headers.get("connection", "").lower() == "close":
            self.is_open = False
        return Answer(status, headers, body, continued)

    def _read_body(self, method: str, headers: dict[str, str]) -> bytes:
        if method == "HEAD":
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self._file.readline(), 16):
                body += self._file.read(size)
                self._file.readline()
            self._file.readline()
            return body
        if "content-length" in headers:
            return self._file.read(int(headers["content-length"]))
        self.is_open = False
        return self._file.read()


class Client:
    """Sends requests one after another, over one connection while it stays open."""

    def __init__(self, port: int) -> None:
        """Connect to *port* with the first request."""
        self._port = port
        self._connection: Connection | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the next request goes over the same connection as the last."""
        return self._connection is not None and self._connection.is_open

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(
        self,
        method: str,
        parts: list[bytes],
        *,
        waits: bool = False,
        ends: bool = False,
        last: bool = False,
    ) -> Answer | None:
        """Send a request.

        Args:
            method: Its method.
            parts: Its head, and its body in any number of parts.
            waits: Send the body when the server asks for it.
            ends: Close the sending half after the last part.
            last: Send nothing else over this connection.
        """
        reused = self.is_connected
        answer = self._send(method, parts, waits=waits, ends=ends)
        # An idle connection may be closed by the server at any moment.
        if answer is None and reused and not ends:
            answer = self._send(method, parts, waits=waits, ends=ends)
        if last:
            self.close()
        return answer

    def _send(
        self, method: str, parts: list[bytes], *, waits: bool, ends: bool
    ) -> Answer | None:
        if not self.is_connected:
            self.close()
            self._connection = Connection(self._port)
        connection = self._connection
        assert connection is not None
        asked = False
        if waits:
            connection.send(parts[:1])
            asked = connection.interim()
            parts = parts[1:] if asked else []
        connection.send(parts)
        if ends:
            connection.end()
        answer = connection.read(method)
        if ends or (waits and not asked):
            connection.is_open = False
        if answer is not None and asked:
            answer = answer._replace(continued=True)
        return answer

    def get(self, path: str) -> Any:
        """Return the JSON at *path*."""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = self.send("GET", [head.encode()])
        assert answer is not None
        assert answer.status == 200
        return answer.json()
