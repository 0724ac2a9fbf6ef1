"""One HTTP request on WSGI: its signature headers, and replacing its body."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from port_webhook._signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import UnreadableBodyError
from port_webhook.integration._body import (
    accept_body,
    expect_body,
    perhaps_consumed,
)

if TYPE_CHECKING:
    from port_webhook._verifier import SignedForms

    Environ = dict[str, Any]

__all__ = ["read_input", "replace_input", "signed_headers"]


def signed_headers(environ: Environ) -> list[tuple[str, str | None]]:
    """Return the two signature headers; a server joins several values by commas."""
    return [
        (TIMESTAMP_HEADER, environ.get("HTTP_X_PORT_TIMESTAMP")),
        (SIGNATURE_HEADER, environ.get("HTTP_X_PORT_SIGNATURE")),
    ]


@boundary
def read_input(environ: Environ, limit: int) -> bytes | SignedForms:
    """Read the body: as much as is declared, or to the end that the server marks.

    Args:
        environ: The request's.
        limit: The largest size that is accepted, in bytes.

    Raises:
        UnsupportedMediaError: See `check_media`.
        BodyTooLargeError: The body is larger than the limit.
        UnreadableBodyError: The body is not as long as declared, the server does not
            pass it on, or reading it failed.
    """
    content_type = environ.get("CONTENT_TYPE")
    declared = expect_body(
        content_type,
        environ.get("HTTP_CONTENT_ENCODING"),
        environ.get("CONTENT_LENGTH"),
        limit,
    )
    size, is_chunked = declared, False
    if size is None:
        is_chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
        size = limit + 1 if environ.get("wsgi.input_terminated") else 0
        if is_chunked and not size:
            raise UnreadableBodyError(
                "The WSGI server does not pass on bodies of an undeclared length."
            )
    try:
        stream = environ["wsgi.input"]
        body: bytes | None = stream.read(size) if size else b""
        if body is None or (body and len(body) != size):
            body = _read_on(stream, body, size)
    except BlockingIOError:
        raise UnreadableBodyError(
            "The server or a middleware passed a wsgi.input that does not wait for the "
            "body: reading it gave None instead of bytes."
        )
    except Exception as error:  # each server has errors of its own
        raise UnreadableBodyError(
            f"The server could not read the body to its end ({type(error).__name__}); "
            "the connection probably ended before it did."
        )
    accept_body(body, declared, limit, content_type)
    return perhaps_consumed(body) if is_chunked and not body else body


def _read_on(stream: Any, body: bytes | None, size: int) -> bytes:
    """Read on to *size* bytes, or to the end: one read may give less than that."""
    parts: list[bytes] = []
    while body:
        parts.append(body)
        size -= len(body)
        body = stream.read(size) if size > 0 else b""
    if body is None:  # a socket that does not block has nothing yet
        raise BlockingIOError
    return b"".join(parts)


@boundary
def replace_input(environ: Environ, payload: bytes) -> None:
    """Let the application read the signed *payload* and its length."""
    environ["wsgi.input"] = BytesIO(payload)
    environ["wsgi.input_terminated"] = True
    environ["CONTENT_LENGTH"] = str(len(payload))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
