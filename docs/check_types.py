"""Check the Python blocks of README.md and of the pages as `mypy --strict` does.

Each page is one module, or each of its blocks is, as the tests run them. The lines that
are no Python are left empty, so that an error is reported at its line of the page. One
run of mypy reads them all, with a user's settings and not this project's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
# Their blocks are files of their own.
ALONE = {"README.md", "start.md", "other-frameworks.md"}
# These sections, too; each begins with the blocks before it that are in no other.
OWN_FILES = {
    "testing.md": {"Flask", "Django", "FastAPI and Starlette", "httpx2", "requests"}
}
# A test runs the blocks of this page, of another fence, as a project.
FENCES = {"django.md": "py"}
BLOCK = r"(?ms)^```{fence}\n(.*?)^```$|^<!--- invisible-code-block: python\n(.*?)^-->$"
SETTINGS = """\
[mypy]
strict = true
# What a framework without types decorates is no fault of the page.
disallow_subclassing_any = false
disallow_untyped_decorators = false
untyped_calls_exclude = tests

[mypy-aiokafka.*,boto3.*,botocore.*,bottle.*,celery.*,flask_restx.*,hvac.*,port_ocean.*,pyramid.*]
# Without types, or not installed.
ignore_missing_imports = true

[mypy-chalice.*]
# Left out of the groups, and its types refuse its own documented imports.
follow_imports = skip
ignore_missing_imports = true

[mypy-tests.*]
ignore_errors = true
"""


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Return each block: the line before it, the heading of its section, its text."""
    text = page.read_text("utf-8")
    pattern = BLOCK.format(fence=FENCES.get(page.name, "python"))
    found = []
    for match in re.finditer(pattern, text):
        before = text[: match.start(match.lastindex or 0)]
        heading = re.findall(r"(?m)^##+ (.+)$", before)[-1:] or [""]
        found.append((before.count("\n"), heading[0], match[1] or match[2]))
    return found


def modules(page: Path) -> dict[str, str]:
    """Return the text of each module that the page is, by its name."""
    stem = "page_" + re.sub(r"\W", "_", page.stem.lower())
    found: dict[str, str] = {}
    whole = ""
    for number, (line, heading, code) in enumerate(blocks(page)):
        if page.name in ALONE:
            # A file may import the one before it.
            before = f"from {stem}_{number - 1} import"
            text = code.replace("from hooks import", before)
            found[f"{stem}_{number}"] = "\n" * line + text
        elif heading in OWN_FILES.get(page.name, ()):
            name = f"{stem}_{heading.lower().replace(' ', '_')}"
            text = found.get(name, whole)
            found[name] = text + "\n" * (line - text.count("\n")) + code
        else:
            whole += "\n" * (line - whole.count("\n")) + code
    return found if page.name in ALONE else {**found, stem: whole}


def main() -> int:
    """Run mypy, and print what it says in terms of the pages; return its status."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    origins: dict[str, Path] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mypy.ini").write_text(SETTINGS, "utf-8")
        for page in pages:
            for module, code in modules(page).items():
                (folder / f"{module}.py").write_text(code, "utf-8")
                origins[f"{module}.py"] = page.relative_to(ROOT)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mypy", "--config-file", "mypy.ini"),
                *("--cache-dir", str(ROOT / ".mypy_cache" / "pages")),
                *("--no-error-summary", *sorted(origins)),
            ],
            capture_output=True,
            check=False,
            cwd=folder,
            env={**os.environ, "MYPYPATH": str(ROOT)},
            text=True,
        )
    lines = [
        re.sub(r"^\w+\.py(?=:)", lambda found: str(origins[found[0]]), line)
        for line in done.stdout.splitlines()
    ]
    print("\n".join([*lines, done.stderr.strip()]).strip() or "The pages: no issues.")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
