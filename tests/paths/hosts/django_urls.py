"""Routes of Django that ignore case; one of them is included elsewhere."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from .common import MOUNT, OPEN, VIEW, ran


@csrf_exempt
def view(request):
    return HttpResponse(ran())


routes = [re_path(rf"(?i)^{VIEW[1:]}/?$", view)]
urlpatterns = [
    *routes,
    path(f"{MOUNT[1:]}/", include(routes)),
    path(OPEN[1:], lambda _: HttpResponse("open")),
]
