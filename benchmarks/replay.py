"""A verification that is claimed and committed, for each store that runs here.

From the same figures comes a model of one Redis, one PostgreSQL and one DynamoDB table
that serve more machines than this one.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import tracemalloc
from statistics import median
from typing import TYPE_CHECKING

import stores
from measure import duration, in_turn, ratio, rounds
from tables import Table

from port_webhook import Verifier, sign
from port_webhook.replay.memory import MemoryReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from port_webhook.replay import ReplayStore

SECRET = "0123456789abcdef0123456789abcdef"
BODY = b'{"context":{"runId":"r_1"},"a":"' + b"x" * 968 + b'"}'
OWNER = "0123456789abcdef0123456789abcdef"
ALONE = "without a store"
# Just after the store's dictionary has doubled, and well before it doubles again.
KEYS = {"least favourable": 43_700, "most favourable": 87_300}
# What Amazon documents, in write request units a second: a new table that is billed by
# request, and the quota of a table that nobody asked to raise.
NEW_TABLE, TABLE_QUOTA = 4_000, 40_000
# A round trip in the network of one data centre is assumed to take this long, in
# seconds; of DynamoDB Amazon says "single-digit milliseconds".
NETWORK = {stores.REDIS: 0.0005, stores.POSTGRES: 0.0005, stores.DYNAMODB: 0.005}

_numbers = itertools.count()


def report() -> list[Table]:
    """Measure the stores, model what they bear, and measure a key in memory."""
    with contextlib.ExitStack() as stack:
        opened = stores.open_all(stack)
        times, each, alone = _times(opened)
        return [times, *_model(opened, each, alone), _memory()]


def _deliver(store: ReplayStore) -> str:
    """Claim and commit as `receive` does, but each time for another delivery."""
    key = f"{next(_numbers):064x}"
    assert store.claim(key, OWNER, 60) == "claimed"
    assert store.commit(key, OWNER, 360)
    return key


def _times(
    opened: dict[str, stores.Served],
) -> tuple[Table, dict[str, float], float]:
    verifier = Verifier(SECRET)
    headers = sign(BODY, SECRET)

    def alone() -> object:
        return verifier.verify(BODY, headers)

    def with_store(store: ReplayStore) -> Callable[[], object]:
        def call() -> object:
            delivery = verifier.verify(BODY, headers)
            _deliver(store)
            return delivery

        return call

    def duplicate(store: ReplayStore) -> Callable[[], object]:
        key = _deliver(store)

        def call() -> None:
            verifier.verify(BODY, headers)
            assert store.claim(key, OWNER, 60) == "committed"

        return call

    held: dict[str, ReplayStore] = {
        "memory": MemoryReplayStore(10_000_000, single_process=True)
    }
    held |= {name: served.world.store for name, served in opened.items()}
    contenders: dict[str, Callable[[], object]] = {ALONE: alone}
    for name, store in held.items():
        contenders[name] = with_store(store)
        contenders[f"{name}, a duplicate"] = duplicate(store)
    seconds = in_turn(contenders, share=0.5, clock=time.perf_counter)
    table = Table(
        "A delivery of 1 KiB, verified, claimed and committed",
        ("store", "time, relative", "time"),
    )
    for name, each in seconds.items():
        figure = "1" if name == ALONE else ratio(each, seconds[ALONE])
        table.add(name, figure, duration(each))
    base = median(seconds[ALONE])
    return table, {name: median(seconds[name]) - base for name in opened}, base


def _model(
    opened: dict[str, stores.Served], waits: dict[str, float], alone: float
) -> Iterator[Table]:
    """Yield what a delivery costs each server, and what follows from it."""
    table = Table(
        "What a delivery costs the server of a store (claim and commit)",
        (
            *("store", "round trips", "of a duplicate", "wait here"),
            *("processor of the server", "deliveries a second, one core of it"),
        ),
        note=(
            "The wait is what the store adds to a delivery, on loopback. The last "
            "column is 1 second divided by the one before. Those of moto say nothing."
        ),
    )
    plan = Table(
        "On paper: one store, many machines",
        (
            *("store", "assumed round trip", "wait of a delivery"),
            *("deliveries a second of one synchronous worker", "bound of the store"),
        ),
    )
    for name, served in opened.items():
        if served.pid is None:
            continue
        trips, again = _round_trips(served)
        processor = _processor(served)
        label = name
        bound = f"{_round_off(1 / processor)} for each core"
        table.add(
            name,
            f"{trips:g}",
            f"{again:g}",
            duration([waits[name]]),
            *(
                ("-", "-")
                if name == stores.DYNAMODB
                else (f"{processor * 1e6:.0f} µs", _round_off(1 / processor))
            ),
        )
        wait = waits[name] + trips * NETWORK[name]
        if name == stores.DYNAMODB:
            label = "DynamoDB (as documented)"
            units, size = _write_units(served)
            bound = (
                f"{NEW_TABLE // units:,} (new table), "
                f"{TABLE_QUOTA // units:,} (default quota): "
                f"{units} write units, for an item of {size} bytes"
            )
            # moto's own time is no part of Amazon's.
            wait = trips * NETWORK[name]
        plan.add(
            label,
            f"{NETWORK[name] * 1e3:g} ms",
            f"{wait * 1e3:.1f} ms",
            _round_off(1 / (wait + alone)),
            bound,
        )
    yield table
    yield plan


def _round_off(figure: float) -> str:
    """Print two significant digits: a model has no more."""
    return f"{float(f'{figure:.2g}'):,.0f}"


def _round_trips(served: stores.Served) -> tuple[float, float]:
    """Return how often a delivery, and a duplicate, wait for the server."""
    with stores.relayed(served) as (store, relay):
        key = _deliver(store)  # connects
        before = relay.trips
        for _ in range(20):
            _deliver(store)
        delivered = (relay.trips - before) / 20
        before = relay.trips
        for _ in range(20):
            store.claim(key, OWNER, 60)
        return delivered, (relay.trips - before) / 20


def _processor(served: stores.Served) -> float:
    """Return the processor seconds that a delivery takes in the server."""
    store = served.world.store
    started, count = served.processor_seconds(), 0
    until = time.perf_counter() + 2 * rounds() / 60
    # The kernel counts in hundredths of a second.
    while time.perf_counter() < until or served.processor_seconds() - started < 0.2:
        for _ in range(50):
            _deliver(store)
        count += 50
    return (served.processor_seconds() - started) / count


def _write_units(served: stores.Served) -> tuple[int, int]:
    """Return the write request units of a delivery, and the size of its item."""
    key, world = _deliver(served.world.store), served.world
    claimed = f"{next(_numbers):064x}"
    world.store.claim(claimed, OWNER, 60)
    sizes = [
        stores.item_bytes(
            world.client.get_item(
                TableName=world.spec["table"], Key={"key": {"S": each}}
            )["Item"]
        )
        for each in (claimed, key)
    ]
    # One unit for each write of up to 1 KiB; an update counts its larger side.
    return 2 * -(-max(sizes) // 1024), max(sizes)


def _memory() -> Table:
    table = Table(
        "Bytes for each key of MemoryReplayStore", ("keys", "claimed", "committed")
    )
    for label, count in KEYS.items():
        figures = [f"{_bytes_per_key(count, committed=c):.0f}" for c in (False, True)]
        table.add(f"{count:,} ({label})", *figures)
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
        Console().print(one.for_terminal())
