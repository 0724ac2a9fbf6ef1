"""FastAPI: the route class."""

# No postponed annotations: FastAPI reads those of the endpoints.

from typing import Any

from fastapi import APIRouter, FastAPI, Request

from port_webhook.adapters.fastapi import webhook_route

from .common import VERIFIER, count_call, describe, report

KIND = "asgi"
REQUIRES = ("fastapi", "multipart")
PARSES_FORMS = True
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

app = FastAPI(openapi_url=None)
router = APIRouter(route_class=webhook_route(VERIFIER))


@router.api_route("/port", methods=METHODS)
async def port(request: Request) -> dict[str, Any]:
    count_call()
    body = await request.body()
    form = {name: str(value) for name, value in (await request.form()).items()}
    return describe(request.state.port_delivery, body=body, form=form)


@router.api_route("/boom", methods=METHODS)
def boom() -> None:
    count_call()
    raise ValueError


@app.get("/calls")
def calls() -> dict[str, Any]:
    return report()


app.include_router(router)
