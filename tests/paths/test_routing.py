"""Random targets, in process: a prefix covers whatever is routed to its view.

Why: docs/design.md#a-path-is-verified-when-in-doubt
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.test import override_settings
from django.urls import Resolver404, include, re_path
from django.urls.resolvers import RegexPattern, URLResolver
from hypothesis import event, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from port_webhook.adapters import asgi, wsgi
from port_webhook.integration import PathPrefixes

ROOT = "/app"
# Ways to write a letter: a case of it, or an escape.
LETTERS = {
    "d": ["d", "D", "%64", "%2564"],
    "i": ["i", "I", "%69", "%C4%B1", "%C4%B0"],
    "s": ["s", "S", "%73", "%C5%BF"],
    "k": ["k", "K", "%6B", "%E2%84%AA"],
}
PIECES = r"""
/ // /. /.. . .. ; # ? : @ x http: //x %2e %2F %5c %5C \ %00 %0a %0d %20 %23 %3b %3f %ff
%c3 %E2%80%A8 /app /own /mnt mnt /MNT /%6dnt /%C4%B1 disk /disk
"""
PATHS = PathPrefixes(["/disk"])


@st.composite
def targets(draw):
    """Draw a target that has the view's path in it, spelled in some way."""
    pieces = st.lists(st.sampled_from(PIECES.split()), max_size=3)
    name = [draw(st.sampled_from(LETTERS[letter])) for letter in "disk"]
    plain = draw(st.sampled_from([True, False]))
    before = draw(st.sampled_from(["", ROOT, "/own", "/mnt", "/mnt/mnt"]))
    return "".join(
        [
            before,
            *draw(pieces),
            draw(st.sampled_from(["/", "/", "/", "%2f", ""])),
            "disk" if plain else "".join(name),
            *draw(pieces),
        ]
    )


def scope_of(target, root):
    """Make a scope as uvicorn does with h11, with a root path, or as hypercorn does."""
    raw, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": "POST",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [],
        "root_path": "",
    }
    if root == "apart":
        scope["root_path"] = ROOT
    elif root == "joined":
        scope["root_path"] = ROOT
        scope["path"] = ROOT + scope["path"]
        scope["raw_path"] = ROOT.encode() + scope["raw_path"]
    return scope


def environ_of(target, root):
    """Make an environ as wsgiref does, which gives one form only."""
    path = unquote_to_bytes(target.partition("?")[0]).decode("latin-1")
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": ""}
    if root == "apart":
        environ["SCRIPT_NAME"] = ROOT
    elif root == "joined" and path.startswith(ROOT):
        environ |= {"SCRIPT_NAME": ROOT, "PATH_INFO": path.removeprefix(ROOT)}
    setup_testing_defaults(environ)
    return {**environ, "wsgi.input": BytesIO()}


roots = st.sampled_from(["none", "joined", "apart"])


async def view(request):
    return Response(status_code=299)


INNER = [Route("/disk", view, methods=["POST"]), Route("/disk/{rest:path}", view)]
STARLETTE = Starlette(
    routes=[
        *INNER,
        Mount("/mnt", routes=[*INNER, Mount("/mnt", Starlette(routes=INNER))]),
        Mount("/{tenant}", Starlette(routes=INNER)),
    ]
)


@given(targets(), roots)
def test_starlette(target, root):
    scope = scope_of(target, root)
    statuses = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        statuses.append(message.get("status"))

    asyncio.run(STARLETTE(scope, receive, send))
    reached = 299 in statuses
    event(f"reached: {reached}")
    assert asgi._is_covered(scope_of(target, root), PATHS) or not reached


ROUTES = [re_path(r"(?i)^disk/?$", view), re_path(r"(?i)^disk/", view)]
DJANGO = URLResolver(
    RegexPattern(r"^/"), [*ROUTES, re_path("(?i)^mnt/", include(ROUTES))]
)


def is_routed(path):
    try:
        DJANGO.resolve(path)
    except Resolver404:
        return False
    return True


@given(targets(), roots, st.sampled_from([None, "/own", "/own/", "/app"]))
def test_django(target, root, own):
    with override_settings(FORCE_SCRIPT_NAME=own):
        scope = scope_of(target, root)
        reached = is_routed(ASGIRequest(dict(scope), BytesIO()).path_info)
        event(f"reached: {reached}")
        assert asgi._is_covered(scope, PATHS) or not reached
        environ = environ_of(target, root)
        reached = is_routed(WSGIRequest(dict(environ)).path_info)
        assert wsgi._is_covered(environ, PATHS) or not reached


@pytest.mark.parametrize("merge_slashes", [True, False])
@given(target=targets(), root=roots)
def test_werkzeug(merge_slashes, target, root):
    rules = [Rule("/disk"), Rule("/disk/<path:rest>"), Rule("/<tenant>/disk")]
    environ = environ_of(target, root)
    adapter = Map(rules, merge_slashes=merge_slashes).bind_to_environ(environ)
    try:
        adapter.match()
    except HTTPException:  # a redirect among them
        reached = False
    else:
        reached = True
    event(f"reached: {reached}")
    assert wsgi._is_covered(environ, PATHS) or not reached


@given(targets(), roots)
def test_bottle(target, root):
    bottle = pytest.importorskip("bottle", reason="bottle is not installed")
    ran = []
    inner, app = bottle.Bottle(), bottle.Bottle()
    for each in (inner, app):
        each.post("/disk")(lambda: ran.append("ran"))
        each.post("/disk/<rest:path>")(lambda rest: ran.append("ran"))
    app.mount("/mnt/", inner)
    environ = environ_of(target, root)
    app(dict(environ), lambda *_: None)
    event(f"reached: {bool(ran)}")
    assert wsgi._is_covered(environ, PATHS) or not ran
