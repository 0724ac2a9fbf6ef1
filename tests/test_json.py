"""`port_webhook._json`: strict JSON, and re-emission token by token."""

from __future__ import annotations

import json
import sys
import tracemalloc
from json.encoder import encode_basestring
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_webhook import _json
from port_webhook.exceptions import PayloadError


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
    pytest.param(b'["\\n\xff"' + b",[]" * 99 + b"]", id="not UTF-8, with brackets"),
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
    pytest.param(b"[" + b"[]," * 9999 + b"[]]", [[]] * 10_000, id="very many"),
]


READERS = {
    "parse": _json.parse,
    "require_json": _json.require_json,
    "read_object": lambda data: _json.read_object(data, {}),
}


class TestParse:
    @pytest.mark.parametrize(("data", "value"), ACCEPTED)
    def test_json_is_parsed(self, data, value):
        assert _json.parse(data) == value

    @pytest.mark.parametrize("read", READERS.values(), ids=READERS)
    @pytest.mark.parametrize(("data", "value"), ACCEPTED)
    def test_all_readers_accept_it(self, read, data, value):
        for inside in (data, b'{"a":' + data + b"}", b' {"b" : %b, "a" : 1 } ' % data):
            read(inside)

    @pytest.mark.parametrize("read", READERS.values(), ids=READERS)
    @pytest.mark.parametrize("data", REFUSED)
    def test_anything_else_is_a_payload_error(self, read, data):
        for inside in (data, b'{"a":' + data + b"}", b'{"b":%b,"a":1}' % data):
            if data.strip() or inside == data:
                with pytest.raises(PayloadError):
                    read(inside)

    @pytest.mark.parametrize("read", READERS.values(), ids=READERS)
    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"nope", "is not JSON"),
            (b'{"a":1} x', "is not JSON"),
            (b"{1:1}", "is not JSON"),
            (b'{"a":1]', "is not JSON"),
            (b"\xff", "is not UTF-8"),
            (b'{"a":1,"a":2}', "repeats a key"),
            (b"[NaN]", "holds NaN or Infinity, which are not JSON"),
            (nested(65), "is nested more than 64 levels deep"),
            (b"[[],[]," + nested(64) + b"]", "is nested more than 64 levels deep"),
            (b'["]",' * 65, "is nested more than 64 levels deep"),
            (b'["\\n\xff"' + b",[]" * 99 + b"]", "is not UTF-8"),
        ],
    )
    def test_the_error_says_what_is_wrong(self, read, data, problem):
        with pytest.raises(PayloadError) as caught:
            read(data)
        assert str(caught.value) == f"The payload {problem}."

    @pytest.mark.parametrize(
        "data",
        [b"[1e999]", b"[-1e999]", b"1" * 5_000, b"-" + b"1" * 1_000_000],
    )
    def test_only_a_value_that_is_used_has_a_largest_number(self, data):
        _json.require_json(data)
        _json.read_object(b'{"a":' + data + b"}", {})
        with pytest.raises(PayloadError) as caught:
            _json.parse(data)
        assert str(caught.value) == "The payload holds a number that is too large."

    @pytest.mark.parametrize("brackets", ["[]", "{}"])
    def test_sixty_four_levels_are_accepted(self, brackets):
        objects = b'{"a":' * 63 + b"{}" + b"}" * 63
        _json.parse(nested(64) if brackets == "[]" else objects)

    @pytest.mark.parametrize("read", READERS.values(), ids=READERS)
    def test_sixty_four_levels_are_accepted_among_more_brackets(self, read):
        inner = b"[]," * 99 + b"[" * 62 + b'"]]\\\\"' + b"]" * 62
        read(b'{"a":[' + inner + b"]}")
        with pytest.raises(PayloadError, match="64 levels"):
            read(b'{"a":[[' + inner + b"]]}")

    @pytest.mark.parametrize("data", [b'"\\"' + b"[" * 99, b'"' + b"[" * 99])
    def test_brackets_in_an_unterminated_string_are_no_depth(self, data):
        with pytest.raises(PayloadError, match="is not JSON"):
            _json.parse(data)

    def test_a_stack_that_is_nearly_used_up_is_a_payload_error(self):
        def descend(levels):
            return descend(levels - 1) if levels else _json.parse(nested(60))

        outcomes = set()
        for levels in range(sys.getrecursionlimit()):
            try:
                outcomes.add(type(descend(levels)))
            except PayloadError:
                outcomes.add(PayloadError)
            except RecursionError:  # the stack was used up before our function
                break

        assert outcomes <= {list, PayloadError}

    def test_a_recursion_error_is_a_payload_error(self, monkeypatch):
        class Shallow:
            def decode(self, _):
                raise RecursionError

        monkeypatch.setattr(_json, "_VALUES", Shallow())

        with pytest.raises(PayloadError) as caught:
            _json.parse(b"[]")
        assert str(caught.value) == (
            "The payload is nested too deep for the stack that is left."
        )


class TestStripWhiteSpace:
    @pytest.mark.parametrize(("data", "value"), ACCEPTED)
    def test_what_is_json_stays_the_same_document(self, data, value):
        assert json.loads(_json.strip_white_space(data)) == value

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b'{"a": 1, "b": [1, 2]}', b'{"a":1,"b":[1,2]}'),
            (b' { "a" :\t1\r\n}\n', b'{"a":1}'),
            (b'{"a b": "c  d\\" e : , f"}', b'{"a b":"c  d\\" e : , f"}'),
            (b'["\\\\", " "]', b'["\\\\"," "]'),
            (b'["\\\\\\"", " "]', b'["\\\\\\""," "]'),
            (b'["\\n \\/ \\u0020", " "]', b'["\\n \\/ \\u0020"," "]'),
            (b"[1.0, 1e-7, 1E+2, -0, 0.000001]", b"[1.0,1e-7,1E+2,-0,0.000001]"),
            (b"[1e999, 1.10]", b"[1e999,1.10]"),
            (b'["\\u00e9", "\xc3\xa9", "\\/"]', b'["\\u00e9","\xc3\xa9","\\/"]'),
            (b'"\\ud800"', b'"\\ud800"'),
            (b"[true, false, null]", b"[true,false,null]"),
            (b"null", b"null"),
            (b"{ }", b"{}"),
            # Not JSON, and not checked.
            (b"", b""),
            (b"[NaN, Infinity]", b"[NaN,Infinity]"),
            (b"[X, Y]", b"[X,Y]"),
            (b'{"a": 1, "a": 2', b'{"a":1,"a":2'),
            (b'[1, "cut off, ', b'[1,"cut off, '),
            (b'[1, "\xff \xfe", 2]', b'[1,"\xff \xfe",2]'),
            # Neither are they UTF-8, with escapes: no JSON becomes of it.
            (b'[1, "\xff\\n", 2]', b'[1, "\xff\\n", 2]'),
            (b'[1, "\xfe\\n", 2]', b'[1, "\xfe\\n", 2]'),
        ],
    )
    def test_only_insignificant_white_space_goes(self, data, text):
        assert _json.strip_white_space(data) == text

    def test_what_has_none_is_the_same_object(self):
        data = b'{"a b":"c, d\\n"}'
        assert _json.strip_white_space(data) is data

    def test_the_escaped_quotes_of_an_attack_are_kept(self):
        data = b'["' + b'\\"' * 1000 + b'", 1]'

        assert _json.strip_white_space(data) == data.replace(b", ", b",")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_any_document_is_stripped_to_its_compact_form(value, ascii_only, indent):
    def print_it(**layout):
        return json.dumps(value, ensure_ascii=ascii_only, **layout).encode()

    spaced = print_it(indent=indent, separators=(" ,\r", " : "))
    assert _json.strip_white_space(spaced) == print_it(separators=(",", ":"))


def peak_of(function, data):
    """Return the most memory, in bytes, that a call holds at one time."""
    tracemalloc.start()
    try:
        function(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def calls_of(function, data):
    """Return how many functions, of Python and of C, a call of *function* enters."""
    count = 0

    def profile(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(data)
    finally:
        sys.setprofile(before)
    return count


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
    "empty strings, spaced": b'"", ',
    "commas": b",",
    "surrogates": b"\\ud800",
    "bytes that are not UTF-8": b'"\xff \xfe" ',
}


@pytest.mark.parametrize("frame", [(b"", b""), (b"[", b"]"), (b'["', b'"]')])
@pytest.mark.parametrize("unit", ATTACKS.values(), ids=ATTACKS)
class TestLinearWork:
    """Each step is one of C that passes over its input once.

    So it is enough that the number of steps for each 8 KiB does not depend on the size.
    """

    @staticmethod
    def bodies(unit, frame):
        start, end = frame
        return [start + unit * (size // len(unit)) + end for size in (4096, 262_144)]

    def test_white_space_is_removed_in_a_number_of_steps(self, unit, frame):
        for body in self.bodies(unit, frame):
            pieces = 1 + len(body) // 8192
            assert calls_of(_json.strip_white_space, body) < 15 + 16 * pieces

    def test_memory_is_a_small_multiple_of_the_body(self, unit, frame):
        # A quote makes two parts of a list, of eight bytes each, for 8 KiB at a time.
        for body in self.bodies(unit, frame):
            peak = peak_of(_json.strip_white_space, body)
            assert peak <= 4 * len(body) + 524_288


class TestReadObject:
    KEYS: ClassVar = {"b": {"c": None}, "z": None}

    def test_members_are_parsed_with_their_numbers_as_text(self):
        found = _json.read_object(b'{"a":1.0,"\\u0061b":[1e7],"":null}', {})

        assert found is not None
        assert found.values == {"a": "1.0", "ab": ["1e7"], "": None}
        assert found.spans == {}

    @pytest.mark.parametrize(
        ("data", "rest"),
        [
            (b'{"a":1,"b":2,"z":3}', '{"a":1}'),
            (b'{"b":2,"a":{"b":1},"z":3}', '{"a":{"b":1}}'),
            (
                b'{ "b" : "," , "z" : [ ] , "a" : 1 , "y":" , " } ',
                '{"a" : 1 , "y":" , "}',
            ),
            (b'{"y":"b","b":"}","a":"\\"b\\":1"}', '{"y":"b","a":"\\"b\\":1"}'),
            (b'{"\\u0062":1}', "{}"),
            ('{"é":"é","b":1,"€":"\U0001f600"}'.encode(), '{"é":"é","€":"\U0001f600"}'),
            (b" {\n} ", "{}"),
        ],
    )
    def test_the_wanted_members_can_be_left_out(self, data, rest):
        found = _json.read_object(data, self.KEYS)

        assert found is not None
        assert found.without_spans() == rest

    @pytest.mark.parametrize("space", [" ", "\t", "\n", "\r"])
    def test_white_space_may_stand_between_all_tokens(self, space):
        twice = 2 * space
        tokens = ["{", '"b"', ":", "1", ",", '"a"', ":", "2", ",", '"z"', ":", "3", "}"]
        text = twice + twice.join(tokens) + twice
        found = _json.read_object(text.encode(), self.KEYS)

        assert found is not None
        assert found.values == {"b": "1", "a": "2", "z": "3"}
        assert found.without_spans() == f'{{"a"{twice}:{twice}2}}'

    def test_a_key_may_be_any_text(self):
        characters = [chr(each) for each in range(256)]
        printed = "".join(characters[32:])
        for key in ("", 'a"b"', "a\\", f"\n{printed}", printed, *characters):
            text = f'{{"one":1,{json.dumps(key)}:2}}'
            found = _json.read_object(text.encode(), {key: None})

            assert found is not None
            assert found.values == {"one": "1", key: "2"}
            assert found.without_spans() == '{"one":1}'

    def test_a_control_character_in_a_key_is_refused(self):
        for control in map(chr, range(32)):
            for key in (control, f"a{control}", f"\\n{control}"):
                with pytest.raises(PayloadError):
                    _json.read_object(f'{{"{key}":1}}'.encode(), {})

    def test_the_members_of_a_member_are_found_too(self):
        found = _json.read_object(b"[1]", self.KEYS)
        assert found is None
        text = ' {"b" : {"c":1 , "d":"x"}, "e":{"c":2}}'
        found = _json.read_object(text.encode(), self.KEYS)

        assert found is not None
        inner = found.values["b"]
        assert (inner.values, found.values["e"]) == ({"c": "1", "d": "x"}, {"c": "2"})
        assert text[inner.start : inner.end] == '{"c":1 , "d":"x"}'
        assert inner.without_spans() == '{"d":"x"}'
        assert found.text is inner.text
        start, end = found.spans["b"]
        assert text[start:end] == '"b" : {"c":1 , "d":"x"}'

    @pytest.mark.parametrize("value", ["[]", "null", '"x"', "1", "true", "{}"])
    def test_a_value_of_any_kind_is_left_out(self, value):
        text = f'{{"a":{value},"b":{value},"c":{value}}}'
        found = _json.read_object(text.encode(), self.KEYS)

        assert found is not None
        assert found.without_spans() == f'{{"a":{value},"c":{value}}}'

    @pytest.mark.parametrize(
        "data",
        [
            b'{"a"}',
            b'{"a" 1}',
            b'{"a":}',
            b'{"a":1 "b":2}',
            b'{"a":1;"b":2}',
            b'{"a":1,}',
            b'{,"a":1}',
            b'{"a":1,,"b":2}',
            b'{"a":1]',
            b'{"a":1',
            b'{"a":1 ',
            b'{"a":1,',
            b'{"a":1, ',
            b'{"a":',
            b'{"a"',
            b'{"a',
            b'{"a\\',
            b"{",
            b"{ ",
            b"{1:1}",
            b"{'a':1}",
            b'{"a":1}}',
            b'{"a":1} x',
            b'{"a\n":1}',
            b'{"a\\\n":1}',
            b'{"\\x":1}',
            b'{"\\u00":1}',
            b'{"b":{"c":1,"c":2}}',
            b'{"b":{"c":1},"b":2}',
            b'{"b":{"c":1,}}',
            b'{"b":{"c":NaN}}',
            b'{"b":{',
        ],
    )
    def test_it_is_as_strict_as_the_parser(self, data):
        for read in (_json.parse, lambda data: _json.read_object(data, self.KEYS)):
            with pytest.raises(PayloadError):
                read(data)


# No method: Hypothesis keeps the first object that it is called on.
@given(st.binary() | st.text(alphabet=' {}[]",:\\ab1u0\n').map(str.encode))
def test_read_object_accepts_what_the_parser_accepts(data):
    def accepts(read):
        try:
            read(data)
        except PayloadError:
            return False
        return True

    wanted = accepts(lambda data: _json.read_object(data, TestReadObject.KEYS))
    assert accepts(_json.require_json) is wanted


@pytest.mark.parametrize(
    ("received", "printed"),
    [
        (b'"\\u00e9"', '"é"'.encode()),
        (b'"\\ud83d\\ude00"', '"😀"'.encode()),
        (b'"\\/"', b'"/"'),
        (b'"\\u2028\\u2029"', b'"\xe2\x80\xa8\xe2\x80\xa9"'),
        (b'"\\u007f\\u0080"', b'"\x7f\xc2\x80"'),
        (b'"\\uD800"', b'"\\ud800"'),
        (b'"\\uDFFFx\\ud800"', b'"\\udfffx\\ud800"'),
        (b'["\\uD83D","\\ude00"]', b'["\\ud83d","\\ude00"]'),
        (b'"\\u000A\\u0009\\u0008\\u000C\\u000D"', b'"\\n\\t\\b\\f\\r"'),
        (b'"\\u000B\\u001F\\u0000"', b'"\\u000b\\u001f\\u0000"'),
        (b'"\\u0022\\u005c"', b'"\\"\\\\"'),
        (b'"\\\\u0041\\u0041\\\\\\""', b'"\\\\u0041A\\\\\\""'),
        (b'{"\\u00e9": [1.0, 1e-7, "\\u0041"]}', '{"é":[1.0,1e-7,"A"]}'.encode()),
    ],
)
def test_strings_are_then_spelled_as_javascript_prints_them(received, printed):
    assert list(_json.spellings(received)) == [
        _json.strip_white_space(received),
        printed,
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'"\xff\\n"',
        b'["plain","\xc3\xa9"]',
        b"[1.0,-0,true]",
        b'"\\n\\"\\\\"',
        b'"\\ud800"',
    ],
)
def test_what_javascript_prints_the_same_is_given_once(data):
    assert list(_json.spellings(data)) == [data]


def test_a_rare_surrogate_far_from_the_beginning_is_printed():
    text = '{"a":"' + "x" * 9000 + '\\u00e9","b":"\\ud83d\\ude00\\uDE00"}'
    *_, last = _json.spellings(text.encode())
    assert last.decode() == '{"a":"' + "x" * 9000 + 'é","b":"😀\\ude00"}'


def test_what_has_only_escapes_that_javascript_prints_too_is_given_once():
    data = b'{"a":"' + b'\\\\u0041\\\\u00e9\\\\\\"\\n' * 9 + b'"}'
    assert list(_json.spellings(data)) == [data]


@pytest.mark.parametrize(
    ("escaped", "printed"),
    [
        ("\\u0041\\u007f\\/", "A\x7f/"),
        ("\\u0022\\u005c\\u005C\\u0000", '\\"\\\\\\\\\\u0000'),
        ("\\ud83d\\ude00\\ude00\\ud83d", "😀\\ude00\\ud83d"),
        # Low surrogates of each kind, with capitals and without.
        (r"\uD83D\uDC00\uD83D\uDD00\uD83D\uDE00\uD83D\uDF00", "🐀🔀😀🜀"),
        (r"\ud83d\uDc00\ud83d\udd00\ud83d\ude00\ud83d\udf00", "🐀🔀😀🜀"),
        ("\\u00E9\\u4e2d\\u2028", "é中\u2028"),
        ("\\\\u00e9\\\\\\u00e9", "\\\\u00e9\\\\é"),
        ("é\\u00e9", "éé"),
    ],
)
@pytest.mark.parametrize("size", [1, 8192, 100_000])
def test_long_strings_are_printed_alike_wherever_they_are_cut(escaped, printed, size):
    count = size // len(escaped) + 1
    for shift in range(len(escaped.encode())):
        before = '{"' + "x" * shift + '": [1, "'
        data = f'{before}{escaped * count}", "", "{escaped}"]}}'
        *_, last = _json.spellings(data.encode())
        wanted = f'{before}{printed * count}","","{printed}"]}}'.replace(
            ": [1, ", ":[1,"
        )
        assert last.decode() == wanted


escapes = st.sampled_from(
    [
        *(r"\\", r"\"", r"\/", r"\n", r"\u000B", r"\u0022", r"\u005C", r"\u00e9"),
        *(r"\u4E2D", r"\uD83D", r"\ude00", r"\ude00", "u0041", " ", "é", "😀", "x"),
    ]
)
spelled = st.lists(escapes).map("".join)


@given(st.lists(spelled), st.sampled_from([1, 2, 3, 7, 8192]))
def test_pieces_of_any_size_make_the_same_text(strings, size):
    usual, _json._PIECE = _json._PIECE, size
    try:
        data = " , ".join(f'"{each}"' for each in strings)
        texts = list(_json.spellings(f" [ {data} ]".encode()))
    finally:
        _json._PIECE = usual
    bare = "[" + ",".join([f'"{each}"' for each in strings]) + "]"
    printed = [encode_basestring(json.loads(f'"{each}"')) for each in strings]
    last = f"[{','.join(printed)}]".encode("utf-8", "backslashreplace")
    assert texts[0] == bare.encode()
    assert texts == ([last] if last == texts[0] else [texts[0], last])
