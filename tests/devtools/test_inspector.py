"""What the inspector answers: to its page, and to those who are not the page."""

import asyncio
import json
import shlex
from importlib.resources import files

import pytest

from port_webhook import sign
from port_webhook.devtools import _inspector
from port_webhook.devtools._copies import as_curl, as_fixture
from port_webhook.devtools._history import Record
from port_webhook.devtools._inspector import is_loopback
from port_webhook.devtools._pretty import pretty
from port_webhook.testing import action_invocation, entity_event, sign_request

from .listening import SECRET, Upstream, receiver, until

HTML = '<img src=x onerror="alert(1)"><script>alert(1)</script>'


def signed(document=None):
    body, headers = sign_request(document or action_invocation(), SECRET)
    return {"content": body, "headers": headers}


async def test_the_page_and_its_parts_are_served_with_a_strict_policy():
    async with receiver() as client:
        moved = await client.get("/_inspector")
        pages = [
            await client.get(f"/_inspector/{name}")
            for name in ("", "inspector.css", "inspector.js", "inspector.svg")
        ]
        missing = await client.get("/_inspector/other")
        assert await client.deliveries() == []
    assert (moved.status_code, moved.headers["location"]) == (307, "/_inspector/")
    assert missing.status_code == 404
    for page in (*pages, missing):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in page.headers
    kinds = [page.headers["content-type"].partition(";")[0] for page in pages]
    assert kinds == ["text/html", "text/css", "text/javascript", "image/svg+xml"]


def test_the_page_needs_nothing_from_elsewhere_and_has_no_code_in_its_markup():
    folder = files("port_webhook.devtools") / "static"
    for name in ("inspector.html", "inspector.css", "inspector.js"):
        text = (folder / name).read_text("utf-8")
        for word in (
            "http:",
            "https:",
            "innerHTML",
            "insertAdjacent",
            "document.write",
        ):
            assert word not in text.replace("http-equiv", ""), (name, word)
        assert "eval(" not in text
    html = (folder / "inspector.html").read_text("utf-8")
    assert "style=" not in html
    assert html.count("<script") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 200),
        ({"Host": "[::1]:9000", "Origin": "http://[::1]:9000"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"X_Inspector_Token": "wrong"}, 401),
        ({"X_Inspector_Token": ""}, 401),
        ({"X_Inspector_Token": "é".encode("latin-1")}, 401),
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "attacker.example", "Origin": "http://attacker.example"}, 421),
        ({"Host": "127.0.0.1.attacker.example"}, 421),
        ({"Host": "10.1.2.3"}, 421),
        ({"Host": "[::1]evil.com"}, 421),
        ({"Host": "[::1]:80@evil.com"}, 421),
        ({"Host": "[::1]:evil.com"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "[127.0.0.1]"}, 421),
        ({"Host": "[:1:]"}, 421),
        ({"Host": "[::1%25lo]"}, 421),
        ({"Host": "127.0.0.1:80@evil.com"}, 421),
        ({"Host": "127.0.0.1:"}, 421),
        ({"Host": "127.0.0.1:123456"}, 421),
        ({"Host": "127.0.0.1, evil.com"}, 421),
        ({"Host": "evil.com#127.0.0.1"}, 421),
        ({"Host": "127.0.0.1/evil.com"}, 421),
        ({"Host": "user@127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:\xb9".encode("latin-1")}, 421),
        ({"Host": ""}, 421),
        ({"X_Forwarded_For": "203.0.113.7"}, 404),
    ],
)
@pytest.mark.parametrize("path", ["deliveries", "deliveries/1/send"])
async def test_only_the_page_itself_with_the_token_may_ask_and_act(
    headers, status, path
):
    wish = {"fresh": True} if path.endswith("send") else None
    async with receiver() as client:
        await client.post("/port", **signed())
        response = await client.api(path, wish, **headers)
        count = len(await client.deliveries())
    assert response.status_code == status
    assert count == (2 if wish and status == 200 else 1)


async def test_to_act_a_request_must_name_its_origin():
    async with receiver() as client:
        await client.post("/port", **signed())
        url = "/_inspector/api/deliveries"
        headers = {"X-Inspector-Token": client.token}
        assert (await client.get(url, headers=headers)).status_code == 200
        headers["Sec-Fetch-Site"] = "same-origin"
        refused = await client.post(f"{url}/1/send", headers=headers, json={})
        preflight = await client.options(
            f"{url}/1/send", headers={"Origin": "http://a"}
        )
    assert refused.status_code == 403
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers


async def test_on_another_interface_an_address_will_do_but_no_foreign_name():
    async with receiver(host="box.example") as client:
        for host, status in (
            ("10.1.2.3:8000", 200),
            ("box.example", 200),
            ("a.b", 421),
        ):
            response = await client.get("/_inspector/", headers={"Host": host})
            assert response.status_code == status


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104  # the point
        ("example.com", False),
    ],
)
def test_loopback_is_recognised(host, loopback):
    assert is_loopback(host) is loopback


async def test_the_list_comes_in_pages_and_then_only_what_is_new(monkeypatch):
    monkeypatch.setattr(_inspector, "_PAGE_SIZE", 2)
    async with receiver(forward=None) as client:
        for _ in range(3):
            await client.post("/port", **signed())
        first = (await client.api("deliveries?after=0")).json()
        second = (await client.api(f"deliveries?after={first['version']}")).json()
        third = (await client.api(f"deliveries?after={second['version']}")).json()
    assert (len(first["deliveries"]), first["more"]) == (2, True)
    assert (len(second["deliveries"]), second["more"]) == (1, False)
    assert (third["deliveries"], third["first"], third["forward"]) == ([], 1, None)


async def test_news_are_waited_for(monkeypatch):
    async with receiver() as client:
        waiting = asyncio.create_task(client.api("deliveries?after=0&wait=1"))
        await until(lambda: client.session._receiver._changed._waiters)
        await client.post("/port", **signed())
        news = (await waiting).json()
        monkeypatch.setattr(_inspector, "_WAIT", 0.001)
        silence = (
            await client.api(f"deliveries?after={news['version'] + 1}&wait=1")
        ).json()
    assert [each["id"] for each in news["deliveries"]] == [1]
    assert silence["deliveries"] == []


async def test_the_detail_has_all_that_is_known():
    async with receiver() as client:
        await client.post("/port", **signed())
        detail = (await client.api("deliveries/1")).json()
    fields = dict(detail["invocation"]["fields"])
    assert detail["invocation"]["model"] == "ActionInvocation"
    assert fields["action_identifier"] == "create_service"
    assert fields["user_email"] == "grace@example.com"
    assert detail["pretty"].startswith('{\n  "action": ')
    assert detail["causes"] == []
    assert detail["curl"].startswith("curl --globoff -X POST http://127.0.0.1:")
    assert "def create_service_delivery(port_webhook_sign):" in detail["fixture"]


async def test_the_detail_of_a_refusal_explains_it():
    async with receiver() as client:
        body, headers = sign_request(entity_event(), SECRET)
        await client.post("/port", content=body + b"\n", headers=headers)
        await client.post("/port", content=b"\xff\x00")
        await client.post("/port", **signed({"payload": {"action": {}}, "context": 1}))
        await client.post("/port", **signed({"\ud800": SECRET}))
        details = [(await client.api(f"deliveries/{n}")).json() for n in range(1, 5)]
    assert details[0]["causes"][0]["code"] == "newline_added"
    assert details[0]["invocation"]["model"] == "CatalogEvent"
    assert details[0]["invocation"]["fields"]
    assert details[1]["signed"] == {"bytes": 2, "hex": "ff 00"}
    assert details[1]["invocation"]["error"]
    assert (details[1]["text"], details[1]["pretty"]) == (None, None)
    # What holds a secret is not shown, and so cannot be edited.
    assert details[3]["text"] is None
    assert SECRET not in json.dumps(details)


async def test_a_model_whose_fields_are_wrong_says_so_field_by_field():
    document = action_invocation()
    document["trigger"]["by"]["user"] = 7
    document["payload"]["properties"] = 7
    async with receiver() as client:
        await client.post("/port", **signed(document))
        detail = (await client.api("deliveries/1")).json()
    values = [str(value) for _, value in detail["invocation"]["fields"]]
    assert any("must be" in value for value in values)


async def test_credentials_in_headers_are_hidden_everywhere():
    async with receiver() as client:
        headers = {"Authorization": "Bearer abc", "Cookie": "abc", "X-Api-Key": "abc"}
        await client.post("/port", content=b"{}", headers=headers)
        text = (await client.api("deliveries/1")).text
        diff = (await client.api("diff?a=1&b=1")).text
    assert "abc" not in text
    assert "abc" not in diff


async def test_a_delivery_is_sent_again_signed_afresh_or_as_it_was():
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        body, headers = sign_request({"n": 1}, SECRET)
        headers = {**headers, "X-Own": "1", "Content-Length": str(len(body))}
        await client.post("/port?x", content=body, headers=headers)
        again = [
            (await client.api("deliveries/1/send", wish)).json()
            for wish in (
                {"fresh": True},
                {"fresh": False},
                {"body": '{"n": "é"}'},
                {"body": '{"n":3}', "fresh": False},
            )
        ]
    assert [each["id"] for each in again] == [2, 3, 4, 5]
    assert [each["source"] for each in again] == ["again"] * 4
    verdicts = [each["verdict"] for each in again]
    assert verdicts == ["verified", "verified", "verified", "refused"]
    contents = [content for _, _, content in upstream.requests]
    # Also what we would refuse: somebody wants to see what the application does.
    assert contents == [body, body, body, '{"n": "é"}'.encode(), b'{"n":3}']
    for line, sent, content in upstream.requests:
        assert line == "POST /port?x HTTP/1.1"
        assert dict(sent)["content-length"] == str(len(content))
        assert dict(sent)["x-own"] == "1"
    signature = "x-port-signature"
    firsts = [dict(sent)[signature] for _, sent, _ in upstream.requests]
    assert firsts[2] == firsts[4] == headers[signature]
    assert again[0]["forwarded"]["status"] == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"fresh":1}', 400),
        (b'{"body":1}', 400),
        (b'{"body":"\\ud800"}', 400),
        (b" " * (2 * 1024 * 1024 + 1), 413),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(content, status):
    async with receiver() as client:
        await client.post("/port", **signed())
        headers = {"Origin": client.session.url, "X-Inspector-Token": client.token}
        url = "/_inspector/api/deliveries/1/send"
        response = await client.post(url, content=content, headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize(
    ("path", "wish", "status"),
    [
        ("deliveries/9", None, 404),
        ("deliveries/" + "9" * 5000, None, 404),
        ("deliveries/" + "9" * 5000 + "/send", {}, 404),
        ("deliveries/-1", None, 404),
        ("deliveries/1_0", None, 404),
        ("deliveries/%D9%A1", None, 404),
        ("deliveries/%2B1", None, 404),
        ("deliveries?after=" + "9" * 5000, None, 400),
        ("diff?a=1&b=" + "9" * 5000, None, 400),
        ("diff?a=1&b=1_0", None, 400),
        ("deliveries/9/send", {}, 404),
        ("diff?a=1&b=9", None, 404),
        ("diff?a=x", None, 400),
        ("deliveries?after=x", None, 400),
        ("other", None, 404),
    ],
)
async def test_what_is_not_there_is_said(path, wish, status):
    async with receiver() as client:
        await client.post("/port", **signed())
        response = await client.api(path, wish)
    assert response.status_code == status


async def test_two_deliveries_are_compared_line_by_line(monkeypatch):
    async with receiver() as client:
        await client.post("/port", **signed({"a": [*range(20)], "b": 1, "c": HTML}))
        await client.post("/other", **signed({"a": [*range(20)], "b": 2, "c": HTML}))
        await client.post("/other", content=b"\xff")
        await client.post("/other", content=b"plain")
        diff = (await client.api("diff?a=1&b=2")).json()
        bytewise = (await client.api("diff?a=3&b=4")).json()
        monkeypatch.setattr(_inspector, "_MAX_LINES", 2)
        short = (await client.api("diff?a=1&b=2")).json()
    assert ["-", '  "b": 1,'] in diff["body"]
    assert ["+", '  "b": 2,'] in diff["body"]
    assert diff["body"][0] == ["@", "(20 equal lines)"]
    assert ["-", "POST /port"] in diff["headers"]
    assert bytewise["body"] == [["-", "ff"], ["+", "plain"]]
    assert short["body"][0] == ["@", "Only the first 2 lines are compared."]


def test_json_is_indented_without_changing_a_token():
    text = rb'{"a":[1.10,1e5,[],{}],"b":"x \" , [ \\","c":{"d":null}}'
    assert pretty(text) == (
        '{\n  "a": [\n    1.10,\n    1e5,\n    [],\n    {}\n  ],\n'
        '  "b": "x \\" , [ \\\\",\n  "c": {\n    "d": null\n  }\n}'
    )
    assert pretty(b"7") == "7"
    assert pretty(b"{") is None


async def test_a_long_text_is_cut():
    text = "x" * (_inspector._MAX_TEXT + 5)
    async with receiver() as client:
        await client.post("/port", content=text.encode())
        shown = (await client.api("deliveries/1")).json()["signed"]["text"]
    assert shown == f"{text[:-5]}\n[5 more characters]"


def record(body, **fields):
    headers = [
        ("host", "a"),
        ("authorization", "b"),
        *sign(body, SECRET).items(),
        *fields.pop("headers", []),
    ]
    found = Record(1_713_277_889.0, "http", "POST", "/port?x=1", headers, body)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    "body", [b'{"a": "it\'s $HOME `x`\\n"}\n', b"@file", b"\xff\x00'\\ %b", b""]
)
async def test_the_curl_command_sends_the_same_bytes(body):
    async with Upstream() as upstream:
        found = record(body, headers=[("x-own", "it's")])
        command = as_curl(found, f"{upstream.url}/port?x=[1]")
        # Only where there is a shell and curl can it be run; it is short to read.
        run = await asyncio.create_subprocess_exec(
            "sh", "-c", f"command -v curl >/dev/null || exit 77; {command}"
        )
        if await run.wait() == 77:
            pytest.skip("there is no curl")
    ((line, headers, content),) = upstream.requests
    assert line == "POST /port?x=[1] HTTP/1.1"
    assert content == body
    assert dict(headers)["x-own"] == "it's"
    assert "content-type" not in dict(headers)
    assert "authorization" not in dict(headers)


def test_the_curl_command_keeps_a_content_type():
    found = record(b"{}", headers=[("Content-Type", "text/plain")])
    words = shlex.split(as_curl(found, "http://a/"))
    assert words.count("-H") == 3
    assert "Content-Type: text/plain" in words


@pytest.mark.parametrize(
    ("action", "name"),
    [(None, "delivery"), ("1st", "delivery"), ('Make "VM"', "make_vm_delivery")],
)
@pytest.mark.parametrize("via", ["port", "agent"])
def test_the_fixture_signs_anew_what_was_verified(action, name, via):
    found = record(b'{"a":"\xc3\xa9"}', verified=True, action=action, via=via)
    found.target = '/"""\n'
    source = as_fixture(found)
    names = {}
    exec(compile(source, "fixture", "exec"), names)  # noqa: S102  # our own text
    assert names["BODY"] == found.body
    assert f"def {name}(port_webhook_sign)" in source
    assert (".as_agent(BODY)" in source) is (via == "agent")


def test_the_fixture_of_a_refusal_keeps_what_came():
    found = record(b"{}", code="timestamp_too_old")
    names = {}
    exec(compile(as_fixture(found), "fixture", "exec"), names)  # noqa: S102  # our own
    assert names["BODY"] == b"{}"
    assert dict(names["HEADERS"]).keys() == {"x-port-timestamp", "x-port-signature"}


def test_the_wheel_carries_the_page():
    folder = files("port_webhook.devtools") / "static"
    assert {each.name for each in folder.iterdir()} == {
        "inspector.css",
        "inspector.html",
        "inspector.js",
        "inspector.svg",
    }
