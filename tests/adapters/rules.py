"""Run a rule on every adapter to which it can apply."""

from __future__ import annotations

import pytest

from .worlds import WORLDS

# What a world may lack: a rule names it, and a world says why.
CAPABILITIES: set[str] = set()


def rule(*capabilities):
    """Mark a test that takes a ``world``; it needs the *capabilities*."""
    CAPABILITIES.update(capabilities)
    able = [
        name
        for name, kind in WORLDS.items()
        if not any(each in kind.cannot for each in capabilities)
    ]
    return pytest.mark.parametrize("world", able, indirect=True)


@pytest.fixture
def world(request):
    """An adapter; see `WORLDS`."""
    world = WORLDS[request.param]()
    yield world
    world.close()
