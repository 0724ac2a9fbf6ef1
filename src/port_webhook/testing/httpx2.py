"""httpx2: an `httpx2.Auth` that signs the bodies that a client sends.

httpx2.post(url, json=action_invocation(), auth=SigningAuth(secret))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["SigningAuth"]


class SigningAuth(httpx2.Auth):
    """An `httpx2.Auth` that signs as Port does, for `httpx2.Client` and `AsyncClient`.

    A request that has a signature already is sent as it is.

    Args:
        secret: The client secret that the receiver verifies with.
        clock: Returns the time in seconds since the epoch; None is the real time.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """

    requires_request_body = True

    @boundary
    def __init__(
        self, secret: str | bytes, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._signer = Signer(secret, clock=clock)

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign *request*."""
        self._sign(request)
        yield request

    @boundary
    def _sign(self, request: httpx2.Request) -> None:
        if SIGNATURE_HEADER not in request.headers:
            request.headers.update(self._signer.headers(request.content))
