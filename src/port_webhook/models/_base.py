"""Base class and fields of the models: read-only views of a JSON object.

Loading checks only that the required parts are there. Every field is checked when it is
read, so that a detail that Port changes stops only the code that needs it. A model
keeps the original object, so no unknown field is lost.

Checks compare the exact class of a JSON value. That takes half the time of
``isinstance``, and true does not count as a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from copyreg import pickle
from datetime import datetime
from operator import getitem
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Never, Self, TypeVar, cast

from typing_extensions import dataclass_transform

from port_webhook._json import parse
from port_webhook._run_id import find_run_id
from port_webhook._tracebacks import boundary, clean
from port_webhook.exceptions import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    Places = tuple[tuple[str, ...], ...]
    # Converts the model, a value other than null, and its path to the attribute.
    Reader = Callable[["Model", Any, str], Any]

M = TypeVar("M", bound="Model")

_SHOWN_LENGTH = 64
MUST_BE: dict[type, str] = {
    str: "must be text",
    bool: "must be true or false",
    dict: "must be an object",
    list: "must be a list",
}


class Field:
    """A read-only attribute that reads one key of the model's object.

    Attributes:
        key: The name in the JSON; empty for a `Search`.
        kind: The class of the JSON value, or the model of a part; None if any JSON is
            accepted, or *read* checks it.
        read: Converts the JSON value, once, or raises a PayloadError.
        required: Whether null or a missing key is an error.
    """

    def __init__(
        self, key: str, kind: Any, read: Reader | None = None, *, required: bool = False
    ) -> None:
        self.key, self.kind, self.required, self.read = key, kind, required, read

    def __get__(self, instance: Model | None, owner: type[Any]) -> Any:
        """Return the value of the field, or the field itself on the class."""
        if instance is None:
            return self
        try:
            return self.value_in(instance)
        except BaseException as error:
            del instance
            clean(error)
            raise

    def value_in(self, model: Model) -> Any:
        """Return the value of the field in *model*."""
        value = raw_of(model).get(self.key)
        if value is None:
            if self.required:
                raise wrong(model, self.key, "is missing")
            return None
        if self.read is None:
            if value.__class__ is not self.kind and self.kind is not None:
                raise wrong(model, self.key, MUST_BE[self.kind])
            return value
        parts = parts_of(model)
        if self.key in parts:
            return parts[self.key]
        value = self.read(model, value, join(path_of(model), self.key))
        # Two threads may both get here; the first one's value stays.
        return parts.setdefault(self.key, value)

    def __set__(self, instance: Model, value: Never) -> None:
        raise AttributeError(f"{type(instance).__name__} is frozen")


class Search(Field):
    """A field that looks in several places of the document."""

    def __init__(self, places: str, model: Any = None) -> None:
        super().__init__("", None)
        self.places: tuple[tuple[str, ...], ...] = tuple(
            tuple(place.split(".")) for place in places.split()
        )
        self.model = model

    def value_in(self, model: Model) -> Any:
        """Return the first value that one of the places has."""
        if self.model is None:
            return find(model, self.places, str)[0]
        raw, path = find(model, self.places, dict)
        if raw is None:
            return None
        is_model = isinstance(self.model, ModelType)
        kind = self.model if is_model else self.model(raw_of(model))
        made = kind and view(kind, raw, join(path_of(model), path), root_of(model))
        return parts_of(model).setdefault(self.places, made)


# The functions below declare fields; `init` is for type checkers (PEP 681).


def text(key: str, *, required: bool = False, init: Literal[False] = False) -> Any:
    """Declare a text field."""
    return Field(key, str, required=required)


def search(places: str, model: Any = None, *, init: Literal[False] = False) -> Any:
    """Declare the first value at one of *places*, paths separated by spaces.

    The value is text, or an object of *model*, which may be a function that chooses
    one.
    """
    return Search(places, model)


def value(key: str, *kinds: type, init: Literal[False] = False) -> Any:
    """Declare a field of one of *kinds*; without any, every value is accepted."""
    if len(kinds) <= 1:
        return Field(key, kinds[0] if kinds else None)
    words = " or ".join(MUST_BE[kind].removeprefix("must be ") for kind in kinds)

    def read(model: Model, found: Any, path: str) -> Any:
        if found.__class__ not in kinds:
            raise refusal(model, path, f"must be {words}")
        return found

    return Field(key, None, read)


def time(key: str, *, required: bool = False, init: Literal[False] = False) -> Any:
    """Declare a field that is a time: ISO 8601 with ``Z`` or an offset."""

    def read(model: Model, value: Any, path: str) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            found = None
        if found is None or found.tzinfo is None:
            raise refusal(model, path, "must be an ISO 8601 time with a time zone")
        return found

    return Field(key, None, read, required=required)


def texts(key: str, *, or_one: bool = False, init: Literal[False] = False) -> Any:
    """Declare a list of text, read as a tuple; *or_one* accepts a single text, too."""

    def read(model: Model, value: Any, path: str) -> tuple[str, ...]:
        if or_one and value.__class__ is str:
            return (value,)
        if value.__class__ is not list:
            raise refusal(model, path, MUST_BE[list])
        for index, element in enumerate(value):
            if type(element) is not str:
                raise refusal(model, join(path, f"{index}"), MUST_BE[str])
        return tuple(value)

    return Field(key, None, read)


def part(
    key: str,
    model: type[Model],
    *,
    required: bool = False,
    bare: bool = False,
    init: Literal[False] = False,
) -> Any:
    """Declare a field that is a model; *bare* accepts text in its place, too."""
    problem = f"{MUST_BE[dict]} or text" if bare else MUST_BE[dict]

    def read(owner: Model, value: Any, path: str) -> Model:
        if bare and value.__class__ is str:
            value = {"identifier": value}
        if value.__class__ is not dict:
            raise refusal(owner, path, problem)
        return view(model, value, path, root_of(owner))

    return Field(key, model, read, required=required)


class ModelType(type):
    """The metaclass of the models.

    A class with a type in brackets has ``_origin``, the class and the type, for pickle.
    """

    def __new__(cls, name: str, bases: Any, names: dict[str, Any], **more: Any) -> Any:
        """Create a class whose instances have no ``__dict__``."""
        names.setdefault("__slots__", ())
        return super().__new__(cls, name, bases, names, **more)


def _reduce_class(model: ModelType) -> str | tuple[Any, ...]:
    origin = vars(model).get("_origin")
    return model.__qualname__ if origin is None else (getitem, origin)


pickle(cast("Any", ModelType), cast("Any", _reduce_class))


@dataclass_transform(
    eq_default=False,
    frozen_default=True,
    field_specifiers=(text, value, search, time, texts, part),
)
class Model(metaclass=ModelType):
    """The base of all models, which are frozen and keep the whole document.

    Two models are equal if their types and their JSON are. `repr` shows identifiers
    only, since properties may be secrets. Reading a field whose value is not of the
    type that Port documents raises a `PayloadError`, whose ``path`` names the field.
    """

    __slots__ = ("_parts", "_path", "_raw", "_root")
    __hash__: ClassVar[None]  # type: ignore[assignment]  # equality is that of a dict

    _fields: ClassVar[dict[str, Field]] = {}
    _known: ClassVar[frozenset[str]] = frozenset()
    _required: ClassVar[tuple[tuple[str, bool], ...]] = ()  # and whether it is a part
    _shown: ClassVar[tuple[str, ...]] = ()
    # Whether an author may have given Port's names to something else.
    _is_authored: ClassVar[bool] = False
    # What `validate` reads besides the fields.
    _derived: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        raise TypeError(f"use {type(self).__name__}.from_dict")

    def __init_subclass__(cls, *, shown: str | None = None) -> None:
        """Collect the fields, and the names of what `repr` shows, once per class."""
        super().__init_subclass__()
        if shown is not None:
            cls._shown = tuple(shown.split())
        found = {
            name: value
            for base in reversed(cls.__mro__)
            for name, value in vars(base).items()
            if isinstance(value, Field)
        }
        # What stands at a key of its own is the first to be named by an error.
        cls._fields = dict(sorted(found.items(), key=lambda item: not item[1].key))
        fields = cls._fields.values()
        cls._known = frozenset(field.key for field in fields if field.key)
        required = (field for field in fields if field.required)
        cls._required = tuple((f.key, isinstance(f.kind, ModelType)) for f in required)

    @classmethod
    @boundary
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build the model from a JSON object, such as one in a test of yours.

        Args:
            data: The object, with Port's own names: any mapping, which is copied.

        Raises:
            PayloadError: It is not JSON or not the model; ``path`` names the field.
            ConfigurationError: The type of the inputs cannot be loaded.
        """
        return cls._load(parse(_to_text(data)), "", None)

    @classmethod
    def _load(cls, raw: Any, path: str, root: Any) -> Self:
        """Check that *raw* has the required parts, and build the model."""
        model = view(cls, raw, path, root)
        if raw.__class__ is not dict and not cls._is_authored:
            raise refusal(model, path, MUST_BE[dict])
        for key, is_part in cls._required:
            value = raw.get(key)
            if value is None:
                raise wrong(model, key, "is missing")
            if is_part and value.__class__ is not dict:
                raise wrong(model, key, MUST_BE[dict])
        return model

    @boundary
    def validate(self) -> None:
        """Check every field now, those of the parts too.

        Raises:
            PayloadError: A field is missing or has the wrong type; ``path`` names it.
        """
        for name in (*self._fields, *self._derived):
            value = getattr(self, name)
            if isinstance(value, Model):
                value.validate()

    @property
    @boundary
    def extra(self) -> dict[str, Any]:
        """The fields of the document that this model does not define."""
        raw = raw_of(self)
        items = raw.items() if raw.__class__ is dict else ()
        return {key: value for key, value in items if key not in self._known}

    @boundary
    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the whole document: every key and every null, in order."""
        return cast("dict[str, Any]", deepcopy(raw_of(self)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    @boundary
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(raw_of(self) == raw_of(other))

    @boundary
    def __reduce__(self) -> tuple[Any, ...]:
        # A part is copied without the document around it.
        return restore, (type(self), raw_of(self), path_of(self))

    @boundary
    def __repr__(self) -> str:
        words, raw = [type(self).__name__], raw_of(self)
        if self._is_authored:
            size = f" of {len(raw)}" if raw.__class__ in (dict, list) else ""
            words.append(f"{type(raw).__name__}{size}")
        for name in self._shown:
            try:
                value = getattr(self, name)
            except PayloadError:
                continue
            if isinstance(value, str):
                words.append(f"{name}={value[:_SHOWN_LENGTH]!r}")
        return f"<{' '.join(words)}>"


# The slots themselves: a model is frozen, and its public names are the fields.
_slots: dict[str, Any] = {name: vars(Model)[name] for name in Model.__slots__}
raw_of: Callable[[Model], Any] = _slots["_raw"].__get__
parts_of: Callable[[Model], dict[Any, Any]] = _slots["_parts"].__get__
path_of: Callable[[Model], str] = _slots["_path"].__get__
root_of: Callable[[Model], Any] = _slots["_root"].__get__
_set_raw, _set_parts = _slots["_raw"].__set__, _slots["_parts"].__set__
_set_path, _set_root = _slots["_path"].__set__, _slots["_root"].__set__


def view(model: type[M], raw: Any, path: str = "", root: Any = None) -> M:
    """Build *model* from *raw*, found at *path* in *root*, without a check."""
    made = object.__new__(model)
    _set_raw(made, raw)
    _set_parts(made, {})
    _set_path(made, path)
    _set_root(made, raw if root is None else root)
    return made


@boundary
def restore(model: type[M], raw: Any, path: str) -> M:
    """Rebuild a model that was copied or pickled."""
    return view(model, raw, path)


def load_model(model: type[M], raw: Any, path: str = "", root: Any = None) -> M:
    """Check that *raw* has the required parts, and build *model*; see `view`."""
    return model._load(raw, path, root)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # public names are fields


def fields_of(model: type[Model]) -> dict[str, Field]:
    """Return the fields of *model*, by the names of its attributes."""
    return model._fields  # pyright: ignore[reportPrivateUsage]  # the same


# What may be text, its identifier, or an object that has the identifier.
_REFERENCES = ("action", "blueprint", "entity")


def find(model: Model, places: Places, kind: type) -> tuple[Any, str]:
    """Return the first value of *kind* at one of *places* in *model*, and its path.

    Raises:
        PayloadError: There is none, and one of the places has a value that Port never
            sends there. In a body of an author's own, such a value is ignored.
    """
    problem: tuple[str, str] | None = None
    for place in places:
        value, depth = raw_of(model), 0
        while depth < len(place) and value.__class__ is dict:
            value = value.get(place[depth])
            depth += 1
        is_last, is_reference = depth == len(place), place[depth - 1] in _REFERENCES
        if is_last and is_reference and kind is str and value.__class__ is dict:
            value = value.get("identifier")
        if is_last and value.__class__ is kind:
            # Port sends {} if there is no entity.
            if value or (kind is dict and place[-1] != "entity"):
                return value, ".".join(place)
        elif value is not None and not (is_reference and value.__class__ is str):
            must_be = MUST_BE[kind if is_last else dict]
            problem = problem or (".".join(place[:depth]), must_be)
    if problem is not None and not getattr(model, "_is_authored", False):
        raise wrong(model, *problem)
    return None, ""


def join(path: str, key: str) -> str:
    """Return the path of *key* below *path*."""
    return f"{path}.{key}" if path else key


def refusal(model: Model, path: str, problem: str) -> PayloadError:
    """Return the error that says what is wrong at *path*, with the run's id."""
    error = PayloadError(problem, path=path)
    error.run_id = find_run_id(root_of(model))
    return error


def wrong(model: Model, key: str, problem: str) -> PayloadError:
    """Return the error that says what is wrong with *key* of *model*."""
    return refusal(model, join(path_of(model), key), problem)


def _to_text(data: object) -> bytes:
    """Print *data*, so that it can be checked by the rules for a delivery."""
    try:
        return json.dumps(data, allow_nan=False, default=_to_dict).encode("ascii")
    except Exception:  # a foreign mapping may raise anything
        raise PayloadError("is not JSON")


def _to_dict(value: object) -> dict[Any, Any]:
    """Convert a value that `json` cannot print."""
    if isinstance(value, Mapping):
        return dict(cast("Any", value))
    raise TypeError
