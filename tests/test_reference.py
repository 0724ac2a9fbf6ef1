"""The reference pages name everything that the code has, and nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

import port_webhook
from port_webhook import DeliveryError, Verifier, VerifierSource, exceptions, testing
from port_webhook.devtools._app import app
from tests.devtools.commands import call, serve
from tests.test_imports import PUBLIC

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DIRECTIVE = re.compile(
    r"(?m)^\.\. auto(\w+):: (port_webhook[\w.]*)\S*\n((?:   :.*\n)*)"
)


def page(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def sections(text, level=2):
    """Return what stands below each heading of *level*, by its title."""
    text = re.sub(
        r"(?ms)^```.*?^```", lambda found: found[0].replace("\n#", "\n "), text
    )
    _, *found = re.split(rf"(?m)^{'#' * level} ", text)
    return dict(part.split("\n", 1) for part in found)


def rows(text):
    """Yield the cells of each row of the tables in *text*."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(text):
    return re.findall(r"`([^`]+)`", text)


# -- The API


def resolve(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def identity(name):
    """Return where a thing is defined: several modules may hand it on."""
    value = resolve(name)
    return f"{value.__module__}.{value.__qualname__}" if is_described(value) else name


def is_described(value):
    """Tell whether automodule finds *value*: it passes over aliases and constants."""
    return (
        inspect.isclass(value)
        or inspect.isroutine(value)
        or hasattr(value, "__wrapped__")
    )


def documented():
    for kind, name, options in DIRECTIVE.findall(page("api.md")):
        if kind != "module":
            yield name
            continue
        if ":members:" in options:
            module = importlib.import_module(name)
            (excluded,) = re.findall(r":exclude-members: (.*)", options) or [""]
            for each in {*module.__all__} - {*excluded.split(", ")}:
                if each in dir(module) and is_described(getattr(module, each)):
                    yield f"{name}.{each}"


def test_the_api_page_describes_every_public_name_once():
    found = Counter(map(identity, documented()))
    wanted = {
        identity(f"{module}.{name}")
        for module in PUBLIC
        for name in getattr(importlib.import_module(module), "__all__", ())
    }

    assert [name for name, count in found.items() if count > 1] == []
    assert wanted - found.keys() == set()
    assert found.keys() - wanted == set()


def test_the_api_page_says_since_when_each_public_module_is_there():
    text = page("api.md")
    found = re.findall(
        r"\.\. automodule:: (\S+)\n(?:   :.*\n)*\n   \.\. versionadded:: \d", text
    )

    assert sorted(found) == sorted(PUBLIC)


# -- The errors

BASES = {"DeliveryError", "VerificationError", "ReplayError"}
REFUSALS = {
    name: value
    for name in exceptions.__all__
    if issubclass(value := vars(exceptions)[name], DeliveryError) and name not in BASES
}


def codes_of(error):
    """Return the codes of a class; where it has several, its docstring lists them."""
    _, _, listed = (inspect.getdoc(error) or "").partition("code: ``")
    several = re.findall(r"\w+(?=``)", f"``{listed.splitlines()[0]}" if listed else "")
    return {each for each in several if "_" in each} or {error.code}


def attributes_of(error):
    """Return what an error holds besides its HTTP response."""
    found = set()
    for cls in error.__mro__:
        if cls.__module__ == exceptions.__name__:
            tree = ast.parse(inspect.getsource(cls))
            found |= {
                ast.unparse(node.targets[0]).removeprefix("self.")
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]).startswith("self.")
            }
            if "run_id" in vars(cls):
                found.add("run_id")
    return found


def test_the_table_of_the_errors_has_every_code_status_and_body():
    found = {}
    for cells in rows(sections(page("errors.md"))["Responses"]):
        if len(cells) == 4 and cells[0].startswith("[`"):
            found[code(cells[0])[0]] = (
                {*code(cells[1])},
                int(cells[2]),
                *code(cells[3]),
            )

    assert found == {
        name: (codes_of(each), each.http_status, each.http_body.decode())
        for name, each in REFUSALS.items()
    }


def test_the_table_of_the_headers_is_complete():
    found = {}
    for cells in rows(sections(page("errors.md"))["Responses"]):
        if len(cells) == 2:
            for status in re.findall(r"\d{3}", cells[0]):
                found[int(status)] = code(cells[1])

    wanted = {}
    for each in REFUSALS.values():
        for name, value in each.http_headers.items():
            if name != "Content-Type":
                wanted[each.http_status] = [f"{name}: {value}"]
    assert found == wanted


def test_the_codes_of_the_base_classes_are_named():
    text = page("errors.md")

    for name in BASES:
        assert f"`{vars(exceptions)[name].code}`" in text


def test_every_error_has_a_section_with_its_attributes():
    found = {}
    for section in sections(page("errors.md")).values():
        found |= sections(section, 3)
    wanted = {*exceptions.__all__} - BASES - {"PortWebhookError"}

    assert found.keys() == wanted
    for name in wanted:
        assert "**Cause.**" in found[name]
        assert "**Remedy.**" in found[name]
        _, _, listed = found[name].partition("**Attributes.**")
        # Such as "`max_age` and `max_future`: the limits".
        named = {each for each in code(listed) if re.fullmatch(r"[a-z_]+", each)}
        attributes = attributes_of(vars(exceptions)[name])
        assert attributes <= named, name
        assert attributes or not listed, name


# -- Configuration


def options(title):
    for cells in rows(sections(page("configuration.md"))[title]):
        if cells[0].startswith("`"):
            yield code(cells[0])[0], cells[1]


def defaults_of(function):
    return {
        each.name: each.default
        for each in inspect.signature(function).parameters.values()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    }


def default_in(cell):
    if cell == "required":
        return inspect.Parameter.empty
    return ast.literal_eval(code(cell)[0])


@pytest.mark.parametrize(
    ("title", "function"),
    [("Options of a Verifier", Verifier), ("VerifierSource", VerifierSource)],
)
def test_the_options_have_these_defaults(title, function):
    found = {name: default_in(cell) for name, cell in options(title)}

    assert found == defaults_of(function)


@pytest.mark.parametrize("name", ["max_age", "max_future"])
def test_the_bounds_of_the_window_are_those_of_the_page(name):
    lines = page("configuration.md").splitlines()
    (row,) = [each for each in lines if each.startswith(f"| `{name}` |")]
    assert "seconds, 0 to 604,800 (7 days)" in row

    widest: Any = {name: 604_800}
    wider: Any = {name: 604_801}
    Verifier("a secret of the tests", **widest)
    with pytest.raises(port_webhook.ConfigurationError):
        Verifier("a secret of the tests", **wider)


def test_every_variable_of_the_environment_is_on_the_page():
    used = {
        name
        for source in SOURCES
        for name in re.findall(r"\bPORT_[A-Z_]*[A-Z]\b", source.read_text("utf-8"))
    }
    used -= {"PORT_WEBHOOK"}  # a setting of Django

    assert {name for name, _ in options("Environment variables")} == used


def test_the_settings_of_django_are_on_the_page():
    source = ROOT / "src/port_webhook/adapters/django/_conf.py"
    names = {
        ast.literal_eval(node.value)
        for node in ast.parse(source.read_text("utf-8")).body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) in ("OPTIONS", "SECRET")
    }

    assert {name for name, _ in options("Django settings")} == names


# -- The command

COMMAND_LINE = page("command-line.md")
INTRO = re.sub(r"(?ms)^```.*?^```", "", COMMAND_LINE.split("\n## ")[0])
GROUP: Any = typer.main.get_command(app)
COMMANDS = GROUP.commands
SECRET = "the client secret of your organisation"


def option_names(parameters):
    return {
        name
        for each in parameters
        if each.param_type_name == "option"
        for name in [*each.opts, *each.secondary_opts]
    }


def names_in(cell):
    # `--header 'NAME: VALUE'`, `-H`
    return {each.split(" ")[0] for each in code(cell)}


def test_the_page_describes_every_command():
    listed = [name for cells in rows(INTRO) for name in code(cells[0])]

    assert listed == [*COMMANDS]
    assert {*COMMANDS} <= sections(COMMAND_LINE).keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_describes_every_option_of_a_command(name):
    found = set()
    for cells in rows(sections(COMMAND_LINE)[name]):
        if cells[0].startswith("`-"):
            found |= names_in(cells[0])
    for cells in rows(sections(COMMAND_LINE)["Shared options"]):
        if cells[0].startswith("`-") and (cells[1] == "all" or name in code(cells[1])):
            found |= names_in(cells[0])

    assert found == option_names(COMMANDS[name].params)


def test_the_page_names_the_options_without_a_command():
    names = {each for each in code(INTRO) if each.startswith("-")}

    assert names == option_names(GROUP.params) | {"--help", "-h"}


def examples():
    """Yield the examples of the page with the output that follows each."""
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", COMMAND_LINE):
        for example in re.split(r"(?m)^\$ ", block)[1:]:
            line, output = example.split("\n", 1)
            # Not what a shell redirects, and not what runs until it is stopped.
            if re.match(r"port-webhook (?!listen)", line) and ">" not in line:
                yield line, output


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of the examples."""
    monkeypatch.chdir(tmp_path)
    body = b'{"context":{"runId":"r_1"}}'
    Path("body.json").write_bytes(body)
    for name, secret, end in (
        ("request.txt", SECRET, b""),
        ("damaged.txt", "the previous client secret", b"\n"),
    ):
        signed = port_webhook.sign(body, secret, timestamp=1713277889)
        head = "".join(f"{key}: {value}\r\n" for key, value in signed.items())
        raw = f"POST /port HTTP/1.1\r\nHost: example.com\r\n{head}\r\n".encode()
        Path(name).write_bytes(raw + body + end)
    Path("other-secrets.txt").write_text(
        "that of the staging organisation\nthe previous client secret\n", "utf-8"
    )
    document = testing.action_invocation(
        properties={
            "user": "ada",
            "password": testing.encrypt_secret("hunter2", SECRET),
        },
        payload={"censoredProperties": ["password"]},
    )
    Path("secret.json").write_text(json.dumps(document), "utf-8")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("line", "output"), [*examples()])
def test_the_examples_print_what_the_page_says(line, output):
    verifier = Verifier(SECRET)

    def respond(handler, body):
        try:
            delivery = verifier.verify(body, handler.headers.items())
        except DeliveryError as error:
            return error.http_status, error.http_body
        return 200, json.dumps({"run": delivery.run_id}).encode()

    with serve(respond=respond) as endpoint:
        url = "http://127.0.0.1:8000/port"
        arguments = shlex.split(line.replace(url, endpoint.url))[1:]
        printed = call(*arguments, secret=SECRET).out.replace(endpoint.url, url)

    # Sizes, times and the number of forgeries differ.
    pattern = re.escape(output.rstrip("\n")).replace("…", ".*")
    pattern = re.sub(r"\d+(?=\\ (ms|bytes|of|forgeries))", r"\\d+", pattern)
    lines = [each.rstrip() for each in printed.splitlines()]
    assert re.fullmatch(pattern, "\n".join(lines), re.DOTALL)


def test_there_are_examples():
    assert {line.split()[1] for line, _ in examples()} >= {*COMMANDS} - {"listen"}
