"""`port_webhook._signature`: the header grammar, the window and the MAC."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest

from port_webhook import _signature
from port_webhook._signature import (
    check_window,
    compute_signature,
    match_signature,
    new_key,
    read_timestamp,
)
from port_webhook.exceptions import (
    MalformedHeaderError,
    MissingHeaderError,
    TimestampError,
    VerificationError,
)

read_headers: Any = _signature.read_headers  # called with anything

SIGNATURE = "v1," + "A" * 43 + "="
OTHER = "v1," + "B" * 42 + "A="
TIMESTAMP = "1713277889"
STAMP = TIMESTAMP.encode()
HEADERS: dict[Any, Any] = {"x-port-timestamp": TIMESTAMP, "x-port-signature": SIGNATURE}


def signatures_in(text):
    """Read *text* as a signature header; return the signatures or the error's code."""
    try:
        return [*read_headers({**HEADERS, "x-port-signature": text})[2]]
    except VerificationError as error:
        return error.code


def error_of(call, *args):
    with pytest.raises(VerificationError) as caught:
        call(*args)
    return caught.value


def mac_of(value):
    return base64.b64decode(value[3:])


class TestTimestamps:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("1713277889", 1_713_277_889),
            ("1713277889123", 1_713_277_889.123),
            ("1000000000", 1_000_000_000),
            ("9999999999", 9_999_999_999),
            ("9999999999999", 9_999_999_999.999),
        ],
    )
    def test_ten_digits_are_seconds_and_thirteen_are_milliseconds(self, text, seconds):
        assert read_timestamp(text) == seconds

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("0", id="zero"),
            pytest.param("0713277889", id="leading zero"),
            pytest.param("0713277889123", id="leading zero, milliseconds"),
            pytest.param("171327788", id="9 digits"),
            pytest.param("17132778891", id="11 digits"),
            pytest.param("171327788912", id="12 digits"),
            pytest.param("17132778891234", id="14 digits"),
            pytest.param("1" * 400, id="400 digits"),
            pytest.param("1" * 5_000, id="5,000 digits"),
            pytest.param("1" * 1_048_576, id="1 MiB of digits"),
            pytest.param("1_71327788", id="underscore"),
            pytest.param("1_713277889", id="underscore beside ten digits"),
            pytest.param("+171327788", id="plus"),
            pytest.param("+1713277889", id="plus and ten digits"),
            pytest.param("-171327788", id="negative"),
            pytest.param("-1713277889", id="negative, ten digits"),
            pytest.param("1713277889\n", id="newline"),
            pytest.param("171327788\n", id="nine digits and a newline"),
            pytest.param("1713277889\r", id="carriage return"),
            pytest.param("1713277889\x00", id="NUL"),
            pytest.param("1713277889\x0b", id="vertical tab"),
            pytest.param("1713277889\xa0", id="no-break space"),
            pytest.param("17132 7789", id="space within"),
            pytest.param("1713277889.0", id="fraction"),
            pytest.param("17132778.9", id="ten characters with a dot"),
            pytest.param("1.7132e+09", id="exponent"),
            pytest.param("nan", id="nan"),
            pytest.param("inf", id="inf"),
            pytest.param("-inf", id="-inf"),
            pytest.param("0x661e8a01", id="hex, ten characters"),
            pytest.param("0x661E8A0112", id="hex"),
            pytest.param("661e8a01ab", id="bare hex"),
            pytest.param("１７１３２７７８８９", id="full-width digits"),
            pytest.param("١٧١٣٢٧٧٨٨٩", id="Arabic-Indic digits"),
            pytest.param("171327788²", id="superscript, a digit to isdigit"),
            pytest.param("171327788①", id="circled digit"),
            pytest.param("\ud800" * 10, id="lone surrogates"),
            pytest.param("2024-04-16T14:31:29Z", id="ISO 8601"),
        ],
    )
    def test_anything_else_is_malformed(self, text):
        error = error_of(read_headers, {**HEADERS, "x-port-timestamp": text})

        assert isinstance(error, MalformedHeaderError)
        assert (error.header, error.code) == ("x-port-timestamp", "malformed_header")

    @pytest.mark.parametrize(
        "text", [" 1713277889", "1713277889 ", "\t1713277889\t", " \t 1713277889 \t "]
    )
    def test_spaces_and_tabs_around_it_are_not_part_of_it(self, text):
        assert (
            read_headers({**HEADERS, "x-port-timestamp": text})[0] == TIMESTAMP.encode()
        )

    def test_the_text_is_kept_as_it_was_received(self):
        found = read_headers({**HEADERS, "x-port-timestamp": "1713277889000"})

        assert found[:2] == (b"1713277889000", 1_713_277_889.0)


class TestSignatures:
    def test_one_signature_is_what_port_sends(self):
        assert signatures_in(SIGNATURE) == [mac_of(SIGNATURE)]

    def test_several_may_be_listed_separated_by_spaces(self):
        assert signatures_in(f"{SIGNATURE} {OTHER}") == [
            mac_of(SIGNATURE),
            mac_of(OTHER),
        ]

    def test_eight_are_accepted_and_nine_are_not(self):
        assert len(signatures_in(" ".join([SIGNATURE] * 8))) == 8
        assert signatures_in(" ".join([SIGNATURE] * 9)) == "malformed_header"

    def test_unknown_versions_count_towards_the_eight(self):
        assert signatures_in(" ".join(["v2,x"] * 8 + [SIGNATURE])) == "malformed_header"

    def test_unknown_versions_are_skipped(self):
        assert signatures_in(f"v2,abc {SIGNATURE} v1a,-_~") == [mac_of(SIGNATURE)]

    @pytest.mark.parametrize("text", ["v2,abc", "V1," + "A" * 43 + "=", "v0,x v2,y"])
    def test_unknown_versions_alone_are_no_signature(self, text):
        assert signatures_in(text) == "malformed_header"

    @pytest.mark.parametrize("length", range(len(SIGNATURE)))
    def test_every_truncation_is_malformed(self, length):
        assert signatures_in(SIGNATURE[:length]) == "malformed_header"

    @pytest.mark.parametrize("length", range(1, len(SIGNATURE)))
    def test_every_truncation_at_the_front_is_refused(self, length):
        assert signatures_in(SIGNATURE[length:]) == "malformed_header"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("v1=" + "A" * 43 + "=", id="equals sign"),
            pytest.param("v1:" + "A" * 43 + "=", id="colon"),
            pytest.param("v1" + "A" * 43 + "=", id="no separator"),
            pytest.param("sha256=" + "0" * 64, id="another Port product"),
            pytest.param("sha1=" + "0" * 40, id="SHA-1"),
            pytest.param("A" * 43 + "=", id="unprefixed"),
            pytest.param("v1," + "0" * 64, id="hex"),
            pytest.param("v1," + "A" * 43, id="no padding"),
            pytest.param("v1," + "A" * 43 + "==", id="two paddings"),
            pytest.param("v1," + "A" * 44, id="44 characters, no padding"),
            pytest.param("v1," + "A" * 42 + "==", id="42 characters"),
            pytest.param("v1," + "A" * 42 + "-=", id="URL-safe minus"),
            pytest.param("v1," + "A" * 42 + "_=", id="URL-safe underscore"),
            pytest.param("v1," + "A" * 42 + "é=", id="non-ASCII"),
            pytest.param("v1," + "A" * 42 + "\ud800=", id="lone surrogate"),
            pytest.param("\ud800", id="a lone surrogate alone"),
            pytest.param(SIGNATURE + "\n", id="newline"),
            pytest.param(SIGNATURE + "\x00", id="NUL"),
            pytest.param("v1," + "A" * 20 + "\n" + "A" * 22 + "=", id="newline within"),
            pytest.param("v1," + "A" * 20 + "\t" + "A" * 22 + "=", id="tab within"),
            pytest.param(f"{SIGNATURE}\t{OTHER}", id="separated by a tab"),
            pytest.param(f"{SIGNATURE}  {OTHER}", id="separated by two spaces"),
            pytest.param(f"{SIGNATURE};{OTHER}", id="separated by a semicolon"),
            pytest.param(f"{SIGNATURE}\xa0{OTHER}", id="separated by a no-break space"),
            pytest.param("v1 ," + "A" * 43 + "=", id="space before the comma"),
            pytest.param('"' + SIGNATURE + '"', id="quoted"),
            pytest.param(f"{SIGNATURE} garbage", id="garbage beside a signature"),
            pytest.param(f"{SIGNATURE} v1,short", id="a bad one beside a good one"),
            pytest.param(" ", id="blank"),
            pytest.param(",", id="comma"),
        ],
    )
    def test_what_is_not_in_the_grammar_is_refused(self, text):
        assert signatures_in(text) in ("malformed_header", "duplicate_header")

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(" ".join([SIGNATURE] * 10_000), id="10,000 candidates"),
            pytest.param("A" * 1_048_576, id="1 MiB"),
            pytest.param("v1," + "A" * 1_048_576, id="1 MiB of version 1"),
            pytest.param("v2," * 349_526, id="1 MiB of commas"),
            pytest.param("\x01 " * 524_288, id="1 MiB of separators"),
        ],
    )
    def test_an_endless_value_is_refused_before_it_is_split(self, text):
        error = error_of(read_headers, {**HEADERS, "x-port-signature": text})

        assert str(error) == "The x-port-signature header is too long."

    def test_white_space_around_the_value_is_not_part_of_it(self):
        assert signatures_in(f" \t{SIGNATURE}\t ") == [mac_of(SIGNATURE)]


class TestOneValueForEachHeader:
    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("second", ["equal", "different"])
    def test_a_second_pair_is_a_duplicate(self, name, second):
        value = HEADERS[name] if second == "equal" else "something else"

        error = error_of(read_headers, [*HEADERS.items(), (name, value)])

        assert (error.header, error.code) == (name, "duplicate_header")

    def test_a_name_in_another_case_is_the_same_name(self):
        error = error_of(read_headers, {**HEADERS, "X-Port-Signature": SIGNATURE})

        assert error.code == "duplicate_header"

    def test_the_first_and_the_last_of_two_are_equally_refused(self):
        pairs = list(HEADERS.items())

        for order in (pairs + pairs[:1], pairs[:1] + pairs):
            assert error_of(read_headers, order).code == "duplicate_header"

    @pytest.mark.parametrize("comma", [",", ", ", " ,", " , "])
    @pytest.mark.parametrize("second", [SIGNATURE, OTHER, "garbage", ""])
    def test_a_comma_joined_pair_of_signatures_is_a_duplicate(self, comma, second):
        for text in (SIGNATURE + comma + second, second + comma + SIGNATURE):
            code = signatures_in(text)

            # A space before a comma is nothing that a server joins with.
            if comma == " ," and second == "garbage":
                assert code in ("duplicate_header", "malformed_header")
            else:
                assert code == "duplicate_header"

    @pytest.mark.parametrize("comma", [",", ", "])
    @pytest.mark.parametrize("second", [TIMESTAMP, "1713277890", "garbage", ""])
    def test_a_comma_joined_pair_of_timestamps_is_a_duplicate(self, comma, second):
        text = TIMESTAMP + comma + second

        error = error_of(read_headers, {**HEADERS, "x-port-timestamp": text})

        assert (error.header, error.code) == ("x-port-timestamp", "duplicate_header")

    def test_several_signatures_in_one_value_are_no_duplicate(self):
        assert len(signatures_in(f"{SIGNATURE} {SIGNATURE}")) == 2


class TestHeaders:
    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param(HEADERS, id="mapping"),
            pytest.param(list(HEADERS.items()), id="list of pairs"),
            pytest.param(tuple(HEADERS.items()), id="tuple of pairs"),
            pytest.param(
                {k.encode(): v.encode() for k, v in HEADERS.items()}, id="bytes"
            ),
            pytest.param(
                [(k.encode(), v) for k, v in HEADERS.items()], id="bytes names"
            ),
            pytest.param({k.upper(): v for k, v in HEADERS.items()}, id="upper case"),
            pytest.param({k.title(): v for k, v in HEADERS.items()}, id="title case"),
            pytest.param(
                {k.upper().encode(): v for k, v in HEADERS.items()}, id="upper bytes"
            ),
            pytest.param({None: "1", 5: "2", **HEADERS}, id="names that are no names"),
            pytest.param({"host": None, **HEADERS}, id="another header that is null"),
            pytest.param({"accept": ["a"], **HEADERS}, id="another header, a list"),
            pytest.param({b"\xff": b"\xff", **HEADERS}, id="non-ASCII bytes"),
        ],
    )
    def test_any_mapping_or_iterable_of_pairs_will_do(self, headers):
        assert read_headers(headers)[:2] == (TIMESTAMP.encode(), 1_713_277_889)

    def test_an_iterator_of_pairs_will_do(self):
        assert read_headers(iter(HEADERS.items()))[0] == TIMESTAMP.encode()

    def test_a_mapping_without_being_a_dict_will_do(self):
        class Items:
            def items(self):
                return HEADERS.items()

        assert read_headers(Items())[0] == TIMESTAMP.encode()

    def test_a_subclass_of_text_is_taken_as_text(self):
        class Loud(str):
            __slots__ = ()

            def lower(self):
                return "x-port-other"

            def strip(self, _=None):
                return 5

        headers = {Loud(k): Loud(v) for k, v in HEADERS.items()}

        assert read_headers(headers)[0] == TIMESTAMP.encode()

    def test_a_subclass_of_bytes_is_taken_as_bytes(self):
        class Plain(bytes):
            __slots__ = ()

        headers = {Plain(k.encode()): Plain(v.encode()) for k, v in HEADERS.items()}

        assert read_headers(headers)[0] == TIMESTAMP.encode()

    @pytest.mark.parametrize("kind", [list, tuple])
    @pytest.mark.parametrize("encode", [str, str.encode])
    def test_a_list_of_one_value_is_that_value(self, kind, encode):
        # Event parsers and Twisted keep each header as a list of its values.
        listed = {name: kind([encode(value)]) for name, value in HEADERS.items()}

        assert read_headers(listed) == read_headers(HEADERS)

    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("kind", [list, tuple])
    def test_a_list_of_two_values_is_a_duplicate(self, name, kind):
        for second in (HEADERS[name], "", None):
            listed = {**HEADERS, name: kind([HEADERS[name], second])}

            error = error_of(read_headers, listed)

            assert (error.header, error.code) == (name, "duplicate_header")

    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("value", [[], (), [None]])
    def test_a_list_of_no_value_is_missing(self, name, value):
        error = error_of(read_headers, {**HEADERS, name: value})

        assert type(error) is MissingHeaderError
        assert error.header == name

    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("value", [[5], [["v1,x"]], [{}]])
    def test_a_list_of_something_else_is_malformed(self, name, value):
        error = error_of(read_headers, {**HEADERS, name: value})

        assert (error.header, error.code) == (name, "malformed_header")

    @pytest.mark.parametrize("headers", [None, {}, [], "", b"", {"host": "x"}])
    def test_none_found_is_a_missing_signature(self, headers):
        error = error_of(read_headers, headers)

        assert isinstance(error, MissingHeaderError)
        assert error.header == "x-port-signature"

    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("how", ["absent", "null"])
    def test_one_that_is_absent_or_null_is_missing(self, name, how):
        headers = dict(HEADERS)
        if how == "null":
            headers[name] = None
        else:
            del headers[name]

        error = error_of(read_headers, headers)

        assert isinstance(error, MissingHeaderError)
        assert error.header == name

    @pytest.mark.parametrize(
        "name", ["x_port_signature", "X-Port-Signature ", "HTTP_X_PORT_SIGNATURE"]
    )
    def test_a_name_that_is_spelled_otherwise_is_another_header(self, name):
        headers = {"x-port-timestamp": TIMESTAMP, name: SIGNATURE}

        assert type(error_of(read_headers, headers)) is MissingHeaderError

    @pytest.mark.parametrize("name", HEADERS)
    @pytest.mark.parametrize("value", [{"a": 1}, 1_713_277_889, 1.5, True, 0])
    def test_a_value_that_is_neither_text_nor_bytes_is_malformed(self, name, value):
        error = error_of(read_headers, {**HEADERS, name: value})

        assert isinstance(error, MalformedHeaderError)
        assert error.header == name

    @pytest.mark.parametrize(
        "headers",
        [
            5,
            1.5,
            True,
            object(),
            "x-port-signature: v1",
            b"raw",
            ["x-port-signature"],
            [("a", "b", "c")],
            [5],
            {"x-port-signature"},
        ],
    )
    def test_what_is_not_headers_is_malformed(self, headers):
        error = error_of(read_headers, headers)

        assert isinstance(error, MalformedHeaderError)
        assert "mapping or an iterable of pairs" in str(error)

    @pytest.mark.parametrize("raised", [RuntimeError, KeyError, RecursionError])
    def test_a_mapping_that_raises_is_malformed(self, raised):
        class Broken:
            def items(self):
                yield "x-port-timestamp", TIMESTAMP
                raise raised

        assert type(error_of(read_headers, Broken())) is MalformedHeaderError


def is_within(*args):
    try:
        check_window(*args)
    except TimestampError:
        return False
    return True


class TestWindow:
    NOW = 1_713_277_889.0

    @pytest.mark.parametrize("age", [300, 299.999, 1, 0, -1, -59.999, -60])
    def test_both_ends_are_accepted(self, age):
        check_window(self.NOW - age, self.NOW, 300, 60)

    @pytest.mark.parametrize(
        ("age", "code"),
        [
            (300.001, "timestamp_too_old"),
            (301, "timestamp_too_old"),
            (1e9, "timestamp_too_old"),
            (-60.001, "timestamp_in_future"),
            (-61, "timestamp_in_future"),
            (-1e9, "timestamp_in_future"),
        ],
    )
    def test_a_millisecond_beyond_an_end_is_refused(self, age, code):
        error = error_of(check_window, self.NOW - age, self.NOW, 300, 60)

        assert isinstance(error, TimestampError)
        assert error.code == code
        assert error.age == pytest.approx(age, abs=1e-6)

    def test_zero_is_strict(self):
        assert is_within(self.NOW, self.NOW, 0, 0)
        for moved in (0.001, -0.001):
            assert not is_within(self.NOW + moved, self.NOW, 0, 0)

    @pytest.mark.parametrize("seconds", [1_713_277_889, 2_147_483_500])
    @pytest.mark.parametrize("age", [300, 0.1, 0.001, 299.999])
    def test_an_end_is_exact_for_every_millisecond(self, seconds, age):
        # In 2038 the seconds need one bit more, and a float has one bit less left.
        for milliseconds in range(1000):
            sent = seconds * 1000 + milliseconds
            at = (sent + round(age * 1000)) / 1000

            assert is_within(sent / 1000, at, age, 0)
            assert is_within(at, sent / 1000, 0, age)
            assert not is_within(sent / 1000, at + 0.001, age, 0)
            assert not is_within(at + 0.001, sent / 1000, 0, age)

    def test_what_is_not_a_number_is_refused(self):
        assert not is_within(float("nan"), self.NOW, 300, 60)


class TestMac:
    def test_it_signs_the_timestamp_a_dot_and_the_payload(self, signature_of):
        key = new_key(b"a-made-up-secret")

        computed = compute_signature(key, STAMP, b'{"a":1}')

        assert computed.decode() == signature_of(b'{"a":1}', timestamp=TIMESTAMP)

    def test_the_key_is_not_used_up(self):
        key = new_key(b"k")

        assert compute_signature(key, b"1", b"x") == compute_signature(key, b"1", b"x")

    # Below and from 4,096 bytes, the payload is fed to the MAC in two ways.
    @pytest.mark.parametrize("payload", [b"", b"x", b"x" * 4095, b"x" * 4096])
    def test_the_index_of_the_key_that_matched_is_told(self, payload):
        keys = [new_key(b"new"), new_key(b"old"), new_key(b"older")]

        for index, key in enumerate(keys):
            signed = mac_of(compute_signature(key, STAMP, payload))
            assert match_signature(keys, STAMP, [signed], payload) == index
            assert match_signature(keys, STAMP, [b"", signed], payload) == index

    def test_any_of_the_signatures_may_match(self):
        key = new_key(b"k")
        signed = mac_of(compute_signature(key, STAMP, b"x"))
        other = bytes(32)

        for macs in ([signed], [other, signed], [signed, other]):
            assert match_signature([key], STAMP, macs, b"x") == 0
        for macs in ([other], [other, b""], [b""], [signed[:-1], signed + b"x"]):
            assert match_signature([key], STAMP, macs, b"x") is None

    def test_a_second_spelling_of_the_same_mac_does_not_match(self):
        # The last character before the padding carries four bits; three others
        # decode to the same bytes.
        key = new_key(b"k")
        signed = compute_signature(key, STAMP, b"x").decode()
        alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits
        alphabet += "+/"
        first = alphabet.index(signed[-2]) & ~3
        spellings = {f"{signed[:-2]}{alphabet[first + n]}=" for n in range(4)}

        for several in ("", " v2,x"):
            matching = {
                spelling
                for spelling in spellings
                if match_signature(
                    [key], STAMP, signatures_in(spelling + several), b"x"
                )
                is not None
            }

            assert len(spellings) == 4
            assert matching == {signed}


def refusal(headers):
    """Return what the refusal says: the header, the code and the sentence."""
    error = error_of(read_headers, headers)
    assert isinstance(error, MalformedHeaderError)
    return error.header, error.code, str(error)


class TestMessages:
    """Each refusal names its header and its problem, word for word."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("v1,AAAA", "does not hold v1 and 44 characters of base64"),
            ("garbage", "is not a version, a comma and a signature"),
            ("v2,AAAA", "holds no signature of version 1"),
            (" ".join(["v2,A"] * 9), "lists more than 8 signatures"),
            ("v2," + "A" * 4096, "is too long"),
        ],
    )
    def test_of_a_signature(self, text, problem):
        name = "x-port-signature"
        expected = name, "malformed_header", f"The {name} header {problem}."
        assert refusal({**HEADERS, name: text}) == expected

    def test_of_a_timestamp(self):
        name = "x-port-timestamp"
        problem = "is not a time in seconds or milliseconds"
        expected = name, "malformed_header", f"The {name} header {problem}."
        assert refusal({**HEADERS, name: "yesterday"}) == expected

    @pytest.mark.parametrize("name", HEADERS)
    def test_of_a_value_that_is_no_text(self, name):
        problem = "is neither text nor bytes"
        expected = name, "malformed_header", f"The {name} header {problem}."
        assert refusal({**HEADERS, name: 5}) == expected

    @pytest.mark.parametrize("name", HEADERS)
    def test_of_a_second_value(self, name):
        expected = (
            *(name, "duplicate_header"),
            f"The {name} header has more than one value.",
        )
        assert refusal({**HEADERS, name: f"{HEADERS[name]}, {HEADERS[name]}"}) == (
            expected
        )

    def test_of_what_is_no_mapping(self):
        name = "x-port-signature"
        problem = (
            "cannot be looked up: headers must be a mapping or an iterable of pairs"
        )
        expected = name, "malformed_header", f"The {name} header {problem}."
        assert refusal(5) == expected


class TestEnds:
    """Letters at the ends of a value are part of it; only white space is not."""

    @pytest.mark.parametrize("template", ["X{}", "{}X"])
    @pytest.mark.parametrize("name", HEADERS)
    def test_a_letter_beside_a_value_is_refused(self, name, template):
        text = template.format(HEADERS[name])
        assert refusal({**HEADERS, name: text})[:2] == (name, "malformed_header")

    def test_a_version_of_letters_is_passed_over(self):
        assert signatures_in(f"X,X {SIGNATURE}") == [mac_of(SIGNATURE)]

    def test_a_value_of_4096_characters_is_read(self):
        other = "v2," + "A" * (4096 - len(SIGNATURE) - 4)
        text = f"{other} {SIGNATURE}"
        assert len(text) == 4096
        assert signatures_in(text) == [mac_of(SIGNATURE)]
        longer = {**HEADERS, "x-port-signature": f"{other}A {SIGNATURE}"}
        assert refusal(longer)[2] == "The x-port-signature header is too long."
