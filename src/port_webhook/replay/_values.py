"""Argument checks shared by the stores."""

from __future__ import annotations

import re
from hashlib import sha256
from math import ceil

from port_webhook import _log
from port_webhook.exceptions import ConfigurationError

__all__ = [
    "MAX_NAME",
    "require_methods",
    "to_bytes",
    "to_milliseconds",
    "to_name",
    "to_seconds",
    "warn_of_wait",
]

# A hundred years. Every store can count that far from today, in milliseconds.
_FOREVER = 100 * 365 * 86_400
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")
# Seconds. Port's agent gives up on a request after 30 (protocol, section 2), and one
# request may need several steps of a store.
_LONGEST_WAIT = 10
# The longest text that `to_name` returns: the prefix and a SHA-256 in hex.
MAX_NAME = 71


def to_seconds(value: object) -> float:
    """Return a duration in seconds, at most a hundred years.

    Raises:
        ConfigurationError: *value* is not a number of seconds from zero up.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        # NaN fails the comparison.
        or not value >= 0
    ):
        msg = "The lease and the time to live must be seconds, zero or more"
        raise ConfigurationError(msg)
    # The smaller comes first: an integer too large for a float is never converted.
    return float(min(_FOREVER, value))


def to_milliseconds(value: object) -> int:
    """Return a duration in whole milliseconds, rounded up, so that it lasts.

    Raises:
        ConfigurationError: *value* is not a number of seconds from zero up.
    """
    return ceil(to_seconds(value) * 1000)


def to_bytes(text: str) -> bytes:
    """Encode any text; different texts, also with lone surrogates, stay different."""
    return text.encode("utf-8", "surrogatepass")


def to_name(text: str) -> str:
    """Return *text* as a name that any database accepts, at most `MAX_NAME` long.

    A key or owner of the `Verifier` is unchanged, so that it can be looked up. Any
    other text is replaced by its hash: databases disagree about empty text, zero
    bytes, trailing spaces and length. The colon keeps the two kinds apart.
    """
    if _PLAIN.fullmatch(text):
        return text
    return f"sha256:{sha256(to_bytes(text)).hexdigest()}"


def require_methods(client: object, names: tuple[str, ...], kind: str) -> None:
    """Require a client of *kind*.

    Raises:
        ConfigurationError: *client* lacks one of the methods *names*.
    """
    methods = [getattr(client, name, None) for name in names]
    if isinstance(client, type) or not all(callable(method) for method in methods):
        msg = f"client must be {kind}, not {type(client).__name__}"
        raise ConfigurationError(msg)


def warn_of_wait(service: str, seconds: object, options: str) -> None:
    """Warn of a client that may wait very long for a server that does not answer.

    Args:
        service: The name of the service.
        seconds: The longest wait, in seconds; None if the client waits for ever.
        options: The client's options that shorten the wait.
    """
    if seconds is not None and not (
        isinstance(seconds, int | float) and seconds > _LONGEST_WAIT
    ):
        return  # short, or a mock
    how_long = "for ever" if seconds is None else f"{seconds:g} s"
    _log.write(
        _log.WARNING,
        f"The replay store's client may wait {how_long} for {service}, and a delivery "
        f"is not answered meanwhile. Set {options}.",
        "replay_store_timeout",
        wait=seconds,
    )
