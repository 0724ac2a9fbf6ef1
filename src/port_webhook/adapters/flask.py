"""Flask: ``@webhook`` gives a view the verified `Delivery`.

::

    @app.post("/port")
    @webhook(verifier)
    def create_vm(delivery: Delivery): ...

The delivery is also ``flask.g.port_delivery``. A decorated view always returns a
`flask.Response`, because its status decides whether the request may run again.
"""

from __future__ import annotations

from functools import partial, wraps
from inspect import Parameter, iscoroutinefunction, signature, unwrap
from operator import methodcaller
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from flask import Response, current_app, g, make_response, request
from flask.views import MethodView
from werkzeug.exceptions import HTTPException

from port_webhook._tracebacks import boundary, inner
from port_webhook.exceptions import UnreadableBodyError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    check_body,
    check_charset,
    check_media,
    check_view,
    declared_length,
    decorate,
    handle,
    hide_delivery,
    perhaps_consumed,
    read_input,
    replace_input,
    signed_headers,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Request
    from flask.typing import ResponseReturnValue
    from typing_extensions import TypeForm

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import SignedForms, Verifier
    from port_webhook.exceptions import DeliveryError

    Answer = ResponseReturnValue | Awaitable[ResponseReturnValue]
    Choose = Callable[[Request], Verifier]

__all__ = ["Decorator", "webhook"]

# Those that call these are boundaries already.
_handle, _read_input, _replace_input = (
    inner(handle),
    inner(read_input),
    inner(replace_input),
)
_check_media, _declared_length, _check_body = (
    inner(check_media),
    inner(declared_length),
    inner(check_body),
)

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
# The proxy looks the request up anew at every access.
_unwrap_proxy = methodcaller("_get_current_object")
# What a request keeps of its body once something has asked for it.
_PARSED = ("stream", "data", "form", "files", "values", "content_length")

P = ParamSpec("P")
SelfT = TypeVar("SelfT")
ModelT = TypeVar("ModelT")
ArgT_co = TypeVar("ArgT_co", covariant=True)


class Decorator(Protocol[ArgT_co]):
    """The type of ``webhook(…)``; it takes a view, or a method of a ``View``."""

    @overload
    def __call__(
        self, view: Callable[Concatenate[ArgT_co, P], Answer], /
    ) -> Callable[P, Response]: ...
    @overload
    def __call__(
        self, view: Callable[Concatenate[SelfT, ArgT_co, P], Answer], /
    ) -> Callable[Concatenate[SelfT, P], Response]: ...


@overload
def webhook(
    verifier: Verifier | None = None, /, *, choose: Choose | None = None
) -> Decorator[Delivery]: ...
@overload
def webhook(
    verifier: Verifier | None = None,
    /,
    *,
    choose: Choose | None = None,
    model: TypeForm[ModelT],
) -> Decorator[ModelT]: ...
@overload
def webhook(
    view: Callable[Concatenate[Delivery, P], Answer], /
) -> Callable[P, Response]: ...
@overload
def webhook(
    view: Callable[Concatenate[SelfT, Delivery, P], Answer], /
) -> Callable[Concatenate[SelfT, P], Response]: ...
@boundary
def webhook(
    verifier: object = None, /, *, choose: Choose | None = None, model: Any = None
) -> Callable[..., Any]:
    """Call a view with verified deliveries only.

    Put it below ``@app.post``. Views may be synchronous or asynchronous, and methods of
    a ``MethodView``, whose delivery follows ``self``. The view is not called for a
    request that is refused; the response is that of the `DeliveryError`.

    Args:
        verifier: A `Verifier`. Without it, and as bare ``@webhook``, the environment
            is read when the first request comes.
        choose: Takes the request and returns its `Verifier`. It is synchronous.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: An argument is not valid, the view has no parameter for the
            delivery, or the verifier's replay store is asynchronous: each asynchronous
            Flask view has an event loop of its own.
    """
    return decorate(
        verifier,
        lambda view, found: _wrap(
            view,
            Endpoint["Request"](found, choose=choose, model=model, synchronous=True),
        ),
        options=choose is not None or model is not None,
    )


def _wrap(
    view: Callable[..., Any], endpoint: Endpoint[Request]
) -> Callable[..., Response]:
    parameter = check_view(view, before=_count_before(view))
    by_keyword = _takes_keywords_only(view)
    is_async = iscoroutinefunction(view)

    @boundary
    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        current: Request = _unwrap_proxy(request)
        environ = current.environ

        def run(delivery: Delivery) -> Response:
            _replace_body(current, delivery.payload)
            # Only the environ is asked later: it belongs to this request alone,
            # while tests and scripts may share one g between several.
            environ[DELIVERY_KEY] = g.port_delivery = delivery
            call = current_app.ensure_sync(view) if is_async else view
            argument = endpoint.argument(delivery)
            if by_keyword:
                name = _name_of_argument(kwargs)
                return make_response(call(*args, **kwargs | {name: argument}))
            return make_response(call(*args, argument, **kwargs))

        return _handle(
            endpoint.verifier_for(current),
            signed_headers(environ),
            method=current.method,
            existing=environ.get(DELIVERY_KEY),
            read=partial(_read, current),
            run=run,
            status_of=_status_of,
            respond=_respond,
        )

    hide_delivery(wrapper, view, None if parameter is None else parameter.name)
    return wrapper


def _count_before(view: Callable[..., Any]) -> int:
    """Return 1 for ``def main(request, delivery)``, as Google's functions have it."""
    try:
        parameters = signature(view).parameters.values()
    except (TypeError, ValueError):
        return 0  # a built-in function
    names = [each.name for each in parameters if each.kind in _POSITIONAL]
    return int(len(names) > 1 and names[0] == "request")


def _takes_keywords_only(view: Callable[..., Any]) -> bool:
    """Tell whether *view* is what ``as_view()`` makes: ``decorators`` wrap that.

    Another of its decorators may lie between, which takes anything.
    """
    named = {Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD}
    return _kinds(unwrap(view)) <= named and _kinds(view) <= named | {
        Parameter.VAR_POSITIONAL
    }


def _kinds(view: Callable[..., Any]) -> set[object]:
    try:
        parameters = signature(view, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return {Parameter.POSITIONAL_ONLY}  # a built-in function
    return {each.kind for each in parameters}


def _name_of_argument(taken: dict[str, Any]) -> str:
    """Return the name under which a method of a ``View`` expects the delivery.

    It is ``delivery``, or else the first that the route does not fill in.
    """
    served = current_app.view_functions.get(request.endpoint or "")
    owner: type[object] = getattr(served, "view_class", object)
    name = "dispatch_request"
    if issubclass(owner, MethodView):
        name = request.method.lower()  # as MethodView chooses
    method = getattr(owner, name, None)
    parameters = [*signature(method).parameters.values()] if callable(method) else []
    free = [
        each.name
        for each in parameters[1:]  # after self
        if each.kind in _NAMED and each.name not in taken
    ]
    return free[0] if free and "delivery" not in free else "delivery"


def _read(current: Request, limit: int) -> bytes | SignedForms:
    """Read the raw body, or take what something before has read and kept of it."""
    environ, seen = current.environ, vars(current)
    body: bytes | None = seen.get("_cached_data")
    if body is None:
        found = _read_input(environ, limit)
        if isinstance(found, bytes):
            # As `get_data()` does, for what runs after a refusal, and logs the body.
            seen["_cached_data"] = found
    else:
        _check_media(environ.get("CONTENT_TYPE"), environ.get("HTTP_CONTENT_ENCODING"))
        declared = _declared_length(environ.get("CONTENT_LENGTH"), limit)
        found = _check_body(body, declared, limit)
        check_charset(environ.get("CONTENT_TYPE"), found)
    is_chunked = environ.get("HTTP_TRANSFER_ENCODING")
    if "stream" not in seen or not is_chunked or environ.get("CONTENT_LENGTH"):
        return found
    # Something asked for the stream of a body without a declared length.
    if not (isinstance(found, bytes) and found):
        raise UnreadableBodyError(
            "Something, such as request.form, read the body before it was verified."
        )
    return found if body is not None else perhaps_consumed(found)


def _replace_body(current: Request, payload: bytes) -> None:
    """Let the view read the payload, in all the ways that a request has."""
    seen = vars(current)
    current.close()  # files that were parsed
    for name in _PARSED:
        seen.pop(name, None)
    seen.pop("_cached_json", None)
    seen["_cached_data"] = payload
    _replace_input(current.environ, payload)
    # Werkzeug applies the configured limit to a stream; one byte more than there is,
    # since it refuses to be asked whether there are more.
    current.max_content_length = len(payload) + 1


def _respond(error: DeliveryError) -> Response:
    return Response(error.http_body, error.http_status, dict(error.http_headers))


def _status_of(outcome: Response | BaseException) -> int | None:
    if isinstance(outcome, Response):
        return outcome.status_code
    if isinstance(outcome, HTTPException):
        response = outcome.response
        return outcome.code if response is None else response.status_code
    return None
