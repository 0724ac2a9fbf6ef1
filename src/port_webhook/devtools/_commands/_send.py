"""``port-webhook send``: a delivery of any shape, genuine or not, to a URL."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from port_webhook.devtools._masking import Mask
from port_webhook.devtools._options import find_secrets, read_file
from port_webhook.devtools._parameters import (
    AsAgent,
    CheckAll,
    Concurrency,
    Headers,
    Json,
    MaxAge,
    Method,
    Repeat,
    Replayed,
    SecretFile,
    SentBody,
    Sets,
    Shape,
    ShapeOption,
    Stale,
    Tampered,
    Timeout,
    Url,
)
from port_webhook.devtools._sending import (
    Answer,
    Outgoing,
    Sender,
    Variant,
    check,
    repeat,
)
from port_webhook.devtools._terminal import (
    REFUSED,
    console,
    fail,
    printable,
    say,
    say_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.devtools._sending import Verdict

__all__ = ["send"]

_MAX_SHOWN = 4000
_UNAUTHORIZED = 401
_HANDLER_FAILS = (422, 500)
_NOT_THERE = (404, 405)


def send(
    url: Url,
    *,
    shape: ShapeOption = Shape.ACTION,
    body: SentBody = None,
    sets: Sets = None,
    agent: AsAgent = False,
    method: Method = "POST",
    header: Headers = None,
    stale: Stale = False,
    tampered: Tampered = False,
    replay: Replayed = False,
    check_all: CheckAll = False,
    max_age: MaxAge = 300,
    count: Repeat = 1,
    concurrency: Concurrency = 1,
    timeout: Timeout = 30,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Send a signed delivery to a URL, and show the response.

    The view behind the URL runs as for a delivery of Port's.
    """
    if sum((stale, tampered, replay, check_all, count > 1)) > 1:
        fail("Give one of --stale, --tampered, --replay, --check and --repeat.")
    raw = None if body is None else read_file(body)
    secret = find_secrets(secret_file).current
    outgoing = Outgoing(shape.value, raw, sets or [], secret, agent, max_age)
    with Sender(url, method, header or [], timeout) as sender:
        if check_all:
            _check(sender, outgoing, as_json=as_json)
        elif count > 1:
            _repeat(sender, outgoing, count, concurrency, as_json=as_json)
        else:
            variant = _read_variant(stale=stale, tampered=tampered)
            show = partial(_show, sender=sender, mask=Mask([secret]), as_json=as_json)
            _send(sender, outgoing, variant, 2 if replay else 1, show, as_json=as_json)


def _read_variant(*, stale: bool, tampered: bool) -> Variant:
    if stale:
        return Variant.STALE
    return Variant.TAMPERED if tampered else Variant.GENUINE


def _send(
    sender: Sender,
    outgoing: Outgoing,
    variant: Variant,
    times: int,
    show: Callable[[list[Answer], int], None],
    *,
    as_json: bool,
) -> None:
    """Send one request, so many times, and print what was answered."""
    request = outgoing.make(variant)
    answers = [sender.send(request) for _ in range(times)]
    show(answers, len(request.body))
    if not answers[-1].accepted:
        if variant is Variant.GENUINE and answers[0].status == _UNAUTHORIZED:
            words = "Refused: another secret, or another clock? The log of the server "
            console(stderr=True).print(Text(f"{words}says why."))
        raise typer.Exit(REFUSED)
    if times > 1 and all(each.ran for each in answers) and not as_json:
        say("The request ran twice: the endpoint has no replay store.", "bold red")
    if variant is not Variant.GENUINE and not as_json:
        say("This forgery got through.", "bold red")


def _show(
    answers: list[Answer], size: int, *, sender: Sender, mask: Mask, as_json: bool
) -> None:
    """Print the responses; a request that was sent twice has two.

    An error page may show the settings of the receiver, and the secret among them.
    """
    if as_json:
        listed: list[Any] = mask.value([each.as_dict() for each in answers])
        say_json(listed if len(listed) > 1 else listed[0])
    else:
        say(f"{sender.method} {printable(sender.url)}, {size} bytes")
        for each in answers:
            _show_one(each, mask)


def _show_one(answer: Answer, mask: Mask) -> None:
    if answer.status is None:
        fail(answer.error, REFUSED)
    style = "bold green" if answer.accepted else "bold red"
    phrase = f"{answer.status} {printable(answer.phrase)}".rstrip()
    say(Text.assemble((phrase, style), f" in {answer.milliseconds:.0f} ms"))
    text = answer.body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    text = mask.text(text)
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}\n… {len(answer.body)} bytes in all"
    if text:
        say(printable(text))


def _check(sender: Sender, outgoing: Outgoing, *, as_json: bool) -> None:
    genuine, verdicts = check(sender, outgoing)
    refused = [each for each in verdicts if each.refused]
    right = genuine.accepted and len(refused) == len(verdicts)
    if as_json:
        listed = [
            {"name": each.name, "status": each.status, "refused": each.refused}
            for each in verdicts
        ]
        say_json({"genuine": genuine.status, "forgeries": listed, "refuses_all": right})
    elif not genuine.accepted:
        fail(_name_refusal(genuine), REFUSED)
    else:
        _show_verdicts(verdicts)
        style = "bold green" if right else "bold red"
        say(f"{len(refused)} of {len(verdicts)} forgeries are refused.", style)
    if not right:
        raise typer.Exit(REFUSED)


def _name_refusal(genuine: Answer) -> str:
    """Say why nothing was checked, by the status of the genuine request."""
    status = genuine.status
    if status is None:
        return f"The genuine request failed: {genuine.error}"
    if status == _UNAUTHORIZED:
        words = f"The endpoint refuses a genuine request ({status}): is the secret the "
        words += "same?"
    elif status in _HANDLER_FAILS:
        words = f"Your handler fails with this body ({status}): change it with "
        words += "--shape, --set or --body."
    elif status in _NOT_THERE:
        words = f"The endpoint answers {status}: is it the right address?"
    else:
        words = f"The endpoint answers {status} to a genuine request."
    return f"{words} No forgery was judged."


def _show_verdicts(verdicts: list[Verdict]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("Forgery", "HTTP", ""):
        table.add_column(name, overflow="fold")
    for each in verdicts:
        mark = ("refused", "green") if each.refused else ("GOT THROUGH", "bold red")
        if not each.refused and (each.status or 500) >= 400:  # HTTP's own classes
            mark = ("no refusal", "yellow")
        table.add_row(each.name, str(each.status or "failed"), Text(*mark))
    out = console()
    if not out.is_terminal:
        out.width = min(out.width, 100)
    out.print(table)


def _repeat(
    sender: Sender,
    outgoing: Outgoing,
    count: int,
    concurrency: int,
    *,
    as_json: bool,
) -> None:
    """Send many, with a progress bar on a terminal, and print a summary."""
    if not sender.is_loopback and count > 100:  # as the help says
        fail("More than 100 requests go to loopback only.")
    from rich.progress import Progress

    started = time.perf_counter()
    err = console(stderr=True)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("Sending", total=count)
        answers = repeat(
            sender, outgoing, count, concurrency, lambda: bar.advance(task)
        )
    summary = _sum_up(answers, time.perf_counter() - started)
    if as_json:
        say_json(summary)
    else:
        _show_summary(summary)
    if any(not each.accepted for each in answers):
        raise typer.Exit(REFUSED)


def _sum_up(answers: list[Answer], seconds: float) -> dict[str, Any]:
    statuses: dict[str, int] = {}
    for each in answers:
        name = "failed" if each.status is None else str(each.status)
        statuses[name] = statuses.get(name, 0) + 1
    times = sorted(each.milliseconds for each in answers)
    last = len(times) - 1
    marks = {"min": 0.0, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        "requests": len(answers),
        "statuses": dict(sorted(statuses.items())),
        "seconds": round(seconds, 3),
        "per_second": round(len(answers) / max(seconds, 1e-9), 1),
        "latency_ms": {
            name: round(times[round(share * last)], 1) for name, share in marks.items()
        },
    }


def _show_summary(summary: dict[str, Any]) -> None:
    statuses = ", ".join(
        f"{count} x {name}" for name, count in summary["statuses"].items()
    )
    say(f"{summary['requests']} requests: {statuses}")
    say(f"{summary['seconds']} s, {summary['per_second']} a second")
    listed = ", ".join(f"{name} {ms}" for name, ms in summary["latency_ms"].items())
    say(f"Latency in ms: {listed}")
