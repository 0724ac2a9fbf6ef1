"""The replay store of a Django project: unique keys, conditional UPDATE and DELETE.

Each write is one statement in a transaction of its own, with its condition in the
WHERE clause. Times come from this machine's clock and are passed as numbers, so that a
statement means the same on every database.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, IntegrityError, connections, transaction

from port_webhook._tracebacks import boundary
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
_UNDEFINED_TABLE = "42P01"  # PostgreSQL
_NO_SUCH_TABLE = 1146  # MySQL
_STATE = re.compile(r"[0-9A-Z]{5}")
# A further round is needed only if another process claimed or removed the row in
# between.
_ROUNDS = 3


class DjangoReplayStore:
    """Claims in a table of a Django project, for all that share its database.

    Tested on PostgreSQL and SQLite. Add ``port_webhook.replay.django`` to
    ``INSTALLED_APPS``, migrate, and run ``manage.py clear_replay_claims`` from time to
    time to delete expired rows.

    A claim must be visible to others at once, so the store raises a
    `ConfigurationError` inside a transaction. Under ``ATOMIC_REQUESTS`` mark the view
    with Django's ``transaction.non_atomic_requests``, or give the store a second alias
    for the same database without that option. The transaction of a ``TestCase`` is
    allowed.

    Expiry is decided by the clocks of your machines: the lease must be longer than the
    longest handler plus the largest difference between two clocks.

    Args:
        using: The alias of the database.
        clock: Returns the time in seconds since the epoch.

    Raises:
        ConfigurationError: There is no database of that alias.
    """

    __slots__ = ("_clock", "using")

    @boundary
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
        """Run *function* in the thread that Django uses for its database code.

        A connection belongs to its thread. In any other thread nobody would close it
        after the request, and a test case would not see its own transaction.
        """
        return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)

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
            ConfigurationError: A transaction is open, the app is not installed, or
                *lease* is not a number of seconds from zero up.
        """
        name, holder = to_name(key), to_name(owner)
        duration = to_milliseconds(lease)
        with self._statements() as claims:
            for _ in range(_ROUNDS):
                now = self._now()
                # A duplicate, which an attacker can send, causes no write.
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
        # Another process won each round.
        return "in_progress"

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

    @boundary
    def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ConfigurationError: A transaction is open, or the app is not installed.
        """
        with self._statements() as claims:
            held = claims.filter(
                key=to_name(key), owner=to_name(owner), expires_at__gt=self._now()
            )
            return self._delete(held) == 1

    @boundary
    def clear_expired(self) -> int:
        """Delete the rows that have expired, as ``clear_replay_claims`` does.

        Returns:
            The number of deleted rows.

        Raises:
            ConfigurationError: A transaction is open, or the app is not installed.
        """
        with self._statements() as claims:
            return self._delete(claims.filter(expires_at__lte=self._now()))

    def _explain(self, error: BaseException) -> str:
        """Return what to do if the table is missing; else the SQLSTATE, if any."""
        # psycopg and psycopg2; Django keeps their exception as the cause.
        cause = error.__cause__
        state: object = getattr(cause, "sqlstate", getattr(cause, "pgcode", None))
        if (
            state == _UNDEFINED_TABLE
            or error.args[:1] == (_NO_SUCH_TABLE,)
            or str(error).startswith("no such table")  # SQLite has no code for it
        ):
            database = "" if self.using == "default" else f" --database={self.using}"
            return f"its table is missing; run manage.py migrate{database}"
        if isinstance(state, str) and _STATE.fullmatch(state):
            return f"SQLSTATE {state}"
        return ""

    def _now(self) -> int:
        """Return the time in whole milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def _insert(
        self, claims: QuerySet[ReplayClaim], name: str, holder: str, expires_at: int
    ) -> bool:
        """Insert a row; return False if the key exists."""
        row = claims.model(key=name, owner=holder, expires_at=expires_at)
        try:
            # After an error PostgreSQL refuses everything until the end of the
            # transaction; in a test case that is a savepoint.
            with transaction.atomic(using=self.using):
                # bulk_create() calls no signal receivers of the project, save() does.
                claims.bulk_create([row])
        except IntegrityError:
            return False
        return True

    def _delete(self, rows: QuerySet[ReplayClaim]) -> int:
        """Delete *rows* in one statement; return how many there were."""
        # If the project has a receiver of deletions, delete() reads the rows and then
        # deletes them by key alone: the condition would be lost.
        return rows._raw_delete(using=self.using)  # noqa: SLF001  # as above

    @contextmanager
    def _statements(self) -> Generator[QuerySet[ReplayClaim]]:
        """Yield the rows, on a connection in autocommit mode."""
        connection = connections[self.using]
        # Autocommit is off inside a transaction, and everywhere if the settings say
        # so; then nothing would commit the claim.
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
            # Outside a request nobody else closes a broken connection, and it would
            # fail for ever after a restart of the database.
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            raise


def _rows(using: str) -> QuerySet[ReplayClaim]:
    try:
        from port_webhook.replay.django.models import ReplayClaim
    except RuntimeError:
        pass  # Django's own message does not tell what to do
    else:
        return ReplayClaim.objects.using(using)
    msg = 'Add "port_webhook.replay.django" to INSTALLED_APPS, and migrate'
    raise ConfigurationError(msg)
