"""The dependency."""

from __future__ import annotations

from functools import partial
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from port_webhook._tracebacks import boundary, inner
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    PayloadError,
    UnreadableBodyError,
)
from port_webhook.integration import DELIVERY_KEY, abegin
from port_webhook.integration._asgi import select_headers
from port_webhook.integration._body import accept_body, expect_body, not_bytes

from ._choice import choosing
from ._claims import CLAIMS_KEY, exception_of
from ._openapi import Scheme

if TYPE_CHECKING:
    from starlette.requests import Request

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    from ._choice import Choose
    from ._claims import Claims

__all__ = ["PortWebhook"]

_abegin = inner(abegin)  # its caller is a boundary already


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

    The headers are checked before the body is read, and reading stops at the limit. A
    request that is refused gets an `HTTPException` whose ``detail`` names only the
    class of failure. With a replay store, the claim ends when the response starts, by
    its status.

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
        signed, fields = select_headers(scope["headers"])
        try:
            delivery, reception = await _abegin(
                verifier,
                signed,
                method=scope["method"],
                existing=scope.get(DELIVERY_KEY),
                read=partial(_read, request, fields),
            )
            claims.add(verifier, reception)
            _remember(request, delivery)
            if self.payload_model is None:
                return delivery
            try:
                return self._endpoint.argument(delivery)
            except PayloadError as error:
                await claims.end(None, error)
        except DeliveryError as error:
            raise exception_of(error)


async def _read(request: Request, fields: dict[bytes, str], limit: int) -> bytes:
    content_type = fields.get(b"content-type")
    # Where Starlette keeps what it has read.
    kept = vars(request)
    is_kept = "_body" in kept
    is_consumed = not is_kept and kept["_stream_consumed"]
    # After another dependency it is the payload, which may be shorter.
    is_seen = is_kept and DELIVERY_KEY in request.scope
    declared = expect_body(
        content_type,
        fields.get(b"content-encoding"),
        None if is_seen or is_consumed else fields.get(b"content-length"),
        limit,
    )
    if is_consumed:
        raise UnreadableBodyError(
            "Something read the body before it could be verified; an endpoint that "
            "declares a body or a form needs webhook_route."
        )
    # Not by Starlette's own generator, which takes several times as long.
    body, more = bytearray(), not is_kept
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise UnreadableBodyError("The connection ended before the body did.")
        chunk = message.get("body", b"")
        try:  # costs nothing until something is raised
            body += chunk
        except TypeError:
            raise not_bytes(chunk)
        if len(body) > limit:
            raise BodyTooLargeError(limit)
        more = message.get("more_body", False)
    found = kept["_body"] if is_kept else bytes(body)
    return accept_body(found, declared, limit, content_type)


def _remember(request: Request, delivery: Delivery) -> None:
    """Let the endpoint find *delivery*, and read its payload from *request*."""
    kept, scope = vars(request), request.scope
    kept["_body"], kept["_form"] = delivery.payload, None
    kept.pop("_json", None)
    scope[DELIVERY_KEY] = scope.setdefault("state", {})["port_delivery"] = delivery
