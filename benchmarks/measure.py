"""Time several functions in one run, in turn, so that all see the same machine."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 60
ROUND_SECONDS = 0.004


def in_turn(contenders: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds per call of each contender, one figure for each round."""
    repeats: dict[str, int] = {}
    for name, call in contenders.items():
        started = time.perf_counter()
        for _ in range(20):
            call()
        each = (time.perf_counter() - started) / 20
        repeats[name] = max(3, round(ROUND_SECONDS / each))
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                started = time.perf_counter()
                for _ in range(repeats[name]):
                    call()
                seconds[name].append((time.perf_counter() - started) / repeats[name])
    finally:
        gc.enable()
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Return the median of the ratios, round by round."""
    pairs = zip(numerator, denominator, strict=True)
    return statistics.median(above / below for above, below in pairs)


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that *call* held allocated in Python's memory."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
