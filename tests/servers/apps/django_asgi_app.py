"""Django as an ASGI application, with asynchronous views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.test.utils import override_settings
from django.urls import path

from port_webhook.adapters.django import webhook

from .common import VERIFIER, count_call, describe
from .django_app import calls

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from port_webhook import Delivery

KIND = "asgi"
REQUIRES = ("django",)
PARSES_FORMS = True


@webhook(VERIFIER)
async def port(request: HttpRequest, delivery: Delivery) -> HttpResponseBase:
    count_call()
    body = request.body
    form = {name: str(value) for name, value in request.POST.items()}
    return JsonResponse(describe(delivery, body=body, form=form))


@webhook(VERIFIER)
async def boom(request: HttpRequest, delivery: Delivery) -> HttpResponseBase:
    count_call()
    raise ValueError


urlpatterns = [path("port", port), path("boom", boom), path("calls", calls)]

override_settings(ROOT_URLCONF=__name__).enable()
app = get_asgi_application()
