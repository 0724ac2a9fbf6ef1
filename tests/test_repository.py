"""What keeps the repository's own files in step with each other."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-28

### Added

- A thing.

## [1.1.0] - 2026-11-01

- Another.
"""


@pytest.fixture(scope="module")
def release_notes():
    spec = importlib.util.spec_from_file_location(
        "notes", ROOT / "release" / "notes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.notes


def test_the_notes_of_a_release_are_its_section(release_notes):
    assert release_notes("v1.2.0", "1.2.0", CHANGELOG) == "### Added\n\n- A thing."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "words"),
    [
        ("v1.2.0", "1.2.1", CHANGELOG, "The tag is v1.2.0"),
        ("1.2.0", "1.2.0", CHANGELOG, "The tag is 1.2.0"),
        ("v1.3.0", "1.3.0", CHANGELOG, "needs one section"),
        (
            "v1.2.0",
            "1.2.0",
            CHANGELOG.replace(" - 2026-11-28", ""),
            "needs one section",
        ),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("ed]\n", "ed]\n- New.\n"), "Unreleased"),
        ("v1.2.0", "1.2.0", CHANGELOG[: CHANGELOG.index("### A")], "needs one section"),
    ],
)
def test_a_tag_that_does_not_agree_is_refused(
    release_notes, tag, version, changelog, words
):
    with pytest.raises(ValueError, match=words):
        release_notes(tag, version, changelog)


def test_the_changelog_of_this_version_can_be_released(release_notes):
    # As it will be: the lines under Unreleased get the version and a date.
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = PROJECT["project"]["version"]
    if f"## [{version}]" not in text:
        heading = f"## [Unreleased]\n\n## [{version}] - 2026-11-28"
        text = text.replace("## [Unreleased]", heading)
    assert "### Added" in release_notes(f"v{version}", version, text)


def test_pre_commit_uses_the_versions_of_make_lint():
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    hooks = set(re.findall(r'additional_dependencies: \["(.+)"\]', text))
    hooks = {each for each in hooks if not each.startswith("pre-commit-hooks==")}
    assert hooks == set(PROJECT["dependency-groups"]["lint"])


@pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not beside the tests")
def test_each_action_is_pinned_to_one_commit():
    pins = {}
    for workflow in WORKFLOWS:
        for used in re.findall(r"uses: (.+)", workflow.read_text("utf-8")):
            found = re.fullmatch(r"([\w.-]+/[\w.-]+)\S*@([0-9a-f]{40}) # v[\d.]+", used)
            assert found, used
            assert (
                pins.setdefault(found[1], used.partition("@")[2])
                == (used.partition("@")[2])
            )
    assert len(pins) >= 5


@pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not beside the tests")
def test_each_supported_python_is_tested():
    classifiers = PROJECT["project"]["classifiers"]
    pythons = re.findall(r":: (3\.\d+)", "\n".join(classifiers))
    matrix = f"python-version: {pythons}".replace("'", '"')
    for name in ("ci.yml", "release.yml"):
        assert matrix in (ROOT / ".github" / "workflows" / name).read_text("utf-8")
