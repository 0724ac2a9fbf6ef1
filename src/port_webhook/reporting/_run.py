"""A run inside a report: its log, its status, and how it ends."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from port_webhook import _log
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import PayloadError, PortWebhookError, ReportingError
from port_webhook.reporting import _requests
from port_webhook.reporting._core import drive
from port_webhook.reporting._logging import (
    LineBuffer,
    RunLogHandler,
    current_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from port_webhook.reporting._core import Core
    from port_webhook.reporting._logging import Pump, Send
    from port_webhook.reporting._requests import Outcome, Request

__all__ = ["AsyncRun", "Run", "RunState", "was_reported"]

_SYNCHRONIZED = "run_synchronized_error"
# How Port says that a run has ended is not documented.
_ENDED = re.compile(r"(?i)\b(ended|end|terminal|finished|completed?|already)\b")
_CONFLICTS = (409, 422)
# After these the end of the report tells Port once more.
_TRANSIENT = (401, 408, 429, 500, 502, 503, 504)
_MAX_SUMMARY = 1_000

# Errors whose run has ended, so that a hook that sees them later need not tell again.
_reported: WeakSet[BaseException] = WeakSet()


def was_reported(error: BaseException) -> bool:
    """Tell whether a report has told Port of *error* already."""
    return error in _reported


class RunState:
    """The logic of `Run` and `AsyncRun`.

    No response or failure of Port is raised: the work goes on, and a failure to report
    is logged.
    """

    def __init__(
        self,
        core: Core,
        run_id: str | None,
        pump: Callable[[LineBuffer, Send], Pump],
        *,
        error_text: bool,
        logger: str | logging.Logger | None,
        level: int,
    ) -> None:
        self.run_id = run_id
        self.status: str | None = None
        self.logs_sent: int = 0
        self._core = core
        self._pump = pump
        self._error_text = error_text
        self._logger = logger
        self._level = level
        self._wanted: tuple[Outcome, str | None, Any] | None = None
        self._noted: str | None = None
        self._is_over = False
        self._pumps: list[Pump] = []
        self._attached: tuple[logging.Logger, RunLogHandler] | None = None
        self._mark: Token[object] | None = None

    def enter(self) -> None:
        """Begin: capture the logger."""
        if self._logger is None or self.run_id is None:
            return
        logger = self._logger
        if isinstance(logger, str):
            logger = logging.getLogger(logger)
        handler = self.log_handler(self._level, self)
        self._mark = current_run.set(self)
        self._attached = logger, handler
        logger.addHandler(handler)

    def detach(self) -> None:
        """Capture the logger no longer."""
        if self._attached is not None:
            logger, handler = self._attached
            logger.removeHandler(handler)
        if self._mark is not None:
            # In another context, such as that of another thread, it was not set.
            with suppress(ValueError):
                current_run.reset(self._mark)

    async def leave(self, error: BaseException | None) -> None:
        """End: flush the log, and tell Port how the run ended unless that was done."""
        self.detach()
        for pump in self._pumps:
            await pump.stop()
        if self._wanted is None:
            outcome: Outcome = "SUCCESS" if error is None else "FAILURE"
            self._wanted = outcome, self._summarise(error), None
        await self.end(*self._wanted)
        if isinstance(error, PayloadError) and self._is_over:
            _reported.add(error)

    async def log(self, message: str, level: str, status_label: str | None) -> None:
        """Send one line."""
        line = _requests.read_level(level), _requests.read_text("message", message)
        if self.run_id is None:
            return
        request = _requests.write_log(self.run_id, [line], status_label=status_label)
        if await self._try(request) is None:
            self.logs_sent += 1

    async def update(self, **fields: Any) -> None:
        """Change the run."""
        if self.run_id is None:
            return
        for request in _requests.update_run(self.run_id, **fields):
            if not self._is_over:
                await self._try(request)

    async def end(self, outcome: Outcome, summary: str | None, output: Any) -> None:
        """End the run, once; again only if the first end could not be reported."""
        if self.run_id is None:
            return
        *before, last = _requests.end_run(self.run_id, outcome, summary, output)
        if self._is_over:
            return
        # The line with the summary of a node's run, once.
        if before and summary != self._noted:
            self._noted = summary
            await self._try(before[0])
        self._wanted = outcome, summary, output
        error = await self._try(last)
        if error is None:
            self._is_over = True
            self.status = _requests.status_word(self.run_id, outcome)
        elif error.status_code is not None and error.status_code not in _TRANSIENT:
            self._is_over = True  # the same would be refused again

    def log_handler(self, level: int, run: object = None) -> RunLogHandler:
        """Make a handler that the end of the report closes."""
        buffer = LineBuffer()
        pump = self._pump(buffer, self._send_lines)
        self._pumps.append(pump)
        if self.run_id is None:
            buffer.close()
        return RunLogHandler(pump, buffer, level, run)

    async def _send_lines(self, lines: list[tuple[str, str]]) -> ReportingError | None:
        request = _requests.write_log(self.run_id or "", lines)
        error = await self._try(request)
        if error is None:
            self.logs_sent += len(lines)
        return error

    async def _try(self, request: Request) -> ReportingError | None:
        """Send *request*; return its failure, which the log has, instead of raising."""
        try:
            await self._core.call(request)
        except ReportingError as error:
            is_refused = self._is_refused(error)
            if is_refused and request.method == "PATCH":
                self._is_over = True
            write_failure(error, self.run_id, is_expected=is_refused)
            return error
        return None

    def _is_refused(self, error: ReportingError) -> bool:
        """Tell whether Port sets the status itself, or the run has ended."""
        if error.error == _SYNCHRONIZED:
            return True
        return error.status_code in _CONFLICTS and bool(_ENDED.search(str(error)))

    def _summarise(self, error: BaseException | None) -> str | None:
        if error is None:
            return None
        summary = type(error).__name__
        # Our own errors name a field and never quote a value.
        if self._error_text or isinstance(error, PortWebhookError):
            try:
                text = str(error)
            except Exception:  # whatever a user's __str__ raises
                text = ""
            summary = f"{summary}: {text}" if text else summary
        return summary[:_MAX_SUMMARY]


def write_failure(
    error: ReportingError, run_id: str | None, *, is_expected: bool = False
) -> None:
    """Log that *error* kept Port from being told, or why Port need not be."""
    fields = {"run_id": run_id, "status_code": error.status_code, "error": error.error}
    if is_expected:
        text = f"Port did not take a change of a run that it ends itself: {error}"
        _log.write(_log.DEBUG, text, "reporting_refused", **fields)
    else:
        run = _requests.show(run_id or "")
        text = f"Port could not be told of run {run}: {error}"
        _log.write(_log.ERROR, text, "reporting_failed", **fields)


class _RunBase:
    def __init__(self, state: RunState) -> None:
        self._state = state

    @property
    def run_id(self) -> str | None:
        """The id of the run; None if there is none, and nothing is reported."""
        return self._state.run_id

    @property
    def status(self) -> str | None:
        """The reported status: ``SUCCESS`` or ``FAILURE``; None if there is none yet.

        For the run of a workflow's node ``SUCCESS``, ``FAILED`` or ``CANCELLED``.
        """
        return self._state.status

    @property
    def logs_sent(self) -> int:
        """The number of lines of the log that Port has accepted."""
        return self._state.logs_sent

    def leave(self, error: BaseException | None) -> Coroutine[Any, Any, None]:
        """End the report."""
        return self._state.leave(error)

    @boundary
    def log_handler(self, level: int = logging.NOTSET) -> RunLogHandler:
        """Return a logging handler that sends every record to the run's log.

        Remove it from the logger yourself; the end of the report sends the rest.

        Args:
            level: The lowest level that is sent.
        """
        return self._state.log_handler(level)


class Run(_RunBase):
    """A run of an action, or of a workflow's node; `PortClient.report` gives it.

    Its methods do not raise when Port cannot be reached or refuses: the work goes on,
    and the log has a ``reporting_failed`` record.
    """

    @boundary
    def log(
        self, message: str, *, level: str = "INFO", status_label: str | None = None
    ) -> None:
        """Add a line to the run's log.

        Args:
            message: The line.
            level: ``DEBUG``, ``INFO``, ``WARN`` or ``ERROR``; the log of an action's
                run does not show it.
            status_label: A label to set at the same time.

        Raises:
            ConfigurationError: An argument is not valid.
        """
        drive(self._state.log(message, level, status_label))

    @boundary
    def update(
        self,
        *,
        status_label: str | None = None,
        links: str | Sequence[str] | None = None,
        summary: str | None = None,
        external_run_id: str | None = None,
    ) -> None:
        """Change the run, which goes on; each given value replaces the last one.

        The run of a workflow's node has no label and no summary, so that these become
        lines of its log.

        Args:
            status_label: A few words beside the status.
            links: One URL or several, such as that of a pipeline.
            summary: A summary of the run.
            external_run_id: The run's id in your own system.

        Raises:
            ConfigurationError: An argument is not valid.
        """
        drive(
            self._state.update(
                status_label=status_label,
                links=links,
                summary=summary,
                external_run_id=external_run_id,
            )
        )

    @boundary
    def succeed(self, summary: str | None = None, *, output: Any = None) -> None:
        """End the run as a success.

        Args:
            summary: A summary of what was done.
            output: JSON that later nodes of a workflow can read; only for a node's run.

        Raises:
            ConfigurationError: An argument is not valid.
        """
        drive(self._state.end("SUCCESS", summary, output))

    @boundary
    def fail(self, summary: str | None = None, *, output: Any = None) -> None:
        """End the run as a failure; the arguments are those of `succeed`."""
        drive(self._state.end("FAILURE", summary, output))

    @boundary
    def cancel(self, summary: str | None = None) -> None:
        """End a node's run as cancelled; an action's run fails."""
        drive(self._state.end("CANCELLED", summary, None))

    @boundary
    def __enter__(self) -> Self:
        self._state.enter()
        return self

    @boundary
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        drive(self._state.leave(error))


class AsyncRun(_RunBase):
    """`Run` for ``async with`` and ``await``; `AsyncPortClient.report` gives it."""

    @boundary
    async def log(
        self, message: str, *, level: str = "INFO", status_label: str | None = None
    ) -> None:
        """Do what `Run.log` does."""
        await self._state.log(message, level, status_label)

    @boundary
    async def update(
        self,
        *,
        status_label: str | None = None,
        links: str | Sequence[str] | None = None,
        summary: str | None = None,
        external_run_id: str | None = None,
    ) -> None:
        """Do what `Run.update` does."""
        await self._state.update(
            status_label=status_label,
            links=links,
            summary=summary,
            external_run_id=external_run_id,
        )

    @boundary
    async def succeed(self, summary: str | None = None, *, output: Any = None) -> None:
        """Do what `Run.succeed` does."""
        await self._state.end("SUCCESS", summary, output)

    @boundary
    async def fail(self, summary: str | None = None, *, output: Any = None) -> None:
        """Do what `Run.fail` does."""
        await self._state.end("FAILURE", summary, output)

    @boundary
    async def cancel(self, summary: str | None = None) -> None:
        """Do what `Run.cancel` does."""
        await self._state.end("CANCELLED", summary, None)

    @boundary
    async def __aenter__(self) -> Self:
        self._state.enter()
        return self

    @boundary
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, GeneratorExit):
            self._state.detach()
            return  # a coroutine that is closed cannot await
        await self._state.leave(error)
