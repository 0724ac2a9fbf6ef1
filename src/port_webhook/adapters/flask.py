"""Flask: ``@webhook`` gives a view the verified `Delivery`.

::

    @app.post("/port")
    @webhook(verifier)
    def create_vm(delivery: Delivery): ...

The delivery is also ``flask.g.port_delivery``. A decorated view always returns a
`flask.Response`, because its status decides whether the request may run again.
"""

from __future__ import annotations

from functools import wraps
from inspect import Parameter, signature, unwrap
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
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    check_body,
    declared_length,
    decorate,
    handle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Request
    from flask.typing import ResponseReturnValue
    from typing_extensions import TypeVar as DefaultTypeVar

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    ModelT = DefaultTypeVar("ModelT", default=Delivery)

    Answer = ResponseReturnValue | Awaitable[ResponseReturnValue]
    Choose = Callable[[Request], Verifier]

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

P = ParamSpec("P")
SelfT = TypeVar("SelfT")
ArgT_co = TypeVar("ArgT_co", covariant=True)


class Decorator(Protocol[ArgT_co]):
    """What ``webhook(…)`` returns; it takes a view, or a method of a ``View``."""

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
    verifier: Verifier | Choose | None = None, /, *, model: type[ModelT] | None = None
) -> Decorator[ModelT]: ...
@overload
def webhook(
    view: Callable[Concatenate[Delivery, P], Answer], /
) -> Callable[P, Response]: ...
@overload
def webhook(
    view: Callable[Concatenate[SelfT, Delivery, P], Answer], /
) -> Callable[Concatenate[SelfT, P], Response]: ...
def webhook(
    verifier: object = None, /, *, model: type[Any] | None = None
) -> Callable[..., Any]:
    """Let a view see verified deliveries only.

    Put it below ``@app.post``. Views may be synchronous or asynchronous, and methods
    of a ``MethodView``, whose delivery follows ``self``. A request that fails is
    answered without calling the view: 401, 400, 413, 422, or what a replay store
    says.

    Args:
        verifier: A `Verifier`, or a function that takes the request and returns one.
            Without it, and as bare ``@webhook``, the environment is read when the
            first request comes.
        model: Parse the payload into this and pass it instead of the delivery; see
            `Delivery.parse`.

    Raises:
        ConfigurationError: The verifier's replay store is asynchronous: each
            asynchronous Flask view has an event loop of its own.
    """
    return decorate(verifier, lambda view, target: _wrap(view, target, model))


def _wrap(
    view: Callable[..., Any], verifier: object, model: type[Any] | None
) -> Callable[..., Response]:
    endpoint = Endpoint["Request"](verifier, model, synchronous=True)
    by_keyword = _takes_keywords_only(view)

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        def run(delivery: Delivery) -> Response:
            # Only the environ is asked later: it belongs to this request alone,
            # while tests and scripts may share one g between several.
            request.environ[DELIVERY_KEY] = g.port_delivery = delivery
            call = current_app.ensure_sync(view)
            try:
                # Not in a local, for the same reason as below.
                if by_keyword:
                    name = _name_of_argument(kwargs)
                    return make_response(
                        call(*args, **kwargs | {name: endpoint.argument(delivery)})
                    )
                return make_response(call(*args, endpoint.argument(delivery), **kwargs))
            finally:
                del delivery  # whoever sees an error sees this frame

        answer = handle(
            endpoint.verifier_for(request),
            request.headers,
            existing=request.environ.get(DELIVERY_KEY),
            read=_read,
            run=run,
            status_of=_status_of,
        )
        if isinstance(answer, DeliveryError):
            return Response(
                answer.http_body, answer.http_status, dict(answer.http_headers)
            )
        return answer

    return wrapper


def _takes_keywords_only(view: Callable[..., Any]) -> bool:
    """Tell whether *view* is what ``as_view()`` makes: ``decorators`` wrap that.

    Another of its decorators may lie between, which takes anything.
    """
    named = {Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD}
    return _kinds(unwrap(view)) <= named and _kinds(view) <= named | {
        Parameter.VAR_POSITIONAL
    }


def _name_of_argument(taken: dict[str, Any]) -> str:
    """Return the name under which a method of a ``View`` expects the delivery.

    It is ``delivery``, or else the first that the route does not fill in.
    """
    served = current_app.view_functions.get(request.endpoint or "")
    owner: type[object] = getattr(served, "view_class", object)
    names = ["dispatch_request"]
    if issubclass(owner, MethodView):
        names = [request.method.lower(), "get"]  # as MethodView chooses
    methods = (getattr(owner, name, None) for name in names)
    method = next(filter(callable, methods), None)
    parameters = [] if method is None else [*signature(method).parameters.values()]
    free = [
        each.name
        for each in parameters[1:]  # after self
        if each.kind in _NAMED and each.name not in taken
    ]
    return free[0] if free and "delivery" not in free else "delivery"


def _kinds(view: Callable[..., Any]) -> set[object]:
    try:
        parameters = signature(view, follow_wrapped=False).parameters.values()
    except ValueError:
        # A built-in function, which chooses a verifier and so takes a request.
        return {Parameter.POSITIONAL_ONLY}
    return {each.kind for each in parameters}


def _read(limit: int) -> bytes | DeliveryError:
    """Read the raw body before anything parses it; the form can be read after."""
    declared = declared_length(request.environ.get("CONTENT_LENGTH"), limit)
    if isinstance(declared, DeliveryError):
        return declared
    is_chunked = declared is None and "Transfer-Encoding" in request.headers
    # Werkzeug gives an empty body where the server cannot mark its end.
    if is_chunked and not request.environ.get("wsgi.input_terminated"):
        return UnreadableBodyError(
            "The WSGI server does not pass on bodies of an undeclared length."
        )
    seen = vars(request)
    is_touched = is_chunked and "stream" in seen and "_cached_data" not in seen
    # One byte more than the limit, since Werkzeug cuts a chunked body silently.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=True)
    except RequestEntityTooLarge:
        return BodyTooLargeError(limit)
    except Exception as error:  # noqa: BLE001  # gunicorn's have no base in common
        return UnreadableBodyError(
            f"The body could not be read to its end ({type(error).__name__})."
        )
    # That may be all that somebody else has left of a body without a length.
    if not body and declared is None and (is_touched or request.form or request.files):
        return UnreadableBodyError(
            "Something, such as request.form, read the body before it was verified."
        )
    return check_body(body, declared, limit)


def _status_of(outcome: Response | BaseException) -> int | None:
    if isinstance(outcome, Response):
        return outcome.status_code
    if isinstance(outcome, HTTPException):
        response = outcome.response
        return outcome.code if response is None else response.status_code
    return None
