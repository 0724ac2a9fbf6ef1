"""The arguments and options of the commands, as typer reads them.

Those that several commands share come first. Each command is then a list of names, and
says itself what its defaults are.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from port_webhook._arguments import ENV_SECRET

__all__ = [
    "Actions",
    "Agent",
    "AnswerBody",
    "AsAgent",
    "At",
    "BodyFile",
    "Candidates",
    "CheckAll",
    "Ciphertext",
    "Compact",
    "Concurrency",
    "Curl",
    "Delay",
    "EncryptedBody",
    "Entry",
    "Forward",
    "Har",
    "Headers",
    "HistoryFile",
    "Host",
    "Http",
    "Json",
    "Kafka",
    "Keep",
    "Lambda",
    "MaxAge",
    "Method",
    "PasswordFile",
    "PathPatterns",
    "Paths",
    "Port",
    "PrivateKey",
    "Quiet",
    "Repeat",
    "Replayed",
    "Respond",
    "SecretFile",
    "SentBody",
    "Sets",
    "Shape",
    "ShapeOption",
    "Signature",
    "SignedAt",
    "SignedFile",
    "Smee",
    "Stale",
    "Tampered",
    "Timeout",
    "Timestamp",
    "Url",
    "Verdict",
    "VerdictOption",
    "WithInspector",
]


def _option(
    name: str, metavar: str, help_text: str, panel: str | None = None
) -> object:
    """Return an option whose value is not shown as a default, since it has none."""
    return typer.Option(
        name,
        metavar=metavar,
        help=help_text,
        rich_help_panel=panel,
        show_default=False,
    )


def _flag(name: str, help_text: str, panel: str | None = None) -> object:
    return typer.Option(name, help=help_text, rich_help_panel=panel)


# Several commands

BodyFile = Annotated[
    str | None,
    typer.Argument(
        metavar="BODY",
        help="File with the exact bytes of the body; - is standard input.",
        show_default=False,
    ),
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        metavar="'NAME: VALUE'",
        help="A header; repeatable.",
        show_default=False,
    ),
]
Timestamp = Annotated[
    str | None, _option("--timestamp", "VALUE", "Value of x-port-timestamp.")
]
Signature = Annotated[
    str | None, _option("--signature", "VALUE", "Value of x-port-signature.")
]
_CAPTURES = "Captures"
Http = Annotated[str | None, _option("--http", "FILE", "Raw HTTP request.", _CAPTURES)]
Curl = Annotated[str | None, _option("--curl", "FILE", "A curl command.", _CAPTURES)]
Har = Annotated[
    str | None, _option("--har", "FILE", "HAR file of a browser or proxy.", _CAPTURES)
]
Lambda = Annotated[
    str | None, _option("--lambda", "FILE", "Event of AWS Lambda.", _CAPTURES)
]
Kafka = Annotated[
    str | None, _option("--kafka", "FILE", "Kafka message, or kcat -J.", _CAPTURES)
]
Entry = Annotated[
    int | None,
    _option("--entry", "N", "Which request or record of the file, from 1.", _CAPTURES),
]
At = Annotated[
    float | None,
    _option(
        "--at",
        "SECONDS",
        "When it arrived, since the epoch; else the capture's time, or now.",
    ),
]
Agent = Annotated[bool, _flag("--agent", "Accept what Port's agent forwards, too.")]
SecretFile = Annotated[
    list[str] | None,
    _option(
        "--secret-file",
        "FILE",
        f"File with the client secret; else {ENV_SECRET}, or a prompt.",
    ),
]
Json = Annotated[bool, _flag("--json", "Print JSON.")]


# sign

SignedFile = Annotated[
    str, typer.Argument(metavar="BODY", help="File with the body; - is standard input.")
]
SignedAt = Annotated[
    int | None, _option("--timestamp", "N", "Seconds since the epoch; else now.")
]


# explain

Candidates = Annotated[
    list[str] | None,
    _option(
        "--candidates",
        "FILE",
        "File with other secrets that may be in use, one a line.",
    ),
]


# decrypt

Ciphertext = Annotated[
    str | None,
    typer.Argument(
        metavar="VALUE",
        help="The encrypted value, base64; - is standard input.",
        show_default=False,
    ),
]
EncryptedBody = Annotated[
    str | None, _option("--body", "FILE", "A body with secret inputs, instead.")
]
Paths = Annotated[
    list[str] | None,
    _option(
        "--path",
        "PATH",
        "Where a value stands in the body, if nothing marks it; repeatable.",
    ),
]
PrivateKey = Annotated[
    str | None,
    _option(
        "--private-key",
        "FILE",
        "PEM of the key, for values that were encrypted before Port saw them.",
    ),
]
PasswordFile = Annotated[
    str | None, _option("--password-file", "FILE", "Password of the PEM.")
]


# send


class Shape(StrEnum):
    """The documented shapes of a delivery."""

    ACTION = "action"
    TRIGGER_DATA = "trigger-data"
    EVENT = "event"
    CHANGELOG = "changelog"
    NODE_RUN = "node-run"
    CUSTOM = "custom"


_FORGED, _LOAD = "Forged", "Load"

Url = Annotated[str, typer.Argument(help="Where to send it.", metavar="URL")]
ShapeOption = Annotated[
    Shape, typer.Option(metavar="SHAPE", help=f"What the body is: {', '.join(Shape)}.")
]
SentBody = Annotated[
    str | None,
    _option("--body", "FILE", "Your own body instead; - is standard input."),
]
Sets = Annotated[
    list[str] | None,
    _option(
        "--set",
        "PATH=VALUE",
        "Change a field, such as payload.properties.cpu=4; repeatable.",
    ),
]
AsAgent = Annotated[bool, _flag("--agent", "Sign and send as Port's agent does.")]
Method = Annotated[str, typer.Option(help="HTTP method.")]
Stale = Annotated[bool, _flag("--stale", "Signed too long ago.", _FORGED)]
Tampered = Annotated[bool, _flag("--tampered", "Changed after signing.", _FORGED)]
Replayed = Annotated[bool, _flag("--replay", "The same request twice.", _FORGED)]
CheckAll = Annotated[
    bool, _flag("--check", "Some fifty forgeries: is each refused?", _FORGED)
]
MaxAge = Annotated[
    int,
    typer.Option(
        min=0,
        help="The endpoint's, in seconds, for --stale and --check.",
        rich_help_panel=_FORGED,
    ),
]
Repeat = Annotated[
    int,
    typer.Option(
        "--repeat",
        min=1,
        max=100_000,
        help="How many, each signed anew; over 100 on loopback only.",
        rich_help_panel=_LOAD,
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(min=1, max=64, help="How many at a time.", rich_help_panel=_LOAD),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds to wait for a response.")
]


# listen


class Verdict(StrEnum):
    """Whether a delivery is authentic and in time."""

    verified = "verified"
    refused = "refused"


Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Forward = Annotated[
    str | None,
    _option(
        "--forward",
        "URL",
        "Pass verified deliveries on, byte for byte. A URL without a path keeps the "
        "path of each delivery.",
    ),
]
Respond = Annotated[
    int | None,
    typer.Option(
        min=200,
        max=599,
        metavar="STATUS",
        help="Response to verified deliveries; else that of the forward URL, or 202.",
        show_default=False,
    ),
]
AnswerBody = Annotated[str, _option("--body", "TEXT|@FILE", "Body of the response.")]
Delay = Annotated[
    float, typer.Option(min=0, max=3600, help="Seconds to wait before the response.")
]
Smee = Annotated[
    str | None, _option("--smee", "URL", "Receive from a smee.io channel, too.")
]
HistoryFile = Annotated[
    Path | None,
    _option(
        "--history",
        "FILE",
        "Keep deliveries across restarts. The file holds their payloads.",
    ),
]
Keep = Annotated[
    int, typer.Option(min=1, max=100_000, help="How many deliveries to keep.")
]
Compact = Annotated[bool, _flag("--compact", "Print a line for each delivery.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print refused deliveries only.")
]
PathPatterns = Annotated[
    list[str] | None,
    _option(
        "--path", "PATTERN", "Print only these paths, such as '/port/*'; repeatable."
    ),
]
VerdictOption = Annotated[
    Verdict | None, typer.Option(help="Print only these.", show_default=False)
]
Actions = Annotated[
    list[str] | None,
    _option("--action", "ID", "Print only these actions; repeatable."),
]
WithInspector = Annotated[
    bool, typer.Option("--inspector/--no-inspector", help="Serve the page.")
]
