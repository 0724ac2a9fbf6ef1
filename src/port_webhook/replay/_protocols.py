"""The interface of a replay store."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

__all__ = ["AsyncReplayStore", "ClaimResult", "ReplayStore"]

ClaimResult: TypeAlias = Literal["claimed", "in_progress", "committed"]


class ReplayStore(Protocol):
    """What a replay store can do.

    A store may raise anything; the `Verifier` turns it into a `ReplayStoreError`.
    Each method is one atomic step, however many threads, processes and machines
    share the store.
    """

    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Take *key* for *owner*, if nobody holds it.

        Args:
            key: Names the signed request; the `Verifier` passes a SHA-256 in hex.
            owner: Names this attempt, and no other: a random token.
            lease: How long the claim holds, in seconds. After that anybody may take
                the key; zero is a claim that has ended when it was made.

        Returns:
            ``claimed``: the key is this owner's now. ``in_progress``: an owner holds
            it, be it the same one. ``committed``: it was handled.
        """
        ...

    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Turn the claim of *owner* into the lasting mark that *key* was handled.

        Args:
            key: As it was claimed.
            owner: As it was claimed.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            False if *owner* holds no claim on *key*: it was never made, was released
            or committed, or its lease has ended, even if nobody took the key since.
            Then nothing was changed.
        """
        ...

    def release(self, key: str, owner: str) -> bool:
        """Give the claim of *owner* back, so that *key* can be claimed again.

        Args:
            key: As it was claimed.
            owner: As it was claimed.

        Returns:
            False if *owner* holds no claim on *key*, as in `commit`. Then nothing
            was changed.
        """
        ...


class AsyncReplayStore(Protocol):
    """What an asynchronous replay store can do: a `ReplayStore`, to be awaited."""

    async def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Take *key* for *owner*, if nobody holds it; see `ReplayStore.claim`.

        Args:
            key: Names the signed request.
            owner: Names this attempt, and no other.
            lease: How long the claim holds, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.
        """
        ...

    async def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            False if *owner* holds no claim on *key*.
        """
        ...

    async def release(self, key: str, owner: str) -> bool:
        """Give the claim back; see `ReplayStore.release`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.

        Returns:
            False if *owner* holds no claim on *key*.
        """
        ...
