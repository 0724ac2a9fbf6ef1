"""``port-webhook verify``: one line that says whether a delivery is accepted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from port_webhook._kafka_message import read_message
from port_webhook._verifier import Delivery, Verifier, set_source
from port_webhook.devtools._options import Sources, find_instant, find_secrets
from port_webhook.devtools._parameters import (
    Agent,
    At,
    BodyFile,
    Curl,
    Entry,
    Har,
    Headers,
    Http,
    Json,
    Kafka,
    Lambda,
    SecretFile,
    Signature,
    Timestamp,
)
from port_webhook.devtools._terminal import REFUSED, say, say_json
from port_webhook.exceptions import DeliveryError

if TYPE_CHECKING:
    from port_webhook.devtools._captures import Capture

__all__ = ["verify"]


def verify(
    body: BodyFile = None,
    *,
    header: Headers = None,
    timestamp: Timestamp = None,
    signature: Signature = None,
    agent: Agent = False,
    at: At = None,
    http: Http = None,
    curl: Curl = None,
    har: Har = None,
    lambda_: Lambda = None,
    kafka: Kafka = None,
    entry: Entry = None,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Verify a delivery, and say so in one line."""
    sources = Sources(
        body, header, timestamp, signature, http, curl, har, lambda_, kafka, entry
    )
    capture = sources.read()
    received_at = find_instant(at, capture)
    secrets = find_secrets(secret_file)
    verifier = Verifier(secrets.current, previous_secrets=secrets.previous, agent=agent)
    set_source(verifier, secrets.source)
    try:
        delivery = _verify(capture, verifier, received_at)
    except DeliveryError as error:
        if as_json:
            say_json({"verified": False, "code": error.code, "message": str(error)})
        else:
            line = Text.assemble(("Refused", "bold red"), f" ({error.code}): {error}")
            say(line)
        raise typer.Exit(REFUSED)
    if as_json:
        say_json(_fields(delivery))
        return
    ago = round((received_at or time.time()) - delivery.timestamp.timestamp())
    words = f" via {delivery.via}, signed {ago} s before it arrived"
    if delivery.secret_index:
        words += f", with previous secret {delivery.secret_index}"
    if delivery.run_id is not None:
        words += f", run {delivery.run_id}"
    say(Text.assemble(("Verified", "bold green"), f"{words}."))


def _verify(
    capture: Capture, verifier: Verifier, received_at: float | None
) -> Delivery:
    if not capture.kafka:
        return verifier.verify(capture.body, capture.headers, received_at=received_at)
    forms, headers = read_message(capture.body, verifier.max_body_bytes)
    return verifier.verify(forms, headers, received_at=received_at)


def _fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "verified": True,
        "code": None,
        "via": delivery.via,
        "timestamp": delivery.timestamp.isoformat(),
        "secret_index": delivery.secret_index,
        "run_id": delivery.run_id,
    }
