"""The structured records of the ``port_webhook`` logger, and the hooks.

``logging`` is imported with the first record, not with the package: most processes
have it loaded by then, and a Lambda cold start need not wait for it.

The fields of a record are attributes named ``port_…``, so any JSON formatter carries
them along. No field and no message holds a secret, a payload or a signature.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, cast

from port_webhook.exceptions import DuplicateDeliveryError, ReplayStoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from logging import Logger
    from types import TracebackType
    from typing import TypeVar

    from port_webhook._delivery import Delivery
    from port_webhook.exceptions import DeliveryError

    T = TypeVar("T")

__all__ = [
    "DEBUG",
    "ERROR",
    "INFO",
    "WARNING",
    "Records",
    "call_hook",
    "emit",
    "get_logger",
    "write",
]

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40


def write(
    level: int, message: str, event: str, /, *args: object, **fields: object
) -> None:
    """Write one record.

    Args:
        level: As for the standard library's ``Logger.log``.
        message: The message, or with *args* its %-format, which is filled in only
            where a handler takes the record.
        event: A stable word, which becomes ``port_event``.
        args: What to fill in.
        fields: Each becomes an attribute with the prefix ``port_``.
    """
    if get_logger().isEnabledFor(level):
        attributes = {f"port_{name}": value for name, value in fields.items()}
        attributes["port_event"] = event
        emit(level, message, args, attributes, depth=2)


def emit(
    level: int,
    message: str,
    args: tuple[object, ...],
    attributes: Mapping[str, object],
    *,
    depth: int = 1,
) -> None:
    """Hand a record to the handlers, after its level was found to be enabled.

    ``Logger.log`` takes half as long again: it looks for the first frame outside of
    `logging`, and compares each attribute's name with its own.

    Args:
        level: As for `write`.
        message: As for `write`.
        args: As for `write`.
        attributes: Those of the record, with their prefix ``port_``.
        depth: How many frames above this one the place is that the record names.
    """
    logger = get_logger()
    frame = sys._getframe(depth)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as logging does
    place = frame.f_code.co_filename, frame.f_lineno
    name = frame.f_code.co_name
    record = logger.makeRecord(logger.name, level, *place, message, args, None, name)
    vars(record).update(attributes)
    logger.handle(record)


@cache
def get_logger() -> Logger:
    """Import ``logging`` and return the library's logger."""
    from logging import getLogger

    return getLogger("port_webhook")


def call_hook(hook: Callable[[T], object], argument: T) -> None:
    """Call *hook*; log an exception instead of propagating it."""
    try:
        hook(argument)
        return
    except Exception as error:  # a hook never changes the response
        # Its message may quote what it was given, so only the place is named.
        trace = cast("TracebackType", error.__traceback__)  # this frame at least
        while trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        kind = type(error).__name__
        del trace
    # Not inside the handler: a log handler may look at sys.exc_info().
    write(ERROR, f"A hook raised {kind} at {place}.", "hook_failed", error=kind)


class Records:
    """Write a record of each delivery, and call the hook that belongs to it.

    Attributes:
        on_verified: Called with each delivery that is handed over.
        on_rejected: Called with the error of each delivery that is refused.
        get_logger: Returns the library's logger; `logging` is imported by then.
    """

    __slots__ = ("get_logger", "on_rejected", "on_verified")

    def __init__(
        self,
        on_verified: Callable[[Delivery], None] | None,
        on_rejected: Callable[[DeliveryError], None] | None,
    ) -> None:
        self.on_verified = on_verified
        self.on_rejected = on_rejected
        self.get_logger: Callable[[], Logger] = get_logger

    def verified(self, delivery: Delivery) -> None:
        """Tell that *delivery* is handed over."""
        index = delivery.secret_index
        level = INFO if index else DEBUG
        if get_logger().isEnabledFor(level):
            message = f"Port delivery verified via {delivery.via}"
            if index:
                message += f" with previous secret {index}"
            write(level, message, "verified", via=delivery.via, secret_index=index)
        if self.on_verified is not None:
            call_hook(self.on_verified, delivery)

    def rejected(self, error: DeliveryError) -> None:
        """Tell that a delivery is refused, or not run again, because of *error*."""
        level = ERROR if isinstance(error, ReplayStoreError) else WARNING
        if get_logger().isEnabledFor(level):
            message = "Port delivery refused (%s): %s"
            if isinstance(error, DuplicateDeliveryError):
                message = "Port delivery not run again (%s): %s"
            # Not by `write`, since an attacker chooses how often this is done.
            fields: dict[str, object] = {
                f"port_{name}": value
                for name, value in vars(error).items()
                if name != "http_body"  # an error may have one of its own
            }
            fields["port_code"] = error.code
            fields["port_http_status"] = error.http_status
            fields["port_event"] = "rejected"
            emit(level, message, (error.code, str(error)), fields)
        if self.on_rejected is not None:
            call_hook(self.on_rejected, error)
