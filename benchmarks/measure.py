"""Time several functions in one run, in turn, so that all see the same machine."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# `run.py --rounds` sets it: how many rounds an ordinary comparison has. The spread of
# a comparison needs some ten.
ROUNDS = 60
ROUND_SECONDS = 0.004


def rounds(share: float = 1) -> int:
    """Return *share* of the rounds of an ordinary comparison, and at least three."""
    return max(3, round(ROUNDS * share))


def in_turn(
    contenders: Mapping[str, Callable[[], object]],
    share: float = 1,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Return the seconds per call of each contender, one figure for each round.

    They are seconds of the processor, which other processes do not lengthen. A
    contender that waits for a server needs `time.perf_counter`.
    """
    repeats: dict[str, int] = {}
    for name, call in contenders.items():
        call()
        started = clock()
        call()
        once = clock() - started
        if once < ROUND_SECONDS:
            started = clock()
            for _ in range(20):
                call()
            once = (clock() - started) / 20
        repeats[name] = max(1, round(ROUND_SECONDS / once))
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    gc.disable()
    try:
        for _ in range(rounds(share)):
            for name, call in contenders.items():
                started = clock()
                for _ in range(repeats[name]):
                    call()
                seconds[name].append((clock() - started) / repeats[name])
    finally:
        gc.enable()
    return seconds


def ratios(numerator: list[float], denominator: list[float]) -> list[float]:
    """Return the ratio of each round."""
    pairs = zip(numerator, denominator, strict=True)
    return [above / below for above, below in pairs]


def spread(figures: list[float], form: str = ".2f") -> str:
    """Print the median, and in brackets the quartiles."""
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive")
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def ratio(numerator: list[float], denominator: list[float]) -> str:
    """Print the median of the ratios, round by round, and the quartiles."""
    return spread(ratios(numerator, denominator))


def duration(seconds: list[float]) -> str:
    """Print the median of *seconds* with a unit that suits it."""
    middle = statistics.median(seconds)
    unit, factor = ("µs", 1e6) if middle < 1e-3 else ("ms", 1e3)
    figure = middle * factor
    return f"{figure:.3g} {unit}" if figure < 1000 else f"{figure:.0f} {unit}"


def peak(call: Callable[[], object]) -> int:
    """Return the most bytes that *call* held allocated in Python's memory."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
