"""What the end-to-end tests send to: one application on WSGI, one on ASGI.

A payload says what its handler does. ``id`` names the run in the journal, which all
workers append to. With ``gate``, the handler connects to that port, tells the number of
its process, and then does what it reads there: it answers with that status, or raises.

The path chooses the store. The clock stands still, so that what was signed for `NOW`
never ages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from port_webhook import DeliveryError, Verifier
from port_webhook.replay.redis import AsyncRedisReplayStore, RedisReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from port_webhook import Delivery

SECRET = "the-client-secret-of-the-replay-tests"
NOW = 1_700_000_000
LEASE = 3600
SHORT, LONG = 0.05, 60.0
CONFIG = "PORT_WEBHOOK_REPLAY_TESTS"
HANDLED = b"handled"


def _client(kind: str, connection: dict[str, Any], timeout: float, retries: int) -> Any:
    from redis.backoff import NoBackoff

    redis: Any
    retry: Any
    if kind == "asyncio":
        import redis.asyncio as redis
        from redis.asyncio import retry
    else:
        import redis
        from redis import retry
    return redis.Redis(
        **connection,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=retry.Retry(NoBackoff(), retries),
    )


def _verifiers(kind: str) -> dict[str, Verifier]:
    config = json.loads(os.environ[CONFIG])
    redis = config["redis"]
    silent = {"host": "127.0.0.1", "port": config["silent"]}
    held = {"host": "127.0.0.1", "port": config["held"]}

    def make(
        connection: dict[str, Any],
        timeout: float = LONG,
        *,
        kind: str = kind,
        retries: int = 1,
        fail_open: bool = False,
    ) -> Verifier:
        client = _client(kind, connection, timeout, retries)
        store: AsyncRedisReplayStore | RedisReplayStore
        if kind == "asyncio":
            store = AsyncRedisReplayStore(client)
        else:
            store = RedisReplayStore(client)
        return Verifier(
            SECRET,
            replay_store=store,
            replay_lease=LEASE,
            clock=lambda: NOW,
            replay_fail_open=fail_open,
        )

    found = {
        "/port": make(redis),
        "/open": make(redis, fail_open=True),
        "/stacked": make(redis),
        "/silent": make(silent, SHORT),
        "/silent-open": make(silent, SHORT, fail_open=True),
    }
    if kind == "asyncio":
        found["/held"] = make(held, retries=0)
        # A synchronous store in an asynchronous server runs in a thread.
        found["/thread"] = make(redis, kind="threads")
        found["/thread-held"] = make(held, kind="threads", retries=0)
    return found


def _append(name: str, line: str) -> None:
    path = os.path.join(json.loads(os.environ[CONFIG])["folder"], name)  # noqa: PTH118  # a name
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(file, f"{line}\n".encode())
    os.close(file)


class _Log(logging.Handler):
    """Writes the library's records where the tests read them."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        _append(
            "log",
            f"{record.levelname} {fields['port_event']} "
            f"{fields.get('port_code') or fields.get('port_step')}",
        )


def _start_log() -> None:
    logger = logging.getLogger("port_webhook")
    logger.addHandler(_Log(logging.WARNING))
    logger.propagate = False


def _begin(delivery: Delivery) -> int | None:
    """Note that a handler runs; return its gate."""
    order = delivery.json()
    _append("runs", order["id"])
    gate: int | None = order.get("gate")
    return gate


def _end(told: bytes) -> int:
    if told == b"raise\n":
        raise RuntimeError
    return int(told)


# The application on WSGI.


def handle(delivery: Delivery) -> int:
    gate = _begin(delivery)
    if gate is None:
        return 200
    with socket.create_connection(("127.0.0.1", gate), LONG) as connection:
        connection.sendall(b"%d\n" % os.getpid())
        with connection.makefile("rb") as lines:
            told = lines.readline()
    return _end(told)


def _make_flask(verifier: Verifier) -> Any:
    from flask import Flask

    from port_webhook.adapters.flask import webhook

    app = Flask(__name__)

    @app.post("/stacked")
    @webhook(verifier)
    def view(delivery: Delivery) -> tuple[bytes, int]:
        return HANDLED, handle(delivery)

    return app


def make_wsgi() -> Callable[..., Iterable[bytes]]:
    """Build the application for gunicorn; each answer names its worker."""
    from port_webhook.adapters.wsgi import PortWebhookMiddleware

    _start_log()
    verifiers = _verifiers("threads")

    stacked = cache(lambda: _make_flask(verifiers["/stacked"]))

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stacked":
            answer: Iterable[bytes] = stacked()(environ, start_response)
            return answer
        status = 200
        if environ["PATH_INFO"] != "/plain":
            status = handle(environ["port_webhook.delivery"])
        length = ("Content-Length", str(len(HANDLED)))
        start_response(f"{status} Its Phrase", [length])
        return [HANDLED]

    protected = PortWebhookMiddleware(
        application,
        choose=lambda environ: verifiers[environ["PATH_INFO"]],
        paths=list(verifiers),
    )

    def named(environ: Any, start_response: Any) -> Iterable[bytes]:
        def start(status: Any, headers: Any, *rest: Any) -> Any:
            return start_response(
                status, [*headers, ("X-Worker", str(os.getpid()))], *rest
            )

        return protected(environ, start)

    return named


# The application on ASGI, which uses `areceive` itself.


async def ahandle(delivery: Delivery, gates: list[asyncio.StreamWriter]) -> int:
    gate = _begin(delivery)
    if gate is None:
        return 200
    reader, writer = await asyncio.open_connection("127.0.0.1", gate)
    gates.append(writer)
    writer.write(b"%d\n" % os.getpid())
    return _end(await reader.readline())


async def _until_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless_gone(receive: Any, step: Any) -> None:
    """Run *step*, and cancel it if the client disconnects meanwhile."""
    tasks = [
        asyncio.ensure_future(step),
        asyncio.ensure_future(_until_disconnect(receive)),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    if not tasks[0].cancelled():
        await tasks[0]


async def _answer(send: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    fields = {**headers, "Content-Length": str(len(body))}
    pairs = [(k.lower().encode(), v.encode()) for k, v in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _make_fastapi(verifier: Verifier) -> Any:
    """Put the middleware before an application that has the dependency."""
    from typing import Annotated

    from fastapi import Depends, FastAPI, Response

    from port_webhook import Delivery
    from port_webhook.adapters.asgi import PortWebhookMiddleware
    from port_webhook.adapters.fastapi import PortWebhook

    async def view(delivery: Any) -> Response:
        return Response(HANDLED, await ahandle(delivery, []))

    # The annotations of this module are text, and these names are local.
    verified = Depends(PortWebhook(verifier))
    view.__annotations__ = {"delivery": Annotated[Delivery, verified]}
    app = FastAPI()
    app.post("/stacked")(view)
    return PortWebhookMiddleware(app, verifier)


def make_asgi() -> Callable[..., Any]:
    """Build the application for uvicorn."""
    _start_log()
    verifiers = _verifiers("asyncio")

    stacked = cache(lambda: _make_fastapi(verifiers["/stacked"]))

    async def serve(scope: Any, body: bytes, send: Any) -> None:
        gates: list[asyncio.StreamWriter] = []
        reception = verifiers[scope["path"]].areceive(body, scope["headers"])
        try:
            async with reception as delivery:
                reception.status = await ahandle(delivery, gates)
        except DeliveryError as error:
            headers = dict(error.http_headers)
            await _answer(send, error.http_status, headers, error.http_body)
        else:
            await _answer(send, reception.status, {}, HANDLED)
        finally:
            # To the test the end of this connection is the end of the claim.
            for gate in gates:
                gate.close()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stacked":
            await stacked()(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/plain":
            await _answer(send, 200, {}, HANDLED)
        else:
            await _unless_gone(receive, serve(scope, body, send))

    return app
