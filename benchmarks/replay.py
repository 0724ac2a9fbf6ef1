"""A verification that is claimed and committed, for each store that runs here.

The servers are those of the tests, on loopback: what a network and a disk add is not
in the figures. DynamoDB is moto's, whose time is that of Python and not of Amazon.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import in_turn, ratio
from rich.table import Table

from port_webhook import Verifier, sign
from port_webhook.replay.memory import MemoryReplayStore

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.replay import servers, worlds  # found by the path above

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ReplayStore

SECRET = "0123456789abcdef0123456789abcdef"
BODY = b'{"context":{"runId":"r_1"},"a":"' + b"x" * 968 + b'"}'
ALONE = "Verifier.verify alone"
# Just after the store's dictionary has doubled, and well before it doubles again.
KEYS = {"least favourable": 43_700, "most favourable": 87_300}


def report() -> list[Table]:
    """Measure the stores, and what a key of the memory store takes."""
    with contextlib.ExitStack() as stack:
        return [_times(_stores(stack)), _memory()]


def _times(stores: dict[str, ReplayStore]) -> Table:
    verifier = Verifier(SECRET)
    headers = sign(BODY, SECRET)

    def alone() -> object:
        return verifier.verify(BODY, headers)

    def with_store(store: ReplayStore) -> Callable[[], object]:
        numbers = itertools.count()

        def call() -> object:
            delivery = verifier.verify(BODY, headers)
            # As `receive` does, but each time as if for another delivery.
            key = f"{next(numbers):064x}"
            assert store.claim(key, "0123456789abcdef", 60) == "claimed"
            assert store.commit(key, "0123456789abcdef", 360)
            return delivery

        return call

    contenders = {ALONE: alone}
    contenders |= {name: with_store(store) for name, store in stores.items()}
    started = time.time()
    seconds = in_turn(contenders)
    table = Table(
        title=f"Time of a delivery of 1 KiB relative to {ALONE}", title_justify="left"
    )
    table.add_column("")
    table.add_column("ratio", justify="right")
    for name, each in seconds.items():
        figure = f"{ratio(each, seconds[ALONE]):.2f}"
        if name == ALONE:
            figure += f"  ({median(each) * 1e6:.1f} µs)"
        table.add_row(name, figure)
    table.caption = f"medians of interleaved rounds, {time.time() - started:.0f} s"
    return table


def _stores(stack: contextlib.ExitStack) -> dict[str, ReplayStore]:
    """Open every store whose server can be had."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pw-")))

    def serve(make: Callable[[], Any]) -> Any:
        server = make()
        stack.callback(server.close)
        return server

    def redis_world() -> worlds.World:
        server = serve(servers.RedisServer)
        # The tests pull its plug; most people run it without a sync for each write.
        server.client.config_set("appendonly", "no")
        return worlds.RedisWorld(server, "redis")

    made: dict[str, Callable[[], worlds.World]] = {
        "Redis, Unix socket": redis_world,
        "Django, SQLite": lambda: worlds.SQLiteWorld(folder),
        "Django, PostgreSQL": lambda: worlds.PostgresWorld(
            serve(servers.PostgresServer)
        ),
        "DynamoDB, moto's server": lambda: worlds.DynamoDBWorld(
            serve(servers.DynamoDBServer)
        ),
    }
    stores: dict[str, ReplayStore] = {
        "memory": MemoryReplayStore(10_000_000, single_process=True)
    }
    for name, make in made.items():
        with contextlib.suppress(servers.UnavailableError):
            world = make()
            stack.callback(world.close)
            world.open()
            stores[name] = world.store
    return stores


def _memory() -> Table:
    table = Table(
        title="Bytes per key of MemoryReplayStore (tracemalloc)", title_justify="left"
    )
    table.add_column("keys")
    table.add_column("claimed", justify="right")
    table.add_column("committed", justify="right")
    for label, count in KEYS.items():
        figures = [f"{_bytes_per_key(count, committed=c):.0f}" for c in (False, True)]
        table.add_row(f"{count} ({label})", *figures)
    return table


def _bytes_per_key(count: int, *, committed: bool) -> float:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        store = MemoryReplayStore(count, single_process=True)
        for number in range(count):
            key, owner = f"{number:064x}", f"{number:032x}"
            store.claim(key, owner, 60)
            if committed:
                store.commit(key, owner, 360)
        return (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    from rich.console import Console

    for one in report():
        Console().print(one)
