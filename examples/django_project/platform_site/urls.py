"""The two addresses of the project."""

from django.urls import path
from vms.views import health, port_webhook

urlpatterns = [path("port", port_webhook), path("health", health)]
