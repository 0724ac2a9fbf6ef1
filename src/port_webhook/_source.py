"""`VerifierSource`: a verifier whose secret is fetched again from time to time."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from port_webhook import _log
from port_webhook._arguments import (
    read_clock,
    read_secrets,
    require_function,
    require_seconds,
)
from port_webhook._tracebacks import boundary
from port_webhook._verifier import Verifier, set_source
from port_webhook.exceptions import ConfigurationError, PortWebhookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from port_webhook._options import VerifierOptions

__all__ = ["VerifierSource"]


class VerifierSource:
    """Verifiers for a secret that may change while the service runs.

    The secret is fetched when the source is built, and again when it is older than
    *every* seconds, by one thread while others use the last verifier. If that fails,
    the last verifier stays in use, and the log has a ``secret_refresh_failed`` record.
    A secret that did not change keeps its verifier.

    Pass it to an adapter: ``webhook(choose=source)``.

    Args:
        fetch: Returns the current secret, or a sequence of it and the previous ones,
            the most recent first. It is not asynchronous.
        every: How long a secret is used before it is fetched again, in seconds.
        options: Those of `Verifier` except the secrets. If there is a ``clock``, it
            also decides when to fetch.

    Raises:
        ConfigurationError: The first fetch failed, or something is not valid.
    """

    @boundary
    def __init__(
        self,
        fetch: Callable[[], Any],
        *,
        every: float = 300,
        **options: Unpack[VerifierOptions],
    ) -> None:
        require_function("fetch", fetch)
        self._every = require_seconds("every", every, positive=True)
        taken = options.keys() & {"secret", "previous_secrets"}
        if taken:
            raise ConfigurationError(f"fetch returns {' and '.join(sorted(taken))}")
        self._fetch = fetch
        self._options = options
        # One for each process: a fork may copy one that a thread holds.
        self._locks = {os.getpid(): threading.Lock()}
        self._fingerprint = 0
        self._verifier = self._refresh(None)
        self._fetched_at = self._now()

    def __repr__(self) -> str:
        """Show no secret."""
        return f"<VerifierSource every={self._every:g}>"

    @boundary
    def __call__(self, _request: object = None) -> Verifier:
        """Return the verifier of the current secret, for any request."""
        lock = self._locks.get(os.getpid()) or self._adopt()
        if self._is_old() and lock.acquire(blocking=False):
            problem = None
            try:
                # Another thread may have fetched between the two conditions.
                if self._is_old():
                    self._fetched_at = self._now()
                    self._verifier = self._refresh(self._verifier)
            except PortWebhookError as error:
                problem = str(error)
            finally:
                lock.release()
            # Not inside the handler: a log handler may look at sys.exc_info().
            if problem is not None:
                _log.write(
                    _log.ERROR,
                    f"The client secret could not be fetched again, and the last one "
                    f"stays in use: {problem}",
                    "secret_refresh_failed",
                )
        return self._verifier

    def _adopt(self) -> threading.Lock:
        """Return the lock of a process that was forked."""
        if any(each.locked() for each in [*self._locks.values()]):
            # The fetch that went on is not one of this process.
            self._fetched_at = -math.inf
        # In one step, so that all threads get the same lock.
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _is_old(self) -> bool:
        # A clock that went back makes a secret count as old.
        return not 0 <= self._now() - self._fetched_at < self._every

    def _now(self) -> float:
        clock = self._options.get("clock")
        return time.monotonic() if clock is None else read_clock(clock)

    def _refresh(self, last: Verifier | None) -> Verifier:
        """Fetch, and build a verifier unless the secrets are those of *last*."""
        try:
            secret, previous = _split(self._fetch())
        except Exception as error:  # the user's function, or what it returned
            raise ConfigurationError(f"fetch raised {type(error).__name__}")
        if secret is None:
            raise ConfigurationError("fetch returned no secret")
        fingerprint = hash(tuple(read_secrets(secret, previous)))
        if last is None or fingerprint != self._fingerprint:
            last = Verifier(secret, previous_secrets=previous, **self._options)
            set_source(last, "VerifierSource")
            self._fingerprint = fingerprint
        return last


def _split(fetched: Any) -> tuple[Any, Sequence[Any]]:
    """Take the current secret apart from the previous ones."""
    if not isinstance(fetched, list | tuple):
        return fetched, ()
    current, *previous = cast("Sequence[Any]", fetched) or (None,)
    if len(previous) == 1 and isinstance(previous[0], list | tuple):
        # (current, [previous, …]), copied here, where what it raises is caught.
        return current, [*cast("Sequence[Any]", previous[0])]
    return current, previous
