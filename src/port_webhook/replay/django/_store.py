"""The store: unique keys, conditional UPDATE and DELETE.

Each write is one statement that commits by itself and names, in its WHERE clause, what
must still be true. The times that it compares come from this machine's clock and are
passed in, so that a statement means the same on every database.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, IntegrityError, connections, transaction

from port_webhook.exceptions import ConfigurationError
from port_webhook.replay._values import to_milliseconds, to_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from django.db.models.query import QuerySet

    from port_webhook.replay import ClaimResult
    from port_webhook.replay.django.models import ReplayClaim

__all__ = ["DjangoReplayStore"]

P = ParamSpec("P")
T = TypeVar("T")

_COMMITTED = ""
# Each further round means that somebody else has claimed, or removed, the row in
# between; more than a few of them need leases of nearly nothing.
_ROUNDS = 3


class DjangoReplayStore:
    """Claims in a table of a Django project, for all that share its database.

    Tested on PostgreSQL and SQLite. Put ``port_webhook.replay.django`` into
    ``INSTALLED_APPS``, migrate, and run ``manage.py clear_replay_claims`` from time to
    time: expired rows do no harm, but stay.

    A claim must be visible to others at once, so the store refuses to work inside a
    transaction. Under ``ATOMIC_REQUESTS`` mark the view with Django's
    ``transaction.non_atomic_requests``, or give the store a second alias for the same
    database without that option. (The transaction of a ``TestCase`` is let pass.)

    Expiry is decided by the clocks of your machines: a lease must be longer than the
    longest handler and the largest difference between two clocks together.

    Args:
        using: The alias of the database.
        clock: Returns the time in seconds since the epoch.

    Raises:
        ConfigurationError: There is no database of that alias.
    """

    __slots__ = ("_clock", "using")

    def __init__(
        self, using: str = "default", *, clock: Callable[[], float] = time.time
    ) -> None:
        """Use the database *using*, without connecting to it yet."""
        if using not in connections:
            msg = f"DATABASES has no alias {using!r}"
            raise ConfigurationError(msg)
        self.using: str = using
        self._clock = clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}(using={self.using!r})"

    @staticmethod
    async def to_thread(
        function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a step of an asynchronous view where Django runs its database code.

        A connection belongs to its thread. In a thread of any other pool nobody would
        close it after the request, and a test case would not see its own transaction.
        """
        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Take *key* for *owner*, if nobody holds it; see `ReplayStore.claim`.

        Args:
            key: Names the signed request.
            owner: Names this attempt, and no other.
            lease: How long the claim holds, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ConfigurationError: A transaction is open, the app is not installed, or
                *lease* is not a number of seconds from zero up.
        """
        name, holder = to_name(key), to_name(owner)
        duration = to_milliseconds(lease)
        with self._statements() as claims:
            for _ in range(_ROUNDS):
                now = self._now()
                # A duplicate, the one thing an attacker can send, only reads.
                row = claims.filter(key=name).values_list("owner", "expires_at").first()
                if row is None:
                    if self._insert(claims, name, holder, now + duration):
                        return "claimed"
                elif row[1] > now:
                    return "committed" if row[0] == _COMMITTED else "in_progress"
                elif claims.filter(key=name, expires_at__lte=now).update(
                    owner=holder, expires_at=now + duration
                ):
                    return "claimed"
        # Whoever won each round has the key, or had it a moment ago.
        return "in_progress"

    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ConfigurationError: A transaction is open, the app is not installed, or
                *ttl* is not a number of seconds from zero up.
        """
        duration = to_milliseconds(ttl)
        with self._statements() as claims:
            now = self._now()
            held = claims.filter(
                key=to_name(key), owner=to_name(owner), expires_at__gt=now
            )
            return held.update(owner=_COMMITTED, expires_at=now + duration) == 1

    def release(self, key: str, owner: str) -> bool:
        """Give the claim back; see `ReplayStore.release`.

        Args:
            key: As it was claimed.
            owner: As it was claimed.

        Returns:
            False if *owner* holds no claim on *key*.

        Raises:
            ConfigurationError: A transaction is open, or the app is not installed.
        """
        with self._statements() as claims:
            held = claims.filter(
                key=to_name(key), owner=to_name(owner), expires_at__gt=self._now()
            )
            return self._delete(held) == 1

    def clear_expired(self) -> int:
        """Remove the rows that have expired; the command's work.

        Returns:
            The number of rows.

        Raises:
            ConfigurationError: A transaction is open, or the app is not installed.
        """
        with self._statements() as claims:
            return self._delete(claims.filter(expires_at__lte=self._now()))

    def _now(self) -> int:
        """Return the time in whole milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def _insert(
        self, claims: QuerySet[ReplayClaim], name: str, holder: str, expires_at: int
    ) -> bool:
        """Insert a row, unless somebody else did so first."""
        row = claims.model(key=name, owner=holder, expires_at=expires_at)
        try:
            # PostgreSQL refuses everything after an error until the end of the
            # transaction; in a test case's, that is a savepoint.
            with transaction.atomic(using=self.using):
                # In bulk, because save() calls the project's signal receivers.
                claims.bulk_create([row])
        except IntegrityError:
            return False
        return True

    def _delete(self, rows: QuerySet[ReplayClaim]) -> int:
        """Delete *rows* in one statement, and return how many there were."""
        # delete() first reads the rows and then deletes them by key alone, if any
        # receiver in the project listens to deletions: the condition would be lost.
        return rows._raw_delete(using=self.using)  # noqa: SLF001  # as above

    @contextmanager
    def _statements(self) -> Generator[QuerySet[ReplayClaim]]:
        """Yield the rows, on a connection that commits each statement by itself."""
        connection = connections[self.using]
        # Autocommit is off in a transaction, but also without one where the settings
        # say so; then nothing would ever commit the claim.
        blocks = connection.atomic_blocks
        in_test_case = bool(blocks) and all(
            getattr(block, "_from_testcase", False) for block in blocks
        )
        try:
            if not in_test_case and not connection.get_autocommit():
                msg = (
                    "The replay store cannot work inside a transaction, where nobody "
                    "else sees a claim. Under ATOMIC_REQUESTS, mark the view with "
                    "django.db.transaction.non_atomic_requests"
                )
                raise ConfigurationError(msg)
            yield _rows(self.using)
        except Error:
            # Outside a request nobody else would close a connection that is broken,
            # and it would fail for ever after a restart of the database.
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            raise


def _rows(using: str) -> QuerySet[ReplayClaim]:
    try:
        from port_webhook.replay.django.models import ReplayClaim
    except RuntimeError:
        pass  # Django's own message names the model, not what to do
    else:
        return ReplayClaim.objects.using(using)
    msg = 'Add "port_webhook.replay.django" to INSTALLED_APPS, and migrate'
    raise ConfigurationError(msg)
