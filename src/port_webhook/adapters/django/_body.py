"""Read the raw body, and let every accessor of Django's give what was signed."""

from __future__ import annotations

from io import BytesIO
from os import SEEK_END
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import LimitedStream
from django.http import RawPostDataException

from port_webhook._tracebacks import inner
from port_webhook.exceptions import BodyTooLargeError, UnreadableBodyError
from port_webhook.integration import (
    check_body,
    check_charset,
    check_media,
    declared_length,
    perhaps_consumed,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import SignedForms

__all__ = ["put_delivery", "read_body"]

# What calls `read_body` is behind a boundary already.
_check_media, _check_body = inner(check_media), inner(check_body)
_check_charset = inner(check_charset)
_declared_length = inner(declared_length)


def read_body(request: HttpRequest, limit: int) -> bytes | SignedForms:
    """Read the raw body, however the server framed it and Django stored it.

    Args:
        request: Django's own request.
        limit: The largest size that is accepted, in bytes.

    Raises:
        DeliveryError: It is too large, cannot be read, or was read before.
    """
    meta = request.META
    _check_media(meta.get("CONTENT_TYPE"), meta.get("HTTP_CONTENT_ENCODING"))
    declared = _declared_length(meta.get("CONTENT_LENGTH"), limit)
    if declared is None or "environ" not in vars(request):
        _open(request, limit)
    try:
        body = request.body
    except RequestDataTooBig:
        raise _too_large_for_settings()
    except RawPostDataException:
        raise UnreadableBodyError(
            "request.POST, request.FILES or request.read() was used before the body "
            "could be verified: use it after that, or read request.body first."
        )
    except Exception as error:  # each server has errors of its own
        raise UnreadableBodyError(
            f"The server could not read the body ({type(error).__name__}); the "
            "connection probably ended before it did."
        )
    if declared is None:
        # Not every version of Django compares a body without a length.
        allowed = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if allowed is not None and len(body) > allowed:
            raise _too_large_for_settings()
    if not body and meta.get("HTTP_TRANSFER_ENCODING"):
        return perhaps_consumed(body)
    _check_charset(meta.get("CONTENT_TYPE"), body)
    return _check_body(body, declared, limit)


def put_delivery(
    request: HttpRequest, delivery: Delivery, more: dict[str, object]
) -> None:
    """Attach *delivery*, and let every accessor of the body give what was signed.

    Args:
        request: Django's own request. It needs no CSRF check any more: what is signed
            cannot be cross-site.
        delivery: The verified delivery.
        more: What else to set on the request.
    """
    payload = delivery.payload
    state, meta = vars(request), request.META
    # Django and the REST framework parse no form without the length, or beyond it.
    length = str(len(payload))
    if meta.get("CONTENT_LENGTH") != length:
        meta["CONTENT_LENGTH"] = length
        meta.pop("HTTP_TRANSFER_ENCODING", None)
        # What was made of other bytes, or of none: the agent sends another spelling.
        for name in ("_post", "_files", "headers"):
            state.pop(name, None)
    state.update(
        more,
        _body=payload,
        _stream=BytesIO(payload),
        _read_started=True,
        port_delivery=delivery,
        csrf_processing_done=True,
    )


def _open(request: HttpRequest, limit: int) -> None:
    """Let ``request.body`` read a body of any framing, and no more than *limit*."""
    state = vars(request)
    environ: dict[str, Any] | None = state.get("environ")
    if environ is None:
        # ASGI: Django has stored the whole body already.
        stream = state.get("_stream")
        if stream is None or state.get("_read_started") or not stream.seekable():
            return
        size = stream.seek(0, SEEK_END)
        stream.seek(0)
        if size > limit:
            raise BodyTooLargeError(limit)
    elif state.get("_body"):
        return
    elif environ.get("wsgi.input_terminated"):
        # Django takes the body for empty, and nothing that it did has read it.
        for name in ("_body", "_post", "_files"):
            state.pop(name, None)
        stream = LimitedStream(environ["wsgi.input"], limit + 1)
        state.update(_stream=stream, _read_started=False)
    elif environ.get("HTTP_TRANSFER_ENCODING"):
        raise UnreadableBodyError(
            "The WSGI server does not pass on bodies of an undeclared length."
        )


def _too_large_for_settings() -> BodyTooLargeError:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
    return BodyTooLargeError(limit, option="the setting DATA_UPLOAD_MAX_MEMORY_SIZE")
