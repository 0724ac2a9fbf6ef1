"""No error shows a secret, a payload, a signature or an expected MAC.

Every kind of error that the core can raise is raised here with marked values. Then all
that an error tracker could collect is searched for them, the records of the log too.
"""

from __future__ import annotations

import functools
import logging
import types
from typing import Any

import pytest

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    PayloadError,
    PortWebhookError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
)
from port_webhook.adapters import kafka

from .leaks import (
    FORGED,
    NOW,
    PACKAGE,
    PAYLOAD,
    PREVIOUS,
    RESPELLED,
    SECRET,
    Search,
    headers,
    mac_of,
    needles_for,
    spell,
)

# Called with wrong types on purpose.
Verifier: Any = port_webhook.Verifier
VerifierSource: Any = port_webhook.VerifierSource
Delivery: Any = port_webhook.Delivery
sign: Any = port_webhook.sign
verify: Any = port_webhook.verify
verify_message: Any = kafka.verify_message
receive_message: Any = kafka.receive_message
areceive_message: Any = kafka.areceive_message


def fail():
    """Raise what a client may raise: it quotes the address, and more."""
    msg = f"down: redis://:{SECRET}@host, {PAYLOAD!r}"
    raise OSError(msg)


def talk():
    """Give an answer that quotes the payload."""
    return "PAYLOAD-marker-9c31"


class Store:
    """A store with one answer for each step; a function is called."""

    def __init__(self, claim="claimed", commit=True):
        self._answers = {"claim": claim, "commit": commit}

    def _answer(self, step):
        answer = self._answers[step]
        return answer() if callable(answer) else answer

    def claim(self, *_):
        return self._answer("claim")

    def commit(self, *_):
        return self._answer("commit")

    def release(self, *_):
        return True


class AsyncStore(Store):
    async def claim(self, *_):
        return self._answer("claim")

    async def commit(self, *_):
        return self._answer("commit")

    async def release(self, *_):
        return True


VALID = headers()
FORGERY = headers(signature=FORGED)

# Name: the expected class, the body, the headers, and the options of the verifier.
REFUSED: dict[str, tuple[type, Any, Any, dict[str, Any]]] = {
    "missing signature": (
        MissingHeaderError,
        PAYLOAD,
        {"X-Port-Timestamp": str(NOW)},
        {},
    ),
    "missing timestamp": (
        MissingHeaderError,
        PAYLOAD,
        {"X-Port-Signature": f"v1,{FORGED}"},
        {},
    ),
    "malformed signature": (
        MalformedHeaderError,
        PAYLOAD,
        headers(signature=FORGED + "="),
        {},
    ),
    "unprefixed signature": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": FORGED},
        {},
    ),
    "unknown version": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": f"v2,{FORGED}"},
        {},
    ),
    "signature as a list": (
        SignatureMismatchError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": [f"v1,{FORGED}"]},
        {},
    ),
    "two signatures as a list": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": [f"v1,{FORGED}"] * 2},
        {},
    ),
    "signature as a list of lists": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": [[f"v1,{FORGED}"]]},
        {},
    ),
    "duplicate signature": (
        MalformedHeaderError,
        PAYLOAD,
        [*VALID.items(), ("x-port-signature", f"v1,{FORGED}")],
        {},
    ),
    "joined signatures": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": f"v1,{FORGED},v1,{FORGED}"},
        {},
    ),
    "too many signatures": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": " ".join([f"v1,{FORGED}"] * 9)},
        {},
    ),
    "endless signature": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Signature": f"v1,{FORGED} " * 1000},
        {},
    ),
    "malformed timestamp": (
        MalformedHeaderError,
        PAYLOAD,
        {**VALID, "X-Port-Timestamp": "now"},
        {},
    ),
    "broken headers": (MalformedHeaderError, PAYLOAD, [*VALID.items(), (1, 2, 3)], {}),
    "headers as text": (MalformedHeaderError, PAYLOAD, f"v1,{FORGED}", {}),
    "too old": (TimestampError, PAYLOAD, headers(timestamp="1713270000"), {}),
    "in the future": (TimestampError, PAYLOAD, headers(timestamp="1713280000"), {}),
    "mismatch": (SignatureMismatchError, PAYLOAD, FORGERY, {}),
    "mismatch of text": (SignatureMismatchError, PAYLOAD.decode(), FORGERY, {}),
    "mismatch of a buffer": (SignatureMismatchError, bytearray(PAYLOAD), FORGERY, {}),
    "agent, mismatch": (SignatureMismatchError, RESPELLED, FORGERY, {"agent": True}),
    "agent, not JSON": (SignatureMismatchError, PAYLOAD[:-1], FORGERY, {"agent": True}),
    "agent, not UTF-8": (
        SignatureMismatchError,
        PAYLOAD + b"\xff",
        FORGERY,
        {"agent": True},
    ),
    "agent, repeated key": (
        SignatureMismatchError,
        PAYLOAD[:-1] + b',"n":2}',
        FORGERY,
        {"agent": True},
    ),
    "agent, signed, not JSON": (
        PayloadError,
        PAYLOAD[:-1] + b" ",
        headers(PAYLOAD[:-1]),
        {"agent": True},
    ),
    "agent, signed, repeated key": (
        PayloadError,
        PAYLOAD[:-1] + b', "n":2}',
        headers(PAYLOAD[:-1] + b',"n":2}'),
        {"agent": True},
    ),
    "agent, too deep": (
        SignatureMismatchError,
        b"[" * 65 + PAYLOAD + b"]" * 65,
        FORGERY,
        {"agent": True},
    ),
    "agent, empty": (SignatureMismatchError, b"", FORGERY, {"agent": True}),
    "agent, too large": (
        BodyTooLargeError,
        RESPELLED,
        VALID,
        {"agent": True, "agent_max_bytes": 9},
    ),
    "too large": (BodyTooLargeError, PAYLOAD, VALID, {"max_body_bytes": 9}),
    "too large text": (
        BodyTooLargeError,
        PAYLOAD.decode(),
        VALID,
        {"max_body_bytes": 9},
    ),
    "too large buffer": (
        BodyTooLargeError,
        bytearray(PAYLOAD),
        VALID,
        {"max_body_bytes": 9},
    ),
    "parsed body": (UnreadableBodyError, {"marker": PAYLOAD}, VALID, {}),
    "lone surrogates": (UnreadableBodyError, PAYLOAD.decode() + "\ud800", VALID, {}),
    "no body": (UnreadableBodyError, None, VALID, {}),
    "broken clock": (ConfigurationError, PAYLOAD, VALID, {"clock": lambda: "soon"}),
    "clock that raises": (ConfigurationError, PAYLOAD, VALID, {"clock": lambda: 1 / 0}),
    "duplicate": (
        DuplicateDeliveryError,
        PAYLOAD,
        VALID,
        {"replay_store": Store("committed")},
    ),
    "in progress": (
        DeliveryInProgressError,
        PAYLOAD,
        VALID,
        {"replay_store": Store("in_progress")},
    ),
    "store that raises": (
        ReplayStoreError,
        PAYLOAD,
        VALID,
        {"replay_store": Store(fail)},
    ),
    "store that answers nonsense": (
        ReplayStoreError,
        PAYLOAD,
        VALID,
        {"replay_store": Store(talk)},
    ),
    "commit that raises": (
        ReplayStoreError,
        PAYLOAD,
        VALID,
        {"replay_store": Store(commit=fail)},
    ),
    "hook that raises": (
        SignatureMismatchError,
        PAYLOAD,
        FORGERY,
        {"on_rejected": lambda _: vars()[SECRET]},
    ),
}


def build(**options):
    return Verifier(
        SECRET, previous_secrets=[PREVIOUS], **{"clock": lambda: float(NOW), **options}
    )


async def call_verify(verifier, body, headers):
    verifier.verify(body, headers)


async def call_averify(verifier, body, headers):
    await verifier.averify(body, headers)


async def call_receive(verifier, body, headers):
    with verifier.receive(body, headers):
        pass


async def call_areceive(verifier, body, headers):
    async with verifier.areceive(body, headers):
        pass


WAYS = [call_verify, call_averify, call_receive, call_areceive]


@pytest.fixture
def shows_nothing(records):
    """Check an error, and the log with it."""

    def check(error, *payloads):
        search = Search(needles_for(*payloads))
        search.walk(error, type(error).__name__)
        for record in records:
            for name, value in vars(record).items():
                search.walk(value, f"record.{name}")
            search.walk(record.getMessage(), "record")
            search.walk(logging.Formatter().format(record), "formatted record")
        assert search.found == []
        assert error.__cause__ is None
        assert error.__context__ is None

    return check


async def error_of(call, *args):
    """Return what *call* raises; its frame is then the test's alone."""
    try:
        await call(*args)
    except PortWebhookError as error:
        return error
    return None


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("call", WAYS)
async def test_a_refused_delivery_shows_nothing(shows_nothing, call, name):
    expected, body, headers, options = REFUSED[name]

    error = await error_of(call, build(**options), body, headers)

    assert type(error) is expected
    payload = body.encode("utf-8", "replace") if isinstance(body, str) else body
    shows_nothing(error, *([bytes(payload)] if isinstance(payload, bytes) else []))


@pytest.mark.parametrize("name", REFUSED)
async def test_the_function_shows_nothing_either(shows_nothing, name):
    expected, body, headers, options = REFUSED[name]
    allowed = {"agent"} & options.keys()
    if options.keys() - allowed:
        return  # an option that the function does not have

    async def call():
        verify(body, headers, SECRET, received_at=NOW, **options)

    error = await error_of(call)

    assert type(error) is expected
    shows_nothing(error)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, (expected, _, _, options) in REFUSED.items()
        if expected in (MissingHeaderError, MalformedHeaderError, TimestampError)
        or "clock" in options
    ],
)
async def test_check_headers_shows_nothing(shows_nothing, name):
    expected, _, headers, options = REFUSED[name]

    async def call():
        build(**options).check_headers(headers)

    error = await error_of(call)

    assert type(error) is expected
    shows_nothing(error)


def check_long_ago():
    times = iter([NOW, NOW + 1000])
    verifier = build(clock=times.__next__)
    checked = verifier.check_headers(VALID)
    verifier.verify(PAYLOAD, checked)


SETUPS = {
    "empty secret": lambda: Verifier(""),
    "secret with a line break": lambda: Verifier(SECRET + "\n"),
    "secret with a byte order mark": lambda: Verifier("\ufeff" + SECRET),
    "secret with white space": lambda: Verifier(SECRET.encode() + b" "),
    "secret with a lone surrogate": lambda: Verifier(SECRET + "\ud800"),
    "secret of a wrong type": lambda: Verifier([SECRET]),
    "secret in quotes": lambda: Verifier(f"'{SECRET}'"),
    "secret not expanded": lambda: Verifier("${" + SECRET + "}"),
    "secret with a zero byte": lambda: Verifier(SECRET + "\x00"),
    "secret not UTF-8": lambda: Verifier(SECRET.encode() + b"\xff"),
    "secret that raises": lambda: Verifier(Lazy()),
    "too wide a window": lambda: Verifier(SECRET, max_age=1e6),
    "wrong replay_ttl": lambda: Verifier(SECRET, replay_ttl=-1),
    "secret as a buffer": lambda: Verifier(bytearray(SECRET.encode())),
    "wrong previous secret": lambda: Verifier(
        SECRET, previous_secrets=[PREVIOUS + " "]
    ),
    "previous secret alone": lambda: Verifier(SECRET, previous_secrets=PREVIOUS),
    "too many": lambda: Verifier(SECRET, previous_secrets=[PREVIOUS] * 9),
    "wrong option": lambda: Verifier(SECRET, previous_secrets=[PREVIOUS], max_age=-1),
    "wrong size": lambda: Verifier(SECRET, max_body_bytes=0),
    "wrong switch": lambda: Verifier(SECRET, agent=1),
    "wrong scope": lambda: Verifier(SECRET, replay_scope=b""),
    "wrong hook": lambda: Verifier(SECRET, on_verified=5),
    "wrong clock": lambda: Verifier(SECRET, clock=5),
    "wrong store": lambda: Verifier(SECRET, replay_store=object()),
    "wrong received_at": lambda: build().verify(PAYLOAD, VALID, received_at=True),
    "check at a wrong time": lambda: build().check_headers(VALID, received_at="x"),
    "verify, wrong secret": lambda: verify(PAYLOAD, VALID, SECRET + " "),
    "verify, wrong option": lambda: verify(PAYLOAD, VALID, SECRET, max_age=-1),
    "verify, wrong time": lambda: verify(PAYLOAD, VALID, SECRET, received_at=True),
    "sign, wrong secret": lambda: sign(PAYLOAD, SECRET + "\n"),
    "sign, wrong timestamp": lambda: sign(PAYLOAD, SECRET, timestamp=5),
    "sign, wrong body": lambda: sign({"marker": PAYLOAD}, SECRET),
    "sign, lone surrogates": lambda: sign(PAYLOAD.decode() + "\ud800", SECRET),
    "asynchronous store, verify": lambda: build(replay_store=AsyncStore()).verify(
        PAYLOAD, VALID
    ),
    "asynchronous store, receive": lambda: build(replay_store=AsyncStore()).receive(
        PAYLOAD, VALID
    ),
    "checked by another": lambda: build().verify(PAYLOAD, build().check_headers(VALID)),
    "checked, and a time": lambda: check_with_time(build()),
    "checked too long ago": check_long_ago,
    "self_check, no clock": lambda: build(clock=lambda: 0).self_check(),
    "self_check, store down": lambda: build(replay_store=Store(fail)).self_check(),
    "source that raises": lambda: VerifierSource(fail),
    "source of no secret": lambda: VerifierSource(lambda: [SECRET + "\n"]),
    "source with a secret": lambda: VerifierSource(lambda: SECRET, secret=SECRET),
    "source, wrong option": lambda: VerifierSource(lambda: SECRET, max_age=-1),
    "from_json, not JSON": lambda: Delivery.from_json(PAYLOAD[:-1]),
    "from_json, another": lambda: Delivery.from_json(PAYLOAD),
    "from_json, wrong field": lambda: Delivery.from_json(
        deliver(PAYLOAD).to_json().replace("port", "rail")
    ),
    "second use": lambda: enter_twice(build().receive(PAYLOAD, VALID)),
    "json, not JSON": lambda: deliver(PAYLOAD[:-1]).json(),
    "json, not UTF-8": lambda: deliver(PAYLOAD + b"\xff").json(),
    "json, repeated key": lambda: deliver(PAYLOAD[:-1] + b',"n":1}').json(),
    "json, too large": lambda: deliver(PAYLOAD[:-1] + b',"m":1e999}').json(),
    "json, NaN": lambda: deliver(PAYLOAD[:-1] + b',"m":NaN}').json(),
    "json, too deep": lambda: deliver(b"[" * 65 + PAYLOAD + b"]" * 65).json(),
    "parse, not JSON": lambda: deliver(PAYLOAD[:-1]).parse(port_webhook.CustomPayload),
    "parse, no model": lambda: deliver(PAYLOAD).parse(int),
    "parse, another shape": lambda: deliver(PAYLOAD).parse(
        port_webhook.ActionInvocation
    ),
    "invocation, not JSON": lambda: deliver(PAYLOAD[:-1]).invocation(),
    "kafka, parsed": lambda: verify_message({"marker": PAYLOAD}, build()),
    "kafka, not JSON": lambda: verify_message(PAYLOAD[:-1], build()),
    "kafka, no headers": lambda: verify_message(PAYLOAD, build()),
    "kafka, malformed": lambda: verify_message(message(f"v1,{FORGED}="), build()),
    "kafka, mismatch": lambda: verify_message(message(f"v1,{FORGED}"), build()),
    "kafka, too old": lambda: verify_message(
        message(f"v1,{FORGED}"), build(), received_at=NOW + 301
    ),
    "kafka, wrong time": lambda: verify_message(
        message(f"v1,{FORGED}"), build(), received_at=True
    ),
    "kafka, too large": lambda: verify_message(PAYLOAD, build(max_body_bytes=9)),
    "kafka, receive, not JSON": lambda: receive_message(PAYLOAD[:-1], build()),
    "kafka, receive, mismatch": lambda: receive_message(
        message(f"v1,{FORGED}"), build()
    ).__enter__(),
    "kafka, areceive, not JSON": lambda: areceive_message(PAYLOAD[:-1], build()),
    "kafka, asynchronous store": lambda: verify_message(
        message(f"v1,{FORGED}"), build(replay_store=AsyncStore())
    ),
    "kafka, broken record": lambda: kafka.read_record(Broken()),
    "kafka, record of an error": lambda: kafka.read_record(Broken(error="EOF")),
}


class Lazy:
    """A secret that cannot be looked up, with what its manager says of it."""

    def get_secret_value(self):
        raise LookupError(SECRET)


def check_with_time(verifier):
    checked = verifier.check_headers(VALID)
    verifier.verify(PAYLOAD, checked, received_at=NOW)


class Broken:
    """A record that is none; or one that reports an error of the broker."""

    def __init__(self, error=None):
        self.text = PAYLOAD
        self.value = lambda: PAYLOAD
        self.error = lambda: error
        self.timestamp = lambda: None


def message(signature):
    return b'%b,"headers":{"X-Port-Signature":"%b","X-Port-Timestamp":%d}}' % (
        PAYLOAD[:-1],
        signature.encode(),
        NOW,
    )


def deliver(payload):
    return build().verify(payload, headers(payload))


def enter_twice(reception):
    with reception:
        pass
    reception.__enter__()


@pytest.mark.parametrize("name", SETUPS)
async def test_a_call_that_is_refused_shows_nothing(shows_nothing, name):
    async def call():
        SETUPS[name]()

    error = await error_of(call)

    assert isinstance(error, PortWebhookError)
    shows_nothing(error, PAYLOAD[:-1] + b',"headers":{}}')


@pytest.mark.parametrize(
    ("secret", "previous", "options"),
    [
        (SECRET + "\n", "", {}),
        (SECRET, PREVIOUS + ", b", {}),
        (SECRET, ",".join([PREVIOUS] * 9), {}),
        (SECRET, PREVIOUS, {"max_age": -1}),
        (SECRET, PREVIOUS, {"secret": SECRET}),
        (SECRET, PREVIOUS, {"previous_secrets": [PREVIOUS]}),
    ],
)
async def test_the_environment_shows_nothing(
    shows_nothing, monkeypatch, secret, previous, options
):
    monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
    monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", previous)

    async def call():
        Verifier.from_env(**options)

    error = await error_of(call)

    assert isinstance(error, ConfigurationError)
    shows_nothing(error)


def test_a_wrong_call_of_from_env_shows_nothing(monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", PREVIOUS)

    with pytest.raises(TypeError) as caught:
        Verifier.from_env(max_size=5)

    search = Search(needles_for())
    search.error(caught.value, "TypeError")
    assert search.found == []


@pytest.mark.parametrize("kind", [Store, AsyncStore])
async def test_asynchronous_stores_show_nothing(shows_nothing, kind):
    for options in (
        {"claim": "committed"},
        {"claim": "in_progress"},
        {"claim": fail},
        {"claim": talk},
        {"commit": fail},
        {"commit": talk},
    ):
        for fail_open in (False, True):
            verifier = build(replay_store=kind(**options), replay_fail_open=fail_open)
            for call in (call_averify, call_areceive):
                error = await error_of(call, verifier, PAYLOAD, VALID)
                if error is not None:
                    shows_nothing(error)


async def test_a_record_of_a_verified_delivery_shows_nothing(shows_nothing):
    def hook(delivery):
        raise KeyError(delivery.payload)

    verifier = build(on_verified=hook)
    delivery = verifier.verify(PAYLOAD, VALID)
    old = build(on_verified=hook).verify(
        PAYLOAD,
        {**VALID, "X-Port-Signature": "v1," + spell(mac_of(PAYLOAD, PREVIOUS))},
    )

    assert (delivery.secret_index, old.secret_index) == (0, 1)
    shows_nothing(PortWebhookError())


async def test_a_payload_error_of_the_handler_is_recorded_without_the_payload(
    shows_nothing,
):
    for body in (PAYLOAD, PAYLOAD[:-1]):
        try:
            with build().receive(body, headers(body)) as delivery:
                delivery.parse(port_webhook.ActionInvocation)
        except PayloadError as error:
            # The block is the caller's; the frames of ours are what counts.
            shows_nothing(error)


@pytest.mark.parametrize("value", [SECRET, PAYLOAD, FORGED])
@pytest.mark.parametrize(
    "hide",
    [
        lambda value: value,
        lambda value: [{"a": (value,)}],
        lambda value: types.SimpleNamespace(a=value),
        lambda value: lambda: value,
        lambda value: functools.partial(print, value),
        lambda value: (value for _ in "x"),
        lambda value: memoryview(value.encode() if isinstance(value, str) else value),
        ValueError,
        lambda value: Store(value).claim,
    ],
)
def test_the_search_would_find_it(hide, value):
    # A search that finds nothing anywhere shows nothing.
    search = Search(needles_for())

    search.walk({"local": hide(value)}, "here")

    assert search.found


def test_the_search_would_find_a_mac():
    search = Search(needles_for())

    search.walk([mac_of(PAYLOAD), mac_of(RESPELLED, PREVIOUS).hex()], "here")

    assert len(search.found) == 2


def test_the_search_would_find_a_local_of_ours():
    namespace: dict[str, Any] = {}
    source = compile(
        "def leak(payload):\n    raise ValueError\n", f"{PACKAGE}/leak.py", "exec"
    )
    exec(source, namespace)  # noqa: S102  # a frame that passes for one of the package
    search = Search(needles_for())

    with pytest.raises(ValueError) as caught:
        namespace["leak"](PAYLOAD)
    search.error(caught.value, "ValueError")

    assert search.found == ["ValueError: leak.payload"]
