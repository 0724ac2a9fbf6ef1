"""Imports point one way, and `import port_webhook` loads next to nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import port_webhook

PACKAGE = Path(port_webhook.__file__).parent

# What each part of the package may import of the others, as the design draws it.
# A part is a module or a package directly below port_webhook.
CORE = {
    "exceptions": set(),
    "log": set(),
    "signature": {"exceptions"},
    "canonical": {"exceptions"},
    "models": {"exceptions", "canonical"},
    "decryption": {"exceptions", "canonical", "models"},
    "inputs": {"exceptions", "signature"},
    "delivery": {"exceptions", "signature", "canonical", "models"},
    "reception": {"exceptions"},
    "replay": {"exceptions", "log", "models"},
    "reporting": {"exceptions", "log", "models"},
    "verifier": {
        "exceptions",
        "log",
        "signature",
        "canonical",
        "inputs",
        "delivery",
        "reception",
        "replay",
    },
    "__init__": {"exceptions", "verifier"},
}
# These stand above the core. What they share among themselves has its own test.
OUTER = {"kernel", "adapters", "devtools", "testing"}

FRAMEWORKS = {
    "aiohttp",
    "aiokafka",
    "asgiref",
    "boto3",
    "botocore",
    "confluent_kafka",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "msgspec",
    "ninja",
    "pydantic",
    "redis",
    "rest_framework",
    "rich",
    "stamina",
    "starlette",
    "typer",
    "uvicorn",
    "werkzeug",
}

# What each adapter is for; the others need no framework.
ADAPTERS = {
    "aiohttp": {"aiohttp"},
    "django": {"asgiref", "django", "ninja", "rest_framework"},
    "fastapi": {"fastapi", "msgspec", "pydantic", "starlette"},
    "flask": {"flask", "werkzeug"},
}

# Not in sys.modules after `import port_webhook`, each for itself: it is a framework, or
# its import takes longer than a verification needs.
ABSENT = {
    *FRAMEWORKS,
    "asyncio",
    "dataclasses",
    "datetime",
    "inspect",
    "json",
    "logging",
    "typing_extensions",
}


def is_type_checking(node):
    test = getattr(node, "test", None)
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def run_time_imports(path):
    """Yield the module of each import that runs, and whether a function does it."""

    def walk(node, *, lazy):
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                for other in getattr(child, "orelse", []):
                    yield from walk(ast.Module([other], []), lazy=lazy)
            elif isinstance(child, ast.Import | ast.ImportFrom):
                for name in names_of(child, path):
                    yield name, lazy
            else:
                inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                yield from walk(child, lazy=lazy or inner)

    yield from walk(ast.parse(path.read_text("utf-8")), lazy=False)


def names_of(node, path):
    """Return the modules that one statement may import."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return names
    if node.level:
        # Within the package of an adapter, whose parts nobody else imports.
        assert node.level == 1, path
        assert path.parent.parent.name == "adapters", path
        return []
    inside = [f"{node.module}.{name}" for name in names]
    return inside if node.module == "port_webhook" else [node.module, *inside]


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_point_one_way(path):
    part = part_of(path)
    parts = {
        module.split(".")[1]
        for module, _ in run_time_imports(path)
        if module.startswith("port_webhook.")
    }
    imported = {module for module, _ in run_time_imports(path)}

    # The tools for tests stand beside the rest, not below it.
    assert part == "testing" or "testing" not in parts
    if part in OUTER:
        return
    assert part in CORE, f"say in CORE what {part} may import"
    assert parts <= CORE[part] | {part}
    assert "port_webhook" not in imported


def test_the_core_draws_no_circle():
    seen: set[str] = set()
    while len(seen) < len(CORE):
        free = {part for part, others in CORE.items() if others <= seen} - seen
        assert free, f"a circle among {CORE.keys() - seen}"
        seen |= free


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_nothing_but_adapters_and_tools_imports_an_adapter(path):
    imported = {module for module, _ in run_time_imports(path)}

    if part_of(path) not in ("adapters", "devtools"):
        assert not any(name.startswith("port_webhook.adapters") for name in imported)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if part_of(path) == "adapters"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_adapters_never_import_each_other(path):
    own = path.relative_to(PACKAGE / "adapters").parts[0].removesuffix(".py")
    others = {
        module.split(".")[2]
        for module, _ in run_time_imports(path)
        if module.startswith("port_webhook.adapters.")
    }

    assert others <= {own}


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_framework_is_imported_only_by_its_own_part(path):
    part = part_of(path)
    roots = {module.split(".")[0] for module, _ in run_time_imports(path)} & FRAMEWORKS

    if part == "adapters":
        own = path.relative_to(PACKAGE / "adapters").parts[0].removesuffix(".py")
        assert roots <= ADAPTERS.get(own, set())
    if part not in ("adapters", "replay", "reporting", "devtools", "testing"):
        # Models are parsed by another library only inside the function that does it.
        eager = {
            module.split(".")[0] for module, lazy in run_time_imports(path) if not lazy
        }
        assert eager.isdisjoint(FRAMEWORKS)
        assert roots <= ({"pydantic", "msgspec"} if part == "models" else set())


def test_the_mac_has_one_importer():
    importers = {
        part_of(path)
        for path in MODULES
        for module, _ in run_time_imports(path)
        if module == "hmac" or module.startswith("cryptography.hazmat.primitives.hmac")
    }

    assert importers == {"signature"}


def test_the_verifier_is_the_cores_only_reader_of_the_clock():
    readers = {
        part_of(path)
        for path in MODULES
        for module, _ in run_time_imports(path)
        if module == "time"
    }

    # A store has a clock of its own, and so has what a test makes up.
    assert readers == {"verifier", "replay", "testing"}


def loaded_by(script):
    """Return what is in ``sys.modules`` of a fresh interpreter after *script*."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys; print(*sys.modules, sep='\\n')"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return set(printed.split())


@pytest.fixture(scope="module")
def needed_anyway():
    """What the MAC primitive of the one dependency loads by itself."""
    return loaded_by(
        "from cryptography.hazmat.primitives.hashes import SHA256\n"
        "from cryptography.hazmat.primitives.hmac import HMAC\n"
        "import typing"
    )


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("import port_webhook", id="import"),
        pytest.param(
            "import port_webhook; v = port_webhook.Verifier('secret')", id="build"
        ),
    ],
)
def test_importing_loads_none_of_these(needed_anyway, script):
    assert (loaded_by(script) & ABSENT) - needed_anyway == set()


def test_importing_loads_no_adapter_no_model_and_no_store():
    ours = {name for name in loaded_by("import port_webhook") if "port_webhook" in name}

    assert ours == {
        "port_webhook",
        "port_webhook._delivery",
        "port_webhook.exceptions",
        "port_webhook._arguments",
        "port_webhook._log",
        "port_webhook._reception",
        "port_webhook._signature",
        "port_webhook._verifier",
    }


def test_the_absence_means_something(needed_anyway):
    # If cryptography loaded all of these itself, the test above would show nothing.
    assert {"asyncio", "json", "logging", "dataclasses", *FRAMEWORKS}.isdisjoint(
        needed_anyway
    )


def test_verifying_needs_no_more_than_logging():
    script = (
        "import port_webhook as p;p.verify(b'{}', p.sign(b'{}', 'secret'), 'secret')"
    )

    loaded = loaded_by(script)

    assert not loaded & (
        FRAMEWORKS | {"asyncio", "dataclasses", "typing_extensions", "json"}
    )


def test_the_dependencies_are_the_two_of_the_design():
    from importlib.metadata import PackageNotFoundError, requires

    try:
        listed = requires("port-webhook")
    except PackageNotFoundError:
        pytest.skip("port-webhook is not installed, so there is no metadata to read")
    needed = {
        requirement.split(">")[0].strip()
        for requirement in listed or ()
        if "extra ==" not in requirement
    }
    assert needed == {"cryptography", "typing-extensions"}


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").exists()


def test_the_interpreter_reports_its_imports():
    # `-X importtime` is how the cost is measured; it prints what was imported.
    printed = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import port_webhook"],
        check=True,
        capture_output=True,
        text=True,
    ).stderr

    names = {line.rsplit("|", 1)[-1].strip() for line in printed.splitlines()}
    assert "port_webhook._verifier" in names
    assert json.__name__ not in names
