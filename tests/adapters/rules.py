"""Run a rule on every adapter to which it can apply, and see what comes of it."""

from __future__ import annotations

import json

import pytest

from .doubles import Hooks, View, make
from .servers import raw
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


def assert_refused(world, answer, error, *, code=None, key="error"):
    """Assert that the response is that of *error*, and says no more."""
    assert answer.error is None
    assert answer.status == error.http_status
    (word,) = json.loads(error.http_body).values()
    assert json.loads(answer.body) == world.body(word, key)
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        assert answer.header(name.lower()) == error.http_headers.get(name)
    assert answer.header("content-type") == "application/json"
    # Some leave it to the server.
    assert answer.header("content-length") in (None, str(len(answer.body)))


class Case:
    """A world with a view, hooks and a verifier that has *options*."""

    def __init__(self, world, view=None, *, given=None, **options):
        self.world = world
        self.view = view or View()
        self.hooks = Hooks()
        self.verifier = make(**self.hooks.options, **options)
        world.serve(self.view, self.verifier, **(given or {}))

    def ask(self, request=None):
        return self.world.ask(request or raw())

    def assert_refuses(self, request, error, *, code=None):
        """Assert that one request is refused, recorded and told, and runs nothing."""
        answer = self.ask(request)
        assert_refused(self.world, answer, error)
        assert self.view.given == []
        assert self.hooks.verified == []
        assert [type(each) for each in self.hooks.rejected] == [error]
        assert self.hooks.rejected[0].code == (code or error.code)
        return answer


def refusals(records):
    return [record for record in records if hasattr(record, "port_code")]


def warnings(records):
    return [record.port_event for record in records if record.levelname == "WARNING"]


def assert_recorded(records, code, status):
    """Assert that one record tells of one refusal."""
    (record,) = refusals(records)
    assert record.levelname == "WARNING"
    assert record.port_code == code
    assert record.port_http_status == status
