"""How the types of the Lambda adapter read: never executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

from port_webhook import (
    ActionInvocation,
    CustomPayload,
    Delivery,
    DeliveryError,
    Verifier,
)
from port_webhook.adapters.aws_lambda import (
    KafkaItem,
    handle_kafka_event,
    verify_event,
    verify_kafka_event,
    webhook,
)

if TYPE_CHECKING:
    from datetime import datetime

verifier = Verifier("the-client-secret")
verifiers = {"acme": verifier}


class Context:
    """Whatever describes the Lambda context: the adapter passes it on as it is."""

    aws_request_id: str


@webhook(verifier)
def with_verifier(delivery: Delivery, context: Context) -> dict[str, str]:
    return {"run": delivery.run_id or context.aws_request_id}


assert_type(with_verifier, Callable[[Any, Context], dict[str, Any]])


@webhook
def bare(delivery: Delivery, context: object) -> str:
    return delivery.run_id or ""


assert_type(bare, Callable[[Any, object], dict[str, Any]])


@webhook()
def called(delivery: Delivery, context: object) -> None: ...


assert_type(called, Callable[[Any, object], dict[str, Any]])


@webhook(verifier)
async def asynchronous(delivery: Delivery, context: object) -> bytes:
    return delivery.payload


assert_type(asynchronous, Callable[[Any, object], dict[str, Any]])


@webhook
async def bare_asynchronous(delivery: Delivery, context: object) -> list[int]:
    return [delivery.secret_index]


assert_type(bare_asynchronous, Callable[[Any, object], dict[str, Any]])


@webhook(verifier, model=ActionInvocation)
def with_model(invocation: ActionInvocation, context: Context) -> dict[str, Any]:
    return {"statusCode": 202, "body": str(invocation)}


assert_type(with_model, Callable[[Any, Context], dict[str, Any]])


@webhook(model=ActionInvocation)
async def model_of_environment(invocation: ActionInvocation, context: Any) -> None: ...


assert_type(model_of_environment, Callable[[Any, Any], dict[str, Any]])


@webhook(choose=lambda event: verifiers[event["pathParameters"]["org"]])
def chosen(delivery: Delivery, context: object) -> None: ...


assert_type(chosen, Callable[[Any, object], dict[str, Any]])


@webhook(verifier, model=list[ActionInvocation | CustomPayload])
def with_form(
    invocations: list[ActionInvocation | CustomPayload], context: object
) -> None: ...


assert_type(with_form, Callable[[Any, object], dict[str, Any]])


def one_event(event: dict[str, Any], arrived: datetime) -> None:
    assert_type(verify_event(event, verifier), Delivery)
    assert_type(verify_event(event, verifier, received_at=arrived), Delivery)
    assert_type(verify_event(event, verifier, received_at=1.5), Delivery)


def run_action(delivery: Delivery) -> None: ...


async def run_invocation(invocation: ActionInvocation) -> str:
    return str(invocation)


def one_batch(event: dict[str, Any]) -> None:
    for item in verify_kafka_event(event, verifier):
        assert_type(item, KafkaItem)
        assert_type(item.delivery, Delivery | None)
        assert_type(item.error, DeliveryError | None)
        assert_type(item.offset, int)
    assert_type(handle_kafka_event(event, verifier, run_action), dict[str, Any])
    assert_type(
        handle_kafka_event(event, verifier, run_invocation, model=ActionInvocation),
        dict[str, Any],
    )
    assert_type(
        verify_kafka_event(event, verifier, trust_record_time=False), list[KafkaItem]
    )
    handle_kafka_event(
        event, verifier, run_either, model=ActionInvocation | CustomPayload
    )


def run_either(message: ActionInvocation | CustomPayload) -> None: ...


@webhook(choose=lambda event: "secret")  # type: ignore[arg-type, return-value]  # not a verifier
def wrong_choice(delivery: Delivery, context: object) -> None: ...


@webhook(verifier)  # type: ignore[arg-type]  # a handler takes a context too
def without_context(delivery: Delivery) -> None: ...


@webhook(verifier, model=ActionInvocation)  # type: ignore[arg-type]  # not the model
def wrong_model(delivery: Delivery, context: object) -> None: ...
