"""Canonical form: strict JSON beside Python's own parser, and tokens beside tokens.

An input is a document.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fuzz import text as reference
from fuzz.common import (
    STAMP,
    call,
    check_mac,
    make_verifier,
    read_payloads,
    signature_of,
    splices,
)
from port_webhook import Delivery, PayloadError
from port_webhook._json import (
    parse,
    read_object,
    require_json,
    spellings,
    strip_white_space,
)

if TYPE_CHECKING:
    from fuzz.text import Document

__all__ = ["WORDS", "run", "seeds"]

AGENT = make_verifier(agent=True)
SPACES = b" \t\n\r"
WANTED = {"headers": {"a": None, "b": None}, "a": None}


def run(data: bytes) -> None:
    """Read *data* by every function of the module."""
    document = reference.read(data)
    assert (call(require_json, data) is None) == (document is not None)
    found = call(parse, data)
    if document is None or document.too_large:
        assert found is PayloadError
    else:
        # `repr` tells 1 from 1.0, and -0.0 from 0.0.
        assert repr(found) == repr(document.value)
    bare = strip_white_space(data)
    # Nothing but white space is gone, whether it is JSON or not.
    assert bare.translate(None, SPACES) == data.translate(None, SPACES)
    is_json = reference.read(bare) is not None
    if is_json or b"\\" not in data:
        # Elsewhere a backslash may come to stand before a quote.
        assert strip_white_space(bare) == bare
    _check_agent(data, bare, is_json=is_json)
    members = call(read_object, data, WANTED)
    if document is None:
        assert members is PayloadError
        return
    texts = [*spellings(data)]
    assert texts[0] == bare == reference.compact(document.text).encode()
    assert texts[-1] == reference.print_as_javascript(document.text).encode()
    assert [*spellings(texts[-1])] == texts[-1:]
    for each in texts:
        assert reference.read(each) == document._replace(text=each.decode())
    if isinstance(document.value, dict):
        _check_members(document, members)
    else:
        assert members is None


def _check_agent(data: bytes, bare: bytes, *, is_json: bool) -> None:
    """Verify what the agent would forward, had it signed *bare*.

    White space within a token goes, too: what counts is what was signed.
    """
    signature = signature_of(STAMP, bare)
    headers = {"x-port-timestamp": STAMP, "x-port-signature": signature}
    outcome = call(AGENT.verify, data, headers)
    if data == bare or is_json:
        assert isinstance(outcome, Delivery)
        assert outcome.payload == bare
        assert outcome.via == ("port" if data == bare else "agent")
        check_mac(outcome, signature, STAMP)
    else:
        assert outcome is PayloadError


def _check_members(document: Document, members: object) -> None:
    """Compare the text without the members that are wanted with the value."""
    found = read_object(document.text.encode(), WANTED)
    assert found == members
    assert found is not None
    assert [*found.values] == [*document.value]
    assert found.spans.keys() == WANTED.keys() & document.value.keys()
    for key, (start, end) in found.spans.items():
        member = json.loads("{" + found.text[start:end] + "}")
        assert repr(member) == repr({key: json.loads(document.text)[key]})
    rest = [
        f"{key}:{value}"
        for key, value in reference.members(document.text)
        if json.loads(key) not in WANTED
    ]
    assert reference.compact(found.without_spans()) == "{" + ",".join(rest) + "}"


def seeds() -> list[bytes]:
    """Return payloads as Port prints them, as the agent does, and strange ones."""
    plain = [
        b'{"a": 1, "headers": {"a": "x", "c": [], "b": {}}, "z": null}',
        b" [ 1.0 , -0 , 1e-7, 1E+2, 1e400, 12345678901234567890, true,\n false ] ",
        '"\\u00e9 é \\ud83d\\ude00 😀 \\ud800 \\/ \\b \x7f \u2028"'.encode(),
        b'{"a":"\\\\","b":"\\"","\\u0061\\n":"\\\\\\""}',
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b"[" * 66 + b"]" * 66,
        b'{"a":' * 64 + b"[]" + b"}" * 64,
        b'"',
        b"",
    ]
    return splices([*plain, *read_payloads()])


WORDS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\\\", b"\\u"),
    *(b"\\u0061", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\/", b"\\n", b"\\b"),
    *(
        b" ",
        b"\n",
        b"\t",
        b"\r",
        b"\x0c",
        b"\xc2\xa0",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xfe",
    ),
    *(b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x7f", b"\x00", b"\xf0\x9f\x98\x80"),
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity"),
    *(
        b"-0",
        b"1e5",
        b"1E+5",
        b"1.0",
        b"0.000001",
        b"1e400",
        b"1e21",
        b"9007199254740993",
    ),
    *(
        b'"a":',
        b'"b":',
        b'"headers":',
        b'"headers":{"a":1}',
        b'"\\u0061":',
        b'"__proto__":',
    ),
)
