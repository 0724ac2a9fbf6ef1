"""The Django store: its app, its transactions, and its statements."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import threading
import unittest
from typing import Any
from unittest.mock import Mock

import pytest

from port_webhook import Verifier, sign
from port_webhook.exceptions import (
    ConfigurationError,
    DuplicateDeliveryError,
    ReplayStoreError,
)
from port_webhook.replay._claims import Claims

from .worlds import Clock, PostgresWorld

pytest.importorskip("django", reason="Django is not installed")
KEY = "5f" * 32
SECRET = "the-client-secret"
BODY = b'{"run":{"id":"r_1"}}'


def test_a_row_holds_the_owner_and_the_expiry_and_no_more(django_world):
    world = django_world
    world.store.claim(KEY, "owner-token", 600)
    expiry = int(world.clock.now + 600) * 1000
    assert list(world.rows.values()) == [
        {"key": KEY, "owner": "owner-token", "expires_at": expiry}
    ]
    assert str(world.rows.get()) == KEY
    world.store.commit(KEY, "owner-token", 60)
    expiry = int(world.clock.now + 60) * 1000
    assert list(world.rows.values()) == [
        {"key": KEY, "owner": "", "expires_at": expiry}
    ]


def test_a_released_row_is_gone(django_world):
    django_world.store.claim(KEY, "a", 600)
    django_world.store.release(KEY, "a")
    assert not django_world.rows.exists()


def test_a_duplicate_only_reads(django_world):
    from django.test.utils import CaptureQueriesContext

    django_world.store.claim(KEY, "a", 600)
    with CaptureQueriesContext(django_world.connection) as queries:
        django_world.store.claim(KEY, "b", 600)
    (query,) = queries.captured_queries
    assert query["sql"].startswith("SELECT")


@pytest.mark.parametrize("step", ["claim", "commit", "release", "clear_expired"])
def test_an_open_transaction_is_refused_and_nothing_is_written(django_world, step):
    from django.db import transaction

    store = django_world.store
    arguments: dict[str, tuple[object, ...]] = {
        "claim": (KEY, "a", 600),
        "commit": (KEY, "a", 600),
        "release": (KEY, "a"),
        "clear_expired": (),
    }
    with (
        transaction.atomic(using=django_world.spec["alias"]),
        pytest.raises(ConfigurationError) as caught,
    ):
        getattr(store, step)(*arguments[step])
    assert str(caught.value) == (
        "The replay store cannot work inside a transaction, where nobody else sees a "
        "claim. Under ATOMIC_REQUESTS, mark the view with "
        "django.db.transaction.non_atomic_requests"
    )
    assert not django_world.rows.exists()
    assert store.claim(KEY, "a", 600) == "claimed"


def test_a_transaction_that_is_not_marked_as_a_test_cases_is_refused(django_world):
    """The mark is a private name of Django, which a version may not have."""
    from django.db import transaction

    with transaction.atomic(using=django_world.spec["alias"]):
        (block,) = django_world.connection.atomic_blocks
        del block._from_testcase
        with pytest.raises(ConfigurationError, match="inside a transaction"):
            django_world.store.claim(KEY, "a", 600)


def test_a_connection_without_autocommit_is_refused(django_world):
    django_world.connection.set_autocommit(False)
    with pytest.raises(ConfigurationError, match="inside a transaction"):
        django_world.store.claim(KEY, "a", 600)
    django_world.connection.set_autocommit(True)


def test_under_atomic_requests_a_view_can_be_taken_out(django_world, monkeypatch):
    from django.core.handlers.base import BaseHandler
    from django.db import connections, transaction

    alias = django_world.spec["alias"]
    monkeypatch.setitem(connections.settings[alias], "ATOMIC_REQUESTS", True)
    claim = django_world.store.claim

    def view() -> Any:
        return claim(KEY, "a", 600)

    with pytest.raises(ConfigurationError, match="non_atomic_requests"):
        BaseHandler().make_view_atomic(view)()
    view = transaction.non_atomic_requests(using=alias)(view)
    outside: Any = BaseHandler().make_view_atomic(view)
    assert outside() == "claimed"


def test_a_second_alias_works_inside_a_transaction(django_world):
    """What the documentation offers as the second choice under ATOMIC_REQUESTS."""
    from django.db import transaction

    other = django_world._build_other()
    with (
        contextlib.suppress(ZeroDivisionError),
        transaction.atomic(using=django_world.spec["alias"]),
    ):
        assert other.claim(KEY, "a", 600) == "claimed"
        assert other.commit(KEY, "a", 600) is True
        raise ZeroDivisionError
    assert django_world.store.claim(KEY, "b", 600) == "committed"


def _raise_database_error(_store):
    from django.db import DatabaseError

    raise DatabaseError


def test_the_transaction_of_a_test_case_is_let_pass(django_world):
    from django.db import DatabaseError
    from django.test import TestCase

    store, steps = django_world.store, []

    class Example(TestCase):
        databases = {django_world.spec["alias"]}  # as Django types it

        def test(self):
            steps.append(store.claim(KEY, "a", 600))
            # Lost the race for the row: the transaction can be used all the same.
            steps.append(
                store._insert(django_world.rows, KEY, "b", expires_at=10**15),
            )
            steps.append(store.claim(KEY, "b", 600))
            # An error must not close the connection, whose transaction is the test's.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(store), "_now", _raise_database_error)
                with pytest.raises(DatabaseError):
                    store.release(KEY, "a")
            steps.append(store.release(KEY, "a"))

    # Django's runner would create databases; a suite alone creates none.
    result = unittest.TestResult()
    unittest.TestSuite([Example("test")]).run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert steps == ["claimed", False, "in_progress", True]
    assert not django_world.rows.exists()


async def test_an_asynchronous_view_uses_the_thread_of_djangos_connections(
    django_world,
):
    """Any other thread would have a connection of its own, which nobody closes."""
    from asgiref.sync import ThreadSensitiveContext, sync_to_async

    threads = set()
    store = django_world.store

    class Watched:
        to_thread = staticmethod(type(store).to_thread)

        def __getattr__(self, step):
            threads.add(threading.get_ident())
            return getattr(store, step)

    verifier = Verifier(SECRET, replay_store=Watched())
    threads.clear()
    # As Django does for each request: the thread is one of its own.
    async with ThreadSensitiveContext():
        async with verifier.areceive(BODY, sign(BODY, SECRET)):
            pass
        assert threads == {await sync_to_async(threading.get_ident)()}
        await sync_to_async(django_world.leave_thread)()


async def test_a_thread_gets_all_arguments_and_gives_the_result(django_world):
    from asgiref.sync import ThreadSensitiveContext

    async with ThreadSensitiveContext():
        made = await django_world.store.to_thread(dict, [("a", 1)], b=2)
    assert made == {"a": 1, "b": 2}


def test_an_asynchronous_view_sees_the_transaction_of_a_test_case(django_world):
    from django.test import TestCase

    store, seen = django_world.store, []

    class Example(TestCase):
        databases = {django_world.spec["alias"]}  # as Django types it

        async def test(self):
            verifier = Verifier(SECRET, replay_store=store)
            headers = sign(BODY, SECRET)
            await verifier.averify(BODY, headers)
            with pytest.raises(DuplicateDeliveryError):
                await verifier.averify(BODY, headers)
            seen.append(verifier)

    result = unittest.TestResult()
    unittest.TestSuite([Example("test")]).run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert len(seen) == 1
    assert not django_world.rows.exists()


def claim(store):
    Claims(store, lease=60, fail_open=False).new(KEY, 360).take()


class TestExplanations:
    def test_a_missing_table_is_explained(self, django_world):
        from django.core.management import call_command

        alias = django_world.spec["alias"]
        call_command(
            "migrate", "port_webhook_replay", "zero", database=alias, verbosity=0
        )
        with pytest.raises(ReplayStoreError) as caught:
            claim(django_world.store)
        assert str(caught.value).endswith(
            f"Error: its table is missing; run manage.py migrate --database={alias}."
        )

    def test_the_default_database_needs_no_option(self, monkeypatch):
        from django.db import ProgrammingError

        from port_webhook.replay.django import DjangoReplayStore

        store = DjangoReplayStore()
        # As MySQL has it, which is not started here.
        error = ProgrammingError(1146, f"Table '{SECRET}' doesn't exist")
        monkeypatch.setattr(DjangoReplayStore, "claim", Mock(side_effect=error))
        with pytest.raises(ReplayStoreError) as caught:
            claim(store)
        assert str(caught.value) == (
            "The replay store failed to claim with ProgrammingError: its table is "
            "missing; run manage.py migrate."
        )

    @pytest.mark.parametrize(
        ("attribute", "state", "expected"),
        [
            ("sqlstate", "42P01", ": its table is missing; run manage.py migrate"),
            ("pgcode", "42P01", ": its table is missing; run manage.py migrate"),
            ("pgcode", "57014", ": SQLSTATE 57014."),
            ("sqlstate", "XX000", ": SQLSTATE XX000."),
            ("sqlstate", "0AZ99", ": SQLSTATE 0AZ99."),
            ("sqlstate", "57@14", "."),
            ("sqlstate", "5701", "."),
            ("sqlstate", "570140", "."),
            ("sqlstate", None, "."),
            ("sqlstate", SECRET, "."),
            ("sqlstate", ["42P01"], "."),
            ("other", "42P01", "."),
        ],
    )
    def test_the_state_of_an_error_is_named(
        self, django_world, monkeypatch, attribute, state, expected
    ):
        from django.db import DatabaseError

        error = DatabaseError(SECRET)
        error.__cause__ = Exception(SECRET)
        setattr(error.__cause__, attribute, state)
        store = django_world.store
        monkeypatch.setattr(type(store), "claim", Mock(side_effect=error))
        with pytest.raises(ReplayStoreError) as caught:
            claim(store)
        start = f"The replay store failed to claim with DatabaseError{expected}"
        assert str(caught.value).startswith(start)
        assert SECRET not in str(caught.value)

    def test_a_server_that_is_silent_is_explained(self, postgres_server):
        world = PostgresWorld(postgres_server)
        world.open()
        with (
            world.silent() as store,
            pytest.raises(ReplayStoreError, match="OperationalError: SQLSTATE 57014"),
        ):
            claim(store)
        world.close()


def test_the_loser_of_an_insertion_sees_who_won(django_world, monkeypatch):
    store = django_world.store
    insert = type(store)._insert

    def lose(self, rows, name, holder, expires_at):
        assert insert(self, rows, name, "winner", expires_at)
        return insert(self, rows, name, holder, expires_at)

    monkeypatch.setattr(type(store), "_insert", lose)
    assert store.claim(KEY, "a", 600) == "in_progress"
    assert django_world.rows.get().owner == "winner"


def test_the_loser_of_an_expired_row_sees_who_won(django_world):
    from django.db.models.query import QuerySet

    store = django_world.store
    store.claim(KEY, "a", 60)
    django_world.advance(60)
    update = QuerySet.update

    def lose(rows, **values):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(QuerySet, "update", update)
            store.claim(KEY, "winner", 600)
        return update(rows, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuerySet, "update", lose)
        assert store.claim(KEY, "b", 600) == "in_progress"
    assert django_world.rows.get().owner == "winner"


def test_who_loses_every_round_does_not_go_on_for_ever(django_world, monkeypatch):
    """Somebody else inserts and removes the row, again and again."""
    rounds = []

    def lose(self, *_args):
        rounds.append(1)
        return False

    monkeypatch.setattr(type(django_world.store), "_insert", lose)
    assert django_world.store.claim(KEY, "a", 600) == "in_progress"
    assert len(rounds) == 3


def test_a_receiver_of_deletions_does_not_weaken_the_release(django_world):
    """Django's delete() then reads first, and deletes what is there afterwards."""
    from django.db.models.signals import pre_delete
    from django.test.utils import CaptureQueriesContext

    def receiver(**_):
        raise AssertionError

    django_world.store.claim(KEY, "a", 600)
    pre_delete.connect(receiver)
    try:
        with CaptureQueriesContext(django_world.connection) as queries:
            assert django_world.store.release(KEY, "a") is True
    finally:
        pre_delete.disconnect(receiver)
    (query,) = queries.captured_queries
    assert query["sql"].startswith("DELETE")


def test_the_command_removes_what_has_expired_and_nothing_else(django_world):
    from django.core.management import call_command

    clock = Clock()
    # The command reads the machine's clock.
    clock.now = 0.0
    django_world.store._clock = clock
    django_world.store.claim("old", "a", 60)
    django_world.store.claim("old too", "a", 60)
    django_world.store.commit("old too", "a", 60)
    django_world.store.claim("new", "a", 10**10)
    alias = django_world.spec["alias"]
    output = io.StringIO()
    call_command("clear_replay_claims", database=alias, stdout=output)
    assert output.getvalue() == "Removed 2 expired replay claims.\n"
    assert [row.key for row in django_world.rows] == ["new"]
    output = io.StringIO()
    call_command("clear_replay_claims", database=alias, stdout=output, verbosity=0)
    assert not output.getvalue()


def test_the_command_clears_the_default_database_unless_another_is_named():
    from port_webhook.replay.django.management.commands.clear_replay_claims import (
        Command,
    )

    parser = Command().create_parser("manage.py", "clear_replay_claims")
    assert parser.parse_args([]).database == "default"
    assert parser.parse_args(["--database", "other"]).database == "other"
    shown = " ".join(parser.format_help().split())
    assert "Removes the expired rows of port-webhook's replay store." in shown
    assert (
        '--database DATABASE The alias of the database; "default" if left out.' in shown
    )


def test_the_migration_is_up_to_date(django_world):
    from django.core.management import call_command

    call_command(
        "makemigrations", "port_webhook_replay", check=True, dry_run=True, verbosity=0
    )


def test_an_alias_that_does_not_exist_is_refused(django_world):
    from port_webhook.replay.django import DjangoReplayStore

    with pytest.raises(ConfigurationError, match="no alias 'nowhere'"):
        DjangoReplayStore("nowhere")


def test_the_representation_names_the_alias(django_world):
    alias = django_world.spec["alias"]
    assert repr(django_world.store) == f"DjangoReplayStore(using={alias!r})"


def test_the_package_has_no_other_name():
    from port_webhook.replay import django

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = django.Nothing


def test_a_model_without_its_app_is_an_error_of_the_settings(django_world, monkeypatch):
    """The same in this process, where the app must first be made to look absent."""
    from django.apps import apps

    monkeypatch.delitem(sys.modules, "port_webhook.replay.django.models")
    monkeypatch.setattr(apps, "get_containing_app_config", lambda _name: None)
    with pytest.raises(ConfigurationError) as caught:
        django_world.store.claim(KEY, "a", 60)
    assert str(caught.value) == (
        'Add "port_webhook.replay.django" to INSTALLED_APPS, and migrate'
    )
    assert caught.value.__context__ is None


def test_a_project_without_the_app_is_told_to_add_it():
    code = """
from django.conf import settings
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(DATABASES={"default": database})
import django
django.setup()
from port_webhook.exceptions import ConfigurationError
from port_webhook.replay.django import DjangoReplayStore
try:
    DjangoReplayStore().claim("key", "a", 60)
except ConfigurationError as error:
    print(error, error.__context__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == (
        'Add "port_webhook.replay.django" to INSTALLED_APPS, and migrate None\n'
    )


def test_the_app_can_be_installed_and_used_from_settings_on():
    """The package is imported before the models may be; the store only uses them."""
    code = """
from port_webhook.replay.django import DjangoReplayStore
from django.conf import settings
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(
    DATABASES={"default": database}, INSTALLED_APPS=["port_webhook.replay.django"]
)
store = DjangoReplayStore()
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
print(store.claim("key", "a", 60), store.commit("key", "a", 60))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == "claimed True\n"
