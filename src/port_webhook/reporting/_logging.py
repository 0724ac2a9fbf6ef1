"""Send the records of a logger to the log of a run, from the background."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from port_webhook.reporting._core import drive, is_reporting
from port_webhook.reporting._requests import MAX_TEXT, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from port_webhook.exceptions import ReportingError

    Send = Callable[[list[tuple[str, str]]], Coroutine[Any, Any, ReportingError | None]]

__all__ = [
    "LineBuffer",
    "Pump",
    "RunLogHandler",
    "TaskPump",
    "ThreadPump",
    "current_run",
]

_MAX_PENDING = 8_388_608
# What a line takes in a request, beside its text.
_LINE = 64
_LINGER = 1.0
# The lines after these may be taken.
_TEMPORARY = (429, 502, 503, 504)

current_run: ContextVar[object] = ContextVar("port_webhook_current_run", default=None)
"""The run whose report this context is in, if it captures a logger."""


class LineBuffer:
    """Lines that wait to be sent, in order and bounded.

    Attributes:
        dropped: How many lines were not sent.
    """

    def __init__(self, max_pending: int = _MAX_PENDING) -> None:
        self.dropped: int = 0
        self._max_pending = max_pending
        self._pending = 0
        self._overflow = 0
        self._lines: deque[tuple[str, str]] = deque()
        self._lock = threading.Lock()
        self._is_closed = False

    def add(self, level: str, text: str) -> None:
        """Add a line, or count it as dropped."""
        text = cut(text)
        size = len(text) + _LINE
        with self._lock:
            if self._is_closed:
                self.dropped += 1
            elif self._pending + size > self._max_pending:
                self.dropped += 1
                self._overflow += 1
            else:
                self._pending += size
                self._lines.append((level, text))

    def take(self) -> list[tuple[str, str]]:
        """Remove and return as many lines as fit one request."""
        found: list[tuple[str, str]] = []
        size = 0
        with self._lock:
            while self._lines:
                size += len(self._lines[0][1]) + _LINE
                if found and size > MAX_TEXT:
                    break
                found.append(self._lines.popleft())
            self._pending -= sum(len(text) + _LINE for _, text in found)
            if not self._lines and self._overflow:
                found.append(("WARN", f"… {self._overflow} lines were dropped"))
                self._overflow = 0
        return found

    def lose(self, count: int) -> None:
        """Count lines that were taken, and not sent."""
        with self._lock:
            self.dropped += count

    def close(self, *, discard: bool = False) -> None:
        """Take no more lines, and with *discard* forget those that wait."""
        with self._lock:
            self._is_closed = True
            if discard:
                self.dropped += len(self._lines)
                self._lines.clear()

    def is_full(self) -> bool:
        """Tell whether there is enough for a request."""
        return self._pending >= MAX_TEXT


class Pump(Protocol):
    """Sends what is in a buffer, in the background."""

    def notify(self) -> None:
        """Say that there is a line."""
        ...

    async def stop(self) -> None:
        """Send the rest and end."""
        ...


class ThreadPump:
    """A pump with a thread, which starts with the first line."""

    def __init__(self, buffer: LineBuffer, send: Send, linger: float = _LINGER) -> None:
        self._buffer = buffer
        self._send = send
        self._linger = linger
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._is_closing = False

    def notify(self) -> None:
        """Say that there is a line."""
        with self._lock:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(
                    target=self._work, name="port-webhook-log", daemon=True
                )
                self._thread.start()
        if self._buffer.is_full():
            self._hurry.set()
        self._wake.set()

    async def stop(self) -> None:
        """Send the rest and end the thread."""
        with self._lock:
            self._is_closing = True
        self._buffer.close()
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._hurry.wait(self._linger)  # more lines may come
            self._wake.clear()
            is_closing = self._is_closing
            if not is_closing:
                self._hurry.clear()
            drive(_send_all(self._buffer, self._send))
            if is_closing:
                return


class TaskPump:
    """A pump with a task of the event loop that is running when it is made."""

    def __init__(self, buffer: LineBuffer, send: Send, linger: float = _LINGER) -> None:
        self._buffer = buffer
        self._send = send
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_closing = False

    def notify(self) -> None:
        """Say that there is a line; any thread may."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._start)

    async def stop(self) -> None:
        """Send the rest and end the task."""
        if self._task is None:  # a line may have come that did not start it yet
            self._task = self._loop.create_task(self._work())
        self._is_closing = True
        self._buffer.close()
        self._hurry.set()
        self._wake.set()
        await self._task

    def _start(self) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        if self._buffer.is_full():
            self._hurry.set()
        self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._linger)
            self._wake.clear()
            is_closing = self._is_closing
            if not is_closing:
                self._hurry.clear()
            await _send_all(self._buffer, self._send)
            if is_closing:
                return


async def _send_all(buffer: LineBuffer, send: Send) -> None:
    while lines := buffer.take():
        error = await send(lines)
        if error is not None:
            buffer.lose(len(lines))
            if error.status_code not in _TEMPORARY:
                buffer.close(discard=True)


class RunLogHandler(logging.Handler):
    """Sends records to the log of a run: in order, batched, from the background.

    It never waits for Port, and never raises. At most 8 MiB of text wait to be sent;
    further lines are dropped, and the log says how many. The end of the report sends
    the rest. `Run.log_handler` returns one.

    Attributes:
        dropped: How many records were not sent.
    """

    def __init__(
        self, pump: Pump, buffer: LineBuffer, level: int, run: object = None
    ) -> None:
        super().__init__(level)
        self._pump = pump
        self._buffer = buffer
        self._run = run

    @property
    def dropped(self) -> int:
        """The number of records that were not sent."""
        return self._buffer.dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Queue *record*, unless a call of Port's API made it."""
        is_other = self._run is not None and current_run.get() is not self._run
        event = getattr(record, "port_event", None)
        if is_other or is_reporting() or str(event).startswith("reporting_"):
            return
        try:
            self._buffer.add(_word(record.levelno), self.format(record))
            self._pump.notify()
        except Exception:  # as every handler of the standard library
            self.handleError(record)


def _word(level: int) -> str:
    words = (
        (logging.ERROR, "ERROR"),
        (logging.WARNING, "WARN"),
        (logging.INFO, "INFO"),
    )
    return next((word for least, word in words if level >= least), "DEBUG")
