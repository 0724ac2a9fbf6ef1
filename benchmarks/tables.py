"""Tables that print on a terminal and are written into a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table as RichTable

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Table:
    """One table; the first *left* columns hold text, the others figures."""

    title: str
    columns: tuple[str, ...]
    left: int = 1
    note: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        assert len(cells) == len(self.columns), cells
        self.rows.append(cells)

    def for_terminal(self) -> RichTable:
        table = RichTable(
            title=self.title, title_justify="left", caption=self.note or None
        )
        table.caption_justify = "left"
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number < self.left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> str:
        rules = ["---" if n < self.left else "--:" for n in range(len(self.columns))]
        lines = [f"**{self.title}**", ""]
        lines += [
            f"| {' | '.join(cells)} |" for cells in (self.columns, rules, *self.rows)
        ]
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines)


def write(page: Path, section: str, content: str) -> None:
    """Replace, in *page*, what stands between the markers of *section*.

    It begins with ``<!-- measured: SECTION -->`` and ends with ``<!-- /measured -->``.
    """
    marked = re.compile(
        rf"(<!-- measured: {section} -->\n).*?(<!-- /measured -->)", re.DOTALL
    )
    text, count = marked.subn(
        lambda found: f"{found[1]}\n{content}\n\n{found[2]}",
        page.read_text("utf-8"),
    )
    assert count == 1, f"{page} has no section {section}"
    page.write_text(text, "utf-8")
