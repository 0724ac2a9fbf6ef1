"""Soak real web servers with failing stores, killed workers and jumping clocks.

``python faults/soak.py`` runs every pair of a web server and a store; see README.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "src")]

from checks import Findings, check  # noqa: E402  # as a script
from proxy import Proxy  # noqa: E402
from sender import Answer, Connection, Run, make_run  # noqa: E402
from services import SERVERS, Service, Usage, Workers  # noqa: E402
from stores import STORES, Store, UnavailableError  # noqa: E402

SENDERS = 8
BATCH = 40
SHORT = 10
LIMIT = 120.0
# A mark lasts six minutes; a duplicate is sent well before its end.
MARKED = 200.0
# How much a worker may grow after warm-up: KiB, and file descriptors (a connection of
# each sender, and of each thread to the store).
MEMORY = 4096
FILES = 2 * SENDERS

PROXIED = ("late", "hold", "cut", "garble", "refuse")
# What is done to the store itself, to the clock, and to the workers.
DIRECT = ("freeze", "die", "clock-ahead", "clock-behind")
KILLS = ("kill", "term")
APPS = {
    ("gunicorn-sync", "redis"): "flask",
    ("gunicorn-gthread", "redis"): "wsgi",
    ("waitress", "redis"): "flask",
    ("uvicorn", "redis"): "fastapi",
    ("hypercorn", "redis"): "asgi",
}
PAIRS = [
    *((server, store) for server in SERVERS for store in ("redis", "postgresql")),
    ("gunicorn-gthread", "valkey"),
    ("uvicorn", "valkey"),
    ("gunicorn-gthread", "mariadb"),
    ("uvicorn", "mariadb"),
]


@dataclass
class Report:
    """What one pair of a server and a store came to."""

    server: str
    store: str
    app: str
    store_version: str
    seed: int
    requests: int = 0
    runs: int = 0
    seconds: float = 0.0
    batches: Counter[str] = field(default_factory=Counter)
    proxied: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    warm: list[Usage] = field(default_factory=list)
    middle: list[Usage] = field(default_factory=list)
    last: list[Usage] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    def growth(self, what: str) -> int | None:
        """Return the most that a worker which lived from warm-up on has grown."""
        before = {each.pid: getattr(each, what) for each in self.warm}
        grown = [
            getattr(each, what) - before[each.pid]
            for each in self.last
            if each.pid in before
        ]
        return max(grown, default=None)


class Soak:
    """One web server before one store."""

    def __init__(
        self, server: str, store: Store, *, requests: int, seed: int, size: int = BATCH
    ) -> None:
        kind = "redis" if store.kind == "redis" else "django"
        app = APPS[server, "redis"] if kind == "redis" else "django"
        self.report = Report(server, store.name, app, store.version, seed)
        self.folder = Path(tempfile.mkdtemp(prefix="pw-soak-"))
        self._requests = requests
        self._size = size
        self._chance = random.Random(f"{server} {store.name} {seed}")  # noqa: S311  # repeatable
        self._set_clock(0)
        self._store = store
        store.start()
        with_proxy = Proxy(store.socket, kind, seed)
        self._proxy = with_proxy
        self.workers = Workers(self.folder)
        self._local = threading.local()
        options = {**store.options(with_proxy.port), "app": app}
        self.service = Service(server, self.folder, options)
        if kind == "django":
            self._await_database()
            self.service.migrate()
        store.await_up()
        self.runs: list[Run] = []
        self._pool = ThreadPoolExecutor(SENDERS)
        self.service.start()
        self._await_server()

    def _await_database(self) -> None:
        """Wait until it takes connections; its table is not there yet."""
        connect: Any = getattr(self._store, "connect")  # noqa: B009  # of a Database only
        pause = threading.Event()
        for _ in range(2400):
            try:
                connect().close()
            except Exception:
                pause.wait(0.05)
            else:
                return
        raise TimeoutError

    def _set_clock(self, seconds: float) -> None:
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "clock")

    def _await_server(self) -> None:
        pause = threading.Event()
        for _ in range(2400):
            if Connection(self.service.port).ask("/health"):
                return
            pause.wait(0.05)
        raise TimeoutError

    # Sending.

    def _connection(self) -> Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = Connection(self.service.port)
        connection: Connection = self._local.connection
        return connection

    def _send(self, run: Run, *, gone: str = "", copy: bool = False) -> Answer:
        return self._connection().send(run, gone=gone, copy=copy)

    def _deliver(self, run: Run) -> None:
        """Send a run in its manner, and some once more if they were refused."""
        gone = run.manner if run.manner in {"gone", "torn"} else ""
        answer = self._send(run, gone=gone)
        if answer.status != 200 and run.name.endswith(tuple("02468")):
            self._send(run)

    def _deliver_all(self, runs: list[Run], copies: list[Run]) -> None:
        jobs: list[Future[Any]] = [
            self._pool.submit(self._deliver, run) for run in runs
        ]
        # Copies of one run follow each other, and so are handled at the same time.
        for run in runs:
            if run.manner == "copies":
                jobs += [self._pool.submit(self._send, run) for _ in range(2)]
        jobs += [self._pool.submit(self._send, run, copy=True) for run in copies]
        for job in jobs:
            job.result()

    # Batches.

    def _make_runs(self, count: int, *, dying: bool) -> list[Run]:
        chance = self._chance
        deeds = ["work"] * 20 + ["fail", "raise"]
        if dying:
            deeds += ["die-before", "die-after"]
        manners = ["once"] * 16 + ["copies"] * 4 + ["gone", "torn"]
        manners += ["forged", "stale", "bare"]
        return [
            make_run(
                chance,
                deed=chance.choice(deeds),
                manner=chance.choice(manners),
                name=chance.choice(["KILL", "TERM"]),
            )
            for _ in range(count)
        ]

    def _choose_copies(self, count: int) -> list[Run]:
        old = [
            run
            for run in self.runs[-2000:]
            if run.is_settled and time.time() - run.signed_at < MARKED
        ]
        return self._chance.sample(old, min(count, len(old)))

    def batch(self, fault: str, size: int = 0) -> None:
        """Send requests while *fault* lasts, lift it, and settle each of them."""
        size = size or self._size
        self.report.batches[fault] += 1
        if fault in {"hold", "freeze", "late"}:
            size = 8
        runs = self._make_runs(size, dying=fault in KILLS)
        copies = self._choose_copies(size // 3)
        self._begin(fault)
        # The middle comes when a number of requests have begun, chosen by chance.
        middle = threading.Thread(target=self._go_on, args=(fault, size // 2))
        middle.start()
        try:
            self._deliver_all(runs, copies)
        finally:
            self._over.set()
            middle.join()
            self._lift(fault)
        self.runs += runs
        self._settle(runs)

    def _begin(self, fault: str) -> None:
        self._over = threading.Event()
        self._start = self.workers.begun
        self._proxy.done = 0
        if fault in PROXIED:
            self._proxy.mode = fault
        elif fault == "full":
            self._store.fill()
        elif fault == "clock-ahead":
            self._set_clock(400)
        elif fault == "clock-behind":
            self._set_clock(-120)
        elif fault in KILLS:
            name = "SIGKILL" if fault == "kill" else "SIGTERM"
            places = {self._chance.randrange(1, self._size) for _ in range(2)}
            count = 0

            def strike(event: str, pid: int) -> None:
                # In the middle of a request, or between two.
                nonlocal count
                if event in {"begin", "end"}:
                    count += 1
                    if count in places:
                        self.report.killed[name] += 1
                        self.workers.kill(pid, name)

            self.workers.on_event = strike

    def _go_on(self, fault: str, after: int) -> None:
        """Freeze or kill the store while requests are being handled, or thaw it."""
        if fault not in {"freeze", "die", "clock-ahead", "clock-behind"}:
            return
        self._await_begun(self._chance.randrange(1, after))
        if fault == "freeze":
            self._store.freeze()
            self._over.wait(1.2)  # longer than a client of Redis waits
            self._store.thaw()
        elif fault == "die":
            self._store.kill()
            self._await_begun(after)
            self._store.start()
        else:
            self._set_clock(0)

    def _await_begun(self, count: int) -> None:
        """Wait until *count* requests of the batch have begun, or it is over."""
        with self.workers.changed:
            self.workers.changed.wait_for(
                lambda: (
                    self.workers.begun - self._start >= count or self._over.is_set()
                ),
                2.0,
            )

    def _lift(self, fault: str) -> None:
        self.report.proxied[fault] += self._proxy.done
        if self._proxy.mode != "pass":
            self._proxy.mode = "pass"
            self._proxy.cut_all()
        self.workers.on_event = lambda _event, _pid: None
        self._set_clock(0)
        if fault == "full":
            self._store.empty()
        self._store.await_up()

    def _settle(self, runs: list[Run]) -> None:
        """Send each valid run until it is told 200, as a patient sender would."""
        self._recover()
        waiting = [run for run in runs if run.is_valid]
        for _ in range(40):
            waiting = [run for run in waiting if not run.is_settled]
            if not waiting:
                return
            for job in [self._pool.submit(self._send, run) for run in waiting]:
                job.result()
            self._recover()
        message = f"never handled: {[run.answers for run in waiting]}"
        raise AssertionError(message)

    def _recover(self) -> None:
        """Wait until all is well and nothing runs; then the leases of the dead end."""
        self._await_server()
        self.workers.await_idle()
        self._store.await_up()
        self._store.end_leases()

    # The whole.

    def _count(self) -> int:
        return sum(len(run.answers) for run in self.runs)

    def run(self) -> Report:
        """Run all batches; the workers are killed in the last third only."""
        began = time.monotonic()
        steady = [*PROXIED, *DIRECT, *self._store.faults]
        self.batch("none")
        for fault in self._chance.sample(steady, len(steady)):
            self.batch(fault, self._size // 2)
        self.batch("none", 2 * self._size)
        self.report.warm = self.workers.measure()
        self._repeat(["none", *steady], 0.45)
        self.report.middle = self.workers.measure()
        self._repeat(["none", *steady], 0.7)
        self.batch("none", 2 * self._size)
        self.report.last = self.workers.measure()
        self._repeat(["none", *KILLS, *KILLS, *KILLS, *steady], 1.0)
        self.batch("none")
        return self._end(began)

    def run_short(self) -> Report:
        """Run one small batch of each fault that does not wait for time to pass."""
        began = time.monotonic()
        faults = [*PROXIED, *DIRECT, *self._store.faults, *KILLS]
        for fault in ("none", *faults, "none"):
            if fault not in {"late", "freeze"}:
                self.batch(fault)
        return self._end(began)

    def _end(self, began: float) -> Report:
        self.report.seconds = round(time.monotonic() - began, 1)
        self.report.requests = self._count()
        self.report.runs = len(self.runs)
        self.report.findings = check(self.folder, self.runs, self.workers.killed)
        for what, most in (("rss", MEMORY), ("files", FILES)):
            grown = self.report.growth(what)
            if grown is not None and grown > most:
                self.report.findings.wrong.append(f"{what} grew by {grown}")
        return self.report

    def _repeat(self, faults: list[str], until: float) -> None:
        """Run all of *faults*, at least once, until so much of the soak is done."""
        while True:
            for fault in self._chance.sample(faults, len(faults)):
                self.batch(fault)
            if self._count() >= until * self._requests:
                return

    def close(self) -> None:
        self._pool.shutdown()
        self.service.close()
        self.workers.close()
        self._proxy.close()
        self._store.close()

    def remove(self) -> None:
        """Remove what was written down; kept where something was found."""
        shutil.rmtree(self.folder)


def soak(
    server: str, name: str, *, requests: int, seed: int, size: int, short: bool
) -> Report:
    store = STORES[name]()
    try:
        one = Soak(
            server, store, requests=requests, seed=seed, size=SHORT if short else size
        )
    except BaseException:
        store.close()
        raise
    try:
        report = one.run_short() if short else one.run()
    except BaseException:
        print("kept:", one.folder, file=sys.stderr)
        raise
    finally:
        one.close()
    if report.findings.wrong:
        print("kept:", one.folder, file=sys.stderr)
    else:
        one.remove()
    return report


def describe(report: Report) -> dict[str, Any]:
    """Return a report as JSON; of memory and files, the most that a worker held."""
    points = (report.warm, report.middle, report.last)
    found = {**vars(report), "findings": vars(report.findings)}
    for name in ("warm", "middle", "last"):
        del found[name]
    before, after = (sum(each.served for each in usages) for usages in points[::2])
    return {
        **found,
        "rss_kib": [max((each.rss for each in point), default=0) for point in points],
        "files": [max((each.files for each in point), default=0) for point in points],
        "rss_growth_kib": report.growth("rss"),
        "files_growth": report.growth("files"),
        "served_between": after - before,
    }


def versions() -> dict[str, str]:
    names = ["port-webhook", "gunicorn", "uvicorn", "hypercorn", "waitress"]
    names += ["flask", "fastapi", "django", "redis", "psycopg"]
    found = {name: version(name) for name in names}
    return {"python": platform.python_version(), **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=SERVERS, action="append")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--requests", type=int, default=2500, help="for each pair")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=BATCH, help="requests in each")
    parser.add_argument("--short", action="store_true", help="each fault once")
    parser.add_argument("--out", type=Path, help="append each report as a line")
    options = parser.parse_args()
    print(json.dumps(versions()), flush=True)
    wrong = 0
    for server, store in PAIRS:
        if options.server and server not in options.server:
            continue
        if options.store and store not in options.store:
            continue
        try:
            report = soak(
                server,
                store,
                requests=options.requests,
                seed=options.seed,
                size=options.batch,
                short=options.short,
            )
        except UnavailableError as reason:
            print(f"{server} {store}: skipped, {reason}", flush=True)
            continue
        line = json.dumps(describe(report))
        print(line, flush=True)
        if options.out is not None:
            with options.out.open("a") as out:
                out.write(line + "\n")
        wrong += len(report.findings.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
