"""WSGI: a middleware that lets only verified deliveries reach an application.

::

    application = PortWebhookMiddleware(application, verifier, paths=["/port"])

The delivery is ``environ["port_webhook._delivery"]``, and ``wsgi.input`` holds exactly
the payload that was signed. An answer waits until its claim is committed, so that a
replay store that fails can still make it a 503; what follows it is streamed.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook.exceptions import DeliveryError, UnreadableBodyError
from port_webhook.integration import (
    DELIVERY_KEY,
    Endpoint,
    PathPrefixes,
    check_body,
    declared_length,
    handle,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from wsgiref.types import InputStream, StartResponse, WSGIApplication

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

    Environ = dict[str, Any]
    ExcInfo = (
        tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
    )

# PEP 3333: a header's name in the environ.
_HEADERS = [
    (name, "HTTP_" + name.upper().replace("-", "_"))
    for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER)
]


class PortWebhookMiddleware:
    """Verify every request, or those to some paths, before *app* sees it.

    Requests are verified whatever their method. Those that fail are answered here:
    401, 400, 413, 422, or what a replay store says.

    Args:
        app: The WSGI application.
        verifier: A `Verifier`, or a function that takes the environ and returns one.
            None reads the environment when the first request comes.
        paths: The path prefixes to protect, such as ``["/port"]``, relative to the
            server's root or to where *app* is mounted; None protects all. See
            `PathPrefixes` for what a prefix covers.

    Raises:
        ConfigurationError: The replay store is asynchronous, or *paths* is not a
            collection of path prefixes.
    """

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier | Callable[[Environ], Verifier] | None = None,
        *,
        paths: Iterable[str] | None = None,
    ) -> None:
        self._app = app
        try:
            self._endpoint = Endpoint["Environ"](verifier, None, synchronous=True)
        finally:
            del verifier  # whoever sees an error sees this frame
        self._paths = PathPrefixes(paths)

    def __call__(
        self, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if not self._is_protected(environ):
            return self._app(environ, start_response)
        answer = _Answer(start_response)

        is_head = environ.get("REQUEST_METHOD") == "HEAD"

        def run(delivery: Delivery) -> _Answer:
            _replace_input(environ, delivery)
            del delivery  # what the application raises shows this frame
            answer.begin(self._app, environ)
            return answer

        try:
            outcome = handle(
                self._endpoint.verifier_for(environ),
                [(name, environ.get(key)) for name, key in _HEADERS],
                existing=environ.get(DELIVERY_KEY),
                read=partial(_read, environ),
                run=run,
                status_of=_status_of,
            )
        finally:
            environ = {}  # whoever sees an error sees this frame
        if not isinstance(outcome, DeliveryError):
            return outcome.send()
        # The commit may have failed, after the application had answered.
        answer.close()
        body = outcome.http_body
        phrase = HTTPStatus(outcome.http_status).phrase
        headers = [*outcome.http_headers.items(), ("Content-Length", str(len(body)))]
        start_response(f"{outcome.http_status} {phrase}", headers)
        return [] if is_head else [body]

    def _is_protected(self, environ: Environ) -> bool:
        # PEP 3333: Latin-1 stands for bytes, and a server may leave either one out.
        path = environ.get("PATH_INFO", "").encode("latin-1", "ignore")
        mount = environ.get("SCRIPT_NAME", "").encode("latin-1", "ignore")
        return self._paths.covers(path) or self._paths.covers(mount + path)


class _Answer:
    """The application's answer, held back until it is known whether it counts.

    It is what the application calls as ``start_response``, and, where its iterable
    cannot be passed on as it is, also the iterable that the server gets.
    """

    def __init__(self, start_response: StartResponse) -> None:
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

    def begin(self, app: WSGIApplication, environ: Environ) -> None:
        """Call *app*, and read its iterable until it has said its status."""
        try:
            self._iterable = app(environ, self)
        finally:
            del environ  # whoever sees an error sees this frame
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

    @property
    def status(self) -> int:
        """The HTTP status; 500 if the application has not said any."""
        code = "" if self._head is None else self._head[0][:3]
        return int(code) if code.isascii() and code.isdigit() else 500

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


def _replace_input(environ: Environ, delivery: Delivery) -> None:
    """Let the application read exactly what was signed, with its length."""
    environ[DELIVERY_KEY] = delivery
    environ["wsgi.input"] = BytesIO(delivery.payload)
    environ["wsgi.input_terminated"] = True
    environ["CONTENT_LENGTH"] = str(len(delivery.payload))
    environ.pop("HTTP_TRANSFER_ENCODING", None)


def _read(environ: Environ, limit: int) -> bytes | DeliveryError:
    """Read the body: as much as is declared, or to the end that the server marks."""
    declared = declared_length(environ.get("CONTENT_LENGTH"), limit)
    if isinstance(declared, DeliveryError):
        return declared
    size = declared
    if size is None:
        size = 0
        if environ.get("wsgi.input_terminated"):
            size = limit + 1
        elif environ.get("HTTP_TRANSFER_ENCODING"):
            return UnreadableBodyError(
                "The WSGI server does not pass on bodies of an undeclared length."
            )
    try:
        body = _read_up_to(environ["wsgi.input"], size)
    except Exception as error:  # noqa: BLE001  # each server has errors of its own
        return UnreadableBodyError(
            f"The server could not read the body ({type(error).__name__}); the "
            "connection probably ended before it did."
        )
    return check_body(body, declared, limit)


def _read_up_to(stream: InputStream, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = stream.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _status_of(outcome: _Answer | BaseException) -> int | None:
    return outcome.status if isinstance(outcome, _Answer) else None
