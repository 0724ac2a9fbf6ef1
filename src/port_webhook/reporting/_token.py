"""The access token: one for all, used until it expires."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["Hidden", "Token", "TokenCache"]

# Tokens that Port may still quote after a new one has come.
_REMEMBERED = 8

_values: WeakKeyDictionary[Hidden, str] = WeakKeyDictionary()


class Hidden:
    """A text that is not an attribute of the object.

    A tool that prints the attributes of an object does not show it.
    """

    def __init__(self, value: str) -> None:
        _values[self] = value

    def reveal(self) -> str:
        """Return the text."""
        return _values[self]


class Token(NamedTuple):
    """An access token.

    Attributes:
        value: What authorises a request.
        expires_at: When it expires, in seconds since the epoch.
        number: The number of the fetch that brought it.
    """

    value: Hidden
    expires_at: float
    number: int


class TokenCache:
    """Keeps the token, and fetches one at a time.

    A token is not fetched before it expires: Port would return the same one, with what
    is left of its time. Whether a token is a new one is told by the number of its
    fetch, not by its value, since after a 401 too the same one may come back.

    Args:
        fetch: Returns a token's value and the seconds for which it is valid.
        lock: Lets one in at a time.
        clock: Says the seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[str, float]]],
        lock: AbstractAsyncContextManager[object],
        clock: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._lock = lock
        self._clock = clock
        self._token: Token | None = None
        self._seen: deque[Hidden] = deque(maxlen=_REMEMBERED)

    async def get(self, refused: Token | None = None) -> Token:
        """Return a token that has not expired, and is none that Port *refused*."""
        token = self._usable(refused)
        if token is not None:
            return token
        async with self._lock:
            token = self._usable(refused)
            if token is not None:
                return token
            number = 0 if self._token is None else self._token.number + 1
            value, seconds = await self._fetch()
            token = Token(Hidden(value), self._clock() + seconds, number)
            self._token = token
            self._seen.append(token.value)
            return token

    def hide(self, text: str) -> str:
        """Remove the tokens of late from *text*."""
        values = {each.reveal() for each in tuple(self._seen)}
        # The longest first, since one may begin with another.
        for each in sorted(values, key=len, reverse=True):
            text = text.replace(each, "…")
        return text

    def _usable(self, refused: Token | None) -> Token | None:
        token = self._token
        if token is None or (refused is not None and token.number <= refused.number):
            return None
        return token if self._clock() < token.expires_at else None
