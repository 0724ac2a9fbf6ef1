"""Races: many threads on one object, first imports, and subinterpreters.

Every test passes on any interpreter. One without the GIL gives the races more room; an
interpreter with it switches threads as often as it can here.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import textwrap
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

import port_webhook
from port_webhook import (
    DeliveryInProgressError,
    DuplicateDeliveryError,
    SignatureMismatchError,
    Verifier,
    VerifierSource,
)
from port_webhook.replay.memory import MemoryReplayStore

THREADS = 8
ROUNDS = 50
SECRETS = ("the current secret", "the previous secret", "the one before it")


@pytest.fixture(autouse=True)
def _often():
    """Switch threads as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(work):
    """Call *work* with a number of its own in each thread, all at one moment."""
    barrier = threading.Barrier(THREADS)

    def start(number):
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


def run(script, *arguments, options=()):
    """Run *script* in a process of its own, and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class TestOneVerifier:
    def test_every_answer_is_right(self, clock, headers_for):
        verified: Counter[int] = Counter()
        counting = threading.Lock()

        def count(delivery):
            with counting:
                verified[delivery.secret_index] += 1

        verifier = Verifier(
            SECRETS[0],
            previous_secrets=SECRETS[1:],
            agent=True,
            clock=clock,
            on_verified=count,
        )
        held = {name: getattr(verifier, name) for name in Verifier.__slots__[1:]}
        keys = list(held["_keys"])

        def verify(number):
            wrong = []
            for turn in range(ROUNDS):
                body = b'{"thread":%d,"turn":%d}' % (number, turn)
                index = (number + turn) % len(SECRETS)
                headers = headers_for(body, key=SECRETS[index].encode())
                spaced = body.replace(b":", b": ")
                for sent in (body, spaced):
                    delivery = verifier.verify(sent, headers)
                    if (delivery.payload, delivery.secret_index) != (body, index):
                        wrong.append(delivery)
                other = b'{"thread":%d,"turn":%d}' % (number + 1, turn)
                with suppress(SignatureMismatchError):
                    wrong.append(verifier.verify(other, headers))
            return wrong

        assert together(verify) == [[]] * THREADS
        assert verified.total() == 2 * THREADS * ROUNDS
        # Nothing that the threads share was changed.
        for name, value in held.items():
            assert getattr(verifier, name) is value
        assert len(keys) == len(SECRETS)
        assert all(a is b for a, b in zip(verifier._keys, keys, strict=True))

    def test_one_copy_of_a_request_runs(self, clock, headers_for):
        store = MemoryReplayStore(single_process=True)
        verifier = Verifier(SECRETS[0], clock=clock, replay_store=store)
        bodies = [b"%d" % turn for turn in range(ROUNDS)]
        signed = [(body, headers_for(body, key=SECRETS[0].encode())) for body in bodies]

        def receive(number):
            ran = []
            for body, headers in signed:
                try:
                    with verifier.receive(body, headers) as delivery:
                        ran.append(delivery.payload)
                except (DuplicateDeliveryError, DeliveryInProgressError):
                    pass
            return ran

        ran = [body for each in together(receive) for body in each]
        assert Counter(ran) == Counter(bodies)


class TestOneMemoryStore:
    def test_a_key_has_one_winner(self):
        store = MemoryReplayStore(single_process=True)
        keys = [f"key {turn}" for turn in range(200)]

        def claim(number):
            return [store.claim(key, f"owner {number}", 60) for key in keys]

        for answers in zip(*together(claim), strict=True):
            assert Counter(answers) == {"claimed": 1, "in_progress": THREADS - 1}

    def test_only_the_owner_ends_a_claim(self):
        store = MemoryReplayStore(single_process=True)
        keys = [f"key {turn}" for turn in range(200)]

        def take(number):
            ended = []
            for turn, key in enumerate(keys):
                store.claim(key, f"owner {number}", 60)
                if turn % 2:
                    ended.append(store.commit(key, f"owner {number}", 60))
                else:
                    store.release(key, f"owner {number}")
            return ended

        for answers in zip(*together(take), strict=True):
            assert Counter(answers) == {True: 1, False: THREADS - 1}
        # What was released can be claimed; what was committed cannot.
        found = [store.claim(key, "another owner", 60) for key in keys]
        assert found == ["claimed", "committed"] * 100
        for heap in (store._claims, store._marks):
            places = {name: place for place, name in enumerate(heap.keys)}
            assert heap.places == places
            assert len(heap.keys) == len(heap.owners) == len(heap.expiries) == 100

    def test_a_full_store_holds_no_key_too_many(self):
        store = MemoryReplayStore(max_keys=100, single_process=True)

        def claim(number):
            claimed = 0
            for turn in range(100):
                with suppress(port_webhook.ReplayStoreError):
                    claimed += store.claim(f"{number} {turn}", "x", 60) == "claimed"
            return claimed

        assert sum(together(claim)) == 100


class TestOneSource:
    def test_a_rotation_loses_no_delivery(self, now, headers_for):
        # Each call of the clock is a little later, so that most calls fetch again.
        ticking = threading.Lock()
        time = float(now)

        def clock():
            nonlocal time
            with ticking:
                time += 0.001
                return time

        fetching = threading.Lock()
        fetched = 0

        def fetch():
            nonlocal fetched
            # One thread at a time fetches.
            assert fetching.acquire(blocking=False)
            fetched += 1
            fetching.release()
            return f"secret number {fetched}", SECRETS[1]

        source = VerifierSource(fetch, every=0.002, clock=clock)

        def verify(number):
            wrong = []
            for turn in range(ROUNDS):
                body = b"%d %d" % (number, turn)
                headers = headers_for(body, key=SECRETS[1].encode())
                delivery = source().verify(body, headers)
                if (delivery.payload, delivery.secret_index) != (body, 1):
                    wrong.append(delivery)
                with suppress(SignatureMismatchError):
                    wrong.append(source().verify(body + b" ", headers))
            return wrong

        assert together(verify) == [[]] * THREADS
        assert fetched > 1
        # The last verifier is that of the last fetch.
        signed = headers_for(b"", key=f"secret number {fetched}".encode())
        assert source._verifier.verify(b"", signed).secret_index == 0

    def test_without_a_change_all_use_one_verifier(self, clock):
        source = VerifierSource(lambda: SECRETS[0], every=1, clock=clock)

        def use(number):
            clock.now += 10
            return {id(source()) for _ in range(ROUNDS)}

        assert set().union(*together(use)) == {id(source())}


def test_threads_may_import_the_package_at_one_moment():
    assert run(
        f"""
        import sys, threading
        from concurrent.futures import ThreadPoolExecutor

        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier({THREADS})

        def load(number):
            barrier.wait(60)
            import port_webhook

            names = port_webhook.__all__
            # Each thread begins with another name.
            start = number * len(names) // {THREADS}
            order = names[start:] + names[:start]
            return {{name: getattr(port_webhook, name) for name in order}}

        with ThreadPoolExecutor({THREADS}) as pool:
            first, *rest = pool.map(load, range({THREADS}))
        assert all(each == first for each in rest)
        print(len(first))
        """
    ) == [str(len(port_webhook.__all__))]


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL"
)
def test_the_package_leaves_the_gil_off():
    script = "import sys, port_webhook; print(sys._is_gil_enabled())"
    assert run(script, options=["-Werror::RuntimeWarning"]) == ["False"]


# Runs some code in new interpreters of one process, and in the main one.
INTERPRETERS = """
    import sys

    CODE = '''if True:
        try:
            from port_webhook import Verifier, sign
            signed = sign(b"{}", "a-made-up-secret")
            Verifier("a-made-up-secret").verify(b"{}", signed)
        except ImportError as error:
            print("refused" if "subinterpreters" in str(error) else error, flush=True)
        else:
            print("verified", flush=True)
    '''

    def run(own_gil):
        try:
            import _interpreters
        except ImportError:
            import _xxsubinterpreters as old

            identity = old.create(isolated=own_gil)
            old.run_string(identity, CODE)
        else:
            kind = "isolated" if own_gil else "legacy"
            identity = _interpreters.create(kind)
            assert _interpreters.exec(identity, CODE) is None

    for word in sys.argv[1:]:
        if word == "main":
            exec(CODE)
        else:
            run(own_gil=word == "own")
"""


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="private modules of CPython"
)
class TestSubinterpreters:
    """`cryptography` decides: it may refuse, but the answer is never wrong."""

    @pytest.mark.parametrize(
        "order", [["main", "own", "main"], ["main", "shared", "main"]]
    )
    def test_beside_the_main_interpreter_they_are_refused_or_work(self, order):
        first, middle, last = run(INTERPRETERS, *order)
        assert (first, last) == ("verified", "verified")
        assert middle in {"refused", "verified"}

    def test_of_those_that_share_a_gil_the_first_works(self):
        first, second = run(INTERPRETERS, "shared", "shared")
        assert first == "verified"
        assert second in {"refused", "verified"}

    def test_one_with_its_own_gil_is_refused_or_works(self):
        (answer,) = run(INTERPRETERS, "own")
        assert answer in {"refused", "verified"}


def test_the_first_refusal_imports_nothing_of_cryptography():
    # It would do so in Rust, where a signal handler that raises aborts the process, and
    # a fork leaves a lock that nobody releases.
    script = """
        import sys
        from port_webhook import DeliveryError, Verifier, sign

        secret = "a secret of thirty-two characters"
        verifier, headers = Verifier(secret), sign(b"{}", secret)
        before = {*sys.modules}
        try:
            verifier.verify(b"forged", headers)
        except DeliveryError:
            found = {name for name in {*sys.modules} - before if "crypto" in name}
            print(sorted(found))
    """
    assert run(script) == ["[]"]
