"""Run the mutation tests of modules, and say what survived.

    python mutation/run.py _json integration/_paths

mutmut works on a copy below build/mutation, one for each module. Survivors are shown as
diffs; with --again only they are tested, which is quick while tests are written.
"""

from __future__ import annotations

import argparse
import ast
import json
import resource
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "src/port_webhook"

# Parts of the names of tests that start servers or processes.
_WITH_PROCESSES = (
    "postgresql or silent or unreachable or restart or full "
    "or threads or processes or project_without or settings_on"
)
# For each module the smallest set of quick tests that is meant to cover it. Tests
# with real servers stay out.
TESTS: dict[str, list[str]] = {
    "_signature": [
        "tests/test_signature.py",
        "tests/test_vectors.py",
        "tests/test_properties.py::test_each_signature_has_one_last_digit",
    ],
    "_verifier": [
        "tests/test_verifier.py",
        "tests/test_verifier_exactly.py",
        "tests/test_delivery.py",
        "tests/test_vectors.py",
        "tests/test_reception.py",
        "tests/test_source.py",
        "tests/test_log.py",
    ],
    "_log": [
        "tests/test_log.py",
        # They look at frames, and mutmut adds some.
        "--deselect=tests/test_log.py::test_a_record_tells_the_place_that_wrote_it",
        "--deselect=tests/test_log.py::test_the_record_of_a_refusal_tells_the_place_that_wrote_it",
        "tests/test_verifier.py::TestHooks",
        "tests/test_verifier.py::TestRecords",
        "tests/test_verifier_exactly.py",
        "tests/test_reception.py::test_every_way_of_receiving_tells_on_verified_and_the_log",
    ],
    "_secrets": [
        "tests/test_verifier.py::TestWeakSecrets",
        "tests/test_verifier.py::TestConstruction",
        "tests/test_verifier_exactly.py",
    ],
    "_json": [
        "tests/test_json.py",
        # It counts calls, and mutmut adds some.
        "--deselect=tests/test_json.py::TestLinearWork::test_white_space_is_removed_in_a_number_of_steps",
    ],
    "_kafka_message": ["tests/test_kafka_message.py"],
    "decryption": ["tests/test_decryption.py"],
    "_tracebacks": ["tests/test_tracebacks.py"],
    "_source": ["tests/test_source.py"],
    "_reception": ["tests/test_reception.py"],
    "_delivery": ["tests/test_delivery.py"],
    "_arguments": ["tests/test_arguments.py"],
    "_placeholders": ["tests/test_arguments.py"],
    "integration/_paths": ["tests/paths/test_prefixes.py"],
    "integration/_body": ["tests/integration/test_body.py"],
    "integration/_lifecycle": ["tests/integration/test_lifecycle.py"],
    "integration/_asgi": ["tests/integration/test_asgi.py"],
    "integration/_wsgi": ["tests/integration/test_wsgi.py"],
    "integration/_endpoint": ["tests/integration/test_endpoint.py"],
    "replay/_claims": [
        "tests/replay/test_claims.py",
        # It starts servers, and mutmut runs the tests twice in one process.
        "--deselect=tests/replay/test_claims.py::TestSelfCheck::test_every_store_passes_it",
    ],
    "replay/_values": ["tests/replay/test_replay.py"],
    "replay/memory": [
        "tests/replay/test_memory.py",
        # Many thousand steps each; a mutant of the heap that never ends would wait for
        # a multiple of their time.
        "--deselect=tests/replay/test_memory.py::test_no_step_walks_through_the_keys",
        "--deselect=tests/replay/test_memory.py::test_a_key_takes_at_most_200_bytes",
        "--deselect=tests/replay/test_memory.py::test_a_forked_child_has_a_copy_that_works",
    ],
    "replay/redis": ["tests/replay/test_redis.py"],
    # Without a server.
    "replay/dynamodb": [
        "tests/replay/test_dynamodb.py",
        "tests/replay/test_laws.py",
        "-ktest_dynamodb or mocked",
    ],
    # On SQLite alone, and in this process.
    "replay/django/_store": [
        "tests/replay/test_django.py",
        "tests/replay/test_laws.py",
        f"-k(test_django or sqlite) and not ({_WITH_PROCESSES})",
    ],
    "replay/django/management/commands/clear_replay_claims": [
        "tests/replay/test_django.py",
        "-kcommand and not postgresql",
    ],
}

# In place of mutmut's constant in pyproject.toml: a busy machine may need longer for a
# thousand tests, and a mutant that survives all of them would count as killed.
_TIMEOUTS = {"_verifier": 20.0}

# `mutmut show` for many mutants, in one process.
_SHOW = """
import sys
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
config()
for name in sys.argv[1:]:
    print(f"\\n{name}", get_diff_for_mutant(name), sep="\\n", flush=True)
"""

# mutmut's words for a mutant that no test can be said to have missed.
_CAUGHT = {"killed", "timeout", "segfault", "caught by type check"}


def _decorate_afterwards(source: str) -> str:
    """Write ``f = decorator(f)`` below each function, in place of its decorators.

    It is the same to Python, and mutmut leaves decorated functions out.
    """
    lines = source.splitlines(keepends=True)
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.decorator_list
    ]
    # From the end, so that the numbers of the lines before stay right.
    for node in sorted(functions, key=lambda each: each.lineno, reverse=True):
        decorators = [ast.unparse(each) for each in node.decorator_list]
        if "overload" in decorators:
            continue
        value = node.name
        for decorator in reversed(decorators):
            value = f"{decorator}({value})"
        indent = " " * node.col_offset
        lines.insert(node.end_lineno or 0, f"{indent}{node.name} = {value}\n")
        del lines[node.decorator_list[0].lineno - 1 : node.lineno - 1]
    return "".join(lines)


def _prepare(module: str, tests: list[str], *, again: bool) -> Path:
    """Copy what the tests need, with the configuration of this one module."""
    work = ROOT / "build" / "mutation" / module.replace("/", ".")
    if not again:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    for file in work.glob("mutants/**/*.meta"):
        # mutmut tests what has no exit status; one is a failed test.
        found = json.loads(file.read_text("utf-8"))
        statuses = found["exit_code_by_key"]
        found["exit_code_by_key"] = {
            name: status if status == 1 else None for name, status in statuses.items()
        }
        file.write_text(json.dumps(found), "utf-8")
    for name in ("src", "tests", "examples"):
        shutil.rmtree(work / name, ignore_errors=True)
        skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / name, work / name, ignore=skipped)
    for name in ("README.md", "LICENSE", "conftest.py"):
        shutil.copy2(ROOT / name, work / name)
    file = work / PACKAGE / f"{module}.py"
    file.write_text(_decorate_afterwards(file.read_text("utf-8")), "utf-8")
    listed = f"only_mutate = {json.dumps([f'{PACKAGE}/{module}.py'])}\n"
    listed += f"pytest_add_cli_args_test_selection = {json.dumps(tests)}\n"
    table = "[tool.mutmut]\n"
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    if text.count(table) != 1:
        raise ValueError(table)
    text = text.replace(table, table + listed)
    if module in _TIMEOUTS:
        constant = "timeout_constant = "
        text = text.replace(f"{constant}5.0", f"{constant}{_TIMEOUTS[module]}")
    (work / "pyproject.toml").write_text(text, "utf-8")
    return work


def _verdicts(work: Path) -> dict[str, str]:
    """Return mutmut's verdict on each mutant."""
    printed = subprocess.run(
        [sys.executable, "-m", "mutmut", "results", "--all", "true"],
        cwd=work,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    pairs = (line.strip().rsplit(": ", 1) for line in printed.splitlines() if line)
    return dict(pairs)


def _run(module: str, children: int, *, again: bool) -> bool:
    """Test the mutants of *module*; return whether each was caught."""
    work = _prepare(module, TESTS[module], again=again)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", "run", f"--max-children={children}"],
        cwd=work,
        capture_output=True,
        check=False,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
        return False
    verdicts = _verdicts(work)
    left = [name for name, verdict in verdicts.items() if verdict not in _CAUGHT]
    subprocess.run([sys.executable, "-c", _SHOW, *left], cwd=work, check=True)
    minutes = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts = ", ".join(f"{n} {word}" for word, n in Counter(verdicts.values()).items())
    print(f"\n{module}: {len(verdicts)} mutants: {counts}; {minutes / 60:.1f} CPU min")
    return not left


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run the mutation tests of modules.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--children", type=int, default=1, help="processes at once")
    parser.add_argument("--again", action="store_true", help="only what survived")
    options = parser.parse_args()
    for module in options.modules:
        if module not in TESTS:
            parser.error(f"{module} has no tests here; choose from {', '.join(TESTS)}")
    results = [
        _run(module, options.children, again=options.again)
        for module in options.modules or TESTS
    ]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
