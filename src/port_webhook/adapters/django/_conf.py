"""The verifier that the settings describe, and the system check of them.

``PORT_WEBHOOK`` holds the options of `Verifier` by their names, in either case;
without a secret in it, ``PORT_CLIENT_SECRET`` is the secret, and without that setting
the environment is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from port_webhook._verifier import Verifier
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.apps import AppConfig
    from django.core.checks import CheckMessage

OPTIONS = "PORT_WEBHOOK"
SECRET = "PORT_CLIENT_SECRET"  # noqa: S105  # the name of the setting

_KNOWN = frozenset(signature(Verifier).parameters)
# The settings are read before these can be imported, so that their paths will do.
_IMPORTED = ("replay_store", "clock", "on_verified", "on_rejected")


class _Default:
    """The verifier, once it was built, and whether any view relies on it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.verifier: Verifier | None = None
        self.is_used = False


_default = _Default()


def default_verifier(_: object = None) -> Verifier:
    """Return the verifier that the settings describe; the same one each time.

    Raises:
        ConfigurationError: The secret or an option is missing or not valid.
    """
    # Locked, because two verifiers could have two replay stores.
    with _default.lock:
        built = _default.verifier or _build()
        if isinstance(built, Verifier):
            _default.verifier = built
            return built
    raise built


def use_default() -> None:
    """Let the system check report what is wrong with the settings."""
    _default.is_used = True


def _build() -> Verifier | ConfigurationError:
    given = getattr(settings, OPTIONS, {})
    if not isinstance(given, Mapping):
        return ConfigurationError(f"{OPTIONS} must be a dictionary")
    given = cast("Mapping[object, Any]", given)
    options: dict[str, Any] = {str(key).lower(): given[key] for key in given}
    unknown = sorted(options.keys() - _KNOWN)
    if unknown:
        return ConfigurationError(f"{OPTIONS} has no option {', '.join(unknown)}")
    if len(options) < len(given):
        return ConfigurationError(f"{OPTIONS} gives an option twice")
    failure = _import(options)
    if failure is not None:
        return failure
    if "secret" not in options and hasattr(settings, SECRET):
        options["secret"] = getattr(settings, SECRET)
    if "secret" not in options and "previous_secrets" in options:
        return ConfigurationError(f"{OPTIONS} gives previous_secrets, but no secret")
    try:
        if "secret" in options:
            return Verifier(**options)
        return Verifier.from_env(**options)
    except ConfigurationError as error:
        # The traceback starts anew where the secrets are no locals.
        return error.with_traceback(None)


def _import(options: dict[str, Any]) -> ConfigurationError | None:
    """Put what they name in the place of dotted paths; a store's factory is called."""
    for name in _IMPORTED:
        path = options.get(name)
        if not isinstance(path, str):
            continue
        try:
            options[name] = import_string(path)
            if name == "replay_store" and callable(options[name]):
                options[name] = options[name]()
        except ConfigurationError as error:
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001  # whatever the user's module raises
            problem = f"cannot be loaded from {path} ({type(error).__name__})"
            return ConfigurationError(f"{OPTIONS}: {name} {problem}")
    return None


@register(Tags.security)
def check_settings(
    app_configs: Sequence[AppConfig] | None, **_: object
) -> list[CheckMessage]:
    """Report a secret that is missing or malformed, where the settings are used."""
    del app_configs  # the settings belong to no app
    if not (
        _default.is_used
        or apps.is_installed("port_webhook.adapters.django")
        or any(hasattr(settings, name) for name in (OPTIONS, SECRET))
    ):
        return []
    # Built anew: what stands in the settings and in the environment by now is asked.
    built = _build()
    if isinstance(built, Verifier):
        return []
    hint = f"Set {OPTIONS} or {SECRET}, or {SECRET} in the environment."
    return [Error(str(built), hint=hint, id="port_webhook.E001")]


def _forget(*, setting: str, **_: object) -> None:
    """Read the settings anew after a test has changed them."""
    if setting in {OPTIONS, SECRET}:
        _default.verifier = None


setting_changed.connect(_forget)
