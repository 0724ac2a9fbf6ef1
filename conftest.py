"""The Python blocks of README.md and of docs/ run as tests."""

from __future__ import annotations

import logging
import os
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser
from sybil.sybil import SybilCollection

if TYPE_CHECKING:
    from sybil.example import Example

# Blocks that are applications read the secret as such: from the environment.
environment = patch.dict(
    os.environ,
    PORT_CLIENT_ID="id",
    PORT_CLIENT_SECRET="the client secret of your organisation",  # noqa: S106  # made up
)
handlers: list[logging.Handler] = []
saved: dict[str, ModuleType] = {}


def _start_page(namespace: dict[str, Any]) -> None:
    """Let the blocks of a page believe that they are a script."""
    namespace["__name__"] = "__main__"
    environment.start()
    handlers[:] = logging.getLogger().handlers


def _end_page(_: dict[str, Any]) -> None:
    """Undo what a page did to the process."""
    environment.stop()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger("port_webhook").setLevel(logging.NOTSET)


def _run_alone(example: Example) -> None:
    """Run a block that readers paste into a file of its own."""
    example.namespace.clear()
    example.namespace["__name__"] = "__main__"
    PythonEvaluator()(example)


def _run_as_file(example: Example) -> None:
    """Run a block that readers save; a later block may import it by its name."""
    _run_alone(example)
    before = example.document.text[: example.start]
    name = re.findall(r"`(?:\w+/)*(\w+)\.py`", before)[-1]
    sys.modules[name] = saved[name] = ModuleType(name)
    vars(saved[name]).update(example.namespace)


def _end_files(namespace: dict[str, Any]) -> None:
    """Forget the files, too."""
    _end_page(namespace)
    while saved:
        del sys.modules[saved.popitem()[0]]


readme = Sybil(
    parsers=[CodeBlockParser("python", _run_alone)],
    setup=_start_page,
    teardown=_end_page,
    filenames=["README.md"],
    excludes=["tests/**", ".venv*/**"],
)
# The tabs of a framework stand beside those of another.
start = Sybil(
    parsers=[CodeBlockParser("python", _run_as_file)],
    setup=_start_page,
    teardown=_end_files,
    patterns=["docs/start.md"],
)
# The blocks of a page follow one another.
pages = Sybil(
    parsers=[PythonCodeBlockParser()],
    setup=_start_page,
    teardown=_end_page,
    patterns=["docs/*.md"],
    # The blocks of the second need frameworks that may be missing; tests/recipes runs
    # them.
    excludes=["docs/start.md", "docs/other-frameworks.md"],
)

pytest_collect_file = SybilCollection([readme, start, pages]).pytest()
