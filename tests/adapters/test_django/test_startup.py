"""Projects of their own: `manage.py check`, and the page of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["port_webhook.adapters.django"], ROOT_URLCONF="__main__"
)
urlpatterns = []
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
assert "rest_framework" not in sys.modules
"""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "(port_webhook.E001) PORT_CLIENT_SECRET is not set"),
        ("", "(port_webhook.E001) PORT_CLIENT_SECRET is empty"),
        ("good", ""),
    ],
)
def test_manage_py_check_reports_the_secret(value, message):
    env = {k: v for k, v in os.environ.items() if k != "PORT_CLIENT_SECRET"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    if value is not None:
        env["PORT_CLIENT_SECRET"] = value
    done = subprocess.run(
        [sys.executable, "-c", PROJECT],
        capture_output=True,
        check=False,
        text=True,
        env=env,
    )
    assert (done.returncode == 0) == (not message), done.stderr
    assert message in done.stderr


def test_the_page_of_the_documentation_runs_as_a_project(tmp_path):
    """Its settings are those of a process of its own, so its blocks are no doctests."""
    pytest.importorskip("rest_framework", reason="no REST framework is installed")
    page = Path(__file__).parents[3] / "docs" / "django.md"
    fence = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    blocks = fence.findall(page.read_text("utf-8"))
    assert len(blocks) > 5
    script = tmp_path / "hooks.py"
    script.write_text("\n".join(blocks), "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "check"],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
