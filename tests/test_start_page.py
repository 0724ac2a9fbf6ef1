"""docs/start.md, followed as it is printed: files saved, commands run, output compared.

Only the installation is left out: the package is here already.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "start.md").read_text("utf-8")
MODULES = {"django-admin": "django", "port-webhook": "port_webhook"}
TIMEOUT = 60
SECRET = re.findall(r"PORT_CLIENT_SECRET=(\S+)", PAGE)[0]
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("PORT_")},
    "PORT_CLIENT_SECRET": SECRET,
    "PYTHONPATH": os.pathsep.join(sys.path),
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "80",
}


def tabs(label):
    """Return what the tabs of this label hold, in their order."""
    return re.findall(rf"(?ms)^:::{{tab}} {label}\n(.*?)^:::$", PAGE)


def sessions(text):
    """Yield each command of the console blocks with the output below it."""
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", text):
        for session in re.split(r"(?m)^\$ ", block)[1:]:
            command, _, output = session.partition("\n")
            if not command.startswith("pip "):
                yield command, output


def save_files(text, folder):
    """Save each block of Python under the name that the text before it says."""
    for before, code in re.findall(r"(?ms)(.*?)^```python\n(.*?)^```$", text):
        name = re.findall(r"`([\w/]+\.py)`", before)[-1]
        (folder / name).write_text(code, "utf-8")


def arguments(command, port):
    program, *rest = shlex.split(command.replace("8000", str(port)))
    if program == "python":
        return [sys.executable, *rest]
    return [sys.executable, "-m", MODULES.get(program, program), *rest]


def run(command, folder, port=0):
    return subprocess.run(
        arguments(command, port),
        capture_output=True,
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
        text=True,
    )


def plain(text, port=8000):
    """Replace what differs each time, and drop colours."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text).replace(str(port), "8000")
    text = re.sub(r"\br_[0-9a-f]{12}\b", "r_…", text)
    return re.sub(r"\d+(?= (?:bytes|ms)\b)|(?<=\[)\d+(?=\])", "…", text)


def is_open(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def start(command, folder, log):
    """Return a process that serves, and its port; None for it if it has ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments(command, port),
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # runserver watches over a second process
        )
    deadline = time.monotonic() + TIMEOUT
    while not is_open(port) and time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return None, port
    return process, port


@contextmanager
def serving(command, folder):
    """Run *command* until the block ends; yields the port and its output so far."""
    log = folder / "server.log"
    for _ in range(3):  # another test may have taken the port
        process, port = start(command, folder, log)
        if process is not None:
            break
    else:
        pytest.fail(log.read_text("utf-8"))
    try:
        yield port, lambda: plain(log.read_text("utf-8"), port)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def why():
    """Return the record that the page shows, as it is: in one line."""
    return " ".join(re.findall(r"(?ms)^```text\n(.*?)^```$", PAGE)[0].split())


@pytest.mark.parametrize("label", ["Flask", "Django", "FastAPI"])
def test_a_server_runs_and_answers_as_printed(label, tmp_path):
    endpoint, requests = tabs(label)
    *earlier, (command, banner) = sessions(endpoint)
    for each, _ in earlier:
        assert run(each, tmp_path).returncode == 0
    save_files(endpoint, tmp_path)
    if label == "Django":
        (app,) = re.findall(r"Add `(.+?)`", endpoint)
        settings = tmp_path / "mysite" / "settings.py"
        text = settings.read_text("utf-8")
        settings.write_text(
            text.replace("INSTALLED_APPS = [", f"INSTALLED_APPS = [{app}"), "utf-8"
        )
    with serving(command, tmp_path) as (port, output):
        sent = list(sessions(requests))
        assert [plain(run(each, tmp_path, port).stdout, port) for each, _ in sent] == [
            plain(expected) for _, expected in sent
        ]
        (check,) = re.findall(r"`(port-webhook send \S+ --check)`", PAGE)
        *refused, total = run(check, tmp_path, port).stdout.splitlines()[1:]
        assert total.endswith("forgeries are refused.")
        assert len(refused) > 40
        assert all(line.endswith("refused") for line in refused)
        # Django before 6.0 does not say which server it is.
        printed = output().replace("Starting dev", "Starting WSGI dev")
        assert why() in printed
        for line in plain(banner).splitlines():
            assert line == "…" or line in printed


def test_the_function_answers_as_printed(tmp_path):
    endpoint, requests = tabs("AWS Lambda")
    save_files(endpoint, tmp_path)
    save_files(requests, tmp_path)
    (command, answers), (_, log) = sessions(requests)
    done = run(command.partition(" 2>")[0], tmp_path)
    assert done.stdout == answers
    assert done.stderr.strip() == why()
    assert why().startswith(log.rstrip().removesuffix("…"))
