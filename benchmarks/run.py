"""Print every measurement; `make bench` runs this.

Each figure is a ratio within one run, because a machine's speed drifts and an
absolute time says little about another one.
"""

from __future__ import annotations

# The stores come before the adapters: both need Django, and only they its tables.
import adapters
import importing
import parsing
import refusals
import replay
import reporting
import verification
from rich.console import Console

console = Console(width=None if Console().is_terminal else 140)
for module in (
    *(verification, refusals, importing, parsing),
    *(replay, reporting, adapters),
):
    for table in module.report():
        console.print(table)
