"""The decorator among those of Django, CSRF protection and logins."""

from __future__ import annotations

import inspect

import django
import pytest
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from port_webhook.adapters.django import webhook

from .project import (
    make_class,
    make_mixed,
)


@pytest.mark.parametrize(
    "decorators",
    [
        ["webhook"],
        [require_POST, "webhook"],
        ["webhook", require_POST],
        [never_cache, "webhook", require_POST],
        ["webhook", csrf_protect],
        [csrf_protect, "webhook"],
    ],
)
@pytest.mark.parametrize("in_class", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_no_stacking_order_needs_a_csrf_token(
    site, views, view, verifier, *, decorators, in_class, bare
):
    if django.VERSION < (5, 0) and inspect.iscoroutinefunction(view):
        pytest.skip("Django's decorators take no asynchronous views before 5.0")
    site.set(PORT_WEBHOOK=site.options)
    ours = webhook if bare else webhook(verifier)
    chain = [ours if each == "webhook" else each for each in decorators]
    if in_class:
        made = make_class(view)
        served = method_decorator(chain, name="dispatch")(made).as_view()
    else:
        served = view
        for decorator in reversed(chain):
            served = decorator(served)
    site.serve(served)
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401
    assert len(views.seen) == 1


AUTH_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]


@pytest.mark.skipif(
    django.VERSION < (5, 1), reason="Django has no LoginRequiredMiddleware before 5.1"
)
@pytest.mark.parametrize(
    "form", ["function", "bare", "method_decorator", "mixin", "none"]
)
def test_no_login_is_required(site, views, verifier, form):
    site.set(INSTALLED_APPS=AUTH_APPS, PORT_WEBHOOK=site.options)
    from django.contrib.auth.middleware import LoginRequiredMiddleware
    from django.contrib.auth.models import AnonymousUser

    class Anonymous:
        def __init__(self, get_response):
            self._get_response = get_response
            self.process_view = LoginRequiredMiddleware(get_response).process_view

        def __call__(self, request):
            request.user = AnonymousUser()
            return self._get_response(request)

    served = {
        "function": webhook(verifier)(views.of("sync")),
        "bare": webhook(views.of("sync")),
        "method_decorator": method_decorator(webhook(verifier), name="dispatch")(
            make_class(views.of("sync"))
        ).as_view(),
        "mixin": make_mixed(views.of("sync")).as_view(verifier=verifier),
        "none": lambda request: HttpResponse(),
    }[form]
    site.serve(served, middleware=Anonymous)
    expected = (302, 302) if form == "none" else (200, 401)
    assert (site.send().status_code, site.send(signs=None).status_code) == expected
