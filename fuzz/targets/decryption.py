"""Decryption: no other plaintext comes out than went in.

An input is a byte that chooses the form, then what is decrypted or encrypted.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fuzz import text as reference
from fuzz.common import MARK, call, read_payloads, splices
from fuzz.targets.canonical import WORDS as CANONICAL
from port_webhook import ConfigurationError, DecryptionError
from port_webhook.decryption import (
    decrypt_client_side,
    decrypt_properties,
    decrypt_secret,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["WORDS", "run", "seeds"]

FIXTURES = json.loads(
    (Path(__file__).parents[2] / "tests" / "fixtures" / "decryption.json").read_text()
)
SECRET: str = FIXTURES["client_secret"]
KEY = cast(
    "RSAPrivateKey", load_pem_private_key(FIXTURES["private_key"].encode(), None)
)
# What was encrypted, by its one spelling.
KNOWN = {each["encrypted"]: each["plaintext"] for each in FIXTURES["secret"]}
KNOWN_BY_CLIENTS = {
    each["encrypted"]: each["plaintext"] for each in FIXTURES["client_side"]
}
VALUE, PLAINTEXT = KNOWN.copy().popitem()
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SECRETS = ["short", SECRET[::-1], SECRET]

_AES, _CLIENTS_AES = AESGCM(SECRET[:32].encode()), AESGCM(bytes(range(32)))
IV_BYTES, CLIENTS_IV_BYTES = 16, 12
_IV, _CLIENTS_IV = bytes(range(IV_BYTES)), bytes(range(CLIENTS_IV_BYTES))
_WRAPPED = KEY.public_key().encrypt(
    bytes(range(32)), OAEP(MGF1(SHA256()), SHA256(), None)
)


def run(data: bytes) -> None:
    """Decrypt what the first byte of *data* says."""
    if data:
        (
            _check_value,
            _check_clients_value,
            _check_edit,
            _check_clients_edit,
            _check_body,
            _check_paths,
        )[data[0] % 6](data[1:])


def _check_value(data: bytes) -> None:
    """Decrypt any text: what comes out is encrypted to exactly this text again."""
    value = data.decode("latin-1")
    found = call(decrypt_secret, value, SECRET)
    if value in KNOWN:
        assert found == KNOWN[value]
    elif found is not DecryptionError:
        iv = b64decode(value)[:IV_BYTES]
        sealed = iv + _AES.encrypt(iv, found.encode(), None)
        assert b64encode(sealed).decode() == value


def _check_clients_value(data: bytes) -> None:
    """Do the same for the form that is made for a private key."""
    value = data.decode("latin-1")
    found = call(decrypt_client_side, value, KEY)
    if value in KNOWN_BY_CLIENTS:
        assert found == KNOWN_BY_CLIENTS[value]
    elif found is not DecryptionError:
        head = b64decode(value)[: CLIENTS_IV_BYTES + KEY.key_size // 8]
        iv, wrapped = head[:CLIENTS_IV_BYTES], head[CLIENTS_IV_BYTES:]
        aes = AESGCM(KEY.decrypt(wrapped, OAEP(MGF1(SHA256()), SHA256(), None)))
        sealed = head + aes.encrypt(iv, found.encode(), None)
        assert b64encode(sealed).decode() == value


def _check_edit(data: bytes) -> None:
    """Encrypt a text and change one of its bytes."""
    sealed = _IV + _AES.encrypt(_IV, data[2:], None)
    _check_edited(
        sealed, data, lambda value, **more: decrypt_secret(value, SECRET, **more)
    )


def _check_clients_edit(data: bytes) -> None:
    sealed = _CLIENTS_IV + _WRAPPED + _CLIENTS_AES.encrypt(_CLIENTS_IV, data[2:], None)
    _check_edited(
        sealed, data, lambda value, **more: decrypt_client_side(value, KEY, **more)
    )


def _check_edited(sealed: bytes, data: bytes, decrypt: Any) -> None:
    """Change the byte of *sealed* that the first of *data* names by the second."""
    at, change = (*data[:2], 0, 0)[:2]
    at %= len(sealed)
    edited = bytearray(sealed)
    edited[at] ^= change
    value = b64encode(edited).decode()
    if change:
        assert call(decrypt, value) is DecryptionError
        return
    plaintext = data[2:]
    try:
        expected: object = plaintext.decode()
    except UnicodeDecodeError:
        expected = DecryptionError
    assert call(decrypt, value) == expected
    for other in _spell_otherwise(value):
        assert call(decrypt, other) is DecryptionError
    document = reference.read(plaintext)
    found = call(decrypt, value, as_json=True)
    if document is None or document.too_large:
        assert found is DecryptionError
    else:
        assert repr(found) == repr(document.value)


def _spell_otherwise(value: str) -> list[str]:
    """Return other texts that a lenient decoder of base64 takes for *value*."""
    found = [f"{value}=", f"{value}\n", f" {value}", f"{value[:4]}\n{value[4:]}"]
    digits = value.rstrip("=")
    if digits != value:
        last = DIGITS[DIGITS.index(digits[-1]) + 1]  # the bits that stand for nothing
        found += [digits, digits[:-1] + last + value[len(digits) :]]
    return found


def _check_body(data: bytes) -> None:
    """Decrypt the inputs that a body names; the rest, and the body, stay."""
    body = _read_body(data)
    if not isinstance(body, dict | list):
        return
    before = deepcopy(body)
    found = call(decrypt_properties, body, client_secret=SECRETS)
    assert repr(body) == repr(before)
    if isinstance(found, dict):
        inputs = _find_inputs(body)
        assert {*inputs} <= {*found}
        for name, value in inputs.items():
            assert repr(found[name]) in (repr(value), repr(_decrypted(value)))
    else:
        assert found in (DecryptionError, ConfigurationError)


def _find_inputs(body: Any) -> dict[str, Any]:
    """Return the inputs of whichever of the two shapes *body* has."""
    for holder in (body, body.get("payload") if isinstance(body, dict) else None):
        if isinstance(holder, dict):
            for key in ("inputs", "properties"):
                if isinstance(holder.get(key), dict) and (holder is body) == (
                    key == "inputs"
                ):
                    return cast("dict[str, Any]", holder[key])
    return {}


def _check_paths(data: bytes) -> None:
    """Decrypt what the first line names by a path; all else stays."""
    line, _, text = data.partition(b"\n")
    body = _read_body(text)
    if not isinstance(body, dict | list):
        return
    before = deepcopy(body)
    first, _, second = line.decode("utf-8", "surrogateescape").partition("\t")
    paths, plaintext = first.split(" "), second.split(" ") if second else []
    found = call(
        decrypt_properties,
        body,
        paths=paths,
        plaintext=plaintext,
        client_secret=SECRETS,
    )
    assert repr(body) == repr(before)
    if found is not DecryptionError:
        assert _differ_by_decryption(body, found)
        if paths == plaintext:
            assert repr(found) == repr(body)


def _read_body(data: bytes) -> Any:
    document = reference.read(data.replace(MARK, VALUE.encode()))
    return None if document is None or document.too_large else document.value


def _open(value: object) -> str | None:
    """Return the plaintext of a ciphertext, also of one that a run made; else None."""
    try:
        raw = b64decode(cast("Any", value), validate=True)
        return _AES.decrypt(raw[:IV_BYTES], raw[IV_BYTES:], None).decode()
    except (TypeError, ValueError, InvalidTag):
        return None


def _decrypted(value: Any) -> Any:
    """Return *value* with each ciphertext replaced by its plaintext."""
    if isinstance(value, list):
        return [_decrypted(each) for each in value]
    opened = _open(value) if isinstance(value, str) else None
    return value if opened is None else opened


def _differ_by_decryption(before: Any, after: Any) -> bool:
    """Tell whether *after* is *before* but for ciphertexts that were decrypted."""
    if type(before) is type(after) is dict:
        return [*before] == [*after] and all(
            _differ_by_decryption(before[key], after[key]) for key in before
        )
    if type(before) is type(after) is list:
        return len(before) == len(after) and all(
            map(_differ_by_decryption, before, after)
        )
    return repr(before) == repr(after) or (
        isinstance(before, str) and after == _open(before)
    )


def seeds() -> list[bytes]:
    """Return values of both forms, edits of them, and bodies that name them."""
    found = [b"\0" + value.encode() for value in KNOWN]
    found += [b"\1" + value.encode() for value in KNOWN_BY_CLIENTS]
    for form in (b"\2", b"\3"):
        found += [
            form + edit + text
            for edit in (b"\0\0", b"\x05\x01", b"\x20\x80")
            for text in (b"", b"s3cr3t", b'{"a":1}', b"\xff")
        ]
    bodies = [
        (
            b'{"inputs":{"a":"\x01","b":[null,"\x01"]},"trigger":{},"event":null,"run":{},'
            b'"action":{"encryptedProperties":["a","b"]}}'
        ),
        (
            b'{"payload":{"properties":{"a":"\x01"},"censoredProperties":["a","z"],'
            b'"entity":{"properties":{"z":"\x01"}}}}'
        ),
        b'{"inputs":{"a":1},"trigger":{},"action":{"encryptedProperties":["a"]}}',
    ]
    found += [b"\4" + body for body in bodies]
    found += [b"\4" + body for body in read_payloads() if b"ensored" in body]
    found += [b"\5inputs.a inputs.b.1\n" + bodies[0], b"\5payload.*.a\n" + bodies[1]]
    found += [
        b"\5inputs.a\tinputs.a\n" + bodies[0],
        b'\5b\t*\n{"b":"\x01"}',
        b'\5*\n["\x01",null,["\x01"]]',
        b'\x050\n["\x01",1]',
        b'\5 .\n{"":"\x01"}',
    ]
    return splices(found)


WORDS = (
    *CANONICAL,
    MARK,
    b'"inputs":{',
    b'"payload":{',
    b'"properties":{',
    b'"censoredProperties":[',
    b'"action":{"encryptedProperties":[',
    b'"entity":{"properties":{',
    b"=",
    b"==",
    b".*.",
    b".0.",
)
