"""Whatever comes: a `Delivery` or a `PortWebhookError`, and no second spelling."""

from __future__ import annotations

import asyncio
import json
import math
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from port_webhook import (
    CheckedHeaders,
    Delivery,
    PayloadError,
    PortWebhookError,
    SignatureMismatchError,
    VerificationError,
    Verifier,
    verify,
)
from port_webhook import _json as strict
from port_webhook import sign as sign_strictly
from port_webhook.adapters.kafka import read_record, verify_message

canonical: Any = strict  # its answers are compared, whatever they are
sign: Any = sign_strictly  # called with wrong types on purpose

NOW = 1_713_277_889
SECRET = "a-made-up-secret"
NAMES = ("x-port-timestamp", "x-port-signature")


def make(**options):
    return Verifier(SECRET, clock=lambda: float(NOW), **options)


PLAIN = make()
AGENT = make(agent=True)
VERIFIERS = (PLAIN, AGENT)

# Text with everything in it, lone surrogates too.
any_text = st.text(st.characters(codec=None), max_size=60)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.binary(max_size=60)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.builds(object)
    | st.sampled_from([str, bytes, object, len])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(any_text | st.binary(max_size=9) | st.integers(), inner)
        | st.lists(inner, max_size=4).map(iter)
    ),
    max_leaves=12,
)

nearly_a_timestamp = st.one_of(
    st.integers(NOW - 400, NOW + 400).map(str),
    st.integers(0, 10**14).map(str),
    st.text("0123456789 _+-.eE٣３\t\n", max_size=16),
    any_text,
)
nearly_a_signature = st.one_of(
    st.binary().map(lambda body: sign(body, SECRET)[NAMES[1]]),
    st.text(string.ascii_letters + string.digits + "+/=,-_ \t\nv1", max_size=120),
    st.lists(
        st.sampled_from(["v1,", "v2,x", "=", "A" * 43, " ", ","]), max_size=30
    ).map("".join),
    any_text,
)


def in_some_case(name):
    upper = st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda flags: "".join(
            letter.upper() if flag else letter
            for letter, flag in zip(name, flags, strict=True)
        )
    )
    return upper | upper.map(str.encode)


def maybe_bytes(text):
    return text | text.map(lambda value: value.encode("utf-8", "surrogatepass"))


pairs = st.one_of(
    st.tuples(in_some_case(NAMES[0]), maybe_bytes(nearly_a_timestamp)),
    st.tuples(in_some_case(NAMES[1]), maybe_bytes(nearly_a_signature)),
    st.tuples(st.sampled_from(NAMES), scalars),
    st.tuples(any_text | st.binary(max_size=20), scalars),
)


def view_of(data: bytes) -> object:
    return memoryview(data)


any_headers = st.one_of(
    anything,
    st.lists(pairs, max_size=5),
    st.lists(pairs, max_size=5).map(dict),
    st.lists(pairs, max_size=5).map(iter),
    st.builds(
        lambda stamp, signature: dict(zip(NAMES, (stamp, signature), strict=True)),
        nearly_a_timestamp,
        nearly_a_signature,
    ),
)
any_body = st.one_of(
    anything,
    st.binary(),
    st.binary().map(bytearray),
    st.binary().map(view_of),
    any_text,
)


def outcome_of(call, *args, **options):
    """Call; return the delivery, or the class of our error. Anything else fails."""
    try:
        return call(*args, **options)
    except PortWebhookError as error:
        return type(error)


def settled(headers):
    """Return the same for a second reading: an iterator, at any depth, as a list."""
    if hasattr(headers, "__next__"):
        headers = list(headers)
    return [*map(settled, headers)] if isinstance(headers, list) else headers


class TestNothingElseGetsOut:
    @given(any_body, any_headers, st.none() | scalars, st.sampled_from(VERIFIERS))
    def test_of_verify(self, body, headers, received_at, verifier):
        outcome = outcome_of(verifier.verify, body, headers, received_at=received_at)

        assert isinstance(outcome, Delivery | type)

    @given(any_body, any_headers, scalars)
    def test_of_the_function(self, body, headers, anything):
        # One argument after the other is wrong.
        good = sign(b"{}", SECRET)

        outcome_of(verify, body, headers, SECRET)
        outcome_of(verify, b"{}", good, anything)
        outcome_of(verify, b"{}", good, SECRET, max_age=anything)
        outcome_of(verify, b"{}", good, SECRET, max_future=anything)
        outcome_of(verify, b"{}", good, SECRET, agent=anything)
        outcome_of(verify, b"{}", good, SECRET, received_at=anything)

    @given(any_headers, st.none() | scalars)
    def test_of_check_headers(self, headers, received_at):
        outcome = outcome_of(PLAIN.check_headers, headers, received_at=received_at)

        assert isinstance(outcome, CheckedHeaders | type)

    @given(any_body, any_headers)
    @example(b"", [[None, None], iter([None, None])])
    def test_of_receive_and_areceive(self, body, headers):
        headers = settled(headers)

        async def areceive():
            async with AGENT.areceive(body, headers) as delivery:
                return delivery.payload

        def receive():
            with AGENT.receive(body, headers) as delivery:
                return delivery.payload

        assert outcome_of(receive) == outcome_of(lambda: asyncio.run(areceive()))

    @given(any_body, anything, scalars)
    def test_of_sign(self, body, secret, timestamp):
        outcome_of(sign, body, SECRET)
        outcome_of(sign, b"{}", secret)
        outcome_of(sign, b"{}", SECRET, timestamp=timestamp)

    @pytest.mark.parametrize(
        "option",
        [
            "previous_secrets",
            "max_age",
            "max_future",
            "agent",
            "max_body_bytes",
            "agent_max_bytes",
            "replay_store",
            "replay_scope",
            "replay_lease",
            "replay_ttl",
            "replay_fail_open",
            "clock",
            "on_verified",
            "on_rejected",
        ],
    )
    @given(value=anything)
    def test_of_a_verifier_that_is_built(self, option, value):
        outcome_of(Verifier, SECRET, **{option: value})

    @given(any_body | st.binary())
    def test_of_a_message(self, value):
        assert isinstance(outcome_of(verify_message, value, PLAIN), type)

    @given(anything)
    def test_of_a_record(self, record):
        outcome_of(read_record, record)

    @given(st.binary() | any_body)
    def test_of_a_payload(self, body):
        headers = outcome_of(sign, body, SECRET)
        if isinstance(headers, type):
            return
        delivery = verify(body, headers, SECRET)

        outcome_of(delivery.json)
        outcome_of(delivery.invocation)
        assert delivery.run_id is None or isinstance(delivery.run_id, str)
        assert len(delivery.replay_key) == 64
        assert isinstance(delivery.timestamp, datetime)


secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1
)


class TestSignThenVerify:
    @given(st.binary(max_size=2000), secrets | st.binary(min_size=1))
    def test_any_bytes_and_any_secret(self, body, secret):
        headers = outcome_of(sign, body, secret)
        if isinstance(headers, type):
            # White space around a key of bytes, or a line break in it.
            assert isinstance(secret, bytes)
            return

        delivery = verify(body, headers, secret)

        assert delivery.payload is body
        assert delivery.via == "port"

    @given(st.text(), st.integers(10**9, 10**10 - 1) | st.integers(10**12, 10**13 - 1))
    def test_any_text_at_any_time(self, body, timestamp):
        headers = sign(body, SECRET, timestamp=timestamp)
        seconds = timestamp if timestamp < 10**12 else timestamp / 1000

        delivery = verify(body, headers, SECRET, received_at=seconds, max_age=0)

        assert delivery.payload == body.encode()
        assert delivery.timestamp.timestamp() == pytest.approx(seconds, abs=1e-6)

    @given(st.binary(), st.binary())
    def test_no_other_body_and_no_other_secret(self, body, other):
        headers = sign(body, SECRET)

        if body != other:
            with pytest.raises(SignatureMismatchError):
                verify(other, headers, SECRET)
        with pytest.raises(SignatureMismatchError):
            verify(body, headers, SECRET + "x")


@st.composite
def edited(draw, text):
    """Change *text*, by a few characters or in a way that somebody could read over."""
    way = draw(st.integers(0, 6))
    at = draw(st.integers(0, len(text)))
    character = draw(
        st.characters(codec=None) | st.sampled_from("0123456789AQgw+/-_=, \t\nv")
    )
    if way == 0:
        return text[:at] + character + text[at:]
    if way == 1:
        return text[:at] + text[at + 1 :]
    if way == 2:
        return text[:at] + character + text[at + 1 :]
    if way == 3:
        return text[:at] + draw(any_text) + text[at:]
    if way == 4:
        return text.swapcase() if at % 2 else text.upper()
    wide = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
    twice = text + draw(st.sampled_from([",", ", ", " "])) + text
    return twice if way == 5 else text.translate(wide)


class TestOneSpelling:
    BODY = b'{"a":1,"b":[1.0,"x y"]}'
    HEADERS = sign(BODY, SECRET, timestamp=NOW)

    @given(edited(HEADERS["x-port-signature"]))
    @example("v1," + HEADERS["x-port-signature"][3:].rstrip("="))
    def test_of_a_signature(self, text):
        headers = {**self.HEADERS, "x-port-signature": text}

        if isinstance(outcome_of(PLAIN.verify, self.BODY, headers), Delivery):
            assert self.HEADERS["x-port-signature"] in text.strip(" \t").split(" ")

    @given(edited(str(NOW)))
    def test_of_a_timestamp(self, text):
        headers = {**self.HEADERS, "x-port-timestamp": text}

        if isinstance(outcome_of(PLAIN.verify, self.BODY, headers), Delivery):
            assert text.strip(" \t") == str(NOW)

    @given(edited(BODY.decode()))
    def test_of_a_body(self, text):
        if isinstance(outcome_of(PLAIN.verify, text, self.HEADERS), Delivery):
            assert text == self.BODY.decode()

    @given(edited(BODY.decode()))
    def test_of_what_the_agent_forwards_but_for_white_space(self, text):
        outcome = outcome_of(AGENT.verify, text, self.HEADERS)

        if isinstance(outcome, Delivery):
            assert outcome.payload == self.BODY
            assert "".join(text.split()) == "".join(self.BODY.decode().split())

    @given(st.data())
    def test_of_a_message(self, data):
        signed = b'{"a":1,"headers":{}}'
        headers = sign(signed, SECRET, timestamp=NOW)
        keys = {"X-Port-Signature": headers[NAMES[1]], "X-Port-Timestamp": NOW}
        text = json.dumps({"a": 1, "headers": keys})

        outcome = outcome_of(verify_message, data.draw(edited(text)), PLAIN)

        if isinstance(outcome, Delivery):
            assert outcome.payload == signed


# Any JSON document. Python's float prints what it reads, but for NaN and infinity.
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5)
    ),
    max_leaves=12,
)


class TestAgentForm:
    @given(documents, st.integers(0, 40))
    @example('\u2028\x7f\x00\\" : , ', 0)
    @example({"": {"": []}}, 0)
    @example(-0.0, 0)
    @example(10**4299, 0)
    def test_of_any_document_verifies_and_parses_to_the_same(self, document, depth):
        for _ in range(depth):
            document = {"in": document} if depth % 2 else [document]
        signed = json.dumps(document, separators=(",", ":"))

        delivery = AGENT.verify(
            json.dumps(document), sign(signed, SECRET, timestamp=NOW)
        )

        assert delivery.payload == signed.encode()
        assert delivery.json() == document
        if isinstance(document, float):
            assert math.copysign(1, delivery.json()) == math.copysign(1, document)

    @given(documents, st.text(" \t\r\n"))
    def test_of_any_white_space_is_the_same(self, document, space):
        signed = json.dumps(document, separators=(",", ":"))
        spaced = json.dumps(document, separators=(f"{space},{space}", f"{space}: "))

        delivery = AGENT.verify(
            space + spaced + space, sign(signed, SECRET, timestamp=NOW)
        )

        assert delivery.payload == signed.encode()


objects = st.dictionaries(
    st.text().filter(lambda key: key != "headers"), documents, max_size=5
)


class TestKafkaForm:
    @given(objects, st.dictionaries(st.text(), documents, max_size=3), st.booleans())
    def test_of_any_message_verifies_however_its_strings_are_escaped(
        self, message, rest, ascii_only
    ):
        rest = {
            key: value
            for key, value in rest.items()
            if key not in ("X-Port-Signature", "X-Port-Timestamp")
        }
        signed = json.dumps(
            {**message, "headers": rest}, separators=(",", ":"), ensure_ascii=False
        )
        headers = sign(signed, SECRET, timestamp=NOW)
        keys = {"X-Port-Signature": headers[NAMES[1]], "X-Port-Timestamp": NOW}
        value = json.dumps(
            {**message, "headers": {**rest, **keys}}, ensure_ascii=ascii_only
        )

        delivery = verify_message(value, PLAIN)

        assert delivery.payload == signed.encode()
        assert delivery.json() == {**message, "headers": rest}


@st.composite
def nearly_json(draw):
    """Take the text of a document, and change it in places."""
    text = json.dumps(draw(documents), ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = draw(edited(text))
    return text.encode("utf-8", "surrogatepass")


def error_of(call, data):
    try:
        call(data)
    except PayloadError as error:
        return str(error)
    return None


def compact_of(data):
    canonical.require_json(data)
    return canonical.strip_white_space(data)


class TestCanonical:
    @given(nearly_json() | st.binary())
    def test_what_python_reads_strictly_is_what_is_read_here(self, data):
        problem = error_of(canonical.parse, data)

        if problem is not None:
            # A number that is too large is a token all the same.
            assert error_of(compact_of, data) or "too large" in problem
            return
        value, text = canonical.parse(data), compact_of(data)
        assert value == json.loads(data)
        assert json.loads(text) == value
        assert compact_of(text) == text

    @given(nearly_json() | st.binary())
    def test_what_python_refuses_is_refused_here(self, data):
        try:
            json.loads(data.decode("utf-8"))
        except ValueError:
            assert error_of(compact_of, data)
            assert error_of(canonical.parse, data)

    @given(st.dictionaries(st.text(), documents, max_size=5), st.data())
    def test_members_are_the_members(self, document, data):
        names = data.draw(st.sets(st.sampled_from([*document, "another"])))
        text = json.dumps(document, ensure_ascii=data.draw(st.booleans()))

        found = canonical.read_object(
            text.encode("utf-8", "surrogatepass"), dict.fromkeys(names)
        )

        assert found.values.keys() == document.keys()
        for name, (start, end) in found.spans.items():
            assert json.loads(f"{{{found.text[start:end]}}}") == {name: document[name]}
        assert found.spans.keys() == names & document.keys()
        rest = {name: each for name, each in document.items() if name not in names}
        assert json.loads(found.without_spans()) == rest


def test_each_signature_has_one_last_digit():
    # The last one of base64 has two bits that say nothing.
    digits = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}+/"
    seen = set()
    for number in range(150):
        body = b"%d" % number
        signed = sign(body, SECRET, timestamp=NOW)
        text = signed["x-port-signature"]
        for digit in digits:
            headers = {**signed, "x-port-signature": f"{text[:-2]}{digit}="}
            if digit == text[-2]:
                seen.add(digit)
                assert PLAIN.verify(body, headers).payload == body
            else:
                with pytest.raises(VerificationError):
                    PLAIN.verify(body, headers)
    assert len(seen) == 16
