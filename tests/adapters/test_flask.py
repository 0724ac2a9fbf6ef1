"""The Flask adapter through Flask's own test client."""

from __future__ import annotations

import functools
import io
import json
import logging
import operator
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    abort,
    g,
    jsonify,
    redirect,
    request,
    stream_with_context,
)
from flask.views import MethodView, View

from port_webhook import (
    BodyTooLargeError,
    ConfigurationError,
    Delivery,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    PayloadError,
    ReplayStoreError,
    SignatureMismatchError,
    UnreadableBodyError,
    Verifier,
    sign,
)
from port_webhook.adapters.flask import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware
from port_webhook.models import ActionInvocation

SECRET = "the-client-secret"
OTHER = "the-client-secret-of-another-organisation"
NOW = 1_700_000_000
BODY = b'{"context":{"runId":"r_1"}}'
PAYLOADS = Path(__file__).parents[1] / "fixtures" / "payloads"
INVOCATION = (PAYLOADS / "envelope_create.json").read_bytes()
RUN_ID = json.loads(INVOCATION)["context"]["runId"]
FORM = b"payload=a+b&other=c"
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--q\r\nContent-Disposition: form-data; name="payload"\r\n\r\na b\r\n'
    b'--q\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n!\r\n'
    b"--q--\r\n"
)
MULTIPART_TYPE = "multipart/form-data; boundary=q"
DECLARE_10 = {"environ_overrides": {"CONTENT_LENGTH": "10"}}


class Store:
    """A replay store that writes down what it is asked."""

    def __init__(self, claim="claimed", *, commit=True):
        self.steps = []
        self._claim = claim
        self._commit = commit

    def claim(self, key, owner, lease):
        self.steps.append("claim")
        return self._claim

    def commit(self, key, owner, ttl):
        self.steps.append("commit")
        return self._commit

    def release(self, key, owner):
        self.steps.append("release")
        return True


class AsyncStore:
    async def claim(self, key, owner, lease): ...
    async def commit(self, key, owner, ttl): ...
    async def release(self, key, owner): ...


class Views:
    """What the views of a test were called with."""

    def __init__(self):
        self.deliveries = []

    def __call__(self, delivery, **_):
        self.deliveries.append(delivery)
        return {"run": delivery.run_id}


@pytest.fixture
def app():
    return Flask(__name__)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def seen():
    return Views()


@pytest.fixture
def rejected():
    return []


def make(**options):
    return Verifier(SECRET, **{"clock": lambda: NOW, **options})


def post(client, body=BODY, *, headers=None, path="/port", **options):
    """Send *body*, signed unless *headers* are given."""
    if headers is None:
        headers = sign(body, SECRET, timestamp=NOW)
    return client.post(path, data=body, headers=headers, **options)


def chunked(body):
    """Return what a server with support for chunked bodies puts into the environ."""
    return {
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


def post_chunked(client, body, *, signed=None, environ=None, content_type=""):
    headers = sign(body if signed is None else signed, SECRET, timestamp=NOW)
    # The test client would make up a body, and its length, for a content type.
    environ = {"CONTENT_TYPE": content_type, **chunked(body), **(environ or {})}
    return client.post("/port", headers=headers, environ_overrides=environ)


# --- The forms of the decorator -----------------------------------------------------


def test_a_view_receives_the_verified_delivery(app, client):
    @app.post("/port")
    @webhook(make())
    def port(delivery):
        assert isinstance(delivery, Delivery)
        assert delivery.payload == BODY
        assert g.port_delivery is delivery
        return "done"

    answer = post(client)
    assert (answer.status_code, answer.data) == (200, b"done")


def test_a_refused_request_never_reaches_the_view(app, client, seen):
    app.post("/port")(webhook(make())(seen))
    assert post(client, headers={}).status_code == 401
    assert post(client, headers=sign(b"x", SECRET, timestamp=NOW)).status_code == 401
    assert post(client, headers=sign(BODY, OTHER, timestamp=NOW)).status_code == 401
    assert (
        post(client, headers=sign(BODY, SECRET, timestamp=NOW - 301)).status_code == 401
    )
    assert seen.deliveries == []


@pytest.mark.parametrize("decorate", [webhook, webhook()], ids=["bare", "called"])
def test_the_environment_is_read_when_the_first_request_comes(
    app, client, seen, decorate, monkeypatch
):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)

    @app.post("/port")
    @decorate
    def port(delivery):
        return seen(delivery)

    monkeypatch.setenv("PORT_CLIENT_SECRET", OTHER)
    assert post(client, headers=sign(BODY, OTHER)).status_code == 200
    assert post(client, headers=sign(BODY, SECRET)).status_code == 401
    assert len(seen.deliveries) == 1


def test_a_missing_secret_is_an_error_of_the_service_not_of_the_sender(
    app, client, seen, monkeypatch
):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)

    @app.post("/port")
    @webhook
    def port(delivery):
        return seen(delivery)

    assert post(client).status_code == 500
    app.testing = True
    with pytest.raises(ConfigurationError, match="PORT_CLIENT_SECRET"):
        post(client)
    assert seen.deliveries == []


def test_a_verifier_may_be_chosen_for_each_request(app, client):
    secrets = {"a": SECRET, "b": OTHER}
    verifiers = {
        name: Verifier(secret, clock=lambda: NOW) for name, secret in secrets.items()
    }

    @app.post("/port")
    @webhook(lambda request: verifiers[request.headers["x-org"]])
    def port(delivery):
        return "done"

    for signer, org, status in (
        ("a", "a", 200),
        ("b", "b", 200),
        ("a", "b", 401),
        ("b", "a", 401),
        ("a", "c", 500),
    ):
        headers = sign(BODY, secrets[signer], timestamp=NOW)
        answer = post(client, headers={**headers, "x-org": org})
        assert answer.status_code == status, (signer, org)


def test_the_choosing_function_may_be_built_in(app, client, seen):
    class OwnRequest(Request):
        verifier = make()

    app.request_class = OwnRequest
    app.post("/port")(webhook(operator.attrgetter("verifier"))(seen))
    assert post(client).status_code == 200
    assert post(client, headers={}).status_code == 401


def test_the_choosing_function_may_answer_by_itself(app, client, seen):
    def choose(request):
        abort(404)

    app.post("/port")(webhook(choose)(seen))
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


def test_a_decorated_view_keeps_its_name(app):
    @webhook(make())
    def port(delivery):
        """Say what it does."""

    assert (port.__name__, port.__doc__) == ("port", "Say what it does.")


def test_a_wrong_verifier_is_refused_when_it_is_set_up():
    wrong: Any = SECRET
    with pytest.raises(ConfigurationError, match="takes a Verifier"):
        webhook(wrong)(lambda delivery: "")


def test_an_asynchronous_store_is_refused_when_it_is_set_up():
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        webhook(make(replay_store=AsyncStore()))(lambda delivery: "")


def test_an_asynchronous_store_that_is_chosen_is_an_error_of_the_service(
    app, client, seen
):
    app.post("/port")(webhook(lambda _: make(replay_store=AsyncStore()))(seen))
    assert post(client).status_code == 500
    assert seen.deliveries == []


# --- Models -------------------------------------------------------------------------


def test_a_view_may_receive_a_model_of_the_library(app, client):
    @app.post("/port")
    @webhook(make(), model=ActionInvocation)
    def port(invocation):
        assert isinstance(invocation, ActionInvocation)
        assert g.port_delivery.payload == INVOCATION
        return [invocation.run_id]

    answer = post(client, INVOCATION)
    assert (answer.status_code, answer.json) == (200, [RUN_ID])


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


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"context":1}'])
def test_a_payload_that_is_not_the_model_is_422_and_may_be_sent_again(
    app, client, body, caplog, rejected
):
    import pydantic

    class Model(pydantic.BaseModel):
        context: dict[str, str]

    store = Store()

    @app.post("/port")
    @webhook(make(replay_store=store, on_rejected=rejected.append), model=Model)
    def port(model):
        pytest.fail("the view was called")

    answer = post(client, body)
    assert (answer.status_code, answer.data) == (422, PayloadError.http_body)
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


def test_bare_webhook_may_have_a_model(app, client, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)

    @app.post("/port")
    @webhook(model=ActionInvocation)
    def port(invocation):
        return [invocation.run_id]

    answer = post(client, INVOCATION, headers=sign(INVOCATION, SECRET))
    assert answer.json == [RUN_ID]


# --- Asynchronous views, blueprints, classes ----------------------------------------


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
    headers = sign(BODY, SECRET, timestamp=NOW)
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
    headers = sign(BODY, SECRET, timestamp=NOW)
    assert client.put("/to/a", data=BODY, headers=headers).json == ["r_1", "a"]
    headers = sign(b"", SECRET, timestamp=NOW)
    assert client.head("/to/a", headers=headers).status_code == 200
    assert post(client).json == ["r_1"]


def test_a_commit_that_fails_after_a_redirect_is_503(app, client, records):
    @app.post("/port")
    @webhook(make(replay_store=Store(commit="?")))
    def port(delivery):
        abort(redirect("/elsewhere"))

    assert post(client).status_code == 503
    assert records[-1].port_code == "replay_store_error"


def test_files_that_were_read_first_are_noticed_without_a_length(app, client, seen):
    parts = (
        b'--q\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        b"x\r\n--q--\r\n"
    )
    look_first(app, touch_data)
    app.post("/port")(webhook(make())(seen))
    answer = post_chunked(client, parts, signed=b"", content_type=MULTIPART_TYPE)
    assert answer.status_code == 400
    assert seen.deliveries == []


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


# --- The claim ends by the final status ---------------------------------------------


def answer_with_generator(delivery):
    def generate():
        yield request.path
        raise LookupError

    return Response(stream_with_context(generate()), 202)


def raise_it(error):
    def view(delivery):
        raise error

    return view


def abort_with(*args):
    def view(delivery):
        abort(*args)

    return view


@pytest.mark.parametrize(
    ("view", "status", "last"),
    [
        (lambda delivery: "done", 200, "commit"),
        (lambda delivery: ("", 204), 204, "commit"),
        (lambda delivery: ("gone", 410), 410, "release"),
        (lambda delivery: ({"error": 1}, 500, {"x-a": "b"}), 500, "release"),
        (lambda delivery: {"a": 1}, 200, "commit"),
        (lambda delivery: [1], 200, "commit"),
        (lambda delivery: jsonify(1), 200, "commit"),
        (lambda delivery: Response("no", 503), 503, "release"),
        (lambda delivery: iter(["a", "b"]), 200, "commit"),
        (lambda delivery: redirect("/elsewhere"), 302, "commit"),
        (abort_with(404), 404, "release"),
        (abort_with(redirect("/elsewhere")), 302, "commit"),
        (abort_with(Response("no", 409)), 409, "release"),
        (abort_with(Response("yes", 201)), 201, "commit"),
        (raise_it(LookupError()), 500, "release"),
        (raise_it(SignatureMismatchError()), 500, "release"),
        (raise_it(ConfigurationError()), 500, "release"),
        (raise_it(PayloadError("is wrong")), 422, "release"),
        (lambda delivery: None, 500, "release"),
        (lambda delivery: delivery.json()["absent"], 500, "release"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_status_under_400_commits_and_any_other_end_releases(
    app, client, view, status, last
):
    store = Store()
    app.post("/port", endpoint="port")(webhook(make(replay_store=store))(view))
    answer = post(client)
    assert answer.status_code == status
    assert store.steps == ["claim", last]


def test_a_streamed_answer_counts_by_its_status_at_the_start(app, client):
    store = Store()
    app.post("/port")(webhook(make(replay_store=store))(answer_with_generator))
    answer = post(client)
    assert answer.status_code == 202
    with pytest.raises(LookupError):
        answer.get_data()
    assert store.steps == ["claim", "commit"]


def test_the_claim_is_taken_before_the_view_and_ended_after(app, client):
    store = Store()

    @app.post("/port")
    @webhook(make(replay_store=store))
    def port(delivery):
        return store.steps.copy()

    assert post(client).json == ["claim"]
    assert store.steps == ["claim", "commit"]


def test_a_refused_request_claims_nothing(app, client, seen):
    store = Store()
    app.post("/port")(webhook(make(replay_store=store))(seen))
    assert post(client, headers={}).status_code == 401
    assert post(client, headers=sign(b"x", SECRET, timestamp=NOW)).status_code == 401
    assert post(client, b"x" * 1_048_577).status_code == 413
    assert store.steps == []


def test_a_views_exception_is_the_views_own(app, client, rejected):
    app.testing = True
    error = SignatureMismatchError()
    verifier = make(on_rejected=rejected.append)
    app.post("/port")(webhook(verifier)(raise_it(error)))
    with pytest.raises(SignatureMismatchError) as caught:
        post(client)
    assert caught.value is error
    assert rejected == []


@pytest.mark.parametrize("model", [None, ActionInvocation])
def test_a_views_traceback_shows_neither_signature_nor_payload(app, client, model):
    app.testing = True
    app.post("/port")(webhook(make(), model=model)(raise_it(LookupError())))
    headers = sign(INVOCATION, SECRET, timestamp=NOW)
    with pytest.raises(LookupError) as caught:
        post(client, INVOCATION, headers=headers)
    ours = [
        repr(entry.frame.f_locals)
        for entry in caught.traceback
        if "port_webhook" in Path(entry.path).parts
    ]
    assert len(ours) >= 3
    for text in ours:
        assert headers["x-port-signature"] not in text
        assert RUN_ID not in text
        assert SECRET not in text


def test_a_views_exception_meets_the_error_handlers_of_the_application(app, client):
    app.register_error_handler(LookupError, lambda error: ("handled", 418))
    app.post("/port")(webhook(make())(raise_it(LookupError())))
    assert post(client).status_code == 418


# --- Stacked adapters ---------------------------------------------------------------


def count(options, name):
    calls: list[object] = []
    options[name] = calls.append
    return calls


def test_stacked_decorators_with_one_verifier_verify_claim_and_commit_once(app, client):
    store = Store()
    options = {"replay_store": store}
    accepted = count(options, "on_verified")
    verifier = make(**options)

    @app.post("/port")
    @webhook(verifier)
    @webhook(verifier)
    def port(outer, inner):
        assert inner is outer
        return store.steps.copy()

    assert post(client).json == ["claim"]
    assert store.steps == ["claim", "commit"]
    assert len(accepted) == 1


def test_the_outermost_of_stacked_decorators_ends_the_claim(app, client):
    store = Store()
    verifier = make(replay_store=store)

    def fail_after(view):
        def wrapper(delivery):
            view(delivery)
            return "no", 500

        return wrapper

    @webhook(verifier)
    @fail_after
    @webhook(verifier)
    def port(outer, inner):
        return "done"

    app.post("/port", endpoint="port")(port)
    assert post(client).status_code == 500
    assert store.steps == ["claim", "release"]


def test_stacked_decorators_record_a_payload_error_once(app, client):
    store = Store()
    options = {"replay_store": store}
    rejected = count(options, "on_rejected")
    verifier = make(**options)

    @app.post("/port")
    @webhook(verifier)
    @webhook(verifier, model=ActionInvocation)
    def port(outer, inner):
        pytest.fail("the view was called")

    assert post(client, b"{").status_code == 422
    assert [type(error) for error in rejected] == [PayloadError]
    assert store.steps == ["claim", "release"]


@pytest.mark.parametrize("send", [post, post_chunked])
@pytest.mark.parametrize("body", [BODY, b""])
def test_stacked_decorators_with_two_verifiers_verify_twice(app, client, send, body):
    stores = [Store(), Store()]
    first, second = (make(replay_store=store) for store in stores)

    @app.post("/port")
    @webhook(first)
    @webhook(second)
    def port(outer, inner):
        assert outer.verified_by(first)
        assert inner.verified_by(second)
        assert inner.payload == outer.payload == body
        return "done"

    assert send(client, body).status_code == 200
    assert [store.steps for store in stores] == [["claim", "commit"]] * 2


def test_a_second_verifier_may_refuse_what_the_first_let_through(app, client):
    store = Store()

    @app.post("/port")
    @webhook(make(replay_store=store))
    @webhook(Verifier(OTHER, clock=lambda: NOW))
    def port(outer, inner):
        pytest.fail("the view was called")

    assert post(client).status_code == 401
    assert store.steps == ["claim", "release"]


def test_a_view_behind_the_wsgi_middleware_verifies_claims_and_commits_once(
    app, client
):
    store = Store()
    options = {"replay_store": store}
    accepted = count(options, "on_verified")
    verifier = make(**options)
    app.wsgi_app = PortWebhookMiddleware(app.wsgi_app, verifier)

    @app.post("/port")
    @webhook(verifier)
    def port(delivery):
        assert g.port_delivery is delivery
        return {"data": request.get_data(as_text=True), "steps": store.steps.copy()}

    assert post(client).json == {"data": BODY.decode(), "steps": ["claim"]}
    assert store.steps == ["claim", "commit"]
    assert len(accepted) == 1
    assert post(client, headers={}).status_code == 401


def test_a_delivery_of_an_outer_application_context_is_never_reused(app, client, seen):
    verifier = make()
    app.post("/port")(webhook(verifier)(seen))
    with app.app_context():
        g.port_delivery = verifier.verify(BODY, sign(BODY, SECRET, timestamp=NOW))
        assert post(client, headers={}).status_code == 401
        assert post(client).status_code == 200
        assert post(client, headers={}).status_code == 401
    assert len(seen.deliveries) == 1


# --- The body -----------------------------------------------------------------------


@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("body", "kind"), [(FORM, FORM_TYPE), (MULTIPART, MULTIPART_TYPE)]
)
def test_a_form_can_be_parsed_after_its_verification(app, client, send, body, kind):
    @app.post("/port")
    @webhook(make())
    def port(delivery):
        assert delivery.payload == request.get_data() == body
        return [request.form["payload"], sorted(request.files)]

    files = ["file"] if body is MULTIPART else []
    assert send(client, body, content_type=kind).json == ["a b", files]


def look_first(app, touch):
    @app.before_request
    def look():
        touch()


def touch_form():
    return request.form.get("payload")


def touch_stream():
    return request.stream.read()


def touch_data():
    return request.get_data(parse_form_data=True)


@pytest.mark.parametrize("touch", [touch_form, touch_stream, touch_data])
@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("body", "kind"), [(FORM, FORM_TYPE), (MULTIPART, MULTIPART_TYPE)]
)
def test_a_form_that_was_read_first_is_400(
    *, app, client, seen, touch, send, body, kind, rejected
):
    look_first(app, touch)
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    assert send(client, body, content_type=kind).status_code == 400
    assert [type(error) for error in rejected] == [UnreadableBodyError]
    assert "read the body before" in str(rejected[0])
    assert seen.deliveries == []


@pytest.mark.parametrize("touch", [touch_form, touch_data])
def test_a_form_that_was_read_first_does_not_pass_with_a_signed_empty_body(
    app, client, seen, touch
):
    look_first(app, touch)
    app.post("/port")(webhook(make())(seen))
    answer = post_chunked(client, FORM, signed=b"", content_type=FORM_TYPE)
    assert answer.status_code == 400
    assert seen.deliveries == []


@pytest.mark.parametrize(
    "touch",
    [touch_form, touch_data, lambda: request.get_json(silent=True), lambda: g],
)
@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
def test_a_body_that_is_no_form_may_be_looked_at_first(app, client, seen, touch, send):
    look_first(app, touch)
    app.post("/port")(webhook(make())(seen))
    assert send(client, BODY, content_type="application/json").status_code == 200
    assert send(client, BODY, content_type="text/plain").status_code == 200


@pytest.mark.parametrize("touch", [touch_form, touch_stream, touch_data])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_without_a_body_may_be_looked_at_first(
    app, client, seen, touch, method
):
    look_first(app, touch)
    app.route("/port", methods=["GET", "POST"])(webhook(make())(seen))
    headers = sign(b"", SECRET, timestamp=NOW)
    assert client.open("/port", method=method, headers=headers).status_code == 200


@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
@pytest.mark.parametrize("configured", [None, 3, 15, 1000])
@pytest.mark.parametrize(("size", "status"), [(15, 200), (16, 413), (40, 413)])
def test_the_verifiers_limit_replaces_the_configured_one(
    *, app, client, seen, send, configured, size, status
):
    app.config["MAX_CONTENT_LENGTH"] = configured
    app.post("/port")(webhook(make(max_body_bytes=15))(seen))
    answer = send(client, b"x" * size)
    assert answer.status_code == status
    assert len(seen.deliveries) == (status == 200)


def test_a_chunked_body_that_met_the_configured_limit_first_is_413(app, client, seen):
    app.config["MAX_CONTENT_LENGTH"] = 3
    look_first(app, touch_stream)
    app.post("/port")(webhook(make())(seen))
    assert post_chunked(client, BODY).status_code == 413
    assert seen.deliveries == []


def test_a_body_that_is_declared_too_large_is_not_read(app, client, seen):
    class Unread:
        def read(self, size):
            pytest.fail("the body was read")

    app.post("/port")(webhook(make(max_body_bytes=15))(seen))
    environ = {"CONTENT_LENGTH": "16", "wsgi.input": Unread()}
    headers = sign(b"", SECRET, timestamp=NOW)
    answer = client.post("/port", headers=headers, environ_overrides=environ)
    assert answer.status_code == 413


def test_a_forged_request_is_refused_without_reading_its_body(app, client, seen):
    class Unread:
        def read(self, size):
            pytest.fail("the body was read")

    app.post("/port")(webhook(make())(seen))
    environ = {"CONTENT_LENGTH": "16", "wsgi.input": Unread()}
    assert client.post("/port", environ_overrides=environ).status_code == 401


def test_a_chunked_body_is_read_no_further_than_the_limit(app, client, seen):
    class Endless:
        given = 0

        def read(self, size):
            self.given += size
            return b"x" * size

    body = Endless()
    app.post("/port")(webhook(make(max_body_bytes=15))(seen))
    answer = post_chunked(client, b"", environ={"wsgi.input": body})
    assert answer.status_code == 413
    assert body.given == 16


@pytest.mark.parametrize(
    ("sent", "declared", "code"),
    [
        (BODY, len(BODY) + 1, "unreadable_body"),
        (BODY[:5], len(BODY), "unreadable_body"),
        (b"", len(BODY), "unreadable_body"),
        (BODY, len(BODY) - 1, "signature_mismatch"),
        (BODY, 0, "signature_mismatch"),
        (BODY, "", "signature_mismatch"),
        (BODY, "+27", "unreadable_body"),
        (BODY, "-1", "unreadable_body"),
        (BODY, "27.0", "unreadable_body"),
        (BODY, "9" * 30, "body_too_large"),
        (BODY, 9 * 10**18, "body_too_large"),
    ],
)
def test_a_length_that_lies_is_found_out(
    *, app, client, seen, sent, declared, code, rejected
):
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    answer = client.post(
        "/port",
        headers=sign(BODY, SECRET, timestamp=NOW),
        environ_overrides={
            "CONTENT_LENGTH": str(declared),
            "wsgi.input": io.BytesIO(sent),
        },
    )
    assert [error.code for error in rejected] == [code]
    assert answer.status_code == rejected[0].http_status
    assert seen.deliveries == []


def test_a_chunked_body_that_the_server_does_not_end_is_400(
    app, client, seen, rejected
):
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    environ = {"wsgi.input_terminated": False}
    assert post_chunked(client, BODY, environ=environ).status_code == 400
    assert post_chunked(client, BODY, signed=b"", environ=environ).status_code == 400
    assert "does not pass on" in str(rejected[0])
    assert seen.deliveries == []


@pytest.mark.parametrize("failure", [OSError, LookupError])
def test_a_body_that_the_server_fails_to_read_is_400(
    app, client, seen, failure, rejected
):
    class Broken:
        def read(self, size):
            raise failure(SECRET)

    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    answer = post_chunked(client, b"", environ={"wsgi.input": Broken()})
    assert answer.status_code == 400
    [error] = rejected
    assert isinstance(error, UnreadableBodyError)
    assert SECRET not in str(error)
    assert error.__context__ is None


# --- The answers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "status", "error", "retry"),
    [
        ("committed", 200, DuplicateDeliveryError, None),
        ("in_progress", 409, DeliveryInProgressError, "5"),
        ("?", 503, ReplayStoreError, "5"),
    ],
)
def test_what_a_replay_store_says_is_the_answer(
    *, app, client, seen, store, status, error, retry
):
    app.post("/port")(webhook(make(replay_store=Store(store)))(seen))
    answer = post(client)
    assert (answer.status_code, answer.data) == (status, error.http_body)
    assert answer.headers.get("Retry-After") == retry
    assert answer.content_type == "application/json"
    assert seen.deliveries == []


def test_a_commit_that_fails_is_the_answer(app, client, seen):
    app.post("/port")(webhook(make(replay_store=Store(commit="?")))(seen))
    answer = post(client)
    assert (answer.status_code, answer.data) == (503, ReplayStoreError.http_body)


@pytest.mark.parametrize(
    ("change", "status", "word", "challenge"),
    [
        ({"headers": {}}, 401, "unauthorized", "PortWebhook"),
        (
            {"headers": sign(b"x", SECRET, timestamp=NOW)},
            401,
            "unauthorized",
            "PortWebhook",
        ),
        (
            {"headers": sign(BODY, SECRET, timestamp=1_000_000_000)},
            401,
            "unauthorized",
            "PortWebhook",
        ),
        ({"environ_overrides": {"CONTENT_LENGTH": "500"}}, 400, "bad_request", None),
        ({"body": b"x" * 1_048_577}, 413, "content_too_large", None),
        ({"body": b"{"}, 422, "unprocessable_content", None),
    ],
)
def test_a_refusal_names_no_more_than_its_class(
    *, app, client, change, status, word, challenge
):
    @app.post("/port")
    @webhook(make(), model=ActionInvocation)
    def port(invocation):
        pytest.fail("the view was called")

    answer = post(client, **change)
    assert answer.status_code == status
    assert answer.json == {"error": word}
    assert answer.headers.get("WWW-Authenticate") == challenge
    assert answer.headers.getlist("Content-Type") == ["application/json"]
    assert int(answer.headers["Content-Length"]) == len(answer.data)


@pytest.mark.parametrize(
    ("body", "options", "error", "message"),
    [
        (b"x" * 16, {}, BodyTooLargeError, "limit of 15 bytes"),
        (b"x" * 9, DECLARE_10, UnreadableBodyError, "to its end"),
    ],
)
def test_what_the_adapter_finds_is_in_the_log_as_well(
    *, app, client, seen, body, options, error, message, caplog, rejected
):
    verifier = make(max_body_bytes=15, on_rejected=rejected.append)
    app.post("/port")(webhook(verifier)(seen))
    answer = post(client, body, **options)
    assert answer.status_code == error.http_status
    assert [type(each) for each in rejected] == [error]
    [record] = [each for each in caplog.records if each.name == "port_webhook"]
    assert record.levelno == logging.WARNING
    assert record.port_event == "rejected"
    assert record.port_code == error.code
    assert record.port_http_status == error.http_status
    assert message in record.getMessage()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_every_method_is_protected(app, client, seen, method):
    methods = ["GET", "PUT", "PATCH", "DELETE"]
    app.route("/port", methods=methods)(webhook(make())(seen))
    answer = client.open("/port", method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "PortWebhook"
    assert (answer.data == b"") == (method == "HEAD")
    assert seen.deliveries == []
    headers = sign(b"{}", SECRET, timestamp=NOW)
    answer = client.open("/port", method=method, data=b"{}", headers=headers)
    assert answer.status_code == 200
    assert len(seen.deliveries) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"data": BODY},
        {"data": b""},
        {"data": b'{"a":', "content_type": "application/json"},
        {"data": FORM, "content_type": FORM_TYPE},
        {"data": MULTIPART, "content_type": MULTIPART_TYPE},
        {"data": b"--", "content_type": "multipart/form-data"},
        {"data": b"\xff", "content_type": "application/json; charset=none"},
        {"data": BODY, "headers": {"Content-Encoding": "gzip"}},
        {"data": BODY, "headers": {"x-port-signature": "v1,"}},
        {"data": BODY, "headers": {"x-port-timestamp": str(NOW)}},
        {"data": BODY, "environ_overrides": {"CONTENT_LENGTH": "-1"}},
        {"environ_overrides": chunked(BODY)},
        {"data": b"x" * 2_000_000},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unsigned_request_never_reaches_the_view_whatever_its_shape(
    app, client, seen, method, options
):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.route("/port", methods=methods)(webhook(make())(seen))
    assert client.open("/port", method=method, **options).status_code == 401
    assert seen.deliveries == []


def test_two_values_of_one_header_are_refused(app, client, seen, rejected):
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    signed = list(sign(BODY, SECRET, timestamp=NOW).items())
    for headers in (signed + signed[:1], signed + signed[1:]):
        assert post(client, headers=headers).status_code == 401
    assert [error.code for error in rejected] == ["duplicate_header"] * 2


def test_hooks_after_the_request_see_a_refusal(app, client, seen):
    @app.after_request
    def mark(response):
        response.headers["x-seen"] = "yes"
        return response

    app.post("/port")(webhook(make())(seen))
    assert post(client, headers={}).headers["x-seen"] == "yes"
