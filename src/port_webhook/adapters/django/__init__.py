"""Django: ``@webhook`` gives a view the verified `Delivery`, after the request.

::

    @webhook(verifier)
    def create_vm(request: HttpRequest, delivery: Delivery) -> HttpResponse: ...

    class CreateVM(PortWebhookMixin, View): ...        # self.delivery

The delivery is also ``request.port_delivery``. Without a verifier, the settings are
read: ``PORT_WEBHOOK`` or ``PORT_CLIENT_SECRET``, else the environment. As an app in
``INSTALLED_APPS`` this package checks them at start-up.

`PortWebhookAuthentication` is for the REST framework and `PortWebhookNinjaAuth` for
Django Ninja; both are loaded when they are first asked for (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from port_webhook.exceptions import ConfigurationError

from ._conf import default_verifier
from ._views import PortWebhookMixin, webhook

if TYPE_CHECKING:
    from ._authentication import PortWebhookAuthentication
    from ._ninja import PortWebhookNinjaAuth

__all__ = [
    "PortWebhookAuthentication",
    "PortWebhookMixin",
    "PortWebhookNinjaAuth",
    "default_verifier",
    "webhook",
]

# The module of each name that needs another package, that package, and its project.
_LAZY = {
    "PortWebhookAuthentication": (
        "_authentication",
        "rest_framework",
        "djangorestframework",
    ),
    "PortWebhookNinjaAuth": ("_ninja", "ninja", "django-ninja"),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, package, project = _LAZY[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
    raise ConfigurationError(f"{name} needs {project}, which is not installed")
