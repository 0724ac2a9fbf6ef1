"""Django Ninja: an object for ``auth=``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ninja.errors import HttpError
from ninja.security.base import AuthBase

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import DeliveryError
from port_webhook.integration import require_verifier

from ._serving import authenticate, new_endpoint

if TYPE_CHECKING:
    from django.http import HttpRequest

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier

__all__ = ["PortWebhookNinjaAuth"]


class PortWebhookNinjaAuth(AuthBase):
    """Authenticate operations of Django Ninja by Port's signature.

    ``auth=PortWebhookNinjaAuth(verifier)`` makes ``request.auth`` the verified
    `Delivery`. A refused request gets Ninja's own shape of response, ``{"detail": …}``,
    and is never left to another ``auth``.

    Args:
        verifier: None reads the settings or the environment.

    Raises:
        ConfigurationError: The verifier has a replay store, or is none.
    """

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = "x-port-signature"

    @boundary
    def __init__(self, verifier: Verifier | None = None, /) -> None:
        super().__init__()
        if verifier is not None:
            require_verifier(verifier)
        self._endpoint = new_endpoint(verifier, synchronous=True, claims=False)

    @boundary
    def __call__(self, request: HttpRequest) -> Delivery:
        """Verify *request*; return its delivery.

        Raises:
            HttpError: The request is not verified.
            ConfigurationError: The verifier of the settings has a replay store.
        """
        try:
            return authenticate(self._endpoint, request)
        except DeliveryError as error:
            problem: dict[str, str] = json.loads(error.http_body)
            raise HttpError(error.http_status, *problem.values())
