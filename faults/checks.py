"""Compare what was done, what was logged, and what the sender was told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sender import Answer, Run

COMMIT = "failed to commit"


@dataclass
class Findings:
    """What a soak found.

    Attributes:
        statuses: How many attempts were told what; 0 stands for no answer.
        codes: How many refusals were logged with each code.
        repeated: Why work was done again, for each time that it was.
        duplicates: How many attempts were told that the run was handled before.
        deaths: How often a handler sent its own worker a signal, by its name.
        wrong: What must not be; empty if all is well.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def check(folder: Path, runs: list[Run], killed: dict[int, str]) -> Findings:
    """Check every run; *killed* names the signal that the driver sent each worker."""
    found = Findings()
    # Some handlers send one to their own worker.
    deaths = {each["pid"]: each["signal"] for each in read(folder / "deaths")}
    found.deaths.update(deaths.values())
    killed = {**deaths, **killed}
    works: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in read(folder / "ledger"):
        works[entry["run"]].append(entry)
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in read(folder / "log"):
        records[entry["req"]].append(entry)
    for run in runs:
        _check_run(found, run, works.pop(run.name, []), records, killed)
    found.wrong += [f"work that nobody asked for: {name}" for name in works]
    return found


def _check_run(
    found: Findings,
    run: Run,
    works: list[dict[str, Any]],
    records: dict[str, list[dict[str, Any]]],
    killed: dict[int, str],
) -> None:
    answers = {each.request: each for each in run.answers}
    worked = Counter(each["req"] for each in works)
    for answer in run.answers:
        _check_answer(found, run, answer, records[answer.request], worked)
    if not run.is_valid:
        if works or run.is_settled:
            found.wrong.append(f"{run.manner}, and accepted: {run.name}")
        return
    if not works:
        found.wrong.append(f"lost: {run.name} {run.answers}")
    # The last one counts; each before it must have had a reason to be repeated.
    for work in works[:-1]:
        reason = _reason(work, answers[work["req"]], records[work["req"]], killed)
        if reason is None:
            found.wrong.append(f"run twice: {run.name} {works} {run.answers}")
        else:
            found.repeated[reason] += 1


def _check_answer(
    found: Findings,
    run: Run,
    answer: Answer,
    records: list[dict[str, Any]],
    worked: Counter[str],
) -> None:
    found.statuses[answer.status or 0] += 1
    codes = [each["code"] for each in records if each["code"]]
    found.codes.update(codes)
    if answer.status is None:
        return
    if answer.is_duplicate:
        found.duplicates += 1
        if worked[answer.request]:
            found.wrong.append(f"a duplicate that ran: {answer}")
        if "duplicate_delivery" not in codes:
            found.wrong.append(f"a duplicate that was not logged: {answer}")
    elif answer.status == 200:
        if worked[answer.request] != 1:
            found.wrong.append(f"told 200, but ran {worked[answer.request]}x: {answer}")
        if answer.copy:
            found.wrong.append(f"a copy of a handled request ran: {run.name} {answer}")
    elif not codes:
        found.wrong.append(f"refused without a record: {answer}")


def _reason(
    work: dict[str, Any],
    answer: Answer,
    records: list[dict[str, Any]],
    killed: dict[int, str],
) -> str | None:
    """Return why work may be done again, in spite of having been done."""
    texts = " ".join(each.get("text", "") for each in records)
    events = {each["event"] for each in records}
    if answer.status is None and work["pid"] in killed:
        return f"worker killed by {killed[work['pid']]}"
    if answer.status in {503, None} and COMMIT in texts:
        return "store failed at the commit"
    if "replay_lease_lost" in events:
        return "lease lost to a jump of the clock"
    return None
