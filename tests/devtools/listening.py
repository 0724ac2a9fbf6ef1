"""A receiver in this process or in another one, and what it talks to."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from port_webhook.devtools._listen import Options, Session
from port_webhook.devtools._masking import Mask
from port_webhook.devtools._printer import Printer

SRC = Path(__file__).parents[2] / "src"
SECRET = "a made-up secret, long enough for the tests"
TIMEOUT = 20


async def until(condition):
    """Let the others run until *condition* holds."""
    while not condition():  # noqa: ASYNC110  # what it looks at has no event
        await asyncio.sleep(0)


class Local(httpx2.AsyncClient):
    """A client, and what the receiver in this process printed."""

    def __init__(self, session, out, err):
        super().__init__(base_url=session.url, trust_env=False, timeout=TIMEOUT)
        self.session = session
        self.token = session.token
        self.out = out
        self.err = err

    async def api(self, path, body=None, **headers):
        """Ask for what the page asks for."""
        headers = {
            "Origin": self.session.url,
            "X-Inspector-Token": self.token,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if body is None:
            return await self.get(f"/_inspector/api/{path}", headers=headers)
        return await self.post(f"/_inspector/api/{path}", headers=headers, json=body)

    async def deliveries(self):
        """Return the summaries, the oldest first."""
        answer = (await self.api("deliveries")).json()
        return sorted(answer["deliveries"], key=lambda each: each["id"])

    async def ended(self):
        """Wait until the receiver stops by itself."""
        async with asyncio.timeout(TIMEOUT):
            await until(lambda: self.session._server.should_exit)

    async def printed(self, text):
        """Wait until *text* is printed; the answer may be sent before."""
        async with asyncio.timeout(TIMEOUT):
            await until(lambda: text in self.out.getvalue())
        return self.out.getvalue()


@asynccontextmanager
async def receiver(*, secrets=(SECRET,), out=None, **chosen: Any):
    """Run a receiver in this event loop."""
    options = Options(**{"port": 0, "mode": "readable", **chosen})
    out, err = out or io.StringIO(), io.StringIO()
    printer = Printer(
        options.mode,
        filters=options.filters,
        conceal=Mask(secrets).text,
        out=out,
        err=err,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = Session(options, secrets, printer, listener)
        running = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        if running.done():
            await running
        async with Local(session, out, err) as client:
            try:
                yield client
            finally:
                session.stop()
                await running


class Upstream:
    """An application on loopback that keeps the bytes of each request."""

    def __init__(self):
        self.requests: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.url = ""
        self.hangs: asyncio.Event | None = None

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.strip().split("\r\n")
        pairs = [each.partition(": ") for each in lines]
        headers = [(name.lower(), value) for name, _, value in pairs]
        length = int(dict(headers).get("content-length", "0"))
        body = await reader.readexactly(length)
        self.requests.append((line, headers, body))
        if self.hangs is not None:
            await self.hangs.wait()
        writer.write(self.response)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()


class Command:
    """``port-webhook listen`` as a process."""

    def __init__(self, *arguments, secret=SECRET, mode="--json", **environ):
        path = os.pathsep.join([str(SRC), *sys.path])
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PORT_CLIENT")
        }
        env |= {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environ}
        if secret is not None:
            env["PORT_CLIENT_SECRET"] = secret
        command = [sys.executable, "-m", "port_webhook", "listen", "--port", "0"]
        command += [*([mode] if mode else []), *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )
        self.url = self.page = self.greeting = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        """Return the next line of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def event(self, name) -> dict[str, Any]:
        """Return its next event with this *name*."""
        while line := self.line():
            found: dict[str, Any] = json.loads(line)
            if found["event"] == name:
                return found
        raise AssertionError(self.end())

    def start(self):
        """Wait until it listens."""
        hello = self.event("listening")
        self.url, self.page = hello["url"], hello["inspector"]
        return self

    def start_quietly(self):
        """Wait until it listens, where it says so to people."""
        assert self.process.stderr is not None
        while "Ctrl-C" not in self.greeting:
            line = self.process.stderr.readline().decode()
            assert line, self.greeting
            self.greeting += line
        return self

    def send(self, body, headers, path="/port"):
        """Send one delivery."""
        with httpx2.Client(trust_env=False, timeout=TIMEOUT) as client:
            return client.post(self.url + path, content=body, headers=headers)

    def end(self, signal=None):
        """Return its status and what is left of its output."""
        if signal is not None:
            self.process.send_signal(signal)
        out, err = self.process.communicate(timeout=TIMEOUT)
        err = self.greeting.encode() + err
        return self.process.returncode, (out or b"").decode(), err.decode()
