"""The applications that `servers.py` sends to: one on WSGI, one on ASGI.

Each path has the same view, behind nothing, behind a verifier, or behind a verifier
with a store. The stores come as descriptions in the environment. FastAPI reads the
annotations of the views, so they are not postponed here.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from port_webhook import Delivery, Verifier
from tests.replay import stores  # found by the path above

SPECS = "PORT_WEBHOOK_BENCHMARK"
SECRET = "0123456789abcdef0123456789abcdef"
# Long enough that the next request goes to another worker.
PAUSE = 0.05


def _verifiers(redis: Callable[[dict[str, Any]], Any]) -> dict[str, Verifier]:
    """Return a verifier for each path, with its store connected."""
    found = {"verified": Verifier(SECRET)}
    for name, spec in json.loads(os.environ[SPECS]).items():
        make = redis if name == "redis" else _build
        verifier = Verifier(SECRET, replay_store=make(spec))
        if not verifier.is_async:
            # In a thread: Django refuses to connect where an event loop runs.
            with ThreadPoolExecutor() as pool:
                pool.submit(verifier.self_check).result()
        found[name] = verifier
    return found


def _build(spec: dict[str, Any]) -> Any:
    return stores.build(spec)[0]


def _build_async_redis(spec: dict[str, Any]) -> Any:
    from redis.asyncio import Redis

    from port_webhook.replay.redis import AsyncRedisReplayStore

    client = Redis(**spec["connection"], socket_timeout=5)
    return AsyncRedisReplayStore(client, prefix=spec["prefix"])


def _pid() -> dict[str, int]:
    time.sleep(PAUSE)
    return {"pid": os.getpid()}


def make_wsgi() -> Any:
    """Build the Flask application."""
    import flask

    from port_webhook.adapters.flask import webhook

    app = flask.Flask(__name__)
    app.get("/pid")(_pid)

    @app.post("/bare")
    def bare() -> dict[str, int]:
        return {"length": len(flask.request.get_data())}

    def view(delivery: Delivery) -> dict[str, int]:
        return {"length": len(delivery.payload)}

    for name, verifier in _verifiers(_build).items():
        app.post(f"/{name}", endpoint=name)(webhook(verifier)(view))
    return app


def make_asgi() -> Any:
    """Build the FastAPI application."""
    from fastapi import FastAPI, Request

    from port_webhook.adapters.fastapi import webhook

    app = FastAPI()

    @app.get("/pid")
    async def pid() -> dict[str, int]:
        return _pid()

    @app.post("/bare")
    async def bare(request: Request) -> dict[str, int]:
        return {"length": len(await request.body())}

    async def view(delivery: Delivery) -> dict[str, int]:
        return {"length": len(delivery.payload)}

    for name, verifier in _verifiers(_build_async_redis).items():
        app.post(f"/{name}")(webhook(verifier)(view))
    return app
