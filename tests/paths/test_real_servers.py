"""Hostile targets, unsigned, over raw sockets: no view behind a middleware ever runs.

Without the middleware the same targets show what each framework makes of them on each
server, under root paths and mounts; those that reach the view are sent again with it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent


def _load_harness() -> Any:
    """Load the harness, which is in a package beside this one."""
    path = HERE.parent / "servers" / "harness.py"
    spec = importlib.util.spec_from_file_location("paths_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


harness = _load_harness()
FRAMEWORKS = {
    "asgi": (
        "starlette",
        "fastapi",
        "quart",
        "litestar",
        "sanic",
        "falcon",
        "blacksheep",
        "django",
    ),
    "wsgi": ("flask", "bottle", "pyramid", "falcon", "django"),
}
NAMED = {each.name: each for each in harness.SERVERS}
# Each plainly, and with the option that puts an application under a root path: uvicorn
# adds it to every path, gunicorn and waitress take it off, hypercorn tells it.
ROOTED = {
    "gunicorn": "--env=SCRIPT_NAME=/app",
    "waitress": "--url-prefix=/app",
    "uvicorn_httptools": None,
    "uvicorn_h11": "--root-path=/app",
    "hypercorn": "--root-path=/app",
}
SERVERS = [NAMED[name] for name in ROOTED] + [
    NAMED[name]._replace(
        name=f"{name}_rooted",
        arguments=(NAMED[name].arguments[0], option, *NAMED[name].arguments[1:]),
    )
    for name, option in ROOTED.items()
    if option is not None
]
CASES = [
    pytest.param(server, framework, id=f"{framework}@{server.name}")
    for server in SERVERS
    for framework in FRAMEWORKS[server.kind]
]
HAVE_OWN_ROOT = ("fastapi", "django")

# Readings of the view's path, which is "/disk", ...
SPELLINGS = r"""
/disk /disk/ //disk /./disk /x/../disk /%64isk /%2564isk /DISK /dISk /x/disk disk *
/d%C4%B1sk /d%C4%B0sk /di%C5%BFk /dis%E2%84%AA /DI%C5%BF%E2%84%AA /di%ffsk /disk%c3
/disk#x /disk%23x /disk;x /disk%3bx /disk?x /disk%3fx /disk%20 /disk%00 /disk%0a
/disk%0d%0a /disk\ \disk /%5cdisk /%2fdisk /x%2f..%2fdisk /x/%2e%2e/disk /#/disk
/;/disk /?/disk
"""
# ... each of which may stand behind what is taken off before it is routed.
TAKEN_OFF = ["", "/app", "/own", "/mnt", "/app/mnt", "/own/mnt"]
BEFORE = r"""
/mnt/app /x/app /x/own /x/mnt /xapp /app/app /APP /MNT /OWN /%61pp /%6dnt /%6fwn /app/
/own/ /mnt/ /./mnt /x/../mnt /http://x
"""
ORIGINS = ["HTTP://x:80", "http://", "http://u@x", "http:", "x:", "//x", "///x"]
TARGETS = [
    *SPELLINGS.split(),
    *(
        before + each
        for before in TAKEN_OFF[1:] + BEFORE.split()
        for each in ("/disk", "disk", "//DISK")
    ),
    *("http://x" + each + end for each in TAKEN_OFF for end in ("/disk", "/disk#x")),
    *(origin + each for origin in ORIGINS for each in ("/disk", "/DISK")),
    *("/di/appsk", "/di/ownsk", "/di/mntsk", "http://x", "http://x/", "http://x/mnt"),
]


class Sent(NamedTuple):
    """An answer: its status, and how often the view ran for it."""

    status: int
    ran: str


class Host:
    """A server that runs every framework of one kind."""

    def __init__(self, server):
        app = harness.App(
            f"{server.kind}_host",
            server.kind,
            (),
            False,
            HERE,
            f"hosts.{server.kind}:app",
        )
        self.running = harness.start(harness.Pair(app, server))
        self._client = harness.Client(self.running.port)

    def send(self, target, *case):
        head = (
            f"POST {target} HTTP/1.1\r\nHost: x\r\nX-Case: {' '.join(case)}\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        answer = self._client.send("POST", [head.encode("latin-1")])
        if answer is None:
            return Sent(0, "")
        return Sent(answer.status, answer.headers.get("x-ran", ""))

    def count(self):
        head = b"GET /app HTTP/1.1\r\nHost: x\r\nX-Case: count - -\r\n\r\n"
        return int(self._client.send("GET", [head]).body)

    def stop(self):
        self._client.close()
        self.running.stop()


@pytest.fixture(scope="session")
def host_of():
    hosts = {}

    def start(server):
        if server not in hosts:
            hosts[server] = Host(server)
        return hosts[server]

    yield start
    for host in hosts.values():
        host.stop()


def _host(host_of, server, framework):
    needed = (framework, server.arguments[0], *server.requires)
    missing = [each for each in needed if importlib.util.find_spec(each) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return host_of(server)


@pytest.mark.parametrize(("server", "framework"), CASES)
def test_no_target_that_reaches_a_view_is_left_unverified(server, framework, host_of):
    host = _host(host_of, server, framework)
    has_own = framework in HAVE_OWN_ROOT and not server.name.endswith("_rooted")
    for place in ("plain", "own") if has_own else ("plain",):
        reaching = [
            target
            for target in TARGETS
            if host.send(target, framework, place, "none").ran == "1"
        ]
        assert reaching, place
        before = host.count()
        for guard in ("paths", "exclude"):
            sent = {each: host.send(each, framework, place, guard) for each in reaching}
            missed = {each: sent[each] for each in reaching if sent[each].ran != "0"}
            assert not missed, (place, guard)
            assert {each.status for each in sent.values()} == {401}
        assert host.count() == before


@pytest.mark.parametrize(("server", "framework"), CASES)
def test_the_excluded_path_and_others_are_open(server, framework, host_of):
    host = _host(host_of, server, framework)
    for guard in ("paths", "exclude"):
        for query in ("", "?a=/disk"):
            statuses = {
                host.send(root + "/health" + query, framework, "plain", guard).status
                for root in ("", "/app")
            }
            assert statuses & {200, 201}, (guard, query)
    # Exactly this path is excluded.
    for root in ("", "/app"):
        for path in ("/health/", "/Health", "//health", "/%68ealth", "/health;x"):
            sent = host.send(root + path, framework, "plain", "exclude")
            # gunicorn cannot serve what is outside of its root path.
            assert sent.status == 401 or (sent.ran, root) == ("", "")
