"""``port-webhook sign``: the two headers of a body."""

from __future__ import annotations

import typer

from port_webhook._verifier import sign as sign_body
from port_webhook.devtools._options import find_secrets, read_file
from port_webhook.devtools._parameters import Json, SecretFile, SignedAt, SignedFile
from port_webhook.devtools._terminal import say_json

__all__ = ["sign"]


def sign(
    body: SignedFile,
    *,
    timestamp: SignedAt = None,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Sign a body as Port does, and print the two headers."""
    raw = read_file(body)
    headers = sign_body(raw, find_secrets(secret_file).current, timestamp=timestamp)
    if as_json:
        say_json(headers)
        return
    for name, value in headers.items():
        typer.echo(f"{name}: {value}")
