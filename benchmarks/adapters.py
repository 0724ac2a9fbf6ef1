"""What each adapter adds to one request, against the same view without it.

No server is involved: an application is called as a server would call it, so that the
figures are those of the framework and of the adapter. The view without the adapter
reads the body too, since any receiver has to.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from io import BytesIO
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import django
import flask
from aiohttp import streams, test_utils, web
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import Depends, FastAPI, Request
from measure import duration, in_turn, ratio
from tables import Table

from port_webhook import Delivery, Verifier, sign
from port_webhook.adapters import aiohttp as aiohttp_adapter
from port_webhook.adapters import aws_lambda
from port_webhook.adapters import django as django_adapter
from port_webhook.adapters import flask as flask_adapter
from port_webhook.adapters.asgi import PortWebhookMiddleware as AsgiMiddleware
from port_webhook.adapters.fastapi import PortWebhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware as WsgiMiddleware
from port_webhook.testing import lambda_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Call = Callable[[], object]

SECRET = "0123456789abcdef0123456789abcdef"
VERIFIER = Verifier(SECRET)
BODY = b'{"context":{"runId":"r_1"},"a":"' + b"x" * 968 + b'"}'
# Ten headers, with the length, as a proxy passes them on.
HEADERS = {
    "host": "test",
    "user-agent": "axios/1.7.9",
    "accept": "application/json, text/plain, */*",
    "content-type": "application/json",
    "accept-encoding": "gzip, compress, deflate, br",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    **sign(BODY, SECRET),
}


def call_wsgi(app: Any, url: str) -> None:
    """Send one request to a WSGI application."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": url,
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": HEADERS["content-type"],
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(BODY),
        "wsgi.errors": sys.stderr,
    }
    for name, value in HEADERS.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> Callable[[bytes], None]:
        statuses.append(status)
        return lambda _: None

    for _ in app(environ, start_response):
        pass
    assert statuses == ["200 OK"], statuses


async def call_asgi(app: Any, url: str) -> None:
    """Send one request to an ASGI application."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": url,
        "raw_path": url.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"content-length", str(len(BODY)).encode()),
            *((name.encode(), value.encode()) for name, value in HEADERS.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    await app(scope, receive, send)
    assert statuses == [200], statuses


class AiohttpCaller:
    """Sends requests to handlers of aiohttp.

    Making a request of aiohttp's test utilities takes a hundred times as long as
    handling it, so that one is made, and its parts serve for all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        headers = {**HEADERS, "content-length": str(len(BODY))}
        self._loop = loop
        self._template = test_utils.make_mocked_request("POST", "/", headers)

    async def __call__(self, handler: Callable[[web.Request], Awaitable[Any]]) -> None:
        """Send one request to *handler*."""
        made = self._template
        stream = streams.StreamReader(made._protocol, 2**16, loop=self._loop)
        stream.feed_data(BODY)
        stream.feed_eof()
        request = web.Request(
            made._message,
            stream,
            made._protocol,
            made._payload_writer,
            made._task,
            self._loop,
        )
        response = await handler(request)
        assert response.status == 200


def flask_pair() -> tuple[Call, Call]:
    app = flask.Flask(__name__)

    @app.post("/bare")
    def bare() -> str:
        return str(len(flask.request.get_data()))

    @app.post("/verified")
    @flask_adapter.webhook(VERIFIER)
    def verified(delivery: Delivery) -> str:
        return str(len(delivery.payload))

    return partial(call_wsgi, app, "/bare"), partial(call_wsgi, app, "/verified")


def django_bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse(len(request.body))


@django_adapter.webhook(VERIFIER)
def django_verified(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse(len(delivery.payload))


urlpatterns = [path("bare", django_bare), path("verified", django_verified)]


def django_pair() -> tuple[Call, Call]:
    if not settings.configured:
        settings.configure()
        django.setup()
    override_settings(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], SECRET_KEY="-"
    ).enable()
    app = WSGIHandler()
    return partial(call_wsgi, app, "/bare"), partial(call_wsgi, app, "/verified")


def wsgi_pair() -> tuple[Call, Call]:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [])
        return [str(len(body)).encode()]

    verified = WsgiMiddleware(app, VERIFIER)
    return partial(call_wsgi, app, "/"), partial(call_wsgi, verified, "/")


def fastapi_pair(run: Callable[[Any], object]) -> tuple[Call, Call]:
    app = FastAPI()

    @app.post("/bare")
    async def bare(request: Request) -> int:
        return len(await request.body())

    @app.post("/verified")
    async def verified(
        delivery: Annotated[Delivery, Depends(PortWebhook(VERIFIER))],
    ) -> int:
        return len(delivery.payload)

    return (
        lambda: run(call_asgi(app, "/bare")),
        lambda: run(call_asgi(app, "/verified")),
    )


def asgi_pair(run: Callable[[Any], object]) -> tuple[Call, Call]:
    async def app(_: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = str(len(message["body"])).encode()
        await send({"type": "http.response.body", "body": body})

    verified = AsgiMiddleware(app, VERIFIER)
    return lambda: run(call_asgi(app, "/")), lambda: run(call_asgi(verified, "/"))


def aiohttp_pair(
    run: Callable[[Any], object], call: AiohttpCaller
) -> tuple[Call, Call]:
    async def bare(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    @aiohttp_adapter.webhook(VERIFIER)
    async def verified(request: web.Request, delivery: Delivery) -> web.Response:
        return web.Response(text=str(len(delivery.payload)))

    return lambda: run(call(bare)), lambda: run(call(verified))


def lambda_pair() -> tuple[Call, Call]:
    event = lambda_event(BODY, HEADERS)

    def bare(event: dict[str, Any], context: object) -> dict[str, int]:
        return {"statusCode": 200, "length": len(event["body"])}

    @aws_lambda.webhook(VERIFIER)
    def verified(delivery: Delivery, context: object) -> dict[str, int]:
        return {"statusCode": 200, "length": len(delivery.payload)}

    assert verified(event, None)["statusCode"] == 200
    return lambda: bare(event, None), lambda: verified(event, None)


def measure() -> Iterator[tuple[str, dict[str, list[float]], float]]:
    """Yield each adapter's name, its two series, and the seconds that it adds."""
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    pairs = {
        "Flask": flask_pair(),
        "Django": django_pair(),
        "WSGI middleware": wsgi_pair(),
        "FastAPI": fastapi_pair(run),
        "ASGI middleware": asgi_pair(run),
        "aiohttp": aiohttp_pair(run, AiohttpCaller(loop)),
        "AWS Lambda": lambda_pair(),
    }
    for name, (bare, verified) in pairs.items():
        seconds = in_turn({"bare": bare, "verified": verified})
        rounds = zip(seconds["bare"], seconds["verified"], strict=True)
        yield name, seconds, median(after - before for before, after in rounds)
    loop.close()


def report() -> list[Table]:
    """Measure every adapter."""
    table = Table(
        "A request of 1 KiB through the adapter, relative to the same view without it",
        ("adapter", "time, relative", "without it", "added"),
    )
    for name, seconds, added in measure():
        table.add(
            name,
            ratio(seconds["verified"], seconds["bare"]),
            duration(seconds["bare"]),
            duration([added]),
        )
    return [table]
