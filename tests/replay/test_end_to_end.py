"""Replay protection in real servers, with a real Redis: one signed request runs once.

Nothing here waits for time to pass. What a handler does is told to it over a socket,
its *gate*; and time passes in Redis by shortening what a key has left to live.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from port_webhook import (
    DeliveryInProgressError,
    DuplicateDeliveryError,
    ReplayStoreError,
    Verifier,
    sign,
)
from port_webhook.replay.redis import DEFAULT_PREFIX, AsyncRedisReplayStore

from . import replay_app, servers
from .replay_app import HANDLED, LEASE, NOW, SECRET

HERE = Path(__file__).parent
TIMEOUT = 30.0
DUPLICATE = b'{"status": "duplicate"}'

pytest.importorskip("redis", reason="redis-py is not installed")


def _load_harness():
    """Load the harness of the real servers, which is in a package beside this one.

    How the two packages are called depends on how pytest was started.
    """
    path = HERE.parent / "servers" / "harness.py"
    spec = importlib.util.spec_from_file_location("replay_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness: Any = _load_harness()

SERVERS = {
    "gunicorn": (
        "wsgi",
        "gunicorn",
        "--worker-class=gthread",
        "--workers=2",
        "--threads=8",
        "--keep-alive=30",
        "--bind=127.0.0.1:{port}",
        "--log-level=critical",
        f"--pythonpath={HERE}",
        "replay_app:make_wsgi()",
    ),
    "uvicorn": (
        "asgi",
        "uvicorn",
        "--port={port}",
        "--loop=asyncio",
        "--lifespan=off",
        "--log-level=critical",
        f"--app-dir={HERE}",
        "--factory",
        "replay_app:make_asgi",
    ),
}


class Gate:
    """Where a handler asks what to do, while the test looks at what it holds up."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.port = self._listener.getsockname()[1]

    def accept(self):
        """Wait for a handler."""
        return Held(self._listener.accept()[0])

    def close(self):
        self._listener.close()


class Held:
    """A handler that is running."""

    def __init__(self, connection):
        connection.settimeout(TIMEOUT)
        self._connection = connection
        self._lines = connection.makefile("rb")
        self.pid = int(self._lines.readline())

    def let(self, outcome):
        """Tell it to answer with a status, or to raise."""
        self._connection.sendall(b"%s\n" % str(outcome).encode())
        self.close()

    def wait_for_end(self):
        """Wait until its side of the connection is closed."""
        assert self._lines.readline() == b""
        self.close()

    def close(self):
        self._lines.close()
        self._connection.close()


class Request:
    """One captured delivery: it is sent as it is, as often as one likes."""

    def __init__(self, path="/port", gate=None):
        self.name = uuid.uuid4().hex
        order = {"id": self.name}
        if gate is not None:
            order["gate"] = gate.port
        self.body = json.dumps(order).encode()
        self.headers = sign(self.body, SECRET, timestamp=NOW)
        delivery = verifier_without_store().verify(self.body, self.headers)
        self.redis_name = DEFAULT_PREFIX + delivery.replay_key
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines])
        self.raw = head.encode() + b"\r\n\r\n" + self.body


def verifier_without_store():
    return Verifier(SECRET, clock=lambda: NOW)


class World:
    """A server under test, what it wrote, and its Redis."""

    def __init__(self, port, redis_server, folder):
        self.port = port
        self.redis_server = redis_server
        self.redis = redis_server.client
        self._folder = folder

    def open(self, request):
        """Send *request* over a connection of its own, and do not wait."""
        connection = harness.Connection(self.port)
        connection.send([request.raw])
        return connection

    def send(self, request):
        connection = self.open(request)
        answer = connection.read("POST")
        connection.close()
        assert answer is not None
        return answer

    def get(self, connection):
        """Ask for something that is not protected."""
        connection.send([b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"])
        answer = connection.read("GET")
        assert answer is not None
        assert (answer.status, answer.body) == (200, HANDLED)
        return answer

    def runs(self, request):
        return self._read("runs").count(request.name)

    def log(self):
        # The clients here wait long on purpose, and are told so when they are made.
        return [line for line in self._read("log") if "store_timeout" not in line]

    def _read(self, name):
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []

    def advance(self, request, seconds):
        """Let time pass for the claim of *request*."""
        left = self.redis.pttl(request.redis_name)
        assert left > 0
        self.redis.pexpire(request.redis_name, left - round(seconds * 1000))

    @contextlib.contextmanager
    def redis_down(self):
        self.redis_server.stop()
        try:
            yield
        finally:
            self.redis_server.start()


@pytest.fixture(scope="module")
def own_redis():
    """A Redis that is stopped and started here, and disturbs nobody else."""
    try:
        server = servers.RedisServer()
    except servers.UnavailableError as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(scope="module")
def silent():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


@pytest.fixture(scope="module")
def held():
    """A Redis that is played by the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        yield listener


def _start(name, own_redis, silent, held, folder):
    kind, *arguments = SERVERS[name]
    pair = harness.Pair(
        harness.App("replay", kind, (), parses_forms=False),
        harness.Server(name, kind, tuple(arguments)),
    )
    if pair.missing:
        pytest.skip(f"not installed: {', '.join(pair.missing)}")
    config = {
        "redis": own_redis.connection,
        "silent": silent.getsockname()[1],
        "held": held.getsockname()[1],
        "folder": str(folder),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(replay_app.CONFIG, json.dumps(config))
        running = harness.start(pair)
    yield World(running.port, own_redis, folder)
    running.stop()


@pytest.fixture(scope="module")
def gunicorn(own_redis, silent, held, tmp_path_factory):
    """Two worker processes with eight threads each."""
    if sys.platform == "win32":
        pytest.skip("gunicorn needs fork")
    yield from _start(
        "gunicorn", own_redis, silent, held, tmp_path_factory.mktemp("wsgi")
    )


@pytest.fixture(scope="module")
def uvicorn(own_redis, silent, held, tmp_path_factory):
    yield from _start(
        "uvicorn", own_redis, silent, held, tmp_path_factory.mktemp("asgi")
    )


@pytest.fixture(params=SERVERS)
def world(request):
    """Either server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def gate():
    opened = Gate()
    yield opened
    opened.close()


@contextlib.contextmanager
def suspended(pid):
    """Keep a worker from accepting connections."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def spread(world, stack, number):
    """Open *number* connections to each of the two workers."""

    def connect():
        connection = harness.Connection(world.port)
        stack.callback(connection.close)
        return connection, int(world.get(connection).headers["x-worker"])

    _, first = connect()
    with suspended(first):
        found = [connect() for _ in range(number)]
    (other,) = {pid for _, pid in found}
    with suspended(other):
        found += [connect() for _ in range(number)]
    assert Counter(pid for _, pid in found) == {first: number, other: number}
    return [connection for connection, _ in found]


def test_of_ten_thousand_replays_two_workers_run_one(gunicorn):
    request = Request()
    logged = len(gunicorn.log())

    def replay(connection):
        answers: Counter[Any] = Counter()
        for _ in range(625):
            connection.send([request.raw])
            answer = connection.read("POST")
            answers[answer and (answer.status, answer.body)] += 1
        return answers

    with contextlib.ExitStack() as stack:
        connections = spread(gunicorn, stack, 8)
        with ThreadPoolExecutor(16) as pool:
            answers = sum(pool.map(replay, connections), Counter[Any]())

    assert gunicorn.runs(request) == 1
    assert answers.total() == 10_000
    assert answers.pop((200, HANDLED)) == 1
    in_progress = answers.pop((409, b'{"error": "in_progress"}'), 0)
    assert answers == {(200, DUPLICATE): 9_999 - in_progress}
    assert Counter(gunicorn.log()[logged:]) == {
        "WARNING rejected duplicate_delivery": 9_999 - in_progress,
        **(
            {"WARNING rejected delivery_in_progress": in_progress}
            if in_progress
            else {}
        ),
    }
    # The mark outlasts the window, and is not kept for ever.
    assert 300_000 < gunicorn.redis.pttl(request.redis_name) <= 420_000


def test_the_claim_of_a_killed_worker_ends_with_its_lease_and_not_before(
    gunicorn, gate
):
    request = Request(gate=gate)
    connection = gunicorn.open(request)
    held = gate.accept()

    os.kill(held.pid, signal.SIGKILL)

    held.wait_for_end()
    assert connection.read("POST") is None
    connection.close()
    refused = gunicorn.send(request)
    assert refused.status == 409
    assert refused.headers["retry-after"] == "5"
    gunicorn.advance(request, LEASE - 60)
    assert gunicorn.send(request).status == 409
    assert gunicorn.runs(request) == 1

    gunicorn.advance(request, 60)
    connection = gunicorn.open(request)
    retry = gate.accept()
    assert retry.pid != held.pid
    retry.let(200)
    answer = connection.read("POST")
    connection.close()
    assert (answer.status, answer.body) == (200, HANDLED)
    assert gunicorn.send(request).body == DUPLICATE
    assert gunicorn.runs(request) == 2


@pytest.mark.parametrize("outcome", [500, 404, "raise"])
def test_a_handler_that_fails_lets_a_retry_run_at_once(world, gate, outcome):
    request = Request(gate=gate)
    connection = world.open(request)
    held = gate.accept()
    assert world.send(request).status == 409

    held.let(outcome)

    status = 500 if outcome == "raise" else outcome
    assert connection.read("POST").status == status
    connection.close()
    connection = world.open(request)
    gate.accept().let(201)
    assert connection.read("POST").status == 201
    connection.close()
    assert world.send(request).body == DUPLICATE
    assert world.runs(request) == 2


def test_while_redis_is_down_nothing_runs(world):
    first, second = Request(), Request()
    assert world.send(first).body == HANDLED

    with world.redis_down():
        for request in (first, second):
            answer = world.send(request)
            assert answer.status == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.body == b'{"error": "unavailable"}'

    assert world.runs(second) == 0
    assert world.send(first).body == DUPLICATE
    assert world.send(second).body == HANDLED
    assert world.runs(first) == world.runs(second) == 1


def test_failing_open_runs_without_redis_and_warns_each_time(world):
    request = Request("/open")
    logged = len(world.log())

    with world.redis_down():
        answers = [world.send(request) for _ in range(3)]

    assert [(each.status, each.body) for each in answers] == [(200, HANDLED)] * 3
    assert world.runs(request) == 3
    assert world.log()[logged:] == ["WARNING replay_failed_open claim"] * 3
    assert world.send(request).body == HANDLED
    assert world.send(request).body == DUPLICATE


def test_redis_that_dies_under_a_handler_keeps_the_request_from_counting(world, gate):
    request = Request(gate=gate)
    connection = world.open(request)
    held = gate.accept()

    with world.redis_down():
        held.let(200)
        answer = connection.read("POST")
        connection.close()

    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    # The claim was on disk; what it protects may have been done.
    assert world.send(request).status == 409
    world.advance(request, LEASE)
    connection = world.open(request)
    gate.accept().let(200)
    assert connection.read("POST").body == HANDLED
    connection.close()
    assert world.runs(request) == 2


def test_redis_that_dies_under_a_handler_is_a_warning_when_failing_open(world, gate):
    request = Request("/open", gate)
    logged = len(world.log())
    connection = world.open(request)
    held = gate.accept()

    with world.redis_down():
        held.let(200)
        answer = connection.read("POST")
        connection.close()

    assert (answer.status, answer.body) == (200, HANDLED)
    assert world.log()[logged:] == ["WARNING replay_failed_open commit"]


def test_a_silent_redis_is_given_up_after_the_socket_timeout(world):
    closed, opened = Request("/silent"), Request("/silent-open")

    answer = world.send(closed)
    assert world.send(opened).body == HANDLED

    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert world.runs(closed) == 0
    assert world.runs(opened) == 1


def test_stacked_adapters_make_one_claim_and_one_commit(world):
    pytest.importorskip("flask", reason="Flask is not installed")
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    request = Request("/stacked")
    # A connection is made, and a framework loaded, by the first request.
    world.send(Request("/stacked"))
    world.redis.config_resetstat()

    answer = world.send(request)

    assert (answer.status, answer.body) == (200, HANDLED)
    assert world.redis.info("commandstats")["cmdstat_eval"]["calls"] == 2
    assert world.send(request).body == DUPLICATE
    assert world.runs(request) == 1


class TestEventLoop:
    @pytest.mark.parametrize("path", ["/held", "/thread-held"])
    def test_others_are_served_while_a_claim_is_pending(self, uvicorn, held, path):
        request = Request(path)
        connection = uvicorn.open(request)
        other = harness.Connection(uvicorn.port)
        store, _ = held.accept()
        store.settimeout(TIMEOUT)
        assert store.recv(1)

        uvicorn.get(other)

        other.close()
        store.close()
        assert connection.read("POST").status == 503
        connection.close()
        assert uvicorn.runs(request) == 0

    def test_a_synchronous_store_serves_an_asynchronous_server(self, uvicorn, gate):
        request = Request("/thread", gate)
        connection = uvicorn.open(request)
        held = gate.accept()
        assert uvicorn.send(request).status == 409
        held.let(200)
        assert connection.read("POST").body == HANDLED
        connection.close()
        assert uvicorn.send(request).body == DUPLICATE

    @pytest.mark.parametrize("path", ["/port", "/thread"])
    def test_a_client_that_disconnects_gives_its_claim_back(self, uvicorn, gate, path):
        request = Request(path, gate)
        connection = uvicorn.open(request)
        held = gate.accept()

        connection.close()

        held.wait_for_end()
        assert uvicorn.redis.exists(request.redis_name) == 0
        connection = uvicorn.open(request)
        gate.accept().let(200)
        assert connection.read("POST").body == HANDLED
        connection.close()
        assert uvicorn.runs(request) == 2


@contextlib.asynccontextmanager
async def paused(client):
    """Keep Redis from answering a store; yield what waits until one asks."""

    async def reached():
        async with asyncio.timeout(TIMEOUT):
            while not (await client.info("clients"))["blocked_clients"]:
                pass  # each question is a turn of the loop

    await client.client_pause(60_000, all=False)
    try:
        yield reached
    finally:
        await client.client_unpause()


class TestCancellation:
    """A task of this process, on the loop of the test."""

    @pytest.fixture
    async def client(self, own_redis):
        import redis.asyncio

        async with redis.asyncio.Redis(
            **own_redis.connection, socket_timeout=TIMEOUT
        ) as client:
            yield client

    @pytest.fixture
    def receive(self, client):
        verifier = Verifier(
            SECRET, clock=lambda: NOW, replay_store=AsyncRedisReplayStore(client)
        )

        async def receive(request, handler):
            async with verifier.areceive(request.body, request.headers):
                await handler()

        return receive

    async def test_a_cancelled_handler_gives_its_claim_back(self, receive, client):
        request = Request()
        running = asyncio.Event()

        async def handler():
            running.set()
            await asyncio.Event().wait()

        async def succeed():
            pass

        task = asyncio.create_task(receive(request, handler))
        await asyncio.wait_for(running.wait(), TIMEOUT)
        with pytest.raises(DeliveryInProgressError):
            await receive(request, succeed)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await client.exists(request.redis_name) == 0
        await receive(request, succeed)
        with pytest.raises(DuplicateDeliveryError):
            await receive(request, succeed)

    async def test_a_claim_that_redis_grants_too_late_is_given_back(
        self, receive, client
    ):
        request = Request()

        async def handler():
            pytest.fail("the handler must not run")

        async with paused(client) as reached:
            task = asyncio.create_task(receive(request, handler))
            await reached()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await client.exists(request.redis_name) == 0

    @pytest.mark.parametrize("fails", [False, True])
    async def test_the_end_of_a_claim_outlives_its_task(self, receive, client, fails):
        request = Request()
        go_on = asyncio.Event()

        async def handler():
            await go_on.wait()
            if fails:
                raise ZeroDivisionError

        async def succeed():
            pass

        task = asyncio.create_task(receive(request, handler))
        async with asyncio.timeout(TIMEOUT):
            while not await client.exists(request.redis_name):
                pass  # each question is a turn of the loop

        async with paused(client) as reached:
            go_on.set()
            await reached()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        async with asyncio.timeout(TIMEOUT):
            while (await client.get(request.redis_name) or b"").startswith(b"claim:"):
                pass
        if not fails:
            with pytest.raises(DuplicateDeliveryError):
                await receive(request, succeed)
        else:
            await receive(request, succeed)


class Losing:
    """A store that loses a task of its own in one of its steps."""

    def __init__(self, step):
        self._step = step

    async def claim(self, key, owner, lease):
        return await self._do("claim", "claimed")

    async def commit(self, key, owner, ttl):
        return await self._do("commit", True)

    async def release(self, key, owner):
        return await self._do("release", True)

    async def _do(self, step, answer):
        if step == self._step:
            raise asyncio.CancelledError
        return answer


class SynchronousLosing:
    def __init__(self, step):
        self._store = Losing(step)

    def claim(self, *args):
        return asyncio.run(self._store.claim(*args))

    def commit(self, *args):
        return asyncio.run(self._store.commit(*args))

    def release(self, *args):
        return asyncio.run(self._store.release(*args))


@pytest.mark.parametrize("kind", [Losing, SynchronousLosing])
class TestStoreThatCancelsItself:
    """To the request that is a failure of the store, not its own cancellation."""

    @pytest.mark.parametrize("step", ["claim", "commit"])
    async def test_the_delivery_is_refused(self, kind, step):
        request = Request()
        verifier = Verifier(SECRET, clock=lambda: NOW, replay_store=kind(step))

        with pytest.raises(ReplayStoreError, match=f"{step} with CancelledError"):
            await verifier.averify(request.body, request.headers)

    async def test_the_error_of_the_handler_goes_through(self, kind):
        request = Request()
        verifier = Verifier(SECRET, clock=lambda: NOW, replay_store=kind("release"))

        with pytest.raises(ZeroDivisionError):
            async with verifier.areceive(request.body, request.headers):
                raise ZeroDivisionError


def test_a_synchronous_store_that_cancels_itself_refuses_too():
    request = Request()
    store = SynchronousLosing("claim")
    verifier = Verifier(SECRET, clock=lambda: NOW, replay_store=store)

    with pytest.raises(ReplayStoreError, match="claim with CancelledError"):
        verifier.verify(request.body, request.headers)
