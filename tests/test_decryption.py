"""Secret inputs: against Node's crypto, and against everything that was changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from port_webhook import decryption
from port_webhook._json import parse
from port_webhook.decryption import (
    decrypt_client_side,
    decrypt_properties,
    decrypt_secret,
)
from port_webhook.exceptions import (
    ConfigurationError,
    DecryptionError,
    PayloadError,
    PortWebhookError,
)
from port_webhook.models import (
    ActionInvocation,
    CatalogEvent,
    CustomPayload,
    TriggerData,
    WorkflowNodeRun,
)
from port_webhook.testing import encrypt_client_side, encrypt_secret

FIXTURES = Path(__file__).parent / "fixtures"
VECTORS = json.loads((FIXTURES / "decryption.json").read_bytes())
SECRET = VECTORS["client_secret"]
PEM = VECTORS["private_key"]
KEY: Any = load_pem_private_key(PEM.encode(), None)
IV, WRAPPED, TAG = 12, 256, 16

NODE_ENCRYPTS = """
const c = require("crypto"), {text, secret, pem} = JSON.parse(process.argv[1]);
function seal(key, size) {
  const iv = c.randomBytes(size), cipher = c.createCipheriv("aes-256-gcm", key, iv);
  const sealed = [cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
  return [iv, Buffer.concat(sealed)];
}
const [iv, body] = seal(Buffer.from(secret).subarray(0, 32), 16);
const key = c.randomBytes(32), [iv2, body2] = seal(key, 12);
const wrapped = c.publicEncrypt({key: c.createPublicKey(pem), oaepHash: "sha256",
  padding: c.constants.RSA_PKCS1_OAEP_PADDING}, key);
console.log(JSON.stringify([Buffer.concat([iv, body]).toString("base64"),
  Buffer.concat([iv2, wrapped, body2]).toString("base64")]));
"""
NODE_DECRYPTS = """
const c = require("crypto"), {values, secret, pem} = JSON.parse(process.argv[1]);
function open(key, iv, sealed) {
  const tag = sealed.subarray(-16), d = c.createDecipheriv("aes-256-gcm", key, iv);
  d.setAuthTag(tag);
  return d.update(sealed.subarray(0, -16), undefined, "utf8") + d.final("utf8");
}
const [a, b] = values.map(value => Buffer.from(value, "base64"));
const key = c.privateDecrypt({key: pem, oaepHash: "sha256",
  padding: c.constants.RSA_PKCS1_OAEP_PADDING}, b.subarray(12, 268));
console.log(JSON.stringify([
  open(Buffer.from(secret).subarray(0, 32), a.subarray(0, 16), a.subarray(16)),
  open(key, b.subarray(0, 12), b.subarray(268))]));
"""


def refused(call, *args, **kwargs):
    """Check that *call* raises the one error, and that nothing hangs on it."""
    with pytest.raises(DecryptionError) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert str(error) == "The value could not be decrypted."
    assert vars(error) == {}
    assert error.__cause__ is None
    assert error.__context__ is None
    # The traceback begins and ends with the caller.
    assert caught.tb.tb_next is None


def call(function, *args, **kwargs):
    """Call *function* with arguments of types that it does not take."""
    return function(*args, **kwargs)


def node(script, **arguments):
    done = subprocess.run(
        [shutil.which("node") or "node", "-e", script, json.dumps(arguments)],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)


def pem(key, password=None):
    form = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)


def wrap(text, key, *, mgf=SHA256, hashed=SHA256, size=32):
    aes_key = bytes(size)
    padding = OAEP(mgf=MGF1(mgf()), algorithm=hashed(), label=None)
    wrapped = key.public_key().encrypt(aes_key, padding)
    sealed = AESGCM(aes_key).encrypt(bytes(IV), text.encode(), None)
    return b64encode(bytes(IV) + wrapped + sealed).decode()


# Vectors


@pytest.mark.parametrize("vector", VECTORS["secret"], ids=lambda v: v["plaintext"])
def test_a_fixed_value_that_node_encrypted_with_a_client_secret(vector):
    assert decrypt_secret(vector["encrypted"], SECRET) == vector["plaintext"]
    assert decrypt_secret(vector["encrypted"], SECRET.encode()) == vector["plaintext"]


@pytest.mark.parametrize("vector", VECTORS["client_side"], ids=lambda v: v["plaintext"])
def test_a_fixed_value_that_node_encrypted_for_a_key(vector):
    for key in (PEM, PEM.encode(), KEY):
        assert decrypt_client_side(vector["encrypted"], key) == vector["plaintext"]


@pytest.mark.skipif(not shutil.which("node"), reason="node is not on PATH")
@pytest.mark.parametrize("text", ["", "s3cr3t", "Zoë 🚀\n", "x" * 10_000])
def test_node_and_this_library_read_each_other(text):
    values = node(NODE_ENCRYPTS, text=text, secret=SECRET, pem=PEM)
    assert decrypt_secret(values[0], SECRET) == text
    assert decrypt_client_side(values[1], KEY) == text
    values = [encrypt_secret(text, SECRET), encrypt_client_side(text, KEY)]
    assert node(NODE_DECRYPTS, values=values, secret=SECRET, pem=PEM) == [text, text]


@given(st.text())
def test_what_was_encrypted_is_decrypted(text):
    assert decrypt_secret(encrypt_secret(text, SECRET), SECRET) == text
    assert decrypt_client_side(encrypt_client_side(text, KEY), KEY) == text


def test_an_object_is_encrypted_as_json_and_parsed_on_request():
    value = encrypt_secret({"user": "ë", "n": 1}, SECRET)
    assert decrypt_secret(value, SECRET) == '{"user":"ë","n":1}'
    assert decrypt_secret(value, SECRET, as_json=True) == {"user": "ë", "n": 1}
    value = encrypt_client_side({"user": "ë", "n": 1}, KEY)
    assert decrypt_client_side(value, KEY) == '{"user":"ë","n":1}'
    assert decrypt_client_side(value, KEY, as_json=True) == {"user": "ë", "n": 1}


@pytest.mark.parametrize("text", ["", "{", '{"a":1,"a":2}', "NaN", "[" * 70])
def test_a_plaintext_that_is_not_strict_json_is_refused_as_json(text):
    refused(decrypt_secret, encrypt_secret(text, SECRET), SECRET, as_json=True)


# Changed values


def flips(value):
    raw = b64decode(value)
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield b64encode(changed).decode()


def truncations(value):
    raw = b64decode(value)
    for size in range(len(raw)):
        yield b64encode(raw[:size]).decode()
        yield b64encode(raw[len(raw) - size :]).decode()


def test_every_changed_bit_is_refused():
    vector = VECTORS["secret"][0]
    for value in flips(vector["encrypted"]):
        refused(decrypt_secret, value, SECRET)


def test_every_truncation_is_refused():
    vector = VECTORS["secret"][0]
    for value in truncations(vector["encrypted"]):
        refused(decrypt_secret, value, SECRET)


def test_every_changed_bit_outside_the_wrapped_key_is_refused_client_side():
    vector = VECTORS["client_side"][0]
    raw = b64decode(vector["encrypted"])
    changed = list(flips(vector["encrypted"]))
    for value in changed[: IV * 8] + changed[(IV + WRAPPED) * 8 :]:
        refused(decrypt_client_side, value, KEY)
    # Each takes a private operation: one bit in each byte of the wrapped key.
    for value in changed[IV * 8 : (IV + WRAPPED) * 8 : 8]:
        refused(decrypt_client_side, value, KEY)
    assert len(changed) == len(raw) * 8


def test_every_truncation_is_refused_client_side():
    vector = VECTORS["client_side"][0]
    for value in truncations(vector["encrypted"]):
        refused(decrypt_client_side, value, KEY)


@pytest.mark.parametrize("extra", [b"\0", b"x" * 16])
def test_more_than_a_value_is_refused(extra):
    raw = b64decode(VECTORS["secret"][0]["encrypted"])
    refused(decrypt_secret, b64encode(raw + extra).decode(), SECRET)


def test_only_one_spelling_of_base64_is_read():
    value = encrypt_secret("s3cr3t", SECRET)
    assert value.endswith("=")
    last = value[-2]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) ^ 1]
    for text in (
        value[:-2] + other + "=",  # an unused bit is set
        value + "=",
        value.rstrip("="),
        value + "\n",
        " " + value,
        value[:8] + "\n" + value[8:],
        value[:8] + "*" + value[8:],
        value + value,
        "=" + value,
        "ä" + value,
        value + "\ud800",
        "",
    ):
        refused(decrypt_secret, text, SECRET)
    raw = bytes([0xFB] * 16) + AESGCM(SECRET[:32].encode()).encrypt(
        bytes([0xFB] * 16), b"x", None
    )
    refused(decrypt_secret, urlsafe_b64encode(raw).decode(), SECRET)
    assert decrypt_secret(b64encode(raw).decode(), SECRET) == "x"


@pytest.mark.parametrize("value", [None, 5, b"AAAA", {}, [], True])
def test_a_value_that_is_not_text_is_refused(value):
    refused(decrypt_secret, value, SECRET)
    refused(decrypt_client_side, value, KEY)


def test_a_plaintext_that_is_not_utf_8_is_refused():
    sealed = AESGCM(SECRET[:32].encode()).encrypt(bytes(16), b"\xff", None)
    value = b64encode(bytes(16) + sealed).decode()
    refused(decrypt_secret, value, SECRET)
    refused(decrypt_secret, value, SECRET, as_json=True)


@given(st.text() | st.binary().map(lambda raw: b64encode(raw).decode()))
def test_nothing_that_was_not_encrypted_is_decrypted(value):
    with pytest.raises(DecryptionError):
        decrypt_secret(value, SECRET)
    with pytest.raises(DecryptionError):
        decrypt_client_side(value, KEY)


# Secrets and keys


def test_only_the_first_32_bytes_of_the_client_secret_count():
    value = encrypt_secret("s3cr3t", SECRET)
    assert decrypt_secret(value, SECRET[:32]) == "s3cr3t"
    assert decrypt_secret(value, SECRET[:32] + "other") == "s3cr3t"
    refused(decrypt_secret, value, SECRET[:31] + "?")


@pytest.mark.parametrize(
    "secret",
    ["", "short", "x" * 31, "ä" * 32, "x" * 40 + "ä", b"\xff" * 32, "\ud800" * 40],
)
def test_a_secret_that_is_too_short_or_not_ascii_is_refused(secret):
    refused(decrypt_secret, encrypt_secret("s3cr3t", SECRET), secret)


@pytest.mark.parametrize("secret", [None, 5, bytearray(40), ["x" * 40]])
def test_a_secret_of_another_type_is_a_configuration_error(secret):
    with pytest.raises(ConfigurationError, match="client_secret must be text or bytes"):
        decrypt_secret("AAAA", secret)


@cache
def sized(bits):
    """Return a key of *bits* that was made beforehand: making one takes seconds."""
    pem = VECTORS["keys"][bits].encode()
    key: Any = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert key.key_size == int(bits)
    return key


@pytest.mark.parametrize("bits", ["2056", "3072", "4096"])
def test_keys_of_2048_to_4096_bits_are_read(bits):
    key = sized(bits)
    assert decrypt_client_side(encrypt_client_side("s3cr3t", key), key) == "s3cr3t"


@pytest.mark.parametrize("bits", ["1024", "2047", "4104"])
def test_keys_of_other_sizes_are_refused(bits):
    key = sized(bits)
    value = encrypt_client_side("s3cr3t", key)
    refused(decrypt_client_side, value, key)
    refused(decrypt_client_side, value, VECTORS["keys"][bits])


def test_a_pem_may_be_encrypted():
    value = encrypt_client_side("s3cr3t", KEY)
    locked = pem(KEY, b"open sesame")
    for password in ("open sesame", b"open sesame"):
        assert decrypt_client_side(value, locked, password=password) == "s3cr3t"
    refused(decrypt_client_side, value, locked)
    refused(decrypt_client_side, value, locked, password="wrong")
    refused(decrypt_client_side, value, locked, password="")
    refused(decrypt_client_side, value, locked, password="\ud800")
    refused(decrypt_client_side, value, PEM, password="none was needed")


def test_a_pem_of_the_older_form_is_read():
    older = KEY.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert decrypt_client_side(encrypt_client_side("x", KEY), older.decode()) == "x"


def test_what_is_no_private_rsa_key_is_refused():
    value = encrypt_client_side("s3cr3t", KEY)
    public = KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    elliptic = pem(ec.generate_private_key(ec.SECP256R1()))
    half = PEM[: len(PEM) // 2]
    for key in ("", "no key", b"\xff", public, elliptic, half, half + "\ud800" + PEM):
        refused(decrypt_client_side, value, key)


@pytest.mark.parametrize("key", [None, 5, KEY.public_key(), bytearray(9)])
def test_a_key_of_another_type_is_a_configuration_error(key):
    with pytest.raises(ConfigurationError, match="private_key must be PEM"):
        decrypt_client_side("AAAA", key)
    with pytest.raises(ConfigurationError, match="password must be text or bytes"):
        call(decrypt_client_side, "AAAA", PEM, password=5)


def test_another_key_is_refused():
    value = encrypt_client_side("s3cr3t", KEY)
    refused(decrypt_client_side, value, sized("2056"))
    refused(decrypt_client_side, value, sized("3072"))


def test_both_hashes_of_the_wrapping_must_be_sha_256():
    assert decrypt_client_side(wrap("s3cr3t", KEY), KEY) == "s3cr3t"
    refused(decrypt_client_side, wrap("s3cr3t", KEY, mgf=SHA1), KEY)
    refused(decrypt_client_side, wrap("s3cr3t", KEY, hashed=SHA1), KEY)


@pytest.mark.parametrize("size", [16, 24])
def test_a_wrapped_key_of_another_size_is_refused(size):
    refused(decrypt_client_side, wrap("s3cr3t", KEY, size=size), KEY)


# Whole invocations


def envelope(**payload):
    path = FIXTURES / "payloads" / "envelope_create.json"
    body = json.loads(path.read_bytes())
    body["payload"] |= payload
    return body


def test_the_censored_properties_of_an_envelope_are_decrypted():
    body = envelope(
        properties={
            "cpu": 2,
            "password": encrypt_secret("s3cr3t", SECRET),
            "note": None,
        },
        censoredProperties=["password", "note", "absent"],
    )
    expected = {"cpu": 2, "password": "s3cr3t", "note": None}
    for invocation in (ActionInvocation.from_dict(body), body):
        assert decrypt_properties(invocation, client_secret=SECRET) == expected
    # What came is as it was.
    assert body["payload"]["properties"]["password"] != "s3cr3t"


def test_the_encrypted_properties_of_trigger_data_are_decrypted():
    body = {
        "inputs": {"a": encrypt_client_side({"n": 1}, KEY), "b": 1},
        "trigger": None,
        "action": {"encryptedProperties": ["a"]},
    }
    data = TriggerData.from_dict(body)
    assert decrypt_properties(data, private_key=KEY) == {"a": '{"n":1}', "b": 1}
    parsed = decrypt_properties(data, private_key=PEM, as_json=["a"])
    assert parsed == {"a": {"n": 1}, "b": 1}
    locked = pem(KEY, b"open sesame")
    again = decrypt_properties(data, private_key=locked, password="open sesame")
    assert again == {"a": '{"n":1}', "b": 1}


def test_the_type_of_a_model_says_where_its_secrets_are():
    named = {"p": encrypt_secret("s3cr3t", SECRET)}
    data = {"inputs": named, "action": {"encryptedProperties": ["p"]}}
    node = {
        "context": {"runId": "wfnr_1"},
        "payload": {"properties": named, "censoredProperties": ["p"]},
    }
    # A field that nobody knows does not make it another message.
    other = {"payload": {"properties": {"q": "x"}, "censoredProperties": ["q"]}}
    for model in (
        TriggerData.from_dict(data),
        TriggerData.from_dict(data | other),
        Mine.from_dict(data),
        WorkflowNodeRun.from_dict(node),
        ActionInvocation.from_dict(
            envelope(properties=named, censoredProperties=["p"]) | {"inputs": {}}
        ),
    ):
        assert decrypt_properties(model, client_secret=SECRET) == {"p": "s3cr3t"}


class Mine(TriggerData):
    __slots__ = ()


def test_the_structure_of_a_dict_says_where_its_secrets_are():
    named = {"p": encrypt_secret("s3cr3t", SECRET)}
    payload = {"properties": named, "censoredProperties": ["p"]}
    action = {"encryptedProperties": ["p"]}
    for body in (
        envelope(**payload),
        {"context": {"runId": "wfnr_1"}, "payload": payload | {"action": {}}},
        {"inputs": named, "trigger": {}, "run": {}, "action": action},
        # Less than Port sends, with the names in their places.
        {"payload": payload},
        {"action": "x", "payload": payload, "trigger": None},
        {"inputs": named, "trigger": None, "action": action},
        # A key of another message beside it.
        {
            "inputs": named,
            "trigger": {},
            "run": {},
            "action": action,
            "payload": {"properties": {}, "censoredProperties": []},
        },
    ):
        for invocation in (body, CustomPayload.from_dict(body)):
            result = decrypt_properties(invocation, client_secret=SECRET)
            assert result == {"p": "s3cr3t"}


@pytest.mark.parametrize(
    "body",
    [
        envelope(properties=None, censoredProperties=["a"]),
        envelope(properties={}, censoredProperties=["a"]),
        envelope(properties={}, censoredProperties=["a"], entity={"properties": None}),
        {"inputs": None, "trigger": None, "action": {"encryptedProperties": ["a"]}},
    ],
)
def test_a_secret_input_that_nobody_filled_in_is_not_missed(body):
    assert decrypt_properties(body, client_secret=SECRET) == {}


@pytest.mark.parametrize(
    "body",
    [
        envelope(properties=None, censoredProperties=None),
        envelope(properties={}, censoredProperties=[]),
        envelope(properties={"cpu": 2}, censoredProperties=[]),
        # As Port's own example has it: nothing tells these from other properties.
        envelope(
            properties={},
            censoredProperties=[],
            entity={"properties": {"password": encrypt_secret("s3cr3t", SECRET)}},
        ),
        envelope() | {"payload": {}},
        {"inputs": None, "trigger": None, "action": None},
        {"inputs": {}, "trigger": {}},
        {"inputs": {"a": "x"}, "action": {"encryptedProperties": ["a"]}},
        {"trigger": {}, "action": {"encryptedProperties": ["a"]}},
        {"action": {"encryptedProperties": ["a"]}},
        {"inputs": {"a": 1}, "trigger": {}, "action": {"encryptedProperties": []}},
        TriggerData.from_dict({}),
        ActionInvocation.from_dict(envelope() | {"payload": {}}),
    ],
)
def test_where_nothing_is_marked_the_error_says_so_and_points_to_paths(body):
    with pytest.raises(ConfigurationError) as caught:
        decrypt_properties(body, client_secret=SECRET)
    message = str(caught.value)
    assert "nothing in this body is marked as encrypted" in message
    assert "paths, such as ['payload.entity.properties.password']" in message


def test_the_inputs_of_ports_own_encrypted_example_are_decrypted_by_path():
    properties = {
        "api_key": encrypt_secret("key", SECRET),
        "db_password": encrypt_secret("s3cr3t", SECRET),
        "region": "us-east-1",
    }
    body = envelope(
        entity={"properties": properties}, properties={}, censoredProperties=[]
    )
    place = "payload.entity.properties"
    result = decrypt_properties(
        body, paths=[f"{place}.api_key", f"{place}.db_password"], client_secret=SECRET
    )
    assert result["payload"]["entity"]["properties"] == {
        "api_key": "key",
        "db_password": "s3cr3t",
        "region": "us-east-1",
    }


def test_an_input_that_is_named_and_that_the_entity_carries_is_found_there():
    body = envelope(
        entity={
            "properties": {
                "password": encrypt_secret("s3cr3t", SECRET),
                "token": encrypt_secret("of the entity", SECRET),
                "nothing": None,
                "region": "us-east-1",
            }
        },
        properties={"cpu": 2, "token": encrypt_secret("of the run", SECRET)},
        censoredProperties=["password", "token", "nothing", "absent"],
    )
    for invocation in (body, ActionInvocation.from_dict(body)):
        assert decrypt_properties(invocation, client_secret=SECRET) == {
            "cpu": 2,
            "password": "s3cr3t",
            "token": "of the run",
            "nothing": None,
        }
    # What came is as it was.
    assert "password" not in body["payload"]["properties"]
    body["payload"]["entity"]["properties"]["password"] = "plain"
    refused(decrypt_properties, body, client_secret=SECRET)
    left = decrypt_properties(body, client_secret=SECRET, plaintext=["password"])
    assert left["password"] == "plain"


def test_the_inputs_of_trigger_data_are_looked_for_nowhere_else():
    body = {
        "inputs": {},
        "trigger": {},
        "action": {"encryptedProperties": ["p"]},
        "payload": {"entity": {"properties": {"p": encrypt_secret("x", SECRET)}}},
    }
    assert decrypt_properties(body, client_secret=SECRET) == {}


def test_a_name_may_hold_a_dot():
    value = encrypt_secret({"n": 1}, SECRET)
    body = envelope(
        properties={"a.b": value, "c.d": value, "e.f": "plain"},
        censoredProperties=["a.b", "c.d", "e.f"],
    )
    found = decrypt_properties(
        body, client_secret=SECRET, as_json=["a.b"], plaintext=["e.f"]
    )
    assert found == {"a.b": {"n": 1}, "c.d": '{"n":1}', "e.f": "plain"}


def test_an_index_may_be_large():
    body: list[Any] = [0] * 100
    body.append(encrypt_secret("s3cr3t", SECRET))
    found = decrypt_properties(body, paths=[(100,)], client_secret=SECRET)
    assert found[100] == "s3cr3t"


def test_every_element_of_a_list_is_decrypted():
    tokens = [encrypt_secret("a", SECRET), None, encrypt_secret({"n": 1}, SECRET)]
    body = envelope(
        properties={"tokens": tokens, "none": []}, censoredProperties=["tokens", "none"]
    )
    assert decrypt_properties(body, client_secret=SECRET) == {
        "tokens": ["a", None, '{"n":1}'],
        "none": [],
    }
    tokens[0] = encrypt_secret([], SECRET)
    parsed = decrypt_properties(body, client_secret=SECRET, as_json=["tokens"])
    assert parsed["tokens"] == [[], None, {"n": 1}]
    by_path = decrypt_properties(
        body, paths=["payload.properties.tokens"], client_secret=SECRET
    )
    assert by_path["payload"]["properties"]["tokens"] == ["[]", None, '{"n":1}']
    left = decrypt_properties(body, client_secret=SECRET, plaintext=["tokens"])
    assert left["tokens"] == tokens
    for bad in ("plain", 5, tokens, {"a": tokens[0]}):
        body["payload"]["properties"]["tokens"] = [tokens[0], bad]
        refused(decrypt_properties, body, client_secret=SECRET)


def test_a_value_that_is_decrypted_already_stays():
    body = envelope(
        properties={"a": encrypt_secret("A", SECRET), "b": "B", "c": {"n": 1}},
        censoredProperties=["a", "b", "c"],
    )
    refused(decrypt_properties, body, client_secret=SECRET)
    result = decrypt_properties(
        body, client_secret=SECRET, plaintext=["b", "c", "other"], as_json=["c"]
    )
    assert result == {"a": "A", "b": "B", "c": {"n": 1}}
    result = decrypt_properties(
        body,
        paths=["payload.properties.a", "payload.properties.b"],
        plaintext=[("payload", "properties", "b"), "payload.absent"],
        client_secret=SECRET,
    )
    assert result["payload"]["properties"] == {"a": "A", "b": "B", "c": {"n": 1}}


class Verifier:
    """Stands for the real one, which holds raw secrets for this alone."""

    def __init__(self, *secrets):
        self.secrets = secrets

    def _decryption_keys(self):
        return self.secrets


class SecretStr:
    def __init__(self, value):
        self.value = value

    def get_secret_value(self):
        return self.value


NEW = "another made-up client secret, long enough"


def test_after_a_rotation_old_and_new_values_are_decrypted():
    body = envelope(
        properties={
            "old": encrypt_secret("O", SECRET),
            "new": encrypt_secret("N", NEW),
            "own": encrypt_client_side("K", KEY),
        },
        censoredProperties=["old", "new", "own"],
    )
    expected = {"old": "O", "new": "N", "own": "K"}
    short = "too short for a key"
    for secrets in (
        [NEW, SECRET],
        (SecretStr(NEW), SecretStr(SECRET.encode())),
        [short, NEW, "ä" * 32, "\ud800" * 40, SECRET.encode()],
    ):
        result = decrypt_properties(body, client_secret=secrets, private_key=KEY)
        assert result == expected
    verifier = Verifier(short.encode(), NEW.encode(), SECRET.encode())
    assert decrypt_properties(body, verifier=verifier, private_key=KEY) == expected
    refused(decrypt_properties, body, client_secret=[NEW], private_key=KEY)
    refused(decrypt_properties, body, verifier=Verifier(NEW.encode()), private_key=KEY)


def test_secrets_that_are_all_too_short_are_refused_unless_there_is_a_key():
    body = envelope(
        properties={"own": encrypt_client_side("K", KEY)}, censoredProperties=["own"]
    )
    short = Verifier(b"too short for a key")
    refused(decrypt_properties, body, verifier=short)
    refused(decrypt_properties, body, client_secret=["short", "shorter"])
    for keys in ({"verifier": short}, {"client_secret": "short"}):
        result = call(decrypt_properties, body, private_key=KEY, **keys)
        assert result == {"own": "K"}


def test_secrets_keys_and_passwords_may_be_held_by_an_object():
    assert decrypt_secret(encrypt_secret("x", SECRET), SecretStr(SECRET)) == "x"
    locked = SecretStr(pem(KEY, b"open sesame"))
    password = SecretStr("open sesame")
    value = encrypt_client_side("x", KEY)
    assert decrypt_client_side(value, locked, password=password) == "x"
    for holder in (SecretStr(None), SecretStr(SecretStr(SECRET)), Hostile()):
        with pytest.raises(ConfigurationError, match="client_secret must be text"):
            call(decrypt_secret, "AAAA", holder)


class Delivery:
    """Stands for a verified one, whose payload may be anything."""

    def __init__(self, payload):
        self.payload = payload

    def json(self):
        return parse(self.payload)

    def invocation(self):
        raise NotImplementedError


def test_the_inputs_of_a_delivery_are_those_of_its_invocation():
    body = envelope(
        properties={"a": encrypt_secret("A", SECRET)}, censoredProperties=["a"]
    )
    delivery = Delivery(json.dumps(body).encode())
    assert decrypt_properties(delivery, client_secret=SECRET) == {"a": "A"}
    whole = decrypt_properties(
        delivery, paths=["payload.properties.a"], client_secret=SECRET
    )
    body["payload"]["properties"]["a"] = "A"
    assert whole == body
    with pytest.raises(PayloadError) as caught:
        decrypt_properties(Delivery(b'{"s3cr3t'), client_secret=SECRET)
    assert caught.tb.tb_next is None
    assert caught.value.__context__ is None


def test_an_interrupt_leaves_no_secret_in_our_frames(monkeypatch):
    class Interrupted:
        def __init__(self, _):
            raise KeyboardInterrupt

    monkeypatch.setattr(decryption, "AESGCM", Interrupted)
    body = envelope(
        properties={"a": VECTORS["secret"][0]["encrypted"]}, censoredProperties=["a"]
    )
    with pytest.raises(KeyboardInterrupt) as caught:
        decrypt_properties(body, client_secret=SECRET)
    frames = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(caught.tb)
        if frame.f_globals["__name__"].startswith("port_webhook.")
    ]
    assert len(frames) > 2
    assert SECRET[:32] not in repr(frames)
    # Only the boundary itself still runs, and it has dropped its arguments.
    assert all("args" not in names for names in frames)
    assert all(names == {} for names in frames[1:])


def test_with_a_secret_and_a_key_either_may_fit():
    body = envelope(
        properties={
            "a": encrypt_secret("A", SECRET),
            "b": encrypt_client_side("B", KEY),
        },
        censoredProperties=["a", "b"],
    )
    result = decrypt_properties(body, client_secret=SECRET, private_key=KEY)
    assert result == {"a": "A", "b": "B"}
    refused(decrypt_properties, body, client_secret=SECRET)
    refused(decrypt_properties, body, private_key=KEY)
    refused(decrypt_properties, body, client_secret="short", private_key=KEY)


@pytest.mark.parametrize(
    "payload",
    [
        {"properties": {"a": 5}, "censoredProperties": ["a"]},
        {"properties": {"a": "plain"}, "censoredProperties": ["a"]},
        {"properties": {"a": "x"}, "censoredProperties": [5]},
        {"properties": {"a": "x"}, "censoredProperties": {"a": 1}},
        {"properties": [], "censoredProperties": ["a"]},
    ],
)
def test_a_named_value_that_is_not_encrypted_is_refused(payload):
    refused(decrypt_properties, envelope(**payload), client_secret=SECRET)


def custom():
    return {
        "payload": {
            "servers": [
                {"name": "one", "password": encrypt_secret("s3cr3t", SECRET)},
                {"name": "two", "password": None},
            ],
            "dotted.name": encrypt_secret({"n": 1}, SECRET),
            "nothing": None,
        }
    }


def test_values_of_a_custom_body_are_decrypted_by_path():
    body = custom()
    for invocation in (CustomPayload.from_dict(body), body):
        result = decrypt_properties(
            invocation,
            paths=[
                "payload.servers.0.password",
                "payload.servers.1.password",
                ("payload", "servers", 0, "password"),
                ["payload", "dotted.name"],
                "payload.nothing.password",
                "payload.servers.*.password",
            ],
            as_json=[("payload", "dotted.name")],
            client_secret=SECRET,
        )
        assert result == {
            "payload": {
                "servers": [
                    {"name": "one", "password": "s3cr3t"},
                    {"name": "two", "password": None},
                ],
                "dotted.name": {"n": 1},
                "nothing": None,
            }
        }
    listed = [encrypt_secret("s3cr3t", SECRET)]
    result = decrypt_properties(listed, paths=["0"], client_secret=SECRET)
    assert result == ["s3cr3t"]


def test_an_asterisk_stands_for_every_index():
    def value(n):
        return encrypt_secret({"n": n}, SECRET)

    body = {
        "regions": [
            {"servers": [{"key": value(0)}, {"key": value(1)}, None]},
            {"servers": []},
            {"servers": None},
        ],
        "keys": [value(2), None],
        "*": [value(3)],
        "none": [],
    }
    result = decrypt_properties(
        body,
        paths=["regions.*.servers.*.key", "keys.*", "*.0", "none.*.a"],
        as_json=["regions.0.servers.*.key", ("keys", "*")],
        plaintext=["regions.*.servers.1.key", "*.*.a"],
        client_secret=SECRET,
    )
    assert result == {
        "regions": [
            {"servers": [{"key": {"n": 0}}, body["regions"][0]["servers"][1], None]},
            {"servers": []},
            {"servers": None},
        ],
        "keys": [{"n": 2}, None],
        "*": ['{"n":3}'],
        "none": [],
    }
    # In an object it is a key like any other, and one index of many may lead nowhere.
    for path in ("regions.0.*", "*.*.*", "regions.*.other", "keys.*.*"):
        refused(decrypt_properties, body, paths=[path], client_secret=SECRET)


def test_two_paths_to_one_value_decrypt_it_once():
    shared = {"key": encrypt_secret("s3cr3t", SECRET)}
    body = {"a": [shared], "b": shared}
    result = decrypt_properties(
        body, paths=["a.0.key", "a.*.key", "b.key"], client_secret=SECRET
    )
    assert result == {"a": [{"key": "s3cr3t"}], "b": {"key": "s3cr3t"}}


def test_a_path_into_a_known_shape_gives_the_whole_body():
    body = envelope(entity={"properties": {"key": encrypt_secret("s3cr3t", SECRET)}})
    result = decrypt_properties(
        ActionInvocation.from_dict(body),
        paths=["payload.entity.properties.key"],
        client_secret=SECRET,
    )
    body["payload"]["entity"]["properties"]["key"] = "s3cr3t"
    assert result == body


@pytest.mark.parametrize(
    "path",
    [
        "payload",
        "payload.servers",
        "payload.servers.0",
        "payload.servers.0.name",
        "payload.servers.0.name.x",
        "payload.servers.2.password",
        "payload.servers.-1.password",
        "payload.servers.00.password",
        "payload.*.password",
        "payload.servers.٠.password",
        "payload.servers." + "9" * 5000,
        "payload.absent",
        "absent",
        "",
        "payload.dotted.name",
    ],
)
def test_a_path_that_leads_to_no_encrypted_value_is_refused(path):
    refused(decrypt_properties, custom(), paths=[path], client_secret=SECRET)


def test_a_null_body_holds_nothing_to_decrypt():
    nothing = CustomPayload.from_dict(None)
    assert decrypt_properties(nothing, paths=["a"], client_secret=SECRET) is None


@pytest.mark.parametrize(
    "body",
    [
        custom(),
        [],
        {"inputs": {}},
        {"payload": "censoredProperties"},
        # An author's own: text where Port always has an object.
        dict.fromkeys(envelope(), "text"),
        # An envelope that could not be loaded.
        envelope() | {"payload": "text"},
        CustomPayload.from_dict("x"),
        CatalogEvent.from_dict({}),
    ],
)
def test_a_body_that_names_nothing_needs_paths(body):
    with pytest.raises(ConfigurationError, match="name them in paths"):
        decrypt_properties(body, client_secret=SECRET)


class Hostile:
    def __getattr__(self, name):
        raise KeyError


def test_wrong_arguments_are_configuration_errors():
    body = custom()
    nothing: Any
    for nothing in ({}, {"client_secret": []}, {"verifier": Verifier()}):
        with pytest.raises(ConfigurationError, match="client_secret or a private_key"):
            call(decrypt_properties, body, paths=[], **nothing)
    for invocation in (None, 5, "text", b"{}", object(), Hostile()):
        with pytest.raises(ConfigurationError, match="a model of port_webhook"):
            call(decrypt_properties, invocation, client_secret=SECRET)
    for secret in (5, [5], [SECRET, None], bytearray(40), [[SECRET]]):
        with pytest.raises(ConfigurationError, match="client_secret must be"):
            call(decrypt_properties, body, paths=["payload"], client_secret=secret)
    for verifier in (5, SECRET, Verifier, Hostile()):
        with pytest.raises(ConfigurationError, match="verifier must be a Verifier"):
            call(decrypt_properties, body, paths=["payload"], verifier=verifier)
    with pytest.raises(ConfigurationError, match="not both"):
        decrypt_properties(
            body, paths=["payload"], verifier=Verifier(), client_secret=SECRET
        )
    for paths in ("payload.a", b"payload.a", 5, [5], [()], [None], [b"a"], [["a", -1]]):
        with pytest.raises(ConfigurationError, match="paths must be"):
            call(decrypt_properties, body, paths=paths, client_secret=SECRET)
        for option in ("as_json", "plaintext"):
            with pytest.raises(ConfigurationError, match=f"{option} must be"):
                call(
                    decrypt_properties,
                    envelope(censoredProperties=["a"]),
                    client_secret=SECRET,
                    **{option: paths},
                )
    for paths in ([["a", True]], [["a", 10**9]], [["a", 10**5000]], [["a", 1.5]]):
        with pytest.raises(ConfigurationError, match="paths must be"):
            call(decrypt_properties, body, paths=paths, client_secret=SECRET)


def marked(**options):
    """Decrypt an invocation that marks one value; it is wrong in *options* alone."""
    return call(
        decrypt_properties,
        envelope(censoredProperties=["a"]),
        **{"client_secret": SECRET, **options},
    )


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (
            lambda: call(decrypt_secret, "", 5),
            "client_secret must be text or bytes, not int",
        ),
        (
            lambda: call(decrypt_client_side, "", 5),
            "private_key must be PEM text or bytes, or an RSA key object, not int",
        ),
        (
            lambda: call(decrypt_client_side, "", PEM, password=5),
            "password must be text or bytes, not int",
        ),
        (
            lambda: marked(client_secret=[5]),
            "client_secret must be text or bytes, not int",
        ),
        (
            lambda: marked(client_secret=None),
            "decryption needs a verifier, a client_secret or a private_key",
        ),
        (
            lambda: marked(verifier=Verifier()),
            "give verifier or client_secret, not both",
        ),
        (
            lambda: marked(client_secret=None, verifier=5),
            "verifier must be a Verifier",
        ),
        (
            lambda: call(decrypt_properties, 5, client_secret=SECRET),
            "invocation must be a delivery, a model of port_webhook, or parsed JSON",
        ),
        (
            lambda: decrypt_properties({}, client_secret=SECRET),
            (
                "nothing in this body is marked as encrypted; if values are, name them "
                "in paths, such as ['payload.entity.properties.password']"
            ),
        ),
        (
            lambda: marked(paths=5),
            "paths must be an iterable, such as ['payload.password']",
        ),
        (
            lambda: marked(as_json=5),
            "as_json must be an iterable, such as ['password']",
        ),
        (
            lambda: marked(plaintext=5),
            "plaintext must be an iterable, such as ['password']",
        ),
        (
            lambda: marked(paths=["a"], as_json=5),
            "as_json must be an iterable, such as ['payload.password']",
        ),
        (
            lambda: marked(paths=["a"], plaintext=5),
            "plaintext must be an iterable, such as ['payload.password']",
        ),
    ],
)
def test_the_error_says_what_is_wrong(misuse, message):
    with pytest.raises(ConfigurationError) as caught:
        misuse()
    assert str(caught.value) == message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "inputs", "trigger", "action", "context"])
            | st.sampled_from(["censoredProperties", "encryptedProperties", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(anything, anything, anything)
def test_whatever_is_passed_only_our_errors_come_out(body, paths, secret):
    for attempt in (
        lambda: decrypt_properties(body, client_secret=SECRET),
        lambda: decrypt_properties(body, paths=paths, client_secret=secret),
        lambda: decrypt_properties(body, paths=["a.*"], client_secret=SECRET),
        lambda: decrypt_properties(
            body, paths=[], as_json=paths, plaintext=secret, client_secret=SECRET
        ),
        lambda: decrypt_secret(body, secret),
        lambda: decrypt_client_side(body, secret, password=paths),
        lambda: encrypt_secret(body, secret),
        lambda: encrypt_client_side(body, secret),
    ):
        error = None
        try:
            attempt()
        except PortWebhookError as raised:
            error = raised
        assert error is None or error.__context__ is None


# The senders' half


def test_encryption_refuses_what_nobody_could_decrypt():
    for secret in ("short", "ä" * 32, "\ud800" * 40, None, 5):
        with pytest.raises(ConfigurationError, match="client_secret must be ASCII"):
            call(encrypt_secret, "x", secret)
    for key in ("", "no key", b"\xff", None, 5, "\ud800"):
        with pytest.raises(ConfigurationError, match="key must be an RSA key"):
            call(encrypt_client_side, "x", key)
    for plaintext in ("\ud800", float("nan"), object()):
        with pytest.raises(ConfigurationError, match="plaintext must be"):
            call(encrypt_secret, plaintext, SECRET)
        with pytest.raises(ConfigurationError, match="plaintext must be"):
            call(encrypt_client_side, plaintext, KEY)


def test_encryption_takes_a_public_key_in_every_form():
    public: Any = KEY.public_key()
    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for key in (public, text, text.decode(), KEY):
        assert decrypt_client_side(encrypt_client_side("x", key), KEY) == "x"


def test_two_encryptions_of_one_text_differ():
    assert encrypt_secret("x", SECRET) != encrypt_secret("x", SECRET)
    assert encrypt_client_side("x", KEY) != encrypt_client_side("x", KEY)
