"""Canonical form beside Node's: ``JSON.stringify(JSON.parse(…))``, as Port prints it.

An input is a document. One process of Node answers all of them.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from functools import cache
from itertools import pairwise
from pathlib import Path

from fuzz import text as reference
from fuzz.common import STAMP, call, make_verifier, signature_of
from fuzz.targets import canonical
from port_webhook import Delivery
from port_webhook._json import require_json, spellings, strip_white_space
from port_webhook.adapters.kafka import verify_message

__all__ = ["WORDS", "is_available", "print_again", "run", "seeds"]

WORDS = canonical.WORDS
seeds = canonical.seeds

SCRIPT = Path(__file__).parent.parent / "print.mjs"
AGENT = make_verifier(agent=True)
PLAIN = make_verifier()
# ECMAScript puts keys that are array indices first, in the order of their numbers.
INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def is_available() -> bool:
    """Tell whether Node is installed."""
    return shutil.which("node") is not None


@cache
def _start() -> subprocess.Popen[bytes]:
    command = [shutil.which("node") or "node", f"{SCRIPT}"]
    node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(node.communicate)  # closes its input, and so ends it
    return node


def print_again(data: bytes) -> bytes | None:
    """Return what Node prints for *data*; None if it is not JSON for it."""
    node = _start()
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(b64encode(data) + b"\n")
    node.stdin.flush()
    answer = node.stdout.readline()
    assert answer.endswith(b"\n"), "Node has ended"
    return None if answer == b"!\n" else b64decode(answer[:-1], validate=True)


def run(data: bytes) -> None:
    """Compare what this library makes of *data* with what Node does."""
    printed = print_again(data)
    is_json = call(require_json, data) is None
    if printed is None:
        assert not is_json
        return
    document = reference.read(data)
    assert is_json == (document is not None)
    _check_printed(printed)
    if document is not None and _is_kept(document.text, printed.decode()):
        assert [*spellings(data)][-1] == printed


def _check_printed(printed: bytes) -> None:
    """Send what Port would print on both paths that do not carry it unchanged."""
    text = printed.decode()
    if reference.read(printed) is None:  # too deep
        return
    assert [*spellings(printed)] == [printed]
    spaced = reference.spaced(text, " ").encode()
    assert strip_white_space(spaced) == printed
    signature = signature_of(STAMP, printed)
    headers = {"x-port-timestamp": STAMP, "x-port-signature": signature}
    delivery = call(AGENT.verify, spaced, headers)
    assert isinstance(delivery, Delivery)
    assert delivery.payload == printed
    # As a message: Port signs the text without the two keys, then adds them.
    signed = b'{"headers":{},"a":%b}' % printed
    if reference.read(signed) is None:
        return
    keys = {
        "X-Port-Signature": signature_of(STAMP, signed).decode(),
        "X-Port-Timestamp": STAMP.decode(),
    }
    message = f'{{"headers": {json.dumps(keys)}, "a": {_in_ascii(text)}}}'
    delivery = call(verify_message, message, PLAIN)
    assert isinstance(delivery, Delivery)
    assert delivery.payload == signed


def _in_ascii(text: str) -> str:
    """Return JSON with its strings as Python's ``json.dumps`` prints them."""
    return " ".join(
        json.dumps(json.loads(token)) if token[0] == '"' else token
        for token in reference.tokens(text)
    )


def _is_kept(text: str, printed: str) -> bool:
    """Tell whether Node spelled every number as *text* does, and moved no key."""
    tokens = reference.tokens(text)
    return reference.numbers(text) == reference.numbers(printed) and not any(
        mark == ":" and INDEX.fullmatch(json.loads(key))
        for key, mark in pairwise(tokens)
    )
