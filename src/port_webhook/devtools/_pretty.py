"""Show JSON on several lines without changing a token of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from port_webhook._json import require_json
from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pretty"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s"\[\]{},:]+')
_CLOSING = {"[": "]", "{": "}"}


def pretty(data: bytes) -> str | None:
    """Return strict JSON indented; None if *data* is something else.

    Parsed and printed again, it would have Python's numbers and escapes.
    """
    try:
        require_json(data)
    except PayloadError:
        return None
    return "".join(_indent(_TOKEN.findall(data.decode("utf-8"))))


def _indent(parts: list[str]) -> Iterator[str]:
    depth = 0
    previous = ""
    for part in parts:
        if part in "]}":
            depth -= 1
            if _CLOSING.get(previous) != part:
                yield "\n" + "  " * depth
        elif previous in _CLOSING or previous == ",":
            yield "\n" + "  " * depth
        if part in _CLOSING:
            depth += 1
        previous = part
        yield ": " if part == ":" else part
