"""A report of one run, beside the same calls with httpx2 alone.

A report makes two calls: a line of the log, and the status. Both clients have their
connection and, ours, its token. The server is that of the tests, on loopback.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from measure import duration, in_turn, ratio
from tables import Table

from port_webhook.reporting import PortClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.reporting.port_api import (  # found by the path above
    CLIENT_ID,
    CLIENT_SECRET,
    PortApi,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = "httpx2 alone"


def report() -> list[Table]:
    """Measure a report, its calls alone, and a report without a run."""
    api = PortApi()
    try:
        with (
            httpx2.Client() as plain,
            PortClient(CLIENT_ID, CLIENT_SECRET, base_url=api.url) as client,
        ):
            return [_times(_contenders(api, plain, client))]
    finally:
        api.close()


def _contenders(
    api: PortApi, plain: httpx2.Client, client: PortClient
) -> dict[str, Callable[[], object]]:
    client.run_action("warm")
    headers = {"Authorization": f"Bearer {api.tokens[-1]}"}
    url = f"{api.url}/v1/actions/runs/r_1"

    def alone() -> None:
        api.add_run()
        plain.post(f"{url}/logs", json={"message": "x"}, headers=headers)
        answer = plain.patch(url, json={"status": "SUCCESS"}, headers=headers)
        assert answer.status_code == 200

    def reported() -> None:
        api.add_run()
        with client.report("r_1") as run:
            run.log("x")
        assert run.status == "SUCCESS"

    def without_a_run() -> None:
        with client.report(None) as run:
            run.log("x")

    return {PLAIN: alone, "a report": reported, "without a run": without_a_run}


def _times(contenders: dict[str, Callable[[], object]]) -> Table:
    seconds = in_turn(contenders, clock=time.perf_counter)
    table = Table(
        "A report of two calls to a server on loopback", ("", "time, relative", "time")
    )
    for name, each in seconds.items():
        figure = "1" if name == PLAIN else ratio(each, seconds[PLAIN])
        table.add(name, figure, duration(each))
    return table
