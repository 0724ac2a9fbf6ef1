"""`explain --har`, `--lambda` and `--kafka`: captures that are JSON.

An input is a byte that chooses the reader, and a file, or what one is made of.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from fuzz.common import STAMP, signature_of, splices
from fuzz.targets.canonical import WORDS as CANONICAL
from port_webhook.devtools._captures import (
    Capture,
    CaptureError,
    read_har,
    read_kafka,
    read_lambda,
)

__all__ = ["WORDS", "run", "seeds"]

READERS = (read_har, read_lambda, read_kafka)
HEADERS = [("x-port-timestamp", STAMP.decode()), ("x-port-signature", "v1,x")]


def run(data: bytes) -> None:
    """Read the file in *data*, or one that is made with it as a body."""
    choice = data[0] if data else 0
    data = data[1:]
    if choice % 4 == len(READERS):
        _check_built(data)
        return
    read = READERS[choice % 4]
    for entry in (None, 1, choice >> 2):
        try:
            capture = read(data, entry)
        except CaptureError:
            continue
        assert isinstance(capture, Capture)
        assert isinstance(capture.body, bytes)
        assert all(type(part) is str for pair in capture.headers for part in pair)
        assert capture.received_at is None or type(capture.received_at) is float


def _check_built(data: bytes) -> None:
    """Save a request with the body *data* as each tool does, and read it."""
    encoded = b64encode(data).decode()
    listed = [{"name": name, "value": value} for name, value in HEADERS]
    try:
        post = {"text": data.decode()}
    except UnicodeDecodeError:
        post = {"text": encoded, "encoding": "base64"}
    request = {"method": "POST", "headers": listed, "postData": post}
    log = {
        "entries": [{}, {"request": request, "startedDateTime": "2024-04-16T14:31:29Z"}]
    }
    expected = Capture(data, HEADERS, received_at=1713277889.0)
    assert read_har(_file({"log": log})) == expected
    assert read_har(_file({"log": log}), 2) == expected
    event: dict[str, Any] = {
        "headers": dict(HEADERS),
        "body": encoded if "encoding" in post else post["text"],
        "isBase64Encoded": "encoding" in post,
        "requestContext": {"timeEpoch": 1713277889000},
    }
    assert read_lambda(_file(event)) == expected
    event["multiValueHeaders"] = {name: [value] for name, value in HEADERS}
    assert read_lambda(_file(event)) == expected
    record = {"value": encoded, "timestamp": 1713277889000, "headers": []}
    message = Capture(data, [], kafka=True, received_at=1713277889.0)
    assert read_lambda(_file({"records": {"a-0": [record]}})) == message
    if "encoding" not in post:
        line = {"topic": "a", "ts": 1713277889000, "payload": post["text"]}
        assert read_kafka(_file(line)) == message
        assert read_kafka(_file(line) + b"\n" + _file(line), 2) == message


def _file(document: object) -> bytes:
    return json.dumps(document).encode()


def seeds() -> list[bytes]:
    """Return files of each tool, and bodies."""
    signature = signature_of(STAMP, b"{}").decode()
    listed = [{"name": "x-port-signature", "value": signature}, {"name": ":method"}]
    started = "2024-04-16T14:31:29.000+02:00"
    files: list[tuple[int, Any]] = [
        (0, {"log": {"entries": [{"request": {"headers": listed}}]}}),
        (0, {"log": {"entries": [{"startedDateTime": started}, {"request": {}}, 1]}}),
        (
            0,
            {
                "log": {
                    "entries": [
                        {
                            "request": {
                                "postData": {"text": "e30=", "encoding": "base64"}
                            }
                        }
                    ]
                }
            },
        ),
        (
            1,
            {"body": "{}", "headers": {"a": "b"}, "multiValueHeaders": {"a": ["b", 1]}},
        ),
        (
            1,
            {
                "body": "e30=",
                "isBase64Encoded": True,
                "requestContext": {"requestTimeEpoch": 1713277889000},
            },
        ),
        (1, {"records": {"a-0": [{"value": "e30=", "headers": [{"a": [98, 300]}]}]}}),
        (
            2,
            {
                "topic": "a",
                "payload": "{}",
                "ts": 1713277889000,
                "headers": ["a", "b", "c"],
            },
        ),
        (2, {"topic": "a", "value": "{}", "headers": {"a": [[1]]}}),
        (2, {"topic": "a", "value": "{}", "headers": [{"key": "a", "value": "b"}]}),
        (2, {"headers": {"X-Port-Signature": signature}}),
        (0, [[[[]]]]),
        (1, {"headers": {"a": [[[[]]]]}, "body": ""}),
    ]
    found = [bytes([reader]) + _file(document) for reader, document in files]
    found += [b"\2" + _file(files[6][1]) + b"\n" + _file(files[6][1])]
    found += [bytes([reader]) + b"[" * 2000 for reader in range(3)]
    found += [b"\3" + body for body in (b"{}", b"", b"\xff", "é\u2028".encode())]
    return splices(found)


WORDS = (
    *CANONICAL,
    *(
        f'"{name}":'.encode()
        for name in (
            *("log", "entries", "request", "postData", "text", "encoding", "name"),
            *("value", "startedDateTime", "body", "headers", "multiValueHeaders"),
            *("isBase64Encoded", "requestContext", "timeEpoch", "records", "topic"),
            *("payload", "ts", "timestamp", "key", "x-port-signature"),
        )
    ),
    *(b'"base64"', b"1713277889000", b'"2024-04-16T14:31:29Z"', b"[[[[[[[["),
)
