"""The request life cycle, tried with a framework that is made of lambdas."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MethodNotAllowedError,
    MissingHeaderError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    sign,
)
from port_webhook.integration import ahandle, handle, reusable

from .doubles import NOW, SECRET, AsyncStore, Store, make

PACKAGE = Path(port_webhook.__file__).parent
BODY = b'{"context":{"runId":"r_1"}}'
HEADERS = sign(BODY, SECRET, timestamp=NOW)


class Rejections(list[type[DeliveryError]]):
    """What a verifier rejected, as its ``on_rejected``."""

    def __call__(self, error):
        self.append(type(error))


async def call(function, verifier, headers=HEADERS, **changes):
    """Call `handle` or `ahandle` with the same plain functions."""
    options = {
        "method": "POST",
        "existing": None,
        "read": lambda limit: BODY,
        "run": lambda delivery: 200,
        "status_of": lambda outcome: outcome if isinstance(outcome, int) else None,
        "respond": lambda error: error,
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


def too_large(limit):
    raise BodyTooLargeError(limit)


def respond_with_status(error):
    return error.http_status


def never(*_args):
    pytest.fail("this must not be called")


both = pytest.mark.parametrize("function", [handle, ahandle])


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
    answer = await call(function, verifier, read=too_large, run=never)
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
        if PACKAGE in Path(frame.path).parents
    ]
    assert shown
    for text in shown:
        assert HEADERS["x-port-signature"] not in text
        assert "r_1" not in text


@both
@pytest.mark.parametrize(("later", "passes"), [(329, True), (331, False)])
async def test_a_body_may_arrive_at_most_30_seconds_after_its_headers(
    function, later, passes
):
    readings = iter([NOW, NOW + later])
    verifier = make(clock=lambda: next(readings))
    answer = await call(function, verifier)
    assert (answer == 200) is passes
    assert passes or isinstance(answer, TimestampError)


async def test_a_time_of_arrival_takes_the_place_of_the_clock():
    headers = sign(BODY, SECRET, timestamp=NOW - 9_999)
    assert isinstance(await call(handle, make(), headers), TimestampError)
    assert await call(handle, make(), headers, received_at=NOW - 9_900) == 200


@both
@pytest.mark.parametrize("headers", [{}, HEADERS], ids=["unsigned", "signed"])
async def test_a_method_that_port_does_not_use_comes_first(function, headers):
    rejected = Rejections()
    store = Store()
    verifier = make(store, on_rejected=rejected)
    answer = await call(
        function, verifier, headers, method="HEAD", read=never, run=never
    )
    assert isinstance(answer, MethodNotAllowedError)
    assert rejected == [MethodNotAllowedError]
    assert store.steps == []


@both
async def test_an_event_that_names_no_method_is_not_refused_for_it(function):
    assert await call(function, make(), method=None) == 200


@both
async def test_a_framework_makes_the_response_of_each_refusal(function):
    store = Store(commit="?")
    answers = [
        await call(function, make(store), headers, run=run, respond=respond_with_status)
        for headers, run in (
            ({}, never),
            (HEADERS, lambda _: 200),
            (HEADERS, fail(PayloadError("is wrong"))),
        )
    ]
    assert answers == [401, 503, 422]


class Interrupt(BaseException):
    """As a worker's timeout."""


@both
async def test_a_read_that_is_interrupted_shows_no_headers(function):
    with pytest.raises(Interrupt) as caught:
        await call(function, make(), read=fail(Interrupt()))
    for frame in caught.traceback:
        if PACKAGE in Path(frame.path).parents:
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
