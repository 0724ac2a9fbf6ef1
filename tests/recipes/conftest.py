"""The blocks of the page, as modules."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "other-frameworks.md"
SECRET = "the client secret of your organisation"


def recipes():
    """Return the block of each section, with the line at which it stands."""
    text = PAGE.read_text("utf-8")
    found = re.finditer(
        r"(?ms)^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", text
    )
    return {each[1]: (text[: each.start(2)].count("\n"), each[2]) for each in found}


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    return SECRET


@pytest.fixture
def load(monkeypatch, secret):
    """Run the recipe of a section as a module of its own."""

    def load(section, name="recipe"):
        line, source = recipes()[section]
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        # A traceback then shows the line of the page.
        code = compile("\n" * line + source, str(PAGE), "exec")
        exec(code, vars(module))  # noqa: S102  # the page's own block
        return module

    return load
