"""Read JSON as a model: ours, or one of pydantic's or msgspec's.

The other libraries get the bytes once they passed our strict check of the JSON. They
are imported when a model needs them. Their errors quote values, so only the path and
the kind of an error are kept. Other exceptions of the user's code, such as a bug in a
validator, are not caught.
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin

from typing_extensions import is_typeddict

from port_webhook._json import parse
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models._base import MUST_BE, Model, ModelType, join, load_model
from port_webhook.models._recognition import CUSTOM, shape_of

if TYPE_CHECKING:
    from msgspec.json import Decoder
    from pydantic import TypeAdapter
    from typing_extensions import TypeForm

T = TypeVar("T")

_OURS, _PYDANTIC, _MSGSPEC, _MIXED = "port_webhook", "pydantic", "msgspec", "several"
# Lazy type references that pydantic resolves.
_NAMES_OF_TYPES = ("ForwardRef", "TypeAliasType")
_IS_NONE = (
    "is not a model of port_webhook, a pydantic model, a TypedDict, a dataclass or a "
    "msgspec struct"
)
_SHOWN_LENGTH = 64
_MSGSPEC_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_MSGSPEC_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
_MSGSPEC_MISSING = re.compile(r"Object missing required field `([^`]*)`")


@boundary
def load(model: TypeForm[T], data: bytes, *, validate: bool = False) -> T:
    """Load *data* as *model*.

    Args:
        model: One of this library's models; a pydantic model; a ``TypedDict`` or a
            dataclass, for which pydantic is needed; a msgspec struct; or a list or a
            union of those of one library.
        data: Strict JSON.
        validate: Check every field of this library's models now, not when it is read.
            Other libraries always check all.

    Raises:
        PayloadError: *data* is not strict JSON, or not the model; ``path`` names the
            field.
        ConfigurationError: *model* is none of these, or its library is missing.
    """
    raw = parse(data)
    value: Any = _read(model, raw, "", raw, data)
    if validate:
        models: list[Any] = value if value.__class__ is list else [value]
        for each in models:
            if isinstance(each, Model):
                each.validate()
    return cast("T", value)


@boundary
def check_model(model: TypeForm[Any]) -> None:
    """Check at set-up that payloads can be loaded as *model*.

    Raises:
        ConfigurationError: They cannot.
    """
    if _find_library(model) != _OURS:
        return
    for each in get_args(model):
        if each is not NoneType:
            check_model(each)
    argument: Any = getattr(model, "_argument", None)
    if argument is not None:
        check_inputs(argument)


def check_inputs(argument: Any) -> bool:
    """Tell whether inputs are read as *argument*, or only annotated with it.

    Raises:
        ConfigurationError: Inputs cannot be read as it.
    """
    if _library(argument) is None:
        return False
    # Without pydantic a TypedDict is of use all the same: it types what came.
    if is_typeddict(get_origin(argument) or argument) and not _has_pydantic():
        return False
    check_model(argument)
    return True


def read_inputs(argument: Any, raw: dict[str, Any], path: str, root: Any) -> Any:
    """Read the inputs *raw*, found at *path* in *root*, as *argument*."""
    if not check_inputs(argument):
        return raw
    value = _read(argument, raw, path, root, None)
    if value.__class__ is dict and get_origin(argument) is not dict:
        # Pydantic drops the keys that a TypedDict does not name; here they stay.
        value = {**raw, **value}
    return value


def _read(model: Any, raw: Any, path: str, root: Any, data: bytes | None) -> Any:
    """Read *raw*, found at *path* in *root*; *data* is its text, if at hand."""
    if isinstance(model, ModelType):
        _check_shape(model, raw, path)
        return load_model(cast("type[Model]", model), raw, path, root)
    library = _find_library(model)
    if library != _OURS:
        text = json.dumps(raw).encode("ascii") if data is None else data
        read = _read_with_pydantic if library == _PYDANTIC else _read_with_msgspec
        return read(model, raw, text, path)
    members = get_args(model)
    if get_origin(model) is list:
        if raw.__class__ is not list:
            raise PayloadError(MUST_BE[list], path=path)
        return [
            _read(members[0], each, join(path, f"{index}"), root, None)
            for index, each in enumerate(raw)
        ]
    if raw is None and NoneType in members:
        return None
    shape = shape_of(raw)
    errors: list[PayloadError] = []
    models = [each for each in members if each is not NoneType]
    # First what it is; last a body of an author's own, which anything can be.
    models.sort(key=lambda each: (shape not in _names(each), CUSTOM in _names(each)))
    for each in models:
        try:
            return _read(each, raw, path, root, None)
        except PayloadError as error:
            errors.append(error)
    raise errors[0]


def _names(model: type) -> set[str]:
    return {base.__name__ for base in model.__mro__}


def _check_shape(model: type, raw: Any, path: str) -> None:
    """Refuse *raw* if it is another of Port's messages than *model*."""
    shape = shape_of(raw)
    if shape in (model.__name__, CUSTOM):
        return
    names = _names(model)
    if "Message" in names and not names & {shape, CUSTOM}:
        article = "an" if shape[0] == "A" else "a"
        problem = f"is {article} {shape}, not {model.__name__}"
        raise PayloadError(problem, path=path)


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
    inside = {_library(each) for each in parts if each not in (None, NoneType)}
    if inside == {_OURS} and origin in (list, Union, UnionType):
        return _OURS
    inside -= {None}
    if inside in ({_MSGSPEC}, {_PYDANTIC}):
        return inside.pop()
    # Neither library reads our models, or those of the other.
    return _MIXED if inside else None


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


def _find_library(model: Any) -> str:
    """Name the library that reads *model*.

    Raises:
        ConfigurationError: There is none, or it is not installed.
    """
    library = _library(model)
    if library is None:
        raise _unusable(model, _IS_NONE)
    if library == _MIXED:
        raise _unusable(model, "mixes models that no one library reads")
    if library == _PYDANTIC and not _has_pydantic():
        raise _unusable(model, "is read through pydantic 2, which is not installed")
    if isinstance(get_origin(model), ModelType):
        raise _unusable(model, "is not generic over inputs, and takes no brackets")
    return library


def _unusable(model: Any, problem: str) -> ConfigurationError:
    name = getattr(get_origin(model) or model, "__name__", type(model).__name__)
    return ConfigurationError(f"{name} {problem}")


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


def _read_with_pydantic(model: Any, raw: Any, data: bytes, path: str) -> Any:
    from pydantic import ValidationError
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    try:
        adapter = _adapter(model)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        # It speaks of types alone, since there are no data yet.
        problem = error.message.partition("\n")[0]
    except Exception as error:  # a class of the user may raise anything
        problem = type(error).__name__
    else:
        try:
            return adapter.validate_json(data)
        except ValidationError as error:
            # The first is enough, and its message would quote values.
            first = error.errors(
                include_url=False, include_context=False, include_input=False
            )[0]
            raise _pydantic_error(first["loc"], first["type"], raw, path)
        except PydanticUserError as error:
            # A class with a forward reference is finished when it is first used.
            problem = error.message.partition("\n")[0]
    raise _unusable(model, f"cannot be used by pydantic: {problem}")


def _pydantic_error(
    location: tuple[int | str, ...], kind: str, raw: Any, path: str
) -> PayloadError:
    """Return the error at those steps of pydantic's *location* that *raw* has.

    Others are pydantic's own: the member of a union, a tag, a function, a key.
    """
    from pydantic_core.core_schema import ErrorType

    steps: list[int | str] = []
    found = True
    for step in location:
        if raw.__class__ is dict:
            found = step in raw
        else:
            found = isinstance(step, int) and raw.__class__ is list and step < len(raw)
        if found:
            raw = raw[step]
            steps.append(step)
    if not found and kind == "missing":
        steps.append(location[-1])
    elif not found and location[-1] == "[key]":
        steps.pop()  # the key is what is wrong, and it may be anything
    for step in steps:
        path = join(path, _printable(f"{step}"))
    problem = "is missing" if kind == "missing" else "is not valid"
    # A validator of the user may have made up the kind, with a value in it.
    if kind != "missing" and kind in get_args(ErrorType):
        problem = f"is not valid ({kind})"
    return PayloadError(problem, path=path)


def _read_with_msgspec(model: Any, _: Any, data: bytes, path: str) -> Any:
    from msgspec import DecodeError

    try:
        decoder = _decoder(model)
    except Exception as error:  # a class of the user may raise anything
        raise _unusable(model, f"cannot be used by msgspec: {type(error).__name__}")
    try:
        return decoder.decode(data)
    except DecodeError as error:
        raise _msgspec_error(str(error), path)


def _msgspec_error(message: str, path: str) -> PayloadError:
    """Extract the path from *message*, the only place that has it."""
    place = _MSGSPEC_PLACE.search(message)
    for step in cast("list[str]", _MSGSPEC_STEP.findall(place[1]) if place else []):
        path = join(path, _printable("?" if step == "..." else step))
    missing = _MSGSPEC_MISSING.match(message)
    if missing:
        return PayloadError("is missing", path=join(path, missing[1]))
    return PayloadError("is not valid", path=path)


def _printable(key: str) -> str:
    """Return a key that the payload chose, or ``?`` if a log should not show it."""
    short = len(key) <= _SHOWN_LENGTH
    return key if short and key.isascii() and key.isprintable() else "?"
