"""What callers pass in, checked: secrets, bodies, times, sizes and functions.

An option that is wrong is a `ConfigurationError` that names it and never quotes its
value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from port_webhook._signature import new_key, read_secret
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hmac import HMAC

    from port_webhook.exceptions import VerificationError

ENV_SECRET = "PORT_CLIENT_SECRET"  # noqa: S105  # the name of a variable
ENV_PREVIOUS = f"{ENV_SECRET}_PREVIOUS"

_MAX_PREVIOUS_SECRETS = 8
_ONE_SECRET = (str, bytes, bytearray, memoryview)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Times from here on are milliseconds: as seconds they lie beyond the year 5000.
_FIRST_MILLISECONDS = 1e11
# A tuple: isinstance with a union takes several times as long.
_NUMBER = (int, float)
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE


def load_keys(secret: object, previous: object) -> list[HMAC] | ConfigurationError:
    """Check the secrets and key one context with each, the current one first.

    The error is returned, as everywhere that a secret is a local; see ``signature``.
    """
    # One secret is a sequence too, of characters or of small integers, and a key of
    # one character can be guessed.
    if not is_instance(previous, Sequence) or is_instance(previous, _ONE_SECRET):
        return ConfigurationError("previous_secrets must be a sequence of secrets")
    older = cast("Sequence[object]", previous)
    # Before it is taken apart: a range may be longer than memory is large.
    if len(older) > _MAX_PREVIOUS_SECRETS:
        return ConfigurationError(
            f"previous_secrets holds more than {_MAX_PREVIOUS_SECRETS} secrets"
        )
    keys: list[HMAC] = []
    for index, value in enumerate((secret, *older)):
        label = f"previous_secrets[{index - 1}]" if index else "secret"
        raw = read_secret(value, label)
        if isinstance(raw, ConfigurationError):
            return raw
        keys.append(new_key(raw))
    return keys


def read_env() -> tuple[str, list[str]] | ConfigurationError:
    """Return the current secret and the previous ones of the environment."""
    secret = os.environ.get(ENV_SECRET)
    if secret is None:
        return ConfigurationError(f"{ENV_SECRET} is not set")
    listed = os.environ.get(ENV_PREVIOUS)
    previous = listed.split(",") if listed else []
    # Checked here as well, so that the message names the variable.
    labels = [ENV_SECRET, *(f"{ENV_PREVIOUS}[{i}]" for i in range(len(previous)))]
    for label, value in zip(labels, [secret, *previous], strict=True):
        raw = read_secret(value, label)
        if isinstance(raw, ConfigurationError):
            return raw
    return secret, previous


def read_body(body: object, limit: int) -> bytes | VerificationError:
    """Return the raw bytes of *body*, without a copy when it is bytes already."""
    if type(body) is bytes:
        return body if len(body) <= limit else BodyTooLargeError(limit)
    try:
        if isinstance(body, str):
            # Never fewer bytes than characters, so that this bounds the work.
            if len(body) > limit:
                return BodyTooLargeError(limit)
            raw = str.encode(body, "utf-8")
        else:
            view = memoryview(cast("bytes", body))
            if view.nbytes > limit:
                return BodyTooLargeError(limit)
            # A copy, so that nobody changes what was verified.
            raw = view.tobytes()
    except UnicodeEncodeError:
        return UnreadableBodyError(
            "The body is text with lone surrogates; pass the raw bytes instead."
        )
    except Exception:  # noqa: BLE001  # __buffer__ and __len__ may raise anything
        return UnreadableBodyError(
            f"The body is {type(body).__name__}, not bytes; pass the raw bytes as they "
            "arrived, since a parsed body cannot be turned back into them."
        )
    return raw if len(raw) <= limit else BodyTooLargeError(limit)


def is_instance(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Do what ``isinstance`` does; what only pretends to be of a kind may raise."""
    try:
        return isinstance(value, kinds)
    except Exception:  # noqa: BLE001  # a lazy object looks itself up, and fails
        return False


def read_instant(value: object, label: str) -> float | ConfigurationError:
    """Return *value*, epoch seconds or an aware datetime, as epoch seconds."""
    if type(value) is float and 0 < value < _FIRST_MILLISECONDS:  # what a clock says
        return value
    number = _to_number(value)
    if number is None:
        number = _from_datetime(value)
    if number is None:
        return ConfigurationError(
            f"{label} must be seconds since the epoch, or an aware datetime"
        )
    # Written so that NaN fails; comparing does not overflow on a huge integer.
    if not -_FIRST_MILLISECONDS < number < _FIRST_MILLISECONDS:
        return ConfigurationError(
            f"{label} must be finite and in seconds, not milliseconds"
        )
    return float(number)


def _to_number(value: object) -> float | None:
    """Return a plain number, and None for all else, true and false among it."""
    try:
        if isinstance(value, bool) or not isinstance(value, _NUMBER):
            return None
        # Converted, since a subclass may compare as it likes.
        return int(value) if isinstance(value, int) else float(value)
    except Exception:  # noqa: BLE001  # what only pretends to be a number
        return None


def _from_datetime(value: object) -> float | None:
    """Return the seconds since the epoch of an aware datetime, else None."""
    from datetime import datetime

    try:
        if not isinstance(value, datetime) or value.utcoffset() is None:
            return None
        return value.timestamp()
    except Exception:  # noqa: BLE001  # whatever a foreign tzinfo raises
        return None


def require_seconds(name: str, value: object, *, positive: bool = False) -> float:
    """Return *value*; refuse what is not a finite number of seconds from zero up."""
    number = _to_number(value)
    if (
        number is None
        # NaN fails the comparison; so does what float() could not hold.
        or not 0 <= number < _FIRST_MILLISECONDS
        or (positive and number == 0)
    ):
        least = "greater than zero" if positive else "zero or more"
        msg = f"{name} must be a number of seconds, {least} and less than 10**11"
        raise ConfigurationError(msg)
    return number


def require_size(name: str, value: object) -> int:
    """Return *value*; refuse what is not a whole number of bytes from one up."""
    number = _to_number(value)
    if not isinstance(number, int) or number <= 0:
        msg = f"{name} must be a whole number of bytes, greater than zero"
        raise ConfigurationError(msg)
    return number


def require_bool(name: str, value: object) -> None:
    """Refuse what is not True or False."""
    if not is_instance(value, bool):
        msg = f"{name} must be True or False"
        raise ConfigurationError(msg)


def require_text(name: str, value: object) -> None:
    """Refuse what cannot be encoded as UTF-8."""
    if not is_instance(value, str) or _SURROGATE.search(cast("str", value)) is not None:
        msg = f"{name} must be text without lone surrogates"
        raise ConfigurationError(msg)


def require_function(name: str, value: object) -> None:
    """Refuse what cannot be called, and what would have to be awaited."""
    if not callable(value):
        msg = f"{name} must be callable"
        raise ConfigurationError(msg)
    # A partial and an object with __call__ keep their code elsewhere.
    places = (value, getattr(value, "func", None), type(value).__call__)
    codes = (getattr(place, "__code__", None) for place in places)
    # The flag tells without an import of inspect.
    if any(getattr(code, "co_flags", 0) & _CO_COROUTINE for code in codes):
        msg = f"{name} must be a function, not a coroutine function"
        raise ConfigurationError(msg)
