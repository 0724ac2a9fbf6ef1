"""End the replay claims of a request when its response starts.

A dependency sees neither a `Response` that the endpoint returns, nor what an exception
handler makes of an exception, nor a file that is missing when it is to be sent. Only
the response itself tells its status, and FastAPI calls nothing of a dependency's
there. So `observe` puts a step around `APIRoute.handle`, the method by which a router
calls any path operation. For a request that claims nothing it passes everything on.

Why: docs/design.md#fastapis-routes-are-wrapped
"""

from __future__ import annotations

import json
from functools import wraps
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException

from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import ConfigurationError, DeliveryError
from port_webhook.integration import aend, answer

if TYPE_CHECKING:
    from port_webhook._reception import AsyncReception
    from port_webhook._verifier import Verifier
    from port_webhook.integration._asgi import Message, Receive, Scope, Send

__all__ = ["CLAIMS_KEY", "DECORATED", "Claims", "body_of", "exception_of", "observe"]

# Those that call these are boundaries already.
_aend = inner(aend)

CLAIMS_KEY = "port_webhook.claims"
"""Where the ASGI scope holds the `Claims` of its request."""


DECORATED = "__port_webhook_decorated__"
"""What an endpoint has that is verified in its decorated form alone: itself.

A copy of the attribute, which decorators make, says nothing about the decorator.
"""


class Claims:
    """The claims of one request, and the way of its response to the server.

    Attributes:
        answered: A claim could not be committed, and a 503 was sent in place of the
            response.
    """

    __slots__ = ("_opened", "_send", "answered")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._opened: list[tuple[Verifier, AsyncReception | None]] = []
        self.answered = False

    def add(self, verifier: Verifier, reception: AsyncReception | None) -> None:
        """Take what `abegin` returned; None if an outer adapter ends the claim."""
        # One is enough to record a payload error, which the outer adapter cannot see.
        if reception is not None or not self._opened:
            self._opened.append((verifier, reception))

    async def send(self, message: Message) -> None:
        """End the claims when the response starts; send no more if that failed."""
        if self._opened and message["type"] == "http.response.start":
            try:
                await self.end(message["status"], None)
            except DeliveryError as failure:
                self.answered = True
                await answer(self._send, failure, body_of(failure))
        if self.answered:
            # As if the client were gone: no stream goes on, no background task runs.
            raise OSError
        await self._send(message)

    async def end(self, status: int | None, error: BaseException | None) -> None:
        """End each claim once; see `aend`.

        Raises:
            DeliveryError: The response to send instead.
        """
        failure: DeliveryError | None = None
        while self._opened:
            verifier, reception = self._opened.pop()
            if error is None and not verifier.has_replay_store:
                continue
            try:
                await _aend(verifier, reception, status, error)
            except DeliveryError as raised:
                failure = raised
                status = raised.http_status
        if failure is not None:
            raise failure

    @boundary
    async def leave(self, error: BaseException) -> None:
        """End each claim, for *error* ended the request without a response.

        Raises:
            HTTPException: The response to send instead.
        """
        try:
            await self.end(_status_of(error), error)
        except DeliveryError as failure:
            raise exception_of(failure)


def observe(route_class: Any) -> None:
    """Let *route_class* end the claims of its requests.

    It also refuses an endpoint that was registered before it was decorated: FastAPI
    would ask the client for the delivery.
    """
    handle = route_class.handle

    @wraps(handle)
    async def observed(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = getattr(self.endpoint, "__func__", self.endpoint)
        if getattr(endpoint, DECORATED, None) is endpoint:
            raise ConfigurationError(
                "The endpoint was registered without its @webhook, which must stand "
                "below the decorator of FastAPI, such as @app.post"
            )
        claims = scope[CLAIMS_KEY] = Claims(send)
        try:
            await handle(self, scope, receive, claims.send)
        except BaseException as error:
            if claims.answered and isinstance(error, Exception):
                return
            del scope
            await claims.leave(error)
            clean(error)
            # This step is there for routes that verify nothing, too: leave no frame.
            trace = error.__traceback__
            error.__traceback__ = trace and trace.tb_next
            raise
        # No response at all; the server makes it a 500.
        await claims.end(500, None)

    route_class.handle = observed


def exception_of(error: DeliveryError) -> HTTPException:
    """Return the exception that gives the response of *error* in FastAPI's shape."""
    headers = {
        name: value
        for name, value in error.http_headers.items()
        if name != "Content-Type"
    }
    return HTTPException(error.http_status, _detail(error), headers)


def body_of(error: DeliveryError) -> bytes:
    """Return the body of that response."""
    return json.dumps({"detail": _detail(error)}).encode("ascii")


def _detail(error: DeliveryError) -> str:
    # {"error": …}, or of a duplicate {"status": …}.
    (detail,) = json.loads(error.http_body).values()
    return str(detail)


def _status_of(error: BaseException) -> int | None:
    return error.status_code if isinstance(error, StarletteHTTPException) else None


observe(APIRoute)
