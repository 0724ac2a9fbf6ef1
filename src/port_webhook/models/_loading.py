"""From bytes to a model: ours, or one of pydantic's or msgspec's.

The bytes pass our strict check of the JSON first. Only then another library reads
the same bytes; it is imported here, when a model needs it, and never before.

Everything returns its error. Those of the libraries quote values in their messages
and hold them in attributes, so that only the path and the kind of an error survive.
What the user's own code raises is the user's, and passes.
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

from typing_extensions import get_original_bases, is_typeddict

from port_webhook._json import parse
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models._base import Model
from port_webhook.models._parts import ActionPayload
from port_webhook.models._shapes import ActionInvocation, TriggerData, recognise

if TYPE_CHECKING:
    from msgspec.json import Decoder
    from pydantic import TypeAdapter
    from typing_extensions import TypeForm

    from port_webhook.models._shapes import Invocation

T = TypeVar("T")

_OURS, _PYDANTIC, _MSGSPEC = "port_webhook", "pydantic", "msgspec"
_NONE = "no one library"
# What stands for a type by its name, which pydantic looks up.
_NAMES_OF_TYPES = ("ForwardRef", "TypeAliasType")
_SHOWN_LENGTH = 64
_MSGSPEC_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_MSGSPEC_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
_MSGSPEC_MISSING = re.compile(r"Object missing required field `([^`]*)`")

# Where a generic model has the inputs, which the type in its brackets describes.
_INPUTS: dict[type, tuple[str, ...]] = {
    ActionInvocation: ("payload", "properties"),
    ActionPayload: ("properties",),
    TriggerData: ("inputs",),
}


class _Failure(NamedTuple):
    """What is wrong with the data; a class of its own, since any value is a model."""

    path: str
    problem: str

    def at(self, *place: str) -> _Failure:
        """Return the failure of a value that stands at *place*."""
        path = ".".join(filter(None, (*place, self.path)))
        return self._replace(path=path)

    def error(self) -> PayloadError:
        return PayloadError(self.problem, path=self.path)


def _printable(key: str) -> str:
    """Return a key that the payload chose, or ``?`` if a log should not show it."""
    short = len(key) <= _SHOWN_LENGTH
    return key if short and key.isascii() and key.isprintable() else "?"


@boundary
def load_invocation(data: bytes) -> Invocation:
    """Load *data* as the message that its structure says it is.

    Raises:
        PayloadError: It is not strict JSON, or not that message.
    """
    raw = parse(data)
    model = recognise(raw)
    wrong = model.check(raw)
    if wrong is not None:
        raise _Failure(*wrong).error()
    return cast("Invocation", model.view(raw))


@boundary
def load(model: TypeForm[T], data: bytes, *, validate: bool = False) -> T:
    """Load *data* as *model*: ours, or pydantic's or msgspec's.

    Raises:
        PayloadError: *data* is not strict JSON, or not the model.
        ConfigurationError: Nothing can be loaded as *model*.
    """
    del validate
    value = _read(model, parse(data), data)
    if isinstance(value, _Failure):
        raise value.error()
    if isinstance(value, ConfigurationError):
        raise value
    return cast("T", value)


def _read(model: Any, raw: Any, data: bytes | None = None) -> Any:
    """Read *raw* as *model*; *data* is the text that it was parsed from, if any."""
    library = _find_library(model)
    if isinstance(library, ConfigurationError):
        return library
    if library == _OURS:
        return _read_ours(model, raw)
    text = json.dumps(raw).encode("ascii") if data is None else data
    read = _read_with_msgspec if library == _MSGSPEC else _read_with_pydantic
    return read(model, raw, text)


def _read_ours(model: Any, raw: Any) -> Any:
    kind: type[Model] = get_origin(model) or model
    wrong = kind.check(raw)
    if wrong is not None:
        return _Failure(*wrong)
    inputs = _find_inputs(model)
    found = kind.view(raw)
    return found if inputs is None else _with_inputs(found, raw, inputs)


def _with_inputs(model: Model, raw: dict[str, Any], argument: Any) -> Any:
    """Read the inputs of *model* as *argument*, the type in its brackets."""
    place = next(_INPUTS[base] for base in type(model).__mro__ if base in _INPUTS)
    *outer, name = place
    holder: Model = getattr(model, outer[0]) if outer else model
    before: dict[str, Any] | None = getattr(holder, name)
    if before is None and not outer:
        return model
    inputs = before or {}
    value: Any = _read(argument, inputs)
    if isinstance(value, _Failure):
        return value.at(*place)
    if isinstance(value, ConfigurationError):
        return value
    if value.__class__ is dict and get_origin(argument) is not dict:
        # Pydantic drops the keys that a TypedDict does not name; here they stay.
        value = {**inputs, **value}
    parts: dict[str, Any] = {name: value}
    if before is None:
        # The properties of an invocation are never None; see there.
        parts = {".".join(place): value}
    elif outer:
        parts = {outer[0]: type(holder).view(raw[outer[0]], parts)}
    return type(model).view(raw, parts)


def _find_inputs(model: Any) -> Any:
    """Return the type that the inputs of *model*, one of ours, are to be read as.

    None if the type in the brackets only types them: it is no model, and holds none.
    """
    argument = _find_argument(model)
    library = _library(argument)
    if library is None:
        return None
    # Without pydantic a TypedDict is of use all the same: it types what came.
    typed_dict = is_typeddict(get_origin(argument) or argument)
    return None if typed_dict and not _has_pydantic() else argument


def _find_argument(model: Any) -> Any:
    """Return the type in the brackets of *model*, one of ours; None if there is none.

    A subclass gives it where it names its base: ``class Mine(ActionInvocation[T])``.
    """
    origin, arguments = get_origin(model) or model, get_args(model)
    if origin in _INPUTS:
        return arguments[0] if arguments else None
    given = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
    for base in get_original_bases(origin):
        if issubclass(get_origin(base) or base, tuple(_INPUTS)):
            free = getattr(base, "__parameters__", ())
            known = tuple(given.get(each, each) for each in free)
            return _find_argument(base[known] if known else base)
    return None


def _library(model: Any) -> str | None:
    """Name the library that reads *model*; None if none does."""
    origin: object = get_origin(model) or model
    if type(origin).__name__ in _NAMES_OF_TYPES:
        return _PYDANTIC
    found = _library_of_class(origin) if isinstance(origin, type) else None
    if found is not None:
        return found
    # A union, a list or a map of models, or a `NewType`.
    parts = get_args(model) or (getattr(model, "__supertype__", None),)
    inside = {_library(each) for each in parts if each is not None} - {None}
    if inside in ({_MSGSPEC}, {_PYDANTIC}):
        return inside.pop()
    # Neither library reads our models, or those of the other.
    return _NONE if inside else None


def _library_of_class(model: type[object]) -> str | None:
    # A class of a library that nobody imported cannot exist, so none is imported.
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    if issubclass(model, Model):
        return _OURS
    if struct is not None and issubclass(model, struct):
        return _MSGSPEC
    if (
        is_typeddict(model)
        or hasattr(model, "__dataclass_fields__")
        or (base is not None and issubclass(model, base))
    ):
        return _PYDANTIC
    return None


def _find_library(model: Any) -> str | ConfigurationError:
    """Name the library that reads *model*, or say why nothing does."""
    library = _library(model)
    if library == _NONE:
        return ConfigurationError(
            f"{_name(model)} mixes models that no one library reads; parse into one of "
            "port_webhook's models alone, or use Delivery.invocation()"
        )
    if library is None:
        return ConfigurationError(
            f"{_name(model)} is not a model of port_webhook, a pydantic model, a "
            "TypedDict, a dataclass or a msgspec struct"
        )
    if library == _PYDANTIC and not _has_pydantic():
        return ConfigurationError(
            f"{_name(model)} is read through pydantic 2, which is not installed"
        )
    if library == _OURS and get_args(model) and _find_argument(model) is None:
        return ConfigurationError(
            f"{_name(model)} is not generic over inputs, so that nothing could be read "
            "as the type in its brackets"
        )
    return library


@boundary
def check_model(model: Any) -> None:
    """Raise a ConfigurationError if nothing could be loaded as *model*."""
    library = _find_library(model)
    if isinstance(library, ConfigurationError):
        raise library
    inputs = _find_inputs(model) if library == _OURS else None
    if inputs is not None:
        check_model(inputs)


def _name(model: Any) -> str:
    return getattr(get_origin(model) or model, "__name__", type(model).__name__)


def _has_pydantic() -> bool:
    try:
        import pydantic
    except ImportError:
        return False
    return hasattr(pydantic, "TypeAdapter")  # pydantic 1 has none


# Building either takes far longer than using it.
@lru_cache(maxsize=128)
def _adapter(model: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(model)


@lru_cache(maxsize=128)
def _decoder(model: Any) -> Decoder[Any]:
    from msgspec.json import Decoder

    return Decoder(model)


def _read_with_pydantic(model: Any, raw: Any, data: bytes) -> Any:
    from pydantic import ValidationError
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    try:
        adapter = _adapter(model)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        # It speaks of types alone, since there are no data yet.
        problem = error.message.partition("\n")[0]
    except Exception as error:  # noqa: BLE001  # whatever a class of the user raises
        problem = type(error).__name__
    else:
        try:
            return adapter.validate_json(data)
        except ValidationError as error:
            # The first is enough, and its message would quote values.
            first = error.errors(
                include_url=False, include_context=False, include_input=False
            )[0]
            return _pydantic_failure(first["loc"], first["type"], raw)
        except PydanticUserError as error:
            # A class with a forward reference is finished when it is first used.
            problem = error.message.partition("\n")[0]
    return ConfigurationError(f"pydantic cannot use {_name(model)}: {problem}")


def _pydantic_failure(location: tuple[int | str, ...], kind: str, raw: Any) -> _Failure:
    from pydantic_core.core_schema import ErrorType

    steps = _follow(location, raw, missing=kind == "missing")
    path = ".".join(_printable(f"{step}") for step in steps)
    if kind == "missing":
        return _Failure(path, "is missing")
    # A validator of the user may have made up the kind, with a value in it.
    known = kind in get_args(ErrorType)
    return _Failure(path, f"is not valid ({kind})" if known else "is not valid")


def _follow(
    location: tuple[int | str, ...], raw: Any, *, missing: bool
) -> list[int | str]:
    """Return those steps of pydantic's *location* that *raw* has, and one *missing*.

    Others are pydantic's own: the member of a union, a tag, a function, a key.
    """
    steps: list[int | str] = []
    found = True
    for step in location:
        kind = raw.__class__
        if kind is dict:
            found = step in raw
        else:
            found = kind is list and isinstance(step, int) and step < len(raw)
        if found:
            raw = raw[step]
            steps.append(step)
    if not found and missing:
        steps.append(location[-1])
    elif not found and location[-1] == "[key]":
        steps.pop()  # the key is what is wrong, and it may be anything
    return steps


def _read_with_msgspec(model: Any, _: Any, data: bytes) -> Any:
    from msgspec import DecodeError

    try:
        decoder = _decoder(model)
    except Exception as error:  # noqa: BLE001  # whatever a class of the user raises
        problem = type(error).__name__
    else:
        try:
            return decoder.decode(data)
        except DecodeError as error:
            return _msgspec_failure(str(error))
    return ConfigurationError(f"msgspec cannot use {_name(model)}: {problem}")


def _msgspec_failure(message: str) -> _Failure:
    """Take the path out of *message*, which says it nowhere else."""
    place = _MSGSPEC_PLACE.search(message)
    steps = _MSGSPEC_STEP.findall(place[1]) if place else []
    path = [_printable("?" if step == "..." else step) for step in steps]
    missing = _MSGSPEC_MISSING.match(message)
    if missing:
        return _Failure(".".join([*path, missing[1]]), "is missing")
    return _Failure(".".join(path), "is not valid")
