"""The DynamoDB store: its items, its table, and a lost answer."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from port_webhook.exceptions import ConfigurationError, ReplayStoreError
from port_webhook.replay._claims import Claims
from port_webhook.replay.dynamodb import DynamoDBReplayStore, create_table

from .stores import make_dynamodb_client
from .worlds import black_hole

KEY = "5f" * 32
SECRET = "password@host"  # made up


def _item(world):
    answer = world.client.get_item(
        TableName=world.spec["table"], Key={"key": {"S": KEY}}, ConsistentRead=True
    )
    return answer.get("Item")


def test_an_item_holds_the_owner_and_the_expiry_and_no_more(dynamodb_world):
    world = dynamodb_world
    now = int(world.clock.now)
    world.store.claim(KEY, "owner-token", 600)
    item = _item(world)
    assert len(item.pop("nonce")["S"]) == 16
    assert item == {
        "key": {"S": KEY},
        "owner": {"S": "owner-token"},
        "expires_at": {"N": f"{now + 600}000"},
        "ttl": {"N": f"{now + 600 + 3600}"},
    }
    world.store.commit(KEY, "owner-token", 60)
    item = _item(world)
    assert len(item.pop("nonce")["S"]) == 16
    assert item == {
        "key": {"S": KEY},
        "expires_at": {"N": f"{now + 60}000"},
        "ttl": {"N": f"{now + 60 + 3600}"},
    }


def test_a_released_item_is_gone(dynamodb_world):
    dynamodb_world.store.claim(KEY, "a", 600)
    dynamodb_world.store.release(KEY, "a")
    assert _item(dynamodb_world) is None


def test_a_commit_of_a_missing_item_creates_none(dynamodb_world):
    assert dynamodb_world.store.commit(KEY, "a", 600) is False
    assert _item(dynamodb_world) is None


def test_a_fraction_of_a_millisecond_is_rounded_for_the_claim(dynamodb_world):
    world = dynamodb_world
    world.clock.now = 1000.0009
    world.store.claim(KEY, "a", 0.0001)
    item = _item(world)
    assert item["expires_at"] == {"N": "1000001"}
    assert item["ttl"] == {"N": "4600"}


class Recorded:
    """A client whose answers are made up, and that records its calls."""

    def __init__(self, status="DISABLED"):
        self.calls = []
        self._status = status
        self.exceptions = SimpleNamespace(ResourceInUseException=KeyError)

    def create_table(self, **request):
        self.calls.append(("create_table", request))

    def get_waiter(self, name):
        def wait(**request):
            self.calls.append((name, request))

        return SimpleNamespace(wait=wait)

    def describe_time_to_live(self, **request):
        self.calls.append(("describe_time_to_live", request))
        return {"TimeToLiveDescription": {"TimeToLiveStatus": self._status}}

    def update_time_to_live(self, **request):
        self.calls.append(("update_time_to_live", request))


def test_a_new_table_is_waited_for_up_to_two_minutes():
    """A table can be used only when it is active, and then its TTL be set."""
    client: Any = Recorded()
    create_table(client, "replay")
    assert [name for name, _ in client.calls] == [
        "create_table",
        "table_exists",
        "describe_time_to_live",
        "update_time_to_live",
    ]
    assert {request["TableName"] for _, request in client.calls} == {"replay"}
    every = client.calls[1][1]["WaiterConfig"]
    assert every == {"Delay": 2, "MaxAttempts": 60}


@pytest.mark.parametrize(
    ("status", "expected"),
    [("DISABLED", True), ("DISABLING", True), ("ENABLING", False), ("ENABLED", False)],
)
def test_deletion_is_turned_on_unless_it_is(status, expected):
    """DynamoDB refuses to turn it on twice."""
    client: Any = Recorded(status)
    create_table(client, "replay")
    names = [name for name, _ in client.calls]
    assert ("update_time_to_live" in names) is expected


def test_the_table_has_one_key_and_is_billed_by_request(dynamodb_world):
    described = dynamodb_world.client.describe_table(
        TableName=dynamodb_world.spec["table"]
    )["Table"]
    assert described["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]
    assert described["AttributeDefinitions"] == [
        {"AttributeName": "key", "AttributeType": "S"}
    ]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_table_deletes_what_has_expired(dynamodb_world):
    described = dynamodb_world.client.describe_time_to_live(
        TableName=dynamodb_world.spec["table"]
    )["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_a_table_that_exists_is_left_as_it_is(dynamodb_world):
    dynamodb_world.store.claim(KEY, "a", 600)
    create_table(dynamodb_world.client, dynamodb_world.spec["table"])
    assert dynamodb_world.store.claim(KEY, "b", 600) == "in_progress"


def test_a_missing_table_is_an_error(dynamodb_world):
    store = DynamoDBReplayStore(dynamodb_world.client, "no-such-table")
    with pytest.raises(dynamodb_world.client.exceptions.ResourceNotFoundException):
        store.claim(KEY, "a", 600)


def claim(client, table="replay"):
    store = DynamoDBReplayStore(client, table)
    Claims(store, lease=60, fail_open=False).new(KEY, 360).take()


_CREDENTIALS = "check the client's credentials"
_CAPACITY = "the table's capacity is used up; bill it by request, or raise it"
_SILENCE = "the client cannot connect, or DynamoDB did not answer within its timeout"
REMEDIES = {
    "AccessDeniedException": "allow PutItem, UpdateItem and DeleteItem on the table",
    "ConnectTimeoutError": _SILENCE,
    "EndpointConnectionError": _SILENCE,
    "ExpiredTokenException": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "ProvisionedThroughputExceededException": _CAPACITY,
    "ReadTimeoutError": _SILENCE,
    "ResourceNotFoundException": (
        "there is no such table in the client's region; create it with create_table"
    ),
    "ThrottlingException": _CAPACITY,
    "UnrecognizedClientException": _CREDENTIALS,
    "ValidationException": 'the table must have the text "key" as its only key',
}


def throttled(response):
    """Return an error of a class of botocore's that is named like the code."""
    return type("ThrottlingException", (Exception,), {"response": response})()


class TestExplanations:
    @pytest.fixture
    def failing(self):
        """Return a client whose every request raises."""

        class Failing:
            exceptions = SimpleNamespace(ConditionalCheckFailedException=KeyError)

            def __init__(self, error):
                self._error = error

            def put_item(self, **_request):
                raise self._error

            update_item = delete_item = put_item

        return cast("Any", Failing)

    def test_a_missing_table_is_explained(self, dynamodb_world):
        with pytest.raises(ReplayStoreError) as caught:
            claim(dynamodb_world.client, "no-such-table")
        assert str(caught.value) == (
            "The replay store failed to claim with ResourceNotFoundException: there is "
            "no such table in the client's region; create it with create_table."
        )

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            *REMEDIES.items(),
            ("InternalServerError", ""),
            ("A", ""),
            ("A" * 64, ""),
            ("Made0123456789Up", ""),
        ],
    )
    def test_the_code_of_an_error_is_named(self, failing, code, expected):
        response = {"Error": {"Code": code, "Message": SECRET}}
        with pytest.raises(ReplayStoreError) as caught:
            claim(failing(ClientError(response, "PutItem")))
        what = f"{code}; {expected}" if expected else code
        assert str(caught.value) == (
            f"The replay store failed to claim with ClientError: {what}."
        )

    @pytest.mark.parametrize(
        "error",
        [
            NoCredentialsError(),
            EndpointConnectionError(endpoint_url=SECRET),
            ConnectTimeoutError(endpoint_url=SECRET),
            throttled({}),
            throttled({"Error": {"Code": ""}}),
        ],
    )
    def test_an_error_without_a_code_is_known_by_its_class(self, failing, error):
        name = type(error).__name__
        with pytest.raises(ReplayStoreError) as caught:
            claim(failing(error))
        assert str(caught.value) == (
            f"The replay store failed to claim with {name}: {REMEDIES[name]}."
        )

    @pytest.mark.parametrize(
        "response",
        [
            None,
            {},
            {"Error": None},
            {"Error": {"Code": SECRET}},
            {"Error": {"Code": "A" * 65}},
            {"Error": {"Code": 5}},
            {"Error": {"Code": ["AccessDeniedException"]}},
        ],
    )
    def test_what_is_no_code_is_not_named(self, failing, response):
        error = ClientError({}, "PutItem")
        error.response = response
        with pytest.raises(ReplayStoreError, match=r"to claim with ClientError\.$"):
            claim(failing(error))

    def test_a_server_that_is_silent_is_explained(self):
        with black_hole() as port:
            spec = {"endpoint": f"http://127.0.0.1:{port}", "timeout": 0.02}
            client = make_dynamodb_client(spec)
            with pytest.raises(ReplayStoreError, match="Error: the client cannot con"):
                claim(client)


class Twice:
    """A client that sends each request twice, as after an answer that was lost."""

    def __init__(self, client):
        self._client = client
        self.exceptions = client.exceptions

    def __getattr__(self, name):
        operation = getattr(self._client, name)

        def twice(**request):
            operation(**request)
            return operation(**request)

        return twice


def test_a_write_that_boto3_repeats_counts_once(dynamodb_world):
    world = dynamodb_world
    store = DynamoDBReplayStore(
        Twice(world.client), world.spec["table"], clock=world.clock
    )
    assert store.claim(KEY, "a", 600) == "claimed"
    assert world.store.claim(KEY, "a", 600) == "in_progress"
    assert store.commit(KEY, "a", 600) is True
    assert world.store.claim(KEY, "a", 600) == "committed"


def test_a_refusal_without_the_item_is_no_answer(dynamodb_world):
    """As of an endpoint that does not know how to return the item."""

    class Forgetful:
        exceptions = dynamodb_world.client.exceptions

        def put_item(self, **request):
            del request["ReturnValuesOnConditionCheckFailure"]
            dynamodb_world.client.put_item(**request)

        update_item = delete_item = put_item

    store = DynamoDBReplayStore(
        cast("Any", Forgetful()),
        dynamodb_world.spec["table"],
        clock=dynamodb_world.clock,
    )
    assert store.claim(KEY, "a", 600) == "claimed"
    with pytest.raises(ReplayStoreError) as caught:
        store.claim(KEY, "b", 600)
    assert str(caught.value) == (
        "The replay store refused a claim and did not show who holds it."
    )


@pytest.mark.parametrize("name", ["", None])
def test_a_table_without_a_name_is_refused(dynamodb_world, name):
    with pytest.raises(ConfigurationError, match=r"^table_name must be the name"):
        DynamoDBReplayStore(dynamodb_world.client, name)


def test_what_is_no_client_of_dynamodb_is_refused():
    credentials = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    session = boto3.session.Session(region_name="eu-west-1", **credentials)
    table = session.resource("dynamodb").Table("replay")
    clients: list[tuple[Any, str]] = [
        (None, "NoneType"),
        ("dynamodb", "str"),
        (session.client("s3"), "S3"),
        (table, "a resource"),
    ]
    for client, kind in clients:
        with pytest.raises(ConfigurationError) as caught:
            DynamoDBReplayStore(client, "replay")
        expected = f'client must be boto3.client("dynamodb"), not {kind}'
        assert str(caught.value) == expected


@pytest.mark.parametrize("name", ["put_item", "update_item", "delete_item"])
def test_a_client_without_one_of_the_operations_is_refused(name):
    client: Any = SimpleNamespace(
        exceptions=None, put_item=print, update_item=print, delete_item=print
    )
    delattr(client, name)
    with pytest.raises(ConfigurationError, match="not SimpleNamespace"):
        DynamoDBReplayStore(client, "replay")


def test_a_client_that_may_wait_long_is_named_in_a_warning(caplog):
    # Only its configuration is looked at; a client of boto3's would load its model.
    client: Any = SimpleNamespace(
        exceptions=None, put_item=print, update_item=print, delete_item=print
    )
    with caplog.at_level(logging.WARNING, "port_webhook"):
        DynamoDBReplayStore(client, "replay")
        assert caplog.records == []
        client.meta = SimpleNamespace(config=Config())  # as boto3 has it
        DynamoDBReplayStore(client, "replay")
    (record,) = caplog.records
    assert record.getMessage() == (
        "The replay store's client may wait 60 s for DynamoDB, and a delivery is not "
        "answered meanwhile. Set read_timeout and retries in its botocore Config."
    )


def test_the_expressions_are_spelled_as_dynamodb_documents_them(dynamodb_world):
    """Keywords in capitals; moto takes them in small letters, too."""
    requests = []

    class Watched:
        exceptions = dynamodb_world.client.exceptions

        def put_item(self, **request):
            requests.append(request)

        update_item = delete_item = put_item

    store = DynamoDBReplayStore(cast("Any", Watched()), "replay")
    store.claim(KEY, "a", 60)
    store.commit(KEY, "a", 60)
    store.release(KEY, "a")
    held = "#owner = :owner AND expires_at > :now"
    assert [request["ConditionExpression"] for request in requests] == [
        "attribute_not_exists(#key) OR expires_at <= :now",
        held,
        held,
    ]
    assert requests[1]["UpdateExpression"] == (
        "SET expires_at = :expires_at, #ttl = :ttl, nonce = :nonce REMOVE #owner"
    )
