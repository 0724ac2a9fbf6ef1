"""The few fixtures that tests of several modules share, and a clock that stands."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import signal

import django
import hypothesis
import pytest
from django.conf import settings

from port_webhook import Verifier

# A shell that runs the tests in the background lets them ignore Ctrl-C, and with them
# every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be busy: an example that takes long is no failure.
hypothesis.settings.register_profile("port_webhook", deadline=None)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "port_webhook"))

# A process has one configuration of Django, whichever test needs it first.
settings.configure(INSTALLED_APPS=["port_webhook.replay.django"], USE_TZ=True)
django.setup()


class Clock:
    """A clock that shows what the test sets, in seconds since the epoch."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def _kept_level():
    """Undo what a test, or the command in its process, does to the logger's level."""
    logger = logging.getLogger("port_webhook")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def now():
    """The instant at which every delivery is signed unless the test says otherwise."""
    return 1_713_277_889


@pytest.fixture
def clock(now):
    return Clock(float(now))


@pytest.fixture
def secret():
    return "a-made-up-secret"


@pytest.fixture
def make_verifier(secret, clock):
    """Build a verifier with the test's secret and clock."""

    def make(**options):
        return Verifier(options.pop("secret", secret), **{"clock": clock, **options})

    return make


@pytest.fixture
def verifier(make_verifier):
    return make_verifier()


@pytest.fixture
def signature_of(secret, now):
    """Compute a header value with the standard library, not with the one under test."""

    def compute(payload, *, key=None, timestamp=str(now)):
        key = secret.encode() if key is None else key
        mac = hmac.digest(key, timestamp.encode() + b"." + payload, hashlib.sha256)
        return "v1," + base64.b64encode(mac).decode()

    return compute


@pytest.fixture
def headers_for(signature_of, now):
    """Make the two headers of a payload."""

    def make(payload, *, timestamp=str(now), **options):
        return {
            "x-port-timestamp": timestamp,
            "x-port-signature": signature_of(payload, timestamp=timestamp, **options),
        }

    return make


class _Keep(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def records():
    """The records that the library writes during the test, of all levels."""
    logger = logging.getLogger("port_webhook")
    handler, level = _Keep(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.records
    logger.removeHandler(handler)
    logger.setLevel(level)
