"""The Flask adapter: the end of a claim, stacked adapters, and the responses."""

from __future__ import annotations

import pytest
from flask import (
    Flask,
    Response,
    abort,
    g,
    jsonify,
    redirect,
    request,
)

from port_webhook import (
    ConfigurationError,
    PayloadError,
    SignatureMismatchError,
)
from port_webhook.adapters.flask import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware

from .doubles import BODY, FORM, FORM_TYPE, NOW, Store, make, signed
from .flask_requests import MULTIPART, MULTIPART_TYPE, Views, chunked, post


@pytest.fixture
def app():
    return Flask(__name__)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def seen():
    return Views()


# --- The claim ends by the final status -----------------------------------------------


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


def test_a_views_exception_meets_the_error_handlers_of_the_application(app, client):
    app.register_error_handler(LookupError, lambda error: ("handled", 418))
    app.post("/port")(webhook(make())(raise_it(LookupError())))
    assert post(client).status_code == 418


# --- Stacked adapters -----------------------------------------------------------------


def count(options, name):
    calls: list[object] = []
    options[name] = calls.append
    return calls


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
        g.port_delivery = verifier.verify(BODY, signed())
        assert post(client, headers={}).status_code == 401
        assert post(client).status_code == 200
        assert post(client, headers={}).status_code == 401
    assert len(seen.deliveries) == 1


# --- The answers ----------------------------------------------------------------------


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
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unsigned_request_never_reaches_the_view_whatever_its_shape(
    app, client, seen, method, options
):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.route("/port", methods=methods)(webhook(make())(seen))
    assert client.open("/port", method=method, **options).status_code == 401
    assert seen.deliveries == []


def test_hooks_after_the_request_see_a_refusal(app, client, seen):
    @app.after_request
    def mark(response):
        response.headers["x-seen"] = "yes"
        return response

    app.post("/port")(webhook(make())(seen))
    assert post(client, headers={}).headers["x-seen"] == "yes"


def test_a_commit_that_fails_after_a_redirect_is_503(app, client, records):
    @app.post("/port")
    @webhook(make(replay_store=Store(commit="?")))
    def port(delivery):
        abort(redirect("/elsewhere"))

    assert post(client).status_code == 503
    assert records[-1].port_code == "replay_store_error"
