"""The web servers, kept running; and what their workers say of themselves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
LIMIT = 120.0

_GUNICORN = ("gunicorn", "--workers=2", "--log-level=critical", "--bind=fd://{fd}")
# The module and its arguments, and how many processes of it. gunicorn and uvicorn start
# a new worker for one that ends; of the others the whole process is started anew.
SERVERS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "gunicorn-sync": ("wsgi", 1, (*_GUNICORN, "app:wsgi()")),
    "gunicorn-gthread": (
        "wsgi",
        1,
        (*_GUNICORN, "--worker-class=gthread", "--threads=4", "app:wsgi()"),
    ),
    "waitress": (
        "wsgi",
        1,
        ("waitress", "--listen=127.0.0.1:{port}", "--threads=4", "--call", "app:wsgi"),
    ),
    "uvicorn": (
        "asgi",
        1,
        (
            "uvicorn",
            "--fd={fd}",
            "--workers=2",
            "--log-level=critical",
            "--factory",
            "app:asgi",
        ),
    ),
    "hypercorn": (
        "asgi",
        2,
        ("hypercorn", "--bind=fd://{fd}", "--log-level=CRITICAL", "app:asgi()"),
    ),
}


@dataclass
class Usage:
    """What a worker's process holds.

    Attributes:
        served: How many requests it has handled until then.
        rss: Its resident memory, in KiB.
        files: Its open file descriptors.
    """

    pid: int
    served: int
    rss: int
    files: int


class Workers:
    """Listens to the workers: who lives, and which requests are being handled.

    Attributes:
        changed: Notified after each event; holds the lock of everything here.
        on_event: Called with an event's name, process and request.
    """

    def __init__(self, folder: Path) -> None:
        self.changed = threading.Condition()
        self.alive: set[int] = set()
        self.seen: set[int] = set()
        self.killed: dict[int, str] = {}
        self.running: dict[str, int] = {}
        self.served: Counter[int] = Counter()
        self.begun = 0
        self.on_event: Callable[[str, int], None] = lambda _event, _pid: None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "events"))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                said = self._socket.recv(4096).decode()
            except OSError:
                return
            if said == "stop":
                return
            event, pid, request = said.split(" ")
            self._note(event, int(pid), request)
            self.on_event(event, int(pid))

    def _note(self, event: str, pid: int, request: str) -> None:
        with self.changed:
            if pid not in self.seen:
                self._watch(pid)
            if event == "begin":
                self.begun += 1
                # What a worker said may be read after its end.
                if pid in self.alive:
                    self.running[request] = pid
            elif event == "end":
                self.running.pop(request, None)
                self.served[pid] += 1
            self.changed.notify_all()

    def _watch(self, pid: int) -> None:
        self.seen.add(pid)
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self.alive.add(pid)
        threading.Thread(
            target=self._await_end, args=(pid, handle), daemon=True
        ).start()

    def _await_end(self, pid: int, handle: int) -> None:
        import select

        select.select([handle], [], [])
        os.close(handle)
        with self.changed:
            self.alive.discard(pid)
            for request in [name for name, its in self.running.items() if its == pid]:
                del self.running[request]
            self.changed.notify_all()

    def kill(self, pid: int, name: str) -> None:
        """Send a signal, and remember it."""
        self.killed[pid] = name
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, name))

    def await_idle(self) -> None:
        """Wait until no request is being handled."""
        with self.changed:
            if not self.changed.wait_for(lambda: not self.running, LIMIT):
                message = f"still running: {self.running}"
                raise TimeoutError(message)

    def measure(self) -> list[Usage]:
        """Return what each living worker holds."""
        found: list[Usage] = []
        with self.changed:
            pids = sorted(self.alive)
        for pid in pids:
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                line = next(each for each in status.splitlines() if "VmRSS" in each)
                files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # a count
                found.append(Usage(pid, self.served[pid], int(line.split()[1]), files))
        return found

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"stop", self._socket.getsockname())
        self._socket.close()


class Service:
    """A web server on a port that stays the same."""

    def __init__(self, name: str, folder: Path, settings: dict[str, Any]) -> None:
        self.interface, self._count, self._arguments = SERVERS[name]
        self._folder = folder
        self._listener: socket.socket | None = None
        probe = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = probe.getsockname()[1]
        if any("{fd}" in each for each in self._arguments):
            # Connections wait here while a worker is started anew.
            self._listener = probe
            probe.set_inheritable(True)
        else:
            probe.close()
        path = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
        self._environ = {
            **os.environ,
            "HOME": str(folder),
            CONFIG: json.dumps({**settings, "folder": str(folder)}),
            "PYTHONPATH": os.pathsep.join(path),
        }
        self._stopping = False
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._log = (folder / "server.log").open("ab")

    def migrate(self) -> None:
        subprocess.run(
            [sys.executable, str(HERE / "app.py")],
            check=True,
            env=self._environ,
            stdout=self._log,
            stderr=self._log,
        )

    def start(self) -> None:
        for place in range(self._count):
            thread = threading.Thread(target=self._keep, args=(place,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _keep(self, place: int) -> None:
        """Run one process, and another whenever it ends."""
        handles = () if self._listener is None else (self._listener.fileno(),)
        names = {"port": self.port, "fd": handles[0] if handles else ""}
        arguments = [each.format(**names) for each in self._arguments]
        while not self._stopping:
            self._processes[place] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=handles,
                start_new_session=True,
            )
            self._processes[place].wait()

    def close(self) -> None:
        self._stopping = True
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join(LIMIT)
        if self._listener is not None:
            self._listener.close()
        self._log.close()
