"""requests: an `AuthBase` that signs the bodies that a session sends.

requests.post(url, json=action_invocation(), auth=SigningAuth(secret))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

__all__ = ["SigningAuth"]


class SigningAuth(AuthBase):
    """An ``AuthBase`` that signs as Port does, for sessions and functions of requests.

    A request that has a signature already is sent as it is. A body that is a file or
    an iterable is read into memory.

    Args:
        secret: The client secret that the receiver verifies with.
        clock: Returns the time in seconds since the epoch. None is the real time.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """

    @boundary
    def __init__(
        self, secret: str | bytes, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._signer = Signer(secret, clock=clock)

    @boundary
    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Sign the request *r*."""
        if SIGNATURE_HEADER not in r.headers:
            r.body = _read(r.body)
            # A body that was streamed has a length now, which requests sets next.
            r.headers.pop("Transfer-Encoding", None)
            r.headers.update(self._signer.headers(r.body or b""))
        return r


def _read(body: Any) -> bytes | None:
    """Return the bytes of what a request may have as its body."""
    if body is None or isinstance(body, bytes):
        return body
    if hasattr(body, "read"):
        body = body.read()
    parts = [body] if isinstance(body, str | bytes) else body
    return b"".join(part.encode() if isinstance(part, str) else part for part in parts)
