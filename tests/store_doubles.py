"""Replay stores whose answers a test chooses."""

from __future__ import annotations


class Store:
    """A store whose answers the test chooses; an exception is raised."""

    def __init__(self, **answers):
        self.answers = {"claim": "claimed", "commit": True, "release": True, **answers}
        self.calls = []

    def _answer(self, step, *args):
        self.calls.append((step, *args))
        answer = self.answers[step]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    def claim(self, key, owner, lease):
        return self._answer("claim", key, owner, lease)

    def commit(self, key, owner, ttl):
        return self._answer("commit", key, owner, ttl)

    def release(self, key, owner):
        return self._answer("release", key, owner)

    @property
    def steps(self):
        return [call[0] for call in self.calls]


class AsyncStore(Store):
    async def claim(self, key, owner, lease):
        return self._answer("claim", key, owner, lease)

    async def commit(self, key, owner, ttl):
        return self._answer("commit", key, owner, ttl)

    async def release(self, key, owner):
        return self._answer("release", key, owner)
