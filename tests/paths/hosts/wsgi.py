"""WSGI applications of every framework, each mounted in one of its own kind."""

from __future__ import annotations

from functools import cache
from typing import Any

from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .common import COUNT, GUARDS, MOUNT, OPEN, OWN, VERIFIER, VIEW, ran, settle_django


def flask() -> Any:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    inner, app = Flask("inner"), Flask("outer")
    for each in (inner, app):
        each.post(VIEW)(ran)
    app.post(OPEN)(lambda: "open")
    return DispatcherMiddleware(app, {MOUNT: inner})


def bottle() -> Any:
    from bottle import Bottle

    inner, app = Bottle(), Bottle()
    for each in (inner, app):
        each.post(VIEW)(ran)
    app.post(OPEN)(lambda: "open")
    app.mount(f"{MOUNT}/", inner)
    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response
    from pyramid.wsgi import wsgiapp2

    def configure():
        config = Configurator()
        config.add_route("view", VIEW)
        config.add_view(lambda _: Response(ran()), route_name="view")
        return config

    config = configure()
    config.add_route("open", OPEN)
    config.add_view(lambda _: Response("open"), route_name="open")
    config.add_route("mount", f"{MOUNT}/*subpath")
    config.add_view(wsgiapp2(configure().make_wsgi_app()), route_name="mount")
    return config.make_wsgi_app()


class Resource:
    def on_post(self, request: Any, response: Any) -> None:
        response.text = ran()


class Open:
    def on_post(self, request: Any, response: Any) -> None:
        response.text = "open"


def falcon() -> Any:
    from falcon import App

    app = App()
    for path in (VIEW, MOUNT + VIEW):
        app.add_route(path, Resource())
    app.add_route(OPEN, Open())
    app.req_options.strip_url_path_trailing_slash = True
    return app


def django() -> Any:
    settle_django("")
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


BUILDERS = {each.__name__: each for each in (flask, bottle, pyramid, falcon, django)}


@cache
def build(framework: str, guard: str) -> Any:
    app = BUILDERS[framework]() if guard == "none" else build(framework, "none")
    options = GUARDS[guard]
    return app if options is None else PortWebhookMiddleware(app, VERIFIER, **options)


def app(environ, start_response):
    framework, place, guard = environ["HTTP_X_CASE"].split()
    if framework == "count":
        body = str(COUNT["ran"]).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if framework == "django":
        settle_django(OWN if place == "own" else "")
    before = COUNT["ran"]

    def tell(status, headers, exc_info=None):
        told = ("X-Ran", str(COUNT["ran"] - before))
        return start_response(status, [*headers, told], exc_info)

    return build(framework, guard)(environ, tell)
