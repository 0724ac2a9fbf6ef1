"""One request's claim in a replay store: take it, then commit or release it.

A store may be local or remote, synchronous or asynchronous, and may raise anything.
What its answers mean is decided here once; the synchronous and the asynchronous half
of each step differ only in how they call the store.
"""

from __future__ import annotations

import asyncio
import os
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from port_webhook import _log
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    PortWebhookError,
    ReplayStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from port_webhook.exceptions import ReplayError
    from port_webhook.replay import AsyncReplayStore, ReplayStore

_STEPS = ("claim", "commit", "release")
# A store may also lose a task of its own. That it was cancelled says nothing about the
# request: each call of an asynchronous store is a task that no request cancels.
_FAILURES = (Exception, asyncio.CancelledError)
# The event loop holds its tasks weakly; one that outlives its request is held here.
_background: set[asyncio.Future[Any]] = set()


class Claims:
    """The claims of one verifier: its store, and how it uses it.

    Attributes:
        is_async: Whether the store is asynchronous.
    """

    __slots__ = ("fail_open", "is_async", "lease", "store", "to_thread")

    def __init__(
        self, store: ReplayStore | AsyncReplayStore, *, lease: float, fail_open: bool
    ) -> None:
        """Check that *store* is one; *lease* is in seconds."""
        methods = [getattr(store, step, None) for step in _STEPS]
        if isinstance(store, type) or not all(callable(method) for method in methods):
            msg = "replay_store must be an object with claim, commit and release"
            raise ConfigurationError(msg)
        self.store: Any = store
        self.lease: float = lease
        self.fail_open: bool = fail_open
        self.is_async: bool = any(iscoroutinefunction(method) for method in methods)
        # A store may have threads of its own to run in, as Django's connections do.
        # Its class says so: a mock has every attribute.
        self.to_thread: Any = getattr(type(store), "to_thread", asyncio.to_thread)

    def new(self, key: str, ttl: float) -> Claim:
        """Return the claim on *key*, not yet taken; *ttl* is in seconds."""
        return Claim(self, key, ttl)


class Claim:
    """One request's claim on its key."""

    __slots__ = ("_claims", "_held", "_key", "_owner", "_ttl")

    def __init__(self, claims: Claims, key: str, ttl: float) -> None:
        """Choose an owner that nobody else has; *ttl* is in seconds."""
        self._claims = claims
        self._key = key
        self._ttl = ttl
        self._owner = os.urandom(16).hex()
        self._held = False

    def take(self) -> ReplayError | ConfigurationError | None:
        """Claim the key; return why the handler must not run, or None."""
        return self._taken(self._call("claim", self._claims.lease))

    def finish(self, *, commit: bool) -> ReplayStoreError | None:
        """Commit or release the key, if it is held; return what went wrong."""
        if not self._held:
            return None
        self._held = False
        if commit:
            return self._committed(self._call("commit", self._ttl))
        self._released(self._call("release"))
        return None

    async def atake(self) -> ReplayError | ConfigurationError | None:
        """Do what `take` does; a cancelled task leaves no claim behind."""
        task = _spawn(self._acall("claim", self._claims.lease))
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            # The store may grant the claim after all, and then nobody would end it.
            await asyncio.shield(_spawn(self._abandon(task)))
            raise
        return self._taken(answer)

    async def afinish(self, *, commit: bool) -> ReplayStoreError | None:
        """Do what `finish` does, to its end even if the task is cancelled."""
        if not self._held:
            return None
        self._held = False
        task = _spawn(self._afinish(commit=commit))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody is left to record how it ends.
            task.add_done_callback(_record_failure)
            raise

    async def _afinish(self, *, commit: bool) -> ReplayStoreError | None:
        """End the claim and say how, in a task of its own that nobody cancels."""
        if commit:
            return self._committed(await self._acall("commit", self._ttl))
        self._released(await self._acall("release"))
        return None

    async def _abandon(self, task: asyncio.Future[object]) -> None:
        if await task == "claimed":
            self._released(await self._acall("release"))

    def _call(self, step: str, *args: float) -> object:
        """Call the store; an exception is returned as the answer."""
        try:
            return getattr(self._claims.store, step)(self._key, self._owner, *args)
        except _FAILURES as error:
            return error

    async def _acall(self, step: str, *args: float) -> object:
        """Call the store without blocking the event loop."""
        try:
            if self._claims.is_async:
                answer = self._call(step, *args)
            else:
                answer = await self._claims.to_thread(self._call, step, *args)
            return await answer if isawaitable(answer) else answer
        except _FAILURES as error:
            return error

    def _taken(self, answer: object) -> ReplayError | ConfigurationError | None:
        # Text first: comparing a foreign object may raise anything.
        if isinstance(answer, str):
            if answer == "claimed":
                self._held = True
                return None
            if answer == "in_progress":
                return DeliveryInProgressError()
            if answer == "committed":
                return DuplicateDeliveryError()
        if isawaitable(answer):
            _discard(answer)
            return ConfigurationError(
                "The replay store is asynchronous; use averify or areceive"
            )
        return self._failed("claim", answer)

    def _committed(self, answer: object) -> ReplayStoreError | None:
        if answer is True:
            return None
        if answer is False:
            _log.write(
                _log.WARNING,
                "The replay claim was lost before its commit: the handler took longer "
                "than replay_lease, and the request may run again.",
                "replay_lease_lost",
                lease=self._claims.lease,
            )
            return None
        return self._failed("commit", answer)

    def _released(self, answer: object) -> None:
        # The handler has failed already; its own error is the answer. The lease ends
        # by itself, only later.
        if not isinstance(answer, bool):
            problem = _describe("release", answer)
            _log.write(
                _log.ERROR, str(ReplayStoreError(problem)), "replay_store_failed"
            )

    def _failed(self, step: str, answer: object) -> ReplayStoreError | None:
        """Fail closed, or say that the request runs without protection."""
        error = ReplayStoreError(_describe(step, answer))
        if not self._claims.fail_open:
            return error
        message = f"{error} replay_fail_open is set: the delivery is handled anyway."
        _log.write(_log.WARNING, message, "replay_failed_open", step=step)
        return None


def _describe(step: str, answer: object) -> str:
    """Say what a store did in *step*, without what it may quote."""
    if isinstance(answer, ReplayStoreError):
        # Made anew, since this one may carry a cause of the store's.
        return str(answer).removeprefix("The replay store ").rstrip(".")
    if isinstance(answer, PortWebhookError):
        return f"failed to {step}: {str(answer).rstrip('.')}"
    if isinstance(answer, BaseException):
        return f"failed to {step} with {type(answer).__name__}"
    if isawaitable(answer):
        _discard(answer)
    return f"gave an unknown answer to {step}"


def _spawn(step: Coroutine[Any, Any, object]) -> asyncio.Future[Any]:
    """Start *step* as a task that nobody else need hold."""
    task = asyncio.ensure_future(step)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


def _record_failure(task: asyncio.Future[ReplayStoreError | None]) -> None:
    failure = task.result()
    if failure is not None:
        _log.write(_log.ERROR, str(failure), "replay_store_failed")


def _discard(awaitable: object) -> None:
    """Close a coroutine that will not be awaited, so that Python does not warn."""
    close = getattr(awaitable, "close", None)
    if callable(close):
        close()
