"""What leaves a public function shows nothing, whenever it is interrupted.

A worker's abort, Ctrl-C or a soft time limit raise their exception wherever the
interpreter happens to be. Here one is raised at the first line of the library that a
call runs, then at the second, and so on until the call ends by itself. Each time, all
that an error tracker could collect is searched for the secret, the payload, the
signature and the expected MAC. `injection` names the two moments that are left out.

Why: docs/design.md#errors-leave-at-one-boundary
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import json
import logging
import pickle
import signal
import threading
import types
from functools import partial
from typing import Any

import msgspec
import pydantic
import pytest

import port_webhook
from port_webhook import (
    _arguments,
    _json,
    decryption,
    dispatch,
    models,
    replay,
    testing,
)
from port_webhook.adapters import kafka
from port_webhook.replay import dynamodb, memory, redis
from port_webhook.testing import httpx2, requests

from .injection import SoftTimeLimit, Stop, interrupt, is_boundary, is_unprotected
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
from .test_leaks import FORGERY, VALID, AsyncStore, Store, build, fail

pytestmark = pytest.mark.filterwarnings(
    # One that is interrupted before it is awaited.
    "ignore:coroutine .* was never awaited:RuntimeWarning"
)

Verifier: Any = port_webhook.Verifier
from_dict: Any = models.ActionInvocation.from_dict  # mypy asks for the inputs' type
LOOP = asyncio.new_event_loop()
# A task that nobody waits for any more, since its request was interrupted.
LOOP.set_exception_handler(lambda *_: None)

ENVELOPE = json.dumps(
    {
        "action": "create",
        "resourceType": "run",
        "status": "TRIGGERED",
        "trigger": {
            "by": {"orgId": "org_1", "user": {"email": "a@example.com"}},
            "origin": "UI",
            "at": "2024-04-16T14:31:29Z",
        },
        "context": {"entity": None, "blueprint": "service", "runId": "r_1"},
        "payload": {
            "entity": None,
            "action": {"invocationMethod": {"type": "WEBHOOK"}},
            "properties": {"name": "PAYLOAD-marker-9c31"},
            "censoredProperties": [],
        },
    },
    separators=(",", ":"),
).encode()
LONG_SECRET = f"{SECRET}, which is as long as a key"
CIPHERTEXT = testing.encrypt_secret("PAYLOAD-marker-9c31", LONG_SECRET)


class Inputs(pydantic.BaseModel):
    marker: str
    n: list[int]


class Struct(msgspec.Struct):
    marker: str
    n: list[int]


def deliver(payload=ENVELOPE, **options):
    return build(**options).verify(payload, headers(payload))


def message(payload=PAYLOAD):
    body = payload[:-1] + b',"headers":{}}'
    signature = spell(mac_of(body)).encode()
    keys = b'"X-Port-Signature":"v1,%b","X-Port-Timestamp":%d' % (signature, NOW)
    return body[:-2] + keys + b"}}"


def receive(verifier, *args, handle=lambda _: None):
    with verifier.receive(*args) as delivery:
        handle(delivery)


def areceive(verifier, *args):
    async def run():
        async with verifier.areceive(*args):
            pass

    LOOP.run_until_complete(run())


def averify(verifier, *args):
    LOOP.run_until_complete(verifier.averify(*args))


def step(coroutine_function, *args):
    """Run a coroutine that never waits, without a loop."""
    coroutine = coroutine_function(*args)
    with pytest.raises(StopIteration):
        coroutine.send(None)


def due_source():
    """A source whose secret is to be fetched again, and has changed."""
    times, secrets = iter([NOW, *[NOW + 900] * 9]), iter([PREVIOUS, SECRET])
    return port_webhook.VerifierSource(secrets.__next__, clock=times.__next__)


def call_due_source():
    return due_source()()


def read_all(model):
    for name in dir(type(model)):
        if not name.startswith("_") and name != "from_dict":
            getattr(model, name)


class Consumer:
    """A consumer of confluent-kafka with one record."""

    def poll(self, _timeout):
        return self

    def value(self):
        return message()

    def error(self):
        return None

    def timestamp(self):
        return 0, 0

    def topic(self):
        return "runs"

    def partition(self):
        return 0

    offset = partition

    def commit(self, **_):
        return []


BOTH = f"v1,{FORGED} {VALID['X-Port-Signature']}"
BY_PREVIOUS = {**VALID, "X-Port-Signature": "v1," + spell(mac_of(PAYLOAD, PREVIOUS))}
HOOKS: dict[str, Any] = {"on_verified": repr, "on_rejected": repr}

# Each makes a call, which is repeated and interrupted.
CALLS: dict[str, Any] = {
    # The verifier
    "verify": lambda: partial(build().verify, PAYLOAD, VALID),
    "verify, mismatch": lambda: partial(build().verify, PAYLOAD, FORGERY),
    "verify, no headers": lambda: partial(build().verify, PAYLOAD, {}),
    "verify, odd headers": lambda: partial(
        build().verify, PAYLOAD, [(k.encode(), [v]) for k, v in VALID.items()]
    ),
    "verify, broken headers": lambda: partial(
        build().verify, PAYLOAD, [*VALID.items(), (1, 2, 3)]
    ),
    "verify, too old": lambda: partial(
        build().verify, PAYLOAD, VALID, received_at=NOW + 999
    ),
    "verify, several signatures": lambda: partial(
        build().verify, PAYLOAD, {**VALID, "X-Port-Signature": BOTH}
    ),
    "verify, previous secret": lambda: partial(build().verify, PAYLOAD, BY_PREVIOUS),
    "verify, text": lambda: partial(build().verify, PAYLOAD.decode(), VALID),
    "verify, buffer": lambda: partial(build().verify, bytearray(PAYLOAD), VALID),
    "verify, parsed body": lambda: partial(build().verify, {"a": PAYLOAD}, VALID),
    "verify, too large": lambda: partial(
        build(max_body_bytes=9).verify, PAYLOAD, VALID
    ),
    "verify, agent": lambda: partial(build(agent=True).verify, RESPELLED, VALID),
    "verify, agent, mismatch": lambda: partial(
        build(agent=True).verify, RESPELLED, FORGERY
    ),
    "verify, agent, not JSON": lambda: partial(
        build(agent=True).verify, PAYLOAD[:-1] + b" ", headers(PAYLOAD[:-1])
    ),
    "verify, hooks": lambda: partial(build(**HOOKS).verify, PAYLOAD, VALID),
    "verify, hooks, mismatch": lambda: partial(build(**HOOKS).verify, PAYLOAD, FORGERY),
    "verify, hook that raises": lambda: partial(
        build(on_verified=lambda _: fail()).verify, PAYLOAD, VALID
    ),
    "verify, store": lambda: partial(
        build(replay_store=Store()).verify, PAYLOAD, VALID
    ),
    "verify, duplicate": lambda: partial(
        build(replay_store=Store("committed")).verify, PAYLOAD, VALID
    ),
    "verify, store that raises": lambda: partial(
        build(replay_store=Store(fail)).verify, PAYLOAD, VALID
    ),
    "verify, checked": lambda: check_then_verify(build()),
    "averify": lambda: partial(step, build().averify, PAYLOAD, VALID),
    "averify, mismatch": lambda: partial(averify, build(), PAYLOAD, FORGERY),
    "averify, store": lambda: partial(
        averify, build(replay_store=AsyncStore()), PAYLOAD, VALID
    ),
    "averify, duplicate": lambda: partial(
        averify, build(replay_store=AsyncStore("committed")), PAYLOAD, VALID
    ),
    "check_headers": lambda: partial(build().check_headers, VALID),
    "check_headers, malformed": lambda: partial(
        build().check_headers, {**VALID, "X-Port-Signature": FORGED}
    ),
    "receive": lambda: partial(receive, build(), PAYLOAD, VALID),
    "receive, mismatch": lambda: partial(receive, build(), PAYLOAD, FORGERY),
    "receive, store": lambda: partial(
        receive, build(replay_store=Store()), PAYLOAD, VALID
    ),
    "receive, handler that raises": lambda: partial(
        receive,
        build(replay_store=Store()),
        PAYLOAD,
        VALID,
        handle=lambda delivery: delivery.parse(models.ActionInvocation),
    ),
    "areceive": lambda: partial(areceive, build(), PAYLOAD, VALID),
    "areceive, store": lambda: partial(
        areceive, build(replay_store=AsyncStore()), PAYLOAD, VALID
    ),
    "areceive, commit that raises": lambda: partial(
        areceive, build(replay_store=AsyncStore(commit=fail)), PAYLOAD, VALID
    ),
    "self_check": lambda: build(replay_store=Store()).self_check,
    "aself_check": lambda: partial(
        lambda check: LOOP.run_until_complete(check()),
        build(replay_store=AsyncStore()).aself_check,
    ),
    "reject": lambda: partial(
        build(**HOOKS).reject, port_webhook.UnreadableBodyError("It was truncated.")
    ),
    # What makes one
    "sign": lambda: partial(port_webhook.sign, PAYLOAD, SECRET),
    "function": lambda: partial(
        port_webhook.verify, PAYLOAD, VALID, SECRET, received_at=NOW
    ),
    "function, agent, mismatch": lambda: partial(
        port_webhook.verify, PAYLOAD, FORGERY, SECRET, received_at=NOW, agent=True
    ),
    "Verifier": lambda: partial(
        Verifier, SECRET, previous_secrets=[PREVIOUS], **HOOKS, replay_store=Store()
    ),
    "Verifier, damaged secret": lambda: partial(Verifier, f"{SECRET}\u200b"),
    "Verifier, SecretStr": lambda: partial(Verifier, pydantic.SecretStr(SECRET)),
    "from_env": lambda: Verifier.from_env,
    "VerifierSource": lambda: partial(
        port_webhook.VerifierSource, lambda: (SECRET, [PREVIOUS])
    ),
    "VerifierSource, called": lambda: call_due_source,
    # The delivery
    "delivery.timestamp": lambda: lambda: deliver().timestamp,
    "delivery.replay_key": lambda: lambda: deliver().replay_key,
    "delivery.run_id": lambda: lambda: deliver().run_id,
    "delivery.run_id, not JSON": lambda: lambda: deliver(PAYLOAD[:-1]).run_id,
    "delivery.json": lambda: deliver().json,
    "delivery.json, not JSON": lambda: deliver(PAYLOAD[:-1]).json,
    "delivery.invocation": lambda: deliver().invocation,
    "delivery.parse": lambda: partial(
        deliver().parse, models.ActionInvocation, validate=True
    ),
    "delivery.parse, another": lambda: partial(
        deliver(PAYLOAD).parse, models.ActionInvocation
    ),
    "delivery.parse, pydantic": lambda: partial(deliver(PAYLOAD).parse, Inputs),
    "delivery.parse, pydantic, refused": lambda: partial(deliver().parse, Inputs),
    "delivery.parse, msgspec": lambda: partial(deliver(PAYLOAD).parse, Struct),
    "delivery.parse, msgspec, refused": lambda: partial(deliver().parse, Struct),
    "delivery.to_json": lambda: deliver().to_json,
    "Delivery.from_json": lambda: partial(
        port_webhook.Delivery.from_json, deliver().to_json()
    ),
    "Delivery.from_json, another": lambda: partial(
        port_webhook.Delivery.from_json, PAYLOAD
    ),
    "delivery, shown": lambda: partial(repr, deliver()),
    "delivery, whose": lambda: partial(deliver().verified_by, None),
    "checked, shown": lambda: partial(repr, build().check_headers(VALID)),
    "delivery, pickled": lambda: partial(
        lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301  # made here
        deliver(),
    ),
    "delivery, copied": lambda: partial(copy.deepcopy, deliver()),
    # Models
    "load_invocation": lambda: partial(models.load_invocation, ENVELOPE),
    "load_invocation, not JSON": lambda: partial(models.load_invocation, ENVELOPE[1:]),
    "load": lambda: partial(
        models.load, models.ActionInvocation | models.CustomPayload, ENVELOPE
    ),
    "from_dict": lambda: partial(from_dict, json.loads(ENVELOPE)),
    "accessors": lambda: partial(read_all, models.load_invocation(ENVELOPE)),
    "accessors, custom": lambda: partial(read_all, models.load_invocation(PAYLOAD)),
    "model, compared": lambda: partial(
        lambda one, other: one == other,
        models.load_invocation(ENVELOPE),
        models.load_invocation(ENVELOPE),
    ),
    "model, pickled": lambda: partial(
        lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301  # made here
        models.load_invocation(ENVELOPE),
    ),
    "models, shown": lambda: (
        lambda: [repr(models.load_invocation(each)) for each in (ENVELOPE, PAYLOAD)]
    ),
    "validate": lambda: models.load_invocation(ENVELOPE).validate,
    # Kafka
    "kafka.verify_message": lambda: partial(kafka.verify_message, message(), build()),
    "kafka.verify_message, escaped": lambda: partial(
        kafka.verify_message, message(PAYLOAD).replace(b"9c31", b"9\\u006331"), build()
    ),
    "kafka.verify_message, refused": lambda: partial(
        kafka.verify_message, message().replace(b"[1,2]", b"[1,3]"), build()
    ),
    "kafka.receive_message": lambda: partial(
        lambda *args: kafka.receive_message(*args).__enter__(), message(), build()
    ),
    "kafka.consume": lambda: partial(
        kafka.consume, Consumer(), build(), repr, running=iter([True, False]).__next__
    ),
    # Secret inputs
    "decrypt_secret": lambda: partial(
        decryption.decrypt_secret, CIPHERTEXT, LONG_SECRET
    ),
    "decrypt_secret, wrong secret": lambda: partial(
        decryption.decrypt_secret, CIPHERTEXT, LONG_SECRET[::-1] + SECRET
    ),
    "decrypt_properties": lambda: partial(
        decryption.decrypt_properties,
        {"a": CIPHERTEXT, "b": "PAYLOAD-marker-9c31"},
        paths=["a"],
        client_secret=[SECRET, LONG_SECRET],
    ),
    "decrypt_properties, verifier": lambda: partial(
        decryption.decrypt_properties,
        deliver(json.dumps({"a": CIPHERTEXT, "b": "PAYLOAD-marker-9c31"}).encode()),
        paths=["a"],
        verifier=Verifier(PREVIOUS, previous_secrets=[LONG_SECRET]),
    ),
    # Tools for tests
    "testing.sign_request": lambda: partial(
        testing.sign_request, json.loads(PAYLOAD), SECRET
    ),
    "testing.sign_as_agent": lambda: partial(
        testing.sign_as_agent, json.loads(PAYLOAD), SECRET
    ),
    "testing.sign_kafka_message": lambda: partial(
        testing.sign_kafka_message, json.loads(PAYLOAD), SECRET
    ),
    "testing.encrypt_secret": lambda: partial(
        testing.encrypt_secret, "PAYLOAD-marker-9c31", LONG_SECRET
    ),
}


def check_then_verify(verifier):
    checked = verifier.check_headers(VALID)
    return partial(verifier.verify, PAYLOAD, checked)


NEEDLES = [
    *needles_for(ENVELOPE, PAYLOAD[:-1], PAYLOAD[:-1] + b',"headers":{}}'),
    LONG_SECRET[:32].encode(),
    LONG_SECRET[::-1].encode(),
    CIPHERTEXT.encode(),
]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", PREVIOUS)


def search_for_leaks(call, kind, records):
    """Interrupt *call* at each of its lines; return where something is shown."""
    number, found, more = 0, [], True
    while more:
        number += 1
        error, more = interrupt(call, number, kind)
        search = Search(NEEDLES, below=True)
        search.walk(error, f"{number}")
        for record in records:
            search.walk(vars(record), f"{number}: record")
        records.clear()
        found += search.found
    assert number > 1
    return found


@pytest.mark.parametrize("kind", [Stop, SoftTimeLimit])
@pytest.mark.parametrize("name", CALLS)
def test_an_exception_at_any_line_shows_nothing(records, name, kind):
    assert search_for_leaks(CALLS[name](), kind, records) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: partial(build()._judge, PAYLOAD, VALID, None),
        lambda: partial(_arguments.read_secret, SECRET, "secret"),
        lambda: partial(_json.parse, PAYLOAD),
    ],
)
def test_without_a_boundary_the_same_would_show_it(records, call):
    # A search that finds nothing anywhere shows nothing.
    assert len(search_for_leaks(call(), Stop, records)) > 1


# A module of each kind but the adapters, whose functions are called by a framework:
# tests/adapters interrupts those.
MODULES = [
    port_webhook,
    decryption,
    dispatch,
    kafka,
    models,
    replay,
    dynamodb,
    memory,
    redis,
    testing,
    httpx2,
    requests,
]

# The functions of public classes that are no boundaries, and why.
WITHOUT = {
    # They make a class, or refuse an attribute: nothing came yet, or nothing is kept.
    "InputsModel.__class_getitem__": "a class is made",
    "InputsModel.__init_subclass__": "a class is made",
    "Model.__init_subclass__": "a class is made",
    "Model.__init__": "it only refuses",
    "Model.__setattr__": "it only refuses",
    "Model.__delattr__": "it only refuses",
    # Only the library makes these, within a boundary.
    "CheckedHeaders.__init__": "`check_headers` calls it",
    "Delivery.__init__": "`verify` calls it",
    "_BaseReception.__init__": "`receive` calls it",
    # They read what a verifier holds, which shows no secret.
    "Verifier.__repr__": "it reads options",
    "Verifier.max_body_bytes": "it reads an option",
    "Verifier.replay_scope": "it reads an option",
    "Verifier.has_replay_store": "it reads an option",
    "Verifier.is_async": "it reads an option",
    "VerifierSource.__repr__": "it reads an option",
    "MemoryReplayStore.__repr__": "it counts keys",
    "FixedClock.__call__": "it holds a time",
    "FixedClock.advance": "it holds a time",
    "FixedClock.reset": "it holds a time",
    # A generator, which httpx2 closes; it signs by a boundary.
    "SigningAuth.auth_flow": "httpx2 runs it",
}


def functions_of(value):
    """Yield the functions that a public name of ours offers, each with its name."""
    if isinstance(value, types.FunctionType):
        yield value.__qualname__, value
    if not isinstance(value, type) or issubclass(value, BaseException):
        return  # an error holds nothing: see `exceptions`
    for kind in value.__mro__:
        if getattr(kind, "_is_protocol", False):
            continue
        for name, member in vars(kind).items():
            if name.startswith("_") and not name.startswith("__"):
                continue
            inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if isinstance(inner, types.FunctionType):
                yield f"{kind.__name__}.{name}", inner


FUNCTIONS = {
    name: function
    for module in MODULES
    for public in module.__all__
    for name, function in functions_of(getattr(module, public))
    if inspect.unwrap(function).__code__.co_filename.startswith(PACKAGE)
}


def test_the_functions_are_found():
    assert {"verify", "Verifier.verify", "Delivery.json", "load"} < FUNCTIONS.keys()
    assert len(FUNCTIONS) > 100


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_a_boundary(name):
    assert is_boundary(FUNCTIONS[name]) != (name in WITHOUT)


def test_no_reason_is_left_over():
    assert WITHOUT.keys() <= FUNCTIONS.keys()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timer")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="a signal is handled by the main thread",
)
@pytest.mark.parametrize(
    "name",
    [
        "verify",
        "verify, mismatch",
        "verify, agent",
        "verify, store",
        "receive",
        "function",
        "delivery.json",
        "delivery.run_id",
        "delivery.parse",
        "kafka.verify_message",
        "decrypt_secret",
    ],
)
def test_a_signal_shows_nothing_wherever_it_lands(name):
    call = CALLS[name]()
    with contextlib.suppress(port_webhook.PortWebhookError):
        call()  # what is imported late is imported now
    fired = False

    def handle(*_):
        nonlocal fired
        fired = True
        raise Stop

    def shoot(delay):
        signal.setitimer(signal.ITIMER_REAL, delay)
        while not fired:
            with contextlib.suppress(port_webhook.PortWebhookError):
                call()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        for number in range(60):
            fired = False
            try:
                shoot(1e-5 + number * 3.1e-6)
            except Stop as error:
                if is_unprotected(error.__traceback__):
                    continue
                search = Search(NEEDLES, below=True)
                search.walk(error, f"{number}")
                assert search.found == []
            # Else it landed where Python cannot raise, such as in a finalizer.
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        release_logging()


def release_logging():
    """Release the locks of `logging` that a signal kept this thread from releasing.

    Else every other thread that logs would wait for ever.
    """
    private: Any = logging
    handlers = [found() for found in private._handlerList]
    held = [each.lock for each in handlers if each is not None and each.lock]
    for lock in (private._lock, *held):
        with contextlib.suppress(RuntimeError):  # as often as it is held
            while True:
                lock.release()
