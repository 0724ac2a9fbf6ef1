"""Encrypt secret inputs as Port does, and as users' browsers do."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Plaintext = str | Mapping[str, Any] | Sequence[Any]

__all__ = ["encrypt_client_side", "encrypt_secret"]

_KEY_BYTES = 32
_SECRET_IV_BYTES = 16
_CLIENT_SIDE_IV_BYTES = 12


@boundary
def encrypt_secret(plaintext: Plaintext, client_secret: str | bytes) -> str:
    """Encrypt an input as Port does: the counterpart of `decrypt_secret`.

    Args:
        plaintext: Text, or an object or a list, which is encrypted as its JSON.
        client_secret: A client secret, ASCII, at least 32 bytes.

    Returns:
        Base64 of a random IV, the ciphertext and the tag.

    Raises:
        ConfigurationError: *plaintext* is neither text nor JSON, or *client_secret*
            is not as above.
    """
    key = _read_secret(client_secret)
    iv = os.urandom(_SECRET_IV_BYTES)
    sealed = AESGCM(key[:_KEY_BYTES]).encrypt(iv, _to_bytes(plaintext), None)
    return b64encode(iv + sealed).decode("ascii")


@boundary
def encrypt_client_side(
    plaintext: Plaintext, key: str | bytes | RSAPublicKey | RSAPrivateKey
) -> str:
    """Encrypt an input for the holder of a key: see `decrypt_client_side`.

    Args:
        plaintext: Text, or an object or a list, which is encrypted as its JSON.
        key: The RSA public key: PEM text or bytes, or a key object. Of a private key
            object the public half is used.

    Returns:
        Base64 of a random IV, the wrapped key, the ciphertext and the tag.

    Raises:
        ConfigurationError: *plaintext* is neither text nor JSON, or *key* is no RSA
            key.
    """
    public = _load_public_key(key)
    data = _to_bytes(plaintext)
    iv = os.urandom(_CLIENT_SIDE_IV_BYTES)
    aes_key = os.urandom(_KEY_BYTES)
    oaep = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
    wrapped = public.encrypt(aes_key, oaep)
    sealed = AESGCM(aes_key).encrypt(iv, data, None)
    return b64encode(iv + wrapped + sealed).decode("ascii")


def _read_secret(secret: object) -> bytes:
    key = secret.encode("utf-8", "ignore") if isinstance(secret, str) else secret
    if not isinstance(key, bytes) or not key.isascii() or len(key) < _KEY_BYTES:
        msg = "client_secret must be ASCII, at least 32 bytes"
        raise ConfigurationError(msg)
    return key


def _to_bytes(plaintext: object) -> bytes:
    try:
        if isinstance(plaintext, str):
            return plaintext.encode("utf-8")
        # As JavaScript prints it.
        text = json.dumps(
            plaintext, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        msg = "plaintext must be text or JSON"
        raise ConfigurationError(msg)


def _load_public_key(key: object) -> RSAPublicKey:
    if isinstance(key, RSAPrivateKey):
        return key.public_key()
    found = key
    if isinstance(key, str | bytes):
        try:
            pem = key.encode("utf-8") if isinstance(key, str) else key
            found = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            found = None
    if isinstance(found, RSAPublicKey):
        return found
    msg = "key must be an RSA key: PEM, or a key object"
    raise ConfigurationError(msg)
