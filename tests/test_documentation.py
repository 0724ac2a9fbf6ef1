"""The tables, links and citations of the pages; the blocks run by themselves."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from pydoc import locate
from urllib.parse import unquote

import pytest

import port_webhook
from port_webhook import exceptions, sign

ROOT = Path(__file__).parents[1]
SOURCES = sorted(Path(port_webhook.__file__).parent.rglob("*.py"))


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CITING = [
    path
    for folder in ("src", "tests", "typing_tests", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
CODE = r"(?ms)^(?P<fence>`{3,}).*?^(?P=fence)$|<!--.*?-->"


def page(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def sets_event(node):
    return ast.unparse(node.targets[0]) == "fields['port_event']"


def events():
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) > 2:
                name = ast.unparse(node.func)
                if name in ("_log.write", "write"):
                    yield ast.literal_eval(node.args[2])
            # A record that is made without `write`.
            if isinstance(node, ast.Assign) and sets_event(node):
                yield ast.literal_eval(node.value)


def codes(cls=exceptions.DeliveryError):
    for each in cls.__subclasses__():
        if not each.__subclasses__() and each.__module__ == exceptions.__name__:
            yield each.code
        yield from codes(each)


def test_the_reference_lists_every_event_of_the_log():
    found = set(events())
    assert {"verified", "rejected", "hook_failed"} < found
    rows = re.findall(r"(?m)^\| `(\w+)` \| `[A-Z]", page("log-records.md"))
    assert found == set(rows)


def test_the_pages_name_every_code_of_an_error():
    # A timestamp's own code says on which side of the window it lies.
    wanted = {*codes(), "duplicate_header"} - {"timestamp_error"}
    wanted |= {"timestamp_too_old", "timestamp_in_future"}
    for name in ("errors.md", "log-records.md"):
        assert wanted <= set(re.findall(r"`(\w+)`", page(name)))


def test_a_cited_section_of_the_protocol_exists():
    cited = {
        number
        for source in SOURCES
        for number in re.findall(r"protocol,\s+section (\d)", source.read_text("utf-8"))
    }
    assert cited == {"1", "2", "3", "4", "5"}
    assert cited == set(re.findall(r"(?m)^## (\d)\. ", page("protocol.md")))


@cache
def anchors(path):
    """Return what a heading can be linked by: what GitHub makes of it, and Sphinx."""
    found = Counter()
    listed = set()
    for title in re.findall(r"(?m)^#{1,6} (.+)$", re.sub(CODE, "", path.read_text())):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        listed.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return listed


def links(path):
    text = re.sub(rf"{CODE}|`[^`\n]+`", "", path.read_text("utf-8"))
    return re.findall(r"\]\(([^()\s]+)\)", text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    dead = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        if anchor.startswith("port_webhook."):
            # An entry of the reference, which Sphinx makes of the docstring.
            found = not name and locate(anchor) is not None
        else:
            found = target.exists() and (not anchor or anchor in anchors(target))
        if not found:
            dead.append(link)
    assert dead == []


def test_every_page_is_in_the_index_and_in_its_table_of_contents():
    text = page("index.md")
    wanted = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    trees = re.findall(r"(?ms)^```\{toctree\}\n(.*?)^```$", text)
    listed = [line for tree in trees for line in tree.split() if ":" not in line]
    assert Counter(listed) >= Counter(wanted)
    assert {f"{name}.md" for name in wanted} <= set(links(ROOT / "docs" / "index.md"))


def test_a_cited_design_decision_exists():
    cited = {
        anchor
        for source in CITING
        for anchor in re.findall(r"design\.md#([\w-]+)", source.read_text("utf-8"))
    }
    assert len(cited) > 5
    assert cited <= anchors(ROOT / "docs" / "design.md")


def test_the_picture_of_the_signature_shows_a_genuine_one():
    picture = (ROOT / "docs" / "images" / "signature.svg").read_text("utf-8")
    secret = "the client secret of your organisation"
    body = '{"context":{"runId":"r_1"}}'
    assert f">{body}<" in picture
    headers = sign(body, secret, timestamp=1713277889)
    for value in (f"1713277889.{body}", *headers.values()):
        assert f">{value}<" in picture
