"""`port_webhook._json`: strict JSON, and re-emission token by token."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from typing import Any

import pytest

from port_webhook import canonical as strict
from port_webhook.exceptions import PayloadError

canonical: Any = strict  # its answers are compared, whatever they are


def nested(depth, opening="[", closing="]"):
    return (opening * depth + closing * depth).encode()


# Not JSON, or JSON that this library refuses; the agent path needs no more than that.
REFUSED = [
    pytest.param(b"", id="empty"),
    pytest.param(b" ", id="blank"),
    pytest.param(b"{", id="cut off"),
    pytest.param(b'{"a":1}}', id="a bracket too many"),
    pytest.param(b'{"a":1} {"b":2}', id="two documents"),
    pytest.param(b'{"a":1}x', id="garbage behind"),
    pytest.param(b"[}" * 100, id="mismatched brackets"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b"{a:1}", id="bare key"),
    pytest.param(b"[1,]", id="trailing comma"),
    pytest.param(b'{"a":1,}', id="trailing comma in an object"),
    pytest.param(b"[1 2]", id="no comma"),
    pytest.param(b"[01]", id="leading zero"),
    pytest.param(b"[+1]", id="plus"),
    pytest.param(b"[.5]", id="no digit before the dot"),
    pytest.param(b"[5.]", id="no digit behind the dot"),
    pytest.param(b"[0x10]", id="hex"),
    pytest.param("[١]".encode(), id="Arabic-Indic digit"),
    pytest.param(b"[1]//comment", id="comment"),
    pytest.param(b"[NaN]", id="NaN"),
    pytest.param(b"[Infinity]", id="Infinity"),
    pytest.param(b"[-Infinity]", id="-Infinity"),
    pytest.param(b"True", id="Python's true"),
    pytest.param(b"undefined", id="undefined"),
    pytest.param(b'"a', id="unterminated string"),
    pytest.param(b'"a\nb"', id="line break in a string"),
    pytest.param(b'"a\x00b"', id="NUL in a string"),
    pytest.param(b'"\\x41"', id="unknown escape"),
    pytest.param(b'"\\u12"', id="short escape"),
    pytest.param(b"[1]\x00", id="NUL behind"),
    pytest.param(b"\xa0[1]", id="not UTF-8"),
    pytest.param("\xa0[1]".encode(), id="no-break space"),
    pytest.param(b"\x0c[1]", id="form feed"),
    pytest.param(b"\xef\xbb\xbf[1]", id="byte order mark"),
    pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b'"\xff"', id="not UTF-8 in a string"),
    pytest.param(b'"\xed\xa0\x80"', id="a surrogate in UTF-8"),
    pytest.param(b'"\xc0\x80"', id="overlong UTF-8"),
    pytest.param(b'{"a":1,"a":1}', id="equal keys"),
    pytest.param(b'{"a":1,"\\u0061":2}', id="equal keys, spelled differently"),
    pytest.param(b'[{"b":{"a":1,"a":2}}]', id="equal keys within"),
    pytest.param(nested(65), id="65 arrays"),
    pytest.param(nested(65, '{"a":', "}").replace(b":}", b":1}"), id="65 objects"),
    pytest.param(nested(100_000), id="100,000 arrays"),
    pytest.param(b"[" * 100_000, id="100,000 open arrays"),
    pytest.param(b'{"a":' * 100_000, id="100,000 open objects"),
    pytest.param(b"\\[" * 100_000, id="brackets behind backslashes"),
    pytest.param(b'"\\' * 100_000, id="quotes and backslashes"),
]

ACCEPTED = [
    pytest.param(b"null", None, id="null"),
    pytest.param(b"true", True, id="true"),
    pytest.param(b'""', "", id="empty string"),
    pytest.param(b"{}", {}, id="empty object"),
    pytest.param(b"[]", [], id="empty array"),
    pytest.param(b" \t\r\n[ \n1 ]\n", [1], id="white space"),
    pytest.param(b"-0", 0, id="minus zero"),
    pytest.param(b"1e-7", 1e-7, id="exponent"),
    pytest.param(b"1E+2", 100.0, id="capital exponent"),
    pytest.param(b'"\\ud83d\\ude00\\/\\b"', "😀/\b", id="escapes"),
    pytest.param(b'"\\ud800"', "\ud800", id="a lone surrogate, escaped"),
    pytest.param(b'"\x7f\xe2\x80\xa8"', "\x7f\u2028", id="unusual characters"),
    pytest.param(b'{"":{"":1}}', {"": {"": 1}}, id="empty keys"),
    pytest.param(b'[{"a":1},{"a":1}]', [{"a": 1}] * 2, id="equal keys apart"),
    pytest.param(b'{"A":1,"a":2}', {"A": 1, "a": 2}, id="keys in another case"),
    pytest.param(b'"' + b"[" * 1000 + b'"', "[" * 1000, id="brackets in a string"),
    pytest.param(b'"' + b'\\"[' * 99 + b'"', '"[' * 99, id="quotes and brackets"),
    pytest.param(b"[" + b"[]," * 999 + b"[]]", [[]] * 1000, id="many, not deep"),
    pytest.param(
        b"[[]," + b"[" * 63 + b"]" * 63 + b"]",
        [[], json.loads("[" * 63 + "]" * 63)],
        id="64 levels among more brackets",
    ),
]


class TestParse:
    @pytest.mark.parametrize(("data", "value"), ACCEPTED)
    def test_json_is_parsed(self, data, value):
        assert canonical.parse(data) == value

    @pytest.mark.parametrize("data", REFUSED)
    def test_anything_else_is_a_payload_error(self, data):
        assert isinstance(canonical.parse(data), PayloadError)

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"nope", "is not JSON"),
            (b"\xff", "is not UTF-8"),
            (b'{"a":1,"a":2}', "repeats a key"),
            (b"[NaN]", "holds NaN or Infinity, which are not JSON"),
            (b"[1e999]", "holds a number that is too large"),
            (b"[-1e999]", "holds a number that is too large"),
            (b"1" * 5_000, "holds a number that is too large"),
            (b"-" + b"1" * 1_000_000, "holds a number that is too large"),
            (nested(65), "is nested more than 64 levels deep"),
            (b"[[],[]," + nested(64) + b"]", "is nested more than 64 levels deep"),
        ],
    )
    def test_the_error_says_what_is_wrong(self, data, problem):
        assert str(canonical.parse(data)) == f"The payload {problem}."

    @pytest.mark.parametrize("brackets", ["[]", "{}"])
    def test_sixty_four_levels_are_accepted(self, brackets):
        objects = b'{"a":' * 63 + b"{}" + b"}" * 63
        data = nested(64) if brackets == "[]" else objects

        assert not isinstance(canonical.parse(data), PayloadError)

    @pytest.mark.parametrize("data", [b'"\\"' + b"[" * 99, b'"' + b"[" * 99])
    def test_brackets_in_an_unterminated_string_are_no_depth(self, data):
        assert str(canonical.parse(data)) == "The payload is not JSON."

    def test_a_stack_that_is_nearly_used_up_is_a_payload_error(self):
        def descend(levels):
            return descend(levels - 1) if levels else canonical.parse(nested(60))

        outcomes = set()
        for levels in range(sys.getrecursionlimit()):
            try:
                outcomes.add(type(descend(levels)))
            except RecursionError:  # the stack was used up before our function
                break

        assert outcomes <= {list, PayloadError}

    def test_a_recursion_error_is_a_payload_error(self, monkeypatch):
        class Shallow:
            def decode(self, _):
                raise RecursionError

        monkeypatch.setattr(canonical, "_VALUES", Shallow())

        assert "stack" in str(canonical.parse(b"[]"))


class TestCompact:
    @pytest.mark.parametrize(("data", "value"), ACCEPTED)
    def test_what_is_json_stays_the_same_document(self, data, value):
        assert json.loads(canonical.compact(data)) == value

    @pytest.mark.parametrize("data", REFUSED)
    def test_what_is_not_json_has_no_compact_form(self, data):
        assert canonical.compact(data) is None

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b'{"a": 1, "b": [1, 2]}', b'{"a":1,"b":[1,2]}'),
            (b' { "a" :\t1\r\n}\n', b'{"a":1}'),
            (b'{"a b": "c  d\\" e : , f"}', b'{"a b":"c  d\\" e : , f"}'),
            (b'["\\\\", " "]', b'["\\\\"," "]'),
            (b'["\\\\\\"", " "]', b'["\\\\\\""," "]'),
            (b"[1.0, 1e-7, 1E+2, -0, 0.000001]", b"[1.0,1e-7,1E+2,-0,0.000001]"),
            (b"[1e999, 1.10]", b"[1e999,1.10]"),
            (b'["\\u00e9", "\xc3\xa9", "\\/"]', b'["\\u00e9","\xc3\xa9","\\/"]'),
            (b'"\\ud800"', b'"\\ud800"'),
            (b"[true, false, null]", b"[true,false,null]"),
            (b"null", b"null"),
            (b"{ }", b"{}"),
        ],
    )
    def test_only_insignificant_white_space_goes(self, data, text):
        assert canonical.compact(data) == text

    def test_a_number_of_any_length_is_a_token(self):
        digits = b"1" * 100_000

        assert canonical.compact(b"[ " + digits + b" ]") == b"[" + digits + b"]"

    def test_the_escaped_quotes_of_an_attack_are_kept(self):
        data = b'["' + b'\\"' * 1000 + b'", 1]'

        assert canonical.compact(data) == data.replace(b", ", b",")


def peak_of(function, data):
    """Return the most memory, in bytes, that a call holds at one time."""
    tracemalloc.start()
    try:
        function(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ATTACKS = {
    "quotes and backslashes": b'"\\',
    "brackets, quotes and backslashes": b'["\\',
    "backslashes": b"\\",
    "quotes": b'"',
    "escaped quotes in one string": b'\\"',
    "open arrays": b"[",
    "open objects": b'{"a":',
    "white space": b" ",
    "digits": b"1",
    "minus signs": b"-",
    "empty strings": b'"",',
    "commas": b",",
    "surrogates": b"\\ud800",
}


def seconds_for(function, data):
    """Return the processor time of the fastest of three calls, in seconds."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        function(data)
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.parametrize("frame", [(b"", b""), (b"[", b"]"), (b'["', b'"]')])
@pytest.mark.parametrize("unit", ATTACKS.values(), ids=ATTACKS)
class TestLinearTime:
    @staticmethod
    def bodies(unit, frame):
        start, end = frame
        return [start + unit * (size // len(unit)) + end for size in (65_536, 262_144)]

    def test_four_times_the_body_takes_about_four_times_as_long(self, unit, frame):
        small, large = (
            seconds_for(canonical.compact, body) for body in self.bodies(unit, frame)
        )

        # Quadratic time would be sixteen times as long, and take seconds.
        assert large <= 10 * small + 0.05

    def test_memory_is_a_small_multiple_of_the_body(self, unit, frame):
        small, large = (
            peak_of(canonical.compact, body) for body in self.bodies(unit, frame)
        )

        assert large <= 5 * small + 65_536


def test_a_failed_match_does_not_start_over_at_each_quote():
    # The strings' pattern backtracks over an unterminated string, once for each quote
    # in it. It is used on valid JSON alone; the pattern for the rest cannot fail.
    data = b'"' + b'\\"' * 5_000 + b"["

    assert canonical._MAYBE_STRING.sub(b"", canonical._ESCAPE.sub(b"", data)) == b""
    assert canonical.compact(data) is None


class TestMembers:
    def test_an_object_is_split_into_the_tokens_of_its_members(self):
        text = b'{"a":1.0,"\\u0062":{"c":[1,{"d":2}],"e":"}"},"":"\\","}'

        found = canonical.members(text)

        assert found == [
            canonical.Member("a", b'"a"', b"1.0"),
            canonical.Member("b", b'"\\u0062"', b'{"c":[1,{"d":2}],"e":"}"}'),
            canonical.Member("", b'""', b'"\\","'),
        ]
        assert canonical.join_members(found) == text

    def test_an_empty_object_has_none(self):
        assert canonical.members(b"{}") == []
        assert canonical.join_members([]) == b"{}"

    @pytest.mark.parametrize("value", [b"[]", b"{}", b"null", b'""', b"[[],{}]"])
    def test_a_value_may_be_anything(self, value):
        text = b'{"a":' + value + b',"b":' + value + b"}"

        assert [member.value_text for member in canonical.members(text)] == [value] * 2

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("a",), b'{"b":{"c":"d"},"e":[{"c":1}]}'),
            (("a", "b", "c"), b'"d"'),
            (("a", "x"), None),
            (("a", "x", "y"), None),
            (("a", "e", "c"), None),
            (("a", "b", "c", "d"), None),
            (("n",), b"null"),
        ],
    )
    def test_a_value_is_found_by_its_path(self, path, value):
        text = b'{"a":{"b":{"c":"d"},"e":[{"c":1}]},"n":null}'

        assert canonical.find_value(text, *path) == value

    @pytest.mark.parametrize("text", [b"[]", b"null", b'"a"', b"1"])
    def test_only_an_object_has_members(self, text):
        assert canonical.find_value(text, "a") is None


@pytest.mark.parametrize(
    ("received", "printed"),
    [
        (b'"\\u00e9"', '"é"'.encode()),
        (b'"\\ud83d\\ude00"', '"😀"'.encode()),
        (b'"\\/"', b'"/"'),
        (b'"\\u2028\\u2029"', b'"\xe2\x80\xa8\xe2\x80\xa9"'),
        (b'"\\u007f\\u0080"', b'"\x7f\xc2\x80"'),
        (b'"\\uD800"', b'"\\ud800"'),
        (b'"\\udfffx\\ud800"', b'"\\udfffx\\ud800"'),
        (b'"\\u000A\\u0009\\u0008\\u000C\\u000D"', b'"\\n\\t\\b\\f\\r"'),
        (b'"\\u000B\\u001F\\u0000"', b'"\\u000b\\u001f\\u0000"'),
        (b'"\\u0022\\u005c"', b'"\\"\\\\"'),
        (b'{"\\u00e9":[1.0,1e-7,"\\u0041"]}', '{"é":[1.0,1e-7,"A"]}'.encode()),
        (b'["plain","\xc3\xa9"]', b'["plain","\xc3\xa9"]'),
        (b"[1.0,-0,true]", b"[1.0,-0,true]"),
    ],
)
def test_strings_are_respelled_as_javascript_prints_them(received, printed):
    assert canonical.respell_strings(received) == printed
