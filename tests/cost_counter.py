"""Count what a verification costs, and print it as JSON.

`test_costs.py` runs it in an interpreter of its own, where no tracer of coverage and no
other test has a part in the figures. Nothing here reads a clock.
"""

from __future__ import annotations

import gc
import json
import logging
import marshal
import sys
import tracemalloc
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]

SECRET = "the client secret of the costs' tests"
OTHER = "another secret that signs the forgeries"
KIB = 1024
REPEATS = 500


def count_instructions(call: Call) -> int:
    """Return how many instructions of bytecode *call* executes."""
    count = 0
    if sys.version_info >= (3, 12):
        monitoring = sys.monitoring
        tool, event = 4, monitoring.events.INSTRUCTION

        def on_instruction(*_: object) -> None:
            nonlocal count
            count += 1

        monitoring.use_tool_id(tool, "costs")
        monitoring.register_callback(tool, event, on_instruction)
        monitoring.set_events(tool, event)
        call()
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
        return count

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    call()
    sys.settrace(None)
    return count


def count_calls(call: Call) -> dict[str, int]:
    """Return how often *call* calls functions of Python and of C."""
    counts = {"call": 0, "c_call": 0}

    def profile(_: object, event: str, __: object) -> None:
        if event in counts:
            counts[event] += 1

    sys.setprofile(profile)
    call()
    sys.setprofile(None)
    return counts


def count_kept_blocks(call: Call) -> int:
    """Return how many blocks of memory many calls leave behind."""
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(REPEATS):
        call()
    gc.collect()
    return sys.getallocatedblocks() - before


def measure_peak(call: Call) -> int:
    """Return the most bytes that *call* holds allocated at a time."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    call()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


def measure(call: Call) -> dict[str, int]:
    # What is looked up or compiled once, and what the interpreter specialises.
    for _ in range(50):
        call()
    return {
        "instructions": count_instructions(call),
        **count_calls(call),
        "kept": count_kept_blocks(call),
        "peak": measure_peak(call),
    }


def measure_import() -> dict[str, Any]:
    """Import the package, and return what that loads beyond the HMAC it needs."""
    for name in ("hashes", "hmac"):
        import_module(f"cryptography.hazmat.primitives.{name}")
    before = set(sys.modules)
    getattr(import_module("port_webhook"), "Verifier")  # noqa: B009  # may be lazy
    loaded = set(sys.modules) - before
    own = {name for name in loaded if name.partition(".")[0] == "port_webhook"}
    size = 0
    for name in own:
        loader: Any = getattr(sys.modules[name].__spec__, "loader", None)
        size += len(marshal.dumps(loader.get_code(name)))
    return {"own": sorted(own), "bytes": size, "foreign": sorted(loaded - own)}


def measure_all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"import": measure_import()}
    from port_webhook import DeliveryError, Verifier, sign

    logging.getLogger("port_webhook").addHandler(logging.NullHandler())
    verifier, agent = Verifier(SECRET), Verifier(SECRET, agent=True)

    def accepting(body: bytes) -> Call:
        headers = sign(body, SECRET)
        return lambda: verifier.verify(body, headers)

    def refusing(body: bytes, headers: Any, judge: Verifier = verifier) -> Call:
        def call() -> None:
            with suppress(DeliveryError):
                judge.verify(body, headers)
                raise AssertionError

        return call

    for size in (200, KIB, KIB * KIB):
        found[f"accepted, {size} bytes"] = measure(accepting(b"x" * size))
    body = b"x" * KIB
    refusals = {
        "no headers": {},
        "malformed": {**sign(body, SECRET), "x-port-signature": "v1,"},
        "stale": sign(body, SECRET, timestamp=1_713_277_889),
        "wrong signature": sign(body, OTHER),
    }
    for name, headers in refusals.items():
        found[name] = measure(refusing(body, headers))
    for size in (64, 256):
        spaced = json.dumps(["v"] * (size * KIB // 5)).encode()
        forged = refusing(spaced, sign(spaced, OTHER), agent)
        forged()  # loads what only this needs
        found[f"forged for the agent, {size} KiB"] = {
            "instructions": count_instructions(forged),
            "peak": measure_peak(forged) // len(spaced),
        }
    return found


if __name__ == "__main__":
    print(json.dumps(measure_all()))  # noqa: T201  # what the test reads
