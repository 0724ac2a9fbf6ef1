"""Rules about the source that no linter knows, each shown to catch what it is for."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import port_webhook

from .injection import is_boundary
from .leaks import PACKAGE
from .test_boundary import functions_of

MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(Path(PACKAGE).rglob("*.py"))
}


def words_of(node):
    """Return the words of the names and attributes that *node* reads, in lower case."""
    found = set()
    for each in ast.walk(node):
        name = getattr(each, "id", None) or getattr(each, "attr", None)
        if isinstance(name, str):
            found |= set(name.lower().strip("_").split("_"))
    return found


def found_by(rule):
    return {
        (name, ast.unparse(node))
        for name, tree in MODULES.items()
        for node in rule(tree)
    }


# Digests are compared in constant time


DIGESTS = {"digest", "hexdigest", "expected", "hmac", "mac", "signature", "signatures"}


def is_constant(node):
    return all(
        isinstance(
            each, ast.Constant | ast.Tuple | ast.List | ast.Set | ast.expr_context
        )
        or (isinstance(each, ast.Name) and each.id.isupper())
        for each in ast.walk(node)
    )


def compared_digests(tree):
    """Yield where something named like a digest is compared by ``==`` or ``in``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        unequal_time = ast.Eq | ast.NotEq | ast.In | ast.NotIn
        if not any(isinstance(operator, unequal_time) for operator in node.ops):
            continue
        # A literal is no secret: a version, a length, an empty list.
        sides = [
            each for each in (node.left, *node.comparators) if not is_constant(each)
        ]
        if len(sides) > 1 and any(DIGESTS & words_of(side) for side in sides):
            yield node


COMPARED = {
    # What a store answers is compared with what a working one would answer.
    ("replay/_claims.py", "answer != expected"),
    # A tool for tests compares two spellings of a signature that it made itself.
    ("testing/_forgeries.py", "other != signature"),
    # The name of a header.
    ("testing/flask.py", "_variable(SIGNATURE_HEADER) not in environ"),
}


@pytest.mark.parametrize(
    "planted",
    [
        "mac == self._sign(body)",
        "hmac.new(key, body).hexdigest() != sent",
        "found.signature in accepted",
    ],
)
def test_a_comparison_of_digests_is_found(planted):
    assert list(compared_digests(ast.parse(planted)))


@pytest.mark.parametrize(
    "harmless", ["mac.verify(sent)", "len(signature) == 46", "signatures == []"]
)
def test_what_compares_no_digests_is_not(harmless):
    assert not list(compared_digests(ast.parse(harmless)))


def test_digests_are_never_compared_by_equality():
    assert found_by(compared_digests) == COMPARED


# Nothing secret is logged


SECRETS = {"body", "key", "payload", "raw", "secret", "secrets", "signature", "token"}
# What is known of them, and may be seen.
HARMLESS = {"kind", "len", "number", "size", "source", "type"}
LOGS = re.compile(
    r"(_log\.)?write|(_?logger|logging)\.(log|debug|info|warning|error|exception)"
)


def log_calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and LOGS.fullmatch(ast.unparse(node.func)):
            yield node


def logged_secrets(tree):
    """Yield the calls that write to the log what is named as a secret or a payload."""
    for node in log_calls(tree):
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        words = [*map(words_of, given), *({each.arg} for each in node.keywords)]
        if any(SECRETS & each and not HARMLESS & each for each in words):
            yield node


@pytest.mark.parametrize(
    "planted",
    [
        "_log.write(_log.INFO, f'refused {body!r}', 'rejected')",
        "_log.write(_log.INFO, 'refused %s', 'rejected', self._secret)",
        "_log.write(_log.INFO, 'refused', 'rejected', token=x)",
        "write(INFO, 'refused', 'rejected', what=delivery.payload[:9])",
        "logger.warning('%s', request.body)",
    ],
)
def test_a_secret_or_a_payload_that_is_logged_is_found(planted):
    assert list(logged_secrets(ast.parse(planted)))


def test_no_secret_and_no_payload_is_logged():
    assert len(found_by(log_calls)) >= 10
    assert found_by(logged_secrets) == set()


# Text is checked before it is converted to a number


def unchecked_numbers(tree):
    """Yield the calls of ``int`` on what its function has not checked before.

    A check is a pattern, `isdecimal`, `isascii` and `isdigit` together (alone, the one
    lets ``²`` through, which `int` refuses), or a `ValueError` that is caught.
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        caught = {
            inner
            for each in nodes
            if isinstance(each, ast.Try)
            and any("ValueError" in ast.unparse(h.type or h) for h in each.handlers)
            for statement in each.body
            for inner in ast.walk(statement)
        }
        for node in nodes:
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "int":
                continue
            before = {
                each.attr
                for each in nodes
                if isinstance(each, ast.Attribute) and each.lineno <= node.lineno
            }
            is_checked = before & {"fullmatch", "match", "isdecimal"} or (
                {"isascii", "isdigit"} <= before
            )
            if not is_checked and node not in caught:
                yield node


# Nothing here is text from outside that was not checked where it came in.
NUMBERS = {
    ("_arguments.py", "int(value)"): "an instance of int",
    ("_delivery.py", "int(self._stamp)"): "a timestamp that was verified",
    ("_verifier.py", "int(time.time())"): "a clock",
    ("adapters/aiohttp.py", None): "a truth value",
    ("adapters/flask.py", None): "a truth value",
    ("devtools/_captures/_curl.py", "int(byte, 16)"): "a group of a pattern",
    ("devtools/_captures/_curl.py", "int(octal, 8)"): "a group of a pattern",
    ("devtools/_captures/_curl.py", "int(short or long, 16)"): "a group of a pattern",
    ("devtools/_receiver.py", "int(self._clock())"): "a clock",
    ("devtools/_reprint.py", "int(exponent)"): "the exponent of a finite Decimal",
    ("devtools/_sending.py", "int(time.time())"): "a clock",
    ("devtools/_smee.py", "int(value[:9])"): "bytes, whose `isdigit` is ASCII",
    ("dispatch.py", "int(can_be_called)"): "a truth value",
    ("replay/django/_store.py", "int(self._clock() * 1000)"): "a clock",
    ("replay/dynamodb.py", "int(self._clock() * 1000)"): "a clock",
    ("reporting/_options.py", "int(attempts)"): "an instance of int",
    ("testing/_forgeries.py", None): "what the tool signed, or a status",
    ("testing/_lambda_events.py", "int(instant * 1000)"): "a number",
    ("testing/_signing.py", None): "what the tool signed, or an instant that was read",
}


@pytest.mark.parametrize(
    "planted",
    [
        "def read(text): return int(text)",
        "def read(text):\n if text.isdigit(): return int(text)",
        "def read(text):\n n = int(text)\n return n if text.isdecimal() else 0\n",
        "def read(text):\n try: return int(text)\n except KeyError: return 0",
    ],
)
def test_a_number_from_unchecked_text_is_found(planted):
    assert list(unchecked_numbers(ast.parse(planted)))


@pytest.mark.parametrize(
    "checked",
    [
        "def read(text):\n if text.isascii() and text.isdigit(): return int(text)",
        "def read(text):\n if NUMBER.fullmatch(text): return int(text)",
        "def read(text):\n try: return int(text)\n except ValueError: return 0",
    ],
)
def test_a_number_from_checked_text_is_not(checked):
    assert not list(unchecked_numbers(ast.parse(checked)))


def test_text_is_checked_before_it_is_converted_to_a_number():
    found = found_by(unchecked_numbers)
    assert [
        each for each in found if not NUMBERS.keys() & {each, (each[0], None)}
    ] == []
    files = {name for name, _ in found}
    assert {key for key in NUMBERS if key[1]} <= found
    assert {name for name, _ in NUMBERS} <= files


# Every function that is called from outside is a boundary: tests/test_boundary.py walks
# the core, this the modules that need a framework, or that a framework calls.


OUTSIDE = [
    *(f"adapters.{name}" for name in ("aiohttp", "asgi", "aws_lambda", "django")),
    *(f"adapters.{name}" for name in ("fastapi", "flask", "kafka", "wsgi")),
    *("devtools", "integration", "replay.django", "reporting"),
    *("testing.django", "testing.fastapi", "testing.flask", "testing.plugin"),
]
WITHOUT = {
    "AsyncPortClient.__aenter__": "it returns itself",
    "Automation.__str__": "it prints a definition of the caller's",
    "DjangoReplayStore.__repr__": "it counts",
    "DjangoReplayStore.to_thread": "a store's own method calls it, within its boundary",
    "Explanation.__str__": "it shows what `explain` found, which is masked",
    "Explanation.summary": "the same",
    "KafkaItem.failure": "it names a topic, a partition and an offset",
    "PathPrefixes.covers": "it sees paths alone",
    "PathPrefixes.covers_all": "the same",
    "PortClient.__enter__": "it returns itself",
    "PortWebhookAuthentication.authenticate_header": "it returns a constant",
    "RunLogHandler.__init__": "only the library makes one, within a boundary",
    "RunLogHandler.dropped": "it reads a number",
    "RunLogHandler.emit": "as every handler's, it raises nothing",
    "Scheme.__call__": "it does nothing",
    "Scheme.__init__": "it reads whether there is a store",
    "SignedForms.__init__": "`read_input` makes it, within a boundary",
    "_RunBase.__init__": "`report` makes it, within a boundary",
    "_RunBase.leave": "`__exit__` and `__aexit__` call it, within a boundary",
    "_RunBase.logs_sent": "it reads a number",
    "_RunBase.run_id": "it reads an id",
    "_RunBase.status": "it reads a word",
    "require_verifier": "an adapter calls it when a view is decorated",
    "reusable": "an adapter calls it within its boundary",
    "signed_headers": "the same",
}


def unguarded_in(public, folder):
    """Return the names of what *public* has from *folder* without a boundary."""
    return {
        name
        for each in public
        for name, function in functions_of(each)
        if inspect.unwrap(function).__code__.co_filename.startswith(folder)
        if not is_boundary(function)
    }


def test_a_function_without_a_boundary_is_found():
    class Planted:
        def receive(self, body):
            return body

    found = unguarded_in([Planted, port_webhook.verify], "")
    assert found == {"Planted.receive"}


def test_every_function_that_is_called_from_outside_is_a_boundary():
    public = [
        getattr(module, name)
        for module in (importlib.import_module(f"port_webhook.{it}") for it in OUTSIDE)
        for name in module.__all__
    ]
    assert len(public) > 60
    assert unguarded_in(public, PACKAGE) == WITHOUT.keys()
