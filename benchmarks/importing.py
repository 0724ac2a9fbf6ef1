"""Importing `Verifier` in fresh interpreters, beside its MAC primitive and a peer.

The package is built and installed as a user has it, with its bytecode compiled. The
contenders run in turn. Figures are the time beyond that of an interpreter that imports
nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import ratio
from rich.table import Table

ROUNDS = 40
PRIMITIVE = "cryptography's HMAC"
CONTENDERS = {
    PRIMITIVE: (
        "from cryptography.hazmat.primitives.hashes import SHA256\n"
        "from cryptography.hazmat.primitives.hmac import HMAC"
    ),
    "port_webhook": "from port_webhook import Verifier",
    "standardwebhooks": "from standardwebhooks import Webhook",
}


def install(folder: Path) -> Path:
    """Install this project's wheel and the peer; return the interpreter."""
    project = Path(__file__).parents[1]
    run = [sys.executable, "-m", "venv", str(folder)]
    subprocess.run(run, check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--compile",
            project,
            "standardwebhooks",
        ],
        check=True,
    )
    return python


def measure(python: Path) -> dict[str, list[float]]:
    """Return the seconds of each contender, one figure for each round."""
    scripts = {"": "pass", **CONTENDERS}
    seconds: dict[str, list[float]] = {name: [] for name in scripts}
    for _ in range(ROUNDS):
        for name, script in scripts.items():
            started = time.perf_counter()
            subprocess.run([python, "-I", "-c", script], check=True)
            seconds[name].append(time.perf_counter() - started)
    start = median(seconds.pop(""))
    return {name: [each - start for each in found] for name, found in seconds.items()}


def report() -> list[Table]:
    """Measure the imports."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(install(Path(folder)))
    table = Table(title=f"Import, relative to {PRIMITIVE}", title_justify="left")
    for column in ("import", "ratio", "time"):
        table.add_column(column, justify="left" if column == "import" else "right")
    for name, found in seconds.items():
        table.add_row(
            name,
            f"{ratio(found, seconds[PRIMITIVE]):.2f}",
            f"{median(found) * 1e3:.1f} ms",
        )
    return [table]
