"""Flask: a test client that signs each request.

    client = SigningClient(app, secret=secret)
    client.post("/port", json=action_invocation())

Or with Flask's own factory: set ``app.test_client_class = SigningClient``, and call
``app.test_client(secret=secret)``.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.testing._signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIEnvironment

    from werkzeug.datastructures import Headers

__all__ = ["SigningClient"]


class SigningClient(FlaskClient):
    """A `flask.testing.FlaskClient` that signs as Port does.

    A request that has a signature already is sent as it is.

    Args:
        args: Those of `flask.testing.FlaskClient`, the application first.
        secret: The client secret that the application verifies with.
        clock: Returns the time in seconds since the epoch; None is the real time.
        kwargs: Those of `flask.testing.FlaskClient`.

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

    @boundary
    def run_wsgi_app(
        self,
        environ: WSGIEnvironment,
        buffered: bool = False,  # noqa: FBT001, FBT002  # Werkzeug's
    ) -> tuple[Iterable[bytes], str, Headers]:
        """Sign the request before the application gets it."""
        if _variable(SIGNATURE_HEADER) not in environ:
            body = environ["wsgi.input"].read()
            environ["wsgi.input"] = BytesIO(body)
            for name, value in self._signer.headers(body).items():
                environ[_variable(name)] = value
        return super().run_wsgi_app(environ, buffered=buffered)


def _variable(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"
