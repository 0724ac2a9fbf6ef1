"""Find the modules that atheris is to leave alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["others"]


def others(wanted: Iterable[str]) -> list[str]:
    """Return all modules of the packages of *wanted* but these and what is in them.

    Atheris instruments whole packages: of a dotted name it takes the first part.
    """
    wanted = tuple(wanted)
    found: list[str] = []
    for package in {name.partition(".")[0] for name in wanted}:
        spec = find_spec(package)
        locations = spec.submodule_search_locations if spec is not None else None
        for location in locations or ():
            root = Path(location)
            for file in sorted(root.rglob("*.py")):
                parts = (package, *file.relative_to(root).with_suffix("").parts)
                found.append(".".join(parts).removesuffix(".__init__"))
    return [
        name
        for name in found
        if not any(name == each or name.startswith(f"{each}.") for each in wanted)
    ]
