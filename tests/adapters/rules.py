"""Run a rule on every adapter to which it can apply."""

from __future__ import annotations

import pytest

from .worlds import WORLDS

# What a world may lack: a rule names it, and the world says why.
CAPABILITIES = {
    "await": "a chooser, a store and a view may be asynchronous",
    "body of the request": "the view gets a request, whose body it may read",
    "chooser in its place": "a function instead of a verifier is told from one",
    "decorator": "it decorates a function",
    "duplicate headers": "each value of a header that comes twice can be seen",
    "early": "a request can be refused before its body is read",
    "forms": "the framework parses forms",
    "frames": "the view is called through frames of ours",
    "http exceptions": "the framework has exceptions with a status",
    "left on the request": "the delivery is left on the request",
    "length": "Content-Length is compared with what arrives",
    "length that is no number": "a wrong Content-Length gets to the adapter",
    "model": "it parses the payload into a model",
    "not both": "a verifier and a chooser can be given together",
    "stream": "a response may be made while it is sent",
    "truncation": "the sender of a truncated body still gets a response",
    "two verifiers": "a second adapter can verify anew",
}


def rule(*capabilities):
    """Mark a test that takes a ``world``; it needs the *capabilities*."""
    assert CAPABILITIES.keys() >= {*capabilities}
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
