"""Create the table of claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import migrations, models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """The first version of `ReplayClaim`."""

    initial: ClassVar[bool | None] = True

    operations: ClassVar[Sequence[Operation]] = [
        migrations.CreateModel(
            name="ReplayClaim",
            fields=[
                (
                    "key",
                    models.CharField(max_length=71, primary_key=True, serialize=False),
                ),
                ("owner", models.CharField(blank=True, max_length=71)),
                ("expires_at", models.BigIntegerField(db_index=True)),
            ],
            options={"verbose_name": "replay claim"},
        ),
    ]
