"""A replay store in Amazon DynamoDB.

Each step is one conditional write of one item, which DynamoDB serialises. An item has
the attributes ``key``, ``owner`` (of a claim only), ``nonce``, ``expires_at``
(milliseconds since the epoch) and ``ttl`` (seconds). The conditions compare
``expires_at``; ``ttl`` is for DynamoDB's own deletion, which comes up to days late.

Each call has its own nonce: boto3 repeats a request whose answer was lost, and the
repeated one recognises by the nonce that the item is its own.

Nothing of boto3 is imported: its exceptions are attributes of the client.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, ReplayStoreError
from port_webhook.replay._values import (
    require_methods,
    to_milliseconds,
    to_name,
    warn_of_wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.replay import ClaimResult

__all__ = ["DynamoDBReplayStore", "create_table"]

# Seconds from an item's expiry to the earliest deletion by DynamoDB, so that a machine
# whose clock is slow still finds an item that has not expired for it.
_DELETION_DELAY = 3600
_OPERATIONS = ("put_item", "update_item", "delete_item")
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_CREDENTIALS = "check the client's credentials"
_CAPACITY = "the table's capacity is used up; bill it by request, or raise it"
_SILENCE = "the client cannot connect, or DynamoDB did not answer within its timeout"
_REMEDIES = {
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
_HELD = "#owner = :owner AND expires_at > :now"


class _Client(Protocol):
    """The parts of a boto3 client that are used; boto3 has no types of its own."""

    @property
    def exceptions(self) -> Any: ...
    @property
    def put_item(self) -> Any: ...
    @property
    def update_item(self) -> Any: ...
    @property
    def delete_item(self) -> Any: ...
    @property
    def create_table(self) -> Any: ...
    @property
    def get_waiter(self) -> Any: ...
    @property
    def describe_time_to_live(self) -> Any: ...
    @property
    def update_time_to_live(self) -> Any: ...


class DynamoDBReplayStore:
    """Claims in a DynamoDB table, for any number of processes and machines.

    The table has the text ``key`` as its partition key and no sort key;
    `create_table` makes one. Conditional writes are never stale within one region; a
    global table does not protect across regions.

    Expiry is decided by the clocks of your machines: the lease must be longer than the
    longest handler plus the largest difference between two clocks.

    Args:
        client: A low-level client: ``boto3.client("dynamodb")``. It may be shared
            between threads. Give it short timeouts and few retries: boto3's defaults
            wait 60 s, several times. A warning is logged for a client that may wait
            more than 10 s.
        table_name: The table's name or ARN.
        clock: Returns the time in seconds since the epoch.

    Raises:
        ConfigurationError: *client* is something else, such as the resource
            ``boto3.resource("dynamodb")``, or *table_name* is empty.
    """

    __slots__ = ("_client", "_clock", "_table_name")

    @boundary
    def __init__(
        self,
        client: _Client,
        table_name: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the table *table_name*, without connecting to it yet."""
        require_methods(client, _OPERATIONS, 'boto3.client("dynamodb")')
        if not hasattr(client, "exceptions"):
            # A Table of boto3's resource has the methods too, with other arguments.
            msg = 'client must be boto3.client("dynamodb"), not a resource'
            raise ConfigurationError(msg)
        if not table_name:
            msg = "table_name must be the name of a table"
            raise ConfigurationError(msg)
        config = getattr(getattr(client, "meta", None), "config", None)
        warn_of_wait(
            "DynamoDB",
            getattr(config, "read_timeout", 0),
            "read_timeout and retries in its botocore Config",
        )
        self._client = client
        self._table_name = table_name
        self._clock = clock

    @boundary
    def claim(self, key: str, owner: str, lease: float) -> ClaimResult:
        """Claim *key* for *owner*, unless it is taken; see `ReplayStore.claim`.

        Args:
            key: The signed request.
            owner: This attempt to handle it.
            lease: How long the claim lasts, in seconds.

        Returns:
            ``claimed``, ``in_progress`` or ``committed``.

        Raises:
            ReplayStoreError: DynamoDB refused the claim without returning the item.
            ConfigurationError: *lease* is not a number of seconds from zero up.
        """
        nonce = os.urandom(8).hex()
        now = self._now()
        expires_at = now + to_milliseconds(lease)
        held = self._write(
            self._client.put_item,
            Item={
                "key": {"S": to_name(key)},
                "owner": {"S": to_name(owner)},
                "nonce": {"S": nonce},
                "expires_at": {"N": str(expires_at)},
                "ttl": {"N": str(_deletion(expires_at))},
            },
            ConditionExpression="attribute_not_exists(#key) OR expires_at <= :now",
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={":now": {"N": str(now)}},
        )
        if held is None or held.get("nonce") == {"S": nonce}:
            return "claimed"
        if not held:
            # It could be claimed or committed; neither is safe to guess.
            msg = "refused a claim and did not show who holds it"
            raise ReplayStoreError(msg)
        return "in_progress" if "owner" in held else "committed"

    @boundary
    def commit(self, key: str, owner: str, ttl: float) -> bool:
        """Mark *key* as handled; see `ReplayStore.commit`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.
            ttl: How long the mark lasts, in seconds from now.

        Returns:
            True, or False if *owner* holds no claim on *key*.

        Raises:
            ConfigurationError: *ttl* is not a number of seconds from zero up.
        """
        nonce = os.urandom(8).hex()
        now = self._now()
        expires_at = now + to_milliseconds(ttl)
        held = self._write(
            self._client.update_item,
            Key={"key": {"S": to_name(key)}},
            UpdateExpression=(
                "SET expires_at = :expires_at, #ttl = :ttl, nonce = :nonce "
                "REMOVE #owner"
            ),
            ConditionExpression=_HELD,
            ExpressionAttributeNames={"#owner": "owner", "#ttl": "ttl"},
            ExpressionAttributeValues={
                ":expires_at": {"N": str(expires_at)},
                ":now": {"N": str(now)},
                ":nonce": {"S": nonce},
                ":owner": {"S": to_name(owner)},
                ":ttl": {"N": str(_deletion(expires_at))},
            },
        )
        return held is None or held.get("nonce") == {"S": nonce}

    @boundary
    def release(self, key: str, owner: str) -> bool:
        """Remove the claim; see `ReplayStore.release`.

        Args:
            key: The claimed key.
            owner: The owner of the claim.

        Returns:
            True, or False if *owner* holds no claim on *key*.
        """
        held = self._write(
            self._client.delete_item,
            Key={"key": {"S": to_name(key)}},
            ConditionExpression=_HELD,
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={
                ":now": {"N": str(self._now())},
                ":owner": {"S": to_name(owner)},
            },
        )
        return held is None

    def _explain(self, error: BaseException) -> str:
        """Return the code of an AWS error, and what to do, as far as it is known."""
        name = type(error).__name__
        code = name
        response: Any = getattr(error, "response", None)
        if isinstance(response, dict):
            found: Any = cast("Any", response).get("Error", {}).get("Code")
            if isinstance(found, str) and _CODE.fullmatch(found):
                code = found
        # botocore has a class named like the code for some of the codes.
        parts = ("" if code == name else code, _REMEDIES.get(code, ""))
        return "; ".join(filter(None, parts))

    def _now(self) -> int:
        """Return the time in whole milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def _write(
        self, operation: Callable[..., object], **request: object
    ) -> dict[str, object] | None:
        """Return None, or the item that failed the condition, empty if unknown."""
        try:
            operation(
                TableName=self._table_name,
                # The item comes with the refusal: a later read could find another.
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            response: dict[str, dict[str, object]] = error.response
            return response.get("Item", {})
        return None


def _deletion(expires_at: int) -> int:
    """Return when DynamoDB may delete the item, in seconds since the epoch."""
    return expires_at // 1000 + _DELETION_DELAY


@boundary
def create_table(client: _Client, table_name: str) -> None:
    """Create the table of a `DynamoDBReplayStore`, unless it exists.

    The table is billed by request, and DynamoDB deletes expired items. The call
    returns when the table can be used. It needs the permissions
    ``dynamodb:CreateTable``, ``DescribeTable``, ``DescribeTimeToLive`` and
    ``UpdateTimeToLive``; the store itself needs ``PutItem``, ``UpdateItem`` and
    ``DeleteItem``.

    Args:
        client: A low-level client: ``boto3.client("dynamodb")``.
        table_name: The table's name.
    """
    # Raised for a table that exists, and for one that is being created.
    with suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName=table_name,
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    client.get_waiter("table_exists").wait(
        TableName=table_name, WaiterConfig={"Delay": 2, "MaxAttempts": 60}
    )
    described = client.describe_time_to_live(TableName=table_name)
    status = described["TimeToLiveDescription"]["TimeToLiveStatus"]
    if status not in ("ENABLED", "ENABLING"):
        client.update_time_to_live(
            TableName=table_name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
        )
