"""The tables and citations that claim to be complete; the blocks run by themselves."""

import ast
import re
from pathlib import Path

import port_webhook
from port_webhook import exceptions

ROOT = Path(__file__).parents[1]
SOURCES = sorted(Path(port_webhook.__file__).parent.rglob("*.py"))


def page(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def events():
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) > 2:
                name = ast.unparse(node.func)
                if name == "_log.write" or (name == "write" and source.stem == "_log"):
                    yield ast.literal_eval(node.args[2])


def codes(cls=exceptions.DeliveryError):
    for each in cls.__subclasses__():
        if not each.__subclasses__() and each.__module__ == exceptions.__name__:
            yield each.code
        yield from codes(each)


def test_the_operations_page_lists_every_event_of_the_log():
    found = set(events())
    assert {"verified", "rejected", "hook_failed"} < found
    rows = re.findall(r"(?m)^\| `(\w+)` \| `[A-Z]", page("operations.md"))
    assert found == set(rows)


def test_the_pages_name_every_code_of_an_error():
    # A timestamp's own code says on which side of the window it lies.
    wanted = {*codes(), "duplicate_header"} - {"timestamp_error"}
    wanted |= {"timestamp_too_old", "timestamp_in_future"}
    for name in ("verification.md", "operations.md"):
        assert wanted <= set(re.findall(r"`(\w+)`", page(name)))


def test_a_cited_section_of_the_protocol_exists():
    cited = {
        number
        for source in SOURCES
        for number in re.findall(r"protocol,\s+section (\d)", source.read_text("utf-8"))
    }
    assert cited == {"1", "2", "3", "4", "5"}
    assert cited == set(re.findall(r"(?m)^## (\d)\. ", page("protocol.md")))
