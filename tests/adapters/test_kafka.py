"""`port_webhook.adapters.kafka`: signed messages, and the records of two clients."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    Delivery,
    DeliveryError,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MissingHeaderError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    sign,
)
from port_webhook.adapters.kafka import (
    Record,
    areceive_message,
    read_record,
    receive_message,
    verify_message,
)

GITLAB = b'"payload":{"action":{"invocationMethod":{"type":"GITLAB"}}}'
WEBHOOK = b'"payload":{"action":{"invocationMethod":{"type":"WEBHOOK"}}}'


@pytest.fixture
def message(signature_of, now):
    """Make a message of the runs topic.

    The text around the headers is given, and the members that stay in them.
    """

    def make(
        before=b'"action":"create",',
        after=b"",
        *,
        rest=b"",
        gitlab=False,
        timestamp=None,
        signed=None,
        **options,
    ):
        if signed is None:
            headers = b'"headers":{' + rest + b"}" + after
            signed = b"{" + before + headers + b"}"
            if gitlab:
                signed = b"{" + before.rstrip(b",") + after + b"}"
        timestamp = str(now).encode() if timestamp is None else timestamp
        signature = signature_of(
            signed, timestamp=timestamp.strip(b'"').decode(), **options
        )
        keys = b'"X-Port-Signature":"%b","X-Port-Timestamp":%b' % (
            signature.encode(),
            timestamp,
        )
        inner = keys + (b"," + rest if rest else b"")
        value = b"{" + before + b'"headers":{' + inner + b"}" + after + b"}"
        return value, signed

    return make


class TestRunsForm:
    def test_the_two_keys_go_and_the_rest_was_signed(self, message, verifier):
        value, signed = message()

        delivery = verify_message(value, verifier)

        assert delivery.payload == signed == b'{"action":"create","headers":{}}'
        assert delivery.via == "kafka"

    def test_the_empty_headers_stay_in_their_place(self, message, verifier):
        value, signed = message(b'"a":1,', b',"z":2')

        assert signed == b'{"a":1,"headers":{},"z":2}'
        assert verify_message(value, verifier).payload == signed

    def test_other_headers_stay(self, message, verifier):
        value, signed = message(rest=b'"X-Other":"1","x-third":[1,2]')

        assert b'"headers":{"X-Other":"1","x-third":[1,2]}' in signed
        assert verify_message(value, verifier).payload == signed

    def test_the_two_keys_may_stand_anywhere_among_them(self, message, verifier):
        value, signed = message(rest=b'"X-Other":"1"')
        message = json.loads(value)
        headers = message["headers"]
        message["headers"] = {
            "X-Port-Timestamp": headers["X-Port-Timestamp"],
            "X-Other": "1",
            "X-Port-Signature": headers["X-Port-Signature"],
        }

        delivery = verify_message(json.dumps(message), verifier)

        assert delivery.payload == signed

    @pytest.mark.parametrize(
        "timestamp", [b"1713277889", b'"1713277889"', b"1713277889123"]
    )
    def test_the_timestamp_may_be_an_integer_or_text(
        self, message, verifier, timestamp
    ):
        value, signed = message(timestamp=timestamp)

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(
        "timestamp",
        [b"1713277889.0", b"1.713277889e9", b"-1713277889", b"true", b"[1]", b"{}"],
    )
    def test_any_other_timestamp_is_malformed(self, message, verifier, timestamp):
        value, _ = message(timestamp=timestamp)

        with pytest.raises(MalformedHeaderError) as caught:
            verify_message(value, verifier)
        assert caught.value.header == "x-port-timestamp"

    @pytest.mark.parametrize("key", ["X-Port-Signature", "X-Port-Timestamp"])
    @pytest.mark.parametrize("change", [str.lower, str.upper])
    def test_the_case_of_the_keys_is_exact(self, message, verifier, key, change):
        value, _ = message()

        with pytest.raises(MissingHeaderError) as caught:
            verify_message(value.replace(key.encode(), change(key).encode()), verifier)
        assert caught.value.header == key.lower()

    def test_a_key_of_another_case_is_part_of_what_was_signed(self, message, verifier):
        value, signed = message(rest=b'"x-port-signature":"v1,other"')

        assert b"x-port-signature" in signed
        assert verify_message(value, verifier).payload == signed

    def test_an_escaped_key_is_the_same_key(self, message, verifier):
        value, signed = message()
        value = value.replace(b"X-Port-Signature", b"X-Port-Signatur\\u0065")

        assert verify_message(value, verifier).payload == signed

    def test_white_space_between_the_tokens_is_not_signed(self, message, verifier):
        value, signed = message()
        spaced = value.replace(b",", b" ,\n").replace(b"v1 ,\n", b"v1,")

        assert verify_message(spaced, verifier).payload == signed

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
    def test_the_message_may_be_bytes_or_text(self, message, verifier, kind):
        value, signed = message()

        assert verify_message(kind(value), verifier).payload == signed

    def test_the_payload_holds_the_run(self, message, verifier):
        value, _ = message(b'"context":{"runId":"wfnr_1"},')

        delivery = verify_message(value, verifier)

        assert delivery.run_id == "wfnr_1"
        assert delivery.timestamp == datetime(2024, 4, 16, 14, 31, 29, tzinfo=UTC)


class TestGitlabForm:
    def test_the_whole_headers_go(self, message, verifier):
        value, signed = message(GITLAB + b",", b',"z":2', gitlab=True)

        assert signed == b"{" + GITLAB + b',"z":2}'
        assert verify_message(value, verifier).payload == signed

    def test_other_headers_go_too(self, message, verifier):
        value, signed = message(GITLAB + b",", rest=b'"X-Other":"1"', gitlab=True)

        assert verify_message(value, verifier).payload == signed

    def test_an_escaped_type_is_the_same_type(self, message, verifier):
        gitlab = GITLAB.replace(b"GITLAB", b"GITL\\u0041B")
        value, signed = message(gitlab + b",", gitlab=True)

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(("before", "gitlab"), [(GITLAB, False), (WEBHOOK, True)])
    def test_each_rule_rejects_a_message_of_the_other(
        self, message, verifier, before, gitlab
    ):
        value, _ = message(before + b",", gitlab=gitlab)

        with pytest.raises(SignatureMismatchError):
            verify_message(value, verifier)

    @pytest.mark.parametrize(
        "before",
        [
            b'"payload":{"action":{"invocationMethod":{"type":"gitlab"}}}',
            b'"payload":{"action":{"invocationMethod":{"type":["GITLAB"]}}}',
            b'"payload":{"action":{"invocationMethod":{"type":null}}}',
            b'"payload":{"action":{"invocationMethod":"GITLAB"}}',
            b'"payload":{"action":{"type":"GITLAB"}}',
            b'"payload":{"action":null}',
            b'"payload":[]',
            b'"invocationMethod":{"type":"GITLAB"}',
            b'"action":{"invocationMethod":{"type":"GITLAB"}}',
        ],
    )
    def test_gitlab_is_read_from_its_place_alone(self, message, verifier, before):
        value, signed = message(before + b",")

        assert verify_message(value, verifier).payload == signed


class TestTokens:
    @pytest.mark.parametrize(
        "token",
        [
            b"1e-7",
            b"0.000001",
            b"1.0",
            b"-0",
            b"1E+2",
            b"1e21",
            b"123456789012345678901234567890",
            b"0.1000",
            b"1e999",
            b'"\xc3\xa9"',
            b'"\\u00e9"',
            b'"\\/"',
            b'"/"',
            b'"\xe2\x80\xa8"',
            b'"\\u2028"',
            b'"\\ud800"',
            b'"\\uDFFF\\ud83d"',
            b'"\\ud83d\\ude00"',
            b'"\x7f"',
            b'" spaces : , kept "',
            b"{}",
            b"[]",
        ],
    )
    def test_each_is_signed_as_it_was_received(self, message, verifier, token):
        value, signed = message(b'"a":' + token + b",")

        assert verify_message(value, verifier).payload == signed

    @pytest.mark.parametrize(
        ("received", "signed"),
        [
            (b'"\\u00e9"', b'"\xc3\xa9"'),
            (b'"\\/"', b'"/"'),
            (b'"\\u2028"', b'"\xe2\x80\xa8"'),
            (b'"\\ud83d\\ude00"', b'"\xf0\x9f\x98\x80"'),
            (b'"\\uD800"', b'"\\ud800"'),
            (b'"\\u007f\\u0008"', b'"\x7f\\b"'),
            (b'{"\\u00e9":1e-7}', b'{"\xc3\xa9":1e-7}'),
        ],
    )
    def test_strings_are_then_tried_as_javascript_prints_them(
        self, message, verifier, received, signed
    ):
        text = b'{"a":' + signed + b',"headers":{}}'
        value, _ = message(b'"a":' + received + b",", signed=text)

        assert verify_message(value, verifier).payload == text

    @pytest.mark.parametrize(
        ("received", "signed"), [(b"1.0", b"1"), (b"1e-07", b"1e-7"), (b"-0", b"0")]
    )
    def test_numbers_are_never_printed_anew(self, message, verifier, received, signed):
        text = b'{"a":' + signed + b',"headers":{}}'
        value, _ = message(b'"a":' + received + b",", signed=text)

        with pytest.raises(SignatureMismatchError):
            verify_message(value, verifier)


class TestRefused:
    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"nope",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b'{"headers":{},"headers":{}}',
            b'{"a":NaN}',
            b"[" * 65 + b"]" * 65,
            b'"\\' * 1000,
            None,
            {"headers": {}},
            5,
            "\ud800",
        ],
    )
    def test_what_is_not_strict_json_is_unreadable(self, verifier, value):
        with pytest.raises(UnreadableBodyError) as caught:
            verify_message(value, verifier)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        "value",
        [
            b"{}",
            b"[]",
            b'[{"headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}]',
            b"null",
            b'"headers"',
            b"5",
            b'{"headers":null}',
            b'{"headers":[]}',
            b'{"headers":"X-Port-Signature"}',
            b'{"headers":{}}',
            b'{"headers":{"X-Port-Timestamp":1713277889}}',
            b'{"headers":{"X-Port-Signature":null,"X-Port-Timestamp":1713277889}}',
            b'{"Headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}',
            b'{"body":{"headers":{"X-Port-Signature":"v1,x","X-Port-Timestamp":1}}}',
        ],
    )
    def test_without_a_signature_it_is_unauthorized(self, verifier, value):
        with pytest.raises(MissingHeaderError) as caught:
            verify_message(value, verifier)
        assert caught.value.header == "x-port-signature"

    def test_a_signature_that_is_no_text_is_malformed(self, message, verifier):
        value, _ = message()
        for other in (b'["v1,x"]', b"1", b"true", b"{}"):
            start = value.index(b'"v1,')
            changed = value[:start] + other + value[start + 49 :]
            with pytest.raises(MalformedHeaderError):
                verify_message(changed, verifier)

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_a_changelog_destination_never_skips_verification(
        self, message, verifier, place
    ):
        # Port's own agent takes any message that holds the key for a change log.
        member = b'"changelogDestination":{"type":"WEBHOOK"}'

        for forged in (
            b"{" + member + b"}",
            b"{" + member + b',"headers":{}}',
        ):
            with pytest.raises(MissingHeaderError):
                verify_message(forged, verifier)
        options = {"before": member + b","} if place == "before" else {}
        value, _ = message(**options, after=b"" if options else b"," + member)
        verify_message(value, verifier)
        with pytest.raises(SignatureMismatchError):
            verify_message(value.replace(b"WEBHOOK", b"KAFKA"), verifier)

    def test_a_changed_message_is_a_mismatch(self, message, verifier):
        value, _ = message()

        with pytest.raises(SignatureMismatchError):
            verify_message(value.replace(b"create", b"delete"), verifier)

    def test_a_duplicate_key_cannot_hide_a_second_message(self, message, verifier):
        value, _ = message()

        with pytest.raises(UnreadableBodyError):
            verify_message(value[:-1] + b',"action":"delete"}', verifier)

    def test_the_limit_of_the_verifier_counts(self, message, make_verifier):
        value, _ = message()

        verify_message(value, make_verifier(max_body_bytes=len(value)))
        with pytest.raises(BodyTooLargeError):
            verify_message(value, make_verifier(max_body_bytes=len(value) - 1))

    def test_the_window_counts(self, message, verifier, clock, now):
        value, _ = message()
        clock.now += 301

        with pytest.raises(TimestampError):
            verify_message(value, verifier)
        verify_message(value, verifier, received_at=now)
        with pytest.raises(ConfigurationError):
            verify_message(value, verifier, received_at=now * 1000)

    def test_every_refusal_is_recorded_once(self, message, make_verifier, records):
        rejected: list[DeliveryError] = []
        verifier = make_verifier(on_rejected=rejected.append)
        value, _ = message()

        for wrong in (b"nope", b"{}", value.replace(b"create", b"delete")):
            with pytest.raises(DeliveryError) as caught:
                verify_message(wrong, verifier)
            assert rejected.pop() is caught.value

        assert [record.port_code for record in records] == [
            "unreadable_body",
            "missing_header",
            "signature_mismatch",
        ]


class Store:
    """An asynchronous or a synchronous store that remembers its steps."""

    def __init__(self):
        self.steps = []
        self.keys = set()

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return "committed" if key in self.keys else "claimed"

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        self.keys.add(key)
        return True

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore(Store):
    async def claim(self, key, owner, lease):
        return super().claim(key, owner, lease)

    async def commit(self, key, owner, ttl):
        return super().commit(key, owner, ttl)

    async def release(self, key, owner):
        return super().release(key, owner)


class TestReceive:
    def test_the_claim_is_committed_after_the_block(self, message, make_verifier):
        store = Store()
        verifier = make_verifier(replay_store=store)
        value, signed = message()

        with receive_message(value, verifier) as delivery:
            assert delivery.payload == signed
            assert store.steps == ["claim"]

        assert store.steps == ["claim", "commit"]
        with pytest.raises(DuplicateDeliveryError):
            receive_message(value, verifier).__enter__()

    def test_a_respelled_message_is_the_same_request(self, message, make_verifier):
        verifier = make_verifier(replay_store=Store())
        value, _ = message()

        verify_message(value, verifier)
        with pytest.raises(DuplicateDeliveryError):
            verify_message(
                value.replace(b":", b": ").replace(b"v1, ", b"v1,"), verifier
            )

    def test_a_block_that_raises_releases(self, message, make_verifier):
        store = Store()
        value, _ = message()

        with (
            pytest.raises(ZeroDivisionError),
            receive_message(value, make_verifier(replay_store=store)),
        ):
            raise ZeroDivisionError

        assert store.steps == ["claim", "release"]

    def test_what_cannot_be_read_is_refused_at_once(self, verifier):
        for receive in (receive_message, areceive_message):
            with pytest.raises(UnreadableBodyError):
                receive(b"nope", verifier)

    def test_what_is_not_authentic_is_refused_on_entry(self, message, verifier):
        value, _ = message()

        reception = receive_message(value.replace(b"create", b"delete"), verifier)

        with pytest.raises(SignatureMismatchError):
            reception.__enter__()

    @pytest.mark.parametrize("kind", [Store, AsyncStore])
    async def test_the_asynchronous_one_awaits_the_store(
        self, message, make_verifier, kind
    ):
        store = kind()
        value, signed = message()

        async with areceive_message(
            value, make_verifier(replay_store=store), received_at=1_713_277_900
        ) as delivery:
            assert delivery.payload == signed

        assert store.steps == ["claim", "commit"]

    def test_a_synchronous_call_on_an_asynchronous_store_is_refused(
        self, message, make_verifier
    ):
        verifier = make_verifier(replay_store=AsyncStore())
        value, _ = message()

        for call in (verify_message, receive_message):
            with pytest.raises(ConfigurationError, match="averify or areceive"):
                call(value, verifier)


class Confluent:
    """What `read_record` uses of ``confluent_kafka.Message``."""

    def __init__(self, value=b"{}", timestamp=(1, 1_713_277_889_123), error=None):
        self.value = lambda: value
        self.timestamp = lambda: timestamp
        self.error = lambda: error


class TestRecords:
    @pytest.mark.parametrize("kind", [1, 2])
    def test_confluents_own_time_is_in_milliseconds(self, kind):
        record = read_record(Confluent(timestamp=(kind, 1_713_277_889_123)))

        assert record == Record(b"{}", 1_713_277_889.123)

    @pytest.mark.parametrize(
        "record",
        [Confluent(), SimpleNamespace(value=b"{}", timestamp=1_713_277_889_123)],
    )
    def test_a_time_that_its_writer_chose_need_not_be_trusted(self, record):
        assert read_record(record, trust_record_time=False) == (b"{}", None)
        with pytest.raises(ConfigurationError):
            read_record(record, trust_record_time=None)

    def test_confluent_may_have_no_time(self):
        assert read_record(Confluent(timestamp=(0, 0))).received_at is None

    def test_an_error_of_the_broker_is_no_message(self):
        with pytest.raises(UnreadableBodyError, match="error of the broker"):
            read_record(Confluent(error="_PARTITION_EOF"))

    @pytest.mark.parametrize(
        ("timestamp", "received_at"),
        [(1_713_277_889_123, 1_713_277_889.123), (None, None), (-1, None), (0, 0.0)],
    )
    def test_aiokafkas_own_time_is_in_milliseconds(self, timestamp, received_at):
        record = SimpleNamespace(value=b"{}", timestamp=timestamp)

        assert read_record(record) == (b"{}", received_at)

    @pytest.mark.parametrize(
        "record",
        [
            None,
            5,
            b"{}",
            SimpleNamespace(value=b"{}"),
            SimpleNamespace(value=b"{}", timestamp="now"),
            SimpleNamespace(value=lambda: b"{}"),
            Confluent(timestamp=5),
            {"a": 1},
        ],
        ids=lambda record: type(record).__name__,
    )
    def test_what_is_no_record_is_named(self, record):
        with pytest.raises(ConfigurationError, match="is no record of confluent"):
            read_record(record)

    def test_a_record_without_a_value_is_unreadable(self, verifier):
        value, received_at = read_record(Confluent(value=None))

        for read in (verify_message, receive_message, areceive_message):
            with pytest.raises(UnreadableBodyError, match="tombstone") as caught:
                read(value, verifier, received_at=received_at)
            assert caught.value.http_status == 400


PATIENCE = 30  # seconds; a message arrives within two


@pytest.fixture(scope="module")
def cluster():
    """A broker that librdkafka plays in memory, on loopback."""
    confluent_kafka = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is not installed"
    )
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": "localhost:1",  # replaced by the mock's own
            "log_level": 0,
            "test.mock.num.brokers": 1,
        }
    )
    brokers = producer.list_topics(timeout=PATIENCE).brokers.values()
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def produce(topic, value, milliseconds):
        producer.produce(topic, value, partition=0, timestamp=milliseconds)
        assert producer.flush(PATIENCE) == 0

    return SimpleNamespace(servers=servers, produce=produce)


class TestRealClients:
    def test_confluent_kafka(self, cluster, message, make_verifier):
        import confluent_kafka

        value, signed = message()
        cluster.produce("org_1.runs", value, 1_713_277_889_500)
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": cluster.servers,
                "enable.partition.eof": True,
                "group.id": "org_1.test",
                "log_level": 0,
            }
        )
        try:
            start = confluent_kafka.TopicPartition(
                "org_1.runs", 0, confluent_kafka.OFFSET_BEGINNING
            )
            consumer.assign([start])
            record = consumer.poll(PATIENCE)
            end = consumer.poll(PATIENCE)
        finally:
            consumer.close()

        read = read_record(record)
        # A clock of today: only the record's own time lets the message pass.
        delivery = verify_message(
            read.value, make_verifier(clock=lambda: 1.9e9), received_at=read.received_at
        )

        assert read == (value, 1_713_277_889.5)
        assert isinstance(delivery, Delivery)
        assert delivery.payload == signed
        with pytest.raises(UnreadableBodyError, match="error of the broker"):
            read_record(end)

    async def test_aiokafka(self, cluster, message, make_verifier):
        aiokafka = pytest.importorskip("aiokafka", reason="aiokafka is not installed")
        value, signed = message()
        cluster.produce("org_2.runs", value, 1_713_277_889_500)
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=cluster.servers)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition("org_2.runs", 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            record = await asyncio.wait_for(consumer.getone(), PATIENCE)
        finally:
            await consumer.stop()

        read = read_record(record)
        verifier = make_verifier(clock=lambda: 1.9e9, replay_store=AsyncStore())
        async with areceive_message(
            read.value, verifier, received_at=read.received_at
        ) as delivery:
            assert delivery.payload == signed

        assert read == (value, 1_713_277_889.5)

    def test_a_record_of_aiokafka_without_a_time(self):
        structs = pytest.importorskip(
            "aiokafka.structs", reason="aiokafka is not installed"
        )
        record = structs.ConsumerRecord(
            topic="org_1.runs",
            partition=0,
            offset=0,
            timestamp=-1,
            timestamp_type=-1,
            key=None,
            value=b"{}",
            checksum=None,
            serialized_key_size=-1,
            serialized_value_size=2,
            headers=(),
        )

        assert read_record(record) == (b"{}", None)


@pytest.mark.parametrize(
    "function", [verify_message, receive_message, areceive_message]
)
@pytest.mark.parametrize("wrong", ["a secret", None, object])
def test_what_is_no_verifier_is_refused_without_showing_anything(function, wrong):
    with pytest.raises(ConfigurationError, match="must be a Verifier") as caught:
        function(b'{"payload":"marker"}', wrong)
    trace = caught.value.__traceback__
    assert trace is not None
    for frame in (trace.tb_next, getattr(trace.tb_next, "tb_next", None)):
        local = "" if frame is None else repr(frame.tb_frame.f_locals)
        assert "marker" not in local
        assert "a secret" not in local


def test_a_message_that_does_not_match_is_not_blamed_on_the_agent(verifier):
    signed = sign(b"{}", "another secret")
    value = json.dumps(
        {
            "headers": {
                "X-Port-Signature": signed["x-port-signature"],
                "X-Port-Timestamp": signed["x-port-timestamp"],
            }
        }
    )
    with pytest.raises(SignatureMismatchError) as caught:
        verify_message(value, verifier, received_at=int(signed["x-port-timestamp"]))
    assert "agent" not in str(caught.value)


class Odd:
    def __init__(self, stamp):
        self._stamp = stamp

    def value(self):
        return b""

    def error(self):
        return None

    def timestamp(self):
        if isinstance(self._stamp, Exception):
            raise self._stamp
        return (1, self._stamp)


@pytest.mark.parametrize("stamp", [10**400, OSError(), RuntimeError()])
def test_a_record_that_raises_anything_is_refused(stamp):
    with pytest.raises(ConfigurationError):
        read_record(Odd(stamp))
