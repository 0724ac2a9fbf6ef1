"""Decide which requests a middleware verifies, for any spelling of a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PathPrefixes"]

_MAX_DECODINGS = 4
# Control characters, other ends of a line, and bytes that could not be decoded.
_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")
# Of a query, of parameters, of a fragment, and of the patterns of frameworks' routes.
_NOT_IN_PREFIX = re.compile("[?#;*{}<>]")
_DOTS = re.compile(r"[/\\]\.\.?(?![^/\\])")
# RFC 3986, section 3.3, without escapes, parameters and what stands for a pattern.
_EXACT = re.compile(r"(?:/[A-Za-z0-9._~!$&'()+,=:@-]+)+/?|/")
# What may end a segment: urllib cuts at each of the last three, Windows at the second.
_SEPARATORS = re.compile(r"[/\\?#;]")


class PathPrefixes:
    """The requests that a middleware verifies.

    With prefixes, a request is covered if any reading of its target could reach one
    of them. The segments of a prefix may stand anywhere in it, in this order: a server
    or a framework may remove what is before, between or after them (a root path, dot
    segments, parameters). Escapes count as decoded, backslashes as slashes, and case
    is ignored in the widest sense. What routers read in different ways is covered
    whatever it is: a target that does not begin with a slash, control characters,
    bytes that are not UTF-8, escapes within escapes within escapes. When in doubt,
    the path is protected: ``/port`` covers ``/port/a``, ``/users/port`` and ``/PORT``,
    not ``/portal``.

    With *exclude*, every request is covered except to exactly these paths. Each form
    of a request's path must be listed, byte for byte.

    Args:
        prefixes: Such as ``["/port"]``; None covers every path.
        exclude: Such as ``["/health"]``; in place of *prefixes*.

    Raises:
        ConfigurationError: Both are given; *prefixes* is empty; or one of them is not
            a collection of paths that begin with a slash, or has a path with dot
            segments, with a query or a pattern; or *exclude* has one that is not
            plain ASCII.
    """

    @boundary
    def __init__(
        self,
        prefixes: Iterable[str] | None = None,
        *,
        exclude: Iterable[str] | None = None,
    ) -> None:
        self._prefixes: list[list[str]] | None = None
        self._excluded = frozenset[bytes]()
        if prefixes is not None and exclude is not None:
            raise ConfigurationError("Give paths or exclude, not both")
        if prefixes is not None:
            self._prefixes = [_read_prefix(each) for each in _listed("paths", prefixes)]
            if not self._prefixes:
                raise ConfigurationError(
                    "paths is empty, so nothing would be verified; leave it out to "
                    "verify every request"
                )
        if exclude is not None:
            paths = _listed("exclude", exclude)
            self._excluded = frozenset(_read_exact(each) for each in paths)

    @property
    def covers_all(self) -> bool:
        """Whether every request must be verified."""
        return self._prefixes is None and not self._excluded

    def covers(self, path: bytes, *others: bytes, mount: bytes = b"") -> bool:
        """Tell whether a request must be verified.

        Args:
            path: Its path as the server decoded it.
            others: Other forms in which the server gives it: as it came, without the
                query.
            mount: Where the application is mounted: ``root_path`` or ``SCRIPT_NAME``,
                which servers leave in the path or take off.
        """
        forms = {path, *others}
        mount = mount.rstrip(b"/")
        if mount:
            forms.update([form for each in forms for form in _moved(each, mount)])
        if self._prefixes is None:
            return not forms <= self._excluded
        return any(_reaches(form, self._prefixes) for form in forms)


def _moved(path: bytes, mount: bytes) -> Iterator[bytes]:
    """Yield *path* with *mount* before it, and what frameworks keep without it."""
    if not path.startswith(mount):
        yield mount + path
    if mount in path:
        # Litestar takes a root path off wherever it stands.
        yield path.split(mount, 1)[1] or b"/"


def _reaches(path: bytes, prefixes: list[list[str]]) -> bool:
    if not path.startswith(b"/"):
        return True  # RFC 9112, section 3.2.2: "http://host/port", or nothing known
    text = _decode(path)
    if text is None:
        return True
    segments = _segments(text)
    return any(_in_order(prefix, segments) for prefix in prefixes)


def _decode(path: bytes) -> str | None:
    """Decode *path* until no escape is left; return None if anything is strange."""
    for _ in range(_MAX_DECODINGS + 1):
        text = path.decode("utf-8", "surrogateescape")
        if _STRANGE.search(text) is not None:
            return None
        if b"%" not in path:
            return text
        from urllib.parse import unquote_to_bytes

        decoded = unquote_to_bytes(path)
        if decoded == path:
            return text
        path = decoded
    return None  # nobody escapes a path so often in good faith


def _segments(text: str) -> list[str]:
    return [part.strip() for part in _SEPARATORS.split(_fold(text))]


def _fold(text: str) -> str:
    """Return what all texts have in common that differ in case alone.

    For `re.IGNORECASE`, U+0131 and U+0130 (dotless i, I with a dot) are cases of ``i``.
    The first becomes it in upper case, the second in two characters.
    """
    if text.isascii():
        return text.lower()
    return text.upper().casefold().replace("i\u0307", "i")


def _in_order(wanted: list[str], segments: list[str]) -> bool:
    """Tell whether all that is *wanted* occurs in *segments*, in its order.

    The first may be the end of one: Litestar routes ``/apiport`` to ``/port`` of what
    is mounted at ``/api``.
    """
    found = iter(segments)
    return not wanted or (
        any(each.endswith(wanted[0]) for each in found)
        and all(each in found for each in wanted[1:])
    )


def _listed(name: str, values: Iterable[str]) -> list[str]:
    """Return the paths in *values*, each of which is text with a slash before it."""
    try:
        listed = None if isinstance(values, (str, bytes)) else list[object](values)
    except TypeError:
        listed = None
    if listed is None:
        raise ConfigurationError(
            f'{name} must be a collection of paths, such as ["/port"]'
        )
    for each in listed:
        if not isinstance(each, str) or not each.startswith("/"):
            raise ConfigurationError(
                f"Each path in {name} must be text that begins with a slash"
            )
        if _DOTS.search(each) is not None:
            raise ConfigurationError(f"A path in {name} has dot segments: {each!r}")
    return cast("list[str]", listed)


def _read_prefix(prefix: str) -> list[str]:
    text = _decode(prefix.encode("utf-8", "surrogatepass"))
    if text is None or _NOT_IN_PREFIX.search(prefix) is not None:
        raise ConfigurationError(
            "A path in paths is a prefix, without a query, parameters, placeholders "
            f"and control characters: {prefix!r}"
        )
    if _DOTS.search(text) is not None:
        raise ConfigurationError(f"A path in paths has dot segments: {prefix!r}")
    return [part for part in _segments(text) if part]


def _read_exact(path: str) -> bytes:
    if _EXACT.fullmatch(path) is None:
        raise ConfigurationError(
            "A path in exclude must be one exact path in plain ASCII, without escapes, "
            f"placeholders, a query and empty segments: {path!r}"
        )
    return path.encode("ascii")
