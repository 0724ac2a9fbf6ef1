"""One ASGI request, through messages written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from port_webhook import (
    BodyTooLargeError,
    MissingHeaderError,
    PayloadError,
    ReplayStoreError,
    UnreadableBodyError,
    UnsupportedMediaError,
    sign,
)
from port_webhook.integration import DELIVERY_KEY, answer, serve

from .doubles import NOW, SECRET, AsyncStore, make

BODY = b'{"context":{"runId":"r_1"}}'
# BODY as the agent may send it.
SPELLED = b'{ "context": {"runId": "r_1"} }'
END = {"type": "http.disconnect"}
START = {"type": "http.response.start", "status": 200, "headers": []}
LAST = {"type": "http.response.body", "body": b"done"}


def part(body, *, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


class Server:
    """A server's side of one request, and what it was asked to refuse.

    Args:
        messages: What it receives; then the client is gone.
        headers: In place of those of a signed request.
        more: Headers beside them.
    """

    def __init__(self, *messages, headers=None, more=(), **scope):
        signed = sign(BODY, SECRET, timestamp=NOW) if headers is None else headers
        pairs = [(name.encode(), value.encode()) for name, value in signed.items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "headers": [*pairs, *more],
            **scope,
        }
        self.messages: list[dict[str, Any]] = [*messages]
        self.received = 0
        self.fails = ""
        self.sent: list[Any] = []
        self.refused: list[Any] = []

    async def receive(self):
        self.received += 1
        if self.fails == "receive":
            raise ConnectionResetError
        return self.messages.pop(0) if self.messages else END

    async def send(self, message):
        if self.fails == "send":
            raise ConnectionResetError
        self.sent.append(message)

    async def refuse(self, error):
        self.refused.append(error)

    async def serve(self, app, verifier=None):
        await serve(
            app,
            verifier or make(),
            self.scope,
            self.receive,
            self.send,
            body_of=lambda error: error.code.encode(),
            refuse=self.refuse,
        )


class App:
    """An application that answers."""

    def __init__(self, *messages):
        self.scope: dict[str, Any] = {}
        self.read: list[Any] = []
        self._messages = messages or (START, LAST)

    async def __call__(self, scope, receive, send):
        self.scope = scope
        self.read = [await receive(), await receive()]
        for message in self._messages:
            await send(message)

    @property
    def delivery(self):
        return self.scope[DELIVERY_KEY]


async def never(scope, receive, send):
    raise AssertionError


class TestTheBody:
    async def test_it_is_read_part_by_part(self):
        empty = part(b"", more=True)
        server = Server(empty, part(BODY[:3], more=True), empty, part(BODY[3:]), "next")
        app = App()

        await server.serve(app)

        assert app.delivery.payload == BODY
        assert app.read == [part(BODY), "next"]
        assert server.sent == [START, LAST]

    async def test_an_application_may_wait_for_the_end_of_the_connection(self):
        app = App()

        await Server(part(BODY)).serve(app)

        assert app.read == [part(BODY), END]

    async def test_a_part_may_lack_its_keys(self):
        """An empty one is the last (ASGI, "Request")."""
        server = Server(
            {"type": "http.request"}, headers=sign(b"", SECRET, timestamp=NOW)
        )
        app = App()

        await server.serve(app)

        assert app.delivery.payload == b""
        assert app.read[0] == part(b"")

    async def test_reading_stops_beyond_the_limit(self):
        verifier = make(max_body_bytes=len(BODY))
        app = App()
        await Server(part(BODY)).serve(app, verifier)
        assert app.delivery.payload == BODY

        server = Server(part(BODY, more=True), part(b"x", more=True), part(b"y"))
        await server.serve(never, verifier)
        (error,) = server.refused
        assert type(error) is BodyTooLargeError
        assert error.limit == len(BODY)
        assert server.received == 2

    async def test_a_declared_length_over_the_limit_is_refused_unread(self):
        server = Server(part(BODY), more=[(b"Content-Length", b"28")])

        await server.serve(never, make(max_body_bytes=27))

        (error,) = server.refused
        assert type(error) is BodyTooLargeError
        assert error.limit == 27
        assert server.received == 0

    @pytest.mark.parametrize("length", [b"26", b"28", b"27,27", b"x"])
    async def test_another_length_than_declared_is_refused(self, length):
        server = Server(part(BODY), more=[(b"content-length", length)])

        await server.serve(never)

        assert [type(error) for error in server.refused] == [UnreadableBodyError]

    async def test_several_lines_of_a_length_are_one_list(self):
        more = [(b"content-length", b"27"), (b"Content-Length", b"27")]
        server = Server(part(BODY), more=more)

        await server.serve(never)

        (error,) = server.refused
        assert str(error) == "The Content-Length header is not a number."

    @pytest.mark.parametrize(
        "header",
        [
            (b"Content-Type", b"application/json; charset=utf-16"),
            (b"Content-Encoding", b"gzip"),
            (b"Content-Encoding", b"\xe9"),
        ],
    )
    async def test_what_would_be_decoded_is_refused_unread(self, header):
        server = Server(part(BODY), more=[header])

        await server.serve(never)

        assert [type(error) for error in server.refused] == [UnsupportedMediaError]
        assert server.received == 0

    async def test_a_charset_that_the_body_does_not_keep_to_is_refused(self):
        body = "é".encode()
        headers = sign(body, SECRET, timestamp=NOW)
        more = [(b"content-type", b"text/plain; charset=us-ascii")]
        server = Server(part(body), headers=headers, more=more)

        await server.serve(never)

        assert [type(error) for error in server.refused] == [UnsupportedMediaError]

    @pytest.mark.parametrize(
        ("body", "kind"),
        [(None, "NoneType"), (5, "int"), ("text", "str"), ([1], "list")],
    )
    async def test_a_part_that_is_not_bytes_is_named(self, body, kind):
        server = Server(part(BODY[:3], more=True), part(body))

        await server.serve(never)

        (error,) = server.refused
        assert str(error) == (
            "The server or a middleware passed a part of the body that is "
            f"{kind}, not bytes."
        )

    async def test_it_may_come_as_other_bytes(self):
        """ASGI asks a server for bytes; the checks must not depend on it."""
        app = App()
        await Server(part(bytearray(BODY))).serve(app)
        assert type(app.delivery.payload) is type(app.read[0]["body"]) is bytes

        more = [(b"content-type", b"text/plain; charset=us-ascii")]
        server = Server(part(bytearray("é".encode())), more=more)
        await server.serve(never)
        assert [type(error) for error in server.refused] == [UnsupportedMediaError]

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ([(b"transfer-encoding", b"chunked")], "something seems to have read"),
            ([], "No signature matches"),
            (
                [(b"transfer-encoding", b"chunked"), (b"content-length", b"0")],
                "No signature matches",
            ),
        ],
    )
    async def test_a_chunked_one_may_have_been_read_before(self, more, message):
        server = Server(part(b""), more=more)

        await server.serve(never)

        (error,) = server.refused
        assert message in str(error)
        assert isinstance(error, UnreadableBodyError) == ("seems" in message)

    async def test_a_chunked_one_with_content_is_the_body(self):
        app = App()
        server = Server(part(BODY), more=[(b"transfer-encoding", b"chunked")])

        await server.serve(app)

        assert app.delivery.payload == BODY

    async def test_a_client_that_is_gone_gets_no_response(self):
        rejected: list[Any] = []
        server = Server(part(BODY, more=True))

        await server.serve(never, make(on_rejected=rejected.append))

        assert server.refused == server.sent == []
        (error,) = rejected
        assert str(error) == (
            "The connection ended before the body did, or something read the body "
            "before it could be verified."
        )
        assert error.__context__ is None


class TestTheHeaders:
    async def test_names_may_be_in_any_case(self):
        headers = {
            name.upper(): value
            for name, value in sign(BODY, SECRET, timestamp=NOW).items()
        }
        app = App()

        await Server(part(BODY), headers=headers).serve(app)

        assert app.delivery.payload == BODY

    async def test_they_may_come_in_any_order(self):
        server = Server(part(BODY), more=[(b"x-other", b"1"), (b"Host", b"a.example")])
        server.scope["headers"].reverse()
        app = App()

        await server.serve(app)

        assert app.delivery.payload == BODY

    async def test_a_missing_signature_is_refused_unread(self):
        server = Server(part(BODY), headers={})

        await server.serve(never)

        assert [type(error) for error in server.refused] == [MissingHeaderError]
        assert server.received == 0

    async def test_a_value_that_is_not_ascii_is_read(self):
        more = [(b"x-port-signature", b"\xe9")]
        server = Server(part(BODY), more=more)

        await server.serve(never)

        assert [error.code for error in server.refused] == ["duplicate_header"]

    async def test_they_may_be_any_iterable(self):
        server = Server(part(BODY))
        server.scope["headers"] = iter(server.scope["headers"])
        app = App()

        await server.serve(app)

        assert len(app.scope["headers"]) == 2

    async def test_those_of_a_delivery_of_port_stay_as_they_came(self):
        more = [(b"Content-Length", b"27"), (b"X-Other", b"1")]
        server = Server(part(BODY), more=more)
        app = App()

        await server.serve(app)

        assert app.scope["headers"] == server.scope["headers"]

    async def test_the_length_of_what_the_agent_sent_is_that_of_the_payload(self):
        more = [
            (b"Content-Length", b"31"),
            (b"Transfer-Encoding", b"identity"),
            (b"X-Other", b"1"),
        ]
        server = Server(part(SPELLED), more=more)
        app = App()

        await server.serve(app, make(agent=True))

        assert app.scope["headers"] == [
            *server.scope["headers"][:2],
            (b"X-Other", b"1"),
            (b"content-length", b"27"),
        ]
        assert app.read[0] == part(BODY)


class TestTheScope:
    async def test_the_delivery_is_in_it_and_in_a_copy_of_its_state(self):
        state = {"pool": 1}
        server = Server(part(BODY), state=state, path="/port")
        before = {**server.scope}
        app = App()

        await server.serve(app)

        assert server.scope == before
        assert state == {"pool": 1}
        assert app.scope == {
            **before,
            "state": {"pool": 1, "port_delivery": app.delivery},
            DELIVERY_KEY: app.delivery,
        }

    async def test_it_may_have_no_state(self):
        app = App()

        await Server(part(BODY)).serve(app)

        assert app.scope["state"] == {"port_delivery": app.delivery}

    async def test_a_delivery_of_the_same_verifier_is_used_again(self):
        """The outer adapter hands out the payload, and ends the claim."""
        store = AsyncStore()
        verifier = make(store)
        outer = Server(part(BODY))
        inner = App()

        async def stacked(scope, receive, send):
            await serve(
                inner,
                verifier,
                scope,
                receive,
                send,
                body_of=lambda _error: b"",
                refuse=outer.refuse,
            )

        await outer.serve(stacked, verifier)

        assert inner.read == [part(BODY), END]
        assert outer.sent == [START, LAST]
        assert store.steps == ["claim", "commit"]

    async def test_a_payload_error_inside_is_recorded_once(self):
        """By the inner adapter, which has no claim to end."""
        rejected: list[Any] = []
        verifier = make(on_rejected=rejected.append)
        error = PayloadError("is wrong")
        outer, inner = Server(part(BODY)), Server()

        async def app(scope, receive, send):
            raise error

        async def stacked(scope, receive, send):
            inner.scope = scope
            await inner.serve(app, verifier)

        await outer.serve(stacked, verifier)

        assert rejected == inner.refused == [error]
        assert outer.refused == []

    async def test_a_delivery_of_another_verifier_is_not(self):
        outer = Server(part(BODY))
        inner = App()
        app = App()
        await outer.serve(app)
        again = Server(part(BODY), **{DELIVERY_KEY: app.delivery})

        await again.serve(inner, make(replay_scope="another"))

        assert inner.delivery is not app.delivery

    async def test_a_method_of_no_action_is_refused(self):
        server = Server(part(BODY), method="HEAD")

        await server.serve(never)

        assert [error.code for error in server.refused] == ["method_not_allowed"]


class TestTheClaim:
    @pytest.mark.parametrize(
        ("status", "step"), [(200, "commit"), (399, "commit"), (400, "release")]
    )
    async def test_it_ends_with_the_status(self, status, step):
        store = AsyncStore()

        await Server(part(BODY)).serve(App({**START, "status": status}), make(store))

        assert store.steps == ["claim", step]

    async def test_what_is_sent_before_the_status_does_not_end_it(self):
        """An informational message, such as of the extension "Early Hints"."""
        store = AsyncStore()
        hint = {"type": "http.response.early_hint", "links": []}
        steps: list[Any] = []

        async def app(scope, receive, send):
            await send(hint)
            steps.append([*store.steps])
            await send(START)
            steps.append([*store.steps])

        server = Server(part(BODY))
        await server.serve(app, make(store))

        assert steps == [["claim"], ["claim", "commit"]]
        assert server.sent == [hint, START]

    async def test_an_application_that_does_not_answer_releases_it(self):
        store = AsyncStore()

        async def app(scope, receive, send):
            pass

        server = Server(part(BODY))
        await server.serve(app, make(store))

        assert store.steps == ["claim", "release"]
        assert server.sent == server.refused == []

    async def test_an_exception_releases_it_and_goes_through(self):
        store = AsyncStore()

        async def app(scope, receive, send):
            raise LookupError

        server = Server(part(BODY))
        with pytest.raises(LookupError):
            await server.serve(app, make(store))

        assert store.steps == ["claim", "release"]
        assert server.sent == server.refused == []

    async def test_a_payload_error_becomes_a_response(self):
        store = AsyncStore()
        error = PayloadError("is wrong")

        async def app(scope, receive, send):
            raise error

        server = Server(part(BODY))
        await server.serve(app, make(store))

        assert store.steps == ["claim", "release"]
        assert server.refused == [error]

    @pytest.mark.parametrize("error", [LookupError(), PayloadError("is wrong")])
    async def test_an_exception_after_the_start_is_the_servers(self, error):
        store = AsyncStore()

        async def app(scope, receive, send):
            await send(START)
            raise error

        server = Server(part(BODY))
        with pytest.raises(type(error)):
            await server.serve(app, make(store))

        assert store.steps == ["claim", "commit"]
        assert server.sent == [START]
        assert server.refused == []

    async def test_a_commit_that_fails_is_the_response(self):
        read: list[Any] = []

        async def app(scope, receive, send):
            for message in (START, LAST, START):
                await send(message)
                read.append(await receive())

        server = Server(part(BODY), "next")
        await server.serve(app, make(AsyncStore(commit="broken")))

        start, body = server.sent
        assert start["status"] == ReplayStoreError.http_status
        assert body == {
            "type": "http.response.body",
            "body": b"replay_store_error",
            "more_body": False,
        }
        assert read == [END] * 3  # also in place of a payload that it did not read

    @pytest.mark.parametrize("step", ["receive", "send"])
    async def test_an_exception_of_the_server_reaches_the_application(self, step):
        """And the frames of ours show nothing."""
        store = AsyncStore()
        server = Server(part(BODY))

        async def app(scope, receive, send):
            await receive()
            server.fails = step
            with pytest.raises(ConnectionResetError) as caught:
                await (receive() if step == "receive" else send(START))
            ours = [
                each for each in caught.traceback if Path(each.path).name == "_asgi.py"
            ]
            assert [each.locals for each in ours] == [{}]
            raise LookupError

        with pytest.raises(LookupError):
            await server.serve(app, make(store))

        assert store.steps == ["claim", {"receive": "release", "send": "commit"}[step]]

    async def test_a_payload_that_was_not_read_is_let_go_after_an_exception(self):
        receives: list[Any] = []

        async def app(scope, receive, send):
            receives.append(receive)
            raise LookupError

        with pytest.raises(LookupError):
            await Server(part(BODY)).serve(app)

        assert await receives[0]() == END


class TestAnswers:
    async def test_it_is_two_messages_with_the_length(self):
        server = Server()
        error = MissingHeaderError("x-port-signature")

        await answer(server.send, error, b"body")

        start, body = server.sent
        assert start["type"] == "http.response.start"
        assert start["status"] == 401
        headers = dict(start["headers"])
        assert headers.pop(b"www-authenticate") == b"PortWebhook"
        assert headers.pop(b"content-length") == b"4"
        assert all(name == name.lower() for name in headers)
        assert body == {
            "type": "http.response.body",
            "body": b"body",
            "more_body": False,
        }

    async def test_head_gets_the_length_and_no_body(self):
        server = Server()

        await answer(server.send, BodyTooLargeError(5), b"body", method="HEAD")

        start, body = server.sent
        assert (b"content-length", b"4") in start["headers"]
        assert body["body"] == b""
