"""The options of the clients, read and checked."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable  # noqa: TC003  # read at run time
from logging import INFO, Logger
from typing import Literal, Protocol, TypedDict, cast
from urllib.parse import urlsplit

import httpx2

from port_webhook._placeholders import is_placeholder
from port_webhook.exceptions import ConfigurationError
from port_webhook.reporting._requests import is_identifier

__all__ = [
    "AsyncClientOptions",
    "ClientOptions",
    "HasRunId",
    "Region",
    "Settings",
    "make_timeout",
    "read_credentials",
    "read_environment",
    "read_run_id",
    "read_settings",
]

Region = Literal["eu", "us"]

_BASE_URLS = {"eu": "https://api.port.io", "us": "https://api.us.port.io"}
_ENV_ID = "PORT_CLIENT_ID"
_ENV_SECRET = "PORT_CLIENT_SECRET"  # the name of a variable
_ENV_FILE = f"{_ENV_SECRET}_FILE"
_MAX_SECRET_FILE = 65_536


class HasRunId(Protocol):
    """Any object that has a run id, such as a `port_webhook.Delivery` or a model."""

    @property
    def run_id(self) -> str | None:
        """The run, or None if there is none."""
        ...


class _Options(TypedDict, total=False):
    region: Region
    base_url: str | None
    timeout: float
    attempts: int
    max_wait: float
    error_text: bool
    logger: str | Logger | None
    level: int
    clock: Callable[[], float]


class ClientOptions(_Options, total=False):
    """The keyword options of a `PortClient`."""

    http_client: httpx2.Client | None
    sleep: Callable[[float], object]


class AsyncClientOptions(_Options, total=False):
    """The keyword options of an `AsyncPortClient`."""

    http_client: httpx2.AsyncClient | None
    sleep: Callable[[float], Awaitable[object]]


class Settings:
    """The options that both clients have, checked.

    Attributes:
        base_url: The address of Port's API, without a slash at the end.
        timeout: For each step of a request, in seconds.
        attempts: The largest number of attempts of a request.
        max_wait: The longest that one call waits between its attempts, all waits
            together, in seconds.
        error_text: Whether summaries of failures hold the text of the exception.
        logger: The logger whose records a report sends to the run's log.
        level: The lowest level that is sent.
        clock: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float,
        attempts: int,
        max_wait: float,
        error_text: bool,  # noqa: FBT001  # built in one place
        logger: str | Logger | None,
        level: int,
        clock: Callable[[], float],
    ) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.attempts = attempts
        self.max_wait = max_wait
        self.error_text = error_text
        self.logger = logger
        self.level = level
        self.clock = clock


def read_settings(options: _Options, default_clock: Callable[[], float]) -> Settings:
    """Check *options*.

    Raises:
        ConfigurationError: One of them is not valid.
    """
    known = AsyncClientOptions.__annotations__
    if unknown := sorted(options.keys() - known.keys()):
        raise ConfigurationError(f"There is no option {unknown[0]}")
    region = options.get("region", "eu")
    if region not in _BASE_URLS:
        raise ConfigurationError('region must be "eu" or "us"')
    attempts: object = options.get("attempts", 5)
    if not isinstance(attempts, int) or attempts < 1:
        raise ConfigurationError("attempts must be a whole number, 1 or more")
    clock = options.get("clock", default_clock)
    if not callable(clock):
        raise ConfigurationError("clock must be a function")
    return Settings(
        _read_base_url(options.get("base_url"), _BASE_URLS[region]),
        _read_seconds("timeout", options.get("timeout", 10.0)),
        int(attempts),
        _read_seconds("max_wait", options.get("max_wait", 60.0)),
        bool(options.get("error_text", False)),
        options.get("logger"),
        options.get("level", INFO),
        clock,
    )


def make_timeout(seconds: float) -> httpx2.Timeout:
    """Return the timeouts of a client; for a free connection it waits without one."""
    return httpx2.Timeout(seconds, pool=None)


def read_credentials(client_id: object, client_secret: object) -> tuple[str, str]:
    """Return both as text; the secret may be a ``SecretStr`` or bytes.

    Raises:
        ConfigurationError: One is empty, no text, or damaged.
    """
    return _read_credential("client_id", client_id), _read_credential(
        "client_secret", client_secret
    )


def read_environment(options: _Options) -> tuple[str, str]:
    """Return the client id and the secret; fill in *options* that are not given.

    Raises:
        ConfigurationError: One of the first two is not set, or the secret is twice.
    """
    client_id = os.environ.get(_ENV_ID)
    if not client_id:
        raise ConfigurationError(f"{_ENV_ID} is not set")
    region, base_url = os.environ.get("PORT_REGION"), os.environ.get("PORT_BASE_URL")
    if base_url and "region" not in options:
        options.setdefault("base_url", base_url)
    if region:
        options.setdefault("region", cast("Region", region.lower()))
    return client_id, _read_secret()


def read_run_id(target: object) -> str | None:
    """Return *target* if it is a run id, or its ``run_id``.

    Raises:
        ConfigurationError: It is no text and has no ``run_id``.
    """
    if target is None or isinstance(target, str):
        return _usable(target)
    try:
        found: object = cast("HasRunId", target).run_id
    except AttributeError:
        raise ConfigurationError(
            "report() takes a run id, or an object that has one, such as a Delivery"
        )
    if found is not None and not isinstance(found, str):
        raise ConfigurationError("run_id must be text")
    return _usable(found)


def _usable(run_id: str | None) -> str | None:
    # Port makes no such id, and it could be taken for another one.
    return run_id if run_id is not None and is_identifier(run_id) else None


def _read_secret() -> str:
    secret = os.environ.get(_ENV_SECRET)
    path = os.environ.get(_ENV_FILE)
    if not path:
        if not secret:
            raise ConfigurationError(f"{_ENV_SECRET} is not set")
        return secret
    if secret is not None:
        raise ConfigurationError(
            f"Both {_ENV_SECRET} and {_ENV_FILE} are set; unset one of them"
        )
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  # a NUL in a path raises here
            return file.read(_MAX_SECRET_FILE).removesuffix("\n")
    except (OSError, ValueError) as error:
        # The path is not named: somebody may have put the secret itself there.
        problem = f"cannot be read ({type(error).__name__}); it holds a path"
        raise ConfigurationError(f"The file of {_ENV_FILE} {problem}")


def _read_credential(name: str, value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        value = reveal()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    if not value or value != value.strip() or not value.isprintable():
        raise ConfigurationError(
            f"{name} is empty, has white space around it, or an invisible character"
        )
    if is_placeholder(value):
        raise ConfigurationError(
            f"{name} looks like a placeholder that was never filled in"
        )
    return value


def _read_base_url(value: object, default: str) -> str:
    if value is None:
        return default
    try:
        url = urlsplit(cast("str", value))
        is_valid = url.scheme in ("http", "https") and bool(url.hostname)
        is_valid = is_valid and not (url.username or url.query or url.fragment)
    except (ValueError, AttributeError, TypeError):
        is_valid = False
    if not isinstance(value, str) or not is_valid:
        raise ConfigurationError(
            "base_url must be an http or https URL without user, query and fragment"
        )
    return value.rstrip("/")


def _read_seconds(name: str, value: object) -> float:
    # NaN fails the comparison.
    if not _is_number(value) or not 0 <= cast("float", value) < float("inf"):
        raise ConfigurationError(f"{name} must be a number of seconds, zero or more")
    return cast("float", value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
