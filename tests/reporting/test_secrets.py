"""Neither token nor secret is shown: not in a repr, an error, a log or a frame."""

from __future__ import annotations

import json
import logging
import pickle
import threading

import httpx2
import pytest

from port_webhook import ReportingError
from tests.leaks import Search

from .port_api import CLIENT_SECRET

NEEDLES = [CLIENT_SECRET.encode(), b"TOKEN-marker"]


def search(error):
    found = Search(NEEDLES, below=True)
    found.error(error, "error")
    return found.found


def test_a_client_shows_neither(kind, client, api):
    kind.do(client.run_action("a"))
    found = Search(NEEDLES)
    own = {name: value for name, value in vars(client._core).items() if name != "_io"}
    found.walk(own, "core")
    found.walk(vars(client._core._tokens), "tokens")
    assert found.found == []
    assert "marker" not in repr(client)
    assert "marker" not in repr(client._core._tokens._token)


@pytest.mark.parametrize("answer", [400, 401, 422, 500, "drop", "cut"])
@pytest.mark.parametrize("where", ["access_token", "/runs"])
def test_an_error_shows_neither(kind, client, api, answer, where):
    if answer != 401 or where == "access_token":
        kind.do(client.run_action("a"))
        api.expire()
    api.script(where, *[answer] * 12)
    with pytest.raises(ReportingError) as caught:
        kind.do(client.run_action("a"))
    assert search(caught.value) == []
    assert caught.value.__cause__ is caught.value.__context__ is None
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    assert (str(again), again.status_code) == (
        str(caught.value),
        caught.value.status_code,
    )


def test_what_port_quotes_is_hidden(kind, api, clock, client):
    # It answers with the secret that it was given.
    wrong = kind.make(clock, "wrong", CLIENT_SECRET, base_url=api.url)
    with pytest.raises(ReportingError, match="wrong …") as caught:
        kind.do(wrong.run_action("a"))
    assert search(caught.value) == []


def test_a_token_of_late_is_hidden_too(kind, api, clock, client):
    kind.do(client.run_action("a"))
    for _ in range(3):
        api.expire()
        kind.do(client.run_action("a"))
    (*_, before, last) = api.tokens
    said = f"{before} is not {last}, {before}0 and {CLIENT_SECRET}"
    body = json.dumps({"error": before, "message": said}).encode()
    head = f"HTTP/1.1 422 No\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    api.script("/runs", head + body)
    with pytest.raises(ReportingError, match="… is not …, …0 and …") as caught:
        kind.do(client.run_action("a"))
    assert caught.value.error == "…"
    assert search(caught.value) == []


def test_a_transport_that_quotes_a_token_shows_neither(kind, clock, client, api):
    kind.do(client.run_action("a"))
    http = client._core._io._http
    problem = httpx2.ConnectError(f"no proxy for {api.tokens[0]} and {CLIENT_SECRET}\n")

    def fail(*args, **options):
        raise problem

    http.stream = fail
    with pytest.raises(ReportingError, match="no proxy for … and …") as caught:
        kind.do(client.run_action("a"))
    assert search(caught.value) == []
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind_of_error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_a_signal_in_the_midst_of_a_call_shows_neither(kind, clock, kind_of_error, api):
    def interrupted(seconds):
        raise kind_of_error

    async def ainterrupted(seconds):
        raise kind_of_error

    sleep = interrupted if kind.name == "blocking" else ainterrupted
    client = kind.make(clock, base_url=api.url, sleep=sleep)
    api.script("/entities", 503)
    with pytest.raises(kind_of_error) as caught:
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert search(caught.value) == []


def test_no_log_shows_either(kind, client, api, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "stamina", "port_webhook"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    api.script("PATCH", 503, "drop", (429, {"Retry-After": "1"}))
    api.script("/logs", 422)
    kind.within(client.report(api.add_run()), lambda run: run.log("x"))
    api.expire()
    kind.within(client.report("r_none"))
    assert len(caplog.records) > 10
    for record in caplog.records:
        shown = f"{record.getMessage()} {vars(record)!r}"
        assert CLIENT_SECRET not in shown
        assert "TOKEN-marker" not in shown


def test_the_frames_of_a_users_own_block_are_left_alone(kind, client, api):
    def work(run):
        local = "of the user"
        raise ValueError(local)

    with pytest.raises(ValueError, match="of the user") as caught:
        kind.within(client.report(api.add_run()), work)
    trace = caught.value.__traceback__
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    assert frames[-1].f_locals["local"] == "of the user"
    assert search(caught.value) == []


def test_no_thread_is_left_over(kind, client, api):
    before = {each for each in threading.enumerate() if "port-webhook" in each.name}
    logger = logging.getLogger("tests.reporting.left_over")
    kind.within(
        client.report(api.add_run(), logger=logger), lambda run: logger.error("x")
    )
    after = {each for each in threading.enumerate() if "port-webhook" in each.name}
    assert before == after == set()
