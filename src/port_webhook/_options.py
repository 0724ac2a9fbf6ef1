"""The keyword options of a `Verifier`, for functions that pass them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from port_webhook._delivery import Delivery
from port_webhook.exceptions import DeliveryError
from port_webhook.replay import AsyncReplayStore, ReplayStore

__all__ = ["VerifierOptions"]


class VerifierOptions(TypedDict, total=False):
    """The options of `Verifier`, without the secrets."""

    max_age: float
    max_future: float
    agent: bool
    max_body_bytes: int
    agent_max_bytes: int
    replay_store: ReplayStore | AsyncReplayStore | None
    replay_scope: str
    replay_lease: float
    replay_ttl: float | None
    replay_fail_open: bool
    clock: Callable[[], float] | None
    on_verified: Callable[[Delivery], None] | None
    on_rejected: Callable[[DeliveryError], None] | None
