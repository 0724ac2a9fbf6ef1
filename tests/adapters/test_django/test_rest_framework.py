"""The REST framework: authentication, the mixin, function views."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from port_webhook import ConfigurationError
from port_webhook.adapters import django as adapter
from port_webhook.adapters.django import PortWebhookMixin, webhook

from .project import (
    BODY,
    JSON,
    LIMIT,
    MULTIPART,
    PARTS,
    chunked,
    make_class,
    make_mixed,
)


@pytest.fixture
def rest(site) -> Any:
    """The modules of the REST framework, which need these settings to be imported."""
    pytest.importorskip("rest_framework", reason="no REST framework is installed")
    from rest_framework import decorators, exceptions, permissions, response, viewsets
    from rest_framework import views as rest_views

    class Rest:
        APIView = rest_views.APIView
        ViewSet = viewsets.ViewSet
        Response = response.Response
        APIException = exceptions.APIException
        IsAuthenticated = permissions.IsAuthenticated
        api_view = staticmethod(decorators.api_view)
        authentication_classes = staticmethod(decorators.authentication_classes)
        Authentication = adapter.PortWebhookAuthentication

    return Rest


def make_rest_view(rest, verifier, views, *, others=()) -> Any:
    authentication: Any = type("Authentication", (rest.Authentication,), {})
    # Later, so that a class may be made with what would be refused at once.
    authentication.verifier = verifier

    def post(request):
        views.seen.append((request, request.auth, request.data))
        return rest.Response({"user": str(request.user)})

    return make_class(
        post,
        base=rest.APIView,
        authentication_classes=(*others, authentication),
        permission_classes=(rest.IsAuthenticated,),
    )


def test_the_rest_framework_authenticates(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    response = site.send()
    assert (response.status_code, response.json()) == (200, {"user": "port"})
    ((request, auth, data),) = views.seen
    assert auth.payload == BODY
    assert data == json.loads(BODY)
    assert request.port_delivery is auth


def test_the_rest_framework_parses_a_chunked_body(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    assert site.send(**chunked(BODY)).status_code == 200
    assert views.seen[0][2] == json.loads(BODY)


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_the_rest_framework_refuses_as_every_adapter_does(
    site, rest, views, verifier, *, others, method
):
    class Other:
        def authenticate(self, request):
            return None

        def authenticate_header(self, request):
            return None

    classes = (Other,) if others else ()
    site.serve(make_rest_view(rest, verifier, views, others=classes).as_view())
    for signs in (None, b"another"):
        response = site.send(signs=signs, method=method)
        assert response.status_code == 401
        assert response.json() == {"error": "unauthorized"}
        assert response["WWW-Authenticate"] == "PortWebhook"
    assert views.seen == []


def test_the_rest_framework_answers_what_concerns_the_body(site, rest, views, verifier):
    site.serve(make_rest_view(rest, verifier, views).as_view())
    response = site.send(CONTENT_LENGTH="100")
    assert (response.status_code, response.json()) == (400, {"error": "bad_request"})
    assert "WWW-Authenticate" not in response
    body = b"x" * (LIMIT + 1)
    assert site.send(body, signs=body).status_code == 413


def test_the_challenge_of_the_rest_framework_is_ports(rest):
    assert rest.Authentication().authenticate_header(None) == "PortWebhook"


def test_the_rest_framework_reads_the_settings(site, rest, views):
    site.set(PORT_WEBHOOK=site.options)
    site.serve(make_rest_view(rest, None, views).as_view())
    assert site.send().status_code == 200


def test_the_rest_framework_asks_for_a_verifier(site, rest, views, verifier):
    def choose(self, request):
        return request.headers["x-org"] and verifier

    site.serve(make_rest_view(rest, choose, views).as_view())
    assert site.send(HTTP_X_ORG="a").status_code == 200


def test_an_authentication_class_refuses_a_replay_store(site, rest, views, guarded):
    with pytest.raises(ConfigurationError, match="PortWebhookMixin"):
        type("Authentication", (rest.Authentication,), {"verifier": guarded})
    site.serve(make_rest_view(rest, guarded, views).as_view())
    with pytest.raises(ConfigurationError, match="PortWebhookMixin"):
        Client().generic("POST", "/port", BODY, JSON, headers=site.headers(BODY))
    assert views.seen == []


def test_an_authentication_class_may_have_its_verifier_when_it_is_defined(
    site, rest, views, verifier
):
    made: Any = type("Authentication", (rest.Authentication,), {"verifier": verifier})
    assert made.verifier is verifier


def test_an_authentication_class_reuses_what_an_outer_adapter_verified(
    site, rest, views, verifier
):
    inner = make_rest_view(rest, verifier, views).as_view()
    site.serve(webhook(verifier)(lambda request, delivery: inner(request)))
    assert site.send().status_code == 200
    assert views.seen[0][1] is views.seen[0][0].port_delivery


@pytest.mark.parametrize(("status", "last"), [(None, "commit"), (429, "release")])
def test_the_mixin_protects_a_view_of_the_rest_framework(
    site, rest, views, guarded, *, store, status, last
):
    def post(request, delivery):
        views.seen.append((request.data, delivery))
        if status is not None:
            error = rest.APIException()
            error.status_code = status
            raise error
        return rest.Response({})

    base = type("Base", (PortWebhookMixin, rest.APIView), {})
    made = make_mixed(post, base, verifier=guarded, authentication_classes=())
    site.serve(made.as_view())
    assert site.send(signs=None).status_code == 401
    assert site.send().status_code == (status or 200)
    ((data, delivery),) = views.seen
    assert data == delivery.json()
    assert store.steps == ["claim", last]


def test_a_response_that_cannot_be_rendered_releases(site, rest, views, guarded, store):
    def post(request, delivery):
        return rest.Response({"no JSON": object()})

    base = type("Base", (PortWebhookMixin, rest.APIView), {})
    made = make_mixed(post, base, verifier=guarded, authentication_classes=())
    site.serve(made.as_view())
    assert site.send().status_code == 500
    assert store.steps == ["claim", "release"]


def test_an_authentication_class_refuses_what_is_no_verifier(rest):
    with pytest.raises(ConfigurationError, match="must be a Verifier"):
        type("Authentication", (rest.Authentication,), {"verifier": "secret"})


def test_the_mixin_protects_a_view_set(site, rest, views, verifier):
    def create(self, request):
        return views.sync(request, self.delivery)

    attributes = {"create": create, "authentication_classes": ()}
    made: Any = type("Made", (PortWebhookMixin, rest.ViewSet), attributes)
    site.serve(made.as_view({"post": "create"}, verifier=verifier))
    assert site.send().status_code == 200
    assert site.send(signs=None).status_code == 401
    assert len(views.seen) == 1


@pytest.mark.parametrize("outside", [False, True])
def test_function_views_of_the_rest_framework_can_be_decorated(
    site, rest, views, guarded, *, store, outside
):
    def view(request, delivery):
        assert request.port_delivery is delivery
        views.seen.append(request.data)
        return rest.Response({})

    served = view if outside else webhook(guarded)(view)
    served = rest.api_view(["POST"])(rest.authentication_classes([])(served))
    site.serve(webhook(guarded)(served) if outside else served)
    assert site.send(signs=None).status_code == 401
    assert site.send().status_code == 200
    assert views.seen == [json.loads(BODY)]
    assert store.steps == ["claim", "commit"]


def test_without_the_rest_framework_its_class_says_what_is_missing(monkeypatch):
    name = "port_webhook.adapters.django._authentication"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr(adapter, "authentication", raising=False)
    monkeypatch.setitem(sys.modules, "rest_framework.authentication", None)
    with pytest.raises(ConfigurationError, match="djangorestframework"):
        adapter.PortWebhookAuthentication  # noqa: B018  # loaded when it is asked for
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError):
        adapter.PortWebhookAuthentication  # noqa: B018  # the same


def test_the_adapter_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        adapter.nothing  # noqa: B018  # the access is the test


def test_an_authentication_class_refuses_a_method_that_must_be_awaited(rest):
    async def choose(self, request): ...

    with pytest.raises(ConfigurationError, match="choose is asynchronous"):
        type("Authentication", (rest.Authentication,), {"verifier": choose})


def test_an_authentication_class_refuses_the_store_of_the_settings(
    site, rest, views, store
):
    site.set(PORT_WEBHOOK={**site.options, "replay_store": store})
    site.serve(make_rest_view(rest, None, views).as_view())
    with pytest.raises(ConfigurationError, match="PortWebhookMixin"):
        Client().generic("POST", "/port", BODY, JSON, headers=site.headers(BODY))
    assert (views.seen, store.steps) == ([], [])


def make_protected(rest, form, verifier, views) -> Any:
    """Return a view of the REST framework that shows what it reads."""

    def read(request):
        views.seen.append(request.data)
        return rest.Response({"body": request.body.decode()})

    if form == "authentication":
        authentication = type(
            "Authentication", (rest.Authentication,), {"verifier": verifier}
        )
        return make_class(
            read, base=rest.APIView, authentication_classes=(authentication,)
        ).as_view()
    if form == "mixin":
        base = type("Base", (PortWebhookMixin, rest.APIView), {})
        return make_mixed(
            lambda request, _: read(request),
            base,
            verifier=verifier,
            authentication_classes=(),
        ).as_view()

    def view(request, delivery):
        return read(request)

    served = view if form == "above" else webhook(verifier)(view)
    served = rest.api_view(["POST"])(rest.authentication_classes([])(served))
    return webhook(verifier)(served) if form == "above" else served


FORMS = ["authentication", "mixin", "above", "below"]


@pytest.mark.parametrize("form", FORMS)
def test_the_data_is_what_the_agent_signed(site, rest, views, make_verifier, form):
    site.serve(make_protected(rest, form, make_verifier(agent=True), views))
    body = b'{"context": {"runId": "r_1"}}'
    for changes in ({}, chunked(body)):
        response = site.send(body, signs=BODY, **changes)
        assert response.json() == {"body": BODY.decode()}
    assert views.seen == [json.loads(BODY)] * 2


@pytest.mark.parametrize("form", FORMS)
def test_the_data_is_not_read_in_another_charset(site, rest, views, verifier, form):
    site.serve(make_protected(rest, form, verifier, views))
    response = site.send(kind="application/json; charset=utf-7")
    assert response.status_code == 415
    assert response.json() == {"error": "unsupported_media_type"}
    assert site.send(HTTP_CONTENT_ENCODING="gzip").status_code == 415
    assert views.seen == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE"])
def test_a_method_that_port_does_not_use_is_refused(
    site, rest, views, verifier, *, form, method
):
    site.serve(make_protected(rest, form, verifier, views))
    response = site.send(method=method)
    # Above the decorator, the REST framework describes the view to OPTIONS by itself.
    is_described = (form, method) == ("below", "OPTIONS")
    assert response.status_code == (200 if is_described else 405)
    assert views.seen == []


def test_data_that_was_read_before_is_told_from_a_wrong_secret(
    site, rest, views, verifier, caplog
):
    class Reads:
        def has_permission(self, request, view):
            return bool(request.data)

    def view(request, delivery): ...

    served = webhook(verifier)(view)
    served.permission_classes = [Reads]  # as the REST framework's decorator does
    site.serve(rest.api_view(["POST"])(rest.authentication_classes([])(served)))
    assert site.send(PARTS, signs=PARTS, kind=MULTIPART).status_code == 400
    assert "was used before the body could be verified" in caplog.text


@pytest.mark.parametrize("form", ["above", "below"])
@pytest.mark.parametrize(
    ("data", "status", "last"), [({}, 200, "commit"), ({1: object()}, 500, "release")]
)
def test_a_response_of_a_function_view_counts_when_it_is_rendered(
    site, rest, guarded, *, store, form, data, status, last
):
    def view(request, delivery):
        return rest.Response(data)

    served = view if form == "above" else webhook(guarded)(view)
    served = rest.api_view(["POST"])(rest.authentication_classes([])(served))
    site.serve(webhook(guarded)(served) if form == "above" else served)
    response = site.send(HTTP_ACCEPT="application/json")
    assert response.status_code == status
    assert store.steps == ["claim", last]
    if status == 200:
        assert response.json() == {}
        assert response["Content-Type"] == JSON
        assert "Accept" in response["Vary"]


def test_data_on_another_response_changes_nothing(site, views, guarded, store):
    def act(request):
        response: Any = HttpResponse("done")
        response.data = "of somebody else's"
        return response

    views.act = act
    site.serve(webhook(guarded)(views.of("sync")))
    assert site.send().content == b"done"
    assert store.steps == ["claim", "commit"]
