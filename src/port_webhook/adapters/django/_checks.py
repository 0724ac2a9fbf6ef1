"""System checks: the settings, and decorated classes that cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Tags, register
from django.urls import URLPattern, get_resolver

from port_webhook.exceptions import ConfigurationError

from ._conf import (
    OPTIONS,
    SECRET,
    build_verifier,
    default,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.apps import AppConfig
    from django.core.checks import CheckMessage
    from django.urls import URLResolver

__all__ = ["CLASS_HINT", "MARK", "check_classes", "check_settings"]

# The attribute of a decorated view that makes its endpoint anew.
MARK = "_port_webhook_endpoint"
CLASS_HINT = (
    'write @method_decorator(webhook(...), name="dispatch") above the class, or '
    "derive it from PortWebhookMixin"
)

_CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@register(Tags.security)
def check_settings(
    app_configs: Sequence[AppConfig] | None, **_: object
) -> list[CheckMessage]:
    """Report a secret that is missing or malformed, where the settings are used."""
    del app_configs  # the settings belong to no app
    if not (
        default.is_used
        or apps.is_installed("port_webhook.adapters.django")
        or any(hasattr(settings, name) for name in (OPTIONS, SECRET))
    ):
        return []
    try:
        # Built anew: what is in the settings and in the environment by now counts.
        build_verifier()
    except ConfigurationError as error:
        hint = f"Set {SECRET} in the environment, or the setting {SECRET} or {OPTIONS}."
        return [Error(str(error), hint=hint, id="port_webhook.E001")]
    return []


@register(Tags.urls)
def check_classes(
    app_configs: Sequence[AppConfig] | None, **_: object
) -> list[CheckMessage]:
    """Report class-based views that `method_decorator` decorates in vain.

    When it decorates, neither the class nor the name of the method is known.
    """
    del app_configs  # the URL configuration belongs to no app
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    views = dict.fromkeys(_views(get_resolver().url_patterns))
    return [error for view in views for error in _check_class(view)]


def _views(patterns: Iterable[Any]) -> Iterator[Callable[..., Any]]:
    """Yield the views of the URL configuration, included ones too."""
    found: list[URLPattern | URLResolver] = [*patterns]
    while found:
        each = found.pop()
        if isinstance(each, URLPattern):
            yield each.callback
        else:
            found += each.url_patterns


def _check_class(view: Any) -> Iterator[CheckMessage]:
    owner = getattr(view, "view_class", None)
    if owner is None:
        return
    if not getattr(view, "csrf_exempt", False) and _CSRF in settings.MIDDLEWARE:
        for name in owner.http_method_names:
            if MARK in getattr(getattr(owner, name, None), "__dict__", {}):
                problem = (
                    f"{owner.__name__}.{name} is decorated with webhook, but Django "
                    "refuses what Port sends to it: it looks for the exemption from "
                    "CSRF protection on dispatch only."
                )
                hint = f"Instead, {CLASS_HINT}."
                yield Error(problem, hint=hint, obj=owner, id="port_webhook.E002")
    renew: Any = getattr(view, MARK, None)
    if renew is not None:
        try:
            renew(synchronous=not owner.view_is_async)
        except ConfigurationError as error:
            yield Error(str(error), obj=owner, id="port_webhook.E003")
