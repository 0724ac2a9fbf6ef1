"""Keep credentials out of what is shown: on the page, on the terminal, in copies.

The client secret is replaced in every text, as it stands and in each of these forms,
also mixed from one character to the next:

- escaped in a string of JSON, Python or JavaScript, up to three times over;
- percent-encoded, in a path, a query or a form, up to twice;
- as references of HTML and XML, and in the quotes of a shell;
- in base64, also that of URLs, at any position within a longer value, and broken into
  lines;
- in hexadecimal and octal, as bytes that are no text are shown, with separators and
  line breaks between the bytes.

Other changes are not found: another encoding than UTF-8, a hash, a part of the
secret, a dump with an offset in each line, one kind of escape within another,
compressed or encrypted bytes. Of headers with credentials, such as ``Authorization``
or ``Cookie``, the whole value is replaced.
"""

from __future__ import annotations

import re
from base64 import b64encode
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Mask", "conceal_all", "is_credential", "mask_headers"]

_HIDDEN = "(hidden)"
# Below this length a secret is a word that stands everywhere.
_SHORTEST = 4
# So many stand before a character after three times of escaping.
_MAX_BACKSLASHES = 7
_RUN_OR_CHARACTER = re.compile(r"\\+|[^\\]")
# Names of characters in HTML, a plus sign in a form.
_NAMED = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    " ": r"\+",
}
# A single quote within the single quotes of a shell.
_SHELL_QUOTE = "'\"'\"'"
# A backslash as an escape, where the text before it is read already.
_ESCAPED_BACKSLASH = (
    r"(?:(?<=\\)(?:u005[cC]|u\{0{0,6}5[cC]\}|U0{6}5[cC]|x5[cC]|0?134)"
    r"|%(?:25)?5[cC]|&#(?:0*92|[xX]0*5[cC]);)"
)
# A line break and the white space behind it, also as it is escaped in JSON, in a URL
# and in HTML.
_BREAK = (
    r"(?:[\r\n]|\\{1,7}(?:[rn\r\n]|u000[adAD]|x0[adAD])|%(?:25)?0[adAD]"
    r"|&#(?:0*1[03]|[xX]0*[adAD]);)[ \t]*+"
)
# What may stand within base64, and within hexadecimal digits.
_BREAKS = re.compile(f"(?:{_BREAK})++")
_SEPARATORS = re.compile(rf"(?:[ \t:,-]|(?<![0-9A-Fa-f])0[xX]|{_BREAK})++")
# The two characters of base64 that URLs and JSON write in other ways.
_BASE64 = {
    "+": r"(?:[+ -]|%(?:25)?2[bB]|\\{1,7}u002[bB])",
    "/": r"(?:\\{0,7}/|_|%(?:25)?2[fF])",
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
        known = sorted(texts, key=len, reverse=True)
        known = [text for text in known if len(text) >= _SHORTEST]
        self._searches = [
            (separators, re.compile("|".join(spell(text) for text in known)))
            for separators, spell in (
                (None, _spell),
                (_BREAKS, _spell_base64),
                (_SEPARATORS, _spell_hex),
            )
            if known
        ]

    def text(self, text: str) -> str:
        """Return *text* without the secrets."""
        spans = sorted(
            span
            for separators, pattern in self._searches
            for span in _find(pattern, text, separators)
        )
        parts: list[str] = []
        at = 0
        for start, end in spans:
            # Two may overlap that are found in two ways.
            if start >= at:
                parts += (text[at:start], _HIDDEN)
            at = max(at, end)
        return "".join((*parts, text[at:]))

    def value(self, value: Any) -> Any:
        """Return JSON of any kind without the secrets."""
        return conceal_all(value, self.text)


def conceal_all(value: Any, conceal: Callable[[str], str]) -> Any:
    """Return JSON of any kind with each text, and each key, as *conceal* returns it.

    This comes before it is printed as JSON: in a printed text a secret could begin
    within an escape, and what is left of the escape would be no JSON.
    """
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, list | tuple):
        return [conceal_all(each, conceal) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {
            conceal(name): conceal_all(each, conceal) for name, each in members.items()
        }
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


def _find(
    pattern: re.Pattern[str], text: str, separators: re.Pattern[str] | None
) -> Iterator[tuple[int, int]]:
    """Yield where *pattern* is in *text*, as if there were no *separators* in it.

    The text is read once for each of the two: a pattern that had separators between
    all characters would take long to build.
    """
    if separators is None:
        yield from (found.span() for found in pattern.finditer(text))
        return
    parts: list[str] = []
    # Where each part begins in the text, and in what is left of it.
    begins, left = [0], [0]
    for found in separators.finditer(text):
        parts.append(text[begins[-1] : found.start()])
        left.append(left[-1] + len(parts[-1]))
        begins.append(found.end())
    parts.append(text[begins[-1] :])
    for found in pattern.finditer("".join(parts)):
        first = bisect_right(left, found.start()) - 1
        last = bisect_right(left, found.end() - 1) - 1
        yield (
            begins[first] + found.start() - left[first],
            begins[last] + found.end() - left[last],
        )


def _spell(text: str) -> str:
    """Return a pattern of all spellings of *text*.

    Where a text could be read in two ways, each way has a pattern of its own. In one
    pattern such ways would multiply with each place, until no answer comes.
    """
    return "|".join(
        _spell_once(text, in_shell=in_shell, escapes_first=escapes_first)
        for in_shell in ((True, False) if "'" in text else (False,))
        for escapes_first in ((False, True) if "\\" in text else (False,))
    )


def _spell_once(text: str, *, in_shell: bool, escapes_first: bool) -> str:
    parts: list[str] = []
    following = ""
    runs = [*_RUN_OR_CHARACTER.findall(text)]
    for at in reversed(range(len(runs))):
        if runs[at][0] == "\\":
            part = _spell_backslashes(len(runs[at]), following, first=escapes_first)
        else:
            is_behind = at > 0 and runs[at - 1][0] == "\\"
            part = _spell_character(
                runs[at],
                in_shell=in_shell,
                fewest=0 if is_behind else 1,
                is_last=not parts,
            )
        following = part
        parts.append(part)
    return "".join(reversed(parts))


def _spell_backslashes(count: int, following: str, *, first: bool) -> str:
    """Return a pattern of a run of backslashes, which is read in one way only.

    Args:
        count: How many there are.
        following: The pattern of what stands behind them.
        first: Prefer escapes to backslashes that stand for themselves.
    """
    most = count * (_MAX_BACKSLASHES + 1)
    plain = rf"\\{{{count},{most}}}+(?={following})"
    run = rf"\\{{0,{most}}}+"
    escaped = f"(?:{run}{_ESCAPED_BACKSLASH}){{1,{count}}}+{run}"
    choices = (escaped, plain) if first or not following else (plain, escaped)
    return f"(?>{'|'.join(choices)})"


def _spell_character(
    character: str, *, in_shell: bool, fewest: int, is_last: bool
) -> str:
    """Return a pattern of all spellings of a character, itself first.

    Args:
        character: It is no backslash.
        in_shell: It is in the single quotes of a shell.
        fewest: How many backslashes an escape has at least: none behind a run of
            backslashes, which takes all of them.
        is_last: The spellings that begin with the character itself come first, since
            nothing behind them decides.
    """
    plain = re.escape(character)
    if in_shell and character == "'":
        plain = _SHELL_QUOTE
    code = ord(character)
    units = [f"(?i:{each})" for each in _utf16(character)]
    raw = [f"{each:02x}" for each in character.encode("utf-8")]
    more = rf"\\{{1,{_MAX_BACKSLASHES}}}"
    some = rf"\\{{{fewest},{_MAX_BACKSLASHES}}}"
    octal = [f"0?{each:03o}" for each in character.encode("utf-8")]
    spellings = [
        plain,
        # A backslash is doubled each time that JSON is put into JSON.
        *([f"{more}{plain}"] if character in "\"'/" else []),
        f"{some}u" + f"{more}u".join(units),
        rf"{some}(?:u\{{0{{0,6}}(?i:{code:x})\}}|U(?i:{code:08x}))",
        f"{some}x" + f"{more}x".join(f"(?i:{each})" for each in raw),
        rf"\\{{{fewest},1}}" + r"\\".join(octal),
        "".join(f"%(?:25)?(?i:{each})" for each in raw),
        f"&#(?:0*{code}|(?i:x0*{code:x}));",
    ]
    if 0x80 <= code <= 0xFF:
        spellings.append(f"{some}x(?i:{code:02x})")  # in text, where that is no byte
    if character in _NAMED:
        spellings.append(_NAMED[character])
    if is_last:
        spellings.reverse()
    return f"(?:{'|'.join(spellings)})"


def _utf16(character: str) -> list[str]:
    found = character.encode("utf-16-be").hex()
    return [found[at : at + 4] for at in range(0, len(found), 4)]


def _spell_hex(text: str) -> str:
    return f"(?i:{text.encode('utf-8').hex()})"


def _spell_base64(text: str) -> str:
    """Return what base64 makes of *text*, wherever it stands among three bytes."""
    raw = text.encode("utf-8")
    found: list[str] = []
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode("ascii").rstrip("=")
        # The first characters, and the last one, hold bits of what is beside it.
        first = -(-before * 8 // 6)
        end = len(encoded) if (before + len(raw)) % 3 == 0 else len(encoded) - 1
        found.append("".join(_BASE64.get(each, each) for each in encoded[first:end]))
    return "|".join(found)
