"""The servers, once for a run, and a world for each test."""

from __future__ import annotations

import pytest

from . import servers, worlds


def _serve(make):
    try:
        server = make()
    except servers.UnavailableError as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_server():
    yield from _serve(servers.RedisServer)


@pytest.fixture(scope="session")
def redis_cluster():
    yield from _serve(lambda: servers.RedisServer(cluster=True))


@pytest.fixture(scope="session")
def postgres_server():
    yield from _serve(servers.PostgresServer)


@pytest.fixture(scope="session")
def dynamodb_server():
    yield from _serve(servers.DynamoDBServer)


def _make_world(name, request):
    def server(fixture):
        return request.getfixturevalue(fixture)

    makers = {
        "memory": worlds.MemoryWorld,
        "sqlite": lambda: worlds.SQLiteWorld(request.getfixturevalue("tmp_path")),
        "postgresql": lambda: worlds.PostgresWorld(server("postgres_server")),
        "dynamodb": lambda: worlds.DynamoDBWorld(server("dynamodb_server")),
        "dynamodb-mocked": worlds.MockedDynamoDBWorld,
        "redis-cluster": lambda: worlds.RedisWorld(server("redis_cluster"), name),
    }
    if name in makers:
        return makers[name]()
    kind, _, decoded = name.partition("+")
    return worlds.RedisWorld(
        server("redis_server"), kind, decode_responses=bool(decoded)
    )


def _open(name, request):
    world = _make_world(name, request)
    try:
        world.open()
        yield world
    finally:
        world.close()


SHARED = [
    "redis",
    "redis+decoded",
    "redis-async",
    "redis-async+decoded",
    "redis-cluster",
    "sqlite",
    "postgresql",
    "dynamodb",
]


@pytest.fixture(params=["memory", *SHARED, "dynamodb-mocked"])
def world(request):
    """Every store; DynamoDB also without a server, for the mutation tests."""
    yield from _open(request.param, request)


@pytest.fixture(params=["memory", *SHARED])
def threaded_world(request):
    """Every store that threads can share: moto takes no lock, its server does."""
    yield from _open(request.param, request)


@pytest.fixture(params=SHARED)
def shared_world(request):
    """Every store that several processes can share."""
    yield from _open(request.param, request)


@pytest.fixture(params=[name for name in SHARED if "+decoded" not in name])
def raced_world(request):
    """Every such store, once: how a client reads the answers does not matter there."""
    yield from _open(request.param, request)


@pytest.fixture(params=[name for name in ["memory", *SHARED] if name != "dynamodb"])
def limited_world(request):
    """Every store whose room can be limited; DynamoDB's cannot."""
    yield from _open(request.param, request)


@pytest.fixture(params=["sqlite", "postgresql"])
def django_world(request):
    yield from _open(request.param, request)


@pytest.fixture
def dynamodb_world(request):
    """One without a server, which is enough for a single step, and quick."""
    yield from _open("dynamodb-mocked", request)


@pytest.fixture(params=["redis", "redis-async"])
def redis_world(request):
    yield from _open(request.param, request)
