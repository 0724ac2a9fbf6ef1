"""What callers of the core and Kafka consumers look like; never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from port_webhook import Delivery, Verifier, sign, verify
from port_webhook.adapters.kafka import (
    areceive_message,
    read_record,
    receive_message,
    verify_message,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

verifier = Verifier.from_env(agent=True, max_age=60)


def core(body: bytes, headers: Mapping[str, str]) -> None:
    assert_type(sign(body, "a secret", timestamp=1_713_277_889), dict[str, str])
    assert_type(verify(body, headers, "a secret"), Delivery)
    assert_type(verifier.verify(body, headers), Delivery)
    now = verifier.check_headers(headers)
    assert_type(now, float)
    pairs = [(b"x-port-timestamp", b"1713277889")]
    assert_type(verifier.verify("text", pairs, received_at=now), Delivery)
    with verifier.receive(memoryview(body), headers) as delivery:
        assert_type(delivery, Delivery)
    assert_type(delivery.payload, bytes)
    assert_type(delivery.run_id, str | None)


async def core_later(body: bytes, headers: Mapping[str, str]) -> None:
    assert_type(await verifier.averify(body, headers), Delivery)
    reception = verifier.areceive(body, headers)
    async with reception as delivery:
        assert_type(delivery, Delivery)
        reception.status = 201


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
