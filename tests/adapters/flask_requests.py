"""Requests to a Flask application, signed as Port does."""

from __future__ import annotations

import io

from .doubles import BODY, signed

MULTIPART = (
    b'--q\r\nContent-Disposition: form-data; name="payload"\r\n\r\na b\r\n'
    b'--q\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n!\r\n'
    b"--q--\r\n"
)
MULTIPART_TYPE = "multipart/form-data; boundary=q"


class Views:
    """A view that keeps the deliveries with which it was called."""

    def __init__(self):
        self.deliveries = []

    def __call__(self, delivery, **_):
        self.deliveries.append(delivery)
        return {"run": delivery.run_id}


def post(client, body=BODY, *, headers=None, path="/port", **options):
    """Send *body*, signed unless *headers* are given."""
    headers = signed(body) if headers is None else headers
    return client.post(path, data=body, headers=headers, **options)


def chunked(body):
    """Return what a server with support for chunked bodies puts into the environ."""
    return {
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


def post_chunked(
    client, body, *, to_sign=None, environ=None, content_type="", headers=None
):
    signed_body = body if to_sign is None else to_sign
    # The test client would make up a body, and its length, for a content type.
    environ = {"CONTENT_TYPE": content_type, **chunked(body), **(environ or {})}
    headers = signed(signed_body) if headers is None else headers
    return client.post("/port", headers=headers, environ_overrides=environ)
