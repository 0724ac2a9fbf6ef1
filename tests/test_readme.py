"""README.md: its handler, its links and pictures, and what a package page shows."""

from __future__ import annotations

import html
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from port_webhook.testing import action_invocation, sign_request
from tests.reporting.port_api import CLIENT_ID, CLIENT_SECRET, PortApi

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
LINK = re.compile(r"\]\(([^)]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```$")


def links(text):
    """Return where links and pictures lead, outside blocks of code."""
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    return [first or second for first, second in LINK.findall(prose)]


def anchors(path):
    headings = re.findall(r"(?m)^#+ (.*)$", path.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.fixture(scope="module")
def description():
    """Return the long description, built as for a release."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    pytest.importorskip(
        "hatch_fancy_pypi_readme", reason="hatch-fancy-pypi-readme is not installed"
    )
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    metadata = ProjectMetadata(str(ROOT), PluginManager())
    assert metadata.core.readme_content_type == "text/markdown"
    return metadata.core.readme


def test_the_first_handler_reads_the_inputs_and_reports_success(monkeypatch):
    api = PortApi()
    monkeypatch.setenv("PORT_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("PORT_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("PORT_BASE_URL", api.url)
    namespace: dict[str, Any] = {"__name__": "app"}
    try:
        exec(BLOCK.findall(README)[0], namespace)  # noqa: S102  # as a reader saves it
        run_id = api.add_run("r_1")
        document = action_invocation(run_id=run_id, properties={"cpu": 2})
        body, headers = sign_request(document, CLIENT_SECRET)
        client = namespace["app"].test_client()
        answer = client.post("/port", data=body, headers=headers)
        assert (answer.status_code, answer.json) == (200, {"created": "r_1"})
        assert api.log_of("r_1") == ["creating a machine with 2 CPUs"]
        assert api.runs["r_1"]["status"] == "SUCCESS"
        namespace["port"].close()
    finally:
        api.close()


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "examples").rglob("README.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_relative_link_leads_somewhere(page):
    for each in links(page.read_text("utf-8")):
        if not each.startswith("https://"):
            path, _, anchor = each.partition("#")
            assert (page.parent / path).is_file(), each
            assert not anchor or anchor in anchors(page.parent / path), each


def test_the_pictures_are_there_in_light_and_in_dark():
    dark = set(re.findall(r'srcset="([^"]+)-dark\.\w+"', README))
    light = set(re.findall(r'src="([^"]+)-light\.\w+"', README))
    assert dark == light
    assert len(dark) == 2


def test_the_picture_of_the_demo_shows_what_the_demo_does():
    pytest.importorskip("rich", reason="rich is not installed")
    demo = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    for scheme in ("light", "dark"):
        drawn = ROOT / "docs" / "_static" / f"demo-{scheme}.svg"
        text = html.unescape(drawn.read_text("utf-8")).replace("\xa0", " ")
        for case in demo["cases"](now=1_700_000_000):
            for each in (case.sent, case.log, case.why):
                assert each in text


def test_a_package_page_has_no_relative_link_and_no_picture(description):
    assert [
        each for each in links(description) if not each.startswith("https://")
    ] == []
    assert "<picture" not in description
    assert "<!--" not in description
    assert "not published" not in description


def test_a_package_page_has_every_block_of_the_readme(description):
    assert BLOCK.findall(description) == BLOCK.findall(README)


def test_a_package_page_renders(description):
    markdown = pytest.importorskip(
        "readme_renderer.markdown", reason="readme-renderer is not installed"
    )
    rendered = markdown.render(description)
    assert rendered is not None
    assert "<table>" in rendered
    # A heading leads to itself.
    leading = re.findall(r'href="(?!#user-content-)([^"]+)"', rendered)
    assert leading
    assert [each for each in leading if not each.startswith("https://")] == []
    assert "<img" not in rendered
