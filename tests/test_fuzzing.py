"""The targets of fuzz/, with Hypothesis; ``HYPOTHESIS_PROFILE=nightly`` runs for long.

fuzz/README.md says what each target asserts, and how atheris runs the same.
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from fuzz.modules import others
from fuzz.targets import INSTRUMENTED

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "fuzz" / "kept"


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL + 1)


@pytest.fixture(scope="module", params=INSTRUMENTED)
def target(request):
    if (
        request.param == "node"
        and not import_module("fuzz.targets.node").is_available()
    ):
        pytest.skip("Node is not installed")
    return import_module(f"fuzz.targets.{request.param}")


@st.composite
def spliced(draw, seeds, words):
    """Draw a seed with a few edits, as libfuzzer makes them."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        way = draw(st.integers(0, 4))
        if way == 0:
            piece = draw(st.binary(max_size=4))
        elif way == 1:
            piece = text[start:end] * draw(st.integers(0, 3))
        elif way == 2:
            other = draw(st.sampled_from(seeds))
            first, last = sorted(draw(st.tuples(*[st.integers(0, len(other))] * 2)))
            piece = other[first:last]
        else:
            piece = draw(st.sampled_from(words))
            end = start if way == 3 else end
        text = text[:start] + piece + text[end:]
    return text


def test_atheris_instruments_what_is_named_and_no_more():
    for names in INSTRUMENTED.values():
        left_alone = others(names)
        assert "port_webhook._verifier" in left_alone
        for name in names:
            assert find_spec(name) is not None
            assert not any(each.startswith(name) for each in left_alone)


def test_seeds_hold(target):
    for seed in target.seeds():
        target.run(seed)


def test_what_was_found_once_holds(target):
    for file in sorted((KEPT / target.__name__.rpartition(".")[2]).glob("*")):
        target.run(file.read_bytes())


@given(data=st.data())
def test_whatever_is_made_of_seeds_holds(target, data):
    text = data.draw(spliced(target.seeds(), target.WORDS))
    note(f"{target.__name__}.run({text!r})")
    target.run(text)
