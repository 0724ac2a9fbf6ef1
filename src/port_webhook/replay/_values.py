"""What every store does to the values it is given, before it stores them."""

from __future__ import annotations

import re
from hashlib import sha256
from math import ceil

from port_webhook.exceptions import ConfigurationError

# A hundred years. Every store can count that far from today, in milliseconds.
_FOREVER = 100 * 365 * 86_400
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")
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
