"""The fixtures of these tests, which need Django."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("django") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def site(secret, clock, monkeypatch):
    for name in ("PORT_CLIENT_SECRET", "PORT_CLIENT_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
    from port_webhook.adapters.django import _conf

    from .project import Site

    site = Site(secret, clock)
    yield site
    site.close()
    _conf.default.verifier = None


@pytest.fixture
def store():
    from ..doubles import Store

    return Store(remembers=True)


@pytest.fixture
def guarded(make_verifier, store):
    """A verifier with a replay store."""
    return make_verifier(replay_store=store)


@pytest.fixture
def views():
    from .project import Views

    return Views()


@pytest.fixture(params=["sync", "async"])
def view(request, views):
    return views.of(request.param)
