"""Replay stores, which make each signed request run once.

::

    port_webhook.replay.memory     MemoryReplayStore        one process
    port_webhook.replay.redis      RedisReplayStore, AsyncRedisReplayStore
    port_webhook.replay.django     DjangoReplayStore        an app with one model
    port_webhook.replay.dynamodb   DynamoDBReplayStore

A key is unknown, claimed by one owner until its lease expires, or committed until its
TTL expires. Only the owner can commit or release a claim, and only before its lease
expires. An expired key counts as unknown, even if it has not been deleted yet.

This package holds the two protocols, so a store of your own needs no base class. Each
store is imported from its own module and needs its own client library.
"""

from __future__ import annotations

from port_webhook.replay._protocols import (
    AsyncReplayStore,
    ClaimResult,
    ReplayStore,
)

__all__ = ["AsyncReplayStore", "ClaimResult", "ReplayStore"]
