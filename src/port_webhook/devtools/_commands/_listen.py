"""``port-webhook listen``: a local receiver with an inspector page."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from port_webhook.devtools._captures import CaptureError
from port_webhook.devtools._options import find_secrets, read_file
from port_webhook.devtools._parameters import (
    Actions,
    Agent,
    AnswerBody,
    Compact,
    Delay,
    Forward,
    HistoryFile,
    Host,
    Json,
    Keep,
    PathPatterns,
    Port,
    Quiet,
    Respond,
    SecretFile,
    Smee,
    VerdictOption,
    WithInspector,
)

if TYPE_CHECKING:
    from port_webhook.devtools._printer import Mode

__all__ = ["listen"]

_MAX_ANSWER = 1024 * 1024


def listen(
    *,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    forward: Forward = None,
    respond: Respond = None,
    body: AnswerBody = "",
    delay: Delay = 0,
    smee: Smee = None,
    history: HistoryFile = None,
    keep: Keep = 1000,
    agent: Agent = False,
    compact: Compact = False,
    quiet: Quiet = False,
    path: PathPatterns = None,
    verdict: VerdictOption = None,
    action: Actions = None,
    inspector: WithInspector = True,
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

    mode = _read_mode(compact=compact, quiet=quiet, json=as_json)
    content = _read_answer(body)
    if content and respond is None and forward is not None:
        raise CaptureError("With --forward, --body needs --respond")
    secrets = find_secrets(secret_file)
    try:
        serve(
            Options(
                host=host,
                port=port,
                forward=check_url("--forward", forward),
                answer=Answer(respond, content, delay),
                smee=check_url("--smee", smee, "https://smee.io/CHANNEL"),
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


def _read_mode(**modes: bool) -> Mode:
    chosen = [name for name, wanted in modes.items() if wanted]
    if len(chosen) > 1:
        raise CaptureError(f"Give one of --{' and --'.join(chosen)}")
    return cast("Mode", chosen[0]) if chosen else "readable"


def _read_answer(text: str) -> bytes:
    if text.startswith("@"):
        return read_file(text[1:], _MAX_ANSWER)
    return text.encode("utf-8")
