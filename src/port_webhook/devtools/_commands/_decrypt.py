"""``port-webhook decrypt``: secret inputs in the clear."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any

import typer

from port_webhook._json import parse
from port_webhook.decryption import (
    decrypt_client_side,
    decrypt_properties,
    decrypt_secret,
)
from port_webhook.devtools._captures import CaptureError
from port_webhook.devtools._options import Json, SecretFile, find_secrets, read_file
from port_webhook.devtools._terminal import REFUSED, fail, say_json
from port_webhook.exceptions import DecryptionError, PayloadError

__all__ = ["decrypt"]

_MAX_KEY = 65_536


def decrypt(
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="VALUE",
            help="The encrypted value, base64; - is standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    body: Annotated[
        str | None,
        typer.Option(
            "--body", metavar="FILE", help="A body with secret inputs, instead."
        ),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="Where a value stands in the body, if nothing marks it; repeatable.",
            show_default=False,
        ),
    ] = None,
    private_key: Annotated[
        str | None,
        typer.Option(
            "--private-key",
            metavar="FILE",
            help="PEM of the key, for values that were encrypted before Port saw them.",
        ),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option("--password-file", metavar="FILE", help="Password of the PEM."),
    ] = None,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Decrypt a secret input, or all of a body."""
    if (value is None) == (body is None):
        raise CaptureError("give a VALUE, or --body FILE")
    key = None if private_key is None else read_file(private_key, _MAX_KEY)
    password = None
    if password_file is not None:
        password = read_file(password_file, _MAX_KEY).rstrip(b"\r\n")
    secrets = find_secrets(secret_file).all if key is None else []
    try:
        if body is not None:
            document = parse(read_file(body))
            found = _decrypt_body(document, path, secrets, key, password)
            typer.echo(json.dumps(found, indent=None if as_json else 2))
            return
        text = read_file("-").decode("ascii", "replace") if value == "-" else value
        plain = _decrypt_value((text or "").strip(), secrets, key, password)
    except PayloadError as error:
        raise CaptureError(str(error))
    except DecryptionError as error:
        fail(str(error), REFUSED)
    if as_json:
        say_json({"value": plain})
    else:
        typer.echo(plain)


def _decrypt_value(
    value: str, secrets: list[str | bytes], key: bytes | None, password: bytes | None
) -> str:
    if key is not None:
        return decrypt_client_side(value, key, password=password)
    for secret in secrets[:-1]:
        with suppress(DecryptionError):
            return decrypt_secret(value, secret)
    return decrypt_secret(value, secrets[-1])


def _decrypt_body(
    document: Any,
    paths: list[str] | None,
    secrets: list[str | bytes],
    key: bytes | None,
    password: bytes | None,
) -> Any:
    # Without paths it finds by itself what is marked.
    options: dict[str, Any] = {"paths": paths} if paths else {}
    options |= {"private_key": key, "password": password}
    if secrets:
        options["client_secret"] = secrets
    return decrypt_properties(document, **options)
