"""The commands end to end: what they print, and how they end."""

from __future__ import annotations

import base64
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import port_webhook.__main__
from port_webhook import sign
from port_webhook.devtools import _options, explain
from port_webhook.testing import (
    action_invocation,
    encrypt_client_side,
    encrypt_secret,
    kafka_event,
    lambda_event,
    sign_as_agent,
    sign_kafka_message,
)

from .commands import SECRET, call, command, environment, serve, spawn

RUNNERS = pytest.mark.parametrize("run", [call, spawn])
BODY = b'{"context":{"runId":"r_1"}}'
OTHER = "another-secret-of-another-org"
FIXTURE = Path(__file__).parents[1] / "fixtures" / "decryption.json"
PEM = json.loads(FIXTURE.read_bytes())["private_key"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body.json").write_bytes(BODY)
    return tmp_path


@pytest.fixture
def signed():
    """The options that sign the body now."""
    headers = sign(BODY, SECRET)
    return [
        "--timestamp",
        headers["x-port-timestamp"],
        "--signature",
        headers["x-port-signature"],
    ]


@RUNNERS
def test_sign_prints_the_two_headers(run, folder):
    done = run("sign", "body.json", "--timestamp", "1713277889")

    headers = sign(BODY, SECRET, timestamp=1713277889)
    assert done == (0, "".join(f"{k}: {v}\n" for k, v in headers.items()), "")


@RUNNERS
def test_sign_reads_a_pipe_and_prints_json(run):
    done = run("sign", "-", "--timestamp", "1713277889", "--json", stdin=BODY)

    assert done.json == sign(BODY, SECRET, timestamp=1713277889)


def test_sign_refuses_a_timestamp_that_is_none():
    assert call("sign", "-", "--timestamp", "7").status == 2


@RUNNERS
def test_verify_says_in_one_line_that_it_verifies(run, folder, signed):
    done = run("verify", "body.json", *signed)

    assert done.status == 0
    assert done.out.startswith("Verified via port, signed ")
    assert done.out.endswith("s before it arrived, run r_1.\n")
    assert done.out.count("\n") == 1


@RUNNERS
def test_verify_says_in_one_line_that_it_does_not(run, folder, signed):
    done = run("verify", "-", *signed, stdin=BODY + b"\n")

    assert done.status == 1
    assert done.out.startswith("Refused (signature_mismatch): No signature matches")
    assert "PORT_CLIENT_SECRET" in done.out
    assert done.out.count("\n") == 1
    assert done.err == ""


def test_verify_prints_json(folder, signed):
    done = call("verify", "body.json", *signed, "--json")
    refused = call("verify", "-", *signed, "--json")

    assert done.json["verified"] is True
    assert done.json["code"] is None
    assert done.json["run_id"] == "r_1"
    assert refused.status == 1
    assert refused.json["verified"] is False
    assert refused.json["code"] == "signature_mismatch"


def test_verify_accepts_the_agents_form_only_when_told(folder):
    body, headers = sign_as_agent({"a": [1, 2]}, SECRET)
    options = [f"-H{name}: {value}" for name, value in headers.items()]

    assert call("verify", "-", *options, stdin=body).status == 1
    done = call("verify", "-", *options, "--agent", stdin=body)
    assert done.out.startswith("Verified via agent")
    assert "run" not in done.out


def test_verify_accepts_previous_secrets(folder, signed):
    done = call(
        "verify", "body.json", *signed, secret=OTHER, PORT_CLIENT_SECRET_PREVIOUS=SECRET
    )

    assert "with previous secret 1" in done.out


def test_verify_takes_the_time_of_arrival(folder):
    headers = sign(BODY, SECRET, timestamp=1713277889)
    options = [f"--header={name}: {value}" for name, value in headers.items()]

    assert "timestamp_too_old" in call("verify", "body.json", *options).out
    done = call("verify", "body.json", *options, "--at", "1713277899")
    assert "signed 10 s before" in done.out


@RUNNERS
def test_explain_proves_what_happened(run, folder, signed):
    done = run("explain", "-", *signed, stdin=BODY + b"\n")

    headers = {"x-port-timestamp": signed[1], "x-port-signature": signed[3]}
    assert done.status == 1
    assert done.out == str(explain(BODY + b"\n", headers, SECRET)) + "\n"
    assert "1. newline_added (proven)" in done.out


@RUNNERS
def test_explain_says_that_nothing_is_wrong(run, folder, signed):
    assert run("explain", "body.json", *signed) == (0, "The delivery verifies.\n", "")


def test_explain_prints_json(folder, signed):
    done = call("explain", "-", *signed, "--json", stdin=BODY + b"\n")
    healthy = call("explain", "body.json", *signed, "--json")

    (cause,) = done.json["causes"]
    assert done.json["verified"] is False
    assert cause.keys() == {"code", "proven", "text", "remedy"}
    assert healthy.json == {"verified": True, "causes": []}


def test_explain_reads_each_capture(folder):
    headers = sign(BODY, SECRET)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    options = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    listed = [{"name": name, "value": value} for name, value in headers.items()]
    request = {"headers": listed, "postData": {"text": BODY.decode()}}
    message = sign_kafka_message({"a": 1}, SECRET)
    files = {
        "http": f"POST / HTTP/1.1\r\n{lines}\r\n{BODY.decode()}",
        "curl": f"curl {options} -d '{BODY.decode()}'",
        "har": json.dumps({"log": {"entries": [{"request": request}]}}),
        "lambda": json.dumps(lambda_event(BODY, headers)),
        "kafka": message.decode(),
    }
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
        assert call("explain", f"--{name}", name).out == "The delivery verifies.\n"
        assert call("verify", f"--{name}", name).status == 0
    (folder / "event").write_text(json.dumps(kafka_event(message)))
    assert call("explain", "--lambda", "event").status == 0
    # A body beside a capture takes the place of its body.
    done = call("explain", "-", "--http", "http", stdin=BODY + b"\n")
    assert "newline_added" in done.out


def test_a_body_beside_a_command_stands_for_the_file_that_it_names(folder):
    options = " ".join(
        f"-H '{name}: {value}'" for name, value in sign(BODY, SECRET).items()
    )
    (folder / "command").write_text(f"curl {options} --data-binary @body.json http://x")

    assert call("verify", "-", "--curl", "command", stdin=BODY).status == 0
    refused = call("verify", "--curl", "command")
    assert (refused.status, "names a file" in refused.err) == (2, True)


def test_what_is_noted_of_a_capture_is_printed_beside_the_result(folder):
    headers = {**sign(BODY, SECRET), "Transfer-Encoding": "chunked"}
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
    (folder / "http").write_bytes(f"{lines}\n".encode() + BODY)
    note = (
        "Note: Transfer-Encoding says chunked, but the body does not begin with the "
        "size of a chunk. It is used as it is.\n"
    )

    for name in ("verify", "explain"):
        done = call(name, "--http", "http", "--json")
        assert done.json["verified"]
        assert done.err == note
    # A body beside it is the one that is used.
    assert call("explain", "-", "--http", "http", stdin=BODY).err == ""
    (folder / "http").write_bytes(f"{lines}\n5\nabc".encode())
    broken = call("explain", "--http", "http")
    assert broken.status == 2
    assert broken.err.startswith("Error: http: the chunked body is broken: chunk 1")


def test_explain_names_what_is_wrong_with_a_kafka_message(folder):
    message = sign_kafka_message({"a": 1}, SECRET)
    (folder / "message").write_bytes(b"\xef\xbb\xbf" + message)
    (folder / "bare").write_bytes(BODY)
    headers = [f"-H{name}: {value}" for name, value in sign(BODY, SECRET).items()]

    assert "1. bom_added" in call("explain", "--kafka", "message").out
    assert "1. http_form" in call("explain", "--kafka", "bare", *headers).out
    assert "1. missing_header" in call("explain", "--kafka", "bare").out
    other = call("explain", "--kafka", "message", secret=OTHER)
    assert "1. bom_added (not proven)" in other.out


def test_explain_reads_candidates(folder, signed):
    (folder / "others").write_bytes(f"\n{OTHER}\r\n{SECRET}\n".encode())

    done = call(
        "explain", "body.json", *signed, "--candidates", "others", secret="x" * 32
    )

    assert "the secret in line 3 of others" in done.out
    assert SECRET not in done.out


def test_explain_takes_a_secret_that_is_damaged(folder, signed):
    (folder / "secret").write_bytes(f" {SECRET}\n".encode())
    (folder / "clean").write_bytes(f"{SECRET}\r\n".encode())

    quoted = call("explain", "body.json", *signed, secret=f'"{SECRET}"')
    assert "PORT_CLIENT_SECRET is wrapped in quotes" in quoted.out
    named = call(
        "explain", "body.json", *signed, "--secret-file", "secret", secret=None
    )
    assert "1. secret_whitespace" in named.out
    mounted = {"secret": None, "PORT_CLIENT_SECRET_FILE": "secret"}
    assert "secret_whitespace" in call("explain", "body.json", *signed, **mounted).out
    done = call("explain", "body.json", *signed, "--secret-file", "clean", secret=None)
    assert done.status == 0
    previous = {"secret": OTHER, "PORT_CLIENT_SECRET_PREVIOUS": SECRET}
    assert call("explain", "body.json", *signed, **previous).status == 0


def test_a_secret_comes_from_several_files(folder, signed):
    (folder / "new").write_text(OTHER)
    (folder / "old").write_text(SECRET)

    done = call(
        *("verify", "body.json", *signed),
        *("--secret-file", "new", "--secret-file", "old"),
        secret=None,
    )

    assert "previous secret 1" in done.out


NO_HEADERS = (
    "Give the headers: --timestamp and --signature, -H, or a capture such as "
    "--http FILE."
)
MILLISECONDS = "--at must be in seconds, not milliseconds."
HEADERLESS = ["verify", "body.json", "-H", "a: b"]


def test_a_message_of_kafka_needs_no_option_for_headers(folder):
    (folder / "message").write_bytes(sign_kafka_message({"a": 1}, SECRET))

    assert "kafka_form" in call("explain", "message").out


def test_a_message_that_is_a_question_ends_with_its_mark(folder):
    assert call("verify", "--http", "body.json").err.endswith("is it raw HTTP?\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["verify"], "Give a BODY"),
        (["verify", "--http", "body.json"], "line 1 is no header; is it raw HTTP?"),
        (["verify", "body.json"], NO_HEADERS),
        (["explain", "body.json"], NO_HEADERS),
        (["verify", "missing.json"], "missing.json: No such file"),
        (["verify", "."], "Is a directory"),
        (["verify", "a\0b"], "ValueError"),
        (["explain", "--http", "missing"], "No such file"),
        (["explain", "--har", "body.json"], "body.json: the file has no entries"),
        (["explain", "--http", "a", "--curl", "b"], "--http and --curl"),
        (["explain", *HEADERLESS[1:], "--candidates", "missing"], "No such file"),
        (["verify", "body.json", "-H", "nonsense"], "--header takes"),
        (["verify", "body.json", "--at", "noon"], "--at"),
        ([*HEADERLESS, "--at", "nan"], "--at must be a number of seconds."),
        ([*HEADERLESS, "--at", "1795907692000"], MILLISECONDS),
        (["explain", *HEADERLESS[1:], "--at", "-1e11"], MILLISECONDS),
        (["sign", "body.json", "--secret-file", "missing"], "No such file"),
        (["sign", "body.json", "--secret-file", "empty"], "is empty"),
        (["explain", *HEADERLESS[1:], "--secret-file", "empty"], "is empty"),
        (["sign"], "BODY"),
        (["frobnicate"], "frobnicate"),
        (["verify", "--frobnicate"], "--frobnicate"),
        (["decrypt"], "VALUE"),
        (["decrypt", "a", "--body", "b"], "VALUE"),
        (["decrypt", "a", "--private-key", "missing"], "No such file"),
        (["decrypt", "--body", "empty"], "not JSON"),
        (
            ["decrypt", "--body", "body.json"],
            "--path payload.entity.properties.password",
        ),
        (["send", "ftp://x"], "http://"),
        (["send", "http://["], "http://"),
        (["send", "x"], "http://"),
        (["send", "http://x", "--set", "a"], "PATH=VALUE"),
        (["send", "http://x", "--header", "a"], "--header takes"),
        (["send", "http://x", "--set", "trigger.at.x=1"], "before x is no object"),
        (["send", "http://x", "--shape", "cube"], "cube"),
        (["send", "http://x", "--stale", "--check"], "Give one of"),
        (["send", "http://x", "--repeat", "101"], "loopback"),
        (["send", "http://x", "--body", "missing"], "No such file"),
        (["send", "http://x", "--body", "empty", "--set", "a=1"], "--set needs"),
        (["send", "http://x", "--body", "empty", "--agent"], "not JSON"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_status_2(folder, args, words):
    (folder / "empty").write_bytes(b"")

    done = call(*args)

    assert (done.status, done.out) == (2, "")
    assert words in " ".join(done.err.split())


def test_a_file_that_is_too_large_is_refused(folder):
    (folder / "secret").write_bytes(b"x" * 70_000)

    done = call("sign", "body.json", "--secret-file", "secret")

    assert done.status == 2
    assert "larger than 65536 bytes" in done.err


@RUNNERS
@pytest.mark.parametrize(
    "args", [["sign", "body.json"], HEADERLESS, ["explain", *HEADERLESS[1:]]]
)
def test_without_a_secret_and_a_terminal_nobody_is_asked(run, folder, args):
    done = run(*args, secret=None)

    assert done.status == 2
    assert "There is no secret: set PORT_CLIENT_SECRET" in done.err


@RUNNERS
def test_a_damaged_secret_is_named_and_not_shown(run, folder):
    done = run("sign", "body.json", secret=f"'{SECRET}'")

    assert done.status == 2
    assert "PORT_CLIENT_SECRET is wrapped in quotes" in done.err
    assert SECRET not in done.err


def test_decrypt_prints_a_value():
    value = encrypt_secret("hunter2", SECRET)

    assert call("decrypt", value).out == "hunter2\n"
    assert call("decrypt", "-", stdin=f"{value}\n".encode()).out == "hunter2\n"
    assert call("decrypt", value, "--json").json == {"value": "hunter2"}
    rotated = call(
        "decrypt", value, secret="x" * 32, PORT_CLIENT_SECRET_PREVIOUS=SECRET
    )
    assert rotated.out == "hunter2\n"
    assert spawn("decrypt", value) == (0, "hunter2\n", "")


def test_decrypt_prints_the_inputs_of_a_body(folder):
    value = encrypt_secret("hunter2", SECRET)
    body = action_invocation(
        properties={"password": value, "size": 2},
        payload={"censoredProperties": ["password"]},
    )
    (folder / "action").write_text(json.dumps(body))
    (folder / "custom").write_text(json.dumps({"deep": {"password": value}}))

    done = call("decrypt", "--body", "action")
    line = call("decrypt", "--body", "action", "--json")
    custom = call("decrypt", "--body", "custom", "--path", "deep.password")

    assert done.json == line.json == {"password": "hunter2", "size": 2}
    assert (done.out.count("\n"), line.out.count("\n")) == (4, 1)
    assert custom.json == {"deep": {"password": "hunter2"}}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nope.nope", "is not in the body."),
        ("deep.nope", "is not in the body."),
        ("deep.none.x.y", None),
        ("deep.none", None),
        ("deep.user.x", "is not in the body."),
        ("list.7", "is not in the body."),
        ("list.01", "is not in the body."),
        ("list.0.user", "is not text, so it is not encrypted."),
        ("list.*.user", "is not text, so it is not encrypted."),
        ("list", "is not text, so it is not encrypted."),
        ("deep", "is not text, so it is not encrypted."),
        ("deep.listed", "could not be decrypted."),
    ],
)
def test_a_path_to_no_encrypted_value_is_named(folder, path, problem):
    body = {
        "deep": {"user": "ada", "none": None, "listed": ["AAAA"]},
        "list": [{"user": 7}, {"user": None}],
    }
    (folder / "custom").write_text(json.dumps(body))

    done = call("decrypt", "--body", "custom", "--path", path)

    if problem is None:
        assert (done.status, json.loads(done.out)) == (0, body)
        return
    assert (done.status, done.out) == (1, "")
    assert done.err.endswith(f" {problem}\n")
    assert (path in done.err) is (path != "deep.listed")


def test_a_body_that_is_no_object_has_nothing_to_decrypt(folder):
    (folder / "number").write_text("7")

    done = call("decrypt", "--body", "number")
    named = call("decrypt", "--body", "number", "--path", "a")

    assert (done.status, done.out) == (2, "")
    assert "parsed JSON" in done.err
    assert named == (1, "", "Error: a is not in the body.\n")


def test_decrypt_reads_a_private_key(folder):
    key: Any = load_pem_private_key(PEM.encode(), None)
    value = encrypt_client_side("hunter2", key)
    (folder / "key.pem").write_text(PEM)
    (folder / "password").write_text("no password is needed\n")

    options = ("--private-key", "key.pem")
    assert call("decrypt", value, *options, secret=None).out == "hunter2\n"
    (folder / "body").write_text(json.dumps({"password": value}))
    body = ("--body", "body", "--path", "password")
    assert call("decrypt", *body, *options, secret=None).json == {"password": "hunter2"}
    done = call("decrypt", value, *options, "--password-file", "password", secret=None)
    assert done.status == 1


@RUNNERS
def test_what_cannot_be_decrypted_ends_with_status_1(run):
    done = run("decrypt", "AAAA")

    assert done == (1, "", "Error: The value could not be decrypted.\n")


@RUNNERS
def test_the_version_is_shown(run):
    done = run("--version")

    assert done.status == 0
    assert done.out.startswith("port-webhook ")


def test_a_source_tree_has_no_version(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from port_webhook.devtools import _app

    def missing(_):
        raise PackageNotFoundError

    monkeypatch.setattr(_app, "version", missing)
    assert call("--version").out == "port-webhook, not installed\n"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("name", ["sign", "verify", "explain", "send", "decrypt"])
def test_help_shows_an_example_at_any_width(name, columns):
    done = spawn(name, "--help", COLUMNS=columns, secret=None)

    assert done.status == 0
    assert f"port-webhook {name}" in " ".join(done.out.split())
    assert "--secret-file" in done.out
    assert max(len(line) for line in done.out.splitlines()) <= max(int(columns), 50)


def test_without_arguments_the_commands_are_listed():
    done = spawn()

    assert all(name in done.out + done.err for name in ("sign", "send", "decrypt"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_the_commands(shell):
    done = spawn(
        _PORT_WEBHOOK_COMPLETE=f"complete_{shell}",
        COMP_WORDS="port-webhook ex",
        COMP_CWORD="1",
        _TYPER_COMPLETE_ARGS="port-webhook ex",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )

    assert "explain" in done.out


def test_a_narrow_terminal_wraps_the_explanation(folder, signed):
    done = spawn("explain", "-", *signed, stdin=BODY + b"\n", COLUMNS="40")

    assert max(len(line) for line in done.out.splitlines()) <= 40
    assert "1. newline_added (proven)" in done.out


def test_a_narrow_terminal_in_this_process(folder, signed):
    done = call("explain", "-", *signed, stdin=BODY, COLUMNS="40")
    wrong = call("explain", "-", *signed, stdin=BODY + b"\n", COLUMNS="40")

    assert done.out == "The delivery verifies.\n"
    assert max(len(line) for line in wrong.out.splitlines()) <= 40


def test_a_terminal_has_its_own_width(folder, signed):
    assert call("explain", "body.json", *signed, FORCE_COLOR="1").status == 0
    with serve() as endpoint:
        done = call("send", endpoint.url, "--check", FORCE_COLOR="1")
    assert "\x1b[" in done.out


def test_somebody_at_a_terminal_is_asked(monkeypatch):
    stream = SimpleNamespace(isatty=lambda: True)
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    monkeypatch.setattr(_options, "sys", SimpleNamespace(stdin=stream, stderr=stream))
    monkeypatch.setattr(_options, "getpass", lambda _: SECRET)

    secrets = _options.find_secrets(None)

    assert (secrets.source, secrets.current) == ("the prompt", SECRET.encode())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
class TestTerminal:
    """The command in a terminal."""

    def run(self, *args, typed=b"", **env):
        """Return the status and the output of the command in a pseudo-terminal."""
        import fcntl
        import pty
        import termios

        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command(*args),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="xterm", **env),
            start_new_session=True,
            # The terminal becomes its own, so that Ctrl-C reaches it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # no lock is taken in it
        )
        os.close(theirs)
        shown = b""
        watch = threading.Timer(60, process.kill)
        watch.start()
        with process:
            while True:
                try:
                    part = os.read(ours, 65_536)
                except OSError:  # Linux: the other end is closed
                    break
                shown += part
                if not part:
                    break
                if typed and b"Client secret" in shown:
                    os.write(ours, typed)
                    typed = b""
        watch.cancel()
        os.close(ours)
        return process.returncode, shown.decode()

    def test_colours_are_shown(self, folder, signed):
        status, shown = self.run("explain", *HEADERLESS[1:], COLUMNS="60")

        assert status == 1
        assert "\x1b[1;31mThe delivery does not verify" in shown

    def test_no_color_is_respected(self, folder, signed):
        _, shown = self.run("explain", *HEADERLESS[1:], NO_COLOR="1")

        assert "[31m" not in shown

    def test_the_secret_is_asked_for_and_not_shown(self, folder, signed):
        for name in ("verify", "explain"):
            status, shown = self.run(
                name, "body.json", *signed, typed=SECRET.encode() + b"\n", secret=None
            )
            assert status == 0
            assert "Client secret: " in shown
            assert SECRET not in shown

    def test_progress_is_shown_and_removed(self):
        with serve() as endpoint:
            status, shown = self.run("send", endpoint.url, "--repeat", "9")

        assert status == 0
        assert "Sending" in shown
        assert "9 requests: 9 x 200" in shown

    def test_ctrl_c_at_the_prompt_ends_it(self, folder):
        status, shown = self.run("sign", "body.json", typed=b"\x03", secret=None)

        assert status in (1, 130)
        assert "Traceback" not in shown


def interrupt(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT")
@pytest.mark.parametrize("options", [[], ["--repeat", "40", "--concurrency", "4"]])
def test_ctrl_c_ends_a_request_that_hangs(options):
    release = threading.Event()

    def respond(handler, body):
        release.wait(60)
        return 200, b""

    with serve(respond=respond) as endpoint:
        process = subprocess.Popen(
            command("send", endpoint.url, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert endpoint.arrived.wait(60)
        if options:
            # Threads that wait for an answer are waited for at the end.
            threading.Timer(0.2, release.set).start()
        status, out, err = interrupt(process)
        release.set()

    assert status == 130
    assert "Traceback" not in out + err


def test_a_closed_pipe_is_no_traceback(folder):
    process = subprocess.Popen(
        command("sign", "body.json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)

    assert b"Traceback" not in err


def test_sign_and_curl_work_together_in_a_pipe(folder):
    # As the help shows it: the output is a file of headers.
    lines = call("sign", "body.json").out.splitlines()

    done = call("verify", "body.json", *(f"--header={line}" for line in lines))

    assert done.status == 0


class TestModule:
    """``python -m port_webhook`` and the script."""

    def test_the_script_is_the_module(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["port-webhook", "--version"])

        with pytest.raises(SystemExit) as ended:
            port_webhook.__main__.main()

        assert ended.value.code == 0
        with pytest.raises(SystemExit):
            runpy.run_path(port_webhook.__main__.__file__, run_name="__main__")

    @pytest.mark.parametrize("name", ["typer", "rich", "httpx2"])
    def test_a_missing_extra_is_named(self, name):
        # httpx2 is needed by one command only, and is imported there.
        script = (
            f"import sys; sys.modules[{name!r}] = None\n"
            "sys.argv = ['port-webhook', 'send', 'http://127.0.0.1:1']\n"
            "from port_webhook.__main__ import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=False,
            text=True,
            env=environment(),
        )

        assert done.returncode == 2
        assert 'pip install "port-webhook[cli]"' in done.stderr
        assert "Traceback" not in done.stderr

    def test_ctrl_c_while_it_starts_shows_no_traceback(self, monkeypatch):
        def stop(**_):
            raise KeyboardInterrupt

        monkeypatch.setattr("port_webhook.devtools._app.app", stop)

        with pytest.raises(SystemExit) as ended:
            port_webhook.__main__.main()

        assert ended.value.code == 130

    def test_another_missing_module_is_an_error(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "port_webhook.devtools._app", None)

        with pytest.raises(ModuleNotFoundError):
            port_webhook.__main__.main()

    def test_the_extra_is_named_in_this_process_too(self, monkeypatch, capsys):
        monkeypatch.delitem(sys.modules, "port_webhook.devtools._app")
        monkeypatch.delattr("port_webhook.devtools._app")
        monkeypatch.setitem(sys.modules, "typer", None)

        with pytest.raises(SystemExit):
            port_webhook.__main__.main()

        assert "typer is missing" in capsys.readouterr().err


def test_an_output_that_takes_nothing_is_named(folder, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("typer.echo", full)

    done = call("sign", "body.json")

    assert (done.status, done.out) == (2, "")
    assert done.err == "Error: The output cannot be written: No space left on device.\n"


def test_a_reader_that_is_gone_is_not_reported(folder, monkeypatch):
    def gone(_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("typer.echo", gone)

    done = call("sign", "body.json")

    assert (done.status, done.out, done.err) == (1, "", "")


def test_no_command_shows_a_secret(folder, signed):
    spelled = base64.b64encode(SECRET.encode()).decode()
    for args in (
        ["sign", "body.json"],
        ["verify", "body.json", *signed],
        ["explain", "body.json", *signed],
        ["explain", "-", *signed],
        ["send", "http://127.0.0.1:1", "--timeout", "1"],
    ):
        done = call(*args)
        for shown in (SECRET, spelled):
            assert shown not in done.out + done.err
