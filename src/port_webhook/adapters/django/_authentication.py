"""An authentication class of Django REST framework."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import DeliveryError

from ._serving import authenticate, new_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request

    from port_webhook._verifier import Verifier

__all__ = ["PortSender", "PortWebhookAuthentication"]


class PortSender:
    """The ``request.user`` of a verified delivery: nobody in the database.

    It counts as authenticated, so that ``IsAuthenticated`` lets it pass.
    """

    pk = id = None
    username = "port"
    is_active = is_authenticated = True
    is_anonymous = is_staff = is_superuser = False

    def __str__(self) -> str:
        return self.username


class PortWebhookAuthentication(BaseAuthentication):
    """Authenticate requests of the REST framework by Port's signature.

    ``request.auth`` is the verified `Delivery`, ``request.user`` a `PortSender`. A
    request without a valid signature is always refused, never left to another class.

    Attributes:
        verifier: Set it in a subclass: a `Verifier`, or a method that takes the
            request and returns one. None reads the settings or the environment.
    """

    verifier: Verifier | Callable[..., Verifier] | None = None

    @boundary
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a verifier with a replay store, and a method that must be awaited.

        Raises:
            ConfigurationError: The verifier has a store, or is none.
        """
        super().__init_subclass__(**kwargs)
        new_endpoint(cls.verifier, synchronous=True, claims=False)

    @boundary
    def authenticate(self, request: Request) -> tuple[Any, Any]:
        """Verify *request*; return its user and its delivery.

        Raises:
            APIException: The request is not verified; its status is 400, 401, 405,
                413 or 415.
            ConfigurationError: The verifier has a replay store.
        """
        endpoint = new_endpoint(self.verifier, synchronous=True, claims=False)
        try:
            return PortSender(), authenticate(endpoint, request)
        except DeliveryError as error:
            raise _Refusal(error)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge: without one, a 401 would become a 403."""
        del request
        return "PortWebhook"


class _Refusal(APIException):
    """The response of a `DeliveryError`.

    Not AuthenticationFailed: its status and challenge depend on which authentication
    class of the view comes first.
    """

    def __init__(self, error: DeliveryError) -> None:
        super().__init__(json.loads(error.http_body), error.code)
        self.status_code = error.http_status
        self.auth_header = error.http_headers.get("WWW-Authenticate")
