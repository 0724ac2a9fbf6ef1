"""Build the sdist and the wheel of the current commit, and check what is in them.

`make package` runs this. Each is built twice, from two exports of the commit that
differ in path, permissions, time zone and file times, and both results must be the same
bytes. What lies about in the working tree is in neither export. The files are left in
``dist/``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from email import message_from_string
from hashlib import sha256
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
# Runs in a new environment, outside this folder, with what the core needs and no more.
TRY = """
import logging
import port_webhook
logging.disable()
headers = port_webhook.sign(b'{"runId": "r_1"}', "the client secret of a test")
delivery = port_webhook.verify(
    b'{"runId": "r_1"}', headers, "the client secret of a test"
)
assert delivery.run_id == "r_1"
try:
    port_webhook.verify(b"{}", headers, "the client secret of a test")
except port_webhook.SignatureMismatchError:
    print(port_webhook.__file__)
else:
    raise SystemExit("A forged body was accepted.")
"""


def run(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> str:
    """Run *command* and return what it printed; stop if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nFailed: {' '.join(map(str, command))}")
    return done.stdout


def require(condition: object, message: str) -> None:
    """Stop with *message* unless *condition* holds."""
    if not condition:
        sys.exit(message)


def export(folder: Path) -> None:
    """Write the files of the current commit, and no others, to *folder*."""
    archive = folder.with_suffix(".tar")
    run("git", "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def build(sources: Path, time_zone: str) -> Path:
    """Build both files from *sources*, the wheel from the sdist, and return where."""
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--outdir", sources / "out"),
        cwd=sources,
        env={
            # Not the time of the build, but that of the commit.
            "SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct").strip(),
            "TZ": time_zone,
            "NO_COLOR": "1",
        },
    )
    return sources / "out"


def build_twice(folder: Path) -> Path:
    """Build from two different exports and return the folder of the first."""
    one, two = folder / "one", folder / "another" / "path" / "two"
    two.parent.mkdir(parents=True)
    export(one)
    export(two)
    for path in two.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    built = build(one, "UTC"), build(two, "Asia/Kathmandu")
    first, second = (
        {file.name: sha256(file.read_bytes()).hexdigest() for file in each.iterdir()}
        for each in built
    )
    require(first == second, f"Two builds differ:\n{first}\n{second}")
    for name, digest in sorted(first.items()):
        print(digest, name)
    return built[0]


def contents(file: Path) -> dict[str, bytes]:
    """Return the content of each file in a wheel, or in an sdist below its folder."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    found = {}
    with tarfile.open(file) as sdist:
        for member in sdist.getmembers():
            require(member.isfile(), f"{member.name} in the sdist is no file.")
            opened = sdist.extractfile(member)
            name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
            found[name] = opened.read() if opened else b""
    return found


def check(sdist: Path, wheel: Path, project: dict[str, str]) -> None:
    """Check that both hold what is tracked, and the wheel only the package."""
    tracked = set(run("git", "ls-tree", "-r", "--name-only", "HEAD").split("\n")) - {""}
    source, installed = contents(sdist), contents(wheel)
    require(
        source.keys() == tracked | {"PKG-INFO"},
        "The sdist does not hold exactly what is tracked: "
        f"{sorted(source.keys() ^ (tracked | {'PKG-INFO'}))}",
    )

    package = {name for name in tracked if name.startswith("src/")}
    info = f"port_webhook-{project['version']}.dist-info"
    own = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    wanted = {name.removeprefix("src/") for name in package}
    wanted |= {f"{info}/{name}" for name in own}
    require(
        installed.keys() == wanted,
        "The wheel does not hold exactly the package: "
        f"{sorted(installed.keys() ^ wanted)}",
    )
    require("port_webhook/py.typed" in installed, "py.typed is missing.")
    for name in package:
        same = source[name] == installed[name.removeprefix("src/")]
        require(same, f"{name} differs between the sdist and the wheel.")
    licence = installed[f"{info}/licenses/LICENSE"]
    require(licence == source["LICENSE"], "The wheel has another licence.")

    metadata = message_from_string(installed[f"{info}/METADATA"].decode())
    for field, expected in {
        "Name": "port-webhook",
        "Version": project["version"],
        "License-Expression": "MIT",
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }.items():
        require(metadata[field] == expected, f"{field} is {metadata[field]!r}.")
    print(f"{len(source)} files in the sdist, {len(installed)} in the wheel")


def try_out(file: Path, folder: Path) -> None:
    """Install *file* into a new environment and verify a delivery there."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", file)
    where = Path(run(python, "-I", "-c", TRY, cwd=folder).strip())
    require(folder in where.parents, f"{where} was imported instead of {file.name}.")
    print(f"{file.name}: installed, and it verifies")


def main() -> None:
    """Build, check, try out and leave the two files in ``dist/``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if run("git", "status", "--porcelain"):
        print("The working tree has changes; the last commit is packed, without them.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        out = build_twice(folder)
        (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
        check(sdist, wheel, project)
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        for file in (wheel, sdist):
            try_out(file, folder / f"try-{file.suffix[1:]}")
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        for file in (sdist, wheel):
            shutil.copy(file, DIST)


if __name__ == "__main__":
    main()
