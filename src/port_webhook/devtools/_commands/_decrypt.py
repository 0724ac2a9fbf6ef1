"""``port-webhook decrypt``: secret inputs in the clear."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import typer

from port_webhook._json import parse
from port_webhook.decryption import (
    decrypt_client_side,
    decrypt_properties,
    decrypt_secret,
)
from port_webhook.devtools._captures import CaptureError
from port_webhook.devtools._options import find_secrets, read_file
from port_webhook.devtools._parameters import (
    Ciphertext,
    EncryptedBody,
    Json,
    PasswordFile,
    Paths,
    PrivateKey,
    SecretFile,
)
from port_webhook.devtools._terminal import REFUSED, fail, say_json
from port_webhook.exceptions import (
    ConfigurationError,
    DecryptionError,
    PayloadError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["decrypt"]

_MAX_KEY = 65_536


def decrypt(
    value: Ciphertext = None,
    *,
    body: EncryptedBody = None,
    path: Paths = None,
    private_key: PrivateKey = None,
    password_file: PasswordFile = None,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Decrypt a secret input, or all of a body."""
    if (value is None) == (body is None):
        raise CaptureError("Give a VALUE, or --body FILE")
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


def _require_text(document: Any, path: str) -> None:
    """End with a message if *path* leads to nothing that may be encrypted."""
    try:
        values = [*_find_values(document, path.split("."))]
    except KeyError:
        fail(f"{path} is not in the body.", REFUSED)
    if not all(isinstance(each, str | None) for each in values):
        fail(f"{path} is not text, so it is not encrypted.", REFUSED)


def _find_values(value: Any, steps: list[str]) -> Iterator[Any]:
    """Yield the values that `decrypt_properties` finds at a path.

    Raises:
        KeyError: The path leads nowhere.
    """
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        if steps and steps[0] != "*":
            known = {str(at): each for at, each in enumerate(items)}
            items = [known[steps[0]]]
        for each in items:
            yield from _find_values(each, steps[1:]) if steps else (each,)
    elif steps and value is not None:
        if not isinstance(value, dict):
            raise KeyError
        members = cast("dict[str, Any]", value)
        yield from _find_values(members[steps[0]], steps[1:])
    else:
        yield value


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
    try:
        for path in paths or ():
            _require_text(document, path)
        return decrypt_properties(document, **options)
    except ConfigurationError as error:
        if paths or "in paths" not in str(error):
            raise
        # The message is for code.
        raise CaptureError(
            "Nothing in this body is marked as encrypted. If values are, name each, "
            "such as --path payload.entity.properties.password"
        )
