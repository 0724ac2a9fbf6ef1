"""Path coverage: whatever a framework routes to a view is covered, as the server says.

An input is a byte that chooses the framework, one that chooses where the application
is mounted, and a request's target.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.urls import Resolver404, include, path, re_path
from django.urls.resolvers import RegexPattern, URLResolver
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import Map, Rule

from fuzz.common import splices
from port_webhook.adapters import asgi, wsgi
from port_webhook.integration import PathPrefixes

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["WORDS", "run", "seeds"]

VIEW, MOUNT, OPEN = "/disk", "/mnt", "/health"  # i, s and k have cases beyond ASCII
ROOTS = ("", "/app", "/mnt", "/app/mnt")
PREFIXES = PathPrefixes([VIEW])
DEEP_PREFIXES = PathPrefixes([MOUNT + VIEW])
EXCLUDED = PathPrefixes(
    exclude=[OPEN, "/", f"{MOUNT}/", f"{OPEN}/", *(root + OPEN for root in ROOTS[1:])]
)

# Under a root path, both forms must be listed, and only one is.
HALF_EXCLUDED = PathPrefixes(exclude=[f"/app{VIEW}"])

# Which of the two protected views ran: at /disk, or at /mnt/disk.
ran: list[str] = []


async def view(request: Any) -> Response:
    """Stand at ``/disk``."""
    ran.append("view")
    return Response()


async def deep_view(request: Any) -> Response:
    """Stand at ``/mnt/disk`` alone."""
    ran.append("deep")
    return Response()


async def health(request: Any) -> Response:
    """Stand at ``/health``, which is excluded."""
    return Response()


def _starlette() -> Any:
    def listed(endpoint: Any) -> list[Any]:
        deeper = Route(f"{VIEW}/{{rest:path}}", endpoint, methods=["POST"])
        return [Route(VIEW, endpoint, methods=["POST"]), deeper]

    inner = listed(deep_view)
    return Starlette(
        routes=[
            *listed(view),
            Route(OPEN, health, methods=["POST"]),
            Mount(MOUNT, routes=[*inner, Mount(MOUNT, Starlette(routes=inner))]),
            Mount("/{tenant}", Starlette(routes=listed(view))),
        ]
    )


def _fastapi() -> Any:
    inner, app = FastAPI(), FastAPI()

    async def run_view() -> None:
        ran.append("view")

    async def run_deep_view() -> None:
        ran.append("deep")

    async def be_healthy() -> None:
        pass

    app.post(VIEW)(run_view)
    app.post(VIEW + "/{rest:path}")(run_view)
    app.post(OPEN)(be_healthy)
    inner.post(VIEW)(run_deep_view)
    app.mount(MOUNT, inner)
    return app


def _flask() -> Any:
    inner, app = Flask("inner"), Flask("outer")

    def run_view(**_: str) -> str:
        ran.append("view")
        return ""

    def run_deep_view(**_: str) -> str:
        ran.append("deep")
        return ""

    for rule in (VIEW, f"{VIEW}/<path:rest>", f"/<tenant>{VIEW}"):
        app.post(rule, endpoint=rule)(run_view)
    app.post(OPEN)(lambda: "")
    inner.post(VIEW)(run_deep_view)
    return DispatcherMiddleware(app, {MOUNT: inner})


def _werkzeug(*, merge_slashes: bool) -> Map:
    return Map(
        [
            Rule(VIEW, endpoint="view"),
            Rule(f"{VIEW}/<path:rest>", endpoint="view"),
            Rule(f"/<tenant>{VIEW}", endpoint="view"),
            Rule(OPEN, endpoint="open"),
        ],
        merge_slashes=merge_slashes,
    )


def _django() -> URLResolver:
    routed: Any = view
    deep: Any = deep_view
    healthy: Any = health
    if not settings.configured:
        settings.configure()
        django.setup()
    routes = [
        re_path(rf"(?i)^{VIEW[1:]}/?$", routed),
        re_path(rf"(?i)^{VIEW[1:]}/", routed),
        path("<slug:tenant>/disk", routed),
        path(OPEN[1:], healthy),
        path("", healthy),
    ]
    inner = [re_path(rf"(?i)^{VIEW[1:]}/?$", deep)]
    mounted = re_path(rf"(?i)^{MOUNT[1:]}/", include(inner))
    return URLResolver(RegexPattern(r"^/"), [mounted, *routes])


STARLETTE, FASTAPI, FLASK, DJANGO = _starlette(), _fastapi(), _flask(), _django()
MAPS = [_werkzeug(merge_slashes=True), _werkzeug(merge_slashes=False)]


def run(data: bytes) -> None:
    """Route the target in *data*, and compare with what the middleware covers."""
    if len(data) < 3:  # there is no target
        return
    choice, place, target = data[0] % 6, data[1], data[2:]
    root = ROOTS[place % 4]
    # What no server passes on: these end a target, or the request's line.
    if target.translate(None, b" \r\n\0") != target:
        return
    ran.clear()
    if choice < 3:  # the applications below
        _run_asgi(choice, place, root, target)
    else:
        _run_wsgi(choice, place, root, target)


def _run_asgi(choice: int, place: int, root: str, target: bytes) -> None:
    if not target.isascii():
        return  # uvicorn, hypercorn and daphne decode it as ASCII
    scope = _scope_of(target, root, is_joined=bool(place & 4))
    if place & 8:  # a server that does not give the path as it came
        scope["raw_path"] = None
    if choice == 2:  # Django
        settings.FORCE_SCRIPT_NAME = (None, "/own", "/mnt/", "/disk")[place >> 4 & 3]
        try:
            _resolve(ASGIRequest({**scope}, BytesIO()).path_info)
        finally:
            settings.FORCE_SCRIPT_NAME = None
    else:
        # FastAPI takes one of its own in place of the server's.
        own = {"root_path": "/own"} if choice == 1 and place & 16 else {}
        _finish((STARLETTE, FASTAPI)[choice]({**scope, **own}, _receive, _send))
    _compare(asgi._is_covered, scope, root)  # the decision itself


def _run_wsgi(choice: int, place: int, root: str, target: bytes) -> None:
    environ = _environ_of(target, root, place)
    if environ is None:
        return
    if choice == 3:  # Flask
        [*FLASK({**environ}, lambda *_: None)]
    elif choice == 4:  # Werkzeug
        try:
            endpoint, _ = MAPS[place >> 4 & 1].bind_to_environ({**environ}).match()
        except HTTPException:  # a redirect among them
            endpoint = ""
        if endpoint == "view":
            ran.append("view")
    else:
        settings.FORCE_SCRIPT_NAME = (None, "/own", "/mnt/", "/disk")[place >> 4 & 3]
        try:
            _resolve(WSGIRequest({**environ}).path_info)
        finally:
            settings.FORCE_SCRIPT_NAME = None
    _compare(wsgi._is_covered, environ, root)  # the decision itself


def _compare(is_covered: Any, request: Any, root: str) -> None:
    if ran:
        assert is_covered(request, HALF_EXCLUDED) or root != "/app"
        assert is_covered(request, EXCLUDED)
        assert is_covered(request, PREFIXES)
    if "deep" in ran:
        assert is_covered(request, DEEP_PREFIXES)


def _resolve(path_info: str) -> None:
    try:
        found = DJANGO.resolve(path_info).func
    except Resolver404:
        return
    if found is not health:
        ran.append("deep" if found is deep_view else "view")


def _scope_of(target: bytes, root: str, *, is_joined: bool) -> dict[str, Any]:
    """Make a scope as uvicorn does, with the root path in it, or as hypercorn does."""
    raw, _, query = target.partition(b"?")
    before = root if is_joined else ""
    return {
        "type": "http",
        "method": "POST",
        "path": before + unquote(raw.decode("ascii")),
        "raw_path": before.encode() + raw,
        "query_string": query,
        "headers": [],
        "root_path": root,
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }


def _environ_of(target: bytes, root: str, place: int) -> dict[str, Any] | None:
    """Make an environ as gunicorn does, with the target as it came, or as wsgiref."""
    text = target.decode("latin-1")
    environ: dict[str, Any] = {}
    if place & 8:  # gunicorn
        environ["RAW_URI"] = text
        try:
            parts = urlsplit("." + text if text.startswith("//") else text)
        except ValueError:
            return None  # answered with 400
        raw = parts.path[1:] if text.startswith("//") else parts.path
    else:
        raw = text.partition("?")[0]
    info = unquote_to_bytes(raw.encode("latin-1")).decode("latin-1")
    if root and place & 4 and info.startswith(root):
        info = info.removeprefix(root)
    return {
        **environ,
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": root,
        "PATH_INFO": info,
        "QUERY_STRING": "",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": BytesIO(),
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    del message


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what waits for nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    msg = "an application waited"
    raise AssertionError(msg)


def seeds() -> list[bytes]:
    """Return spellings of the view's path, for each framework and each place."""
    targets = [
        b"/disk",
        b"/disk/",
        b"//disk",
        b"/DISK/x",
        b"/%64isk",
        b"/d%C4%B1%C5%BF%E2%84%AA",
        b"/%2564isk",
        b"/mnt/disk",
        b"/mnt//disk",
        b"/mnt/mnt/disk",
        b"/app/disk",
        b"/app/mnt/disk",
        b"/own/disk",
        b"/x/../disk",
        b"/x/%2e%2e/disk;a=b",
        b"/x%2fdisk",
        b"/disk%2Fx",
        b"/disk?x=/health",
        b"/health",
        b"/health/../disk",
        b"/health%2f..%2fdisk",
        b"http://example.com/disk",
        b"//example.com/disk",
        b"*",
        b"/disk#/health",
        b"/disk%0a",
        b"/\xff/disk",
    ]
    return splices(
        [
            bytes([at % 6, at * 7 % 64]) + target
            for at, target in enumerate(target for target in targets for _ in range(5))
        ]
    )


WORDS = (
    *(
        b"/disk",
        b"/mnt",
        b"/app",
        b"/own",
        b"/health",
        b"disk",
        b"/",
        b"//",
        b"/..",
        b"/.",
    ),
    *(b"%64", b"%44", b"%2564", b"%69", b"%C4%B1", b"%C4%B0", b"%C5%BF", b"%E2%84%AA"),
    *(
        b"%2f",
        b"%5c",
        b"\\",
        b"%2e",
        b"%00",
        b"%0a",
        b"%0d",
        b"%20",
        b"%23",
        b"%3b",
        b"%3f",
    ),
    *(
        b"%ff",
        b"%c3",
        b"%25",
        b";",
        b"#",
        b"?",
        b"@",
        b":",
        b"http://x",
        b"//x",
        b"*",
        b"\t",
    ),
)
