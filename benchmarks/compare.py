"""Measure the adapters' overhead here and at another commit, in turn.

    python benchmarks/compare.py 20b7f64

Each commit runs in processes of its own, from its own sources.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
ROUNDS = 2
SCRIPT = """
import sys
sys.path.insert(0, {benchmarks!r})
import adapters
for name, _, added in adapters.measure():
    print(name, added, sep="\\t")
"""


def overheads(source: Path) -> dict[str, float]:
    """Return what each adapter adds, in seconds, with the package at *source*."""
    script = SCRIPT.format(benchmarks=str(PROJECT / "benchmarks"))
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = (line.split("\t") for line in printed.splitlines())
    return {name: float(added) for name, added in rows}


def main(revision: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "-C", PROJECT, "archive", revision, "src"],  # noqa: S607  # git
            check=True,
            capture_output=True,
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)  # noqa: S607  # tar
        sources = {revision: Path(folder, "src"), "here": PROJECT / "src"}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
        for _ in range(ROUNDS):
            for name, source in sources.items():
                found[name].append(overheads(source))
    table = Table(title="Added by each adapter to a request of 1 KiB")
    for column in ("adapter", revision, "here", "ratio"):
        table.add_column(column)
    for adapter in found["here"][0]:
        before, after = (
            median(each[adapter] for each in found[name]) for name in sources
        )
        table.add_row(
            adapter,
            f"{before * 1e6:.0f} µs",
            f"{after * 1e6:.0f} µs",
            f"{after / before:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1])
