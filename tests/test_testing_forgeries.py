"""`assert_refuses_forgeries`: what it sends, what it lets pass and what it reports."""

from __future__ import annotations

import asyncio
import json

import pytest

from port_webhook import ConfigurationError, Verifier
from port_webhook.exceptions import DeliveryError
from port_webhook.testing import (
    FixedClock,
    Signer,
    aassert_refuses_forgeries,
    assert_refuses_forgeries,
)

SECRET = "a-made-up-secret-of-some-length"
CLOCK = FixedClock()
SIGNER = Signer(SECRET, clock=CLOCK)


class Application:
    """A function that verifies; it may do something else with some requests."""

    def __init__(self, answer=lambda request: None, **options):
        self.verifier = Verifier(SECRET, clock=CLOCK, **options)
        self.answer = answer
        self.requests: list[tuple[str, str, list[tuple[str, str]], bytes]] = []

    def __call__(self, method, path, pairs, body):
        self.requests.append((method, path, pairs, body))
        status = self.answer(self.requests[-1])
        if status is not None:
            return status
        try:
            self.verifier.verify(body, pairs)
        except DeliveryError as error:
            return error.http_status
        return 200


def failures_of(application, **options):
    """Return the lines of the report, without its first."""
    with pytest.raises(AssertionError) as caught:
        assert_refuses_forgeries(application, "/port", signer=SIGNER, **options)
    return str(caught.value).splitlines()[1:]


DOCUMENTS = [None, {}, [1, 2], "null", b"", b"\xff\x00", {"a": "\ud800"}]


@pytest.mark.parametrize("agent", [False, True])
@pytest.mark.parametrize("document", DOCUMENTS, ids=repr)
def test_an_application_that_verifies_passes(document, agent):
    application = Application(agent=agent)

    assert_refuses_forgeries(
        application, "/port", signer=SIGNER, document=document, agent=agent
    )
    assert len(application.requests) > 40
    # No forgery is the genuine request again.
    seen = {(tuple(pairs), body) for _, _, pairs, body in application.requests}
    assert len(seen) == len(application.requests)


def test_method_headers_and_path_are_those_of_every_request():
    application = Application()

    assert_refuses_forgeries(
        application, "/port", signer=SIGNER, method="PUT", headers={"x-org": "acme"}
    )
    for method, path, pairs, _ in application.requests:
        assert (method, path) == ("PUT", "/port")
        assert ("x-org", "acme") in pairs


def test_each_call_sends_a_run_of_its_own():
    first, second = Application(), Application()

    for application in (first, second):
        assert_refuses_forgeries(application, "/port", signer=SIGNER)
    assert first.requests[0][3] != second.requests[0][3]
    assert json.loads(first.requests[0][3])["context"]["runId"].startswith("r_")


def test_an_application_that_verifies_nothing_fails_with_each_forgery_listed():
    failures = failures_of(lambda *_: 200)

    assert len(failures) > 40
    assert "- unsigned: 200, it got through" in failures
    assert "- stale: 200, it got through" in failures
    assert len(set(failures)) == len(failures)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"agent": True}, {"line break added", "white space added"}),
        ({"max_age": 3600}, {"stale", "stale, in milliseconds"}),
    ],
)
def test_a_laxer_application_is_told_so_unless_it_is_meant(options, expected):
    found = failures_of(Application(**options))

    assert {line[2:].partition(":")[0] for line in found} == expected
    assert_refuses_forgeries(Application(**options), "/port", signer=SIGNER, **options)


def is_unsigned(request):
    return not any(name.startswith("x-port") for name, _ in request[2])


@pytest.mark.parametrize("status", [400, 401, 405, 413, 415])
def test_these_statuses_are_refusals(status):
    application = Application(lambda request: status if is_unsigned(request) else None)
    assert_refuses_forgeries(application, "/port", signer=SIGNER)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (200, "200, it got through"),
        (204, "204, it got through"),
        (302, "302, it got through"),
        (403, "403, this is no refusal"),
        (404, "404, the path answers 404, so nothing was shown"),
        (422, "422, the body was read before it was verified"),
        (500, "500, the application failed"),
        (503, "503, the application failed"),
    ],
)
def test_any_other_status_is_reported(status, problem):
    application = Application(lambda request: status if is_unsigned(request) else None)
    assert failures_of(application) == [f"- unsigned: {problem}"]


def test_an_application_that_raises_for_a_forgery_is_reported():
    def answer(request):
        if is_unsigned(request):
            raise KeyError

    assert failures_of(Application(answer)) == [
        "- unsigned: the application raised KeyError"
    ]


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (302, "redirects"),
        (401, "another secret, or another clock"),
        (403, "CSRF"),
        (404, "no view"),
        (405, "method"),
        (422, "document="),
        (500, "failed"),
    ],
)
def test_a_genuine_request_that_is_refused_fails_at_once(status, hint):
    application = Application(lambda _: status)

    with pytest.raises(
        AssertionError, match=f"genuine request to /port got {status}: .*{hint}"
    ):
        assert_refuses_forgeries(application, "/port", signer=SIGNER)
    assert len(application.requests) == 1


def test_what_the_view_raises_for_the_genuine_request_is_raised():
    def answer(request):
        raise LookupError

    with pytest.raises(LookupError):
        assert_refuses_forgeries(Application(answer), "/port", signer=SIGNER)


class TestSecret:
    def accept(self, method, path, pairs, body):
        try:
            Verifier(SECRET).verify(body, pairs)
        except DeliveryError as error:
            return error.http_status
        return 200

    def test_it_may_be_given(self):
        assert_refuses_forgeries(self.accept, "/port", secret=SECRET)

    def test_it_may_stand_in_the_environment(self, monkeypatch):
        monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
        assert_refuses_forgeries(self.accept, "/port")

    def test_without_one_there_is_an_error(self, monkeypatch):
        monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
        with pytest.raises(ConfigurationError, match="secret= or signer="):
            assert_refuses_forgeries(self.accept, "/port")

    def test_a_bad_one_is_refused(self):
        with pytest.raises(ConfigurationError, match="secret"):
            assert_refuses_forgeries(self.accept, "/port", secret=" ")


@pytest.mark.parametrize("client", [None, 5, "http://localhost"])
def test_what_is_no_client_is_refused(client):
    with pytest.raises(ConfigurationError, match="client must be"):
        assert_refuses_forgeries(client, "/port", signer=SIGNER)


class TestAsynchronous:
    def test_a_function_may_be_awaited(self):
        application = Application()

        async def send(*request):
            return application(*request)

        asyncio.run(aassert_refuses_forgeries(send, "/port", signer=SIGNER))
        assert len(application.requests) > 40

    def test_a_function_need_not_be(self):
        asyncio.run(aassert_refuses_forgeries(Application(), "/port", signer=SIGNER))

    def test_forgeries_that_get_through_are_listed(self):
        async def send(*_):
            return 200

        with pytest.raises(AssertionError, match="unsigned: 200, it got through"):
            asyncio.run(aassert_refuses_forgeries(send, "/port", signer=SIGNER))

    async def test_the_test_client_of_aiohttp_is_known(self):
        pytest.importorskip("aiohttp", reason="aiohttp is not installed")
        from aiohttp import web
        from aiohttp.test_utils import TestClient, TestServer

        verifier = Verifier(SECRET, clock=CLOCK)

        async def view(request):
            try:
                verifier.verify(await request.read(), request.headers)
            except DeliveryError as error:
                return web.Response(status=error.http_status)
            return web.Response()

        app = web.Application()
        app.router.add_post("/port", view)
        async with TestClient(TestServer(app)) as client:
            await aassert_refuses_forgeries(client, "/port", signer=SIGNER)
            with pytest.raises(AssertionError, match="404"):
                await aassert_refuses_forgeries(client, "/", signer=SIGNER)
