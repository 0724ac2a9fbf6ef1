"""Read a delivery from what another tool saved of it."""

from __future__ import annotations

from port_webhook.devtools._captures._capture import Capture, CaptureError
from port_webhook.devtools._captures._curl import read_curl
from port_webhook.devtools._captures._http import read_http
from port_webhook.devtools._captures._json import read_har, read_kafka, read_lambda

__all__ = [
    "Capture",
    "CaptureError",
    "read_curl",
    "read_har",
    "read_http",
    "read_kafka",
    "read_lambda",
]
