"""A signed message taken apart, against signatures made with the standard library."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    SignatureMismatchError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook._kafka_message import open_message, read_message
from port_webhook.adapters.kafka import verify_message

NOW = 1_713_277_889
SECRET = "a-made-up-secret"
VERIFIER = Verifier(SECRET, clock=lambda: NOW)
OTHER = Verifier("another-made-up-secret", clock=lambda: NOW)

GITLAB = b'"payload":{"action":{"invocationMethod":{"type":"GITLAB"}}}'
KAFKA = b'"payload":{"action":{"invocationMethod":{"type":"KAFKA"}}}'


@pytest.fixture
def message(signature_of, now):
    """Put the signature of *signed* into a message where the mark ``SIGN`` stands."""

    def make(template, signed, *, timestamp=None):
        keys = {
            "X-Port-Signature": signature_of(signed),
            "X-Port-Timestamp": now if timestamp is None else timestamp,
        }
        return template.replace(b"SIGN", json.dumps(keys)[1:-1].encode())

    return make


@pytest.fixture
def verify(verifier):
    def call(value):
        return verifier.verify(*open_message(value, verifier))

    return call


@pytest.mark.parametrize(
    ("template", "signed"),
    [
        (b'{"a":1,"headers":{SIGN}}', b'{"a":1,"headers":{}}'),
        (b'{ "headers" : { "b" : 2, SIGN } , "a":1 }', b'{"headers":{"b":2},"a":1}'),
        (b'{"headers":{SIGN},"n":1e-7}', b'{"headers":{},"n":1e-7}'),
        # ASCII escapes that JavaScript prints as they are.
        (b'{"headers":{SIGN},"s":"\\u00e9"}', b'{"headers":{},"s":"\xc3\xa9"}'),
        # Without the whole key, for one kind of invocation.
        (b'{"headers":{SIGN},%b}' % GITLAB, b"{%b}" % GITLAB),
        (b'{"headers":{SIGN},%b}' % KAFKA, b'{"headers":{},%b}' % KAFKA),
        # A type that is no text names no kind.
        (
            b'{"headers":{SIGN},"payload":{"action":{"invocationMethod":{"type":5}}}}',
            b'{"headers":{},"payload":{"action":{"invocationMethod":{"type":5}}}}',
        ),
    ],
)
def test_the_payload_is_the_text_that_was_signed(message, verify, template, signed):
    delivery = verify(message(template, signed))
    assert delivery.payload == signed
    assert delivery.via == "kafka"


def test_the_timestamp_may_be_text(message, verify, now):
    template, signed = b'{"headers":{SIGN}}', b'{"headers":{}}'
    assert verify(message(template, signed, timestamp=str(now))).payload == signed


@pytest.mark.parametrize(
    ("timestamp", "error"),
    [
        (True, MalformedHeaderError),
        (1.5, MalformedHeaderError),
        ([1], MalformedHeaderError),
    ],
)
def test_a_timestamp_of_another_type_is_malformed(message, verify, timestamp, error):
    value = message(b'{"headers":{SIGN}}', b'{"headers":{}}', timestamp=timestamp)
    with pytest.raises(error):
        verify(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"{", UnreadableBodyError),
        ({"parsed": True}, UnreadableBodyError),
        (b"[]", MissingHeaderError),
        (b"{}", MissingHeaderError),
        (b'{"headers":null}', MissingHeaderError),
        (b'{"headers":{}}', MissingHeaderError),
        (b'{"headers":{"X-Port-Signature":null}}', MissingHeaderError),
        (b'{"headers":{"x-port-signature":"v1,x"}}', MissingHeaderError),
    ],
)
def test_what_is_no_signed_message_is_an_error(verify, value, error):
    with pytest.raises(error) as caught:
        verify(value)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            None,
            (
                "The record is a tombstone: it has no value. Port writes none to the "
                "runs topic; it may come from a tool that compacts or deletes."
            ),
        ),
        (b"{", "The message is not strict JSON."),
        (
            b"{}",
            (
                "The delivery has no x-port-signature header; either Port did not send "
                "it, or something on its way removed the header."
            ),
        ),
    ],
)
def test_the_error_says_what_is_wrong(verifier, value, message):
    with pytest.raises(DeliveryError) as caught:
        open_message(value, verifier)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [("null", None), ('"a"', "a"), ("1.50", "1.50"), ("true", False), ("[1]", False)],
)
def test_a_header_is_text_nothing_or_malformed(text, passed_on):
    _, pairs = read_message(f'{{"headers":{{"X-Port-Timestamp":{text}}}}}', 100)
    assert pairs == [("x-port-timestamp", passed_on)]


def test_a_change_of_the_message_does_not_match(message, verify):
    value = message(b'{"a":2,"headers":{SIGN}}', b'{"a":1,"headers":{}}')
    with pytest.raises(SignatureMismatchError):
        verify(value)


def test_an_error_found_here_is_recorded_once(verifier, records):
    with pytest.raises(UnreadableBodyError):
        open_message(b"{", verifier)
    assert [record.port_code for record in records] == ["unreadable_body"]


def test_what_is_no_verifier_is_refused():
    with pytest.raises(ConfigurationError, match="must be a Verifier"):
        open_message(b"{}", "a secret")  # type: ignore[arg-type]


def test_a_message_over_the_limit_is_not_parsed():
    with pytest.raises(BodyTooLargeError):
        read_message(b"x" * 11, 10)


def test_texts_are_made_when_they_are_asked_for(message, verifier):
    value = message(b'{"headers":{SIGN},"s":"\\/"}', b'{"headers":{},"s":"/"}')
    forms, headers = read_message(value, 10_000)
    assert dict(headers).keys() == {"x-port-signature", "x-port-timestamp"}
    candidates = iter(forms.candidates)
    assert next(candidates) == b'{"headers":{},"s":"\\/"}'
    assert next(candidates) == b'{"headers":{},"s":"/"}'
    assert list(candidates) == []


documents = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)


@given(
    documents,
    st.dictionaries(st.text(), st.text()),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_whatever_port_signs_is_verified(document, headers, ascii_only, indent):
    document["headers"] = headers
    gitlab = _is_gitlab(document)
    signed = {**document} if not gitlab else {**document, "headers": None}
    if gitlab:
        del signed["headers"]
    text = json.dumps(signed, separators=(",", ":"), ensure_ascii=False).encode()
    keys = sign(text, SECRET, timestamp=NOW)
    document["headers"] = {
        "X-Port-Signature": keys["x-port-signature"],
        **headers,
        "X-Port-Timestamp": NOW,
    }
    value = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    delivery = verify_message(value, VERIFIER)
    assert delivery.payload == text
    with pytest.raises(SignatureMismatchError):
        verify_message(value, OTHER)


def _is_gitlab(document):
    try:
        return document["payload"]["action"]["invocationMethod"]["type"] == "GITLAB"
    except (KeyError, TypeError):
        return False


@given(
    st.binary()
    | st.text()
    | st.none()
    | st.integers()
    | st.builds(
        lambda text, parts: text % parts,
        st.just(b'{"headers":{"X-Port-Signature":%b,"X-Port-Timestamp":%b},"a":%b}'),
        st.tuples(*[st.binary() | st.sampled_from([b"1", b'"\\ud800"', b"{}"])] * 3),
    )
)
def test_nothing_but_our_errors_escapes(value):
    with pytest.raises(DeliveryError):
        verify_message(value, VERIFIER)
