"""The secrets of each verifier.

A verifier itself holds only keyed contexts. Its secrets, which `decrypt_properties`
needs, are kept here, so a tool that prints an object's attributes shows none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from port_webhook._log import WARNING, write

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["recall", "remember", "warn_of_weak"]

_WEAK_BYTES = 16
# Hashes of the weak secrets that were logged: once for a process and a secret.
_weak_seen: set[int] = set()
_secrets: WeakKeyDictionary[object, tuple[bytes, ...]] = WeakKeyDictionary()


def remember(owner: object, secrets: Sequence[bytes]) -> None:
    """Keep the *secrets* of *owner* as long as it exists."""
    _secrets[owner] = tuple(secrets)


def recall(owner: object) -> tuple[bytes, ...]:
    """Return the secrets of *owner*, the current one first."""
    return _secrets[owner]


def warn_of_weak(secrets: Sequence[bytes]) -> None:
    """Write a record for each short secret, once for each process."""
    for secret in secrets:
        known = hash(secret)
        if len(secret) < _WEAK_BYTES and known not in _weak_seen:
            _weak_seen.add(known)
            write(
                WARNING,
                f"A client secret is shorter than {_WEAK_BYTES} bytes: it can be "
                "guessed from one captured delivery. Port's own are longer.",
                "weak_secret",
            )
