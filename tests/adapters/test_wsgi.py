"""The WSGI middleware, called as a server calls it."""

from __future__ import annotations

import sys
from io import BytesIO
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import Flask, g

from port_webhook import ConfigurationError, PayloadError, Verifier, sign
from port_webhook.adapters.flask import webhook
from port_webhook.adapters.wsgi import PortWebhookMiddleware
from port_webhook.replay.memory import MemoryReplayStore

BODY = b'{"context":{"runId":"r_1"}}'
LIMIT = 1_048_576


class Input:
    """A server's input, which gives at most *step* bytes at a time."""

    def __init__(self, body, step=7, error=None):
        self.position = 0
        self._body = body
        self._step = step
        self._error = error

    def read(self, size=-1):
        assert size > 0
        if self._error is not None:
            raise self._error
        start = self.position
        self.position = min(start + min(size, self._step), len(self._body))
        return self._body[start : self.position]


class Store(MemoryReplayStore):
    """A store that remembers what was done, and fails if it is told to."""

    def __init__(self):
        super().__init__()
        self.steps = []
        self.fails = ""

    def _do(self, step, *args):
        self.steps.append(step)
        if step == self.fails:
            raise OSError
        return getattr(super(), step)(*args)

    def claim(self, *args):
        return self._do("claim", *args)

    def commit(self, *args):
        return self._do("commit", *args)

    def release(self, *args):
        return self._do("release", *args)


class AsyncStore:
    async def claim(self, key, owner, lease):
        return "claimed"

    async def commit(self, key, owner, ttl):
        return True

    async def release(self, key, owner):
        return True


class Closing:
    """An application's iterable that knows whether it was closed."""

    def __init__(self, parts):
        self.closed = 0
        self._parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._parts)

    def close(self):
        self.closed += 1


class Failing(Closing):
    """One that fails at its first item."""

    def __init__(self, error):
        super().__init__([])
        self._error = error

    def __next__(self):
        raise self._error


class Client:
    """Builds requests, and plays the server."""

    def __init__(self, secret, now):
        self._secret = secret
        self._now = now
        self.calls = []
        self.environ = {}

    def environ_of(self, body=BODY, *, signs=BODY, path="/port", **changes):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": ""}
        setup_testing_defaults(environ)
        environ["wsgi.input"] = Input(body)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        if signs is not None:
            for name, value in sign(signs, self._secret, timestamp=self._now).items():
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        environ.update(changes)
        return {key: value for key, value in environ.items() if value is not None}

    def send(self, app, body=BODY, **changes):
        """Return the status, the headers and the body of the answer."""
        self.environ = self.environ_of(body, **changes)
        self.calls = []

        def start_response(status, headers, exc_info=None):
            self.calls.append((status, headers, exc_info))
            return self.calls.append

        result = app(self.environ, start_response)
        try:
            parts = list(result)
        finally:
            getattr(result, "close", lambda: None)()
        status, headers, _ = self.calls[-1] if self.calls else ("", [], None)
        return status, dict(headers), b"".join(parts)


@pytest.fixture
def client(secret, now):
    return Client(secret, now)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def guarded(make_verifier, store):
    """A verifier with a replay store."""
    return make_verifier(replay_store=store)


async def choose_later(environ):
    raise AssertionError


class App:
    """An application that keeps what it saw."""

    def __init__(self):
        self.seen = []

    def __call__(self, environ, start_response):
        length = environ.get("CONTENT_LENGTH")
        self.seen.append((environ["wsgi.input"].read(), length))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]


@pytest.fixture
def app():
    return App()


def test_the_application_reads_what_was_signed_and_finds_the_delivery(
    client, app, verifier
):
    answer = client.send(PortWebhookMiddleware(app, verifier))
    assert answer == ("200 OK", {"Content-Type": "text/plain"}, b"done")
    assert app.seen == [(BODY, str(len(BODY)))]
    assert client.environ["port_webhook.delivery"].run_id == "r_1"


def test_the_environment_gives_the_verifier(client, app, monkeypatch, secret):
    monkeypatch.setenv("PORT_CLIENT_SECRET", secret)
    status, _, _ = client.send(PortWebhookMiddleware(app), signs=None)
    assert status == "401 Unauthorized"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["secret"], {}, "Verifier"),
        ([Verifier], {}, "Verifier"),
        ([lambda environ: Verifier("secret")], {}, "choose="),
        ([Verifier("secret")], {"choose": lambda environ: None}, "not both"),
        ([], {"choose": Verifier("secret")}, "function"),
        ([], {"choose": choose_later}, "asynchronous"),
        ([], {"paths": ["/port"], "exclude": ["/health"]}, "not both"),
        ([], {"paths": "/port"}, "collection"),
        ([], {"paths": []}, "nothing would be verified"),
        ([], {"exclude": "/health"}, "collection"),
        ([], {"exclude": ["/health/*"]}, "placeholders"),
    ],
)
def test_what_cannot_be_meant_is_refused(app, arguments, options, message):
    with pytest.raises(ConfigurationError, match=message):
        PortWebhookMiddleware(app, *arguments, **options)


def test_a_choice_that_is_no_verifier_is_an_error(client, app):
    middleware = PortWebhookMiddleware(app, choose=lambda environ: None)  # type: ignore[arg-type,return-value]  # the point
    with pytest.raises(ConfigurationError):
        client.send(middleware)
    assert app.seen == []


def test_a_function_chooses_the_verifier(client, app, make_verifier, verifier):
    verifiers = {"a": verifier, "b": make_verifier(secret="another")}
    middleware = PortWebhookMiddleware(
        app, choose=lambda env: verifiers[env["HTTP_X_ORG"]]
    )
    assert client.send(middleware, HTTP_X_ORG="a")[0] == "200 OK"
    assert client.send(middleware, HTTP_X_ORG="b")[0] == "401 Unauthorized"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "changes",
    [
        {"signs": None},
        {"signs": b"another"},
        {"HTTP_X_PORT_SIGNATURE": None},
        {"HTTP_X_PORT_SIGNATURE": "v1,bad"},
        {"CONTENT_TYPE": "multipart/form-data", "signs": None},
        {"CONTENT_LENGTH": "x", "signs": None},
    ],
)
def test_an_unsigned_request_never_reaches_the_application(
    client, app, verifier, method, changes
):
    middleware = PortWebhookMiddleware(app, verifier)
    answer = client.send(middleware, REQUEST_METHOD=method, **changes)
    headers = {
        "Content-Type": "application/json",
        "WWW-Authenticate": "PortWebhook",
        "Content-Length": "25",
    }
    assert answer == ("401 Unauthorized", headers, b'{"error": "unauthorized"}')
    assert app.seen == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "post", ""])
@pytest.mark.parametrize("signs", [BODY, None])
def test_other_methods_are_405_without_a_claim(
    client, app, guarded, store, method, signs
):
    middleware = PortWebhookMiddleware(app, guarded)
    status, headers, body = client.send(middleware, REQUEST_METHOD=method, signs=signs)
    assert status == "405 Method Not Allowed"
    assert headers["Allow"] == "GET, POST, PUT, PATCH, DELETE"
    assert headers["Content-Length"] == "31"
    assert len(body) == (0 if method == "HEAD" else 31)
    assert client.environ["wsgi.input"].position == 0
    assert (app.seen, store.steps) == ([], [])


@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"HTTP_CONTENT_ENCODING": "identity, br"},
        {"CONTENT_TYPE": "application/json; charset=utf-7"},
        {"CONTENT_TYPE": 'text/plain; charset="latin-1"'},
    ],
)
def test_what_would_be_decoded_otherwise_is_415_before_the_body_is_read(
    client, app, verifier, header
):
    middleware = PortWebhookMiddleware(app, verifier)
    assert client.send(middleware, **header)[0] == "415 Unsupported Media Type"
    assert client.environ["wsgi.input"].position == 0
    assert app.seen == []
    assert client.send(middleware, signs=None, **header)[0] == "401 Unauthorized"


def test_a_header_that_comes_twice_is_refused(client, app, verifier):
    signed = client.environ_of()["HTTP_X_PORT_SIGNATURE"]
    middleware = PortWebhookMiddleware(app, verifier)
    twice = {"HTTP_X_PORT_SIGNATURE": f"{signed},{signed}"}
    assert client.send(middleware, **twice)[0] == "401 Unauthorized"


def test_headers_are_checked_before_the_body_is_read(client, app, verifier):
    client.send(PortWebhookMiddleware(app, verifier), signs=None)
    assert client.environ["wsgi.input"].position == 0


# Bodies


@pytest.mark.parametrize("chunked", [None, "chunked"])
def test_a_body_without_a_length_is_read_to_the_end_that_the_server_marks(
    client, app, verifier, chunked
):
    middleware = PortWebhookMiddleware(app, verifier)
    changes = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": chunked}
    status, _, _ = client.send(middleware, **changes, **{"wsgi.input_terminated": True})
    assert status == "200 OK"
    assert app.seen == [(BODY, str(len(BODY)))]
    assert "HTTP_TRANSFER_ENCODING" not in client.environ
    assert client.environ["wsgi.input_terminated"] is True


def test_a_chunked_body_is_refused_where_the_server_does_not_mark_its_end(
    client, app, verifier, caplog
):
    status, _, _ = client.send(
        PortWebhookMiddleware(app, verifier),
        CONTENT_LENGTH=None,
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert status == "400 Bad Request"
    assert "does not pass on" in caplog.text


@pytest.mark.parametrize("step", [1, 2, 3])
def test_characters_may_be_split_across_reads(client, app, verifier, step):
    body = '{"name":"é€😀"}'.encode()
    stream = {"wsgi.input": Input(body, step)}
    middleware = PortWebhookMiddleware(app, verifier)
    assert client.send(middleware, body, signs=body, **stream)[0] == "200 OK"
    assert app.seen == [(body, str(len(body)))]


@pytest.mark.parametrize("length", [str(len(BODY)), None])
def test_a_body_that_something_read_before_is_told_from_a_wrong_secret(
    client, app, verifier, caplog, length
):
    """With a length it is known at once; of a chunked one, if nothing matches."""
    chunked = None if length else "chunked"
    status, _, _ = client.send(
        PortWebhookMiddleware(app, verifier),
        b"",
        CONTENT_LENGTH=length,
        HTTP_TRANSFER_ENCODING=chunked,
        **{"wsgi.input_terminated": True},
    )
    assert status == "400 Bad Request"
    assert "read the body before it" in caplog.text
    assert app.seen == []


@pytest.mark.parametrize("length", [None, "", "0"])
def test_an_empty_body_can_be_signed(client, app, verifier, length):
    middleware = PortWebhookMiddleware(app, verifier)
    status, _, _ = client.send(middleware, b"", signs=b"", CONTENT_LENGTH=length)
    assert status == "200 OK"
    assert app.seen == [(b"", "0")]


def test_nothing_is_read_beyond_the_declared_length(client, app, verifier):
    middleware = PortWebhookMiddleware(app, verifier)
    length = str(len(BODY))
    status, _, _ = client.send(middleware, BODY + b"next", CONTENT_LENGTH=length)
    assert status == "200 OK"
    assert app.seen == [(BODY, length)]


@pytest.mark.parametrize(("body", "length"), [(BODY, len(BODY) + 1), (b"", 5)])
def test_a_truncated_body_is_a_bad_request(client, app, verifier, body, length):
    middleware = PortWebhookMiddleware(app, verifier)
    status, _, _ = client.send(middleware, body, CONTENT_LENGTH=str(length))
    assert status == "400 Bad Request"
    assert app.seen == []


def test_a_length_that_is_no_number_is_a_bad_request(client, app, verifier):
    middleware = PortWebhookMiddleware(app, verifier)
    status, _, _ = client.send(middleware, CONTENT_LENGTH="+27")
    assert status == "400 Bad Request"


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("bad chunk")])
def test_a_body_that_the_server_cannot_read_is_a_bad_request(
    client, app, verifier, error, caplog
):
    middleware = PortWebhookMiddleware(app, verifier)
    failing = Input(BODY, error=error)
    status, _, _ = client.send(middleware, **{"wsgi.input": failing})
    assert status == "400 Bad Request"
    assert type(error).__name__ in caplog.text
    assert str(error) not in caplog.text


def test_a_body_at_the_limit_passes(client, app, verifier):
    body = b"x" * LIMIT
    middleware = PortWebhookMiddleware(app, verifier)
    whole = {"wsgi.input": Input(body, LIMIT)}
    assert client.send(middleware, body, signs=body, **whole)[0] == "200 OK"


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(client, app, verifier, declared):
    body = b"x" * (LIMIT + 100)
    stream = Input(body, LIMIT)
    changes = {"wsgi.input": stream, "wsgi.input_terminated": True}
    if not declared:
        changes["CONTENT_LENGTH"] = None
    middleware = PortWebhookMiddleware(app, verifier)
    status, _, _ = client.send(middleware, body, signs=body, **changes)
    assert status.startswith("413 ")
    assert stream.position == (0 if declared else LIMIT + 1)
    assert app.seen == []


@pytest.mark.parametrize(
    ("sent", "signed"), [(b'{"a": 1}', b'{"a":1}'), (b"", b"null")]
)
def test_the_application_reads_what_the_agent_signed(
    client, app, make_verifier, sent, signed
):
    middleware = PortWebhookMiddleware(app, make_verifier(agent=True))
    assert client.send(middleware, sent, signs=signed)[0] == "200 OK"
    assert app.seen == [(signed, str(len(signed)))]


# Answers


def test_an_asynchronous_store_is_refused(app, make_verifier):
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        PortWebhookMiddleware(app, make_verifier(replay_store=AsyncStore()))


@pytest.mark.parametrize(
    ("status", "last"),
    [
        ("200 OK", "commit"),
        ("302 Found", "commit"),
        ("399 Odd", "commit"),
        ("400 Bad Request", "release"),
        ("503 Unavailable", "release"),
        ("what", "release"),
    ],
)
def test_the_status_decides_whether_the_request_may_run_again(
    client, guarded, store, status, last
):
    def app(environ, start_response):
        start_response(status, [])
        return [b""]

    assert client.send(PortWebhookMiddleware(app, guarded))[0] == status
    assert store.steps == ["claim", last]


def test_a_duplicate_is_answered_without_the_application(client, app, guarded):
    middleware = PortWebhookMiddleware(app, guarded)
    client.send(middleware)
    status, _, body = client.send(middleware)
    assert (status, body) == ("200 OK", b'{"status": "duplicate"}')
    assert len(app.seen) == 1


def test_an_exception_is_the_applications_own_and_releases(client, guarded, store):
    def app(environ, start_response):
        msg = "own"
        raise KeyError(msg)

    with pytest.raises(KeyError, match="own"):
        client.send(PortWebhookMiddleware(app, guarded))
    assert store.steps == ["claim", "release"]
    assert client.calls == []


def test_a_payload_error_of_the_application_is_an_answer(client, guarded, store):
    parts = Failing(PayloadError("is wrong"))
    middleware = PortWebhookMiddleware(lambda *_: parts, guarded)
    assert client.send(middleware)[0].startswith("422 ")
    assert store.steps == ["claim", "release"]
    assert parts.closed == 1


def test_the_claim_ends_before_the_answer_starts(client, guarded, store):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        assert store.steps == ["claim", "commit"]
        yield b"b"

    assert client.send(PortWebhookMiddleware(app, guarded))[2] == b"ab"


def test_a_commit_that_fails_replaces_the_answer(client, guarded, store):
    store.fails = "commit"
    parts = Closing([b"done"])

    def app(environ, start_response):
        start_response("200 OK", [("X-Secret", "of the application")])
        return parts

    status, headers, body = client.send(PortWebhookMiddleware(app, guarded))
    assert (status, body) == ("503 Service Unavailable", b'{"error": "unavailable"}')
    assert headers["Retry-After"] == "5"
    assert "X-Secret" not in headers
    assert len(client.calls) == 1
    assert parts.closed == 1


def test_an_iterable_is_passed_on_as_it_is(client, verifier):
    file = FileWrapper(BytesIO(b"content"))

    def app(environ, start_response):
        start_response("200 OK", [])
        return file

    middleware = PortWebhookMiddleware(app, verifier)
    result = middleware(client.environ_of(), lambda *_: bytes)
    assert result is file


def test_a_generator_says_its_status_with_its_first_item(client, guarded, store):
    def app(environ, start_response):
        yield b""
        start_response("404 Not Found", [("X", "y")])
        yield b"a"
        yield b"b"

    answer = client.send(PortWebhookMiddleware(app, guarded))
    assert answer == ("404 Not Found", {"X": "y"}, b"ab")
    assert store.steps == ["claim", "release"]


def test_an_iterable_that_had_to_be_read_is_closed_by_the_server(client, verifier):
    parts = Closing([])

    def app(environ, start_response):
        def late():
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        parts._parts = late()
        return parts

    assert client.send(PortWebhookMiddleware(app, verifier))[2] == b"ab"
    assert parts.closed == 1


@pytest.mark.parametrize("parts", [[], [b"too early", b"too early"]])
def test_an_application_without_a_status_releases(client, guarded, store, parts):
    closing = Closing(parts)
    middleware = PortWebhookMiddleware(lambda *_: closing, guarded)
    assert client.send(middleware)[2] == b"".join(parts)
    assert client.calls == []  # which no server accepts
    assert store.steps == ["claim", "release"]
    assert closing.closed == 1


def test_an_iterable_that_fails_before_its_status_is_closed(client, guarded, store):
    parts = Failing(KeyError("own"))
    with pytest.raises(KeyError):
        client.send(PortWebhookMiddleware(lambda *_: parts, guarded))
    assert store.steps == ["claim", "release"]
    assert parts.closed == 1


def test_an_iterable_is_closed_when_the_server_refuses_the_headers(client, verifier):
    parts = Closing([b"a"])

    def app(environ, start_response):
        start_response("200 OK", [])
        return parts

    def refuse(*_):
        msg = "header"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="header"):
        PortWebhookMiddleware(app, verifier)(client.environ_of(), refuse)
    assert parts.closed == 1


def test_what_is_written_comes_before_what_is_returned(client, guarded, store):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]

    assert client.send(PortWebhookMiddleware(app, guarded))[2] == b"abc"
    assert store.steps == ["claim", "commit"]


def fail():
    try:
        int("own")
    except ValueError:
        return sys.exc_info()


def test_an_application_may_change_its_mind_before_the_answer(client, guarded, store):
    def app(environ, start_response):
        start_response("200 OK", [("A", "b")])
        start_response("500 Oops", [("C", "d")], fail())
        return [b"sorry"]

    answer = client.send(PortWebhookMiddleware(app, guarded))
    assert answer == ("500 Oops", {"C": "d"}, b"sorry")
    assert len(client.calls) == 1
    assert store.steps == ["claim", "release"]


def test_an_application_may_not_change_its_mind_silently(client, verifier):
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("500 Oops", [])

    with pytest.raises(AssertionError, match="exc_info"):
        client.send(PortWebhookMiddleware(app, verifier))


def test_an_application_that_has_written_may_not_change_its_mind(
    client, guarded, store
):
    def app(environ, start_response):
        start_response("200 OK", [])(b"a")
        start_response("500 Oops", [], fail())

    with pytest.raises(ValueError, match="own"):
        client.send(PortWebhookMiddleware(app, guarded))
    assert store.steps == ["claim", "release"]


def test_what_happens_after_the_start_is_between_application_and_server(
    client, guarded, store
):
    info = fail()

    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        start_response("500 Oops", [], info)
        yield b"b"

    client.send(PortWebhookMiddleware(app, guarded))
    assert [call[0] for call in client.calls] == ["200 OK", "500 Oops"]
    assert client.calls[1][2] is info
    assert store.steps == ["claim", "commit"]


@pytest.mark.parametrize("kind", ["list", "generator", "write"])
@pytest.mark.parametrize("sent", [BODY, b'{ "context": {"runId": "r_1"} }'])
def test_it_keeps_the_rules_that_wsgiref_checks(client, make_verifier, kind, sent):
    """Around it and inside of it, for answers of every form and refusals."""

    def read(environ):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        assert environ["wsgi.input"].read(1) == b""
        return body

    def returns(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [read(environ)]

    def yields(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield read(environ)

    def writes(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(read(environ))
        return []

    app = {"list": returns, "generator": yields, "write": writes}[kind]
    inner = PortWebhookMiddleware(validator(app), make_verifier(agent=True))
    checked = validator(inner)

    def send(body=sent, **changes):
        changes = {"wsgi.input": BytesIO(body), "QUERY_STRING": "", **changes}
        return client.send(checked, body, **changes)

    assert send()[2] == BODY
    assert send(CONTENT_TYPE="application/json")[2] == BODY
    assert send(signs=None)[0] == "401 Unauthorized"
    assert send(signs=b"other")[0] == "401 Unauthorized"
    assert send(CONTENT_LENGTH="99")[0] == "400 Bad Request"
    assert send(REQUEST_METHOD="OPTIONS")[0] == "405 Method Not Allowed"
    assert send(REQUEST_METHOD="HEAD")[2] == b""
    assert send(HTTP_CONTENT_ENCODING="gzip")[0] == "415 Unsupported Media Type"
    assert send(b"x" * (LIMIT + 1))[0].startswith("413 ")


# Adapters within adapters


def test_a_flask_view_behind_it_verifies_and_claims_nothing_again(
    client, guarded, store
):
    flask = Flask(__name__)
    seen = []

    @flask.post("/port")
    @webhook(guarded)
    def view(delivery):
        seen.append((delivery, g.port_delivery))
        return "done"

    middleware = PortWebhookMiddleware(flask, guarded)
    assert client.send(middleware)[0] == "200 OK"
    assert store.steps == ["claim", "commit"]
    delivery = client.environ["port_webhook.delivery"]
    assert seen == [(delivery, delivery)]


def test_two_middlewares_verify_and_claim_once(client, app, guarded, store):
    middleware = PortWebhookMiddleware(PortWebhookMiddleware(app, guarded), guarded)
    assert client.send(middleware)[0] == "200 OK"
    assert store.steps == ["claim", "commit"]
    assert app.seen == [(BODY, str(len(BODY)))]
