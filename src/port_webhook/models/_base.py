"""What every model is made of: a checked JSON object, and fields that read from it.

Loading a model checks the whole object at once and builds nothing but the outermost
model; the parts are built when they are first read. That keeps the cost of loading
near that of parsing the JSON, and keeps what came: a model holds the object itself,
so that an unknown field cannot get lost.

A check returns what is wrong as a path and a problem, and never a value. It compares
the exact class of a JSON value, which takes half the time of calling ``isinstance``
and does not take true for a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Never,
    Self,
    TypeVar,
    cast,
    overload,
)

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    # The path of a field, empty for the object itself, and what is wrong with it.
    Wrong = tuple[str, str]
    Check = Callable[[Any], Wrong | None]

T = TypeVar("T")

_SHOWN_LENGTH = 64
_MUST_BE: dict[type, str] = {
    str: "must be text",
    bool: "must be true or false",
    dict: "must be an object",
    list: "must be a list",
}


def inside(key: object, wrong: Wrong) -> Wrong:
    """Put *key* in front of the path of what is *wrong*."""
    path, problem = wrong
    return (f"{key}.{path}" if path else f"{key}"), problem


def copy_json(value: Any) -> Any:
    """Copy a JSON value and everything in it."""
    kind = value.__class__
    if kind is dict:
        return {key: copy_json(member) for key, member in value.items()}
    if kind is list:
        return [copy_json(element) for element in value]
    return value


class Field(Generic[T]):
    """An attribute of a model that reads one key of its object.

    ``T`` is what reading gives. Fields are read-only, to a type checker too.
    """

    __slots__ = ("check", "key", "read", "required")

    def __init__(
        self,
        key: str,
        check: type | Check | None,
        *,
        required: bool = False,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        """Describe the field.

        Args:
            key: Its name in the JSON.
            check: The type that its value has, or a function that says what is
                wrong with a value other than null; None if anything is right.
            required: Whether Port always sends it; null counts as absent.
            read: Makes the attribute out of a value other than null, once.
        """
        self.key: str = key
        self.check: type | Check | None = check
        self.required: bool = required
        self.read: Callable[[Any], Any] | None = read

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: Model, owner: type[Any]) -> T: ...
    def __get__(self, instance: Model | None, owner: type[Any]) -> Self | T:
        """Return the value of the field, or the field itself on the class."""
        if instance is None:
            return self
        value: Any
        key = self.key
        raw = instance._raw  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # a model and its fields are one
        if self.read is None:
            value = raw.get(key)
        else:
            parts = instance._parts  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # same
            if key in parts:
                value = parts[key]
            else:
                value = raw.get(key)
                if value is not None:
                    value = self.read(value)
                # Two threads may both get here; the first one's value stays.
                value = parts.setdefault(key, value)
        found: T = value
        return found

    def __set__(self, instance: Model, value: Never) -> None:
        """Refuse: models are frozen. ``Never`` tells a type checker so."""
        msg = f"{type(instance).__name__} is frozen"
        raise AttributeError(msg)


class Model:
    """The base of all models: frozen, slotted, and whole.

    Two models are equal if their types and what came are. `repr` shows identifiers
    only, since properties may be secrets.
    """

    __slots__ = ("_parts", "_raw")
    __hash__: ClassVar[None]  # type: ignore[assignment]  # equality is that of a dict

    _known: ClassVar[frozenset[str]] = frozenset()
    _checks: ClassVar[dict[str, Any]] = {}
    _required: ClassVar[tuple[str, ...]] = ()
    _shown: ClassVar[tuple[str, ...]] = ()

    _raw: Any
    _parts: dict[str, Any]

    def __init__(self) -> None:
        """Refuse: a model is the view of an object, see `from_dict`."""
        msg = f"use {type(self).__name__}.from_dict"
        raise TypeError(msg)

    def __init_subclass__(cls) -> None:
        """Collect the fields into tables, once per class."""
        super().__init_subclass__()
        fields: dict[str, Field[Any]] = {
            value.key: value
            for base in reversed(cls.__mro__)
            for value in vars(base).values()
            if isinstance(value, Field)
        }
        cls._known = frozenset(fields)
        cls._checks = {
            key: field.check for key, field in fields.items() if field.check is not None
        }
        cls._required = tuple(key for key, field in fields.items() if field.required)

    @classmethod
    @boundary
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build the model from a JSON object, such as one in a test of yours.

        Python does not hand the brackets of ``ActionInvocation[VmInputs]`` to it: the
        inputs stay as they came, whatever a type checker infers. `load` and
        `Delivery.parse` read them as ``VmInputs``.

        Args:
            data: The object, with Port's own names; any mappings, which are copied.

        Raises:
            PayloadError: It is not JSON or not the model; ``path`` names the field.
            ConfigurationError: The model is a class of yours that names a type for
                the inputs, and nothing can be loaded as that type.
        """
        from port_webhook.models._loading import load

        return load(cls, _to_text(data))

    @classmethod
    def check(cls, raw: Any) -> Wrong | None:
        """Say what is wrong with *raw*, and with everything in it.

        Returns:
            The path of the first wrong field and what is wrong; None if all is well.
        """
        kind: type[object] = raw.__class__
        if kind is not dict:
            return "", _MUST_BE[dict]
        find = cls._checks.get
        key: str
        value: object
        for key, value in raw.items():
            kind = type(value)
            check = find(key, kind)  # a field without a check is of the right kind
            if check is kind or value is None:
                continue
            if type(check) is type:
                return key, _MUST_BE[check]
            wrong = check(value)
            if wrong is not None:
                return inside(key, wrong)
        for key in cls._required:
            if raw.get(key) is None:
                return key, "is missing"
        return None

    @classmethod
    def view(cls, raw: Any, parts: dict[str, Any] | None = None) -> Self:
        """Build the model of *raw* without a check; `from_dict` is the way for you.

        Args:
            raw: What `check` found nothing wrong with; it belongs to the model now.
            parts: Attributes that were read already, by key.
        """
        model = object.__new__(cls)
        _set_raw(model, raw)
        _set_parts(model, {} if parts is None else parts)
        return model

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that came and that this model does not know."""
        known = self._known
        return {key: value for key, value in self._raw.items() if key not in known}

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of what came, whole: every key, every null, in order."""
        return copy_json(self._raw)  # type: ignore[no-any-return]  # checked

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: models are frozen."""
        msg = f"{type(self).__name__} is frozen"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> None:
        """Refuse: models are frozen."""
        msg = f"{type(self).__name__} is frozen"
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        """Compare the types and what came."""
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._raw == other._raw)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy without ``__init__``."""
        return type(self).view, (self._raw, self._parts)

    def __repr__(self) -> str:
        """Show identifiers, and never a property."""
        words = [type(self).__name__]
        for name in self._shown:
            value = getattr(self, name)
            if isinstance(value, str):
                words.append(f"{name}={value[:_SHOWN_LENGTH]!r}")
        return f"<{' '.join(words)}>"


# The slots themselves, since a model is frozen.
_set_raw: Callable[[Model, Any], None] = vars(Model)["_raw"].__set__
_set_parts: Callable[[Model, dict[str, Any]], None] = vars(Model)["_parts"].__set__


def _to_text(data: object) -> bytes:
    """Print *data*, so that it can be checked by the rules for a delivery."""
    try:
        return json.dumps(data, allow_nan=False, default=_to_dict).encode("ascii")
    except Exception:  # noqa: BLE001  # a foreign mapping may raise anything
        raise PayloadError("is not JSON") from None


def _to_dict(value: object) -> dict[Any, Any]:
    """Turn what `json` cannot print into what it can."""
    if isinstance(value, Mapping):
        return dict(cast("Any", value))
    raise TypeError


def text(key: str, *, required: bool = False) -> Field[Any]:
    """Describe a field of text."""
    return Field(key, str, required=required)


def flag(key: str) -> Field[Any]:
    """Describe a field that is true or false."""
    return Field(key, bool)


def mapping(key: str) -> Field[Any]:
    """Describe a field that is an object of any members."""
    return Field(key, dict)


def anything(key: str) -> Field[Any]:
    """Describe a field that may be any JSON."""
    return Field(key, None)


def part(key: str, model: type[Model], *, required: bool = False) -> Field[Any]:
    """Describe a field that is a model itself."""
    return Field(key, model.check, required=required, read=model.view)


def time(key: str, *, required: bool = False) -> Field[Any]:
    """Describe a field that is a time: ISO 8601 with ``Z`` or an offset."""
    return Field(key, _check_time, required=required, read=datetime.fromisoformat)


def _check_time(value: Any) -> Wrong | None:
    try:
        if datetime.fromisoformat(value).tzinfo is not None:
            return None
    except (TypeError, ValueError):
        pass
    return "", "must be an ISO 8601 time with a time zone"


def texts(key: str, *, or_one: bool = False) -> Field[Any]:
    """Describe a list of text, read as a tuple; *or_one* takes a text alone too."""

    def check(value: Any) -> Wrong | None:
        kind = value.__class__
        if kind is str and or_one:
            return None
        if kind is not list:
            return "", _MUST_BE[list]
        for index, element in enumerate(value):
            if type(element) is not str:
                return f"{index}", _MUST_BE[str]
        return None

    def read(value: Any) -> tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)

    return Field(key, check, read=read)


def flag_or_text(key: str) -> Field[Any]:
    """Describe a field that is true, false, or a JQ expression."""

    def check(value: Any) -> Wrong | None:
        good = value.__class__ in (bool, str)
        return None if good else ("", "must be true, false or text")

    return Field(key, check)


def reference(key: str, model: type[Model]) -> Field[Any]:
    """Describe a reference: an object, or the bare identifier of older messages."""

    def check(value: Any) -> Wrong | None:
        kind = value.__class__
        if kind is str:
            return None
        if kind is not dict:
            return "", "must be an object or text"
        return model.check(value)

    def read(value: Any) -> Model:
        bare = isinstance(value, str)
        return model.view({"identifier": value} if bare else value)

    return Field(key, check, read=read)


def part_or_empty(key: str, model: type[Model]) -> Field[Any]:
    """Describe a model for whose absence Port sends ``{}`` or null."""

    def read(value: Any) -> Model | None:
        return model.view(value) if value else None

    return Field(key, model.check, read=read)


def properties(key: str) -> Field[Any]:
    """Describe the object that the user's own type describes."""
    # It is read once, so that loading can put the user's type in place of it.
    return Field(key, dict, read=_as_is)


def _as_is(value: Any) -> Any:
    return value
