"""FastAPI: the decorator, and the dependency."""

# No postponed annotations: FastAPI reads those of the endpoints.

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from port_webhook import Delivery
from port_webhook.adapters.fastapi import PortWebhook, webhook

from .common import VERIFIER, count_call, describe, report

KIND = "asgi"
REQUIRES = ("fastapi", "multipart")
PARSES_FORMS = True
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

app = FastAPI(openapi_url=None)
Verified = Annotated[Delivery, Depends(PortWebhook(VERIFIER))]


@app.api_route("/port", methods=METHODS)
@webhook(VERIFIER)
async def port(request: Request, delivery: Delivery) -> dict[str, Any]:
    count_call()
    body = await request.body()
    form = {name: str(value) for name, value in (await request.form()).items()}
    return describe(delivery, body=body, form=form)


@app.api_route("/boom", methods=METHODS)
def boom(delivery: Verified) -> None:
    count_call()
    raise ValueError


@app.get("/calls")
def calls() -> dict[str, Any]:
    return report()
