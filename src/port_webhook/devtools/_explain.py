"""Find out why a delivery does not verify."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from port_webhook._arguments import read_body, read_instant
from port_webhook._json import require_json, strip_white_space
from port_webhook._signature import check_window, read_timestamp
from port_webhook._tracebacks import boundary
from port_webhook.devtools._causes import Cause, Explanation, cause
from port_webhook.devtools._headers import find_header, read_facts, read_pairs
from port_webhook.devtools._search import Search, find_message, read_forms
from port_webhook.devtools._secrets import Candidate, read_candidates, read_keys
from port_webhook.devtools._undo import gunzip, is_cut, unwrap
from port_webhook.exceptions import (
    MalformedHeaderError,
    PayloadError,
    TimestampError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from port_webhook._signature import Headers
    from port_webhook._verifier import Body
    from port_webhook.devtools._headers import Facts, Pairs
    from port_webhook.devtools._secrets import Key

__all__ = ["diagnose", "explain"]

_MAX_AGE, _MAX_FUTURE = 300.0, 60.0
_MAX_DIGITS = 12
# A clock that is wrong by more than a day is rarer than a delivery that was kept.
_LONG_AGO = 86_400
# With these no signature can be expected to match.
_EXPLAINING = frozenset(
    ("gzip_body", "hex_signature", "secret_quoted", "secret_whitespace", "truncated")
)
_KAFKA = "The body is a message of Kafka's runs topic: the signature is inside it."
_HTTP = "The signature is in headers beside the body, as with HTTP, not inside it."


@boundary
def explain(
    body: Body,
    headers: Headers,
    secrets: (str | bytes | Sequence[str | bytes] | Mapping[str, str | bytes]),
    *,
    now: float | datetime | None = None,
) -> Explanation:
    """Say why a delivery over HTTP does not verify, and what to do.

    The window is that of a Verifier without options: 300 s back, 60 s ahead.

    Args:
        body: The raw bytes as they arrived, or text, which is taken as UTF-8.
        headers: All headers, as any mapping or iterable of pairs.
        secrets: The client secret; or several, of which the first is the one that is
            configured, and the others are candidates. A mapping gives them names.
        now: When the delivery arrived, in seconds since the epoch, or an aware
            datetime; the current time if None.

    Returns:
        Whether it verifies, and each cause that was found if not. A cause that is
        proven has a recomputed MAC or a parsed header behind it.

    Raises:
        UnreadableBodyError: *body* is not the raw bytes.
        ConfigurationError: There is no secret, more than 64, or one that is none; or
            *now* is no time.
    """
    return diagnose(
        read_body(body, sys.maxsize), headers, read_candidates(secrets), now=now
    )


def diagnose(
    body: bytes,
    headers: object,
    candidates: Sequence[Candidate],
    *,
    now: object = None,
    kafka: bool = False,
) -> Explanation:
    """Do what `explain` does; *kafka* if the delivery is a message of Kafka."""
    instant = time.time() if now is None else read_instant(now, "now")
    keys = read_keys(candidates)
    try:
        pairs = read_pairs(headers)
    except MalformedHeaderError as error:
        broken = cause(error.code, str(error))
        return Explanation(verified=False, causes=(broken,))
    facts = read_facts(pairs)
    causes: list[Cause] = []
    message = find_message(body) if kafka or not facts.macs else None
    if message is not None:
        if not kafka:
            causes.append(cause("kafka_form", _KAFKA))
        facts, kafka = read_facts(message), True
    elif kafka and facts.macs:
        causes.append(cause("http_form", _HTTP))
        kafka = False
    forms = read_forms if kafka else _as_it_is
    found = Search(body, facts, keys, forms).run()
    if found is None:
        causes += [*facts.causes, *_signs(body, pairs, facts, keys)]
        stamp = facts.stamps[0].text if facts.stamps else None
    else:
        # Each header was found, under whatever name.
        there = [each for each in facts.causes if each.code != "missing_header"]
        causes += [*there, *found.causes, *_damages(keys)]
        if found.causes:  # else what looks like a part of a stream was signed as it is
            causes += _cut_stream(body)
        stamp = found.stamp
    if stamp is not None:
        causes += _check_time(stamp, instant)
    verified = found is not None and not causes
    return Explanation(verified, _merge(causes))


def _as_it_is(body: bytes) -> Iterator[bytes]:
    yield body


def _signs(
    body: bytes, pairs: Pairs, facts: Facts, keys: Sequence[Key]
) -> Iterator[Cause]:
    """Yield what can be seen, although no MAC matches."""
    signs = [*_damages(keys), *_cut_stream(body)]
    encoding = find_header(pairs, "content-encoding")
    if gunzip(body) is not None and encoding not in (None, "identity"):
        words = "The body is compressed, and Content-Encoding says so."
        signs.append(cause("gzip_body", words))
    missing = _count_missing(body, pairs)
    if missing > 0:
        noun = "byte is" if missing == 1 else "bytes are"
        words = f"The body was cut: {missing} {noun} missing, by Content-Length."
        signs.append(cause("truncated", words))
    yield from signs
    missing_header = any(each.code == "missing_header" for each in facts.causes)
    if facts.macs and facts.stamps and not missing_header:
        codes = [each.code for each in (*facts.causes, *signs)]
        yield from _guess(body, codes, max(-missing, 0))


def _guess(body: bytes, found: Sequence[str], surplus: int) -> Iterator[Cause]:
    """Yield what the body looks like; if it is nothing known, say so."""
    wrapped = unwrap(body)
    if wrapped is not None and wrapped.code not in found:
        yield wrapped
    elif is_cut(body) and "truncated" not in found:
        words = "The body seems to be cut: its JSON does not end."
        yield cause("truncated", words, proven=False)
    elif not _EXPLAINING.intersection(found):
        yield cause("unknown", _describe_unknown(body, surplus), proven=False)


def _damages(keys: Sequence[Key]) -> Iterator[Cause]:
    """Yield what is wrong with the configured secret, whether it matches or not."""
    for key in keys:
        if key.damaged:
            yield from key.causes


def _cut_stream(body: bytes) -> Iterator[Cause]:
    inflated = gunzip(body)
    if inflated is not None and not inflated[1]:
        words = "The body was cut: the compressed data in it does not end."
        yield cause("truncated", words)


def _describe_unknown(body: bytes, surplus: int) -> str:
    words = "No signature matches, and no known change of the body, the timestamp or "
    words += "the secret makes one match. "
    if surplus:
        noun = "byte" if surplus == 1 else "bytes"
        words += f"The file holds {surplus} {noun} more than Content-Length says: the "
        words += "body was changed after the header was written, or the file holds a "
        return words + "second request."
    if not body:
        return words + "The body is empty."
    try:
        require_json(body)
    except PayloadError as error:
        problem = str(error).removeprefix("The payload ")
        return words + f"The body {problem}"
    if strip_white_space(body) != body:
        words += "The body is JSON with white space in it, which Port does not send."
        return words
    return words + "The body is JSON as Port prints it, so the secret may be another."


def _count_missing(body: bytes, pairs: Pairs) -> int:
    """Return how many bytes Content-Length promises beyond those of *body*.

    The number is negative if *body* has more.
    """
    text = find_header(pairs, "content-length") or ""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        return 0
    return int(text) - len(body)


def _check_time(stamp: str, now: float) -> Iterator[Cause]:
    try:
        check_window(read_timestamp(stamp), now, _MAX_AGE, _MAX_FUTURE)
    except TimestampError as error:
        ago = _say(abs(error.age))
        if error.age > 0:
            words = f"It was signed {ago} ago; at most {_MAX_AGE:g} s are accepted."
            if error.age < _LONG_AGO:
                words += f" If it is new, the clock here is ahead, by about {ago}."
        else:
            words = f"It was signed {ago} ahead of the clock here; at most "
            words += f"{_MAX_FUTURE:g} s are accepted. So this clock is behind, or the "
            words += f"sender's ahead, by about {ago}."
        yield cause(error.code, words)


def _say(seconds: float) -> str:
    """Return a duration in the two units that say most of it."""
    left = round(seconds)
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "less than 1 s"


def _merge(causes: list[Cause]) -> tuple[Cause, ...]:
    """Return one cause for each code, with all that was said of it."""
    merged: dict[str, Cause] = {}
    for each in causes:
        known = merged.get(each.code)
        if known is None:
            merged[each.code] = each
        elif each.text not in known.text:
            text = f"{known.text} {each.text}"
            merged[each.code] = Cause(
                each.code, known.proven or each.proven, text, each.remedy
            )
    return tuple(merged.values())
