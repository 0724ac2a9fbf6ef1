"""Check that a tag, the version and the changelog agree; print that version's changes.

`make notes TAG=v1.2.3` runs this before anything is published.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(tag: str, version: str, changelog: str) -> str:
    """Return the section of *version* in *changelog*.

    Args:
        tag: The tag that is released.
        version: The version in pyproject.toml.
        changelog: The text of CHANGELOG.md.

    Raises:
        ValueError: The tag names another version, the section is missing, has no date
            or is empty, or something is left under *Unreleased*.
    """
    if tag != f"v{version}":
        raise ValueError(
            f"The tag is {tag}, the version in pyproject.toml is {version}."
        )
    sections: dict[str, str] = {}
    for section in re.split(r"(?m)^## ", changelog)[1:]:
        heading, _, text = section.partition("\n")
        sections[heading.strip()] = text.strip()
    if sections.get("[Unreleased]"):
        raise ValueError("CHANGELOG.md has changes under Unreleased.")
    heading = rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d"
    found = [text for name, text in sections.items() if re.fullmatch(heading, name)]
    if len(found) != 1 or not found[0]:
        raise ValueError(f"CHANGELOG.md needs one section ## [{version}] - YYYY-MM-DD.")
    return found[0]


def main() -> None:
    """Print the notes of the tag that is the one argument."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    try:
        print(notes(sys.argv[1], project["version"], changelog))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
