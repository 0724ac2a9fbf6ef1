"""The laws of a replay store, on every store, with the real server behind it.

Why: docs/design.md#which-stores-there-are
"""

from __future__ import annotations

import threading

import pytest

from port_webhook.exceptions import ConfigurationError

from .stores import RACE_KEYS, RACE_LEASE

KEY = "5f" * 32
FOREVER = [float("inf"), 1e300, 10**400]


def test_of_eight_threads_one_claims_each_key(threaded_world):
    won = []
    together = threading.Barrier(8)

    def run(owner):
        try:
            for key in RACE_KEYS:
                # They meet before each key, so that each is contested.
                together.wait()
                if threaded_world.store.claim(key, owner, RACE_LEASE) == "claimed":
                    won.append(key)
        except BaseException:
            together.abort()
            raise
        finally:
            threaded_world.leave_thread()

    threads = [threading.Thread(target=run, args=(f"owner {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == RACE_KEYS


def test_of_four_processes_one_claims_each_key(raced_world):
    assert raced_world.race(4) == [1] * len(RACE_KEYS)


def test_a_held_key_is_in_progress_for_others_and_for_its_owner(world):
    assert world.store.claim(KEY, "a", 600) == "claimed"
    assert world.store.claim(KEY, "b", 600) == "in_progress"
    assert world.store.claim(KEY, "a", 600) == "in_progress"


def test_keys_do_not_touch_each_other(world):
    assert world.store.claim("one", "a", 600) == "claimed"
    assert world.store.claim("two", "a", 600) == "claimed"
    assert world.store.commit("one", "a", 600) is True
    assert world.store.release("two", "a") is True
    assert world.store.claim("one", "b", 600) == "committed"
    assert world.store.claim("two", "b", 600) == "claimed"


def test_a_released_key_can_be_claimed_again(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.release(KEY, "a") is True
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "b", 600) == "claimed"


def test_another_owner_releases_nothing(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.release(KEY, "b") is False
    assert world.store.release(KEY, "") is False
    assert world.store.claim(KEY, "c", 600) == "in_progress"
    assert world.store.commit(KEY, "a", 600) is True


def test_another_owner_commits_nothing(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.commit(KEY, "b", 600) is False
    assert world.store.commit(KEY, "", 600) is False
    assert world.store.claim(KEY, "c", 600) == "in_progress"
    assert world.store.release(KEY, "a") is True


def test_a_key_that_nobody_claimed_is_neither_committed_nor_released(world):
    assert world.store.commit(KEY, "a", 600) is False
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "b", 600) == "claimed"


def test_an_expired_lease_can_be_claimed_again(world):
    world.store.claim(KEY, "a", 600)
    world.advance(300)
    assert world.store.claim(KEY, "b", 600) == "in_progress"
    world.advance(300)
    assert world.store.claim(KEY, "b", 600) == "claimed"
    assert world.store.claim(KEY, "c", 600) == "in_progress"


def test_to_claim_one_expired_key_again_touches_no_other(world):
    for key in ("one", "two", "three"):
        world.store.claim(key, "a", 60)
    world.store.commit("three", "a", 60)
    world.advance(60)
    assert world.store.claim("one", "b", 600) == "claimed"
    assert world.store.commit("two", "b", 600) is False
    assert world.store.release("three", "b") is False
    assert world.store.claim("two", "c", 600) == "claimed"
    assert world.store.claim("three", "c", 600) == "claimed"


def test_a_committed_key_cannot_be_claimed_until_it_expires(world):
    world.store.claim(KEY, "a", 60)
    assert world.store.commit(KEY, "a", 600) is True
    world.advance(300)
    assert world.store.claim(KEY, "b", 600) == "committed"
    assert world.store.claim(KEY, "a", 600) == "committed"
    world.advance(300)
    assert world.store.claim(KEY, "b", 600) == "claimed"


def test_a_mark_may_end_before_the_lease_would_have(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.commit(KEY, "a", 60) is True
    world.advance(60)
    assert world.store.claim(KEY, "b", 600) == "claimed"


def test_a_committed_key_is_neither_committed_again_nor_released(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.commit(KEY, "a", 600) is True
    assert world.store.commit(KEY, "a", 6000) is False
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "b", 600) == "committed"
    world.advance(600)
    assert world.store.claim(KEY, "b", 600) == "claimed"


def test_a_lost_lease_makes_commit_false_and_leaves_the_other_claim(world):
    world.store.claim(KEY, "a", 60)
    world.advance(60)
    world.store.claim(KEY, "b", 600)
    assert world.store.commit(KEY, "a", 6000) is False
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "c", 600) == "in_progress"
    assert world.store.commit(KEY, "b", 600) is True


def test_an_expired_lease_is_lost_even_if_nobody_took_the_key(world):
    world.store.claim(KEY, "a", 60)
    world.advance(60)
    assert world.store.commit(KEY, "a", 600) is False
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "a", 60) == "claimed"


def test_a_lease_of_zero_has_ended_when_it_was_made(world):
    assert world.store.claim(KEY, "a", 0) == "claimed"
    assert world.store.commit(KEY, "a", 600) is False
    assert world.store.release(KEY, "a") is False
    assert world.store.claim(KEY, "b", 600) == "claimed"
    assert world.store.claim(KEY, "c", 0) == "in_progress"


def test_a_time_to_live_of_zero_ends_at_once(world):
    world.store.claim(KEY, "a", 600)
    assert world.store.commit(KEY, "a", 0) is True
    assert world.store.commit(KEY, "a", 600) is False
    assert world.store.claim(KEY, "b", 600) == "claimed"


@pytest.mark.parametrize("seconds", FOREVER)
def test_a_duration_without_end_lasts(world, seconds):
    assert world.store.claim(KEY, "a", seconds) == "claimed"
    world.advance(86_400)
    assert world.store.commit(KEY, "a", seconds) is True
    world.advance(86_400)
    assert world.store.claim(KEY, "b", 600) == "committed"


@pytest.mark.parametrize("seconds", [-1, -1e-9, float("nan"), True, None, "60"])
def test_what_is_no_duration_is_refused_and_changes_nothing(world, seconds):
    with pytest.raises(ConfigurationError):
        world.store.claim(KEY, "a", seconds)
    assert world.store.claim(KEY, "a", 600) == "claimed"
    with pytest.raises(ConfigurationError):
        world.store.commit(KEY, "a", seconds)
    assert world.store.claim(KEY, "b", 600) == "in_progress"
    assert world.store.release(KEY, "a") is True


def test_any_text_is_a_key_and_an_owner_and_no_two_are_the_same(world):
    texts = ["", " ", "a", "A", "a ", "\0", "a\0", "é", "e\u0301", "\ud800", "x" * 5000]
    texts += ["claim:", "done:", "{a}", "sha256:" + "0" * 64, "%", "*"]
    for text in texts:
        assert world.store.claim(text, text, 600) == "claimed"
    for text in texts:
        for other in texts:
            if other != text:
                assert world.store.release(text, other) is False
    for text in texts:
        assert world.store.commit(text, text, 600) is True
        assert world.store.claim(text, text, 600) == "committed"


def test_a_full_store_refuses_new_keys_and_keeps_the_others(limited_world):
    store = limited_world.store
    assert store.claim("before", "a", 600) == "claimed"
    with limited_world.full() as full, pytest.raises(Exception) as caught:  # noqa: PT012  # one claim of many raises
        for number in range(1000):
            assert full.claim(f"{number}", "a", 600) == "claimed"
    assert not isinstance(caught.value, AssertionError)
    assert store.claim("before", "b", 600) == "in_progress"
    assert store.commit("before", "a", 600) is True


def test_an_unreachable_server_is_an_error(shared_world):
    _fails(shared_world.unreachable())


def test_a_silent_server_is_an_error_after_the_timeout(shared_world):
    with shared_world.silent() as store:
        _fails(store)


def _fails(store):
    """Without the timeouts of the client these calls would never return."""
    for step in (
        lambda: store.claim(KEY, "a", 600),
        lambda: store.commit(KEY, "a", 600),
        lambda: store.release(KEY, "a"),
    ):
        with pytest.raises(Exception) as caught:
            step()
        assert not isinstance(caught.value, AssertionError)


def test_claims_and_marks_outlast_a_restart_of_the_server(shared_world):
    store = shared_world.store
    store.claim("done", "a", 600)
    store.commit("done", "a", 600)
    store.claim("held", "a", 600)
    shared_world.restart()
    # A connection from before the restart may fail once, and only once.
    assert _second_chance(store.claim, "held", "b", 600) == "in_progress"
    assert store.claim("done", "b", 600) == "committed"
    assert store.commit("held", "a", 600) is True
    assert store.claim("new", "a", 600) == "claimed"


def _second_chance(step, *args):
    try:
        return step(*args)
    except Exception:  # whatever the client library raises
        return step(*args)
