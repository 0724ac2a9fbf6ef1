"""Print every measurement, or write them into a page.

    python benchmarks/run.py                                  # what `make bench` runs
    python benchmarks/run.py --servers                        # `make bench-servers`
    python benchmarks/run.py --all --markdown docs/benchmarks.md
    python benchmarks/run.py --only verification --rounds 10

Each figure is a ratio within one run, because a machine's speed drifts and an
absolute time says little about another one. A ratio is the median of those of each
round, and the brackets hold the quartiles.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import measure
import tables
from rich.console import Console

# The stores come before the adapters: both need Django, and only they its tables.
QUICK = (
    "verification",
    "refusals",
    "importing",
    "parsing",
    "replay",
    "reporting",
    "adapters",
)
SERVERS = ("servers",)
LIBRARIES = (
    *("cryptography", "standardwebhooks", "svix", "stripe", "slack-sdk"),
    *("pydantic", "msgspec", "flask", "django", "fastapi", "aiohttp"),
    *("uvicorn", "gunicorn", "redis", "psycopg", "boto3", "moto", "httpx2"),
)


def processor() -> str:
    """Return the name of the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = [line for line in lines if line.startswith("model name")]
    return found[0].partition(":")[2].strip() if found else platform.machine()


def machine(before: tuple[float, float, float], started: float) -> str:
    """Describe where and when the figures were measured, in Markdown."""
    now = os.getloadavg()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    ended = datetime.now(UTC)
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"""\
- Processor: {processor()}, {os.cpu_count()} cores
- System: {system}, {python}, OpenSSL {openssl()}
- Libraries: {libraries}
- Load of the machine, average of a minute: {before[0]:.1f} at the start, and
  {now[0]:.1f} at the end, which has the benchmark's own
- Rounds of an ordinary comparison: {measure.ROUNDS}
- When: {ended:%Y-%m-%d %H:%M} UTC, after {time.time() - started:.0f} seconds"""


def openssl() -> str:
    """Return the version of the OpenSSL that `cryptography` brings."""
    from cryptography.hazmat.backends.openssl.backend import backend

    return backend.openssl_version_text().split()[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure this library.")
    parser.add_argument("--markdown", type=Path, help="a page to write the tables into")
    parser.add_argument("--rounds", type=int, default=60, help="of a comparison: 60")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--servers", action="store_true", help="only the real servers")
    chosen.add_argument("--all", action="store_true", help="the servers, too")
    chosen.add_argument("--only", nargs="+", choices=QUICK + SERVERS, default=())
    return parser.parse_args()


def main() -> None:
    options = arguments()
    measure.ROUNDS = options.rounds
    names = options.only or (SERVERS if options.servers else QUICK)
    console = Console(width=None if Console().is_terminal else 160)
    before, began = os.getloadavg(), time.time()
    for name in names:
        started = time.time()
        found = importlib.import_module(name).report()
        if options.markdown:
            text = "\n\n".join(each.as_markdown() for each in found)
            tables.write(options.markdown, name, text)
        for each in found:
            console.print(each.for_terminal())
        console.print(f"{name}: {time.time() - started:.0f} s\n", style="dim")
    if options.all:
        # In a process of its own: in one, Django keeps the addresses of its databases.
        page = ["--markdown", str(options.markdown)] if options.markdown else []
        command = [
            sys.executable,
            __file__,
            "--servers",
            "--rounds",
            f"{options.rounds}",
        ]
        subprocess.run([*command, *page], check=True)
    describe(options, before, began)


def describe(
    options: argparse.Namespace, before: tuple[float, float, float], began: float
) -> None:
    """Print the machine; write it, too, if all figures are of this run."""
    console = Console(width=None if Console().is_terminal else 160)
    description = machine(before, began)
    console.print(description)
    # A part of the figures says nothing of where the others came from.
    if options.all and options.markdown:
        tables.write(options.markdown, "machine", description)


if __name__ == "__main__":
    main()
