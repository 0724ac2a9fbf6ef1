"""The stores' servers, as a service would run them, and what they count.

They are those of the tests, on loopback: what a network adds is not in the figures.
DynamoDB is moto's, whose time is that of Python and not of Amazon.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.replay import servers, worlds  # found by the path above

if TYPE_CHECKING:
    from collections.abc import Callable

REDIS = "Redis"
SQLITE = "Django, SQLite"
POSTGRES = "Django, PostgreSQL"
DYNAMODB = "DynamoDB (moto)"


class DurablePostgres(servers.PostgresServer):
    """PostgreSQL that waits for its disk at each commit, as it does by default."""

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c max_connections=100"
        log = str(self._folder / "server.log")
        self._call("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    @property
    def pid(self) -> int:
        return int(Path(self._data, "postmaster.pid").read_text("utf-8").split()[0])


class Served:
    """A world of the tests, with the process that serves it.

    Attributes:
        world: Builds stores.
        pid: The server, which may have children; None for SQLite, which has none.
        address: Where it listens, for `Relay`.
    """

    def __init__(self, world: worlds.World, pid: int | None, address: Any) -> None:
        self.world = world
        self.pid = pid
        self.address = address

    def processor_seconds(self) -> float:
        """Return the processor time that the server and its children have used."""
        assert self.pid is not None
        return processor_seconds(self.pid)


def open_all(stack: contextlib.ExitStack) -> dict[str, Served]:
    """Start every server that can be had here, and prepare its store."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pw-")))

    def redis() -> Served:
        server = servers.RedisServer()
        stack.callback(server.close)
        # The tests pull its plug; by default it does not wait for its disk.
        server.client.config_set("appendonly", "no")
        path = server.connection["unix_socket_path"]
        return Served(worlds.RedisWorld(server, "redis"), server._process.pid, path)

    def sqlite() -> Served:
        return Served(worlds.SQLiteWorld(folder), None, None)

    def postgres() -> Served:
        server = DurablePostgres()
        stack.callback(server.close)
        path = f"{server.database['HOST']}/.s.PGSQL.5432"
        return Served(worlds.PostgresWorld(server), server.pid, path)

    def dynamodb() -> Served:
        server = servers.DynamoDBServer()
        stack.callback(server.close)
        port = int(server.endpoint.rpartition(":")[2])
        world = worlds.DynamoDBWorld(server)
        return Served(world, server._process.pid, ("127.0.0.1", port))

    made: dict[str, Callable[[], Served]] = {
        REDIS: redis,
        SQLITE: sqlite,
        POSTGRES: postgres,
        DYNAMODB: dynamodb,
    }
    opened: dict[str, Served] = {}
    for name, make in made.items():
        with contextlib.suppress(servers.UnavailableError):
            served = make()
            stack.callback(served.world.close)
            served.world.open()
            opened[name] = served
    return opened


def processor_seconds(root: int) -> float:
    """Return the processor time of a process and of all that it started."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(entry, "stat").read_text("utf-8").rpartition(")")[2]
                words = fields.split()
                parents[int(entry.name)] = int(words[1])
                # Its own, and that of its children that have ended.
                ticks[int(entry.name)] = sum(map(int, words[11:15]))
    family = {root}
    while found := {pid for pid, of in parents.items() if of in family} - family:
        family |= found
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")


class Relay:
    """Stands between a client and a server, and counts the round trips.

    A round trip ends when the client sends again after the server has answered.
    """

    def __init__(self, address: Any, listener: socket.socket) -> None:
        self.trips = 0
        self._address = address
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                family = (
                    socket.AF_UNIX if isinstance(self._address, str) else socket.AF_INET
                )
                server = socket.socket(family, socket.SOCK_STREAM)
                server.connect(self._address)
                answered = [True]
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pass_on, args=(*pair, answered), daemon=True
                    ).start()

    def _pass_on(
        self,
        source: socket.socket,
        target: socket.socket,
        asks: bool,  # noqa: FBT001  # the direction
        answered: list[bool],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if asks and answered[0]:
                    self.trips += 1
                answered[0] = not asks
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relayed(served: Served) -> Any:
    """Yield a store that reaches its server through a relay, and the relay."""
    spec = dict(served.world.spec)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pw-"))
        if isinstance(served.address, str):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            path = f"{folder}/{Path(served.address).name}"
            listener.bind(path)
            if spec["kind"] == "redis":
                spec["connection"] = {"unix_socket_path": path}
            else:
                spec["alias"] += "-relayed"
                spec["database"] = {**spec["database"], "HOST": folder}
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            spec["endpoint"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.listen(8)
        yield served.world.build(spec), Relay(served.address, listener)


def item_bytes(item: dict[str, dict[str, str]]) -> int:
    """Return the size of a DynamoDB item by Amazon's rules.

    A name and a text count their UTF-8 bytes; a number counts one byte for two digits,
    and one more.
    """
    total = 0
    for name, value in item.items():
        [(kind, text)] = value.items()
        length = len(text.encode())
        if kind == "N":
            digits = len(re.sub(r"^0+|\D", "", text))
            length = (digits + 1) // 2 + 1
        total += len(name.encode()) + length
    return total
