"""Bodies: what may be said about one before it is read, and reading it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import port_webhook
from port_webhook import (
    BodyTooLargeError,
    MethodNotAllowedError,
    SignatureMismatchError,
    UnreadableBodyError,
    UnsupportedMediaError,
    Verifier,
    sign,
)
from port_webhook.integration import (
    SignedForms,
    check_body,
    check_charset,
    check_media,
    check_method,
    collect,
    declared_length,
    perhaps_consumed,
    read_input,
    replace_input,
    signed_headers,
)
from port_webhook.integration._body import accept_body

PACKAGE = Path(port_webhook.__file__).parent


# --- The method and the media type --------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", None])
def test_the_methods_that_port_uses_are_accepted(method):
    check_method(method)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "post", ""])
def test_any_other_method_is_refused(method):
    with pytest.raises(MethodNotAllowedError):
        check_method(method)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=us-ascii",
        'text/plain; charset="US-ASCII"; q=1',
        None,
        "",
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'text/plain; charset="utf-8"; x=y',
        "text/plain;\tcharset=utf-8\t; x=y",
        "text/plain;  charset=utf-8  ; x=y",
        "multipart/form-data; boundary=q",
    ],
)
def test_a_charset_that_reads_utf_8_is_accepted(content_type):
    check_media(content_type, None)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=",
        "application/json; charset",
        "application/json charset=utf-8",
        "application/json; x-charset=utf-8",
        "application/json; charset=utf-8 x",
        "application/json; charset='utf-8'",
        'application/json; charset=""utf-8""',
        'application/json; charset="utf-8',
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; charset*=utf-7''x",
        "application/json; charset = utf-7",
        "application/json; CHARSET=UTF-7",
        "application/json; charset=utf-8x",
        "application/json, text/plain; charset=utf-7",
        "text/plain; charset=utf-8,x",
        'text/plain; charset="utf-8",',
        "text/plain; charset=utf-8, text/plain; charset=utf-8",
    ],
)
def test_any_other_charset_is_refused(content_type):
    with pytest.raises(UnsupportedMediaError, match="charset"):
        check_media(content_type, None)


def test_a_body_that_is_not_in_the_ascii_it_names_is_refused():
    for content_type in ("text/plain; charset=us-ascii", "x; charset=US-ASCII"):
        check_charset(content_type, b"plain")
        check_charset(content_type, SignedForms("port", []))
        with pytest.raises(UnsupportedMediaError, match="us-ascii"):
            check_charset(content_type, "é".encode())
    for other in (None, "", "text/plain", "text/plain; charset=utf-8"):
        check_charset(other, "é".encode())


def test_the_check_of_adapters_looks_at_length_limit_and_ascii():
    body = "é".encode()
    for kind in (None, "application/json", "text/plain"):
        for declared in (None, 2):
            assert accept_body(body, declared, 2, kind) is body
        with pytest.raises(UnreadableBodyError):
            accept_body(body, 1, 2, kind)
        with pytest.raises(BodyTooLargeError):
            accept_body(body, None, 1, kind)
    with pytest.raises(UnsupportedMediaError, match="us-ascii"):
        accept_body(body, None, 2, "text/plain; charset=us-ascii")


@pytest.mark.parametrize("coding", [None, "", "identity", " Identity ", "identity,"])
def test_the_identity_coding_is_none(coding):
    check_media(None, coding)


@pytest.mark.parametrize("coding", ["gzip", "x", "identity, gzip", "br,identity"])
def test_any_other_coding_is_refused(coding):
    with pytest.raises(UnsupportedMediaError, match="Content-Encoding"):
        check_media("application/json", coding)


# --- Lengths ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        *((None, None), ("", None), ("0", 0), ("00", 0), ("12", 12)),
        *((f"{'0' * 30}7", 7), (f"{'0' * 30}12", 12), ("0" * 30, 0)),
    ],
)
def test_a_declared_length_is_a_number_or_absent(text, length):
    assert declared_length(text, 12) == length


@pytest.mark.parametrize(
    "text", ["-1", "+1", "1_0", "1.0", " 1", "0x1", "1,1", "\u0661", "\u00b2"]
)
def test_a_declared_length_that_is_no_number_is_an_unreadable_body(text):
    with pytest.raises(UnreadableBodyError):
        declared_length(text, 100)


@pytest.mark.parametrize("text", ["13", "100", "0013", "9" * 25, "9" * 100_000])
def test_a_declared_length_over_the_limit_is_too_large(text):
    with pytest.raises(BodyTooLargeError) as caught:
        declared_length(text, 12)
    assert caught.value.limit == 12


@pytest.mark.parametrize("declared", [None, 4])
def test_a_body_that_is_as_long_as_declared_and_allowed_is_taken(declared):
    assert check_body(b"1234", declared, 4) == b"1234"


def test_an_empty_body_is_taken():
    assert check_body(b"", 0, 4) == b""
    assert check_body(b"", None, 4) == b""


def test_a_body_that_is_longer_than_allowed_is_too_large():
    for declared in (None, 4):
        with pytest.raises(BodyTooLargeError):
            check_body(b"12345", declared, 4)


def test_a_body_that_is_shorter_than_declared_says_how_much_arrived():
    with pytest.raises(UnreadableBodyError, match="3 of 4 bytes"):
        check_body(b"123", 4, 4)


def test_a_body_that_is_longer_than_declared_is_unreadable():
    with pytest.raises(UnreadableBodyError, match="4 bytes instead of 3"):
        check_body(b"1234", 3, 4)


def test_a_body_that_is_gone_says_that_somebody_may_have_read_it():
    with pytest.raises(UnreadableBodyError, match="something read the body"):
        check_body(b"", 4, 4)


@pytest.mark.parametrize("body", [b"", b"rest"])
def test_what_is_left_of_a_body_verifies_or_is_unreadable(body):
    verifier = Verifier("the-client-secret")
    headers = sign(body, "the-client-secret")
    assert verifier.verify(perhaps_consumed(body), headers).payload == body
    rejected: list[Any] = []
    other = Verifier("another-client-secret", on_rejected=rejected.append)
    with pytest.raises(UnreadableBodyError, match="something seems to have read"):
        other.verify(perhaps_consumed(body), headers)
    with pytest.raises(SignatureMismatchError):
        other.verify(body, headers)
    assert [error.code for error in rejected] == [
        "unreadable_body",
        "signature_mismatch",
    ]


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: check_media(None, "gzip"),
            "The body has a Content-Encoding; Port signs and sends it without.",
        ),
        (
            lambda: check_media("a/b; charset=utf-7", None),
            "The Content-Type names a charset other than UTF-8.",
        ),
        (
            lambda: check_charset("a/b; charset=us-ascii", b"\xff"),
            "The body is not in the us-ascii that it names.",
        ),
        (
            lambda: declared_length("x", 1),
            "The Content-Length header is not a number.",
        ),
        (
            lambda: check_body(b"123", 2, 3),
            "The body is longer than declared: 3 bytes instead of 2.",
        ),
        (
            lambda: check_body(b"1", 2, 3),
            "The body was truncated: 1 of 2 bytes arrived.",
        ),
        (
            lambda: check_body(b"", 2, 3),
            (
                "The body is empty, but 2 bytes were declared: the sender did not send "
                "them, or something read the body before it could be verified."
            ),
        ),
        (
            lambda: list(perhaps_consumed(b"").candidates),
            (
                "No signature matches what is left of the body, which has no declared "
                "length: something seems to have read the body before it was verified."
            ),
        ),
    ],
)
def test_the_error_says_what_is_wrong(check, message):
    with pytest.raises((UnreadableBodyError, UnsupportedMediaError)) as caught:
        check()
    assert str(caught.value) == message


async def test_the_error_names_the_limit():
    for body, limit in ((b"12345", 4), (b"123", 2)):
        with pytest.raises(BodyTooLargeError) as caught:
            check_body(body, None, limit)
        assert caught.value.limit == limit
        with pytest.raises(BodyTooLargeError) as caught:
            await collect(stream(body), None, limit)
        assert caught.value.limit == limit


def test_what_is_left_of_a_body_has_the_form_that_port_sends():
    forms = perhaps_consumed(b"rest")
    assert forms.via == "port"
    assert next(iter(forms.candidates)) == b"rest"


# --- A body that comes in chunks ----------------------------------------------------


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("length", [None, "4"])
async def test_chunks_are_joined(length):
    assert await collect(stream(b"12", b"", b"34"), length, 4) == b"1234"


async def test_no_chunks_are_an_empty_body():
    assert await collect(stream(), None, 4) == b""


async def test_chunks_are_not_asked_for_beyond_the_limit():
    async def chunks():
        yield b"123"
        yield b"45"
        pytest.fail("the limit was passed")

    with pytest.raises(BodyTooLargeError):
        await collect(chunks(), None, 4)


@pytest.mark.parametrize(
    ("length", "error"), [("5", BodyTooLargeError), ("x", UnreadableBodyError)]
)
async def test_a_wrong_length_is_refused_before_the_first_chunk(length, error):
    async def chunks():
        pytest.fail("the body was read")
        yield b""

    with pytest.raises(error):
        await collect(chunks(), length, 4)


async def test_chunks_that_end_early_are_a_truncated_body():
    with pytest.raises(UnreadableBodyError):
        await collect(stream(b"12"), "4", 4)


@pytest.mark.parametrize(("chunk", "kind"), [(None, "NoneType"), ("34", "str")])
async def test_a_chunk_that_is_not_bytes_is_named(chunk, kind):
    with pytest.raises(UnreadableBodyError, match=f"is {kind}, not bytes"):
        await collect(stream(b"12", chunk), "4", 4)


async def test_what_reading_raises_goes_through_without_what_was_read():
    async def chunks():
        yield b"a secret"
        raise OSError

    with pytest.raises(OSError) as caught:
        await collect(chunks(), None, 100)
    ours = [each for each in caught.traceback if PACKAGE in Path(each.path).parents]
    assert ours
    assert not [each for each in ours if "a secret" in repr(each.frame.f_locals)]


# --- A body on WSGI -----------------------------------------------------------------


class Parts(io.BytesIO):
    """A server's input, which may give less than it is asked for."""

    def read(self, size=-1):
        return super().read(min(size, 3))


def environ(body=b"", **changes):
    return {"wsgi.input": Parts(body), **changes}


def test_the_signature_headers_are_taken_from_the_environ():
    assert dict(signed_headers({"HTTP_X_PORT_SIGNATURE": "v1,"})) == {
        "x-port-timestamp": None,
        "x-port-signature": "v1,",
    }


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, b""),
        ({"CONTENT_LENGTH": ""}, b""),
        ({"CONTENT_LENGTH": "0"}, b""),
        ({"CONTENT_LENGTH": "5"}, b"12345"),
        ({"CONTENT_LENGTH": "8", "wsgi.input_terminated": True}, b"12345678"),
        ({"wsgi.input_terminated": True}, b"12345678"),
        (
            {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
            b"12345678",
        ),
    ],
)
def test_the_input_is_read_as_far_as_it_is_declared_or_terminated(changes, body):
    assert read_input(environ(b"12345678", **changes), 8) == body


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"CONTENT_LENGTH": "5", "CONTENT_TYPE": "a/b; charset=x"}, "charset"),
        ({"CONTENT_LENGTH": "5", "HTTP_CONTENT_ENCODING": "gzip"}, "Content-Encoding"),
        ({"CONTENT_LENGTH": "x"}, "not a number"),
        ({"CONTENT_LENGTH": "9"}, "limit of 8 bytes"),
        ({"CONTENT_LENGTH": "7"}, "5 of 7 bytes"),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, "does not pass on"),
        ({"CONTENT_LENGTH": "5", "wsgi.input": None}, "AttributeError"),
    ],
)
def test_an_input_that_cannot_be_read_says_why(changes, error):
    with pytest.raises(
        (UnreadableBodyError, UnsupportedMediaError, BodyTooLargeError)
    ) as caught:
        read_input(environ(b"12345", **changes), 8)
    assert error in str(caught.value)
    assert caught.value.__context__ is None


def test_an_input_that_does_not_end_is_read_no_further_than_the_limit():
    stream = io.BytesIO(b"x" * 100)
    changes = {"wsgi.input": stream, "wsgi.input_terminated": True}
    with pytest.raises(BodyTooLargeError):
        read_input(environ(**changes), 8)
    assert stream.tell() == 9


def test_a_payload_replaces_the_input_and_its_length():
    found = environ(b"12345", HTTP_TRANSFER_ENCODING="chunked")
    replace_input(found, b"123")
    assert found.pop("wsgi.input").read() == b"123"
    assert found == {"CONTENT_LENGTH": "3", "wsgi.input_terminated": True}
