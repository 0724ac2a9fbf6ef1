"""Keep credentials out of what is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mask", "is_credential", "mask_headers"]

_HIDDEN = "(hidden)"
# Below this length a secret is a word that stands everywhere.
_SHORTEST = 4
# Parts of header names whose values are credentials of somebody.
_CREDENTIALS = (
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
)


class Mask:
    """Replaces the client secrets in texts, however they are escaped there."""

    def __init__(self, secrets: Iterable[str | bytes]) -> None:
        spellings: set[str] = set()
        for each in secrets:
            text = each if isinstance(each, str) else each.decode("utf-8")
            if len(text) >= _SHORTEST:
                escaped = json.dumps(text)[1:-1]
                unescaped = json.dumps(text, ensure_ascii=False)[1:-1]
                spellings |= {text, escaped, unescaped, quote(text), quote(text, "")}
        # The longest first, since one may begin with another.
        self._spellings = sorted(spellings, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return *text* without the secrets."""
        for each in self._spellings:
            text = text.replace(each, _HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """Return JSON of any kind without the secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {self.text(name): self.value(each) for name, each in members.items()}
        return value


def mask_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Replace the values of headers that carry credentials."""
    return [
        (name, _HIDDEN if is_credential(name) else value) for name, value in headers
    ]


def is_credential(name: str) -> bool:
    """Tell whether a header of this *name* carries a credential."""
    lowered = name.lower()
    return any(part in lowered for part in _CREDENTIALS)
