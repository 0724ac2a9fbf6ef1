"""The one table of the replay store."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models

from port_webhook.replay._values import MAX_NAME

if TYPE_CHECKING:
    from django.db.models.manager import Manager


class ReplayClaim(models.Model):
    """A signed request that is being handled, or was.

    Attributes:
        key: The signed request.
        owner: Who handles it; empty once it was handled.
        expires_at: When the row stops to count, in milliseconds since the epoch. A
            number, so that neither ``USE_TZ`` nor a database's idea of time matters.
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
        """Named in full, because another app may have claims as well."""

        verbose_name = "replay claim"

    def __str__(self) -> str:
        return self.key
