"""``port-webhook explain``: why a delivery does not verify, and what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.padding import Padding
from rich.text import Text

from port_webhook.devtools._explain import diagnose
from port_webhook.devtools._options import Sources, find_candidates, find_instant
from port_webhook.devtools._parameters import (
    At,
    BodyFile,
    Candidates,
    Curl,
    Entry,
    Har,
    Headers,
    Http,
    Json,
    Kafka,
    Lambda,
    SecretFile,
    Signature,
    Timestamp,
)
from port_webhook.devtools._terminal import (
    REFUSED,
    console,
    say,
    say_json,
    wraps,
)

if TYPE_CHECKING:
    from port_webhook.devtools._causes import Explanation

__all__ = ["explain"]


def explain(
    body: BodyFile = None,
    *,
    header: Headers = None,
    timestamp: Timestamp = None,
    signature: Signature = None,
    at: At = None,
    http: Http = None,
    curl: Curl = None,
    har: Har = None,
    lambda_: Lambda = None,
    kafka: Kafka = None,
    entry: Entry = None,
    secret_file: SecretFile = None,
    candidates: Candidates = None,
    as_json: Json = False,
) -> None:
    """Explain why a delivery does not verify, and what to do.

    Every cause that is called proven has a recomputed signature or a parsed header
    behind it.
    """
    sources = Sources(
        body, header, timestamp, signature, http, curl, har, lambda_, kafka, entry
    )
    capture = sources.read()
    explanation = diagnose(
        capture.body,
        capture.headers,
        find_candidates(secret_file, candidates),
        now=find_instant(at, capture),
        kafka=capture.kafka,
    )
    if as_json:
        say_json(asdict(explanation))
    else:
        show(explanation)
    if not explanation.verified:
        raise typer.Exit(REFUSED)


def show(explanation: Explanation) -> None:
    """Print the text of *explanation* in colour, as wide as the terminal."""
    out = console()
    if not wraps(out):
        typer.echo(str(explanation))
        return
    say(explanation.summary, "bold green" if explanation.verified else "bold red")
    for number, each in enumerate(explanation.causes, 1):
        proven = ("proven", "green") if each.proven else ("not proven", "yellow")
        say()
        say(Text.assemble(f"{number}. ", (each.code, "bold"), " (", proven, ")"))
        remedy = Text.assemble(("To do: ", "bold"), each.remedy)
        for text in (Text(each.text), remedy):
            out.print(Padding(text, (0, 0, 0, 3), expand=False))
