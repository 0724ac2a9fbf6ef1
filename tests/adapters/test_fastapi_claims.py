"""FastAPI: the response that is sent ends a claim, however it comes about."""

# No postponed annotations: FastAPI reads those of endpoints that are made in tests.

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    StreamingResponse,
)

from port_webhook import Delivery
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .doubles import BODY, OTHER, Store, make
from .fastapi_requests import Ways, ask, every_way, part, send, serve


class Answer(BaseModel):
    number: int


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def client(app):
    return serve(app, follow_redirects=False)


@pytest.fixture
def store():
    return Store()


@every_way
@pytest.mark.parametrize(
    ("response", "end"),
    [
        (JSONResponse({}, 202), "commit"),
        (RedirectResponse("/", 303), "commit"),
        (RedirectResponse("/"), "release"),
        (RedirectResponse("/", 308), "release"),
        (JSONResponse({}, 400), "release"),
        (JSONResponse({}, 503), "release"),
        (Response(status_code=503, background=None), "release"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_returned_response_counts(
    app, client, store, way, response, end, asynchronous
):
    if asynchronous:

        @way(app, make(replay_store=store))
        async def endpoint():
            return response

    else:

        @way(app, make(replay_store=store))
        def endpoint():
            return response

    assert send(client).status_code == response.status_code
    assert store.steps == ["claim", end]


def test_a_returned_response_counts_in_each_form_of_the_readme(app, client, store):
    verifier = make(replay_store=store)
    hook = Depends(PortWebhook(verifier))

    @app.post("/decorated")
    @webhook(verifier)
    def decorated(delivery: Delivery):
        return JSONResponse({}, status_code=503)

    @app.post("/annotated")
    def annotated(delivery: Annotated[Delivery, Depends(PortWebhook(verifier))]):
        return JSONResponse({}, status_code=503)

    @app.post("/default")
    def default(delivery: Delivery = hook):  # an older form
        return JSONResponse({}, status_code=503)

    for path in ("/decorated", "/annotated", "/default"):
        assert send(client, path=path).status_code == 503
    assert store.steps == ["claim", "release"] * 3


@every_way
@pytest.mark.parametrize("status", [201, 503])
def test_the_status_that_the_route_declares_counts(app, client, store, way, status):
    @way(app, make(replay_store=store), status_code=status)
    def endpoint(): ...

    assert send(client).status_code == status
    assert store.steps == ["claim", "commit" if status == 201 else "release"]


@every_way
def test_the_status_of_a_response_class_counts(app, client, store, way):
    @way(app, make(replay_store=store), response_class=RedirectResponse)
    def endpoint():
        return "/elsewhere"

    assert send(client).status_code == 307
    assert store.steps == ["claim", "release"]


@every_way
@pytest.mark.parametrize(("status", "end"), [(202, "commit"), (418, "release")])
def test_the_status_of_an_injected_response_counts(
    app, client, store, way, status, end
):
    @way(app, make(replay_store=store))
    def endpoint(response: Response):
        response.status_code = status

    assert send(client).status_code == status
    assert store.steps == ["claim", end]


@every_way
def test_a_result_that_is_not_the_response_model_is_released(app, client, store, way):
    @way(app, make(replay_store=store), response_model=Answer)
    def endpoint():
        return {"number": "none"}

    assert send(client).status_code == 500
    assert store.steps == ["claim", "release"]


@every_way
def test_a_result_that_cannot_be_serialised_is_released(app, client, store, way):
    @way(app, make(replay_store=store))
    def endpoint():
        return {"number": object()}

    assert send(client).status_code == 500
    assert store.steps == ["claim", "release"]


@every_way
def test_a_file_that_is_missing_is_released(app, client, store, way, tmp_path):
    @way(app, make(replay_store=store))
    def endpoint():
        return FileResponse(tmp_path / "missing")

    assert send(client).status_code == 500
    assert store.steps == ["claim", "release"]


@every_way
def test_a_dependency_that_fails_at_its_end_is_released(app, client, store, way):
    def fails():
        yield
        raise ValueError

    @way(app, make(replay_store=store))
    def endpoint(it: Annotated[Any, Depends(fails, scope="function")]): ...

    assert send(client).status_code == 500
    assert store.steps == ["claim", "release"]


@every_way
@pytest.mark.parametrize(
    ("raised", "status", "end"),
    [
        (HTTPException(404), 404, "release"),
        (HTTPException(303, headers={"location": "/"}), 303, "commit"),
        (ValueError(), 500, "release"),
    ],
)
def test_an_exception_counts_by_its_status(
    app, client, store, way, raised, status, end
):
    @way(app, make(replay_store=store))
    def endpoint():
        raise raised

    assert send(client).status_code == status
    assert store.steps == ["claim", end]


@every_way
@pytest.mark.parametrize(("status", "end"), [(200, "commit"), (409, "release")])
def test_the_answer_of_an_exception_handler_counts(
    app, client, store, way, status, end
):
    @app.exception_handler(KeyError)
    def known(request, error):
        return JSONResponse("done before", status)

    @way(app, make(replay_store=store))
    def endpoint():
        raise KeyError

    assert send(client).status_code == status
    assert store.steps == ["claim", end]


@every_way
def test_a_request_that_fastapi_refuses_is_released(app, client, store, way):
    @way(app, make(replay_store=store))
    def endpoint(zone: int):
        pytest.fail("called")

    assert send(client, path="/port?zone=x").status_code == 422
    assert store.steps == ["claim", "release"]


@every_way
def test_the_commit_comes_before_background_tasks(app, client, store, way):
    @way(app, make(replay_store=store))
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(store.steps.append, "task")

    assert send(client).status_code == 200
    assert store.steps == ["claim", "commit", "task"]


@pytest.mark.skipif(
    find_spec("fastapi.sse") is None, reason="this FastAPI calls no generators"
)
def test_a_generator_streams_after_the_commit(app, client, store):
    @app.post("/port")
    @webhook(make(replay_store=store))
    def endpoint(delivery: Delivery) -> Iterator[str]:
        store.steps.append("chunk")
        yield delivery.run_id or ""

    assert send(client).text == '"r_1"\n'
    assert store.steps == ["claim", "commit", "chunk"]


@pytest.mark.parametrize("way", [Ways.decorator, Ways.dependency])
def test_nothing_goes_on_after_a_commit_that_fails(app, way):
    called: list[Any] = []

    @app.exception_handler(OSError)
    def never(request, error):
        pytest.fail("called")

    @way(app, make(replay_store=Store(commit="?")))
    def endpoint(tasks: BackgroundTasks):
        def chunks():
            while True:
                yield b"a"

        tasks.add_task(called.append, "task")
        return StreamingResponse(chunks())

    answer = send(TestClient(app))
    assert (answer.status_code, answer.json()) == (503, {"detail": "unavailable"})
    assert called == []


def test_claims_of_two_verifiers_end_together(app, client):
    stores = [Store(), Store(commit="?"), Store()]
    hooks = [
        Depends(PortWebhook(make(replay_store=store, replay_scope=str(index))))
        for index, store in enumerate(stores)
    ]

    @app.post("/port", dependencies=hooks)
    def endpoint(): ...

    # The last is committed first; after the failure the others are released.
    assert send(client).status_code == 503
    assert [store.steps[1:] for store in stores] == [
        ["release"],
        ["commit"],
        ["commit"],
    ]


def test_a_claim_of_a_request_that_a_second_verifier_refuses_is_released(app, client):
    store = Store()
    other = make(previous_secrets=[], replay_scope=OTHER, max_body_bytes=1)
    hooks = [
        Depends(PortWebhook(make(replay_store=store))),
        Depends(PortWebhook(other)),
    ]

    @app.post("/port", dependencies=hooks)
    def endpoint():
        pytest.fail("called")

    assert send(client).status_code == 413
    assert store.steps == ["claim", "release"]


async def test_a_response_that_is_never_sent_releases(app, store):
    class Silent(Response):
        async def __call__(self, scope, receive, send):
            pass

    @Ways.dependency(app, make(replay_store=store))
    def endpoint(request: Request):
        return Silent()

    assert await ask(app, part(BODY, more=False)) == ([], 1)
    assert store.steps == ["claim", "release"]
