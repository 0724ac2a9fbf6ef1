"""Build a store from a description that fits into JSON.

The tests use it as a module. The processes that race for the same keys run it as
a script; it imports nothing else of the tests.
"""

from __future__ import annotations

import asyncio
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from multiprocessing.connection import Connection

    from port_webhook.replay import AsyncReplayStore, ClaimResult

T = TypeVar("T")

RACE_KEYS = [f"{number:064x}" for number in range(50)]
RACE_LEASE = 600.0


class Blocking:
    """An asynchronous store for callers without a loop, on one loop of its own."""

    def __init__(self, make: Callable[[], tuple[AsyncReplayStore, Any]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def build() -> tuple[AsyncReplayStore, Any]:
            return make()

        self._store, self._client = self._wait(build())

    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        return self._wait(self._store.claim(key, owner, lease))

    def commit(self, key: str, owner: str, ttl: float) -> bool:
        return self._wait(self._store.commit(key, owner, ttl))

    def release(self, key: str, owner: str) -> bool:
        return self._wait(self._store.release(key, owner))

    def close(self) -> None:
        self._wait(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(60)


def build(
    spec: dict[str, Any], clock: Callable[[], float] = time.time
) -> tuple[Any, Callable[[], None]]:
    """Return the store that *spec* describes, and what closes it."""
    builders: dict[str, Callable[..., tuple[Any, Callable[[], None]]]] = {
        "memory": _build_memory,
        "redis": _build_redis,
        "redis-async": _build_async_redis,
        "redis-cluster": _build_redis_cluster,
        "django": _build_django,
        "dynamodb": _build_dynamodb,
    }
    return builders[spec["kind"]](spec, clock)


def _build_memory(spec, clock):
    from port_webhook.replay.memory import MemoryReplayStore

    store = MemoryReplayStore(spec.get("max_keys", 100_000), clock=clock)
    return store, lambda: None


def _redis_options(spec):
    return {
        "socket_timeout": spec.get("timeout", 30),
        "socket_connect_timeout": spec.get("timeout", 30),
        "decode_responses": spec.get("decode_responses", False),
        **spec["connection"],
    }


def _build_redis(spec, clock):
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from port_webhook.replay.redis import RedisReplayStore

    client = Redis(**_redis_options(spec), retry=Retry(NoBackoff(), 0))
    return RedisReplayStore(client, prefix=spec["prefix"]), client.close


def _build_async_redis(spec, clock):
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from port_webhook.replay.redis import AsyncRedisReplayStore

    def make():
        client = Redis(**_redis_options(spec), retry=Retry(NoBackoff(), 0))
        return AsyncRedisReplayStore(client, prefix=spec["prefix"]), client

    store = Blocking(make)
    return store, store.close


def _build_redis_cluster(spec, clock):
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    from port_webhook.replay.redis import RedisReplayStore

    client = RedisCluster(**_redis_options(spec), retry=Retry(NoBackoff(), 1))
    return RedisReplayStore(client, prefix=spec["prefix"]), client.close


def add_database(alias: str, database: dict[str, Any]) -> None:
    """Give a Django that is, or is not yet, set up one more database."""
    import django
    from django.apps import apps
    from django.conf import settings
    from django.db import connections

    if not settings.configured:
        settings.configure(INSTALLED_APPS=["port_webhook.replay.django"], USE_TZ=True)
        django.setup()
    # Settings are global: other tests of the same process may have been first.
    assert apps.is_installed("port_webhook.replay.django")
    described = connections.configure_settings({"default": {}, alias: dict(database)})
    connections.settings[alias] = described[alias]


def _build_django(spec, clock):
    add_database(spec["alias"], spec["database"])
    from django.db import connections

    from port_webhook.replay.django import DjangoReplayStore

    connection = connections[spec["alias"]]
    return DjangoReplayStore(spec["alias"], clock=clock), connection.close


@cache
def _make_boto3_session() -> Any:
    """Return the one session of the process; each reads botocore's models anew."""
    import boto3

    return boto3.session.Session()


def make_dynamodb_client(spec: dict[str, Any]) -> Any:
    """Return a client of boto3, with credentials that nobody checks."""
    from botocore.config import Config

    timeout = spec.get("timeout", 30)
    return _make_boto3_session().client(
        "dynamodb",
        endpoint_url=spec["endpoint"],
        region_name="eu-west-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"total_max_attempts": 1},
            max_pool_connections=8,
        ),
    )


def _build_dynamodb(spec, clock):
    from port_webhook.replay.dynamodb import DynamoDBReplayStore

    client = make_dynamodb_client(spec)
    return DynamoDBReplayStore(client, spec["table"], clock=clock), client.close


def race(spec: dict[str, Any], owner: str, pipe: Connection) -> None:
    """Claim each key when told to, and say whether it was won."""
    store, close = build(spec)
    # The first use connects and loads; the race is about the claims.
    store.release("nobody's", owner)
    pipe.send("ready")
    for key in RACE_KEYS:
        pipe.recv()
        pipe.send(store.claim(key, owner, RACE_LEASE) == "claimed")
    close()


if __name__ == "racer":
    race(*globals()["arguments"])
