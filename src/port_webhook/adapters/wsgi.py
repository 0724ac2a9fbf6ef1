"""WSGI: a middleware that lets only verified deliveries reach an application.

::

    application = PortWebhookMiddleware(application, verifier, exclude=["/health"])

A view calls `delivery_of` with its environ, and ``wsgi.input`` holds exactly the
payload that was signed. The response is held back until the claim is committed, so a
store failure can still become a 503; the rest is streamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from port_webhook._delivery import Delivery
from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import ConfigurationError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    PathPrefixes,
    handle,
    read_input,
    replace_input,
    signed_headers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication

    from port_webhook._verifier import SignedForms, Verifier
    from port_webhook.exceptions import DeliveryError

    Environ = dict[str, Any]
    ExcInfo = (
        tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
    )

__all__ = ["PortWebhookMiddleware", "delivery_of"]

# Those that call these are boundaries already.
_handle, _read_input, _replace_input = (
    inner(handle),
    inner(read_input),
    inner(replace_input),
)

# The target as it came: gunicorn; most others.
_TARGETS = ("RAW_URI", "REQUEST_URI")


class PortWebhookMiddleware:
    """Verify requests before *app* sees them.

    All requests are verified, whatever their method, unless *exclude* or *paths* says
    otherwise. A request that is refused gets the response of its `DeliveryError`.

    Args:
        app: The WSGI application.
        verifier: The verifier; None reads the environment when the first request comes.
        choose: Takes the environ of a request and returns its verifier, in place of
            *verifier*.
        paths: The path prefixes to protect, such as ``["/port"]``, wherever the
            application is mounted. See `PathPrefixes` for what a prefix covers.
        exclude: The exact paths that are not verified, such as ``["/health"]``. Under
            a ``SCRIPT_NAME``, list them with and without it.

    Raises:
        ConfigurationError: *verifier* is not a verifier, *choose* is not a synchronous
            function, the replay store is asynchronous, or both *verifier* and *choose*
            or both *paths* and *exclude* are given; or one of these is not a
            collection of paths.
    """

    @boundary
    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier | None = None,
        *,
        choose: Callable[[Environ], Verifier] | None = None,
        paths: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
    ) -> None:
        self._app = app
        self._endpoint = Endpoint["Environ"](verifier, choose=choose, synchronous=True)
        self._verifier = verifier
        chosen = PathPrefixes(paths, exclude=exclude)
        self._paths = None if chosen.covers_all else chosen

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        # A boundary by hand, because every request comes by.
        try:
            if self._paths is None or _is_covered(environ, self._paths):
                return self._serve(environ, start_response)
            return self._app(environ, start_response)
        except BaseException as error:
            del environ, start_response
            clean(error)
            raise

    def _serve(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        response = _Response(self._app, environ, start_response)
        # Methods, because making a closure costs as much as three calls.
        return _handle(
            self._verifier or self._endpoint.verifier_for(environ),
            signed_headers(environ),
            method=response.method,
            existing=environ.get(DELIVERY_KEY),
            read=response.read,
            run=response.begin,
            status_of=_status_of,
            respond=response.refuse,
        ).send()


def _is_covered(environ: Environ, paths: PathPrefixes) -> bool:
    targets: list[str] = [environ[name] for name in _TARGETS if environ.get(name)]
    return paths.covers(
        _bytes(environ.get("PATH_INFO") or "/"),
        *(_bytes(target.partition("?")[0]) for target in targets),
        mount=_bytes(environ.get("SCRIPT_NAME") or ""),
    )


@boundary
def delivery_of(environ: Mapping[str, Any]) -> Delivery:
    """Return the delivery that was verified for this request.

    Args:
        environ: The request's environ; ``request.environ`` in most frameworks.

    Raises:
        ConfigurationError: Nothing was verified, so the view must not run.
    """
    if not isinstance(cast("object", environ), Mapping):
        raise ConfigurationError(
            "delivery_of takes the environ, such as request.environ"
        )
    delivery = environ.get(DELIVERY_KEY)
    if not isinstance(delivery, Delivery):
        raise ConfigurationError(
            "This request was not verified: PortWebhookMiddleware is not around the "
            "application, or does not cover the path"
        )
    return delivery


class _Response:
    """The application's response, held back until it is known whether it counts.

    It is what the application calls as ``start_response``, and, where its iterable
    cannot be passed on as it is, also the iterable that the server gets.
    """

    def __init__(
        self, app: WSGIApplication, environ: Environ, start_response: StartResponse
    ) -> None:
        # As it came: the application may write another one into the environ.
        self.method: str | None = environ.get("REQUEST_METHOD")
        self._app = app
        self._environ = environ
        self._start_response = start_response
        self._is_sent = False
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        # What the application wrote, then what had to be read to have its status.
        self._parts: list[bytes] = []
        self._iterable: Iterable[bytes] = ()
        self._iterator: Iterator[bytes] | None = None

    def __call__(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], object]:
        if self._is_sent:
            # Too late for the claim; the server raises if it is too late for it, too.
            return self._start_response(status, headers, exc_info)
        if self._head is not None:
            if exc_info is None:
                msg = "start_response was called again without exc_info"
                raise AssertionError(msg)  # PEP 3333: a fatal error
            if exc_info[1] is not None and any(self._parts):
                raise exc_info[1]  # the same: the headers count as sent
        self._head = status, headers
        return self._parts.append

    def read(self, limit: int) -> bytes | SignedForms:
        """Read the body of the request; see `read_input`."""
        return _read_input(self._environ, limit)

    def begin(self, delivery: Delivery) -> _Response:
        """Call the application, and read its iterable until it has said its status."""
        environ = self._environ
        environ[DELIVERY_KEY] = delivery
        _replace_input(environ, delivery.payload)
        self._iterable = self._app(environ, self)
        try:
            # A generator calls start_response when its first item is asked for.
            # What it yields before that is empty, or else the server refuses it.
            while self._head is None and not any(self._parts):
                if self._iterator is None:
                    self._iterator = iter(self._iterable)
                self._parts.append(next(self._iterator))
        except StopIteration:
            pass  # without a status; the server's to judge
        except BaseException:
            self.close()
            raise
        return self

    @property
    def status(self) -> int:
        """The HTTP status; 500 if the application has not said any."""
        code = "" if self._head is None else self._head[0][:3]
        return int(code) if code.isascii() and code.isdigit() else 500

    def refuse(self, error: DeliveryError) -> _Response:
        """Put the response that *error* gives in place of the application's.

        The commit may have failed, after the application had answered.
        """
        self.close()
        body = error.http_body
        phrase = HTTPStatus(error.http_status).phrase
        headers = [*error.http_headers.items(), ("Content-Length", str(len(body)))]
        self._head = f"{error.http_status} {phrase}", headers
        self._parts, self._iterator = [], None
        self._iterable = [] if self.method == "HEAD" else [body]
        return self

    def send(self) -> Iterable[bytes]:
        """Start the server's response, and return what it is to send."""
        self._is_sent = True
        if self._head is not None:
            try:
                self._start_response(*self._head)
            except BaseException:
                self.close()
                raise
        # As it is, because servers know some iterables: files, and lists of one.
        if self._iterator is None and not self._parts:
            return self._iterable
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        self._parts = []
        yield from self._iterable if self._iterator is None else self._iterator

    def close(self) -> None:
        """Close the application's iterable, as its server would."""
        iterable, self._iterable = self._iterable, ()
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def _bytes(text: str) -> bytes:
    """Return the bytes that *text* stands for (PEP 3333: Latin-1)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b"\xff"  # what it stands for is unknown, so it is verified


def _status_of(outcome: _Response | BaseException) -> int | None:
    return outcome.status if isinstance(outcome, _Response) else None
