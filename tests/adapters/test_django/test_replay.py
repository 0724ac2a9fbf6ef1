"""Claims, by the final status."""

from __future__ import annotations

import pytest
from asgiref.sync import markcoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.base import BaseHandler
from django.db import connections, transaction
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.utils.decorators import method_decorator

from port_webhook import ConfigurationError
from port_webhook.adapters.django import webhook

from ..doubles import AsyncStore
from .project import (
    BODY,
    JSON,
    make_mixed,
)


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (HttpResponse, "commit"),
        (lambda: HttpResponse(status=302), "commit"),
        (lambda: HttpResponse(status=404), "release"),
        (lambda: HttpResponse(status=503), "release"),
        (lambda: StreamingHttpResponse([b"a"]), "commit"),
        (lambda: StreamingHttpResponse([b"a"], status=500), "release"),
        (lambda: None, "release"),
    ],
)
def test_the_status_decides_whether_the_request_may_run_again(
    site, views, view, guarded, *, store, make, last
):
    views.act = lambda request: make()
    site.serve(webhook(guarded)(view))
    site.send()
    assert store.steps == ["claim", last]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404, 404),
        (PermissionDenied, 403),
        (SuspiciousOperation, 400),
        (BadRequest, 400),
        (ValueError, 500),
    ],
)
def test_an_exception_counts_by_the_status_of_its_answer(
    site, views, view, guarded, *, store, error, status
):
    def fail(request):
        raise error

    views.act = fail
    site.serve(webhook(guarded)(view))
    assert site.send().status_code == status
    assert store.steps == ["claim", "release"]


def test_a_synchronous_view_refuses_an_asynchronous_store(views, make_verifier):
    decorator = webhook(make_verifier(replay_store=AsyncStore()))
    assert decorator(views.of("async"))
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        decorator(views.of("sync"))


def test_a_view_that_hides_that_it_is_asynchronous_is_refused(
    site, views, guarded, store
):
    def view(*args):
        return views.asynchronous(*args)

    site.serve(webhook(guarded)(view))
    with pytest.raises(ConfigurationError, match="markcoroutinefunction"):
        Client().generic("POST", "/port", BODY, JSON, headers=site.headers(BODY))
    assert store.steps == ["claim", "release"]
    site.serve(webhook(guarded)(markcoroutinefunction(view)))
    assert site.send().status_code == 200


def test_an_asynchronous_view_may_answer_without_being_awaited(site, views, verifier):
    view = markcoroutinefunction(lambda request, delivery: HttpResponse("done"))
    site.serve(webhook(verifier)(view))
    assert site.send().content == b"done"


@pytest.mark.parametrize("form", ["above", "below", "mixin"])
def test_a_view_can_be_kept_out_of_the_transaction_of_the_request(
    view, verifier, form, monkeypatch
):
    exempt = transaction.non_atomic_requests
    served = {
        "above": lambda: exempt(webhook(verifier)(view)),
        "below": lambda: webhook(verifier)(exempt(view)),
        "mixin": lambda: method_decorator(exempt, name="dispatch")(
            make_mixed(view, verifier=verifier)
        ).as_view(),
    }[form]()
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert BaseHandler().make_view_atomic(served) is served
