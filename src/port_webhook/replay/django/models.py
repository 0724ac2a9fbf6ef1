"""The table of the replay store."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models

from port_webhook.replay._values import MAX_NAME

if TYPE_CHECKING:
    from django.db.models.manager import Manager

__all__ = ["ReplayClaim"]


class ReplayClaim(models.Model):
    """A signed request that is being handled, or was handled.

    Attributes:
        key: The signed request.
        owner: The owner of the claim; empty once the request was handled.
        expires_at: When the row expires, in milliseconds since the epoch: a number,
            so that neither ``USE_TZ`` nor the database's time zone matters.
    """

    key: models.CharField[str, str] = models.CharField(
        max_length=MAX_NAME, primary_key=True
    )
    owner: models.CharField[str, str] = models.CharField(
        max_length=MAX_NAME, blank=True
    )
    expires_at: models.BigIntegerField[int, int] = models.BigIntegerField(db_index=True)

    if TYPE_CHECKING:
        objects: ClassVar[Manager[ReplayClaim]]

    class Meta:
        """Names the model in full, since another app may have claims too."""

        verbose_name = "replay claim"

    def __str__(self) -> str:
        return self.key
