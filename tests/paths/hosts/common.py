"""What the two hosts of applications share: variants, guards and a counter.

A host serves every framework in one process, because the start of a server takes
longer than all its requests. The headers of a request choose.
"""

from __future__ import annotations

from typing import Any

from port_webhook import Verifier

VIEW = "/disk"  # of its letters, i, s and k have cases beyond ASCII
OPEN = "/health"
ROOT = "/app"
OWN = "/own"
MOUNT = "/mnt"
VERIFIER = Verifier("the-client-secret-of-the-paths-under-test")
GUARDS: dict[str, Any] = {
    "none": None,
    "paths": {"paths": [VIEW]},
    "exclude": {"exclude": [OPEN, ROOT + OPEN]},
}
COUNT = {"ran": 0}


def ran() -> str:
    """Count that the protected view ran: its first line."""
    COUNT["ran"] += 1
    return "ran"


def settle_django(own: str) -> None:
    """Set Django up once, or set the root path that it takes off itself."""
    from django.conf import settings

    if not settings.configured:
        import django

        settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="hosts.django_urls",
            SECRET_KEY="not-a-secret",
        )
        django.setup()
    settings.FORCE_SCRIPT_NAME = own or None
