"""What every adapter shares, tried with a framework that is made of lambdas."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    CustomPayload,
    Delivery,
    DeliveryError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MissingHeaderError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    Verifier,
    kernel,
    sign,
)
from port_webhook.integration import (
    Endpoint,
    ahandle,
    check_body,
    collect,
    declared_length,
    decorate,
    handle,
    reusable,
)

KERNEL = Path(kernel.__file__)

SECRET = "the-client-secret"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
HEADERS = sign(BODY, SECRET, timestamp=NOW)


class Store:
    """A replay store that writes down what it is asked."""

    def __init__(self, *, answer="claimed", commit=True):
        self.steps = []
        self._answer = answer
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return self._answer

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore(Store):
    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        return super().release(key, owner)


class Rejections(list[type[DeliveryError]]):
    """What a verifier rejected, as its ``on_rejected``."""

    def __call__(self, error):
        self.append(type(error))


def make(store=None, **options):
    options = {"clock": lambda: NOW, **options}
    return Verifier(SECRET, replay_store=store, **options)


async def call(function, verifier, headers=HEADERS, **changes):
    """Call `handle` or `ahandle` with the same plain functions."""
    options = {
        "existing": None,
        "read": lambda limit: BODY,
        "run": lambda delivery: 200,
        "status_of": lambda outcome: outcome if isinstance(outcome, int) else None,
        **changes,
    }
    if function is handle:
        return handle(verifier, headers, **options)

    def awaitable(step):
        async def run(argument):
            return step(argument)

        return run

    for name in ("read", "run"):
        options[name] = awaitable(options[name])
    return await ahandle(verifier, headers, **options)


def fail(error):
    """Return a function that raises *error*, whatever it is called with."""

    def run(*_args):
        raise error

    return run


def never(*_args):
    pytest.fail("this must not be called")


both = pytest.mark.parametrize("function", [handle, ahandle])


# --- The endpoint ------------------------------------------------------------------


def test_an_endpoint_serves_every_request_with_its_verifier():
    verifier = make()
    assert (
        Endpoint[Any](verifier, None, synchronous=True).verifier_for("any") is verifier
    )


def test_an_endpoint_asks_a_function_for_each_request():
    verifiers = {"a": make(), "b": make()}
    endpoint = Endpoint[Any](verifiers.get, None, synchronous=True)
    assert endpoint.verifier_for("a") is verifiers["a"]
    assert endpoint.verifier_for("b") is verifiers["b"]


async def test_an_asynchronous_endpoint_asks_either_kind_of_function():
    verifiers = {"a": make(), "b": make()}

    async def choose(request):
        return verifiers[request]

    for function in (choose, verifiers.get):
        endpoint = Endpoint[Any](function, None, synchronous=False)
        assert await endpoint.averifier_for("a") is verifiers["a"]
        assert await endpoint.averifier_for("b") is verifiers["b"]
        with pytest.raises((ConfigurationError, KeyError)):
            await endpoint.averifier_for("c")


def test_an_endpoint_reads_the_environment_once_and_not_before_it_must(monkeypatch):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    endpoint = Endpoint[Any](None, None, synchronous=True)
    with pytest.raises(ConfigurationError):
        endpoint.verifier_for("any")
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    first = endpoint.verifier_for("any")
    monkeypatch.delenv("PORT_CLIENT_SECRET")
    assert endpoint.verifier_for("another") is first


@pytest.mark.parametrize("wrong", ["a secret", b"a secret", 1, object(), Verifier])
def test_an_endpoint_refuses_what_is_neither_a_verifier_nor_a_function(wrong):
    with pytest.raises(ConfigurationError, match="takes a Verifier") as caught:
        Endpoint[Any](wrong, None, synchronous=True)
    assert "a secret" not in str(caught.value)


def test_an_endpoint_refuses_a_function_that_returns_no_verifier():
    endpoint = Endpoint[Any](lambda _: None, None, synchronous=True)
    with pytest.raises(ConfigurationError, match="did not return a Verifier"):
        endpoint.verifier_for("any")


def test_a_synchronous_endpoint_refuses_an_asynchronous_store_when_it_is_set_up():
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        Endpoint[Any](make(AsyncStore()), None, synchronous=True)


def test_a_synchronous_endpoint_refuses_an_asynchronous_store_that_is_chosen():
    endpoint = Endpoint[Any](lambda _: make(AsyncStore()), None, synchronous=True)
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        endpoint.verifier_for("any")


@pytest.mark.parametrize("store", [Store(), AsyncStore(), None])
def test_an_asynchronous_endpoint_takes_any_store(store):
    verifier = make(store)
    assert Endpoint[Any](verifier, None, synchronous=False).verifier_for(1) is verifier


def test_a_view_gets_the_delivery_unless_there_is_a_model():
    verifier = make()
    delivery = verifier.verify(BODY, HEADERS)
    assert (
        Endpoint[Any](verifier, None, synchronous=True).argument(delivery) is delivery
    )


def test_a_view_gets_the_model():
    endpoint = Endpoint[Any](None, CustomPayload, synchronous=True)
    argument = endpoint.argument(make().verify(BODY, HEADERS))
    assert isinstance(argument, CustomPayload)


@pytest.mark.parametrize("model", [int, "ActionInvocation", Delivery, object()])
def test_an_endpoint_refuses_what_is_no_model_when_it_is_set_up(model):
    with pytest.raises(ConfigurationError, match="is not a model"):
        Endpoint[Any](make(), model, synchronous=True)


# --- The ways of writing @webhook ---------------------------------------------------


def wrapping(view, verifier):
    """Stand for an adapter: a view that says which verifier it was given."""

    def wrapper(*args, **kwargs):
        return (verifier, view(*args, **kwargs))

    wrapper.__name__ = view.__name__
    return wrapper


def view_of_any(*args, **kwargs):
    return (args, kwargs)


def test_a_coroutine_function_that_takes_less_than_a_view_chooses_a_verifier():
    async def choose(request):
        pytest.fail("called")

    async def view(request, delivery):
        pytest.fail("called")

    async def any_view(*args):
        pytest.fail("called")

    made: list[Any] = []

    def make_view(view, verifier):
        made.append((view, verifier))
        return view

    decorate(choose, make_view, view_takes=2)(view_of_any)
    decorate(view, make_view, view_takes=2)
    decorate(any_view, make_view, view_takes=2)
    decorate(choose, make_view)
    assert made == [
        (view_of_any, choose),
        (view, None),
        (any_view, None),
        (choose, None),
    ]


def test_webhook_takes_a_class_for_a_mistake_and_not_for_a_view():
    assert decorate(CustomPayload, wrapping)(view_of_any)() == (CustomPayload, ((), {}))


def test_webhook_with_a_verifier_returns_a_decorator():
    verifier = make()
    view = decorate(verifier, wrapping)(view_of_any)
    assert view(1, a=2) == (verifier, ((1,), {"a": 2}))


def test_webhook_with_nothing_returns_a_decorator():
    assert decorate(None, wrapping)(view_of_any)() == (None, ((), {}))


def test_webhook_with_the_wrong_thing_returns_a_decorator_that_refuses_it():
    def refuse(view, verifier):
        return Endpoint[Any](verifier, None, synchronous=True)

    with pytest.raises(ConfigurationError):
        decorate("a secret", refuse)(view_of_any)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("request",), {}), ((), {"a": 1}), ((1, 2), {}), ((len,), {"a": 1})],
)
def test_bare_webhook_is_a_view_to_whoever_calls_it_with_a_request(args, kwargs):
    view = decorate(view_of_any, wrapping)
    assert view(*args, **kwargs) == (None, (args, kwargs))
    assert view.__name__ == "view_of_any"


def test_webhook_with_a_choosing_function_is_a_decorator_to_one_function():
    def choose(request):
        return make()

    view = decorate(choose, wrapping)(view_of_any)
    assert view() == (choose, ((), {}))
    assert view.__name__ == "view_of_any"


async def test_bare_webhook_on_an_asynchronous_view_is_never_a_decorator():
    async def view(*args):
        return args

    verifier, answer = decorate(view, wrapping)(len)
    assert verifier is None
    assert await answer == (len,)


# --- The body -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [(None, None), ("", None), ("0", 0), ("00", 0), ("12", 12), (f"{'0' * 30}7", 7)],
)
def test_a_declared_length_is_a_number_or_absent(text, length):
    assert declared_length(text, 12) == length


@pytest.mark.parametrize(
    "text", ["-1", "+1", "1_0", "1.0", " 1", "0x1", "1,1", "\u0661", "\u00b2"]
)
def test_a_declared_length_that_is_no_number_is_an_unreadable_body(text):
    assert isinstance(declared_length(text, 100), UnreadableBodyError)


@pytest.mark.parametrize("text", ["13", "100", "0013", "9" * 25, "9" * 100_000])
def test_a_declared_length_over_the_limit_is_too_large(text):
    error = declared_length(text, 12)
    assert isinstance(error, BodyTooLargeError)
    assert error.limit == 12


@pytest.mark.parametrize("declared", [None, 4])
def test_a_body_that_is_as_long_as_declared_and_allowed_is_taken(declared):
    assert check_body(b"1234", declared, 4) == b"1234"


def test_an_empty_body_is_taken():
    assert check_body(b"", 0, 4) == b""
    assert check_body(b"", None, 4) == b""


def test_a_body_that_is_longer_than_allowed_is_too_large():
    assert isinstance(check_body(b"12345", None, 4), BodyTooLargeError)
    assert isinstance(check_body(b"12345", 4, 4), BodyTooLargeError)


def test_a_body_that_is_shorter_than_declared_says_how_much_arrived():
    error = check_body(b"123", 4, 4)
    assert isinstance(error, UnreadableBodyError)
    assert "3 of 4 bytes" in str(error)


def test_a_body_that_is_longer_than_declared_is_unreadable():
    error = check_body(b"1234", 3, 4)
    assert isinstance(error, UnreadableBodyError)
    assert "longer than declared: 4 bytes instead of 3" in str(error)


def test_a_body_that_is_gone_says_that_somebody_may_have_read_it():
    error = check_body(b"", 4, 4)
    assert isinstance(error, UnreadableBodyError)
    assert "something read the body" in str(error)


# --- A request, synchronous and asynchronous ----------------------------------------


@both
async def test_a_genuine_request_is_run_with_its_delivery(function):
    store = Store()
    seen = []

    def run(delivery):
        seen.append((delivery.payload, list(store.steps)))
        return 201

    assert await call(function, make(store), run=run) == 201
    assert seen == [(BODY, ["claim"])]
    assert store.steps == ["claim", "commit"]


@both
async def test_the_body_is_read_with_the_verifiers_limit(function):
    limits = []

    def read(limit):
        limits.append(limit)
        return BODY

    await call(function, make(max_body_bytes=77), read=read)
    assert limits == [77]


@both
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, MissingHeaderError),
        (sign(BODY, SECRET, timestamp=NOW - 999), TimestampError),
    ],
)
async def test_headers_are_refused_before_the_body_is_read(function, headers, error):
    rejected = Rejections()
    verifier = make(on_rejected=rejected)
    answer = await call(function, verifier, headers, read=never, run=never)
    assert isinstance(answer, error)
    assert rejected == [error]


@both
async def test_a_body_that_cannot_be_read_is_recorded_and_returned(function, caplog):
    rejected = Rejections()
    store = Store()
    verifier = make(store, on_rejected=rejected)
    answer = await call(function, verifier, read=BodyTooLargeError, run=never)
    assert isinstance(answer, BodyTooLargeError)
    assert rejected == [BodyTooLargeError]
    assert store.steps == []
    [record] = caplog.records
    assert (record.name, record.levelno) == ("port_webhook", logging.WARNING)
    assert record.port_event == "rejected"
    assert record.port_code == "body_too_large"
    assert record.port_http_status == 413
    assert record.port_limit == 1_048_576


@both
async def test_a_forged_body_is_recorded_and_returned(function):
    rejected = Rejections()
    store = Store()
    verifier = make(store, on_rejected=rejected)
    answer = await call(function, verifier, read=lambda limit: BODY + b" ", run=never)
    assert isinstance(answer, SignatureMismatchError)
    assert rejected == [SignatureMismatchError]
    assert store.steps == []


@both
@pytest.mark.parametrize(
    ("claim", "error"),
    [
        ("committed", DuplicateDeliveryError),
        ("in_progress", DeliveryInProgressError),
        ("?", ReplayStoreError),
    ],
)
async def test_what_the_replay_store_refuses_is_not_run(function, claim, error):
    rejected = Rejections()
    verifier = make(Store(answer=claim), on_rejected=rejected)
    assert isinstance(await call(function, verifier, run=never), error)
    assert rejected == [error]


@both
@pytest.mark.parametrize(
    ("status", "last"),
    [
        (200, "commit"),
        (204, "commit"),
        (302, "commit"),
        (399, "commit"),
        (400, "release"),
        (404, "release"),
        (500, "release"),
    ],
)
async def test_the_final_status_decides_about_the_claim(function, status, last):
    store = Store()
    assert await call(function, make(store), run=lambda _: status) == status
    assert store.steps == ["claim", last]


@both
@pytest.mark.parametrize(
    ("status", "last"), [(None, "release"), (302, "commit"), (404, "release")]
)
async def test_an_exception_counts_by_its_status_if_it_has_one(function, status, last):
    store = Store()
    raised = LookupError()
    with pytest.raises(LookupError) as caught:
        await call(
            function,
            make(store),
            run=fail(raised),
            status_of=lambda outcome: status if outcome is raised else None,
        )
    assert caught.value is raised
    assert store.steps == ["claim", last]


@both
@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, SystemExit])
async def test_the_end_of_the_process_releases_the_claim(function, kind):
    store = Store()
    with pytest.raises(kind):
        await call(function, make(store), run=fail(kind()))
    assert store.steps == ["claim", "release"]


@both
async def test_a_status_that_cannot_be_told_releases_the_claim(function):
    store = Store()

    def status_of(outcome):
        return outcome["status"] if isinstance(outcome, dict) else None

    with pytest.raises(KeyError):
        await call(function, make(store), run=lambda _: {}, status_of=status_of)
    assert store.steps == ["claim", "release"]


@both
async def test_a_payload_error_of_the_view_is_an_answer_and_releases(function, caplog):
    rejected = Rejections()
    store = Store()
    error = PayloadError("is wrong", path="a.b")
    verifier = make(store, on_rejected=rejected)
    assert await call(function, verifier, run=fail(error)) is error
    assert rejected == [PayloadError]
    assert store.steps == ["claim", "release"]
    [record] = [each for each in caplog.records if each.port_event == "rejected"]
    assert record.port_path == "a.b"


@both
async def test_a_verification_error_of_the_view_is_the_views_own(function):
    rejected = Rejections()
    store = Store()
    error = SignatureMismatchError()
    with pytest.raises(SignatureMismatchError) as caught:
        await call(function, make(store, on_rejected=rejected), run=fail(error))
    assert caught.value is error
    assert rejected == []
    assert store.steps == ["claim", "release"]


@both
async def test_a_failed_commit_is_the_answer(function):
    rejected = Rejections()
    verifier = make(Store(commit="?"), on_rejected=rejected)
    assert isinstance(await call(function, verifier), ReplayStoreError)
    assert rejected == [ReplayStoreError]


@both
async def test_a_wrong_configuration_is_raised(function):
    with pytest.raises(ConfigurationError):
        await call(function, make(clock=lambda: float("nan")), read=never, run=never)


async def test_an_asynchronous_store_is_awaited():
    store = AsyncStore()
    assert await call(ahandle, make(store)) == 200
    assert store.steps == ["claim", "commit"]


@both
async def test_the_views_traceback_shows_neither_headers_nor_body(function):
    with pytest.raises(LookupError) as caught:
        await call(function, make(Store()), run=fail(LookupError()))
    shown = [
        repr(frame.frame.f_locals)
        for frame in caught.traceback
        if Path(frame.path) == KERNEL
    ]
    assert shown
    for text in shown:
        assert HEADERS["x-port-signature"] not in text
        assert "r_1" not in text


@both
async def test_one_request_has_one_reading_of_the_clock(function):
    readings = iter([NOW, NOW + 1000])
    verifier = make(clock=lambda: next(readings))
    assert await call(function, verifier) == 200
    assert next(readings) == NOW + 1000


class Interrupt(BaseException):
    """As a worker's timeout."""


@both
async def test_a_read_that_is_interrupted_shows_no_headers(function):
    with pytest.raises(Interrupt) as caught:
        await call(function, make(), read=fail(Interrupt()))
    for frame in caught.traceback:
        if Path(frame.path) == KERNEL:
            shown = repr(frame.frame.f_locals)
            assert HEADERS["x-port-signature"] not in shown


# --- A delivery that is on the request already --------------------------------------


def test_a_delivery_is_reused_for_the_verifier_that_verified_it():
    verifier = make()
    delivery = verifier.verify(BODY, HEADERS)
    assert reusable(delivery, verifier) is delivery
    assert reusable(delivery, make()) is None
    assert reusable(None, verifier) is None
    assert reusable("a delivery", verifier) is None


@both
async def test_a_second_adapter_runs_the_view_and_does_nothing_else(function):
    store = Store()
    verifier = make(store)

    async def outer(existing):
        return await call(
            function, verifier, {}, existing=existing, read=never, run=lambda _: 200
        )

    delivery = verifier.verify(BODY, HEADERS)
    store.steps.clear()
    assert await outer(delivery) == 200
    assert store.steps == []


@both
async def test_a_second_adapter_answers_a_payload_error_once(function):
    rejected = Rejections()
    verifier = make(on_rejected=rejected)
    error = PayloadError("is wrong")
    delivery = verifier.verify(BODY, HEADERS)
    answer = await call(
        function, verifier, {}, existing=delivery, read=never, run=fail(error)
    )
    assert answer is error
    assert rejected == [PayloadError]


@both
async def test_a_second_adapter_leaves_the_views_exception_alone(function):
    verifier = make()
    delivery = verifier.verify(BODY, HEADERS)
    with pytest.raises(LookupError):
        await call(function, verifier, {}, existing=delivery, run=fail(LookupError()))


@both
async def test_a_delivery_of_another_verifier_is_verified_again(function):
    delivery = make().verify(BODY, HEADERS)
    answer = await call(function, make(), {}, existing=delivery, run=never)
    assert isinstance(answer, MissingHeaderError)


# --- A body that comes in chunks ----------------------------------------------------


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("length", [None, "4"])
async def test_chunks_are_joined(length):
    assert await collect(stream(b"12", b"", b"34"), length, 4) == b"1234"


async def test_no_chunks_are_an_empty_body():
    assert await collect(stream(), None, 4) == b""


async def test_chunks_are_not_asked_for_beyond_the_limit():
    async def chunks():
        yield b"123"
        yield b"45"
        pytest.fail("the limit was passed")

    assert isinstance(await collect(chunks(), None, 4), BodyTooLargeError)


@pytest.mark.parametrize(
    ("length", "error"), [("5", BodyTooLargeError), ("x", UnreadableBodyError)]
)
async def test_a_wrong_length_is_refused_before_the_first_chunk(length, error):
    async def chunks():
        pytest.fail("the body was read")
        yield b""

    assert isinstance(await collect(chunks(), length, 4), error)


async def test_chunks_that_end_early_are_a_truncated_body():
    assert isinstance(await collect(stream(b"12"), "4", 4), UnreadableBodyError)


async def test_what_reading_raises_goes_through_without_what_was_read():
    async def chunks():
        yield b"a secret"
        raise OSError

    with pytest.raises(OSError) as caught:
        await collect(chunks(), None, 100)
    [frame] = [each for each in caught.traceback if Path(each.path) == KERNEL]
    assert "a secret" not in repr(frame.frame.f_locals)
