"""Find the run id of a document (protocol, section 3)."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["find_run_id"]

# In the order of the contract; each is a chain of keys.
_PLACES: tuple[tuple[str, ...], ...] = (
    ("context", "runId"),
    ("context", "nodeRunId"),
    ("run", "id"),
    ("port_context", "runId"),
    ("port_context", "run_id"),
    ("payload", "context", "runId"),
    ("runId",),
    ("run_id",),
    ("RUN_ID",),
    ("port_run_id",),
)


def find_run_id(document: object) -> str | None:
    """Return the first documented run id of *document*, or None.

    Only text that is not empty counts.

    Args:
        document: Parsed JSON of any kind.
    """
    for place in _PLACES:
        found: Any = document
        for key in place:
            inner = cast("dict[str, Any]", found)
            found = inner.get(key) if isinstance(found, dict) else None
        if found and isinstance(found, str):
            return found
    return None
