"""`port-webhook send`: what it sends, and what it says of the answer."""

from __future__ import annotations

import json

import pytest

from port_webhook import Verifier
from port_webhook.devtools._captures import CaptureError
from port_webhook.devtools._sending import set_field

from .commands import SECRET, call, serve, spawn

RUNNERS = pytest.mark.parametrize("run", [call, spawn])


@pytest.fixture(scope="module")
def verifying():
    with serve() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(verifying):
    verifying.requests.clear()
    return verifying


@RUNNERS
def test_a_genuine_delivery_is_accepted_and_its_answer_shown(run, endpoint):
    done = run("send", endpoint.url)

    first, status, *answer = done.out.splitlines()
    assert done.status == 0
    assert first.startswith(f"POST {endpoint.url}, ")
    assert status.startswith("200 OK in ")
    assert json.loads("".join(answer)) == {"ok": "yes ë"}
    ((_, headers, body),) = endpoint.requests
    assert ("content-type", "application/json") in headers
    assert json.loads(body)["context"]["runId"].startswith("r_")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ("action", "ActionInvocation"),
        ("trigger-data", "TriggerData"),
        ("event", "CatalogEvent"),
        ("changelog", "ChangelogMessage"),
        ("node-run", "WorkflowNodeRun"),
        ("custom", "CustomPayload"),
    ],
)
def test_every_shape_is_what_it_says(endpoint, shape, kind):
    assert call("send", endpoint.url, "--shape", shape).status == 0

    ((_, headers, body),) = endpoint.requests
    delivery = Verifier(SECRET).verify(body, headers)
    assert type(delivery.invocation()).__name__ == kind


@pytest.mark.parametrize("option", ["--stale", "--tampered"])
def test_a_forgery_that_is_refused_ends_with_status_1(endpoint, option):
    done = call("send", endpoint.url, option)

    assert done.status == 1
    assert "401 Unauthorized" in done.out
    assert "got through" not in done.out


def test_a_forgery_that_gets_through_is_said():
    with serve(verify=False) as endpoint:
        assert "got through" in call("send", endpoint.url, "--stale").out
        # A body of no letters has something added.
        done = call("send", endpoint.url, "--tampered", "--body", "-", stdin=b"{}")
        seven = call("send", endpoint.url, "--tampered", "--body", "-", stdin=b"[7]")

    assert (done.status, seven.status) == (0, 0)
    assert [body for _, _, body in endpoint.requests[1:]] == [b"{}0", b"[8]"]


def test_json_is_printed(endpoint):
    done = call("send", endpoint.url, "--json")
    twice = call("send", endpoint.url, "--replay", "--json")
    refused = call("send", endpoint.url, "--stale", "--json")

    assert done.json["status"] == 200
    assert done.json.keys() == {"status", "milliseconds", "body"}
    assert [each["status"] for each in twice.json] == [200, 200]
    assert (refused.status, refused.json["status"]) == (1, 401)


def test_a_replay_is_the_same_request_twice(endpoint):
    done = call("send", endpoint.url, "--replay")

    first, second = endpoint.requests
    assert first == second
    assert done.out.count("200 OK") == 2


TWICE = "The request ran twice: the endpoint has no replay store.\n"


@pytest.mark.parametrize(
    ("second", "ran"),
    [
        ((200, b'{"status": "duplicate"}'), False),
        ((303, b""), False),
        ((200, b'{"status": "done"}'), True),
        ((202, b""), True),
        ((204, b""), True),
    ],
)
def test_a_replay_that_ran_twice_is_called_so(second, ran):
    answers = iter([(202, b"{}"), second])
    with serve(respond=lambda *_: next(answers)) as endpoint:
        done = call("send", endpoint.url, "--replay")

    assert done.status == 0
    assert done.out.endswith(TWICE) is ran


def test_a_replay_that_is_refused_says_nothing_of_the_secret():
    answers = iter([(200, b""), (401, b"")])
    with serve(respond=lambda *_: next(answers)) as endpoint:
        done = call("send", endpoint.url, "--replay")

    assert (done.status, done.err) == (1, "")
    assert TWICE not in done.out


def test_a_genuine_request_that_is_refused_says_where_to_look(endpoint):
    done = call("send", endpoint.url, secret="x" * 32)
    forged = call("send", endpoint.url, "--stale")

    assert (done.status, forged.status) == (1, 1)
    assert "401 Unauthorized" in done.out
    assert done.err == (
        "Refused: another secret, or another clock? The log of the server says why.\n"
    )
    assert forged.err == ""


def test_a_server_without_tls_is_called_so(endpoint):
    url = endpoint.url.replace("http:", "https:")

    done = call("send", url)

    assert done.status == 1
    assert done.err.startswith(f"Error: No TLS at {url} (")
    assert done.err.endswith("): does the server speak plain http?\n")


def test_the_agents_form_is_sent():
    with serve(agent=True) as endpoint:
        assert call("send", endpoint.url, "--agent").status == 0

    ((_, _, body),) = endpoint.requests
    assert b'", "' in body


def test_a_body_of_ones_own_is_sent_as_it_is(endpoint):
    assert call("send", endpoint.url, "--body", "-", stdin=b" {\xff").status == 0
    assert call("send", endpoint.url, "--body", "-", stdin=b"").status == 0

    (_, _, body), (_, headers, empty) = endpoint.requests
    assert (body, empty) == (b" {\xff", b"")
    assert "content-type" not in {name.lower() for name, _ in headers}


def test_fields_are_set(endpoint):
    done = call(
        *("send", endpoint.url, "--body", "-"),
        *("--set", "context.runId=r_7", "--set", "tags.0=[1]", "--set", "new.deep=x=y"),
        stdin=b'{"context":null,"tags":[0]}',
    )

    ((_, _, body),) = endpoint.requests
    assert done.status == 0
    assert json.loads(body) == {
        "context": {"runId": "r_7"},
        "tags": [[1]],
        "new": {"deep": "x=y"},
    }


@pytest.mark.parametrize("path", ["tags.1", "tags.x", "tags.-1", "tags.9999999999"])
def test_an_element_that_is_not_there_is_not_set(path):
    with pytest.raises(CaptureError, match="no element"):
        set_field({"tags": [0]}, path.split("."), 1)


def test_method_and_headers_are_sent(endpoint):
    done = call(
        *("send", endpoint.url, "--method", "put"),
        *(
            "-H",
            "X-Org: a",
            "-H",
            "x-port-signature: v1,mine",
            "-H",
            "Content-Type: a/b",
        ),
    )

    ((method, headers, _),) = endpoint.requests
    names = [name.lower() for name, _ in headers]
    assert (method, done.status) == ("PUT", 1)
    assert ("X-Org", "a") in headers
    assert ("x-port-signature", "v1,mine") in headers
    assert names.count("content-type") == names.count("x-port-signature") == 1


def test_a_redirect_is_shown_and_not_followed():
    with serve(respond=lambda *_: (302, b"")) as endpoint:
        done = call("send", endpoint.url)

    assert "302 Found" in done.out
    assert len(endpoint.requests) == 1


def test_an_answer_cannot_control_the_terminal():
    with serve(respond=lambda *_: (200, b"\x1b[31m[bold]\x07")) as endpoint:
        done = call("send", endpoint.url)

    assert done.out.endswith("\ufffd[31m[bold]\ufffd\n")


@pytest.mark.parametrize("size", [5_000, 3_000_000])
def test_a_long_answer_is_cut(size):
    with serve(respond=lambda *_: (200, b"x" * size)) as endpoint:
        done = call("send", endpoint.url)

    assert "bytes in all" in done.out
    assert len(done.out) < 4_200


@RUNNERS
def test_an_endpoint_that_is_not_there_ends_with_status_1(run):
    done = run("send", "http://127.0.0.1:1/port")
    line = run("send", "http://localhost:1/port", "--json")
    other = run("send", "http://nowhere.localhost:1/port", "--check")

    assert done.status == line.status == other.status == 1
    assert done.err.startswith("Error: Nothing answers at http://127.0.0.1:1/port")
    assert done.err.endswith(": is the server running?\n")
    assert line.json["status"] is None
    assert "is the server running?" in line.json["error"]
    assert "The genuine request failed: Nothing answers at" in other.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ReadError", "ReadError: no answer"),
        ("ReadTimeout", "No answer in 1 s (ReadTimeout); see --timeout."),
    ],
)
def test_a_failure_without_words_has_some(monkeypatch, name, words):
    import httpx2

    from port_webhook.devtools._sending import Sender

    def fail(*_, **__):
        raise getattr(httpx2, name)("")

    with Sender("http://127.0.0.1:1", "POST", [], 1) as sender:
        monkeypatch.setattr(sender._client, "stream", fail)
        assert sender.post([], b"").error == words


@RUNNERS
def test_check_finds_that_every_forgery_is_refused(run, endpoint):
    done = run("send", endpoint.url, "--check")

    *rows, last = done.out.splitlines()
    count = len(endpoint.requests) - 1
    assert done.status == 0
    assert last == f"{count} of {count} forgeries are refused."
    assert count > 40
    assert sum(row.endswith("refused") for row in rows) == count


def test_check_finds_what_gets_through():
    def respond(handler, body):
        return (500 if body[:1] != b"{" else 200), b""

    with serve(respond=respond) as endpoint:
        done = call("send", endpoint.url, "--check")
        line = call("send", endpoint.url, "--check", "--json")

    assert (done.status, line.status) == (1, 1)
    assert "GOT THROUGH" in done.out
    assert "no refusal" in done.out
    assert line.json["refuses_all"] is False
    assert line.json["genuine"] == 200
    assert {"name": "unsigned", "status": 200, "refused": False} in (
        line.json["forgeries"]
    )


def test_check_needs_an_endpoint_that_accepts_the_genuine_one(endpoint):
    done = call("send", endpoint.url, "--check", secret="x" * 32)
    line = call("send", endpoint.url, "--check", "--json", secret="x" * 32)

    assert done.status == 1
    assert done.err == (
        "Error: The endpoint refuses a genuine request (401): is the secret the same? "
        "No forgery was judged.\n"
    )
    assert line.json == {"genuine": 401, "forgeries": [], "refuses_all": False}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (422, "Your handler fails with this body (422): change it with --shape, --set"),
        (500, "Your handler fails with this body (500): change it with --shape, --set"),
        (404, "The endpoint answers 404: is it the right address?"),
        (405, "The endpoint answers 405: is it the right address?"),
        (503, "The endpoint answers 503 to a genuine request."),
    ],
)
def test_check_says_why_the_genuine_request_failed(status, words):
    with serve(respond=lambda *_: (status, b"")) as endpoint:
        done = call("send", endpoint.url, "--check")

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"Error: {words}")
    assert done.err.endswith(" No forgery was judged.\n")
    assert len(endpoint.requests) == 1


def test_check_notices_an_endpoint_that_fails():
    def respond(handler, body):
        if handler.headers.get("x-port-signature", "") == "":
            raise ConnectionError
        return 200, b""

    with serve(respond=respond) as endpoint:
        done = call("send", endpoint.url, "--check", "--agent")

    assert "failed" in done.out


@RUNNERS
def test_a_load_is_summed_up(run, endpoint):
    done = run("send", endpoint.url, "--repeat", "20", "--concurrency", "3")

    assert done.status == 0
    assert len(endpoint.requests) == 20
    bodies = {json.loads(body)["context"]["runId"] for _, _, body in endpoint.requests}
    assert len(bodies) == 20
    assert done.out.startswith("20 requests: 20 x 200\n")
    assert "Latency in ms: min " in done.out
    assert done.err == ""


def test_a_load_that_is_refused_ends_with_status_1(endpoint):
    done = call("send", endpoint.url, "--repeat", "3", "--json", secret="x" * 32)
    failed = call("send", "http://127.0.0.1:1", "--repeat", "2", "--json")

    assert (done.status, failed.status) == (1, 1)
    assert done.json["statuses"] == {"401": 3}
    assert failed.json["statuses"] == {"failed": 2}
    assert done.json["latency_ms"].keys() == {"min", "p50", "p95", "p99", "max"}
