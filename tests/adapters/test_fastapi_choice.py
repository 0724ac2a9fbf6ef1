"""FastAPI: a function that chooses the verifier of a request."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Path,
    Request,
)

from port_webhook import Delivery, Verifier, VerifierSource
from port_webhook.adapters.fastapi import webhook, webhook_route

from .doubles import BODY, NOW, OTHER, SECRET, make
from .fastapi_requests import Ways, every_way, send, serve


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def client(app):
    return serve(app)


VERIFIERS = {"a": make(), "b": Verifier(OTHER, clock=lambda: NOW)}


def by_header(request):
    return VERIFIERS[request.headers["x-org"]]


async def by_header_asynchronously(request):
    return by_header(request)


def by_declared_header(x_org: Annotated[str, Header()]):
    return VERIFIERS[x_org]


async def known(request: Request):
    if request.headers["x-org"] not in VERIFIERS:
        raise KeyError
    return VERIFIERS


def by_dependency(request: "Request", verifiers: Annotated[Any, Depends(known)]):
    return verifiers[request.headers["x-org"]]


def by_generator(request: Any, verifiers: Annotated[Any, Depends(known)]):
    return by_header_asynchronously(request)


CHOOSERS = [
    by_header,
    by_header_asynchronously,
    by_declared_header,
    by_dependency,
    by_generator,
]


@every_way
@pytest.mark.parametrize("choose", CHOOSERS)
def test_a_verifier_is_chosen_by_the_request(app, client, way, choose):
    @way(app, choose=choose)
    def endpoint(): ...

    assert send(client, **{"x-org": "a"}).status_code == 200
    assert send(client, **{"x-org": "b"}).status_code == 401
    assert send(client, **{"x-org": "c"}).status_code == 500


@every_way
def test_a_chooser_may_refuse(app, client, way):
    def choose(request: Request):
        raise HTTPException(404)

    @way(app, choose=choose)
    def endpoint():
        pytest.fail("called")

    assert send(client).status_code == 404


@every_way
def test_a_header_that_a_chooser_declares_may_be_missing(app, client, way):
    @way(app, choose=by_declared_header)
    def endpoint():
        pytest.fail("called")

    assert send(client).status_code == 422


@every_way
def test_a_secret_that_is_fetched_again_is_a_chooser(app, client, way):
    source = VerifierSource(lambda: SECRET, clock=lambda: NOW)

    @way(app, choose=source)
    def endpoint(): ...

    assert send(client).status_code == 200
    assert send(client, headers={}).status_code == 401


def test_a_chooser_may_read_the_path(app, client):
    def choose(org: Annotated[str, Path()]):
        return VERIFIERS[org]

    @app.post("/decorated/{org}")
    @webhook(choose=choose)
    def decorated(delivery: Delivery, org: str):
        return org

    inner = APIRouter(route_class=webhook_route(choose=choose))

    @inner.post("/routed")
    def routed(org: str):
        return org

    app.include_router(inner, prefix="/{org}")
    for path in ("/decorated/{}", "/{}/routed"):
        assert send(client, path=path.format("a")).json() == "a"
        assert send(client, path=path.format("b")).status_code == 401


@every_way
def test_a_chooser_may_read_the_body_before_it_is_verified(app, client, way):
    async def choose(request: Request):
        assert (await request.json())["context"]["runId"] == "r_1"
        return make()

    @way(app, choose=choose)
    async def endpoint(request: Request):
        return (await request.body()).decode()

    assert send(client).json() == BODY.decode()
    assert send(client, headers={}).status_code == 401


def test_a_chooser_of_the_route_may_read_a_form(app, client):
    async def choose(request: Request):
        assert (await request.form())["payload"] == "a b"
        return make()

    @Ways.route(app, choose=choose)
    def endpoint(payload: Annotated[str, Form()]):
        return payload

    content = "application/x-www-form-urlencoded"
    answer = send(client, b"payload=a+b", **{"content-type": content})
    assert answer.json() == "a b"


@every_way
def test_a_chooser_may_be_replaced(app, client, way):
    def choose(request: Request):
        pytest.fail("called")

    @way(app, choose=choose)
    def endpoint(): ...

    app.dependency_overrides[choose] = lambda: make()  # noqa: PLW0108  # no options
    assert send(client).status_code == 200
