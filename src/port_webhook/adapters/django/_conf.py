"""The verifier that the settings describe.

``PORT_WEBHOOK`` holds the options of `Verifier` by their names, in either case;
without a secret in it, ``PORT_CLIENT_SECRET`` is the secret, and without that setting
the environment is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from threading import Lock
from typing import Any, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from port_webhook._tracebacks import boundary
from port_webhook._verifier import Verifier, set_source
from port_webhook.exceptions import ConfigurationError

__all__ = ["OPTIONS", "SECRET", "build_verifier", "default", "default_verifier"]

OPTIONS = "PORT_WEBHOOK"
SECRET = "PORT_CLIENT_SECRET"  # the name of the setting

_KNOWN = frozenset(signature(Verifier).parameters)
# These may be dotted paths, because settings load before the objects can be imported.
_IMPORTED = ("replay_store", "clock", "on_verified", "on_rejected")


class _Default:
    """The verifier, once it was built, and whether any view relies on it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.verifier: Verifier | None = None
        self.is_used = False


default = _Default()


@boundary
def default_verifier() -> Verifier:
    """Return the verifier that the settings describe; the same one each time.

    Raises:
        ConfigurationError: The secret or an option is missing or not valid.
    """
    # Locked, because two verifiers could have two replay stores.
    with default.lock:
        if default.verifier is None:
            default.verifier = build_verifier()
        return default.verifier


def build_verifier() -> Verifier:
    """Build the verifier from what is in the settings and the environment by now."""
    options = _read_options()
    if "secret" in options:
        source = OPTIONS
    elif hasattr(settings, SECRET):
        source = SECRET
        options["secret"] = getattr(settings, SECRET)
    elif "previous_secrets" in options:
        raise ConfigurationError(f"{OPTIONS} gives previous_secrets, but no secret")
    else:
        return Verifier.from_env(**options)
    verifier = Verifier(**options)
    set_source(verifier, f"the setting {source}")
    return verifier


def _read_options() -> dict[str, Any]:
    given = getattr(settings, OPTIONS, {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{OPTIONS} must be a dictionary")
    given = cast("Mapping[object, Any]", given)
    options: dict[str, Any] = {str(key).lower(): given[key] for key in given}
    unknown = sorted(options.keys() - _KNOWN)
    if unknown:
        raise ConfigurationError(f"{OPTIONS} has no option {', '.join(unknown)}")
    if len(options) < len(given):
        raise ConfigurationError(f"{OPTIONS} gives an option twice")
    for name in _IMPORTED:
        if isinstance(options.get(name), str):
            options[name] = _import(name, options[name])
    return options


def _import(name: str, path: str) -> Any:
    """Return what *path* leads to; a store's class or factory is called."""
    try:
        found = import_string(path)
        return found() if name == "replay_store" and callable(found) else found
    except ConfigurationError:
        raise
    except Exception as error:  # whatever the user's module raises
        problem = f"cannot be loaded from {path} ({type(error).__name__})"
        raise ConfigurationError(f"{OPTIONS}: {name} {problem}")


def _forget(*, setting: str, **_: object) -> None:
    """Read the settings anew after a test has changed them."""
    if setting in {OPTIONS, SECRET}:
        default.verifier = None


setting_changed.connect(_forget)
