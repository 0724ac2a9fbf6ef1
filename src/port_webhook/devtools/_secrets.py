"""Candidates for the secret, and what an editor or a shell may have done to each."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from port_webhook._arguments import read_secret
from port_webhook._signature import new_key
from port_webhook.devtools._causes import cause
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from port_webhook._signature import HMAC
    from port_webhook.devtools._causes import Cause

__all__ = ["MAX_SECRETS", "Candidate", "Key", "read_candidates", "read_keys"]

MAX_SECRETS = 64
_INVISIBLE = frozenset(("Cc", "Cf", "Zl", "Zp"))
_QUOTES = "\"'`"
_WHITE = "secret_whitespace"
_QUOTED = "secret_quoted"


class Candidate(NamedTuple):
    """A secret that may be the right one.

    Attributes:
        label: How to call it in a sentence.
        secret: The secret as it is configured: text, bytes, or a ``SecretStr``.
        accepted: The receiver accepts it: it is the current or a previous one.
    """

    label: str
    secret: object
    accepted: bool


class Key(NamedTuple):
    """A keyed context, and what is wrong if it matches.

    Attributes:
        key: The context.
        causes: What is wrong.
        damaged: The configured secret itself is, whether it matches or not.
    """

    key: HMAC
    causes: tuple[Cause, ...]
    damaged: bool


def read_candidates(secrets: object) -> list[Candidate]:
    """Return the candidates of what a caller of `explain` passes as its secrets.

    Raises:
        ConfigurationError: There is none, or there are too many.
    """
    if isinstance(secrets, Mapping):
        named = cast("Mapping[object, object]", secrets)
        listed = [(f"the secret {str(name)!r}", each) for name, each in named.items()]
    elif isinstance(secrets, list | tuple):
        several = cast("Sequence[object]", secrets)
        listed = [
            (f"candidate {number}", each) for number, each in enumerate(several, 1)
        ]
    else:
        listed = [("the secret", secrets)]
    return [
        Candidate(label, each, number == 0)
        for number, (label, each) in enumerate(listed)
    ]


def read_keys(candidates: Sequence[Candidate]) -> list[Key]:
    """Return a key for each candidate, and for each way in which it may be damaged.

    Raises:
        ConfigurationError: There is no candidate, there are too many, or one is no
            secret at all.
    """
    if not 0 < len(candidates) <= MAX_SECRETS:
        raise ConfigurationError(f"secrets must be 1 to {MAX_SECRETS} secrets")
    seen: set[bytes] = set()
    keys: list[Key] = []
    for each in candidates:
        words = f"It was signed with {each.label}, not with the current secret."
        base = () if each.accepted else (cause("other_secret", words),)
        for index, (raw, causes) in enumerate(_spellings(each)):
            if raw not in seen:
                seen.add(raw)
                damaged = index == 0 and each.accepted and bool(causes)
                keys.append(Key(new_key(raw), base + causes, damaged))
    return sorted(keys, key=lambda each: len(each.causes))


def _spellings(candidate: Candidate) -> Iterator[tuple[bytes, tuple[Cause, ...]]]:
    """Yield the secret as it should be, then as the sender may have it."""
    text = _read_text(candidate)
    label = candidate.label
    plain, causes = _repair(text, label)
    if not plain:
        raise ConfigurationError(f"{label} is empty")
    yield plain.encode(), causes
    if causes:
        return
    sender = f"The sender signs with {label} and %s."
    for damaged, words in (
        (f"{plain}\n", "a line break behind it"),
        (f"{plain}\r\n", "a line break behind it"),
        (f"{plain} ", "a space behind it"),
        (f" {plain}", "a space before it"),
    ):
        yield damaged.encode(), (cause(_WHITE, sender % words),)
    for quote in _QUOTES[:2]:
        quoted = f"{quote}{plain}{quote}".encode()
        yield quoted, (cause(_QUOTED, sender % "quotes around it"),)


def _read_text(candidate: Candidate) -> str:
    """Return the secret as text, damaged or not.

    Raises:
        ConfigurationError: It is neither text nor UTF-8.
    """
    value: Any = candidate.secret
    try:
        reveal = getattr(value, "get_secret_value", None)
        value = value if reveal is None else reveal()
        if isinstance(value, str):
            str.encode(value, "utf-8")
            return str.__str__(value)
        return bytes.decode(value, "utf-8")
    except Exception:  # a foreign object may raise anything
        # It raises, too, and says what is wrong.
        return read_secret(candidate.secret, candidate.label).decode()


def _repair(text: str, label: str) -> tuple[str, tuple[Cause, ...]]:
    """Undo what an editor or a shell did to a secret; name it."""
    found: dict[str, Cause] = {}
    while True:
        visible = "".join(each for each in text if _is_visible(each)).strip()
        if visible != text:
            words = f"{label} has {_describe(text)}."
            found.setdefault(_WHITE, cause(_WHITE, words[:1].upper() + words[1:]))
        quoted = len(visible) > 1 and visible[0] == visible[-1] in _QUOTES
        if not quoted:
            return visible, tuple(found.values())
        words = f"{label} is wrapped in quotes."
        found.setdefault(_QUOTED, cause(_QUOTED, words[:1].upper() + words[1:]))
        text = visible[1:-1]


def _is_visible(character: str) -> bool:
    return character.isprintable() or (
        unicodedata.category(character) not in _INVISIBLE
    )


def _describe(text: str) -> str:
    if len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        return "a line break in it"
    if text != text.strip():
        return "white space around it"
    return "an invisible character in it"
