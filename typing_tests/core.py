"""What callers of the core and Kafka consumers look like; never executed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

from port_webhook import (
    ActionInvocation,
    AsyncReception,
    CheckedHeaders,
    CustomPayload,
    Delivery,
    DuplicateDeliveryError,
    PayloadError,
    Reception,
    SignatureMismatchError,
    TriggerData,
    Verifier,
    VerifierOptions,
    VerifierSource,
    sign,
    verify,
)
from port_webhook.adapters.kafka import (
    areceive_message,
    read_record,
    receive_message,
    verify_message,
)
from port_webhook.models import AnyInvocation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

verifier = Verifier.from_env(agent=True, max_age=60)


def core(body: bytes, headers: Mapping[str, str]) -> None:
    assert_type(sign(body, "a secret", timestamp=1_713_277_889), dict[str, str])
    assert_type(verify(body, headers, "a secret"), Delivery)
    assert_type(verifier.verify(body, headers), Delivery)
    pairs = [(b"x-port-timestamp", b"1713277889")]
    assert_type(verifier.verify("text", pairs, received_at=1_713_277_889.5), Delivery)
    with verifier.receive(memoryview(body), headers) as delivery:
        assert_type(delivery, Delivery)
    assert_type(verifier.receive(body, headers), Reception)
    verifier.self_check()


def checked(body: bytes, headers: Mapping[str, str]) -> None:
    found = verifier.check_headers(headers)
    assert_type(found, CheckedHeaders)
    assert_type(verifier.verify(body, found), Delivery)
    with verifier.receive(body, found) as delivery:
        assert_type(delivery, Delivery)


async def core_later(body: bytes, headers: Mapping[str, str]) -> None:
    assert_type(await verifier.averify(body, headers), Delivery)
    assert_type(await verifier.averify(body, verifier.check_headers(headers)), Delivery)
    reception = verifier.areceive(body, headers)
    assert_type(reception, AsyncReception)
    async with reception as delivery:
        assert_type(delivery, Delivery)
        reception.status = 201
    await verifier.aself_check()


def delivered(delivery: Delivery) -> None:
    assert_type(delivery.payload, bytes)
    assert_type(delivery.timestamp, datetime)
    assert_type(delivery.run_id, str | None)
    assert_type(delivery.via, Literal["port", "agent", "kafka"])
    assert_type(delivery.invocation(), AnyInvocation)
    assert_type(copy.copy(delivery), Delivery)
    assert_type(delivery.to_json(), str)
    assert_type(Delivery.from_json(delivery.to_json()), Delivery)


def errors(
    mismatch: SignatureMismatchError,
    duplicate: DuplicateDeliveryError,
    payload: PayloadError,
) -> None:
    assert_type(mismatch.secret_source, str)
    assert_type(mismatch.secrets_tried, int)
    assert_type(duplicate.run_id, str | None)
    assert_type(payload.run_id, str | None)


class Inputs(BaseModel):
    name: str


class Size(TypedDict):
    cpu: int


@dataclass
class Disk:
    size: int


def parsed(delivery: Delivery) -> None:
    """`TypeForm` (PEP 747) lets any type be passed, and not only a class."""
    assert_type(delivery.parse(Inputs), Inputs)
    assert_type(delivery.parse(Size), Size)
    assert_type(delivery.parse(Disk, validate=True), Disk)
    assert_type(delivery.parse(CustomPayload), CustomPayload[dict[str, Any]])
    assert_type(delivery.parse(Inputs | Disk), Inputs | Disk)
    assert_type(delivery.parse(list[Inputs]), list[Inputs])
    assert_type(delivery.parse(list[Inputs | Size]), list[Inputs | Size])
    assert_type(delivery.parse(dict[str, Disk]), dict[str, Disk])
    assert_type(delivery.parse(Inputs | None), Inputs | None)
    assert_type(delivery.parse(Annotated[Inputs, "documented"]), Inputs)
    assert_type(delivery.parse(ActionInvocation[Size]), ActionInvocation[Size])
    assert_type(
        delivery.parse(ActionInvocation[Size] | TriggerData[Size]),
        ActionInvocation[Size] | TriggerData[Size],
    )


def built(options: VerifierOptions) -> None:
    assert_type(Verifier.from_env(**options), Verifier)
    assert_type(Verifier("a secret", **options), Verifier)
    assert_type(VerifierSource(lambda: "a secret", every=60, **options), VerifierSource)
    Verifier("a secret", clock=None, replay_ttl=86_400, previous_secrets=["old", b"x"])


def choose(source: VerifierSource) -> None:
    assert_type(source(), Verifier)
    chooser: Callable[[object], Verifier] = source
    assert_type(chooser("request"), Verifier)


class Strict(Verifier):
    """One of a user's own."""


assert_type(Strict.from_env(max_age=5), Strict)


def kafka(record: Any) -> None:  # a client's class
    value, received_at = read_record(record)
    assert_type(received_at, float | None)
    assert_type(verify_message(value, verifier, received_at=received_at), Delivery)
    with receive_message(value, verifier, received_at=received_at) as delivery:
        assert_type(delivery, Delivery)


async def kafka_later(record: Any) -> None:  # a client's class
    value, received_at = read_record(record)
    async with areceive_message(value, verifier, received_at=received_at) as delivery:
        assert_type(delivery, Delivery)


verify(b"", {}, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: no secret
verify({"a": 1}, {}, "a secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: not the raw bytes
Verifier.from_env(max_age="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point: not seconds
Verifier.from_env(max_size=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point: no such option
Verifier.from_env(secret="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the point: read from the environment
