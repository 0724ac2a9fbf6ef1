"""Importing `Verifier` in fresh interpreters, beside its MAC primitive and peers.

The package is built and installed as a user has it, without a finder of an editable
installation, and the bytecode is there. The contenders run in turn. Figures are those
beyond an interpreter that imports nothing.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import duration, ratio, rounds
from tables import Table

PRIMITIVE = "HMAC of cryptography alone"
BUILT = "port_webhook, and a Verifier built"
CONTENDERS = {
    PRIMITIVE: (
        "from cryptography.hazmat.primitives.hashes import SHA256\n"
        "from cryptography.hazmat.primitives.hmac import HMAC"
    ),
    "port_webhook": "from port_webhook import Verifier",
    # The first one loads what checks its arguments, and OpenSSL makes its context.
    BUILT: (
        "from port_webhook import Verifier\n"
        "Verifier('a secret of thirty-two characters')"
    ),
    "standardwebhooks": "from standardwebhooks import Webhook",
    "slack_sdk": "from slack_sdk.signature import SignatureVerifier",
    "svix": "from svix import Webhook",
    "stripe": "from stripe import WebhookSignature",
}
UNCOUNTED = ("svix", "stripe")  # it would take long
PEERS = ("standardwebhooks", "slack-sdk", "svix", "stripe")


def install(folder: Path) -> Path:
    """Install this project's wheel and the peers; return the interpreter."""
    project = Path(__file__).parents[1]
    run = [sys.executable, "-m", "venv", str(folder)]
    subprocess.run(run, check=True)
    python = folder / "bin" / "python"
    # Only what is imported is compiled, and that by the import itself.
    options = ("--quiet", "--no-compile", "--disable-pip-version-check")
    packages = (str(project), *PEERS)
    subprocess.run([python, "-m", "pip", "install", *options, *packages], check=True)
    return python


def _processor_seconds() -> float:
    """Return the processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds(python: Path, scripts: dict[str, str]) -> dict[str, list[float]]:
    """Return the processor time of each script, one figure for each round."""
    seconds: dict[str, list[float]] = {name: [] for name in scripts}
    for _ in range(rounds(0.2)):
        for name, script in scripts.items():
            started = _processor_seconds()
            subprocess.run([python, "-I", "-c", script], check=True)
            seconds[name].append(_processor_seconds() - started)
    return seconds


def _instructions(python: Path, script: str) -> int:
    """Return the machine instructions that *script* takes, as valgrind counts them."""
    options = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    counted = subprocess.run(
        ["valgrind", *options, python, "-I", "-c", script],  # noqa: S607  # a tool in PATH
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    ).stderr
    found = re.search(r"I +refs: +([\d,]+)", counted)
    assert found, counted
    return int(found[1].replace(",", ""))


def _beyond(found: list[float], start: float) -> list[float]:
    return [each - start for each in found]


def report() -> list[Table]:
    """Measure the imports, and count their instructions where valgrind is."""
    scripts = {"": "pass", **CONTENDERS}
    instructions: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        python = install(Path(folder))
        for script in scripts.values():
            subprocess.run([python, "-I", "-c", script], check=True)
        seconds = _seconds(python, scripts)
        if shutil.which("valgrind"):
            instructions = {
                name: _instructions(python, script)
                for name, script in scripts.items()
                if name not in UNCOUNTED
            }
    table = Table(
        "Import in a fresh interpreter",
        ("", "time, relative", "time", "instructions, relative"),
    )
    start = median(seconds.pop(""))
    none = instructions.pop("", 0)
    base = _beyond(seconds[PRIMITIVE], start)
    for name, found in seconds.items():
        own = _beyond(found, start)
        figure = "1" if name == PRIMITIVE else ratio(own, base)
        count = "not counted"
        if name in instructions:
            of_base = instructions[PRIMITIVE] - none
            count = f"{(instructions[name] - none) / of_base:.2f}"
        table.add(name, figure, duration(own), count)
    return [table]
