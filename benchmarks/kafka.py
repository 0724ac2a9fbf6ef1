"""Kafka messages beside `json.loads` of the same bytes, genuine ones and forged ones.

A consumer pays for a message before it knows who wrote it. The aims: at most 4 times
`json.loads` for what Port prints, and 10 times for the worst that a forger can write.
`make bench` measures the worst forgeries with the other refusals; this script prints
every shape.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from functools import partial
from typing import Any

from measure import duration, in_turn, ratio
from parsing import ENVELOPE
from tables import Table

from port_webhook import DeliveryError, Verifier, sign
from port_webhook.adapters.kafka import verify_message

SECRET = "a secret of thirty-two characters"  # made up
SIZE = 1_000_000
VERIFIER = Verifier(SECRET, max_body_bytes=4 * SIZE)
# Those that took longest, or longest beside `json.loads`.
WORST = (
    "many members",
    "many members, escaped",
    "short escaped strings",
    "tildes",
    "tildes, an escape in 100",
    "escapes and a surrogate",
)
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
        "tildes, an escape in 100": around(
            (r"\/" + "~" * 98) * (SIZE // 100), count=1, inside='"a":"%s"'
        ),
        "tildes, spaced strings of 2": around(r'"~~ "', count=SIZE // 6, inside=array)[
            :-2
        ]
        + r',"\/"]}',
        "escapes and a slash": around(
            r"\u00e9" * (SIZE // 6) + r"\/", count=1, inside='"a":"%s"'
        ),
        "line breaks and a slash": around(
            r"\n" * (SIZE // 2) + r"\/", count=1, inside=' "a":"%s"'
        ),
        "quotes and a slash": around(
            r"\"" * (SIZE // 2) + r"\/", count=1, inside=' "a":"%s"'
        ),
        "backslashes and a slash": around(
            r"\\" * (SIZE // 2) + r"\/", count=1, inside=' "a":"%s"'
        ),
        "control characters": around(
            r"\u0001" * (SIZE // 6), count=1, inside='"a":"%s"'
        ),
        "all kinds of escapes": around(
            r"\n\"\\\u00e9é" * (SIZE // 14), count=1, inside=' "a":"%s"'
        ),
        "pairs of surrogates": around(
            r"\ud83d\ude00" * (SIZE // 12), count=1, inside='"a":"%s"'
        ),
        "escapes and a surrogate": around(
            r"\u00e9" * (SIZE // 6) + r"\ud800", count=1, inside='"a":"%s"'
        ),
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


def _verify(message: bytes) -> None:
    with suppress(DeliveryError):
        verify_message(message, VERIFIER)


def _load(message: bytes) -> None:
    with suppress(ValueError, RecursionError):
        json.loads(message)


def of_one_mebibyte() -> dict[str, str]:
    """Return the forgeries that are worst for their size, of at most 1 MiB each."""
    forged = _forged()
    worst = {name: forged[name] for name in WORST}
    assert all(0.89 < len(text.encode()) / 2**20 <= 1 for text in worst.values())
    return worst


def report() -> list[Table]:
    """Measure each shape of message."""
    table = Table(
        "verify_message", ("message", "bytes", "time", "relative to json.loads")
    )
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL)  # not measured here
    for name, text in {**_genuine(), **_forged()}.items():
        message = text.encode()
        seconds = in_turn(
            {"verify": partial(_verify, message), "load": partial(_load, message)},
            share=0.2,
        )
        figure = ratio(seconds["verify"], seconds["load"])
        if name in _REFUSED_AT_ONCE:
            figure = "-"  # json.loads reads next to nothing of it
        table.add(name, f"{len(message)}", duration(seconds["verify"]), figure)
    return [table]


if __name__ == "__main__":
    from rich.console import Console

    for shown in report():
        Console(width=100).print(shown.for_terminal())
