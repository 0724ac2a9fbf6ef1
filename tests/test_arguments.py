"""`port_webhook._arguments`: secrets, bodies, times, sizes and functions, checked."""

from __future__ import annotations

import array
import functools
import mmap
import string
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pydantic
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from port_webhook import _arguments as checked
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    PortWebhookError,
    UnreadableBodyError,
)
from tests.placeholders import NO_PLACEHOLDERS, PLACEHOLDERS

arguments: Any = checked  # called with wrong types on purpose


def error_of(check, *args, **options):
    with pytest.raises(PortWebhookError) as caught:
        check(*args, **options)
    return caught.value


NAN = float("nan")
INFINITE = float("inf")


class Lazy:
    """As pydantic's SecretStr."""

    def __init__(self, secret):
        self._secret = secret

    def get_secret_value(self):
        return self._secret


class BrokenLazy(Lazy):
    def get_secret_value(self):
        raise LookupError(self._secret)


class OfTheClass:
    """A class that would tell a secret itself; an object of it does, too."""

    @classmethod
    def get_secret_value(cls):
        return "abc"


class TestSecrets:
    @pytest.mark.parametrize("kind", [pydantic.SecretStr, pydantic.SecretBytes])
    def test_the_secrets_of_pydantic_are_secrets(self, kind):
        value = "abc" if kind is pydantic.SecretStr else b"abc"

        assert arguments.read_secret(kind(value), "secret") == b"abc"

    @pytest.mark.parametrize(
        ("secret", "raw"),
        [
            ("x", b"x"),
            ("two words", b"two words"),
            ("schlüssel", "schlüssel".encode()),
            ("schlüssel".encode(), "schlüssel".encode()),
            ("a,b=c", b"a,b=c"),
            ("a\xa0b", b"a\xc2\xa0b"),
            ("e\u0301😀", "e\u0301😀".encode()),
            ("\ue000", b"\xee\x80\x80"),
            ('"', b'"'),
            ("\"abc'", b"\"abc'"),
            ("'abc", b"'abc"),
            ("${abc", b"${abc"),
            ("$abc}", b"$abc}"),
            ("a${abc}", b"a${abc}"),
            (Lazy("abc"), b"abc"),
            (Lazy(b"abc"), b"abc"),
        ],
    )
    def test_text_and_bytes_are_keys(self, secret, raw):
        assert arguments.read_secret(secret, "secret") == raw

    def test_a_subclass_of_bytes_becomes_plain_bytes(self):
        class Key(bytes):
            __slots__ = ()

        assert type(arguments.read_secret(Key(b"k"), "secret")) is bytes

    @pytest.mark.parametrize(
        ("secret", "problem"),
        [
            ("", "is empty"),
            (b"", "is empty"),
            (" ", "is blank"),
            (b" ", "is blank"),
            ("\t\n ", "is blank"),
            ("\xa0", "is blank"),
            ("\u2003", "is blank"),
            ("\ufeffabc", "holds a byte order mark"),
            ("abc\ufeff", "holds a byte order mark"),
            (b"\xef\xbb\xbfabc", "holds a byte order mark"),
            (b"\xff\xfea\x00", "holds a byte order mark"),
            (b"\xfe\xff\x00a", "holds a byte order mark"),
            ("abc\n", "holds a line break"),
            ("abc\r\n", "holds a line break"),
            ("\nabc", "holds a line break"),
            ("ab\ncd", "holds a line break"),
            ("ab\rcd", "holds a line break"),
            ("ab\u2028cd", "holds a line break"),
            (b"abc\n", "holds a line break"),
            (b"ab\ncd", "holds a line break"),
            (" abc", "has white space around it"),
            ("abc ", "has white space around it"),
            ("\tabc", "has white space around it"),
            ("abc\xa0", "has white space around it"),
            (b"abc ", "has white space around it"),
            ("abc\ud800", "holds a lone surrogate"),
            (None, "must be text or bytes, not NoneType"),
            (5, "must be text or bytes, not int"),
            (bytearray(b"abc"), "must be text or bytes, not bytearray"),
            (memoryview(b"abc"), "must be text or bytes, not memoryview"),
            (["abc"], "must be text or bytes, not list"),
            ("\ufeff", "holds a byte order mark"),
            ("abc\ufeffdef", "holds a byte order mark"),
            (b"\xff", "is not UTF-8"),
            (b"\x80abc", "is not UTF-8"),
            (b"\xed\xa0\x80", "is not UTF-8"),
            ("ab\x85cd", "holds a line break"),
            ("ab\x0bcd", "holds a line break"),
            ("ab\x00cd", "holds an invisible character"),
            (b"\x00\x01", "holds an invisible character"),
            ("ab\tcd", "holds an invisible character"),
            ("ab\x7f", "holds an invisible character"),
            ("ab\xad", "holds an invisible character"),
            ("\u200babc", "holds an invisible character"),
            ("abc\u200d", "holds an invisible character"),
            ("ab\u202ecd", "holds an invisible character"),
            ("ab\u2060cd", "holds an invisible character"),
            ("ab\U000e0041cd", "holds an invisible character"),
            ('"abc"', "is wrapped in quotes"),
            ("'abc'", "is wrapped in quotes"),
            (b'""', "is wrapped in quotes"),
            (Lazy(" abc"), "has white space around it"),
            (Lazy(""), "is empty"),
            (Lazy("\ud800"), "holds a lone surrogate"),
            (Lazy(None), "must be text or bytes, not Lazy"),
            (Lazy(Lazy("abc")), "must be text or bytes, not Lazy"),
            (Lazy, "must be text or bytes, not type"),
            (OfTheClass, "must be text or bytes, not type"),
            (BrokenLazy("abc"), "must be text or bytes, not BrokenLazy"),
        ],
    )
    def test_what_is_no_secret_is_named(self, secret, problem):
        error = error_of(arguments.read_secret, secret, "secret")

        assert isinstance(error, ConfigurationError)
        assert str(error) == f"secret {problem}"

    @pytest.mark.parametrize("kind", [str, str.encode, Lazy])
    @pytest.mark.parametrize("secret", PLACEHOLDERS)
    def test_a_placeholder_is_refused(self, secret, kind):
        error = error_of(arguments.read_secret, kind(secret), "secret")

        assert isinstance(error, ConfigurationError)
        words = "secret looks like a placeholder that was never filled in"
        assert str(error) == words

    @pytest.mark.parametrize("secret", NO_PLACEHOLDERS)
    def test_what_only_resembles_a_placeholder_is_a_secret(self, secret):
        assert arguments.read_secret(secret, "secret") == secret.encode()


# No method: Hypothesis keeps the first object that it is called on.
@given(st.text(string.printable.strip(), min_size=64, max_size=64))
@example("$" + "a" * 63)
@example("<" + "a" * 62 + ">")
def test_a_random_secret_is_no_placeholder(secret):
    # These are refused whatever is between them.
    assume(not (secret.startswith("${") and secret.endswith("}")))
    assume(secret[0] not in "\"'")

    assert arguments.read_secret(secret, "secret") == secret.encode()


class TestKeys:
    def test_the_current_secret_comes_first(self):
        assert len(arguments.read_secrets("new", ["old", b"older"])) == 3

    @pytest.mark.parametrize("previous", [(), [], ("old",), ["old"] * 8])
    def test_up_to_eight_previous_secrets_are_kept(self, previous):
        assert len(arguments.read_secrets("new", previous)) == 1 + len(previous)

    @pytest.mark.parametrize("previous", [["old"] * 9, range(10**15)])
    def test_more_than_eight_are_refused_before_they_are_taken_apart(self, previous):
        error = error_of(arguments.read_secrets, "new", previous)

        assert str(error) == "previous_secrets holds more than 8 secrets"

    @pytest.mark.parametrize(
        "previous",
        [
            "old",
            b"old",
            bytearray(b"old"),
            memoryview(b"old"),
            "",
            None,
            5,
            {"old"},
            {"old": 1},
            iter(["old"]),
        ],
    )
    def test_one_secret_alone_is_no_sequence_of_secrets(self, previous):
        # It would be taken apart into keys of one character.
        error = error_of(arguments.read_secrets, "new", previous)

        assert str(error) == "previous_secrets must be a sequence of secrets"

    @pytest.mark.parametrize(
        ("current", "previous", "message"),
        [
            ("", [], "secret is empty"),
            ("new", ["old", ""], "previous_secrets[1] is empty"),
            ("new", [" old"], "previous_secrets[0] has white space around it"),
            ("new", [None], "previous_secrets[0] must be text or bytes, not NoneType"),
            ("new", range(3), "previous_secrets[0] must be text or bytes, not int"),
        ],
    )
    def test_the_secret_that_is_wrong_is_named(self, current, previous, message):
        error = error_of(arguments.read_secrets, current, previous)

        assert isinstance(error, ConfigurationError)
        assert str(error) == message


class TestEnvironment:
    @pytest.fixture(autouse=True)
    def _clean(self, monkeypatch):
        monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
        monkeypatch.delenv("PORT_CLIENT_SECRET_PREVIOUS", raising=False)
        monkeypatch.delenv("PORT_CLIENT_SECRET_FILE", raising=False)

    def test_the_secret_must_be_set(self):
        error = error_of(arguments.read_env)

        assert str(error) == "PORT_CLIENT_SECRET is not set"

    @pytest.mark.parametrize("listed", [None, ""])
    def test_unset_or_empty_means_no_previous_secret(self, monkeypatch, listed):
        monkeypatch.setenv("PORT_CLIENT_SECRET", "new")
        if listed is not None:
            monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", listed)

        assert arguments.read_env() == ("PORT_CLIENT_SECRET", b"new", [])

    def test_previous_secrets_are_separated_by_commas(self, monkeypatch):
        monkeypatch.setenv("PORT_CLIENT_SECRET", "new")
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "old,older")

        source, secret, previous = arguments.read_env()

        assert (source, secret) == ("PORT_CLIENT_SECRET", b"new")
        assert previous == ["old", "older"]

    @pytest.mark.parametrize(
        ("current", "listed", "message"),
        [
            ("", "", "PORT_CLIENT_SECRET is empty"),
            ("new\n", "", "PORT_CLIENT_SECRET holds a line break"),
            ("new", ",", "PORT_CLIENT_SECRET_PREVIOUS[0] is empty"),
            ("new", "old,", "PORT_CLIENT_SECRET_PREVIOUS[1] is empty"),
            ("new", "a, b", "PORT_CLIENT_SECRET_PREVIOUS[1] has white space around it"),
            ("new", "a\udcff", "PORT_CLIENT_SECRET_PREVIOUS[0] holds a lone surrogate"),
        ],
    )
    def test_the_variable_that_is_wrong_is_named(
        self, monkeypatch, current, listed, message
    ):
        monkeypatch.setenv("PORT_CLIENT_SECRET", current)
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", listed)

        error = error_of(arguments.read_env)

        assert isinstance(error, ConfigurationError)
        assert str(error) == message


class TestSecretFile:
    @pytest.fixture(autouse=True)
    def _clean(self, monkeypatch):
        monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
        monkeypatch.delenv("PORT_CLIENT_SECRET_PREVIOUS", raising=False)

    @pytest.fixture
    def write(self, monkeypatch, tmp_path):
        def write(content):
            file = tmp_path / "PATH-marker"
            file.write_bytes(content)
            monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", str(file))

        return write

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
    def test_one_final_line_break_is_dropped(self, write, end):
        write("schlüssel".encode() + end)

        assert arguments.read_env() == (
            "PORT_CLIENT_SECRET_FILE",
            "schlüssel".encode(),
            [],
        )

    def test_the_previous_ones_are_still_listed_in_their_variable(
        self, write, monkeypatch
    ):
        write(b"new\n")
        monkeypatch.setenv("PORT_CLIENT_SECRET_PREVIOUS", "old")

        assert arguments.read_env()[1:] == (b"new", ["old"])

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"new\n\n", "holds a line break"),
            (b"new\r\n\r\n", "holds a line break"),
            (b"new\r", "holds a line break"),
            (b"new\n\r", "holds a line break"),
            (b"new \n", "has white space around it"),
            (b"\xef\xbb\xbfnew\n", "holds a byte order mark"),
            (b"\xff\xfen\x00", "holds a byte order mark"),
            (b"n\xe9w", "is not UTF-8"),
            (b"x" * 65_537, "is too large for a secret"),
        ],
    )
    def test_what_is_no_secret_is_named_with_the_variable(
        self, write, content, problem
    ):
        write(content)

        error = error_of(arguments.read_env)

        assert str(error) == f"The file of PORT_CLIENT_SECRET_FILE {problem}"

    def test_the_largest_file_is_a_secret(self, write):
        write(b"x" * 65_536)

        assert len(arguments.read_env()[1]) == 65_536

    def test_a_very_large_file_is_not_read_to_its_end(self, monkeypatch, tmp_path):
        path = tmp_path / "large"
        with path.open("wb") as file:
            file.truncate(2**24)  # which takes no room on the disk
        monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", str(path))

        tracemalloc.start()
        try:
            error = error_of(arguments.read_env)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert "is too large for a secret" in str(error)
        assert peak < 2**20

    @pytest.mark.parametrize("secret", ["new", ""])
    def test_both_variables_together_are_refused(self, write, monkeypatch, secret):
        write(b"new")
        monkeypatch.setenv("PORT_CLIENT_SECRET", secret)

        error = error_of(arguments.read_env)

        assert str(error) == (
            "Both PORT_CLIENT_SECRET and PORT_CLIENT_SECRET_FILE are set; unset one of "
            "them"
        )

    def test_an_empty_path_is_as_good_as_unset(self, monkeypatch):
        monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", "")

        error = error_of(arguments.read_env)

        assert str(error) == "PORT_CLIENT_SECRET is not set"

    @pytest.mark.parametrize("made", [False, True])
    def test_a_file_that_cannot_be_read_is_not_named(self, monkeypatch, tmp_path, made):
        # Somebody may have put the secret itself there.
        path = tmp_path / "PATH-marker"
        if made:
            path.mkdir()
        monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", str(path))

        error = error_of(arguments.read_env)

        kind = "IsADirectoryError" if made else "FileNotFoundError"
        assert type(error) is ConfigurationError
        assert str(error) == (
            f"The file of PORT_CLIENT_SECRET_FILE cannot be read ({kind}); the "
            "variable must hold the path of a file, not the secret"
        )

    def test_a_path_that_is_no_path_is_refused(self, monkeypatch):
        # An environment holds no zero byte, but what stands for one may.
        monkeypatch.setattr(
            "os.environ", {"PORT_CLIENT_SECRET_FILE": "PATH-marker\x00"}
        )

        error = error_of(arguments.read_env)

        assert "cannot be read (ValueError)" in str(error)
        assert "marker" not in str(error)


class TestBodies:
    def test_bytes_are_not_copied(self):
        body = b"x" * 100

        assert arguments.read_body(body, 100) is body

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe\x00",
            b'{"a": 1}',
            bytearray(b"\xff"),
            memoryview(b"\xff"),
            memoryview(b"abcdef")[::2],
            array.array("H", [1, 2]),
            mmap.mmap(-1, 4),
        ],
    )
    def test_anything_like_bytes_is_its_bytes(self, body):
        assert arguments.read_body(body, 100) == memoryview(body).tobytes()

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_what_was_verified_cannot_be_changed_any_more(self, kind):
        buffer = bytearray(b"abc")
        body = buffer if kind is bytearray else memoryview(buffer)

        raw = arguments.read_body(body, 100)
        buffer[0] = 0

        assert type(raw) is bytes
        assert raw == b"abc"

    @pytest.mark.parametrize("body", ["", "{}", "é", "\u2028", "😀", "\x00"])
    def test_text_is_taken_as_utf_8(self, body):
        assert arguments.read_body(body, 100) == body.encode()

    def test_a_subclass_of_text_cannot_choose_its_bytes(self):
        class Text(str):
            __slots__ = ()

            def encode(self, *_):
                return b"other"

        assert arguments.read_body(Text("abc"), 100) == b"abc"

    def test_a_subclass_of_bytes_becomes_plain_bytes(self):
        class Raw(bytes):
            __slots__ = ()

        assert type(arguments.read_body(Raw(b"abc"), 100)) is bytes

    @pytest.mark.parametrize(
        "body", [None, {}, {"a": 1}, [], [1], 5, 1.5, True, object(), iter([b"a"]), set]
    )
    def test_a_parsed_body_is_told_to_pass_the_raw_bytes(self, body):
        error = error_of(arguments.read_body, body, 100)

        assert isinstance(error, UnreadableBodyError)
        assert str(error) == (
            f"The body is {type(body).__name__}, not bytes; pass the raw bytes as they "
            "arrived, since a parsed body cannot be turned back into them."
        )

    def test_a_released_view_is_unreadable(self):
        view = memoryview(b"abc")
        view.release()

        assert type(error_of(arguments.read_body, view, 100)) is UnreadableBodyError

    def test_text_with_lone_surrogates_is_unreadable(self):
        error = error_of(arguments.read_body, '{"a":"\ud800"}', 100)

        assert isinstance(error, UnreadableBodyError)
        assert str(error) == (
            "The body is text with lone surrogates; pass the raw bytes instead."
        )

    def test_a_body_that_raises_is_unreadable(self):
        class Text(str):
            __slots__ = ()

            def __len__(self):
                raise RuntimeError

        assert (
            type(error_of(arguments.read_body, Text("abc"), 100)) is UnreadableBodyError
        )

    @pytest.mark.skipif(
        sys.version_info < (3, 12), reason="__buffer__ needs Python 3.12 (PEP 688)"
    )
    def test_a_buffer_that_raises_is_unreadable(self):
        class Buffer:
            def __buffer__(self, flags):
                raise RuntimeError

        assert type(error_of(arguments.read_body, Buffer(), 100)) is UnreadableBodyError

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
    def test_the_limit_is_included(self, kind):
        assert arguments.read_body(kind(b"abc"), 3) == b"abc"

        error = error_of(arguments.read_body, kind(b"abcd"), 3)

        assert isinstance(error, BodyTooLargeError)
        assert error.limit == 3

    def test_the_limit_counts_bytes_not_characters(self):
        assert type(error_of(arguments.read_body, "éé", 3)) is BodyTooLargeError

    def test_the_limit_counts_bytes_not_items(self):
        body = array.array("Q", [1, 2])

        assert type(error_of(arguments.read_body, body, 15)) is BodyTooLargeError
        assert len(arguments.read_body(body, 16)) == 16


class BrokenZone(tzinfo):
    def utcoffset(self, _):
        raise RuntimeError

    def dst(self, _):
        raise RuntimeError

    def tzname(self, _):
        raise RuntimeError


class TestInstants:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (1_713_277_889, 1_713_277_889.0),
            (1_713_277_889.123, 1_713_277_889.123),
            (0, 0.0),
            (0.0, 0.0),
            (-1.5, -1.5),
            (datetime(2024, 4, 16, 14, 31, 29, tzinfo=UTC), 1_713_277_889.0),
            (
                datetime(2024, 4, 16, 16, 31, 29, tzinfo=timezone(timedelta(hours=2))),
                1_713_277_889.0,
            ),
            (datetime(1970, 1, 1, tzinfo=UTC), 0.0),
        ],
    )
    def test_seconds_and_aware_datetimes_are_instants(self, value, seconds):
        found = arguments.read_instant(value, "received_at")

        assert type(found) is float
        assert found == seconds

    @pytest.mark.parametrize(
        "value",
        [
            True,
            False,
            "1713277889",
            b"1713277889",
            Decimal(1_713_277_889),
            Fraction(1_713_277_889),
            [],
            1j,
            datetime(2024, 4, 16).date(),  # noqa: DTZ001  # a date has no zone
            datetime(2024, 4, 16),  # noqa: DTZ001  # naive on purpose
            datetime(2024, 4, 16, tzinfo=BrokenZone()),
        ],
    )
    def test_anything_else_is_refused(self, value):
        error = error_of(arguments.read_instant, value, "received_at")

        assert isinstance(error, ConfigurationError)
        assert str(error) == (
            "received_at must be seconds since the epoch, or an aware datetime"
        )

    @pytest.mark.parametrize(
        "value",
        [
            NAN,
            INFINITE,
            -INFINITE,
            1_713_277_889_000,
            1_713_277_889_000.0,
            1e11,
            -1e11,
            10**400,
            -(10**400),
        ],
    )
    def test_what_is_not_finite_or_is_in_milliseconds_is_refused(self, value):
        error = error_of(arguments.read_instant, value, "received_at")

        assert isinstance(error, ConfigurationError)
        assert str(error) == (
            "received_at must be finite and in seconds, not milliseconds"
        )


class TestClocks:
    def test_a_clock_is_read(self):
        assert arguments.read_clock(lambda: 1_713_277_889) == 1_713_277_889

    @pytest.mark.parametrize(
        ("now", "message"),
        [
            (
                lambda: "now",
                "clock must be seconds since the epoch, or an aware datetime",
            ),
            (lambda: 1e12, "clock must be finite and in seconds, not milliseconds"),
            (lambda: 1 // 0, "clock raised ZeroDivisionError"),
        ],
    )
    def test_a_clock_that_is_wrong_is_named(self, now, message):
        error = error_of(arguments.read_clock, now)

        assert isinstance(error, ConfigurationError)
        assert str(error) == message


REFUSALS = {
    "require_size": "must be a whole number of bytes, greater than zero",
    "require_bool": "must be True or False",
    "require_text": "must be text without lone surrogates",
}


def refuse(check, *args, message=None, **options):
    with pytest.raises(ConfigurationError) as caught:
        check("the_option", *args, **options)
    assert str(caught.value) == f"the_option {message or REFUSALS[check.__name__]}"


class BrokenClass:
    """As a lazy object that fails to look itself up."""

    @property  # type: ignore[misc]  # a lazy object does it
    def __class__(self):
        raise LookupError


class TestOptions:
    def test_an_object_that_raises_is_an_instance_of_nothing(self):
        assert arguments.is_instance(BrokenClass(), bool) is False
        assert arguments.is_instance(True, bool) is True  # any value
        refuse(arguments.require_bool, BrokenClass())
        refuse(arguments.require_size, BrokenClass())

    @pytest.mark.parametrize("value", [0, 0.0, 1, 0.5, 300, 1e10])
    def test_seconds_may_be_zero(self, value):
        assert arguments.require_seconds("the_option", value) == value

    @pytest.mark.parametrize("positive", [False, True])
    @pytest.mark.parametrize(
        "value",
        [
            NAN,
            INFINITE,
            -INFINITE,
            -1,
            -0.001,
            1e11,
            10**400,
            True,
            False,
            None,
            "300",
            b"300",
            Decimal(300),
            timedelta(seconds=300),
            [],
        ],
    )
    def test_seconds_are_a_finite_number_from_zero_up(self, value, positive):
        least = "greater than zero" if positive else "zero or more"
        message = f"must be a number of seconds, {least} and less than 10**11"
        refuse(arguments.require_seconds, value, positive=positive, message=message)

    @pytest.mark.parametrize("value", [0, 0.0, -0.0])
    def test_positive_seconds_are_not_zero(self, value):
        refuse(
            arguments.require_seconds,
            value,
            positive=True,
            message="must be a number of seconds, greater than zero and less than "
            "10**11",
        )

    def test_positive_seconds_may_be_small(self):
        arguments.require_seconds("the_option", 0.001, positive=True)

    def test_seconds_may_have_a_bound_of_their_own(self):
        require = functools.partial(arguments.require_seconds, most=10, hint="do this")

        assert require("the_option", 10) == 10
        with pytest.raises(ConfigurationError) as caught:
            require("the_option", 10.5)

        assert str(caught.value) == "the_option must be at most 10 seconds; do this"

    @pytest.mark.parametrize("value", [1, 10**20])
    def test_a_size_is_a_whole_number(self, value):
        assert arguments.require_size("the_option", value) == value

    @pytest.mark.parametrize(
        "value", [0, -1, True, False, 1.0, NAN, INFINITE, None, "1"]
    )
    def test_a_size_is_not_zero_negative_or_anything_else(self, value):
        refuse(arguments.require_size, value)

    @pytest.mark.parametrize("value", [0, 1, None, "True", "", [], NAN])
    def test_a_switch_is_true_or_false(self, value):
        arguments.require_bool("the_option", value=True)
        arguments.require_bool("the_option", value=False)
        refuse(arguments.require_bool, value)

    @pytest.mark.parametrize("value", ["", "orders", "é", "😀", "\n"])
    def test_a_scope_is_any_text(self, value):
        arguments.require_text("the_option", value)

    @pytest.mark.parametrize("value", [None, b"orders", 5, "\ud800", "a\udfff"])
    def test_a_scope_can_be_encoded(self, value):
        refuse(arguments.require_text, value)


async def coroutine_function(_):
    """Nobody would await what this returns."""


class AsyncCallable:
    async def method(self, _):
        """Nobody would await what this returns."""

    async def __call__(self, _):
        """Nobody would await what this returns."""


class TestFunctions:
    @pytest.mark.parametrize(
        "value",
        [print, len, lambda: 0, [].append, dict, functools.partial(print, end="")],
    )
    def test_what_can_be_called_is_a_function(self, value):
        arguments.require_function("the_option", value)

    @pytest.mark.parametrize("value", [None, 5, "print", object()])
    def test_what_cannot_be_called_is_refused(self, value):
        refuse(arguments.require_function, value, message="must be callable")

    @pytest.mark.parametrize(
        "value",
        [
            coroutine_function,
            AsyncCallable().method,
            AsyncCallable(),
            functools.partial(coroutine_function, 1),
        ],
    )
    def test_what_would_have_to_be_awaited_is_refused(self, value):
        message = "must be a function, not a coroutine function"
        refuse(arguments.require_function, value, message=message)
