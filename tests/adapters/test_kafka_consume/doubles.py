"""What takes the place of a client, and tells a loop when to end."""

from __future__ import annotations

from port_webhook.adapters.kafka import consume

PATIENCE = 60  # seconds


class Until:
    """Says to go on until *seen* holds *size* things, and never without end."""

    def __init__(self, seen, size):
        self.seen = seen
        self.size = size
        self.polls = 0

    def __call__(self):
        self.polls += 1
        assert self.polls < PATIENCE * 10
        return len(self.seen) < self.size


def run_ids(deliveries):
    return [delivery.run_id for delivery in deliveries]


class Problem:
    """An error in a record, as ``confluent_kafka.KafkaError`` describes it."""

    def __init__(self, code=3, name="UNKNOWN_TOPIC_OR_PART", *, fatal=False):
        self.code = lambda: code
        self.name = lambda: name
        self.fatal = lambda: fatal


class Message:
    """A record of confluent-kafka."""

    def __init__(self, value=None, problem=None):
        self.value = lambda: value
        self.error = lambda: problem
        self.timestamp = lambda: (0, 0)
        self.topic = lambda: "org.runs"
        self.partition = lambda: 0
        self.offset = lambda: 7


class Consumer:
    """A consumer of confluent-kafka that gives *records* and may fail to commit."""

    def __init__(self, *records, results=None):
        self.records = list(records)
        self.results = results
        self.commits = 0

    def poll(self, timeout):
        return self.records.pop(0)

    def commit(self, *, message, asynchronous):
        self.commits += 1
        if isinstance(self.results, Exception):
            raise self.results
        return self.results

    def run(self, verifier, handle=print, **options):
        consume(self, verifier, handle, running=lambda: bool(self.records), **options)


async def asynchronous(*_):
    raise AssertionError
