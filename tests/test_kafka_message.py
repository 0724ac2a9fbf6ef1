"""A signed message taken apart, against signatures made with the standard library."""

from __future__ import annotations

import json

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    MalformedHeaderError,
    MissingHeaderError,
    SignatureMismatchError,
    UnreadableBodyError,
)
from port_webhook._kafka_message import hand_over, read_message

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
        return hand_over(lambda one: one.verify, value, verifier, None)

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
    assert isinstance(verify(value), error)


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
    assert type(verify(value)) is error


def test_a_change_of_the_message_does_not_match(message, verify):
    value = message(b'{"a":2,"headers":{SIGN}}', b'{"a":1,"headers":{}}')
    assert isinstance(verify(value), SignatureMismatchError)


def test_an_error_found_here_is_recorded_once(verifier, records):
    assert isinstance(
        hand_over(lambda one: one.verify, b"{", verifier, None), Exception
    )
    assert [record.port_code for record in records] == ["unreadable_body"]


def test_the_time_of_receipt_is_passed_on(message, verifier):
    value = message(b'{"headers":{SIGN}}', b'{"headers":{}}')
    outcome = hand_over(lambda one: one.verify, value, verifier, "yesterday")
    assert isinstance(outcome, ConfigurationError)
    assert outcome.__traceback__ is None


def test_a_message_over_the_limit_is_not_parsed():
    assert isinstance(read_message(b"x" * 11, 10), BodyTooLargeError)
