"""One run of `listen`: its options, its signals, and what goes wrong in it."""

import asyncio
import io
import signal
import socket
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from port_webhook.devtools import _listen
from port_webhook.devtools._app import app
from port_webhook.devtools._history import History, Record
from port_webhook.devtools._listen import ListenError, Options, Session
from port_webhook.devtools._printer import Filters, Printer
from port_webhook.devtools._receiver import Answer, Forwarder
from port_webhook.devtools._smee import SmeeEvent
from port_webhook.exceptions import ConfigurationError
from port_webhook.testing import sign_request

from .listening import SECRET, Upstream, receiver, until


def call(*arguments, **environment):
    environment = {"PORT_CLIENT_SECRET": SECRET, **environment}
    return CliRunner().invoke(app, ["listen", *arguments], env=environment)


def test_the_options_reach_the_receiver(monkeypatch, tmp_path):
    seen = []

    async def run(session):
        seen.append(session._options)

    monkeypatch.setattr(Session, "run", run)
    (tmp_path / "answer").write_bytes(b"\xff")
    done = call(
        *("--port", "0", "--respond", "500", "--body", f"@{tmp_path / 'answer'}"),
        *("--delay", "2", "--forward", "http://a/", "--smee", "https://smee.io/a"),
        *("--history", "file", "--keep", "7", "--quiet", "--agent", "--no-inspector"),
        *("--path", "/a", "--path", "/b", "--verdict", "refused", "--action", "c"),
    )
    assert done.exit_code == 0, done.output
    assert seen == [
        Options(
            port=0,
            forward="http://a/",
            answer=Answer(500, b"\xff", 2),
            smee="https://smee.io/a",
            history=Path("file"),
            keep=7,
            mode="quiet",
            filters=Filters(["/a", "/b"], "refused", ["c"]),
            agent=True,
            inspector=False,
        )
    ]
    call("--port", "0", "--body", "x")
    assert seen[1] == Options(port=0, answer=Answer(body=b"x"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--compact", "--json"),
        ("--forward", "x"),
        ("--body", "x", "--forward", "http://a/"),
    ],
)
def test_wrong_usage_is_status_2(arguments):
    assert call(*arguments).exit_code == 2


async def test_a_signal_stops_it_and_its_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    async with receiver() as client:
        await client.printed("Ctrl-C")
        signal.raise_signal(signal.SIGINT)
        await client.ended()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_in_another_thread_which_gets_no_signals():
    out = io.StringIO()

    async def run(listener):
        session = Session(Options(), [SECRET], Printer("readable", out=out), listener)
        running = asyncio.create_task(session.run())
        await until(lambda: "Ctrl-C" in out.getvalue())
        session.stop()
        await running

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(run(listener)))
        thread.start()
        thread.join()
    assert "Stopped" in out.getvalue()


async def test_the_history_is_named_and_what_cannot_be_read_is_counted(tmp_path):
    file = tmp_path / "history"
    history = History(5, file)
    record = Record(1.5, "http", "POST", "/port", [], b"{}")
    history.add(record)
    history.finish(record, 202, None)
    file.write_bytes(file.read_bytes() + b"no JSON\n")
    async with receiver(history=file) as client:
        printed = await client.printed("(1 deliveries)")
    assert "1 lines of the history file were not readable." in printed


async def test_a_folder_cannot_be_the_history(tmp_path):
    with pytest.raises(ListenError, match="history file cannot be used"):
        async with receiver(history=tmp_path):
            pass  # pragma: no cover


async def test_a_diagnosis_that_fails_leaves_the_reason(monkeypatch):
    def fail(*_, **__):
        raise ConfigurationError("no")

    monkeypatch.setattr(_listen, "diagnose", fail)
    async with receiver() as client:
        await client.post("/port", content=b"{}")
        await client.printed("has no x-port-signature header")


async def test_a_delivery_is_kept_although_forwarding_it_failed_unexpectedly(
    monkeypatch,
):
    async def fail(*_):
        raise LookupError

    monkeypatch.setattr(Forwarder, "send", fail)
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        body, headers = sign_request({"n": 1}, SECRET)
        response = await client.post("/port", content=body, headers=headers)
        (found,) = await client.deliveries()
    assert response.status_code == 500
    assert (found["verdict"], found["status"]) == ("verified", None)


async def test_nobody_waits_for_what_is_there_or_for_a_receiver_that_closes():
    async with receiver() as client:
        await client.post("/port", content=b"{}")
        news = (await client.api("deliveries?after=0&wait=1")).json()
        assert len(news["deliveries"]) == 1
        inner = client.session._receiver
        waiting = asyncio.create_task(client.api("deliveries?after=99&wait=1"))
        await until(lambda: inner._changed._waiters)
        inner.close()
        assert (await waiting).json()["deliveries"] == []
        await inner.receive_event(SmeeEvent("/", [], [b"{}"]))
        assert inner._changed.is_set()
