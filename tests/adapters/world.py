"""What the worlds of all adapters have in common."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import Any

from port_webhook import Delivery  # noqa: TC001  # it is evaluated

from .servers import PATIENCE, Answer, ask_asgi

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
NO_MODEL = "the application parses the payload by itself"
ALL_AT_ONCE = "the body has arrived before the adapter is called"
SYNC = "nothing can be awaited or cancelled"


class World:
    """An adapter, and the application that it protects.

    Attributes:
        cannot: For each capability that it lacks, why.
        request_type: What a function that chooses a verifier gets.
        roomless: Views without room for the delivery.
        defaulted: A view whose delivery has a default.
        typed: A view, and what the decorated one shows of its parameters.
        accessors: The ways to read the body from the request of a view.
        forms: The ways to read a form.
    """

    cannot: dict[str, str] = {}
    webhook: Any = None
    accessors: dict[str, Any] = {}
    forms: dict[str, Any] = {}
    request_type: Any = dict
    roomless: Any = ()
    defaulted: Any = None
    typed: Any = ()

    def __init__(self):
        self.app: Any = None

    def body(self, word, key="error"):
        """Return the document in the response to a request that is refused."""
        return {key: word}

    def serve(self, view, *verifier, **options):
        """Put *view* behind the adapter."""
        self.put(self.webhook(*verifier, **options)(self.function(view)))

    def serve_bare(self, view):
        self.put(self.webhook(self.function(view)))

    def stack(self, view, outer, inner):
        """Put *view* behind two adapters."""
        decorated = self.webhook(inner)(self.function(view))
        self.put(self.webhook(outer)(decorated))

    def function(self, view) -> Any:
        """Return a function of the framework that calls *view*."""
        raise NotImplementedError

    def put(self, function):
        """Let *function* serve the requests of an application."""
        raise NotImplementedError

    def ask(self, request) -> Answer:
        raise NotImplementedError

    def http_error(self, status) -> Exception:
        """Return the framework's own exception for a status."""
        raise NotImplementedError

    def left_on(self, request):
        """Return the delivery that the adapter left on a view's *request*."""
        raise NotImplementedError

    def close(self): ...


class AsyncWorld(World):
    """One whose requests run in an event loop, which lasts as long as the world."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()

    def close(self):
        self.runner.close()

    def ask(self, request):
        return self.runner.run(ask_asgi(self.app, request))

    def cancel(self, request, started, ended):
        """Cancel the request once *started* is set; wait until *ended* is."""

        async def run():
            task = asyncio.create_task(ask_asgi(self.app, request))
            await asyncio.wait_for(started.wait(), PATIENCE)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.wait_for(ended.wait(), PATIENCE)

        self.runner.run(run())


async def outcome_of(view, given, request):
    outcome = view(given, request)
    return await outcome if isawaitable(outcome) else outcome


def after_delivery(delivery: Delivery, org: str) -> dict[str, int]:
    """Say what it does."""
    return {}


def after_request(request: object, delivery: Delivery, org: str) -> dict[str, int]:
    """Say what it does."""
    return {}
