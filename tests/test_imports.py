"""Imports point one way, and `import port_webhook` loads next to nothing.

Why: docs/design.md#imports-point-one-way
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypeIs

import port_webhook

PACKAGE = Path(port_webhook.__file__).parent

# What each part of the package may import of the others, types included, as the design
# draws it. A part is a module or a package directly below port_webhook.
CORE: dict[str, set[str]] = {
    "exceptions": set(),
    "_log": {"exceptions", "_delivery"},
    "_placeholders": set(),
    "_run_id": set(),
    "_secrets": {"_log"},
    "_tracebacks": {"exceptions"},
    "_json": {"exceptions"},
    "_signature": {"exceptions"},
    "_arguments": {"exceptions", "_placeholders"},
    "models": {"exceptions", "_json", "_run_id", "_tracebacks"},
    "decryption": {"exceptions", "_arguments", "_json", "_tracebacks", "models"},
    "replay": {"exceptions", "_log", "_tracebacks"},
    "reporting": {"exceptions", "_log", "_placeholders", "_tracebacks"},
    "_delivery": {
        "exceptions",
        "_json",
        "_run_id",
        "_signature",
        "_tracebacks",
        "models",
    },
    "_reception": {"exceptions", "_delivery", "_tracebacks", "replay"},
    "_options": {"exceptions", "_delivery", "replay"},
    "_verifier": {
        "exceptions",
        "_arguments",
        "_delivery",
        "_json",
        "_log",
        "_options",
        "_reception",
        "_secrets",
        "_signature",
        "_tracebacks",
        "replay",
    },
    "_source": {
        "exceptions",
        "_arguments",
        "_log",
        "_options",
        "_secrets",
        "_tracebacks",
        "_verifier",
    },
    "_kafka_message": {
        "exceptions",
        "_arguments",
        "_json",
        "_signature",
        "_tracebacks",
        "_verifier",
    },
    "integration": {
        "exceptions",
        "_arguments",
        "_delivery",
        "_json",
        "_log",
        "_options",
        "_reception",
        "_secrets",
        "_signature",
        "_source",
        "_tracebacks",
        "_verifier",
        "models",
    },
    "__init__": {
        "exceptions",
        "_options",
        "_reception",
        "_source",
        "_verifier",
        "decryption",
        "models",
    },
}
# These stand above the core, and import each other only as told here: the command sends
# what the tools for tests make.
OUTER: dict[str, set[str]] = {
    "__main__": {"devtools"},
    "adapters": set(),
    "devtools": {"testing"},
    "dispatch": set(),
    "testing": set(),
}

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


def is_type_checking(node: Any) -> TypeIs[ast.If]:
    test = getattr(node, "test", None)
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def imports_of(path):
    """Yield each module that *path* imports, and when: eager, lazy or typing."""

    def walk(node, when):
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                yield from walk(ast.Module(child.body, []), "typing")
                yield from walk(ast.Module(child.orelse, []), when)
            elif isinstance(child, ast.Import | ast.ImportFrom):
                for name in names_of(child, path):
                    yield name, when
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from walk(child, "typing" if when == "typing" else "lazy")
            else:
                yield from walk(child, when)

    yield from walk(ast.parse(path.read_text("utf-8")), "eager")


def run_time_imports(path):
    return [(name, when) for name, when in imports_of(path) if when != "typing"]


def names_of(node, path):
    """Return the modules that one statement may import."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return names
    module = node.module
    if node.level:
        # Within a package, whose parts nobody else imports.
        assert node.level == 1, path
        package = module_of(path.parent / "__init__.py")
        module = f"{package}.{module}" if module else package
    inside = [f"{module}.{name}" for name in names]
    # A name that is no module is the module's that it is imported from.
    return [each if each in TREE else module for each in inside]


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_private(module):
    return any(part.startswith("_") for part in module.split("."))


MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
TREE = {module_of(path): path for path in MODULES}
# Django and its migrations look for these by their names.
PRESCRIBED = re.compile(
    r"port_webhook(\.\w+)*\.django\.(apps|models|management|migrations)(\..*)?"
)
PUBLIC = [
    module
    for module in TREE
    if not is_private(module) and not PRESCRIBED.fullmatch(module)
]

# Every module that can be imported without an underscore is meant to be.
PUBLIC_MODULES = {
    "port_webhook",
    "port_webhook.adapters",
    "port_webhook.adapters.aiohttp",
    "port_webhook.adapters.asgi",
    "port_webhook.adapters.aws_lambda",
    "port_webhook.adapters.django",
    "port_webhook.adapters.fastapi",
    "port_webhook.adapters.flask",
    "port_webhook.adapters.kafka",
    "port_webhook.adapters.wsgi",
    "port_webhook.decryption",
    "port_webhook.devtools",
    "port_webhook.exceptions",
    "port_webhook.integration",
    "port_webhook.models",
    "port_webhook.replay",
    "port_webhook.replay.django",
    "port_webhook.replay.dynamodb",
    "port_webhook.replay.memory",
    "port_webhook.replay.redis",
    "port_webhook.testing",
    "port_webhook.testing.django",
    "port_webhook.testing.fastapi",
    "port_webhook.testing.flask",
    "port_webhook.testing.httpx2",
    "port_webhook.testing.plugin",
}
# Of issues that come later, or now.
PUBLIC_LATER = {
    "port_webhook.dispatch",
    "port_webhook.reporting",
    "port_webhook.testing.requests",
}


def test_the_public_modules_are_these():
    assert set(PUBLIC) - PUBLIC_LATER == PUBLIC_MODULES


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_lists_its_names(module):
    tree = ast.parse(TREE[module].read_text("utf-8"))
    listed: list[Any] = [node for node in tree.body if assigns(node, "__all__")]

    if module == "port_webhook.adapters":
        assert listed == []  # its modules are imported by their full names only
        return
    (statement,) = listed
    names = ast.literal_eval(statement.value)
    assert names == sorted(names)
    assert not any(name.startswith("_") for name in names)


def assigns(node, name):
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return any(getattr(target, "id", None) == name for target in targets)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name == "__init__.py"],
    ids=module_of,
)
def test_an_init_hands_names_on_and_holds_no_code(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            # PEP 562
            assert node.name in ("__getattr__", "__dir__"), node.name
        elif isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)  # the docstring
        elif is_type_checking(node):
            assert all(isinstance(each, ast.ImportFrom) for each in node.body)
        else:
            assert isinstance(node, allowed), ast.unparse(node)
            if isinstance(node, ast.Assign | ast.AnnAssign):
                assert node.value is not None
                ast.literal_eval(node.value)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_point_one_way(path):
    part = part_of(path)
    imported = {module for module, _ in imports_of(path)}
    parts = {
        module.split(".")[1]
        for module in imported
        if module.startswith("port_webhook.")
    }

    if part in OUTER:
        assert parts.isdisjoint(OUTER.keys() - {part} - OUTER[part])
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


def test_no_two_modules_know_each_other_for_types_either():
    graph = {
        module: {name for name, _ in imports_of(path)} & TREE.keys() - {module}
        for module, path in TREE.items()
    }

    # Take away what imports nothing that is left, until nothing can be taken away.
    while free := [module for module, others in graph.items() if not others]:
        for module in free:
            del graph[module]
        for others in graph.values():
            others.difference_update(free)

    assert graph == {}, "these import each other, or what does"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_nothing_but_tools_imports_an_adapter(path):
    imported = {module for module, _ in imports_of(path)}

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
        for module, _ in imports_of(path)
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
            module.split(".")[0]
            for module, when in run_time_imports(path)
            if when == "eager"
        }
        assert eager.isdisjoint(FRAMEWORKS)
        assert roots <= ({"pydantic", "msgspec"} if part == "models" else set())


def test_the_mac_has_one_importer():
    # A test tool encrypts, but what it signs, it signs by the library's own means.
    importers = {
        part_of(path)
        for path in MODULES
        for module, _ in run_time_imports(path)
        if module == "hmac" or module.startswith("cryptography.hazmat.primitives.hmac")
    }

    assert importers == {"_signature"}


def test_the_verifier_is_the_cores_only_reader_of_the_clock():
    readers = {
        part_of(path)
        for path in MODULES
        for module, _ in run_time_imports(path)
        if module == "time"
    }

    # A source asks how long a secret was used. A store has a clock of its own, and so
    # has what a test makes up.
    assert readers - {"reporting", "devtools"} == {
        "_verifier",
        "_source",
        "replay",
        "testing",
    }


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
            "import port_webhook; v = port_webhook.Verifier('sixteen bytes or more')",
            id="build",
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
        "port_webhook._signature",
        "port_webhook._tracebacks",
        "port_webhook._verifier",
        "port_webhook.exceptions",
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

    loaded = loaded_by(script) - loaded_by("import logging")

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
