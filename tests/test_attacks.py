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

# --- Time ---------------------------------------------------------------------------


class CountedList(list[object]):
    """A list that counts how often it is gone through by index."""

    asked = 0

    def __len__(self):
        CountedList.asked += 1
        return super().__len__()

    def __deepcopy__(self, memo):
        return self


def test_an_input_that_a_body_names_a_thousand_times_is_looked_up_once():
    # Each name went through the whole list: 40 KB took six seconds, 1 MiB an hour.
    CountedList.asked = 0
    body = {
        "inputs": {"a": CountedList(["x"] * 10)},
        "trigger": {},
        "event": None,
        "action": {"encryptedProperties": ["a"] * 1000},
        "run": {"id": "r_1"},
    }
    with pytest.raises(DecryptionError):
        decrypt_properties(body, client_secret="s" * 40)
    assert CountedList.asked < 10


# --- What a log handler can see -----------------------------------------------------


@pytest.fixture
def seen():
    """Where a log handler finds a marker in the exception that is being handled."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            error = sys.exc_info()[1]
            if error is not None:
                search = Search(needles_for())
                search.error(error, record.port_event)
                found.extend(search.found)
            found.append(record.port_event)

    logger, handler = logging.getLogger("port_webhook"), Handler()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def fail(_):
    raise KeyError


def test_a_log_handler_sees_no_payload_when_a_hook_failed(seen):
    verifier = Verifier(SECRET, clock=lambda: NOW, on_verified=fail)
    verifier.verify(PAYLOAD, headers())
    assert seen == ["hook_failed"]


def test_a_log_handler_sees_no_secret_when_it_could_not_be_fetched_again(seen):
    answers = iter([SECRET, [SECRET, f"{SECRET} "]])
    times = iter(range(NOW, NOW + 100, 10))
    source = VerifierSource(
        lambda: next(answers), every=1, clock=lambda: float(next(times))
    )
    source()
    assert seen == ["secret_refresh_failed"]


def test_a_log_handler_sees_no_payload_when_a_handler_of_kafka_records_failed(seen):
    value = sign_kafka_message(json.loads(PAYLOAD), SECRET, timestamp=NOW)
    record = {"topic": "t", "partition": 0, "offset": 1, "timestamp": NOW * 1000}
    record["value"] = base64.b64encode(value).decode()
    verifier = Verifier(SECRET)
    failures = handle_kafka_event({"records": {"t-0": [record]}}, verifier, fail)
    assert len(failures["batchItemFailures"]) == 1
    assert seen == ["handler_failed"]


# --- One exception in several tasks -------------------------------------------------


class SlowStore:
    """Its releases take the longer, the later they begin."""

    def __init__(self):
        self.rounds = 0

    async def claim(self, _key, _owner, _lease):
        return "claimed"

    async def commit(self, _key, _owner, _ttl):
        return True

    async def release(self, _key, _owner):
        self.rounds += 1
        for _ in range(10 * self.rounds):
            await asyncio.sleep(0)
        return True


def request_of(body, secret):
    names = [
        (name.encode(), text.encode()) for name, text in sign(body, secret).items()
    ]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": names}
    messages = [{"type": "http.request", "body": body}]

    async def receive():
        return messages.pop()

    async def send(_):
        pass

    return scope, receive, send


async def test_two_requests_that_fail_with_one_exception_both_end(secret):
    # Cleaning it for one request closed the coroutine of the other, which hung.
    shared = asyncio.get_running_loop().create_future()

    async def app(*_):
        await shared

    middleware = PortWebhookMiddleware(app, Verifier(secret, replay_store=SlowStore()))
    tasks = [
        asyncio.create_task(middleware(*request_of(b"%d" % number, secret)))
        for number in range(4)
    ]
    for _ in range(100):
        await asyncio.sleep(0)
    shared.set_exception(ValueError("shared"))
    done, pending = await asyncio.wait(tasks, timeout=20)
    for task in pending:
        task.cancel()
    assert not pending
    assert all(isinstance(task.exception(), ValueError) for task in done)


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


# --- Memory -------------------------------------------------------------------------


async def test_empty_parts_of_a_body_take_no_memory():
    # HTTP/2 allows any number of empty frames, which no limit on the body counts.
    left = 100_000

    async def receive():
        nonlocal left
        left -= 1
        body = b"{}" if left == 7 else b""
        return {"type": "http.request", "body": body, "more_body": left > 0}

    tracemalloc.start()
    try:
        assert await _asgi._read(receive, 10) == b"{}"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
