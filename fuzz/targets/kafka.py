"""Kafka form: a message taken apart beside another reading of the same tokens.

An input is a message, in which a mark may stand for the signature.
"""

from __future__ import annotations

import json
from typing import Any

from fuzz import text as reference
from fuzz.common import (
    MARK,
    STAMP,
    call,
    check_mac,
    make_verifier,
    read_payloads,
    signature_of,
    splices,
)
from fuzz.targets.canonical import WORDS as CANONICAL
from port_webhook import Delivery, MissingHeaderError, UnreadableBodyError
from port_webhook._kafka_message import read_message
from port_webhook.adapters.kafka import verify_message

__all__ = ["WORDS", "run", "seeds"]

VERIFIER = make_verifier()
LIMIT = VERIFIER.max_body_bytes
KEYS = {"X-Port-Signature": "x-port-signature", "X-Port-Timestamp": "x-port-timestamp"}
ANY_SIGNATURE = signature_of(STAMP, b"")

Expected = tuple[list[bytes], list[tuple[str, object]]]


def run(data: bytes) -> None:
    """Take the message in *data* apart, and verify it."""
    expected = _model(data.replace(MARK, ANY_SIGNATURE))
    signature = ANY_SIGNATURE
    if isinstance(expected, tuple):
        signature = signature_of(STAMP, expected[0][-1])
    data = data.replace(MARK, signature)
    expected = _model(data)
    outcome = call(verify_message, data, VERIFIER)
    if not isinstance(expected, tuple):
        assert outcome is expected
        return
    texts, pairs = expected
    forms, headers = read_message(data, LIMIT)
    assert [*forms.candidates] == texts
    assert headers == pairs
    values = dict(pairs)
    if isinstance(outcome, Delivery):
        assert outcome.via == "kafka"
        assert outcome.payload in texts
        presented = values["x-port-signature"]
        assert isinstance(presented, str)
        check_mac(outcome, presented.encode(), STAMP)
    else:
        # Where the mark stands elsewhere too, it changed what was signed.
        for each in texts:
            signature = signature_of(STAMP, each)
            good = {"x-port-signature": signature, "x-port-timestamp": STAMP}
            assert values != {name: value.decode() for name, value in good.items()}


def _model(data: bytes) -> Expected | type[Exception]:
    """Say what was signed, by the rules of the protocol (section 2)."""
    document = reference.read(data)
    if document is None:
        return UnreadableBodyError
    message = document.value
    headers = message.get("headers") if isinstance(message, dict) else None
    if not isinstance(headers, dict):
        return MissingHeaderError
    kept: list[str] = []
    pairs: dict[str, object] = {}
    for key, value in reference.members(document.text):
        name, text = json.loads(key), value
        if name == "headers":
            inner = [(json.loads(k), k, v) for k, v in reference.members(value)]
            pairs = {KEYS[k]: _to_header(v) for k, _, v in inner if k in KEYS}
            if _method_of(message) == "GITLAB":
                continue
            rest = [f"{k}:{v}" for name, k, v in inner if name not in KEYS]
            text = "{" + ",".join(rest) + "}"
        kept.append(f"{key}:{text}")
    signed = "{" + ",".join(kept) + "}"
    texts = dict.fromkeys((signed, reference.print_as_javascript(signed)))
    ordered = [(name, pairs[name]) for name in KEYS.values() if name in pairs]
    return [each.encode() for each in texts], ordered


def _to_header(token: str) -> object:
    if token[0] == '"':
        return json.loads(token)
    if token == "null":
        return None
    return token if reference.numbers(token) == [token] else False


def _method_of(message: Any) -> object:
    for key in ("payload", "action", "invocationMethod", "type"):
        message = message.get(key) if isinstance(message, dict) else None
    return message


def seeds() -> list[bytes]:
    """Return signed messages of every shape, and what is wrong with some."""
    stamp = STAMP.decode()
    forms = [
        f'{{"a":1,"headers":{{"X-Port-Signature":"\x01","X-Port-Timestamp":{stamp}}}}}',
        f'{{"headers":{{"X-Port-Timestamp":"{stamp}","X-Port-Signature":"\x01"}},"a":1}}',
        (
            f'{{"headers":{{"x": 1, "X-Port-Timestamp": "{stamp}", "X-Port-Signature": '
            '"\x01", "y": {}}, "a": "\\u00e9\\ud800 \\/"}'
        ),
        (
            f'{{"headers":{{"X-Port-Signature":"\x01","X-Port-Timestamp":{stamp}}},"payload":'
            '{"action":{"invocationMethod":{"type":"GITLAB"}}}}'
        ),
        f'{{"\\u0068eaders":{{"X-Port-Signature":"\x01","X-Port-Timestam\\u0070":{stamp}}}}}',
        f'{{"headers":{{"X-Port-Signature":["\x01"],"X-Port-Timestamp":{stamp}.0}}}}',
        '{"headers":{"X-Port-Signature":null,"x-port-timestamp":true}}',
        '{"headers":[]}',
        "[]",
        "{",
    ]
    keys = f'"X-Port-Signature":"\x01","X-Port-Timestamp":{stamp}'
    messages = [
        payload[:-1] + f',"headers":{{{keys}}}}}'.encode()
        for payload in read_payloads()
        if b'"headers"' not in payload
    ]
    return splices([*(form.encode() for form in forms), *messages])


WORDS = (
    *CANONICAL,
    MARK,
    STAMP,
    b'"X-Port-Signature":"\x01"',
    b'"X-Port-Timestamp":' + STAMP,
    b'"X-Port-Timestamp":"' + STAMP + b'"',
    b'"headers":{',
    b'"payload":{"action":{"invocationMethod":{"type":"GITLAB"}}}',
    b'"GITLAB"',
    b'"changelogDestination":',
)
