"""Which bodies the ASGI middleware reads, and what it hands on."""

from __future__ import annotations

from typing import Any

import pytest

from port_webhook import (
    UnreadableBodyError,
    sign,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware

from .server import BODY, NOW, SECRET, App, Connection, ask, make, parts, scope_of


async def test_the_application_receives_the_payload_once_and_then_the_server():
    app = App()
    scope = scope_of(length=False)
    await ask(PortWebhookMiddleware(app, make()), scope, *parts(BODY[:5], BODY[5:]))
    assert app.messages == [
        {"type": "http.request", "body": BODY, "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_a_message_may_lack_its_optional_keys():
    app = App()
    await ask(
        PortWebhookMiddleware(app, make()), scope_of(b""), {"type": "http.request"}
    )
    assert app.delivery.payload == b""


async def test_the_length_of_what_the_agent_sent_is_corrected():
    app = App()
    sent = b'{ "context": {"runId": "r_1"} }'
    scope = scope_of(sent, headers=sign(BODY, SECRET, timestamp=NOW))
    scope["headers"].append((b"Transfer-Encoding", b"identity"))
    await ask(PortWebhookMiddleware(app, make(agent=True)), scope, *parts(sent))
    headers = dict(app.scopes[0]["headers"])
    assert app.delivery.via == "agent"
    assert app.messages[0]["body"] == BODY
    assert headers[b"content-length"] == str(len(BODY)).encode()
    assert not {b"Content-Length", b"Transfer-Encoding"} & set(headers)


@pytest.mark.parametrize(
    "header",
    [
        (b"content-encoding", b"gzip"),
        (b"Content-Encoding", b"identity, br"),
        (b"content-type", b"application/json; charset=utf-7"),
        (b"Content-Type", b'text/plain; charset="latin-1"'),
    ],
)
async def test_what_would_be_decoded_otherwise_is_415_before_the_body_is_read(header):
    app = App()
    scope = scope_of()
    scope["headers"].append(header)
    answer = await ask(PortWebhookMiddleware(app, make()), scope)
    assert (answer.status, answer.received) == (415, 0)
    assert app.scopes == []
    scope = scope_of(headers={})
    scope["headers"].append(header)
    assert (await ask(PortWebhookMiddleware(app, make()), scope)).status == 401


async def test_characters_may_be_split_across_chunks():
    body = '{"name":"é€😀"}'.encode()
    chunks = parts(*(body[index : index + 1] for index in range(len(body))))
    for length in (True, False):
        app = App()
        scope = scope_of(body, length=length)
        answer = await ask(PortWebhookMiddleware(app, make()), scope, *chunks)
        assert answer.status == 200
        assert app.messages[0]["body"] == body


async def test_a_body_that_something_read_before_is_told_from_a_wrong_secret(records):
    """With a length it is 400 at once; a chunked one if nothing matches."""
    scope = scope_of()
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 400
    scope = scope_of(length=False)
    scope["headers"].append((b"transfer-encoding", b"chunked"))
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 400
    gone = {"type": "http.disconnect"}
    answer = await ask(PortWebhookMiddleware(App(), make()), scope_of(), gone)
    assert answer.sent == []
    messages = [record.getMessage() for record in records]
    assert len(messages) == 3
    assert all("read the body before it" in message for message in messages)


async def test_an_empty_chunked_body_can_be_signed():
    scope = scope_of(b"", length=False)
    scope["headers"].append((b"transfer-encoding", b"chunked"))
    answer = await ask(PortWebhookMiddleware(App(), make()), scope, *parts(b""))
    assert answer.status == 200


async def test_a_tampered_body_is_401_and_not_seen():
    app = App()
    answer = await ask(PortWebhookMiddleware(app, make()), None, *parts(BODY + b"\n"))
    assert answer.status == 400  # its length was declared
    answer = await ask(
        PortWebhookMiddleware(app, make()),
        scope_of(length=False),
        *parts(BODY + b"\n"),
    )
    assert answer.status == 401
    assert app.scopes == []


async def test_a_declared_length_over_the_limit_is_413_before_the_body_is_read():
    answer = await ask(PortWebhookMiddleware(App(), make(max_body_bytes=5)))
    assert (answer.status, answer.received) == (413, 0)


async def test_reading_stops_at_the_limit():
    verifier = make(max_body_bytes=5)
    scope = scope_of(length=False)
    answer = await ask(
        PortWebhookMiddleware(App(), verifier), scope, *parts(b"abcd", b"ef", b"g")
    )
    assert (answer.status, answer.received) == (413, 2)


@pytest.mark.parametrize("length", [b"1e1", b"-1"])
async def test_a_length_that_is_no_number_is_400(length):
    scope = scope_of(length=False)
    scope["headers"].append((b"content-length", length))
    assert (await ask(PortWebhookMiddleware(App(), make()), scope)).status == 400


async def test_nothing_is_sent_to_a_client_that_is_gone():
    rejected: list[Any] = []
    app = App()
    middleware = PortWebhookMiddleware(app, make(on_rejected=rejected.append))
    messages = [{**parts(BODY)[0], "more_body": True}, {"type": "http.disconnect"}]
    answer = await ask(middleware, None, *messages)
    assert answer.sent == []
    assert app.scopes == []
    assert [type(error) for error in rejected] == [UnreadableBodyError]


async def test_nothing_is_sent_when_the_server_cannot_receive():
    rejected: list[Any] = []

    async def receive():
        raise ConnectionResetError

    connection = Connection()
    middleware = PortWebhookMiddleware(App(), make(on_rejected=rejected.append))
    await middleware(scope_of(), receive, connection.send)
    assert connection.sent == []
    assert [error.code for error in rejected] == ["unreadable_body"]
