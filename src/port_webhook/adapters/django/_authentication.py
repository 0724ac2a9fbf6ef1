"""An authentication class of Django REST framework."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException

from port_webhook.exceptions import ConfigurationError, DeliveryError
from port_webhook.integration import handle

from ._body import read_body
from ._views import (
    existing,
    new_endpoint,
    plain,
    remember,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request

    from port_webhook._delivery import Delivery
    from port_webhook._verifier import Verifier


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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a verifier with a replay store.

        Raises:
            ConfigurationError: The verifier has one, or is none.
        """
        super().__init_subclass__(**kwargs)
        if cls.verifier is not None and not callable(cls.verifier):
            # Refuses what is no verifier either.
            new_endpoint(cls.verifier, None, synchronous=False)
            _refuse_store(cls.verifier)

    def authenticate(self, request: Request) -> tuple[Any, Any]:
        """Verify *request*; return its user and its delivery.

        Raises:
            APIException: The request is not verified; its status is 401, 400 or 413.
            ConfigurationError: The verifier has a replay store.
        """
        http = plain(request)
        endpoint = new_endpoint(self.verifier, None, synchronous=False)
        verifier = endpoint.verifier_for(http)
        _refuse_store(verifier)

        def run(delivery: Delivery) -> Delivery:
            remember(http, delivery)
            return delivery

        outcome = handle(
            verifier,
            http.headers,
            existing=existing(http),
            read=partial(read_body, http),
            run=run,
            status_of=lambda _: None,
        )
        if isinstance(outcome, DeliveryError):
            raise _Refusal(outcome)
        return PortSender(), outcome

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge: without one, a 401 would become a 403."""
        del request
        return "PortWebhook"


class _Refusal(APIException):
    """The answer of a `DeliveryError`.

    Not AuthenticationFailed: its status and challenge depend on which authentication
    class of the view comes first.
    """

    def __init__(self, error: DeliveryError) -> None:
        super().__init__(json.loads(error.http_body), error.code)
        self.status_code = error.http_status
        self.auth_header = error.http_headers.get("WWW-Authenticate")


def _refuse_store(verifier: Verifier) -> None:
    if verifier.has_replay_store:
        msg = (
            "An authentication class is done before the view runs, so that it cannot "
            "tell how that ends: with a replay store, use PortWebhookMixin"
        )
        raise ConfigurationError(msg)
