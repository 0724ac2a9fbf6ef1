"""``manage.py clear_replay_claims``: delete expired claims and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from port_webhook.replay.django._store import DjangoReplayStore

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    """Delete expired claims and marks; run it from time to time, such as hourly."""

    help = "Removes the expired rows of port-webhook's replay store."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--database``, the alias of the database."""
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            help='The alias of the database; "default" if left out.',
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Delete the rows, and print how many there were."""
        removed = DjangoReplayStore(options["database"]).clear_expired()
        if options["verbosity"] > 0:
            self.stdout.write(f"Removed {removed} expired replay claims.")
