"""What the soak sends to: one application, in each framework that the servers run.

A payload says what its handler does. The work is one line of the ledger, which is on
disk before the handler goes on. The outermost layer tells the driver over a socket when
a request begins and ends, and names the worker in the response. Each record of the
library goes to a file, with the id of the request in which it was written.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from port_webhook import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from port_webhook import Delivery

CONFIG = "PORT_WEBHOOK_FAULTS"
SECRET = "the-client-secret-of-the-soak"
LEASE = 60.0
# Seconds; the stores' clients wait no longer.
PATIENCE = 0.5

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="")


@cache
def config() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(os.environ[CONFIG])
    return found


def folder() -> Path:
    return Path(config()["folder"])


def clock() -> float:
    """Return the time, moved by what the driver wrote into a file."""
    return time.time() + float((folder() / "clock").read_text())


# What the driver is told. A worker is a process: after a fork it has its own socket.

_sockets: dict[int, socket.socket] = {}


def tell(event: str) -> None:
    pid = os.getpid()
    if pid not in _sockets:
        _sockets[pid] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        _sockets[pid].connect(str(folder() / "events"))
    _sockets[pid].send(f"{event} {pid} {REQUEST.get()}".encode())


def append(name: str, entry: dict[str, Any], *, durable: bool = False) -> None:
    """Append one line; to a file opened for appending, this is one step."""
    line = json.dumps({"pid": os.getpid(), "req": REQUEST.get(), **entry}) + "\n"
    file = os.open(folder() / name, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(file, line.encode())
        if durable:
            os.fsync(file)
    finally:
        os.close(file)


class Records(logging.Handler):
    """Keeps the library's records where the driver reads them."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        names = ("event", "code", "http_status", "run_id", "step")
        found = {name: fields.get(f"port_{name}") for name in names}
        append("log", {**found, "text": record.getMessage()})


def start_log() -> None:
    logger = logging.getLogger("port_webhook")
    logger.addHandler(Records(logging.WARNING))
    logger.propagate = False


# The handler.


def die(name: str) -> None:
    """Send this worker a signal, and write that down first."""
    append("deaths", {"signal": name})
    os.kill(os.getpid(), getattr(signal, name))


def handle(delivery: Delivery) -> int:
    """Do what the payload says; return the status of the response."""
    order = delivery.json()
    first = REQUEST.get().endswith(".1")
    deed = order["do"] if first else "work"
    if deed in {"fail", "raise"}:
        append("log", {"event": "handler_failed", "code": "handler_failed"})
        if deed == "raise":
            raise RuntimeError
        return 500
    if deed == "die-before":
        die(order["signal"])
    append("ledger", {"run": delivery.run_id}, durable=True)
    if deed == "die-after":
        die(order["signal"])
    return 200


# The verifier and its store.


def _redis(*, asynchronous: bool) -> Any:
    from redis.backoff import NoBackoff

    options = {
        "host": "127.0.0.1",
        "port": config()["port"],
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
    }
    if asynchronous:
        import redis.asyncio as aredis
        from redis.asyncio.retry import Retry as AsyncRetry

        from port_webhook.replay.redis import AsyncRedisReplayStore

        retry: Any = AsyncRetry(NoBackoff(), 1)
        aclient: Any = aredis.Redis(**options, retry=retry)
        return AsyncRedisReplayStore(aclient)
    import redis
    from redis.retry import Retry

    from port_webhook.replay.redis import RedisReplayStore

    client: Any = redis.Redis(**options, retry=Retry(NoBackoff(), 1))
    return RedisReplayStore(client)


def configure_django() -> None:
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": config()["database"]},
        DEBUG=False,
        INSTALLED_APPS=["port_webhook.replay.django"],
        # Its own complaints about 4xx and 5xx are not ours to read.
        LOGGING={"version": 1, "disable_existing_loggers": False},
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF="urls_of_the_soak",
        SECRET_KEY="not-a-secret",
        USE_TZ=True,
    )
    django.setup()


def make_verifier(*, asynchronous: bool) -> Verifier:
    store: Any
    if config()["kind"] == "redis":
        store = _redis(asynchronous=asynchronous)
    else:
        from port_webhook.replay.django import DjangoReplayStore

        store = DjangoReplayStore(clock=clock)
    return Verifier(SECRET, replay_store=store, replay_lease=LEASE, clock=clock)


# The frameworks. Each answers at /port.


def make_flask() -> Any:
    from flask import Flask

    from port_webhook.adapters.flask import webhook

    app = Flask(__name__)

    @app.post("/port")
    @webhook(make_verifier(asynchronous=False))
    def port(delivery: Delivery) -> tuple[str, int]:
        return "handled", handle(delivery)

    return app


def make_wsgi() -> Any:
    from port_webhook.adapters.wsgi import PortWebhookMiddleware, delivery_of

    def app(environ: Any, start_response: Any) -> list[bytes]:
        status = handle(delivery_of(environ))
        start_response(f"{status} Its Phrase", [("Content-Length", "7")])
        return [b"handled"]

    return PortWebhookMiddleware(app, make_verifier(asynchronous=False))


def make_fastapi() -> Any:
    from fastapi import FastAPI, Response

    import port_webhook
    from port_webhook.adapters.fastapi import webhook

    app = FastAPI(openapi_url=None)

    async def port(delivery: Any) -> Response:
        return Response("handled", handle(delivery))

    # The annotations of this module are text, and FastAPI looks names up in it.
    port.__annotations__ = {"delivery": port_webhook.Delivery, "return": Response}
    app.post("/port")(webhook(make_verifier(asynchronous=True))(port))
    return app


def make_asgi() -> Any:
    from port_webhook.adapters.asgi import PortWebhookMiddleware, delivery_of

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        status = handle(delivery_of(scope))
        headers = [(b"content-length", b"7")]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"handled"})

    return PortWebhookMiddleware(app, make_verifier(asynchronous=True))


def make_django(*, asynchronous: bool) -> Any:
    configure_django()
    import sys
    from types import ModuleType

    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    from port_webhook.adapters.django import webhook

    verifier = make_verifier(asynchronous=False)

    @webhook(verifier)
    def port(request: HttpRequest, delivery: Delivery) -> HttpResponse:
        del request
        return HttpResponse("handled", status=handle(delivery))

    @webhook(verifier)
    async def aport(request: HttpRequest, delivery: Delivery) -> HttpResponse:
        del request
        return HttpResponse("handled", status=handle(delivery))

    urls: Any = ModuleType("urls_of_the_soak")
    urls.urlpatterns = [path("port", aport if asynchronous else port)]
    sys.modules[urls.__name__] = urls
    return get_asgi_application() if asynchronous else get_wsgi_application()


# The outermost layer.


def wsgi() -> Callable[[Any, Any], Iterable[bytes]]:
    """Build the application for a WSGI server."""
    start_log()
    makes = {"flask": make_flask, "wsgi": make_wsgi}
    name = config()["app"]
    inner = makes[name]() if name in makes else make_django(asynchronous=False)
    worker = ("X-Worker", str(os.getpid()))
    tell("hello")

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/health":
            start_response("200 OK", [worker, ("Content-Length", "0")])
            return [b""]

        def start(status: str, headers: Any, *rest: Any) -> Any:
            return start_response(status, [*headers, worker], *rest)

        token = REQUEST.set(environ.get("HTTP_X_REQUEST_ID", ""))
        tell("begin")
        try:
            parts = inner(environ, start)
            try:
                return [b"".join(parts)]
            finally:
                getattr(parts, "close", int)()
        finally:
            tell("end")
            REQUEST.reset(token)

    return app


def asgi() -> Any:
    """Build the application for an ASGI server."""
    start_log()
    makes = {"fastapi": make_fastapi, "asgi": make_asgi}
    name = config()["app"]
    inner = makes[name]() if name in makes else make_django(asynchronous=True)
    worker = (b"x-worker", b"%d" % os.getpid())
    tell("hello")

    async def live(receive: Any, send: Any) -> None:
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return

        async def send_named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), worker]
            await send(message)

        if scope["path"] == "/health":
            headers = [(b"content-length", b"0")]
            start = {"type": "http.response.start", "status": 200, "headers": headers}
            await send_named(start)
            await send({"type": "http.response.body", "body": b""})
            return
        fields = dict(scope["headers"])
        token = REQUEST.set(fields.get(b"x-request-id", b"").decode())
        tell("begin")
        try:
            await inner(scope, receive, send_named)
        finally:
            tell("end")
            REQUEST.reset(token)

    return app


if __name__ == "__main__":
    configure_django()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
