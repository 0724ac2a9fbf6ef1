"""The cost of a refusal: an attacker chooses which one, and how often."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import kafka
from measure import duration, in_turn, peak, ratio
from tables import Table

from port_webhook import DeliveryError, Verifier, sign
from port_webhook.adapters.kafka import verify_message
from port_webhook.replay.memory import MemoryReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
BODY = json.dumps({"a": "x" * 1000}, separators=(",", ":")).encode()
ACCEPTED = "accepted"


def refusing(call: Call, code: str) -> Call:
    """Return a call that swallows the refusal; the first one must be *code*."""
    codes: list[str] = []

    def refused() -> None:
        try:
            call()
        except DeliveryError as error:
            if not codes:
                codes.append(error.code)
            return
        raise AssertionError

    refused()
    assert codes == [code], codes
    return refused


def _verifying(verifier: Verifier, body: bytes, headers: Any, code: str) -> Call:
    return refusing(lambda: verifier.verify(body, headers), code)


def _small() -> dict[str, Call]:
    verifier = Verifier(SECRET)
    valid = sign(BODY, SECRET)
    stale = sign(BODY, SECRET, timestamp=1_713_277_889)
    malformed = {**valid, "x-port-signature": "v1,"}
    once = Verifier(SECRET, replay_store=MemoryReplayStore(1000, single_process=True))
    once.verify(BODY, valid)
    return {
        ACCEPTED: lambda: verifier.verify(BODY, valid),
        "no headers": _verifying(verifier, BODY, {}, "missing_header"),
        "malformed signature": _verifying(
            verifier, BODY, malformed, "malformed_header"
        ),
        "stale": _verifying(verifier, BODY, stale, "timestamp_too_old"),
        "wrong signature": _verifying(
            verifier, BODY, sign(BODY, OTHER), "signature_mismatch"
        ),
        "duplicate, store in memory": _verifying(
            once, BODY, valid, "duplicate_delivery"
        ),
    }


def _agent(size: int) -> tuple[Call, Call, Call]:
    """Return a parse, an acceptance and a refusal of the agent's spelling.

    Of the shapes that were tried, many empty texts take longest.
    """
    text = json.dumps({"k": [""] * (size // 4)})[: size - 3].rpartition(", ")[0]
    spaced = f"{text}]}}".encode()
    assert size - 8 < len(spaced) <= size
    signed = json.dumps(json.loads(spaced), separators=(",", ":"))
    agent = Verifier(SECRET, agent=True)
    genuine, forged = sign(signed, SECRET), sign(signed, OTHER)
    assert agent.verify(spaced, genuine).via == "agent"
    return (
        lambda: json.loads(spaced),
        lambda: agent.verify(spaced, genuine),
        _verifying(agent, spaced, forged, "signature_mismatch"),
    )


def _kafka(text: str) -> tuple[Call, Call]:
    """Return a parse and a refusal of a message."""
    message = text.encode()
    verifier = Verifier(SECRET)
    return (
        lambda: json.loads(message),
        refusing(lambda: verify_message(message, verifier), "signature_mismatch"),
    )


def report() -> list[Table]:
    """Measure each kind of refusal with the log record that it writes."""
    logger = logging.getLogger("port_webhook")
    # A handler that takes the record and drops it: what writing costs is its own.
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return [_measure_small(), _measure_large()]


def _measure_small() -> Table:
    seconds = in_turn(_small())
    table = Table(
        f"Refusals of a body of 1 KiB, relative to one that is {ACCEPTED}",
        ("request", "time, relative", "time"),
    )
    for name, found in seconds.items():
        figure = "1" if name == ACCEPTED else ratio(found, seconds[ACCEPTED])
        table.add(name, figure, duration(found))
    return table


def _measure_large() -> Table:
    table = Table(
        "Large forgeries, relative to json.loads of the same bytes",
        ("request", "time, relative", "time", "peak memory, in bodies"),
    )

    def add(name: str, size: int, parse: Call, **calls: Call) -> None:
        seconds = in_turn({"parse": parse, **calls}, share=0.2)
        for kind, call in calls.items():
            table.add(
                f"{name}, {kind}",
                ratio(seconds[kind], seconds["parse"]),
                duration(seconds[kind]),
                f"{peak(call) / size:.0f}",
            )

    for size in (65_536, 262_144):
        parse, accepted, refused = _agent(size)
        name = f"agent body of {size // 1024} KiB"
        add(name, size, parse, genuine=accepted, forged=refused)
    for name, text in kafka.of_one_mebibyte().items():
        parse, refused = _kafka(text)
        add(f"Kafka message of 1 MiB: {name}", 2**20, parse, forged=refused)
    return table
