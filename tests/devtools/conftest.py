"""What the tests of the command share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def _kept_level():
    """Undo what the command does to the logger, for it may run in this process."""
    logger = logging.getLogger("port_webhook")
    level = logger.level
    yield
    logger.setLevel(level)
