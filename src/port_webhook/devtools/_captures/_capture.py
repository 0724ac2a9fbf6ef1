"""The delivery in a capture."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Capture", "CaptureError", "Pairs"]

Pairs = list[tuple[str, str]]


class CaptureError(Exception):
    """A file is not the capture that it should be; the message says why."""


class Capture(NamedTuple):
    """A delivery, as a tool saved it.

    Attributes:
        body: The bytes of the body.
        headers: All headers, in the order in which they came.
        kafka: It is the message of a Kafka topic.
        received_at: When it arrived, in seconds since the epoch, if the tool says so.
        note: What a user should know of how the body was read.
    """

    body: bytes
    headers: Pairs
    kafka: bool = False
    received_at: float | None = None
    note: str | None = None
