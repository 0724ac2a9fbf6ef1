"""What the decorator cannot mean is an error at import, or of a system check."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from port_webhook import ConfigurationError
from port_webhook.adapters.django import webhook

from .project import make_class, make_mixed

HINT = r'method_decorator\(webhook\(\.\.\.\), name="dispatch"\).*PortWebhookMixin'


async def choose_later(request):
    raise NotImplementedError


class ChooseLater:
    async def __call__(self, request):
        raise NotImplementedError


def decorators(verifier) -> dict[str, Any]:
    return {
        "bare": webhook,
        "called": webhook(),
        "verifier": webhook(verifier),
        "choose": webhook(choose=lambda request: verifier),
    }


@pytest.mark.parametrize("form", ["bare", "called", "verifier", "choose"])
def test_a_class_is_refused(verifier, form):
    with pytest.raises(ConfigurationError, match=HINT):
        decorators(verifier)[form](type("V", (View,), {}))


@pytest.mark.parametrize("form", ["bare", "called", "verifier", "choose"])
@pytest.mark.parametrize("between", [False, True])
def test_a_method_in_a_class_body_is_refused(verifier, form, between):
    def post(self, request, delivery): ...

    with pytest.raises(ConfigurationError, match=f"post is a method.*{HINT}"):
        decorators(verifier)[form](require_POST(post) if between else post)


@pytest.mark.parametrize("chooser", [choose_later, ChooseLater()])
def test_an_asynchronous_chooser_of_a_synchronous_view_is_refused(views, chooser):
    webhook(choose=chooser)(views.of("async"))
    with pytest.raises(ConfigurationError, match="choose is asynchronous"):
        webhook(choose=chooser)(views.of("sync"))
    mixed = make_mixed(views.of("sync"), verifier=staticmethod(chooser))
    with pytest.raises(ConfigurationError, match="choose is asynchronous"):
        mixed.as_view()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("a secret", "must be a Verifier, not str"),
        (lambda request: None, "passed as choose="),
        (lambda: None, "no parameter for the delivery"),
        (lambda request, delivery=None: None, "must not have a default"),
    ],
)
def test_what_is_neither_a_verifier_nor_a_view_is_refused(target, message):
    with pytest.raises(ConfigurationError, match=message):
        webhook(target)


def test_a_built_in_function_is_taken_as_it_is(verifier):
    """It does not tell its parameters."""
    assert webhook(verifier)(min)


# Choosers in threads


async def test_a_synchronous_chooser_of_an_asynchronous_view_runs_in_a_thread(
    site, views, verifier
):
    threads = []

    def choose(request):
        threads.append(threading.current_thread())
        return verifier

    site.serve(webhook(choose=choose)(views.of("async")))
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401
    assert threading.current_thread() not in threads
    assert len(threads) == 2
    site.serve(make_mixed(views.of("async"), verifier=staticmethod(choose)).as_view())
    assert (await site.asend()).status_code == 200
    assert threading.current_thread() not in threads


# System checks


def errors():
    return [(each.id, each.obj) for each in run_checks(tags=["urls"])]


def test_the_check_finds_a_decorated_post(site, views, verifier):
    """method_decorator shows neither the class nor the name of the method."""
    post = method_decorator(webhook(verifier))(lambda self, request, delivery: None)
    made: Any = type("Made", (View,), {"post": post})
    site.set(ROOT_URLCONF=(path("a/", include([path("b", made.as_view())])),))
    (error,) = run_checks(tags=["urls"])
    assert error.id == "port_webhook.E002"
    assert "Made.post" in error.msg
    assert "name=" in (error.hint or "")
    site.set(MIDDLEWARE=[])
    assert errors() == []


def test_the_check_lets_a_decorated_post_of_an_exempt_class_pass(site, views, verifier):
    made: Any = method_decorator(webhook(verifier), name="post")(
        make_class(views.of("sync"))
    )
    exempt = method_decorator(csrf_exempt, name="dispatch")(made)
    site.serve(exempt.as_view())
    assert errors() == []
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_the_check_finds_an_asynchronous_chooser_of_a_synchronous_class(site, views):
    decorator = method_decorator(webhook(choose=choose_later), name="dispatch")
    asynchronous = decorator(make_class(views.of("async")))
    synchronous = decorator(make_class(views.of("sync")))
    site.set(
        ROOT_URLCONF=(
            path("a", asynchronous.as_view()),
            path("b", synchronous.as_view()),
        )
    )
    assert errors() == [("port_webhook.E003", synchronous)]


def test_the_check_has_nothing_to_say_about_other_views(site, views, view, verifier):
    site.set(
        ROOT_URLCONF=(
            path("a", webhook(verifier)(view)),
            path("b", make_mixed(view, verifier=verifier).as_view()),
            path("c", make_class(view).as_view()),
            path("d", lambda request: HttpResponse()),
            path(
                "e",
                method_decorator(webhook(verifier), name="dispatch")(
                    make_class(view)
                ).as_view(),
            ),
        )
    )
    assert errors() == []


def test_the_check_needs_no_url_configuration(site):
    site.set(ROOT_URLCONF=None)
    assert errors() == []
