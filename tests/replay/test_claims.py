"""What a store's answers and exceptions mean, without a verifier around it."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    ReplayStoreError,
)
from port_webhook.replay import _claims
from port_webhook.replay._claims import Claims, acheck_store, check_store
from tests.store_doubles import AsyncStore, Store

KEY = "5f" * 32
SECRET = "redis://user:password@host"  # made up


class Way:
    """One of the three ways to use a store."""

    def __init__(self, name):
        self.name = name
        self.kind = AsyncStore if name == "asynchronous" else Store

    def claims(self, *, fail_open=False, **answers):
        return Claims(self.kind(**answers), lease=60, fail_open=fail_open)

    async def take(self, claim):
        return claim.take() if self.name == "synchronous" else await claim.atake()

    async def finish(self, claim, *, commit=True):
        if self.name == "synchronous":
            return claim.finish(commit=commit)
        return await claim.afinish(commit=commit)

    async def check(self, claims):
        if self.name == "synchronous":
            return check_store(claims)
        return await acheck_store(claims)


@pytest.fixture(params=["synchronous", "asynchronous", "in a thread"])
def way(request):
    return Way(request.param)


class TestAnswers:
    async def test_a_claim_is_taken_and_committed_by_one_owner(self, way):
        claims = way.claims()
        claim = claims.new(KEY, 360)
        assert await way.take(claim) is None
        assert await way.finish(claim) is None
        (_, key, owner, lease), commit = claims.store.calls
        assert (key, len(owner), lease) == (KEY, 32, 60)
        assert commit == ("commit", KEY, owner, 360)

    async def test_a_claim_is_released(self, way, records):
        claims = way.claims(release=False)
        claim = claims.new(KEY, 360)
        await way.take(claim)
        await way.finish(claim, commit=False)
        assert claims.store.steps == ["claim", "release"]
        # A lease that has expired meanwhile is nothing to report.
        assert not records

    async def test_a_claim_ends_once(self, way):
        claims = way.claims()
        claim = claims.new(KEY, 360)
        await way.finish(claim)
        assert not claims.store.calls
        await way.take(claim)
        await way.finish(claim)
        await way.finish(claim, commit=False)
        assert claims.store.steps == ["claim", "commit"]

    @pytest.mark.parametrize("fail_open", [False, True])
    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ("committed", DuplicateDeliveryError),
            ("in_progress", DeliveryInProgressError),
        ],
    )
    async def test_a_key_that_is_taken_is_an_error(self, way, answer, error, fail_open):
        claims = way.claims(claim=answer, fail_open=fail_open)
        claim = claims.new(KEY, 360)
        with pytest.raises(error) as caught:
            await way.take(claim)
        assert caught.value.__cause__ is caught.value.__context__ is None
        await way.finish(claim)
        assert claims.store.steps == ["claim"]

    @pytest.mark.parametrize("answer", [None, True, "", b"claimed", 0, [], OSError])
    async def test_an_unknown_answer_to_a_claim_is_an_error(self, way, answer):
        claim = way.claims(claim=lambda: answer).new(KEY, 360)
        with pytest.raises(ReplayStoreError) as caught:
            await way.take(claim)
        assert str(caught.value) == (
            "The replay store gave an unknown answer to claim."
        )

    @pytest.mark.parametrize("answer", [None, 1, 0, "yes"])
    async def test_an_unknown_answer_to_a_commit_is_an_error(self, way, answer):
        claim = way.claims(commit=answer).new(KEY, 360)
        await way.take(claim)
        with pytest.raises(ReplayStoreError) as caught:
            await way.finish(claim)
        assert str(caught.value) == (
            "The replay store gave an unknown answer to commit."
        )

    @pytest.mark.parametrize("answer", [None, "yes", OSError(SECRET)], ids=repr)
    async def test_a_release_that_fails_is_logged_only(self, way, records, answer):
        claim = way.claims(release=answer).new(KEY, 360)
        await way.take(claim)
        await way.finish(claim, commit=False)
        (record,) = records
        assert (record.levelno, record.port_event) == (
            logging.ERROR,
            "replay_store_failed",
        )
        problem = (
            "failed to release with OSError"
            if isinstance(answer, OSError)
            else "gave an unknown answer to release"
        )
        assert record.getMessage() == f"The replay store {problem}."

    async def test_a_lost_lease_is_logged_only(self, way, records):
        claim = way.claims(commit=False).new(KEY, 360)
        await way.take(claim)
        await way.finish(claim)
        (record,) = records
        assert (record.levelno, record.port_event) == (
            logging.WARNING,
            "replay_lease_lost",
        )
        assert record.port_lease == 60
        assert record.getMessage() == (
            "The replay claim was lost before its commit: the handler took longer than "
            "replay_lease, and the request may run again."
        )


class TestExceptions:
    @pytest.mark.parametrize(
        "raised",
        [
            RuntimeError(SECRET),
            StopIteration(SECRET),  # a thread could not hand it over
            asyncio.CancelledError(SECRET),  # of a task of the store's own
            LookupError(),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("step", ["claim", "commit"])
    async def test_a_store_that_raises_is_an_error_that_names_the_class(
        self, way, step, raised
    ):
        claim = way.claims(**{step: raised}).new(KEY, 360)
        with pytest.raises(ReplayStoreError) as caught:  # noqa: PT012  # one of the two raises
            await way.take(claim)
            await way.finish(claim)
        name = type(raised).__name__
        if way.name == "asynchronous" and name == "StopIteration":
            name = "RuntimeError"  # Python's own rule for coroutines
        assert str(caught.value) == f"The replay store failed to {step} with {name}."

    async def test_nothing_of_the_stores_exception_is_kept(self, way):
        full = ReplayStoreError("is full")
        full.__cause__ = KeyError(SECRET)
        claim = way.claims(claim=full).new(KEY, 360)
        with pytest.raises(ReplayStoreError) as caught:
            await way.take(claim)
        assert str(caught.value) == "The replay store is full."
        assert caught.value is not full
        assert caught.value.__cause__ is caught.value.__context__ is None

    @pytest.mark.parametrize(
        ("raised", "message"),
        [
            (ReplayStoreError("has no index X"), "has no index X."),
            (ConfigurationError("No index X."), "failed to claim: No index X."),
        ],
    )
    async def test_a_message_loses_its_full_stop_alone(self, way, raised, message):
        with pytest.raises(ReplayStoreError) as caught:
            await way.take(way.claims(claim=raised).new(KEY, 360))
        assert str(caught.value) == f"The replay store {message}"

    async def test_an_error_of_ours_keeps_its_message(self, way):
        raised = ConfigurationError("The app is not installed.")
        claim = way.claims(claim=raised).new(KEY, 360)
        with pytest.raises(ReplayStoreError) as caught:
            await way.take(claim)
        assert str(caught.value) == (
            "The replay store failed to claim: The app is not installed."
        )

    async def test_failing_open_logs_a_warning_and_goes_on(self, way, records):
        claims = way.claims(claim=OSError(SECRET), fail_open=True)
        claim = claims.new(KEY, 360)
        await way.take(claim)
        await way.finish(claim)
        assert claims.store.steps == ["claim"]
        claim = way.claims(commit=None, fail_open=True).new(KEY, 360)
        await way.take(claim)
        await way.finish(claim)
        assert [record.port_step for record in records] == ["claim", "commit"]
        assert {record.port_event for record in records} == {"replay_failed_open"}
        assert {record.levelno for record in records} == {logging.WARNING}
        assert [record.getMessage() for record in records] == [
            f"The replay store {problem}. replay_fail_open is set: the delivery is "
            "handled anyway."
            for problem in (
                "failed to claim with OSError",
                "gave an unknown answer to commit",
            )
        ]

    async def test_an_explanation_is_added(self, way):
        kind: Any = way.kind

        class Explaining(kind):
            def _explain(self, error):
                return f"{self.steps[0]} again after {type(error).__name__}"

        claims = Claims(Explaining(claim=OSError()), lease=60, fail_open=False)
        with pytest.raises(ReplayStoreError) as caught:
            await way.take(claims.new(KEY, 360))
        assert str(caught.value) == (
            "The replay store failed to claim with OSError: claim again after OSError."
        )

    async def test_an_explanation_that_fails_is_left_out(self, way):
        kind: Any = way.kind

        class Explaining(kind):
            def _explain(self, error):
                raise ZeroDivisionError

        claims = Claims(Explaining(claim=OSError()), lease=60, fail_open=False)
        with pytest.raises(ReplayStoreError, match=r"to claim with OSError\.$"):
            await way.take(claims.new(KEY, 360))

    @pytest.mark.parametrize(
        "raised",
        [
            RuntimeError("Event loop is closed"),
            RuntimeError("Task <T> got Future <F> attached to a different loop"),
            RuntimeError("<Condition> is bound to a different event loop"),
            AttributeError("'NoneType' object has no attribute 'send'"),
        ],
    )
    async def test_a_client_of_another_event_loop_is_explained(self, raised):
        claims = Way("asynchronous").claims(claim=raised)
        with pytest.raises(ReplayStoreError) as caught:
            await claims.new(KEY, 360).atake()
        assert str(caught.value) == (
            f"The replay store failed to claim with {type(raised).__name__}: its "
            "client belongs to another event loop; make one store for each loop."
        )
        # A synchronous store has no loop, whatever it says.
        claims = Way("synchronous").claims(claim=raised)
        with pytest.raises(ReplayStoreError, match=rf"{type(raised).__name__}\.$"):
            claims.new(KEY, 360).take()

    async def test_another_error_of_an_asynchronous_store_is_no_matter_of_loops(self):
        claims = Way("asynchronous").claims(claim=RuntimeError("no"))
        with pytest.raises(ReplayStoreError, match=r"RuntimeError\.$"):
            await claims.new(KEY, 360).atake()


class TestAsynchronousStoreInSynchronousCode:
    def test_it_is_an_error_of_the_set_up(self):
        claims = Way("asynchronous").claims()
        assert claims.is_async
        with pytest.raises(ConfigurationError) as caught:
            claims.new(KEY, 360).take()
        assert str(caught.value) == (
            "The replay store is asynchronous; use averify or areceive"
        )
        with pytest.raises(ConfigurationError, match="use averify or areceive"):
            check_store(claims)

    def test_a_later_step_is_an_unknown_answer(self):
        class Later(Store):
            async def commit(self, key, owner, ttl):
                return True

        claim = Claims(Later(), lease=60, fail_open=False).new(KEY, 360)
        claim.take()
        with pytest.raises(ReplayStoreError, match="unknown answer to commit"):
            claim.finish(commit=True)

    def test_an_awaitable_that_cannot_be_closed_is_left_alone(self):
        class Awaitable:
            def __await__(self):
                yield

        with pytest.raises(ConfigurationError, match="use averify or areceive"):
            Way("synchronous").claims(claim=Awaitable).new(KEY, 360).take()


class TestSetUp:
    @pytest.mark.parametrize("store", [object(), 5, None, Store, {"claim": print}])
    def test_what_is_no_store_is_refused(self, store):
        with pytest.raises(ConfigurationError) as caught:
            Claims(store, lease=60, fail_open=False)
        assert str(caught.value) == (
            "replay_store must be an object with claim, commit and release, and not "
            "its class"
        )

    async def test_a_synchronous_store_runs_in_a_thread(self):
        claims = Way("in a thread").claims(claim=lambda: f"{threading.get_ident()}")
        with pytest.raises(ReplayStoreError):
            await claims.new(KEY, 360).atake()
        threads = []
        claims.store.answers["claim"] = lambda: threads.append(threading.get_ident())
        with pytest.raises(ReplayStoreError):
            await claims.new(KEY, 360).atake()
        assert threads != [threading.get_ident()]

    async def test_the_class_of_a_store_may_bring_its_own_threads(self):
        steps = []

        class Own(Store):
            @staticmethod
            async def to_thread(function, step, *args):
                steps.append(step)
                return function(step, *args)

        claim = Claims(Own(), lease=60, fail_open=False).new(KEY, 360)
        await claim.atake()
        await claim.afinish(commit=True)
        assert steps == ["claim", "commit"]


class TestSelfCheck:
    async def test_a_random_key_is_claimed_and_released(self, way):
        claims = way.claims()
        assert await way.check(claims) is None
        await way.check(claims)
        first, released, second, _ = claims.store.calls
        assert (first[0], first[3]) == ("claim", 60)
        assert first[1].startswith("self-check:")
        assert len(first[1]) == len("self-check:") + 32
        assert released == ("release", *first[1:3])
        assert second[1] != first[1]

    @pytest.mark.parametrize("fail_open", [False, True])
    @pytest.mark.parametrize("step", ["claim", "release"])
    async def test_a_store_that_raises_is_an_error(self, way, step, fail_open, records):
        claims = way.claims(fail_open=fail_open, **{step: OSError(SECRET)})
        with pytest.raises(ReplayStoreError, match=f"to {step} with OSError"):
            await way.check(claims)
        assert not records

    @pytest.mark.parametrize("fail_open", [False, True])
    @pytest.mark.parametrize(
        ("step", "answer"),
        [
            ("claim", "in_progress"),
            ("claim", "committed"),
            ("claim", True),
            ("claim", None),
            ("release", False),
            ("release", "claimed"),
            ("release", None),
        ],
    )
    async def test_an_answer_that_cannot_be_is_an_error(
        self, way, step, answer, fail_open
    ):
        claims = way.claims(fail_open=fail_open, **{step: answer})
        with pytest.raises(ReplayStoreError, match=f"unknown answer to {step}"):
            await way.check(claims)

    def test_every_store_passes_it(self, world):
        check_store(Claims(world.store, lease=60, fail_open=False))


class Gated(AsyncStore):
    """An asynchronous store that stops before one of its steps."""

    def __init__(self, stop_at, **answers):
        super().__init__(**answers)
        self.stop_at = stop_at
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def _stop(self, step):
        if step == self.stop_at:
            self.reached.set()
            await self.go_on.wait()

    async def claim(self, key, owner, lease):
        await self._stop("claim")
        return await super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        await self._stop("commit")
        return await super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await self._stop("release")
        return await super().release(key, owner)


async def rest_of_the_loop():
    """Wait until every other task has ended, and its callbacks have run."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
async def event_loop_problems():
    """Collect what asyncio reports, such as an exception that nobody retrieved."""
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: found.append(c))
    return found


class TestCancellation:
    @staticmethod
    async def cancelled(store, step):
        task = asyncio.create_task(step)
        await store.reached.wait()
        task.cancel()
        if store.stop_at == "claim":
            store.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.go_on.set()
        await rest_of_the_loop()

    @pytest.mark.parametrize(
        ("answer", "steps"),
        [
            ("claimed", ["claim", "release"]),
            ("in_progress", ["claim"]),
            (5, ["claim"]),
            (OSError(), ["claim"]),
        ],
        ids=repr,
    )
    async def test_a_claim_that_is_granted_too_late_is_released(
        self, answer, steps, records, event_loop_problems
    ):
        store = Gated("claim", claim=answer)
        claims = Claims(store, lease=60, fail_open=False)
        await self.cancelled(store, claims.new(KEY, 360).atake())
        assert store.steps == steps
        assert not records
        assert not event_loop_problems

    @pytest.mark.parametrize("commit", [True, False])
    @pytest.mark.parametrize("fails", [True, False])
    async def test_a_claim_ends_though_nobody_waits_for_it(
        self, commit, fails, records, event_loop_problems
    ):
        step = "commit" if commit else "release"
        store = Gated(step, **({step: OSError(SECRET)} if fails else {}))
        claim = Claims(store, lease=60, fail_open=False).new(KEY, 360)
        await claim.atake()
        await self.cancelled(store, claim.afinish(commit=commit))
        assert store.steps == ["claim", step]
        told = [(record.port_event, record.getMessage()) for record in records]
        message = f"The replay store failed to {step} with OSError."
        assert told == ([("replay_store_failed", message)] if fails else [])
        assert not event_loop_problems

    async def test_a_step_that_outlives_its_request_is_held_until_it_ends(self):
        # The event loop itself holds its tasks weakly.
        store = Gated("commit")
        claim = Claims(store, lease=60, fail_open=False).new(KEY, 360)
        await claim.atake()
        # Another test may have closed its loop before its tasks were let go.
        before = {*_claims._background}
        request = asyncio.create_task(claim.afinish(commit=True))
        await store.reached.wait()
        request.cancel()
        await asyncio.wait([request])
        (task,) = _claims._background - before
        assert not task.done()
        store.go_on.set()
        await rest_of_the_loop()
        assert _claims._background == before

    @pytest.mark.parametrize("fails", [True, False])
    async def test_a_self_check_gives_its_key_back(
        self, fails, records, event_loop_problems
    ):
        store = Gated("release", **({"release": OSError()} if fails else {}))
        claims = Claims(store, lease=60, fail_open=True)
        await self.cancelled(store, acheck_store(claims))
        assert store.steps == ["claim", "release"]
        assert len(records) == fails
        assert not event_loop_problems
