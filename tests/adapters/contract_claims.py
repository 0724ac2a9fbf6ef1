"""The rules of an adapter, on every adapter: how a response ends a claim.

Why: docs/design.md#a-claim-then-a-commit
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from port_webhook import (
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MissingHeaderError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
)
from port_webhook.replay.memory import MemoryReplayStore

from .doubles import (
    BODY,
    OTHER,
    AsyncStore,
    Hooks,
    Store,
    Stream,
    View,
    make,
)
from .rules import (
    Case,
    assert_refused,
    refusals,
    rule,
    warnings,
    world,
)
from .servers import raw, unsigned

__all__ = ["world"]  # the fixture

# --- Claims --------------------------------------------------------------------------


@rule()
@pytest.mark.parametrize(
    ("status", "end"),
    [
        *((status, "commit") for status in (200, 202, 302, 399)),
        *((status, "release") for status in (307, 308, 400, 404, 503)),
    ],
)
def test_the_status_of_the_response_ends_the_claim(world, status, end):
    store = Store()

    def act(given, _):
        store.steps.append("view")
        return status

    case = Case(world, View(act), replay_store=store)
    assert case.ask().status == status
    assert store.steps == ["claim", "view", end]


@rule("http exceptions")
def test_an_exception_of_the_framework_counts_by_its_status(world):
    store = Store()

    def act(given, _):
        raise world.http_error(404)

    case = Case(world, View(act), replay_store=store)
    answer = case.ask()
    assert (answer.status, answer.error) == (404, None)
    assert store.steps == ["claim", "release"]
    assert case.hooks.rejected == []


@rule()
@pytest.mark.parametrize(
    "error", [LookupError("mine"), SignatureMismatchError()], ids=["own", "ours"]
)
def test_an_exception_of_the_view_is_its_own_and_releases(world, error):
    store = Store()

    def act(given, _):
        raise error

    case = Case(world, View(act), replay_store=store)
    answer = case.ask()
    assert answer.status == 500
    assert answer.error is error
    assert store.steps == ["claim", "release"]
    assert case.hooks.rejected == []


@rule("stream")
@pytest.mark.parametrize("status", [200, 500])
def test_a_streamed_response_counts_by_its_status_at_the_start(world, status):
    store = Store()

    def chunks():
        store.steps.append("chunk")
        yield b"a"
        raise LookupError

    view = View(lambda given, _: Stream(status, chunks()))
    answer = Case(world, view, replay_store=store).ask()
    assert answer.status == status
    assert b"a" in answer.body
    end = "commit" if status == 200 else "release"
    assert store.steps == ["claim", end, "chunk"]


@rule("await")
def test_a_cancelled_request_releases(world):
    store, started = AsyncStore(), asyncio.Event()

    async def act(given, _):
        started.set()
        await asyncio.Event().wait()

    case = Case(world, View(act), replay_store=store)
    world.cancel(raw(), started, store.ended)
    assert store.steps == ["claim", "release"]
    assert len(case.view.given) == 1


@rule()
def test_a_refused_request_claims_nothing(world):
    store = Store()
    case = Case(world, replay_store=store, max_body_bytes=99)
    for request in (unsigned(), raw(secret=OTHER), raw(b"x" * 100)):
        assert case.ask(request).status in (401, 413)
    assert store.steps == []


@rule()
def test_a_request_runs_once_and_again_only_after_a_failure(world):
    statuses = [500, 200]
    view = View(lambda given, _: statuses.pop(0))
    case = Case(world, view, replay_store=MemoryReplayStore(single_process=True))
    assert [case.ask().status for _ in range(4)] == [500, 200, 200, 200]
    assert len(view.given) == 2


STORES: dict[str, tuple[Store, Any]] = {
    "committed": (Store("committed"), DuplicateDeliveryError),
    "in progress": (Store("in_progress"), DeliveryInProgressError),
    "unknown word": (Store("?"), ReplayStoreError),
    "down": (Store(OSError()), ReplayStoreError),
}


@rule()
@pytest.mark.parametrize("name", STORES)
def test_a_request_that_cannot_be_claimed_does_not_run(world, records, name):
    store, error = STORES[name]
    store.steps.clear()
    case = Case(world, replay_store=store)
    answer = case.ask()
    key = "status" if name == "committed" else "error"
    assert_refused(world, answer, error, key=key)
    assert (case.view.given, store.steps) == ([], ["claim"])
    (refusal,) = case.hooks.rejected
    assert isinstance(refusal, error)
    assert refusal.run_id == "r_1"
    assert [record.port_code for record in refusals(records)] == [error.code]


@rule()
@pytest.mark.parametrize("commit", [OSError(), "?"], ids=["down", "unknown word"])
def test_a_commit_that_fails_replaces_the_response(world, commit):
    store = Store(commit=commit)
    case = Case(world, replay_store=store)
    assert_refused(world, case.ask(), ReplayStoreError)
    assert store.steps == ["claim", "commit"]
    assert [type(error) for error in case.hooks.rejected] == [ReplayStoreError]


@rule()
def test_a_lost_lease_changes_no_response(world, records):
    case = Case(world, replay_store=Store(commit=False))
    assert case.ask().status == 200
    assert len(warnings(records)) == 1


@rule()
@pytest.mark.parametrize(
    ("fails", "steps"), [("claim", ["claim"]), ("commit", ["claim", "commit"])]
)
def test_a_store_that_fails_open_changes_no_response(world, records, fails, steps):
    store = Store()
    store.fails = fails
    case = Case(world, replay_store=store, replay_fail_open=True)
    assert case.ask().status == 200
    assert store.steps == steps
    assert len(case.view.given) == 1
    assert len(warnings(records)) == 1
    assert case.hooks.rejected == []


@rule()
def test_a_hook_that_raises_changes_no_response(world, records):
    def fail(_):
        raise LookupError

    verifier = make(on_verified=fail, on_rejected=fail)
    world.serve(View(), verifier)
    assert world.ask(raw()).status == 200
    assert_refused(world, world.ask(unsigned()), MissingHeaderError)
    events = [record.port_event for record in records]
    assert events.count("hook_failed") == 2


# --- Two adapters --------------------------------------------------------------------


@rule()
def test_a_second_adapter_verifies_and_claims_nothing_again(world):
    store, hooks, view = Store(), Hooks(), View()
    verifier = make(replay_store=store, **hooks.options)
    world.stack(view, verifier, verifier)
    assert world.ask(raw()).status == 200
    assert store.steps == ["claim", "commit"]
    assert len(hooks.verified) == len(view.given) == 1
    assert world.ask(unsigned()).status == 401


@rule()
def test_a_payload_error_behind_two_adapters_is_recorded_once(world):
    store, hooks = Store(), Hooks()
    verifier = make(replay_store=store, **hooks.options)
    world.stack(View(lambda given, _: given.json()), verifier, verifier)
    assert_refused(world, world.ask(raw(b"no json")), PayloadError)
    assert store.steps == ["claim", "release"]
    assert len(hooks.rejected) == 1


@rule("two verifiers")
def test_another_verifier_verifies_anew(world):
    stores = [Store(), Store()]
    first, second = (make(replay_store=store) for store in stores)
    view = View()
    world.stack(view, first, second)
    assert world.ask(raw()).status == 200
    assert view.given[0].payload == BODY
    assert [store.steps for store in stores] == [["claim", "commit"]] * 2


@rule()
def test_what_another_verifier_refuses_is_released_by_the_first(world):
    store, view = Store(), View()
    world.stack(view, make(replay_store=store), make(OTHER))
    assert_refused(world, world.ask(raw()), SignatureMismatchError)
    assert view.given == []
    assert store.steps == ["claim", "release"]
