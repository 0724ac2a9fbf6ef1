"""Django: ``@webhook`` gives a view the verified `Delivery`, after the request.

::

    @webhook(verifier)
    def create_vm(request: HttpRequest, delivery: Delivery) -> HttpResponse: ...

    class CreateVM(PortWebhookMixin, View): ...        # self.delivery

The delivery is also ``request.port_delivery``. Without a verifier, the settings are
read: ``PORT_WEBHOOK`` or ``PORT_CLIENT_SECRET``, else the environment. As an app in
``INSTALLED_APPS`` this package checks them at start-up.

`PortWebhookAuthentication` is for the REST framework, and loaded when it is first
asked for (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook.exceptions import ConfigurationError

from ._conf import default_verifier
from ._views import PortWebhookMixin, webhook

if TYPE_CHECKING:
    from ._authentication import PortWebhookAuthentication

__all__ = [
    "PortWebhookAuthentication",
    "PortWebhookMixin",
    "default_verifier",
    "webhook",
]


def __getattr__(name: str) -> object:
    if name != "PortWebhookAuthentication":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        from ._authentication import (
            PortWebhookAuthentication,
        )
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("rest_framework"):
            raise
    else:
        return PortWebhookAuthentication
    msg = "PortWebhookAuthentication needs Django REST framework: djangorestframework"
    raise ConfigurationError(msg)
