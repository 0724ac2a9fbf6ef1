"""Look for secrets in the time that verification and decryption take.

`make timing` runs this. It works as dudect does (Reparaz, Balasch and Verbauwhede,
"Dude, is my code constant time?", 2017): inputs of two classes are timed in random
order, the slowest measurements are cropped at several percentiles, and Welch's t-test
compares the rest. A difference counts if it is significant and large enough, both
together.

Each run checks itself. Controls leak on purpose, and must be detected; the classes of a
null pair are the same, and must not differ.

Exit status: 0 nothing was detected; 1 a difference was detected where there must be
none; 2 the run proves nothing, because a control was missed or a null pair differed.
"""

from __future__ import annotations

import argparse
import gc
import hmac
import logging
import math
import os
import platform
import random
import sys
import time
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, pvariance
from typing import Literal, cast

import cryptography
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from rich.console import Console
from rich.table import Table

from port_webhook import Verifier, decryption, sign
from port_webhook._signature import match_signature, new_key
from port_webhook.exceptions import DecryptionError, SignatureMismatchError
from port_webhook.testing import encrypt_client_side, encrypt_secret

# dudect's threshold for |t|, and the smallest Cliff's delta that counts: 0 means that
# neither class is slower, 1 that one always is.
MIN_T = 4.5
MIN_DELTA = 0.03
PERCENTILES = (50, 75, 90, 95, 99, 100)
# The difference in nanoseconds is that of the means of so many percent of each class,
# the fastest: on a busy machine, many of the others wait for the processor.
SHOWN = 50
BATCH = 240

# What a pair is for: a claim of the library, a check of this run, or a figure only.
Role = Literal["claim", "control", "null", "shown"]
Maker = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Two classes of measurements, compared."""

    t: float
    nanoseconds: float
    interval: float
    delta: float
    typical: float

    @property
    def differs(self) -> bool:
        return abs(self.t) >= MIN_T and abs(self.delta) >= MIN_DELTA


@dataclass(frozen=True)
class Experiment:
    """A function, makers of its inputs by class, and the pairs to compare."""

    name: str
    call: Callable[[object], object]
    classes: dict[str, Maker]
    pairs: tuple[tuple[str, str, Role], ...]
    samples: int


def welch(first: list[int], second: list[int]) -> tuple[float, float, float]:
    """Return t, the difference of the means, and half of its 95 % interval."""
    error = math.sqrt(pvariance(first) / len(first) + pvariance(second) / len(second))
    difference = fmean(first) - fmean(second)
    return difference / error if error else 0.0, difference, 1.96 * error


def cliffs_delta(first: list[int], second: list[int]) -> float:
    """Return how much likelier it is that the first takes longer than the reverse."""
    ranked, count = sorted(second), len(second)
    total = sum(
        bisect_left(ranked, value) + bisect_right(ranked, value) - count
        for value in first
    )
    return total / (len(first) * count)


def compare(first: list[int], second: list[int]) -> Comparison:
    """Compare two classes at each percentile; the largest |t| counts."""
    pooled = sorted(first + second)
    worst = 0.0
    for percentile in PERCENTILES:
        # The cutoff is that of both together, so that it is the same for each.
        cutoff = pooled[math.ceil(len(pooled) * percentile / 100) - 1]
        kept = [[each for each in times if each <= cutoff] for times in (first, second)]
        if min(map(len, kept)) < 2:  # one class lies above the cutoff
            continue
        t, _, _ = welch(*kept)
        if abs(t) > abs(worst):
            worst = t
    # In nanoseconds each class has a cutoff of its own: a common one shrinks a shift.
    fastest = [sorted(times)[: len(times) * SHOWN // 100] for times in (first, second)]
    _, nanoseconds, interval = welch(*fastest)
    delta = cliffs_delta(first, second)
    return Comparison(worst, nanoseconds, interval, delta, median(pooled))


def measure(experiment: Experiment, scale: float) -> dict[str, list[int]]:
    """Time fresh inputs of all classes in random order, each input once."""
    names = list(experiment.classes)
    times: dict[str, list[int]] = {name: [] for name in names}
    call, clock = experiment.call, time.perf_counter_ns
    each = BATCH // len(names)
    wanted = max(1, round(experiment.samples * scale / each))
    for number in range(wanted + 1):
        order = names * each
        random.shuffle(order)
        # Made in the order of use: where an input lies in memory tells nothing of it.
        inputs = [experiment.classes[name]() for name in order]
        taken: list[int] = []
        gc.collect(0)
        gc.disable()
        for argument in inputs:
            started = clock()
            call(argument)
            taken.append(clock() - started)
        gc.enable()
        if number:  # the first batch warms up
            for name, nanoseconds in zip(order, taken, strict=True):
                times[name].append(nanoseconds)
    return times


SECRET = "a made-up client secret of 40 characters"
OTHER = "another made-up secret of 40 characters."
UNRELATED = "an unrelated secret, 40 characters, too."
STAMP = b"1713277889"
PAYLOAD = b'{"context":{"runId":"r_1"},"payload":{"properties":{"size":"small"}}}'
MAC = hmac.digest(SECRET.encode(), STAMP + b"." + PAYLOAD, "sha256")


def wrong_at(value: bytes, index: int) -> bytes:
    """Return a copy of *value* with another byte at *index*."""
    copy = bytearray(value)
    copy[index] ^= random.randrange(1, 256)  # noqa: S311  # a fault, no secret
    return bytes(copy)


def with_prefix(length: int) -> bytes:
    """Return a MAC of which just so many bytes are right."""
    return wrong_at(MAC[: length + 1], length) + os.urandom(len(MAC) - length - 1)


def comparisons() -> list[Experiment]:
    """Return the controls and the comparison itself."""
    key = new_key(SECRET.encode())
    long = os.urandom(65_536)

    def equal_32(mac: object) -> bool:
        return mac == MAC

    def equal_64k(value: object) -> bool:
        return value == long

    def naive(mac: object) -> bool:
        # What `match_signature` does, but for the last step.
        context = key.copy()
        context.update(STAMP + b"." + PAYLOAD)
        return context.finalize() == mac

    def ours(mac: object) -> None:
        assert match_signature([key], STAMP, (mac,), PAYLOAD) is None

    ends: dict[str, Maker] = {
        "first byte wrong": lambda: wrong_at(MAC, 0),
        "last byte wrong": lambda: wrong_at(MAC, -1),
        "first byte wrong again": lambda: wrong_at(MAC, 0),
    }
    long_ends: dict[str, Maker] = {
        "first byte wrong": lambda: wrong_at(long, 0),
        "last byte wrong": lambda: wrong_at(long, -1),
        "first byte wrong again": lambda: wrong_at(long, 0),
    }

    def pairs(role: Role) -> tuple[tuple[str, str, Role], ...]:
        return (
            ("first byte wrong", "last byte wrong", role),
            ("first byte wrong", "first byte wrong again", "null"),
        )

    prefixes = {
        f"{length} bytes right": (lambda length=length: with_prefix(length))
        for length in (0, 1, 4, 8, 16, 31)
    }
    return [
        Experiment("== of 64 KiB", equal_64k, long_ends, pairs("control"), 4_000),
        Experiment("== of 32 bytes", equal_32, ends, pairs("control"), 30_000),
        Experiment("HMAC, then ==", naive, ends, pairs("control"), 30_000),
        Experiment("match_signature", ours, ends, pairs("claim"), 60_000),
        Experiment(
            "match_signature",
            ours,
            prefixes,
            tuple(("0 bytes right", name, "claim") for name in list(prefixes)[1:]),
            30_000,
        ),
    ]


def verification() -> list[Experiment]:
    """Return `Verifier.verify` as a whole, as a sender sees it."""
    now = int(STAMP)

    def verifying(secret: str) -> Callable[[object], None]:
        verifier = Verifier(secret, previous_secrets=[OTHER], clock=lambda: now)

        def call(headers: object) -> None:
            with suppress(SignatureMismatchError):
                verifier.verify(PAYLOAD, cast("dict[str, str]", headers))

        return call

    def headers(mac: bytes) -> dict[str, str]:
        text = "v1," + encode(mac)
        return {"x-port-timestamp": STAMP.decode(), "x-port-signature": text}

    first, last = "first byte wrong", "last byte wrong"
    ends: dict[str, Maker] = {
        first: lambda: headers(wrong_at(MAC, 0)),
        f"{first} again": lambda: headers(wrong_at(MAC, 0)),
        "31st byte wrong": lambda: headers(wrong_at(MAC, 30)),
        # This one changes the last digit of the header, which is looked up in a list
        # of digits. So the header alone makes a difference, which its sender knows.
        last: lambda: headers(wrong_at(MAC, 31)),
        "0 bytes right": lambda: headers(with_prefix(0)),
        "31 bytes right": lambda: headers(with_prefix(31)),
        "current secret": lambda: sign(PAYLOAD, SECRET, timestamp=now),
        "previous secret": lambda: sign(PAYLOAD, OTHER, timestamp=now),
    }
    pairs: tuple[tuple[str, str, Role], ...] = (
        (first, f"{first} again", "null"),
        (first, "31st byte wrong", "claim"),
        ("0 bytes right", "31 bytes right", "claim"),
        (first, last, "shown"),
        ("current secret", "previous secret", "shown"),
    )
    # With a secret that did not sign, no byte is right: what differs is the header.
    strange: dict[str, Maker] = {name: ends[name] for name in (first, last)}
    return [
        Experiment("Verifier.verify", verifying(SECRET), ends, pairs, 20_000),
        Experiment(
            "Verifier.verify, with an unrelated secret",
            verifying(UNRELATED),
            strange,
            ((first, last, "shown"),),
            20_000,
        ),
    ]


def encode(raw: bytes) -> str:
    return b64encode(raw).decode()


def refused(value: object, key: object, function: Callable[..., object]) -> None:
    """Decrypt *value*, which must fail."""
    try:
        function(value, key)
    except DecryptionError:
        return
    raise AssertionError


def secret_inputs() -> list[Experiment]:
    """Return the failures of `decrypt_secret`: AES-256-GCM."""
    iv = 16

    def fresh() -> bytes:
        return b64decode(encrypt_secret("a made-up password", SECRET))

    def changed(index: int) -> Maker:
        def make() -> str:
            return encode(wrong_at(fresh(), index))

        return make

    classes: dict[str, Maker] = {
        "first byte of the tag wrong": changed(-16),
        "last byte of the tag wrong": changed(-1),
        "last byte of the tag wrong again": changed(-1),
        "ciphertext changed": changed(iv),
        "another key": lambda: encrypt_secret("a made-up password", OTHER),
        "truncated": lambda: encode(fresh()[: iv + 15]),
    }
    tag = "first byte of the tag wrong"
    return [
        Experiment(
            "decrypt_secret",
            lambda value: refused(value, SECRET, decryption.decrypt_secret),
            classes,
            (
                (tag, "last byte of the tag wrong", "claim"),
                (
                    "last byte of the tag wrong",
                    "last byte of the tag wrong again",
                    "null",
                ),
                (tag, "ciphertext changed", "claim"),
                (tag, "another key", "claim"),
                (tag, "truncated", "shown"),
            ),
            20_000,
        )
    ]


SHA256_OAEP = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)


def wrap_below(public: rsa.RSAPublicKey, limit: int) -> bytes:
    """Wrap a random key as a number below *limit*, the modulus of another key."""
    while True:
        wrapped = public.encrypt(os.urandom(32), SHA256_OAEP)
        if int.from_bytes(wrapped) < limit:
            return wrapped


def client_side() -> list[Experiment]:
    """Return the failures of `decrypt_client_side`: RSA-OAEP, then AES-256-GCM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    public = key.public_key()
    numbers, size = public.public_numbers(), 256

    def envelope(wrapped: bytes) -> str:
        iv = os.urandom(12)
        sealed = AESGCM(AESGCM.generate_key(256)).encrypt(iv, b"made up", None)
        return encode(iv + wrapped + sealed)

    def raw_rsa(encoded: bytes) -> str:
        number = pow(int.from_bytes(encoded), numbers.e, numbers.n)
        return envelope(number.to_bytes(size))

    def mgf1(seed: bytes, length: int) -> bytes:
        blocks = b""
        for counter in range(-(-length // 32)):
            digest = Hash(SHA256())
            digest.update(seed + counter.to_bytes(4))
            blocks += digest.finalize()
        return blocks[:length]

    def padded(first: int, *, label: bytes = b"", separator: int = 1) -> str:
        """Pad as OAEP does, or wrongly in one place."""
        digest = Hash(SHA256())
        digest.update(label)
        block = digest.finalize() + bytes(size - 2 * 32 - 2 - 32)
        block += bytes([separator]) + os.urandom(32)
        seed = os.urandom(32)
        masked = xor(block, mgf1(seed, len(block)))
        seed = xor(seed, mgf1(masked, 32))
        return raw_rsa(bytes([first]) + seed + masked)

    classes: dict[str, Maker] = {
        # The wrapping is right, the AES key is another than that of the ciphertext.
        "wrapping right, tag wrong": lambda: padded(0),
        # Manger's oracle (2001) is a difference between the next two.
        "first byte of the padding not 0": lambda: padded(1),
        "label hash of the padding wrong": lambda: padded(0, label=b"another"),
        "label hash of the padding wrong again": lambda: padded(0, label=b"another"),
        "separator of the padding wrong": lambda: padded(0, separator=2),
        "wrapped for another key": lambda: envelope(
            wrap_below(other.public_key(), numbers.n)
        ),
        "wrapped key of 16 bytes": lambda: envelope(
            public.encrypt(os.urandom(16), SHA256_OAEP)
        ),
        "number beyond the modulus": lambda: envelope(b"\xff" * size),
        "truncated": lambda: encode(os.urandom(12 + size + 15)),
    }
    # The genuine form, so that these classes fail for their own reason.
    assert decryption.decrypt_client_side(encrypt_client_side("made up", public), key)
    right, hashed = "wrapping right, tag wrong", "label hash of the padding wrong"

    def early(value: object) -> None:
        # As if one failure came a single HMAC earlier than the other.
        text, late = value if isinstance(value, tuple) else (value, False)
        refused(text, key, decryption.decrypt_client_side)
        if late:
            hmac.digest(b"", bytes(size), "sha256")

    controls: dict[str, Maker] = {
        "fails": lambda: (classes[hashed](), False),
        "fails one HMAC later": lambda: (classes[hashed](), True),
    }
    return [
        Experiment(
            "decrypt_client_side",
            early,
            controls,
            (("fails", "fails one HMAC later", "control"),),
            8_000,
        ),
        Experiment(
            "decrypt_client_side",
            lambda value: refused(value, key, decryption.decrypt_client_side),
            classes,
            (
                (hashed, "first byte of the padding not 0", "claim"),
                (hashed, "separator of the padding wrong", "claim"),
                (hashed, "wrapped for another key", "claim"),
                (hashed, f"{hashed} again", "null"),
                (right, hashed, "shown"),
                (right, "wrapped key of 16 bytes", "shown"),
                (right, "number beyond the modulus", "shown"),
                (right, "truncated", "shown"),
            ),
            8_000,
        ),
    ]


def xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def verdict(role: Role, *, differs: bool) -> str:
    """Return the word for a result."""
    if role == "control":
        return "detected" if differs else "MISSED"
    if role == "null":
        return "FALSE ALARM" if differs else "no difference"
    if role == "claim":
        return "LEAK" if differs else "no difference"
    return "differs" if differs else "no difference"


def status_of(verdicts: set[str]) -> int:
    """Return the exit status: a run that proves nothing comes before a leak."""
    if verdicts & {"MISSED", "FALSE ALARM"}:
        return 2
    return int("LEAK" in verdicts)


def machine() -> str:
    """Name the processor and what was measured."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text("utf-8").splitlines())
        names = [
            value.strip() for name, _, value in lines if name.startswith("model name")
        ]
        processor = names[0] if names else processor
    return (
        f"{processor}, {os.cpu_count()} cores; {platform.system()}; "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"cryptography {cryptography.__version__}, {backend.openssl_version_text()}"
    )


def load() -> str:
    """Return the load of the machine, where it tells."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return f"{os.getloadavg()[0]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--scale", type=float, default=1.0, help="take so many times the measurements"
    )
    scale: float = parser.parse_args().scale
    # A refusal is logged; what the log costs must not be measured.
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL + 1)
    console = Console(width=None if Console().is_terminal else 160)
    console.print(machine(), highlight=False)
    console.print(f"load when it began: {load()}", highlight=False)
    verdicts: set[str] = set()
    for build in (comparisons, verification, secret_inputs, client_side):
        for experiment in build():
            times = measure(experiment, scale)
            table = Table("first class", "second class", "role", title=experiment.name)
            for title in ("measured", "median, ns", "difference, ns", "delta", "|t|"):
                table.add_column(title, justify="right", no_wrap=True)
            table.add_column("result", no_wrap=True)
            for first, second, role in experiment.pairs:
                found = compare(times[first], times[second])
                word = verdict(role, differs=found.differs)
                verdicts.add(word)
                table.add_row(
                    *(first, second, role),
                    f"2 x {len(times[first]):,}",
                    f"{found.typical:,.0f}",
                    f"{found.nanoseconds:+,.1f} ± {found.interval:,.1f}",
                    f"{found.delta:+.3f}",
                    f"{abs(found.t):,.1f}",
                    word,
                )
            console.print(table)
    console.print(f"load when it ended: {load()}", highlight=False)
    return status_of(verdicts)


if __name__ == "__main__":
    sys.exit(main())
