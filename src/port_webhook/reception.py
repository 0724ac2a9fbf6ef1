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

    from port_webhook.delivery import Delivery
    from port_webhook.replay.claims import Claim

    Verdict = tuple[Delivery, Claim | None] | PortWebhookError


class _BaseReception:
    """What the synchronous and the asynchronous reception share.

    Attributes:
        status: The HTTP status of the answer, once it is known. A status under 400
            commits the claim, any other releases it. While it is None, a block that
            ends commits and a block that raises releases.
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
        return self.status < 400  # noqa: PLR2004  # RFC 9110: errors start here


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
        self._accept(delivery)
        return delivery

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim."""
        done = self._is_done(error)
        if self._claim is not None:
            failure = self._claim.finish(commit=done)
            if failure is not None and error is None:
                self._refuse(failure)


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
        self._accept(delivery)
        return delivery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit or release the claim, even while the task is being cancelled."""
        done = self._is_done(error)
        if self._claim is not None:
            failure = await self._claim.afinish(commit=done)
            if failure is not None and error is None:
                self._refuse(failure)
