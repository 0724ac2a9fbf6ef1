"""Fixtures for pytest, with a secret of their own and a clock that stands still.

In the ``conftest.py`` at the root of your project::

    pytest_plugins = ["port_webhook.testing.plugin"]

Define a fixture of the same name to choose another secret or another clock; the rest
follows. There is no entry point on purpose: pytest would load this package in every
run, and before pytest-cov could see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook import Verifier
    from port_webhook.testing import FixedClock, Signer

__all__ = [
    "port_webhook_clock",
    "port_webhook_secret",
    "port_webhook_sign",
    "port_webhook_verifier",
]


@pytest.fixture
def port_webhook_secret() -> str:
    """A client secret, long enough for secret inputs too."""
    return "made-up-client-secret-for-tests-of-port-webhook"


@pytest.fixture
def port_webhook_clock() -> FixedClock:
    """A `FixedClock`: move it with ``advance``."""
    from port_webhook.testing import FixedClock

    return FixedClock()


@pytest.fixture
def port_webhook_verifier(
    port_webhook_secret: str | bytes, port_webhook_clock: Callable[[], float]
) -> Verifier:
    """A `Verifier` with the secret and the clock of the test."""
    from port_webhook import Verifier

    return Verifier(port_webhook_secret, clock=port_webhook_clock)


@pytest.fixture
def port_webhook_sign(
    port_webhook_secret: str | bytes, port_webhook_clock: Callable[[], float]
) -> Signer:
    """A `Signer` with the secret and the clock of the test."""
    from port_webhook.testing import Signer

    return Signer(port_webhook_secret, clock=port_webhook_clock)
