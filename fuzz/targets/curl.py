"""`explain --curl`: a command that a shell would split in the same way.

An input is a command, or behind a zero byte the parts of one.
"""

from __future__ import annotations

import re
import shlex

from fuzz.common import STAMP, signature_of, splices
from port_webhook.devtools._captures import Capture, CaptureError, read_curl
from port_webhook.devtools._captures._curl import _split

__all__ = ["WORDS", "run", "seeds"]

# `shlex` knows neither $'…' nor $"…", keeps a backslash before a line break, a dollar
# sign and a backtick, and refuses one at the end.
_NOT_SHLEX = re.compile(r"\$['\"]|\\(?:[\r\n$`]|\Z)")
_PARTS = re.compile(rb"\0+")


def run(data: bytes) -> None:
    """Read the command in *data*, or one that is made of its parts."""
    if data[:1] == b"\0":
        _check_built(data[1:])
        return
    text = data.decode("utf-8", "surrogateescape")
    try:
        capture = read_curl(data)
    except CaptureError:
        pass
    else:
        assert isinstance(capture.body, bytes)
        assert all(type(part) is str for pair in capture.headers for part in pair)
    if _NOT_SHLEX.search(text) is None:
        _check_split(text)


def _check_split(text: str) -> None:
    """Split as the standard library does, which is what a shell does with the rest."""
    try:
        expected: list[str] | None = shlex.split(text)
    except ValueError:
        expected = None
    try:
        found: list[str] | None = [*_split(text)]
    except CaptureError:
        found = None
    assert found == expected


def _check_built(data: bytes) -> None:
    """Print a command as browsers do, and read it."""
    body, *rest = [
        each.decode("utf-8", "surrogateescape") for each in _PARTS.split(data)
    ]
    headers = [
        (name, value.strip())
        for name, _, value in (each.partition(":") for each in rest)
        if not name.endswith(";") and not name.startswith("@")
    ]
    words = ["curl", "https://example.com/port", "-X", "POST"]
    for name, value in headers:
        words += ["-H", f"{name}: {value}"]
    capture = read_curl(
        shlex.join([*words, "--data-raw", body]).encode("utf-8", "surrogateescape")
    )
    expected = Capture(body.encode("utf-8", "surrogateescape"), headers)
    assert capture == expected
    quoted = "$'" + "".join(_ansi(each) for each in body) + "'"
    command = f"{shlex.join(words)} --data-raw {quoted}"
    assert read_curl(command.encode("utf-8", "surrogateescape")) == expected


def _ansi(character: str) -> str:
    """Return a character as Chrome's and Firefox's "Copy as cURL" print it in $'…'."""
    if character in "'\\":
        return "\\" + character
    if character in "\n\r!":
        return {"\n": "\\n", "\r": "\\r", "!": "\\u0021"}[character]
    return character


def seeds() -> list[bytes]:
    """Return commands of browsers and of hand, and the parts of some."""
    signature = signature_of(STAMP, b'{"a":1}').decode()
    headers = f"-H 'x-port-timestamp: 1713277889' -H 'x-port-signature: {signature}'"
    commands = [
        f"curl https://example.com/port {headers} -d '{{\"a\":1}}'",
        (
            f"curl 'https://a.b' \\\n  -X POST \\\n  {headers} \\\n  --data-raw "
            "$'{\"a\":\\'\\u00e9\\x41\\101\\n}'"
        ),
        f'curl --json "{{\\"a\\":1}}" --header "a: b" -HX:y {headers} url',
        "curl -sSkLd a=b --data-urlencode 'c=d e' -d@file url",
        "/usr/bin/curl.exe -F a=b; -T x",
        "curl -H 'Empty;' -H @file --data=x --data '' -- - ''",
        "curl 'not closed",
        "wget x",
        "",
    ]
    built = [
        b"\0" + b"\0".join([body, b"x-port-timestamp: 1713277889", b"a:b:c"])
        for body in (
            b'{"a":1}',
            b'it\'s \\ "quoted"\n$!`',
            b"",
            "é\u2028😀".encode(),
            b"\xff",
        )
    ]
    return splices([*(each.encode() for each in commands), *built])


WORDS = (
    *(b"curl ", b" -H ", b" -d ", b" --data-raw ", b" --data-urlencode ", b" --json "),
    *(b" --header=", b" -X POST ", b" --data=", b" -F ", b" -G ", b"@", b";", b":"),
    *(
        b"'",
        b'"',
        b"$'",
        b'$"',
        b"\\'",
        b"\\\n",
        b"\\\r\n",
        b"\\\\",
        b"\\x41",
        b"\\u0041",
    ),
    *(b"\\U0001F600", b"\\U00110000", b"\\ud800", b"\\777", b"\\e", b"$", b"`", b"!"),
    *(b"\0", b"\n", b"\r\n", b"\xff", b"\xc3\xa9", b"\xc2\xa0", b"\xe2\x80\xa8"),
    b"x-port-signature: ",
    b"x-port-timestamp: ",
)
