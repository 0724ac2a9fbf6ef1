"""A replay store in the memory of one process.

The keys are kept in two binary heaps ordered by expiry: claims, and marks of handled
requests. Each heap is spread over parallel arrays, with a dictionary from each key to
its index: objects would be easier to read, but take more than twice the memory. Every
step takes time proportional to the logarithm of the number of keys.
"""

from __future__ import annotations

import sys
import threading
import time
from array import array
from hashlib import sha256
from typing import TYPE_CHECKING

from port_webhook import _log
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, ReplayStoreError
from port_webhook.replay._values import to_bytes, to_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ClaimResult

__all__ = ["MemoryReplayStore"]

# Each claim adds one key at most, so removing two expired ones keeps pace, and no
# claim pays for all that expired in a quiet hour.
_EXPIRED_PER_CLAIM = 2
_NOBODY = 0

# One lock for all stores of the process; it is held for microseconds. It is taken
# around a fork: a child forked while another thread holds it could never take it.
_lock = threading.Lock()

if sys.platform != "win32":  # pragma: no branch  # Windows has no fork
    from os import register_at_fork

    register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_lock.release,
    )


class MemoryReplayStore:
    """Claims in memory: for one process, for development, and for tests.

    Other processes do not see these claims: with four workers of one server the same
    request can run four times. A forked child starts with a copy of its parent's
    claims and shares nothing afterwards. A restart forgets everything. Creating a
    store logs a warning that says so.

    A key that has not expired is never dropped to make room: a full store raises
    `ReplayStoreError`.

    Args:
        max_keys: The largest number of keys. Each takes at most 200 bytes and is kept
            for 7 minutes with the defaults of `Verifier`, so that the default
            suffices for 230 deliveries a second.
        clock: Returns the time in seconds, and never goes back.
        single_process: Confirm that the application runs in one process; no warning
            is logged then.

    Attributes:
        max_keys: The largest number of keys.

    Raises:
        ConfigurationError: *max_keys* is not a whole number greater than zero.
    """

    __slots__ = ("_claims", "_clock", "_marks", "max_keys")

    @boundary
    def __init__(
        self,
        max_keys: int = 100_000,
        *,
        clock: Callable[[], float] = time.monotonic,
        single_process: bool = False,
    ) -> None:
        """Create an empty store for at most *max_keys* keys."""
        if not _is_count(max_keys):
            msg = "max_keys must be a whole number, greater than zero"
            raise ConfigurationError(msg)
        self.max_keys: int = max_keys
        self._clock = clock
        # Claims expire soon, marks late: in one heap, each claim would rise through
        # all the marks, and sink again when it becomes a mark.
        self._claims = _Heap()
        self._marks = _Heap()
        if not single_process:
            _log.write(
                _log.WARNING,
                "MemoryReplayStore protects one process only: other workers and "
                "machines do not see its claims, and a restart forgets them. Use a "
                "shared store, or pass single_process=True.",
                "replay_memory_store",
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_keys={self.max_keys})"

    @boundary
    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Claim *key* for *owner*, unless it is taken; see `ReplayStore.claim`.

        Args:
            key: The signed request.
            owner: This attempt to handle it.
            lease: How long the claim lasts, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ReplayStoreError: The store is full.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        name, token = _hash_key(key), _hash_owner(owner)
        duration = to_seconds(lease)
        now = self._clock()
        with _lock:
            self._claims.remove_expired(now)
            self._marks.remove_expired(now)
            if self._marks.find(name, now) is not None:
                return "committed"
            if self._claims.find(name, now) is not None:
                return "in_progress"
            if len(self._claims.keys) + len(self._marks.keys) < self.max_keys:
                self._claims.add(name, token, now + duration)
                return "claimed"
        msg = f"is full: it holds {self.max_keys} keys, and none of them has expired"
        raise ReplayStoreError(msg)

    @boundary
    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        name, token = _hash_key(key), _hash_owner(owner)
        duration = to_seconds(ttl)
        now = self._clock()
        with _lock:
            if not self._end(name, token, now):
                return False
            self._marks.add(name, _NOBODY, now + duration)
        return True

    @boundary
    def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.
        """
        name, token = _hash_key(key), _hash_owner(owner)
        now = self._clock()
        with _lock:
            return self._end(name, token, now)

    def _end(self, name: bytes, token: int, now: float) -> bool:
        """Remove the claim of *token*; return whether there was one."""
        place = self._claims.find(name, now)
        if place is None or self._claims.owners[place] != token:
            return False
        self._claims.remove(place)
        return True


class _Heap:
    """A binary heap of keys, the earliest expiry first.

    The children of place n are at 2n + 1 and 2n + 2, and expire no earlier than it.
    """

    __slots__ = ("expiries", "keys", "owners", "places")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.owners: array[int] = array("Q")
        self.expiries: array[float] = array("d")
        self.places: dict[bytes, int] = {}

    def find(self, name: bytes, now: float) -> int | None:
        """Return the place of a key; remove it and return None if it has expired."""
        place = self.places.get(name)
        if place is None or self.expiries[place] > now:
            return place
        self.remove(place)
        return None

    def add(self, name: bytes, owner: int, expiry: float) -> None:
        """Add a key that is not there."""
        self.keys.append(name)
        self.owners.append(owner)
        self.expiries.append(expiry)
        self._settle(len(self.keys) - 1, name, owner, expiry)

    def remove(self, place: int) -> None:
        """Remove the key at *place*, and put the last one where it fits."""
        del self.places[self.keys[place]]
        name, owner, expiry = self.keys.pop(), self.owners.pop(), self.expiries.pop()
        if place < len(self.keys):
            self._settle(place, name, owner, expiry)
        elif not self.keys:
            # Until it is cleared, a dictionary keeps the memory of its largest size.
            self.places.clear()

    def remove_expired(self, now: float) -> None:
        """Remove a few of the keys that have expired."""
        for _ in range(_EXPIRED_PER_CLAIM):
            if not self.keys or self.expiries[0] > now:
                break
            self.remove(0)

    def _settle(self, place: int, name: bytes, owner: int, expiry: float) -> None:
        """Put a key at *place*, and move it up or down to where it belongs."""
        expiries, count = self.expiries, len(self.keys)
        while place and expiry < expiries[parent := (place - 1) // 2]:
            self._put(place, self.keys[parent], self.owners[parent], expiries[parent])
            place = parent
        while (child := 2 * place + 1) < count:
            if child + 1 < count and expiries[child + 1] < expiries[child]:
                child += 1
            if expiry <= expiries[child]:
                break
            self._put(place, self.keys[child], self.owners[child], expiries[child])
            place = child
        self._put(place, name, owner, expiry)

    def _put(self, place: int, name: bytes, owner: int, expiry: float) -> None:
        self.keys[place] = name
        self.owners[place] = owner
        self.expiries[place] = expiry
        self.places[name] = place


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _hash_key(key: str) -> bytes:
    """Return 32 bytes, less than half the size of 64 hex digits."""
    return sha256(to_bytes(key)).digest()


def _hash_owner(owner: str) -> int:
    """Return 64 bits that differ from `_NOBODY`, the owner of a mark."""
    return int.from_bytes(sha256(to_bytes(owner)).digest()[:8]) | 1
