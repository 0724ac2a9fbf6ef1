"""What an outside review found: one test for each attack that once worked."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import tracemalloc

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from port_webhook import Verifier, VerifierSource, sign
from port_webhook.adapters.asgi import PortWebhookMiddleware
from port_webhook.adapters.aws_lambda import handle_kafka_event
from port_webhook.adapters.fastapi import webhook
from port_webhook.decryption import decrypt_properties
from port_webhook.exceptions import DecryptionError
from port_webhook.integration import _asgi
from port_webhook.testing import sign_kafka_message

from .leaks import NOW, PAYLOAD, SECRET, Search, headers, needles_for

# --- Media types --------------------------------------------------------------------

FORM = '--B\r\nContent-Disposition: form-data; name="n"\r\n\r\né\r\n--B--\r\n'.encode()


@pytest.mark.parametrize(
    "charset", ["us-ascii", "utf-8,x", "utf-8 ,text/plain", '"utf-8",']
)
def test_an_unsigned_charset_does_not_change_what_an_endpoint_reads(secret, charset):
    # Starlette read another text: it takes a charset that fails for Latin-1.
    app, read = FastAPI(), []

    @app.post("/")
    @webhook(Verifier(secret))
    async def view(_delivery, request: Request):
        read.append(dict(await request.form()))

    kind = f"multipart/form-data; boundary=B; charset={charset}"
    answer = TestClient(app).post(
        "/", content=FORM, headers={**sign(FORM, secret), "content-type": kind}
    )
    assert (answer.status_code, read) == (415, [])


