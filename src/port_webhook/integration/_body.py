"""Read a body to its end, and no further than the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook.exceptions import (
    BodyTooLargeError,
    DeliveryError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable


def declared_length(text: str | None, limit: int) -> int | DeliveryError | None:
    """Return the length that a Content-Length header declares, before a body is read.

    Args:
        text: The header.
        limit: The largest size that is accepted, in bytes.

    Returns:
        The length in bytes, or None if there is no header; an error if it is not a
        number (RFC 9110, section 8.6) or larger than the limit.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return UnreadableBodyError("The Content-Length header is not a number.")
    digits = text.lstrip("0") or "0"
    # The number of digits first: int() of a long text takes quadratic time.
    if len(digits) > len(f"{limit}") or int(digits) > limit:
        return BodyTooLargeError(limit)
    return int(digits)


def check_body(body: bytes, declared: int | None, limit: int) -> bytes | DeliveryError:
    """Compare a body that was read with its declared length and the *limit*."""
    if len(body) > limit:
        return BodyTooLargeError(limit)
    if declared is not None and len(body) != declared:
        if len(body) > declared:
            return UnreadableBodyError(
                f"The body is longer than declared: {len(body)} bytes instead of "
                f"{declared}."
            )
        if body:
            return UnreadableBodyError(
                f"The body was truncated: {len(body)} of {declared} bytes arrived."
            )
        return UnreadableBodyError(
            f"The body is empty, but {declared} bytes were declared: the sender did "
            "not send them, or something read the body before it could be verified."
        )
    return body


async def collect(
    chunks: AsyncIterable[bytes], length: str | None, limit: int
) -> bytes | DeliveryError:
    """Join the *chunks* of a body, and stop reading at the *limit*.

    Args:
        chunks: The body; what iterating raises goes through.
        length: The Content-Length header, if there is one.
        limit: The largest size that is accepted, in bytes.
    """
    declared = declared_length(length, limit)
    if isinstance(declared, DeliveryError):
        return declared
    body, chunk = bytearray(), b""
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                return BodyTooLargeError(limit)
    except BaseException:
        del body, chunk  # whoever sees the error sees this frame
        raise
    return check_body(bytes(body), declared, limit)
