"""What each delivery costs, in instructions, calls and memory: none of them is a time.

A time depends on the machine, so `make bench` measures it and nothing fails. These
figures are the same at each run. A bound has about 5 % of room over the largest figure
of Python 3.11 to 3.13.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

COUNTED = ((3, 11), (3, 12), (3, 13))

pytestmark = [
    pytest.mark.skipif(
        sys.implementation.name != "cpython",
        reason="the bytecode and the memory are those of CPython",
    ),
    pytest.mark.skipif(
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        reason="a free-threaded interpreter counts its memory in another way",
    ),
    pytest.mark.skipif(
        sys.version_info[:2] not in COUNTED,
        reason="each version has bytecode of its own; this one's was not counted yet",
    ),
]

ACCEPTED = ("accepted, 200 bytes", "accepted, 1024 bytes", "accepted, 1048576 bytes")
REFUSED = ("no headers", "malformed", "stale", "wrong signature")
# What a verification imports, and the HMAC of cryptography does not.
OWN = {
    "port_webhook",
    *(
        f"port_webhook.{name}"
        for name in (
            *("_delivery", "_signature", "_tracebacks", "_verifier", "exceptions"),
        )
    ),
}
FOREIGN = {"binascii"}


@pytest.fixture(scope="module")
def costs():
    counter = Path(__file__).with_name("cost_counter.py")
    counted = subprocess.run(
        [sys.executable, "-I", str(counter)], check=True, capture_output=True, text=True
    )
    return json.loads(counted.stdout)


def check(costs, name, figure, bound, *, what):
    """Fail, if a figure is above its bound, and say what to do."""
    found = costs[name][figure]
    assert found <= bound, (
        f"{name}: {found} {what}, and the bound is {bound}. Look at what the change "
        "adds on this path. If it is needed, measure it with `make bench`, raise the "
        "bound to 5 % over the new figure, and say why in the commit."
    )


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_delivery_takes_few_instructions(costs, name):
    check(costs, name, "instructions", 415, what="instructions of bytecode")
    check(costs, name, "call", 7, what="calls of Python functions")
    check(costs, name, "c_call", 21, what="calls of C functions")


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_takes_a_few_times_as_many(costs, name):
    # Most of them are its exception and its log record.
    check(costs, name, "instructions", 1_110, what="instructions of bytecode")
    check(costs, name, "call", 36, what="calls of Python functions")
    check(costs, name, "c_call", 58, what="calls of C functions")


def test_the_size_of_a_body_adds_no_instructions(costs):
    small, _, large = (costs[name]["instructions"] for name in ACCEPTED)
    assert large <= small + 5, "something goes through the body in Python"


def test_a_forgery_for_the_agent_takes_few_instructions_for_its_size(costs):
    small, large = (
        costs[f"forged for the agent, {size} KiB"]["instructions"] for size in (64, 256)
    )
    pieces = (256 - 64) // 8
    assert large <= small + 115 * pieces, "something goes through the forgery in Python"


@pytest.mark.parametrize("name", ACCEPTED + REFUSED)
def test_a_delivery_leaves_no_memory_behind(costs, name):
    # After 500 of them: a leak of one block in each would be 500.
    check(costs, name, "kept", 20, what="blocks of memory are kept")


def test_a_large_body_is_not_copied(costs):
    # 1 % of the body.
    check(costs, ACCEPTED[-1], "peak", 10_485, what="bytes are held at a time")


@pytest.mark.parametrize("size", [64, 256])
def test_a_forgery_for_the_agent_holds_memory_in_proportion_to_its_size(costs, size):
    name = f"forged for the agent, {size} KiB"
    check(costs, name, "peak", 7, what="times the body's size is held at a time")


def test_the_import_loads_no_other_modules(costs):
    assert set(costs["import"]["own"]) == OWN, (
        "`from port_webhook import Verifier` loads other modules than before: import "
        "what verification does not need where it is used, or change the list here"
    )
    assert set(costs["import"]["foreign"]) <= FOREIGN, (
        "`from port_webhook import Verifier` loads more of other packages than the "
        "HMAC of cryptography does: import it where it is used"
    )


def test_the_import_loads_little_bytecode(costs):
    check(costs, "import", "bytes", 105_900, what="bytes of bytecode")
