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
        claim: What `claim` answers, or raises.
        commit: What `commit` answers, or raises.
        log: Where to write.
    """

    def __init__(self, claim="claimed", *, commit=True, log=None):
        self.steps: list[str] = [] if log is None else log
        self._answers: dict[str, Any] = {
            "claim": claim,
            "commit": commit,
            "release": True,
        }

    def _do(self, step):
        self.steps.append(step)
        answer = self._answers[step]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def claim(self, key, owner, lease):
        return self._do("claim")

    def commit(self, key, owner, ttl):
        return self._do("commit")

    def release(self, key, owner):
        return self._do("release")


class AsyncStore(Store):
    """The same, asynchronous; it says when a claim has ended."""

    def __init__(self, claim="claimed", **options):
        super().__init__(claim, **options)
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
