"""What is hidden of what a delivery holds: the client secret in any spelling."""

import html
import json
import shlex
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from port_webhook import sign
from port_webhook.devtools._copies import as_curl
from port_webhook.devtools._history import Record
from port_webhook.devtools._masking import Mask, is_credential

from . import commands
from .listening import SECRET, Upstream, receiver

HARD = "sé/+\"'\\c<&>🚢 ret of some length"
PLAIN = "0123456789abcdef0123456789abcdef"


def in_json(text, times=1):
    for _ in range(times):
        text = json.dumps(text)[1:-1]
    return text


def broken(text, width, end):
    return end.join(text[at : at + width] for at in range(0, len(text), width))


def units(text, form):
    found = text.encode("utf-16-be").hex()
    return "".join(form.format(found[at : at + 4]) for at in range(0, len(found), 4))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it stands": lambda text: text,
    "JSON": in_json,
    "JSON without escapes": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda text: in_json(text).replace("/", r"\/"),
    "JSON in JSON": lambda text: in_json(text, 2),
    "JSON in JSON in JSON": lambda text: in_json(text, 3),
    "all escaped": lambda text: units(text, r"\u{}"),
    "in capitals": lambda text: units(text, "-{}").upper().replace("-", r"\u"),
    "percent": quote,
    "percent with slashes": lambda text: quote(text, ""),
    "percent in small letters": lambda text: quote(text, "").lower(),
    "percent twice": lambda text: quote(quote(text, "")),
    "a form": quote_plus,
    "all percent": lambda text: "".join(f"%{each:02X}" for each in text.encode()),
    "HTML": html.escape,
    "HTML by number": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "HTML by hexadecimal": lambda text: "".join(f"&#X0{ord(each):x};" for each in text),
    "XML": lambda text: html.escape(text, quote=False).replace("'", "&apos;"),
    "Python": lambda text: repr(text.encode())[2:-1],
    "Python, in ASCII": lambda text: ascii(text)[1:-1],
    "Python, all escaped": lambda text: "".join(f"\\U{ord(c):08X}" for c in text),
    "JavaScript": lambda text: "".join(f"\\u{{{ord(each):x}}}" for each in text),
    "hexadecimal": lambda text: text.encode().hex(),
    "a dump": lambda text: text.encode().hex(" "),
    "octal": lambda text: "".join(f"\\0{each:03o}" for each in text.encode()),
    "octal in C": lambda text: "".join(f"\\{each:03o}" for each in text.encode()),
    "broken hexadecimal": lambda text: broken(text.encode().hex(), 76, "\r\n"),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "a list of bytes": lambda text: ", 0x".join(f"{b:02X}" for b in text.encode()),
    "a dump in lines": lambda text: broken(text.encode().hex(" ", 2), 40, " \n  "),
    "a dump in JSON": lambda text: in_json(broken(text.encode().hex(" "), 9, "\r\n")),
    "a shell": lambda text: shlex.quote(f"{text} ")[1:-2],
    "mixed": lambda text: in_json(text[:4]) + quote(text[4:9]) + text[9:],
}


@pytest.mark.parametrize(
    "secret", [HARD, PLAIN, HARD.encode()], ids=["hard", "plain", "bytes"]
)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_hidden_however_it_is_spelled(secret, spelling):
    text = secret if isinstance(secret, str) else secret.decode()
    spelled = SPELLINGS[spelling](text)
    assert Mask([secret]).text(f"x={spelled}, y") == "x=(hidden), y"


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("secret", [HARD, PLAIN])
def test_base64_hides_nothing_wherever_the_secret_stands(before, after, encode, secret):
    value = encode(b"\xff" * before + secret.encode() + b"\x00" * after).decode()
    shown = Mask([secret]).text(value)
    kept = shown.replace("(hidden)", "").rstrip("=")
    assert "(hidden)" in shown
    # Characters that hold bits of its first or last byte alone.
    assert len(kept) <= -(-8 * (before + after) // 6) + 2


BREAKS: dict[str, Callable[[str], str]] = {
    "CRLF": lambda text: broken(text, 10, "\r\n"),
    "LF, each": lambda text: broken(text, 1, "\n"),
    "folded": lambda text: broken(text, 10, "\n\t "),
    "JSON": lambda text: in_json(broken(text, 10, "\r\n"), 3),
    "JSON by number": lambda text: broken(text, 10, "\\u000D\\u000a"),
    "JSON with escaped slashes": lambda text: text.replace("/", r"\/"),
    "JSON, all escaped": lambda text: text.replace("+", r"\u002B"),
    "Python": lambda text: broken(text, 10, "\\x0d\\x0a"),
    "a shell's lines": lambda text: broken(text, 10, "\\\n"),
    "percent": lambda text: quote(broken(text, 10, "\r\n"), ""),
    "percent twice": lambda text: quote(quote(broken(text, 10, "\n"), "")),
    "a form that was decoded": lambda text: text.replace("+", " "),
    "HTML": lambda text: broken(text, 10, "&#13;&#xA;"),
}


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("secret", [HARD, PLAIN, "\u00fb\u00ef\u00be\u00ff of these"])
@pytest.mark.parametrize("form", BREAKS)
def test_base64_is_found_in_lines_and_as_it_is_escaped(before, secret, form):
    # The secret is at the end, so that its own base64 ends where its last byte does.
    raw = b"\xff" * before + secret.encode()
    spelled = BREAKS[form](b64encode(raw + b"\0" * (-len(raw) % 3)).decode())
    shown = Mask([secret]).text(f"x={spelled}, y")
    # At most three characters stay on each side, with a line break.
    assert shown.startswith("x=")
    assert shown.endswith(", y")
    assert shown.count("(hidden)") == 1
    assert len(shown) <= len("x=(hidden), y") + 2 * (3 + len("\\u000D\\u000a"))


# Each could be read in more ways than anybody can count.
MANY_WAYS = [
    "\\" * 40,
    '\\"' * 40,
    "\\'" * 40,
    "'\"" * 40,
    "\\u005c" * 40,
    "\\u0022" * 40,
    "\\x" * 40,
    "%25" * 40,
    "&amp;" * 40,
    "&#38;" * 40,
    "\\0" * 40,
]


@pytest.mark.parametrize("secret", MANY_WAYS)
def test_a_secret_that_can_be_read_in_many_ways_is_hidden_at_once(secret):
    mask = Mask([f"{secret}end"])
    for spell in SPELLINGS.values():
        assert mask.text(f"x={spell(f'{secret}end')}, y").count("(hidden)") == 1
    for almost in (secret, in_json(secret), in_json(secret, 3), units(secret, r"\u{}")):
        assert mask.text(f"{almost}End") == f"{almost}End"


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("behind", ["end", '"end', "u0041", "x41x", "0041", "/n/n"])
def test_a_run_of_backslashes_is_hidden_with_what_stands_behind_it(count, behind):
    secret = "ab" + "\\" * count + behind
    for spell in SPELLINGS.values():
        assert Mask([secret]).text(f"x={spell(secret)}, y") == "x=(hidden), y"
    # One backslash is missing.
    assert Mask([secret]).text("ab" + "\\" * (count - 1) + behind) != "(hidden)"


def test_what_only_looks_like_it_stays():
    mask = Mask([PLAIN, "abc"])
    text = f"abc {PLAIN[:-1]} {PLAIN[1:]} {b64encode(b'another').decode()}"
    assert mask.text(text) == text
    assert Mask([]).text(text) == text


def test_what_is_found_in_two_ways_is_hidden_once():
    # One is the other in hexadecimal, and begins within it.
    mask = Mask(["aaaabb", "6161616162"])
    assert mask.text("x616161616262y 6161616162") == "x(hidden)y (hidden)"
    assert Mask(["1616161", "aaaa"]).text("x61616161y") == "x(hidden)y"


def test_the_longest_secret_is_hidden_first_and_keys_are_hidden_too():
    mask = Mask(["secret", b"secret-and-more"])
    assert mask.text("secret-and-more secret-and") == "(hidden) (hidden)-and"
    assert mask.value({"secret": [1, None, ("secret",)]}) == {
        "(hidden)": [1, None, ["(hidden)"]]
    }


@pytest.mark.parametrize(
    "piece",
    [
        *("\\", "&#0", "%25", "0123456789abcde", "&#" + "0" * 999),
        *("\n", "\\n", "%0A", "&#10;", "&#" + "0" * 999 + "10;"),
        *("3", "30:", "30:31 ", "0x30, ", "30" + " " * 999, "\r\n\t"),
        *("MDEy", "MDEy\n", "MDEy" + "\n" * 999, "M\n", "MDEyMzQ1Njc4\r\n"),
    ],
)
def test_no_text_takes_long(piece):
    text = piece * (200_000 // len(piece))
    # What takes quadratic time would take hours.
    assert Mask([PLAIN, HARD, "\\" * 9 + "end"]).text(text) == text


@pytest.mark.parametrize("body", [b"\xff%s", b"\0%s", b'{"a":"%s"}'])
async def test_the_page_shows_it_in_no_form(body):
    content = body % SECRET.encode()
    headers = {"X-Basic": b64encode(f"user:{SECRET}".encode()).decode()}
    async with receiver() as client:
        await client.post(f"/port?s={quote(SECRET)}", content=content, headers=headers)
        await client.post("/port", content=content)
        shown = [(await client.api(f"deliveries/{n}")).text for n in (1, 2)]
        shown += [(await client.api("diff?a=1&b=2")).text]
        shown += [(await client.api("deliveries")).text, client.out.getvalue()]
    raw = SECRET.encode()
    for text in shown:
        assert "(hidden)" in text
        for form in (
            SECRET,
            quote(SECRET),
            raw.hex(),
            raw.hex(" "),
            raw[3:30].hex(" ", 32),
        ):
            assert form not in text
        assert b64encode(raw[2:26]).decode() not in text


PART = SECRET[:20]


def long_before(size):
    """Return text of which *size* characters end within the secret behind it."""
    return "a" * (size - len(PART) - 2)


async def test_what_is_cut_holds_no_part_of_a_secret():
    # What is shown in hexadecimal, and in the headline, the docstring and the lines of
    # the terminal, ends within the secret.
    binary = b"\xff" + long_before(4096).encode() + SECRET.encode()
    path = f"/{long_before(55)}{SECRET}"
    async with receiver() as client:
        await client.post(path, content=binary)
        await client.post(f"/{long_before(190)}{SECRET}", content=b"{}")
        text = long_before(512 * 1024) + SECRET + "a"
        await client.post("/", content=text.encode())
        shown = [(await client.api(f"deliveries/{n}")).text for n in (1, 2, 3)]
        shown.append(await client.printed("#3"))
    for each in shown:
        assert "(hid" in each
        assert PART not in each
        assert PART[:8].encode().hex(" ") not in each


async def test_the_beginning_of_an_answer_holds_no_part_of_a_secret():
    body = f"{long_before(300)}{SECRET}".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    async with Upstream() as upstream, receiver(forward=upstream.url) as client:
        upstream.response = head.encode() + body
        headers = sign(b"{}", SECRET)
        await client.post("/port", content=b"{}", headers=headers)
        assert PART not in await client.printed("aaa")


async def test_base64_in_lines_is_hidden_where_lines_are_compared():
    lines = encodebytes(f"{'a' * 41}{SECRET}".encode())
    async with receiver() as client:
        for part in (b"x", b"y"):
            await client.post("/port", content=part + b"\n" + lines)
        shown = (await client.api("diff?a=1&b=2")).json()["body"]
    text = "\n".join(line for _, line in shown)
    assert "(hidden)" in text
    assert b64encode(SECRET[8:20].encode()).decode()[2:-2] not in text


async def test_events_stay_json_where_a_secret_begins_within_an_escape():
    secret = "nine letters and more"
    content = json.dumps({"context": {"runId": f"\n{secret[1:]}"}})
    async with receiver(secrets=[secret], mode="json") as client:
        headers = sign(content, secret)
        await client.post("/port", content=content.encode(), headers=headers)
        lines = (await client.printed('"delivery"')).splitlines()
    (found,) = [each for each in map(json.loads, lines) if each["event"] == "delivery"]
    assert found["run_id"] == f"\n{secret[1:]}"


def test_the_answer_to_what_is_sent_shows_no_secret():
    body = f"{'a' * 3990} {commands.SECRET}".encode()
    with commands.serve(respond=lambda *_: (500, body)) as endpoint:
        plain = commands.call("send", endpoint.url)
        as_json = commands.call("send", endpoint.url, "--json")
    assert "(hidden)" in plain.out
    assert as_json.json["body"].endswith(" (hidden)")
    for each in (plain.out, as_json.out):
        assert commands.SECRET[:5] not in each


def test_a_copy_is_masked_in_octal():
    record = Record(1.5, "http", "POST", "/", [], b"\0" + PLAIN.encode())
    assert "(hidden)" in Mask([PLAIN]).text(as_curl(record, "http://a/"))


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Cookie", "X-Access-Token", "X-Functions-Key", "api_key"),
        *("X-Session-Id", "X-Passwd", "X-Auth", "X-Goog-IAP-JWT-Assertion"),
        *("X-Forwarded-Client-Cert", "X-MS-CLIENT-PRINCIPAL", "X-Credentials"),
    ],
)
def test_a_header_with_a_credential_is_known_by_its_name(name):
    assert is_credential(name)


@pytest.mark.parametrize(
    "name", ["x-port-signature", "x-port-timestamp", "content-type", "user-agent"]
)
def test_other_headers_are_shown(name):
    assert not is_credential(name)
