"""The Flask adapter: the forms of the decorator, and the views it takes."""

from __future__ import annotations

import functools
import json
import operator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Request, abort, g
from flask.views import MethodView, View

from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    sign,
)
from port_webhook.adapters.flask import webhook

from .doubles import BODY, SECRET, Store, make, signed
from .flask_requests import Views, post

PAYLOADS = Path(__file__).parents[1] / "fixtures" / "payloads"
INVOCATION = (PAYLOADS / "envelope_create.json").read_bytes()
RUN_ID = json.loads(INVOCATION)["context"]["runId"]


@pytest.fixture
def app():
    return Flask(__name__)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def seen():
    return Views()


# --- The forms of the decorator -------------------------------------------------------


def test_the_choosing_function_may_be_built_in(app, client, seen):
    class OwnRequest(Request):
        verifier = make()

    app.request_class = OwnRequest
    app.post("/port")(webhook(choose=operator.attrgetter("verifier"))(seen))
    assert post(client).status_code == 200
    assert post(client, headers={}).status_code == 401


def test_the_choosing_function_may_answer_by_itself(app, client, seen):
    def choose(request):
        abort(404)

    app.post("/port")(webhook(choose=choose)(seen))
    assert post(client).status_code == 404
    assert seen.deliveries == []


def test_a_view_may_take_arguments_of_its_route(app, client):
    @app.post("/<org>/<int:number>")
    @webhook(make())
    def port(delivery, org, number):
        return [delivery.run_id, org, number]

    assert post(client, path="/acme/7").json == ["r_1", "acme", 7]


def test_bare_webhook_takes_arguments_of_its_route(app, client, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)

    @app.post("/<org>")
    @webhook
    def port(delivery, org):
        return [delivery.run_id, org]

    assert post(client, path="/a", headers=sign(BODY, SECRET)).json == ["r_1", "a"]


# --- Models ---------------------------------------------------------------------------


def test_a_view_may_receive_a_pydantic_model(app, client):
    import pydantic

    class Model(pydantic.BaseModel):
        context: dict[str, str]

    @app.post("/port")
    @webhook(make(), model=Model)
    def port(model):
        assert isinstance(model, Model)
        return model.context

    answer = post(client)
    assert (answer.status_code, answer.json) == (200, {"runId": "r_1"})


# --- Asynchronous views, blueprints, classes ------------------------------------------


def test_a_view_may_be_asynchronous(app, client):
    @app.post("/port")
    @webhook(make())
    async def port(delivery):
        assert g.port_delivery is delivery
        return {"run": delivery.run_id}

    assert post(client).json == {"run": "r_1"}
    assert post(client, headers={}).status_code == 401


def test_bare_webhook_takes_an_asynchronous_view(app, client, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)

    @app.post("/port")
    @webhook
    async def port(delivery):
        return {"run": delivery.run_id}

    assert post(client, headers=sign(BODY, SECRET)).json == {"run": "r_1"}


def test_an_asynchronous_view_ends_its_claim_by_its_status(app, client):
    store = Store()

    @app.post("/port")
    @webhook(make(replay_store=store))
    async def port(delivery):
        return "no", 500

    assert post(client).status_code == 500
    assert store.steps == ["claim", "release"]


def test_a_view_may_belong_to_a_blueprint(app, client, seen):
    blueprint = Blueprint("hooks", __name__, url_prefix="/hooks")
    blueprint.post("/port", endpoint="port")(webhook(make())(seen))
    app.register_blueprint(blueprint)
    assert post(client, path="/hooks/port").status_code == 200
    assert post(client, path="/hooks/port", headers={}).status_code == 401
    assert len(seen.deliveries) == 1


def test_in_a_method_the_delivery_follows_self(app, client):
    class Port(MethodView):
        @webhook(make())
        def post(self, delivery, org):
            assert isinstance(self, Port)
            return [delivery.run_id, org]

    app.add_url_rule("/<org>", view_func=Port.as_view("port"))
    assert post(client, path="/a").json == ["r_1", "a"]
    assert post(client, path="/a", headers={}).status_code == 401


def test_bare_webhook_may_decorate_a_method(app, client, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)

    class Port(MethodView):
        @webhook
        def post(self, delivery):
            assert isinstance(self, Port)
            return [delivery.run_id]

        @webhook
        async def put(self, delivery):
            assert isinstance(self, Port)
            return [delivery.run_id]

    app.add_url_rule("/port", view_func=Port.as_view("port"))
    headers = sign(BODY, SECRET)
    assert post(client, headers=headers).json == ["r_1"]
    assert client.put("/port", data=BODY, headers=headers).json == ["r_1"]


def other(view):
    """Stand for another decorator between ours and the view."""

    @functools.wraps(view)
    def wrapper(*args, **kwargs):
        return view(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "decorators",
    [
        [webhook(make())],
        [other, webhook(make())],
        [webhook(make()), other],
        [webhook(make()), webhook(make())],
    ],
    ids=["alone", "above another", "below another", "twice"],
)
def test_a_class_may_name_webhook_among_its_decorators(app, client, decorators):
    class Port(MethodView):
        def post(self, delivery, org):
            return [delivery.run_id, org]

        async def put(self, delivery, org):
            return [delivery.run_id, org]

    Port.decorators = decorators
    app.add_url_rule("/<org>", view_func=Port.as_view("port"))
    headers = signed()
    assert post(client, path="/a").json == ["r_1", "a"]
    assert client.put("/a", data=BODY, headers=headers).json == ["r_1", "a"]
    assert post(client, path="/a", headers={}).status_code == 401


def test_a_method_below_decorators_may_call_the_delivery_what_it_likes(app, client):
    class Port(MethodView):
        def post(self, one, org):
            return [one.run_id, org]

        def put(self, org, one):
            return [one.run_id, org]

        def get(self, invocation, org):
            return [invocation.run_id, org]

    class Other(View):
        methods = ("POST",)

        def dispatch_request(self, one):  # type: ignore[override]  # as Flask calls it
            return [one.run_id]

    Port.decorators = Other.decorators = [webhook(make())]
    app.add_url_rule("/to/<org>", view_func=Port.as_view("port"))
    app.add_url_rule("/port", view_func=Other.as_view("other"))
    assert post(client, path="/to/a").json == ["r_1", "a"]
    headers = signed()
    assert client.put("/to/a", data=BODY, headers=headers).json == ["r_1", "a"]
    assert client.get("/to/a", headers=signed(b"")).json == [None, "a"]
    # The method of a captured request is not signed; Flask would serve it by `get`.
    assert client.head("/to/a", headers=signed(b"")).status_code == 405
    assert post(client).json == ["r_1"]


def test_a_class_may_name_bare_webhook_among_its_decorators(app, client, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)

    class Port(View):
        methods = ("POST",)

        def dispatch_request(self, **options):
            return [options["delivery"].run_id]

    Port.decorators = [webhook]

    app.add_url_rule("/port", view_func=Port.as_view("port"))
    assert post(client, headers=sign(BODY, SECRET)).json == ["r_1"]
    assert post(client, headers={}).status_code == 401


# --- Nothing is guessed -------------------------------------------------------------


untyped: Any = webhook  # what a type checker would refuse


def choose_any(request):
    pytest.fail("called")


async def choose_later(request):
    pytest.fail("called")


def view_of_one(delivery):
    pytest.fail("called")


def decorate_class():
    class Port(MethodView): ...

    untyped(make())(Port)


def decorate_class_bare():
    class Port(MethodView): ...

    untyped(Port)


def reverse_the_order():
    @untyped(make())
    @Flask(__name__).post("/port")
    def port(delivery=None):
        pytest.fail("called")


@pytest.mark.parametrize(
    ("misuse", "advice"),
    [
        (lambda: untyped(choose_any)(view_of_one), "passed as choose="),
        (lambda: untyped(lambda request: make())(view_of_one), "passed as choose="),
        (lambda: untyped(choose_later)(view_of_one), "passed as choose="),
        (lambda: untyped(operator.itemgetter("x"))(view_of_one), "passed as choose="),
        (lambda: untyped(choose_any, model=ActionInvocation), "passed as choose="),
        (lambda: untyped(choose=choose_later)(view_of_one), "asynchronous"),
        (lambda: untyped(make(), choose=choose_any)(view_of_one), "not both"),
        (lambda: untyped(choose=make())(view_of_one), "must be a function"),
        (lambda: untyped("secret"), "must be a Verifier"),
        (lambda: untyped(b"secret"), "must be a Verifier"),
        (lambda: untyped(make())(lambda: ""), "no parameter for the delivery"),
        (lambda: untyped(lambda: ""), "no parameter for the delivery"),
        (lambda: untyped(lambda delivery=None: ""), "must not have a default"),
        (lambda: untyped(lambda request, delivery=None: ""), "must not have a default"),
        (lambda: untyped(make(), model=int)(view_of_one), "is not a model"),
        (decorate_class, "decorate the method"),
        (decorate_class_bare, "decorate the method"),
        (reverse_the_order, "must not have a default"),
    ],
)
def test_what_cannot_be_meant_is_an_error_at_import(misuse, advice):
    with pytest.raises(ConfigurationError, match=advice):
        misuse()


def test_without_a_default_the_reversed_order_of_decorators_is_a_500(app, client, seen):
    @webhook(make())
    @app.post("/port")
    def port(delivery):
        return seen(delivery)

    assert post(client, headers={}).status_code == 500
    assert seen.deliveries == []


# --- What other frameworks do with a view -------------------------------------------


def test_a_function_of_google_cloud_takes_the_request_before_the_delivery(app):
    @webhook(make())
    def main(request, delivery):
        assert request.get_data() == delivery.payload
        return {"run": delivery.run_id, "path": request.path}

    assert [*signature(main).parameters] == ["request"]
    options = {"path": "/any", "method": "POST", "data": BODY}
    with app.test_request_context(headers=signed(), **options) as context:
        assert main(context.request).json == {"run": "r_1", "path": "/any"}
    with app.test_request_context(**options) as context:
        assert main(context.request).status_code == 401


FUNCTION = """
import functions_framework
from port_webhook import ActionInvocation, Verifier
from port_webhook.adapters.flask import webhook

verifier = Verifier("the-client-secret", clock=lambda: 1_700_000_000)

@functions_framework.http
@webhook(verifier)
def main(request, delivery):
    assert request.get_data() == delivery.payload
    return {"run": delivery.run_id}

@webhook(verifier)
@functions_framework.http
def below(request, delivery):
    return {"run": delivery.run_id}

@functions_framework.http
@webhook(verifier, model=ActionInvocation)
def model(request, invocation):
    return invocation.run_id
"""


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("main", b'{"run":"r_1"}\n'),
        ("below", b'{"run":"r_1"}\n'),
        ("model", RUN_ID.encode()),
    ],
)
def test_googles_functions_framework_serves_a_decorated_function(
    tmp_path, target, body
):
    framework = pytest.importorskip("functions_framework", exc_type=ImportError)
    source = tmp_path / "main.py"
    source.write_text(FUNCTION)
    client = framework.create_app(target, str(source), "http").test_client()
    payload = INVOCATION if target == "model" else BODY
    answer = post(client, payload, path="/")
    assert (answer.status_code, answer.data) == (200, body)
    assert post(client, headers={}, path="/").status_code == 401
    assert post(client, b"{}", headers=signed(), path="/").status_code == 401


@pytest.mark.parametrize(
    "where", ["method", "async method", "method_decorators", "decorators"]
)
def test_a_resource_of_flask_restx_takes_the_delivery(app, client, where):
    restx = pytest.importorskip("flask_restx", exc_type=ImportError)
    api = restx.Api(app)
    decorate = webhook(make())

    def respond(self, delivery, org):
        return {"run": delivery.run_id, "org": org}, 201

    async def respond_later(self, delivery, org):
        return respond(self, delivery, org)

    members: dict[str, Any] = {
        "method": {"post": decorate(respond)},
        "async method": {"post": decorate(respond_later)},
    }.get(where, {"post": respond, where: [decorate]})
    api.add_resource(type("Port", (restx.Resource,), members), "/<org>/port")
    answer = post(client, path="/acme/port")
    assert (answer.status_code, answer.json) == (201, {"run": "r_1", "org": "acme"})
    assert post(client, headers={}, path="/acme/port").status_code == 401
    assert "/{org}/port" in client.get("/swagger.json").json["paths"]


def test_an_application_may_run_asynchronous_views_its_own_way(client, app):
    ran = []

    def ensure_sync(view):
        ran.append(view.__name__)
        return type(app).ensure_sync(app, view)

    app.ensure_sync = ensure_sync

    @app.post("/port")
    @webhook(make())
    async def port(delivery):
        return {"run": delivery.run_id}

    assert post(client).json == {"run": "r_1"}
    assert ran.count("port") == 2  # the wrapper's by Flask, the view's by us
