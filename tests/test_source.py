"""`VerifierSource`: a secret that is fetched again from time to time."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any
from unittest.mock import patch

import pydantic
import pytest

import port_webhook
from port_webhook import (
    ConfigurationError,
    SignatureMismatchError,
    TimestampError,
    Verifier,
)

VerifierSource: Any = port_webhook.VerifierSource  # called with wrong types on purpose

BODY = b'{"action":"create"}'


class Vault:
    """Where the secret is kept; what it holds may be an exception to raise."""

    def __init__(self, secret):
        self.secret = secret
        self.fetched = 0

    def __call__(self):
        self.fetched += 1
        if isinstance(self.secret, BaseException):
            raise self.secret
        return self.secret


@pytest.fixture
def vault(secret):
    return Vault(secret)


@pytest.fixture
def make_source(vault, clock):
    def make(**options):
        return VerifierSource(vault, **{"clock": clock, **options})

    return make


@pytest.fixture
def source(make_source):
    return make_source()


class TestTheFirstFetch:
    def test_the_secret_is_fetched_when_the_source_is_built(self, source, vault):
        assert vault.fetched == 1

    def test_it_makes_a_verifier(self, source, headers_for):
        verifier = source()

        assert type(verifier) is Verifier
        assert verifier.verify(BODY, headers_for(BODY)).payload == BODY

    def test_it_is_called_with_a_request_or_without(self, source):
        assert source() is source(object()) is source(None)

    def test_the_options_are_those_of_a_verifier(self, make_source, headers_for, clock):
        source = make_source(max_age=5)
        clock.now += 6

        with pytest.raises(TimestampError):
            source().verify(BODY, headers_for(BODY))

    def test_a_mismatch_names_the_source(self, source, headers_for):
        with pytest.raises(SignatureMismatchError) as caught:
            source().verify(b"", headers_for(BODY))

        assert caught.value.secret_source == "VerifierSource"
        assert caught.value.secrets_tried == 1

    def test_its_repr_shows_no_secret(self, make_source):
        assert repr(make_source(every=2.5)) == "<VerifierSource every=2.5>"

    @pytest.mark.parametrize("raised", [OSError("password"), KeyError("password")])
    def test_a_failure_is_a_configuration_error(self, vault, make_source, raised):
        vault.secret = raised

        with pytest.raises(ConfigurationError) as caught:
            make_source()

        assert str(caught.value) == f"fetch raised {type(raised).__name__}"
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        ("fetched", "message"),
        [
            (None, "fetch returned no secret"),
            ("", "secret is empty"),
            ("new\n", "secret holds a line break"),
            ([], "fetch returned no secret"),
            ({"secret": "new"}, "secret must be text or bytes, not dict"),
            (["new", " old"], "previous_secrets[0] has white space around it"),
            (("new", ["old", 5]), "previous_secrets[1] must be text or bytes, not int"),
            (["new", ["old"], "older"], "previous_secrets[0] must be text or bytes, "),
            (["new", *["old"] * 9], "previous_secrets holds more than 8 secrets"),
        ],
    )
    def test_what_is_no_secret_is_refused(self, vault, make_source, fetched, message):
        vault.secret = fetched

        with pytest.raises(ConfigurationError) as caught:
            make_source()

        assert str(caught.value).startswith(message)

    async def test_an_asynchronous_function_is_refused(self):
        async def fetch():
            return "new"

        with pytest.raises(ConfigurationError, match=r"^fetch must be a function"):
            VerifierSource(fetch)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"every": 0}, "every must be"),
            ({"every": -1}, "every must be"),
            ({"every": float("nan")}, "every must be"),
            ({"every": "300"}, "every must be"),
            ({"secret": "x"}, "fetch returns secret"),
            (
                {"secret": "x", "previous_secrets": ()},
                "fetch returns previous_secrets and secret",
            ),
            ({"max_age": -1}, "max_age must be"),
            ({"clock": 5}, "clock must be"),
            ({"clock": lambda: "now"}, "clock must be"),
            ({"clock": lambda: 1 / 0}, "clock raised ZeroDivisionError"),
        ],
    )
    def test_an_option_that_is_not_valid_is_refused(self, options, message):
        with pytest.raises(ConfigurationError) as caught:
            VerifierSource(lambda: "new", **options)

        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("fetch", [None, 5, "secret"])
    def test_what_cannot_be_called_is_refused(self, fetch):
        with pytest.raises(ConfigurationError, match=r"^fetch must be callable"):
            VerifierSource(fetch)


class TestPreviousSecrets:
    @pytest.mark.parametrize(
        "fetched",
        [
            ("new", ["old", b"older"]),
            ["new", ("old", b"older")],
            ("new", "old", b"older"),
            ["new", "old", b"older"],
            [pydantic.SecretStr("new"), [pydantic.SecretStr("old"), "older"]],
        ],
    )
    def test_they_may_be_listed_behind_the_current_one(
        self, vault, make_source, headers_for, fetched
    ):
        vault.secret = fetched
        verifier = make_source()()

        for index, key in enumerate([b"new", b"old", b"older"]):
            delivery = verifier.verify(BODY, headers_for(BODY, key=key))
            assert delivery.secret_index == index

    @pytest.mark.parametrize(
        "fetched", ["new", b"new", pydantic.SecretStr("new"), ["new"], ("new", [])]
    )
    def test_there_may_be_none(self, vault, make_source, headers_for, fetched):
        vault.secret = fetched

        make_source()().verify(BODY, headers_for(BODY, key=b"new"))


class TestFetchingAgain:
    def test_a_secret_is_used_for_as_long_as_is_said(self, source, vault, clock):
        for age in (0, 1, 299, 299.999):
            clock.now = 1_713_277_889 + age
            source()
        assert vault.fetched == 1

        clock.now = 1_713_277_889 + 300
        source()
        source()

        assert vault.fetched == 2

    def test_a_fetch_that_succeeds_is_not_logged(self, source, vault, clock, records):
        clock.now += 300

        source()

        assert vault.fetched == 2
        assert records == []

    def test_a_new_secret_makes_a_new_verifier(self, source, vault, clock, headers_for):
        last = source()
        vault.secret = "another-secret"
        clock.now += 300

        verifier = source()

        assert verifier is not last
        assert source() is verifier
        headers = headers_for(
            BODY, key=b"another-secret", timestamp=str(int(clock.now))
        )
        verifier.verify(BODY, headers)
        with pytest.raises(SignatureMismatchError) as caught:
            last.verify(BODY, headers)
        assert caught.value.secret_source == "VerifierSource"

    @pytest.mark.parametrize("kind", [str, str.encode, pydantic.SecretStr])
    def test_a_secret_that_did_not_change_keeps_its_verifier(
        self, source, vault, clock, secret, kind
    ):
        last = source()
        vault.secret = kind(secret)
        clock.now += 300

        assert source() is last
        assert vault.fetched == 2

    def test_a_change_of_the_previous_ones_makes_a_new_verifier(
        self, source, vault, clock, secret
    ):
        last = source()
        vault.secret = (secret, ["old"])
        clock.now += 300

        assert source() is not last

    def test_a_clock_that_goes_back_makes_it_fetch(self, source, vault, clock):
        clock.now -= 1

        source()
        source()

        assert vault.fetched == 2

    def test_without_a_clock_it_counts_by_a_monotonic_one(self, vault):
        with patch.object(time, "monotonic", lambda: 1000.0):
            source = VerifierSource(vault, every=5)
            source()
        with patch.object(time, "monotonic", lambda: 1004.999):
            source()
        assert vault.fetched == 1
        with patch.object(time, "monotonic", lambda: 1005.0):
            source()

        assert vault.fetched == 2

    def test_a_clock_that_breaks_later_is_refused(self, source, clock):
        clock.now = "soon"

        with pytest.raises(ConfigurationError, match=r"^clock must be"):
            source()

    @pytest.mark.parametrize(
        ("fetched", "reason"),
        [
            (OSError("password"), "fetch raised OSError"),
            (None, "fetch returned no secret"),
            ("new\n", "secret holds a line break"),
        ],
    )
    def test_a_failure_keeps_the_last_one_and_is_logged(
        self, source, vault, clock, records, fetched, reason
    ):
        last = source()
        vault.secret = fetched
        clock.now += 300

        assert source() is last

        (record,) = records
        assert record.levelno == logging.ERROR
        assert record.port_event == "secret_refresh_failed"
        assert record.getMessage() == (
            "The client secret could not be fetched again, and the last one stays in "
            f"use: {reason}"
        )

    def test_after_a_failure_it_waits_before_it_fetches_again(
        self, source, vault, clock, secret
    ):
        vault.secret = OSError()
        clock.now += 300
        source()
        source()
        assert vault.fetched == 2

        clock.now += 300
        vault.secret = "another-secret"
        last = source()

        assert vault.fetched == 3
        assert source() is last

    def test_an_interrupt_of_the_fetch_passes_and_does_not_block_the_next(
        self, source, vault, clock, secret
    ):
        vault.secret = KeyboardInterrupt()
        clock.now += 300
        with pytest.raises(KeyboardInterrupt):
            source()

        vault.secret = "another-secret"
        clock.now += 300
        source()

        assert vault.fetched == 3

    def test_one_thread_fetches_while_the_others_use_the_last(
        self, make_source, vault, clock, secret
    ):
        source = make_source()
        last = source()
        entered, go_on = threading.Event(), threading.Event()
        found: list[Verifier] = []

        class Slow(Vault):
            def __call__(self):
                entered.set()
                assert go_on.wait(30)
                return super().__call__()

        source._fetch = slow = Slow("another-secret")
        clock.now += 300
        thread = threading.Thread(target=lambda: found.append(source()))
        thread.start()
        assert entered.wait(30)

        for _ in range(3):
            assert source() is last
        clock.now += 300  # a fetch that hangs is not started a second time
        assert source() is last
        go_on.set()
        thread.join(30)

        assert slow.fetched == 1
        assert found == [source._verifier]
        assert found != [last]

    def test_a_list_that_breaks_keeps_the_last_one_and_is_logged(
        self, source, vault, clock, records
    ):
        class Broken(list[str]):
            def __iter__(self):
                raise LookupError

        last = source()
        vault.secret = Broken(["another"])
        clock.now += 300

        assert source() is last
        assert [each.port_event for each in records] == ["secret_refresh_failed"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_process_that_was_forked_during_a_fetch_fetches_itself(
        self, source, vault, clock
    ):
        source._locks[os.getpid()].acquire()  # another thread is fetching
        clock.now += 300
        child = os.fork()
        if child == 0:
            source()
            os._exit(vault.fetched)

        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == vault.fetched + 1

    def test_a_fetch_of_another_process_is_not_waited_for(self, source, vault, clock):
        clock.now += 300
        source._fetched_at = clock.now  # it has just begun
        source._locks = {0: threading.Lock()}
        source._locks[0].acquire()
        fetched = vault.fetched

        source()
        source()

        assert vault.fetched == fetched + 1

    def test_a_process_that_was_forked_between_fetches_waits_for_the_next(
        self, source, vault
    ):
        source._locks = {0: threading.Lock()}
        fetched = vault.fetched

        source()

        assert vault.fetched == fetched

    def test_the_threads_of_a_process_that_was_forked_share_one_lock(self, source):
        class Locks(dict[Any, Any]):
            """Another thread is as far as this one before it sets its lock."""

            def get(self, _key, _default=None):
                return None

        source._locks = locks = Locks()

        source()
        first = locks[os.getpid()]
        source()

        assert locks == {os.getpid(): first}

    def test_a_thread_that_comes_late_does_not_fetch_again(self, source, vault, clock):
        class Lock:
            """Another thread fetches before this one takes the lock."""

            def acquire(self, *, blocking):
                source._locks[os.getpid()] = lock
                source()
                return lock.acquire(blocking=blocking)

            def release(self):
                lock.release()

        lock = source._locks[os.getpid()]
        source._locks[os.getpid()] = Lock()
        clock.now += 300
        fetched = vault.fetched

        source()

        assert vault.fetched == fetched + 1
        assert not lock.locked()


def test_a_hostile_list_of_previous_secrets_is_an_error_without_its_message():
    class Hostile(list[str]):
        def __iter__(self):
            raise ValueError("the secret")  # as a client may

    with pytest.raises(ConfigurationError, match=r"^fetch raised ValueError$"):
        VerifierSource(lambda: ["a secret of thirty-two characters", Hostile(["b"])])
