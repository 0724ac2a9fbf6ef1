"""Django: test clients that sign each request, for WSGI and for ASGI.

client = SigningClient(secret=secret)
client.post("/port", action_invocation(), content_type="application/json")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.test import AsyncClient, Client
from django.utils.encoding import force_bytes

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["AsyncSigningClient", "SigningClient"]


class _Signing:
    """The signing that both clients share."""

    defaults: Any  # of Django: the headers of every request, by name

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

    @boundary
    def generic(
        self,
        method: str,
        path: Any,
        data: Any = "",
        *args: Any,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Sign the request; every other method of the client calls this one."""
        body = force_bytes(data, settings.DEFAULT_CHARSET)
        sent = dict(headers or {})
        # Django spells the names of other headers as WSGI does, or as ASGI does.
        names = {
            name.lower().replace("_", "-").removeprefix("http-")
            for name in (*self.defaults, *kwargs, *sent)
        }
        if SIGNATURE_HEADER not in names:
            sent.update(self._signer.headers(body))
        client: Any = super()
        return client.generic(method, path, body, *args, headers=sent, **kwargs)


class SigningClient(_Signing, Client):
    """A `django.test.Client` that signs as Port does.

    A request that has a signature already is sent as it is.

    Args:
        args: Those of `django.test.Client`.
        secret: The client secret that the project verifies with.
        clock: Returns the time in seconds since the epoch; None is the real time.
        kwargs: Those of `django.test.Client`.

    Raises:
        ConfigurationError: *secret* or *clock* is not valid.
    """


class AsyncSigningClient(_Signing, AsyncClient):
    """A `django.test.AsyncClient` that signs as Port does; see `SigningClient`."""
