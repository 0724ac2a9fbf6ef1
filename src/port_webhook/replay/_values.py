"""What stores share: checks of what they are given, before they use it."""

from __future__ import annotations

import re
from hashlib import sha256
from math import ceil

from port_webhook import _log
from port_webhook.exceptions import ConfigurationError

# A hundred years. Every store can count that far from today, in milliseconds.
_FOREVER = 100 * 365 * 86_400
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")
# Seconds. Port's agent gives a request up after 30 (protocol, section 2), and several
# steps of a store may have to fit.
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
    """Return *text* as a name that any database takes, at most `MAX_NAME` long.

    What the `Verifier` passes stays as it is, so that it can be looked up. Anything
    else becomes its hash: databases disagree about empty text, zero bytes, trailing
    spaces and length. The colon keeps the two kinds apart.
    """
    if _PLAIN.fullmatch(text):
        return text
    return f"sha256:{sha256(to_bytes(text)).hexdigest()}"


def require_methods(client: object, names: tuple[str, ...], kind: str) -> None:
    """Refuse a client that is not of *kind*.

    Raises:
        ConfigurationError: *client* lacks one of the methods *names*.
    """
    methods = [getattr(client, name, None) for name in names]
    if isinstance(client, type) or not all(callable(method) for method in methods):
        msg = f"client must be {kind}, not {type(client).__name__}"
        raise ConfigurationError(msg)


def warn_of_wait(service: str, seconds: object, options: str) -> None:
    """Warn of a client that may wait long, or for ever, for a server that is silent.

    Args:
        service: Its name.
        seconds: The longest wait; None if there is no end.
        options: The client's options that shorten it.
    """
    if seconds is not None and not (
        isinstance(seconds, int | float) and seconds > _LONGEST_WAIT
    ):
        return  # short, or of a client that is made up for a test
    how_long = "for ever" if seconds is None else f"{seconds:g} s"
    _log.write(
        _log.WARNING,
        f"The replay store's client may wait {how_long} for {service}, and a delivery "
        f"is not answered meanwhile. Set {options}.",
        "replay_store_timeout",
        wait=seconds,
    )
