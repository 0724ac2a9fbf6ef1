"""Django Ninja: operations below `@api.post`, and an object for `auth=`."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

pytest.importorskip("ninja", reason="Django Ninja is not installed")

from django.test.utils import override_settings
from django.urls import path
from ninja import NinjaAPI, Router, Schema
from ninja.decorators import decorate_view
from ninja.errors import HttpError

from port_webhook import ConfigurationError, Delivery
from port_webhook.adapters import django as adapter
from port_webhook.adapters.django import PortWebhookNinjaAuth, webhook
from port_webhook.models import CustomPayload

from ..doubles import AsyncStore
from .project import chunked


class Context(Schema):
    runId: str  # noqa: N815  # as Port spells it


class Payload(Schema):
    context: Context


class Answer(Schema):
    run: str


@pytest.fixture
def api():
    return NinjaAPI(urls_namespace=f"api-{id(object())}", docs_url=None)


@pytest.fixture(params=["sync", "async"])
def post(request, site, api):
    """Serve what is decorated, synchronous or asynchronous, as an operation."""

    def decorate(decorator, function, **options):
        async def asynchronous(request, delivery, **kwargs):
            return function(request, delivery, **kwargs)

        def synchronous(request, delivery, **kwargs):
            return function(request, delivery, **kwargs)

        made: Any = asynchronous if request.param == "async" else synchronous
        made.__signature__ = inspect.signature(function)
        api.post("/port", **options)(decorator(made))
        site.set(ROOT_URLCONF=(path("", api.urls),))

    return decorate


def test_an_operation_gets_the_delivery_and_what_ninja_parses(site, post, guarded):
    def create(request, delivery: Delivery, payload: Payload, size: int = 1):
        assert request.port_delivery is delivery
        return {"run": payload.context.runId, "size": size}

    post(webhook(guarded), create)
    response = site.send(where="/port?size=2")
    assert (response.status_code, response.json()) == (200, {"run": "r_1", "size": 2})
    assert site.send(signs=None).status_code == 401


def test_the_delivery_is_no_parameter_of_the_schema(api, post, verifier):
    def create(request, delivery: Delivery, size: int):
        return None

    post(webhook(verifier), create)
    (operation,) = api.get_openapi_schema()["paths"]["/port"].values()
    assert [each["name"] for each in operation["parameters"]] == ["size"]
    assert "requestBody" not in operation


def test_nothing_is_parsed_before_the_request_is_verified(site, post, verifier):
    def create(request, delivery: Delivery, payload: Payload): ...

    post(webhook(verifier), create)
    for body in (b"{", b'{"context":1}'):
        response = site.send(body, signs=None)
        assert (response.status_code, response.json()) == (
            401,
            {"error": "unauthorized"},
        )
        assert response["WWW-Authenticate"] == "PortWebhook"
        assert site.send(body, signs=body).status_code in {400, 422}


@pytest.mark.parametrize(
    ("outcome", "status", "last"),
    [
        (lambda: {"run": "r_1"}, 200, "commit"),
        (lambda: {"no": "run"}, 500, "release"),  # does not fit the response model
        (lambda: (503, {"run": "r_1"}), 503, "release"),
        (lambda: HttpError(429, "later"), 429, "release"),
        (ValueError, 500, "release"),
    ],
)
@pytest.mark.filterwarnings("ignore:Returning tuple:DeprecationWarning")
def test_the_final_status_decides_about_the_claim(
    site, post, guarded, *, store, outcome, status, last
):
    def create(request, delivery: Delivery):
        result = outcome()
        if isinstance(result, Exception):
            raise result
        return result

    post(webhook(guarded), create, response={200: Answer, 503: Answer})
    assert site.send().status_code == status
    assert store.steps == ["claim", last]


def test_a_parameter_that_does_not_fit_releases(site, post, guarded, store):
    def create(request, delivery: Delivery, size: int): ...

    post(webhook(guarded), create)
    assert site.send().status_code == 422
    assert store.steps == ["claim", "release"]


@pytest.mark.parametrize("debug", [False, True])
def test_a_payload_that_is_not_the_model_is_an_answer(
    site, post, guarded, *, store, debug
):
    def create(request, payload: CustomPayload):
        return {}

    post(webhook(guarded, model=CustomPayload), create)
    with override_settings(DEBUG=debug):
        assert site.send(b"{", signs=b"{").status_code == 422
    assert store.steps == ["claim", "release"]
    assert site.send().status_code == 200


def test_the_verifier_is_chosen_once(site, post, make_verifier, store):
    chosen = []

    def choose(request):
        chosen.append(make_verifier(replay_store=store))
        return chosen[-1]

    def create(request, delivery: Delivery):
        return {}

    post(webhook(choose=choose), create)
    assert site.send().status_code == 200
    assert len(chosen) == 1
    assert store.steps == ["claim", "commit"]


def test_what_ninja_parses_is_what_the_agent_signed(site, post, make_verifier):
    def create(request, delivery: Delivery, payload: Payload):
        return request.body.decode()

    post(webhook(make_verifier(agent=True)), create)
    signed = b'{"context":{"runId":"r_1"}}'
    sent = b'{"context": {"runId": "r_1"}}'
    assert site.send(sent, signs=signed).json() == signed.decode()
    kind = "application/json; charset=utf-7"
    assert site.send(sent, signs=signed, kind=kind).status_code == 415


def test_a_router_that_is_included_twice_verifies_in_both(site, api, guarded, store):
    router = Router()

    @router.post("/port")
    @decorate_view(lambda run: run)
    @webhook(guarded)
    def create(request, delivery: Delivery):
        return {}

    api.add_router("/a", router)
    api.add_router("/b", router, url_name_prefix="b")
    site.set(ROOT_URLCONF=(path("", api.urls),))
    assert site.send(where="/a/port").status_code == 200
    assert store.steps == ["claim", "commit"]
    assert site.send(where="/b/port").json() == {"status": "duplicate"}
    assert site.send(where="/b/port", signs=None).status_code == 401


async def test_an_asynchronous_operation_awaits_the_store(site, api, make_verifier):
    store = AsyncStore()

    @api.post("/port")
    @webhook(make_verifier(replay_store=store))
    async def create(request, delivery: Delivery):
        return {}

    site.set(ROOT_URLCONF=(path("", api.urls),))
    assert (await site.asend()).status_code == 200
    assert store.steps == ["claim", "commit"]


# auth=


@pytest.fixture(params=["sync", "async"])
def authenticated(request, site, api):
    def serve(auth):
        def synchronous(request, payload: Payload):
            return {"run": request.auth.run_id, "payload": payload.context.runId}

        async def asynchronous(request, payload: Payload):
            return synchronous(request, payload)

        made = asynchronous if request.param == "async" else synchronous
        api.post("/port", auth=auth)(made)
        site.set(ROOT_URLCONF=(path("", api.urls),))

    return serve


def test_auth_is_the_delivery(site, authenticated, verifier):
    authenticated(PortWebhookNinjaAuth(verifier))
    assert site.send().json() == {"run": "r_1", "payload": "r_1"}
    assert site.send(**chunked(b'{"context":{"runId":"r_1"}}')).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"signs": None}, 401, "unauthorized"),
        ({"signs": b"another"}, 401, "unauthorized"),
        ({"kind": "text/plain; charset=utf-7"}, 415, "unsupported_media_type"),
        ({"CONTENT_LENGTH": "100"}, 400, "bad_request"),
    ],
)
def test_auth_refuses_in_ninjas_shape_and_asks_no_other(
    site, authenticated, verifier, *, changes, status, word
):
    authenticated([PortWebhookNinjaAuth(verifier), lambda request: True])
    response = site.send(**changes)
    assert (response.status_code, response.json()) == (status, {"detail": word})


def test_auth_reads_the_settings(site, authenticated):
    site.set(PORT_WEBHOOK=site.options)
    authenticated(PortWebhookNinjaAuth())
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401


def test_auth_refuses_a_replay_store(site, authenticated, guarded, store):
    with pytest.raises(ConfigurationError, match="PortWebhookMixin or webhook"):
        PortWebhookNinjaAuth(guarded)
    site.set(PORT_WEBHOOK={**site.options, "replay_store": store})
    authenticated(PortWebhookNinjaAuth())
    assert site.send().status_code == 500
    assert store.steps == []


@pytest.mark.parametrize("value", ["secret", type("Other", (), {})])
def test_auth_refuses_what_is_no_verifier(value):
    with pytest.raises(ConfigurationError, match="must be a Verifier"):
        PortWebhookNinjaAuth(value)


def test_auth_is_in_the_schema(api, authenticated, verifier):
    authenticated(PortWebhookNinjaAuth(verifier))
    schema = api.get_openapi_schema()["components"]["securitySchemes"]
    assert schema["PortWebhookNinjaAuth"] == {
        "type": "apiKey",
        "in": "header",
        "name": "x-port-signature",
    }


@pytest.mark.parametrize("kind", ["decorator", "bare", "called"])
def test_a_decorator_in_the_place_of_auth_lets_nobody_in(
    site, authenticated, verifier, kind
):
    auth = {"decorator": webhook(verifier), "bare": webhook, "called": webhook()}
    authenticated(auth[kind])
    assert site.send(signs=None).status_code == 500
    assert site.send().status_code == 500


def test_without_ninja_its_class_says_what_is_missing(monkeypatch):
    name = "port_webhook.adapters.django._ninja"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ninja.errors", None)
    with pytest.raises(ConfigurationError, match="django-ninja"):
        adapter.PortWebhookNinjaAuth  # noqa: B018  # loaded when it is asked for


def test_auth_takes_no_function_that_chooses():
    chooser: Any = lambda request: None  # noqa: E731  # what somebody may try
    with pytest.raises(ConfigurationError, match="must be a Verifier"):
        PortWebhookNinjaAuth(chooser)
