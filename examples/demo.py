"""Send genuine and forged deliveries to a real receiver, and show what became of each.

`make demo` runs it. It starts ``receiver.py`` as a process of its own, speaks HTTP to
it, and takes the reasons from the receiver's log. At the end the receiver reports two
runs to a stand-in of Port's API, which is that of the tests. The exit status is 1 if
any answer or report is not the expected one.
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
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from port_webhook import devtools, sign

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.reporting.port_api import (  # found by the path above
    CLIENT_ID,
    CLIENT_SECRET,
    PortApi,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

SECRET = CLIENT_SECRET
PREVIOUS = "demo-client-secret-before-the-rotation"
HEADING = """
Requests that a Flask receiver got over HTTP, its answers, and its log:
  /port   verifies what Port sends itself
  /agent  accepts what Port's execution agent forwards, too (agent=True)
  /once   runs each signed request once (a replay store)
"""
REPORTED = """
Runs that the receiver reported to a stand-in of Port's API (POST to /report):"""
NEXT = """
Next: the receiver is examples/receiver.py. For your own service, install the package
with your framework and put the decorator on a view: see README.md."""
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
    """One request, the answer that it must get, and why."""

    sent: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    status: int
    log: str
    why: str


def cases(now: int) -> list[Case]:
    """Return every case of the demonstration; *now* is in seconds."""
    genuine = sign(BODY, SECRET, timestamp=now)
    by_agent = sign(AGENT_SIGNED, SECRET, timestamp=now)
    null = sign("null", SECRET, timestamp=now)
    respelled = {
        **genuine,
        "x-port-signature": respell(genuine["x-port-signature"]),
    }
    return [
        Case(
            "genuine",
            "/port",
            BODY,
            genuine,
            200,
            "verified via port",
            "signed with the client secret, just now",
        ),
        Case(
            "its body changed",
            "/port",
            BODY.replace(b'"cpu":2', b'"cpu":64'),
            genuine,
            401,
            "signature_mismatch",
            "the signature covers each byte of the body",
        ),
        Case(
            "another secret",
            "/port",
            BODY,
            sign(BODY, "not the client secret", timestamp=now),
            401,
            "signature_mismatch",
            "who signed it does not know the secret",
        ),
        Case(
            "no signature",
            "/port",
            BODY,
            {},
            401,
            "missing_header",
            "Port's two headers are not there",
        ),
        Case(
            "10 minutes old",
            "/port",
            BODY,
            sign(BODY, SECRET, timestamp=now - 600),
            401,
            "timestamp_too_old",
            "a captured request passes for 5 minutes only",
        ),
        Case(
            "10 minutes ahead",
            "/port",
            BODY,
            sign(BODY, SECRET, timestamp=now + 600),
            401,
            "timestamp_in_future",
            "clocks may differ by 1 minute",
        ),
        Case(
            "signature respelled",
            "/port",
            BODY,
            respelled,
            401,
            "signature_mismatch",
            "same MAC, other base64: only Port's text passes",
        ),
        Case(
            "the old secret",
            "/port",
            BODY,
            sign(BODY, PREVIOUS, timestamp=now),
            200,
            "previous secret 1",
            "while a rotation lasts, both secrets pass",
        ),
        Case(
            "from the agent",
            "/port",
            AGENT_SENT,
            by_agent,
            401,
            "signature_mismatch",
            "the agent adds white space after signing",
        ),
        Case(
            "from the agent",
            "/agent",
            AGENT_SENT,
            by_agent,
            200,
            "verified via agent",
            "agent=True removes that white space again",
        ),
        Case(
            "null from the agent",
            "/agent",
            b"",
            null,
            200,
            "verified via agent",
            "it signs null, and sends nothing for it",
        ),
        Case(
            "genuine, again",
            "/port",
            BODY,
            genuine,
            200,
            "verified via port",
            "within 5 minutes, and /port forgets it",
        ),
        Case(
            "genuine",
            "/once",
            BODY,
            genuine,
            200,
            "verified via port",
            "new to the replay store",
        ),
        Case(
            "genuine, again",
            "/once",
            BODY,
            genuine,
            200,
            "duplicate_delivery",
            "known to the store: answered, not run",
        ),
    ]


def respell(signature: str) -> str:
    """Change the bits of the last base64 character that decoders ignore."""
    last = BASE64.index(signature[-2])
    return f"{signature[:-2]}{BASE64[last ^ 1]}="


@contextmanager
def receiver(api_url: str) -> Iterator[tuple[str, int, Queue[str]]]:
    """Start the receiver; give its host, its port and the lines of its log."""
    command = [sys.executable, str(Path(__file__).with_name("receiver.py"))]
    secrets = {
        "PORT_CLIENT_ID": CLIENT_ID,
        "PORT_CLIENT_SECRET": SECRET,
        "PORT_CLIENT_SECRET_PREVIOUS": PREVIOUS,
        "PORT_BASE_URL": api_url,
    }
    with subprocess.Popen(  # noqa: S603  # our own script, this interpreter
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **secrets}
    ) as process:
        if process.stdout is None:  # not with PIPE
            raise RuntimeError
        try:
            url = urlsplit(process.stdout.readline().strip())
            if url.hostname is None or url.port is None:
                sys.exit("The receiver did not start.")
            yield url.hostname, url.port, follow(process.stdout)
        finally:
            process.terminate()


def follow(log: IO[str]) -> Queue[str]:
    """Read the log in a thread, so that nobody waits for a line that never comes."""
    lines: Queue[str] = Queue()

    def read() -> None:
        for line in log:
            lines.put(line)

    Thread(target=read, daemon=True).start()
    return lines


def send(host: str, port: int, case: Case) -> int:
    """Send one request and return the HTTP status."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", case.path, case.body, dict(case.headers))
        return connection.getresponse().status
    finally:
        connection.close()


def explain(lines: Queue[str]) -> str:
    """Put the receiver's next log line into a few words."""
    try:
        record = json.loads(lines.get(timeout=5))
    except Empty:
        return "nothing"
    if record["port_event"] == "rejected":
        return str(record["port_code"])
    if record["port_secret_index"]:
        return f"previous secret {record['port_secret_index']}"
    return f"verified via {record['port_via']}"


def show_explanation(genuine: Case) -> None:
    """Show what `port-webhook explain` says of a delivery that was refused."""
    print(
        "\nThe genuine delivery with a line break added, checked with another secret:\n"
    )
    secrets = {"the configured secret": PREVIOUS, "production": SECRET}
    print(devtools.explain(genuine.body + b"\n", genuine.headers, secrets))


def report_runs(host: str, port: int, api: PortApi, table: Table) -> bool:
    """Let the receiver report two runs; tell whether both ended as expected."""
    right = True
    # The second has no region, which the receiver needs.
    for run_id, inputs, expected in (
        ("r_complete", {"cpu": 2, "region": "eu-west-1"}, "SUCCESS"),
        ("r_incomplete", {"cpu": 2}, "FAILURE"),
    ):
        api.add_run(run_id)
        document = {
            **DOCUMENT,
            "context": {"runId": run_id},
            "payload": {"properties": inputs},
        }
        body = json.dumps(document).encode()
        headers = sign(body, SECRET, timestamp=int(time.time()))
        status = send(host, port, Case("", "/report", body, headers, 0, "", ""))
        run = api.runs[run_id]
        as_expected = run["status"] == expected
        right = right and as_expected
        table.add_row(
            run_id,
            str(status),
            str(run["status"]),
            str(run.get("statusLabel") or ""),
            str(run.get("summary", "")),
            "\n".join(run["log"]),
            "[green]ok" if as_expected else "[red]WRONG",
        )
    return right


def make_table(*columns: str) -> Table:
    """Make a table whose last two columns may be wrapped, and the last has no name."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True)
    *fixed, last = columns
    for column in fixed:
        table.add_column(column, no_wrap=True)
    table.add_column(last)
    table.add_column("")
    return table


def main() -> int:
    """Run every case; return the exit status."""
    table = make_table("What was sent", "To", "HTTP", "The log says", "Why")
    runs = make_table("Run", "HTTP", "Status", "Label", "Summary", "The run's log")
    right = 0
    every = cases(int(time.time()))
    api = PortApi()
    try:
        with receiver(api.url) as (host, port, lines):
            for case in every:
                status = send(host, port, case)
                log = explain(lines)
                as_expected = (status, log) == (case.status, case.log)
                right += as_expected
                mark = "[green]ok" if as_expected else "[red]WRONG"
                answer = f"[{'green' if status < 400 else 'red'}]{status}"
                table.add_row(case.sent, case.path, answer, log, case.why, mark)
            reported = report_runs(host, port, api, runs)
    finally:
        api.close()
    console = Console()
    if not console.is_terminal:  # a pipe has no width
        console.width = 110
    print(HEADING)
    console.print(table)
    print(f"\n{right} of {len(every)} answers as expected.")
    show_explanation(every[0])
    print(REPORTED)
    console.print(runs)
    if right < len(every) or not reported:
        return 1
    print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
