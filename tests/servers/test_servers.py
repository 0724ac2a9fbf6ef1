"""One table of requests x every adapter on every server that suits it."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from . import harness
from .apps.common import NOW
from .cases import BODY, CASES, SIGNATURE, TIMESTAMP, Request, mac, signed

WORDS = {
    400: "bad_request",
    401: "unauthorized",
    405: "method_not_allowed",
    413: "content_too_large",
    415: "unsupported_media_type",
}


@pytest.fixture(scope="session", params=harness.pairs(), ids=str)
def running(request):
    missing = request.param.missing
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    server = harness.start(request.param)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def client(running):
    client = harness.Client(running.port)
    yield client
    client.close()


def send(client, request):
    return client.send(
        request.method,
        request.parts(),
        waits=request.waits,
        ends=request.ends,
        last=request.last,
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_request_gets_the_same_answer_everywhere(running, client, case):
    outcomes = case.expected(running.pair.app.name, running.pair.server.name)
    before = client.get("/calls")["calls"]

    answer = send(client, case.request)

    report = client.get("/calls")
    if answer is None and all(outcome.code for outcome in outcomes):
        # An application hears of a closed connection when its sender has, or later.
        for _ in range(100):
            report["last"] = report["last"] or client.get("/calls")["last"]
    status = None if answer is None else answer.status
    seen = (status, report["last"])
    assert seen in [(outcome.status, outcome.code) for outcome in outcomes], answer
    assert report["calls"] - before == (status in {200, 500})
    if status == 200 and case.request.method != "HEAD":
        check_view(answer.json(), case, running.pair.app)
    # Where a server is the one who answers, the table has a reason.
    if report["last"] is not None and not outcomes[0].reason:
        check_refusal(answer, case.request.method)


def check_view(seen, case, app):
    """The view saw the bytes that were sent, and its form."""
    digest = hashlib.sha256(case.request.body).hexdigest()
    assert seen.pop("body") in {digest, None}
    assert seen == {
        "sha256": digest,
        "length": len(case.request.body),
        "via": "port",
        "form": case.form if app.parses_forms else None,
    }


def check_refusal(answer, method):
    """The answer names its class, and a 401 how to do better."""
    challenge = answer.headers.get("www-authenticate")
    assert challenge == ("PortWebhook" if answer.status == 401 else None)
    if method == "HEAD":
        assert answer.body == b""
    elif answer.status in WORDS:
        assert list(answer.json().values()) == [WORDS[answer.status]]


def test_a_connection_survives_a_refusal(running, client):
    """What is left of a refused body is never read as the next request."""
    for refused in (
        Request(headers=signed(b"another"), body=BODY),
        Request(body=BODY),
        Request(body=BODY, framing="chunked"),
        Request(body=b"x" * 1_500_000),
        Request(body=b"GET /calls HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ):
        answer = send(client, refused)
        assert answer.status == 401
        answer = send(client, Request(headers=signed(BODY), body=BODY))
        assert answer.status == 200
        assert answer.json()["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_a_connection_stays_open_after_a_refusal(running, client):
    # gunicorn's sync worker closes every connection after its answer.
    stays = running.pair.server.name != "gunicorn"
    assert send(client, Request(headers=signed(b"x"), body=BODY)).status == 401
    assert client.is_connected == stays
    connection = client._connection
    assert send(client, Request(headers=signed(BODY), body=BODY)).status == 200
    assert (client._connection is connection) == stays


def test_threads_never_see_each_others_requests(running, client):
    before = client.get("/calls")["calls"]

    def work(numbers):
        own = harness.Client(running.port)
        outcomes = []
        for number in numbers:
            request, status = mixed(number)
            answer = send(own, request)
            outcomes.append((number, answer and answer.status, status))
            if status == 200:
                digest = hashlib.sha256(request.body).hexdigest()
                assert answer.json()["sha256"] == digest
        own.close()
        return outcomes

    with ThreadPoolExecutor(32) as pool:
        done = pool.map(work, [range(first, 200, 32) for first in range(32)])
        outcomes = [outcome for each in done for outcome in each]

    assert [each for each in outcomes if each[1] != each[2]] == []
    accepted = sum(1 for _, status, _ in outcomes if status == 200)
    assert client.get("/calls")["calls"] - before == accepted == 100


def mixed(number):
    """Return the request of this *number*, and the status of its answer."""
    body = json.dumps({"number": number}).encode()
    large = body * 10_000
    stale = [(TIMESTAMP, b"%d" % (NOW - 900)), (SIGNATURE, mac(body))]
    kinds = (
        (Request(headers=signed(body), body=body), 200),
        (Request(headers=signed(b"x"), body=body), 401),
        (Request(headers=signed(body), body=body, framing="chunked"), 200),
        (Request(body=body), 401),
        (Request(headers=signed(large), body=large), 200),
        (Request(headers=stale, body=body), 401),
        (Request("PUT", headers=signed(body), body=body), 200),
        (Request(framing="none"), 401),
    )
    return kinds[number % len(kinds)]
