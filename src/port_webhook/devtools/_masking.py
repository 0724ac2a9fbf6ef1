"""Keep credentials out of what is shown: on the page, on the terminal, in copies.

The client secret is replaced in every text, as it stands and in each of these forms,
also mixed from one character to the next:

- escaped in a string of JSON, Python or JavaScript, up to three times over;
- percent-encoded, in a path, a query or a form, up to twice;
- as references of HTML and XML, and in the quotes of a shell;
- in base64, also that of URLs, at any position within a longer value;
- in hexadecimal and octal, as bytes that are no text are shown.

Other changes are not found: another encoding than UTF-8, a hash, a part of the
secret, compressed or encrypted bytes. Of headers with credentials, such as
``Authorization`` or ``Cookie``, the whole value is replaced.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Mask", "is_credential", "mask_headers"]

_HIDDEN = "(hidden)"
# Below this length a secret is a word that stands everywhere.
_SHORTEST = 4
# So many stand before a character after three times of escaping.
_MAX_BACKSLASHES = 7
# Names of characters in HTML, a plus sign in a form, quotes in a shell.
_NAMED = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;|'\"'\"'",
    " ": r"\+",
}
# Parts of header names whose values are credentials of somebody.
_CREDENTIALS = (
    "authorization",
    "cookie",
    "token",
    "secret",
    "passw",
    "credential",
    "session",
    "jwt",
    "x-auth",
    "-key",
    "_key",
    "apikey",
    "client-cert",
    "client-principal",
)


class Mask:
    """Replaces the client secrets in texts, however they are spelled there."""

    def __init__(self, secrets: Iterable[str | bytes]) -> None:
        texts = {
            each if isinstance(each, str) else each.decode("utf-8") for each in secrets
        }
        # The longest first, since one may begin with another.
        patterns = [
            pattern
            for text in sorted(texts, key=len, reverse=True)
            if len(text) >= _SHORTEST
            for pattern in (_spell(text), _spell_hex(text), *_spell_base64(text))
        ]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def text(self, text: str) -> str:
        """Return *text* without the secrets."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

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


def _spell(text: str) -> str:
    return "".join(_spell_character(each) for each in text)


def _spell_character(character: str) -> str:
    """Return a pattern of all spellings of a character, itself first."""
    plain = re.escape(character)
    code = ord(character)
    units = [f"(?i:{each})" for each in _utf16(character)]
    raw = [f"{each:02x}" for each in character.encode("utf-8")]
    spellings = [
        plain,
        # A backslash is doubled each time that JSON is put into JSON.
        *([rf"\\{{1,{_MAX_BACKSLASHES}}}{plain}"] if character in "\"'\\/" else []),
        "".join(rf"\\{{1,{_MAX_BACKSLASHES}}}u{each}" for each in units),
        "".join(rf"\\{{1,{_MAX_BACKSLASHES}}}x(?i:{each})" for each in raw),
        "".join(rf"\\0{each:03o}" for each in character.encode("utf-8")),
        "".join(f"%(?:25)?(?i:{each})" for each in raw),
        f"&#(?:0*{code}|(?i:x0*{code:x}));",
    ]
    if character in _NAMED:
        spellings.append(_NAMED[character])
    return f"(?:{'|'.join(spellings)})"


def _utf16(character: str) -> list[str]:
    found = character.encode("utf-16-be").hex()
    return [found[at : at + 4] for at in range(0, len(found), 4)]


def _spell_hex(text: str) -> str:
    digits = " ?".join(f"{each:02x}" for each in text.encode("utf-8"))
    return f"(?i:{digits})"


def _spell_base64(text: str) -> Iterator[str]:
    """Yield what base64 makes of *text*, wherever it stands among three bytes."""
    raw = text.encode("utf-8")
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode("ascii").rstrip("=")
        # The first characters, and the last one, hold bits of what is beside it.
        first = -(-before * 8 // 6)
        end = len(encoded) if (before + len(raw)) % 3 == 0 else len(encoded) - 1
        certain = re.escape(encoded[first:end])
        yield certain.replace(r"\+", "[+-]").replace("/", "[/_]")
