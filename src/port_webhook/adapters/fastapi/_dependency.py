"""The dependency."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.adapters.fastapi._choice import choosing
from port_webhook.adapters.fastapi._claims import CLAIMS_KEY, exception_of
from port_webhook.adapters.fastapi._openapi import Scheme
from port_webhook.exceptions import (
    ConfigurationError,
    DeliveryError,
    PayloadError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    DELIVERY_KEY,
    abegin,
    check_media,
    collect,
    join_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier
    from port_webhook.adapters.fastapi._choice import Choose
    from port_webhook.adapters.fastapi._claims import Claims

__all__ = ["PortWebhook"]

_TYPE, _ENCODING, _LENGTH = b"content-type", b"content-encoding", b"content-length"
_SIGNED = (TIMESTAMP_HEADER.encode("ascii"), SIGNATURE_HEADER.encode("ascii"))
# The others are not looked at.
_HEADERS = frozenset((_TYPE, _ENCODING, _LENGTH, *_SIGNED))


class _Missing:
    """The type of an argument that FastAPI cannot fill in."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        raise ConfigurationError(
            "Depends(PortWebhook) verifies nothing; write "
            "Depends(PortWebhook(verifier)), or Depends(PortWebhook()) to read the "
            "environment"
        )


class PortWebhook(Scheme):
    """A dependency that verifies the request and gives its delivery.

    It owns the body: the headers are checked before it is read, and reading stops at
    the limit. A request that fails gets an `HTTPException` whose ``detail`` names no
    more than the class of failure. With a replay store, the claim ends when the
    response starts, by its status.

    Args:
        verifier: A `Verifier`; None reads the environment when the first request
            comes.
        choose: Returns the `Verifier` of a request, in place of *verifier*. It may
            declare what any dependency may. Its first parameter is the request if
            it has no type.
        model: Parse the payload into this and give it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: *verifier* or *choose* is something else, or both are
            given.
    """

    # FastAPI calls the class itself where the parentheses were forgotten.
    __signature__: Signature = Signature(
        [Parameter("verifier", Parameter.KEYWORD_ONLY, annotation=_Missing)]
    )

    @boundary
    def __init__(  # described above
        self,
        verifier: Verifier | None = None,
        *,
        choose: Choose | None = None,
        model: Any = None,
    ) -> None:
        super().__init__(verifier, model)
        self._verifier = verifier
        self._endpoint, parameters = choosing(verifier, choose, model)
        self.__signature__ = Signature(parameters)

    @boundary
    async def __call__(  # type: ignore[override]  # FastAPI reads __signature__
        self, request: Request, chosen: Any = None
    ) -> Any:
        """Verify *request*, and return its delivery or model."""
        verifier = self._verifier or await self._endpoint.averifier_for(chosen)
        scope = request.scope
        claims: Claims | None = scope.get(CLAIMS_KEY)
        if claims is None:
            raise ConfigurationError(
                "PortWebhook verifies the path operations of FastAPI; anything else "
                "needs the middleware of port_webhook.adapters.asgi"
            )
        try:
            headers = [pair for pair in scope["headers"] if pair[0].lower() in _HEADERS]
            delivery, reception = await abegin(
                verifier,
                headers,
                method=scope["method"],
                existing=scope.get(DELIVERY_KEY),
                read=partial(_read, request, headers),
            )
            claims.add(verifier, reception)
            _remember(request, delivery)
            try:
                return self._endpoint.argument(delivery)
            except PayloadError as error:
                await claims.end(None, error)
        except DeliveryError as error:
            raise exception_of(error)


async def _read(
    request: Request, headers: Iterable[tuple[bytes, bytes]], limit: int
) -> bytes:
    check_media(join_header(headers, _TYPE), join_header(headers, _ENCODING))
    # After another dependency the body is the payload, which may be shorter.
    seen = DELIVERY_KEY in request.scope
    length = None if seen else join_header(headers, _LENGTH)
    try:
        async with aclosing(request.stream()) as chunks:
            return await collect(chunks, length, limit)
    except ClientDisconnect:
        raise UnreadableBodyError("The connection ended before the body did.")
    except RuntimeError:
        raise UnreadableBodyError(
            "Something read the body before it could be verified; an endpoint that "
            "declares a body or a form needs webhook_route."
        )


def _remember(request: Request, delivery: Delivery) -> None:
    """Let the endpoint find *delivery*, and read its payload from *request*."""
    # Where Starlette keeps what it has read, and what it made of that.
    kept = vars(request)
    kept |= {"_body": delivery.payload, "_form": None}
    kept.pop("_json", None)
    request.scope[DELIVERY_KEY] = request.state.port_delivery = delivery
