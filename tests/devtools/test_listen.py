"""`listen` in this process: what it does with each delivery."""

import asyncio
import io
import json
import socket

import httpx2
import pytest

from port_webhook import sign
from port_webhook.devtools import _receiver
from port_webhook.devtools._history import Record
from port_webhook.devtools._listen import (
    ListenError,
    Options,
    Session,
    _bind,
    check_url,
)
from port_webhook.devtools._printer import Filters, Printer, visible
from port_webhook.devtools._receiver import Answer
from port_webhook.testing import action_invocation, sign_as_agent, sign_request

from .listening import SECRET, Upstream, receiver


def signed(document=None, **headers):
    body, own = sign_request(document or action_invocation(), SECRET)
    return {"content": body, "headers": {**own, **headers}}


async def test_a_genuine_delivery_is_verified_printed_and_answered():
    async with receiver() as client:
        response = await client.post("/port?x=1", **signed())
        printed = await client.printed("more lines")
        (found,) = await client.deliveries()

    assert (response.status_code, response.content) == (202, b"")
    assert "verified  POST /port?x=1  ActionInvocation  create_service" in printed
    assert '"resourceType": "run"' in printed
    assert found["verdict"] == "verified"
    assert (found["target"], found["status"]) == ("/port?x=1", 202)
    assert "Stopped: 1 verified, 0 refused." in client.out.getvalue()


async def test_a_refused_delivery_gets_the_answer_of_an_endpoint_and_an_explanation():
    body, headers = sign_request({"a": 1}, SECRET)
    async with receiver() as client:
        response = await client.post("/port", content=body + b"\n", headers=headers)
        printed = await client.printed("newline_added: ")
    assert response.status_code == 401
    assert response.json() == {"error": "unauthorized"}
    assert "refused  signature_mismatch  POST /port  CustomPayload" in printed


async def test_a_refusal_without_a_diagnosis_gives_its_reason():
    async with receiver() as client:
        response = await client.request("OPTIONS", "/port", **signed())
        printed = await client.printed("nothing else.")
    assert response.status_code == 405
    assert "method_not_allowed" in printed


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-encoding": "gzip"}, 415, "unsupported_media"),
        ({"content-type": "text/plain; charset=latin-1"}, 415, "unsupported_media"),
        ({"x-port-timestamp": "1713277889"}, 401, "timestamp_too_old"),
    ],
)
async def test_the_rules_are_those_of_the_adapters(headers, status, code):
    async with receiver() as client:
        response = await client.post("/port", **signed(**headers))
        (found,) = await client.deliveries()
    assert response.status_code == status
    assert found["code"] == code


async def test_a_body_beyond_the_limit_is_not_kept():
    async with receiver() as client:
        response = await client.post("/port", content=b" " * 1_048_577)
        (found,) = await client.deliveries()
    assert response.status_code == 413
    assert (found["code"], found["bytes"]) == ("body_too_large", 0)


async def test_a_body_that_ends_too_early_is_kept_as_unreadable():
    async with receiver() as client:
        port = int(client.session.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await client.printed("unreadable_body")


async def test_the_agents_form_is_accepted_only_where_it_is_asked_for():
    body, headers = sign_as_agent({"a": [1, 2]}, SECRET)
    async with receiver() as client:
        response = await client.post("/port", content=body, headers=headers)
        await client.printed("Start listen with --agent")
        assert response.status_code == 401
    async with receiver(agent=True) as client:
        response = await client.post("/port", content=body, headers=headers)
        detail = (await client.api("deliveries/1")).json()
    assert response.status_code == 202
    assert detail["via"] == "agent"
    assert detail["signed"]["text"] == '{"a":[1,2]}'
    assert detail["text"] == body.decode()
    assert detail["changed_on_the_way"] is True


@pytest.mark.parametrize(
    ("body", "kind"), [(b'{"ok":1}', "application/json"), (b"ok", "text/plain")]
)
async def test_the_answer_is_what_it_is_told_to_be(body, kind):
    answer = Answer(201, body, delay=0.001)
    async with receiver(answer=answer) as client:
        response = await client.post("/port", **signed())
    assert (response.status_code, response.content) == (201, body)
    assert response.headers["content-type"].startswith(kind)


async def test_bytes_and_headers_are_forwarded_as_they_came():
    document = {"name": "Zoë", "n": 1.10}
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = [*sign(body, SECRET).items(), ("X-Own", "é"), ("X-Own", "two")]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        response = await client.put("/port/a%2Fb?x=%20", content=body, headers=raw)
        printed = await client.printed("ok")
    ((line, arrived, content),) = upstream.requests
    assert (response.status_code, response.content) == (200, b"ok")
    assert line == "PUT /port/a%2Fb?x=%20 HTTP/1.1"
    assert content == body
    assert [value for name, value in arrived if name == "x-own"] == ["é", "two"]
    assert {name for name, _ in arrived} >= {"x-port-signature", "x-port-timestamp"}
    assert dict(arrived)["host"] == upstream.url.removeprefix("http://")
    assert f"{upstream.url}/port/a%2Fb?x=%20: 200 in " in printed


async def test_a_forward_url_with_a_path_gets_all_deliveries_there():
    async with Upstream() as upstream:
        async with receiver(forward=f"{upstream.url}/hook") as client:
            await client.post("/other?x=1", **signed())
        async with receiver(forward=f"{upstream.url}/hook?k=2") as client:
            await client.post("/other?x=1", **signed())
    assert [line for line, _, _ in upstream.requests] == [
        "POST /hook?x=1 HTTP/1.1",
        "POST /hook?k=2 HTTP/1.1",
    ]


async def test_the_response_of_the_forward_url_reaches_the_sender():
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        upstream.response = (
            b"HTTP/1.1 422 No\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Connection: close\r\nContent-Length: 3\r\n\r\nbad"
        )
        response = await client.post("/port", **signed())
        upstream.response = b"HTTP/1.1 204 No Content\r\n\r\n"
        empty = await client.post("/port", **signed())
        found = (await client.deliveries())[0]
        detail = (await client.api("deliveries/1")).json()
    assert (response.status_code, response.content) == (422, b"bad")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (empty.status_code, empty.content) == (204, b"")
    assert found["forwarded"]["status"] == 422
    assert ["set-cookie", "(hidden)"] in detail["forwarded"]["headers"]
    assert detail["forwarded"]["body"]["text"] == "bad"


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://a.invalid/\r\n\r\n", 302),
        (b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 201 Made\r\n\r\n", 201),
        (b"HTTP/1.1 101 Other\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502),
        (b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 200 \x1b[31m\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", 204),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 502),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 200),
        (b"\x00\xff\r\n\r\n", 502),
        (b"", 502),
    ],
)
async def test_whatever_the_application_answers_the_sender_gets_a_response(
    response, status
):
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        upstream.response = response
        answer = await client.post("/port", **signed())
        await client.printed("forwarded: ")
        (found,) = await client.deliveries()
    assert (answer.status_code, found["status"]) == (status, status)
    assert len(upstream.requests) == 1


async def test_headers_are_passed_on_as_bytes_and_only_those_for_the_next_hop():
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        upstream.response = (
            "HTTP/1.1 200 OK\r\nX-Name: 東京\r\nDate: today\r\nServer: own\r\n"
            "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
            "Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        request = signed()
        request["headers"] |= {
            "Connection": "x-hop, x-port-signature",
            "X-Hop": "1",
            "Keep-Alive": "5",
            "X-Kept": "ö".encode(),
        }
        response = await client.post("/port", **request)
    assert response.headers.raw.count((b"x-name", "東京".encode())) == 1
    assert response.headers["server"] == "own"
    assert len(response.headers.get_list("date")) == 1
    assert not response.headers.keys() & {"x-hop", "keep-alive", "proxy-authenticate"}
    ((_, sent, _),) = upstream.requests
    names = {name for name, _ in sent}
    assert not names & {"x-hop", "keep-alive"}
    assert dict(sent)["x-kept"] == "ö".encode().decode("latin-1")
    # The signature is what a delivery is about.
    assert "x-port-signature" in names


async def test_a_response_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(_receiver, "_MAX_SECONDS", 0.01)
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        upstream.hangs = asyncio.Event()
        response = await client.post("/port", **signed())
        printed = await client.printed("no response in time")
        upstream.hangs.set()
    assert response.status_code == 502
    assert "forwarded: no response" in printed


async def test_a_line_says_why_there_was_no_response():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with receiver(forward=url, mode="compact") as client:
        await client.post("/port", **signed())
        printed = await client.printed("-> 502")
    reason = "nothing answers there: is your application running?"
    assert f"forwarded: no response ({reason})  -> 502" in printed


async def test_a_response_in_many_pieces_is_read():
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        upstream.response = head + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
        response = await client.post("/port", **signed())
    assert response.content == b"x" * 5000


TARGETS = [
    ("/port?x=1", "/port?x=1"),
    ("@a.invalid/x", "/"),
    (":80@a.invalid/x?y", "/?y"),
    (".a.invalid/x", "/"),
    ("http://a.invalid/x/y?z", "/x/y?z"),
    ("http://a.invalid", "/"),
    ("//a.invalid/x", "//a.invalid/x"),
    ("*", "/"),
    ("?x=1", "/?x=1"),
]


@pytest.mark.parametrize(("target", "path"), TARGETS)
async def test_no_target_leads_a_delivery_to_another_host(target, path):
    body, headers = sign_request({"n": 1}, SECRET)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        port = int(client.session.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n{lines}\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        again = (await client.api("deliveries/1/send", {"fresh": True})).json()
        curl = (await client.api("deliveries/1")).json()["curl"]
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert [line for line, _, _ in upstream.requests] == [f"POST {path} HTTP/1.1"] * 2
    assert again["forwarded"]["url"] == upstream.url + path
    assert f"{upstream.url}{path}" in curl
    async with receiver() as client:
        url = client.session.url
        assert _receiver.join_url(url, target) == url + path


async def test_slow_clients_keep_nobody_waiting():
    async with receiver() as client:
        port = int(client.session.url.rpartition(":")[2])
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for number, (_, writer) in enumerate(slow):
            writer.write(head + (b"\r\n1" if number % 2 else b""))
            await writer.drain()
        response = await client.post("/port", **signed())
        for _, writer in slow:
            writer.close()
        await client.printed("unreadable_body")
    assert response.status_code == 202


async def test_an_answer_that_is_given_wins_over_the_forward_url():
    async with Upstream() as upstream:
        options = {"forward": upstream.url, "answer": Answer(203)}
        async with receiver(**options) as client:
            response = await client.post("/port", **signed())
    assert response.status_code == 203
    assert len(upstream.requests) == 1


async def test_a_long_response_is_cut_off(monkeypatch):
    monkeypatch.setattr(_receiver, "_MAX_RESPONSE", 10)
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        body = b"x" * 50
        upstream.response = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + body
        response = await client.post("/port", **signed())
    assert response.content == body  # in one piece, which is more than ten bytes


async def test_what_is_refused_is_not_forwarded():
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        response = await client.post("/port", content=b"{}")
    assert response.status_code == 401
    assert upstream.requests == []


async def test_an_application_that_does_not_run_is_a_bad_gateway():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with receiver(forward=url) as client:
        response = await client.post("/port", **signed())
        printed = await client.printed("is your application running?")
    assert response.status_code == 502
    assert "forwarded: no response" in printed


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx2.ReadTimeout(""), "no response in time"),
        (httpx2.ReadError("reset"), "reset"),
        (httpx2.ReadError(""), "ReadError"),
    ],
)
def test_a_failure_to_forward_is_named(error, words):
    assert _receiver._name_failure(error) == words


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::]"])
def test_forwarding_to_itself_is_refused(host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        options = Options(forward=f"http://{host}:{port}/x")
        with pytest.raises(ListenError, match="leads back"):
            Session(options, [SECRET], Printer("quiet"), listener)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:"), ("127.0.0.1", "http://127.0.0.1:")],  # noqa: S104  # the point
)
def test_the_address_that_is_shown_can_be_opened(host, url):
    with socket.create_server((host, 0)) as listener:
        session = Session(Options(host=host), [SECRET], Printer("quiet"), listener)
    assert session.url.startswith(url)


def test_forwarding_to_another_port_of_this_machine_is_not():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for url in ("http://127.0.0.1/", "https://127.0.0.1/"):
            Session(Options(forward=url), [SECRET], Printer("quiet"), listener)


@pytest.mark.parametrize(
    "url", ["", "ftp://a/", "http://", "127.0.0.1:5000", "http://[a", "http://a:0/"]
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ListenError, match="takes a URL such as"):
        check_url("--forward", url)


def test_a_url_with_credentials_is_refused():
    with pytest.raises(ListenError, match="without a user"):
        check_url("--forward", "http://a:b@127.0.0.1/")
    assert check_url("--forward", "http://a/") == "http://a/"


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port} cannot be used"):
            _bind("127.0.0.1", port)
    with pytest.raises(ListenError, match="cannot be used"):
        _bind("::ffff:203.0.113.1", 0)


async def test_an_address_that_others_reach_is_warned_of():
    async with receiver(host="0.0.0.0") as client:  # noqa: S104  # not bound to it here
        await client.printed("Warning: 0.0.0.0 can be reached from other machines.")


async def test_the_page_can_be_left_out():
    async with receiver(inspector=False) as client:
        response = await client.get("/_inspector/")
        assert "Inspector" not in client.out.getvalue()
    assert response.status_code == 401


async def test_compact_prints_one_line_for_each_delivery():
    async with receiver(mode="compact") as client:
        await client.post("/port", **signed())
        await client.post("/port", content=b"{}")
        printed = await client.printed("missing_header")
    assert len(printed.splitlines()) == 2
    assert "Listening on" in client.err.getvalue()


async def test_quiet_prints_what_is_refused():
    async with receiver(mode="quiet") as client:
        await client.post("/port", **signed())
        await client.post("/port", content=b"{}")
        printed = await client.printed("missing_header")
    assert len(printed.splitlines()) == 1


async def test_json_prints_events():
    async with receiver(mode="json") as client:
        await client.post("/port", **signed())
        await client.post("/port", content=b"{}")
        await client.printed("missing_header")
    events = [json.loads(line) for line in client.out.getvalue().splitlines()]
    assert [each["event"] for each in events] == [
        "listening",
        "delivery",
        "delivery",
        "stopped",
    ]
    assert events[0]["inspector"].endswith(f"#token={client.token}")
    assert events[1]["causes"] == []
    assert events[2]["causes"][0]["code"] == "missing_header"
    assert events[3] == {"event": "stopped", "verified": 1, "refused": 1}


@pytest.mark.parametrize(
    ("filters", "printed"),
    [
        (Filters(), "abc"),
        (Filters(paths=["/b", "/c*"]), "bc"),
        (Filters(verdict="refused"), "c"),
        (Filters(verdict="verified"), "ab"),
        (Filters(actions=["one"]), "a"),
    ],
)
def test_filters_choose_what_is_printed(filters, printed):
    out = io.StringIO()
    printer = Printer("compact", filters=filters, out=out)
    for path, verified, action in (
        ("/a?x=1", True, "one"),
        ("/b", True, None),
        ("/c/d", False, "two"),
    ):
        record = Record(0.0, "smee", "POST", path, [], b"")
        record.verified, record.action = verified, action
        printer.delivery(record)
    lines = out.getvalue().splitlines()
    assert [line.partition("POST /")[2][0] for line in lines] == list(printed)
    assert (printer.verified, printer.refused) == (2, 1)


async def test_a_terminal_is_not_steered_by_a_delivery():
    body = json.dumps({"action": "\x1b[2J\u202e", "é": 1}, ensure_ascii=False)
    async with receiver() as client:
        headers = sign(body, SECRET)
        await client.post("/port", content=body.encode(), headers=headers)
        printed = await client.printed('"é": 1')
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_text_is_made_visible():
    assert visible("a\x1b[1mé\u202e") == "a\\x1b[1mé\\u202e"


async def test_the_secret_is_not_printed_although_a_delivery_holds_it():
    async with receiver() as client:
        await client.post("/port", **signed({"leak": SECRET}))
        printed = await client.printed("(hidden)")
    assert SECRET not in printed


async def test_previous_secrets_are_accepted():
    body, headers = sign_request({"a": 1}, "the one before, of the same length")
    secrets = [SECRET, "the one before, of the same length"]
    async with receiver(secrets=secrets) as client:
        await client.post("/port", content=body, headers=headers)
        detail = (await client.api("deliveries/1")).json()
    assert detail["secret_index"] == 1


async def test_a_body_that_is_no_json_has_no_shape():
    async with receiver() as client:
        await client.post("/port", **signed(b"\xff"))
        await client.post("/port", **signed({"action": 1, "status": 2}))
        first, second = await client.deliveries()
    assert first["shape"] is None
    assert second["shape"] == "CustomPayload"


def test_a_closed_pipe_stops_the_printing(monkeypatch):
    class Closed(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    class Stdout:
        def fileno(self):
            return target.fileno()

    stopped = []
    with open("/dev/null", "wb") as target:  # noqa: PTH123  # only its number counts
        monkeypatch.setattr("sys.stdout", Stdout())
        for mode in ("json", "compact"):
            printer = Printer(mode, out=Closed(), err=io.StringIO())
            printer.on_closed(lambda: stopped.append(1))
            printer.event("listening")
            printer.delivery(Record(0.0, "http", "POST", "/", [], b""))
        silent = Printer("json", out=Closed(), err=io.StringIO())
        silent.event("listening")
        monkeypatch.undo()
    assert len(stopped) >= 2
