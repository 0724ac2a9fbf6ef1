"""Mutate the constants of modules, patterns among them, and say what no test notices.

    python -m mutation.constants _json integration/_paths

mutmut changes functions alone, and no tool that we know changes a regular expression.
Here a constant is replaced in a process of its own, which then runs the tests of
`mutation/run.py`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mutation.run import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONS = [
    "-qx",
    "-pno:cacheprovider",
    "-pno:xdist",
    "--no-cov",
    "--hypothesis-seed=0",
]
# A longer text is a message or a script: each of its lines goes, not each character.
_LONG = 64


def _shorter(text: Any) -> Iterator[Any]:
    """Yield *text*, a sequence, without each of its elements in turn."""
    for index in range(len(text)):
        yield text[:index] + text[index + 1 :]


def _mutate_text(text: str) -> Iterator[str]:
    if "\n" in text and len(text) > _LONG:
        lines = text.split("\n")
        yield from ("\n".join(rest) for rest in _shorter(lines))
    elif len(text) > _LONG:
        yield from (text.upper(), f"XX{text}", f"{text}XX")
    else:
        yield from _shorter(text)
        yield text + "X"
        yield text.swapcase()


def _mutate_pattern(pattern: str) -> Iterator[str]:
    """Yield patterns without a character, with one more, and with other quantifiers."""
    yield from _shorter(pattern)
    for found in re.finditer(r"[*+?]", pattern):
        for other in "*+?":
            yield pattern[: found.start()] + other + pattern[found.end() :]
    for found in re.finditer(r"\d+", pattern):
        for number in (int(found[0]) - 1, int(found[0]) + 1):
            yield pattern[: found.start()] + f"{number}" + pattern[found.end() :]
    for found in re.finditer(r"(?<=\[)(?!\^)", pattern):
        yield pattern[: found.start()] + "^" + pattern[found.start() :]


def _mutate(value: object) -> Iterator[object]:  # noqa: C901, PLR0912  # a branch for each type
    """Yield other values of the same type."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value - 1, value + 1)
    elif isinstance(value, str):
        yield from _mutate_text(value)
    elif isinstance(value, bytes) and len(value) <= _LONG:
        yield from _shorter(value)
        yield value + b"X"
    elif isinstance(value, re.Pattern):
        of_bytes = isinstance(value.pattern, bytes)
        pattern = value.pattern.decode("latin-1") if of_bytes else value.pattern
        for changed in _mutate_pattern(pattern):
            with contextlib.suppress(re.error):
                kind = changed.encode("latin-1") if of_bytes else changed
                yield re.compile(kind, value.flags)
    elif isinstance(value, tuple):
        yield from _shorter(value)
        for index, each in enumerate(value):
            for other in _mutate(each):
                yield (*value[:index], other, *value[index + 1 :])
    elif isinstance(value, frozenset):
        yield from (value - {each} for each in value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            for other in _mutate(each):
                yield {**value, key: other}


def _constants(module: Any) -> dict[str, object]:
    """Return the constants that *module* defines, by their names."""
    return {
        name: value
        for name, value in vars(module).items()
        if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name)
        and not isinstance(value, type)
        and re.search(rf"(?m)^{name}\b.* = ", _source(module))
    }


def _source(module: Any) -> str:
    return Path(module.__file__).read_text("utf-8")


class _Order:
    """A plugin of pytest: quick tests come first, so that most mutants fail soon.

    Args:
        durations: A file with what each test took before; it is written if it is empty.
    """

    def __init__(self, durations: Path) -> None:
        self._file = durations
        text = durations.read_text("utf-8")
        self._before: dict[str, float] = json.loads(text or "{}")
        self._taken: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._before.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self._taken.get(report.nodeid, 0.0)
        self._taken[report.nodeid] = before + report.duration

    def pytest_sessionfinish(self) -> None:
        if not self._before:
            self._file.write_text(json.dumps(self._taken), "utf-8")


def _fails(
    module: Any, name: str, value: object, *, tests: list[str], durations: Path
) -> bool:
    """Tell whether a test fails with another *value*, in a process of its own."""
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        setattr(module, name, value)
        os._exit(pytest.main([*_OPTIONS, *tests], [_Order(durations)]) != 0)
    return os.waitpid(child, 0)[1] != 0


def _run(name: str, durations: Path) -> bool:
    """Test the constants of one module; return whether each change was noticed."""
    module: Any = importlib.import_module(f"port_webhook.{name.replace('/', '.')}")
    pytest.main([*_OPTIONS, "--collect-only", "-qq", *TESTS[name]])  # imports, once
    fails = partial(_fails, module, tests=TESTS[name], durations=durations)
    if fails("__name__", module.__name__):
        raise RuntimeError(name)
    total, left = 0, 0
    constants = _constants(module)
    # A text that a mapping holds is tried there; it is read nowhere else.
    held = [
        text
        for each in constants.values()
        if isinstance(each, dict)
        for text in each.values()
    ]
    for constant, value in constants.items():
        if any(value is text for text in held):
            continue
        seen = [repr(value)]
        for other in _mutate(value):
            if repr(other) in seen:
                continue
            seen.append(repr(other))
            total += 1
            if not fails(constant, other):
                left += 1
                print(f"survived: {name} {constant} = {other!r}", flush=True)
    print(f"{name}: {total} changed constants, {left} survived", flush=True)
    return not left


def _main(names: list[str]) -> None:
    results: list[bool] = []
    for name in names:
        with tempfile.NamedTemporaryFile(suffix=".json") as durations:
            results.append(_run(name, Path(durations.name)))
    sys.exit(not all(results))


if __name__ == "__main__":
    _main(sys.argv[1:] or [*TESTS])
