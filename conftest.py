"""The Python blocks of README.md and of docs/ run as tests."""

from __future__ import annotations

from typing import Any

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser


def _start_page(namespace: dict[str, Any]) -> None:
    """Let the blocks of a page believe that they are a script."""
    namespace["__name__"] = "__main__"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    setup=_start_page,
    patterns=["*.md"],
    excludes=["tests/**", ".venv*/**"],
).pytest()
