"""What the commands print, and how they fail."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from port_webhook.devtools._captures import CaptureError
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "REFUSED",
    "USAGE",
    "console",
    "fail",
    "guarded",
    "hint",
    "printable",
    "say",
    "say_json",
    "wraps",
]

REFUSED, USAGE = 1, 2
# A pipe has no width, so that lines stay whole in it.
_ENDLESS = 100_000


def console(*, stderr: bool = False) -> Console:
    """Return a console, which wraps lines only where somebody looks."""
    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, highlight=False, soft_wrap=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _ENDLESS
    return made


def wraps(out: Console) -> bool:
    """Tell whether lines are wrapped: somebody looks."""
    return out.width < _ENDLESS


def say(text: str | Text = "", style: str = "") -> None:
    """Print a line, whose marks are no markup."""
    console().print(Text(text, style) if isinstance(text, str) else text)


def say_json(value: Any) -> None:
    """Print one line of JSON."""
    typer.echo(json.dumps(value))


def fail(message: str, status: int = USAGE) -> NoReturn:
    """Print *message* to standard error and end with *status*."""
    shown = Text.assemble(("Error: ", "bold red"), printable(message))
    console(stderr=True).print(shown)
    raise typer.Exit(status)


def hint(message: str) -> None:
    """Print *message* to standard error, and go on."""
    shown = Text.assemble(("Note: ", "bold yellow"), printable(message))
    console(stderr=True).print(shown)


def printable(text: str) -> str:
    """Replace what would control a terminal; *text* may come from anywhere."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """End *command* with a message and status 2 for what its user got wrong."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ConfigurationError, CaptureError) as error:
            text = str(error)
            fail(text if text.endswith((".", "?")) else f"{text}.")
        except BrokenPipeError:
            raise  # typer ends it without a word
        except OSError as error:
            fail(f"The output cannot be written: {error.strerror or error}.")

    # typer reads the parameters, whose types are texts in the command's own module.
    run.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined]  # every function may have one
    run.__annotations__ = {}
    return run
