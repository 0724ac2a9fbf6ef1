"""`explain`: each cause, each pair of causes, and no false diagnosis."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from port_webhook import ConfigurationError, UnreadableBodyError, sign
from port_webhook.devtools import Cause, Explanation, explain
from port_webhook.testing import sign_as_agent, sign_kafka_message

from .damages import (
    ALL,
    BLIND,
    BODIES,
    DOCUMENT,
    HEADERS,
    NOW,
    OTHER,
    SECRET,
    SECRETS,
    TIMES,
    compact,
    damage,
    mac,
    new,
)


def run(case):
    return explain(case.body, case.pairs, case.secrets, now=case.now)


def codes(explanation):
    return {each.code for each in explanation.causes}


def why(body, headers, secrets=SECRET, now=NOW):
    explanation = explain(body, headers, secrets, now=now)
    (only,) = explanation.causes
    return only


def test_a_healthy_delivery_verifies():
    explanation = run(new().sign())

    assert explanation == Explanation(verified=True, causes=())
    assert str(explanation) == "The delivery verifies."


@pytest.mark.parametrize("code", ALL | BLIND)
def test_each_cause_is_found_and_proven(code):
    explanation = run(damage(code))

    assert not explanation.verified
    assert codes(explanation) == {code}
    assert all(each.proven for each in explanation.causes)


# What one of the two undoes, leaves nothing of, or cannot happen to, in this order.
IMPOSSIBLE = {
    ("newline_added", "newline_removed"),
    ("newline_removed", "newline_added"),
    ("newline_added", "truncated"),
    ("newline_added", "agent_form"),
    ("newline_added", "reserialised"),
    ("newline_removed", "agent_form"),
    ("bom_added", "text_reencoded"),
    ("bom_added", "agent_form"),
    ("bom_added", "reserialised"),
    ("text_reencoded", "html_escaped"),
    ("text_reencoded", "agent_form"),
    ("text_reencoded", "reserialised"),
    ("agent_form", "text_reencoded"),
    ("agent_form", "reserialised"),
    ("reserialised", "agent_form"),
    ("truncated", "newline_removed"),
    *(
        (first, second)
        for first in ("url_encoded", "html_escaped", "base64_body", "gzip_body")
        for second in ("agent_form", "reserialised")
    ),
    ("truncated", "agent_form"),
    ("truncated", "reserialised"),
    ("gzip_body", "newline_removed"),
    ("gzip_body", "text_reencoded"),
    ("gzip_body", "html_escaped"),
    # Of ASCII text without line breaks there is nothing to change, and base64 may lack
    # its padding.
    *(
        (first, second)
        for first in ("url_encoded", "base64_body")
        for second in ("newline_removed", "text_reencoded", "html_escaped")
    ),
    ("base64_body", "truncated"),
    *itertools.permutations(("timestamp_too_old", "timestamp_in_future"), 2),
    # One signature has one spelling.
    *itertools.permutations(
        ("unprefixed_signature", "hex_signature", "malformed_header"), 2
    ),
}
PAIRS = [pair for pair in itertools.permutations(ALL, 2) if pair not in IMPOSSIBLE]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_causes_are_found_together(pair):
    explanation = run(damage(*pair))

    assert codes(explanation) == set(pair)
    assert all(each.proven for each in explanation.causes)


def test_three_causes_of_three_kinds_are_found_together():
    explanation = run(damage("newline_added", "timestamp_changed", "other_secret"))

    assert codes(explanation) == {"newline_added", "timestamp_changed", "other_secret"}


@pytest.mark.parametrize("code", BLIND)
@pytest.mark.parametrize(
    "fact", ["secret_whitespace", "secret_quoted", "timestamp_too_old"]
)
def test_facts_are_found_where_no_signature_can_be_compared(code, fact):
    assert codes(run(damage(fact, code))) == {code, fact}


FORMS = [*BODIES, *TIMES, *SECRETS]
# A message is told by what its JSON says, not by its white space and escapes.
INSIGNIFICANT = {"newline_added", "newline_removed", "agent_form", "reserialised"}


@pytest.mark.parametrize("code", [c for c in FORMS if c != "timestamp_changed"])
def test_a_kafka_message_over_http_is_named_with_what_else_happened(code):
    case = new(sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW))
    for step in ALL[code]:
        step(case)

    explanation = explain(case.body, {}, case.secrets, now=case.now)

    assert codes(explanation) == {"kafka_form", code} - INSIGNIFICANT


def test_a_key_of_a_kafka_message_that_was_renamed_is_named():
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)
    message = message.replace(b"X-Port-Signature", b"x-port-signature")

    assert codes(explain(message, {}, SECRET, now=NOW)) == {
        "kafka_form",
        "renamed_header",
    }


def test_a_changed_timestamp_of_a_kafka_message_is_named():
    message = sign_kafka_message(DOCUMENT, SECRET, timestamp=NOW)
    message = message.replace(str(NOW).encode(), f"{NOW}000".encode())

    assert codes(explain(message, {}, SECRET, now=NOW)) == {
        "kafka_form",
        "timestamp_changed",
    }


def test_a_broken_kafka_message_is_no_message():
    assert codes(explain(b'{"headers":{"X-Port-Signature":1]', {}, SECRET)) == {
        "missing_header"
    }
    assert codes(explain(b'"X-Port-Signature"', {}, SECRET)) == {"missing_header"}


def test_a_secret_that_is_wrong_is_unknown():
    cause = why(compact(DOCUMENT), new().sign().pairs, OTHER)

    assert (cause.code, cause.proven) == ("unknown", False)
    assert "the secret may be another" in cause.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"{'a': 1}", "is not JSON"),
        (b'{"a": 2}', "white space"),
        (b'{"a":2}', "the secret may be another"),
    ],
)
def test_an_unknown_cause_says_what_the_body_looks_like(body, words):
    cause = why(body, sign(b'{"a":1}', SECRET, timestamp=NOW))

    assert cause.code == "unknown"
    assert words in cause.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (base64.b64encode(b'{"a":2}'), "base64_body"),
        (gzip.compress(b'{"a":2}', mtime=0), "gzip_body"),
        (b"%7B%22a%22%3A2%7D", "url_encoded"),
        (b"[&quot;a&quot;] ", None),
        (b"\xef\xbb\xbf[2]", "bom_added"),
        (b"&#123;&quot;a&quot;:2}", "html_escaped"),
        (b'{"a":[2,', "truncated"),
        (b'{"a":"two', "truncated"),
        (b'{"a":"tw\xc3', "truncated"),
        (b'{"a":"tw\xc3 b', None),
        (b'{"a":2,,3', None),
        (b'{"a":' + b"[" * 100_000, None),
    ],
)
def test_what_is_not_proven_is_called_so(body, code):
    cause = why(body, sign(b'{"a":1}', SECRET, timestamp=NOW))

    assert (cause.code, cause.proven) == (code or "unknown", False)


def test_what_content_length_promises_is_missing():
    body = compact(DOCUMENT)
    headers = [*new().sign().pairs, ("Content-Length", str(len(body)))]

    cause = why(body[:-30], headers)

    assert (cause.code, cause.proven) == ("truncated", True)
    assert "30 bytes are missing" in cause.text
    assert (
        "1 byte is missing"
        in why(
            b'{"a":"x',
            {**sign(b'{"a":"xy"}', SECRET, timestamp=NOW), "content-length": "8"},
        ).text
    )


@pytest.mark.parametrize(
    ("value", "size"), [("5", "2 bytes more"), ("6", "1 byte more")]
)
def test_a_body_that_is_longer_than_content_length_is_called_so(value, size):
    headers = {**sign(b'{"a":1}', SECRET, timestamp=NOW), "content-length": value}

    cause = why(b'{"a":2}', headers)

    assert (cause.code, cause.proven) == ("unknown", False)
    assert cause.text.endswith(
        f" The file holds {size} than Content-Length says: the body was changed after "
        "the header was written, or the file holds a second request."
    )


@pytest.mark.parametrize("value", ["", "x", "9" * 13, "-1", "٣", "7"])
def test_a_content_length_that_is_none_says_nothing(value):
    headers = {**sign(b'{"a":1}', SECRET, timestamp=NOW), "content-length": value}

    assert why(b'{"a":2}', headers).code == "unknown"


def test_a_compressed_body_that_is_declared_is_proven_without_a_signature():
    headers = sign(b'{"a":1}', SECRET, timestamp=NOW)
    body = gzip.compress(b'{"a":2}', mtime=0)

    cause = why(body, {**headers, "content-encoding": "gzip"})

    assert (cause.code, cause.proven) == ("gzip_body", True)
    assert why(body, {**headers, "content-encoding": "identity"}).proven is False


def test_a_compressed_body_that_breaks_off_is_cut_too():
    case = damage("gzip_body")
    case.body = case.body[:-8]

    assert codes(run(case)) == {"gzip_body", "truncated"}


def test_a_body_that_inflates_without_end_is_bounded():
    bomb = gzip.compress(bytes(20_000_000))
    headers = sign(b"{}", SECRET, timestamp=NOW)

    assert codes(explain(bomb, headers, SECRET, now=NOW)) == {"truncated"}


def test_the_agents_empty_body_is_its_null():
    request = sign_as_agent(None, SECRET, timestamp=NOW)

    cause = why(*request)

    assert cause.code == "agent_form"
    assert "null" in cause.text


REPRINTED = {
    "sorted": (b'{"b":1,"a":{"d":1,"c":"x"}}', b'{"a":{"c":"x","d":1},"b":1}', "order"),
    "escaped": ('{"a":"ö"}'.encode(), b'{"a":"\\u00f6"}', "were escaped"),
    "unescaped": (b'{"a":"\\u00f6"}', '{"a":"ö"}'.encode(), "unescaped"),
    "upper": (b'{"a":"\\u00EA\\\\u00ea"}', '{"a":"ê\\\\u00ea"}'.encode(), "unescaped"),
    "html": (b'{"a":"\\u003c"}', b'{"a":"<"}', "unescaped"),
    "slash": (b'{"a":"\\/"}', b'{"a":"/"}', "unescaped"),
    "numbers": (b'{"a":1e-7,"b":2}', b'{"a":1E-07,"b":2.0}', "numbers"),
    "compact": (b'{"a": 1, "b": [1, 2]}', b'{"a":1,"b":[1,2]}', "was removed"),
    "indented": (
        b'{\n  "a": [\n    1\n  ],\n  "b": {}\n}',
        b'{"a":[1],"b":{}}',
        "removed",
    ),
    "string": (b'{"a":1}', b'"{\\"a\\":1}"', "as a JSON string"),
    "bare": (b'{"a":true}', b'{"a" : true}', "was added"),
    "string of a word": (b"word", b'"word"', "as a JSON string"),
}


@pytest.mark.parametrize(
    ("signed", "arrived", "words"), REPRINTED.values(), ids=REPRINTED.keys()
)
def test_a_reprint_is_named_by_what_differs(signed, arrived, words):
    cause = why(arrived, sign(signed, SECRET, timestamp=NOW))

    assert cause.code == "reserialised"
    assert words in cause.text


@pytest.mark.parametrize(
    ("printed", "arrived"),
    [
        ("0", "0.0"),
        ("-1", "-1.0"),
        ("100000000000000000000", "1e+20"),
        ("1e+21", "1000000000000000000000"),
        ("1.5e+300", "15e299"),
        ("0.000001", "1e-06"),
        ("1e-7", "1E-07"),
        ("12.5", "12.50"),
        ("0.25", "25e-2"),
    ],
)
def test_numbers_are_tried_as_javascript_prints_them(printed, arrived):
    headers = sign(f"[{printed}]", SECRET, timestamp=NOW)

    assert why(f"[{arrived}]", headers).code == "reserialised"


def test_the_keys_of_ports_own_parts_are_tried_in_its_order():
    document = {
        "action": "a",
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {"by": {"orgId": "o", "userId": "u"}, "origin": "UI", "at": "t"},
        "context": {"entity": None, "blueprint": "b", "runId": "r"},
        "payload": {"entity": None, "properties": {"z": 1, "a": [{"q": 1}]}},
    }
    headers = sign(compact(document), SECRET, timestamp=NOW)

    arrived = json.dumps(document, sort_keys=True, separators=(",", ":"))

    assert why(arrived, headers).code == "reserialised"


def test_too_many_orders_are_not_tried():
    document = {str(number): {str(each): 1 for each in range(9)} for number in range(9)}
    arrived = json.dumps(document, separators=(",", ":"))
    document["8"] = document.pop("0")

    assert (
        why(arrived, sign(compact(document), SECRET, timestamp=NOW)).code == "unknown"
    )


def test_infinite_numbers_are_kept():
    assert why(b"[1e999, 2]", sign(b"[1e999,2]", SECRET, timestamp=NOW)).code == (
        "agent_form"
    )
    assert why(b"[1e99, 9e999]", sign(b"[3]", SECRET, timestamp=NOW)).code == "unknown"


ENCODED = {
    "latin-1": ("Zoë", lambda text: text.encode("latin-1")),
    "utf-16": ("Zoë", lambda text: text.encode("utf-16")),
    "read as cp1252": ("Zoë", lambda text: text.encode().decode("cp1252").encode()),
    "shift_jis": ("日本", lambda text: text.encode("shift_jis")),
    "decomposed": ("Zoë", lambda text: text.replace("ë", "e\u0308").encode()),
}


@pytest.mark.parametrize(("text", "encode"), ENCODED.values(), ids=ENCODED.keys())
def test_text_that_was_encoded_anew_is_named(text, encode):
    headers = sign(f'{{"a":"{text}"}}', SECRET, timestamp=NOW)

    assert why(encode(f'{{"a":"{text}"}}'), headers).code == "text_reencoded"


def test_line_breaks_of_another_system_are_named():
    lines = sign(b"{\n}\n", SECRET, timestamp=NOW)
    windows = sign(b"{\r\n}\r\n", SECRET, timestamp=NOW)

    assert why(b"{\r\n}\r\n", lines).code == "newline_added"
    assert why(b"{\n}\n", windows).code == "newline_removed"
    assert why(b"\n\n{\n}\n\n", sign(b"{\n}", SECRET, timestamp=NOW)).code == (
        "newline_added"
    )


def test_urls_and_forms_in_every_spelling_are_named():
    headers = sign(b'{"a":"b c+d"}', SECRET, timestamp=NOW)

    for arrived in (
        b"payload=%7B%22a%22%3A%22b+c%2Bd%22%7D",
        b"%7B%22a%22:%22b%20c+d%22%7D",
        b'{"a":"b c+d"}=',
    ):
        assert why(arrived, headers).code == "url_encoded"
    plus = sign(b'{"a":"b+c"}', SECRET, timestamp=NOW)
    assert why(b'{"a":"b c"}', plus).code == "url_encoded"


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        pytest.param(b"&#" + b"1" * 5_000 + b";", None, id="an entity without end"),
        pytest.param(b"{}", "ſ" * 43, id="a letter that folds to s"),
    ],
)
def test_what_only_looks_like_an_encoding_is_a_mismatch(body, signature):
    headers = sign(b"another", SECRET, timestamp=NOW)
    headers["x-port-signature"] = signature or headers["x-port-signature"]

    assert not explain(body, headers, SECRET, now=NOW).verified


def test_entities_that_were_resolved_are_named():
    assert why(
        b'{"a":"<b>"}', sign(b'{"a":"&lt;b&gt;"}', SECRET, timestamp=NOW)
    ).code == ("html_escaped")


@pytest.mark.parametrize(
    "encode",
    [
        base64.urlsafe_b64encode,
        base64.encodebytes,
        lambda body: base64.b64encode(body).rstrip(b"="),
        lambda body: b'"' + base64.b64encode(body) + b'"',
    ],
)
def test_base64_in_every_spelling_is_named(encode):
    body = compact({"text": "?>" * 60})
    headers = sign(body, SECRET, timestamp=NOW)

    assert "base64_body" in codes(explain(encode(body), headers, SECRET, now=NOW))


@pytest.mark.parametrize("body", [b"YQ=\nYQ==", b"abcde", b'"'])
def test_what_only_resembles_base64_is_not_decoded(body):
    assert why(body, sign(b"a", SECRET, timestamp=NOW)).code == "unknown"


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_body_that_lacks_only_its_last_brackets_is_proven_to_be_cut(cut):
    body = b'{"a":[{"b":"c"}]}'

    cause = why(body[:-cut], sign(body, SECRET, timestamp=NOW))

    assert (cause.code, cause.proven) == ("truncated", True)
    assert f"last {cut} byte" in cause.text


@pytest.mark.parametrize("body", [b'{"a":1}]', b"{]", b'{"a":"b\\'])
def test_brackets_that_do_not_match_are_not_closed(body):
    assert why(body, sign(b'{"a":1}', SECRET, timestamp=NOW)).code in (
        "unknown",
        "truncated",
    )


def test_milliseconds_that_were_lost_are_found():
    headers = sign(b"{}", SECRET, timestamp=NOW * 1000 + 321)
    headers["x-port-timestamp"] = str(NOW)

    assert why(b"{}", headers).code == "timestamp_changed"
    assert codes(explain(b"{}\n", headers, SECRET, now=NOW)) == {
        "timestamp_changed",
        "newline_added",
    }


@pytest.mark.parametrize(
    "text",
    [
        f"{NOW}.0",
        f'"{NOW}"',
        f"{NOW}000000",
        datetime.fromtimestamp(NOW, UTC).isoformat(),
        f"+{NOW}",
    ],
)
def test_a_timestamp_in_another_spelling_is_named_twice(text):
    headers = {**sign(b"{}", SECRET, timestamp=NOW), "x-port-timestamp": text}

    assert codes(explain(b"{}", headers, SECRET, now=NOW)) == {
        "malformed_header",
        "timestamp_changed",
    }


@pytest.mark.parametrize("text", ["", "yesterday", "1e9", "9999-99-99"])
def test_a_timestamp_that_is_none_is_malformed(text):
    headers = {**sign(b"{}", SECRET, timestamp=NOW), "x-port-timestamp": text}

    assert why(b"{}", headers).code == "malformed_header"


def test_two_timestamps_with_a_comma_are_a_duplicate():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    headers["x-port-timestamp"] = f"{NOW}, {NOW}"

    assert why(b"{}", headers).code == "duplicate_header"


def test_a_signature_that_came_twice_is_a_duplicate():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    wrong = f"v1,{'A' * 43}="
    signature = headers["x-port-signature"]

    assert (
        "different" in why(b"{}", [*headers.items(), ("X-Port-Signature", wrong)]).text
    )
    assert "equal" in why(b"{}", [*headers.items(), *headers.items()]).text
    headers["x-port-signature"] = f"{wrong}, {signature}"
    assert why(b"{}", headers).code == "duplicate_header"


@pytest.mark.parametrize(
    ("spell", "code"),
    [
        (lambda value: value.replace("+", "-").replace("/", "_"), "malformed_header"),
        (lambda value: value.rstrip("="), "malformed_header"),
        (lambda value: f'"{value}"', "malformed_header"),
        (lambda value: value.replace(",", "="), "malformed_header"),
        (lambda value: value.replace(",", "%2C"), "malformed_header"),
        (lambda value: value[:30], "malformed_header"),
        (lambda value: value.replace("v1", "v2"), "malformed_header"),
        (lambda _: "", "malformed_header"),
        (lambda _: base64.b64encode(bytes(20)).decode(), "sha1_signature"),
        (lambda _: "sha1=" + "0" * 40, "sha1_signature"),
        (lambda _: "sha256=" + "0" * 64, "hex_signature"),
    ],
)
def test_a_signature_in_another_spelling_is_named(spell, code):
    body = b'{"n":11}'  # its signature has all characters of base64
    headers = sign(body, SECRET, timestamp=NOW)
    headers["x-port-signature"] = spell(headers["x-port-signature"])

    assert why(body, headers).code == code


def test_a_second_spelling_of_a_signature_does_not_match():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    headers["x-port-signature"] = headers["x-port-signature"][:-2] + "B="

    assert not explain(b"{}", headers, SECRET, now=NOW).verified


def test_headers_are_found_under_any_name_if_the_signature_matches():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    renamed = {
        "a-timestamp": "1",
        "webhook-timestamp": headers["x-port-timestamp"],
        "webhook-signature": headers["x-port-signature"],
    }

    assert why(b"{}", renamed).code == "renamed_header"
    assert why(b"[]", renamed).code == "missing_header"


def test_two_headers_in_place_of_one_are_a_duplicate_too():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    signature = headers.pop("x-port-signature")
    headers |= {"x-original-port-signature": signature, "port_signature": signature}

    assert codes(explain(b"{}", headers, SECRET, now=NOW)) == {
        "renamed_header",
        "duplicate_header",
    }


def test_the_name_of_a_foreign_header_is_printed_safely():
    headers = sign(b"{}", SECRET, timestamp=NOW)
    headers["\x1b[31mport-signature"] = headers.pop("x-port-signature")

    assert "\x1b" not in str(explain(b"{}", headers, SECRET, now=NOW))


@pytest.mark.parametrize(
    "headers",
    [
        {b"X-Port-Timestamp": str(NOW).encode(), b"X-Port-Signature": None},
        {"x-port-timestamp": [str(NOW)], "x-port-signature": []},
        [("x-port-timestamp", NOW)],
        None,
    ],
)
def test_headers_come_in_any_form(headers):
    assert why(b"{}", headers).code == "missing_header"


@pytest.mark.parametrize("headers", [7, [1, 2], ["abc"], [("a", "b")] * 20_000])
def test_what_is_no_headers_is_malformed(headers):
    assert why(b"{}", headers).code == "malformed_header"


def test_many_values_of_a_header_are_bounded():
    headers = [("x-port-timestamp", str(NOW)), *[("x-port-signature", "v1,x")] * 9_000]

    assert codes(explain(b"{}", headers, SECRET, now=NOW)) == {
        "duplicate_header",
        "malformed_header",
    }


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (301, "5 min 1 s ago"),
        (90_000, "1 d 1 h ago"),
        (-61, "1 min 1 s ahead"),
        (-90, "1 min 30 s"),
    ],
)
def test_the_drift_of_the_clock_is_said(age, words):
    cause = why(b"{}", sign(b"{}", SECRET, timestamp=NOW), now=NOW + age)

    assert words in cause.text
    assert ("If it is new" in cause.text) is (0 < age < 86_400)


def test_the_ends_of_the_window_are_inside():
    headers = sign(b"{}", SECRET, timestamp=NOW)

    for age in (300, -60):
        assert explain(b"{}", headers, SECRET, now=NOW + age).verified
    moment = datetime.fromtimestamp(NOW, UTC)
    assert explain(b"{}", headers, SECRET, now=moment).verified
    assert codes(explain(b"{}", headers, SECRET)) == {"timestamp_too_old"}


def test_candidates_have_names():
    headers = sign(b"{}", SECRET, timestamp=NOW)

    assert "candidate 2" in why(b"{}", headers, [OTHER, SECRET]).text
    named = {"production": OTHER, "staging": SECRET}
    assert "'staging'" in why(b"{}", headers, named).text
    hidden: Any = SimpleNamespace(get_secret_value=lambda: SECRET)
    assert explain(b"{}", headers, hidden, now=NOW).verified
    assert explain(b"{}", headers, SECRET.encode(), now=NOW).verified


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        (f"{SECRET}\n", "secret_whitespace"),
        (f" {SECRET}", "secret_whitespace"),
        (f'"{SECRET}"', "secret_quoted"),
    ],
)
def test_the_senders_secret_may_be_the_damaged_one(sender, code):
    signature = base64.b64encode(mac(b"{}", secret=sender)).decode()
    headers = {"x-port-timestamp": str(NOW), "x-port-signature": f"v1,{signature}"}

    cause = why(b"{}", headers)

    assert cause.code == code
    assert "sender" in cause.text


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (f"{SECRET}\n", "line break"),
        (f"{SECRET} ", "white space around"),
        (f"{SECRET[:5]}\u200b{SECRET[5:]}", "invisible"),
        (f"\ufeff{SECRET}", "invisible"),
    ],
)
def test_white_space_in_a_secret_is_described(secret, words):
    cause = why(b"{}", sign(b"{}", SECRET, timestamp=NOW), secret)

    assert cause.code == "secret_whitespace"
    assert words in cause.text


@pytest.mark.parametrize(
    "secrets",
    ["", " \n", '""', [], {}, None, 7, [SECRET] * 65, b"\xff", [SECRET, None]],
)
def test_what_is_no_secret_is_a_configuration_error(secrets):
    with pytest.raises(ConfigurationError):
        explain(b"{}", {}, secrets)


def test_what_is_no_body_or_no_time_is_refused():
    parsed: Any = {}
    noon: Any = "noon"
    with pytest.raises(UnreadableBodyError):
        explain(parsed, {}, SECRET)
    with pytest.raises(ConfigurationError):
        explain(b"{}", {}, SECRET, now=noon)


@pytest.mark.parametrize("code", [*SECRETS, "unknown"])
def test_no_secret_is_shown(code):
    case = damage(*([code] if code in SECRETS else []))
    case.secrets.append(OTHER)
    if code == "unknown":
        case.body = b"[]"
    explanation = run(case)

    shown = f"{explanation} {explanation!r}"
    assert codes(explanation) == {code}
    assert SECRET not in shown
    assert OTHER not in shown


def test_it_reads_like_the_command():
    text = str(run(damage("newline_added", "other_secret")))

    assert text.splitlines()[0] == "The delivery does not verify: 2 causes."
    assert "\n1. other_secret (proven)\n   It was signed with candidate 2" in text
    assert "\n2. newline_added (proven)\n" in text
    assert text.count("   To do: ") == 2


def test_a_cause_that_is_not_proven_says_so():
    text = str(explain(b"[]", sign(b"{}", SECRET, timestamp=NOW), SECRET, now=NOW))

    assert "1. unknown (not proven)" in text


def test_the_values_do_not_change():
    cause: Any = Cause("a", True, "b", "c")
    with pytest.raises(AttributeError):
        cause.code = "d"


@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_a_large_body_costs_little(size):
    body = b'{"a":"' + b"x" * size + b'"}'
    headers = sign(body, SECRET, timestamp=NOW)

    assert explain(body, headers, SECRET, now=NOW).verified
    assert not explain(body + b"\n", headers, SECRET, now=NOW).verified
    # Without a signature beside it, it might be a message.
    assert codes(explain(body, {}, SECRET, now=NOW)) == {"missing_header"}


def test_a_large_body_of_the_agent_is_recognised():
    body = json.dumps({"a": ["x"] * 30_000}).encode()
    signed = sign(body.replace(b" ", b""), SECRET, timestamp=NOW)

    assert why(body, signed).code == "agent_form"


def test_a_large_reprint_is_named_without_details():
    body = b'{\n"a":"' + "ö".encode() * 70_000 + b'"}'
    headers = sign(body.replace(b"\n", b""), SECRET, timestamp=NOW)

    assert why(body, headers).text == "The JSON was printed anew."


def test_a_search_that_costs_too_much_ends():
    secrets = [f"secret number {number} of many" for number in range(64)]
    body = compact({"text": "ä & ö +", "keys": {"a": 1, "b": 2, "c": 3}})
    headers = [*sign(b"{}", SECRET, timestamp=NOW).items()]

    assert codes(explain(body, headers, secrets, now=NOW)) == {"unknown"}


def corrupt(random_, body):
    """Change a few bytes of *body* in a way that no cause describes."""
    at = random_.randrange(len(body) - 1)
    kind = random_.randrange(3)
    if kind == 0:
        return (
            body[:at] + bytes([body[at] ^ 1 << random_.randrange(8)]) + body[at + 1 :]
        )
    if kind == 1:
        return body[:at] + body[at + 1 :]
    return body[:at] + random_.choice([b"x", b"7", b"{", b","]) + body[at:]


def make(random_, depth=2):
    """Make a random document."""
    kind = random_.randrange(6 if depth else 4)
    if kind == 0:
        return random_.choice([None, True, False])
    if kind == 1:
        return random_.choice([0, 7, -3, 2.5, 10**12])
    if kind in (2, 3):
        return "".join(random_.choices('ab %&<+/éß日\n\\"', k=random_.randrange(9)))
    size = random_.randrange(4)
    if kind == 4:
        return [make(random_, depth - 1) for _ in range(size)]
    return {f"k{each}": make(random_, depth - 1) for each in range(size)}


@pytest.mark.parametrize("seed", range(10))
def test_no_diagnosis_is_false(seed):
    """100 deliveries for each seed: half are healthy, half are corrupted."""
    random_ = random.Random(seed)  # noqa: S311  # no secret is made of it
    for number in range(100):
        document = {"run": f"r_{number}", "value": make(random_)}
        body = compact(document, ascii_only=random_.random() < 0.3)
        headers = sign(body, SECRET, timestamp=NOW)
        if number % 2 == 0:
            assert explain(body, headers, SECRET, now=NOW + 9).verified
            continue
        arrived = corrupt(random_, body)
        if body.startswith(arrived):
            continue  # it is not corrupted, or it is only cut
        explanation = explain(arrived, headers, SECRET, now=NOW + 9)
        assert not explanation.verified
        found = codes(explanation)
        assert found == {"unknown"}, (body, arrived, explanation)


def test_it_needs_no_extra():
    script = (
        "import sys\n"
        "for name in ('typer', 'rich', 'click', 'httpx2', 'starlette', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "from port_webhook.devtools import explain\n"
        "print(explain(b'{}', {}, 'a-made-up-secret').causes[0].code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert done.stdout == "missing_header\n"


def test_every_code_of_the_design_has_a_remedy():
    from port_webhook.devtools import _causes

    assert {*ALL, *BLIND, "kafka_form", "http_form", "unknown"} == {*_causes._REMEDIES}
    assert {*HEADERS} < {*ALL}
