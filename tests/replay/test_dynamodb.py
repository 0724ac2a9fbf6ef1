"""The DynamoDB store: its items, its table, and a lost answer."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

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
            ("AccessDeniedException", "; allow PutItem, UpdateItem and DeleteItem on"),
            ("ExpiredTokenException", "; check the client's credentials."),
            (
                "ProvisionedThroughputExceededException",
                "; the table's capacity is",
            ),
            ("InternalServerError", "."),
        ],
    )
    def test_the_code_of_an_error_is_named(self, failing, code, expected):
        response = {"Error": {"Code": code, "Message": SECRET}}
        with pytest.raises(ReplayStoreError) as caught:
            claim(failing(ClientError(response, "PutItem")))
        start = f"The replay store failed to claim with ClientError: {code}{expected}"
        assert str(caught.value).startswith(start)
        assert SECRET not in str(caught.value)

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
    with pytest.raises(ReplayStoreError, match="did not show"):
        store.claim(KEY, "b", 600)


@pytest.mark.parametrize("name", ["", None])
def test_a_table_without_a_name_is_refused(dynamodb_world, name):
    with pytest.raises(ConfigurationError, match="name of a table"):
        DynamoDBReplayStore(dynamodb_world.client, name)


def test_what_is_no_client_of_dynamodb_is_refused():
    credentials = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    session = boto3.session.Session(region_name="eu-west-1", **credentials)
    table = session.resource("dynamodb").Table("replay")
    clients: list[Any] = [None, "dynamodb", session.client("s3"), table]
    for client in clients:
        with pytest.raises(ConfigurationError, match="client must be"):
            DynamoDBReplayStore(client, "replay")


def test_a_client_that_may_wait_long_is_named_in_a_warning(caplog):
    client = boto3.session.Session().client("dynamodb", region_name="eu-west-1")
    with caplog.at_level(logging.WARNING, "port_webhook"):
        DynamoDBReplayStore(client, "replay")
    client.close()
    (record,) = caplog.records
    assert "may wait 60 s for DynamoDB" in record.getMessage()
