"""Send genuine and forged deliveries to a real receiver, and show what became of each.

`make demo` runs it. It starts ``receiver.py`` as a process of its own, speaks HTTP to
it, and takes the reasons from the receiver's log. The exit status is 1 if any answer
is not the expected one.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from port_webhook import sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

SECRET = "demo-client-secret-of-an-organisation"
PREVIOUS = "demo-client-secret-before-the-rotation"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

# What a template of a self-service action may send, printed as JavaScript does.
DOCUMENT = {
    "action": "create_vm",
    "trigger": {"by": {"user": {"email": "zoë@example.com"}}, "origin": "UI"},
    "context": {"runId": "r_demo"},
    "payload": {"properties": {"region": "eu-west-1", "cpu": 2}},
}
BODY = json.dumps(DOCUMENT, ensure_ascii=False, separators=(",", ":")).encode()
# The agent signs compact ASCII JSON, and sends the same with white space in it.
AGENT_SIGNED = json.dumps(DOCUMENT, separators=(",", ":")).encode()
AGENT_SENT = json.dumps(DOCUMENT).encode()


class Case(NamedTuple):
    """One request, and the answer that it must get."""

    sent: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    status: int
    reason: str


def cases(now: int) -> list[Case]:
    """Return every case of the demonstration; *now* is in seconds."""
    genuine = sign(BODY, SECRET, timestamp=now)
    by_agent = sign(AGENT_SIGNED, SECRET, timestamp=now)
    tampered = BODY.replace(b'"cpu":2', b'"cpu":64')
    stranger = sign(BODY, "not the client secret", timestamp=now)
    stale = sign(BODY, SECRET, timestamp=now - 600)
    early = sign(BODY, SECRET, timestamp=now + 600)
    previous = sign(BODY, PREVIOUS, timestamp=now)
    null = sign("null", SECRET, timestamp=now)
    mismatch = "signature_mismatch"
    return [
        Case("genuine", "/port", BODY, genuine, 200, "via port"),
        Case("tampered body", "/port", tampered, genuine, 401, mismatch),
        Case("wrong secret", "/port", BODY, stranger, 401, mismatch),
        Case("stale, 10 minutes old", "/port", BODY, stale, 401, "timestamp_too_old"),
        Case("from the future", "/port", BODY, early, 401, "timestamp_in_future"),
        Case(
            "signed before the rotation",
            "/port",
            BODY,
            previous,
            200,
            "previous secret 1",
        ),
        Case("no headers", "/port", BODY, {}, 401, "missing_header"),
        Case(
            "signature spelled differently",
            "/port",
            BODY,
            {**genuine, "x-port-signature": respell(genuine["x-port-signature"])},
            401,
            mismatch,
        ),
        Case(
            "forwarded by the agent, agent=False",
            "/port",
            AGENT_SENT,
            by_agent,
            401,
            mismatch,
        ),
        Case(
            "forwarded by the agent, agent=True",
            "/agent",
            AGENT_SENT,
            by_agent,
            200,
            "via agent",
        ),
        Case("empty, from the agent", "/agent", b"", null, 200, "via agent"),
        Case("genuine, with a replay store", "/once", BODY, genuine, 200, "via port"),
        Case("the same once more", "/once", BODY, genuine, 200, "duplicate_delivery"),
    ]


def respell(signature: str) -> str:
    """Change the bits of the last base64 character that decoders ignore."""
    last = BASE64.index(signature[-2])
    return f"{signature[:-2]}{BASE64[last ^ 1]}="


@contextmanager
def receiver() -> Iterator[tuple[str, int, IO[str]]]:
    """Start the receiver; give its host, its port and its log."""
    command = [sys.executable, str(Path(__file__).with_name("receiver.py"))]
    secrets = {"PORT_CLIENT_SECRET": SECRET, "PORT_CLIENT_SECRET_PREVIOUS": PREVIOUS}
    with subprocess.Popen(  # noqa: S603  # our own script, this interpreter
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **secrets}
    ) as process:
        if process.stdout is None:  # not with PIPE
            raise RuntimeError
        try:
            url = urlsplit(process.stdout.readline().strip())
            if url.hostname is None or url.port is None:
                sys.exit("The receiver did not start.")
            yield url.hostname, url.port, process.stdout
        finally:
            process.terminate()


def send(host: str, port: int, case: Case) -> int:
    """Send one request and return the HTTP status."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", case.path, case.body, dict(case.headers))
        return connection.getresponse().status
    finally:
        connection.close()


def explain(line: str) -> str:
    """Put the receiver's log line into a few words."""
    record = json.loads(line)
    if record["port_event"] == "rejected":
        return f"refused: {record['port_code']}"
    words = f"verified via {record['port_via']}"
    if record["port_secret_index"]:
        words += f", previous secret {record['port_secret_index']}"
    return words


def main() -> int:
    """Run every case; return the exit status."""
    table = Table(title="What a receiver of Port's webhooks answered", title_style="")
    for column in ("What was sent", "To", "HTTP", "Reason, from the log", ""):
        table.add_column(column)
    wrong = 0
    with receiver() as (host, port, log):
        for case in cases(int(time.time())):
            status = send(host, port, case)
            reason = explain(log.readline())
            as_expected = status == case.status and case.reason in reason
            wrong += not as_expected
            mark = "[green]as expected" if as_expected else "[red]UNEXPECTED"
            table.add_row(case.sent, case.path, str(status), reason, mark)
    console = Console()
    # A pipe has no width; wide enough then that no cell is folded.
    Console(width=None if console.is_terminal else 110).print(table)
    if wrong:
        console.print(f"{wrong} answers are not the expected ones.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
