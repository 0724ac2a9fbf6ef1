"""Port's API, played strictly on loopback, from the documented requests.

It checks tokens and keys, refuses what comes after the end of a run, and returns the
same token until it expires. `PortApi.script` makes it fail in a pattern. Everything
it keeps is a public attribute.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_ID = "ID-marker-31f0"
CLIENT_SECRET = "SECRET-marker-8c2d"
LIFETIME = 10_800

RUN_KEYS = {"status", "statusLabel", "link", "summary", "externalRunId"}
NODE_KEYS = {"status", "result", "output", "links", "externalRunId"}
ENTITY_KEYS = {"identifier", "title", "properties", "relations", "team", "icon"}
UPSERT_PARAMS = {"upsert", "merge", "create_missing_related_entities", "run_id"}


class Refused(Exception):  # noqa: N818  # an answer, not an error of this module
    """The answer is an error."""

    def __init__(self, status, error, message=None):
        super().__init__(status, error)
        self.status = status
        self.body = {"ok": False, "error": error}
        if message is not None:
            self.body["message"] = message


class PortApi:
    """The state of an organisation, and a server for it.

    A script is a list whose entries are used up, one for each request that fits:
    a status; a status with headers; ``drop`` (the connection ends before the request
    is handled), ``cut`` (it is handled, and the connection ends in the middle of the
    answer); bytes, which are the whole answer; or None for a usual answer.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
    ) -> None:
        self.clock = clock
        self.credentials = {"clientId": client_id, "clientSecret": client_secret}
        self.runs: dict[str, dict[str, Any]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.entities: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.started: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.approvals: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[str] = []
        self.connections = 0
        self.lifetime = LIFETIME
        self.expires_at = 0.0
        self.refused_tokens: set[str] = set()
        self.scripts: list[tuple[re.Pattern[str], deque[Any]]] = []
        self.lock = threading.Lock()
        api = self

        class Handler(_Handler):
            owner = api

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # What a test sets up and asks

    def add_run(
        self,
        run_id: str = "r_1",
        *,
        synchronized: bool = False,
        status: str = "IN_PROGRESS",
    ) -> str:
        self.runs[run_id] = {
            "status": status,
            "synchronized": synchronized,
            "log": [],
            "changes": [],
        }
        return run_id

    def add_node(self, run_id="wfnr_1"):
        self.nodes[run_id] = {"status": "IN_PROGRESS", "log": [], "changes": []}
        return run_id

    def script(self, pattern, *answers):
        """Answer the next requests whose method and path fit *pattern* like this."""
        self.scripts.append((re.compile(pattern), deque(answers)))

    def count(self, pattern):
        return sum(bool(re.search(pattern, " ".join(each))) for each in self.requests)

    def log_of(self, run_id="r_1"):
        """Return the lines of a run's log."""
        return [line for text in self.runs[run_id]["log"] for line in text.split("\n")]

    def expire(self):
        """Let the token be refused from now on, and another one be made."""
        self.expires_at = 0.0
        self.refused_tokens.update(self.tokens)

    # What the handler asks

    def next_in_script(self, method, path):
        with self.lock:
            self.requests.append((method, path))
            for pattern, answers in self.scripts:
                if answers and pattern.search(f"{method} {path}"):
                    return answers.popleft()
        return None

    def handle(self, method, path, params, headers, body):
        with self.lock:
            if (method, path) == ("POST", "/v1/auth/access_token"):
                return 200, self.give_token(body)
            self.check_token(headers)
            for pattern, route in ROUTES:
                found = re.fullmatch(pattern, f"{method} {path}")
                if found:
                    names = [unquote(each) for each in found.groups()]
                    return route(self, *names, params=params, body=body)
            raise Refused(404, "not_found", "Route not found")

    def give_token(self, body):
        need(body, {"clientId": str, "clientSecret": str})
        if body != self.credentials:
            raise Refused(401, "unauthorized", f"wrong {body['clientSecret']}")
        if self.clock() >= self.expires_at:
            self.tokens.append(f"TOKEN-marker-{len(self.tokens)}-5e1a")
            self.expires_at = self.clock() + self.lifetime
        left = self.expires_at - self.clock()
        return {
            "ok": True,
            "accessToken": self.tokens[-1],
            "expiresIn": left,
            "tokenType": "Bearer",
        }

    def check_token(self, headers):
        kind, _, token = headers.get("Authorization", "").partition(" ")
        is_known = self.tokens and token == self.tokens[-1]
        is_alive = self.clock() < self.expires_at and token not in self.refused_tokens
        if kind != "Bearer" or not is_known or not is_alive:
            raise Refused(401, "unauthorized")

    def change_run(self, run_id, params, body):
        run = self.find(self.runs, run_id)
        allow(body, RUN_KEYS)
        if run["synchronized"]:
            raise Refused(422, "run_synchronized_error", "The run is synchronous")
        self.check_open(run)
        if body.get("status", "SUCCESS") not in ("SUCCESS", "FAILURE"):
            raise Refused(422, "invalid_request", "status must be SUCCESS or FAILURE")
        run.update(body)
        run["changes"].append(body)
        return 200, {"ok": True, "run": {"id": run_id, "status": run["status"]}}

    def add_log(self, run_id, params, body):
        run = self.find(self.runs, run_id)
        need(body, {"message": str}, {"terminationStatus", "statusLabel"})
        if "terminationStatus" in body:
            self.check_open(run)
            run["status"] = body["terminationStatus"]
        run["log"].append(body["message"])
        run["statusLabel"] = body.get("statusLabel", run.get("statusLabel"))
        return 201, {"ok": True, "runLog": {"message": body["message"]}}

    def approve(self, run_id, params, body):
        self.find(self.runs, run_id)
        need(body, {"status": str}, {"description"})
        if body["status"] not in ("APPROVE", "DECLINE"):
            raise Refused(422, "invalid_request")
        self.approvals.append((run_id, body))
        return 201, {"ok": True}

    def start(self, action, params, body):
        allow(params, {"run_as"})
        need(body, {"properties": dict}, {"entity"})
        if action == "unknown":
            raise Refused(404, "not_found", f"Action {action} was not found")
        self.started.append((action, body, params))
        run_id = self.add_run(f"r_started_{len(self.started)}")
        return 202, {"ok": True, "run": {"id": run_id, "status": "IN_PROGRESS"}}

    def upsert(self, blueprint, params, body):
        allow(params, UPSERT_PARAMS)
        need(body, {"identifier": str}, ENTITY_KEYS)
        if params.get("upsert") != "true":
            raise Refused(409, "entity_exists")
        if "run_id" in params:
            self.check_open(self.find(self.runs, params["run_id"]))
        self.entities.append((blueprint, body, params))
        return 201, {"ok": True, "entity": {**body, "blueprint": blueprint}}

    def change_node(self, run_id, params, body):
        node = self.find(self.nodes, run_id)
        need(body, {"status": str}, NODE_KEYS)
        self.check_open(node)
        is_end = body["status"] == "COMPLETED"
        results = ("SUCCESS", "FAILED", "CANCELLED") if is_end else (None,)
        if body["status"] not in ("IN_PROGRESS", "COMPLETED"):
            raise Refused(422, "invalid_request", "unknown status")
        if body.get("result") not in results:
            raise Refused(422, "invalid_request", "unknown result")
        node.update(body)
        node["changes"].append(body)
        return 200, {"ok": True, "nodeRun": {"identifier": run_id}}

    def add_node_logs(self, run_id, params, body):
        node = self.find(self.nodes, run_id)
        need(body, {"logs": list})
        for line in body["logs"]:
            need(line, {"level": str, "message": str})
            if line["level"] not in ("INFO", "WARN", "ERROR", "DEBUG"):
                raise Refused(422, "invalid_request", "unknown level")
            node["log"].append((line["level"], line["message"]))
        return 201, {"ok": True}

    def find(self, kind, run_id):
        if run_id not in kind:
            raise Refused(404, "not_found", f'Run with id "{run_id}" was not found')
        return kind[run_id]

    def check_open(self, run):
        if run["status"] not in ("IN_PROGRESS", "WAITING_FOR_APPROVAL"):
            raise Refused(422, "run_already_ended", "The run has a terminal status")


ROUTES: list[tuple[str, Callable[..., tuple[int, dict[str, Any]]]]] = [
    (r"PATCH /v1/actions/runs/([^/]+)", PortApi.change_run),
    (r"POST /v1/actions/runs/([^/]+)/logs", PortApi.add_log),
    (r"PATCH /v1/actions/runs/([^/]+)/approval", PortApi.approve),
    (r"POST /v1/actions/([^/]+)/runs", PortApi.start),
    (r"POST /v1/blueprints/([^/]+)/entities", PortApi.upsert),
    (r"PATCH /v1/workflows/nodes/runs/([^/]+)", PortApi.change_node),
    (r"POST /v1/workflows/nodes/runs/([^/]+)/logs", PortApi.add_node_logs),
]


def allow(found, known):
    if unknown := found.keys() - known:
        raise Refused(422, "invalid_request", f"must NOT have {min(unknown)}")


def need(body, required, optional=frozenset()):
    if not isinstance(body, dict):
        raise Refused(422, "invalid_request", "must be an object")
    allow(body, {*required, *optional})
    for name, kind in required.items():
        if not isinstance(body.get(name), kind):
            raise Refused(422, "invalid_request", f"must have {name}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        """Say nothing of connections that the other side ended."""


class _Handler(BaseHTTPRequestHandler):
    owner: PortApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        with self.owner.lock:
            self.owner.connections += 1

    def do_POST(self):
        self.answer()

    do_PATCH = do_PUT = do_GET = do_DELETE = do_POST  # noqa: N815  # the same

    def answer(self):
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        planned = self.owner.next_in_script(self.command, url.path)
        if planned == "drop":
            self.drop()
            return
        if isinstance(planned, bytes):
            self.close_connection = True
            with suppress(OSError):  # the other side need not read it all
                self.wfile.write(planned)
            return
        status, extra = planned if isinstance(planned, tuple) else (planned, {})
        if isinstance(status, int):
            self.send(status, {"ok": False, "error": f"scripted_{status}"}, extra)
            return
        try:
            if length > 1_048_576:
                raise Refused(413, "payload_too_large")
            if self.headers.get("Content-Type") != "application/json":
                raise Refused(415, "unsupported_media_type")
            params = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
            status, body = self.owner.handle(
                self.command, url.path, params, self.headers, json.loads(raw)
            )
        except Refused as refused:
            status, body = refused.status, refused.body
        self.send(status, body, extra, is_cut=planned == "cut")

    def send(self, status, body, extra, *, is_cut=False):
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if is_cut:
            self.wfile.write(raw[: len(raw) // 2])
            self.drop()
            return
        self.wfile.write(raw)

    def drop(self):
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            # Zero seconds to linger: the other side sees a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """Print nothing."""
