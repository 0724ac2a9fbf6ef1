"""The dependency."""

from __future__ import annotations

from functools import partial
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary, inner
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    PayloadError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    DELIVERY_KEY,
    abegin,
    check_body,
    check_charset,
    check_media,
    declared_length,
)
from port_webhook.integration._body import not_bytes

from ._choice import choosing
from ._claims import CLAIMS_KEY, exception_of
from ._openapi import Scheme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    from ._choice import Choose
    from ._claims import Claims

__all__ = ["PortWebhook"]

# Those that call these are boundaries already.
_abegin, _check_media, _declared_length, _check_body, _check_charset = (
    inner(abegin),
    inner(check_media),
    inner(declared_length),
    inner(check_body),
    inner(check_charset),
)

_TYPE, _ENCODING, _LENGTH = b"content-type", b"content-encoding", b"content-length"
_OTHERS = frozenset((_TYPE, _ENCODING, _LENGTH))
_SIGNED = frozenset((TIMESTAMP_HEADER.encode(), SIGNATURE_HEADER.encode()))


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
        signed, others = _sort_headers(scope["headers"])
        try:
            delivery, reception = await _abegin(
                verifier,
                signed,
                method=scope["method"],
                existing=scope.get(DELIVERY_KEY),
                read=partial(_read, request, others),
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


def _sort_headers(
    headers: Iterable[tuple[bytes, bytes]],
) -> tuple[list[tuple[bytes, bytes]], dict[bytes, str]]:
    """Return the lines that are signed, and the values that say how to read a body."""
    signed: list[tuple[bytes, bytes]] = []
    others: dict[bytes, str] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered in _SIGNED:
            signed.append((lowered, value))
        elif lowered in _OTHERS:
            text = value.decode("latin-1")
            others[lowered] = f"{others[lowered]},{text}" if lowered in others else text
    return signed, others


async def _read(request: Request, headers: dict[bytes, str], limit: int) -> bytes:
    _check_media(headers.get(_TYPE), headers.get(_ENCODING))
    body = await _read_body(request, headers, limit)
    _check_charset(headers.get(_TYPE), body)
    return body


async def _read_body(request: Request, headers: dict[bytes, str], limit: int) -> bytes:
    # Where Starlette keeps what it has read.
    kept = vars(request)
    if "_body" in kept:
        # After another dependency it is the payload, which may be shorter.
        seen = DELIVERY_KEY in request.scope
        declared = None if seen else _declared_length(headers.get(_LENGTH), limit)
        return _check_body(kept["_body"], declared, limit)
    if kept["_stream_consumed"]:
        raise UnreadableBodyError(
            "Something read the body before it could be verified; an endpoint that "
            "declares a body or a form needs webhook_route."
        )
    # Not by Starlette's own generator, which takes several times as long.
    declared = _declared_length(headers.get(_LENGTH), limit)
    body, more = bytearray(), True
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
    return _check_body(bytes(body), declared, limit)


def _remember(request: Request, delivery: Delivery) -> None:
    """Let the endpoint find *delivery*, and read its payload from *request*."""
    kept, scope = vars(request), request.scope
    kept["_body"], kept["_form"] = delivery.payload, None
    kept.pop("_json", None)
    scope[DELIVERY_KEY] = scope.setdefault("state", {})["port_delivery"] = delivery
