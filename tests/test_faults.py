"""The short form of the soak: one small batch of each fault; see faults/README.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

SOAK = Path(__file__).parents[1] / "faults" / "soak.py"
PATIENCE = 600  # seconds; it takes twenty on an idle machine

pytestmark = [
    pytest.mark.skipif(
        not hasattr(os, "pidfd_open"), reason="waits for processes as Linux does"
    ),
    pytest.mark.skipif(
        sys.version_info >= (3, 15), reason="runs on CPython's releases"
    ),
]


@pytest.mark.parametrize(
    ("server", "store", "needed"),
    [
        ("gunicorn-gthread", "redis", ["gunicorn", "redis"]),
        ("uvicorn", "redis", ["uvicorn", "fastapi", "redis"]),
        ("waitress", "postgresql", ["waitress", "django", "psycopg"]),
    ],
)
def test_whatever_fails_each_request_runs_once_and_each_refusal_is_logged(
    server, store, needed
):
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    options = ["--short", f"--server={server}", f"--store={store}"]
    done = subprocess.run(
        [sys.executable, str(SOAK), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    _versions, line = done.stdout.splitlines()
    if "skipped" in line:
        pytest.skip(line)
    report = json.loads(line)
    assert report["findings"]["wrong"] == []
    assert done.returncode == 0
    # The faults did happen.
    assert set(report["findings"]["codes"]) > {
        "replay_store_error",
        "duplicate_delivery",
        "signature_mismatch",
    }
    assert min(report["proxied"][fault] for fault in ("cut", "garble", "hold")) > 0
    assert report["killed"]


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Return a function that checks one run, of what was done, logged and told."""
    spec = spec_from_file_location("checks_of_the_soak", SOAK.with_name("checks.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)

    def check(told, *, works=(), records=(), valid=True, killed=None):
        for name, entries in (("ledger", works), ("log", records)):
            lines = [json.dumps(entry) + "\n" for entry in entries]
            (tmp_path / name).write_text("".join(lines))
        answers = [
            SimpleNamespace(
                request=f"r.{number}",
                status=200 if status == "copy" else status,
                is_duplicate=status == "copy",
                copy=False,
            )
            for number, status in enumerate(told, 1)
        ]
        run = SimpleNamespace(
            name="r", answers=answers, is_valid=valid, is_settled=200 in told, manner=""
        )
        found = module.check(tmp_path, [run], killed or {})
        return [text.partition(":")[0] for text in found.wrong], found.repeated

    return check


def work(number, pid=1):
    return {"run": "r", "req": f"r.{number}", "pid": pid}


def record(number, code, text="", event="rejected"):
    return {"req": f"r.{number}", "code": code, "event": event, "text": text}


COPY = "duplicate_delivery"
STORE = "replay_store_error"


def test_the_soak_accepts_what_is_right(check):
    assert check([200], works=[work(1)]) == ([], {})
    logged = [record(1, STORE), record(3, COPY)]
    told = [503, 200, "copy"]
    assert check(told, works=[work(2)], records=logged) == ([], {})
    assert check([401], records=[record(1, "missing_header")], valid=False) == ([], {})


def test_the_soak_explains_work_that_was_done_again(check):
    twice = [work(1), work(2, pid=2)]
    wrong, repeated = check([None, 200], works=twice, killed={1: "SIGKILL"})
    assert (wrong, repeated) == ([], {"worker killed by SIGKILL": 1})
    failed = [record(1, STORE, "failed to commit with TimeoutError")]
    wrong, repeated = check([503, 200], works=twice, records=failed)
    assert (wrong, repeated) == ([], {"store failed at the commit": 1})
    lost = [record(1, None, event="replay_lease_lost")]
    wrong, repeated = check([200, 200], works=twice, records=lost)
    assert (wrong, repeated) == ([], {"lease lost to a jump of the clock": 1})


@pytest.mark.parametrize(
    ("told", "works", "records", "expected"),
    [
        ([200, 200], [work(1), work(2)], [], "run twice"),
        ([None, 200], [work(1), work(2)], [], "run twice"),
        ([503, 200], [work(1), work(2)], [record(1, STORE)], "run twice"),
        ([503, 200], [work(2)], [], "refused without a record"),
        (["copy"], [], [record(1, COPY)], "lost"),
        (["copy"], [work(1)], [record(1, COPY)], "a duplicate that ran"),
        ([200, "copy"], [work(1)], [], "a duplicate that was not logged"),
        ([200], [], [], "told 200, but ran 0x"),
        ([200], [work(1), {**work(2), "run": "s"}], [], "work that nobody asked for"),
    ],
)
def test_the_soak_sees_what_is_wrong(check, told, works, records, expected):
    wrong, _ = check(told, works=works, records=records)
    assert expected in wrong
