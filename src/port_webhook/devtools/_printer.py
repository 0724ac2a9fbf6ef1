"""Print deliveries as they arrive: readably, compactly, or only what is refused."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.text import Text

from port_webhook.devtools._masking import conceal_all
from port_webhook.devtools._pretty import pretty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from port_webhook.devtools._causes import Cause
    from port_webhook.devtools._history import Record

__all__ = ["Filters", "Mode", "Printer", "summarise", "verdict_of", "visible"]

Mode = Literal["readable", "compact", "quiet", "json"]

_SHOWN_LINES = 12
_SHOWN_RESPONSE = 300
_GREEN, _RED, _DIM = "green", "bold red", "dim"


@dataclass(frozen=True)
class Filters:
    """Which deliveries are printed; each empty one lets all pass.

    Attributes:
        paths: Patterns of paths, with ``*`` and ``?``.
        verdict: ``verified`` or ``refused``.
        actions: Identifiers of actions.
    """

    paths: Sequence[str] = ()
    verdict: str | None = None
    actions: Sequence[str] = ()

    def match(self, record: Record) -> bool:
        """Tell whether *record* passes."""
        return (
            (
                not self.paths
                or any(fnmatchcase(record.path, each) for each in self.paths)
            )
            and self.verdict in {None, verdict_of(record)}
            and (not self.actions or record.action in self.actions)
        )


class _Console(Console):
    """A console that stops printing when nobody reads, and says so."""

    closed: Callable[[], object] | None = None

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # Nothing is left to be flushed to the pipe when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if self.closed is not None:
            self.closed()


class Printer:
    """Prints deliveries and notices.

    Deliveries go to the standard output, notices to the standard error, except for
    ``readable``, where people read both in one place.

    Args:
        mode: How much to print.
        filters: Which deliveries to print.
        conceal: Replaces the secrets in a text.
        out: In place of the standard output.
        err: In place of the standard error.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        filters: Filters | None = None,
        conceal: Callable[[str], str] = str,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.mode = mode
        self.verified = 0
        self.refused = 0
        self._filters = filters or Filters()
        self._conceal = conceal
        self._out = _console(out or sys.stdout)
        self._err = _console(err or sys.stderr)

    def on_closed(self, stop: Callable[[], object]) -> None:
        """Call *stop* when the standard output is closed by its reader."""
        self._out.closed = stop

    def notice(self, text: str, style: str = "") -> None:
        """Print a sentence about the receiver itself."""
        console = self._out if self.mode == "readable" else self._err
        self._line(console, (text, style))

    def event(self, name: str, **fields: object) -> None:
        """Print what a script waits for: a JSON object in a line, with ``json``."""
        if self.mode == "json":
            text = json.dumps(conceal_all({"event": name, **fields}, self._conceal))
            try:
                self._out.file.write(f"{text}\n")
                self._out.file.flush()
            except BrokenPipeError:
                self._out.on_broken_pipe()

    def wants_causes(self, record: Record) -> bool:
        """Tell whether `delivery` prints why *record* was refused."""
        return (
            not record.verified
            and self.mode in {"readable", "json"}
            and self._filters.match(record)
        )

    def delivery(self, record: Record, causes: Sequence[Cause] = ()) -> None:
        """Count *record*, and print it if the filters let it pass."""
        if record.verified:
            self.verified += 1
        else:
            self.refused += 1
        if not self._filters.match(record):
            return
        if self.mode == "json":
            found = [asdict(each) for each in causes]
            self.event("delivery", **summarise(record), causes=found)
        elif self.mode != "quiet" or not record.verified:
            self._headline(record)
            if self.mode == "readable":
                self._details(record, causes)

    def _headline(self, record: Record) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(record.received_at))
        parts = [
            (at, _DIM),
            (f"#{record.id}", _DIM),
            (verdict_of(record), _GREEN if record.verified else _RED),
            (record.code or "", _RED),
            (f"{record.method} {self._conceal(record.target)[:200]}", ""),
            (record.shape or "", _DIM),
            (record.action or "", "bold"),
            (record.run_id or "", _DIM),
            (f"{len(record.body)} B", _DIM),
        ]
        if record.source != "http":
            parts.append((record.source, _DIM))
        if record.forwarded is not None:
            found = record.forwarded.status or "no response"
            if record.forwarded.error and self.mode != "readable":
                found = f"{found} ({record.forwarded.error})"
            parts.append(
                (f"forwarded: {found}", "" if record.forwarded.status else _RED)
            )
        if record.status is not None:
            parts.append((f"-> {record.status}", _DIM))
        self._line(self._out, *[part for part in parts if part[0]])

    def _details(self, record: Record, causes: Sequence[Cause]) -> None:
        if record.verified:
            lines = (pretty(record.signed) or "").splitlines()
            for line in lines[:_SHOWN_LINES]:
                self._line(self._out, (f"    {line}", _DIM))
            if len(lines) > _SHOWN_LINES:
                more = f"    ... {len(lines) - _SHOWN_LINES} more lines"
                self._line(self._out, (more, _DIM))
        else:
            if not causes:
                self._line(self._out, (f"    {record.reason}", ""))
            for each in causes:
                proven = "" if each.proven else " (not proven)"
                self._line(
                    self._out, (f"    {each.code}{proven}: {each.text}", "yellow")
                )
                self._line(self._out, (f"      {each.remedy}", ""))
        if (forwarded := record.forwarded) is not None:
            found = forwarded.error or str(forwarded.status)
            took = f"{forwarded.seconds * 1000:.0f} ms"
            self._line(self._out, (f"    {forwarded.url}: {found} in {took}", ""))
            # What is cut before it is concealed can hold the beginning of a secret.
            text = self._conceal(forwarded.body.decode("utf-8", "replace").strip())
            text = text[:_SHOWN_RESPONSE].strip()
            if text:
                self._line(self._out, (f"      {text}", _DIM))

    def _line(self, console: _Console, *parts: tuple[str, str]) -> None:
        text = Text("  ").join(
            Text(visible(self._conceal(part)), style) for part, style in parts
        )
        console.print(text, soft_wrap=True)


def verdict_of(record: Record) -> str:
    """Return the word for whether *record* is authentic and in time."""
    return "verified" if record.verified else "refused"


def summarise(record: Record) -> dict[str, Any]:
    """Return what a list shows of *record*, as JSON."""
    forwarded = record.forwarded
    return {
        "id": record.id,
        "received_at": record.received_at,
        "source": record.source,
        "method": record.method,
        "target": record.target,
        "verdict": verdict_of(record),
        "code": record.code,
        "reason": record.reason,
        "shape": record.shape,
        "action": record.action,
        "run_id": record.run_id,
        "bytes": len(record.body),
        "status": record.status,
        "forwarded": None
        if forwarded is None
        else {
            "url": forwarded.url,
            "status": forwarded.status,
            "error": forwarded.error,
            "seconds": round(forwarded.seconds, 4),
        },
    }


def visible(text: str) -> str:
    """Show characters that would steer a terminal, or hide text, as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _console(file: TextIO) -> _Console:
    # What the encoding of the terminal lacks is shown as an escape.
    reconfigure = getattr(file, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return _Console(file=file, highlight=False, markup=False, emoji=False)
