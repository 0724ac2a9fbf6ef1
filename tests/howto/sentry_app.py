"""A script that raises in a handler, and prints which parts of it Sentry records.

The argument names the framework. Sentry is set up with its defaults first, then by the
code on stdin, both times with a transport that keeps the events. Each time a line of
JSON says what they held.
"""

import asyncio
import json
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module

import sentry_sdk
from sentry_sdk.transport import Transport

from port_webhook import DeliveryError, Verifier, sign
from port_webhook.testing import action_invocation

INPUT = "424242"
SECRET = "the client secret of your organisation"
events = []


class Kept(Transport):
    def capture_envelope(self, envelope):
        events.extend(item.payload.json for item in envelope.items)


# Only what the framework needs of all that Sentry finds by itself, which takes long.
names = {
    "fastapi": ["starlette.Starlette", "fastapi.FastApi"],
    "aiohttp": ["aiohttp.AioHttp"],
}
integrations = []
for name in names.get(sys.argv[1], [f"{sys.argv[1]}.{sys.argv[1].title()}"]):
    module, _, start = name.partition(".")
    found = import_module(f"sentry_sdk.integrations.{module}")
    integrations.append(getattr(found, f"{start}Integration")())
init = partial(
    sentry_sdk.init,
    transport=Kept,
    traces_sample_rate=1.0,
    auto_enabling_integrations=False,
    integrations=integrations,
)
setattr(sentry_sdk, "init", init)  # noqa: B010  # to mypy it is a class
verifier = Verifier(SECRET)
body = json.dumps(action_invocation(properties={"size": INPUT})).encode()
headers = {"content-type": "application/json", **sign(body, SECRET)}


def fail(delivery):
    inputs = delivery.invocation().inputs
    raise RuntimeError(len(inputs))


def run_flask():
    from flask import Flask

    from port_webhook.adapters.flask import webhook

    app = Flask("hooks")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.post("/port")(webhook(verifier)(fail))
    send = app.test_client().post
    assert send("/port", data=body).status_code == 401
    assert send("/port", data=body, headers=headers).status_code == 500


def run_django():
    from django import setup
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import path
    from werkzeug.test import Client

    from port_webhook.adapters.django import webhook

    @webhook(verifier)
    def view(request, delivery):
        fail(delivery)

    class Urls:
        urlpatterns = [path("port", view)]

    if not settings.configured:
        settings.configure(ROOT_URLCONF=Urls, SECRET_KEY="x", ALLOWED_HOSTS=["*"])
        setup()
    client = Client(get_wsgi_application())
    assert client.post("/port", data=body).status_code == 401
    assert client.post("/port", data=body, headers=headers).status_code == 500


def run_fastapi():
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from port_webhook import Delivery
    from port_webhook.adapters.fastapi import webhook

    app = FastAPI()

    @app.post("/port")
    @webhook(verifier)
    async def view(delivery: Delivery) -> None:
        fail(delivery)

    client = TestClient(app, raise_server_exceptions=False)
    assert client.post("/port", content=body).status_code == 401
    assert client.post("/port", content=body, headers=headers).status_code == 500


def run_aiohttp():
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from port_webhook.adapters.aiohttp import webhook

    async def view(request, delivery):
        fail(delivery)

    app = web.Application()
    app.router.add_post("/port", webhook(verifier)(view))

    async def run():
        async with TestClient(TestServer(app)) as client:
            assert (await client.post("/port", data=body)).status == 401
            sent = await client.post("/port", data=body, headers=headers)
            assert sent.status == 500

    asyncio.run(run())


def look():
    """Run a request that fails, and a hook that does; print what Sentry has of them."""
    events.clear()
    {"flask": run_flask, "django": run_django, "fastapi": run_fastapi}.get(
        sys.argv[1], run_aiohttp
    )()
    # One record at WARNING, then one at ERROR, since the hook raises.
    library = Verifier(SECRET, on_verified=lambda _: fail(None))
    with suppress(DeliveryError):
        library.verify(body, {})
    library.verify(body, headers)
    sys.stdout.write(json.dumps(summary()) + "\n")


def holds(what, where):
    return what in json.dumps(where)


def summary():
    signature = headers["x-port-signature"]
    failures = [each for each in events if "exception" in each]
    [record] = [each for each in events if each.get("logger") == "port_webhook"]
    variables = [
        frame.get("vars")
        for failure in failures
        for value in failure["exception"]["values"]
        for frame in value["stacktrace"]["frames"]
    ]
    requests = [each.get("request") for each in events]
    return {
        "exceptions": [each["exception"]["values"][-1]["type"] for each in failures],
        "record": record["extra"]["port_event"],
        "breadcrumb": record["breadcrumbs"]["values"][-1]["data"]["port_event"],
        "transactions": sum(each.get("type") == "transaction" for each in events),
        "inputs in request": holds(INPUT, requests),
        "inputs in variables": holds(INPUT, variables),
        "signature in request": holds(signature, requests),
        "signature in variables": holds(signature, variables),
        "inputs": holds(INPUT, events),
        "signature": holds(signature, events),
        "secret": holds(SECRET, events),
    }


for code in ("sentry_sdk.init('https://KEY@sentry.example.com/1')", sys.stdin.read()):
    exec(code, {"sentry_sdk": sentry_sdk})  # noqa: S102  # a block of the page
    look()
