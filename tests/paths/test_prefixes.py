"""Which targets `PathPrefixes` covers, by itself."""

from __future__ import annotations

import re
import string
import sys
import unicodedata

import pytest

from port_webhook import ConfigurationError
from port_webhook.integration import PathPrefixes

CASED = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if not "\ud800" <= character <= "\udfff"
    and len({character, character.lower(), character.upper(), character.casefold()}) > 1
]


def test_every_request_is_covered_without_arguments():
    assert PathPrefixes().covers(b"/any")
    assert PathPrefixes(None).covers(b"")
    assert PathPrefixes(exclude=[]).covers(b"/any")


@pytest.mark.parametrize(
    "path",
    [
        "/port",
        "/port/",
        "/port/a",
        "//port",
        "/./port",
        "/port//a",
        "/PORT",
        "/%70ort",
        "/%2570ort",
        "/%252570ort",
        "/port%2fa",
        "/a\\port",
        "/a/../port",
        "/a/%2e%2e/port",
        "/port/../a",
        "/../port",
        "/users/port",
        "/app/mnt/port",
        "/apport",  # Litestar takes the path of a mount off without its slash
        "/%25252525252541",
        "/port#a",
        "/port;a/b",
        "/port?a",
        "/port\\a",
        "/a#/port",
        "/a;/port",
        "/port%23",
        "/port%3B",
        "/port%20",
        "http://x/port",
        "http://x",
        "port",
        "*",
        "",
    ],
)
def test_a_prefix_covers_a_path_in_any_reading(path):
    assert PathPrefixes(["/port"]).covers(path.encode())


@pytest.mark.parametrize(
    "path", ["/", "/portal", "/por", "/por/t", "/%C3%BF", "/a;portal", "/health"]
)
def test_a_prefix_leaves_other_paths_alone(path):
    assert not PathPrefixes(["/port"]).covers(path.encode())


def test_the_segments_of_a_prefix_may_stand_apart_but_in_their_order():
    prefixes = PathPrefixes(("/a1/b", "/c/"))
    assert prefixes.covers(b"/a1/b/x")
    assert prefixes.covers(b"/x/a1/x/../b")
    assert prefixes.covers(b"/c")
    assert not prefixes.covers(b"/a1")
    assert not prefixes.covers(b"/b/a1")
    assert not prefixes.covers(b"/a1/xb")


@pytest.mark.parametrize(
    "path",
    [
        b"/port\n",
        b"/port%0a",
        b"/any\r",
        b"/%00",
        b"/a%7F/b",
        b"/po\xffrt",
        b"/port%c0",
        b"/any\xc3%BF",
        "/any\ufffd".encode(),
        "/any\u2028".encode(),
        "/any\u2029".encode(),
        "/any\x80".encode(),
        "/any\x85".encode(),  # an end of a line
        "/any\x9f".encode(),
        b"/any\x1f",
    ],
)
def test_a_path_that_routers_read_in_different_ways_is_covered_whatever_it_is(path):
    assert PathPrefixes(["/port"]).covers(path)


@pytest.mark.parametrize("path", ["/pört", "/PÖRT", "/P%C3%96RT"])
def test_a_prefix_covers_every_case_of_any_letter(path):
    assert PathPrefixes(["/pÖrt"]).covers(path.encode())


def test_case_is_ignored_as_widely_as_regular_expressions_do():
    """Django routes with ``(?i)`` are compiled with these rules."""
    everything = "".join(CASED)
    for character in CASED:
        matched = re.findall(re.escape(character), everything, re.IGNORECASE)
        prefix = PathPrefixes([f"/x{character}x"])
        for other in {*matched, character.lower(), character.upper()}:
            assert prefix.covers(f"/x{other}x".encode()), (
                unicodedata.name(character, character),
                other,
            )


def test_a_percent_sign_that_begins_no_escape_stays():
    assert not PathPrefixes(["/port"]).covers(b"/100%")
    assert PathPrefixes(["/100%"]).covers(b"/100%25")


def test_four_escapes_within_each_other_are_read_and_five_are_covered():
    assert not PathPrefixes(["/port"]).covers(b"/%25252561")
    assert PathPrefixes(["/port"]).covers(b"/%2525252561")


def test_a_prefix_may_be_escaped():
    assert PathPrefixes(["/%70ort"]).covers(b"/port")


@pytest.mark.parametrize(
    "path", ["/.well-known/port", "/.a/b", "/..a", "/.../a", "/a.", "/a../b"]
)
def test_a_dot_in_a_name_is_no_dot_segment(path):
    assert PathPrefixes([path]).covers(path.encode())
    assert not PathPrefixes(exclude=[path]).covers(path.encode())


def test_the_root_covers_every_path():
    assert PathPrefixes(["/"]).covers(b"/any")


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        (b"/ort", b"/p"),
        (b"rt", b"/po"),
        (b"/a", b"/p/ort"),
        (b"/ort/p", b"/p"),
        (b"/open", b"/p/ort/"),
        (b"/api/p/ort", b"/api"),
        (b"/apip/ort", b"/api"),
    ],
)
def test_a_prefix_may_begin_where_the_application_is_mounted(path, mount):
    assert PathPrefixes(["/p/ort"]).covers(path, mount=mount)


def test_every_form_of_a_path_counts():
    prefixes = PathPrefixes(["/port"])
    assert prefixes.covers(b"/open", b"/port")
    assert prefixes.covers(b"/open", b"/open", b"http://x/open")
    assert not prefixes.covers(b"/open", b"/open", b"/%6fpen", mount=b"/api")


# Exact paths that are not covered


@pytest.mark.parametrize("path", ["/health", "/", "/a/b/", "/a-b_c.d~e", "/@me"])
def test_exactly_an_excluded_path_is_not_covered(path):
    paths = PathPrefixes(exclude=[path, "/other"])
    exact = path.encode()
    assert not paths.covers(exact)
    assert not paths.covers(exact, exact)
    assert not paths.covers(b"/other")
    assert paths.covers(exact, b"/x")
    assert paths.covers(b"/x", exact)
    assert paths.covers(exact + b"/")
    assert paths.covers(b"/" + exact)
    assert paths.covers(exact + b"#")
    assert paths.covers(exact + b"?")
    assert paths.covers(exact + b";")
    assert paths.covers(b"http://x" + exact)
    assert paths.covers(b"")


@pytest.mark.parametrize("character", [chr(code) for code in range(128)])
def test_an_excluded_path_has_the_characters_of_a_plain_path(character):
    path = f"/a{character}b"
    plain = f"{string.ascii_letters}{string.digits}/._~!$&'()+,=:@-"
    if character in plain:
        assert not PathPrefixes(exclude=[path]).covers(path.encode())
    else:
        with pytest.raises(ConfigurationError, match="in exclude"):
            PathPrefixes(exclude=[path])


@pytest.mark.parametrize("path", [b"/HEALTH", b"/%68ealth", b"/health\n", b"/./health"])
def test_another_spelling_of_an_excluded_path_is_covered(path):
    assert PathPrefixes(exclude=["/health"]).covers(path)


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        (b"/api/health", b"/api"),
        (b"/health", b"/api"),
        (b"/apihealth", b"/api"),
        (b"/health", b"/health"),
    ],
)
def test_under_a_mount_each_form_must_be_excluded(path, mount):
    assert PathPrefixes(exclude=["/health"]).covers(path, mount=mount)
    assert PathPrefixes(exclude=["/api/health"]).covers(path, mount=mount)


@pytest.mark.parametrize("mount", [b"/api", b"/api/"])
@pytest.mark.parametrize("path", [b"/api/health", b"/health"])
def test_under_a_mount_a_path_is_excluded_in_both_forms(path, mount):
    paths = PathPrefixes(exclude=["/health", "/api/health"])
    assert not paths.covers(path, mount=mount)
    assert not paths.covers(path, b"/api/health", mount=mount)


def test_what_a_root_path_leaves_of_an_excluded_path_must_be_excluded():
    """Litestar takes a root path off wherever it stands."""
    paths = PathPrefixes(exclude=["/x/api/port", "/api/x/api/port"])
    assert paths.covers(b"/x/api/port", mount=b"/api")


@pytest.mark.parametrize(
    ("path", "mount", "rest"),
    [
        (b"/api/a/api/b", b"/api", "/a/api/b"),  # behind the first one
        (b"/api", b"/api", "/"),
        (b"/apiX/a", b"/apiX/", "/a"),
    ],
)
def test_a_mount_is_taken_off_once(path, mount, rest):
    paths = PathPrefixes(exclude=[path.decode(), rest])
    assert not paths.covers(path, mount=mount)
    assert PathPrefixes(exclude=[path.decode()]).covers(path, mount=mount)


# Arguments


def test_paths_and_exclude_exclude_each_other():
    with pytest.raises(ConfigurationError, match="not both"):
        PathPrefixes(["/port"], exclude=["/health"])
    with pytest.raises(ConfigurationError, match="not both"):
        PathPrefixes([], exclude=[])


@pytest.mark.parametrize("name", ["paths", "exclude"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/port", "collection of paths"),
        (b"/port", "collection of paths"),
        (1, "collection of paths"),
        (["port"], "begins with a slash"),
        ([""], "begins with a slash"),
        ([b"/port"], "begins with a slash"),
        ([None], "begins with a slash"),
        (["/a", "http://x/port"], "begins with a slash"),
        (["^/port"], "begins with a slash"),
        (["/a/../port"], "dot segments"),
        (["/./port"], "dot segments"),
        (["/port/.."], "dot segments"),
        (["/port?a=b"], "without"),
        (["/port#a"], "without"),
        (["/port;a"], "without"),
        (["/port/*"], "without"),
        (["/{org}/port"], "without"),
        (["/<org>/port"], "without"),
        (["/org{"], "without"),
        (["/org}"], "without"),
        (["/<org"], "without"),
        (["/org>"], "without"),
        (["/po\nrt"], "without"),
        (["/po\ud800rt"], "without"),
    ],
)
def test_what_is_no_path_is_refused(name, value, message):
    options = {"prefixes": value} if name == "paths" else {"exclude": value}
    with pytest.raises(ConfigurationError, match=message) as caught:
        PathPrefixes(**options)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prefixes": ["/a"], "exclude": ["/b"]},
            "Give paths or exclude, not both",
        ),
        (
            {"prefixes": []},
            (
                "paths is empty, so nothing would be verified; leave it out to verify "
                "every request"
            ),
        ),
        (
            {"prefixes": "/a"},
            'paths must be a collection of paths, such as ["/port"]',
        ),
        (
            {"exclude": "/a"},
            'exclude must be a collection of paths, such as ["/port"]',
        ),
        (
            {"prefixes": ["a"]},
            "Each path in paths must be text that begins with a slash",
        ),
        (
            {"exclude": ["/a/../b"]},
            "A path in exclude has dot segments: '/a/../b'",
        ),
        (
            {"prefixes": ["/a%2f..%2fb"]},
            "A path in paths has dot segments: '/a%2f..%2fb'",
        ),
        (
            {"prefixes": ["/a?b"]},
            (
                "A path in paths is a prefix, without a query, parameters, "
                "placeholders and control characters: '/a?b'"
            ),
        ),
        (
            {"exclude": ["/a b"]},
            (
                "A path in exclude must be one exact path in plain ASCII, without "
                "escapes, placeholders, a query and empty segments: '/a b'"
            ),
        ),
    ],
)
def test_the_error_says_what_to_write(options, message):
    with pytest.raises(ConfigurationError) as caught:
        PathPrefixes(**options)
    assert str(caught.value) == message


def test_a_middleware_can_ask_whether_every_request_is_covered():
    assert PathPrefixes().covers_all
    assert PathPrefixes(exclude=[]).covers_all
    assert not PathPrefixes(["/port"]).covers_all
    assert not PathPrefixes(exclude=["/health"]).covers_all


@pytest.mark.parametrize("prefix", ["/a%2f..%2fb", "/%2e%2e/b"])
def test_a_prefix_with_escaped_dot_segments_is_refused(prefix):
    with pytest.raises(ConfigurationError, match="dot segments"):
        PathPrefixes([prefix])


@pytest.mark.parametrize("prefix", ["/%25252525252541", "/%ff", "/%0a"])
def test_a_prefix_that_covers_every_strange_path_alone_is_refused(prefix):
    with pytest.raises(ConfigurationError, match="control characters"):
        PathPrefixes([prefix])


@pytest.mark.parametrize(
    "path", ["/é", "/%68ealth", "//health", "/a//b", "/a//", "/a b", "/a|b"]
)
def test_an_excluded_path_is_plain(path):
    with pytest.raises(ConfigurationError, match="plain ASCII"):
        PathPrefixes(exclude=[path])
