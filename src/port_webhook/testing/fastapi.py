"""FastAPI and Starlette: a test client that signs each request.

    client = SigningClient(app, secret=secret)
    client.post("/port", json=action_invocation())

It needs Starlette alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx2 import Request, Response

__all__ = ["SigningClient"]


class SigningClient(TestClient):
    """A `starlette.testclient.TestClient` that signs as Port does.

    A request that has a signature already is sent as it is.

    Args:
        args: Those of `starlette.testclient.TestClient`, the application first.
        secret: The client secret that the application verifies with.
        clock: Returns the time in seconds since the epoch; None is the real time.
        kwargs: Those of `starlette.testclient.TestClient`.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """

    @boundary
    def __init__(
        self,
        *args: Any,
        secret: str | bytes,
        clock: Callable[[], float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._signer = Signer(secret, clock=clock)
        super().__init__(*args, **kwargs)

    # Not a class of Auth: Starlette's client is httpx2's or, of old, that of httpx.
    @boundary
    def send(self, request: Request, **kwargs: Any) -> Response:
        """Sign the request; every other method of the client calls this one."""
        if SIGNATURE_HEADER not in request.headers:
            request.headers.update(self._signer.headers(request.read()))
        return super().send(request, **kwargs)
