"""The application of the `port-webhook` command."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from shutil import get_terminal_size
from typing import Annotated

import typer

from port_webhook.devtools._commands import COMMANDS
from port_webhook.devtools._terminal import guarded

__all__ = ["app"]

_TABLE = 60
_EPILOG = "Exit status: 0 done, 1 refused, 2 wrong usage. port-webhook COMMAND --help"

app = typer.Typer(
    name="port-webhook",
    help="Sign, verify, explain, send and receive the webhooks of Port.",
    epilog=_EPILOG,
    no_args_is_help=True,
    # A table cuts the names of options short in less room than this.
    rich_markup_mode="rich" if get_terminal_size().columns >= _TABLE else None,
    # Tracebacks of its own would show locals, and so secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it with the value
    if wanted:
        try:
            typer.echo(f"port-webhook {version('port-webhook')}")
        except PackageNotFoundError:
            typer.echo("port-webhook, not installed")
        raise typer.Exit


@app.callback()
def _main(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    # The commands say themselves what the library logs.
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL + 1)


for _name, (_command, _example) in COMMANDS.items():
    app.command(_name, epilog=f"Example:\n\n{_example}")(guarded(_command))
