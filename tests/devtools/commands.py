"""Run the command: in this process, or as one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from typer.testing import CliRunner

from port_webhook import DeliveryError, Verifier
from port_webhook.devtools._app import app

SECRET = "0123456789abcdef0123456789abcdef"
CLEAN: dict[str, str | None] = dict.fromkeys(
    (
        "COLUMNS",
        "FORCE_COLOR",
        "NO_COLOR",
        "PORT_CLIENT_SECRET",
        "PORT_CLIENT_SECRET_FILE",
        "PORT_CLIENT_SECRET_PREVIOUS",
    )
)


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def call(*args, stdin=b"", secret=SECRET, **env):
    """Run the command in this process."""
    env = {**CLEAN, "PORT_CLIENT_SECRET": secret, **env}
    done = CliRunner().invoke(app, [str(each) for each in args], input=stdin, env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout, done.stderr)


def environment(secret=SECRET, **env):
    found = {**os.environ, **CLEAN, "PORT_CLIENT_SECRET": secret, **env}
    return {name: value for name, value in found.items() if value is not None}


def command(*args):
    return [sys.executable, "-m", "port_webhook", *(str(each) for each in args)]


def spawn(*args, stdin=b"", secret=SECRET, **env):
    """Run the command as a process of its own, without a terminal."""
    done = subprocess.run(
        command(*args),
        input=stdin,
        capture_output=True,
        check=False,
        env=environment(secret, **env),
        timeout=60,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


class Endpoint:
    """An HTTP server on loopback that verifies, or not."""

    def __init__(self, *, verify=True, agent=False, respond=None):
        self.verifier = Verifier(SECRET, agent=agent) if verify else None
        self.respond = respond
        self.requests = []
        self.arrived = threading.Event()
        self.url = ""

    def answer(self, handler, body):
        self.requests.append((handler.command, [*handler.headers.items()], body))
        self.arrived.set()
        if self.respond is not None:
            return self.respond(handler, body)
        if self.verifier is None:
            return 200, b""
        try:
            self.verifier.verify(body, handler.headers.items())
        except DeliveryError as error:
            return error.http_status, error.http_body
        return 200, b'{"ok": "yes \xc3\xab"}'


@contextmanager
def serve(**options):
    """Run an `Endpoint`."""
    endpoint = Endpoint(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, answer = endpoint.answer(self, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_PUT(self):
            self.do_POST()

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # a connection that a test closes

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        endpoint.url = f"http://127.0.0.1:{server.server_port}/port"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()


__all__ = ["SECRET", "Result", "call", "command", "environment", "serve", "spawn"]
