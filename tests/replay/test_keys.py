"""`Delivery.replay_key`: one for each signed request, however it is spelled."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from port_webhook import DuplicateDeliveryError, Verifier
from port_webhook.adapters.kafka import verify_message
from port_webhook.replay.memory import MemoryReplayStore

NOW = 1_713_277_889
TEXT = str(NOW)
SECRET, PREVIOUS = "a-made-up-secret", "the-one-before-it"
UNKNOWN = "v2," + "A" * 44


def signature(payload, timestamp=TEXT, secret=SECRET):
    mac = hmac.digest(secret.encode(), timestamp.encode() + b"." + payload, "sha256")
    return "v1," + base64.b64encode(mac).decode()


def verifier(scope="", **options):
    return Verifier(
        SECRET,
        previous_secrets=[PREVIOUS],
        agent=True,
        clock=lambda: NOW,
        replay_scope=scope,
        **options,
    )


# How one delivery can be spelled.

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
white_space = st.text(" \t", max_size=3)


@st.composite
def names(draw, name):
    """A header's name in any case."""
    upper = draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    return "".join(c.upper() if up else c for c, up in zip(name, upper, strict=True))


@st.composite
def headers(draw, timestamp, payload):
    """The two headers, in any case, padded, in any container, of text or bytes."""
    valid = [signature(payload, timestamp), signature(payload, timestamp, PREVIOUS)]
    others = [signature(payload + b"x", timestamp), UNKNOWN]
    listed = draw(st.lists(st.sampled_from(valid), min_size=1, max_size=2))
    listed += draw(st.lists(st.sampled_from(others), max_size=2))
    pairs = [
        (draw(names("x-port-timestamp")), timestamp),
        (
            draw(names("x-port-signature")),
            " ".join(draw(st.permutations(listed))),
        ),
        ("Content-Type", "application/json"),
    ]
    padded = [
        (name, draw(white_space) + value + draw(white_space)) for name, value in pairs
    ]
    spelled = [
        (
            name.encode() if draw(st.booleans()) else name,
            value.encode() if draw(st.booleans()) else value,
        )
        for name, value in draw(st.permutations(padded))
    ]
    return draw(st.sampled_from([list, tuple, dict, iter]))(spelled)


@st.composite
def bodies(draw, document):
    """A compact document, or the same as an agent may print it."""
    layout = draw(
        st.sampled_from(
            [
                {"separators": (",", ":")},
                {},
                {"indent": 2},
                {"indent": "\t", "separators": (" , ", " : ")},
            ]
        )
    )
    text = json.dumps(document, ensure_ascii=False, **layout)
    around = st.text(" \t\r\n", max_size=3)
    body = (draw(around) + text + draw(around)).encode()
    return draw(st.sampled_from([bytes, bytearray, memoryview, bytes.decode]))(body)


def compact(document):
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


@st.composite
def spellings(draw):
    """A payload, and several spellings of the delivery in which it was signed."""
    document = draw(documents)
    payload = compact(document)
    timestamp = draw(st.sampled_from([TEXT, TEXT + "000"]))
    spelling = st.tuples(bodies(document), headers(timestamp, payload))
    return timestamp, payload, draw(st.lists(spelling, min_size=2, max_size=5))


@given(spellings())
def test_a_delivery_has_one_key_however_it_is_spelled(case):
    timestamp, payload, spelled = case
    plain = {
        "x-port-timestamp": timestamp,
        "x-port-signature": signature(payload, timestamp),
    }
    by = verifier()

    keys = {by.verify(body, fields).replay_key for body, fields in spelled}

    assert keys == {by.verify(payload, plain).replay_key}


@given(spellings())
def test_a_store_lets_one_of_all_the_spellings_in(case):
    _, _, spelled = case
    store = MemoryReplayStore(single_process=True)
    by = verifier(replay_store=store)
    (body, fields), *others = spelled

    by.verify(body, fields)

    for body, fields in others:
        with pytest.raises(DuplicateDeliveryError):
            by.verify(body, fields)


def test_nothing_signed_by_an_agent_is_null_in_either_spelling():
    by = verifier()
    fields = {
        "x-port-timestamp": TEXT,
        "x-port-signature": signature(b"null"),
    }

    assert by.verify(b"", fields).replay_key == by.verify(b"null", fields).replay_key


def test_a_kafka_message_has_the_key_of_the_text_that_was_signed():
    signed = '{"a":"\u00e9","headers":{}}'.encode()
    fields = {"X-Port-Timestamp": TEXT, "X-Port-Signature": signature(signed)}
    message = {"a": "\u00e9", "headers": fields}
    by = verifier()

    keys = {
        verify_message(value, by).replay_key
        for value in (compact(message), json.dumps(message, indent=1))
    }

    assert keys == {by.verify(signed, fields).replay_key}


# Two deliveries.


def key(scope, timestamp, payload):
    fields = {
        "x-port-timestamp": timestamp,
        "x-port-signature": signature(payload, timestamp),
    }
    received = int(timestamp) / 10 ** (len(timestamp) - 10)
    by = Verifier(SECRET, replay_scope=scope)
    return by.verify(payload, fields, received_at=received).replay_key


def framed(part):
    """Return what the key of a delivery is computed from, for one part of it."""
    return len(part).to_bytes(8, "big") + part


def instants(digits):
    return st.integers(10**9, 10**10 - 1).map(lambda n: f"{n:010}".ljust(digits, "7"))


scopes = st.text(st.characters(codec="utf-8"), max_size=12)
triples = st.tuples(
    scopes, instants(10) | instants(13), st.binary(max_size=24) | st.just(b"{}")
)


@st.composite
def cuts(draw):
    """Two ways to cut one text into scope, timestamp and payload."""
    digits = draw(st.text("0123456789", min_size=16, max_size=40))

    def cut():
        length = draw(st.sampled_from([10, 13]))
        at = draw(st.integers(0, len(digits) - length))
        return digits[:at], digits[at : at + length], digits[at + length :].encode()

    one, two = cut(), cut()
    return [
        (scope, timestamp.replace("0", "1", 1) if timestamp[0] == "0" else timestamp, p)
        for scope, timestamp, p in (one, two)
    ]


@st.composite
def forgeries(draw):
    """A delivery, and one whose parts hold the other's parts with their lengths.

    Digits and zero bytes are text, so that a scope can hold a timestamp with its
    length, and a payload can hold anything.
    """
    scope, timestamp, payload = draw(triples)
    parts = [framed(scope.encode()), framed(timestamp.encode()), framed(payload)]
    pieces = draw(st.lists(st.sampled_from(parts), max_size=4))
    at = draw(st.integers(0, len(pieces)))
    before, after = b"".join(pieces[:at]), b"".join(pieces[at:])
    own = draw(st.sampled_from([scope, ""])) + before.decode("utf-8", "ignore")
    return (
        (scope, timestamp, payload),
        (own, timestamp, draw(st.sampled_from([payload, b""])) + after),
    )


@st.composite
def neighbours(draw):
    """Two deliveries that share some of their parts."""
    one, two = draw(triples), draw(triples)
    shared = draw(st.tuples(*[st.booleans()] * 3))
    return one, tuple(
        a if same else b for a, b, same in zip(one, two, shared, strict=True)
    )


@given(neighbours() | cuts() | forgeries())
@example([("", TEXT, TEXT.encode()), (TEXT, TEXT, b"")])
@example([("1", TEXT, b""), ("", TEXT, b"1")])
@example([("a", TEXT, b"b"), ("", TEXT, b"ab")])
@example([("", TEXT, b"000"), ("", TEXT + "000", b"")])
@example([("", TEXT, b""), ("", TEXT + "000", b"")])
@example([("\u00e9", TEXT, b""), ("e\u0301", TEXT, b"")])
@example([("", TEXT, b"{}"), ("", TEXT, b"{} ")])
@example([("", TEXT, b"\xc3\xa9"), ("", TEXT, b"\xe9")])
def test_two_deliveries_share_a_key_only_if_all_three_parts_are_equal(pair):
    one, two = pair

    assert (key(*one) == key(*two)) == (one == two)


@given(neighbours() | cuts() | forgeries())
def test_what_is_hashed_can_be_taken_apart_again(pair):
    """The reason for the test before: equal bytes to hash mean equal parts."""
    for scope, timestamp, payload in pair:
        hashed = framed(scope.encode()) + framed(timestamp.encode()) + framed(payload)

        assert key(scope, timestamp, payload) == hashlib.sha256(hashed).hexdigest()
        parts = []
        while hashed:
            length = int.from_bytes(hashed[:8], "big")
            parts.append(hashed[8 : 8 + length])
            hashed = hashed[8 + length :]
        assert parts == [scope.encode(), timestamp.encode(), payload]


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_the_secret_that_signed_is_no_part_of_the_key(secret):
    fields = {
        "x-port-timestamp": TEXT,
        "x-port-signature": signature(b"{}", secret=secret),
    }

    assert verifier().verify(b"{}", fields).replay_key == key("", TEXT, b"{}")
