"""Throughput and latency of real servers, with and without verification and stores.

The paths of one running server take turns, so that all see the same machine. The
client runs on the same cores: it opens 16 connections and sends the next request of a
connection as soon as the last is answered. Each request is signed before its turn and
is unlike any other.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

import stores
from measure import ratio, rounds, spread
from server_app import SECRET, SPECS
from tables import Table

from port_webhook import sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
WORKERS = (1, 4, 16)
CONNECTIONS = 16
SECONDS = 0.5  # of a turn
BARE = "not verified"
STORES = {
    stores.REDIS: "redis",
    stores.POSTGRES: "postgres",
    stores.DYNAMODB: "dynamodb",
}
# The arguments of each server, and whether it keeps a connection open.
SERVERS = {
    "gunicorn (sync workers), Flask": (
        "gunicorn",
        "--workers={workers}",
        "--bind=127.0.0.1:{port}",
        "--timeout=120",
        "--log-level=warning",
        f"--pythonpath={HERE}",
        "server_app:make_wsgi()",
    ),
    "uvicorn (httptools, asyncio), FastAPI": (
        "uvicorn",
        "--workers={workers}",
        "--port={port}",
        "--http=httptools",
        "--loop=asyncio",
        "--lifespan=off",
        "--timeout-worker-healthcheck=120",  # sixteen start slowly on two cores
        "--no-access-log",
        "--log-level=warning",
        f"--app-dir={HERE}",
        "--factory",
        "server_app:make_asgi",
    ),
}

_numbers = itertools.count()


class Turn(NamedTuple):
    """One turn of one path."""

    rate: float
    p99: float
    processor: float


def report() -> list[Table]:
    """Measure each server with each number of workers."""
    with contextlib.ExitStack() as stack:
        opened = stores.open_all(stack)
        specs = {
            path: opened[name].world.spec
            for name, path in STORES.items()
            if name in opened
        }
        paths = {BARE: "bare", "verified": "verified"}
        paths |= {name: path for name, path in STORES.items() if path in specs}
        return [_measure(server, paths, specs) for server in SERVERS]


def _measure(server: str, paths: dict[str, str], specs: dict[str, Any]) -> Table:
    table = Table(
        server,
        (
            *("workers", "request", "requests a second", "relative"),
            *("p99, ms", "relative", "processor of the server"),
        ),
        left=2,
    )
    for workers in WORKERS:
        turns: dict[str, list[Turn]] = {name: [] for name in paths}
        with _running(server, workers, specs) as (port, pid):
            for path in paths.values():
                _turn(port, pid, path, SECONDS / 2)
            for _ in range(rounds(1 / 12)):
                for name, path in paths.items():
                    turns[name].append(_turn(port, pid, path, SECONDS))
        rates = {name: [turn.rate for turn in found] for name, found in turns.items()}
        p99s = {name: [turn.p99 for turn in found] for name, found in turns.items()}
        for name, found in turns.items():
            table.add(
                str(workers),
                name,
                spread(rates[name], ".0f"),
                "1" if name == BARE else ratio(rates[name], rates[BARE]),
                spread([p99 * 1e3 for p99 in p99s[name]], ".1f"),
                "1" if name == BARE else ratio(p99s[name], p99s[BARE]),
                f"{spread([turn.processor * 1e6 for turn in found], '.0f')} µs",
            )
    return table


@contextlib.contextmanager
def _running(
    server: str, workers: int, specs: dict[str, Any]
) -> Iterator[tuple[int, int]]:
    """Yield the port and the process of a server whose workers all answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module, *options = SERVERS[server]
    arguments = [each.format(workers=workers, port=port) for each in options]
    with (
        tempfile.TemporaryDirectory(prefix="pw-") as home,
        tempfile.TemporaryFile() as output,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=home,
            env={**os.environ, "HOME": home, SPECS: json.dumps(specs)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            seen: set[int] = set()
            while len(seen) < workers:
                if process.poll() is not None:
                    output.seek(0)
                    raise RuntimeError(output.read().decode())
                with contextlib.suppress(OSError):
                    seen |= _ask_workers(port)
            yield port, process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ask_workers(port: int) -> set[int]:
    """Return the workers that answer some requests at the same time."""
    asked = [HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(CONNECTIONS)]
    try:
        for connection in asked:
            connection.request("GET", "/pid")
        return {json.load(each.getresponse())["pid"] for each in asked}
    finally:
        for connection in asked:
            connection.close()


def _request(path: str) -> bytes:
    """Return a request of 1 KiB that was never sent before."""
    body = json.dumps({"context": {"runId": f"r_{next(_numbers)}"}, "a": "x" * 980})
    lines = [
        f"POST /{path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in sign(body, SECRET).items()),
    ]
    return "\r\n".join([*lines, "", body]).encode()


def _turn(port: int, pid: int, path: str, seconds: float) -> Turn:
    ready = deque(_request(path) for _ in range(int(3000 * seconds)))

    def next_request() -> bytes:
        return ready.popleft() if ready else _request(path)

    before = stores.processor_seconds(pid)
    taken, latencies = _load(port, next_request, seconds)
    count = len(latencies)
    processor = (stores.processor_seconds(pid) - before) / count
    return Turn(
        count / taken, quantiles(latencies, n=100, method="inclusive")[98], processor
    )


def _load(
    port: int, next_request: Callable[[], bytes], seconds: float
) -> tuple[float, list[float]]:
    """Send for some seconds; return the time to the last answer, and all latencies.

    What is under way at the end is awaited, and its latency counts.
    """
    latencies: list[float] = []
    epoll = select.epoll()
    open_: dict[int, tuple[socket.socket, float]] = {}

    def send(connection: socket.socket | None) -> None:
        request = next_request()
        started = time.perf_counter()
        if connection is None:
            connection = socket.create_connection(("127.0.0.1", port), 60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            epoll.register(connection, select.EPOLLIN)
        open_[connection.fileno()] = (connection, started)
        connection.sendall(request)

    began = now = time.perf_counter()
    until = began + seconds
    for _ in range(CONNECTIONS):
        send(None)
    while open_:
        for number, _ in epoll.poll():
            connection, started = open_.pop(number)
            closes = _read_answer(connection)
            now = time.perf_counter()
            latencies.append(now - started)
            if closes or now >= until:
                epoll.unregister(connection)
                connection.close()
            if now < until:
                send(None if closes else connection)
    epoll.close()
    return now - began, latencies


def _read_answer(connection: socket.socket) -> bool:
    """Read a response, which is small; return whether the server closes."""
    data = b""
    while b"\r\n\r\n" not in data or not _is_complete(data):
        part = connection.recv(65_536)
        assert part, data
        data += part
    assert data.startswith(b"HTTP/1.1 200 "), data
    return b"connection: close" in data.partition(b"\r\n\r\n")[0].lower()


def _is_complete(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) == int(length)
