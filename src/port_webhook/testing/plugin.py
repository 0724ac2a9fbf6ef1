"""Fixtures for pytest: a secret, a clock, a verifier and a signer.

In the ``conftest.py`` at the root of your project::

    pytest_plugins = ["port_webhook.testing.plugin"]

All fixtures have session scope, and each test begins with the clock at its start.
Define a fixture of the same name, of any scope, to choose another secret or another
clock; the others follow.

The clock stands still in each test that uses ``port_webhook_clock`` or
``port_webhook_verifier``, itself or through other fixtures. In every other test the
signer takes the real time, as `Verifier.from_env` does.

There is no entry point on purpose: pytest would load this package in every run, before
pytest-cov could measure it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from port_webhook import Verifier
    from port_webhook.testing import FixedClock, Signer

__all__ = [
    "port_webhook_clock",
    "port_webhook_secret",
    "port_webhook_sign",
    "port_webhook_verifier",
]

_MADE_UP = "made-up-client-secret-for-tests-of-port-webhook"
_ENV = "PORT_CLIENT_SECRET"
_ENV_FILE = "PORT_CLIENT_SECRET_FILE"
_FIXTURES = frozenset(__all__)
_STANDS = "_port_webhook_clock_stands"


def pytest_configure(config: pytest.Config) -> None:
    """Let `Verifier.from_env` find the made-up secret, unless there is another."""
    if not os.environ.get(_ENV) and not os.environ.get(_ENV_FILE):
        patch = pytest.MonkeyPatch()
        patch.setenv(_ENV, _MADE_UP)
        config.add_cleanup(patch.undo)


@pytest.fixture(scope="session")
def port_webhook_secret() -> str:
    """The client secret of the environment, or one that is made up.

    The made-up one is long enough for secret inputs. It is put into the environment if
    there is none.
    """
    secret, path = os.environ.get(_ENV), os.environ.get(_ENV_FILE)
    if secret or not path:
        return secret or _MADE_UP
    text = Path(path).read_bytes().decode("utf-8")
    return text.removesuffix("\n").removesuffix("\r")


@pytest.fixture(scope="session")
def port_webhook_clock(
    _port_webhook_shared: _Shared, _port_webhook_clock_stands: None
) -> FixedClock:
    """A `FixedClock`: move it with ``advance``."""
    return _port_webhook_shared.clock


@pytest.fixture(scope="session")
def port_webhook_verifier(
    _port_webhook_shared: _Shared, _port_webhook_clock_stands: None
) -> Verifier:
    """A `Verifier` with the secret and the clock of the test."""
    return _port_webhook_shared.verifier


@pytest.fixture(scope="session")
def port_webhook_sign(_port_webhook_shared: _Shared) -> Signer:
    """A `Signer` with the secret of the test, and its clock if that stands still."""
    return _port_webhook_shared.signer


class _Shared:
    """A session's clock, verifier and signer."""

    def __init__(self, secret: str | bytes) -> None:
        from port_webhook import Verifier
        from port_webhook.testing import FixedClock, Signer

        self.clock = FixedClock()
        self.stands = False
        self.verifier = Verifier(secret, clock=self.now)
        self.signer = Signer(secret, clock=self.now)

    def now(self) -> float:
        return self.clock() if self.stands else time.time()

    def follow(self, secret: str | bytes, clock: Callable[[], float]) -> None:
        """Change the verifier and the signer in place, since applications hold them."""
        from port_webhook import Verifier
        from port_webhook.testing import Signer

        now = self.now if clock is self.clock else clock
        Verifier.__init__(self.verifier, secret, clock=now)
        Signer.__init__(self.signer, secret, clock=now)


@pytest.fixture(scope="session")
def _port_webhook_shared(request: pytest.FixtureRequest) -> _Shared:
    try:
        secret = request.getfixturevalue("port_webhook_secret")
    except pytest.fail.Exception:
        secret = _MADE_UP  # The test's own has a narrower scope, and is set before it.
    return _Shared(secret)


@pytest.fixture(scope="session")
def _port_webhook_clock_stands(_port_webhook_shared: _Shared) -> None:
    """Mark, by this name, a test that depends on the clock."""
    _port_webhook_shared.stands = True


@pytest.fixture(autouse=True)
def _port_webhook_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the secret and the clock of each test that uses a fixture of this module."""
    names = getattr(request.node, "fixturenames", ())
    if _FIXTURES.isdisjoint(names):
        yield
        return
    from port_webhook.testing import FixedClock

    shared: _Shared = request.getfixturevalue("_port_webhook_shared")
    clock = request.getfixturevalue("port_webhook_clock")
    shared.stands = _STANDS in names
    shared.follow(request.getfixturevalue("port_webhook_secret"), clock)
    if isinstance(clock, FixedClock):
        clock.reset()
    yield
    if isinstance(clock, FixedClock):
        clock.reset()
