"""The secrets of each verifier.

A verifier itself holds only keyed contexts. Its secrets, which `decrypt_properties`
needs, are kept here, so a tool that prints an object's attributes shows none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["recall", "remember"]

_secrets: WeakKeyDictionary[object, tuple[bytes, ...]] = WeakKeyDictionary()


def remember(owner: object, secrets: Sequence[bytes]) -> None:
    """Keep the *secrets* of *owner* as long as it exists."""
    _secrets[owner] = tuple(secrets)


def recall(owner: object) -> tuple[bytes, ...]:
    """Return the secrets of *owner*, the current one first."""
    return _secrets[owner]
