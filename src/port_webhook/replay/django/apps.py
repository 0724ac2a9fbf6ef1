"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ReplayConfig"]


class ReplayConfig(AppConfig):
    """The app ``port_webhook.replay.django``."""

    name = "port_webhook.replay.django"
    # The last part of the name would be "django".
    label = "port_webhook_replay"
