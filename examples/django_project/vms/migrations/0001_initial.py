"""The table of the machines."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create it."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Vm",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.SlugField(unique=True)),
                ("cpu", models.PositiveIntegerField()),
                ("owner", models.EmailField(max_length=254)),
            ],
        ),
    ]
