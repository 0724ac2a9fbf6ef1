"""``port-webhook listen``: a local receiver with an inspector page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from port_webhook.devtools._captures import CaptureError
from port_webhook.devtools._options import Json, SecretFile, find_secrets, read_file

if TYPE_CHECKING:
    from port_webhook.devtools._printer import Mode

__all__ = ["Verdict", "listen"]

_MAX_ANSWER = 1024 * 1024


class Verdict(StrEnum):
    """Whether a delivery is authentic and in time."""

    verified = "verified"
    refused = "refused"


def listen(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    forward: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Pass verified deliveries on, byte for byte. A URL without a path "
            "keeps the path of each delivery.",
            show_default=False,
        ),
    ] = None,
    respond: Annotated[
        int | None,
        typer.Option(
            min=200,
            max=599,
            metavar="STATUS",
            help="Answer to verified deliveries; else that of the forward URL, or 202.",
            show_default=False,
        ),
    ] = None,
    body: Annotated[
        str,
        typer.Option(
            metavar="TEXT|@FILE", help="Body of the answer.", show_default=False
        ),
    ] = "",
    delay: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Seconds to wait before the answer."),
    ] = 0,
    smee: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Receive from a smee.io channel, too.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep deliveries across restarts. The file holds their payloads.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many deliveries to keep.")
    ] = 1000,
    agent: Annotated[
        bool, typer.Option("--agent", help="Accept what Port's agent forwards, too.")
    ] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Print a line for each delivery.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print refused deliveries only.")
    ] = False,
    path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Print only these paths, such as '/port/*'; repeatable.",
            show_default=False,
        ),
    ] = None,
    verdict: Annotated[
        Verdict | None,
        typer.Option(help="Print only these.", show_default=False),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Print only these actions; repeatable.",
            show_default=False,
        ),
    ] = None,
    inspector: Annotated[
        bool, typer.Option("--inspector/--no-inspector", help="Serve the page.")
    ] = True,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Receive deliveries on this machine: verify, show, keep and forward them.

    A page shows them, explains what was refused, and sends them again. Its address,
    with its token, is printed at the start. Press Ctrl-C to stop.
    """
    # Imported here, so that the other commands start without a server.
    from port_webhook.devtools._listen import ListenError, Options, check_url, serve
    from port_webhook.devtools._printer import Filters
    from port_webhook.devtools._receiver import Answer

    modes: dict[Mode, bool] = {"compact": compact, "quiet": quiet, "json": as_json}
    chosen: list[Mode] = [name for name, wanted in modes.items() if wanted]
    if len(chosen) > 1:
        raise CaptureError(f"give one of --{' and --'.join(chosen)}")
    mode: Mode = chosen[0] if chosen else "readable"
    answer = Answer(respond, _read_answer(body), delay)
    if answer.body and respond is None and forward is not None:
        raise CaptureError("with --forward, --body needs --respond")
    secrets = find_secrets(secret_file)
    try:
        serve(
            Options(
                host=host,
                port=port,
                forward=None if forward is None else check_url("--forward", forward),
                answer=answer,
                smee=None if smee is None else check_url("--smee", smee),
                history=history,
                keep=keep,
                mode=mode,
                filters=Filters(path or (), verdict, action or ()),
                agent=agent,
                inspector=inspector,
            ),
            secrets.all,
            secrets.source,
        )
    except ListenError as error:
        raise CaptureError(str(error))


def _read_answer(text: str) -> bytes:
    if text.startswith("@"):
        return read_file(text[1:], _MAX_ANSWER)
    return text.encode("utf-8")
