"""Read JSON as a model of pydantic or msgspec, or as the type of a user's inputs.

The errors of these libraries quote values in their messages and hold them in
attributes, so that only the path and the kind of an error survive. Other exceptions
of the user's own code, such as a bug in a validator, pass.
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from typing_extensions import is_typeddict

from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models._base import Model, join, load_model

if TYPE_CHECKING:
    from msgspec.json import Decoder
    from pydantic import TypeAdapter

OURS, PYDANTIC, MSGSPEC = "port_webhook", "pydantic", "msgspec"
_MIXED = "no one library"
_IS_MIXED = (
    "mixes models that no one library reads; parse into one of port_webhook's models "
    "alone, or use Delivery.invocation()"
)
_IS_NONE = (
    "is not a model of port_webhook, a pydantic model, a TypedDict, a dataclass or a "
    "msgspec struct"
)
# Lazy type references that pydantic resolves.
_NAMES_OF_TYPES = ("ForwardRef", "TypeAliasType")
_SHOWN_LENGTH = 64
_MSGSPEC_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_MSGSPEC_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
_MSGSPEC_MISSING = re.compile(r"Object missing required field `([^`]*)`")


def _library(model: Any) -> str | None:
    """Name the library that reads *model*; None if none does."""
    origin: object = get_origin(model) or model
    if type(origin).__name__ in _NAMES_OF_TYPES:
        return PYDANTIC
    found = _library_of_class(origin) if isinstance(origin, type) else None
    if found is not None:
        return found
    # A union, a list or a map of models, or a `NewType`.
    parts = get_args(model) or (getattr(model, "__supertype__", None),)
    inside = {_library(each) for each in parts if each is not None} - {None}
    if inside in ({MSGSPEC}, {PYDANTIC}):
        return inside.pop()
    # Neither library reads our models, or those of the other.
    return _MIXED if inside else None


def _library_of_class(model: type[object]) -> str | None:
    # A class of a library that nobody imported cannot exist, so none is imported.
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    if issubclass(model, Model):
        return OURS
    if struct is not None and issubclass(model, struct):
        return MSGSPEC
    if (
        is_typeddict(model)
        or hasattr(model, "__dataclass_fields__")
        or (base is not None and issubclass(model, base))
    ):
        return PYDANTIC
    return None


def find_library(model: Any) -> str:
    """Name the library that reads *model*.

    Raises:
        ConfigurationError: There is none, or it is not installed.
    """
    library = _library(model)
    problem = None
    if library == _MIXED:
        problem = _IS_MIXED
    elif library is None:
        problem = _IS_NONE
    elif library == PYDANTIC and not _has_pydantic():
        problem = "is read through pydantic 2, which is not installed"
    elif library == OURS and get_args(model):
        problem = "is not generic over inputs, so no type may stand in its brackets"
    if library is None or problem is not None:
        raise _unusable(model, f"{problem}")
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


def check_inputs(argument: Any) -> str | None:
    """Name the library that reads inputs as *argument*.

    None if *argument* only types them: it is no model, and holds none.

    Raises:
        ConfigurationError: Nothing can be read as it.
    """
    if _library(argument) is None:
        return None
    # Without pydantic a TypedDict is of use all the same: it types what came.
    if is_typeddict(get_origin(argument) or argument) and not _has_pydantic():
        return None
    return find_library(argument)


def read_inputs(argument: Any, raw: dict[str, Any], path: str, root: Any) -> Any:
    """Read the inputs *raw*, which stand at *path*, as *argument*.

    Raises:
        PayloadError: They do not fit.
        ConfigurationError: Nothing can be read as *argument*.
    """
    library = check_inputs(argument)
    if library is None:
        return raw
    if library == OURS:
        return load_model(argument, raw, path, root)
    value = read_foreign(library, argument, raw, None, path)
    if value.__class__ is dict and get_origin(argument) is not dict:
        # Pydantic drops the keys that a TypedDict does not name; here they stay.
        value = {**raw, **value}
    return value


def read_foreign(
    library: str, model: Any, raw: Any, data: bytes | None, path: str = ""
) -> Any:
    """Read *raw* as *model*, which belongs to *library*.

    Args:
        library: What `find_library` says.
        model: The user's type.
        raw: The JSON.
        data: The text that it was parsed from; None if it is to be printed.
        path: Where it stands in the document.

    Raises:
        PayloadError: It does not fit.
        ConfigurationError: *library* cannot use *model*.
    """
    text = json.dumps(raw).encode("ascii") if data is None else data
    if library == MSGSPEC:
        return _read_with_msgspec(model, text, path)
    return _read_with_pydantic(model, raw, text, path)


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
    except Exception as error:  # noqa: BLE001  # a class of the user may raise anything
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
    from pydantic_core.core_schema import ErrorType

    for step in _follow(location, raw, missing=kind == "missing"):
        path = join(path, _printable(f"{step}"))
    if kind == "missing":
        return PayloadError("is missing", path=path)
    # A validator of the user may have made up the kind, with a value in it.
    known = kind in get_args(ErrorType)
    return PayloadError(
        f"is not valid ({kind})" if known else "is not valid", path=path
    )


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


def _read_with_msgspec(model: Any, data: bytes, path: str) -> Any:
    from msgspec import DecodeError

    try:
        decoder = _decoder(model)
    except Exception as error:  # noqa: BLE001  # a class of the user may raise anything
        raise _unusable(model, f"cannot be used by msgspec: {type(error).__name__}")
    try:
        return decoder.decode(data)
    except DecodeError as error:
        raise _msgspec_error(str(error), path)


def _msgspec_error(message: str, path: str) -> PayloadError:
    """Take the path out of *message*, which says it nowhere else."""
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
