"""What the clients send, with which token, and how often."""

from __future__ import annotations

import asyncio
import gzip
import threading
import tracemalloc
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import pytest
import stamina

from port_webhook import ConfigurationError, PortWebhookError, ReportingError
from port_webhook.reporting import AsyncPortClient, PortClient, _core
from port_webhook.reporting._core import drive
from port_webhook.reporting._options import read_credentials
from tests.placeholders import NO_PLACEHOLDERS, PLACEHOLDERS

from .conftest import Blocking, Clock
from .port_api import CLIENT_ID, CLIENT_SECRET, LIFETIME, PortApi

TOKEN = "POST /v1/auth/access_token"


# The calls


def test_an_action_is_run(kind, client, api):
    found = kind.do(
        client.run_action(
            "slack_notify", {"message": "hi"}, run_as="user@example.com", entity="a"
        )
    )
    assert found == {"id": "r_started_1", "status": "IN_PROGRESS"}
    assert api.started == [
        (
            "slack_notify",
            {"properties": {"message": "hi"}, "entity": "a"},
            {"run_as": "user@example.com"},
        )
    ]


def test_an_action_without_inputs_sends_empty_ones(kind, client, api):
    kind.do(client.run_action("a/b c"))
    assert api.started == [("a/b c", {"properties": {}}, {})]


def test_an_entity_is_upserted_and_tied_to_its_run(kind, client, api):
    entity = {"identifier": "a", "properties": {"cpu": 2}}
    found = kind.do(client.upsert_entity("service", entity, run_id=api.add_run()))
    assert found == {**entity, "blueprint": "service"}
    ((blueprint, body, params),) = api.entities
    assert (blueprint, body) == ("service", entity)
    assert params == {
        "upsert": "true",
        "merge": "true",
        "create_missing_related_entities": "false",
        "run_id": "r_1",
    }


def test_an_identifier_of_another_type_is_left_to_port(kind, client):
    with pytest.raises(ReportingError, match="422"):
        kind.do(client.upsert_entity("service", {"identifier": {"a": 1}}))


def test_a_run_is_approved_or_declined(kind, client, api):
    kind.do(client.approve(api.add_run(), "fine"))
    kind.do(client.decline("r_1"))
    assert api.approvals == [
        ("r_1", {"status": "APPROVE", "description": "fine"}),
        ("r_1", {"status": "DECLINE"}),
    ]


def test_an_answer_without_what_was_asked_for_is_an_empty_object(kind, client, api):
    api.script("/entities", 200)
    assert kind.do(client.upsert_entity("a", {"identifier": "a"})) == {}


def test_ports_own_message_is_in_the_error(kind, client, api):
    with pytest.raises(ReportingError, match="Action unknown was not found") as caught:
        kind.do(client.run_action("unknown"))
    assert (caught.value.status_code, caught.value.error) == (404, "not_found")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.run_action(""),
        lambda client: client.run_action(".."),
        lambda client: client.run_action(5),
        lambda client: client.run_action("\ud800"),
        lambda client: client.run_action("a" * 131_073),
        lambda client: client.run_action("a", run_as="\ud800"),
        lambda client: client.run_action("a", entity="a" * 131_073),
        lambda client: client.upsert_entity("\udfff", {"identifier": "a"}),
        lambda client: client.upsert_entity("a", {"identifier": "\ud800"}),
        lambda client: client.upsert_entity("a", {"identifier": "a"}, run_id="\ud800"),
        lambda client: client.approve("r_\ud800"),
        lambda client: client.run_action("a", [1]),
        lambda client: client.run_action("a", {"a": object()}),
        lambda client: client.run_action("a", {"a": float("nan")}),
        lambda client: client.run_action("a", {"a": "x" * 1_048_576}),
        lambda client: client.run_action("a", run_as=5),
        lambda client: client.upsert_entity("a", {}),
        lambda client: client.upsert_entity("a", [1]),
        lambda client: client.approve(""),
        lambda client: client.decline("r_1", 5),
    ],
)
def test_a_wrong_argument_is_a_configuration_error(kind, client, api, call):
    with pytest.raises(ConfigurationError):
        kind.do(call(client))
    assert api.requests == []


# The token


def test_a_token_is_used_until_it_expires(kind, client, api, clock):
    for _ in range(3):
        kind.do(client.run_action("a"))
    clock.now += LIFETIME - 0.001
    kind.do(client.run_action("a"))
    assert api.count(TOKEN) == 1
    clock.now += 0.001
    kind.do(client.run_action("a"))
    assert (api.count(TOKEN), len(api.tokens)) == (2, 2)


def test_the_dying_token_is_used_to_its_end_and_then_replaced(kind, api, clock):
    # Another client has had the token for almost all of its time.
    kind.do(kind.make(clock, base_url=api.url).run_action("a"))
    clock.now += LIFETIME - 10
    client = kind.make(clock, base_url=api.url)
    kind.do(client.run_action("a"))
    assert len(api.tokens) == 1
    clock.now += 9
    kind.do(client.run_action("a"))
    assert api.count(TOKEN) == 2
    clock.now += 1
    kind.do(client.run_action("a"))
    assert (api.count(TOKEN), len(api.tokens)) == (3, 2)


def test_a_401_fetches_once_more(kind, client, api):
    kind.do(client.run_action("a"))
    api.expire()
    kind.do(client.run_action("a"))
    assert (api.count(TOKEN), len(api.started)) == (2, 2)


def test_a_second_401_is_the_answer(kind, client, api):
    api.script("/runs", 401, 401, 401)
    with pytest.raises(ReportingError, match="401") as caught:
        kind.do(client.run_action("a"))
    assert caught.value.status_code == 401
    # The second fetch brought the same token, and nobody asks a third time.
    assert (api.count(TOKEN), api.count("/runs")) == (2, 2)


def test_wrong_credentials_are_said_so(kind, api, clock):
    for credentials in ((CLIENT_ID, "wrong"), ("wrong", CLIENT_SECRET)):
        client = kind.make(clock, *credentials, base_url=api.url)
        with pytest.raises(ReportingError) as caught:
            kind.do(client.run_action("a"))
        assert caught.value.status_code == 401
        assert credentials[1] not in str(caught.value)
    assert api.count(TOKEN) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"accessToken": 5}',
        b'{"accessToken": ""}',
        b'{"accessToken": "a\\nb"}',
        b'{"accessToken": "\xc3\xa4"}',
    ],
)
def test_an_answer_without_a_token_is_an_error(kind, clock, answer):
    client = kind.make(clock, http_client=mock(kind, [(200, answer)]))
    with pytest.raises(ReportingError, match="no access token"):
        kind.do(client.run_action("a"))


@pytest.mark.parametrize(
    "answer", [b'{"accessToken": "t"}', b'{"accessToken": "t", "expiresIn": "x"}']
)
def test_a_token_without_a_time_is_used_until_it_is_refused(kind, clock, answer):
    done = (202, b"{}")
    http = mock(kind, [(200, answer), done, done, (401, b"{}"), (200, answer), done])
    client = kind.make(clock, http_client=http)
    for _ in range(3):
        kind.do(client.run_action("a"))
        clock.now += 1e9


def test_a_time_beyond_every_float_is_no_error(kind, clock):
    token = b'{"accessToken": "t", "expiresIn": ' + b"9" * 400 + b"}"
    http = mock(kind, [(200, token), (202, b"{}"), (202, b"{}")])
    client = kind.make(clock, http_client=http)
    for _ in range(2):
        kind.do(client.run_action("a"))


def test_what_port_says_is_fit_for_a_log(kind, clock):
    token = (200, b'{"accessToken": "t2", "expiresIn": 60}')
    said = b'{"error": "\\ud800\\r\\nERROR fake", "message": "\\u001b[31m"}'
    client = kind.make(clock, http_client=mock(kind, [token, (400, said)]))
    with pytest.raises(ReportingError) as raised:
        kind.do(client.run_action("a"))
    assert str(raised.value).isprintable()
    assert raised.value.error == "   ERROR fake"


def mock(kind, answers, seen=None):
    """Make an HTTP client that gets *answers* one after the other."""
    answers = iter(answers)

    def handle(request):
        if seen is not None:
            seen.append(request)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        status, content, *headers = answer
        return httpx2.Response(status, content=content, headers=dict(*headers))

    transport = httpx2.MockTransport(handle)
    is_blocking = isinstance(kind, Blocking)
    return (httpx2.Client if is_blocking else httpx2.AsyncClient)(transport=transport)


def test_a_hundred_threads_fetch_one_token(api, clock):
    barrier = threading.Barrier(100)
    failed = []
    options = {"base_url": api.url, "clock": clock, "timeout": 60}
    with PortClient(CLIENT_ID, CLIENT_SECRET, **options) as client:

        def work():
            barrier.wait()
            try:
                client.run_action("a")
            except PortWebhookError as error:
                failed.append(error)

        for expected in (1, 2):
            threads = [threading.Thread(target=work) for _ in range(100)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert failed == []
            assert (api.count(TOKEN), len(api.started)) == (expected, 100 * expected)
            api.expire()


def test_five_hundred_tasks_fetch_one_token(api, clock):
    async def main():
        options = {"base_url": api.url, "clock": clock, "timeout": 60}
        async with AsyncPortClient(CLIENT_ID, CLIENT_SECRET, **options) as client:
            for expected in (1, 2):
                await asyncio.gather(*(client.run_action("a") for _ in range(500)))
                assert (api.count(TOKEN), len(api.started)) == (
                    expected,
                    500 * expected,
                )
                api.expire()

    asyncio.run(main())


def test_connections_are_used_again(kind, client, api):
    for _ in range(5):
        kind.do(client.run_action("a"))
    assert api.connections == 1


# Attempts


@pytest.mark.parametrize("answer", [429, 502, 503, 504, "drop", "cut"])
def test_what_is_safe_is_sent_five_times(kind, client, api, clock, answer):
    api.script("/entities", *[answer] * 4)
    kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert (api.count("/entities"), len(clock.waits)) == (5, 4)
    # Each wait is about twice the one before.
    for wait, usual in zip(clock.waits, (0.2, 0.4, 0.8, 1.6), strict=True):
        assert 0.75 * usual <= wait <= 1.25 * usual


@pytest.mark.parametrize("answer", [429, 502, 503, 504])
def test_a_token_is_asked_for_five_times_whatever_it_is_for(
    kind, client, api, clock, answer
):
    api.script("access_token", *[answer] * 4)
    kind.do(client.run_action("a"))
    assert (api.count(TOKEN), len(api.started)) == (5, 1)


def test_after_five_attempts_the_error_says_why(kind, client, api):
    api.script("/entities", *[503] * 5)
    with pytest.raises(ReportingError, match="scripted_503") as caught:
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert caught.value.status_code == 503
    assert api.count("/entities") == 5


@pytest.mark.parametrize("answer", [400, 403, 404, 409, 413, 422, 500, 501])
def test_what_repeating_would_not_help_is_sent_once(kind, client, api, answer):
    api.script("/entities", answer)
    with pytest.raises(ReportingError) as caught:
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert (caught.value.status_code, api.count("/entities")) == (answer, 1)


@pytest.mark.parametrize("answer", [429, 502, 503, 504, "drop", "cut"])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.run_action("a"),
        lambda client: client.approve("r_1"),
    ],
)
def test_what_is_not_safe_is_sent_once(kind, client, api, answer, call):
    api.add_run()
    api.script("/runs", answer)
    with pytest.raises(ReportingError):
        kind.do(call(client))
    assert api.count("/runs") == 1


@pytest.mark.parametrize("answer", [503, "drop", "cut"])
@pytest.mark.parametrize("add", ["add_run", "add_node"])
def test_a_line_of_a_log_is_sent_once(kind, client, api, answer, add):
    api.script("/logs", answer)
    run_id = getattr(api, add)()
    run = kind.within(client.report(run_id), lambda run: run.log("x"))
    assert (api.count("/logs"), run.logs_sent) == (1, 0)
    assert run.status == "SUCCESS"


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout]
)
def test_what_did_not_arrive_is_sent_again_even_if_it_is_not_safe(kind, clock, error):
    token = (200, b'{"accessToken": "t", "expiresIn": 60}')
    answers = [error("refused"), token, *[error("refused")] * 3, (202, b"{}")]
    client = kind.make(clock, http_client=mock(kind, answers))
    kind.do(client.run_action("a"))
    assert len(clock.waits) == 4


@pytest.mark.parametrize(
    "error",
    [
        httpx2.LocalProtocolError("Illegal header value b'Bearer TOKEN-marker'"),
        httpx2.UnsupportedProtocol("no"),
        RuntimeError("Event loop is closed: TOKEN-marker"),
        httpx2.InvalidURL("TOKEN-marker"),
    ],
)
def test_any_other_exception_becomes_our_error_without_its_text(kind, clock, error):
    client = kind.make(clock, http_client=mock(kind, [error]))
    with pytest.raises(ReportingError, match=type(error).__name__) as caught:
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert "TOKEN-marker" not in str(caught.value)
    assert caught.value.status_code is None
    assert clock.waits == []


def date(clock, seconds):
    when = datetime.fromtimestamp(clock.now + seconds, UTC)
    return format_datetime(when, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (lambda clock: {"Retry-After": "7"}, 7),
        (lambda clock: {"Retry-After": "1"}, 1),
        # A server that asks for no pause gets the usual one.
        (lambda clock: {"Retry-After": "0"}, None),
        (lambda clock: {"Retry-After": "-5"}, None),
        (lambda clock: {"Retry-After": date(clock, -9)}, None),
        (lambda clock: {"x-ratelimit-reset": "0"}, None),
        (lambda clock: {"x-ratelimit-reset": str(clock.now - 40)}, None),
        (lambda clock: {"Retry-After": date(clock, 9)}, 9),
        (lambda clock: {"x-ratelimit-reset": "30"}, 30),
        (lambda clock: {"x-ratelimit-reset": str(clock.now + 40)}, 40),
        (lambda clock: {"x-ratelimit-reset": "3", "retry-after": "5"}, 5),
        (lambda clock: {"Retry-After": "60"}, 60),
        (lambda clock: {"Retry-After": "soon"}, None),
        (lambda clock: {"Retry-After": "nan", "x-ratelimit-reset": "inf"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_is_what_port_says(kind, client, api, clock, status, headers, wait):
    api.script("/entities", (status, headers(clock)))
    kind.do(client.upsert_entity("a", {"identifier": "a"}))
    (waited,) = clock.waits
    assert waited == pytest.approx(wait) if wait is not None else 0.1 < waited < 0.3


def test_a_wait_that_is_too_long_ends_the_attempts(kind, client, api, clock):
    api.script("/entities", (429, {"Retry-After": "61"}))
    with pytest.raises(ReportingError, match="429"):
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert clock.waits == []
    patient = kind.make(clock, base_url=api.url, max_wait=100)
    api.script("/entities", (429, {"Retry-After": "61"}))
    kind.do(patient.upsert_entity("a", {"identifier": "a"}))
    assert clock.waits == [61]


@pytest.mark.parametrize("told", ["0", "-1", "0.1"])
def test_a_server_that_asks_for_no_pause_is_not_asked_in_a_hurry(
    kind, client, api, clock, told
):
    api.script("/entities", *[(429, {"Retry-After": told})] * 4)
    kind.do(client.upsert_entity("a", {"identifier": "a"}))
    for wait, usual in zip(clock.waits, (0.2, 0.4, 0.8, 1.6), strict=True):
        assert 0.75 * usual <= wait <= 1.25 * usual


def test_all_waits_of_a_call_together_are_bounded(kind, client, api, clock):
    api.script("/entities", *[(429, {"Retry-After": "25"})] * 4)
    with pytest.raises(ReportingError, match="429"):
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert clock.waits == [25, 25]
    # The next call has all of the time again.
    kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert clock.waits == [25, 25, 25]


def test_the_number_of_attempts_can_be_chosen(kind, api, clock):
    client = kind.make(clock, base_url=api.url, attempts=2)
    api.script("/entities", 503, 503)
    with pytest.raises(ReportingError):
        kind.do(client.upsert_entity("a", {"identifier": "a"}))
    assert api.count("/entities") == 2


def test_stamina_can_switch_attempts_off_for_a_users_tests(kind, client, api):
    api.script("/entities", 503, 503)
    stamina.set_active(False)
    try:
        with pytest.raises(ReportingError):
            kind.do(client.upsert_entity("a", {"identifier": "a"}))
    finally:
        stamina.set_active(True)
    assert api.count("/entities") == 1


# What comes back


def packed(size):
    """Return a response whose body of a few KiB becomes *size* bytes."""
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    piece = b" " * 1_048_576
    body = b"".join(packer.compress(piece) for _ in range(size // len(piece)))
    return answer(body + packer.flush(), "Content-Encoding: gzip")


def answer(body, *headers):
    lines = ["HTTP/1.1 202 Accepted", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_response_may_be_packed(kind, client, api):
    kind.do(client.run_action("a"))
    body = gzip.compress(b'{"run": {"id": "r_9"}}')
    api.script("/runs", answer(body, "Content-Encoding: gzip"))
    assert kind.do(client.run_action("a")) == {"id": "r_9"}


@pytest.mark.parametrize("make", [packed, lambda size: answer(b" " * size)])
def test_a_response_that_is_too_large_is_not_read(kind, client, api, clock, make):
    kind.do(client.run_action("a"))
    api.script("/runs", make(96 * 1_048_576))
    tracemalloc.start()
    try:
        with pytest.raises(ReportingError, match="larger than 4 MiB") as caught:
            kind.do(client.run_action("a"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.status_code == 202
    assert clock.waits == []
    assert peak < 16 * 1_048_576
    assert kind.do(client.run_action("a"))["status"] == "IN_PROGRESS"


def test_a_token_that_is_too_large_is_not_read(kind, client, api):
    api.script("access_token", packed(8 * 1_048_576))
    with pytest.raises(ReportingError, match=r"response to the login .* is larger"):
        kind.do(client.run_action("a"))


class Hasty(Clock):
    """A clock on which each look takes a second."""

    def __call__(self):
        self.now += 1
        return self.now


def test_a_response_that_comes_byte_by_byte_is_given_up(kind, api):
    client = kind.make(Hasty(), base_url=api.url, timeout=10)
    kind.do(client.run_action("a"))
    drops = b"1\r\n \r\n" * 100
    head = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n"
    api.script("/runs", head + drops + b"0\r\n\r\n")
    with pytest.raises(ReportingError, match=r"not answer .* ReadTimeout"):
        kind.do(client.run_action("a"))
    api.script("/runs", head + drops[: 6 * 40] + b"0\r\n\r\n")
    assert kind.do(client.run_action("a")) == {}


def test_a_packed_response_that_holds_nothing_is_given_up(kind, api):
    client = kind.make(Hasty(), base_url=api.url, timeout=10)
    kind.do(client.run_action("a"))
    head = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Encoding: deflate\r\n\r\n2\r\n\x78\x9c\r\n"
    nothing = b"5\r\n\0\0\0\xff\xff\r\n"  # an empty block
    api.script("/runs", head + nothing * 100 + b"0\r\n\r\n")
    with pytest.raises(ReportingError, match=r"not answer .* ReadTimeout"):
        kind.do(client.run_action("a"))


def test_without_a_timeout_a_slow_response_is_waited_for(kind, clock):
    http = mock(kind, [(200, b'{"accessToken": "t"}'), (202, b"{}")])
    http.timeout = None
    client = kind.make(clock, http_client=http)
    assert client._core._io.patience == float("inf")
    assert kind.do(client.run_action("a")) == {}


async def test_a_head_that_never_ends_is_given_up(clock, monkeypatch):
    # Here the time of the event loop counts; the test needs little of it.
    monkeypatch.setattr(_core, "_PATIENCE", 0.001)
    ended = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"a")
            await asyncio.sleep(0)
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = AsyncPortClient(
            CLIENT_ID, CLIENT_SECRET, base_url=f"http://127.0.0.1:{port}", attempts=1
        )
        async with client:
            with pytest.raises(ReportingError, match="TimeoutError"):
                await client.run_action("a")
            await ended.wait()


# Where it goes


def test_a_redirect_is_not_followed(kind, client, api, clock):
    elsewhere = PortApi(clock)
    try:
        target = {"Location": f"{elsewhere.url}/v1/auth/access_token"}
        for status in (301, 302, 307, 308):
            api.script("access_token", (status, target))
            with pytest.raises(ReportingError) as caught:
                kind.do(client.run_action("a"))
            assert caught.value.status_code == status
        kind.do(client.run_action("a"))
        api.script("/runs", (307, {"Location": f"{elsewhere.url}/v1/actions/a/runs"}))
        with pytest.raises(ReportingError, match="307"):
            kind.do(client.run_action("a"))
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_a_redirect_without_a_message_says_what_to_look_at(kind, clock):
    answers = [(307, b"", {"Location": "https://elsewhere"})]
    client = kind.make(clock, http_client=mock(kind, answers))
    with pytest.raises(ReportingError, match="a redirect, which is not followed"):
        kind.do(client.run_action("a"))


def test_an_answer_that_says_nothing_is_named_by_its_status(kind, clock):
    client = kind.make(clock, http_client=mock(kind, [(500, b"<html>")]))
    with pytest.raises(
        ReportingError, match=r"500 to the login \(POST /v1/auth/access_token\)$"
    ):
        kind.do(client.run_action("a"))


def test_a_401_without_a_message_names_the_credentials(kind, clock):
    client = kind.make(clock, http_client=mock(kind, [(401, b"")]))
    with pytest.raises(ReportingError) as caught:
        kind.do(client.run_action("a"))
    assert str(caught.value) == (
        "Port answered 401 to the login (POST /v1/auth/access_token): the client id or "
        "the client secret is not valid. Check PORT_CLIENT_ID, PORT_CLIENT_SECRET and "
        "PORT_REGION."
    )


def test_what_port_says_of_a_refused_login_comes_before_what_to_check(kind, clock):
    answer = (401, b'{"error": "invalid_credentials", "message": "No such client."}')
    client = kind.make(clock, http_client=mock(kind, [answer]))
    with pytest.raises(ReportingError) as caught:
        kind.do(client.run_action("a"))
    assert str(caught.value).endswith(
        ": invalid_credentials: No such client. Check PORT_CLIENT_ID, "
        "PORT_CLIENT_SECRET and PORT_REGION."
    )
    assert caught.value.error == "invalid_credentials"


def test_only_a_refused_login_names_the_variables(kind, clock):
    token = (200, b'{"accessToken": "t"}')
    answers = [token, (401, b""), token, (401, b"")]
    client = kind.make(clock, http_client=mock(kind, answers))
    with pytest.raises(ReportingError, match=r"401 to a run .* is not valid$"):
        kind.do(client.run_action("a"))


def test_a_host_that_does_not_answer_is_named(kind, clock):
    url = "http://127.0.0.1:1"
    client = kind.make(clock, base_url=url, attempts=1)
    with pytest.raises(
        ReportingError, match=r"^Port, at 127\.0\.0\.1, did not answer to the login \("
    ):
        kind.do(client.run_action("a"))


def test_a_client_of_the_callers_own_is_used_and_left_open(kind, clock):
    token = (200, b'{"accessToken": "t", "expiresIn": 60}')
    seen: list[httpx2.Request] = []
    http = mock(kind, [token, (202, b"{}")], seen)
    http.auth = ("user", "password")
    http.follow_redirects = True
    http.headers["x-own"] = "1"
    client = kind.make(clock, http_client=http, region="us")
    kind.do(client.run_action("a"))
    if isinstance(kind, Blocking):
        client.close()
    else:
        kind.do(client.aclose())
    assert not http.is_closed
    assert {each.url.host for each in seen} == {"api.us.port.io"}
    # Its own authorisation would stand in the place of the token.
    assert seen[1].headers["authorization"] == "Bearer t"
    assert seen[1].headers["x-own"] == "1"


def test_a_client_is_closed_with_its_block(api, clock):
    with PortClient(CLIENT_ID, CLIENT_SECRET, base_url=api.url) as client:
        client.run_action("a")
    with pytest.raises(ReportingError, match="is the client closed"):
        client.run_action("a")

    async def main():
        async with AsyncPortClient(CLIENT_ID, CLIENT_SECRET, base_url=api.url) as one:
            await one.run_action("a")
        with pytest.raises(ReportingError, match="is the client closed"):
            await one.run_action("a")

    asyncio.run(main())


# Set-up


class Secret:
    def __init__(self, value):
        self.value = value

    def get_secret_value(self):
        return self.value


@pytest.mark.parametrize("secret", [Secret(CLIENT_SECRET), CLIENT_SECRET.encode()])
def test_a_secret_may_be_wrapped(api, secret):
    with PortClient(CLIENT_ID, secret, base_url=api.url) as client:
        client.run_action("a")
    assert len(api.started) == 1


@pytest.mark.parametrize("make", [PortClient, AsyncPortClient])
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("", "s"), {}),
        (("i", ""), {}),
        (("i", " s"), {}),
        (("i", "s\n"), {}),
        (("i", "s\u200bx"), {}),
        (("i", 5), {}),
        ((None, "s"), {}),
        (("i", "s"), {"region": "mars"}),
        (("i", "s"), {"base_url": "api.port.io"}),
        (("i", "s"), {"base_url": "ftp://api.port.io"}),
        (("i", "s"), {"base_url": "https://"}),
        (("i", "s"), {"base_url": "https://user:x@api.port.io"}),
        (("i", "s"), {"base_url": "https://api.port.io?a=b"}),
        (("i", "s"), {"base_url": "https://[api.port.io"}),
        (("i", "s"), {"base_url": 5}),
        (("i", "s"), {"timeout": -1}),
        (("i", "s"), {"timeout": True}),
        (("i", "s"), {"max_wait": float("nan")}),
        (("i", "s"), {"attempts": 0}),
        (("i", "s"), {"attempts": 1.5}),
        (("i", "s"), {"attempts": float("nan")}),
        (("i", "s"), {"attempts": "5"}),
        (("i", "s"), {"clock": 5}),
        (("i", "s"), {"http_client": 5}),
        (("i", "s"), {"unknown": 5}),
    ],
)
def test_what_is_set_up_wrongly_is_refused_at_once(make, arguments, options):
    with pytest.raises(ConfigurationError) as caught:
        make(*arguments, **options)
    assert "user:x" not in str(caught.value)


@pytest.mark.parametrize("make", [PortClient, AsyncPortClient])
@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_no_credential(make, text):
    words = "looks like a placeholder that was never filled in"
    for secret in (text, text.encode(), Secret(text)):
        with pytest.raises(ConfigurationError) as caught:
            make("id", secret)
        assert str(caught.value) == f"client_secret {words}"
    with pytest.raises(ConfigurationError) as caught:
        make(text, "s")
    assert str(caught.value) == f"client_id {words}"


def test_a_placeholder_in_the_environment_is_no_credential(environment):
    environment.setenv("PORT_CLIENT_SECRET", "$PORT_CLIENT_SECRET")
    with pytest.raises(ConfigurationError, match="client_secret looks like"):
        PortClient.from_env()


@pytest.mark.parametrize("text", NO_PLACEHOLDERS)
def test_what_only_resembles_a_placeholder_is_a_credential(text):
    assert read_credentials(text, text) == (text, text)


@pytest.fixture
def environment(monkeypatch):
    for name in ("ID", "SECRET", "SECRET_FILE"):
        monkeypatch.delenv(f"PORT_CLIENT_{name}", raising=False)
    for name in ("PORT_REGION", "PORT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT_CLIENT_ID", CLIENT_ID)
    return monkeypatch


@pytest.mark.parametrize("make", [PortClient, AsyncPortClient])
@pytest.mark.parametrize(
    ("variables", "options", "url"),
    [
        ({}, {}, "https://api.port.io"),
        ({"PORT_REGION": "US"}, {}, "https://api.us.port.io"),
        ({"PORT_REGION": "us"}, {"region": "eu"}, "https://api.port.io"),
        ({"PORT_BASE_URL": "http://a:1/x/"}, {}, "http://a:1/x"),
        ({"PORT_BASE_URL": "http://a", "PORT_REGION": "us"}, {}, "http://a"),
        ({"PORT_BASE_URL": "http://a"}, {"region": "us"}, "https://api.us.port.io"),
        ({"PORT_BASE_URL": "http://a"}, {"base_url": "http://b"}, "http://b"),
    ],
)
def test_the_environment_says_where_port_is(environment, make, variables, options, url):
    environment.setenv("PORT_CLIENT_SECRET", CLIENT_SECRET)
    for name, value in variables.items():
        environment.setenv(name, value)
    assert make.from_env(**options)._core.settings.base_url == url


def test_the_secret_may_be_in_a_file(environment, api, tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{CLIENT_SECRET}\n")
    environment.setenv("PORT_CLIENT_SECRET_FILE", str(path))
    with PortClient.from_env(base_url=api.url) as client:
        client.run_action("a")
    environment.setenv("PORT_CLIENT_SECRET", CLIENT_SECRET)
    with pytest.raises(ConfigurationError, match="Both"):
        PortClient.from_env()
    environment.delenv("PORT_CLIENT_SECRET")
    environment.setenv("PORT_CLIENT_SECRET_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        PortClient.from_env()


def test_a_missing_variable_is_named(environment):
    with pytest.raises(ConfigurationError, match="PORT_CLIENT_SECRET is not set"):
        PortClient.from_env()
    environment.delenv("PORT_CLIENT_ID")
    with pytest.raises(ConfigurationError, match="PORT_CLIENT_ID is not set"):
        AsyncPortClient.from_env()


def test_the_regions_are_the_documented_ones():
    hosts = {"eu": "https://api.port.io", "us": "https://api.us.port.io"}
    for region, url in hosts.items():
        client = PortClient("i", "s", region=region)  # type: ignore[arg-type]  # both are
        assert client._core.settings.base_url == url
    assert PortClient("i", "s")._core.settings.base_url == hosts["eu"]


def test_a_coroutine_that_suspends_cannot_be_driven():
    coroutine = asyncio.sleep(0)
    with pytest.raises(AssertionError):
        drive(coroutine)
    coroutine.close()


def test_a_clock_may_be_one_that_stands():
    assert Clock()() == Clock()()
