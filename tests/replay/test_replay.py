"""The protocols, and what all stores do to their values."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest

from port_webhook import replay
from port_webhook.exceptions import ConfigurationError
from port_webhook.replay import _values

if TYPE_CHECKING:
    from port_webhook.replay.django import DjangoReplayStore
    from port_webhook.replay.dynamodb import DynamoDBReplayStore
    from port_webhook.replay.memory import MemoryReplayStore
    from port_webhook.replay.redis import AsyncRedisReplayStore, RedisReplayStore

    def _stores_follow_the_protocol(
        memory: MemoryReplayStore,
        redis: RedisReplayStore,
        django: DjangoReplayStore,
        dynamodb: DynamoDBReplayStore,
        async_redis: AsyncRedisReplayStore,
    ) -> tuple[list[replay.ReplayStore], replay.AsyncReplayStore]:
        return [memory, redis, django, dynamodb], async_redis


def test_the_public_names():
    assert replay.__all__ == ["AsyncReplayStore", "ClaimResult", "ReplayStore"]
    assert get_args(replay.ClaimResult) == ("claimed", "in_progress", "committed")


@pytest.mark.parametrize(
    "module", ["", ".memory", ".redis", ".dynamodb", ".django", ".django.apps"]
)
def test_no_module_loads_a_client_library_or_another_store(module):
    if module == ".django.apps":
        pytest.importorskip("django", reason="Django is not installed")
    code = (
        "import sys; import port_webhook; before = set(sys.modules)\n"
        f"import port_webhook.replay{module}\n"
        "print(*set(sys.modules) - before, sep='\\n')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    others = {"redis", "boto3", "botocore", "django"} - {module.split(".")[-1]}
    if module == ".django.apps":
        others.remove("django")
    assert not others & set(loaded)
    own = {name for name in loaded if name.startswith("port_webhook.replay.")}
    expected = {f"port_webhook.replay{name}" for name in ("._protocols", "._values")}
    expected.add(f"port_webhook.replay{module}")
    if module == ".django.apps":
        expected.add("port_webhook.replay.django")
    assert own <= expected
    if not module:
        assert own == {"port_webhook.replay._protocols"}
        assert "logging" not in loaded


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(0, 0), (0.0, 0), (1, 1000), (0.0001, 1), (1.0005, 1001), (60, 60_000)],
)
def test_milliseconds_are_rounded_up(seconds, milliseconds):
    assert _values.to_milliseconds(seconds) == milliseconds


@pytest.mark.parametrize("seconds", [0, 5, 0.5])
def test_seconds_are_a_float(seconds):
    found = _values.to_seconds(seconds)
    assert (found, type(found)) == (seconds, float)


@pytest.mark.parametrize("seconds", [float("inf"), 10**400, 1e300])
def test_for_ever_is_a_hundred_years(seconds):
    assert _values.to_seconds(seconds) == 3_153_600_000


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("-inf"), False, "1", None])
def test_what_is_no_duration_is_refused(seconds):
    with pytest.raises(ConfigurationError) as caught:
        _values.to_seconds(seconds)
    assert str(caught.value) == (
        "The lease and the time to live must be seconds, zero or more"
    )


def test_what_the_verifier_passes_is_stored_as_it_is():
    assert _values.to_name("5f" * 32) == "5f" * 32
    assert _values.to_name("5F" * 16) == "5F" * 16
    for plain in ("0", "9_-aZ", "Az", "x" * 64):
        assert _values.to_name(plain) == plain


@pytest.mark.parametrize("text", ["", "a b", "a\0", "\ud800", "x" * 65, "é", "a\n"])
def test_other_text_is_stored_as_its_hash(text):
    name = _values.to_name(text)
    assert name.startswith("sha256:")
    assert len(name) == _values.MAX_NAME
    # Nobody can pass the name itself to reach the same row.
    assert _values.to_name(name) != name


def test_the_hash_is_of_the_bytes_of_the_text():
    assert _values.to_bytes("\ud800é") == b"\xed\xa0\x80\xc3\xa9"
    digest = hashlib.sha256(b"a b").hexdigest()
    assert _values.to_name("a b") == f"sha256:{digest}"


class Client:
    """A client with one method, and something else that cannot be called."""

    number = 5

    def eval(self): ...


@pytest.mark.parametrize(
    ("client", "name"), [(Client, "type"), (Client(), "Client"), (None, "NoneType")]
)
def test_what_lacks_a_method_is_refused(client, name):
    with pytest.raises(ConfigurationError) as caught:
        _values.require_methods(client, ("eval", "number"), "a client of that kind")
    assert str(caught.value) == f"client must be a client of that kind, not {name}"


def test_a_client_that_has_the_methods_is_taken():
    _values.require_methods(Client(), ("eval",), "a client of that kind")
    with pytest.raises(ConfigurationError):
        _values.require_methods(Client, ("eval",), "a client of that kind")


@pytest.mark.parametrize("seconds", [0, 9.9, 10, "a mock"])
def test_a_short_wait_is_no_matter(records, seconds):
    _values.warn_of_wait("Redis", seconds, "retry")
    assert not records


@pytest.mark.parametrize(
    ("seconds", "how_long"), [(None, "for ever"), (10.5, "10.5 s"), (60, "60 s")]
)
def test_a_long_wait_is_a_warning(records, seconds, how_long):
    _values.warn_of_wait("Redis", seconds, "retry")
    (record,) = records
    assert record.levelno == logging.WARNING
    assert record.port_event == "replay_store_timeout"
    assert record.port_wait == seconds
    assert record.getMessage() == (
        f"The replay store's client may wait {how_long} for Redis, and a delivery is "
        "not answered meanwhile. Set retry."
    )
