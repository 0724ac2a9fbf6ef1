"""Check docs/observe.md with the real packages of Sentry and OpenTelemetry."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .pages import block

HERE = Path(__file__).parent


def run(script, *arguments, code=""):
    """Run a script in a process of its own: both packages patch frameworks."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / script, *arguments],
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(find_spec("sentry_sdk") is None, reason="needs sentry-sdk")
@pytest.mark.parametrize("framework", ["flask", "django", "fastapi", "aiohttp"])
def test_sentry_records_the_request_until_it_is_told_not_to(framework):
    code = block("observe.md", "## Sentry")
    default, scrubbed = run("sentry_app.py", framework, code=code)
    for found in default, scrubbed:
        assert found["exceptions"] == ["RuntimeError"]  # none for the refusal
        assert (found["record"], found["breadcrumb"]) == ("hook_failed", "rejected")
        assert not found["secret"]
    assert default["inputs in request"]
    assert default["inputs in variables"]
    assert default["signature in request"]
    assert default["signature in variables"] == (framework == "fastapi")
    assert not scrubbed["inputs"]
    assert not scrubbed["signature"]


@pytest.mark.skipif(find_spec("opentelemetry.sdk") is None, reason="needs its SDK")
def test_the_hooks_of_the_page_fill_spans_and_counters():
    code = block("observe.md", "## OpenTelemetry")
    [found] = run("telemetry_app.py", code=code)
    assert found["spans"] == [{"port.run_id": "r_1"}, {"port.code": "missing_header"}]
    assert found["statuses"] == ["UNSET", "UNSET"]
    assert found["counts"] == [
        [{"outcome": "verified", "secret": 0}, 1],
        [{"outcome": "rejected", "code": "missing_header"}, 1],
    ]
