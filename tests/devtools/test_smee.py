"""A channel of smee.io, played by a server on loopback as smee behaves."""

import asyncio
import json

import pytest

from port_webhook.devtools import _smee
from port_webhook.devtools._listen import ListenError
from port_webhook.devtools._smee import EventReader, SmeeError, read_event
from port_webhook.testing import sign_as_agent, sign_request

from .listening import SECRET, Upstream, receiver

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
READY = b"event: ready\ndata: {}\n\n"
PING = b"event: ping\ndata: {}\n\n"
# Real smee names no time. The tests do not want to wait.
SOON = b"retry: 1\n\n"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(_smee, "_LEAST_DELAY", 0.001)


class Smee:
    """smee: parsed bodies, ids that start at 0 for each connection, no memory.

    Each connection gets the next script: bytes to send at once. Then it stays open if
    the script is the last one, and is cut otherwise.
    """

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.requests = []
        self.writers = []

    async def _serve(self, reader, writer):
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.scripts.pop(0))
        await writer.drain()
        if self.scripts:
            writer.close()
            await writer.wait_closed()
        else:
            self.writers.append(writer)

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/channel"
        return self

    async def __aexit__(self, *_):
        for each in self.writers:
            each.close()
        self._server.close()
        await self._server.wait_closed()


def event(body, headers, number=0, query=None):
    """Return the event that smee makes of a request: its body was parsed."""
    data = {
        "host": "smee.io",
        "content-length": "999",
        **headers,
        "body": json.loads(body),
        "query": query or {},
        "timestamp": 1_713_277_889_123,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\ndata: {text}\n\n".encode()


async def test_what_comes_by_a_channel_verifies_and_is_forwarded_as_it_was_signed():
    body, headers = sign_request({"name": "Zoë 東京", "x": {"emoji": "🚢"}}, SECRET)
    agents, agents_headers = sign_as_agent({"name": "Zoë 🚢", "n": 1}, SECRET)
    script = (
        OK
        + READY
        + PING
        + event(body, headers, 0, {"a": "1", "b": "é"})
        + event(agents, agents_headers, 1)
    )
    async with (
        Upstream() as upstream,
        Smee(script) as smee,
        receiver(forward=upstream.url, smee=smee.url, mode="compact") as client,
    ):
        await client.printed("#2")
        found = await client.deliveries()
    assert [each["verdict"] for each in found] == ["verified", "verified"]
    assert [each["source"] for each in found] == ["smee", "smee"]
    assert [each["status"] for each in found] == [None, None]
    assert [content for _, _, content in upstream.requests] == [
        body,
        json.dumps(json.loads(agents), separators=(",", ":")).encode(),
    ]
    line, sent, _ = upstream.requests[0]
    assert line == "POST /?a=1&b=%C3%A9 HTTP/1.1"
    assert dict(sent)["host"] == upstream.url.removeprefix("http://")
    assert dict(sent)["content-length"] == str(len(body))
    assert dict(sent)["x-port-signature"] == headers["x-port-signature"]
    assert b"accept: text/event-stream" in smee.requests[0].lower()


async def test_a_connection_that_is_cut_is_opened_again_and_the_loss_is_said():
    body, headers = sign_request({"n": 1}, SECRET)
    whole = event(body, headers)
    scripts = (
        OK + SOON + READY + whole + whole[:40],
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        OK + READY + whole,
    )
    async with Smee(*scripts) as smee, receiver(smee=smee.url, mode="json") as client:
        await client.printed('"id": 2')
    lines = [json.loads(line) for line in client.out.getvalue().splitlines()]
    said = [each["text"] for each in lines if each["event"] == "smee"]
    assert said[0] == "smee: connected. Only what is sent from now on arrives."
    assert "connecting again in 0.001 s. What Port sends meanwhile is lost" in said[1]
    assert "the server answered 503; connecting again in 0.002 s" in said[2]
    assert "connected again after" in said[3]
    assert "run the action once more" in said[3]
    # Both have the id 0: it identifies nothing, so both count.
    deliveries = [each for each in lines if each["event"] == "delivery"]
    assert [each["verdict"] for each in deliveries] == ["verified", "verified"]


async def test_an_event_that_is_no_request_is_named():
    script = OK + b"data: [1]\n\n"
    async with Smee(script) as smee, receiver(smee=smee.url) as client:
        await client.printed("an event came that is no request with a JSON body")


async def test_a_changed_body_is_refused():
    body, headers = sign_request({"n": 1}, SECRET)
    script = OK + event(body.replace(b"1", b"2"), headers)
    async with Smee(script) as smee, receiver(smee=smee.url) as client:
        await client.printed("refused  signature_mismatch")


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (
            b"HTTP/1.1 307 New\r\nLocation: /abc\r\nContent-Length: 0\r\n\r\n",
            "answered 307; is the channel /abc",
        ),
        (
            b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            "is no channel: it answered 404 with nothing",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
            "is no channel: it answered 200 with text/html",
        ),
    ],
)
async def test_an_address_that_is_no_channel_ends_it(response, words):
    async with Smee(response, b"") as smee:
        with pytest.raises(ListenError) as caught:
            async with receiver(smee=smee.url) as client:
                await client.ended()
    assert words in str(caught.value)


async def test_an_event_without_end_ends_it(monkeypatch):
    monkeypatch.setattr(_smee, "_MAX_EVENT", 100)
    async with Smee(OK + b"data: " + b"x" * 200) as smee:
        with pytest.raises(ListenError, match="more than 100 bytes"):
            async with receiver(smee=smee.url) as client:
                await client.ended()


async def test_a_defect_of_ours_is_not_hidden(monkeypatch):
    def fail(_):
        raise LookupError

    monkeypatch.setattr(_smee, "read_event", fail)
    async with Smee(OK + b"data: 1\n\n") as smee:
        with pytest.raises(LookupError):
            async with receiver(smee=smee.url) as client:
                await client.ended()


STREAM = (
    b"\xef\xbb\xbf: a comment\r\nid: 0\r\ndata: one\r\ndata:two\r\n\r\n"
    b"event: ping\rdata: {}\r\rretry: 2500\nretry: soon\nunknown\n\n"
    b"data: \xc3\xa9\n\nevent: lost\n\ndata: not complete\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_however_the_bytes_arrive(size):
    reader = EventReader()
    events = []
    for at in range(0, len(STREAM), size):
        events += reader.feed(STREAM[at : at + size])
    assert events == [
        ("message", b"one\ntwo"),
        ("ping", b"{}"),
        ("message", "é".encode()),
    ]
    assert reader.retry == 2.5


@pytest.mark.parametrize(("told", "kept"), [("99999999999999", 30), ("0", 0.5)])
def test_a_waiting_time_is_bounded(monkeypatch, told, kept):
    monkeypatch.undo()
    reader = EventReader()
    reader.feed(f"retry: {told}\n\n".encode())
    assert reader.retry == kept


@pytest.mark.parametrize("line", [b"data\n", b"data:\n", b"data: x\n", b"x"])
def test_an_event_of_many_small_pieces_is_bounded(monkeypatch, line):
    monkeypatch.setattr(_smee, "_MAX_EVENT", 1000)
    reader = EventReader()

    def feed():
        for _ in range(1100):
            reader.feed(line)

    with pytest.raises(SmeeError, match="more than 1000 bytes"):
        feed()


def test_each_byte_is_looked_at_once():
    # Looked at again with each new one, these would take minutes.
    reader = EventReader()
    for _ in range(200_000):
        assert reader.feed(b"x") == []
    assert reader.feed(b"\n\n") == []


async def test_what_a_hostile_channel_sends_ends_nothing():
    body, headers = sign_request({"n": 1}, SECRET)
    hostile = [
        {"body": {}, "query": {"\ud800": "\udfff", "a": {"b": [1]}, "": ""}},
        {"body": {"\ud800": 1}, "\ud800": "v", "x\r\nHost: b": "c\r\nd: e"},
        {"body": "<script>", "x-port-signature": "\x1b[31m\u202e" * 9},
        {"body": None, "": "x", ":": "y", "host ": "z", "transfer-encoding": "chunked"},
        {"body": 1, "__proto__": {}, "x-port-timestamp": [1]},
        {**json.loads(event(body, headers)[12:]), "x\ny": "z", "x-a": "\ud800"},
    ]
    script = OK + b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in hostile)
    script += b"data: " + b'{"body":{"a":' + b"9" * 5000 + b"}}\n\n"
    script += b"data: " + b'{"body":' + b"[" * 100_000 + b"\n\n"
    script += event(body, headers)
    async with (
        Upstream() as upstream,
        Smee(script) as smee,
        receiver(forward=upstream.url, smee=smee.url) as client,
    ):
        printed = await client.printed("#7")
        found = await client.deliveries()
        pages = [(await client.api(f"deliveries/{n}")).status_code for n in range(1, 8)]
    verdicts = [each["verdict"] for each in found]
    assert verdicts == ["refused"] * 5 + ["verified"] * 2
    assert pages == [200] * 7
    # What HTTP cannot express is not sent on; the genuine one is.
    assert found[5]["forwarded"]["status"] is None
    assert "header" in found[5]["forwarded"]["error"].lower()
    assert [content for _, _, content in upstream.requests] == [body]
    assert "\x1b" not in printed
    assert "\u202e" not in printed


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"x":1}', b"\xff", b'{"body":1,"body":2}']
)
def test_what_is_no_request_is_none(data):
    assert read_event(data) is None


def test_the_text_of_the_body_keeps_its_tokens():
    data = (
        '{ "x-a" : "b", "N": 7, "flag": true, "body" : { "n" : 1e-7, "s": "\\u00e9:" },'
        ' "query": [1] }'
    )
    found = read_event(data.encode())
    assert found is not None
    assert found.target == "/"
    assert found.headers == [("x-a", "b"), ("n", "7")]
    assert found.candidates == [
        '{"n":1e-7,"s":"é:"}'.encode(),
        b'{"n":1e-7,"s":"\\u00e9:"}',
    ]


def test_the_agents_escapes_are_those_of_utf_16():
    found = read_event('{"body":{"a":"🚢\x7f"}}'.encode())
    assert found is not None
    assert found.candidates[-1] == b'{"a":"\\ud83d\\udea2\\u007f"}'
