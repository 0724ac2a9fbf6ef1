"""Replay stores that write down what they are asked, and a verifier for them."""

from __future__ import annotations

from port_webhook import Verifier

SECRET = "the-client-secret"
NOW = 1_700_000_000


class Store:
    """A replay store that writes down what it is asked."""

    def __init__(self, *, answer="claimed", commit=True):
        self.steps: list[str] = []
        self._answer = answer
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return self._answer

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore(Store):
    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        return super().release(key, owner)


def make(store=None, **options):
    return Verifier(SECRET, replay_store=store, **{"clock": lambda: NOW, **options})
