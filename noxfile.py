"""Sessions with environments of their own: Pythons, old dependencies, built files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["tests", "lowest"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

# The extra `all` names the others, whose bounds count.
EXTRAS = PYPROJECT["project"]["optional-dependencies"].keys() - {"all"}

# A page's blocks share their names, and a module's tests their servers.
PARALLEL = ("-n", "2", "--dist", "loadfile")


def _patch_level(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.name)]


def _add_pyenv_interpreters() -> None:
    """Put the interpreters of pyenv before its shims, which refuse inactive ones."""
    if shutil.which("pyenv") is None:
        return
    root = subprocess.run(
        ["pyenv", "root"],  # noqa: S607  # wherever the user keeps pyenv
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    for python in PYTHONS:
        versions = Path(root, "versions").glob(f"{python}.*")
        found = [folder for folder in versions if (folder / "bin" / "python").exists()]
        if found:
            newest = max(found, key=_patch_level) / "bin"
            os.environ["PATH"] = f"{newest}{os.pathsep}{os.environ['PATH']}"


_add_pyenv_interpreters()


def _lower_bounds(requirements: list[str]) -> list[str]:
    """Turn each ``name>=1.2`` into ``name==1.2``; refuse what has no lower bound."""
    pinned = [requirement.replace(">=", "==") for requirement in requirements]
    if loose := [requirement for requirement in pinned if "==" not in requirement]:
        raise ValueError(loose)
    return pinned


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the whole test suite."""
    session.install("--editable", ".[all]", "--group", "test")
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the test suite with exactly the lower bounds of what is pinned."""
    project = PYPROJECT["project"]
    requirements = list(project["dependencies"])
    for extra in sorted(EXTRAS):
        requirements += project["optional-dependencies"][extra]
    pinned = _lower_bounds(requirements)
    # The test client of that Starlette is httpx's; httpx2 came later.
    session.install("--editable", ".[all]", "--group", "test", "httpx", *pinned)
    # Old dependencies under new tools: their warnings say nothing about this library.
    session.run("python", "-m", "pytest", *PARALLEL, "-W", "default", *session.posargs)


@nox.session
@nox.parametrize("file", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def installed(session: nox.Session, file: str) -> None:
    """Run the test suite against a file in ``dist/``, where there is no source tree."""
    found = list(Path("dist").glob(file))
    if len(found) != 1:
        session.error(f"dist/ must hold one {file}; `make package` builds it.")
    session.install(f"{found[0]}[all]", "--group", "test")
    folder = Path(session.create_tmp()).resolve() / "project"
    shutil.rmtree(folder, ignore_errors=True)
    # Only what is tracked, since what lies about may be imported.
    tracked = session.run("git", "ls-files", "-z", external=True, silent=True)
    for name in str(tracked).split("\0"):
        if name and not name.startswith("src/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name)
    session.chdir(folder)
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)
