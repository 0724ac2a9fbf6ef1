"""`port-webhook listen` as a process: start, failures, signals, restarts."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from port_webhook.testing import sign_request

from .listening import SECRET, SRC, Command


def test_ctrl_c_ends_it_with_status_0_and_a_summary():
    with Command(mode="--compact").start_quietly() as command:
        status, out, err = command.end(signal.SIGINT)
    assert (status, out) == (0, "")
    assert "Press Ctrl-C to stop." in err
    assert err.endswith("Stopped: 0 verified, 0 refused.\n")


def test_a_signal_ends_it_while_somebody_waits_for_news():
    with Command("--delay", "3600").start() as command:
        port = int(command.url.rpartition(":")[2])
        token = command.page.partition("=")[2]
        body, headers = sign_request({"a": 1}, SECRET)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with (
            socket.create_connection(("127.0.0.1", port)) as slow,
            socket.create_connection(("127.0.0.1", port)) as page,
        ):
            head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
            slow.sendall(f"{head}{lines}\r\n".encode() + body)
            page.sendall(
                b"GET /_inspector/api/deliveries?after=9&wait=1 HTTP/1.1\r\n"
                b"Host: 127.0.0.1\r\nX-Inspector-Token: " + token.encode() + b"\r\n\r\n"
            )
            status, out, err = command.end(signal.SIGTERM)
    assert (status, err) == (0, "")
    assert '"event": "stopped"' in out


def test_history_survives_a_restart_and_stays_private(tmp_path):
    file = tmp_path / "deliveries.jsonl"
    with Command("--history", str(file)).start() as command:
        body, headers = sign_request({"runId": "r_1"}, SECRET)
        assert command.send(body, headers).status_code == 202
        assert command.send(b"{}", {}).status_code == 401
        command.event("delivery")
        command.event("delivery")
        command.end(signal.SIGTERM)
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600

    options = ("--history", str(file), "--keep", "1")
    with Command(*options, mode="--compact").start_quietly() as command:
        assert "deliveries.jsonl (1 deliveries)" in command.greeting
        command.end(signal.SIGINT)
    with Command("--history", str(file)).start() as command:
        command.send(body, headers)
        assert command.event("delivery")["id"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--forward", "nowhere"), "--forward takes a URL"),
        (("--smee", "nowhere"), "--smee takes a URL"),
        (("--history", "."), "history file cannot be used"),
        (("--history", "missing/folder/file"), "No such file"),
        (("--host", "203.0.113.1"), "cannot be used"),
        (("--compact", "--quiet"), "give one of --compact and --quiet"),
        (("--body", "@missing"), "No such file"),
        (("--body", "x", "--forward", "http://127.0.0.1:9/"), "--body needs --respond"),
        (("--verdict", "maybe"), "maybe"),
        (("--respond", "100"), "200"),
        (("--port", "70000"), "65535"),
    ],
)
def test_wrong_usage_is_status_2(arguments, words):
    with Command(*arguments, mode=None) as command:
        status, _, err = command.end()
    assert status == 2
    assert words.lower() in " ".join(err.replace("│", " ").lower().split())
    assert "Traceback" not in err


def test_without_a_secret_it_does_not_start():
    with Command(secret=None) as command:
        status, _, err = command.end()
    assert status == 2
    assert "There is no secret" in err


def test_a_port_that_is_taken_is_wrong_usage():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with Command("--port", port) as command:
            status, _, err = command.end()
    assert status == 2
    assert f"127.0.0.1:{port} cannot be used" in err


def test_the_secret_comes_from_a_file_and_is_never_printed(tmp_path):
    (tmp_path / "secret").write_text(f"{SECRET}\n", "utf-8")
    arguments = ("--secret-file", str(tmp_path / "secret"))
    with Command(*arguments, secret=None, COLUMNS="20").start() as command:
        body, headers = sign_request({"leak": SECRET}, SECRET)
        command.send(body, headers)
        assert command.event("delivery")["verdict"] == "verified"
        _, out, err = command.end(signal.SIGINT)
    assert SECRET not in out + err


def test_a_reader_that_goes_away_ends_it():
    with Command().start() as command:
        assert command.process.stdout is not None
        command.process.stdout.close()
        command.process.stdout = None
        command.send(b"{}", {})
        status, _, err = command.end()
    assert (status, err) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")
def test_on_a_narrow_terminal_it_prints_readably_in_colour():
    import pty

    main, other = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SRC), *sys.path]),
        "PORT_CLIENT_SECRET": SECRET,
        "COLUMNS": "30",
        "TERM": "xterm",
    }
    command = [sys.executable, "-m", "port_webhook", "listen", "--port", "0"]
    process = subprocess.Popen(command, stdout=other, stderr=other, env=environment)
    os.close(other)
    printed = b""
    while b"Ctrl-C" not in printed:
        printed += os.read(main, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    os.close(main)
    assert b"\x1b[1mListening on" in printed
