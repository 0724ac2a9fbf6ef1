"""Stores that make each signed request run once.

::

    port_webhook.replay.memory     MemoryReplayStore        one process
    port_webhook.replay.redis      RedisReplayStore, AsyncRedisReplayStore
    port_webhook.replay.django     DjangoReplayStore        an app with one model
    port_webhook.replay.dynamodb   DynamoDBReplayStore

A store knows, for each key, one of three things: nothing, that an owner is handling
it until a lease ends, or that it was handled and stays so until a time to live ends.
A claim takes a key for an owner; only that owner, and only within its lease, may then
commit the key or release it. What has expired counts as unknown, whether or not it
was removed already.

Here are only the two protocols, so that a store of your own needs no base class.
Each module of a store is imported by name, and needs its own client library.
"""

from __future__ import annotations

from port_webhook.replay._protocols import (
    AsyncReplayStore,
    ClaimResult,
    ReplayStore,
)

__all__ = ["AsyncReplayStore", "ClaimResult", "ReplayStore"]
