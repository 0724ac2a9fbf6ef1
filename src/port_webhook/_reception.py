"""The ``with`` block around the handling of one delivery.

It verifies on entry; with a replay store it also claims the request on entry, and
commits or releases the claim on exit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    PayloadError,
    ReplayError,
    ReplayStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from port_webhook._delivery import Delivery
    from port_webhook.replay._claims import Claim

__all__ = ["AsyncReception", "Reception"]

# 307 and 308 ask for the same request once more, elsewhere.
_SENT_AGAIN = (307, 308)
_FIRST_ERROR = 400  # RFC 9110, section 15


class _BaseReception:
    """Base class of both receptions.

    Attributes:
        status: The HTTP status of the response, once it is known. A status under 400
            commits the claim, any other releases it, and so do 307 and 308, by which
            the sender repeats the request. While it is None, a block that ends commits
            and a block that raises releases.
    """

    __slots__ = (
        "_accept",
        "_claim",
        "_delivery",
        "_judge",
        "_record",
        "_reject",
        "status",
    )

    status: int | None

    def __init__(
        self,
        judge: Callable[[], tuple[Delivery, Claim | None]],
        *,
        accept: Callable[[Delivery], None],
        record: Callable[[DeliveryError], None],
        reject: Callable[[DeliveryError], None],
    ) -> None:
        self.status = None
        self._judge: Callable[[], tuple[Delivery, Claim | None]] | None = judge
        self._accept, self._record, self._reject = accept, record, reject
        self._delivery: Delivery | None = None
        self._claim: Claim | None = None

    def _verify(self) -> tuple[Delivery, Claim | None]:
        """Run the verification once, and forget what it was given."""
        judge, self._judge = self._judge, None
        if judge is None:
            raise ConfigurationError("receive gives a context manager for one use")
        try:
            return judge()
        except DeliveryError as error:
            self._reject(error)
            raise

    def _refuse(self, error: ReplayError, delivery: Delivery | None) -> None:
        """Record that a verified delivery is not run, or its claim was lost."""
        error.run_id = None if delivery is None else delivery.run_id
        self._reject(error)

    def _end(self, error: BaseException | None) -> bool:
        """Decide between commit and release, and record a payload that failed."""
        if isinstance(error, PayloadError):
            if error.run_id is None and self._delivery is not None:
                error.run_id = self._delivery.run_id
            # Not cleaned: its traceback is that of the caller's own block.
            self._record(error)
        if self.status is None:
            return error is None
        return self.status < _FIRST_ERROR and self.status not in _SENT_AGAIN


class Reception(_BaseReception):
    """A ``with`` block around the handling of one delivery.

    `Verifier.receive` makes it.
    """

    __slots__ = ()

    @boundary
    def __enter__(self) -> Delivery:
        """Verify and claim; raise what `Verifier.verify` raises."""
        delivery, claim = self._verify()
        if claim is not None:
            try:
                claim.take()
            except ReplayError as error:
                self._refuse(error, delivery)
                raise
        self._delivery, self._claim = delivery, claim
        try:
            self._accept(delivery)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return delivery

    @boundary
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim; raise what went wrong unless the block did."""
        try:
            self.finish(error)
        except ReplayStoreError:
            if error is None:
                raise

    @boundary
    def finish(self, error: BaseException | None) -> None:
        """Commit or release the claim, for an adapter that has no block.

        Args:
            error: What the handler raised, or None.

        Raises:
            ReplayStoreError: The claim could not be committed. It is recorded already.
        """
        commit = self._end(error)
        delivery, self._delivery = self._delivery, None
        if self._claim is not None:
            try:
                self._claim.finish(commit=commit)
            except ReplayStoreError as failure:
                self._refuse(failure, delivery)
                raise


class AsyncReception(_BaseReception):
    """An ``async with`` block around the handling of one delivery.

    `Verifier.areceive` makes it.
    """

    __slots__ = ()

    @boundary
    async def __aenter__(self) -> Delivery:
        """Verify and claim; raise what `Verifier.verify` raises."""
        delivery, claim = self._verify()
        if claim is not None:
            try:
                await claim.atake()
            except ReplayError as error:
                self._refuse(error, delivery)
                raise
        self._delivery, self._claim = delivery, claim
        try:
            self._accept(delivery)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return delivery

    @boundary
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim; raise what went wrong unless the block did."""
        try:
            await self.finish(error)
        except ReplayStoreError:
            if error is None:
                raise

    @boundary
    async def finish(self, error: BaseException | None) -> None:
        """Do what `Reception.finish` does, even while the task is being cancelled."""
        commit = self._end(error)
        delivery, self._delivery = self._delivery, None
        if self._claim is not None:
            try:
                await self._claim.afinish(commit=commit)
            except ReplayStoreError as failure:
                self._refuse(failure, delivery)
                raise
