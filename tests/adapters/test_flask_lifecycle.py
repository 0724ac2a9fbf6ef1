"""The Flask adapter: the end of a claim, stacked adapters, and the responses."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from flask import (
    Flask,
    Response,
    abort,
    g,
    jsonify,
    redirect,
    request,
    stream_with_context,
)

from port_webhook import (
    ActionInvocation,
    BodyTooLargeError,
    ConfigurationError,
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

from .doubles import Store
from .flask_requests import (
    BODY,
    FORM,
    FORM_TYPE,
    MULTIPART,
    MULTIPART_TYPE,
    NOW,
    OTHER,
    SECRET,
    Views,
    chunked,
    make,
    post,
    post_chunked,
    signed,
)

DECLARE_10 = {"environ_overrides": {"CONTENT_LENGTH": "10"}}
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


@pytest.fixture
def rejected():
    return []


# --- The claim ends by the final status -----------------------------------------------


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
    assert post(client, headers=signed(b"x")).status_code == 401
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


# --- Stacked adapters -----------------------------------------------------------------


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
        g.port_delivery = verifier.verify(BODY, signed())
        assert post(client, headers={}).status_code == 401
        assert post(client).status_code == 200
        assert post(client, headers={}).status_code == 401
    assert len(seen.deliveries) == 1


# --- The answers ----------------------------------------------------------------------


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
            {"headers": signed(b"x")},
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
        (b"x" * 9, DECLARE_10, UnreadableBodyError, "9 of 10 bytes"),
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


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_is_protected(app, client, seen, method):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.route("/port", methods=methods)(webhook(make())(seen))
    answer = client.open("/port", method=method)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "PortWebhook"
    assert seen.deliveries == []
    headers = signed(b"{}")
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
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unsigned_request_never_reaches_the_view_whatever_its_shape(
    app, client, seen, method, options
):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.route("/port", methods=methods)(webhook(make())(seen))
    assert client.open("/port", method=method, **options).status_code == 401
    assert seen.deliveries == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_port_does_not_use_is_405_before_claim_and_view(
    app, client, seen, method
):
    store = Store()
    view = webhook(make(replay_store=store))(seen)
    app.add_url_rule(
        "/port",
        view_func=view,
        methods=["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"],
        provide_automatic_options=False,
    )
    either: list[dict[str, str]] = [signed(), {}]
    for headers in either:
        environ = {"REQUEST_METHOD": method}
        answer = client.open(
            "/port", data=BODY, headers=headers, environ_overrides=environ
        )
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
    assert (store.steps, seen.deliveries) == ([], [])


def test_two_values_of_one_header_are_refused(app, client, seen, rejected):
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    pairs = list(signed().items())
    for headers in (pairs + pairs[:1], pairs + pairs[1:]):
        assert post(client, headers=headers).status_code == 401
    assert [error.code for error in rejected] == ["duplicate_header"] * 2


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
