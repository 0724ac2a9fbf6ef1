"""The settings and their system check."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.views import View

from port_webhook import ConfigurationError
from port_webhook.adapters.django import PortWebhookMixin, default_verifier, webhook
from port_webhook.adapters.django import _conf as adapter_conf

from ..doubles import Store


def test_the_verifier_of_the_settings_is_built_once(site):
    site.set(PORT_WEBHOOK=site.options)
    assert default_verifier() is default_verifier()


def test_a_changed_setting_gives_another_verifier(site):
    site.set(PORT_WEBHOOK=site.options)
    before = default_verifier()
    site.set(DEBUG=True)
    assert default_verifier() is before
    site.set(PORT_WEBHOOK={**site.options, "agent": True})
    assert "agent=True" in repr(default_verifier())


def test_the_options_are_those_of_a_verifier_in_either_case(site):
    site.set(PORT_WEBHOOK={"SECRET": "a", "previous_secrets": ["b"], "Max_Age": 60})
    assert "secrets=2 max_age=60 " in repr(default_verifier())


def test_a_secret_may_be_a_setting_of_its_own(site):
    site.set(PORT_CLIENT_SECRET="a", PORT_WEBHOOK={"previous_secrets": ["b"]})
    assert "secrets=2" in repr(default_verifier())
    site.set(PORT_CLIENT_SECRET="")
    with pytest.raises(ConfigurationError, match="empty"):
        default_verifier()


def test_without_settings_the_environment_is_read(site, monkeypatch):
    with pytest.raises(ConfigurationError, match="PORT_CLIENT_SECRET is not set"):
        default_verifier()
    monkeypatch.setenv("PORT_CLIENT_SECRET", "a")
    monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "b")
    assert "secrets=2" in repr(default_verifier())


def a_function(*_):
    """Be a hook that a setting names."""


def a_factory():
    return Store(remembers=True)


def a_bad_factory():
    message = "as the store says"
    raise ConfigurationError(message)


def test_what_cannot_be_imported_in_the_settings_is_named_by_its_path(site):
    hook = f"{__name__}.a_function"
    site.set(
        PORT_WEBHOOK={
            **site.options,
            "on_verified": hook,
            "on_rejected": hook,
            "replay_store": f"{__name__}.a_factory",
        }
    )
    assert default_verifier().has_replay_store
    assert default_verifier()._records.on_rejected is a_function
    site.set(
        PORT_WEBHOOK={
            **site.options,
            "replay_store": "port_webhook.replay.memory.MemoryReplayStore",
        }
    )
    assert default_verifier().has_replay_store


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("a-made-up-secret", "must be a dictionary"),
        (None, "must be a dictionary"),
        ({"secret": ""}, "secret is empty"),
        ({"secret": None}, "secret"),
        ({"secret": "a", "maxage": 1}, "has no option maxage"),
        ({"secret": "a", "SECRET": "b"}, "gives an option twice"),
        ({"secret": "a", "max_age": -1}, "max_age must be"),
        ({"previous_secrets": ["a"]}, "but no secret"),
        ({"secret": "a", "clock": "no.such.module"}, "ModuleNotFoundError"),
        ({"secret": "a", "clock": "nowhere"}, "ImportError"),
        ({"secret": "a", "replay_store": "builtins.compile"}, "TypeError"),
        ({"secret": "a", "replay_store": "builtins.bool"}, "with claim, commit"),
        (
            {"secret": "a", "replay_store": f"{__name__}.a_bad_factory"},
            "as the store says",
        ),
    ],
)
def test_wrong_settings_are_refused_and_reported_by_the_system_check(
    site, options, message
):
    site.set(PORT_WEBHOOK=options)
    with pytest.raises(ConfigurationError, match=message) as caught:
        default_verifier()
    assert caught.value.__context__ is None
    frames = []
    trace = caught.value.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    assert not any("options" in frame.f_locals for frame in frames[1:])
    (error,) = run_checks(tags=["security"])
    assert error.id == "port_webhook.E001"
    assert message in error.msg


def test_the_check_reports_nothing_where_all_is_well(site):
    site.set(PORT_WEBHOOK=site.options)
    assert run_checks(tags=["security"]) == []


def test_the_check_reports_a_missing_secret_where_one_is_needed(
    site, views, monkeypatch
):
    monkeypatch.setattr(adapter_conf.default, "is_used", False)
    assert run_checks(tags=["security"]) == []
    webhook(views.of("sync"))
    (error,) = run_checks(tags=["security"])
    assert error.msg == "PORT_CLIENT_SECRET is not set"
    monkeypatch.setattr(adapter_conf.default, "is_used", False)
    site.set(INSTALLED_APPS=["port_webhook.adapters.django"])
    (error,) = run_checks(tags=["security"])
    assert error.hint == (
        "Set PORT_CLIENT_SECRET in the environment, or the setting PORT_CLIENT_SECRET "
        "or PORT_WEBHOOK."
    )


async def test_an_asynchronous_function_may_choose_for_an_asynchronous_view(
    site, views, verifier
):
    async def choose(request):
        return verifier

    site.serve(webhook(choose=choose)(views.of("async")))
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401
    assert len(views.seen) == 1


def test_the_check_asks_the_settings_even_if_a_verifier_was_built(
    site, views, monkeypatch
):
    webhook(views.of("sync"))
    monkeypatch.setenv("PORT_CLIENT_SECRET", "a secret")
    assert default_verifier() is default_verifier()
    assert run_checks(tags=["security"]) == []
    monkeypatch.setenv("PORT_CLIENT_SECRET", "")
    (error,) = run_checks(tags=["security"])
    assert error.msg == "PORT_CLIENT_SECRET is empty"


def test_a_mixin_refuses_what_is_no_model_when_it_is_set_up(verifier):
    made: Any = type("Made", (PortWebhookMixin, View), {"verifier": verifier})
    with pytest.raises(ConfigurationError, match="int is not a model"):
        made.as_view(model=int)


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"PORT_WEBHOOK": {"secret": "a"}}, "the setting PORT_WEBHOOK"),
        ({"PORT_CLIENT_SECRET": "a"}, "the setting PORT_CLIENT_SECRET"),
        (
            {"PORT_CLIENT_SECRET": "a", "PORT_WEBHOOK": {"previous_secrets": ["b"]}},
            "the setting PORT_CLIENT_SECRET",
        ),
        ({}, "PORT_CLIENT_SECRET"),
    ],
)
def test_a_mismatch_names_where_the_secret_came_from(
    site, views, monkeypatch, caplog, *, changes, source
):
    monkeypatch.setenv("PORT_CLIENT_SECRET", "c")
    options = {"clock": site.options["clock"], **changes.get("PORT_WEBHOOK", {})}
    site.serve(webhook(views.of("sync")), **{**changes, "PORT_WEBHOOK": options})
    assert site.send().status_code == 401
    (record,) = [each for each in caplog.records if hasattr(each, "port_code")]
    assert f"from {source} tried" in record.getMessage()


def test_every_option_of_a_verifier_is_a_setting(site):
    site.set(PORT_WEBHOOK={**site.options, "replay_ttl": 86_400, "REPLAY_SCOPE": "a"})
    assert default_verifier().replay_scope == "a"
    site.set(PORT_WEBHOOK={**site.options, "replay_ttl": -1})
    with pytest.raises(ConfigurationError, match="replay_ttl"):
        default_verifier()


def test_a_decorated_view_follows_settings_that_a_test_changes(site, views):
    site.serve(webhook(views.of("sync")), PORT_WEBHOOK=site.options)
    assert site.send().status_code == 200
    site.set(PORT_WEBHOOK={**site.options, "secret": "another"})
    assert site.send().status_code == 401
