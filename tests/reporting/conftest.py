"""Both clients in one form, and the API that they talk to."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from port_webhook.reporting import AsyncPortClient, PortClient

from .port_api import CLIENT_ID, CLIENT_SECRET, PortApi


class Clock:
    """A clock that only a wait, or the test, moves on."""

    def __init__(self):
        self.now = 1_713_277_889.0
        self.waits = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    async def asleep(self, seconds):
        self.sleep(seconds)


class Blocking:
    """`PortClient`, as the tests call it."""

    name = "blocking"

    def __init__(self):
        self.stack = contextlib.ExitStack()

    def make(self, clock, client_id=CLIENT_ID, secret=CLIENT_SECRET, **options):
        options = {"clock": clock, "sleep": clock.sleep, "timeout": 60, **options}
        made = PortClient(client_id, secret, **options)
        return self.stack.enter_context(made)

    def do(self, result):
        """Return what a method returned."""
        return result

    def within(self, report, work=lambda run: None):
        """Call *work* inside a report; return the run."""
        with report as run:
            work(run)
        return run

    def close(self):
        self.stack.close()


class Awaiting:
    """`AsyncPortClient`, as the tests call it: in a loop of its own."""

    name = "awaiting"

    def __init__(self):
        self.runner = asyncio.Runner()
        self.clients = []

    def make(self, clock, client_id=CLIENT_ID, secret=CLIENT_SECRET, **options):
        options = {"clock": clock, "sleep": clock.asleep, "timeout": 60, **options}
        self.clients.append(AsyncPortClient(client_id, secret, **options))
        return self.clients[-1]

    def do(self, result):
        if asyncio.iscoroutine(result):
            return self.runner.run(result)
        return result

    def within(self, report, work=lambda run: None):
        async def block():
            async with report as run:
                found = work(run)
                # Several calls are a list of coroutines.
                for each in found if isinstance(found, list | tuple) else [found]:
                    if asyncio.iscoroutine(each):
                        await each
            return run

        return self.runner.run(block())

    def close(self):
        for each in self.clients:
            self.runner.run(each.aclose())
        self.runner.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def api(clock):
    api = PortApi(clock)
    yield api
    api.close()


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
def kind(request):
    kind = request.param()
    yield kind
    kind.close()


@pytest.fixture
def client(kind, api, clock):
    return kind.make(clock, base_url=api.url)
