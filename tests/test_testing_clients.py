"""Each client signs what an application with the adapter accepts, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from port_webhook import ConfigurationError
from port_webhook.testing import (
    Signer,
    aassert_refuses_forgeries,
    action_invocation,
    assert_refuses_forgeries,
    sign_request,
)

SECRET = "a-made-up-secret"
OTHER = "another-secret"
DOCUMENT = action_invocation(run_id="r_7")


class FlaskWorld:
    """An application with one view, and clients of it; so are the other worlds."""

    path = "/port"

    def __init__(self, verifier, clock):
        flask = pytest.importorskip("flask", reason="Flask is not installed")
        from port_webhook.adapters.flask import webhook

        self.clock = clock
        self.app = flask.Flask("world")

        @self.app.route("/port", methods=["GET", "POST", "PUT", "DELETE"])
        @webhook(verifier)
        def view(delivery):
            return {"run": delivery.run_id, "size": len(delivery.payload)}

    def client(self, secret, **options):
        from port_webhook.testing.flask import SigningClient

        return SigningClient(self.app, secret=secret, clock=self.clock, **options)

    def send(self, secret, body, *, method="POST", headers=None):
        answer = self.client(secret).open(
            "/port", method=method, data=body, headers=headers
        )
        return answer.status_code, answer.json

    def send_json(self, secret, document):
        answer = self.client(secret).post("/port", json=document)
        return answer.status_code, answer.json


class DjangoWorld:
    """Its settings are the process's own; see tests/adapters/test_django.py."""

    path = "/port"

    def __init__(self, verifier, clock):
        django = pytest.importorskip("django", reason="Django is not installed")
        from django.conf import settings
        from django.http import JsonResponse
        from django.test.utils import override_settings
        from django.urls import path

        from port_webhook.adapters.django import webhook

        if not settings.configured:
            settings.configure(
                INSTALLED_APPS=["port_webhook.replay.django"], USE_TZ=True
            )
            django.setup()

        def view(request, delivery):
            return JsonResponse({"run": delivery.run_id, "size": len(delivery.payload)})

        self.clock = clock
        self._overrides = override_settings(
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=[],
            ROOT_URLCONF=(path("port", webhook(verifier)(view)),),
            LOGGING_CONFIG=None,
        )
        self._overrides.enable()

    def close(self):
        self._overrides.disable()

    def client(self, secret, **options):
        from port_webhook.testing.django import SigningClient

        return SigningClient(
            raise_request_exception=False, secret=secret, clock=self.clock, **options
        )

    def finish(self, answer):
        return answer.status_code, json.loads(answer.content)

    def send(self, secret, body, *, method="POST", headers=None):
        client = self.client(secret)
        return self.finish(client.generic(method, "/port", body, headers=headers))

    def send_json(self, secret, document):
        return self.finish(
            self.client(secret).post("/port", document, content_type="application/json")
        )


class AsyncDjangoWorld(DjangoWorld):
    def client(self, secret, **options):
        from port_webhook.testing.django import AsyncSigningClient

        return AsyncSigningClient(
            raise_request_exception=False, secret=secret, clock=self.clock, **options
        )

    def finish(self, answer):
        async def wait():
            return await answer

        return super().finish(asyncio.run(wait()))


class FastAPIWorld:
    path = "/port"

    def __init__(self, verifier, clock):
        fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed")
        from port_webhook.adapters.fastapi import PortWebhook

        self.clock = clock
        self.app = fastapi.FastAPI()
        verified = fastapi.Depends(PortWebhook(verifier))

        @self.app.api_route("/port", methods=["GET", "POST", "PUT", "DELETE"])
        def view(delivery=verified):
            return {"run": delivery.run_id, "size": len(delivery.payload)}

    def client(self, secret, **options):
        from port_webhook.testing.fastapi import SigningClient

        return SigningClient(self.app, secret=secret, clock=self.clock, **options)

    def send(self, secret, body, *, method="POST", headers=None):
        answer = self.client(secret).request(
            method, "/port", content=body, headers=headers
        )
        return answer.status_code, answer.json()

    def send_json(self, secret, document):
        answer = self.client(secret).post("/port", json=document)
        return answer.status_code, answer.json()


class WSGITransportWorld(FlaskWorld):
    """httpx2 in front of a WSGI application."""

    def __init__(self, verifier, clock):
        pytest.importorskip("httpx2", reason="httpx2 is not installed")
        super().__init__(verifier, clock)

    def client(self, secret, **options):
        import httpx2

        from port_webhook.testing.httpx2 import SigningAuth

        return httpx2.Client(
            transport=httpx2.WSGITransport(self.app),
            base_url="http://testserver",
            auth=SigningAuth(secret, clock=self.clock),
            **options,
        )

    def send(self, secret, body, *, method="POST", headers=None):
        with self.client(secret) as client:
            answer = client.request(method, "/port", content=body, headers=headers)
        return answer.status_code, answer.json()

    def send_json(self, secret, document):
        with self.client(secret) as client:
            answer = client.post("/port", json=document)
        return answer.status_code, answer.json()


class ASGITransportWorld(FastAPIWorld):
    """The asynchronous client of httpx2 in front of an ASGI application."""

    def __init__(self, verifier, clock):
        pytest.importorskip("httpx2", reason="httpx2 is not installed")
        super().__init__(verifier, clock)

    def client(self, secret, **options):
        import httpx2

        from port_webhook.testing.httpx2 import SigningAuth

        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app),
            base_url="http://testserver",
            auth=SigningAuth(secret, clock=self.clock),
            **options,
        )

    def _request(self, secret, method, **options):
        async def send():
            async with self.client(secret) as client:
                return await client.request(method, "/port", **options)

        answer = asyncio.run(send())
        return answer.status_code, answer.json()

    def send(self, secret, body, *, method="POST", headers=None):
        return self._request(secret, method, content=body, headers=headers)

    def send_json(self, secret, document):
        return self._request(secret, "POST", json=document)


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class RequestsWorld(FlaskWorld):
    """requests, which has no transport without a network, in front of a server."""

    def __init__(self, verifier, clock):
        pytest.importorskip("requests", reason="requests is not installed")
        super().__init__(verifier, clock)
        self.server = make_server("127.0.0.1", 0, self.app, handler_class=QuietHandler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.path = f"http://127.0.0.1:{self.server.server_port}/port"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def client(self, secret, **options):
        import requests

        from port_webhook.testing.requests import SigningAuth

        assert not options
        client = requests.Session()
        client.trust_env = False  # no proxy of this machine
        client.auth = SigningAuth(secret, clock=self.clock)
        return client

    def send(self, secret, body, *, method="POST", headers=None):
        with self.client(secret) as client:
            answer = client.request(method, self.path, data=body, headers=headers)
        return answer.status_code, answer.json()

    def send_json(self, secret, document):
        with self.client(secret) as client:
            answer = client.post(self.path, json=document)
        return answer.status_code, answer.json()


WORLDS = [
    FlaskWorld,
    DjangoWorld,
    AsyncDjangoWorld,
    FastAPIWorld,
    WSGITransportWorld,
    ASGITransportWorld,
    RequestsWorld,
]
ASYNCHRONOUS = (AsyncDjangoWorld, ASGITransportWorld)


@pytest.fixture(params=WORLDS, ids=lambda world: world.__name__)
def world(request, make_verifier, clock):
    world = request.param(make_verifier(secret=SECRET), clock)
    yield world
    if hasattr(world, "close"):
        world.close()


def test_a_signed_request_is_accepted(world):
    status, answer = world.send_json(SECRET, DOCUMENT)

    assert status == 200
    assert answer["run"] == "r_7"
    assert answer["size"] > 1000


def test_a_request_that_is_signed_with_another_secret_is_refused(world):
    status, _ = world.send_json(OTHER, DOCUMENT)
    assert status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("body", [b"", b"\x00\xff", "caf\xe9".encode()])
def test_any_body_is_signed_with_any_method(world, method, body):
    expected = (200, {"run": None, "size": len(body)})
    assert world.send(SECRET, body, method=method) == expected


def test_a_request_without_a_body_is_signed(world):
    status, answer = world.send(SECRET, b"", method="GET")
    assert (status, answer["size"]) == (200, 0)


@pytest.mark.parametrize("name", ["x-port-signature", "X-Port-Signature"])
def test_a_request_that_has_a_signature_keeps_it(world, name, now):
    body, headers = sign_request(DOCUMENT, SECRET, timestamp=now)
    forged = {
        "x-port-timestamp": headers["x-port-timestamp"],
        name: headers["x-port-signature"],
    }

    assert world.send(OTHER, body, headers=forged)[0] == 200
    assert world.send(SECRET, body + b" ", headers=forged)[0] == 401


def test_the_clock_is_read_for_each_request(world, clock):
    assert world.send(SECRET, b"1")[0] == 200
    clock.now += 1e6
    assert world.send(SECRET, b"1")[0] == 200
    clock.now = 1.0
    with pytest.raises(ConfigurationError):
        world.send(SECRET, b"1")


def test_a_bad_secret_is_refused_when_the_client_is_built(world):
    with pytest.raises(ConfigurationError):
        world.client(" ")


def test_no_forgery_gets_through(world):
    client = world.client(SECRET)

    if isinstance(world, ASYNCHRONOUS):
        asyncio.run(aassert_refuses_forgeries(client, world.path))
    else:
        assert_refuses_forgeries(client, world.path)
    # The client signs again afterwards.
    assert world.send(SECRET, b"1")[0] == 200


def test_a_client_of_another_secret_sends_no_genuine_request(world):
    client = world.client(OTHER)

    with pytest.raises(AssertionError, match=r"genuine request .* got 401: .*secret"):
        asyncio.run(aassert_refuses_forgeries(client, world.path))


def test_a_signer_may_be_given_beside_the_client(world, clock):
    client = world.client(OTHER)
    signer = Signer(SECRET, clock=clock)

    asyncio.run(aassert_refuses_forgeries(client, world.path, signer=signer))


def test_an_asynchronous_client_must_be_awaited(world):
    if isinstance(world, ASYNCHRONOUS):
        with pytest.raises(ConfigurationError, match="aassert_refuses_forgeries"):
            assert_refuses_forgeries(world.client(SECRET), world.path)


class TestFlask:
    def test_the_factory_of_the_application_builds_the_client(self, verifier, clock):
        from port_webhook.testing.flask import SigningClient

        world = FlaskWorld(verifier, clock)
        world.app.test_client_class = SigningClient
        with world.app.test_client(secret="a-made-up-secret", clock=clock) as client:
            assert client.post("/port", data=b"{}").status_code == 200

    def test_the_real_time_is_taken_without_a_clock(self, make_verifier):
        import time

        from port_webhook.testing.flask import SigningClient

        world = FlaskWorld(make_verifier(clock=time.time), None)
        client = SigningClient(world.app, secret="a-made-up-secret")
        assert client.post("/port", data=b"{}").status_code == 200


class TestDjango:
    @pytest.fixture(params=[DjangoWorld, AsyncDjangoWorld])
    def world(self, request, verifier, clock):
        world = request.param(verifier, clock)
        yield world
        world.close()

    def test_a_signature_among_the_headers_of_every_request_stays(self, world, now):
        body, headers = sign_request(DOCUMENT, OTHER, timestamp=now)
        client = world.client("a-made-up-secret", headers=headers)
        assert world.finish(client.generic("POST", "/port", body))[0] == 401

    def test_a_signature_as_wsgi_spells_it_stays(self, verifier, clock):
        world = DjangoWorld(verifier, clock)
        answer = world.client("a-made-up-secret").generic(
            "POST", "/port", b"{}", HTTP_X_PORT_SIGNATURE="v1,forged"
        )
        assert world.finish(answer)[0] == 401
        world.close()

    def test_other_headers_are_sent_as_well(self, world):
        client = world.client("a-made-up-secret", headers={"x-org": "acme"})
        answer = client.post(
            "/port", {"a": 1}, content_type="application/json", headers={"x-a": "1"}
        )
        assert world.finish(answer)[0] == 200


class TestHttpx2:
    def test_a_stream_is_read_and_signed(self, verifier, clock):
        async def stream():
            yield b"{"
            yield b"}"

        world = ASGITransportWorld(verifier, clock)
        answer = world.send("a-made-up-secret", stream())
        assert answer == (200, {"run": None, "size": 2})


class TestRequests:
    @pytest.fixture
    def world(self, make_verifier, clock):
        world = RequestsWorld(make_verifier(secret=SECRET), clock)
        yield world
        world.close()

    @pytest.mark.parametrize(
        "body",
        [
            "caf\xe9",
            io.BytesIO("caf\xe9".encode()),
            io.StringIO("caf\xe9"),
            (part for part in (b"caf", b"\xc3\xa9")),
            (part for part in ("caf", "\xe9")),
            {"caf": "\xe9"},
        ],
        ids=["text", "file", "text file", "iterable", "iterable of text", "form"],
    )
    def test_a_body_of_any_kind_is_signed_as_it_is_sent(self, world, body):
        status, answer = world.send(SECRET, body)
        assert status == 200
        assert answer["size"] == (10 if isinstance(body, dict) else 5)

    def test_the_functions_of_requests_take_it_too(self, world):
        import requests

        from port_webhook.testing.requests import SigningAuth

        with requests.Session() as session:
            session.trust_env = False
            auth = SigningAuth(SECRET, clock=world.clock)
            assert session.post(world.path, auth=auth).status_code == 200
            assert session.post(world.path).status_code == 401
