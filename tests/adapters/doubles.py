"""Replay stores that write down what they are asked, and nothing else."""

from __future__ import annotations

import asyncio


class Store:
    """A synchronous store.

    Args:
        claim: What `claim` answers.
        commit: What `commit` answers.
    """

    def __init__(self, claim="claimed", *, commit=True):
        self.steps: list[str] = []
        self._claim = claim
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return self._claim

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore(Store):
    """The same, asynchronous; it says when a claim has ended."""

    def __init__(self, claim="claimed", *, commit=True):
        super().__init__(claim, commit=commit)
        self.ended = asyncio.Event()

    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        await asyncio.sleep(0)
        self.ended.set()
        return super().release(key, owner)
