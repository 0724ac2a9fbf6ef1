"""Replay stores in Redis: one for redis-py, one for its asyncio client.

Each step is one script on one key, and so atomic, in a cluster too. The scripts are
sent in full each time: the server caches them, and a restart, a failover or
``SCRIPT FLUSH`` does no harm.

A value is ``claim:NONCE:OWNER`` or ``done:NONCE``; expiry is left to Redis. Each call
has its own nonce: redis-py repeats a command whose answer was lost, and the repeated
one recognises by the nonce that the key is its own.

An answer is ``NONCE:NUMBER``, with the nonce of its call. On a connection that has
received one answer too many, redis-py takes each answer for that of the next command
(seen with 8.1, which checks for it only under RESP2). A number alone would then be
believed, and a request that was handled could run again.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from port_webhook._tracebacks import boundary
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

# Redis refuses PX 0: a claim with a lease of zero stores nothing, and a mark with a TTL
# of zero removes the claim.
_CLAIM = """
local held = redis.call('GET', KEYS[1])
local value = 'claim:' .. ARGV[1] .. ':' .. ARGV[2]
if not held then
  if ARGV[3] ~= '0' then
    redis.call('SET', KEYS[1], value, 'NX', 'PX', ARGV[3])
  end
  return ARGV[1] .. ':0'
end
if held == value then return ARGV[1] .. ':0' end
if string.sub(held, 1, 5) == 'done:' then return ARGV[1] .. ':2' end
return ARGV[1] .. ':1'
"""
# The owner follows "claim:", 16 digits of the nonce, and a colon.
_COMMIT = """
local held = redis.call('GET', KEYS[1])
local value = 'done:' .. ARGV[1]
if not held then return ARGV[1] .. ':0' end
if held == value then return ARGV[1] .. ':1' end
if string.sub(held, 1, 6) ~= 'claim:' or string.sub(held, 24) ~= ARGV[2] then
  return ARGV[1] .. ':0'
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], value, 'PX', ARGV[3])
end
return ARGV[1] .. ':1'
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if not held then return ARGV[1] .. ':0' end
if string.sub(held, 1, 6) ~= 'claim:' or string.sub(held, 24) ~= ARGV[2] then
  return ARGV[1] .. ':0'
end
return ARGV[1] .. ':' .. redis.call('DEL', KEYS[1])
"""

_WORD = re.compile(r"[A-Z]{2,20}")
# Redis 6 puts the place in the script before it: "... @user_script: 5: -OOM command".
_WORD_OF_MESSAGE = re.compile(r"(?:^|: -?)([A-Z]{2,20}) ")
# The words of errors for which redis-py has a class.
_WORDS = {
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
}
_REMEDIES = {
    "AuthenticationError": "check the client's user name and password",
    "CLUSTERDOWN": "the cluster lacks a node, or is still starting",
    "ConnectionError": "the client cannot connect, or its connection broke",
    "LOADING": "Redis is still loading its data",
    "MISCONF": "Redis cannot write to its disk",
    "MOVED": "the server is a cluster, so the client must be a RedisCluster",
    "NOPERM": "allow EVAL, GET, SET and DEL on keys below the prefix",
    "OOM": "Redis is full; raise maxmemory, and keep the policy noeviction",
    "READONLY": "the server is a replica; connect to the primary",
    "TimeoutError": "Redis did not answer within the client's timeout",
    "WRONGTYPE": "the key belongs to another application; choose another prefix",
}


_RESULTS: tuple[ClaimResult, ...] = ("claimed", "in_progress", "committed")


class _Client(Protocol):
    """The one method that is used, of any client of redis-py."""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any: ...


class _Scripts:
    """The scripts, called through either kind of client."""

    __slots__ = ("_client", "_prefix")

    def __init__(self, client: _Client, prefix: str, *, asynchronous: bool) -> None:
        _check_client(client, asynchronous=asynchronous)
        self._client = client
        self._prefix = to_bytes(prefix)

    def claim(self, nonce: bytes, key: str, owner: str, lease: float) -> Any:
        return self._eval(_CLAIM, key, nonce, to_bytes(owner), to_milliseconds(lease))

    def commit(self, nonce: bytes, key: str, owner: str, ttl: float) -> Any:
        return self._eval(_COMMIT, key, nonce, to_bytes(owner), to_milliseconds(ttl))

    def release(self, nonce: bytes, key: str, owner: str) -> Any:
        return self._eval(_RELEASE, key, nonce, to_bytes(owner))

    def disconnect(self) -> Any:
        """Close the client's own connection, or the idle ones of its pools."""
        client: Any = self._client
        own = getattr(client, "connection", None)
        if own is not None:  # a client with a single connection
            return own.disconnect()
        pool = getattr(client, "connection_pool", None)
        if pool is None:
            return _disconnect_nodes(client.get_nodes())
        try:
            return pool.disconnect(inuse_connections=False)
        except TypeError:  # a blocking pool of redis-py 6.0 closes all
            return pool.disconnect()

    def _eval(self, script: str, key: str, *args: bytes | int) -> Any:
        return self._client.eval(script, 1, self._prefix + to_bytes(key), *args)


class RedisReplayStore:
    """Claims in Redis, for any number of processes and machines.

    Works with ``redis.Redis``, a client from Sentinel and ``redis.RedisCluster``, with
    and without ``decode_responses``. Redis decides when a key expires: the clocks of
    your machines do not matter.

    Give the client timeouts and few retries: redis-py 8 waits 5 s and tries 11 times,
    older versions wait for ever. A warning is logged for a client that may wait more
    than 10 s.

    Args:
        client: A synchronous client of redis-py.
        prefix: Precedes each key, to keep the store's keys apart from others.

    Raises:
        ConfigurationError: *client* is no client of redis-py, or an asynchronous one.
    """

    __slots__ = ("_scripts",)

    @boundary
    def __init__(self, client: _Client, *, prefix: str = DEFAULT_PREFIX) -> None:
        """Use *client*, without connecting yet; *prefix* precedes each key."""
        self._scripts = _Scripts(client, prefix, asynchronous=False)

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
            ReplayStoreError: Redis answered what the script cannot return.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        nonce = _nonce()
        answer = self._scripts.claim(nonce, key, owner, lease)
        return _RESULTS[self._read(answer, nonce, most=2)]

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
            ReplayStoreError: Redis answered what the script cannot return.
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        nonce = _nonce()
        answer = self._scripts.commit(nonce, key, owner, ttl)
        return self._read(answer, nonce, most=1) == 1

    @boundary
    def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis answered what the script cannot return.
        """
        nonce = _nonce()
        answer = self._scripts.release(nonce, key, owner)
        return self._read(answer, nonce, most=1) == 1

    def _read(self, answer: object, nonce: bytes, *, most: int) -> int:
        """Return the number of an answer; raise if it is not that of the call."""
        number = _read(answer, nonce, most)
        if number is None:
            with suppress(Exception):  # of no use if it cannot even be closed
                self._scripts.disconnect()
            _refuse()
        return number

    def _explain(self, error: BaseException) -> str:
        return _explain(error)


class AsyncRedisReplayStore:
    """Claims in Redis, through redis-py's asyncio client.

    Like `RedisReplayStore`, with which it shares its keys if the prefix is the same.
    The connections of an asyncio client belong to one event loop: make one store for
    each loop.

    Args:
        client: A client of ``redis.asyncio``.
        prefix: Precedes each key, to keep the store's keys apart from others.

    Raises:
        ConfigurationError: *client* is no client of redis-py, or a synchronous one.
    """

    __slots__ = ("_scripts",)

    @boundary
    def __init__(self, client: _Client, *, prefix: str = DEFAULT_PREFIX) -> None:
        """Use *client*, without connecting yet; *prefix* precedes each key."""
        self._scripts = _Scripts(client, prefix, asynchronous=True)

    @boundary
    async def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Claim *key* for *owner*, unless it is taken; see `ReplayStore.claim`.

        Args:
            key: The signed request.
            owner: This attempt to handle it.
            lease: How long the claim lasts, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ReplayStoreError: Redis answered what the script cannot return.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        nonce = _nonce()
        answer = await self._scripts.claim(nonce, key, owner, lease)
        return _RESULTS[await self._read(answer, nonce, most=2)]

    @boundary
    async def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis answered what the script cannot return.
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        nonce = _nonce()
        answer = await self._scripts.commit(nonce, key, owner, ttl)
        return await self._read(answer, nonce, most=1) == 1

    @boundary
    async def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ReplayStoreError: Redis answered what the script cannot return.
        """
        nonce = _nonce()
        answer = await self._scripts.release(nonce, key, owner)
        return await self._read(answer, nonce, most=1) == 1

    async def _read(self, answer: object, nonce: bytes, *, most: int) -> int:
        """Return the number of an answer; raise if it is not that of the call."""
        number = _read(answer, nonce, most)
        if number is None:
            with suppress(Exception):  # of no use if it cannot even be closed
                await self._scripts.disconnect()
            _refuse()
        return number

    def _explain(self, error: BaseException) -> str:
        return _explain(error)


def _disconnect_nodes(nodes: list[Any]) -> Any:
    """Close the idle connections to each node of a cluster."""
    if not hasattr(nodes[0], "redis_connection"):
        return _adisconnect_nodes(nodes)
    for node in nodes:
        if node.redis_connection is not None:  # it was used
            pool = node.redis_connection.connection_pool
            pool.disconnect(inuse_connections=False)
    return None


async def _adisconnect_nodes(nodes: list[Any]) -> None:
    for node in nodes:
        # Before redis-py 8.1, all of its connections.
        close = getattr(node, "disconnect_free_connections", node.disconnect)
        await close()


def _nonce() -> bytes:
    return os.urandom(8).hex().encode("ascii")


def _read(answer: object, nonce: bytes, most: int) -> int | None:
    """Return the number, from 0 to *most*, that answers the call of *nonce*."""
    text = answer.encode() if isinstance(answer, str) else answer
    for number in range(most + 1):
        if isinstance(text, bytes) and text == b"%s:%d" % (nonce, number):
            return number
    return None


def _refuse() -> NoReturn:
    msg = "gave an answer that its script cannot give"
    raise ReplayStoreError(msg)


def _is_of_redis_py(value: object) -> bool:
    return any(
        kind.__module__.partition(".")[0] == "redis" for kind in type(value).__mro__
    )


def _explain(error: BaseException) -> str:
    """Return the word of a Redis error, and what to do, as far as they are known."""
    if not _is_of_redis_py(error):
        return ""
    name = type(error).__name__
    word: Any = getattr(error, "status_code", None)  # from redis-py 8 on
    if not (isinstance(word, str) and _WORD.fullmatch(word)) or word == "ERR":
        # redis-py removes the word from the message where it has a class for it.
        word = _WORDS.get(name, "")
        if name == "ResponseError":
            found = _WORD_OF_MESSAGE.search(str(error))
            word = found[1] if found else ""
    remedy = _REMEDIES.get(word) or _REMEDIES.get(name)
    return "; ".join(filter(None, (word, remedy)))


def _check_client(client: _Client, *, asynchronous: bool) -> None:
    """Require a client of the right kind; warn if it may wait very long."""
    require_methods(client, ("eval",), "a client of redis-py")
    # By name, since another client with `eval` needs no redis-py.
    if _is_of_redis_py(client):
        modules = [kind.__module__ for kind in type(client).__mro__]
        is_async = any(name.startswith("redis.asyncio") for name in modules)
        if is_async and not asynchronous:
            msg = "The client is asynchronous; use AsyncRedisReplayStore"
            raise ConfigurationError(msg)
        if asynchronous and not is_async:
            msg = "The client is synchronous; use RedisReplayStore"
            raise ConfigurationError(msg)
        warn_of_wait("Redis", _longest_wait(client), "socket_timeout and retry")


def _longest_wait(client: _Client) -> float | None:
    """Return the client's longest wait, in seconds; None if it waits for ever."""
    # The options are in the pool; in a cluster's node manager; or, in an asynchronous
    # cluster, in the client.
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
    # A negative number of retries means no end.
    return timeout * attempts if timeout is not None and attempts > 0 else None
