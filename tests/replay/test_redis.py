"""The Redis stores: their scripts, their clients, and a lost answer."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from typing import Any
from unittest.mock import Mock

import pytest

from port_webhook.exceptions import ConfigurationError, ReplayStoreError
from port_webhook.replay import redis as replay_redis
from port_webhook.replay._claims import Claims, acheck_store
from port_webhook.replay.redis import AsyncRedisReplayStore, RedisReplayStore

redis = pytest.importorskip("redis", reason="redis-py is not installed")
KEY = "5f" * 32


def test_the_stores_of_one_prefix_share_their_keys(redis_world, redis_server):
    prefix = redis_world.spec["prefix"]
    other = RedisReplayStore(redis_server.client, prefix=prefix)
    assert redis_world.store.claim(KEY, "a", 600) == "claimed"
    assert other.claim(KEY, "b", 600) == "in_progress"
    assert other.commit(KEY, "a", 600) is True
    assert redis_world.store.claim(KEY, "c", 600) == "committed"


def test_another_prefix_is_another_store(redis_world, redis_server):
    redis_world.store.claim(KEY, "a", 600)
    prefix = redis_world.spec["prefix"] + "other:"
    other = RedisReplayStore(redis_server.client, prefix=prefix)
    assert other.claim(KEY, "b", 600) == "claimed"
    other.release(KEY, "b")


def test_the_server_holds_the_owner_and_an_expiry_and_no_more(
    redis_world, redis_server
):
    name = redis_world.spec["prefix"] + KEY
    redis_world.store.claim(KEY, "owner-token", 600)
    label, nonce, owner = redis_server.client.get(name).split(b":")
    assert (label, len(nonce), owner) == (b"claim", 16, b"owner-token")
    assert 590_000 < redis_server.client.pttl(name) <= 600_000
    redis_world.store.commit(KEY, "owner-token", 60)
    label, nonce = redis_server.client.get(name).split(b":")
    assert (label, len(nonce)) == (b"done", 16)
    assert 50_000 < redis_server.client.pttl(name) <= 60_000


def test_a_lease_of_zero_stores_nothing(redis_world, redis_server):
    redis_world.store.claim(KEY, "a", 0)
    assert redis_server.client.get(redis_world.spec["prefix"] + KEY) is None


def test_a_restart_that_forgets_the_scripts_does_no_harm(redis_world, redis_server):
    redis_world.store.claim(KEY, "a", 600)
    redis_server.client.script_flush()
    assert redis_world.store.commit(KEY, "a", 600) is True


def test_a_key_of_somebody_else_is_an_error_and_is_left_alone(
    redis_world, redis_server
):
    name = redis_world.spec["prefix"] + KEY
    redis_server.client.rpush(name, "a list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        redis_world.store.claim(KEY, "a", 600)
    assert redis_server.client.lrange(name, 0, -1) == [b"a list"]
    redis_server.client.delete(name)


class Twice:
    """A client that sends each command twice, as after an answer that was lost."""

    def __init__(self, client):
        self._client = client

    def eval(self, *args):
        self._client.eval(*args)
        return self._client.eval(*args)


def test_a_claim_that_the_client_repeats_is_claimed_all_the_same(
    redis_server, redis_world
):
    store = RedisReplayStore(
        Twice(redis_server.client), prefix=redis_world.spec["prefix"]
    )
    assert store.claim(KEY, "a", 600) == "claimed"
    assert store.claim(KEY, "a", 600) == "in_progress"
    assert store.commit(KEY, "a", 600) is True
    assert store.commit(KEY, "a", 600) is False
    assert store.claim(KEY, "b", 600) == "committed"


@pytest.mark.parametrize(
    ("answer", "expected"), [(0, "claimed"), (1, "in_progress"), (2, "committed")]
)
def test_the_numbers_of_the_script_have_their_meaning(answer, expected):
    store = RedisReplayStore(Answers(answer))
    assert store.claim(KEY, "a", 600) == expected


class Answers:
    """A client whose script gives one number."""

    def __init__(self, number):
        self._number = number

    def eval(self, _script, _keys, _key, nonce, *_args):
        return b"%s:%d" % (nonce, self._number)


async def test_a_number_that_a_script_does_not_give_is_an_error():
    class AsyncAnswers(Answers):
        async def eval(self, *args):
            return super().eval(*args)

    for number in (2, 3):
        store = RedisReplayStore(Answers(number))
        async_store = AsyncRedisReplayStore(AsyncAnswers(number))
        for step, more in (("claim", (600,)), ("commit", (600,)), ("release", ())):
            if (step, number) == ("claim", 2):
                continue
            with pytest.raises(ReplayStoreError, match="cannot give"):
                getattr(store, step)(KEY, "a", *more)
            with pytest.raises(ReplayStoreError, match="cannot give"):
                await getattr(async_store, step)(KEY, "a", *more)


class Nonsense:
    def __init__(self, answer):
        self._answer = answer

    def eval(self, *args):
        return self._answer


class AsyncNonsense(Nonsense):
    async def eval(self, *args):
        return self._answer


NONSENSE = [None, 0, 1, b"OK", "1", [0], b"0123456789abcdef:0", "0123456789abcdef:1"]


@pytest.mark.parametrize("answer", [*NONSENSE, "ü"])
async def test_an_answer_that_makes_no_sense_is_an_error(answer):
    store = RedisReplayStore(Nonsense(answer))
    with pytest.raises(ReplayStoreError) as caught:
        store.claim(KEY, "a", 600)
    assert str(caught.value) == (
        "The replay store gave an answer that its script cannot give."
    )
    with pytest.raises(ReplayStoreError, match="cannot give"):
        store.commit(KEY, "a", 600)
    with pytest.raises(ReplayStoreError, match="cannot give"):
        store.release(KEY, "a")
    async_store = AsyncRedisReplayStore(AsyncNonsense(answer))
    with pytest.raises(ReplayStoreError, match="cannot give"):
        await async_store.claim(KEY, "a", 600)
    with pytest.raises(ReplayStoreError, match="cannot give"):
        await async_store.commit(KEY, "a", 600)
    with pytest.raises(ReplayStoreError, match="cannot give"):
        await async_store.release(KEY, "a")


class Doubling:
    """A parser of a connection that gets one answer twice, as from a broken proxy."""

    def __init__(self, connection):
        self._parser = connection._parser
        self._answers = []

    def __getattr__(self, name):
        return getattr(self._parser, name)

    def read_response(self, *args, **options):
        if not self._answers:
            self._answers = [self._parser.read_response(*args, **options)] * 2
        return self._answers.pop()


class AsyncDoubling(Doubling):
    async def read_response(self, *args, **options):
        if not self._answers:
            self._answers = [await self._parser.read_response(*args, **options)] * 2
        return self._answers.pop()


def is_open(connection):
    """Tell whether a synchronous connection is open; redis-py 6 has no name for it."""
    return connection._sock is not None


def test_an_answer_to_an_earlier_call_is_not_believed(redis_server):
    client = redis.Redis(**redis_server.connection)
    store = RedisReplayStore(client, prefix="doubled:")
    store.claim(KEY, "a", 600)
    store.commit(KEY, "a", 600)
    (connection,) = client.connection_pool._available_connections
    connection._parser = Doubling(connection)
    assert store.claim("other", "b", 600) == "claimed"
    # Its answer comes once more, in the place of "committed".
    with pytest.raises(ReplayStoreError, match="cannot give"):
        store.claim(KEY, "c", 600)
    assert not is_open(connection)
    connection._parser = connection._parser._parser
    assert store.claim(KEY, "d", 600) == "committed"
    redis_server.client.delete(f"doubled:{KEY}", "doubled:other")
    client.close()


async def test_an_answer_to_an_earlier_call_is_not_believed_in_asyncio(redis_server):
    client = redis.asyncio.Redis(**redis_server.connection)
    store = AsyncRedisReplayStore(client, prefix="doubled:")
    await store.claim(KEY, "a", 600)
    await store.commit(KEY, "a", 600)
    (connection,) = client.connection_pool._available_connections
    connection._parser = AsyncDoubling(connection)
    assert await store.claim("other", "b", 600) == "claimed"
    with pytest.raises(ReplayStoreError, match="cannot give"):
        await store.claim(KEY, "c", 600)
    assert not connection.is_connected
    connection._parser = connection._parser._parser
    assert await store.claim(KEY, "d", 600) == "committed"
    redis_server.client.delete(f"doubled:{KEY}", "doubled:other")
    await client.aclose()


def make_old_pool(**options):
    """Make a pool as of redis-py 6.0, whose `disconnect` takes no argument."""
    pool = redis.BlockingConnectionPool(**options)
    close = pool.disconnect

    def disconnect():
        close()

    pool.disconnect = disconnect
    return pool


@pytest.mark.parametrize("kind", ["single", "blocking"])
def test_a_client_of_another_kind_does_not_keep_a_wrong_connection(redis_server, kind):
    if kind == "single":
        options = {**redis_server.connection, "single_connection_client": True}
        client = redis.Redis(**options)
        connection = client.connection
    else:
        known = redis.Redis(**redis_server.connection).connection_pool
        pool = make_old_pool(
            connection_class=known.connection_class, **known.connection_kwargs
        )
        client = redis.Redis(connection_pool=pool)
        client.ping()
        (connection,) = pool._connections
    store = RedisReplayStore(client, prefix="doubled:")
    connection._parser = Doubling(connection)
    assert store.claim("other", "b", 600) == "claimed"

    with pytest.raises(ReplayStoreError, match="cannot give"):
        store.claim(KEY, "c", 600)

    assert not is_open(connection)
    redis_server.client.delete("doubled:other")
    client.close()


SECRET = "password@host"  # made up


class Failing:
    def __init__(self, error):
        self._error = error

    def eval(self, *_args):
        raise self._error


def claim(client, kind=RedisReplayStore, **options):
    claims = Claims(kind(client, **options), lease=60, fail_open=False)
    claims.new(KEY, 360).take()


def worded(word):
    """Return an error as of redis-py from version 8 on."""
    error: Any = redis.RedisError(SECRET)
    error.status_code = word
    return error


class TestExplanations:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (
                redis.ReadOnlyError(SECRET),
                "READONLY; the server is a replica; connect to the primary",
            ),
            (
                redis.exceptions.NoPermissionError(SECRET),
                "NOPERM; allow EVAL, GET, SET and DEL on keys below the prefix",
            ),
            (
                redis.exceptions.OutOfMemoryError(SECRET),
                "OOM; Redis is full; raise maxmemory, and keep the policy noeviction",
            ),
            (
                redis.BusyLoadingError(SECRET),
                "LOADING; Redis is still loading its data",
            ),
            (
                redis.exceptions.ClusterDownError(SECRET),
                "CLUSTERDOWN; the cluster lacks a node, or is still starting",
            ),
            (
                redis.exceptions.MovedError("7 127.0.0.1:1"),
                "MOVED; the server is a cluster, so the client must be a RedisCluster",
            ),
            (
                redis.ResponseError(f"MISCONF {SECRET}"),
                "MISCONF; Redis cannot write to its disk",
            ),
            (redis.ResponseError(f"NEWWORD {SECRET}"), "NEWWORD"),
            (
                redis.AuthenticationError(SECRET),
                "check the client's user name and password",
            ),
            (
                redis.ConnectionError(SECRET),
                "the client cannot connect, or its connection broke",
            ),
            (
                redis.TimeoutError(SECRET),
                "Redis did not answer within the client's timeout",
            ),
            (
                worded("NOPERM"),
                "NOPERM; allow EVAL, GET, SET and DEL on keys below the prefix",
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_error_of_redis_tells_what_to_do(self, error, expected):
        with pytest.raises(ReplayStoreError) as caught:
            claim(Failing(error))
        name = type(error).__name__
        assert str(caught.value) == (
            f"The replay store failed to claim with {name}: {expected}."
        )

    @pytest.mark.parametrize(
        "error",
        [
            redis.ResponseError(SECRET),
            redis.ResponseError(f"A{'B' * 20} {SECRET}"),
            redis.ResponseError(""),
            worded("password of somebody"),
            ValueError("PASSWORD is hunter2"),  # not of Redis
        ],
        ids=repr,
    )
    def test_an_error_without_a_known_word_names_its_class_only(self, error):
        with pytest.raises(ReplayStoreError) as caught:
            claim(Failing(error))
        name = type(error).__name__
        assert str(caught.value) == f"The replay store failed to claim with {name}."

    def test_an_error_of_an_older_redis_py_has_no_word_of_its_own(self):
        # Before version 8. A name is enough to find the remedy.
        old = type("TimeoutError", (Exception,), {"__module__": "redis.exceptions"})
        explain = RedisReplayStore(Nonsense(0))._explain
        assert explain(old()) == "Redis did not answer within the client's timeout"
        assert explain(redis.ResponseError("no word")) == ""

    def test_a_key_of_another_application_is_explained(self, redis_server):
        redis_server.client.rpush(f"explained:{KEY}", "a list")
        with pytest.raises(ReplayStoreError, match="WRONGTYPE; the key belongs to ano"):
            claim(redis_server.client, prefix="explained:")
        redis_server.client.delete(f"explained:{KEY}")

    def test_a_user_without_permission_is_explained(self, redis_server):
        redis_server.client.acl_setuser(
            "reader", enabled=True, nopass=True, keys=["*"], commands=["+get"]
        )
        client = redis.Redis(
            **redis_server.connection, username="reader", socket_timeout=30
        )
        with pytest.raises(ReplayStoreError, match="NOPERM; allow EVAL, GET, SET"):
            claim(client)
        client.close()
        redis_server.client.acl_deluser("reader")

    def test_a_full_server_is_explained(self, redis_server):
        redis_server.client.config_set("maxmemory", 1)
        try:
            with pytest.raises(ReplayStoreError, match="OOM; Redis is full"):
                claim(redis_server.client)
        finally:
            redis_server.client.config_set("maxmemory", 0)

    def test_a_client_of_another_event_loop_is_explained(self, redis_server):
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        client = redis.asyncio.Redis(
            **redis_server.connection, socket_timeout=30, retry=Retry(NoBackoff(), 0)
        )
        store = AsyncRedisReplayStore(client, prefix="loops:")
        claims = Claims(store, lease=60, fail_open=False)

        async def use():
            await acheck_store(claims)

        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        first.run_until_complete(use())
        with pytest.raises(ReplayStoreError, match="belongs to another event loop"):
            second.run_until_complete(use())
        first.run_until_complete(client.aclose())
        first.close()
        second.close()

    async def test_the_asynchronous_store_explains_the_same(self):
        class AsyncFailing:
            async def eval(self, *_args):
                raise redis.ReadOnlyError(SECRET)

        store = AsyncRedisReplayStore(AsyncFailing())
        claims = Claims(store, lease=60, fail_open=False)
        with pytest.raises(ReplayStoreError, match="READONLY; the server is a replica"):
            await claims.new(KEY, 360).atake()


async def test_of_many_tasks_one_claims_each_key(redis_server):
    import redis.asyncio

    async with redis.asyncio.Redis(
        **redis_server.connection, socket_timeout=30, max_connections=40
    ) as client:
        store = AsyncRedisReplayStore(client, prefix="tasks:")
        keys = [f"{number}" for number in range(50)]

        async def run(owner):
            return [k for k in keys if await store.claim(k, owner, 600) == "claimed"]

        won = await asyncio.gather(*(run(f"task {number}") for number in range(16)))
        assert sorted(key for keys in won for key in keys) == sorted(keys)
        for key in keys:
            await client.delete(f"tasks:{key}")


async def test_the_loop_runs_on_while_redis_is_silent(redis_server):
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from .worlds import black_hole

    with black_hole() as port:
        async with redis.asyncio.Redis(
            host="127.0.0.1",
            port=port,
            socket_timeout=0.1,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            store = AsyncRedisReplayStore(client)
            task = asyncio.ensure_future(store.claim(KEY, "a", 600))
            turns = 0
            while not task.done():
                turns += 1
                await asyncio.sleep(0)  # a turn of the loop, not a wait
            assert turns > 2
            with pytest.raises(redis.TimeoutError):
                task.result()


def redis_waits_for_ever():
    """Tell whether that is the default, as it was up to version 7."""
    from redis.connection import AbstractConnection

    options = inspect.signature(AbstractConnection.__init__).parameters
    return options["socket_timeout"].default is None


class TestClients:
    def test_the_other_kind_of_client_is_refused(self):
        import redis.asyncio

        with pytest.raises(ConfigurationError) as caught:
            RedisReplayStore(redis.asyncio.Redis(socket_timeout=1))
        assert str(caught.value) == (
            "The client is asynchronous; use AsyncRedisReplayStore"
        )
        with pytest.raises(ConfigurationError) as caught:
            AsyncRedisReplayStore(redis.Redis(socket_timeout=1))
        assert str(caught.value) == "The client is synchronous; use RedisReplayStore"

    @pytest.mark.parametrize(
        "make",
        [
            lambda kind: kind.Redis(socket_timeout=None),
            lambda kind: kind.Redis.from_url("redis://h", socket_timeout=None),
        ],
    )
    def test_a_client_that_may_wait_for_ever_is_named_in_a_warning(self, make, caplog):
        import redis.asyncio

        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(make(redis))
            AsyncRedisReplayStore(make(redis.asyncio))
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == 2
        assert all("may wait for ever for Redis" in message for message in messages)

    def test_retries_without_end_are_a_wait_without_end(self, caplog):
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        retry = Retry(NoBackoff(), -1)
        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(redis.Redis(socket_timeout=1, retry=retry))
        (record,) = caplog.records
        assert "may wait for ever" in record.getMessage()

    def test_every_attempt_counts_for_the_longest_wait(self, caplog):
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        retry = Retry(NoBackoff(), 10)
        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(redis.Redis(socket_timeout=0.5, retry=retry))
            assert not caplog.records
            RedisReplayStore(redis.Redis(socket_timeout=5, retry=retry))
        (record,) = caplog.records
        assert record.getMessage() == (
            "The replay store's client may wait 55 s for Redis, and a delivery is not "
            "answered meanwhile. Set socket_timeout and retry."
        )
        assert record.port_event == "replay_store_timeout"
        assert record.port_wait == 55

    @pytest.mark.parametrize("client", [None, "redis://h", redis.Redis, object()])
    def test_what_is_no_client_is_refused(self, client):
        for store in (RedisReplayStore, AsyncRedisReplayStore):
            with pytest.raises(ConfigurationError) as caught:
                store(client)
            name = type(client).__name__
            assert (
                str(caught.value) == f"client must be a client of redis-py, not {name}"
            )

    @pytest.mark.parametrize(("default", "warned"), [(None, 1), (5, 0)])
    def test_without_the_option_the_default_of_redis_py_counts(
        self, default, warned, caplog, monkeypatch
    ):
        # Up to version 7 it was to wait for ever.
        import redis.connection

        def init(self, *, socket_timeout=default): ...

        client = redis.Redis.from_url("redis://h")
        monkeypatch.setattr(redis.connection.AbstractConnection, "__init__", init)
        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(client)
        assert len(caplog.records) == warned

    def test_a_client_with_a_timeout_is_taken_in_silence(self, caplog):
        from redis.asyncio.cluster import RedisCluster
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with caplog.at_level(logging.WARNING, "port_webhook"):
            retry = Retry(NoBackoff(), 1)
            RedisReplayStore(redis.Redis(socket_timeout=1, retry=retry))
            AsyncRedisReplayStore(RedisCluster(host="h", socket_timeout=1))
            RedisReplayStore(Nonsense(0))
        assert not caplog.records

    @pytest.mark.parametrize(
        "members", [{}, {"connection_kwargs": {"socket_timeout": 8}}]
    )
    def test_a_client_that_does_not_tell_its_retries_has_none(self, members, caplog):
        kind = type("Redis", (Nonsense,), {"__module__": "redis.client", **members})
        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(kind(0))
        assert len(caplog.records) == (redis_waits_for_ever() and not members)

    def test_the_options_of_a_cluster_may_be_in_the_client_itself(self, caplog):
        # As in older versions of redis-py.
        members = {
            "__module__": "redis.asyncio.cluster",
            "connection_kwargs": {"socket_timeout": None},
            "eval": AsyncNonsense.eval,
        }
        with caplog.at_level(logging.WARNING, "port_webhook"):
            AsyncRedisReplayStore(type("RedisCluster", (), members)())
        (record,) = caplog.records
        assert record.port_wait is None

    def test_a_cluster_that_may_wait_for_ever_is_named_in_a_warning(
        self, redis_cluster, caplog
    ):
        from redis.cluster import RedisCluster

        client = RedisCluster(**redis_cluster.connection, socket_timeout=None)
        with caplog.at_level(logging.WARNING, "port_webhook"):
            RedisReplayStore(client)
        client.close()
        assert len(caplog.records) == 1


async def test_the_asynchronous_store_works_in_a_cluster(redis_cluster):
    from redis.asyncio.cluster import RedisCluster

    async with RedisCluster(**redis_cluster.connection, socket_timeout=30) as client:
        store = AsyncRedisReplayStore(client, prefix="async-cluster:")
        for number in range(20):
            key = f"{number}"
            assert await store.claim(key, "a", 600) == "claimed"
            assert await store.claim(key, "b", 600) == "in_progress"
            assert await store.commit(key, "a", 600) is True
            assert await store.claim(key, "b", 600) == "committed"
            await client.delete(f"async-cluster:{key}")


def test_the_module_needs_no_redis_py(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    assert replay_redis.RedisReplayStore(Answers(0)).claim(KEY, "a", 1) == "claimed"


def test_a_client_of_a_cluster_does_not_keep_a_wrong_connection(redis_cluster):
    from redis.cluster import RedisCluster

    client = RedisCluster(**redis_cluster.connection, socket_timeout=30)
    store = RedisReplayStore(client, prefix="cluster:")
    assert store.claim(KEY, "a", 600) == "claimed"
    pools = [
        node.redis_connection.connection_pool
        for node in client.get_nodes()
        if node.redis_connection is not None
    ]
    connections = [each for pool in pools for each in pool._available_connections]
    for connection in connections:
        connection._parser = Doubling(connection)
    assert store.claim(KEY, "b", 600) == "in_progress"

    with pytest.raises(ReplayStoreError, match="cannot give"):
        store.claim(KEY, "c", 600)

    assert not any(is_open(each) for each in connections)
    for connection in connections:
        connection._parser = connection._parser._parser
    assert store.release(KEY, "a") is True
    client.close()


async def test_an_asynchronous_one_does_not_either(redis_cluster):
    from redis.asyncio.cluster import RedisCluster

    async with RedisCluster(**redis_cluster.connection, socket_timeout=30) as client:
        store = AsyncRedisReplayStore(client, prefix="cluster:")
        assert await store.claim(KEY, "a", 600) == "claimed"
        connections: list[Any] = [
            each for node in client.get_nodes() for each in node._free
        ]
        for connection in connections:
            connection._parser = AsyncDoubling(connection)
        assert await store.claim(KEY, "b", 600) == "in_progress"

        with pytest.raises(ReplayStoreError, match="cannot give"):
            await store.claim(KEY, "c", 600)

        assert not any(each.is_connected for each in connections)
        for connection in connections:
            connection._parser = connection._parser._parser
        assert await store.release(KEY, "a") is True


def test_a_node_of_a_cluster_that_was_never_used_has_nothing_to_close():
    used: Any = Mock()

    replay_redis._disconnect_nodes([Mock(redis_connection=None), used])

    pool = used.redis_connection.connection_pool
    pool.disconnect.assert_called_once_with(inuse_connections=False)


async def test_the_idle_connections_of_a_node_are_closed_where_it_can_tell():
    async def close():
        pass

    old = Mock(spec=["disconnect"], disconnect=Mock(side_effect=close))
    new: Any = Mock(
        spec=["disconnect", "disconnect_free_connections"],
        disconnect_free_connections=Mock(side_effect=close),
    )

    await replay_redis._disconnect_nodes([new, old])

    old.disconnect.assert_called_once_with()
    new.disconnect_free_connections.assert_called_once_with()
    new.disconnect.assert_not_called()
