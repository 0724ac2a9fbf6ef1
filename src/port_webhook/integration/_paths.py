"""Which paths a middleware protects, however a request spells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_READINGS = 4
# Control characters, other ends of a line, and bytes that could not be decoded.
_STRANGE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Of a query, of a fragment, and of the patterns that frameworks have for routes.
_NOT_IN_PREFIX = re.compile(rf"[?#*{{}}<>]|{_STRANGE.pattern}")


class PathPrefixes:
    """The paths that a middleware protects.

    A prefix matches whole segments: ``/port`` covers ``/port``, ``/port/`` and
    ``/port/a``, not ``/portal``. A path is covered if any reading of it is: in any
    case, with escapes decoded once more, without empty segments, with backslashes as
    slashes, with dot segments kept or resolved. So is every path that holds a control
    character or is not UTF-8, for some routers ignore a line break at the end, or the
    bytes that they cannot decode. Whatever a framework
    makes of a path, a request is verified once too often rather than not at all.

    Args:
        prefixes: Such as ``["/port"]``; None covers every path.

    Raises:
        ConfigurationError: *prefixes* is empty, or not a collection of paths that
            begin with a slash; or one has dot segments, or is a pattern or a URL.
    """

    def __init__(self, prefixes: Iterable[str] | None) -> None:  # above
        self._prefixes: list[list[str]] | None = None
        if prefixes is None:
            return
        listed = None if isinstance(prefixes, str) else _listed(prefixes)
        if not listed:
            msg = "paths must be a collection of path prefixes, or None for every path"
            raise ConfigurationError(msg)
        self._prefixes = []
        for prefix in listed:
            text = prefix if isinstance(prefix, str) else ""
            *_, segments = _readings(text.encode("utf-8", "replace"))
            if (
                not text.startswith("/")
                or ".." in segments
                or _NOT_IN_PREFIX.search(text) is not None
            ):
                msg = (
                    "A path prefix must begin with a slash, and have no dot segments, "
                    "no query and no placeholders"
                )
                raise ConfigurationError(msg)
            self._prefixes.append(segments)

    def covers(self, path: bytes) -> bool:
        """Tell whether *path* is protected, as the server decoded it or as it came."""
        if self._prefixes is None:
            return True
        for count, segments in enumerate(_readings(path)):
            if any(_STRANGE.search(segment) is not None for segment in segments):
                return True
            for each in (segments, _resolve(segments)):
                if any(each[: len(prefix)] == prefix for prefix in self._prefixes):
                    return True
            if count == _MAX_READINGS:
                # Nobody escapes a path so often in good faith.
                return True
        return False


def _listed(values: Iterable[object]) -> list[object]:
    try:
        return list(values)
    except TypeError:
        return []


def _readings(path: bytes) -> Iterator[list[str]]:
    """Yield the segments of *path*, with its escapes decoded once more each time."""
    from urllib.parse import unquote_to_bytes

    for _ in range(_MAX_READINGS + 1):
        text = path.decode("utf-8", "surrogateescape").casefold()
        parts = text.replace("\\", "/").split("/")
        yield [part for part in parts if part not in {"", "."}]
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return
        path = decoded


def _resolve(segments: list[str]) -> list[str]:
    """Return *segments* without those that ``..`` takes back (RFC 3986, 5.2.4)."""
    resolved: list[str] = []
    for segment in segments:
        if segment != "..":
            resolved.append(segment)
        elif resolved:
            resolved.pop()
    return resolved
