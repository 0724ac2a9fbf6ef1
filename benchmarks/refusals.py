"""What a refusal costs: an attacker chooses how often to cause one."""

from __future__ import annotations

import json
import logging
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import in_turn, ratio
from rich.table import Table

from port_webhook import DeliveryError, Verifier, sign

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
BODY = json.dumps({"a": "x" * 1000}, separators=(",", ":")).encode()
ACCEPTED = "accepted"


def refusing(verifier: Verifier, body: bytes, headers: Any) -> Callable[[], object]:
    def call() -> None:
        try:
            verifier.verify(body, headers)
        except DeliveryError:
            return
        raise AssertionError

    call()
    return call


def spaced(size: int) -> bytes:
    """Return the agent's spelling of a body of about *size* bytes."""
    return json.dumps({"k": ["v"] * (size // 5)}).encode()


def report() -> list[Table]:
    """Measure each kind of refusal with the log record that it writes."""
    logger = logging.getLogger("port_webhook")
    # A handler that takes the record and drops it: what writing costs is its own.
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    verifier, agent = Verifier(SECRET), Verifier(SECRET, agent=True)
    valid = sign(BODY, SECRET)
    stale = sign(BODY, SECRET, timestamp=1_713_277_889)
    calls: dict[str, Callable[[], object]] = {
        ACCEPTED: lambda: verifier.verify(BODY, valid),
        "no headers": refusing(verifier, BODY, {}),
        "malformed": refusing(verifier, BODY, {**valid, "x-port-signature": "v1,"}),
        "stale": refusing(verifier, BODY, stale),
        "another secret": refusing(verifier, BODY, sign(BODY, OTHER)),
    }
    for size in (65_536, 262_144):
        body = spaced(size)[:size]
        name = f"forged agent body, {size // 1024} KiB"
        calls[name] = refusing(agent, body, sign(body, OTHER))
    seconds = in_turn(calls)
    table = Table(
        title=f"A refusal, relative to a delivery of 1 KiB that is {ACCEPTED}",
        title_justify="left",
    )
    for column in ("request", "ratio", "time"):
        table.add_column(column, justify="left" if column == "request" else "right")
    for name, found in seconds.items():
        figure = ratio(found, seconds[ACCEPTED])
        table.add_row(name, f"{figure:.2f}", f"{median(found) * 1e6:.1f} µs")
    return [table]
