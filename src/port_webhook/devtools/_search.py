"""Search for what was signed, and so prove what happened to it.

The body with one or two changes undone is tried under each timestamp, MAC and secret
that may be meant. A match of the MAC proves the changes. The search goes from few
changes to many, so that it finds the simplest explanation, and it is bounded.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from port_webhook._json import strip_white_space
from port_webhook._kafka_message import read_message
from port_webhook._signature import SIGNATURE_HEADER, match_signature
from port_webhook.devtools._causes import cause
from port_webhook.devtools._headers import Stamp
from port_webhook.devtools._undo import Undone, undo
from port_webhook.exceptions import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from port_webhook.devtools._causes import Cause
    from port_webhook.devtools._headers import Facts, Pairs
    from port_webhook.devtools._secrets import Key

    Changes = tuple[Undone, ...]
    Bodies = Sequence[tuple[bytes, Changes]]
    # Returns the texts of which one was signed, if a body is the right one.
    Forms = Callable[[bytes], Iterable[bytes]]

__all__ = ["Found", "Search", "find_message", "read_forms"]

# What one search may cost: so many MACs, over so many bytes in all.
_MAX_MACS = 20_000
_MAX_BYTES = 128 * 1024 * 1024
# Of a larger body no changes are undone, in bytes.
_MAX_UNDO = 4 * 1024 * 1024
# Changes that are looked for together; those of the headers are not counted.
_MAX_CHANGES = 3
_SECONDS = 10
_SIGNATURE_KEY = re.compile(rb'"x[-_]?port[-_]?signature"', re.IGNORECASE)
_TIMESTAMP_KEY = re.compile(rb'"x[-_]?port[-_]?timestamp"', re.IGNORECASE)
# Every body may lack a line break, or have been printed in twenty ways: of these, only
# the likeliest is tried with each millisecond.
_MAX_LIKELY = 6
_MANY = ("newline_removed", "text_reencoded", "truncated")
_NO_ORDER = ("reserialised", "truncated", "newline_removed")
_RENAMED = "The message has the two keys of the signature in another spelling."


_LOST_MILLIS = cause(
    "timestamp_changed",
    "The timestamp was changed: 10 digits arrived (seconds), 13 were signed "
    "(milliseconds).",
)


class Found(NamedTuple):
    """What was signed, and when; and what is wrong with what arrived."""

    stamp: str
    causes: list[Cause]


class _ExhaustedError(Exception):
    """The search has cost as much as it may."""


def find_message(body: bytes) -> Pairs | None:
    """Return the headers of the Kafka message in *body*, which may be wrapped."""
    if len(body) > _MAX_UNDO:
        return None
    for candidate in (body, *(each.body for each in _undo_message(body))):
        if _SIGNATURE_KEY.search(candidate) is not None:
            try:
                _, pairs = read_message(candidate, sys.maxsize)
            except DeliveryError:
                continue
            if any(name == SIGNATURE_HEADER for name, _ in pairs):
                return [
                    (name, value if isinstance(value, str) else str(value))
                    for name, value in pairs
                ]
    return None


def read_forms(body: bytes) -> Iterable[bytes]:
    """Return the texts of which one was signed, if *body* is a Kafka message."""
    try:
        forms, _ = read_message(body, sys.maxsize)
    except DeliveryError:
        return ()
    return forms.candidates


def _undo_message(body: bytes, *, done: Collection[str] = ()) -> Iterator[Undone]:
    """Yield what a message may have been: with keys as they were, or unwrapped."""
    renamed = _SIGNATURE_KEY.sub(b'"X-Port-Signature"', body)
    renamed = _TIMESTAMP_KEY.sub(b'"X-Port-Timestamp"', renamed)
    if renamed != body:
        yield Undone(body, renamed, "renamed_header", _RENAMED)
    yield from undo(body, done=done)


def _is_likely(changes: Changes) -> bool:
    """Tell whether what may be undone shows in the body that arrived."""
    for each in changes:
        if each.code in _MANY:
            return False
        if each.code == "reserialised":
            return each.body == strip_white_space(each.arrived)
    return True


class Search:
    """The search for what was signed."""

    def __init__(
        self, body: bytes, facts: Facts, keys: Sequence[Key], forms: Forms
    ) -> None:
        self._body = body
        self._stamps = facts.stamps
        self._macs = facts.macs
        self._keys = keys
        self._plain = [each for each in keys if not each.causes]
        self._forms = forms
        self._undo = undo if forms is not read_forms else _undo_message
        self._spent_macs = 0
        self._spent_bytes = 0
        self._levels: list[list[tuple[bytes, Changes]]] = [[(body, ())]]
        self._seen = {hash(body)}

    def run(self) -> Found | None:
        """Return the simplest explanation; None if there is none within bounds."""
        if not self._macs or not self._stamps:
            return None
        try:
            for total in range(_MAX_CHANGES + 1):
                found = self._try_total(total)
                if found is None and total in (1, 2):
                    bodies = self._level(total - 1)
                    found = self._try_millis(bodies) or self._try_orders(bodies)
                if found is not None:
                    return found
        except _ExhaustedError:
            pass
        return None

    def _try_total(self, total: int) -> Found | None:
        """Try all that differs by *total* changes from what arrived."""
        # Three changes at once are looked for if only one of them is the body's.
        for level in range(min(total, 2) + 1 if total < _MAX_CHANGES else 2):
            for stamp in self._stamps:
                count = total - level - len(stamp.causes)
                keys = [each for each in self._keys if len(each.causes) == count]
                if not keys:
                    continue
                for body, changes in self._level(level):
                    found = self._try(body, changes, stamp, keys)
                    if found is not None:
                        return found
        return None

    def _try_orders(self, bodies: Bodies) -> Found | None:
        """Try other orders of keys, of which there are many."""
        for body, changes in bodies if len(self._body) <= _MAX_UNDO else ():
            if all(each.code not in _NO_ORDER for each in changes):
                for undone in undo(body, orders=True):
                    found = self._try_plain(undone.body, (*changes, undone))
                    if found is not None:
                        return found
        return None

    def _try_millis(self, bodies: Bodies) -> Found | None:
        """Try the milliseconds that a timestamp may have lost."""
        likely = [each for each in bodies if _is_likely(each[1])][:_MAX_LIKELY]
        for body, changes in likely:
            for stamp in self._stamps:
                if len(stamp.text) == _SECONDS and not stamp.causes:
                    for millis in range(1, 1000):
                        each = Stamp(f"{stamp.text}{millis:03d}", (_LOST_MILLIS,))
                        found = self._try(body, changes, each, self._plain)
                        if found is not None:
                            return found
        return None

    def _try_plain(self, body: bytes, changes: Changes) -> Found | None:
        for stamp in self._stamps:
            if not stamp.causes:
                found = self._try(body, changes, stamp, self._plain)
                if found is not None:
                    return found
        return None

    def _level(self, level: int) -> Bodies:
        """Return the bodies of which *level* changes are undone."""
        if len(self._body) > _MAX_UNDO:
            return self._levels[0] if level == 0 else ()
        while len(self._levels) <= level:
            deeper: list[tuple[bytes, Changes]] = []
            for body, changes in self._levels[-1]:
                codes = {each.code for each in changes}
                for undone in self._undo(body, done=codes):
                    if hash(undone.body) not in self._seen:
                        self._seen.add(hash(undone.body))
                        deeper.append((undone.body, (*changes, undone)))
                        self._spend(0, len(undone.body))
            self._levels.append(deeper)
        return self._levels[level]

    def _try(
        self, body: bytes, changes: Changes, stamp: Stamp, keys: Sequence[Key]
    ) -> Found | None:
        macs = [each.mac for each in self._macs]
        text = stamp.text.encode("ascii")
        contexts = [each.key for each in keys]
        for signed in self._forms(body):
            self._spend(len(keys), len(signed) * len(keys))
            index = match_signature(contexts, text, macs, signed)
            if index is None:
                continue
            presented = next(
                each
                for each in self._macs
                if match_signature(contexts, text, [each.mac], signed) is not None
            )
            causes = [*presented.causes, *stamp.causes, *keys[index].causes]
            return Found(stamp.text, [*causes, *(each.cause for each in changes)])
        return None

    def _spend(self, macs: int, size: int) -> None:
        self._spent_macs += macs
        self._spent_bytes += size
        if self._spent_macs > _MAX_MACS or self._spent_bytes > _MAX_BYTES:
            raise _ExhaustedError
