"""A Django project as users write it: read by mypy and pyright, never executed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypedDict, assert_type, cast

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.http import require_POST
from ninja import NinjaAPI, Router
from rest_framework.decorators import api_view
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from port_webhook import Delivery, Verifier
from port_webhook.adapters.django import (
    PortWebhookAuthentication,
    PortWebhookMixin,
    PortWebhookNinjaAuth,
    default_verifier,
    webhook,
)
from port_webhook.models import ActionInvocation, TriggerData

if TYPE_CHECKING:
    from rest_framework.request import Request

verifier = Verifier("secret")
verifiers = {"acme": verifier}

Sync = Callable[[HttpRequest], HttpResponseBase]
Async = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponseBase]]


class VmInputs(TypedDict):
    size: str


# --- Bare, called, with a verifier, with a function that chooses one ---------------


@webhook
def bare(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse(assert_type(delivery.payload, bytes))


@webhook()
def called(request: HttpRequest, delivery: Delivery) -> StreamingHttpResponse:
    return StreamingHttpResponse([delivery.payload])


@webhook(verifier)
def options(request: HttpRequest, delivery: Delivery) -> JsonResponse:
    return JsonResponse({"run": delivery.run_id})


@webhook(choose=lambda request: verifiers[request.headers["x-org"]])
def chosen_by_lambda(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


def choose(request: HttpRequest) -> Verifier:
    return verifiers[request.headers["x-org"]]


@webhook(choose=choose)
def chosen_by_function(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


sync_views: list[Sync] = [bare, called, options, chosen_by_lambda, chosen_by_function]
assert_type(default_verifier(), Verifier)


# --- Arguments of the route, and asynchronous views --------------------------------


@webhook(verifier)
def with_arguments(request: HttpRequest, delivery: Delivery, pk: int) -> HttpResponse:
    return HttpResponse(str(pk))


@require_POST
@webhook(verifier)
def stacked(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


@webhook(verifier)
async def asynchronous(
    request: HttpRequest, delivery: Delivery, pk: int
) -> HttpResponse:
    return HttpResponse(str(pk))


@webhook
async def bare_asynchronous(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


async def use(request: HttpRequest) -> None:
    assert_type(with_arguments(request, pk=1), HttpResponseBase)
    assert_type(await asynchronous(request, pk=1), HttpResponseBase)
    with_arguments(request)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # pk is missing


async_views: list[Async] = [bare_asynchronous]


# --- Models ------------------------------------------------------------------------


@webhook(verifier, model=ActionInvocation)
def with_model(request: HttpRequest, invocation: ActionInvocation) -> HttpResponse:
    return HttpResponse(assert_type(invocation.action, str))


@webhook(model=ActionInvocation[VmInputs])
async def with_inputs(
    request: HttpRequest, invocation: ActionInvocation[VmInputs]
) -> HttpResponse:
    return HttpResponse(assert_type(invocation.properties["size"], str))


@webhook(choose=choose, model=VmInputs)
def with_typed_dict(request: HttpRequest, inputs: VmInputs) -> HttpResponse:
    return HttpResponse(inputs["size"])


async def choose_later(request: HttpRequest) -> Verifier:
    return verifiers[request.headers["x-org"]]


@webhook(choose=choose_later, model=ActionInvocation | TriggerData)
async def with_union(
    request: HttpRequest, invocation: ActionInvocation | TriggerData
) -> HttpResponse:
    return HttpResponse()


@webhook(verifier, model=list[VmInputs])
def with_list(request: HttpRequest, inputs: list[VmInputs]) -> HttpResponse:
    return HttpResponse(inputs[0]["size"])


more_sync_views: list[Sync] = [with_model, with_typed_dict, with_list]
more_async_views: list[Async] = [with_inputs, with_union]


@webhook(choose)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # by keyword only
def chosen_by_position(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


@webhook(verifier, model=ActionInvocation)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]  # a model is what the view gets
def with_the_wrong_argument(request: HttpRequest, delivery: Delivery) -> HttpResponse:
    return HttpResponse()


# --- Classes -----------------------------------------------------------------------


@method_decorator(webhook(verifier), name="dispatch")
class Decorated(View):
    def post(self, request: HttpRequest, delivery: Delivery) -> HttpResponse:
        return HttpResponse(delivery.payload)


@method_decorator(webhook, name="dispatch")
class BareDecorated(View):
    async def post(self, request: HttpRequest, delivery: Delivery) -> HttpResponse:
        return HttpResponse(delivery.payload)


class Mixed(PortWebhookMixin, View):
    verifier = verifier
    model = ActionInvocation
    parsed: ActionInvocation

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        assert_type(self.delivery, Delivery)
        return HttpResponse(self.parsed.action)


class MixedAsynchronous(PortWebhookMixin, View):
    async def verifier(self, request: HttpRequest) -> Verifier:
        return verifiers[request.headers["x-org"]]

    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(self.delivery.payload)


class Static(PortWebhookMixin, View):
    verifier = staticmethod(choose)


# --- The REST framework ------------------------------------------------------------


class Authentication(PortWebhookAuthentication):
    verifier = verifier


class Authenticated(APIView):
    authentication_classes = [Authentication]  # noqa: RUF012  # as it documents it
    permission_classes = [IsAuthenticated]  # noqa: RUF012  # the same

    def post(self, request: Request) -> Response:
        delivery = cast("Delivery", request.auth)
        return Response({"run": delivery.run_id})


class MixedRest(PortWebhookMixin, APIView):
    verifier = verifier

    def post(self, request: Request) -> Response:
        return Response({"run": self.delivery.run_id})


@api_view(["POST"])
@webhook(verifier)
def rest(request: Request, delivery: Delivery) -> Response:
    return Response({"run": delivery.run_id})


# --- Django Ninja -------------------------------------------------------------------


api = NinjaAPI(auth=PortWebhookNinjaAuth(verifier))
router = Router(auth=PortWebhookNinjaAuth())


@api.post("/ninja", auth=None)
@webhook(verifier)
def operation(request: HttpRequest, delivery: Delivery) -> dict[str, str | None]:
    return {"run": delivery.run_id}


@api.post("/ninja/async", auth=None)
@webhook(verifier, model=ActionInvocation)
async def async_operation(
    request: HttpRequest, invocation: ActionInvocation, size: int
) -> list[str]:
    return [invocation.action]


urlpatterns = [
    path("api/", api.urls),
    path("bare", bare),
    path("<int:pk>", with_arguments),
    path("stacked", stacked),
    path("async/<int:pk>", asynchronous),
    path("model", with_model),
    path("decorated", Decorated.as_view()),
    path("mixed/<int:pk>", Mixed.as_view(verifier=verifier)),
    path("mixed/async", MixedAsynchronous.as_view()),
    path("rest", Authenticated.as_view()),
    path("rest/mixed", MixedRest.as_view()),
    path("rest/function", rest),
]
