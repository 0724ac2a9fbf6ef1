"""The body of a WSGI request, read from inputs that are written by hand."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from port_webhook import (
    BodyTooLargeError,
    SignatureMismatchError,
    UnreadableBodyError,
    UnsupportedMediaError,
    sign,
)
from port_webhook.integration import read_input, replace_input, signed_headers

from .doubles import NOW, SECRET, make

BODY = b"0123456789"


class Input:
    """A server's input that writes down how much it was asked for.

    Args:
        parts: What each read gives; nothing after them.
    """

    def __init__(self, *parts):
        self.sizes = []
        self._parts = [*parts]

    def read(self, size):
        self.sizes.append(size)
        return self._parts.pop(0) if self._parts else b""


class TestReading:
    def test_as_much_as_is_declared_is_read_and_no_more(self):
        stream = Input(BODY)
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream}

        assert read_input(environ, 100) == BODY
        assert stream.sizes == [10]

    def test_the_rest_is_asked_for_until_it_is_all_there(self):
        stream = Input(BODY[:4], BODY[4:9], BODY[9:])
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream}

        assert read_input(environ, 100) == BODY
        assert stream.sizes == [10, 6, 1]

    def test_a_body_that_ends_too_early_is_refused(self):
        stream = Input(BODY[:4], BODY[4:9])
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream}

        with pytest.raises(UnreadableBodyError, match="9 of 10 bytes"):
            read_input(environ, 100)
        assert stream.sizes == [10, 6, 1]

    def test_a_body_that_is_empty_is_not_asked_for_again(self):
        stream = Input()
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream}

        with pytest.raises(UnreadableBodyError, match="is empty"):
            read_input(environ, 100)
        assert stream.sizes == [10]

    @pytest.mark.parametrize("declared", [{}, {"CONTENT_LENGTH": "0"}])
    def test_without_a_body_nothing_is_read(self, declared):
        """A server may wait for ever for a body that never comes."""
        stream = Input(BODY)

        assert read_input({**declared, "wsgi.input": stream}, 100) == b""
        assert stream.sizes == []

    @pytest.mark.parametrize("chunked", [{}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
    def test_one_byte_more_than_the_limit_tells_that_it_is_too_large(self, chunked):
        environ = {"wsgi.input_terminated": True, **chunked}
        stream = Input(BODY)

        assert read_input({**environ, "wsgi.input": stream}, 10) == BODY
        assert stream.sizes == [11, 1]

        stream = Input(BODY)
        with pytest.raises(BodyTooLargeError) as caught:
            read_input({**environ, "wsgi.input": stream}, 9)
        assert caught.value.limit == 9
        assert stream.sizes == [10]

    def test_a_declared_length_over_the_limit_is_refused_before_it_is_read(self):
        stream = Input(BODY)
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream}

        with pytest.raises(BodyTooLargeError) as caught:
            read_input(environ, 9)
        assert caught.value.limit == 9
        assert stream.sizes == []

    def test_a_server_that_gives_more_than_asked_for_is_refused(self):
        environ = {"CONTENT_LENGTH": "9", "wsgi.input": Input(BODY[:5], BODY[5:])}

        with pytest.raises(UnreadableBodyError, match="longer than declared"):
            read_input(environ, 100)

    @pytest.mark.parametrize(
        "header",
        [
            {"CONTENT_TYPE": "application/json; charset=utf-16"},
            {"HTTP_CONTENT_ENCODING": "gzip"},
        ],
    )
    def test_a_body_that_would_be_decoded_is_refused_before_it_is_read(self, header):
        stream = Input(BODY)
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": stream, **header}

        with pytest.raises(UnsupportedMediaError):
            read_input(environ, 100)
        assert stream.sizes == []

    def test_a_charset_that_the_body_does_not_keep_to_is_refused(self):
        environ = {
            "CONTENT_TYPE": "text/plain; charset=us-ascii",
            "CONTENT_LENGTH": "2",
            "wsgi.input": Input("é".encode()),
        }

        with pytest.raises(UnsupportedMediaError):
            read_input(environ, 100)

    def test_a_chunked_body_without_an_end_is_refused(self):
        stream = Input(BODY)
        environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": stream}

        with pytest.raises(UnreadableBodyError) as caught:
            read_input(environ, 100)
        assert str(caught.value) == (
            "The WSGI server does not pass on bodies of an undeclared length."
        )
        assert stream.sizes == []

    def test_an_error_of_the_server_is_named_by_its_class(self):
        class Broken:
            def read(self, _size):
                raise ConnectionResetError

        environ = {"CONTENT_LENGTH": "10", "wsgi.input": Broken()}

        with pytest.raises(UnreadableBodyError) as caught:
            read_input(environ, 100)
        assert str(caught.value) == (
            "The server could not read the body to its end (ConnectionResetError); "
            "the connection probably ended before it did."
        )

    @pytest.mark.parametrize("parts", [(None,), (BODY[:4], None)])
    def test_an_input_that_does_not_wait_is_refused(self, parts):
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": Input(*parts)}

        with pytest.raises(UnreadableBodyError) as caught:
            read_input(environ, 100)
        assert str(caught.value) == (
            "The server or a middleware passed a wsgi.input that does not wait for the "
            "body: reading it gave None instead of bytes."
        )

    @pytest.mark.parametrize(
        ("environ", "error"),
        [
            # Of a chunked body nobody knows whether something read it before.
            ({"HTTP_TRANSFER_ENCODING": "chunked"}, UnreadableBodyError),
            ({}, SignatureMismatchError),
            # The length rules (RFC 9112, section 6.3), as far as a server lets it.
            (
                {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "0"},
                SignatureMismatchError,
            ),
        ],
    )
    def test_an_empty_body_may_have_been_read_before(self, environ, error):
        environ = {"wsgi.input_terminated": True, "wsgi.input": Input(), **environ}
        headers = sign(BODY, SECRET, timestamp=NOW)

        with pytest.raises(error):
            make().verify(read_input(environ, 100), headers)

    def test_a_chunked_body_with_content_is_the_body(self):
        environ = {
            "wsgi.input_terminated": True,
            "wsgi.input": Input(BODY),
            "HTTP_TRANSFER_ENCODING": "chunked",
        }

        assert read_input(environ, 100) == BODY


def test_the_signed_headers_are_those_of_the_environ():
    environ = {"HTTP_X_PORT_TIMESTAMP": "1", "HTTP_X_PORT_SIGNATURE": "v1,x"}

    assert signed_headers(environ) == [
        ("x-port-timestamp", "1"),
        ("x-port-signature", "v1,x"),
    ]
    assert signed_headers({}) == [
        ("x-port-timestamp", None),
        ("x-port-signature", None),
    ]


def test_the_payload_takes_the_place_of_the_body():
    environ: dict[str, Any] = {
        "wsgi.input": BytesIO(b'{ "a": 1 }'),
        "CONTENT_LENGTH": "10",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }

    replace_input(environ, b'{"a":1}')

    assert environ.pop("wsgi.input").read() == b'{"a":1}'
    assert environ == {"CONTENT_LENGTH": "7", "wsgi.input_terminated": True}
    replace_input(environ, b"")
    assert environ["CONTENT_LENGTH"] == "0"
