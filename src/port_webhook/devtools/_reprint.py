"""Print the JSON of a body as it may have been before something printed it anew."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import permutations, product
from json.encoder import encode_basestring, encode_basestring_ascii
from math import factorial, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from port_webhook._json import require_json, strip_white_space
from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    # Gets an object and the key at which it stands.
    Order = Callable[[dict[str, Any], str], list[str]]

__all__ = ["MAX_REPRINT", "describe", "is_agent_form", "reorders", "reprints"]

# Printing takes Python a microsecond for each byte or two.
MAX_REPRINT = 65_536
_MAX_ORDERS = 720
# JavaScript prints an exponent where the decimal point would stand beyond these.
_MAX_POINT, _MIN_POINT = 21, -6
_TOKEN = re.compile(
    rb'(?P<string>"(?:[^"\\]|\\.)*+")|(?P<space>[ \t\r\n]+)|(?P<mark>[][{}:,])'
    rb'|(?P<number>[^][{}:,"\s]+)'
)
# A backslash before the u is another escape: pairs of them are skipped.
_UNICODE = re.compile(r"\\\\|\\u[0-9a-f]{4}")
# How Port's documents order their keys, by the key of the object: those of an action's
# envelope, of trigger data, of events, and of their parts (protocol, section 3).
_PARTS = {
    "": "headers action resourceType status inputs trigger event entity context "
    "payload diff run",
    "trigger": "by origin at operation",
    "by": "orgId userId user",
    "user": "email firstName lastName phoneNumber picture providers status id "
    "createdAt updatedAt",
    "context": "entity blueprint blueprintIdentifier entityIdentifier "
    "propertyIdentifier runId",
    "payload": "entity action properties censoredProperties",
    "action": "id identifier title icon userInputs invocationMethod trigger "
    "description blueprint encryptedProperties createdAt createdBy updatedAt updatedBy",
    "invocationMethod": "type url agent synchronized method headers body",
    "entity": "identifier title icon blueprint team properties relations createdAt "
    "createdBy updatedAt updatedBy",
    "event": "action resourceType trigger context diff",
    "diff": "before after",
}
_RANKS = {
    part: {name: rank for rank, name in enumerate(names.split())}
    for part, names in _PARTS.items()
}


class _Number(str):
    """The text of a number."""

    __slots__ = ()


class _Style(NamedTuple):
    string: Callable[[str], str]
    comma: str = ","
    colon: str = ":"
    indent: int = 0
    order: Order | None = None
    numbers: bool = False


def _upper(text: str) -> str:
    printed = encode_basestring_ascii(text)
    return _UNICODE.sub(lambda found: found[0][:2] + found[0][2:].upper(), printed)


def _html_safe(text: str) -> str:
    # As Go's encoding/json and .NET's System.Text.Json print these.
    printed = encode_basestring(text)
    for each in "<>&\u2028\u2029":
        printed = printed.replace(each, f"\\u{ord(each):04x}")
    return printed


def _slashed(text: str) -> str:
    return encode_basestring_ascii(text).replace("/", "\\/")  # as PHP prints it


def _known(members: dict[str, Any], part: str) -> list[str]:
    ranks = _RANKS.get(part, {})
    return sorted(members, key=lambda key: ranks.get(key, len(ranks)))


def _sorted(members: dict[str, Any], _: str) -> list[str]:
    return sorted(members)


_ASCII, _PLAIN = encode_basestring_ascii, encode_basestring
_STYLES = (
    _Style(_PLAIN),
    _Style(_ASCII),
    _Style(_PLAIN, numbers=True),
    _Style(_ASCII, numbers=True),
    _Style(_PLAIN, order=_sorted),
    _Style(_ASCII, order=_sorted),
    _Style(_ASCII, ", ", ": "),
    _Style(_PLAIN, ", ", ": "),
    _Style(_ASCII, ", ", ": ", order=_sorted),
    _Style(_PLAIN, ", ", ": ", order=_sorted),
    _Style(_PLAIN, indent=2, colon=": "),
    _Style(_ASCII, indent=2, colon=": "),
    _Style(_PLAIN, indent=4, colon=": "),
    _Style(_ASCII, indent=4, colon=": "),
    _Style(_PLAIN, order=_known),
    _Style(_ASCII, order=_known),
    _Style(_html_safe),
    _Style(_upper),
    _Style(_slashed),
)


def is_agent_form(body: bytes) -> bool:
    """Tell whether *body* is printed as Python's ``json.dumps`` does by default."""
    if not body.isascii():
        return False
    if len(body) > MAX_REPRINT:
        return b", " in body
    after = False
    for each in _TOKEN.finditer(body):
        if after is not (each[0] == b" "):
            return False
        after = each[0] in (b",", b":")
    return not after


def reprints(body: bytes) -> Iterator[bytes]:
    """Yield other prints of the JSON in *body*; nothing if it is none, or is long."""
    # What stands around it is another change.
    if body.strip(b"\r\n") != body:
        return
    bare = strip_white_space(body)
    if bare != body:
        yield bare
    value = _load(body)
    if value is None:
        return
    if isinstance(value, str) and not isinstance(value, _Number):
        yield value.encode("utf-8", "backslashreplace")
    for style in _STYLES:
        yield _print(value, style)


def reorders(body: bytes) -> Iterator[bytes]:
    """Yield compact prints with the keys in every order, if there are not too many.

    If there are, those parts that Port has keep its order, and the parts of an author,
    such as the inputs, have every one.
    """
    if body.strip(b"\r\n") != body:
        return
    objects: list[tuple[str, dict[str, Any]]] = []
    value = _load(body)
    _collect(value, "", objects)
    free = [each for at, each in objects if at not in _RANKS]
    for chosen in ([each for _, each in objects], free):
        if chosen and _count_orders(chosen) <= _MAX_ORDERS:
            for keys in product(*(permutations(each) for each in chosen)):
                yield from _in_order(value, chosen, keys)
            return


def _in_order(
    value: Any, objects: list[dict[str, Any]], keys: tuple[tuple[str, ...], ...]
) -> Iterator[bytes]:
    orders = {id(each): [*order] for each, order in zip(objects, keys, strict=True)}

    def order(members: dict[str, Any], at: str) -> list[str]:
        return orders.get(id(members)) or _known(members, at)

    for string in (_PLAIN, _ASCII):
        yield _print(value, _Style(string, order=order))


def describe(arrived: bytes, signed: bytes) -> str:
    """Name what differs between two prints of one JSON value."""
    first, second = _tokens(arrived), _tokens(signed)
    if first is None or second is None:
        return "The JSON was printed anew."
    if arrived[:1] == b'"' != signed[:1]:
        return "The JSON was printed anew, as a JSON string."
    changes: list[str] = []
    if first["space"] != second["space"]:
        added = len(first["space"]) > len(second["space"])
        changes.append(f"white space was {'added' if added else 'removed'}")
    if sorted(first["string"]) != sorted(second["string"]):
        more = b"".join(first["string"]).count(b"\\")
        escaped = more > b"".join(second["string"]).count(b"\\")
        changes.append(f"characters were {'escaped' if escaped else 'unescaped'}")
    if sorted(first["number"]) != sorted(second["number"]):
        changes.append("numbers were spelled anew")
    if _keys(arrived) != _keys(signed):
        changes.append("keys were put in another order")
    return f"The JSON was printed anew: {', '.join(changes)}."


def _tokens(body: bytes) -> dict[str, list[bytes]] | None:
    kinds: dict[str, list[bytes]] = {
        "string": [],
        "space": [],
        "mark": [],
        "number": [],
    }
    if len(body) > MAX_REPRINT:
        return None
    for found in _TOKEN.finditer(body):
        kinds[cast("str", found.lastgroup)].append(found[0])
    return kinds


def _keys(body: bytes) -> list[list[str]]:
    objects: list[tuple[str, dict[str, Any]]] = []
    _collect(_load(body), "", objects)
    # Sorted, since reordering moves whole objects, too.
    return sorted([at, *each] for at, each in objects)


def _load(body: bytes) -> Any:
    """Return what strict JSON says, its numbers as text; None for all else."""
    if len(body) > MAX_REPRINT:
        return None
    try:
        require_json(body)
        return json.loads(body, parse_int=_Number, parse_float=_Number)
    except (PayloadError, ValueError):
        return None


def _collect(value: Any, at: str, objects: list[tuple[str, dict[str, Any]]]) -> None:
    """Append each object in *value*, which stands at the key *at*, to *objects*."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        objects.append((at, members))
        for key, each in members.items():
            _collect(each, key, objects)
    elif isinstance(value, list):
        items = cast("Sequence[Any]", value)
        for each in items:
            _collect(each, at, objects)


def _count_orders(objects: list[dict[str, Any]]) -> int:
    count = 1
    for each in objects:
        # Each key on its own, so that a long object costs nothing.
        count *= factorial(min(len(each), 10))
        if count > _MAX_ORDERS:
            break
    return count


def _print(value: Any, style: _Style) -> bytes:
    return "".join(_write(value, style, "\n")).encode("utf-8", "backslashreplace")


def _write(value: Any, style: _Style, line: str, at: str = "") -> Iterator[str]:
    """Yield the parts of a print; the depth was checked when it was parsed."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        keys = [*members] if style.order is None else style.order(members, at)
        inner = _deeper(line, style)
        parts = [
            [style.string(key), style.colon, *_write(members[key], style, inner, key)]
            for key in keys
        ]
        yield from _join("{", parts, "}", style, line)
    elif isinstance(value, list):
        items = cast("Sequence[Any]", value)
        parts = [[*_write(each, style, _deeper(line, style))] for each in items]
        yield from _join("[", parts, "]", style, line)
    elif isinstance(value, _Number):
        yield _spell(value) if style.numbers else value
    elif isinstance(value, str):
        yield style.string(value)
    else:
        yield json.dumps(value)


def _deeper(line: str, style: _Style) -> str:
    return line + " " * style.indent


def _join(
    opening: str, parts: list[list[str]], closing: str, style: _Style, line: str
) -> Iterator[str]:
    inner = _deeper(line, style) if style.indent and parts else ""
    yield opening + inner
    for index, part in enumerate(parts):
        if index:
            yield style.comma + inner
        yield from part
    yield (line if inner else "") + closing


def _spell(text: str) -> str:
    """Print a number as JavaScript does (ECMA-262, Number::toString)."""
    number = float(text)
    if not isfinite(number):
        return text
    _, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    shown = "".join(map(str, digits))
    point = len(shown) + int(exponent)
    sign = "-" if number < 0 else ""
    if number == 0:
        return "0"
    if len(shown) <= point <= _MAX_POINT:
        return sign + shown.ljust(point, "0")
    if 0 < point <= _MAX_POINT:
        return f"{sign}{shown[:point]}.{shown[point:]}"
    if _MIN_POINT < point <= 0:
        return f"{sign}0.{'0' * -point}{shown}"
    fraction = f".{shown[1:]}" if len(shown) > 1 else ""
    return f"{sign}{shown[0]}{fraction}e{point - 1:+d}"
