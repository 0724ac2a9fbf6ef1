"""The signature debugger of the documentation, in a real browser.

What the page says of generated deliveries is compared with `explain`, with a Verifier,
and with the readers of captures: codes, sentences and remedies are equal.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import random
import unicodedata
import urllib.parse
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from port_webhook import ConfigurationError, Verifier
from port_webhook.adapters.kafka import verify_message
from port_webhook.devtools import _causes, _reprint
from port_webhook.devtools._captures import (
    CaptureError,
    read_curl,
    read_har,
    read_http,
    read_kafka,
    read_lambda,
)
from port_webhook.devtools._explain import diagnose
from port_webhook.devtools._secrets import Candidate
from port_webhook.exceptions import DeliveryError
from port_webhook.testing import (
    kafka_event,
    lambda_event,
    sign_as_agent,
    sign_kafka_message,
)
from tests.placeholders import NO_PLACEHOLDERS, PLACEHOLDERS

from .browsing import CONTRASTS, Site, opener, running_browser
from .damages import ALL, BLIND, DOCUMENT, NOW, OTHER, SECRET, compact, damage, mac, new

from playwright.sync_api import expect  # isort: skip  # after the skip

FOLDER = Path(__file__).parents[2] / "docs" / "_extra" / "signature-debugger"
HTML = (
    '</textarea><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
)
BODY = compact(DOCUMENT)
STAMP = str(NOW)
PATIENCE, SLOW = 30_000, 120_000  # milliseconds


class Debugger(Site):
    """The built page, and a list of what was asked for."""

    def __init__(self):
        self.asked = []
        super().__init__(partial(_Handler, directory=str(FOLDER)))
        self.url += "/index.html"


class _Handler(SimpleHTTPRequestHandler):
    server: Debugger

    def log_message(self, *_):
        self.server.asked.append(self.path)


@pytest.fixture(scope="module")
def browser():
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def site():
    server = Debugger()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def checker(browser, site):
    page = browser.new_page()
    page.set_default_timeout(SLOW)
    page.goto(site.url)
    yield page
    page.close()


@pytest.fixture
def open_page(browser, site):
    with opener(browser, PATIENCE) as open_:
        yield lambda address=site.url, **options: open_(address, **options)


class Delivery(NamedTuple):
    """What `explain` and the page are asked about."""

    body: bytes
    headers: list[Any]
    secrets: tuple[Any, ...] = (SECRET,)
    now: float = NOW
    kafka: bool = False
    agent: bool = False

    @property
    def candidates(self):
        return [
            Candidate(f"secret {at}", *each)
            if isinstance(each, tuple)
            else Candidate(f"secret {at}", each, at == 0)
            for at, each in enumerate(self.secrets)
        ]

    def dump(self):
        return {
            **self._asdict(),
            "body": base64.b64encode(self.body).decode(),
            "secrets": [each._asdict() for each in self.candidates],
        }


def signed(body, *, secret=SECRET, stamp=STAMP):
    value = base64.b64encode(mac(body, secret=secret, stamp=stamp)).decode()
    return [("x-port-timestamp", stamp), ("x-port-signature", f"v1,{value}")]


def from_case(case):
    return Delivery(case.body, case.pairs, tuple(case.secrets), case.now)


ASK = """async (deliveries) => {
  const answers = [];
  for (const {body, headers, secrets, now, kafka, agent} of deliveries) {
    const bytes = Uint8Array.from(atob(body), (each) => each.charCodeAt(0));
    let explanation;
    let verdict;
    try {
      const {verified, causes} = await explain(bytes, headers, secrets, now, kafka);
      explanation = {verified, causes};
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      explanation = {error: error.message};
    }
    const result = await check(bytes, headers, secrets, now, kafka, agent);
    const failed = result.steps.find((each) => each.state === "failed");
    answers.push([explanation, [result.code, failed?.text ?? null]]);
  }
  return answers;
}"""


def explain_in_python(delivery):
    body, headers, _, now, kafka, _ = delivery
    try:
        found = diagnose(body, headers, delivery.candidates, now=now, kafka=kafka)
    except ConfigurationError as error:
        return {"error": str(error)}
    keys = ("code", "proven", "text", "remedy")
    causes = [{key: getattr(each, key) for key in keys} for each in found.causes]
    return {"verified": found.verified, "causes": causes}


def verify_in_python(delivery):
    body, headers, _, now, kafka, agent = delivery
    current, *previous = [each.secret for each in delivery.candidates if each.accepted]
    try:
        verifier = Verifier(current, previous_secrets=previous, agent=agent)
    except ConfigurationError:
        return ["configuration_error", None]
    try:
        if kafka:
            verify_message(body, verifier, received_at=now)
        else:
            verifier.verify(body, headers, received_at=now)
    except DeliveryError as error:
        return [error.code, str(error)]
    return [None, None]


def compare(checker, deliveries):
    deliveries = list(deliveries)
    answers = checker.evaluate(ASK, [each.dump() for each in deliveries])
    for delivery, (explanation, verdict) in zip(deliveries, answers, strict=True):
        assert explanation == explain_in_python(delivery), delivery
        wanted = verify_in_python(delivery)
        if wanted[0] in ("configuration_error", "signature_mismatch"):
            # The page has words of its own for these two.
            assert verdict[0] == wanted[0], delivery
        else:
            assert verdict == wanted, delivery


def test_the_tables_of_the_page_are_those_of_the_library(checker):
    assert checker.evaluate("REMEDIES") == _causes._REMEDIES
    ranks = checker.evaluate(
        "Object.fromEntries(Object.keys(RANKS).map((k) => [k, [...RANKS[k].keys()]]))"
    )
    assert ranks == {part: text.split() for part, text in _reprint._PARTS.items()}


def test_a_genuine_delivery_and_each_cause(checker):
    cases = [damage(code) for code in (*ALL, *BLIND)]
    compare(checker, map(from_case, [new().sign(), *cases]))


def test_random_combinations_of_causes(checker):
    generator = random.Random(14)  # noqa: S311  # test data
    names = [*ALL, *BLIND]
    deliveries = []
    while len(deliveries) < 80:
        chosen = generator.sample(names, generator.randrange(2, 5))
        try:
            case = damage(*chosen)
        except (ValueError, AttributeError):  # they cannot happen in this order
            continue
        if generator.random() < 0.3:
            at = generator.randrange(len(case.body) + 1)
            rest = case.body[at + generator.randrange(2) :]
            case.body = case.body[:at] + generator.randbytes(2) + rest
        deliveries.append(from_case(case))
    compare(checker, deliveries)


def test_tampered_and_cut_bodies(checker):
    other = signed(BODY + b"!")
    bodies = [
        *(BODY[:at] for at in range(0, len(BODY), 5)),
        *(b'{"a":%s' % each for each in (b"tr", b"-", b"1.", b"1e", b"NaN", b"Na")),
        *(b'["%s' % each for each in (b"\\", b"\\u12", b"\\u1234", b"\xc3", b"\xe2(")),
        b'["\xed\xa0',
        b"[" * 70,
        b"[" * 65 + b"]" * 65,
        b"[1,]",
        b'{"a":1,"a":2}',
        b"[NaN]",
        b"\xff\xfe{\x00}\x00",
        b'{"a":1}\xff',
        b"",
        b"null",
        b"\x00\x01",
        b"a=b&c=d",
        b"[" + b"1" * 5000 + b",",
    ]
    compare(checker, [Delivery(each, other) for each in bodies])
    compare(checker, [Delivery(each, signed(each)) for each in bodies])


DOCUMENTS = [
    {"b": 1, "10": None, "2": [True, {}], "a": {"é": "\U0001f600", "\uffff": "\u2028"}},
    {"text": "<b>/\\ \"q\" 'x' \x7f\x1f", "cafe\u0301": "Zoë “€”"},
    {
        "context": {"runId": "r_1", "entity": None},
        "status": "TRIGGERED",
        "payload": {"properties": {"b": 1, "a": 2}, "entity": None},
        "action": "create_vm",
    },
]


def spell(document):
    for ascii_only in (True, False):
        yield compact(document, ascii_only=ascii_only)
        for options in ({}, {"indent": 2}, {"indent": 4}, {"sort_keys": True}):
            yield json.dumps(document, ensure_ascii=ascii_only, **options).encode()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_json_that_was_printed_anew(checker, document):
    sent = [compact(document), compact(document, ascii_only=True)]
    items = [*document.items()]
    turned = compact(dict(items[1:] + items[:1]))
    compare(
        checker,
        [Delivery(each, signed(was)) for each in spell(document) for was in sent]
        + [Delivery(turned, signed(sent[0]))],
    )


def test_numbers_and_lone_surrogates(checker):
    python = b'{"a":1.0,"b":1e-7,"c":0.000001,"d":1E5,"e":-0,"f":1.50,"g":5e-324}'
    script = b'{"a":1,"b":1e-7,"c":0.000001,"d":100000,"e":0,"f":1.5,"g":5e-324}'
    lone = b'{"a":"\\ud800x","b":"\\ud83d\\ude00","c":"\\uDC00"}'
    printed = json.dumps(json.loads(lone)).encode()
    compare(
        checker,
        [
            Delivery(python, signed(script)),
            Delivery(script, signed(python)),
            Delivery(lone, signed(lone)),
            Delivery(lone.replace(b",", b", "), signed(lone)),
            Delivery(printed, signed(lone)),
            Delivery(lone, signed(printed)),
        ],
    )


TEXTS = {
    "日本語テスト": ("shift_jis", "euc-jp", "utf-16", "utf-16-be", "utf-32"),
    "한국어": ("euc-kr", "utf-16-le"),
    "中文字元": ("big5", "gb18030", "utf-32-le", "utf-32-be"),
    "Привет": ("cp1251", "koi8-r"),
    "Zoë ß": ("latin-1", "cp1252", "iso8859-15", "cp1250", "mac-roman", "cp437"),
    "€ ž": ("cp1252", "iso8859-15", "cp1250"),
    "é ®": ("cp850", "gb18030"),
}


def test_text_in_another_encoding(checker):
    deliveries = []
    for text, names in TEXTS.items():
        sent = compact({"text": text})
        for name in names:
            deliveries.append(Delivery(sent.decode().encode(name), signed(sent)))
            try:
                twice = sent.decode(name).encode()
            except UnicodeDecodeError:
                continue
            deliveries.append(Delivery(twice, signed(sent)))
    sent = compact({"text": "Zoë"})
    apart = unicodedata.normalize("NFD", sent.decode()).encode()
    deliveries += [Delivery(apart, signed(sent)), Delivery(sent, signed(apart))]
    compare(checker, deliveries)


SINGLE = [
    "cp1252",
    "iso8859-15",
    "cp1250",
    "cp1251",
    "koi8-r",
    "mac-roman",
    "cp437",
    "cp850",
]


@pytest.mark.parametrize("name", [*SINGLE, "shift_jis", "big5", "gb18030"])
def test_the_character_sets_are_those_of_python(checker, name):
    pairs = []
    for number in range(0, 0x10000, 5 if name == "gb18030" else 1):
        try:
            pairs.append((chr(number), chr(number).encode(name).decode("latin-1")))
        except UnicodeEncodeError:
            continue
    wrong = checker.evaluate(
        "([name, pairs]) => pairs.filter(([text, bytes]) => "
        "encodeTo(text, name) !== bytes || decodeFrom(bytes, name) === null)"
        ".map(([text]) => text)",
        [name, pairs],
    )
    # Twenty characters of gb18030 were assigned anew after Python's edition.
    assert len(wrong) <= (40 if name == "gb18030" else 0)


def test_wrapped_and_compressed_bodies(checker):
    text = BODY.decode()
    base = base64.b64encode(BODY)
    packed = gzip.compress(BODY, mtime=0)
    raw = zlib.compress(BODY)[2:-4]
    bodies = [
        html.escape(text).encode(),
        html.escape(text, quote=False).encode(),
        urllib.parse.quote(text).encode(),
        urllib.parse.quote_plus(text).encode(),
        b"payload=" + urllib.parse.quote_plus(text).encode(),
        BODY + b"=",
        json.dumps(text).encode(),
        base,
        base.rstrip(b"="),
        base64.urlsafe_b64encode(BODY),
        base64.encodebytes(BODY),
        b'"%s"' % base,
        packed,
        packed + b"\n",
        packed[:-1],
        packed[:20],
        packed[:-8] + b"12345678",
        zlib.compress(BODY),
        zlib.compress(BODY, 0),
        zlib.compress(BODY)[:-1],
        raw,
        raw[:-2],
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x1e",
        b"\x78\x9c",
        b"\xef\xbb\xbf" + BODY,
        BODY.replace(b",", b",\r\n"),
        b"\n" + BODY + b"\n\n",
    ]
    encoded = ("Content-Encoding", "gzip")
    compare(
        checker,
        [Delivery(each, signed(BODY)) for each in bodies]
        + [Delivery(each, [*signed(BODY + b"?"), encoded]) for each in bodies],
    )


def test_entities_are_those_of_html(checker):
    strange = (
        b"&#0;&#x80;&#128;&#x110000;&#xd800;&#1;&amp&ampx;&notit;&nosuch;&#13;&#xfdd0;"
        b"&lt&gt;&&#;&#x;&eacute &acE;&bne;a\xc3\xa9;&CounterClockwiseContourIntegral;"
    )
    clear = html.unescape(strange.decode()).encode("utf-8", "replace")
    compare(checker, [Delivery(strange, signed(clear))])


def _signatures():
    good = signed(BODY)[1][1]
    digits = good.removeprefix("v1,")
    raw = base64.b64decode(digits)
    other = f"v1,{'A' * 43}="
    return [
        "",
        f"{good} {good}",
        f"{good},{other}",
        f"{other}, {good}",
        f"v2,abc {good}",
        f"{other} {good}",
        f" {good}\t",
        f"V1,{digits}",
        digits,
        digits[:-1],
        f"v1={digits}",
        f"v1, {digits}",
        f"sha256={digits}",
        f'"{good}"',
        urllib.parse.quote(good),
        good.replace("+", "-").replace("/", "_"),
        f"é{good}",
        "\ud800",
        f"{good[:-2]}{chr(ord(good[-2]) + 1)}=",
        raw.hex(),
        f"sha256={raw.hex().upper()}",
        f"sha1={'0' * 40}",
        f"v1,{'A' * 27}=",
        "a" * 5000,
        f"{good} " * 9,
        f"{good}\x00",
        f"%E2%82{good}",
        "K" * 43,
    ]


def test_signatures_in_every_spelling(checker):
    compare(
        checker,
        [
            Delivery(BODY, [("x-port-timestamp", STAMP), ("X-Port-Signature", each)])
            for each in _signatures()
        ],
    )


STAMPS = [
    "",
    f"{STAMP} ",
    f"+{STAMP}",
    f'"{STAMP}"',
    f"0{STAMP}",
    f"{STAMP}.5",
    f"{STAMP}00",
    f"{STAMP}000000",
    f"{STAMP}, {STAMP}",
    "2024-04-16T14:31:29Z",
    "2024-04-16 14:31:29.000+00:00",
    "20240416T163129+0200",
    "2024-02-30T14:31:29Z",
    "Tue, 16 Apr 2024 14:31:29 GMT",
    "١٧١٣٢٧٧٨٨٩",
    "-1713277889",
    "\ud800",
    "1" * 30,
]


def test_timestamps_in_every_spelling(checker):
    deliveries = []
    for each in STAMPS:
        for stamp in (STAMP, f"{STAMP}000"):
            signature = signed(BODY, stamp=stamp)[1]
            deliveries.append(Delivery(BODY, [("x-port-timestamp", each), signature]))
    for millis in ("000", "123", "999"):
        stamp = STAMP + millis
        late = [("x-port-timestamp", STAMP), signed(BODY, stamp=stamp)[1]]
        deliveries += [
            Delivery(BODY, signed(BODY, stamp=stamp)),
            Delivery(BODY, late),
            Delivery(BODY + b"\n", late),
        ]
    compare(checker, deliveries)


def test_stale_and_future_timestamps(checker):
    ages = [-61, -60, -0.5, 0, 300, 300.000001, 301, 3661.5, 86_399, 86_400, 1e7, -1e7]
    compare(
        checker,
        [
            Delivery(BODY, signed(BODY, stamp=stamp), now=NOW + age)
            for age in ages
            for stamp in (STAMP, f"{STAMP}250")
        ],
    )


NAMES = [
    "X_PORT_SIGNATURE",
    "http-x-port-signature",
    "signature",
    "x-port-signatureé",
    "\"'x-port-signature'",
    "x\ud800portsignature",
    f"x-port-signature{'z' * 100}",
    "\U0001f600-x-port-signature",
    "\\x-port-signature\n\xa0\x7f\u2028",
]


def test_missing_doubled_and_renamed_headers(checker):
    stamp, signature = signed(BODY)
    deliveries = [
        Delivery(BODY, []),
        Delivery(BODY, [stamp]),
        Delivery(BODY, [signature]),
        Delivery(BODY, [stamp, signature, stamp]),
        Delivery(BODY, [stamp, signature, ("X-PORT-SIGNATURE", "x")]),
        Delivery(BODY, [("event-time", STAMP), signature]),
        Delivery(BODY, [("a", "b")] * 10_001),
        Delivery(BODY, [("event-time", STAMP), ("x-s", signature[1])]),
    ]
    for name in NAMES:
        deliveries += [
            Delivery(BODY, [stamp, (name, signature[1])]),
            Delivery(BODY, [stamp, (name, signature[1]), ("port-signature", "x")]),
        ]
    for length in ("0", f"{len(BODY) - 1}", "9999", " 100 ", "-1", "９９", "1" * 13):
        headers = [*signed(BODY + b"?"), ("content-length", length)]
        deliveries.append(Delivery(BODY, headers))
    compare(checker, deliveries)


DAMAGED = [
    f"{SECRET}\n",
    f" {SECRET}",
    f"{SECRET}\u200b",
    f"\ufeff{SECRET}",
    f"{SECRET[:4]}\n{SECRET[4:]}",
    f'"{SECRET}"',
    f"'{SECRET}'\n",
    f"\"'{SECRET}'\"",
    f"{SECRET}\x85",
    f"{SECRET}\u00a0",
    f"{SECRET}\U000e0001",
    f"é{SECRET}",
    *PLACEHOLDERS,
    *NO_PLACEHOLDERS,
    '"',
    "''",
    " ",
    "",
    "\ud800",
]


def test_damaged_and_previous_secrets(checker):
    deliveries = []
    for each in DAMAGED:
        theirs = each if each.isprintable() and len(each) > 2 else "x"
        deliveries += [
            Delivery(BODY, signed(BODY), (each,)),
            Delivery(BODY, signed(BODY, secret=theirs)),
            Delivery(BODY + b"\n", signed(BODY), (OTHER, each)),
        ]
    rotation = ((SECRET, True), (OTHER, True), ("a third secret of theirs", False))
    for secret, _ in rotation:
        deliveries.append(Delivery(BODY, signed(BODY, secret=secret), rotation))
        late = Delivery(BODY, signed(BODY, secret=secret), rotation, NOW + 999)
        deliveries.append(late)
    deliveries.append(Delivery(BODY, signed(BODY, secret="a quite different one")))
    compare(checker, deliveries)


def test_the_form_of_the_agent(checker):
    body, headers = sign_as_agent({"a": [1, {"b": "é, :"}]}, SECRET, timestamp=NOW)
    pairs = [*headers.items()]
    nan = b'{"a": NaN}'
    deliveries = [
        Delivery(body, pairs),
        Delivery(body + b"\n", pairs),
        Delivery(b"", signed(b"null")),
        Delivery(nan, signed(b'{"a":NaN}')),
        Delivery(b'{"a": 1, "a": 2}', signed(b'{"a":1,"a":2}')),
        Delivery(BODY, signed(BODY)),
        Delivery(b" " * 300_000, signed(b"x")),
    ]
    compare(checker, deliveries)
    compare(checker, [each._replace(agent=True) for each in deliveries])


def test_messages_of_kafka(checker):
    deliveries = []
    for document in (
        {"action": "x", "context": {"runId": "r"}, "headers": {"a": "é"}},
        {"payload": {"action": {"invocationMethod": {"type": "GITLAB"}}}, "a": "b"},
        {"a": 'é "quote" \U0001f600 \\', "n": [1.0, 1e5, None]},
    ):
        message = sign_kafka_message(document, SECRET, timestamp=NOW)
        number = b'"X-Port-Timestamp":%d' % NOW
        for value in (
            message,
            message + b"\n",
            base64.b64encode(message),
            json.dumps(json.loads(message), indent=2).encode(),
            message.replace(b"X-Port-Signature", b"x_port_signature"),
            message.replace(b'"v1,', b'"'),
            message.replace(b'"X-Port-Signature":', b'"X-Port-Signature":null,"q":'),
            message.replace(b'"X-Port-Signature":', b'"X-Port-Signature":[],"q":'),
            message.replace(b'"X-Port-Timestamp":"%d"' % NOW, number),
            message[:-1],
        ):
            deliveries += [Delivery(value, [], kafka=kafka) for kafka in (True, False)]
        deliveries.append(Delivery(message, signed(message), kafka=True))
        deliveries.append(Delivery(message, [], (OTHER, SECRET), NOW + 999, kafka=True))
    deliveries.append(Delivery(BODY, signed(BODY), kafka=True))
    deliveries.append(Delivery(b"", [], kafka=True))
    compare(checker, deliveries)


def test_hostile_bodies_are_explained_within_bounds(checker):
    generator = random.Random(7)  # noqa: S311  # test data
    bodies = [generator.randbytes(generator.randrange(60)) for _ in range(30)]
    bodies += [
        # Thousands of objects with one key each, which has one order.
        b"[%s]" % b",".join(b'{"b":%d}' % each for each in range(3000)),
        b'{"a":' * 50_000,
        b'"\\' * 20_000,
        b"&amp;" * 5000,
        b"%41" * 5000,
        gzip.compress(b"a" * 9_000_000, mtime=0),
    ]
    compare(checker, [Delivery(each, signed(b"?")) for each in bodies])


READ = """([kind, raw, entry]) => {
  try {
    const found = readCapture(raw, kind, entry);
    return [found.body, found.headers, found.kafka, found.receivedAt, found.note];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.message;
  }
}"""
READERS: dict[str, Any] = {
    "http": lambda raw, _: read_http(raw),
    "curl": lambda raw, _: read_curl(raw),
    "har": read_har,
    "lambda": read_lambda,
    "kafka": read_kafka,
}


def raw_captures():
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(BODY)).encode()
    raw = b"POST /port HTTP/1.1\r\n" + lines + b"\r\n"
    chunks = b'Transfer-Encoding: chunked\r\n\r\n4;x=1\r\n{"a"\r\n3\r\n:1}\r\n0\r\n'
    yield "http", raw + BODY
    yield "http", lines
    yield "http", b"\n:method: POST\n" + raw.replace(b"\r\n", b"\n") + b"x"
    yield "http", raw[:-2] + b"Content-Length: 3\r\n\r\nabcdef"
    yield "http", raw[:-2] + b"Content-Length: 3\r\n\r\nabc \r\n"
    yield "http", raw[:-2] + b"X: a\r\n b\xc3\xa9\r\n" + chunks
    for body in (
        *(b"", b"{}", b"4", b"0\r\n\r\n", b"4\nWiki\n0", b"4 ;a\r\nWiki\r\n0\r\n"),
        *(b"4\r\nWi", b"4\r\nWiki", b"4\r\nWikipedia\r\n", b"f" * 16 + b"\n\xff"),
        *(b"2\r\n{}\r\n0\r\nA: b\r\n\r\n", b"2\n{}\n0\nA: b", b"2\n{}\n0\n\n \n"),
        *(b"2\r\n{}\r\n0\r\n\r\nx", b"2\n{}\n0\nA b\n\n", b"2\n{}\n{}\n", b"0" * 17),
        *(b"2\n{}\r", b"2\n{}\r\n", b"2\n{}\n" + b"0" * 17 + b"\n", b"0;\r\n\x0b"),
    ):
        for coding in (b"chunked", b"gzip,\tCHUNKED", b"unchunked"):
            head = raw[:-2] + b"Transfer-Encoding: " + coding + b"\r\n"
            yield "http", head + b"\r\n" + body
            twice = b"Transfer-Encoding: chunked\r\n\r\n"
            yield "http", head + twice + body + b"\n"
    yield "http", raw[:-2] + b"A: b\rC: d\r\n\x0be: f\r\n\r\n"
    yield "http", raw[:-2] + b"A: b\rC: d\r\r\nE: \rf\n\n{}"
    yield "http", b"A:\n \n\tb \x0b\n \n  c\t\x0c\nD : \te\n \n\r\n"
    yield "http", b"A: b\r\n\r"
    for name in (
        b"",
        b" ",
        b"a b",
        b'"a"',
        b"a\xe9",
        b"\x85a\xa0",
        b"a/b",
        b"!#$'*`|~",
    ):
        yield "http", raw[:-2] + name + b": c\r\n\r\n"
    yield "http", b"HTTP/1.1 200 OK\r\n\r\n"
    yield "http", b"no header"
    yield "http", b""


def curl_captures():
    quoted = BODY.decode().replace("'", "'\\''")
    yield "curl", f"curl -X POST u -H 'A: b é' -H \"C;\" -d '{quoted}'".encode()
    yield "curl", b"curl u \\\n --data-raw $'a\\n\\x41\\u00e9\\'\\101' -sSHX:1"
    yield (
        "curl",
        b'/bin/curl --json="{\\"a\\": \\$1}" --data-urlencode x=\xc3\xa9 u',
    )
    yield "curl", b"curl -H 'A;;:;b' -H ';;' -H 'B;c;;'"
    for options in (
        *("-d a=1 --json {} -d c", "--json a --json b", "-d '' -d a", "-s: -d b"),
        *("--data-urlencode a=b=c\\ d", "--data-urlencode @f", "--next -d a"),
        *("--data-urlencode =a\\ b --data-urlencode c", "--data-urlencode a@f"),
        *(
            "-d a | jq -F",
            "-d a|b",
            "-d a; -d b",
            "-d 'a';-d b",
            "-d a;b",
            "-d a && -d",
        ),
        *(
            "-d 'a'&&b",
            "-d a&b",
            "-d a & -d b",
            "# -d b",
            "-d a#b",
            "-d '^' ^",
            "-d a^",
        ),
        *("| 'open", "-d $'\\q\\E\\?\\\"\\\\'", "-d a;$x", "-d ';|&&#'"),
    ):
        yield "curl", f"curl http://u/?a=1&b=2 -H A:1 {options}".encode()
    yield "curl", b"\n curl u -H A:1 \r\n# comment\ncurl v -H B:2"
    yield "curl", b"curl u\n  -H A:1\n-d x\necho -d y"
    yield "curl", b"curl -d @file u"
    yield "curl", b"curl -F a=b u"
    yield "curl", b"curl -H 'a"
    yield "curl", b"wget"


def har_captures():
    headers = [{"name": name, "value": value} for name, value in signed(BODY)]
    one = {
        "startedDateTime": "2024-04-16T14:31:29.500Z",
        "request": {"headers": headers, "postData": {"text": BODY.decode()}},
    }
    bare = {"request": {"headers": [{"name": ":path", "value": "/"}]}}
    for entries in ([one], [bare, one], [one, one], [bare], []):
        yield "har", json.dumps({"log": {"entries": entries}}).encode()
    for request in ({}, *({"bodySize": n} for n in (0, 0.0, -1, 7))):
        for method in ("POST", "PATCH", "GET", None):
            lost = {"request": {"method": method, "headers": headers, **request}}
            yield "har", json.dumps({"log": {"entries": [lost]}}).encode()
    bad = {"request": {"postData": {"text": "%", "encoding": "base64"}}}
    yield "har", json.dumps({"log": {"entries": [bad, one]}}).encode()
    yield "har", json.dumps({"log": {"entries": [bad, bad]}}).encode()
    yield "har", b"[]"
    yield "har", b"{"


def message_captures():
    for base64_body in (True, False):
        for shape in ("rest_api", "http_api", "alb"):
            event = lambda_event(BODY, signed(BODY), shape=shape, base64=base64_body)
            yield "lambda", json.dumps(event).encode()
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)
    yield "lambda", json.dumps(kafka_event(message)).encode()
    event = kafka_event(message, message)
    (records,) = event["records"].values()
    records[0]["headers"] = [{"a": [98, -1, 10**30 + 1, True, 98.5], "b": []}, 7]
    records[1]["value"] = "%"
    yield "lambda", json.dumps(event).encode()
    yield "lambda", json.dumps({"body": "%", "isBase64Encoded": True}).encode()
    yield "lambda", b'{"headers": {"a": 1, "b": null}, "multiValueHeaders": {"a": []}}'
    yield "lambda", b"{}"
    record = {"topic": "org.runs", "ts": NOW * 1000, "payload": message.decode()}
    yield "kafka", message
    yield "kafka", json.dumps(record).encode()
    yield "kafka", json.dumps({**record, "headers": ["a", "b", "c"]}).encode() + b"\n"
    yield "kafka", b"\n".join([json.dumps(record).encode()] * 2)


def captures():
    yield from raw_captures()
    yield from curl_captures()
    yield from har_captures()
    yield from message_captures()


CAPTURES = [*captures()]


@pytest.mark.parametrize(("kind", "raw"), CAPTURES)
def test_captures_are_read_as_the_command_reads_them(checker, kind, raw):
    for entry in (None, 1):
        found = checker.evaluate(READ, [kind, raw.decode("latin-1"), entry])
        wanted = read_in_python(kind, raw, entry)
        if isinstance(wanted, str) and not wanted.startswith("the chunked body"):
            # The page speaks of what was pasted, not of a file.
            assert isinstance(found, str)
        else:
            assert found == wanted


def read_in_python(kind, raw, entry):
    try:
        body, headers, *rest = READERS[kind](raw, entry)
    except CaptureError as error:
        return str(error)
    return [body.decode("latin-1"), [list(each) for each in headers], *rest]


@pytest.mark.parametrize(
    ("kind", "raw", "size"),
    [
        ("http", "`A: b${'\\n c'.repeat(1e6)}`", 1 + 2 * 10**6),
        ("http", "`A: b${';'.repeat(3e6)}x\\nC: d`", 2 + 3 * 10**6),
        ("curl", "`curl ${'a;a&'.repeat(1e6)} -H A:b`", 1),
        ("curl", "`curl -H '${';'.repeat(3e6)}x: b'`", 1),
        ("curl", "`curl -d '${';'.repeat(3e6)}' -H 'a: b'`", 1),
    ],
)
def test_no_capture_blocks_the_page(checker, kind, raw, size):
    # What takes quadratic time would take hours.
    found = checker.evaluate(f"readCapture({raw}, {kind!r}).headers[0][1].length")
    assert found == size
    ends = "[`=`, `;`].map((each) => dropEnd(each.repeat(3e6) + `x`, each).length)"
    assert checker.evaluate(ends) == [3 * 10**6 + 1] * 2


def test_lines_behind_one_that_is_no_record_are_not_read(checker):
    count = checker.evaluate(
        """() => {
          const { read } = JsonReader.prototype;
          let count = 0;
          JsonReader.prototype.read = function () {
            count += 1;
            return read.call(this);
          };
          try {
            readCapture("=\\n".repeat(1000), "kafka");
          } finally {
            JsonReader.prototype.read = read;
          }
          return count;
        }"""
    )
    assert count == 2  # a line, and the whole


def test_the_kind_of_a_capture_is_seen(checker):
    found = {
        kind: checker.evaluate("(raw) => guessKind(raw)", raw.decode("latin-1"))
        for kind, raw in (
            ("http", CAPTURES[0][1]),
            *((kind, raw) for kind, raw in CAPTURES if len(raw) > 100),
        )
    }
    assert all(kind == seen for kind, seen in found.items())
    assert set(found) == set(READERS)


def fill(page, *, body=None, secret=SECRET, headers=None, at=STAMP):
    pairs = signed(BODY) if headers is None else headers
    page.get_by_label("Headers, or the whole request").fill(
        "\n".join(f"{name}: {value}" for name, value in pairs)
    )
    page.get_by_label("Body, exactly").fill(BODY.decode() if body is None else body)
    page.get_by_label("Client secret").fill(secret)
    page.get_by_label("When the delivery arrived").fill(at)


def press_check(page):
    page.get_by_role("button", name="Check").click()


def test_the_form_accepts_a_genuine_delivery(open_page):
    page = open_page()
    fill(page)
    page.keyboard.press("Control+Enter")
    status = page.locator("[role=status]", has=page.locator("#verdict"))
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text("The delivery verifies.")
    expect(page.locator(".passed")).to_have_count(8)
    expect(page.locator(".cause")).to_have_count(0)
    expect(page.locator("#signed pre")).to_contain_text("31 37 31 33 32 37 37")


def test_the_form_explains_the_example(open_page):
    page = open_page()
    page.get_by_role("button", name="Fill in an example").click()
    press_check(page)
    expect(page.locator("#verdict")).to_have_text(
        "The delivery does not verify: 1 cause."
    )
    expect(page.locator(".cause h4")).to_have_text("1. newline_added (proven)")
    expect(page.locator(".failed")).to_contain_text("Match")
    # What was signed, and what a Verifier compares: a byte more.
    expect(page.locator("#signed h3")).to_have_text(
        ["What was signed: 59 bytes", "What a Verifier compares: 60 bytes"]
    )


def test_the_switch_for_the_agent(open_page):
    page = open_page()
    body, headers = sign_as_agent(DOCUMENT, SECRET, timestamp=NOW)
    fill(page, body=body.decode(), headers=headers.items())
    press_check(page)
    expect(page.locator(".cause h4")).to_have_text("1. agent_form (proven)")
    page.get_by_label("It accepts the agent's form").check()
    press_check(page)
    expect(page.locator("#verdict")).to_have_text(
        "The delivery verifies with agent=True."
    )
    expect(page.locator(".cause")).to_have_count(0)


def test_the_switch_for_kafka(open_page):
    page = open_page()
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW).decode()
    fill(page, body=message, headers=[])
    press_check(page)
    expect(page.locator(".cause h4")).to_have_text("1. kafka_form (proven)")
    page.get_by_label("The delivery is a message of Kafka").check()
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")


def test_the_page_says_how_a_body_was_read(open_page):
    page = open_page()
    chunked = [*signed(BODY), ("Transfer-Encoding", "chunked")]
    fill(page, body="", headers=chunked)
    request = page.get_by_label("Headers, or the whole request")
    head = request.input_value()
    request.fill(f"{head}\n\n{BODY.decode()}")
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")
    note = "the body does not begin with the size of a chunk. It is used as it is."
    expect(page.locator("#about")).to_contain_text(note)
    # A body of its own field is the one that is used.
    fill(page, headers=chunked)
    press_check(page)
    expect(page.locator("#about")).not_to_contain_text("chunk")
    fill(page, body="")
    request.fill(f"{head}\n\n5\nabc")
    press_check(page)
    expect(page.locator("#verdict")).to_contain_text("The chunked body is broken: ")


def test_several_secrets(open_page):
    page = open_page()
    fill(page, secret="the new secret of Port")
    page.get_by_label("Previous secrets").fill(f"an older one of Port\n{SECRET}\n")
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")
    expect(page.locator(".passed").last).to_contain_text("previous secret 2")
    page.get_by_label("Previous secrets").fill("")
    page.get_by_label("Other secrets").fill(SECRET)
    press_check(page)
    expect(page.locator(".cause")).to_contain_text("signed with other secret 1")


def test_bodies_keep_their_bytes(open_page, tmp_path):
    body = b'{"a":\r\n"\xff\x00"}\r\n'
    page = open_page()
    fill(page, body="", headers=signed(body))
    page.get_by_label("base64").check()
    page.get_by_label("Body, exactly").fill(base64.encodebytes(body).decode())
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")
    file = tmp_path / "body"
    file.write_bytes(body)
    page.get_by_label("file", exact=True).check()
    page.get_by_label("File with the exact bytes").set_input_files(file)
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")
    # The whole request, from a file.
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(body))
    file.write_bytes(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
    page.get_by_label("text", exact=True).check()
    page.get_by_label("Body, exactly").fill("")
    page.get_by_label("or a file").set_input_files(file)
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")


def test_text_with_other_line_ends_a_byte_order_mark_and_lone_surrogates(open_page):
    page = open_page()
    fill(page, body="[1,\n2]", headers=signed(b"[1,\r\n2]"))
    press_check(page)
    expect(page.locator(".cause")).to_contain_text("signed as CR LF")
    page.get_by_label("Line ends").select_option("CR LF")
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")
    fill(page, body="\ufeff[]", headers=signed(b"[]"))
    press_check(page)
    expect(page.locator(".cause h4")).to_have_text("1. bom_added (proven)")
    page.evaluate("document.getElementById('body').value = '[\"\\ud800\"]'")
    press_check(page)
    expect(page.locator("#verdict")).to_contain_text("lone surrogates")
    expect(page.locator("#result")).to_have_class("wrong")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("secret", "", "Give the client secret"),
        ("secret", " ", "The secret is empty"),
        ("request", "", "There is no x-port-signature header."),
        ("request", "no header", "Line 1 is no header"),
        ("at", "soon", "The time of arrival is neither"),
        ("at", "99999999999999", "The time of arrival is neither"),
    ],
)
def test_wrong_input_is_named(open_page, field, value, words):
    page = open_page()
    fill(page)
    page.locator(f"#{field}").fill(value)
    press_check(page)
    expect(page.locator("#result")).to_contain_text(words)


@pytest.mark.parametrize("at", ["1713277890", "1713277890000", "2024-04-16T14:31:30Z"])
def test_the_time_of_arrival_in_every_form(open_page, at):
    page = open_page()
    fill(page, at=at)
    press_check(page)
    expect(page.locator("#steps")).to_contain_text("signed 1 s before it arrived")


def test_html_and_script_stay_text_in_every_field(open_page):
    page = open_page()
    headers = [("x-port-signature", HTML), (f"x-port-timestamp{HTML}", HTML)]
    for kind in ("text", "base64"):
        page.get_by_label(kind, exact=True).check()
        fill(page, body=HTML, secret=HTML, headers=headers)
        # In raw HTTP no such name is a header's.
        event = json.dumps({"headers": dict(headers)})
        page.get_by_label("Headers, or the whole request").fill(event)
        page.get_by_label("Previous secrets").fill(HTML)
        page.get_by_label("Other secrets").fill(HTML)
        press_check(page)
        expect(page.locator("#verdict")).not_to_have_text("Checking …")
    page.get_by_label("text", exact=True).check()
    press_check(page)
    expect(page.locator("#causes")).to_contain_text("x-port-timestamp</textarea><img")
    fill(page, body=HTML, headers=signed(HTML.encode()))
    press_check(page)
    expect(page.locator("#signed pre")).to_contain_text("img src=x")
    page.locator("#at").fill(HTML)
    press_check(page)
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_nothing_is_sent_and_nothing_is_stored(open_page, site):
    page = open_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    site.asked.clear()
    fill(page, body=HTML, secret=SECRET)
    press_check(page)
    expect(page.locator(".cause")).to_have_count(1)
    assert requests == []
    assert site.asked == []
    stored = (
        "[localStorage.length, sessionStorage.length, document.cookie, location.href]"
    )
    assert page.evaluate(stored) == [0, 0, "", site.url]
    assert page.evaluate("indexedDB.databases()") == []
    assert SECRET not in page.content()  # no attribute, and no text of an element


def test_the_policy_refuses_what_would_send_or_run(browser, site):
    page = browser.new_page()
    page.goto(site.url)
    site.asked.clear()
    refused = page.evaluate(
        """async (url) => {
          const found = [];
          const wanted = ["connect-src", "img-src", "form-action"];
          const refused = new Promise((done) => {
            addEventListener("securitypolicyviolation", (event) => {
              found.push(event.effectiveDirective);
              if (wanted.every((each) => found.includes(each))) done();
            });
          });
          const image = new Image();
          image.src = `${url}?image`;
          await fetch(`${url}?fetch`).catch(() => found.push("fetch"));
          navigator.sendBeacon(`${url}?beacon`);
          try { document.body.innerHTML = "<b>"; } catch { found.push("innerHTML"); }
          const script = document.createElement("script");
          script.append("window.hacked = 1");
          try { document.body.append(script); } catch {}
          const form = document.createElement("form");
          form.action = `${url}?form`;
          document.body.append(form);
          form.submit();
          await refused;
          return found;
        }""",
        site.url,
    )
    assert {"connect-src", "fetch", "img-src", "innerHTML", "form-action"} <= {*refused}
    assert page.evaluate("window.hacked") is None
    assert site.asked == []
    page.close()


def test_secrets_are_hidden_until_they_are_shown(open_page):
    page = open_page()
    fill(page)
    look = "getComputedStyle(document.getElementById('secret')).webkitTextSecurity"
    assert page.evaluate(look) == "disc"
    page.get_by_label("Show the secrets").check()
    assert page.evaluate(look) == "none"
    fields = page.locator("form, textarea, input:not([type])")
    for at in range(fields.count()):
        assert fields.nth(at).get_attribute("autocomplete") == "off"


def test_leaving_and_clearing_empty_the_page(open_page, site):
    values = (
        "[...document.querySelectorAll('textarea, #at')].map((e) => e.value).join('')"
    )
    page = open_page()
    fill(page)
    press_check(page)
    expect(page.locator(".passed").first).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate(values) == ""
    expect(page.locator(".passed")).to_have_count(0)
    for leave in (page.reload, lambda: (page.goto("about:blank"), page.go_back())):
        fill(page)
        press_check(page)
        expect(page.locator(".passed").first).to_be_visible()
        leave()
        assert page.evaluate(values) == ""
        expect(page.locator(".passed")).to_have_count(0)


def test_it_works_from_a_file_without_a_server(open_page):
    page = open_page((FOLDER / "index.html").as_uri())
    fill(page)
    press_check(page)
    expect(page.locator("#verdict")).to_have_text("The delivery verifies.")


def test_a_large_body_leaves_the_page_alive(open_page, tmp_path):
    body = compact({"list": ["x" * 90] * 110_000})
    assert len(body) > 10_000_000
    file = tmp_path / "body"
    file.write_bytes(body + b"\n")
    page = open_page()
    page.set_default_timeout(SLOW)
    fill(page, body="", headers=signed(body))
    page.get_by_label("file", exact=True).check()
    page.get_by_label("File with the exact bytes").set_input_files(file)
    press_check(page)
    expect(page.locator(".cause")).to_contain_text("unknown", timeout=SLOW)
    expect(page.locator(".failed")).to_contain_text("1048576 bytes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 640)])
def test_it_is_readable_in_light_and_dark_on_a_desk_and_a_phone(
    open_page, scheme, size
):
    viewport = {"width": size[0], "height": size[1]}
    page = open_page(color_scheme=scheme, viewport=viewport)
    page.get_by_role("button", name="Fill in an example").click()
    press_check(page)
    expect(page.locator(".cause")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(CONTRASTS) == []


def test_every_field_has_a_label_and_the_keyboard_reaches_it(open_page):
    page = open_page()
    unlabelled = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea')]"
        ".filter((each) => each.labels.length === 0).map((each) => each.id)"
    )
    assert unlabelled == []
    reached = set()
    for _ in range(22):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    wanted = {"request", "kind", "entry", "request-file", "body", "ends", "secret"}
    wanted |= {"previous", "others", "show", "agent", "kafka", "at", "clear", "example"}
    assert wanted <= reached


def test_the_documentation_links_to_it_and_it_holds_nothing_inline(checker):
    docs = FOLDER.parents[1]
    link = f'href="{FOLDER.name}/index.html"'
    assert link in (docs / "debugger.md").read_text("utf-8")
    assert f'html_extra_path = ["{FOLDER.parent.name}"]' in (
        docs / "conf.py"
    ).read_text("utf-8")
    inline = checker.evaluate(
        "[...document.querySelectorAll('script:not([src]), style, [style]'),"
        " ...[...document.querySelectorAll('*')].filter((each) =>"
        " each.getAttributeNames().some((name) => name.startsWith('on')))].length"
    )
    assert inline == 0
    policy = checker.locator("meta[http-equiv]").get_attribute("content")
    assert {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'none'",
        "form-action 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    } <= {each.strip() for each in policy.split(";")}
