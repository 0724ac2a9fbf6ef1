"""Every error that leaves port_webhook, in one tree.

::

    PortWebhookError
    ├── ConfigurationError (ValueError)
    ├── DeliveryError
    │   ├── VerificationError
    │   │   ├── MissingHeaderError       401
    │   │   ├── MalformedHeaderError     401
    │   │   ├── SignatureMismatchError   401
    │   │   ├── TimestampError           401
    │   │   ├── UnreadableBodyError      400
    │   │   ├── UnsupportedMediaError    415
    │   │   ├── MethodNotAllowedError    405
    │   │   └── BodyTooLargeError        413
    │   ├── ReplayError
    │   │   ├── DuplicateDeliveryError   200
    │   │   ├── DeliveryInProgressError  409
    │   │   └── ReplayStoreError         503
    │   └── PayloadError                 422
    ├── DecryptionError
    └── ReportingError

Most classes build their message from typed arguments; the others take a sentence of
the library's own. None of them takes a secret, a payload, a signature or an expected
MAC, so no message, attribute or log record can show one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BodyTooLargeError",
    "ConfigurationError",
    "DecryptionError",
    "DeliveryError",
    "DeliveryInProgressError",
    "DuplicateDeliveryError",
    "MalformedHeaderError",
    "MethodNotAllowedError",
    "MissingHeaderError",
    "PayloadError",
    "PortWebhookError",
    "ReplayError",
    "ReplayStoreError",
    "ReportingError",
    "SignatureMismatchError",
    "TimestampError",
    "UnreadableBodyError",
    "UnsupportedMediaError",
    "VerificationError",
]

_JSON: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"})
# RFC 9110, section 11.6.1: a 401 names at least one scheme that would be accepted.
_CHALLENGE: Mapping[str, str] = MappingProxyType(
    {**_JSON, "WWW-Authenticate": "PortWebhook"}
)
_UNAUTHORIZED = b'{"error": "unauthorized"}'


def _rebuild(
    cls: type[PortWebhookError], args: tuple[object, ...], state: dict[str, Any]
) -> PortWebhookError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class PortWebhookError(Exception):
    """The base of every error of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy without calling ``__init__``, whose arguments differ."""
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(PortWebhookError, ValueError):
    """A secret, an option or an argument is wrong.

    It is the caller's mistake, not the sender's, so no HTTP response belongs to it.
    """


class DeliveryError(PortWebhookError):
    """A delivery is refused; the error carries the HTTP response.

    These four attributes are all that an adapter needs.

    Attributes:
        code: A stable word for logs, metrics and alerts.
        http_status: The HTTP status code.
        http_headers: The HTTP headers of the response.
        http_body: The HTTP body: JSON that names only the class of failure.
    """

    code: str = "delivery_error"
    http_status: ClassVar[int] = 400
    http_headers: Mapping[str, str] = _JSON
    http_body: bytes = b'{"error": "bad_request"}'


class VerificationError(DeliveryError):
    """The delivery is not authentic, or not acceptable as it arrived."""

    code: str = "verification_error"


class MissingHeaderError(VerificationError):
    """A header that carries the signature or its timestamp is absent.

    Attributes:
        header: The name of the header, in lower case.
    """

    code: str = "missing_header"
    http_status: ClassVar[int] = 401
    http_headers: Mapping[str, str] = _CHALLENGE
    http_body: bytes = _UNAUTHORIZED

    def __init__(self, header: str) -> None:
        """Name the absent *header*."""
        self.header = header
        super().__init__(
            f"The delivery has no {header} header; either Port did not send it, or "
            "something on its way removed the header."
        )


class MalformedHeaderError(VerificationError):
    """A signature header does not follow the grammar, or came more than once.

    Attributes:
        header: The name of the header, in lower case.
        code: ``malformed_header``, or ``duplicate_header`` for a second value.
    """

    code: str = "malformed_header"
    http_status: ClassVar[int] = 401
    http_headers: Mapping[str, str] = _CHALLENGE
    http_body: bytes = _UNAUTHORIZED

    def __init__(
        self, header: str, problem: str, *, code: str = "malformed_header"
    ) -> None:
        """Say which *header* has which *problem*, without quoting its value."""
        self.header = header
        self.code = code
        super().__init__(f"The {header} header {problem}.")


class SignatureMismatchError(VerificationError):
    """No listed signature belongs to this payload, timestamp and secret.

    Attributes:
        secret_source: Where the secret comes from, such as ``PORT_CLIENT_SECRET``.
        secrets_tried: How many secrets were tried: the current and the previous ones.
    """

    code: str = "signature_mismatch"
    http_status: ClassVar[int] = 401
    http_headers: Mapping[str, str] = _CHALLENGE
    http_body: bytes = _UNAUTHORIZED

    def __init__(
        self,
        *,
        suggest_agent: bool = True,
        secret_source: str = "an argument",  # where it is, not what
        secrets_tried: int = 1,
    ) -> None:
        """Name the usual causes; *suggest_agent* where the agent may be one of them."""
        self.secret_source = secret_source
        self.secrets_tried = secrets_tried
        count = "1 secret" if secrets_tried == 1 else f"{secrets_tried} secrets"
        by_agent = ", or Port's agent forwarded it (set agent=True)"
        by_agent = by_agent if suggest_agent else ""
        super().__init__(
            f"No signature matches ({count} from {secret_source} tried). Either Port "
            "did not sign this payload, or the client secret is that of another "
            "organisation or was rotated, or the body was changed on its way (pass "
            f"the raw bytes){by_agent}."
        )


class TimestampError(VerificationError):
    """The timestamp lies outside the window, so the delivery may be a replay.

    Attributes:
        age: Seconds from the timestamp until now; negative if it lies ahead.
        max_age: The oldest age that is accepted, in seconds.
        max_future: How far ahead a timestamp may lie, in seconds.
        code: ``timestamp_too_old`` or ``timestamp_in_future``.
    """

    code: str = "timestamp_error"
    http_status: ClassVar[int] = 401
    http_headers: Mapping[str, str] = _CHALLENGE
    http_body: bytes = _UNAUTHORIZED

    def __init__(self, age: float, max_age: float, max_future: float) -> None:
        """Compare *age* with its two bounds, all in seconds."""
        self.age = age
        self.max_age = max_age
        self.max_future = max_future
        if age < 0:
            self.code = "timestamp_in_future"
            bound = f"{max_future:g} s (max_future)"
            problem = f"lies {_seconds(-age)} s ahead; at most {bound}"
        else:
            self.code = "timestamp_too_old"
            problem = f"is {_seconds(age)} s old; at most {max_age:g} s (max_age)"
        super().__init__(
            f"The timestamp {problem} are accepted. If the delivery is new, "
            "check this machine's clock."
        )


def _seconds(value: float) -> str:
    # To the millisecond, so that it is never shown equal to a bound that it passes.
    return f"{value:.3f}".rstrip("0").rstrip(".")


class UnreadableBodyError(VerificationError):
    """The signed bytes cannot be recovered from the request.

    The body was truncated, already consumed, already parsed, or is not in the encoding
    that it declares.
    """

    code: str = "unreadable_body"

    def __init__(self, problem: str) -> None:
        """Say what the *problem* is and what to change, without quoting the body."""
        super().__init__(problem)


class UnsupportedMediaError(VerificationError):
    """The body has a ``Content-Encoding``, or a ``charset`` other than UTF-8.

    Neither is signed, so a framework that decodes by it would give a view data that was
    not signed. Port sends neither.
    """

    code: str = "unsupported_media"
    http_status: ClassVar[int] = 415
    # RFC 9110, section 15.5.16: what would have been accepted.
    http_headers: Mapping[str, str] = MappingProxyType(
        {**_JSON, "Accept-Encoding": "identity"}
    )
    http_body: bytes = b'{"error": "unsupported_media_type"}'

    def __init__(self, problem: str) -> None:
        """Say what the *problem* is, without quoting the header."""
        super().__init__(problem)


class MethodNotAllowedError(VerificationError):
    """The HTTP method is none of the five that Port uses.

    The method is not signed: a captured request sent as HEAD or OPTIONS would consume
    its claim, or run the view.
    """

    code: str = "method_not_allowed"
    http_status: ClassVar[int] = 405
    # RFC 9110, section 15.5.6: a 405 lists what is allowed.
    http_headers: Mapping[str, str] = MappingProxyType(
        {**_JSON, "Allow": "GET, POST, PUT, PATCH, DELETE"}
    )
    http_body: bytes = b'{"error": "method_not_allowed"}'

    def __init__(self) -> None:
        super().__init__("Port sends GET, POST, PUT, PATCH and DELETE, nothing else.")


class BodyTooLargeError(VerificationError):
    """The body is larger than the limit, so it was not read, or not checked.

    Attributes:
        limit: The largest size that is accepted, in bytes.
    """

    code: str = "body_too_large"
    http_status: ClassVar[int] = 413
    http_body: bytes = b'{"error": "content_too_large"}'

    def __init__(self, limit: int, *, option: str = "max_body_bytes") -> None:
        """Name the *limit*, in bytes, and the *option* or setting that sets it."""
        self.limit = limit
        problem = f"is larger than the limit of {limit} bytes"
        if option == "agent_max_bytes":
            problem = (
                "matches no signature as it came, and to look for the agent's form "
                f"it {problem}"
            )
        super().__init__(f"The body {problem}; {option} sets it.")


class ReplayError(DeliveryError):
    """The delivery is authentic, but must not be run now.

    Attributes:
        run_id: The run of the delivery, as in `Delivery.run_id`; None if it has none.
    """

    run_id: str | None = None
    code: str = "replay_error"
    http_status: ClassVar[int] = 409
    http_body: bytes = b'{"error": "conflict"}'


class DuplicateDeliveryError(ReplayError):
    """The same signed request was handled before.

    The status is 200: for the sender, the work is done.
    """

    code: str = "duplicate_delivery"
    http_status: ClassVar[int] = 200
    http_body: bytes = b'{"status": "duplicate"}'

    def __init__(self) -> None:
        super().__init__("This signed request was handled before; it is not run again.")


class DeliveryInProgressError(ReplayError):
    """The same signed request is being handled at this moment."""

    code: str = "delivery_in_progress"
    http_headers: Mapping[str, str] = MappingProxyType({**_JSON, "Retry-After": "5"})
    http_body: bytes = b'{"error": "in_progress"}'

    def __init__(self) -> None:
        super().__init__("This signed request is being handled at this moment.")


class ReplayStoreError(ReplayError):
    """The replay store failed, so it is not known whether the request ran before."""

    code: str = "replay_store_error"
    http_status: ClassVar[int] = 503
    http_headers: Mapping[str, str] = MappingProxyType({**_JSON, "Retry-After": "5"})
    http_body: bytes = b'{"error": "unavailable"}'

    def __init__(self, problem: str) -> None:
        """Say what the *problem* is, without quoting what the store printed."""
        super().__init__(f"The replay store {problem}.")


class PayloadError(DeliveryError):
    """The delivery is authentic, but its payload is not JSON, or not the model.

    Attributes:
        path: The field that is wrong, such as ``trigger.by.user.email``; empty for
            the whole document.
        run_id: The run of the delivery, as in `Delivery.run_id`; None if it has none.
    """

    run_id: str | None = None

    code: str = "invalid_payload"
    http_status: ClassVar[int] = 422
    http_body: bytes = b'{"error": "unprocessable_content"}'

    def __init__(self, problem: str, *, path: str = "") -> None:
        """Say what the *problem* at *path* is, without quoting a value."""
        self.path = path
        where = f"The payload's field {path}" if path else "The payload"
        super().__init__(f"{where} {problem}.")


class DecryptionError(PortWebhookError):
    """A value could not be decrypted.

    There is one message for every cause, since telling a wrong key from a changed
    ciphertext would help only an attacker.
    """

    def __init__(self) -> None:
        super().__init__("The value could not be decrypted.")


class ReportingError(PortWebhookError):
    """A call of Port's API failed; repeating it was not safe or did not help.

    Attributes:
        status_code: The HTTP status that Port answered; None if there was no response.
        error: Port's word for the problem, such as ``not_found``; None if it gave none.
    """

    def __init__(
        self, problem: str, *, status_code: int | None = None, error: str | None = None
    ) -> None:
        """Say what the *problem* is; Port's own message is part of it."""
        self.status_code = status_code
        self.error = error
        super().__init__(problem)
