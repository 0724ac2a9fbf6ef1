"""The handler that sends a logger's records to the log of a run."""

from __future__ import annotations

import asyncio
import logging
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from port_webhook.reporting import PortClient, RunLogHandler
from port_webhook.reporting._logging import LineBuffer, TaskPump, ThreadPump

from .port_api import CLIENT_ID, CLIENT_SECRET


@pytest.fixture
def logger():
    logger = logging.getLogger("tests.reporting.jobs")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    assert ours(logger) == []


def ours(logger):
    return [each for each in logger.handlers if isinstance(each, RunLogHandler)]


def record(message):
    return logging.LogRecord("any", logging.INFO, "", 1, message, (), None)


def threads():
    return [each for each in threading.enumerate() if each.name == "port-webhook-log"]


def test_records_reach_the_log_of_the_run_in_order(kind, client, api, logger):
    def work(run):
        for number in range(10_000):
            logger.info("line %d", number)

    run = kind.within(client.report(api.add_run(), logger=logger), work)
    assert api.log_of() == [f"line {number}" for number in range(10_000)]
    assert run.logs_sent == 10_000
    # Batched: how many there are depends on how fast this machine is.
    assert api.count("/logs") < 2_000
    assert api.runs["r_1"]["status"] == "SUCCESS"
    assert threads() == []


def test_the_log_is_complete_before_the_end_is_told(kind, client, api, logger):
    with pytest.raises(KeyError):
        kind.within(
            client.report(api.add_run(), logger=logger.name),
            lambda run: [logger.info("last words"), vars()["x"]],
        )
    assert api.log_of() == ["last words"]
    assert api.requests[-1] == ("PATCH", "/v1/actions/runs/r_1")


def test_a_nodes_log_has_levels(kind, client, api, logger):
    def work(run):
        for level in (5, 10, 20, 30, 40, 50):
            logger.log(level, "at %d", level)

    run_id = api.add_node()
    kind.within(client.report(run_id, logger=logger, level=10), work)
    words = ["DEBUG", "INFO", "WARN", "ERROR", "ERROR"]
    texts = [f"at {level}" for level in (10, 20, 30, 40, 50)]
    assert api.nodes[run_id]["log"] == [*zip(words, texts, strict=True)]


def test_a_client_may_capture_a_logger_for_all_reports(kind, api, clock, logger):
    options = {"base_url": api.url, "logger": logger, "level": logging.WARNING}
    client = kind.make(clock, **options)
    kind.within(
        client.report(api.add_run()),
        lambda run: [logger.info("no"), logger.warning("yes")],
    )
    assert api.log_of() == ["yes"]


def test_a_run_gets_no_records_of_another(api, logger):
    ids = [api.add_run(f"r_{number}") for number in range(8)]
    barrier = threading.Barrier(len(ids))
    with (
        PortClient(CLIENT_ID, CLIENT_SECRET, base_url=api.url, timeout=60) as client,
        ThreadPoolExecutor(len(ids)) as pool,
    ):

        def work(run_id):
            with client.report(run_id, logger=logger):
                barrier.wait()
                for number in range(50):
                    logger.info("%s %d", run_id, number)
                barrier.wait()

        [*pool.map(work, ids)]
        logger.info("of nobody")
    for run_id in ids:
        assert api.log_of(run_id) == [f"{run_id} {number}" for number in range(50)]


def test_a_handler_of_ones_own_takes_every_record(kind, client, api, logger):
    def work(run):
        handler = run.log_handler(logging.INFO)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
        other = threading.Thread(target=logger.warning, args=("from a thread",))
        other.start()
        other.join()
        logger.debug("too low")
        logger.removeHandler(handler)

    kind.within(client.report(api.add_run()), work)
    assert api.log_of() == ["WARNING from a thread"]


def test_calls_of_the_api_are_not_captured(kind, client, api, caplog):
    # The root logger gets what the HTTP client says of the very calls that send it.
    caplog.set_level(logging.DEBUG)
    root = logging.getLogger()

    def work(run):
        root.warning("mine")
        return [run.log("direct")]

    kind.within(client.report(api.add_run(), logger=root, level=1), work)
    assert sorted(each for each in api.log_of() if "sleep" not in each) == [
        "direct",
        "mine",
        *[each for each in api.log_of() if "selector" in each],
    ]


def test_a_record_that_cannot_be_formatted_breaks_nothing(
    kind, client, api, logger, monkeypatch
):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    kind.within(
        client.report(api.add_run(), logger=logger),
        lambda run: [logger.info("%d", "x"), logger.info("fine")],
    )
    assert api.log_of() == ["fine"]


def test_lines_that_were_not_taken_are_counted_and_the_next_are_sent(
    kind, client, api, logger, records
):
    handlers = []

    def work(run):
        handlers.append(run.log_handler())
        logger.addHandler(handlers[0])
        for number in range(4_000):
            logger.info("%d %s", number, "x" * 60)
        logger.removeHandler(handlers[0])

    api.script("/logs", 503)
    run = kind.within(client.report(api.add_run()), work)
    lost = handlers[0].dropped
    assert 0 < lost < 4_000
    assert len(api.log_of()) == run.logs_sent == 4_000 - lost
    assert [each.port_event for each in records] == ["reporting_failed"]


def test_nothing_more_is_sent_where_it_is_of_no_use(kind, client, api, logger, records):
    def work(run):
        handler = run.log_handler()
        logger.addHandler(handler)
        for number in range(4_000):
            logger.info("%d %s", number, "x" * 60)
        logger.removeHandler(handler)
        return handler

    api.script("/logs", 404, 404)
    kept = []
    run = kind.within(client.report(api.add_run()), lambda run: kept.append(work(run)))
    assert api.count("/logs") == 1
    assert (run.logs_sent, kept[0].dropped) == (0, 4_000)
    assert run.status == "SUCCESS"
    kept[0].handle(record("late"))
    assert kept[0].dropped == 4_001


def test_a_report_in_the_log_of_the_library_is_not_sent_again(kind, client, api):
    own = logging.getLogger("port_webhook")

    def work(run):
        handler = run.log_handler()
        own.addHandler(handler)
        own.error("of the library")
        return [run.update(summary="x")]

    api.script("PATCH", 404)
    try:
        kind.within(client.report(api.add_run()), work)
    finally:
        own.handlers[:] = []
    assert api.log_of() == ["of the library"]


def test_waiting_lines_are_bounded_in_memory():
    buffer = LineBuffer(max_pending=1_000_000)
    tracemalloc.start()
    try:
        for number in range(10_000):
            buffer.add("INFO", f"{number} {'x' * 1_000}")
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    found = []
    while lines := buffer.take():
        assert sum(len(text) for _, text in lines) <= 131_072
        found += lines
    kept = len(found) - 1
    assert found[-1] == ("WARN", f"… {10_000 - kept} lines were dropped")
    assert buffer.dropped == 10_000 - kept
    assert [text.split()[0] for _, text in found[:-1]] == [str(n) for n in range(kept)]


def test_a_line_of_any_length_is_sent():
    buffer = LineBuffer()
    buffer.add("INFO", "x" * 1_000_000)
    ((_, text),) = buffer.take()
    assert len(text) == 131_072
    assert buffer.take() == []


def test_lines_are_sent_while_the_block_goes_on():
    sent = threading.Event()

    async def send(lines):
        sent.set()

    buffer = LineBuffer()
    pump = ThreadPump(buffer, send, linger=0)
    buffer.add("INFO", "x")
    pump.notify()
    assert sent.wait(60)
    # A second round, by size.
    sent.clear()
    for _ in range(3):
        buffer.add("INFO", "x" * 100_000)
    pump.notify()
    assert sent.wait(60)
    run(pump.stop())


def run(coroutine):
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_a_thread_that_never_started_need_not_end():
    async def send(lines):
        raise AssertionError

    pump = ThreadPump(LineBuffer(), send)
    run(pump.stop())
    pump.notify()
    assert threads() == []


def test_tasks_send_lines_while_the_block_goes_on():
    async def main():
        sent = asyncio.Event()

        async def send(lines):
            sent.set()

        buffer = LineBuffer()
        pump = TaskPump(buffer, send, linger=0.01)
        buffer.add("INFO", "x")
        pump.notify()
        await sent.wait()
        sent.clear()
        for _ in range(3):
            buffer.add("INFO", "x" * 100_000)
        pump.notify()
        await sent.wait()
        await pump.stop()
        assert len(asyncio.all_tasks()) == 1
        return pump

    pump = asyncio.run(main())
    pump.notify()  # the loop is closed


def test_a_report_that_ends_in_another_context_ends(api, clock):
    from contextvars import copy_context

    logger = logging.getLogger("tests.reporting.context")
    with PortClient(CLIENT_ID, CLIENT_SECRET, base_url=api.url) as client:
        report = client.report(api.add_run(), logger=logger)
        copy_context().run(report.__enter__)
        report.__exit__(None, None, None)
    assert api.runs["r_1"]["status"] == "SUCCESS"
    assert ours(logger) == []


def test_a_coroutine_that_is_closed_lets_go_of_its_logger(api, clock, logger):
    from port_webhook.reporting import AsyncPortClient

    async def main():
        options = {"base_url": api.url, "clock": clock}
        async with AsyncPortClient(CLIENT_ID, CLIENT_SECRET, **options) as client:

            async def block():
                async with client.report(api.add_run(), logger=logger):
                    await asyncio.get_running_loop().create_future()

            coroutine = block()
            coroutine.send(None)
            coroutine.close()

    asyncio.run(main())
    assert ours(logger) == []


def test_a_task_that_is_cancelled_reports_its_failure(api, clock):
    from port_webhook.reporting import AsyncPortClient

    async def main():
        options = {"base_url": api.url, "clock": clock, "timeout": 60}
        async with AsyncPortClient(CLIENT_ID, CLIENT_SECRET, **options) as client:
            started = asyncio.Event()

            async def block():
                async with client.report(api.add_run()):
                    started.set()
                    await asyncio.get_running_loop().create_future()

            task = asyncio.create_task(block())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert api.runs["r_1"]["summary"] == "CancelledError"
