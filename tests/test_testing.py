"""The package of helpers: what it offers, and what importing it loads."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from port_webhook import testing

PACKAGE = Path(testing.__file__).parent
# Each imports the framework of its name; Starlette's client is FastAPI's.
CLIENTS = {
    "django": {"django"},
    "fastapi": {"starlette"},
    "flask": {"flask"},
    "httpx2": {"httpx2"},
    "plugin": {"pytest"},
    "requests": {"requests"},
}
OUTSIDE = {"port_webhook", "cryptography", *sys.stdlib_module_names}


@pytest.mark.parametrize("name", testing.__all__)
def test_each_public_name_is_there_and_documented(name):
    first, *_ = (inspect.getdoc(getattr(testing, name)) or "").splitlines()
    assert first.endswith((".", ":"))


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem
)
def test_a_client_imports_its_own_framework_and_nothing_else_imports_one(path):
    imported = set()
    # The top level is what runs at import; a guarded block is not part of it.
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(f"{node.module}".split(".")[0])

    assert imported - OUTSIDE == CLIENTS.get(path.stem, set())


def test_importing_the_helpers_loads_no_framework():
    script = (
        "import sys, port_webhook.testing;"
        "frameworks = {'django', 'fastapi', 'flask', 'httpx', 'httpx2', 'pytest',"
        " 'requests', 'starlette', 'werkzeug'};"
        "print(*sorted(frameworks & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_each_public_module_lists_its_names(name):
    listed: list[str] = []
    public = set()
    # Not imported: pytest rewrites the plugin where a project loads it.
    for node in ast.parse((PACKAGE / f"{name}.py").read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            public |= {node.name} - {"pytest_configure"}  # pytest's own name
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)

    assert listed == sorted(each for each in public if not each.startswith("_"))
