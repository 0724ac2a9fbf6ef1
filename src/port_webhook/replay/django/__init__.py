"""A replay store in the database of a Django project, and the app that it needs.

::

    INSTALLED_APPS = [..., "port_webhook.replay.django"]

    from port_webhook.replay.django import DjangoReplayStore

The name is resolved on first use (PEP 562): Django imports this package before models
can be imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from port_webhook.replay.django._store import DjangoReplayStore

__all__ = ["DjangoReplayStore"]


def __getattr__(name: str) -> object:
    if name == "DjangoReplayStore":
        from port_webhook.replay.django._store import DjangoReplayStore

        return DjangoReplayStore
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
