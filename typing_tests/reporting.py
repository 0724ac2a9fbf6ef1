"""What the type checkers see of the client of Port's API; never executed."""

from __future__ import annotations

import logging
from typing import Any, assert_type

import httpx2

from port_webhook import Delivery, ReportingError, Verifier
from port_webhook.dispatch import AsyncDispatcher, Dispatcher
from port_webhook.models import TriggerData
from port_webhook.reporting import (
    ActionFailedError,
    AsyncPortClient,
    AsyncRun,
    Automation,
    PortClient,
    Run,
    RunLogHandler,
    answer,
)

client = PortClient(
    "id", "secret", region="us", attempts=7, http_client=httpx2.Client()
)
awaited = AsyncPortClient("id", "secret", base_url="https://api.port.io")
assert_type(PortClient.from_env(error_text=True), PortClient)
assert_type(AsyncPortClient.from_env(logger="shop"), AsyncPortClient)
PortClient("id", "secret", region="mars")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point
PortClient("id", "secret", unknown=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point

verifier = Verifier("secret", on_rejected=client.report_refusals)
handlers = Dispatcher(report=client)
awaited_handlers = AsyncDispatcher(report=awaited)
Dispatcher(report=awaited)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


@handlers.on(action="a", model=TriggerData)
def takes_the_run(data: TriggerData, run: Run) -> None: ...


@awaited_handlers.on(action="a")
async def takes_it_too(delivery: Delivery, run: AsyncRun) -> None: ...


def a_report(delivery: Delivery, data: TriggerData) -> None:
    with client.report(delivery, logger=logging.getLogger(), level=10) as run:
        assert_type(run, Run)
        run.log("x", level="WARN")
        run.update(links="https://a")
        run.update(links=["https://a"], status_label="x")
        run.succeed("done", output={"a": 1})
        assert_type(run.log_handler(), RunLogHandler)
        assert_type(run.status, str | None)
        assert_type(run.logs_sent, int)
    client.report(data)
    client.report("r_1")
    client.report(None)
    client.report(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


async def an_awaited_report(delivery: Delivery) -> None:
    async with awaited.report(delivery) as run:
        assert_type(run, AsyncRun)
        await run.log("x")
        await run.fail("x")
    assert_type(await awaited.run_action("a", {"b": 1}), dict[str, Any])


def the_other_calls() -> None:
    assert_type(client.run_action("a", run_as="b"), dict[str, Any])
    assert_type(client.upsert_entity("a", {"identifier": "b"}), dict[str, Any])
    client.approve("r_1", "fine")
    try:
        client.decline("r_1")
    except ReportingError as error:
        assert_type(error.status_code, int | None)
        assert_type(error.error, str | None)
    automation = Automation("a", event="RUN_CREATED", of="b", action="c")
    assert_type(automation.to_json(), str)
    Automation("a", event="WHENEVER", of="b", action="c")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point
    answer({"a": 1}, request=None)
    raise ActionFailedError("no quota")
