"""The short form of the soak: one small batch of each fault; see faults/README.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

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
