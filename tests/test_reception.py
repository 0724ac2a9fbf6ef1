"""`receive` and `areceive` with stores that are written here: claim, commit, release.

`port_webhook.replay._claims` decides what a store's answers mean; what is shown here is
what a handler, a sender and an operator see of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from port_webhook import (
    ConfigurationError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    PayloadError,
    PortWebhookError,
    ReplayError,
    ReplayStoreError,
    SignatureMismatchError,
)
from tests.store_doubles import AsyncStore, Store

BODY = b'{"context":{"runId":"r_1"}}'


class Memory(Store):
    """A store that remembers, without leases or an expiry."""

    def __init__(self):
        super().__init__()
        self.keys = {}

    def claim(self, key, owner, lease):
        self.calls.append(("claim", key, owner, lease))
        if key not in self.keys:
            self.keys[key] = owner
            return "claimed"
        return "committed" if self.keys[key] == "done" else "in_progress"

    def commit(self, key, owner, ttl):
        self.calls.append(("commit", key, owner, ttl))
        held = self.keys.get(key) == owner
        if held:
            self.keys[key] = "done"
        return held

    def release(self, key, owner):
        self.calls.append(("release", key, owner))
        return self.keys.pop(key, None) == owner


class HandlerError(Exception):
    """What a handler raises."""


async def asynchronously(verifier, body, headers, run, status=None, **options):
    reception = verifier.areceive(body, headers, **options)
    async with reception as delivery:
        reception.status = status
        return run(delivery)


async def synchronously(verifier, body, headers, run, status=None, **options):
    reception = verifier.receive(body, headers, **options)
    with reception as delivery:
        reception.status = status
        return run(delivery)


@pytest.fixture(
    params=[
        pytest.param((synchronously, Store), id="receive"),
        pytest.param((asynchronously, Store), id="areceive with a synchronous store"),
        pytest.param((asynchronously, AsyncStore), id="areceive"),
    ]
)
def world(request, make_verifier, headers_for):
    """A way to receive one delivery, with a store of its kind."""
    receive, kind = request.param

    class World:
        def __init__(self):
            self.store = None
            self.handled = []

        async def receive(
            self,
            run=lambda _: "result",
            *,
            body=BODY,
            headers=None,
            received_at=None,
            status=None,
            options=(),
            **answers,
        ):
            self.store = kind(**answers)
            verifier = make_verifier(replay_store=self.store, **dict(options))
            if headers is None:
                headers = headers_for(body)

            def handle(delivery):
                self.handled.append(delivery)
                return run(delivery)

            return await receive(
                verifier, body, headers, handle, status, received_at=received_at
            )

    return World()


def fail(_=None):
    raise HandlerError


class TestClaim:
    async def test_the_handler_runs_between_claim_and_commit(self, world):
        steps = await world.receive(lambda _: list(world.store.steps))

        assert steps == ["claim"]
        assert world.store.steps == ["claim", "commit"]

    async def test_the_key_is_that_of_the_signed_request(self, world):
        await world.receive()

        keys = {call[1] for call in world.store.calls}
        assert keys == {world.handled[0].replay_key}

    async def test_each_attempt_has_an_owner_of_its_own(self, world):
        owners = set()
        for _ in range(3):
            await world.receive()
            (owner,) = {call[2] for call in world.store.calls}
            owners.add(owner)

        assert len(owners) == 3
        assert all(len(owner) == 32 for owner in owners)

    async def test_the_lease_is_passed_on(self, world):
        await world.receive(options={"replay_lease": 7.5})

        assert world.store.calls[0][3] == 7.5

    @pytest.mark.parametrize("age", [-60, 0, 100, 300])
    async def test_the_mark_lasts_until_the_timestamp_cannot_pass(
        self, world, headers_for, now, age
    ):
        await world.receive(headers=headers_for(BODY, timestamp=str(now - age)))

        assert world.store.calls[-1][3] == 300 - age + 60

    async def test_the_mark_lasts_for_the_window_if_the_caller_sets_the_time(
        self, world, now
    ):
        await world.receive(received_at=now + 200)

        assert world.store.calls[-1][3] == 300 + 60 + 60

    async def test_nothing_is_claimed_before_the_signature_was_verified(
        self, world, headers_for
    ):
        with pytest.raises(SignatureMismatchError):
            await world.receive(headers=headers_for(b"{}"))

        assert world.store.calls == []
        assert world.handled == []

    async def test_a_duplicate_is_answered_200_without_the_handler(
        self, world, records
    ):
        with pytest.raises(DuplicateDeliveryError) as caught:
            await world.receive(claim="committed")

        assert caught.value.http_status == 200
        assert world.handled == []
        assert world.store.steps == ["claim"]
        (record,) = records
        assert record.levelno == logging.WARNING
        assert record.port_code == "duplicate_delivery"

    async def test_a_duplicate_is_recorded_as_not_run_again_and_not_as_refused(
        self, world, records
    ):
        with pytest.raises(DuplicateDeliveryError) as caught:
            await world.receive(claim="committed")

        assert records[0].getMessage() == (
            f"Port delivery not run again (duplicate_delivery): {caught.value}"
        )

    @pytest.mark.parametrize(
        "answers",
        [
            {"claim": "committed"},
            {"claim": "in_progress"},
            {"claim": OSError()},
            {"commit": OSError()},
        ],
    )
    async def test_an_error_after_verification_names_its_run(
        self, world, records, answers
    ):
        seen: list[Any] = []

        with pytest.raises(ReplayError) as caught:
            await world.receive(options={"on_rejected": seen.append}, **answers)

        assert seen == [caught.value]
        assert caught.value.run_id == "r_1"
        assert records[-1].port_run_id == "r_1"

    @pytest.mark.parametrize(
        ("replay_ttl", "ttl"), [(None, 360), (0, 360), (359, 360), (86_400, 86_400)]
    )
    async def test_the_mark_lasts_at_least_as_long_as_is_asked_for(
        self, world, replay_ttl, ttl
    ):
        await world.receive(options={"replay_ttl": replay_ttl})

        assert world.store.calls[-1][3] == ttl

    async def test_it_does_so_too_if_the_caller_sets_the_time(self, world, now):
        await world.receive(received_at=now, options={"replay_ttl": 604_800})

        assert world.store.calls[-1][3] == 604_800

    async def test_one_in_progress_is_answered_409(self, world, records):
        with pytest.raises(DeliveryInProgressError) as caught:
            await world.receive(claim="in_progress")

        assert caught.value.http_status == 409
        assert "Retry-After" in caught.value.http_headers
        assert world.handled == []
        assert world.store.steps == ["claim"]
        assert records[0].port_code == "delivery_in_progress"

    @pytest.mark.parametrize(
        "raised",
        [
            RuntimeError("redis://user:password@host"),
            TimeoutError(),
            LookupError(),
            ReplayStoreError("is full"),
            ConfigurationError("the table is full"),
            asyncio.CancelledError(),  # of a task of the store's own
            ConnectionError("refused"),
        ],
        ids=repr,
    )
    async def test_a_store_that_raises_fails_closed(self, world, records, raised):
        with pytest.raises(ReplayStoreError) as caught:
            await world.receive(claim=raised)

        error = caught.value
        assert error.http_status == 503
        assert "Retry-After" in error.http_headers
        assert world.handled == []
        assert error.__cause__ is error.__context__ is None
        assert records[0].levelno == logging.ERROR
        if isinstance(raised, PortWebhookError):
            assert "is full" in str(error)
        else:
            assert type(raised).__name__ in str(error)
            assert "password" not in str(error)

    @pytest.mark.parametrize(
        "answer",
        [None, True, False, "", "Claimed", b"claimed", 0, 1, [], object(), OSError],
    )
    async def test_a_nonsense_answer_fails_closed(self, world, answer):
        with pytest.raises(ReplayStoreError, match="unknown answer to claim"):
            await world.receive(claim=lambda: answer)

        assert world.handled == []


class TestCommit:
    async def test_a_lost_lease_is_logged_not_raised(self, world, records):
        assert await world.receive(commit=False) == "result"

        lost = [each for each in records if each.levelno == logging.WARNING]
        assert [each.port_event for each in lost] == ["replay_lease_lost"]
        assert lost[0].port_lease == 60

    @pytest.mark.parametrize("answer", [None, 1, 0, "yes", OSError("down")], ids=repr)
    async def test_a_commit_that_fails_is_answered_503(self, world, records, answer):
        with pytest.raises(ReplayStoreError, match="to commit"):
            await world.receive(commit=answer)

        assert len(world.handled) == 1
        assert records[-1].port_code == "replay_store_error"

    async def test_a_handler_that_raises_releases(self, world):
        with pytest.raises(HandlerError):
            await world.receive(fail)

        assert world.store.steps == ["claim", "release"]

    @pytest.mark.parametrize("status", [100, 200, 204, 302, 399])
    async def test_a_status_under_400_commits(self, world, status):
        await world.receive(status=status)

        assert world.store.steps == ["claim", "commit"]

    @pytest.mark.parametrize("status", [400, 404, 500, 503])
    async def test_a_status_of_400_and_over_releases(self, world, status):
        await world.receive(status=status)

        assert world.store.steps == ["claim", "release"]

    @pytest.mark.parametrize("status", [307, 308])
    async def test_a_redirect_of_the_same_request_releases(self, world, status):
        await world.receive(status=status)

        assert world.store.steps == ["claim", "release"]

    async def test_an_exception_with_a_status_counts_by_its_status(self, world):
        with pytest.raises(HandlerError):
            await world.receive(fail, status=302)

        assert world.store.steps == ["claim", "commit"]

    @pytest.mark.parametrize("answer", [None, "yes", OSError("password")], ids=repr)
    async def test_a_release_that_fails_is_logged_behind_the_handlers_error(
        self, world, records, answer
    ):
        with pytest.raises(HandlerError) as caught:
            await world.receive(fail, release=answer)

        assert caught.value.__context__ is None
        assert records[-1].port_event == "replay_store_failed"
        assert records[-1].levelno == logging.ERROR
        assert "password" not in records[-1].getMessage()

    async def test_a_release_of_a_lost_lease_is_nothing_to_report(self, world, records):
        with pytest.raises(HandlerError):
            await world.receive(fail, release=False)

        assert all(record.levelno < logging.WARNING for record in records)

    async def test_a_commit_that_fails_does_not_hide_the_handlers_error(
        self, world, records
    ):
        with pytest.raises(HandlerError):
            await world.receive(fail, status=200, commit=OSError())

        assert records[-1].port_code == "replay_store_error"

    async def test_a_payload_error_of_the_handler_is_recorded(self, world, records):
        error = PayloadError("is missing", path="a.b")

        def parse(delivery):
            raise error

        with pytest.raises(PayloadError):
            await world.receive(parse)

        assert world.store.steps == ["claim", "release"]
        assert records[-1].port_code == "invalid_payload"
        assert records[-1].port_path == "a.b"
        assert error.run_id == records[-1].port_run_id == "r_1"

    async def test_a_payload_error_that_names_a_run_keeps_it(self, world):
        error = PayloadError("is missing")
        error.run_id = "r_2"

        def parse(delivery):
            raise error

        with pytest.raises(PayloadError):
            await world.receive(parse)

        assert error.run_id == "r_2"


class TestFailOpen:
    OPTIONS = {"replay_fail_open": True}  # read only

    async def test_the_handler_runs_and_a_warning_is_logged_each_time(
        self, world, records
    ):
        for times in (1, 2):
            await world.receive(claim=OSError("down"), options=self.OPTIONS)

            assert len(world.handled) == times
            assert world.store.steps == ["claim"]
        opened = [each for each in records if each.port_event == "replay_failed_open"]
        assert [each.levelno for each in opened] == [logging.WARNING] * 2
        assert [each.port_step for each in opened] == ["claim"] * 2
        assert "down" not in opened[0].getMessage()

    async def test_a_nonsense_answer_opens_too(self, world):
        await world.receive(claim=None, options=self.OPTIONS)

        assert len(world.handled) == 1

    async def test_a_commit_that_fails_is_a_warning_too(self, world, records):
        await world.receive(commit=OSError("down"), options=self.OPTIONS)

        assert records[-1].port_event == "replay_failed_open"
        assert records[-1].port_step == "commit"

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ("committed", DuplicateDeliveryError),
            ("in_progress", DeliveryInProgressError),
        ],
    )
    async def test_what_the_store_knows_still_counts(self, world, answer, error):
        with pytest.raises(error):
            await world.receive(claim=answer, options=self.OPTIONS)

        assert world.handled == []


class TestWithoutStore:
    def test_a_block_only_verifies(self, verifier, headers_for):
        with verifier.receive(BODY, headers_for(BODY)) as delivery:
            assert delivery.payload == BODY

    async def test_an_asynchronous_block_only_verifies(self, verifier, headers_for):
        async with verifier.areceive(BODY, headers_for(BODY)) as delivery:
            assert delivery.payload == BODY

    def test_an_exception_goes_through(self, verifier, headers_for):
        with pytest.raises(HandlerError), verifier.receive(BODY, headers_for(BODY)):
            fail()

    def test_nothing_is_verified_before_the_block_is_entered(self, verifier, records):
        verifier.receive(BODY, {})

        assert records == []


class TestOneUse:
    def test_a_context_manager_gives_one_delivery(self, make_verifier, headers_for):
        reception = make_verifier(replay_store=Memory()).receive(
            BODY, headers_for(BODY)
        )

        with reception:
            pass
        with pytest.raises(
            ConfigurationError, match=r"^receive gives a context manager for one use$"
        ):
            reception.__enter__()

    async def test_an_asynchronous_one_too(self, verifier, headers_for):
        reception = verifier.areceive(BODY, headers_for(BODY))

        async with reception:
            pass
        with pytest.raises(
            ConfigurationError, match=r"^receive gives a context manager for one use$"
        ):
            await reception.__aenter__()

    def test_an_exit_without_an_entry_does_nothing(self, make_verifier, headers_for):
        store = Memory()

        make_verifier(replay_store=store).receive(BODY, headers_for(BODY)).__exit__(
            None, None, None
        )

        assert store.calls == []

    def test_a_payload_error_at_an_exit_without_an_entry_has_no_run(
        self, verifier, headers_for
    ):
        error = PayloadError("is missing")

        verifier.receive(BODY, headers_for(BODY)).__exit__(PayloadError, error, None)

        assert error.run_id is None


class TestRunsOnce:
    def test_a_request_runs_once_and_a_retry_runs_after_a_failure(
        self, make_verifier, headers_for
    ):
        verifier = make_verifier(replay_store=Memory())
        headers = headers_for(BODY)

        with pytest.raises(HandlerError), verifier.receive(BODY, headers):
            fail()
        with verifier.receive(BODY, headers):  # the retry
            second = verifier.receive(BODY, headers)
            with pytest.raises(DeliveryInProgressError):
                second.__enter__()
        with pytest.raises(DuplicateDeliveryError):
            verifier.receive(BODY, headers).__enter__()

    def test_scopes_keep_services_apart(self, make_verifier, headers_for):
        store = Memory()

        for scope in ("orders", "users"):
            verifier = make_verifier(replay_store=store, replay_scope=scope)
            with verifier.receive(BODY, headers_for(BODY)):
                pass

        assert len(store.keys) == 2

    def test_verify_claims_and_commits_at_once(self, make_verifier, headers_for):
        store = Memory()
        verifier = make_verifier(replay_store=store)

        verifier.verify(BODY, headers_for(BODY))

        assert store.steps == ["claim", "commit"]
        with pytest.raises(DuplicateDeliveryError):
            verifier.verify(BODY, headers_for(BODY))

    @pytest.mark.parametrize("kind", [Store, AsyncStore])
    async def test_averify_claims_and_commits_at_once(
        self, make_verifier, headers_for, kind
    ):
        store = kind()

        await make_verifier(replay_store=store).averify(BODY, headers_for(BODY))

        assert store.steps == ["claim", "commit"]

    @pytest.mark.parametrize(
        ("answers", "error"),
        [
            ({"claim": "committed"}, DuplicateDeliveryError),
            ({"claim": OSError()}, ReplayStoreError),
            ({"commit": OSError()}, ReplayStoreError),
        ],
    )
    async def test_verify_and_averify_refuse_alike(
        self, make_verifier, headers_for, answers, error
    ):
        synchronous = make_verifier(replay_store=Store(**answers))
        asynchronous = make_verifier(replay_store=AsyncStore(**answers))

        with pytest.raises(error) as caught:
            synchronous.verify(BODY, headers_for(BODY))
        assert caught.value.run_id == "r_1"
        with pytest.raises(error) as caught:
            await asynchronous.averify(BODY, headers_for(BODY))
        assert caught.value.run_id == "r_1"

    def test_a_delivery_that_is_not_handed_over_calls_no_hook(
        self, make_verifier, headers_for
    ):
        verified: list[object] = []
        rejected: list[object] = []
        verifier = make_verifier(
            replay_store=Store(claim="committed"),
            on_verified=verified.append,
            on_rejected=rejected.append,
        )

        with pytest.raises(DuplicateDeliveryError) as caught:
            verifier.verify(BODY, headers_for(BODY))

        assert verified == []
        assert rejected == [caught.value]


def answering_later(answer):
    """Return a method that does not look asynchronous, but has to be awaited."""

    def method(*_):
        async def later():
            return answer

        return later()

    return method


class TestAsynchronousStores:
    def test_a_synchronous_call_is_refused(self, make_verifier, headers_for):
        verifier = make_verifier(replay_store=AsyncStore())

        assert verifier.is_async
        for method in (verifier.verify, verifier.receive):
            with pytest.raises(ConfigurationError, match="averify or areceive"):
                method(BODY, headers_for(BODY))

    def test_one_that_cannot_be_told_is_refused_when_it_answers(
        self, make_verifier, headers_for
    ):
        store: Any = Store()
        store.claim = answering_later("claimed")
        verifier = make_verifier(replay_store=store)

        assert not verifier.is_async
        with pytest.raises(ConfigurationError, match="averify or areceive"):
            verifier.verify(BODY, headers_for(BODY))

    async def test_one_that_cannot_be_told_works_where_it_is_awaited(
        self, make_verifier, headers_for
    ):
        store: Any = Store()
        store.claim = answering_later("claimed")
        store.commit = answering_later(True)

        async with make_verifier(replay_store=store).areceive(BODY, headers_for(BODY)):
            pass

    @pytest.mark.parametrize("step", ["commit", "release"])
    def test_a_later_step_that_must_be_awaited_is_an_unknown_answer(
        self, make_verifier, headers_for, records, step
    ):
        # Nothing may be left behind that Python warns of: warnings are errors here.
        store: Any = Store()
        setattr(store, step, answering_later(True))
        reception = make_verifier(replay_store=store).receive(BODY, headers_for(BODY))

        reception.__enter__()
        reception.status = 200 if step == "commit" else 500
        if step == "commit":
            with pytest.raises(ReplayStoreError, match="unknown answer to commit"):
                reception.__exit__(None, None, None)
        else:
            reception.__exit__(None, None, None)

        assert f"unknown answer to {step}" in records[-1].getMessage()

    def test_an_awaitable_that_cannot_be_closed_is_left_alone(
        self, make_verifier, headers_for
    ):
        class Awaitable:
            def __await__(self):
                yield

        store = Store(claim=Awaitable)

        with pytest.raises(ConfigurationError, match="averify or areceive"):
            make_verifier(replay_store=store).verify(BODY, headers_for(BODY))

    def test_one_asynchronous_method_makes_a_store_asynchronous(self, make_verifier):
        class Mixed(Store):
            async def release(self, key, owner):
                return True

        assert make_verifier(replay_store=Mixed()).is_async

    def test_a_partial_of_an_asynchronous_function_is_asynchronous(self, make_verifier):
        store: Any = Store()
        store.claim = functools.partial(AsyncStore().claim)

        assert make_verifier(replay_store=store).is_async

    async def test_a_synchronous_store_runs_in_a_thread(
        self, make_verifier, headers_for
    ):
        threads: list[int] = []

        def claim():
            threads.append(threading.get_ident())
            return "claimed"

        verifier = make_verifier(replay_store=Store(claim=claim))
        await verifier.averify(BODY, headers_for(BODY))

        assert threads
        assert threads[0] != threading.get_ident()

    @pytest.mark.parametrize(
        "store",
        [
            object(),
            5,
            "redis://localhost",
            Store,
            {"claim": print, "commit": print, "release": print},
        ],
        ids=["object", "number", "address", "class", "mapping"],
    )
    def test_what_is_no_store_is_refused_when_the_verifier_is_built(
        self, make_verifier, store
    ):
        with pytest.raises(ConfigurationError, match="claim, commit and release"):
            make_verifier(replay_store=store)

    def test_a_method_that_is_not_callable_is_refused(self, make_verifier):
        store: Any = Store()
        store.release = None

        with pytest.raises(ConfigurationError):
            make_verifier(replay_store=store)


class GatedStore:
    """An asynchronous store that remembers, and stops before one of its steps."""

    def __init__(self, stop_at):
        self.memory = Memory()
        self.stop_at = stop_at
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self.finished = asyncio.Event()

    async def _step(self, step, *args):
        if step == self.stop_at:
            self.reached.set()
            await self.go_on.wait()
        try:
            return getattr(self.memory, step)(*args)
        finally:
            if step in ("commit", "release"):
                self.finished.set()

    async def claim(self, key, owner, lease):
        return await self._step("claim", key, owner, lease)

    async def commit(self, key, owner, ttl):
        return await self._step("commit", key, owner, ttl)

    async def release(self, key, owner):
        return await self._step("release", key, owner)


async def rest_of_the_loop():
    """Wait until every other task has ended, and what was added to it has run."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    async with asyncio.timeout(30):
        await asyncio.gather(*others, return_exceptions=True)


class TestCancellation:
    @pytest.fixture
    def start(self, make_verifier, headers_for):
        """Start to receive with a gated store; the handler waits for an event."""

        def begin(stop_at, handler):
            store = GatedStore(stop_at)
            verifier = make_verifier(replay_store=store)

            async def receive():
                async with verifier.areceive(BODY, headers_for(BODY)):
                    await handler()

            return store, asyncio.create_task(receive())

        return begin

    @staticmethod
    async def cancel(task):
        task.cancel()
        # A regression must fail, and not hang.
        async with asyncio.timeout(30):
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_a_cancelled_handler_releases(self, start):
        running = asyncio.Event()

        async def handler():
            running.set()
            await asyncio.Event().wait()

        store, task = start(None, handler)
        await running.wait()

        await self.cancel(task)

        assert store.memory.steps == ["claim", "release"]
        assert store.memory.keys == {}

    @pytest.mark.parametrize(("step", "left"), [("release", {}), ("commit", {"done"})])
    async def test_a_step_that_has_begun_is_carried_out(self, start, step, left):
        async def handler():
            if step == "release":
                raise HandlerError

        store, task = start(step, handler)
        await store.reached.wait()

        await self.cancel(task)
        store.go_on.set()
        await store.finished.wait()

        assert set(store.memory.keys.values()) == set(left)

    @pytest.mark.parametrize("step", ["commit", "release"])
    @pytest.mark.parametrize("answer", [OSError(), None])
    async def test_a_step_that_fails_is_recorded_though_nobody_waits_for_it(
        self, start, records, step, answer
    ):
        async def handler():
            if step == "release":
                raise HandlerError

        store, task = start(step, handler)
        await store.reached.wait()
        setattr(store.memory, step, Failing(answer))

        await self.cancel(task)
        store.go_on.set()
        await rest_of_the_loop()

        assert [record.port_event for record in records] == [
            "verified",
            "replay_store_failed",
        ]

    async def test_a_lease_that_was_lost_is_recorded_though_nobody_waits(
        self, start, records
    ):
        async def handler():
            pass

        store, task = start("commit", handler)
        await store.reached.wait()
        store.memory.keys.clear()

        await self.cancel(task)
        store.go_on.set()
        await rest_of_the_loop()

        assert records[-1].port_event == "replay_lease_lost"

    async def test_a_claim_that_was_granted_too_late_is_released(self, start):
        async def handler():
            pytest.fail("the handler must not run")

        store, task = start("claim", handler)
        await store.reached.wait()

        task.cancel()
        store.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert store.memory.steps == ["claim", "release"]
        assert store.memory.keys == {}

    async def test_it_is_released_even_if_the_request_is_cancelled_twice(self, start):
        async def handler():
            pytest.fail("the handler must not run")

        store, task = start("claim", handler)
        await store.reached.wait()

        task.cancel()
        await asyncio.wait([task], timeout=0)
        await self.cancel(task)
        store.go_on.set()
        await store.finished.wait()

        assert store.memory.keys == {}

    async def test_a_claim_that_was_not_granted_is_not_released(self, start):
        async def handler():
            pytest.fail("the handler must not run")

        store, task = start("claim", handler)
        await store.reached.wait()
        claim = store.memory.claim
        store.memory.claim = lambda *args: claim(*args) and "in_progress"

        task.cancel()
        store.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert store.memory.steps == ["claim"]

    async def test_a_thread_that_claims_too_late_is_released(
        self, make_verifier, headers_for
    ):
        reached, go_on = threading.Event(), threading.Event()

        class Slow(Memory):
            def claim(self, *args):
                reached.set()
                go_on.wait(30)
                return super().claim(*args)

        store = Slow()
        verifier = make_verifier(replay_store=store)
        task = asyncio.create_task(verifier.averify(BODY, headers_for(BODY)))
        await asyncio.to_thread(reached.wait, 30)

        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert store.steps == ["claim", "release"]


class Failing:
    def __init__(self, answer):
        self._answer = answer

    def __call__(self, *_):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Interrupt(BaseException):
    """As a request's timeout in gevent, or an exit."""


async def test_a_hook_that_is_interrupted_releases(make_verifier, headers_for):
    def interrupt(_):
        raise Interrupt

    store = Memory()
    verifier = make_verifier(replay_store=store, on_verified=interrupt)

    with pytest.raises(Interrupt), verifier.receive(BODY, headers_for(BODY)):
        pytest.fail("the block must not run")
    with pytest.raises(Interrupt):
        async with verifier.areceive(BODY, headers_for(BODY)):
            pytest.fail("the block must not run")

    assert store.steps == ["claim", "release"] * 2
    assert store.keys == {}


async def test_every_way_of_receiving_tells_on_verified_and_the_log(
    make_verifier, headers_for, records
):
    seen: list[object] = []
    verifier = make_verifier(on_verified=seen.append)
    headers = headers_for(BODY)

    verifier.verify(BODY, headers)
    await verifier.averify(BODY, headers)
    with verifier.receive(BODY, headers):
        pass
    async with verifier.areceive(BODY, headers):
        pass

    assert len(seen) == 4
    assert [record.port_event for record in records] == ["verified"] * 4


async def test_a_mock_can_be_a_store(make_verifier, headers_for):
    store = Mock()
    store.claim.return_value = "claimed"
    store.commit.return_value = True

    await make_verifier(replay_store=store).averify(BODY, headers_for(BODY))

    assert [call[0] for call in store.method_calls] == ["claim", "commit"]


class Incomparable:
    __hash__ = object.__hash__

    def __eq__(self, other):
        raise ValueError


async def test_an_answer_that_cannot_be_compared_makes_no_sense_either(
    make_verifier, headers_for
):
    store: Any = Memory()
    store.claim = lambda *_: Incomparable()

    with pytest.raises(ReplayStoreError):
        make_verifier(replay_store=store).verify(BODY, headers_for(BODY))


async def test_an_error_of_the_store_leaves_no_task_behind(make_verifier, headers_for):
    verifier = make_verifier(replay_store=AsyncStore(claim=OSError()))

    with pytest.raises(ReplayStoreError):
        await verifier.averify(BODY, headers_for(BODY))

    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_protocols_have_the_same_steps():
    from port_webhook.replay import AsyncReplayStore, ReplayStore

    for step in ("claim", "commit", "release"):
        synchronous = getattr(ReplayStore, step)
        asynchronous = getattr(AsyncReplayStore, step)
        assert inspect.iscoroutinefunction(asynchronous)
        assert (
            inspect.signature(synchronous).parameters
            == inspect.signature(asynchronous).parameters
        )
