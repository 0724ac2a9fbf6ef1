"""One module for each command; a new one is added to ``COMMANDS``."""

from __future__ import annotations

from port_webhook.devtools._commands._registry import COMMANDS

__all__ = ["COMMANDS"]
