"""One request's claim in a replay store: take it, then commit or release it.

A store may be synchronous or asynchronous, and may raise anything. Its answers are
interpreted here; the synchronous and the asynchronous half of each step differ only
in how they call the store.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn, cast

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

    from port_webhook.replay import AsyncReplayStore, ReplayStore

__all__ = ["Claim", "Claims", "acheck_store", "check_store"]

_STEPS = ("claim", "commit", "release")
# A store's own task may be cancelled independently of the request, so CancelledError
# counts as a store failure: each asynchronous call is a task that no request cancels.
_FAILURES = (Exception, asyncio.CancelledError)
# The event loop holds its tasks weakly; one that outlives its request is held here.
_background: set[asyncio.Future[Any]] = set()
# What asyncio, and a transport whose loop is closed, say in such a case.
_OTHER_LOOP = (
    "Event loop is closed",
    "attached to a different loop",
    "bound to a different event loop",
    "'NoneType' object has no attribute 'send'",
)


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
            raise ConfigurationError(
                "replay_store must be an object with claim, commit and release, and "
                "not its class"
            )
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

    def describe(self, step: str, error: BaseException) -> str:
        """Describe a failure of *step* without quoting the store's own message."""
        if isinstance(error, ReplayStoreError):
            return str(error).removeprefix("The replay store ").rstrip(".")
        if isinstance(error, PortWebhookError):
            return f"failed to {step}: {str(error).rstrip('.')}"
        described = f"failed to {step} with {type(error).__name__}"
        hint = ""
        with suppress(Exception):  # a foreign error's attributes may raise
            hint = self._explain(error)
        return f"{described}: {hint}" if hint else described

    def _explain(self, error: BaseException) -> str:
        """Return what is known of the cause, and what to do; nothing if empty."""
        if self.is_async and isinstance(error, RuntimeError | AttributeError):
            text = str(error)
            if any(each in text for each in _OTHER_LOOP):
                return (
                    "its client belongs to another event loop; "
                    "make one store for each loop"
                )
        kind = type(cast("object", self.store))
        explain: Any = getattr(kind, "_explain", None)
        return "" if explain is None else str(explain(self.store, error))

    def fail(self, step: str, error: ReplayStoreError) -> None:
        """Raise *error*, or log it where the request goes on without the store."""
        if step == "release":
            # The handler has failed already; its own error is the answer. The lease
            # ends by itself, only later.
            _log_failure(error)
        elif self.fail_open:
            message = (
                f"{error} replay_fail_open is set: the delivery is handled anyway."
            )
            _log.write(_log.WARNING, message, "replay_failed_open", step=step)
        else:
            raise error


class Claim:
    """One request's claim on its key."""

    __slots__ = ("_claims", "_held", "_key", "_owner", "_ttl")

    def __init__(self, claims: Claims, key: str, ttl: float) -> None:
        """Choose a random owner; *ttl* is in seconds."""
        self._claims = claims
        self._key = key
        self._ttl = ttl
        self._owner = os.urandom(16).hex()
        self._held = False

    def take(self) -> None:
        """Claim the key.

        Raises:
            DuplicateDeliveryError: The request was handled before.
            DeliveryInProgressError: The request is being handled.
            ReplayStoreError: The store failed, and does not fail open.
            ConfigurationError: The store is asynchronous.
        """
        try:
            self._taken(self._call("claim", self._claims.lease))
        except ReplayStoreError as error:
            self._claims.fail("claim", error)

    def finish(self, *, commit: bool) -> None:
        """Commit or release the key, if it is held.

        Raises:
            ReplayStoreError: The commit failed, and the store does not fail open.
        """
        if not self._held:
            return
        self._held = False
        step, args = self._last_step(commit=commit)
        try:
            self._finished(step, self._call(step, *args))
        except ReplayStoreError as error:
            self._claims.fail(step, error)

    async def atake(self) -> None:
        """Do what `take` does; a cancelled task leaves no claim behind."""
        task = _spawn(self._acall("claim", self._claims.lease))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            # The store may grant the claim after all, and then nobody would end it.
            await asyncio.wait([_spawn(self._abandon(task))])
            raise
        try:
            self._taken(task.result())
        except ReplayStoreError as error:
            self._claims.fail("claim", error)

    async def afinish(self, *, commit: bool) -> None:
        """Do what `finish` does, to its end even if the task is cancelled."""
        if self._held:
            self._held = False
            await _complete(self._afinish(commit=commit))

    def probe(self) -> None:
        """Claim the key and release it, to show that the store works.

        Raises:
            ReplayStoreError: The store failed, be it set to fail open or not.
            ConfigurationError: The store is asynchronous.
        """
        answer = self._call("claim", self._claims.lease)
        _require("claim", answer, expected="claimed")
        _require("release", self._call("release"), expected=True)

    async def aprobe(self) -> None:
        """Do what `probe` does, to its end even if the task is cancelled."""
        await _complete(self._aprobe())

    async def _aprobe(self) -> None:
        answer = await self._acall("claim", self._claims.lease)
        _require("claim", answer, expected="claimed")
        _require("release", await self._acall("release"), expected=True)

    async def _afinish(self, *, commit: bool) -> None:
        step, args = self._last_step(commit=commit)
        try:
            self._finished(step, await self._acall(step, *args))
        except ReplayStoreError as error:
            self._claims.fail(step, error)

    async def _abandon(self, task: asyncio.Future[object]) -> None:
        with suppress(ReplayStoreError):
            answer = await task
            if isinstance(answer, str) and answer == "claimed":
                await self._afinish(commit=False)

    def _last_step(self, *, commit: bool) -> tuple[str, tuple[float, ...]]:
        return ("commit", (self._ttl,)) if commit else ("release", ())

    def _call(self, step: str, *args: float) -> object:
        """Call the store; whatever it raises becomes a `ReplayStoreError`."""
        try:
            return getattr(self._claims.store, step)(self._key, self._owner, *args)
        except _FAILURES as error:
            problem = self._claims.describe(step, error)
        # Not inside the handler: the store's exceptions would become its context.
        raise ReplayStoreError(problem)

    async def _acall(self, step: str, *args: float) -> object:
        """Do what `_call` does, without blocking the event loop."""
        try:
            if self._claims.is_async:
                answer = self._call(step, *args)
            else:
                answer = await self._claims.to_thread(self._call, step, *args)
            return await answer if isawaitable(answer) else answer
        except _FAILURES as error:
            problem = self._claims.describe(step, error)
        raise ReplayStoreError(problem)

    def _taken(self, answer: object) -> None:
        # Text first: comparing a foreign object may raise anything.
        if isinstance(answer, str):
            if answer == "claimed":
                self._held = True
                return
            if answer == "in_progress":
                raise DeliveryInProgressError
            if answer == "committed":
                raise DuplicateDeliveryError
        _refuse("claim", answer)

    def _finished(self, step: str, answer: object) -> None:
        if not isinstance(answer, bool):
            _refuse(step, answer)
        if step == "commit" and not answer:
            _log.write(
                _log.WARNING,
                "The replay claim was lost before its commit: the handler took longer "
                "than replay_lease, and the request may run again.",
                "replay_lease_lost",
                lease=self._claims.lease,
            )


def check_store(claims: Claims) -> None:
    """Claim and release a random key, as a delivery would.

    Raises:
        ReplayStoreError: The store failed, be it set to fail open or not.
        ConfigurationError: The store is asynchronous.
    """
    _new_probe(claims).probe()


async def acheck_store(claims: Claims) -> None:
    """Do what `check_store` does, for a store of either kind."""
    await _new_probe(claims).aprobe()


def _new_probe(claims: Claims) -> Claim:
    return claims.new(f"self-check:{os.urandom(16).hex()}", ttl=0)


def _require(step: str, answer: object, *, expected: object) -> None:
    if not isinstance(answer, str | bool) or answer != expected:
        _refuse(step, answer)


def _refuse(step: str, answer: object) -> NoReturn:
    """Raise the error for an answer that the protocol does not allow."""
    if isawaitable(answer):
        # Closed, so that Python does not warn of a coroutine that was never awaited.
        close = getattr(answer, "close", None)
        if callable(close):
            close()
        if step == "claim":
            msg = "The replay store is asynchronous; use averify or areceive"
            raise ConfigurationError(msg)
    msg = f"gave an unknown answer to {step}"
    raise ReplayStoreError(msg)


async def _complete(step: Coroutine[Any, Any, None]) -> None:
    """Run *step* to its end; if the caller is cancelled, log how it ends."""
    task = _spawn(step)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_log_result)
        raise
    task.result()


def _spawn(step: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
    """Start *step* as a task and keep a strong reference to it."""
    task = asyncio.ensure_future(step)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


def _log_result(task: asyncio.Future[None]) -> None:
    try:
        task.result()
    except ReplayStoreError as error:
        _log_failure(error)


def _log_failure(error: ReplayStoreError) -> None:
    _log.write(_log.ERROR, str(error), "replay_store_failed")
