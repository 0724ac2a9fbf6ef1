"""The dependency and the route class."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial, wraps
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.openapi import utils as openapi_utils
from fastapi.openapi.models import APIKey
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response  # noqa: TC002  # FastAPI reads annotations

from port_webhook._signature import SIGNATURE_HEADER
from port_webhook._verifier import Verifier
from port_webhook.exceptions import DeliveryError, UnreadableBodyError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    abegin,
    aend,
    collect,
    serve,
)

from ._openapi import describe_answers, describe_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi.dependencies.models import Dependant
    from fastapi.params import Depends as Dependency

    from port_webhook.integration._asgi import Receive, Scope, Send

Choose = Callable[[Request], Verifier | Awaitable[Verifier]]

# RFC 9110, section 9.3: content means nothing in the others.
_METHODS_WITH_BODY = {"post", "put", "patch", "delete"}


class _Scheme(SecurityBase):
    """How the documentation shows a verified endpoint; to a request it does nothing."""

    def __init__(self, verifier: object, payload_model: Any = None) -> None:
        self.model: SecurityBaseModel = APIKey.model_validate(
            {
                "in": "header",
                "name": SIGNATURE_HEADER,
                "description": "Port signs each delivery; port-webhook verifies it.",
            }
        )
        self.scheme_name = "PortWebhook"
        self.replay: bool = isinstance(verifier, Verifier) and verifier.has_replay_store
        self.payload_model = payload_model

    async def __call__(self) -> None:
        """Do nothing: the route has verified the request."""


class PortWebhook(_Scheme):
    """A dependency that verifies the request and gives its delivery.

    It owns the body: the headers are checked before it is read, and reading stops at
    the limit. A request that fails gets an `HTTPException` whose ``detail`` names no
    more than the class of failure; with a replay store, the claim ends before the
    answer starts. An exception counts by its status, and so does the status that is
    set on an injected ``Response`` or declared for the route. That of a *returned*
    ``Response`` is not seen here: for 400 or more, and for a redirect by 307 or 308,
    raise, or use `webhook_route`.

    Args:
        verifier: A `Verifier`, or a function, which may be asynchronous, that takes
            the request and returns one. None reads the environment when the first
            request comes.
        model: Parse the payload into this and give it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: *verifier* is none of these.
    """

    # FastAPI would call the class itself, which verifies nothing: types that are real,
    # and no fields to it, stop that when the route is made.
    __signature__: Signature = Signature(
        [
            Parameter(
                "verifier",
                Parameter.POSITIONAL_OR_KEYWORD,
                default=None,
                annotation=Verifier | Choose | None,
            ),
            Parameter("model", Parameter.KEYWORD_ONLY, default=None, annotation=Any),
        ]
    )

    def __init__(  # described above
        self,
        verifier: Verifier | Choose | None = None,
        *,
        model: Any = None,
    ) -> None:
        super().__init__(verifier, model)
        try:
            self._endpoint = Endpoint["Request"](verifier, model, synchronous=False)
        finally:
            del verifier  # whoever sees an error sees this frame
        # FastAPI ends a dependency after the answer and its background tasks, unless
        # it is function-scoped; this one is, and a commit must come before.
        verified = Annotated[Any, Depends(self._verify, scope="function")]
        parameter = Parameter("verified", Parameter.KEYWORD_ONLY, annotation=verified)
        self.__signature__ = Signature([parameter])

    async def __call__(self, verified: Any) -> Any:  # type: ignore[override]
        """Return what the inner dependency made."""
        return verified

    async def _verify(self, request: Request, response: Response) -> AsyncIterator[Any]:
        verifier = await self._endpoint.averifier_for(request)
        opened = await abegin(
            verifier,
            request.scope["headers"],
            existing=request.scope.get(DELIVERY_KEY),
            read=partial(_read, request),
        )
        if isinstance(opened, DeliveryError):
            raise _exception(opened)
        delivery, reception = opened
        del opened
        # Where Starlette keeps a body that was read: the endpoint may read it too.
        request._body = delivery.payload  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way
        request.scope[DELIVERY_KEY] = request.state.port_delivery = delivery
        try:
            yield self._endpoint.argument(delivery)
        except BaseException as error:
            del delivery  # whoever sees the error sees this frame
            failure = await aend(verifier, reception, _status_of(error), error)
            if failure is None:
                raise
        else:
            # FastAPI gives the injected response no status but what an endpoint sets.
            route = request.scope.get("route")
            status = response.status_code or getattr(route, "status_code", None)
            failure = await aend(verifier, reception, status, None)
        if failure is not None:
            raise _exception(failure)


def webhook_route(verifier: Verifier | Choose | None = None) -> type[APIRoute]:
    """Make a route class that verifies requests before FastAPI parses them.

    ::

        router = APIRouter(route_class=webhook_route(verifier))

    Its endpoints may declare bodies, models and forms; an unsigned body that is
    malformed is 401 and not 422. The delivery is ``request.state.port_delivery``, or
    comes from ``Depends(PortWebhook(verifier))``, which then does not verify again.
    With a replay store the status of the answer counts, whoever made it.

    Args:
        verifier: As for `PortWebhook`.

    Raises:
        ConfigurationError: *verifier* is none of these.
    """
    scheme = _Scheme(verifier)
    try:
        endpoint = Endpoint["Request"](verifier, None, synchronous=False)
    finally:
        del verifier  # whoever sees an error sees this frame

    class PortWebhookRoute(APIRoute):
        """A route whose endpoint sees verified requests only."""

        def __init__(
            self,
            *args: Any,
            dependencies: Sequence[Dependency] | None = None,
            **options: Any,
        ) -> None:
            given = [each for each in dependencies or () if each.dependency != scheme]
            super().__init__(*args, dependencies=[Depends(scheme), *given], **options)

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            # A middleware outside reads what the endpoint leaves in the state.
            state: dict[str, Any] = scope.setdefault("state", {})

            async def app(verified: Scope, receive: Receive, send: Send) -> None:
                state.update(verified["state"])
                verified["state"] = state
                try:
                    await super(PortWebhookRoute, self).handle(verified, receive, send)
                finally:
                    del verified  # whoever sees an error sees this frame

            try:
                chosen = await endpoint.averifier_for(Request(scope))
                error = await serve(app, chosen, scope, receive, send, body_of=_body_of)
            finally:
                del scope
                state = {}  # it has the delivery
            if error is not None:
                raise _exception(error)

    return PortWebhookRoute


def _exception(error: DeliveryError) -> HTTPException:
    """Return the exception that gives the answer of *error* in FastAPI's shape."""
    headers = {
        name: value
        for name, value in error.http_headers.items()
        if name != "Content-Type"
    }
    return HTTPException(error.http_status, _detail(error), headers)


def _body_of(error: DeliveryError) -> bytes:
    return json.dumps({"detail": _detail(error)}).encode("ascii")


def _detail(error: DeliveryError) -> str:
    detail: str = json.loads(error.http_body)["error"]
    return detail


async def _read(request: Request, limit: int) -> bytes | DeliveryError:
    try:
        # After another dependency the body is the payload, which may be shorter.
        seen = DELIVERY_KEY in request.scope
        length = None if seen else request.headers.get("content-length")
        async with aclosing(request.stream()) as chunks:
            return await collect(chunks, length, limit)
    except ClientDisconnect:
        return UnreadableBodyError("The connection ended before the body did.")
    except RuntimeError:
        return UnreadableBodyError(
            "Something read the body before it could be verified; an endpoint that "
            "declares a body or a form needs webhook_route."
        )


def _status_of(error: BaseException) -> int | None:
    return error.status_code if isinstance(error, StarletteHTTPException) else None


def _find_schemes(dependant: Dependant) -> Iterator[_Scheme]:
    if isinstance(dependant.call, _Scheme):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _find_schemes(dependency)


def _documenting(get_path: Callable[..., Any]) -> Callable[..., Any]:
    """Extend the function that documents a route.

    FastAPI lets a dependency show a security scheme, but no body and no answers. Only
    routes that have a `PortWebhook` change; what they say themselves stays.
    """

    @wraps(get_path)
    def get_openapi_path(*, route: Any, **options: Any) -> Any:
        operations, schemes, definitions = get_path(route=route, **options)
        for scheme in _find_schemes(route.dependant):
            body, schemas = describe_body(scheme.payload_model)
            answers = describe_answers("detail", replay=scheme.replay)
            definitions.update(schemas)
            for method, operation in operations.items():
                if method in _METHODS_WITH_BODY:
                    operation.setdefault("requestBody", body)
                for status, described in answers.items():
                    operation["responses"].setdefault(status, described)
        return operations, schemes, definitions

    return get_openapi_path


def _extend_documentation(utils: Any) -> None:
    """Put the extension in place, unless a FastAPI to come has other names.

    Then routes are verified all the same, and show the security scheme alone.
    """
    get_path = getattr(utils, "get_openapi_path", None)
    if get_path is not None:
        utils.get_openapi_path = _documenting(get_path)


_extend_documentation(openapi_utils)
