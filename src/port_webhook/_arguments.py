"""Validate arguments: secrets, bodies, timestamps, sizes and callbacks.

An option that is wrong raises a `ConfigurationError` that names it and never quotes
its value.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from port_webhook._placeholders import is_placeholder
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "ENV_FILE",
    "ENV_PREVIOUS",
    "ENV_SECRET",
    "is_instance",
    "read_body",
    "read_clock",
    "read_env",
    "read_instant",
    "read_secret",
    "read_secrets",
    "require_bool",
    "require_function",
    "require_seconds",
    "require_size",
    "require_text",
]

ENV_SECRET = "PORT_CLIENT_SECRET"  # the name of a variable
ENV_FILE = f"{ENV_SECRET}_FILE"
ENV_PREVIOUS = f"{ENV_SECRET}_PREVIOUS"

_MAX_PREVIOUS_SECRETS = 8
_MAX_SECRET_FILE = 65_536
_ONE_SECRET = (str, bytes, bytearray, memoryview)
_BOM = "\ufeff"
_QUOTES = "\"'"
_LINE_ENDS = ("\n", "\r")
# Unicode's categories of what has no width: controls, formats, line separators.
_INVISIBLE = frozenset(("Cc", "Cf", "Zl", "Zp"))
# Times from here on are milliseconds: as seconds they lie beyond the year 5000.
_FIRST_MILLISECONDS = 1e11
# A tuple: isinstance with a union takes several times as long.
_NUMBER = (int, float)
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE


def read_secret(secret: object, label: str) -> bytes:
    """Return the bytes of the secret at *label*.

    Raises:
        ConfigurationError: It is not a secret, or it is damaged.
    """
    try:
        raw = _to_bytes(secret)
    except UnicodeEncodeError:
        problem = "holds a lone surrogate"
    except Exception:  # a lazy object looks itself up, and fails
        problem = f"must be text or bytes, not {type(secret).__name__}"
    else:
        found = _find_damage(raw)
        if found is None:
            return raw
        problem = found
    raise ConfigurationError(f"{label} {problem}")


def _to_bytes(secret: object) -> bytes:
    """Return text or bytes as bytes; raise anything for other values."""
    # Not by its own methods, since a subclass may have others.
    if isinstance(secret, str):
        return str.encode(secret, "utf-8")
    if isinstance(secret, bytes):
        return bytes.__getitem__(secret, slice(None))
    # As pydantic's SecretStr and its like have it.
    reveal = getattr(secret, "get_secret_value", None)
    if reveal is None or isinstance(secret, type):
        raise TypeError
    revealed = reveal()
    if not isinstance(revealed, str | bytes):
        raise TypeError
    return _to_bytes(revealed)


def _find_damage(raw: bytes) -> str | None:
    """Say how an editor, a shell or a template damaged a secret."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "holds a byte order mark"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    in_quotes = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    problems = (
        ("is empty", not text),
        ("is blank", not text.strip()),
        ("holds a byte order mark", _BOM in text),
        ("holds a line break", len(text.splitlines()) > 1 or text.endswith(_LINE_ENDS)),
        ("has white space around it", text != text.strip()),
        ("holds an invisible character", _has_invisible(text)),
        ("is wrapped in quotes", in_quotes),
        ("looks like a placeholder that was never filled in", is_placeholder(text)),
    )
    return next((problem for problem, found in problems if found), None)


def _has_invisible(text: str) -> bool:
    if text.isprintable():
        return False
    from unicodedata import category

    return any(category(character) in _INVISIBLE for character in text)


def read_secrets(secret: object, previous: object) -> list[bytes]:
    """Return all secrets as bytes, the current one first.

    Raises:
        ConfigurationError: One is not a secret, or *previous* is not a sequence of at
            most 8.
    """
    # One secret is a sequence too, of characters or of small integers, and a key of
    # one character can be guessed.
    if not is_instance(previous, Sequence) or is_instance(previous, _ONE_SECRET):
        raise ConfigurationError("previous_secrets must be a sequence of secrets")
    older = cast("Sequence[object]", previous)
    # Before it is taken apart: a range may be longer than memory is large.
    if len(older) > _MAX_PREVIOUS_SECRETS:
        raise ConfigurationError(
            f"previous_secrets holds more than {_MAX_PREVIOUS_SECRETS} secrets"
        )
    found = [read_secret(secret, "secret")]
    for index, value in enumerate(older):
        found.append(read_secret(value, f"previous_secrets[{index}]"))
    return found


def read_env() -> tuple[str, bytes, list[str]]:
    """Return the current secret's source, that secret, and the previous ones.

    Raises:
        ConfigurationError: There is no current secret, or two, or one is not valid.
    """
    source, secret = _read_current()
    listed = os.environ.get(ENV_PREVIOUS)
    previous = listed.split(",") if listed else []
    for index, value in enumerate(previous):
        # Checked here as well, so that the message names the variable.
        read_secret(value, f"{ENV_PREVIOUS}[{index}]")
    return source, secret, previous


def _read_current() -> tuple[str, bytes]:
    secret = os.environ.get(ENV_SECRET)
    path = os.environ.get(ENV_FILE)
    if not path:
        if secret is None:
            raise ConfigurationError(f"{ENV_SECRET} is not set")
        return ENV_SECRET, read_secret(secret, ENV_SECRET)
    if secret is not None:
        raise ConfigurationError(
            f"Both {ENV_SECRET} and {ENV_FILE} are set; unset one of them"
        )
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib takes long to import
            raw = file.read(_MAX_SECRET_FILE + 1)
    except (OSError, ValueError) as error:
        # The path is not named: somebody may have put the secret itself there.
        raise ConfigurationError(
            f"The file of {ENV_FILE} cannot be read ({type(error).__name__}); the "
            "variable must hold the path of a file, not the secret"
        )
    if len(raw) > _MAX_SECRET_FILE:
        raise ConfigurationError(f"The file of {ENV_FILE} is too large for a secret")
    # Editors and `echo` end a file with a line break, which is no part of the secret.
    for end in (b"\r\n", b"\n"):
        if raw.endswith(end):
            raw = raw.removesuffix(end)
            break
    return ENV_FILE, read_secret(raw, f"The file of {ENV_FILE}")


def read_body(body: object, limit: int) -> bytes:
    """Return the raw bytes of *body*, without a copy when it is bytes already.

    Raises:
        BodyTooLargeError: It is larger than *limit*, in bytes.
        UnreadableBodyError: It is neither bytes-like nor text.
    """
    if type(body) is bytes:
        raw = body
    else:
        try:
            raw = _copy_body(body, limit)
        except BodyTooLargeError:
            raise
        except UnicodeEncodeError:
            raise UnreadableBodyError(
                "The body is text with lone surrogates; pass the raw bytes instead."
            )
        except Exception:  # __buffer__ and __len__ may raise anything
            raise UnreadableBodyError(
                f"The body is {type(body).__name__}, not bytes; pass the raw bytes as "
                "they arrived, since a parsed body cannot be turned back into them."
            )
    if len(raw) > limit:
        raise BodyTooLargeError(limit)
    return raw


def _copy_body(body: object, limit: int) -> bytes:
    if isinstance(body, str):
        # Never fewer bytes than characters, so this bounds the work.
        if len(body) > limit:
            raise BodyTooLargeError(limit)
        return str.encode(body, "utf-8")
    view = memoryview(cast("bytes", body))
    if view.nbytes > limit:
        raise BodyTooLargeError(limit)
    # A copy, so that nobody changes what was verified.
    return view.tobytes()


def is_instance(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Do what ``isinstance`` does, for objects that may raise."""
    try:
        return isinstance(value, kinds)
    except Exception:  # a lazy object looks itself up, and fails
        return False


def read_instant(value: object, label: str) -> float:
    """Return *value*, epoch seconds or an aware datetime, as epoch seconds.

    Raises:
        ConfigurationError: It is neither, is not finite, or is in milliseconds.
    """
    if type(value) is float and 0 < value < _FIRST_MILLISECONDS:  # what a clock says
        return value
    number = _to_number(value)
    if number is None:
        number = _from_datetime(value)
    if number is None:
        raise ConfigurationError(
            f"{label} must be seconds since the epoch, or an aware datetime"
        )
    # Written so that NaN fails; comparing does not overflow on a huge integer.
    if not -_FIRST_MILLISECONDS < number < _FIRST_MILLISECONDS:
        raise ConfigurationError(
            f"{label} must be finite and in seconds, not milliseconds"
        )
    return float(number)


def read_clock(clock: Callable[[], object]) -> float:
    """Return the time of a caller's *clock*, in seconds.

    Raises:
        ConfigurationError: It raised, or returned something else.
    """
    try:
        now = clock()
    except Exception as error:  # whatever a user's clock raises
        raise ConfigurationError(f"clock raised {type(error).__name__}")
    return read_instant(now, "clock")


def _to_number(value: object) -> float | None:
    """Return a plain number; None for all else, also for bools."""
    try:
        if isinstance(value, bool) or not isinstance(value, _NUMBER):
            return None
        # Converted, since a subclass may compare as it likes.
        return int(value) if isinstance(value, int) else float(value)
    except Exception:  # what only pretends to be a number
        return None


def _from_datetime(value: object) -> float | None:
    """Return the seconds since the epoch of an aware datetime, else None."""
    from datetime import datetime

    try:
        if not isinstance(value, datetime) or value.utcoffset() is None:
            return None
        return value.timestamp()
    except Exception:  # whatever a foreign tzinfo raises
        return None


def require_seconds(
    name: str,
    value: object,
    *,
    positive: bool = False,
    most: float = _FIRST_MILLISECONDS,
    hint: str = "",
) -> float:
    """Return *value* if it is a finite number of seconds, zero or more.

    Args:
        name: The option.
        value: What was passed.
        positive: Refuse zero, too.
        most: The largest value, in seconds.
        hint: What to do instead of passing more than *most*.

    Raises:
        ConfigurationError: It is not such a number.
    """
    number = _to_number(value)
    if (
        number is None
        # NaN fails the comparison; so does what float() could not hold.
        or not 0 <= number < _FIRST_MILLISECONDS
        or (positive and number == 0)
    ):
        least = "greater than zero" if positive else "zero or more"
        raise ConfigurationError(
            f"{name} must be a number of seconds, {least} and less than 10**11"
        )
    if number > most:
        raise ConfigurationError(f"{name} must be at most {most:g} seconds; {hint}")
    return number


def require_size(name: str, value: object) -> int:
    """Return *value* if it is a whole number of bytes, one or more."""
    number = _to_number(value)
    if not isinstance(number, int) or number <= 0:
        raise ConfigurationError(
            f"{name} must be a whole number of bytes, greater than zero"
        )
    return number


def require_bool(name: str, value: object) -> None:
    """Refuse what is not True or False."""
    if not is_instance(value, bool):
        raise ConfigurationError(f"{name} must be True or False")


def require_text(name: str, value: object) -> None:
    """Refuse what cannot be encoded as UTF-8."""
    try:
        # By its own type's method, since a subclass may have another.
        str.encode(cast("str", value), "utf-8")
    except Exception:  # no text, or a lone surrogate
        raise ConfigurationError(f"{name} must be text without lone surrogates")


def require_function(name: str, value: object) -> None:
    """Refuse what cannot be called, or must be awaited."""
    if not callable(value):
        raise ConfigurationError(f"{name} must be callable")
    if _is_coroutine_function(value):
        raise ConfigurationError(f"{name} must be a function, not a coroutine function")


def _is_coroutine_function(value: Any) -> bool:
    """Tell whether calling *value* gives a coroutine, without importing inspect."""
    # A partial and an object with __call__ keep their code elsewhere.
    places = (value, getattr(value, "func", None), type(value).__call__)
    codes = (getattr(place, "__code__", None) for place in places)
    return any(getattr(code, "co_flags", 0) & _CO_COROUTINE for code in codes)
