"""Kafka messages beside `json.loads` of the same bytes, genuine ones and forged ones.

A consumer pays for a message before it knows who wrote it. The aims: at most 4 times
`json.loads` for what Port prints, and 10 times for the worst that a forger can write.
"""

from __future__ import annotations

import gc
import json
import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from parsing import ENVELOPE
from rich.table import Table

from port_webhook import DeliveryError, Verifier, sign
from port_webhook.adapters.kafka import verify_message

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "a secret of thirty-two characters"  # made up
SIZE = 1_000_000
VERIFIER = Verifier(SECRET, max_body_bytes=4 * SIZE)
_REFUSED_AT_ONCE = {"unterminated arrays", "no JSON"}


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _signed(document: dict[str, Any]) -> dict[str, Any]:
    """Return *document* with the headers that Port would add."""
    signed = sign(_compact({**document, "headers": {}}), SECRET)
    keys = {
        "X-Port-Signature": signed["x-port-signature"],
        "X-Port-Timestamp": int(signed["x-port-timestamp"]),
    }
    return {**document, "headers": keys}


def _genuine() -> dict[str, str]:
    many = {**ENVELOPE, "rows": [ENVELOPE] * (SIZE // len(_compact(ENVELOPE)))}
    deep: Any = ENVELOPE
    for _ in range(34):
        deep = {"in": [deep]} if len(_compact(deep)) % 2 else {"in": deep}
    text = {**ENVELOPE, "log": 'Loom "7":\n\tthread torn, étage 2\n' * (SIZE // 40)}
    inputs = {f"input_{n}": n for n in range(SIZE // 20)}
    return {
        "compact, 2 KB": _compact(_signed(ENVELOPE)),
        "spaced, 2 KB": json.dumps(_signed(ENVELOPE), ensure_ascii=False),
        "compact": _compact(_signed(many)),
        "spaced": json.dumps(_signed(many), ensure_ascii=False),
        "indented": json.dumps(_signed(many), ensure_ascii=False, indent=2),
        "deep, 2 KB": _compact(_signed({"in": deep})),
        "one long text": _compact(_signed(text)),
        "escaped for ASCII": json.dumps(_signed(text), separators=(",", ":")),
        "many keys": _compact(_signed({**ENVELOPE, "properties": inputs})),
    }


def _forged() -> dict[str, str]:
    """Return messages with a fresh timestamp and a signature that matches nothing."""
    keys = _compact(_signed({"a": "another"})["headers"])

    def around(part: str, *, count: int, inside: str = "%s") -> str:
        filling = ",".join(part.replace("#", f"{n:x}") for n in range(count))
        return f'{{"headers":{keys},{inside % filling}}}'

    def in_headers(part: str, count: int) -> str:
        filling = ",".join(part.replace("#", f"{n:x}") for n in range(count))
        return f'{{"headers":{keys[:-1]},{filling}}}}}'

    array = '"a":[%s]'
    brackets = "[" * 62 + "]" * 62
    return {
        "many members": around('"#":0', count=SIZE // 9),
        "many members, spaced": around(' "#" : 0 ', count=SIZE // 13),
        "many members, escaped": around(r'"#\u00e9":""', count=SIZE // 17),
        "many headers": in_headers('"#":0', SIZE // 9),
        "many headers, escaped": in_headers(r'"#\/" :"\n"', SIZE // 16),
        "empty strings": around('""', count=SIZE // 3, inside=array),
        "short escaped strings": around(r'"\/"', count=SIZE // 5, inside=array),
        "one string of escapes": around(
            r"\u00e9" * (SIZE // 6), count=1, inside='"a":"%s"'
        ),
        "one string of quotes": around(r"\"" * (SIZE // 2), count=1, inside='"a":"%s"'),
        "lone surrogates": around(r"\ud800" * (SIZE // 6), count=1, inside='"a":"%s"'),
        "tildes": around("~" * SIZE + r"\/", count=1, inside='"a":"%s"'),
        "astral text, one escape": around(
            "😀" * (SIZE // 4) + r"\/", count=1, inside='"a":"%s"'
        ),
        "digits": around("1" * SIZE, count=1, inside='"a":%s'),
        "floats": around("0.1", count=SIZE // 4, inside=array),
        "brackets": around(brackets, count=SIZE // 125, inside=array),
        "small objects": around('{"a":{}}', count=SIZE // 9, inside=array),
        "the key of the headers": around(
            '{"headers":0}', count=SIZE // 14, inside=array
        ),
        "white space": around(" " * SIZE, count=1, inside='"a":[%s]'),
        "spaces in escaped strings": around(r'" \n" ', count=SIZE // 7, inside=array),
        "unterminated string": around(r"\"" * (SIZE // 2), count=1, inside='"a":"%s'),
        "unterminated arrays": around('["', count=SIZE // 3, inside=array),
        "a repeated key": around('{"a":0,"a":0}', count=SIZE // 14, inside=array),
        "a repeated key, last": around('"#":0', count=SIZE // 9)[:-1] + ',"1":0}',
        "no JSON": "[}" * (SIZE // 2),
        "65 levels": "[" * 65 + '"a",' * (SIZE // 4),
    }


def _fastest(call: Callable[[], object]) -> float:
    """Return the processor seconds of a call in the fastest of several rounds."""
    started = time.process_time()
    call()
    repeats = max(1, round(0.01 / (time.process_time() - started + 1e-9)))
    rounds: list[float] = []
    for _ in range(10):
        gc.collect()
        started = time.process_time()
        for _ in range(repeats):
            call()
        rounds.append((time.process_time() - started) / repeats)
    return min(rounds)


def _verify(message: bytes) -> None:
    with suppress(DeliveryError):
        verify_message(message, VERIFIER)


def _load(message: bytes) -> None:
    with suppress(ValueError, RecursionError):
        json.loads(message)


def report() -> list[Table]:
    """Measure each shape of message."""
    table = Table(title="verify_message; aims: 4 for genuine messages, 10 for others")
    table.add_column("message")
    table.add_column("bytes", justify="right")
    table.add_column("ms", justify="right")
    table.add_column("times json.loads", justify="right")
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL)  # not measured here
    for name, text in {**_genuine(), **_forged()}.items():
        message = text.encode()
        taken = _fastest(partial(_verify, message))
        ratio = f"{taken / _fastest(partial(_load, message)):.1f}"
        if name in _REFUSED_AT_ONCE:
            ratio = "-"  # json.loads reads next to nothing of it
        table.add_row(name, f"{len(message)}", f"{taken * 1e3:.2f}", ratio)
    return [table]


if __name__ == "__main__":
    from rich.console import Console

    for shown in report():
        Console(width=100).print(shown)
