"""One world for each store: the store, its time, and the ways in which it fails."""

from __future__ import annotations

import contextlib
import multiprocessing
import runpy
import socket
import sqlite3
import sys
import uuid
from typing import TYPE_CHECKING, Any

from . import stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .servers import DynamoDBServer, PostgresServer, RedisServer

# Libraries are loaded once, by the process that forks the racers.
if sys.platform == "win32":
    _context: Any = multiprocessing.get_context("spawn")
else:
    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["boto3", "django.db", "redis.asyncio", "psycopg"])

# Seconds until a client gives up on a server that does not answer.
SLOW = 0.02


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A store whose expiry follows a clock that is passed in."""

    spec: dict[str, Any]

    def __init__(self) -> None:
        self.clock = Clock()
        self._closing: list[Callable[[], None]] = []

    def open(self) -> None:
        self.store = self.build(self.spec)

    def build(self, spec: dict[str, Any]) -> Any:
        store, close = stores.build(spec, self.clock)
        self._closing.append(close)
        return store

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def leave_thread(self) -> None:
        """Give back what a thread that used the store holds."""

    def restart(self) -> None:
        """Stop the server, and start it again."""

    def close(self) -> None:
        for close in reversed(self._closing):
            close()

    def unreachable(self) -> Any:
        """Return a store whose server is not there."""
        raise NotImplementedError

    def silent(self) -> contextlib.AbstractContextManager[Any]:
        """Yield a store whose server does not answer, with short timeouts."""
        raise NotImplementedError

    def full(self) -> contextlib.AbstractContextManager[Any]:
        """Yield a store that has room for few keys more, or for none."""
        raise NotImplementedError

    def race(self, processes: int) -> list[int]:
        """Return how many of several processes won each key.

        They meet before each key, so that each is contested.
        """
        with contextlib.ExitStack() as stack:
            pipes = []
            for number in range(processes):
                ours, theirs = _context.Pipe()
                # By its path: what the tests are called as modules depends on pytest.
                arguments = {"arguments": (self.spec, f"racer {number}", theirs)}
                racer = _context.Process(
                    target=runpy.run_path, args=(stores.__file__, arguments, "racer")
                )
                racer.start()
                # Then the end of the racer is the end of the pipe.
                theirs.close()
                stack.callback(racer.join)
                stack.enter_context(ours)
                pipes.append(ours)
            assert [pipe.recv() for pipe in pipes] == ["ready"] * processes
            wins = []
            for _ in stores.RACE_KEYS:
                for pipe in pipes:
                    pipe.send("go")
                wins.append(sum(pipe.recv() for pipe in pipes))
            return wins


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that accepts connections, in the kernel, and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


class MemoryWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self.spec = {"kind": "memory", "max_keys": 600}

    @contextlib.contextmanager
    def full(self) -> Iterator[Any]:
        yield self.store


class RedisWorld(World):
    """Redis expires keys by its own clock, which nobody can set.

    Time passes here by shortening what each key has left to live; a remainder of
    zero or less makes Redis remove the key at once, as it would have later.
    """

    def __init__(self, server: RedisServer, kind: str, **options: Any) -> None:
        super().__init__()
        self._server = server
        self._prefix = f"{uuid.uuid4().hex}:"
        self.spec = {
            "kind": kind,
            "connection": server.connection,
            "prefix": self._prefix,
            **options,
        }

    def advance(self, seconds: float) -> None:
        client = self._server.client
        for key in client.scan_iter(f"{self._prefix}*"):
            client.pexpire(key, client.pttl(key) - round(seconds * 1000))

    def restart(self) -> None:
        self._server.restart()

    def unreachable(self) -> Any:
        # The port was free a moment ago, and is left alone.
        with black_hole() as port:
            pass
        return self._build_on_port(port)

    @contextlib.contextmanager
    def silent(self) -> Iterator[Any]:
        with black_hole() as port:
            yield self._build_on_port(port)

    def _build_on_port(self, port: int) -> Any:
        connection = {"host": "127.0.0.1", "port": port}
        # A cluster's client connects when it is made; what it does later is the same.
        kind = self.spec["kind"].replace("-cluster", "")
        spec = {**self.spec, "kind": kind, "connection": connection, "timeout": SLOW}
        return self.build(spec)

    @contextlib.contextmanager
    def full(self) -> Iterator[Any]:
        # The default policy, noeviction.
        self._server.client.config_set("maxmemory", 1)
        yield self.store
        self._server.client.config_set("maxmemory", 0)


class DjangoWorld(World):
    def open(self) -> None:
        super().open()
        from django.core.management import call_command

        call_command("migrate", database=self.spec["alias"], verbosity=0)
        self.rows.delete()

    @property
    def rows(self) -> Any:
        from port_webhook.replay.django.models import ReplayClaim

        return ReplayClaim.objects.using(self.spec["alias"]).all()

    @property
    def connection(self) -> Any:
        from django.db import connections

        return connections[self.spec["alias"]]

    def leave_thread(self) -> None:
        self.connection.close()

    def _build_other(self, **changes: Any) -> Any:
        """Build a store on the same database with other options of connection."""
        database = {**self.spec["database"], **changes}
        alias = f"{self.spec['alias']}-{uuid.uuid4().hex}"
        return self.build({"kind": "django", "alias": alias, "database": database})


class SQLiteWorld(DjangoWorld):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "replay.sqlite3"
        # In a write-ahead log and without waiting for the disk: for speed alone.
        pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
        self.spec = {
            "kind": "django",
            "alias": f"sqlite-{uuid.uuid4().hex}",
            "database": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(self._path),
                "OPTIONS": {"timeout": 60, "init_command": pragmas},
            },
        }

    def restart(self) -> None:
        # There is no server; the process that uses the file ends and starts.
        self.connection.close()

    def unreachable(self) -> Any:
        return self._build_other(NAME=str(self._path / "no-folder"))

    @contextlib.contextmanager
    def silent(self) -> Iterator[Any]:
        other = sqlite3.connect(self._path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield self._build_other(OPTIONS={"timeout": SLOW})
        other.close()

    @contextlib.contextmanager
    def full(self) -> Iterator[Any]:
        # The limit is never below the pages that exist, and these have some room left.
        yield self._build_other(OPTIONS={"init_command": "PRAGMA max_page_count = 1"})


class PostgresWorld(DjangoWorld):
    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        self._server = server
        database = {**server.database}
        self.spec = {"kind": "django", "alias": "replay-pg", "database": database}

    def restart(self) -> None:
        self._server.restart()

    def unreachable(self) -> Any:
        return self._build_other(HOST=self.spec["database"]["HOST"] + "/no-folder")

    @contextlib.contextmanager
    def silent(self) -> Iterator[Any]:
        import psycopg

        database = self.spec["database"]
        bounded = f"-c statement_timeout={round(SLOW * 1000)}"
        with psycopg.connect(
            host=database["HOST"], user=database["USER"], dbname=database["NAME"]
        ) as other:
            other.execute("LOCK TABLE port_webhook_replay_replayclaim")
            yield self._build_other(OPTIONS={"options": bounded})
            other.rollback()

    @contextlib.contextmanager
    def full(self) -> Iterator[Any]:
        # Hosted databases turn read-only when their disk is full.
        options = "-c default_transaction_read_only=on"
        yield self._build_other(OPTIONS={"options": options})


class DynamoDBWorld(World):
    def __init__(self, server: DynamoDBServer) -> None:
        super().__init__()
        self._server = server
        self.spec = {
            "kind": "dynamodb",
            "endpoint": server.endpoint,
            "table": f"replay-{uuid.uuid4().hex}",
        }

    def open(self) -> None:
        from port_webhook.replay.dynamodb import create_table

        self.client = stores.make_dynamodb_client(self.spec)
        create_table(self.client, self.spec["table"])
        self._closing.append(self.client.close)
        super().open()

    def restart(self) -> None:
        self._server.restart()

    def unreachable(self) -> Any:
        with black_hole() as port:
            pass
        return self._build_on_port(port)

    @contextlib.contextmanager
    def silent(self) -> Iterator[Any]:
        with black_hole() as port:
            yield self._build_on_port(port)

    def _build_on_port(self, port: int) -> Any:
        endpoint = f"http://127.0.0.1:{port}"
        return self.build({**self.spec, "endpoint": endpoint, "timeout": SLOW})


class MockedDynamoDBWorld(World):
    """moto in this process, without a server: for tests of single steps."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = {"kind": "dynamodb", "endpoint": None, "table": "replay"}

    def open(self) -> None:
        from moto import mock_aws
        from moto.core.models import patch_client

        from port_webhook.replay.dynamodb import DynamoDBReplayStore, create_table

        mocked = mock_aws()
        mocked.start()
        self._closing.append(mocked.stop)
        self.client = stores.make_dynamodb_client(self.spec)
        self._closing.append(self.client.close)
        # The session may be older than moto's import, and know nothing of it.
        patch_client(self.client)
        create_table(self.client, self.spec["table"])
        self.store = DynamoDBReplayStore(
            self.client, self.spec["table"], clock=self.clock
        )
