"""Captures of other tools: what they hold, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from port_webhook.devtools._captures import (
    Capture,
    CaptureError,
    _json,
    read_curl,
    read_har,
    read_http,
    read_kafka,
    read_lambda,
)
from port_webhook.testing import kafka_event, lambda_event, sign_kafka_message

from .damages import DOCUMENT, NOW, SECRET, new

BODY = b'{"name":"Zo\xc3\xab"}'
PAIRS = [("X-Port-Timestamp", str(NOW)), ("x-port-signature", "v1,abc=")]


def raw_http(*extra, body=BODY, first=b"POST /port HTTP/1.1\r\n"):
    lines = [f"{name}: {value}\r\n" for name, value in (*PAIRS, *extra)]
    return first + "".join(lines).encode() + b"\r\n" + body


@pytest.mark.parametrize(
    "raw",
    [
        raw_http(),
        b"\r\n" + raw_http(first=b"PUT /port\r\n"),
        raw_http(first=b""),
        raw_http(first=b":method: POST\r\n"),
        raw_http().replace(b"\r\n", b"\n"),
    ],
)
def test_raw_http_is_read_with_or_without_its_line(raw):
    capture = read_http(raw)

    assert capture.body == BODY
    assert capture.headers == PAIRS


def test_white_space_that_follows_the_body_is_dropped_and_nothing_else():
    length = ("Content-Length", str(len(BODY)))
    longer = BODY + b"\r\n" + BODY

    assert read_http(raw_http(length, body=BODY + b"\n")).body == BODY
    assert read_http(raw_http(length, body=BODY + b"\r\n \t\n")).body == BODY
    assert read_http(raw_http(length, body=longer)).body == longer
    assert read_http(raw_http(length, body=BODY[:-3])).body == BODY[:-3]
    assert read_http(raw_http(("Content-Length", "many"))).body == BODY


CHUNKED = ("Transfer-Encoding", "gzip, Chunked")


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"4\r\nWiki\r\n6;a=b\r\npedia \r\n0\r\n\r\n", b"Wikipedia "),
        (b"4\nWiki\n0\n\n", b"Wiki"),
        (b"0004 ; a\r\nWiki\r\n000\r\n", b"Wiki"),
        (b"2\r\n\r\n\r\n1\r\n0\r\n0\r\n \n\n", b"\r\n0"),
        (b"4\r\nWiki\r\n0\r\nA: b\r\nC:\r\n\r\n", b"Wiki"),
        (b"4\r\nWiki\r\n0\r\nA: b", b"Wiki"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_chunks_are_joined(body, joined):
    capture = read_http(raw_http(CHUNKED, body=body))

    assert capture.body == joined
    assert capture.note is None


@pytest.mark.parametrize("body", [BODY, b"", b"no chunks", b"\r\n4\r\nWiki", b"4"])
def test_a_body_that_was_joined_already_is_kept_with_a_note(body):
    capture = read_http(raw_http(CHUNKED, body=body))

    assert capture.body == body
    assert "does not begin with the size of a chunk" in (capture.note or "")
    length = ("Content-Length", str(len(body)))
    assert read_http(raw_http(CHUNKED, length, body=body + b" ")).body == body
    other = raw_http(("Transfer-Encoding", "unchunked"), body=b"0\r\n\r\n")
    assert read_http(other) == Capture(b"0\r\n\r\n", read_http(other).headers)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"4\r\nWi", "chunk 1 lacks 2 of its 4 bytes"),
        (b"4\r\nWiki\r\n6\r\nped", "chunk 2 lacks 3 of its 6 bytes"),
        (
            b"f" * 16 + b"\r\nWi",
            "chunk 1 lacks 18446744073709551613 of its 18446744073709551615 ",
        ),
        (b"4\r\nWiki", "it ends behind chunk 1, without one of 0 bytes"),
        (b"4\r\nWiki\r\n", "it ends behind chunk 1, without one of 0 bytes"),
        (b"4\r\nWikipedia\r\n0\r\n", "no line break behind the 4 bytes of chunk 1"),
        (b"4\r\nWiki\r\n{}", "no size of a chunk where chunk 2 should begin"),
        (b"4\r\nWiki\r\n" + b"0" * 17 + b"\r\n", "where chunk 2 should begin"),
        (b'0\r\n\r\n{"a":1}', "it goes on behind the chunk of 0 bytes"),
        (b"0\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\n", "it goes on behind the chunk"),
    ],
)
def test_broken_chunks_are_refused_with_what_is_wrong(body, problem):
    with pytest.raises(CaptureError) as caught:
        read_http(raw_http(CHUNKED, body=body))

    text = str(caught.value)
    assert text.startswith("the chunked body is broken: ")
    assert problem in text
    assert text.endswith("joined the chunks, remove the Transfer-Encoding line")


def test_a_folded_header_is_joined():
    assert read_http(b"A: b\r\n c\r\n\r\n").headers == [("A", "b c")]
    folded = read_http(b"A:\n \n\tb \n \n  c\t\nD: \te\n \n")
    assert folded.headers == [("A", "b c"), ("D", "e")]


def test_a_header_of_many_lines_is_read_in_linear_time():
    # To copy what is read for each line would copy a terabyte.
    count = 1_000_000
    ((_, value),) = read_http(b"A: b\n" + b" c\n" * count).headers

    assert value == "b" + " c" * count


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_carriage_return_alone_ends_no_line(end):
    lines = [b"POST / HTTP/1.1", b"A: b\rx-port-signature: v1,x", b"C: \rd\r", b"", b""]

    assert read_http(end.join(lines)).headers == [
        ("A", "b\rx-port-signature: v1,x"),
        # A CR before an LF alone is a part of the line's end.
        ("C", "\rd\r" if end == b"\r\n" else "\rd"),
    ]
    assert read_http(b"A: b" + end).headers == [("A", "b")]


def test_headers_without_a_body_have_an_empty_one():
    assert read_http(b"A: b") == Capture(b"", [("A", "b")])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no headers"),
        (b"POST / HTTP/1.1\r\n\r\n{}", "no headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "a response"),
        (b"A: b\r\nnonsense\r\n\r\n", "line 2"),
        (b"POST / HTTP/1.1\r\n: b\r\n\r\n", "line 2"),
        (b" folded\r\n\r\n", "line 1"),
        (b"\xff\x00" * 100, "line 1"),
    ],
)
def test_what_is_no_raw_request_is_refused(raw, words):
    with pytest.raises(CaptureError, match=words):
        read_http(raw)


CURL = f"-H 'X-Port-Timestamp: {NOW}' -H x-port-signature:v1,abc="


@pytest.mark.parametrize(
    "command",
    [
        f"curl 'http://x/port' {CURL} --data-raw '{BODY.decode()}'",
        f"curl \\\n  -sSXPOST http://x {CURL} \\\n -d'{BODY.decode()}'\n",
        f'/usr/bin/curl -X POST {CURL} --data-binary=$\'{{"name":"Zo\\xc3\\xab"}}\'',
        f'curl {CURL} --json $\'{{"name":"Zo\\u00eb"}}\' --compressed',
        f'curl {CURL} -d "{{\\"name\\":\\"Zo\\\n\u00eb\\"}}" -k',
        f'curl.exe {CURL} --url http://x -d \\{{\\"name\\":\\"Zo\u00eb\\"\\}}',
        f'curl {CURL} -d $\'{{"name":"Zo\\U000000eb"}}\' -o out -u me:pw -',
        f'curl {CURL} -d $\'\\173"name":"Zo\\303\\253"\\x7d\' --unknown',
    ],
)
def test_a_curl_command_is_read_as_a_shell_would(command):
    capture = read_curl(command.encode())

    assert capture.body == BODY
    assert capture.headers == PAIRS


@pytest.mark.parametrize(
    "behind",
    ["echo done -d x", "curl http://y -H 'A: b'", "  # a comment\r\ncurl -H 'A: b'"],
)
def test_a_line_of_its_own_is_another_command(behind):
    command = f"\n curl 'http://x' {CURL} -d '{BODY.decode()}' \r\n{behind}\n"

    assert read_curl(command.encode()) == Capture(BODY, PAIRS)


def test_an_option_on_a_line_of_its_own_belongs_to_the_command():
    command = f"curl http://x\n  {CURL}\n-d '{BODY.decode()}'\n"

    assert read_curl(command.encode()) == Capture(BODY, PAIRS)


@pytest.mark.parametrize(
    "data",
    ["-d @body.json", "--json @-", "--data-urlencode a@f", "-F a=b -T f", "-d a -G"],
)
def test_the_body_of_a_command_is_not_read_if_there_is_another(data):
    command = f"curl http://x {data} {CURL}".encode()

    assert read_curl(command, has_body=True) == Capture(b"", PAIRS)


def test_bytes_of_a_curl_command_that_are_no_text_are_kept():
    assert read_curl(b"curl -d '\xff'").body == b"\xff"


def test_several_data_options_are_joined_and_encoded():
    command = rb"curl -d a=1 --data-urlencode 'b=x y' --data-urlencode 'c d' -d"

    assert read_curl(command).body == b"a=1&b=x+y&c+d&"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ("-d a=1 --json '{}'", b"a=1{}"),
        ("--json '{\"a\"' --json ':1}'", b'{"a":1}'),
        ("-d a --json b -d c", b"ab&c"),
        ("--data-urlencode a=b=c", b"a=b%3Dc"),
        ("--data-urlencode '=a b&c@'", b"a+b%26c%40"),
        ("--data-urlencode a= --data-urlencode =", b"a=&"),
        ("-d '' -d a -d ''", b"&a&"),
    ],
)
def test_data_is_joined_and_encoded_as_curl_does(options, body):
    assert read_curl(f"curl u {options}".encode()).body == body


@pytest.mark.parametrize(
    "behind",
    [
        *("| jq .a", "|jq -F", "&& curl -d b", "&&b -d b", "; echo -d b", ";", ";;"),
        *("# -d b", "#", "& -d b", ";-d b", "| cat 'open", "\n#\n"),
    ],
)
def test_what_stands_behind_the_command_is_left_out(behind):
    for space in ("", " ") if behind[:1] not in "#&\n" or behind[:2] == "&&" else " ":
        command = f"curl http://x/;a?b=c&d=e#f -H 'A: |;#&' -d 'a;|& #'{space}{behind}"
        found = Capture(b"a;|& #", [("A", "|;#&")])
        assert read_curl(command.encode()) == found


@pytest.mark.parametrize(
    ("escape", "text"),
    [
        (r"\n\t\e\E\a", b"\n\t\x1b\x1b\x07"),
        (r"\q\'\"\\\?\xz", rb"\q'" + rb'"\?\xz'),
        (r"\0", b"\0"),
    ],
)
def test_escapes_of_a_dollar_quote_are_resolved(escape, text):
    assert read_curl(f"curl -d $'{escape}'".encode()).body == text


def test_a_header_without_a_value_is_empty():
    assert read_curl(b"curl -H 'A;' -H B:").headers == [("A", ""), ("B", "")]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (b"", "begin with curl"),
        (b"wget http://x", "begin with curl"),
        (b"curl -d 'open", "not closed"),
        (b"curl \\", "not closed"),
        (b"curl -d @body.json", "names a file"),
        (b"curl -H @headers", "names a file"),
        (b"curl -F a=b", "form"),
        (b"curl -T f", "file"),
        (b"curl --data-urlencode a@f", "names a file"),
        (b"curl --data-urlencode @f", "names a file"),
        (b"curl -d a --next -d b u", "second request"),
        (b"curl -d a -s: -d b u", "second request"),
        (b'curl ^"http://x^" ^\r\n  -H ^"A: b^"', "Windows"),
        (b'curl "http://x" ^\n  -d "{}"', "Windows"),
        (b"curl -G", "form"),
        (b"curl -d $'\\ud800'", "no character"),
        (b"curl -d $'\\U99999999'", "no character"),
    ],
)
def test_a_curl_command_that_cannot_be_read_is_refused(command, words):
    with pytest.raises(CaptureError, match=words):
        read_curl(command)


def entry(*, signed=True, started="2024-04-16T14:31:29.500Z", **data):
    headers: list[Any] = [{"name": n, "value": v} for n, v in PAIRS if signed]
    headers += [{"name": ":path", "value": "/"}, {"name": "x"}, 7]
    request = {"headers": headers, "postData": data}
    return {"startedDateTime": started, "request": request}


def har(*entries):
    return json.dumps({"log": {"entries": list(entries)}}).encode()


def test_the_signed_request_of_a_har_file_is_read():
    raw = har(entry(signed=False), entry(text=BODY.decode()), {})

    capture = read_har(b"\xef\xbb\xbf" + raw)

    assert capture == Capture(BODY, PAIRS, received_at=NOW + 0.5)


def test_the_entry_of_a_har_file_may_be_chosen():
    raw = har(entry(text="a"), entry(text="Yg==", encoding="base64"))

    assert read_har(raw, 1).body == b"a"
    assert read_har(raw, 2).body == b"b"
    with pytest.raises(CaptureError, match="choose --entry of 1, 2"):
        read_har(raw)
    for number in (0, 3):
        with pytest.raises(CaptureError, match="the file has 2"):
            read_har(raw, number)


def test_a_post_whose_body_the_browser_did_not_save_is_named():
    lost, empty = entry(), entry()
    lost["request"] |= {"method": "POST", "postData": {"mimeType": "a/b"}}
    empty["request"] |= {"method": "POST", "bodySize": 0}
    problem = r"^entry 2 holds no body \(postData.text\); the browser did not save it$"

    with pytest.raises(CaptureError, match=problem):
        read_har(har(entry(signed=False), lost))
    with pytest.raises(CaptureError, match=problem):
        read_har(har(lost, lost), 2)
    assert read_har(har(lost, empty), 2).body == b""


@pytest.mark.parametrize(
    ("method", "size", "is_lost"),
    [
        *(("PUT", None, True), ("PATCH", -1, True), ("PUT", 0, False)),
        *(("GET", None, False), ("GET", -1, False), ("DELETE", 7, True)),
        *(("DELETE", "7", False), (None, 7.5, True)),
    ],
)
def test_the_body_of_any_method_may_be_lost(method, size, is_lost):
    lost = entry()
    lost["request"] |= {"method": method, "postData": None, "bodySize": size}
    if is_lost:
        with pytest.raises(CaptureError, match="entry 1 holds no body"):
            read_har(har(lost))
    else:
        assert read_har(har(lost)).body == b""


def test_a_body_that_cannot_be_read_is_no_reason_to_refuse_another():
    bad = entry(signed=False, text="%", encoding="base64")
    raw = har(bad, entry(text="a"))

    assert read_har(raw).body == read_har(raw, 2).body == b"a"
    with pytest.raises(CaptureError, match="base64"):
        read_har(raw, 1)
    event = kafka_event(b"{}", b"{}")
    (records,) = event["records"].values()
    records[0]["value"] = "%"
    assert read_lambda(json.dumps(event).encode(), 2).body == b"{}"


def test_equal_entries_are_told_apart():
    raw = har(*[entry(text="a")] * 25)

    with pytest.raises(CaptureError, match=r"25 entries: .* 18, 19, 20$"):
        read_har(raw)


def test_an_event_with_many_headers_is_read_in_linear_time():
    # To compare each with all others would take hours.
    headers = {f"a{number}": "b" for number in range(200_000)}
    event = {"multiValueHeaders": {"a": ["b"] * 9}, "headers": headers | {"a": "b"}}

    found = read_lambda(json.dumps(event).encode()).headers
    assert found == [("a", "b")] * 9 + [*headers.items()]


@pytest.mark.parametrize("started", [None, "yesterday", "2024-04-16T14:31:29"])
def test_a_time_that_says_no_moment_is_none(started):
    assert read_har(har(entry(started=started, text=7))) == Capture(b"", PAIRS)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"7", b"{}", b'{"log":[]}', b"[" * 200_000, b"\xff\xfe"]
)
def test_what_is_no_har_file_is_refused(raw):
    with pytest.raises(CaptureError):
        read_har(raw)


SHAPES = ["rest_api", "http_api", "function_url", "alb", "alb_multi_value"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("base64", [True, False])
def test_the_event_of_a_request_is_read(shape, base64):
    event = lambda_event(BODY, PAIRS, shape=shape, base64=base64)

    capture = read_lambda(json.dumps(event).encode())

    lowered = [(name.lower(), value) for name, value in capture.headers]
    assert capture.body == BODY
    for name, value in PAIRS:
        assert lowered.count((name.lower(), value)) == 1


def test_an_event_tells_when_its_request_arrived():
    event: Any = {"headers": None, "requestContext": {"timeEpoch": NOW * 1000}}

    assert read_lambda(json.dumps(event).encode()).received_at == NOW
    for epoch in (True, "1", 7, 10**400):
        event["requestContext"] = {"requestTimeEpoch": epoch}
        assert read_lambda(json.dumps(event).encode()).received_at is None


def test_the_record_of_a_kafka_trigger_is_read():
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)
    event = kafka_event(message, timestamp=NOW)
    (records,) = event["records"].values()
    records[0]["headers"] = [{"a": [98, True, 98.5, None, -1]}, 7]

    capture = read_lambda(json.dumps(event).encode())

    assert capture == Capture(message, [("a", "b\xff")], kafka=True, received_at=NOW)
    two = json.dumps(kafka_event(message, message)).encode()
    assert read_lambda(two, 2).body == message
    with pytest.raises(CaptureError, match="choose --entry"):
        read_lambda(two)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "no event"),
        ([], "no event"),
        ({"Records": []}, "no event"),
        ({"records": {}}, "no records"),
        ({"records": {"t-0": [{"value": "no base64"}]}}, "base64"),
        ({"body": {"a": 1}}, "no text"),
        ({"body": "%", "isBase64Encoded": True}, "base64"),
    ],
)
def test_what_is_no_event_is_refused(event, words):
    with pytest.raises(CaptureError, match=words):
        read_lambda(json.dumps(event).encode())


def test_a_record_without_a_value_is_empty():
    assert read_lambda(b'{"records":{"t-0":[{}]}}').body == b""


def test_a_bare_message_is_kept_as_it_is():
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)

    assert read_kafka(message) == Capture(message, [], kafka=True)
    assert read_kafka(b"no JSON\n") == Capture(b"no JSON\n", [], kafka=True)
    pretty = json.dumps(json.loads(message), indent=1).encode()
    assert read_kafka(pretty).body == pretty


@pytest.mark.parametrize(
    "record",
    [
        {"topic": "t", "ts": NOW * 1000, "headers": ["a", "b"], "payload": "{}"},
        {"topic": "t", "timestamp": NOW * 1000, "headers": {"a": "b"}, "value": "{}"},
        {
            "topic": "t",
            "ts": NOW * 1000,
            "headers": [{"key": "a", "value": "b"}, {}],
            "value": "{}",
        },
    ],
)
def test_a_printed_record_is_read(record):
    line = json.dumps(record).encode()

    found = Capture(b"{}", [("a", "b")], kafka=True, received_at=NOW)
    assert read_kafka(line) == found
    assert read_kafka(line + b"\n\n" + line + b"\n", 2).body == b"{}"
    with pytest.raises(CaptureError, match="choose --entry of 1, 2"):
        read_kafka(line + b"\n" + line.replace(b"{}", b"[]"))


def test_lines_behind_one_that_is_no_record_are_not_read(monkeypatch):
    read = []
    monkeypatch.setattr(_json, "_find_record", read.append)  # which returns None

    assert read_kafka(b"\n".join([b"="] * 1000)).kafka
    assert len(read) == 2  # a line, and the whole


def test_a_record_without_headers_has_none():
    found = Capture(b"{}", [], kafka=True)
    assert read_kafka(b'{"topic":"t","value":"{}"}') == found


@pytest.mark.parametrize(
    "read", [read_http, read_curl, read_har, read_lambda, read_kafka]
)
def test_a_hostile_file_is_read_or_refused_and_nothing_else(read):
    random_ = random.Random(7)  # noqa: S311  # no secret is made of it
    samples = [
        raw_http(("Transfer-Encoding", "chunked")),
        f"curl {CURL} -d $'a\\x41' \"b\\\n\"".encode(),
        har(entry(text="a")),
        json.dumps(lambda_event(BODY, PAIRS)).encode(),
        json.dumps(kafka_event(b"{}")).encode(),
        new().body,
    ]
    for _ in range(600):
        data = bytearray(random_.choice(samples))
        for _ in range(random_.randrange(1, 6)):
            at = random_.randrange(len(data))
            data[at : at + random_.randrange(3)] = random_.randbytes(
                random_.randrange(3)
            )
        try:
            read(bytes(data))
        except CaptureError as error:
            assert str(error)  # noqa: PT017  # either is right
