"""Vectors with a provenance: RFC 4231, and Node's crypto (see vectors/README.md)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from port_webhook import SignatureMismatchError, Verifier, sign
from port_webhook._signature import new_key
from port_webhook.adapters.kafka import verify_message

VECTORS = Path(__file__).parent / "vectors"
DOCUMENT = json.loads((VECTORS / "deliveries.json").read_text("ascii"))
NODE = shutil.which("node") or ""

# RFC 4231, sections 4.2 to 4.8: key, data, HMAC-SHA-256. The fifth is cut to 128 bits.
RFC_4231 = [
    pytest.param(
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        id="1",
    ),
    pytest.param(
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        id="2",
    ),
    pytest.param(
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        id="3",
    ),
    pytest.param(
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        id="4",
    ),
    pytest.param(
        b"\x0c" * 20,
        b"Test With Truncation",
        "a3b6167473100ee06e0c796c2955552b",
        id="5",
    ),
    pytest.param(
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        id="6",
    ),
    pytest.param(
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than "
        b"block-size data. The key needs to be hashed before being used by the HMAC "
        b"algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        id="7",
    ),
]


@pytest.mark.parametrize(("key", "data", "mac"), RFC_4231)
def test_the_mac_is_hmac_sha_256(key, data, mac):
    context = new_key(key).copy()
    for byte in data:  # in updates of any size, as the library feeds it
        context.update(bytes([byte]))

    assert context.finalize().hex()[: len(mac)] == mac


@pytest.fixture
def receiver():
    return Verifier(
        DOCUMENT["secret"], agent=True, clock=lambda: DOCUMENT["received_at"] + 1
    )


def deliver(vector, verifier, change=lambda body: body):
    """Verify a vector the way that its path demands."""
    body = change(vector["body"].encode("utf-8"))
    if vector["via"] == "kafka":
        return verify_message(body, verifier)
    return verifier.verify(body, vector["headers"])


@pytest.mark.parametrize(
    "vector", DOCUMENT["deliveries"], ids=lambda each: f"{each['via']}: {each['name']}"
)
class TestDeliveries:
    def test_it_verifies_and_its_payload_is_what_was_signed(self, receiver, vector):
        delivery = deliver(vector, receiver)

        assert delivery.payload.decode("utf-8") == vector["payload"]
        assert delivery.via == vector["via"]
        delivery.json()
        delivery.invocation()

    def test_a_changed_body_is_a_mismatch(self, receiver, vector):
        def change(body):
            if vector["via"] == "kafka":
                return b'{"forged":1,' + body[1:]
            return b"[" + body + b"]"

        with pytest.raises(SignatureMismatchError):
            deliver(vector, receiver, change)

    def test_another_secret_is_a_mismatch(self, vector):
        stranger = Verifier(
            "another", agent=True, clock=lambda: DOCUMENT["received_at"]
        )

        with pytest.raises(SignatureMismatchError):
            deliver(vector, stranger)

    def test_only_an_agents_delivery_needs_the_option(self, vector):
        plain = Verifier(DOCUMENT["secret"], clock=lambda: DOCUMENT["received_at"])

        if vector["via"] == "agent":
            with pytest.raises(SignatureMismatchError):
                deliver(vector, plain)
        else:
            deliver(vector, plain)

    def test_sign_gives_the_same_headers(self, vector):
        if vector["via"] == "kafka":
            keys = json.loads(vector["body"])["headers"]
            given = {name.lower(): str(value) for name, value in keys.items()}
        else:
            given = {
                name.lower(): value
                for name, value in vector["headers"].items()
                if name.lower().startswith("x-port-")
            }

        assert given == sign(
            vector["payload"],
            DOCUMENT["secret"],
            timestamp=int(given["x-port-timestamp"]),
        )


def test_every_path_is_covered():
    assert {each["via"] for each in DOCUMENT["deliveries"]} == {
        "port",
        "agent",
        "kafka",
    }


@pytest.mark.skipif(not NODE, reason="node is not on the path")
class TestNode:
    def test_it_still_prints_the_committed_vectors(self):
        printed = subprocess.run(
            [NODE, str(VECTORS / "sign.mjs")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

        assert json.loads(printed) == DOCUMENT

    @pytest.mark.parametrize(
        "body", [b"", b'{"a":1}', bytes(range(256)), b"\xff" * 999]
    )
    @pytest.mark.parametrize("secret", ["plain", "schlüssel 😀", "long" * 50])
    def test_it_agrees_on_any_bytes_and_any_key(self, body, secret):
        script = (
            "const [secret, text] = process.argv.slice(1);"
            "const mac = require('crypto').createHmac('sha256', secret);"
            "mac.update(text + '.').update(require('fs').readFileSync(0));"
            "process.stdout.write('v1,' + mac.digest('base64'));"
        )
        signed = subprocess.run(
            [NODE, "-e", script, secret, "1700000000"],
            check=True,
            capture_output=True,
            input=body,
        ).stdout

        headers = sign(body, secret, timestamp=1_700_000_000)
        assert headers["x-port-signature"] == signed.decode()
