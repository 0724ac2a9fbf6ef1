"""The raw body of a request, however the server framed it and Django stored it."""

from __future__ import annotations

from os import SEEK_END
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import LimitedStream
from django.http import RawPostDataException

from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryError,
    UnreadableBodyError,
)
from port_webhook.integration import check_body, declared_length

if TYPE_CHECKING:
    from django.http import HttpRequest


def read_body(request: HttpRequest, limit: int) -> bytes | DeliveryError:
    """Read the raw body, so that ``request.body`` and ``request.POST`` work after."""
    declared = declared_length(request.META.get("CONTENT_LENGTH"), limit)
    if isinstance(declared, DeliveryError):
        return declared
    failure = _open(request, declared, limit)
    if failure is not None:
        return failure
    try:
        body = request.body
    except RequestDataTooBig:
        return _too_large_for_settings()
    except RawPostDataException:
        return UnreadableBodyError(
            "request.POST, request.FILES or request.read() was used before the body "
            "could be verified: use it after that, or read request.body first."
        )
    except Exception as error:  # noqa: BLE001  # each server has errors of its own
        return UnreadableBodyError(
            f"The server could not read the body ({type(error).__name__}); the "
            "connection probably ended before it did."
        )
    allowed = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if allowed is not None and len(body) > allowed:
        # Not every version compares a body without a length.
        return _too_large_for_settings()
    if body and declared is None:
        # Without it, forms are not parsed.
        request.META["CONTENT_LENGTH"] = str(len(body))
    return check_body(body, declared, limit)


def _open(
    request: HttpRequest, declared: int | None, limit: int
) -> DeliveryError | None:
    """Let ``request.body`` read a body of any framing, and no more than *limit*."""
    state = vars(request)
    environ: dict[str, Any] | None = state.get("environ")
    if environ is None:
        # ASGI: Django has stored the whole body already.
        stream = state.get("_stream")
        if stream is None or state.get("_read_started") or not stream.seekable():
            return None
        size = stream.seek(0, SEEK_END)
        stream.seek(0)
        return BodyTooLargeError(limit) if size > limit else None
    if declared is not None or state.get("_body"):
        return None
    if environ.get("wsgi.input_terminated"):
        # Django takes the body for empty, and nothing that it did has read it.
        for name in ("_body", "_post", "_files"):
            state.pop(name, None)
        stream = LimitedStream(environ["wsgi.input"], limit + 1)
        state.update(_stream=stream, _read_started=False)
    elif environ.get("HTTP_TRANSFER_ENCODING"):
        return UnreadableBodyError(
            "The WSGI server does not pass on bodies of an undeclared length."
        )
    return None


def _too_large_for_settings() -> BodyTooLargeError:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
    return BodyTooLargeError(limit, option="the setting DATA_UPLOAD_MAX_MEMORY_SIZE")
