"""Read a request's body, and check the unsigned headers that describe it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from port_webhook._tracebacks import boundary, inner
from port_webhook._verifier import SignedForms
from port_webhook.exceptions import (
    BodyTooLargeError,
    MethodNotAllowedError,
    UnreadableBodyError,
    UnsupportedMediaError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

__all__ = [
    "METHODS",
    "accept_body",
    "check_body",
    "check_charset",
    "check_media",
    "check_method",
    "collect",
    "declared_length",
    "expect_body",
    "not_bytes",
    "perhaps_consumed",
]

METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
"""Protocol, section 2: the methods that an action can be configured with."""

# What Port sends, in which no charset need be looked for.
_USUAL_TYPE = "application/json"
# A length of so few digits is read at once: it cannot take long.
_FEW_DIGITS = 18
# Each mention of a charset must be one of these, as RFC 9110 (section 5.6.6) spells a
# parameter: frameworks differ in which one they read, and in what they make of others,
# such as ``utf-8,x``, which Starlette takes for Latin-1.
_CHARSET = re.compile(r';[ \t]*charset=("?)(?:utf-8|us-ascii)\1[ \t]*(?=;|\Z)')


@boundary
def check_method(method: str | None) -> None:
    """Refuse a method that Port does not use; None, for an unknown one, is accepted.

    Raises:
        MethodNotAllowedError: It is not GET, POST, PUT, PATCH or DELETE.
    """
    if method is not None and method not in METHODS:
        raise MethodNotAllowedError


@boundary
def check_media(content_type: str | None, content_encoding: str | None) -> None:
    """Refuse a body that a framework would decode to bytes that were not signed.

    Call it after the headers were checked and before the body is read.

    Args:
        content_type: The Content-Type header; several lines joined by commas.
        content_encoding: The Content-Encoding header; several lines joined by commas.

    Raises:
        UnsupportedMediaError: There is a coding other than ``identity``, or a
            ``charset`` other than ``utf-8`` and ``us-ascii``.
    """
    if content_encoding:
        codings = (each.strip().lower() for each in content_encoding.split(","))
        if any(coding not in {"", "identity"} for coding in codings):
            msg = "The body has a Content-Encoding; Port signs and sends it without."
            raise UnsupportedMediaError(msg)
    if content_type:
        lowered = content_type.lower()
        mentions = lowered.count("charset")
        if mentions and len(_CHARSET.findall(lowered)) != mentions:
            msg = "The Content-Type names a charset other than UTF-8."
            raise UnsupportedMediaError(msg)


@boundary
def check_charset(content_type: str | None, body: bytes | SignedForms) -> None:
    """Refuse a body that is not ASCII although its Content-Type says so.

    Call it after the body was read. Frameworks replace bytes beyond ASCII.

    Args:
        content_type: The Content-Type header, as for `check_media`.
        body: What was read.

    Raises:
        UnsupportedMediaError: The charset is ``us-ascii``, and the body is not.
    """
    if (
        content_type
        and isinstance(body, bytes)
        and not body.isascii()
        and "us-ascii" in content_type.lower()
    ):
        raise UnsupportedMediaError("The body is not in the us-ascii that it names.")


@boundary
def declared_length(text: str | None, limit: int) -> int | None:
    """Return the length that a Content-Length header declares, before a body is read.

    Args:
        text: The header.
        limit: The largest size that is accepted, in bytes.

    Returns:
        The length in bytes, or None if there is no header.

    Raises:
        UnreadableBodyError: The header is not a number (RFC 9110, section 8.6).
        BodyTooLargeError: It is larger than the limit.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UnreadableBodyError("The Content-Length header is not a number.")
    if len(text) > _FEW_DIGITS:
        # The number of digits first: int() of a long text takes quadratic time.
        text = text.lstrip("0") or "0"
        if len(text) > len(f"{limit}"):
            raise BodyTooLargeError(limit)
    length = int(text)
    if length > limit:
        raise BodyTooLargeError(limit)
    return length


@boundary
def check_body(body: bytes, declared: int | None, limit: int) -> bytes:
    """Compare a body that was read with its declared length and the *limit*.

    Returns:
        The body.

    Raises:
        BodyTooLargeError: It is larger than *limit*, in bytes.
        UnreadableBodyError: It is not as long as declared.
    """
    if len(body) > limit:
        raise BodyTooLargeError(limit)
    if declared is None or len(body) == declared:
        return body
    if len(body) > declared:
        raise UnreadableBodyError(
            f"The body is longer than declared: {len(body)} bytes instead of "
            f"{declared}."
        )
    if body:
        raise UnreadableBodyError(
            f"The body was truncated: {len(body)} of {declared} bytes arrived."
        )
    raise UnreadableBodyError(
        f"The body is empty, but {declared} bytes were declared: the sender did "
        "not send them, or something read the body before it could be verified."
    )


# Those that call these two are boundaries already. Each is one call on the path of
# every request, and calls in turn only what finds something unusual.


def expect_body(
    content_type: str | None,
    content_encoding: str | None,
    length: str | None,
    limit: int,
) -> int | None:
    """Do what `check_media` and then `declared_length` do, before a body is read."""
    if content_encoding or content_type != _USUAL_TYPE:
        _check_media(content_type, content_encoding)
    return _declared_length(length, limit) if length else None


def accept_body(
    body: bytes, declared: int | None, limit: int, content_type: str | None
) -> bytes:
    """Do what `check_body` and then `check_charset` do, when a body was read."""
    size = len(body)
    # A length that was declared is within the limit; `expect_body` has compared it.
    if size != declared and (declared is not None or size > limit):
        _check_body(body, declared, limit)
    if content_type != _USUAL_TYPE:
        _check_charset(content_type, body)
    return body


@boundary
def perhaps_consumed(body: bytes) -> SignedForms:
    """Return a body that something may have read in part, and whose length is unknown.

    Pass it on like a body. If it does not verify, the error is an `UnreadableBodyError`
    instead of a `SignatureMismatchError`, which would blame the secret.

    Args:
        body: What is left of the body; often nothing.
    """

    def candidates() -> Iterator[bytes]:
        yield body
        raise UnreadableBodyError(
            "No signature matches what is left of the body, which has no declared "
            "length: something seems to have read the body before it was verified."
        )

    return SignedForms("port", candidates())


def not_bytes(chunk: object) -> UnreadableBodyError:
    """Return the error for a part of a body that is not bytes, such as None."""
    return UnreadableBodyError(
        f"The server or a middleware passed a part of the body that is "
        f"{type(chunk).__name__}, not bytes."
    )


@boundary
async def collect(
    chunks: AsyncIterable[bytes], length: str | None, limit: int
) -> bytes:
    """Join the *chunks* of a body, and stop reading at the *limit*.

    Args:
        chunks: The body; what iterating raises goes through.
        length: The Content-Length header, if there is one.
        limit: The largest size that is accepted, in bytes.

    Raises:
        BodyTooLargeError: The body is larger than the limit.
        UnreadableBodyError: The body is not as long as declared.
    """
    declared = declared_length(length, limit)
    body = bytearray()
    async for chunk in chunks:
        try:  # costs nothing until something is raised
            body += chunk
        except TypeError:
            raise not_bytes(chunk)
        if len(body) > limit:
            raise BodyTooLargeError(limit)
    return check_body(bytes(body), declared, limit)


_check_media, _declared_length = inner(check_media), inner(declared_length)
_check_body, _check_charset = inner(check_body), inner(check_charset)
