"""AWS Lambda: ``@webhook`` gives a handler the verified `Delivery`.

::

    @webhook(verifier)
    def handler(delivery: Delivery, context: object): ...

It takes the events of API Gateway (REST and HTTP APIs), of function URLs, of
Application Load Balancers in both of their modes, and of direct invocations with
``headers`` and ``body``. For Kafka triggers there are `verify_kafka_event` and
`handle_kafka_event`, which are loaded on first use to keep cold starts short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._http import verify_event, webhook

if TYPE_CHECKING:
    from ._kafka_trigger import KafkaItem, handle_kafka_event, verify_kafka_event

__all__ = [
    "KafkaItem",
    "handle_kafka_event",
    "verify_event",
    "verify_kafka_event",
    "webhook",
]

_KAFKA = ("KafkaItem", "handle_kafka_event", "verify_kafka_event")


def __getattr__(name: str) -> object:
    """Load the part for Kafka triggers when one of its names is first asked for."""
    if name in _KAFKA:
        from . import _kafka_trigger

        return getattr(_kafka_trigger, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the late names too."""
    return sorted({*globals(), *__all__})
