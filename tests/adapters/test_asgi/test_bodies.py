"""Which bodies the ASGI middleware reads, and what it hands on."""

from __future__ import annotations

from typing import Any

import pytest

from port_webhook import (
    UnreadableBodyError,
    sign,
)
from port_webhook.adapters.asgi import PortWebhookMiddleware

from ..doubles import BODY, NOW, SECRET, make
from .server import App, Connection, ask, parts, scope_of


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


async def test_nothing_is_sent_to_a_client_that_is_gone():
    rejected: list[Any] = []
    app = App()
    middleware = PortWebhookMiddleware(app, make(on_rejected=rejected.append))
    messages = [{**parts(BODY)[0], "more_body": True}, {"type": "http.disconnect"}]
    answer = await ask(middleware, None, *messages)
    assert answer.sent == []
    assert app.scopes == []
    assert [type(error) for error in rejected] == [UnreadableBodyError]


@pytest.mark.parametrize("before", [b"", BODY[:5]])
@pytest.mark.parametrize(
    ("part", "kind"), [(None, "NoneType"), ("text", "str"), ([1], "list")]
)
async def test_a_body_that_is_not_bytes_is_a_bad_request(before, part, kind, records):
    app = App()
    messages = parts(before, part)
    answer = await ask(PortWebhookMiddleware(app, make()), scope_of(), *messages)
    assert (answer.status, app.scopes) == (400, [])
    (record,) = records
    assert record.port_code == "unreadable_body"
    assert f"is {kind}, not bytes" in record.getMessage()


async def test_an_error_of_the_server_is_not_taken_for_such_a_body():
    async def receive():
        raise TypeError

    middleware = PortWebhookMiddleware(App(), make())
    with pytest.raises(TypeError):
        await middleware(scope_of(), receive, Connection().send)


async def test_nothing_is_sent_when_the_server_cannot_receive():
    rejected: list[Any] = []

    async def receive():
        raise ConnectionResetError

    connection = Connection()
    middleware = PortWebhookMiddleware(App(), make(on_rejected=rejected.append))
    await middleware(scope_of(), receive, connection.send)
    assert connection.sent == []
    assert [error.code for error in rejected] == ["unreadable_body"]
