"""A server of WSGI, written by hand, and applications for it."""

from __future__ import annotations

import sys
from wsgiref.util import setup_testing_defaults

from port_webhook import sign

BODY = b'{"context":{"runId":"r_1"}}'


LIMIT = 1_048_576


class Input:
    """A server's input, which gives at most *step* bytes at a time."""

    def __init__(self, body, step=7, error=None):
        self.position = 0
        self._body = body
        self._step = step
        self._error = error

    def read(self, size=-1):
        assert size > 0
        if self._error is not None:
            raise self._error
        start = self.position
        self.position = min(start + min(size, self._step), len(self._body))
        return self._body[start : self.position]


class Closing:
    """An application's iterable that knows whether it was closed."""

    def __init__(self, parts):
        self.closed = 0
        self._parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._parts)

    def close(self):
        self.closed += 1


class Failing(Closing):
    """One that fails at its first item."""

    def __init__(self, error):
        super().__init__([])
        self._error = error

    def __next__(self):
        raise self._error


class Client:
    """Builds requests, and plays the server."""

    def __init__(self, secret, now):
        self._secret = secret
        self._now = now
        self.calls = []
        self.environ = {}

    def environ_of(self, body=BODY, *, signs=BODY, path="/port", **changes):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": ""}
        setup_testing_defaults(environ)
        environ["wsgi.input"] = Input(body)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        if signs is not None:
            for name, value in sign(signs, self._secret, timestamp=self._now).items():
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        environ.update(changes)
        return {key: value for key, value in environ.items() if value is not None}

    def send(self, app, body=BODY, **changes):
        """Return the status, the headers and the body of the answer."""
        self.environ = self.environ_of(body, **changes)
        self.calls = []

        def start_response(status, headers, exc_info=None):
            self.calls.append((status, headers, exc_info))
            return self.calls.append

        result = app(self.environ, start_response)
        try:
            parts = list(result)
        finally:
            getattr(result, "close", lambda: None)()
        status, headers, _ = self.calls[-1] if self.calls else ("", [], None)
        return status, dict(headers), b"".join(parts)


async def choose_later(environ):
    raise AssertionError


class App:
    """An application that keeps what it saw."""

    def __init__(self):
        self.seen = []

    def __call__(self, environ, start_response):
        length = environ.get("CONTENT_LENGTH")
        self.seen.append((environ["wsgi.input"].read(), length))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]


def fail():
    try:
        int("own")
    except ValueError:
        return sys.exc_info()
