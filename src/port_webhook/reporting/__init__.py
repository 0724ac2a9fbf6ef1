"""Report back to Port: runs, their logs, entities, approvals, and actions to run.

::

    client = PortClient.from_env()

    with client.report(delivery) as run:
        run.log("creating")

An exception ends the run as a failure, and is raised again; otherwise the run succeeds.
The extra ``reporting`` installs httpx2 and stamina, which this package needs.
"""

from __future__ import annotations

from port_webhook.reporting._async_client import AsyncPortClient
from port_webhook.reporting._automation import Automation
from port_webhook.reporting._client import PortClient
from port_webhook.reporting._logging import RunLogHandler
from port_webhook.reporting._options import (
    AsyncClientOptions,
    ClientOptions,
    HasRunId,
    Region,
)
from port_webhook.reporting._run import AsyncRun, Run
from port_webhook.reporting._synchronous import ActionFailedError, answer

__all__ = [
    "ActionFailedError",
    "AsyncClientOptions",
    "AsyncPortClient",
    "AsyncRun",
    "Automation",
    "ClientOptions",
    "HasRunId",
    "PortClient",
    "Region",
    "Run",
    "RunLogHandler",
    "answer",
]
