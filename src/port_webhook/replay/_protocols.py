"""The interface of a replay store."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

__all__ = ["AsyncReplayStore", "ClaimResult", "ReplayStore"]

ClaimResult: TypeAlias = Literal["claimed", "in_progress", "committed"]


class ReplayStore(Protocol):
    """A replay store.

    Each method is atomic across all threads, processes and machines that share the
    store. It may raise any exception; the `Verifier` raises a `ReplayStoreError`
    instead.
    """

    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Claim *key* for *owner*, unless it is claimed or committed.

        Args:
            key: The signed request; the `Verifier` passes a SHA-256 in hex.
            owner: This attempt to handle it: a random token.
            lease: How long the claim lasts, in seconds. Then the key can be claimed
                again; a claim with a lease of zero expires at once.

        Returns:
            ``claimed``: *owner* holds the key now. ``in_progress``: it is claimed
            already, by another owner or by this one. ``committed``: it was handled.
        """
        ...

    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Replace the claim of *owner* by a mark that *key* was handled.

        Args:
            key: The claimed key.
            owner: The owner of the claim.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            True if the mark was made. False, and no change, if *owner* holds no claim
            on *key*: it was never made, it was released or committed, or its lease
            has expired, even if the key was not claimed again since.
        """
        ...

    def release(self, key: str, owner: str) -> bool:
        """Remove the claim of *owner*, so that *key* can be claimed again.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True if the claim was removed. False, and no change, if *owner* holds no
            claim on *key*, as in `commit`.
        """
        ...


class AsyncReplayStore(Protocol):
    """An asynchronous replay store: a `ReplayStore` whose methods are awaited."""

    async def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Claim *key* for *owner*, unless it is taken; see `ReplayStore.claim`.

        Args:
            key: The signed request.
            owner: This attempt to handle it.
            lease: How long the claim lasts, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.
        """
        ...

    async def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            True, or False if *owner* holds no claim on *key*.
        """
        ...

    async def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.
        """
        ...
