"""The app's name and label."""

from __future__ import annotations

from django.apps import AppConfig


class PortWebhookConfig(AppConfig):
    """The app ``port_webhook.adapters.django``, which has no models."""

    name = "port_webhook.adapters.django"
    # The last part of the name would be "django".
    label = "port_webhook"
