"""Run the local receiver: its server, its channel, its page."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn

from port_webhook import Verifier
from port_webhook._verifier import set_source
from port_webhook.devtools._explain import diagnose
from port_webhook.devtools._history import History
from port_webhook.devtools._inspector import PATH, Inspector, is_loopback, new_token
from port_webhook.devtools._masking import Mask
from port_webhook.devtools._printer import Filters, Mode, Printer
from port_webhook.devtools._receiver import Answer, Forwarder, Receiver
from port_webhook.devtools._secrets import Candidate
from port_webhook.devtools._smee import SmeeError, follow
from port_webhook.exceptions import PortWebhookError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence
    from pathlib import Path
    from types import FrameType

    from starlette.types import Receive, Scope, Send

    from port_webhook.devtools._causes import Cause
    from port_webhook.devtools._history import Record

__all__ = ["ListenError", "Options", "Session", "check_url", "serve"]

# Seconds that requests have to end after Ctrl-C.
_GRACE = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGENT_REMEDY = "Start listen with --agent, and build the verifier with agent=True."


class ListenError(Exception):
    """The receiver cannot start, or cannot go on: its user must change something."""


@dataclass(frozen=True)
class Options:
    """What the command is told.

    Attributes:
        host: The address to bind to.
        port: The port; 0 takes a free one.
        forward: Where deliveries are passed on to.
        answer: What senders are told.
        smee: A smee.io channel.
        history: The file that keeps deliveries across restarts.
        keep: How many deliveries are kept.
        mode: How much is printed.
        filters: Which deliveries are printed.
        agent: Accept what Port's agent forwards.
        inspector: Serve the page.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    forward: str | None = None
    answer: Answer = Answer()  # noqa: RUF009  # it does not change
    smee: str | None = None
    history: Path | None = None
    keep: int = 1000
    mode: Mode = "readable"
    filters: Filters = Filters()  # noqa: RUF009  # it does not change
    agent: bool = False
    inspector: bool = True


def serve(options: Options, secrets: Sequence[str | bytes], source: str) -> None:
    """Receive deliveries until a signal comes.

    Args:
        options: What the command is told.
        secrets: The client secret, and previous ones.
        source: Where they come from, for messages.

    Raises:
        ListenError: The receiver cannot start, or the channel is none.
        ConfigurationError: A secret is not valid.
    """
    printer = Printer(options.mode, filters=options.filters, conceal=Mask(secrets).text)
    with _bind(options.host, options.port) as listener:
        asyncio.run(Session(options, secrets, printer, listener, source).run())


class Session:
    """One run of the command.

    Args:
        options: What the command is told.
        secrets: The client secret, and previous ones.
        printer: Prints what happens.
        listener: The socket, which listens already.
        source: Where the secrets come from, for messages.

    Attributes:
        url: Where the receiver listens.
        token: What a request to the page must know.
    """

    def __init__(
        self,
        options: Options,
        secrets: Sequence[str | bytes],
        printer: Printer,
        listener: socket.socket,
        source: str = "an argument",
    ) -> None:
        current, *previous = secrets
        self._options = options
        self._secrets = secrets
        self._printer = printer
        self._listener = listener
        self._verifier = Verifier(
            current, previous_secrets=previous, agent=options.agent
        )
        set_source(self._verifier, source)
        host, self._port = listener.getsockname()[:2]
        self.url = f"http://{_in_url(_reachable(host))}:{self._port}"
        self.token = new_token()
        self._check_loop()

    async def run(self) -> None:
        """Serve until a signal comes, or `stop` is called.

        Raises:
            ListenError: The history file cannot be read, or the channel is none.
        """
        options = self._options
        history = self._open_history()
        forwarder = None if options.forward is None else Forwarder(options.forward)
        self._receiver = receiver = Receiver(
            self._verifier,
            self._secrets[0],
            history,
            answer=options.answer,
            forwarder=forwarder,
            on_record=self._print,
        )
        config = uvicorn.Config(
            self._app(receiver),
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        # What a sender does wrong is no trouble of ours.
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        self._server = _Server(config, receiver.close, lambda: self._greet(history))
        self._printer.on_closed(self.stop)
        try:
            await self._serve()
        finally:
            if forwarder is not None:
                await forwarder.aclose()
            self._part()

    def stop(self) -> None:
        """End `run` soon."""
        self._receiver.close()
        self._server.should_exit = True

    async def _serve(self) -> None:
        channel: asyncio.Task[None] | None = None
        if self._options.smee is not None:
            following: Coroutine[Any, Any, None] = follow(
                self._options.smee, self._receiver.receive_event, self._report
            )
            channel = asyncio.create_task(following)
            channel.add_done_callback(lambda _: self.stop())
        await self._server.serve(sockets=[self._listener])
        if channel is None:
            return
        channel.cancel()
        (outcome,) = await asyncio.gather(channel, return_exceptions=True)
        if isinstance(outcome, SmeeError):
            raise ListenError(f"{self._options.smee} {outcome}")
        if isinstance(outcome, Exception):
            raise outcome

    def _report(self, text: str) -> None:
        self._printer.notice(text)
        self._printer.event("smee", text=text)

    def _open_history(self) -> History:
        def warn(text: str) -> None:
            self._printer.notice(text, "yellow")

        options = self._options
        try:
            history = History(options.keep, options.history, warn)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(f"The history file cannot be used: {reason}")
        if history.skipped:
            warn(f"{history.skipped} lines of the history file were not readable.")
        return history

    def _app(self, receiver: Receiver) -> Any:
        options = self._options
        if not options.inspector:
            return receiver
        inspector = Inspector(
            receiver,
            token=self.token,
            mask=Mask(self._secrets),
            diagnose=self._diagnose,
            base_url=self.url,
            hosts=[options.host],
            any_address=not is_loopback(options.host),
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path: str = scope["path"]
            is_page = path == PATH or path.startswith(f"{PATH}/")
            await (inspector if is_page else receiver)(scope, receive, send)

        return app

    async def _print(self, record: Record) -> None:
        causes: Sequence[Cause] = ()
        if self._printer.wants_causes(record):
            causes = await asyncio.to_thread(self._diagnose, record)
        self._printer.delivery(record, causes)

    def _diagnose(self, record: Record) -> Sequence[Cause]:
        candidates = [
            Candidate(f"secret {number}", each, accepted=True)
            for number, each in enumerate(self._secrets, 1)
        ]
        try:
            found = diagnose(
                record.body, record.headers, candidates, now=record.received_at
            )
        except PortWebhookError:
            return ()
        return [
            replace(each, remedy=_AGENT_REMEDY) if each.code == "agent_form" else each
            for each in found.causes
        ]

    def _greet(self, history: History) -> None:
        options = self._options
        page = f"{self.url}{PATH}/#token={self.token}" if options.inspector else None
        self._printer.event("listening", url=self.url, inspector=page)
        if options.mode == "json":
            lines: list[tuple[str, str | None]] = []
        else:
            answer = options.answer.status or ("" if options.forward else 202)
            lines = [
                ("Listening on", f"{self.url} (every path)"),
                ("Inspector", page),
                ("Forwarding to", options.forward),
                ("Answering", f"{answer or 'what the forward URL answers'}"),
                ("Channel", options.smee),
                ("History", _describe(options.history, history)),
            ]
        for name, value in lines:
            if value is not None:
                self._printer.notice(f"{name:<14} {value}", "bold")
        if not is_loopback(options.host):
            self._printer.notice(
                f"Warning: {options.host} can be reached from other machines. They can "
                "send requests here; the inspector wants its token.",
                "yellow",
            )
        if options.mode != "json":
            self._printer.notice("Press Ctrl-C to stop.")

    def _part(self) -> None:
        verified, refused = self._printer.verified, self._printer.refused
        self._printer.event("stopped", verified=verified, refused=refused)
        if self._options.mode != "json":
            self._printer.notice(f"Stopped: {verified} verified, {refused} refused.")

    def _check_loop(self) -> None:
        """Refuse to forward to ourselves, which would never end."""
        if self._options.forward is None:
            return
        parts = urlsplit(self._options.forward)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        own = {self._options.host.lower(), self._listener.getsockname()[0]}
        here = is_loopback(_reachable(host)) or host in own
        if port == self._port and here:
            raise ListenError("--forward leads back to this receiver.")


class _Server(uvicorn.Server):
    """A server that lets those go who wait, and ends without raising its signal."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_exit: Callable[[], object],
        on_start: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._on_exit = on_exit
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so: by now a signal ends it properly."""
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop for a signal instead of raising it."""
        before: dict[int, Any] = {}
        try:
            for each in _SIGNALS:
                before[each] = signal.signal(each, self.handle_exit)
        except ValueError:
            # Not the main thread, so that nobody sends signals.
            before.clear()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at once for the second Ctrl-C."""
        self._on_exit()
        super().handle_exit(sig, frame)


def check_url(
    option: str, url: str | None, example: str = "http://127.0.0.1:5000/port"
) -> str | None:
    """Return *url* if it is one of HTTP without credentials, or none.

    Raises:
        ListenError: It is not.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_url = is_url and parts.port != 0
    except ValueError:
        is_url, parts = False, urlsplit("")
    if not is_url:
        raise ListenError(f"{option} takes a URL such as {example}.")
    if parts.username or parts.password:
        raise ListenError(f"{option} takes a URL without a user and a password.")
    return url


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ListenError: The port is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenError(f"{host}:{port} cannot be used ({reason}); see --port.")


def _reachable(host: str) -> str:
    """Return an address by which a browser here finds *host*."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # the point


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _describe(path: Path | None, history: History) -> str | None:
    if path is None:
        return None
    return f"{path} ({len(history)} deliveries)"
