"""The structured records of the ``port_webhook`` logger.

``logging`` is imported with the first record, not with the package: most processes
have it loaded by then, and a Lambda cold start need not wait for it.

The fields of a record are attributes named ``port_…``, so any JSON formatter carries
them along. No field and no message holds a secret, a payload or a signature.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from types import TracebackType

__all__ = [
    "DEBUG",
    "ERROR",
    "INFO",
    "WARNING",
    "call_hook",
    "get_logger",
    "write",
]

T = TypeVar("T")

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
    logger = get_logger()
    if logger.isEnabledFor(level):
        extra = {f"port_{name}": value for name, value in fields.items()}
        logger.log(level, message, *args, extra={**extra, "port_event": event})


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
    except Exception as error:  # a hook never changes the answer
        # Its message may quote what it was given, so only the place is named.
        trace = cast("TracebackType", error.__traceback__)  # this frame at least
        while trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        kind = type(error).__name__
        del trace
    # Not inside the handler: a log handler may look at sys.exc_info().
    write(ERROR, f"A hook raised {kind} at {place}.", "hook_failed", error=kind)
