"""The fixtures of these tests."""

from __future__ import annotations

import pytest

from ..doubles import Store
from .server import App, Client


@pytest.fixture
def client(secret, now):
    return Client(secret, now)


@pytest.fixture
def store():
    return Store(remembers=True)


@pytest.fixture
def guarded(make_verifier, store):
    """A verifier with a replay store."""
    return make_verifier(replay_store=store)


@pytest.fixture
def app():
    return App()
