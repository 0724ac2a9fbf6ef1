"""Class-based views: the mixin, and `dispatch` decorated."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.decorators import method_decorator
from django.views import View

from port_webhook import ConfigurationError
from port_webhook.adapters.django import PortWebhookMixin, webhook

from ..doubles import AsyncStore
from .project import (
    BODY,
    UNAUTHORIZED,
    Mixed,
    make_class,
    make_method,
    make_mixed,
)


@pytest.mark.parametrize("bare", [False, True])
async def test_dispatch_can_be_decorated(site, views, view, guarded, *, store, bare):
    site.set(PORT_WEBHOOK={**site.options, "replay_store": store})
    decorator = method_decorator(webhook if bare else webhook(guarded), name="dispatch")
    site.serve(decorator(make_class(view)).as_view())
    assert (await site.asend(where="/port/7")).status_code == 200
    assert views.seen[0][1].payload == BODY
    assert views.seen[0][2] == {"pk": 7}
    assert store.steps == ["claim", "commit"]
    assert (await site.asend(b"", signs=b"", method="GET")).status_code == 405
    assert (await site.asend(method="GET", signs=None)).status_code == 401
    assert store.steps == ["claim", "commit", "claim", "release"]


async def test_an_asynchronous_class_may_have_an_asynchronous_store(
    site, views, make_verifier
):
    store = AsyncStore()
    decorator = method_decorator(
        webhook(make_verifier(replay_store=store)), name="dispatch"
    )
    site.serve(decorator(make_class(views.of("async"))).as_view())
    assert (await site.asend()).status_code == 200
    assert store.steps == ["claim", "commit"]
    site.serve(decorator(make_class(views.of("sync"))).as_view())
    assert (await site.asend()).status_code == 500
    assert len(views.seen) == 1


def test_an_asynchronous_dispatch_can_be_decorated(site, views, verifier):
    dispatch = make_method(views.of("async"))
    made = make_class(
        views.of("async"), dispatch=method_decorator(webhook(verifier))(dispatch)
    )
    site.serve(made.as_view())
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


@pytest.mark.parametrize("bare", [False, True])
async def test_what_as_view_makes_can_be_decorated(
    site, views, view, verifier, *, bare
):
    site.set(PORT_WEBHOOK=site.options)
    made = make_class(view, dispatch=make_method(view)).as_view()
    site.serve(webhook(made) if bare else webhook(verifier)(made))
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401
    assert len(views.seen) == 1


@pytest.mark.parametrize("form", ["attribute", "method", "static", "argument", "none"])
async def test_a_mixin_finds_its_verifier(site, views, view, verifier, form):
    site.set(PORT_WEBHOOK=site.options)
    forms: dict[str, Any] = {
        "attribute": verifier,
        "method": lambda self, request: self and request and verifier,
        "static": staticmethod(lambda request: request and verifier),
        "none": None,
    }
    if form in forms:
        site.serve(make_mixed(view, verifier=forms[form]).as_view())
    else:
        site.serve(make_mixed(view).as_view(verifier=verifier))
    assert (await site.asend(where="/port/7")).status_code == 200
    assert views.seen[0][1].payload == BODY
    assert views.seen[0][2] == {"pk": 7}
    for method in ("POST", "GET", "PUT"):
        response = await site.asend(signs=None, method=method)
        assert (response.status_code, response.content) == (401, UNAUTHORIZED)
    assert len(views.seen) == 1


async def test_the_verifier_of_an_asynchronous_view_may_be_awaited(
    site, views, verifier
):
    async def choose(self, request):
        return verifier

    site.serve(make_mixed(views.of("async"), verifier=choose).as_view())
    assert (await site.asend()).status_code == 200
    assert (await site.asend(signs=None)).status_code == 401


def test_a_mixin_parses_the_payload(site, views, view, verifier):
    from port_webhook import CustomPayload

    site.serve(make_mixed(view).as_view(verifier=verifier, model=CustomPayload))
    assert site.send().status_code == 200
    assert isinstance(views.seen[0][1], CustomPayload)
    assert site.send(b"{", signs=b"{").status_code == 422


def test_a_mixin_needs_no_csrf_token_though_dispatch_is_overridden(
    site, view, verifier
):
    class Overridden(Mixed):
        def dispatch(self, request, *args, **kwargs):
            return super().dispatch(request, *args, **kwargs)

    site.serve(make_mixed(view, Overridden).as_view(verifier=verifier))
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_a_mixin_behind_the_view_is_refused():
    with pytest.raises(ConfigurationError, match="before the view"):
        type("Made", (View, PortWebhookMixin), {})


def test_a_mixin_may_be_extended_without_a_view():
    made: Any = type("Made", (PortWebhookMixin,), {})
    assert made.verifier is None


def test_a_mixin_refuses_an_asynchronous_store_in_a_synchronous_view(
    views, make_verifier
):
    verifier = make_verifier(replay_store=AsyncStore())
    make_mixed(views.of("async")).as_view(verifier=verifier)
    mixed = make_mixed(views.of("sync"))
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        mixed.as_view(verifier=verifier)
    mixed.verifier = verifier
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        mixed.as_view()
