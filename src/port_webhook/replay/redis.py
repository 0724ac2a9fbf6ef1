"""Replay stores in Redis: one for redis-py, one for its asyncio client.

Each step is one script, so one atomic command on one key, in a cluster as well. The
scripts are sent whole: the server keeps them compiled, and a restart, a failover or
``SCRIPT FLUSH`` cannot lose them.

A value is ``claim:NONCE:OWNER`` or ``done:NONCE``; the expiry is Redis's own. The nonce
belongs to one call. redis-py repeats a command whose answer did not arrive, and the
repetition finds what the first one stored: by the nonce it knows its own work, where
it would otherwise report that somebody else holds the key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from port_webhook.exceptions import ConfigurationError, ReplayStoreError
from port_webhook.replay._values import (
    require_methods,
    to_bytes,
    to_milliseconds,
    warn_of_wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ClaimResult

__all__ = ["AsyncRedisReplayStore", "RedisReplayStore"]

DEFAULT_PREFIX = "port-webhook:replay:"

# Redis knows no key that has expired already (it refuses PX 0): a claim without a
# lease stores nothing, and a mark without a time to live removes the claim.
_CLAIM = """
local held = redis.call('GET', KEYS[1])
if not held then
  if ARGV[2] ~= '0' then
    redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
  end
  return 0
end
if held == ARGV[1] then return 0 end
if string.sub(held, 1, 5) == 'done:' then return 2 end
return 1
"""
# The owner follows "claim:", 16 digits of the nonce, and a colon.
_COMMIT = """
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
if held == ARGV[2] then return 1 end
if string.sub(held, 1, 6) ~= 'claim:' or string.sub(held, 24) ~= ARGV[1] then
  return 0
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
if string.sub(held, 1, 6) ~= 'claim:' or string.sub(held, 24) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
"""


class _Client(Protocol):
    """The one method that is called, of any client of redis-py."""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any: ...


class _Scripts:
    """What both stores share: the client, the scripts, and what is said to them."""

    __slots__ = ("_client", "_prefix")

    def __init__(self, client: _Client, prefix: str, *, asynchronous: bool) -> None:
        _check_client(client, asynchronous=asynchronous)
        self._client = client
        self._prefix = to_bytes(prefix)

    def claim(self, key: str, owner: str, lease: float) -> Any:
        value = b"claim:%s:%s" % (_nonce(), to_bytes(owner))
        return self._eval(_CLAIM, key, value, to_milliseconds(lease))

    def commit(self, key: str, owner: str, ttl: float) -> Any:
        value = b"done:%s" % _nonce()
        return self._eval(_COMMIT, key, to_bytes(owner), value, to_milliseconds(ttl))

    def release(self, key: str, owner: str) -> Any:
        return self._eval(_RELEASE, key, to_bytes(owner))

    def _eval(self, script: str, key: str, *args: bytes | int) -> Any:
        return self._client.eval(script, 1, self._prefix + to_bytes(key), *args)


class RedisReplayStore:
    """Claims in Redis, for any number of processes and machines.

    Works with ``redis.Redis``, a client from Sentinel and ``redis.RedisCluster``, with
    and without ``decode_responses``. Expiry is Redis's own: the clocks of your
    machines do not matter.

    Give the client timeouts, and few retries: redis-py 8 waits 5 s and tries 11
    times, older versions wait for ever. A client that may wait more than 10 s is named
    in a warning of the ``port_webhook`` logger.

    Args:
        client: A synchronous client of redis-py.
        prefix: Goes before each key, to keep these apart from other keys.

    Raises:
        ConfigurationError: *client* is an asynchronous one, or none.
    """

    __slots__ = ("_scripts",)

    def __init__(self, client: _Client, *, prefix: str = DEFAULT_PREFIX) -> None:
        """Use *client*, without connecting yet; *prefix* goes before each key."""
        self._scripts = _Scripts(client, prefix, asynchronous=False)

    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Take *key* for *owner*, if nobody holds it; see `ReplayStore.claim`.

        Args:
            key: Names the signed request.
            owner: Names this attempt, and no other.
            lease: How long the claim holds, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        return _read_claim(self._scripts.claim(key, owner, lease))

    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        return _read_bool(self._scripts.commit(key, owner, ttl))

    def release(self, key: str, owner: str) -> bool:
        """Give the claim back; see `ReplayStore.release`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
        """
        return _read_bool(self._scripts.release(key, owner))


class AsyncRedisReplayStore:
    """Claims in Redis, through redis-py's asyncio client.

    As `RedisReplayStore`, and it shares its keys with one of the same prefix. The
    connections of an asyncio client belong to one event loop: make one store for each.

    Args:
        client: A client of ``redis.asyncio``.
        prefix: Goes before each key, to keep these apart from other keys.

    Raises:
        ConfigurationError: *client* is a synchronous one, or none.
    """

    __slots__ = ("_scripts",)

    def __init__(self, client: _Client, *, prefix: str = DEFAULT_PREFIX) -> None:
        """Use *client*, without connecting yet; *prefix* goes before each key."""
        self._scripts = _Scripts(client, prefix, asynchronous=True)

    async def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Take *key* for *owner*, if nobody holds it; see `ReplayStore.claim`.

        Args:
            key: Names the signed request.
            owner: Names this attempt, and no other.
            lease: How long the claim holds, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        return _read_claim(await self._scripts.claim(key, owner, lease))

    async def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        return _read_bool(await self._scripts.commit(key, owner, ttl))

    async def release(self, key: str, owner: str) -> bool:
        """Give the claim back; see `ReplayStore.release`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis gave an answer that the script cannot give.
        """
        return _read_bool(await self._scripts.release(key, owner))


def _nonce() -> bytes:
    return os.urandom(8).hex().encode("ascii")


def _read_claim(answer: object) -> ClaimResult:
    if answer == 0:
        return "claimed"
    if answer == 1:
        return "in_progress"
    return "committed" if answer == 2 else _refuse()  # noqa: PLR2004  # as the script


def _read_bool(answer: object) -> bool:
    return answer == 1 if answer in (0, 1) else _refuse()


def _refuse() -> Any:
    msg = "gave an answer that its script cannot give"
    raise ReplayStoreError(msg)


def _check_client(client: _Client, *, asynchronous: bool) -> None:
    """Refuse what cannot be used, and warn of a client that may wait long."""
    require_methods(client, ("eval",), "a client of redis-py")
    modules = {kind.__module__ for kind in type(client).__mro__}
    # By name: neither of the two need be importable for a client of another make.
    if any(name.partition(".")[0] == "redis" for name in modules):
        is_async = any(name.startswith("redis.asyncio") for name in modules)
        if is_async and not asynchronous:
            msg = "The client is asynchronous; use AsyncRedisReplayStore"
            raise ConfigurationError(msg)
        if asynchronous and not is_async:
            msg = "The client is synchronous; use RedisReplayStore"
            raise ConfigurationError(msg)
        warn_of_wait("Redis", _longest_wait(client), "socket_timeout and retry")


def _longest_wait(client: _Client) -> float | None:
    """Return how long the client waits for a silent server, in seconds, if it ends."""
    # A pool has the options of its connections, a synchronous cluster keeps them in
    # its manager of nodes, an asynchronous one itself.
    holder = getattr(client, "connection_pool", None)
    if holder is None:
        holder = getattr(client, "nodes_manager", client)
    options: dict[str, Any] = getattr(holder, "connection_kwargs", {})
    timeout: float | None
    if "socket_timeout" in options:
        timeout = options["socket_timeout"]
    else:
        from inspect import signature

        from redis.connection import AbstractConnection

        default = signature(AbstractConnection.__init__).parameters["socket_timeout"]
        timeout = default.default
    retries: Callable[[], int] = getattr(options.get("retry"), "get_retries", lambda: 0)
    attempts = retries() + 1
    # A negative number of retries has no end either.
    return timeout * attempts if timeout is not None and attempts > 0 else None
