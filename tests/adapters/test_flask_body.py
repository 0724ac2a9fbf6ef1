"""The Flask adapter: how it reads a body, and what the view reads afterwards."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from flask import Flask, g, request

from port_webhook import UnreadableBodyError
from port_webhook.adapters.flask import webhook

from .doubles import BODY, FORM, FORM_TYPE, SECRET, make, signed
from .flask_requests import MULTIPART, MULTIPART_TYPE, Views, post, post_chunked


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


def look_first(app, touch):
    @app.before_request
    def look():
        touch()


def touch_form():
    return request.form.get("payload")


def touch_stream():
    return request.stream.read()


def touch_nothing():
    pass


def touch_raw_data():
    return request.get_data()


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
    answer = post_chunked(client, FORM, to_sign=b"", content_type=FORM_TYPE)
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
    headers = signed(b"")
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


def test_a_chunked_body_that_met_the_configured_limit_first_is_400(app, client, seen):
    app.config["MAX_CONTENT_LENGTH"] = 3
    look_first(app, touch_stream)
    app.post("/port")(webhook(make())(seen))
    assert post_chunked(client, BODY).status_code == 400
    assert seen.deliveries == []


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
        headers=signed(),
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
    assert post_chunked(client, BODY, to_sign=b"", environ=environ).status_code == 400
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


def test_files_that_were_read_first_are_noticed_without_a_length(app, client, seen):
    parts = (
        b'--q\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        b"x\r\n--q--\r\n"
    )
    look_first(app, touch_data)
    app.post("/port")(webhook(make())(seen))
    answer = post_chunked(client, parts, to_sign=b"", content_type=MULTIPART_TYPE)
    assert answer.status_code == 400
    assert seen.deliveries == []


# --- What is not decoded, and what the view reads -----------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=utf-7"},
        {"content-type": 'application/json; charset="utf-16"'},
        {"content-encoding": "gzip"},
        {"content-encoding": "identity, br"},
    ],
)
@pytest.mark.parametrize("first", [touch_nothing, touch_raw_data])
def test_a_body_that_would_be_decoded_to_something_else_is_415(
    *, app, client, seen, rejected, headers, first
):
    look_first(app, first)
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    answer = post(client, headers={**signed(), **headers})
    assert (answer.status_code, answer.json) == (
        415,
        {"error": "unsupported_media_type"},
    )
    assert post(client, headers=headers).status_code == 401
    assert [error.code for error in rejected] == [
        "unsupported_media",
        "missing_header",
    ]
    assert seen.deliveries == []


SPELLED = b'{ "context": {"runId": "r_1"} }'
ACCESSORS = {
    "get_data": lambda r: r.get_data(),
    "text": lambda r: r.get_data(as_text=True).encode(),
    "data": lambda r: r.data,
    "stream": lambda r: r.stream.read(),
    "input": lambda r: r.environ["wsgi.input"].read(),
    "json": lambda r: r.json_module.dumps(r.json, separators=(",", ":")).encode(),
    "length": lambda r: BODY if r.content_length == len(BODY) else b"",
}


@pytest.mark.parametrize("read", ACCESSORS.values(), ids=ACCESSORS)
@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "first",
    [
        touch_nothing,
        lambda: (request.get_json(), request.content_length),
        lambda: (request.data, request.form, request.values),
    ],
    ids=["nothing", "json", "form"],
)
def test_the_view_reads_what_the_agent_signed_in_every_way(
    *, app, client, read, send, first
):
    look_first(app, first)

    @app.post("/port")
    @webhook(make(agent=True))
    def port(delivery):
        assert delivery.via == "agent"
        assert delivery.payload == BODY
        return read(request)

    kind = "application/json"
    answer = send(client, SPELLED, headers=signed(), content_type=kind)
    assert (answer.status_code, answer.data) == (200, BODY)


@pytest.mark.parametrize("first", [touch_nothing, touch_raw_data])
def test_the_view_reads_the_agents_form_as_it_was_signed(app, client, first):
    look_first(app, first)

    @app.post("/port")
    @webhook(make(agent=True))
    def port(delivery):
        assert [*request.values] == [*request.form]
        return [*request.form]

    answer = post(client, SPELLED, headers=signed(), content_type=FORM_TYPE)
    assert answer.json == [BODY.decode()]


@pytest.mark.parametrize("read", ACCESSORS.values(), ids=ACCESSORS)
def test_the_view_reads_what_was_signed_behind_a_lower_configured_limit(
    app, client, read
):
    app.config["MAX_CONTENT_LENGTH"] = 3

    @app.post("/port")
    @webhook(make())
    def port(delivery):
        return read(request)

    assert post(client, content_type="application/json").data == BODY


@pytest.mark.parametrize(
    ("body", "kind"), [(FORM, FORM_TYPE), (MULTIPART, MULTIPART_TYPE)]
)
def test_a_form_may_be_larger_than_the_configured_limit(app, client, body, kind):
    app.config["MAX_CONTENT_LENGTH"] = 3

    @app.post("/port")
    @webhook(make())
    def port(delivery):
        return request.form["payload"]

    assert post(client, body, content_type=kind).data == b"a b"


def test_files_that_were_parsed_from_a_kept_body_are_closed_and_parsed_again(
    app, client
):
    parsed = []

    def parse():
        request.get_data()
        parsed.append(request.files["file"])

    look_first(app, parse)

    @app.post("/port")
    @webhook(make())
    def port(delivery):
        assert parsed[0].closed
        return request.files["file"].read()

    assert post(client, MULTIPART, content_type=MULTIPART_TYPE).data == b"!"


# --- A body that something has read -------------------------------------------------


class Reading:
    """A WSGI middleware that reads the body, as some instrumentation does."""

    def __init__(self, app, size):
        self._app, self._size = app, size

    def __call__(self, environ, start_response):
        environ["wsgi.input"].read(self._size)
        return self._app(environ, start_response)


@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
def test_a_body_that_a_middleware_has_read_is_told_from_a_wrong_secret(
    *, app, client, seen, rejected, send, records
):
    app.wsgi_app = Reading(app.wsgi_app, -1)
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    assert send(client, BODY).status_code == 400
    assert [error.code for error in rejected] == ["unreadable_body"]
    assert "read the body before" in records[-1].getMessage()
    assert seen.deliveries == []


def test_a_part_that_a_middleware_has_read_is_a_truncated_body(
    app, client, seen, rejected
):
    app.wsgi_app = Reading(app.wsgi_app, 3)
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    assert post(client).status_code == 400
    assert "24 of 27 bytes" in str(rejected[0])


@pytest.mark.parametrize("configured", [None, 1000])
def test_a_part_of_a_chunked_body_that_was_read_is_told_from_a_wrong_secret(
    *, app, client, seen, rejected, configured
):
    app.config["MAX_CONTENT_LENGTH"] = configured
    look_first(app, lambda: request.stream.read(3))
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    assert post_chunked(client, BODY).status_code == 400
    assert "read the body before" in str(rejected[0])


def test_a_server_may_give_a_body_in_parts(app, client, seen):
    class Parts(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 5))

    body = '{"a":"\u00e9\u00e9\u00e9"}'.encode()  # cut within a character
    app.post("/port")(webhook(make())(seen))
    environ = {"wsgi.input": Parts(body)}
    assert post(client, body, environ_overrides=environ).status_code == 200
    environ = {"wsgi.input": Parts(body)}
    assert post_chunked(client, body, environ=environ).status_code == 200
    assert [each.payload for each in seen.deliveries] == [body, body]


def test_a_body_that_the_server_does_not_wait_for_is_a_bad_request(
    app, client, seen, rejected
):
    app.post("/port")(webhook(make(on_rejected=rejected.append))(seen))
    stream = SimpleNamespace(read=lambda _: None, close=lambda: None)
    environ = {"wsgi.input": stream}
    assert post(client, environ_overrides=environ).status_code == 400
    assert post_chunked(client, BODY, environ=environ).status_code == 400
    assert [error.code for error in rejected] == ["unreadable_body"] * 2
    assert seen.deliveries == []


@pytest.mark.parametrize("send", [post, post_chunked], ids=["length", "chunked"])
def test_the_body_can_be_read_after_it_was_refused(app, client, seen, send):
    @app.after_request
    def look(response):
        response.headers["x-body"] = request.get_data(as_text=True)
        return response

    app.post("/port")(webhook(make())(seen))
    answer = send(client, BODY, headers=signed(b"?"))
    assert answer.status_code == 401
    assert answer.headers["x-body"] == BODY.decode()
