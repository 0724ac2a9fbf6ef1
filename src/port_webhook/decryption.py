"""Secret inputs: values that Port, or your own page, encrypted for the backend.

Two forms exist (protocol, section 4). Port-managed: AES-256-GCM under the first 32
bytes of the organisation's client secret. Client-side: a fresh AES-256 key, wrapped
with RSA-OAEP for the holder of a private key.

Whatever fails, there is one `DecryptionError` with one message, so that nobody learns
from it which part of a forged value was wrong. As in ``signature``, functions return
their error, and only a public one that has dropped its names raises. No exception of
a cryptographic library or of a JSON parser gets out, since the latter's would carry
the plaintext.
"""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from port_webhook._json import parse
from port_webhook.exceptions import (
    ConfigurationError,
    DecryptionError,
    PayloadError,
    PortWebhookError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.models import Model

    Path = str | Sequence[str | int]
    # Returns the plaintext of the bytes of a value, or None.
    Opener = Callable[[bytes], bytes | None]

_KEY_BYTES = 32
_TAG_BYTES = 16
_SECRET_IV_BYTES = 16
_CLIENT_SIDE_IV_BYTES = 12
_OAEP = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 4096
_MAX_INDEX_DIGITS = 9
_MAX_INDEX = 10**_MAX_INDEX_DIGITS

# Where a message has its properties, and where it names the encrypted ones.
_ENVELOPE = (("payload", "properties"), ("payload", "censoredProperties"))
_TRIGGER_DATA = (("inputs",), ("action", "encryptedProperties"))


class _Result(NamedTuple):
    """What was decrypted; a class of its own, since JSON may be anything."""

    value: Any


@overload
def decrypt_secret(
    value: str, client_secret: str | bytes, *, as_json: Literal[False] = False
) -> str: ...
@overload
def decrypt_secret(value: str, client_secret: str | bytes, *, as_json: bool) -> Any: ...
def decrypt_secret(
    value: str, client_secret: str | bytes, *, as_json: bool = False
) -> Any:
    """Decrypt a value that Port encrypted (``aes256-gcm``).

    Args:
        value: The base64 text that came as the input.
        client_secret: The organisation's client secret, ASCII, at least 32 bytes.
        as_json: Parse the plaintext, which is JSON for an input of type object, as
            strict JSON. Nothing in the value says that it is JSON.

    Returns:
        The plaintext, or what it holds with *as_json*.

    Raises:
        DecryptionError: The value, the secret, or the JSON is not right.
        ConfigurationError: *client_secret* is neither text nor bytes.
    """
    result = _decrypt(value, _secret_opener(client_secret), as_json=as_json)
    del value, client_secret
    if isinstance(result, PortWebhookError):
        raise result
    return result.value


@overload
def decrypt_client_side(
    value: str,
    private_key: str | bytes | RSAPrivateKey,
    *,
    password: str | bytes | None = None,
    as_json: Literal[False] = False,
) -> str: ...
@overload
def decrypt_client_side(
    value: str,
    private_key: str | bytes | RSAPrivateKey,
    *,
    password: str | bytes | None = None,
    as_json: bool,
) -> Any: ...
def decrypt_client_side(
    value: str,
    private_key: str | bytes | RSAPrivateKey,
    *,
    password: str | bytes | None = None,
    as_json: bool = False,
) -> Any:
    """Decrypt a value that was encrypted for your key before Port saw it.

    Reading a PEM takes longer than decrypting with it; load the key once where many
    values come.

    Args:
        value: The base64 text that came as the input.
        private_key: The RSA key, 2048 to 4096 bits: PEM text or bytes, or a key
            object of ``cryptography``.
        password: What the PEM is encrypted with, if it is.
        as_json: Parse the plaintext, which is JSON for an input of type object, as
            strict JSON.

    Returns:
        The plaintext, or what it holds with *as_json*.

    Raises:
        DecryptionError: The value, the key, its password, or the JSON is not right.
        ConfigurationError: *private_key* or *password* has the wrong type.
    """
    opener = _client_side_opener(private_key, password)
    result = _decrypt(value, opener, as_json=as_json)
    del value, private_key, password, opener
    if isinstance(result, PortWebhookError):
        raise result
    return result.value


@overload
def decrypt_properties(
    invocation: Model | dict[str, Any],
    *,
    client_secret: str | bytes | None = None,
    private_key: str | bytes | RSAPrivateKey | None = None,
    password: str | bytes | None = None,
    as_json: Iterable[str] = (),
) -> dict[str, Any]: ...
@overload
def decrypt_properties(
    invocation: Model | dict[str, Any] | list[Any],
    *,
    paths: Iterable[Path],
    client_secret: str | bytes | None = None,
    private_key: str | bytes | RSAPrivateKey | None = None,
    password: str | bytes | None = None,
    as_json: Iterable[Path] = (),
) -> Any: ...
def decrypt_properties(
    invocation: Model | dict[str, Any] | list[Any],
    *,
    paths: Iterable[Path] | None = None,
    client_secret: str | bytes | None = None,
    private_key: str | bytes | RSAPrivateKey | None = None,
    password: str | bytes | None = None,
    as_json: Iterable[Path] = (),
) -> Any:
    """Decrypt the secret inputs of a whole invocation.

    Port names them in ``action.encryptedProperties`` of trigger data and in
    ``payload.censoredProperties`` of an envelope; which of these it is, a model says
    by its type, and a body by its structure. In a custom body nothing marks them, so
    that you name them by path. A null, on the way to a value or in its place, is an
    input that nobody filled in, and stays.

    Args:
        invocation: A model, or a body that was parsed.
        paths: Where values stand, counted from the top of the body, such as
            ``payload.servers.0.password``; a sequence of keys and indices where a
            key holds a dot.
        client_secret: For values that Port encrypted.
        private_key: For values that were encrypted before Port saw them. With both,
            each value is tried with the client secret first.
        password: What the PEM of the private key is encrypted with, if it is.
        as_json: Those names, or paths, whose plaintext is JSON and is to be parsed.

    Returns:
        A copy: of all properties, those named by Port decrypted; or with *paths* of
        the whole body, those at the paths decrypted.

    Raises:
        DecryptionError: A value that is named cannot be decrypted, or a path leads
            nowhere.
        ConfigurationError: An argument has the wrong type; neither a secret nor a
            key is given; or the body is a custom one and *paths* is not given.
    """
    openers: list[Opener | PortWebhookError] = []
    if client_secret is not None:
        openers.append(_secret_opener(client_secret))
    if private_key is not None:
        openers.append(_client_side_opener(private_key, password))
    del client_secret, private_key, password
    result = _decrypt_document(invocation, paths, openers, as_json)
    del invocation, openers
    if isinstance(result, PortWebhookError):
        raise result
    return result.value


def _decrypt(
    value: object, opener: Opener | PortWebhookError, *, as_json: bool
) -> _Result | PortWebhookError:
    """Decrypt one value, unless *opener* is an error already."""
    if isinstance(opener, PortWebhookError):
        return opener
    return _try(value, [opener], as_json=as_json)


def _try(
    value: object, openers: list[Opener], *, as_json: bool
) -> _Result | DecryptionError:
    """Decrypt one value with the first of *openers* that fits."""
    raw = _read_base64(value)
    if raw is None:
        return DecryptionError()
    for opener in openers:
        plaintext = opener(raw)
        if plaintext is not None:
            return _read_plaintext(plaintext, as_json=as_json)
    return DecryptionError()


def _read_base64(value: object) -> bytes | None:
    """Decode canonical base64: there is one spelling for each sequence of bytes."""
    if not isinstance(value, str):
        return None
    try:
        text = str.encode(value, "ascii")
        raw = a2b_base64(text, strict_mode=True)
    except (UnicodeEncodeError, Base64Error):
        return None
    # Strict mode lets the unused bits of the last character be anything.
    return raw if b2a_base64(raw, newline=False) == text else None


def _read_plaintext(plaintext: bytes, *, as_json: bool) -> _Result | DecryptionError:
    if as_json:
        document = parse(plaintext)
        failed = isinstance(document, PayloadError)
        return DecryptionError() if failed else _Result(document)
    try:
        return _Result(plaintext.decode("utf-8"))
    except UnicodeDecodeError:
        return DecryptionError()


def _open_gcm(key: bytes, iv: bytes, sealed: bytes) -> bytes | None:
    """Decrypt a ciphertext and its tag; there is no associated data."""
    try:
        return AESGCM(key).decrypt(iv, sealed, None)
    except InvalidTag:
        return None


def _secret_opener(secret: object) -> Opener | PortWebhookError:
    """Check a client secret and return what opens values with it."""
    if not isinstance(secret, str | bytes):
        return ConfigurationError(
            f"client_secret must be text or bytes, not {type(secret).__name__}"
        )
    text = secret.decode("latin-1") if isinstance(secret, bytes) else secret
    if not text.isascii() or len(text) < _KEY_BYTES:
        return DecryptionError()
    key = text[:_KEY_BYTES].encode("ascii")

    def opener(raw: bytes) -> bytes | None:
        if len(raw) < _SECRET_IV_BYTES + _TAG_BYTES:
            return None
        return _open_gcm(key, raw[:_SECRET_IV_BYTES], raw[_SECRET_IV_BYTES:])

    return opener


def _client_side_opener(
    private_key: object, password: object
) -> Opener | PortWebhookError:
    """Check a private key and return what opens values with it."""
    key = _load_private_key(private_key, password)
    if isinstance(key, PortWebhookError):
        return key
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        return DecryptionError()
    wrapped_end = _CLIENT_SIDE_IV_BYTES + (key.key_size + 7) // 8

    def opener(raw: bytes) -> bytes | None:
        if len(raw) < wrapped_end + _TAG_BYTES:
            return None
        try:
            aes_key = key.decrypt(raw[_CLIENT_SIDE_IV_BYTES:wrapped_end], _OAEP)
        except Exception:  # noqa: BLE001  # a key object may be somebody's own
            aes_key = b""
        if len(aes_key) != _KEY_BYTES:
            # A random key fails below, as late as a changed ciphertext does: the
            # time taken must not tell whether the wrapping was right (RFC 8017,
            # section 7.1.2).
            aes_key = os.urandom(_KEY_BYTES)
        return _open_gcm(aes_key, raw[:_CLIENT_SIDE_IV_BYTES], raw[wrapped_end:])

    return opener


def _load_private_key(
    private_key: object, password: object
) -> RSAPrivateKey | PortWebhookError:
    if password is not None and not isinstance(password, str | bytes):
        return ConfigurationError("password must be text or bytes")
    if isinstance(private_key, RSAPrivateKey):
        return private_key
    if not isinstance(private_key, str | bytes):
        return ConfigurationError(
            "private_key must be PEM text or bytes, or an RSA key object, "
            f"not {type(private_key).__name__}"
        )
    try:
        pem = private_key.encode() if isinstance(private_key, str) else private_key
        phrase = password.encode() if isinstance(password, str) else password
        key = load_pem_private_key(pem, phrase)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        # TypeError: a password is missing, or given for a key that has none.
        return DecryptionError()
    return key if isinstance(key, RSAPrivateKey) else DecryptionError()


def _decrypt_document(
    invocation: object,
    paths: object,
    openers: list[Opener | PortWebhookError],
    as_json: object,
) -> _Result | PortWebhookError:
    """Decrypt the named values, or those at *paths*, in a copy of *invocation*."""
    ready = _check_openers(openers)
    if isinstance(ready, PortWebhookError):
        return ready
    body = _copy(invocation)
    if isinstance(body, ConfigurationError):
        return body
    parsed = _read_paths("as_json", as_json, whole=paths is None)
    if isinstance(parsed, ConfigurationError):
        return parsed
    places: dict[tuple[str, ...], None] | PortWebhookError
    if paths is None:
        named = _find_named(invocation, body.value)
        if isinstance(named, PortWebhookError):
            return named
        body, places = named
    else:
        places = _read_paths("paths", paths)
    if isinstance(places, PortWebhookError):
        return places
    for place in places:
        error = _decrypt_at(body.value, place, ready, as_json=place in parsed)
        if error is not None:
            return error
    return body


def _check_openers(
    openers: list[Opener | PortWebhookError],
) -> list[Opener] | PortWebhookError:
    """Return the openers if there are any and none of them is an error."""
    ready: list[Opener] = []
    for opener in openers:
        if isinstance(opener, PortWebhookError):
            return opener
        ready.append(opener)
    if not ready:
        return ConfigurationError("decryption needs a client_secret or a private_key")
    return ready


def _copy(
    invocation: Any,
) -> _Result | ConfigurationError:
    """Copy the body of *invocation*."""
    try:
        if isinstance(invocation, dict | list):
            return _Result(deepcopy(cast("Any", invocation)))
        return _Result(invocation.to_dict())
    except Exception:  # noqa: BLE001  # whatever a foreign object raises
        return ConfigurationError(
            "invocation must be a model of port_webhook, or JSON that was parsed"
        )


def _read_paths(
    name: str, paths: object, *, whole: bool = False
) -> dict[tuple[str, ...], None] | ConfigurationError:
    """Take each path apart, unless it is the *whole* of a name.

    Returns:
        The steps of each path, in order and without repetition.
    """
    problem = ConfigurationError(
        f"{name} must be an iterable of paths, such as ['payload.password']"
    )
    if isinstance(paths, str | bytes) or not isinstance(paths, Iterable):
        return problem
    found: dict[tuple[str, ...], None] = {}
    for path in cast("Iterable[object]", paths):
        steps: list[object] = []
        if isinstance(path, str):
            steps = [path] if whole else [*path.split(".")]
        elif isinstance(path, Sequence) and not isinstance(path, bytes):
            steps = [*cast("Sequence[object]", path)]
        # An index beyond any body is no index; str() refuses a very long one.
        if not steps or not all(
            isinstance(step, str) or (type(step) is int and 0 <= step < _MAX_INDEX)
            for step in steps
        ):
            return problem
        found[tuple(f"{step}" for step in steps)] = None
    return found


def _find_named(
    invocation: object,
    body: Any,
) -> tuple[_Result, dict[tuple[str, ...], None]] | PortWebhookError:
    """Find the properties of a known shape, and the names of the encrypted ones."""
    places = _find_places(invocation, body)
    if places is None:
        return ConfigurationError(
            "nothing in this body says which values are encrypted; name them in paths"
        )
    properties: Any = _get(body, places[0])
    names: Any = _get(body, places[1])
    properties = {} if properties is None else properties
    names = [] if names is None else names
    if not isinstance(properties, dict) or not isinstance(names, list):
        return DecryptionError()
    found: dict[tuple[str, ...], None] = {}
    for name in cast("list[object]", names):
        if not isinstance(name, str):
            return DecryptionError()
        if name in properties:
            found[(name,)] = None
    return _Result(cast("Any", properties)), found


def _find_places(
    invocation: object,
    body: Any,
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Tell by the type of *invocation*, or by its structure, where to look."""
    from port_webhook.models import ActionInvocation, TriggerData, WorkflowNodeRun
    from port_webhook.models._shapes import recognise

    kind: type[object] = type(invocation)
    if not issubclass(kind, ActionInvocation | TriggerData | WorkflowNodeRun):
        kind = recognise(body)
    if issubclass(kind, TriggerData):
        return _TRIGGER_DATA
    payload = _get(body, ("payload",))
    if isinstance(payload, dict) and (
        issubclass(kind, ActionInvocation | WorkflowNodeRun)
        # The rest is less than Port sends, such as a body that an agent's mapping made.
        or "censoredProperties" in payload
    ):
        return _ENVELOPE
    partial = isinstance(body, dict) and "inputs" in body and "trigger" in body
    return _TRIGGER_DATA if partial else None


def _get(body: Any, place: tuple[str, ...]) -> Any:
    """Return what stands at *place*; None if nothing does."""
    for key in place:
        body = cast("dict[str, Any]", body).get(key) if isinstance(body, dict) else None
    return body


def _decrypt_at(
    body: Any,
    place: tuple[str, ...],
    openers: list[Opener],
    *,
    as_json: bool,
) -> DecryptionError | None:
    """Decrypt the value at *place* where it stands."""
    holder: Any = None
    key: str | int | None = None
    value = body
    for step in place:
        if value is None:
            return None
        holder, key = value, _find_key(value, step)
        if key is None:
            return DecryptionError()
        value = holder[key]
    if value is None:
        return None
    result = _try(value, openers, as_json=as_json)
    if isinstance(result, DecryptionError):
        return result
    holder[key] = result.value
    return None


def _find_key(holder: object, step: str) -> str | int | None:
    """Return the key or the index that *step* means in *holder*, if it has it."""
    if isinstance(holder, dict):
        return step if step in holder else None
    if isinstance(holder, list) and step.isascii() and step.isdecimal():
        index = int(step) if len(step) <= _MAX_INDEX_DIGITS else _MAX_INDEX
        return index if index < len(cast("list[object]", holder)) else None
    return None
