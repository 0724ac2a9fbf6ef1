"""The machines, as this service knows them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Vm(models.Model):
    """A machine, and who created it."""

    name: models.SlugField[str, str] = models.SlugField(unique=True)
    cpu: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    owner: models.EmailField[str, str] = models.EmailField()

    objects: ClassVar[models.Manager[Vm]] = models.Manager()

    def __str__(self) -> str:
        return str(self.name)
