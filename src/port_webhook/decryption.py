"""Decrypt secret inputs: values that Port, or your own page, encrypted for the backend.

Two forms exist (protocol, section 4). Port-managed: AES-256-GCM under the first 32
bytes of the organisation's client secret. Client-side: a fresh AES-256 key, wrapped
with RSA-OAEP for the holder of a private key. There is one error for every failure.
"""

from __future__ import annotations

import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, overload

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from port_webhook._json import parse
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, DecryptionError, PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from port_webhook.models import Model

    class SecretStr(Protocol):
        """A secret that is not printed, such as pydantic's."""

        def get_secret_value(self) -> str | bytes: ...

    class Delivery(Protocol):
        """The part of a delivery that is needed here."""

        def json(self) -> Any: ...
        def invocation(self) -> Any: ...

    class Verifier(Protocol):
        """The part of a verifier that is needed here."""

        def _decryption_keys(self) -> Sequence[bytes]: ...

    Secret = str | bytes | SecretStr
    PrivateKey = Secret | RSAPrivateKey
    Path = str | Sequence[str | int]
    # Decrypts the bytes of a value, or raises InvalidTag.
    Opener = Callable[[bytes], bytes]
    Steps = tuple[str, ...]

__all__ = ["decrypt_client_side", "decrypt_properties", "decrypt_secret"]

_KEY_BYTES = 32
_TAG_BYTES = 16
_SECRET_IV_BYTES = 16
_CLIENT_SIDE_IV_BYTES = 12
_OAEP = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 4096

# Where a message has its inputs, and where it names the encrypted ones.
_ENVELOPE = (("payload", "properties"), ("payload", "censoredProperties"))
_TRIGGER_DATA = (("inputs",), ("action", "encryptedProperties"))
# Where encrypted envelopes have been published with them (protocol, section 3).
_CARRIED = ("payload", "entity", "properties")

_NO_KEYS = "decryption needs a verifier, a client_secret or a private_key"
_BOTH = "give verifier or client_secret, not both"
_NO_VERIFIER = "verifier must be a Verifier"
_NO_MARKS = (
    "nothing in this body is marked as encrypted; if values are, name them in paths, "
    "such as ['payload.entity.properties.password']"
)


@overload
def decrypt_secret(
    value: str, client_secret: Secret, *, as_json: Literal[False] = False
) -> str: ...
@overload
def decrypt_secret(value: str, client_secret: Secret, *, as_json: bool) -> Any: ...
@boundary
def decrypt_secret(value: str, client_secret: Secret, *, as_json: bool = False) -> Any:
    """Decrypt a value that Port encrypted (``aes256-gcm``).

    Args:
        value: The base64 text that came as the input.
        client_secret: The organisation's client secret, ASCII, at least 32 bytes:
            text, bytes, or an object with ``get_secret_value()``.
        as_json: Parse the plaintext, which is JSON for an input of type object, as
            strict JSON. Nothing in the value says that it is JSON.

    Returns:
        The plaintext; with *as_json*, the JSON that it holds.

    Raises:
        DecryptionError: The value, the secret, or the JSON is wrong.
        ConfigurationError: *client_secret* has the wrong type.
    """
    openers = _secret_openers([_read_bytes("client_secret", client_secret)])
    return _decrypt(value, openers, as_json=as_json)


@overload
def decrypt_client_side(
    value: str,
    private_key: PrivateKey,
    *,
    password: Secret | None = None,
    as_json: Literal[False] = False,
) -> str: ...
@overload
def decrypt_client_side(
    value: str,
    private_key: PrivateKey,
    *,
    password: Secret | None = None,
    as_json: bool,
) -> Any: ...
@boundary
def decrypt_client_side(
    value: str,
    private_key: PrivateKey,
    *,
    password: Secret | None = None,
    as_json: bool = False,
) -> Any:
    """Decrypt a value that was encrypted for your key before Port saw it.

    Reading a PEM takes longer than decrypting with it: load the key once if you decrypt
    many values.

    Args:
        value: The base64 text that came as the input.
        private_key: The RSA key, 2048 to 4096 bits: PEM, as a secret is passed, or a
            key object of ``cryptography``.
        password: The password of the PEM, if it has one.
        as_json: As for `decrypt_secret`.

    Returns:
        The plaintext; with *as_json*, the JSON that it holds.

    Raises:
        DecryptionError: The value, the key, its password, or the JSON is wrong.
        ConfigurationError: *private_key* or *password* has the wrong type.
    """
    opener = _client_side_opener(private_key, password)
    return _decrypt(value, [opener], as_json=as_json)


@overload
def decrypt_properties(
    invocation: Model | Delivery | dict[str, Any],
    *,
    client_secret: Secret | Sequence[Secret] | None = None,
    private_key: PrivateKey | None = None,
    password: Secret | None = None,
    as_json: Iterable[str] = (),
    plaintext: Iterable[str] = (),
    verifier: Verifier | None = None,
) -> dict[str, Any]: ...
@overload
def decrypt_properties(
    invocation: Model | Delivery | dict[str, Any] | list[Any],
    *,
    paths: Iterable[Path],
    client_secret: Secret | Sequence[Secret] | None = None,
    private_key: PrivateKey | None = None,
    password: Secret | None = None,
    as_json: Iterable[Path] = (),
    plaintext: Iterable[Path] = (),
    verifier: Verifier | None = None,
) -> Any: ...
@boundary
def decrypt_properties(
    invocation: Model | Delivery | dict[str, Any] | list[Any],
    *,
    paths: Iterable[Path] | None = None,
    client_secret: Secret | Sequence[Secret] | None = None,
    private_key: PrivateKey | None = None,
    password: Secret | None = None,
    as_json: Iterable[Path] = (),
    plaintext: Iterable[Path] = (),
    verifier: Verifier | None = None,
) -> Any:
    """Decrypt the secret inputs of a whole invocation.

    Port names them in ``action.encryptedProperties`` of trigger data, and in
    ``payload.censoredProperties`` of an envelope, whose entity may carry them. In any
    other body, name them by path. Null stays null; every element of a list is
    decrypted.

    Args:
        invocation: A delivery, a model, or a body that was parsed.
        paths: Where values stand in the body: ``servers.0.password``, or
            ``servers.*.password`` for every index; a tuple where a key holds a dot.
        client_secret: For values that Port encrypted. Several are tried in order;
            one that is too short for a key is skipped.
        private_key: For values that were encrypted before Port saw them; tried last.
        password: The password of the private key's PEM, if it has one.
        as_json: Names, or paths, whose plaintext is JSON that is to be parsed.
        plaintext: Names, or paths, that are decrypted already, for example by the
            agent's ``fieldsToDecryptPaths``. Their values stay as they are.
        verifier: Use its secrets instead of *client_secret*.

    Returns:
        A copy of all inputs, or with *paths* of the whole body.

    Raises:
        DecryptionError: A value that is named cannot be decrypted, a path leads
            nowhere, or no secret can be a key.
        ConfigurationError: An argument has the wrong type; there is no secret and no
            key; or without *paths*, nothing in the body is marked as encrypted.
        PayloadError: The delivery is not strict JSON.
    """
    openers = _load_openers(client_secret, verifier, private_key, password)
    body = _copy(invocation)
    by_name = paths is None
    if paths is None:
        body, wanted = _find_marked(invocation, body)
    else:
        wanted = _read_paths("paths", paths)
    parsed = _find_places(body, _read_paths("as_json", as_json, by_name=by_name))
    done = _find_places(body, _read_paths("plaintext", plaintext, by_name=by_name))
    for place, (holder, key) in _find_places(body, wanted, strict=True).items():
        if place not in done and holder[key] is not None:
            holder[key] = _decrypt(holder[key], openers, as_json=place in parsed)
    return body


def _decrypt(value: object, openers: list[Opener], *, as_json: bool) -> Any:
    """Decrypt one value with the first of *openers* that fits."""
    raw = _read_base64(value)
    for opener in openers:
        try:
            plaintext = opener(raw)
        except InvalidTag:
            continue
        try:
            return parse(plaintext) if as_json else plaintext.decode("utf-8")
        except (PayloadError, UnicodeDecodeError):
            break
    raise DecryptionError


def _read_base64(value: object) -> bytes:
    """Decode canonical base64: there is one spelling for each sequence of bytes."""
    try:
        text = str.encode(cast("str", value), "ascii")
        raw = a2b_base64(text, strict_mode=True)
    except (TypeError, ValueError):
        raise DecryptionError
    # Strict mode lets the unused bits of the last character be anything.
    if b2a_base64(raw, newline=False) != text:
        raise DecryptionError
    return raw


def _read_bytes(name: str, value: Any, kinds: str = "text or bytes") -> bytes:
    """Return a secret, a PEM or a password as bytes."""
    try:
        plain = isinstance(value, str | bytes)
        found: Any = value if plain else value.get_secret_value()
        if isinstance(found, str):
            # A lone surrogate fits no key, as any other character beyond ASCII.
            return str.encode(found, "utf-8", "surrogatepass")
        return bytes.__getitem__(found, slice(None))
    except Exception:  # a foreign object may raise anything
        msg = f"{name} must be {kinds}, not {type(value).__name__}"
        raise ConfigurationError(msg)


def _load_openers(
    client_secret: Any, verifier: Any, private_key: object, password: object
) -> list[Opener]:
    """Return an opener for each secret that can be a key, and for the private key."""
    secrets: list[bytes] = []
    if verifier is not None:
        if client_secret is not None:
            raise ConfigurationError(_BOTH)
        try:
            secrets = [*verifier._decryption_keys()]  # noqa: SLF001  # the protocol
        except Exception:  # a foreign object may raise anything
            raise ConfigurationError(_NO_VERIFIER)
    elif client_secret is not None:
        kind = cast("type[object]", type(client_secret))
        several = issubclass(kind, Sequence) and not issubclass(kind, str | bytes)
        listed: Sequence[object] = client_secret if several else [client_secret]
        secrets = [_read_bytes("client_secret", secret) for secret in listed]
    if not secrets and private_key is None:
        raise ConfigurationError(_NO_KEYS)
    openers = _secret_openers(secrets)
    if private_key is not None:
        openers.append(_client_side_opener(private_key, password))
    if not openers:
        raise DecryptionError
    return openers


def _secret_openers(secrets: list[bytes]) -> list[Opener]:
    return [
        partial(_open_secret, secret[:_KEY_BYTES])
        for secret in secrets
        if secret.isascii() and len(secret) >= _KEY_BYTES
    ]


def _open_secret(key: bytes, raw: bytes) -> bytes:
    if len(raw) < _SECRET_IV_BYTES + _TAG_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(raw[:_SECRET_IV_BYTES], raw[_SECRET_IV_BYTES:], None)


def _client_side_opener(private_key: object, password: object) -> Opener:
    """Load a private key and check it."""
    phrase = None if password is None else _read_bytes("password", password)
    key: object = private_key
    if not isinstance(key, RSAPrivateKey):
        kinds = "PEM text or bytes, or an RSA key object"
        pem = _read_bytes("private_key", private_key, kinds)
        try:
            key = load_pem_private_key(pem, phrase)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            # TypeError: a password is missing, or given for a key that has none.
            raise DecryptionError
    if isinstance(key, RSAPrivateKey) and (
        _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS
    ):
        return partial(_open_client_side, key)
    raise DecryptionError


def _open_client_side(key: RSAPrivateKey, raw: bytes) -> bytes:
    wrapped_end = _CLIENT_SIDE_IV_BYTES + (key.key_size + 7) // 8
    if len(raw) < wrapped_end + _TAG_BYTES:
        raise InvalidTag
    try:
        aes_key = key.decrypt(raw[_CLIENT_SIDE_IV_BYTES:wrapped_end], _OAEP)
    except Exception:  # a key object may be somebody's own
        aes_key = b""
    if len(aes_key) != _KEY_BYTES:
        # A random key fails below, where a changed ciphertext does: why the padding was
        # wrong must not show (RFC 8017, section 7.1.2). docs/timing.md measures it.
        aes_key = os.urandom(_KEY_BYTES)
    return AESGCM(aes_key).decrypt(raw[:_CLIENT_SIDE_IV_BYTES], raw[wrapped_end:], None)


def _copy(invocation: Any) -> Any:
    """Copy the body of *invocation*."""
    try:
        if isinstance(invocation, dict | list):
            return deepcopy(cast("Any", invocation))
        # Nothing else that has a body has this method too.
        if hasattr(invocation, "invocation"):
            return invocation.json()
        return invocation.to_dict()
    except PayloadError:
        raise
    except Exception:  # a foreign object may raise anything
        msg = "invocation must be a delivery, a model of port_webhook, or parsed JSON"
        raise ConfigurationError(msg)


def _read_paths(name: str, paths: object, *, by_name: bool = False) -> list[Steps]:
    """Split each path into its steps; a name is one step, whatever it holds."""
    example = "['password']" if by_name else "['payload.password']"
    problem = ConfigurationError(f"{name} must be an iterable, such as {example}")
    if isinstance(paths, str | bytes) or not isinstance(paths, Iterable):
        raise problem
    found: list[Steps] = []
    for path in cast("Iterable[object]", paths):
        steps: list[object] = []
        if isinstance(path, str):
            steps = [path] if by_name else [*path.split(".")]
        elif isinstance(path, Sequence) and not isinstance(path, bytes):
            steps = [*cast("Sequence[object]", path)]
        # An index beyond any body is no index; str() refuses a very long one.
        if not steps or not all(
            isinstance(step, str) or (type(step) is int and 0 <= step < 10**9)
            for step in steps
        ):
            raise problem
        found.append(tuple(f"{step}" for step in steps))
    return found


def _find_marked(invocation: object, body: Any) -> tuple[dict[str, Any], list[Steps]]:
    """Return the inputs of *body*, and where in them the encrypted ones stand."""
    shape = _find_shape(invocation, body)
    names: Any = _get(body, shape[1]) if shape is not None else None
    if shape is None or names is None or names == []:
        raise ConfigurationError(_NO_MARKS)
    inputs: Any = _get(body, shape[0])
    inputs = {} if inputs is None else inputs
    carried: Any = _get(body, _CARRIED) if shape is _ENVELOPE else None
    if not isinstance(inputs, dict) or not isinstance(names, list):
        raise DecryptionError
    wanted: list[Steps] = []
    for name in cast("list[object]", names):
        if not isinstance(name, str):
            raise DecryptionError
        if name not in inputs and isinstance(carried, dict) and name in carried:
            inputs[name] = carried[name]
        if name in inputs:
            wanted.append((name,))
    return cast("dict[str, Any]", inputs), wanted


def _find_shape(invocation: object, body: Any) -> tuple[Steps, Steps] | None:
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
    partial_data = isinstance(body, dict) and "inputs" in body and "trigger" in body
    return _TRIGGER_DATA if partial_data else None


def _get(body: Any, place: Steps) -> Any:
    """Return the value at *place*; None if there is none."""
    for key in place:
        body = cast("dict[str, Any]", body).get(key) if isinstance(body, dict) else None
    return body


def _find_places(
    body: Any, paths: list[Steps], *, strict: bool = False
) -> dict[object, tuple[Any, str | int]]:
    """Return the holder and the key of each value that *paths* lead to.

    They are keyed by the identity of the place, so that two paths to it count once.
    """
    return {
        (id(holder), key): (holder, key)
        for path in dict.fromkeys(paths)  # a body may name one a million times
        for holder, key in _follow(body, path, strict=strict)
    }


def _follow(
    holder: Any, path: Sequence[str], *, strict: bool
) -> Iterator[tuple[Any, str | int]]:
    step, *rest = path
    for key in _find_keys(holder, step, strict=strict):
        value = holder[key]
        if rest:
            yield from _follow(value, rest, strict=strict)
        elif isinstance(value, list):
            for index in range(len(cast("list[object]", value))):
                yield value, index
        else:
            yield holder, key


def _find_keys(holder: Any, step: str, *, strict: bool) -> Sequence[str | int]:
    """Return the keys, or the indices, that *step* means in *holder*."""
    if isinstance(holder, dict) and step in holder:
        return (step,)
    if isinstance(holder, list):
        size = len(cast("list[object]", holder))
        if step == "*":
            return range(size)
        digits = step.isascii() and step.isdecimal() and len(step) <= len(f"{size}")
        if digits and int(step) < size:
            return (int(step),)
    if strict and holder is not None:
        raise DecryptionError
    return ()
