"""The statistics of benchmarks/timing.py, on figures that are made up."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "timing.py"


@pytest.fixture(scope="module")
def timing():
    spec = importlib.util.spec_from_file_location("timing_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def times(seed, count=4_000, *, shift=0, spread=50):
    """Make up times with the long tail of a busy machine."""
    chance = random.Random(seed)  # noqa: S311  # the same in every run
    return [
        round(chance.gauss(1_000 + shift, spread)) + (chance.random() < 0.02) * 10**6
        for _ in range(count)
    ]


def test_equal_classes_do_not_differ(timing):
    found = timing.compare(times(1), times(2))
    assert not found.differs
    assert abs(found.nanoseconds) < 10


def test_a_shift_that_the_tail_hides_is_found(timing):
    found = timing.compare(times(1), times(2, shift=20))
    assert found.differs
    assert found.t < -timing.MIN_T
    assert found.nanoseconds == pytest.approx(-20, abs=5)


def test_what_is_significant_and_too_small_does_not_count(timing):
    found = timing.compare(times(1, 100_000), times(2, 100_000, shift=2))
    assert abs(found.t) > timing.MIN_T
    assert abs(found.delta) < timing.MIN_DELTA
    assert not found.differs


def test_what_is_large_and_not_significant_does_not_count(timing):
    found = timing.compare([1, 2, 3], [2, 3, 4])
    assert found.delta < -timing.MIN_DELTA
    assert not found.differs


def test_a_class_above_every_cutoff_differs(timing):
    assert timing.compare([1, 2] * 100, [1_000, 1_001] * 100).differs


def test_times_that_are_all_equal_do_not_differ(timing):
    assert timing.welch([5, 5], [5, 5]) == (0, 0, 0)
    assert not timing.compare([5] * 100, [5] * 100).differs


def test_the_delta_counts_ties_as_half(timing):
    assert timing.cliffs_delta([1, 2], [3, 4]) == -1
    assert timing.cliffs_delta([3, 4], [1, 2]) == 1
    assert timing.cliffs_delta([1, 2], [1, 2]) == 0
    assert timing.cliffs_delta([2, 2], [1, 2]) == 0.5


@pytest.mark.parametrize(
    ("role", "differs", "status"),
    [
        ("claim", False, 0),
        ("claim", True, 1),
        ("control", True, 0),
        ("control", False, 2),
        ("null", False, 0),
        ("null", True, 2),
        ("shown", True, 0),
        ("shown", False, 0),
    ],
)
def test_the_exit_status(timing, role, differs, status):
    assert timing.status_of({timing.verdict(role, differs=differs)}) == status


def test_a_run_that_proves_nothing_is_no_leak(timing):
    assert timing.status_of({"LEAK", "MISSED"}) == 2


def test_a_wrong_byte_is_wrong_where_it_should_be(timing):
    for length in (0, 1, 16, 31):
        made = timing.with_prefix(length)
        assert len(made) == len(timing.MAC)
        assert made[:length] == timing.MAC[:length]
        assert made[length] != timing.MAC[length]


def test_every_class_of_the_script_fails_as_it_should(timing):
    # The smallest run there is: each function is called with each class of its inputs.
    for build in (
        timing.comparisons,
        timing.verification,
        timing.secret_inputs,
        timing.client_side,
    ):
        for experiment in build():
            wanted = {name for *pair, _ in experiment.pairs for name in pair}
            assert wanted <= set(experiment.classes)
            for make in experiment.classes.values():
                experiment.call(make())
