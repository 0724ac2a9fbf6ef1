"""One delivery from its verification to the end of its handler.

`Verifier.receive` and `Verifier.areceive` return the two context managers here. With
a replay store they claim the request on entry, and commit or release it on exit;
without one they only verify.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    PayloadError,
    PortWebhookError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

    from port_webhook._delivery import Delivery
    from port_webhook.exceptions import ReplayStoreError
    from port_webhook.replay._claims import Claim

    Verdict = tuple[Delivery, Claim | None] | PortWebhookError


_SENT_AGAIN = (307, 308)


class _BaseReception:
    """What the synchronous and the asynchronous reception share.

    Attributes:
        status: The HTTP status of the answer, once it is known. A status under 400
            commits the claim, any other releases it, and so do 307 and 308, by which
            the sender repeats the request. While it is None, a block that ends commits
            and a block that raises releases.
    """

    __slots__ = ("_accept", "_claim", "_judge", "_reject", "status")

    status: int | None

    def __init__(  # made by a Verifier, not by users
        self,
        judge: Callable[[], Verdict],
        accept: Callable[[Delivery], None],
        reject: Callable[[DeliveryError], None],
    ) -> None:
        self.status = None
        self._judge: Callable[[], Verdict] | None = judge
        self._accept = accept
        self._reject = reject
        self._claim: Claim | None = None

    def _verify(self) -> Verdict:
        """Run the verification once, and forget what it was given."""
        judge, self._judge = self._judge, None
        if judge is None:
            return ConfigurationError("receive gives a context manager for one use")
        return judge()

    def _refuse(self, error: PortWebhookError) -> NoReturn:
        """Record and raise *error*."""
        if isinstance(error, DeliveryError):
            self._reject(error)
        raise error

    def _is_done(self, error: BaseException | None) -> bool:
        """Decide between commit and release, and record a payload that failed."""
        if isinstance(error, PayloadError):
            self._reject(error)
        if self.status is None:
            return error is None
        # 307 and 308 ask for the very same request once more, elsewhere.
        return self.status < 400 and self.status not in _SENT_AGAIN  # noqa: PLR2004  # RFC 9110: errors start here


class Reception(_BaseReception):
    """A ``with`` block around the handling of one delivery.

    `Verifier.receive` makes it.
    """

    __slots__ = ()

    def __enter__(self) -> Delivery:
        """Verify and claim; raise what `Verifier.verify` raises."""
        verdict = self._verify()
        if isinstance(verdict, PortWebhookError):
            self._refuse(verdict)
        delivery, claim = verdict
        del verdict
        refusal = None if claim is None else claim.take()
        if refusal is not None:
            del delivery, claim
            self._refuse(refusal)
        self._claim = claim
        try:
            self._accept(delivery)
        except BaseException as error:
            del delivery  # whoever sees the error sees this frame
            self.finish(error)
            raise
        return delivery

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim; raise what went wrong unless the block did."""
        failure = self.finish(error)
        if failure is not None and error is None:
            raise failure

    def finish(self, error: BaseException | None) -> ReplayStoreError | None:
        """Commit or release the claim, for an adapter that needs no block.

        Args:
            error: What the handler raised, or None.

        Returns:
            The error to answer with, which is recorded already; None if all went well.
        """
        done = self._is_done(error)
        failure = None if self._claim is None else self._claim.finish(commit=done)
        if failure is not None:
            self._reject(failure)
        return failure


class AsyncReception(_BaseReception):
    """An ``async with`` block around the handling of one delivery.

    `Verifier.areceive` makes it.
    """

    __slots__ = ()

    async def __aenter__(self) -> Delivery:
        """Verify and claim; raise what `Verifier.verify` raises."""
        verdict = self._verify()
        if isinstance(verdict, PortWebhookError):
            self._refuse(verdict)
        delivery, claim = verdict
        del verdict
        refusal = None if claim is None else await claim.atake()
        if refusal is not None:
            del delivery, claim
            self._refuse(refusal)
        self._claim = claim
        try:
            self._accept(delivery)
        except BaseException as error:
            del delivery  # whoever sees the error sees this frame
            await self.finish(error)
            raise
        return delivery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim; raise what went wrong unless the block did."""
        failure = await self.finish(error)
        if failure is not None and error is None:
            raise failure

    async def finish(self, error: BaseException | None) -> ReplayStoreError | None:
        """Do what `Reception.finish` does, even while the task is being cancelled."""
        done = self._is_done(error)
        failure = None
        if self._claim is not None:
            failure = await self._claim.afinish(commit=done)
        if failure is not None:
            self._reject(failure)
        return failure
