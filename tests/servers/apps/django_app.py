"""Django as a WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from port_webhook.adapters.django import webhook

from .common import VERIFIER, count_call, describe, report

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from port_webhook import Delivery

KIND = "wsgi"
REQUIRES = ("django",)
PARSES_FORMS = True

settings.configure(
    ALLOWED_HOSTS=["*"],
    # What a new project has in the way of a webhook.
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not-a-secret",
    USE_TZ=True,
)


@webhook(VERIFIER)
def port(request: HttpRequest, delivery: Delivery) -> HttpResponseBase:
    count_call()
    body = request.body
    form = {name: str(value) for name, value in request.POST.items()}
    return JsonResponse(describe(delivery, body=body, form=form))


@webhook(VERIFIER)
def boom(request: HttpRequest, delivery: Delivery) -> HttpResponseBase:
    count_call()
    raise ValueError


def calls(request: HttpRequest) -> HttpResponseBase:
    return JsonResponse(report())


urlpatterns = [path("port", port), path("boom", boom), path("calls", calls)]

django.setup()
app = get_wsgi_application()
