"""The responses of a decorated handler, and the ends of its claims."""

from __future__ import annotations

import asyncio
import http
import json
from datetime import UTC, datetime

import pytest

from port_webhook import ConfigurationError
from port_webhook.adapters.aws_lambda import webhook

from ..doubles import Store
from .events import (
    CONTEXT,
    NOW,
    SIGNED,
    TEXT,
    all_services,
    assert_hides,
    assert_shape,
    balancer,
    balancer_multi,
    header,
    make_verifier,
    rest,
    serve,
    signed_event,
)


class TestWebhook:
    @all_services
    @pytest.mark.parametrize("encoded", [False, True])
    def test_calls_the_handler_with_the_delivery_and_the_context(
        self, service, encoded
    ):
        seen = []

        @webhook(make_verifier())
        def handler(delivery, context):
            seen.append((delivery.payload, context))

        answer = handler(signed_event(service, encoded=encoded), CONTEXT)
        assert seen == [(TEXT, CONTEXT)]
        assert answer["statusCode"] == 200
        assert answer["body"] == ""
        assert answer["isBase64Encoded"] is False

    @all_services
    @pytest.mark.parametrize(
        ("result", "body", "kind", "encoded"),
        [
            ({"status": "ok"}, '{"status": "ok"}', "application/json", False),
            ({}, "{}", "application/json", False),
            ([1, "two"], '[1, "two"]', "application/json", False),
            ("done", "done", "text/plain; charset=utf-8", False),
            (b"\xff\x00", "/wA=", "application/octet-stream", True),
            (None, "", None, False),
        ],
    )
    def test_turns_what_the_handler_returns_into_a_response(
        self, service, result, body, kind, encoded
    ):
        answer = serve(signed_event(service), result)
        assert answer["statusCode"] == 200
        assert answer["body"] == body
        assert answer["isBase64Encoded"] is encoded
        assert header(answer, "Content-Type") == kind
        assert_shape(service, answer, "200 OK")

    @all_services
    def test_keeps_a_full_response(self, service):
        response = {"statusCode": 202, "headers": {"X-A": "1"}, "body": "later"}
        answer = serve(signed_event(service), response)
        assert answer["statusCode"] == 202
        assert answer["body"] == "later"
        assert header(answer, "X-A") == "1"
        assert header(answer, "Content-Type") is None
        assert_shape(service, answer, "202 Accepted")
        assert response == {
            "statusCode": 202,
            "headers": {"X-A": "1"},
            "body": "later",
        }

    @pytest.mark.parametrize(
        ("body", "written", "encoded", "kind"),
        [
            (b"\xff", "/w==", True, "application/octet-stream"),
            ({"a": 1}, '{"a": 1}', False, "application/json"),
            (None, "", False, None),
        ],
    )
    def test_writes_the_body_of_a_full_response(self, body, written, encoded, kind):
        answer = serve(signed_event(), {"statusCode": 201, "body": body})
        assert answer["body"] == written
        assert answer["isBase64Encoded"] is encoded
        assert header(answer, "Content-Type") == kind

    def test_keeps_the_rest_of_a_full_response(self):
        response = {
            "statusCode": "200",
            "headers": None,
            "body": "/w==",
            "isBase64Encoded": True,
            "cookies": ["a=1"],
        }
        answer = serve(signed_event(), response)
        assert answer == {**response, "statusCode": 200, "headers": {}}

    @pytest.mark.parametrize("name", ["content-type", "CONTENT-TYPE"])
    @pytest.mark.parametrize("place", ["headers", "multiValueHeaders"])
    def test_keeps_a_content_type_that_the_handler_chose(self, name, place):
        value = "text/csv" if place == "headers" else ["text/csv"]
        response = {"statusCode": 200, place: {name: value}, "body": b"a;b"}
        answer = serve(signed_event(rest), response)
        assert answer[place] == {name: value}

    def test_moves_all_headers_to_where_a_multi_value_balancer_reads_them(self):
        response = {
            "statusCode": 299,
            "headers": {"X-A": "1", "X-B": "2"},
            "multiValueHeaders": {"X-B": ["3", "4"]},
        }
        answer = serve(signed_event(balancer_multi), response)
        assert answer["multiValueHeaders"] == {"X-A": ["1"], "X-B": ["3", "4"]}
        assert answer["statusDescription"] == "299 Unknown"

    def test_keeps_the_status_description_that_the_handler_chose(self):
        response = {"statusCode": http.HTTPStatus.OK, "statusDescription": "200 Fine"}
        answer = serve(signed_event(balancer), response)
        assert (answer["statusCode"], answer["statusDescription"]) == (200, "200 Fine")

    @all_services
    @pytest.mark.parametrize(
        ("body", "headers", "options", "status"),
        [
            (TEXT, [], {}, 401),
            (b"other", SIGNED, {}, 401),
            (TEXT, SIGNED, {"clock": lambda: NOW + 1e6}, 401),
            (TEXT, SIGNED, {"max_body_bytes": 5}, 413),
            (TEXT, [*SIGNED, ("Content-Encoding", "gzip")], {}, 415),
            (TEXT, SIGNED, {"replay_store": Store("committed")}, 200),
            (TEXT, SIGNED, {"replay_store": Store("in_progress")}, 409),
            (TEXT, SIGNED, {"replay_store": Store(OSError())}, 503),
        ],
        ids=[
            "unsigned",
            "changed",
            "stale",
            "large",
            "coded",
            "ran",
            "running",
            "down",
        ],
    )
    def test_answers_a_refusal_in_the_shape_of_the_caller(
        self, service, body, headers, options, status
    ):
        # A store's answers are used up; each case needs one of its own.
        if "replay_store" in options:
            options = {"replay_store": Store(*options["replay_store"]._claims)}
        answer = serve(service(body, headers), verifier=make_verifier(**options))
        assert answer["statusCode"] == status
        assert header(answer, "Content-Type") == "application/json"
        key = "status" if status == 200 else "error"
        assert set(json.loads(answer["body"])) == {key}
        assert answer["isBase64Encoded"] is False
        challenge = "PortWebhook" if status == 401 else None
        assert header(answer, "WWW-Authenticate") == challenge
        assert header(answer, "Retry-After") == ("5" if status in (409, 503) else None)
        phrase = http.HTTPStatus(status).phrase
        assert_shape(service, answer, f"{status} {phrase}")

    @all_services
    @pytest.mark.parametrize(
        "change",
        [
            {"body": "%", "isBase64Encoded": True},
            {"body": {"parsed": 1}},
            {"isBase64Encoded": "yes"},
        ],
    )
    def test_answers_400_for_a_body_that_cannot_be_read(self, service, change, records):
        answer = serve({**signed_event(service), **change})
        assert answer["statusCode"] == 400
        assert [record.port_code for record in records] == ["unreadable_body"]

    @pytest.mark.parametrize("event", [None, [], "event", 5, {"headers": 5}])
    def test_answers_400_for_what_is_not_an_event(self, event, records):
        assert serve(event)["statusCode"] == 400
        assert [record.port_code for record in records] == ["unreadable_body"]

    @pytest.mark.parametrize(
        "result",
        [
            5,
            True,
            object(),
            ({"ok": True}, 201),
            {1, 2},
            {"when": datetime.now(UTC)},
            {"nan": float("nan")},
            [{1: {2}}],
            {"statusCode": 99},
            {"statusCode": True},
            {"statusCode": None},
            {"statusCode": "2000"},
            {"statusCode": 200, "body": 5},
            {"statusCode": 200, "headers": ["X-A"]},
            {"statusCode": 200, "multiValueHeaders": "X-A"},
        ],
    )
    def test_refuses_a_result_that_is_no_answer_and_releases(self, result):
        store = Store()
        with pytest.raises(ConfigurationError) as caught:
            serve(signed_event(), result, verifier=make_verifier(replay_store=store))
        assert store.steps == ["claim", "release"]
        assert_hides(caught.value, "note", SIGNED[1][1])

    def test_refuses_a_result_that_nests_too_deep(self):
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(ConfigurationError):
            serve(signed_event(), deep)

    @pytest.mark.parametrize(
        ("result", "step"),
        [
            ({"ok": True}, "commit"),
            ({"statusCode": 399}, "commit"),
            ({"statusCode": 400}, "release"),
            ({"statusCode": "503"}, "release"),
        ],
    )
    def test_commits_or_releases_by_the_final_status(self, result, step):
        store = Store()
        serve(signed_event(), result, verifier=make_verifier(replay_store=store))
        assert store.steps == ["claim", step]

    def test_runs_an_asynchronous_handler_in_a_loop_of_its_own(self):
        store = Store()
        loops = []

        @webhook(make_verifier(replay_store=store))
        async def handler(delivery, context):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return delivery.run_id

        for _ in range(2):
            assert handler(signed_event(), CONTEXT)["body"] == "r_1"
        assert store.steps == ["claim", "commit"] * 2
        assert loops[0] is not loops[1]
        assert all(loop.is_closed() for loop in loops)

    def test_releases_when_an_asynchronous_handler_raises(self):
        store = Store()

        @webhook(make_verifier(replay_store=store))
        async def handler(delivery, context):
            raise LookupError

        with pytest.raises(LookupError):
            handler(signed_event(), CONTEXT)
        assert store.steps == ["claim", "release"]
