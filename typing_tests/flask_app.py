"""A Flask application as users write it: read by mypy and pyright, never executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypedDict, assert_type

from flask import Blueprint, Flask, Request, Response, jsonify
from flask.views import MethodView

from port_webhook import Delivery, Verifier
from port_webhook.adapters.flask import webhook
from port_webhook.models import ActionInvocation, CatalogEvent

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

app = Flask(__name__)
hooks = Blueprint("hooks", __name__)
verifier = Verifier("secret")
verifiers = {"acme": verifier}


class VmInputs(TypedDict):
    size: str


# --- Bare, called, with a verifier, with a function that chooses one ---------------


@app.post("/bare")
@webhook
def bare(delivery: Delivery) -> str:
    return assert_type(delivery.payload, bytes).decode()


@app.post("/called")
@webhook()
def called(delivery: Delivery) -> tuple[str, int]:
    return "done", 202


@app.post("/options")
@webhook(verifier)
def options(delivery: Delivery) -> dict[str, str | None]:
    return {"run": delivery.run_id}


@hooks.post("/lambda")
@webhook(choose=lambda request: verifiers[request.headers["x-org"]])
def chosen_by_lambda(delivery: Delivery) -> Response:
    return jsonify(delivery.json())


def choose(request: Request) -> Verifier:
    return verifiers[request.headers["x-org"]]


@hooks.post("/function")
@webhook(choose=choose)
def chosen_by_function(delivery: Delivery) -> ResponseReturnValue:
    return ""


assert_type(bare, Callable[[], Response])
assert_type(called, Callable[[], Response])
assert_type(options, Callable[[], Response])
assert_type(chosen_by_lambda, Callable[[], Response])
assert_type(chosen_by_function, Callable[[], Response])


# --- Arguments of the route, and asynchronous views --------------------------------


@app.post("/<org>/<int:number>")
@webhook(verifier)
def with_arguments(delivery: Delivery, org: str, number: int) -> str:
    return f"{org}{number}"


@app.post("/async/<org>")
@webhook(verifier)
async def asynchronous(delivery: Delivery, org: str) -> str:
    return org


@app.post("/async")
@webhook
async def bare_asynchronous(delivery: Delivery) -> str:
    return ""


with_arguments(org="acme", number=1)
asynchronous(org="acme")
assert_type(with_arguments("acme", 1), Response)
assert_type(asynchronous("acme"), Response)
assert_type(bare_asynchronous(), Response)
with_arguments("acme")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the number is missing


# --- Models ------------------------------------------------------------------------


@app.post("/model")
@webhook(verifier, model=ActionInvocation)
def with_model(invocation: ActionInvocation) -> str:
    return assert_type(invocation.action, str)


@app.post("/inputs")
@webhook(verifier, model=ActionInvocation[VmInputs])
def with_inputs(invocation: ActionInvocation[VmInputs], org: str = "acme") -> str:
    return assert_type(invocation.properties["size"], str)


@app.post("/model/environment")
@webhook(model=VmInputs)
async def with_typed_dict(inputs: VmInputs) -> str:
    return inputs["size"]


@app.post("/model/chosen")
@webhook(choose=choose, model=ActionInvocation)
def with_model_chosen(invocation: ActionInvocation) -> str:
    return ""


assert_type(with_model, Callable[[], Response])
assert_type(with_typed_dict, Callable[[], Response])
with_inputs(org="acme")


@webhook(verifier, model=ActionInvocation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a model is what the view gets
def with_the_wrong_argument(delivery: Delivery) -> str:
    return ""


@app.post("/model/union")
@webhook(verifier, model=ActionInvocation | CatalogEvent)
def with_union(message: ActionInvocation | CatalogEvent) -> str:
    return message.run_id or ""


@app.post("/model/list")
@webhook(verifier, model=list[VmInputs])
def with_list(inputs: list[VmInputs]) -> str:
    return inputs[0]["size"]


@app.post("/model/annotated")
@webhook(verifier, model=Annotated[VmInputs, "as the form has them"])
def with_annotated(inputs: VmInputs) -> str:
    return inputs["size"]


assert_type(with_union, Callable[[], Response])
assert_type(with_list, Callable[[], Response])


# --- A function of Google Cloud -----------------------------------------------------


@webhook(verifier)
def main(request: Request, delivery: Delivery) -> str:
    return request.path


@webhook
def bare_main(request: Request, delivery: Delivery) -> str:
    return request.path


assert_type(main, Callable[[Request], Response])
assert_type(bare_main, Callable[[Request], Response])


# --- What cannot be meant -----------------------------------------------------------


async def choose_later(request: Request) -> Verifier:
    return choose(request)


webhook(choose=choose_later)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]  # nothing awaits it
webhook("secret")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not a Verifier
webhook(choose, model=VmInputs)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # by keyword only


# --- Classes -----------------------------------------------------------------------


class Port(MethodView):
    @webhook(verifier)
    def post(self, delivery: Delivery, org: str) -> str:
        return self.name(org)

    @webhook
    async def put(self, delivery: Delivery) -> str:
        return self.name("")

    @webhook(verifier, model=ActionInvocation)
    def patch(self, invocation: ActionInvocation, org: str) -> str:
        return self.name(org)

    def name(self, org: str) -> str:
        return org


class Decorated(MethodView):
    decorators = [webhook(verifier)]  # noqa: RUF012  # as Flask documents it

    def post(self, delivery: Delivery) -> str:
        return delivery.payload.decode()


assert_type(Port().post("acme"), Response)
assert_type(Port().post(org="acme"), Response)
assert_type(Port().put(), Response)
assert_type(Port().patch("acme"), Response)
app.add_url_rule("/class/<org>", view_func=Port.as_view("port"))
app.add_url_rule("/decorated", view_func=Decorated.as_view("decorated"))
