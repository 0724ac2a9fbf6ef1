"""Blocks of the how-to guides that change a process too much to run in pytest's own."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def block(page, heading, language="py"):
    """Return the first block in *language* below *heading*."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, heading
    match = re.search(rf"(?ms)^```{language}\n(.*?)^```$", rest)
    assert match is not None
    return match[1]
