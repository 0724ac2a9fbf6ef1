"""One world for each adapter: an application behind it, and a request to that.

A rule that cannot apply to an adapter is a capability that its world lacks, with the
reason.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import flask
from aiohttp import web
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from werkzeug.exceptions import default_exceptions

from port_webhook.adapters import aiohttp as aiohttp_adapter
from port_webhook.adapters import asgi, aws_lambda, fastapi, wsgi
from port_webhook.adapters import flask as flask_adapter
from port_webhook.testing import lambda_event

from .doubles import Stream
from .servers import PATIENCE, Answer, Wire, ask_wsgi
from .world import (
    ALL_AT_ONCE,
    METHODS,
    NO_MODEL,
    SYNC,
    AsyncWorld,
    World,
    after_delivery,
    after_request,
    outcome_of,
)
from .worlds_django import AsyncDjangoWorld, DjangoWorld, MixinWorld, RestFrameworkWorld


class FlaskWorld(World):
    cannot = {"await": SYNC}
    webhook = staticmethod(flask_adapter.webhook)
    request_type = flask.Request
    roomless = (lambda: "",)
    defaulted = staticmethod(lambda delivery=None: "")
    typed = (after_delivery, ["org"])
    accessors = {
        "get_data": lambda r: r.get_data(),
        "text": lambda r: r.get_data(as_text=True),
        "data": lambda r: r.data,
        "stream": lambda r: r.stream.read(),
        "input": lambda r: r.environ["wsgi.input"].read(),
        "json": lambda r: r.get_json(),
    }
    forms = {"form": lambda r: r.form.to_dict(), "values": lambda r: r.values.to_dict()}

    def function(self, view):
        def port(*given):
            outcome = view(given[-1], flask.request)
            if isinstance(outcome, Stream):
                return flask.Response(outcome.chunks, outcome.status)
            return flask.Response("done", outcome)

        return port

    def put(self, function):
        app = flask.Flask("port")
        app.testing = True  # exceptions go through
        app.add_url_rule(
            "/port",
            "port",
            function,
            methods=METHODS,
            provide_automatic_options=False,
        )
        self.app = app.wsgi_app

    def ask(self, request):
        return ask_wsgi(self.app, request)

    def http_error(self, status):
        return default_exceptions[status]()

    def left_on(self, request):
        return flask.g.port_delivery


async def _join(chunks):
    return b"".join([chunk async for chunk in chunks])


async def _form(request):
    return dict(await request.form())


class FastAPIWorld(AsyncWorld):
    webhook = staticmethod(fastapi.webhook)
    request_type = Request
    roomless = (lambda: None,)
    defaulted = staticmethod(lambda delivery=None: None)
    typed = (after_delivery, ["delivery", "org"])  # which FastAPI fills in
    accessors = {
        "body": lambda r: r.body(),
        "json": lambda r: r.json(),
        "stream": lambda r: _join(r.stream()),
    }
    forms = {"form": _form}

    def body(self, word, key="error"):
        return {"detail": word}

    def respond(self, outcome):
        if isinstance(outcome, Stream):
            return StreamingResponse(outcome.chunks, outcome.status)
        return Response("done", outcome)

    def function(self, view):
        async def port(delivery, request: Request):
            return self.respond(await outcome_of(view, delivery, request))

        return port

    def put(self, function, router=None, **options):
        app = FastAPI()
        (router or app).api_route("/port", methods=METHODS, **options)(function)
        if router is not None:
            app.include_router(router)
        self.app = app

    def stack(self, view, outer, inner):
        router = APIRouter(route_class=fastapi.webhook_route(outer))
        self.put(self.webhook(inner)(self.function(view)), router)

    def http_error(self, status):
        return HTTPException(status)

    def left_on(self, request):
        return request.state.port_delivery


class DependencyWorld(FastAPIWorld):
    cannot = {
        "decorator": "it is a dependency",
        "frames": "FastAPI calls the endpoint, a dependency does not",
    }

    def serve(self, view, *verifier, **options):
        self.put(self._make(view, *verifier, **options))

    def _make(self, view, *verifier, **options):
        hook = Depends(fastapi.PortWebhook(*verifier, **options))
        function = self.function(view)

        async def port(request: Request, given: Any = hook):
            return await function(given, request)

        return port

    def stack(self, view, outer, inner):
        router = APIRouter(route_class=fastapi.webhook_route(outer))
        self.put(self._make(view, inner), router)


class RouteWorld(FastAPIWorld):
    cannot = {"decorator": "it is a class of routes", "model": NO_MODEL}

    def serve(self, view, *verifier, **options):
        function = self.function(view)

        async def port(request: Request):
            return await function(request.state.port_delivery, request)

        route = fastapi.webhook_route(*verifier, **options)
        self.put(port, APIRouter(route_class=route))

    def stack(self, view, outer, inner):
        self.serve(view, inner)
        self.app = asgi.PortWebhookMiddleware(self.app, outer)


async def _post(request):
    return dict(await request.post())


class AiohttpWorld(AsyncWorld):
    cannot = {
        "early": "aiohttp reads what has arrived, whether anybody asks or not",
        "length that is no number": "aiohttp refuses it before it calls a handler",
        "truncation": "the connection is gone, so nobody would get the response",
    }
    webhook = staticmethod(aiohttp_adapter.webhook)
    request_type = web.Request
    roomless = (lambda: None, lambda request: None)
    defaulted = staticmethod(lambda request, delivery=None: None)
    typed = (after_request, ["request", "org"])
    accessors = {
        "read": lambda r: r.read(),
        "text": lambda r: r.text(),
        "json": lambda r: r.json(),
        "content": lambda r: r.content.read(),
    }
    forms = {"post": _post}
    _error: BaseException | None = None

    def function(self, view):
        async def port(request, *given):
            outcome = await outcome_of(view, given[-1], request)
            if not isinstance(outcome, Stream):
                return web.Response(text="done", status=outcome)
            response = web.StreamResponse(status=outcome.status)
            await response.prepare(request)
            for chunk in outcome.chunks:
                await response.write(chunk)
            return response

        return port

    def put(self, function):
        app = web.Application(middlewares=[self._keep])
        app.router.add_route("*", "/port", function)
        # Of its server, only what serves a connection. It cancels nothing by default.
        self.app = web.AppRunner(app, access_log=None)
        self.runner.run(self.app.setup())

    @web.middleware
    async def _keep(self, request, handler):
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except BaseException as error:
            self._error = error
            if isinstance(error, Exception):
                raise
            return web.Response(status=500)  # for a server that ends here

    def ask(self, request):
        async def ask():
            wire = Wire(self.app)
            wire.send(request)
            return await wire.answer()

        self._error = None
        answer = self.runner.run(ask())
        answer.error = self._error
        return answer

    def cancel(self, request, started, ended):
        async def run():
            self.app._kwargs["handler_cancellation"] = True
            await self.app.setup()
            wire = Wire(self.app)
            wire.send(request)
            await asyncio.wait_for(started.wait(), PATIENCE)
            wire.leave()
            await asyncio.wait_for(ended.wait(), PATIENCE)

        self.runner.run(run())

    def close(self):
        if self.app is not None:
            self.runner.run(self.app.cleanup())
        super().close()

    def http_error(self, status):
        kinds = (getattr(web, name) for name in dir(web) if name.startswith("HTTP"))
        found = next(
            each for each in kinds if getattr(each, "status_code", 0) == status
        )
        return found("/elsewhere") if status < 400 else found()

    def left_on(self, request):
        return request["port_delivery"]


class LambdaWorld(World):
    cannot = {
        "await": SYNC,
        "early": ALL_AT_ONCE,
        "length": "an event holds a whole body, so its length is not compared",
        "stream": "a function returns its response",
        "http exceptions": "AWS Lambda has none",
        "two verifiers": "the second gets a delivery in place of the event",
        "left on the request": "an event is its caller's, and stays as it came",
        "body of the request": "a handler gets no request, only the delivery",
        "forms": "a handler gets no request, only the delivery",
    }
    webhook = staticmethod(aws_lambda.webhook)
    roomless = (lambda: None, lambda delivery: None)
    defaulted = staticmethod(lambda delivery=None, context=None: None)
    typed = (after_delivery, ["event", "context"])
    shape: Any = "http_api"

    def function(self, view):
        def port(given, context):
            return {"statusCode": view(given), "body": "done"}

        return port

    def put(self, function):
        self.app = function

    def ask(self, request):
        event: Any = lambda_event(
            request.body, request.headers, method=request.method, shape=self.shape
        )
        try:
            result = self.app(event, None)
        except BaseException as error:  # as Lambda does
            return Answer(500, error=error)
        headers = result.get("headers")
        if headers is None:
            listed = result["multiValueHeaders"].items()
            headers = {name: value for name, values in listed for value in values}
        body = result["body"]
        assert isinstance(json.dumps(result), str)
        assert result["isBase64Encoded"] is False or base64.b64decode(body)
        length = ("Content-Length", str(len(body)))  # the service adds it
        return Answer(
            result["statusCode"], [*headers.items(), length], body.encode(), None
        )


class RestApiWorld(LambdaWorld):
    shape = "rest_api"


class BalancerWorld(LambdaWorld):
    shape = "alb"
    cannot = {
        **LambdaWorld.cannot,
        "duplicate headers": "this mode of a load balancer hides all but the last",
    }


class MultiValueBalancerWorld(LambdaWorld):
    shape = "alb_multi_value"


MIDDLEWARE = {
    "decorator": "it is a middleware",
    "model": NO_MODEL,
    "http exceptions": "the application is a bare one",
    "forms": "the application is a bare one",
}


class AsgiWorld(AsyncWorld):
    cannot = MIDDLEWARE
    accessors = {"receive": lambda r: _receive_all(r[1])}

    def serve(self, view, *verifier, **options):
        self.app = asgi.PortWebhookMiddleware(self.function(view), *verifier, **options)

    def stack(self, view, outer, inner):
        self.serve(view, inner)
        self.app = asgi.PortWebhookMiddleware(self.app, outer)

    def function(self, view):
        async def app(scope, receive, send):
            outcome = await outcome_of(view, asgi.delivery_of(scope), (scope, receive))
            streams = isinstance(outcome, Stream)
            status = outcome.status if streams else outcome
            start = {"type": "http.response.start", "status": status, "headers": []}
            await send(start)
            for chunk in outcome.chunks if streams else [b"done"]:
                part = {"type": "http.response.body", "body": chunk, "more_body": True}
                await send(part)
            await send({"type": "http.response.body"})

        return app

    def left_on(self, request):
        return request[0]["state"]["port_delivery"]


async def _receive_all(receive):
    body, message = b"", {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


class WsgiWorld(World):
    cannot = {**MIDDLEWARE, "await": SYNC}
    accessors = {"input": lambda r: r["wsgi.input"].read()}

    def serve(self, view, *verifier, **options):
        self.app = wsgi.PortWebhookMiddleware(self.function(view), *verifier, **options)

    def stack(self, view, outer, inner):
        self.serve(view, inner)
        self.app = wsgi.PortWebhookMiddleware(self.app, outer)

    def function(self, view):
        def app(environ, start_response):
            outcome = view(wsgi.delivery_of(environ), environ)
            streams = isinstance(outcome, Stream)
            status = outcome.status if streams else outcome
            kind = [] if status == 204 else [("Content-Type", "text/plain")]
            start_response(f"{status} Status", kind)
            return outcome.chunks if streams else [b"done"]

        return app

    def ask(self, request):
        return ask_wsgi(self.app, request)

    def left_on(self, request):
        return request["port_webhook.delivery"]


WORLDS = {
    "flask": FlaskWorld,
    "django": DjangoWorld,
    "django async": AsyncDjangoWorld,
    "django mixin": MixinWorld,
    "rest framework mixin": RestFrameworkWorld,
    "fastapi": FastAPIWorld,
    "fastapi dependency": DependencyWorld,
    "fastapi route": RouteWorld,
    "aiohttp": AiohttpWorld,
    "lambda http_api": LambdaWorld,
    "lambda rest_api": RestApiWorld,
    "lambda alb": BalancerWorld,
    "lambda alb_multi_value": MultiValueBalancerWorld,
    "asgi": AsgiWorld,
    "wsgi": WsgiWorld,
}
