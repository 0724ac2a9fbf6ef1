"""The rules of an adapter, on every adapter: what it does with a request.

See ``worlds.py`` for the adapters, ``contract_claims.py`` for replay stores, and
``contract_arguments.py`` for what an adapter is given.

Why: docs/design.md#the-signed-bytes-and-nothing-else
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from port_webhook import (
    ActionInvocation,
    BodyTooLargeError,
    MalformedHeaderError,
    MethodNotAllowedError,
    MissingHeaderError,
    PayloadError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    UnsupportedMediaError,
)

from .doubles import (
    BODY,
    FORM,
    FORM_TYPE,
    NOW,
    OTHER,
    SPELLED,
    Store,
    View,
    signed,
)
from .rules import (
    Case,
    assert_recorded,
    assert_refused,
    refusals,
    rule,
    world,
)
from .servers import raw, unsigned

__all__ = ["world"]  # the fixture

TIMESTAMP, SIGNATURE = "x-port-timestamp", "x-port-signature"
GENUINE = signed()
JSON = ("Content-Type", "application/json")


# --- The request ---------------------------------------------------------------------


@rule()
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "body",
    [BODY, SPELLED + b"\r\n", '{"name":"é€😀"}'.encode(), b"\xff\x00{", FORM, b""],
    ids=["json", "spaces", "utf-8", "binary", "form", "empty"],
)
def test_the_view_gets_exactly_the_bytes_that_were_signed(world, body, chunked):
    case = Case(world)
    answer = case.ask(raw(body, chunked=chunked))
    assert (answer.status, answer.body, answer.error) == (200, b"done", None)
    (delivery,) = case.view.given
    assert (delivery.payload, delivery.via) == (body, "port")
    assert delivery.verified_by(case.verifier)
    assert case.hooks.verified == [delivery]
    assert case.hooks.rejected == []


@rule()
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_without_a_body_can_be_signed(world, method):
    case = Case(world)
    assert case.ask(raw(b"", method=method).change(length=None)).status == 200
    assert case.view.given[0].payload == b""


@rule("left on the request")
def test_the_delivery_is_left_on_the_request(world):
    def act(given, request):
        assert world.left_on(request) is given
        return 202

    assert Case(world, View(act)).ask().status == 202


WRONG_HEADERS: dict[str, tuple[list[Any], str]] = {
    "none": ([], "missing_header"),
    "no signature": ([TIMESTAMP], "missing_header"),
    "no timestamp": ([SIGNATURE], "missing_header"),
    "empty signature": ([TIMESTAMP, (SIGNATURE, "")], "malformed_header"),
    "empty timestamp": ([(TIMESTAMP, ""), SIGNATURE], "malformed_header"),
    "blank signature": ([TIMESTAMP, (SIGNATURE, " ")], "malformed_header"),
    "blank timestamp": ([(TIMESTAMP, " "), SIGNATURE], "malformed_header"),
    "word for a signature": ([TIMESTAMP, (SIGNATURE, "x")], "malformed_header"),
    "version alone": ([TIMESTAMP, (SIGNATURE, "v1,")], "malformed_header"),
    "short": ([TIMESTAMP, (SIGNATURE, "v1,YWJj")], "malformed_header"),
    "no version": ([TIMESTAMP, (SIGNATURE, "A" * 43 + "=")], "malformed_header"),
    "other version": ([TIMESTAMP, (SIGNATURE, f"v2,{'A' * 43}=")], "malformed_header"),
    "not ASCII": ([TIMESTAMP, (SIGNATURE, "v1,é")], "malformed_header"),
    "word for a time": ([(TIMESTAMP, "now"), SIGNATURE], "malformed_header"),
    "sign": ([(TIMESTAMP, f"+{NOW}"), SIGNATURE], "malformed_header"),
    "fraction": ([(TIMESTAMP, f"{NOW}.0"), SIGNATURE], "malformed_header"),
    "underscore": ([(TIMESTAMP, "1_700_000_000"), SIGNATURE], "malformed_header"),
    "too many digits": ([(TIMESTAMP, f"{NOW}0000"), SIGNATURE], "malformed_header"),
    "two times": ([TIMESTAMP, TIMESTAMP, SIGNATURE], "duplicate_header"),
    "two signatures": ([TIMESTAMP, SIGNATURE, SIGNATURE], "duplicate_header"),
    "another time": ([TIMESTAMP, (TIMESTAMP, "1"), SIGNATURE], "duplicate_header"),
    "another signature": ([TIMESTAMP, SIGNATURE, (SIGNATURE, "x")], "duplicate_header"),
    "too old": ([(TIMESTAMP, str(NOW - 301)), SIGNATURE], "timestamp_too_old"),
    "in future": ([(TIMESTAMP, str(NOW + 61)), SIGNATURE], "timestamp_in_future"),
}
ERRORS = {
    "missing_header": MissingHeaderError,
    "malformed_header": MalformedHeaderError,
    "duplicate_header": MalformedHeaderError,
    "timestamp_too_old": TimestampError,
    "timestamp_in_future": TimestampError,
}


@rule()
@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_what_is_wrong_with_the_headers_is_401_before_all_else(world, records, name):
    given, code = WRONG_HEADERS[name]
    if code == "duplicate_header" and "duplicate headers" in world.cannot:
        return  # then what is left is one value; see the next rule
    pairs = [(each, GENUINE[each]) if isinstance(each, str) else each for each in given]
    store = Store()
    case = Case(world, replay_store=store, max_body_bytes=5)
    request = raw(BODY * 9).change(headers=[*pairs, ("Content-Encoding", "gzip")])
    answer = case.assert_refuses(request, ERRORS[code], code=code)
    assert_recorded(records, code, 401)
    assert store.steps == []
    if "early" not in world.cannot:
        assert answer.taken == 0


@rule()
@pytest.mark.parametrize("name", [TIMESTAMP, SIGNATURE])
def test_one_of_two_values_is_never_chosen(world, name):
    case = Case(world)
    first = raw().change(headers=[(name, "x"), *GENUINE.items()])
    hides = "duplicate headers" in world.cannot
    assert case.ask(first).status == (200 if hides else 401)
    assert case.ask(raw(BODY, (name, "x"))).status == 401


@rule()
def test_names_of_headers_may_have_any_case(world):
    case = Case(world)
    pairs = [(name.upper(), value) for name, value in GENUINE.items()]
    assert case.ask(raw().change(headers=pairs)).status == 200


@rule()
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "request_of",
    [
        lambda chunked: raw(BODY + b"\n", signs=BODY, chunked=chunked),
        lambda chunked: raw(SPELLED, signs=BODY, chunked=chunked),
        lambda chunked: raw(secret=OTHER, chunked=chunked),
    ],
    ids=["tampered", "spelled as by the agent", "another secret"],
)
def test_what_was_not_signed_is_401(world, records, request_of, chunked):
    Case(world).assert_refuses(request_of(chunked), SignatureMismatchError)
    assert_recorded(records, "signature_mismatch", 401)


@rule()
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_of_ports_is_verified(world, method):
    case = Case(world)
    assert case.ask(raw(method=method)).status == 200
    assert case.ask(unsigned(method=method)).status == 401
    assert len(case.view.given) == 1


@rule()
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("make_request", [raw, unsigned], ids=["signed", "unsigned"])
def test_other_methods_are_405_before_claim_and_view(
    world, records, method, make_request
):
    store = Store()
    case = Case(world, replay_store=store)
    request = make_request(method=method).having(("Content-Encoding", "gzip"))
    answer = case.ask(request)
    assert (answer.status, answer.error) == (405, None)
    assert answer.header("allow") == "GET, POST, PUT, PATCH, DELETE"
    assert (case.view.given, store.steps) == ([], [])
    assert [type(each) for each in case.hooks.rejected] == [MethodNotAllowedError]
    assert_recorded(records, "method_not_allowed", 405)


@rule()
@pytest.mark.parametrize(
    "header",
    [
        ("Content-Encoding", "gzip"),
        ("content-encoding", "GZIP"),
        ("Content-Encoding", "identity, br"),
        ("Content-Type", "application/json; charset=utf-7"),
        ("content-type", "application/json;charset=UTF-16"),
        ("Content-Type", 'text/plain; charset="latin-1"'),
        ("Content-Type", "application/x-www-form-urlencoded; charset=cp037"),
        ("Content-Type", "text/plain; charset=utf-8; charset=utf-7"),
        ("Content-Type", "text/plain; charset*=utf-7"),
        ("Content-Type", "text/plain; charset = utf-8"),
    ],
    ids=" ".join,
)
def test_what_would_be_decoded_otherwise_is_415(world, records, header):
    # After the headers (see above), and before the size of the body.
    store = Store()
    case = Case(world, replay_store=store, max_body_bytes=5)
    request = raw(BODY).having(header)
    answer = case.assert_refuses(request, UnsupportedMediaError)
    assert_recorded(records, "unsupported_media", 415)
    assert store.steps == []
    if "early" not in world.cannot:
        assert answer.taken == 0


@rule()
@pytest.mark.parametrize(
    "header",
    [
        ("Content-Encoding", "identity"),
        ("Content-Encoding", ""),
        ("Content-Type", "application/json; charset=UTF-8"),
        ("Content-Type", 'text/plain; charset="us-ascii"'),
        ("Content-Type", "text/plain; format=flowed"),
    ],
    ids=" ".join,
)
def test_what_changes_nothing_is_accepted(world, header):
    assert Case(world).ask(raw(BODY, header)).status == 200


@rule()
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_may_be_as_large_as_the_limit(world, chunked):
    case = Case(world, max_body_bytes=len(BODY))
    assert case.ask(raw(chunked=chunked)).status == 200


@rule()
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_one_byte_over_the_limit_is_413(world, records, chunked):
    case = Case(world, max_body_bytes=len(BODY) - 1)
    case.assert_refuses(raw(chunked=chunked), BodyTooLargeError)
    assert_recorded(records, "body_too_large", 413)


@rule("early")
def test_a_body_that_is_declared_too_large_is_not_read(world):
    case = Case(world, max_body_bytes=5)
    assert case.assert_refuses(raw(), BodyTooLargeError).taken == 0


@rule("early")
def test_reading_stops_at_the_limit(world):
    case = Case(world, max_body_bytes=7)
    answer = case.assert_refuses(raw(BODY * 9, chunked=True), BodyTooLargeError)
    assert answer.taken <= 10


@rule("length", "length that is no number")
@pytest.mark.parametrize("length", ["1e1", "-1", "+27", "0x1b", "2 7", "²⁷", "27,27"])
def test_a_length_that_is_no_number_is_400(world, length):
    case = Case(world)
    length = length.encode().decode("latin-1")
    case.assert_refuses(raw().change(length=length), UnreadableBodyError)


@rule("length")
@pytest.mark.parametrize("body", [b"", BODY[:9]], ids=["nothing", "a part"])
def test_a_body_that_is_shorter_than_declared_is_told_from_a_wrong_secret(
    world, records, body
):
    case = Case(world)
    request = raw(body, signs=BODY).change(length=str(len(BODY)))
    answer = case.ask(request)
    if "truncation" not in world.cannot:
        assert_refused(world, answer, UnreadableBodyError)
    assert case.view.given == []
    assert_recorded(records, "unreadable_body", 400)
    # The same where what arrived was signed.
    assert case.ask(raw(body).change(length=str(len(BODY)))).status != 200
    assert case.view.given == []


@rule("length")
def test_a_body_that_is_longer_than_declared_is_refused(world):
    case = Case(world)
    # A server may take the rest for another request.
    assert case.ask(raw().change(length="9")).status in (400, 401)
    assert case.view.given == []
    assert len(case.hooks.rejected) == 1


# --- What the view reads -------------------------------------------------------------


def read_as(world, accessors, request):
    """Serve *request* once for each accessor; yield what each has read."""
    results: list[Any] = []

    def act(given, framework):
        found = accessors[name](framework)
        if hasattr(found, "__await__"):

            async def keep():
                results.append(await found)
                return 200

            return keep()
        results.append(found)
        return 200

    case = Case(world, View(act), agent=True)
    for name in accessors:
        answer = case.ask(request)
        assert (answer.status, answer.error) == (200, None), name
    return dict(zip(accessors, results, strict=True))


@rule("body of the request")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("sent", [BODY, SPELLED], ids=["port", "agent"])
def test_every_way_to_read_the_body_gives_what_was_signed(world, sent, chunked):
    request = raw(sent, JSON, signs=BODY, chunked=chunked)
    found = read_as(world, world.accessors, request)
    as_bytes = {k: v.encode() if isinstance(v, str) else v for k, v in found.items()}
    for name, value in as_bytes.items():
        assert value == (BODY if isinstance(value, bytes) else json.loads(BODY)), name


@rule("forms")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_every_way_to_read_a_form_gives_what_was_signed(world, chunked):
    kind = ("Content-Type", FORM_TYPE)
    fields = {"payload": "a b", "other": "c"}
    found = read_as(world, world.forms, raw(FORM, kind, chunked=chunked))
    assert found == dict.fromkeys(world.forms, fields)
    # White space that the agent added is not part of a name.
    found = read_as(world, world.forms, raw(SPELLED, kind, signs=BODY, chunked=chunked))
    assert all([*fields] == [BODY.decode()] for fields in found.values())


@rule()
def test_what_the_agent_sends_becomes_what_it_signed(world):
    case = Case(world, agent=True)
    assert case.ask(raw(SPELLED, signs=BODY)).status == 200
    assert case.ask(raw(b"", signs=b"null")).status == 200
    assert [each.payload for each in case.view.given] == [BODY, b"null"]
    assert {each.via for each in case.view.given} == {"agent"}


# --- Payloads ------------------------------------------------------------------------

UNUSABLE = b'{"run_id":"r_7","action":7}'


@rule("model")
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", UNUSABLE], ids=repr)
def test_a_payload_that_is_not_the_model_is_422_and_may_be_sent_again(
    world, records, body
):
    store = Store()
    given = {"model": ActionInvocation}
    case = Case(world, given=given, replay_store=store)
    answer = case.ask(raw(body))
    assert_refused(world, answer, PayloadError)
    assert case.view.given == []
    assert store.steps == ["claim", "release"]
    (error,) = case.hooks.rejected
    assert error.run_id == ("r_7" if body == UNUSABLE else None)
    assert_recorded(records, "invalid_payload", 422)
    assert refusals(records)[0].port_run_id == error.run_id


@rule()
def test_a_payload_error_of_the_view_is_422_and_recorded_once(world, records):
    store = Store()
    case = Case(world, View(lambda given, _: given.json()), replay_store=store)
    answer = case.ask(raw(b"no json"))
    assert_refused(world, answer, PayloadError)
    assert store.steps == ["claim", "release"]
    assert [type(error) for error in case.hooks.rejected] == [PayloadError]
    assert_recorded(records, "invalid_payload", 422)
