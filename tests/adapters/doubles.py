"""Signed requests, replay stores, views and verifiers that tests of adapters share."""

from __future__ import annotations

import asyncio
from typing import Any

from port_webhook import Verifier, sign

SECRET = "the-client-secret"
OTHER = "the-client-secret-of-another-organisation"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
# BODY as the agent may send it.
SPELLED = b'{ "context": {"runId": "r_1"} }'
FORM = b"payload=a+b&other=c"
FORM_TYPE = "application/x-www-form-urlencoded"


def make(secret=SECRET, **options):
    """Return a verifier whose clock stands at the time of signing."""
    return Verifier(secret, **{"clock": lambda: NOW, **options})


def signed(body=BODY, secret=SECRET):
    return sign(body, secret, timestamp=NOW)


class Store:
    """A synchronous replay store that writes down what it is asked.

    Args:
        claims: What `claim` answers, one after another, or raises; the last stays.
        commit: What `commit` answers, or raises.
        log: Where to write.
        remembers: Whether a key that is committed stays so.
    """

    def __init__(self, *claims, commit=True, log=None, remembers=False):
        self.steps: list[str] = [] if log is None else log
        self.fails = ""
        self._claims: list[Any] = [*claims] or ["claimed"]
        self._commit = commit
        self._committed: set[str] | None = set() if remembers else None

    def _do(self, step, answer):
        self.steps.append(step)
        if step == self.fails:
            raise OSError
        if isinstance(answer, Exception):
            raise answer
        return answer

    def claim(self, key, owner, lease):
        if key in (self._committed or ()):
            return self._do("claim", "committed")
        rest = self._claims[1:]
        answer, self._claims = self._claims[0], rest or self._claims
        return self._do("claim", answer)

    def commit(self, key, owner, ttl):
        if self._committed is not None:
            self._committed.add(key)
        return self._do("commit", self._commit)

    def release(self, key, owner):
        return self._do("release", answer=True)


class AsyncStore(Store):
    """The same, asynchronous; it says when a claim has ended."""

    def __init__(self, *claims, **options):
        super().__init__(*claims, **options)
        self.ended = asyncio.Event()

    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        await asyncio.sleep(0)
        self.ended.set()
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await asyncio.sleep(0)
        self.ended.set()
        return super().release(key, owner)


class View:
    """What an application does with a verified request.

    Args:
        act: Takes what the adapter gave and the framework's request, and returns the
            status of the response, or a `Stream`; it may be asynchronous.
    """

    def __init__(self, act=lambda given, request: 200):
        self.given: list[Any] = []
        self._act = act

    def __call__(self, given, request=None):
        self.given.append(given)
        return self._act(given, request)


class Stream:
    """A response of which no chunk is made before it starts."""

    def __init__(self, status, chunks=()):
        self.status = status
        self.chunks = chunks


class Hooks:
    """What a verifier's hooks were called with."""

    def __init__(self):
        self.verified: list[Any] = []
        self.rejected: list[Any] = []

    @property
    def options(self):
        return {
            "on_verified": self.verified.append,
            "on_rejected": self.rejected.append,
        }
