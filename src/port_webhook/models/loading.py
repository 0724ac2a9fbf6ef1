"""From bytes to a model: ours, or one of pydantic's or msgspec's.

The bytes pass our strict check of the JSON first. Only then another library reads
the same bytes; it is imported here, when a model needs it, and never before.

Everything returns its error. Those of the libraries quote values in their messages
and hold them in attributes, so that only the path and the kind of an error survive.
"""

# ruff: noqa: ANN401  # any JSON

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

from typing_extensions import is_typeddict

from port_webhook.canonical import parse
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models.base import Model, load_raw
from port_webhook.models.parts import ActionPayload
from port_webhook.models.shapes import ActionInvocation, TriggerData, recognise

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

    from port_webhook.models.shapes import Invocation

    # Returns what the model's library made of the data, or one of our errors.
    Reader: TypeAlias = Callable[[bytes], Any]

T = TypeVar("T")

_SHOWN_LENGTH = 64
_MSGSPEC_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`\Z")
_MSGSPEC_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
_MSGSPEC_MISSING = re.compile(r"Object missing required field `([^`]*)`")


# Where a generic model keeps what the type in its brackets describes.
_PROPERTIES: dict[type, tuple[str, ...]] = {
    ActionInvocation: ("payload", "properties"),
    ActionPayload: ("properties",),
    TriggerData: ("inputs",),
}


class _Failure(NamedTuple):
    """What is wrong with the data; a class of its own, since any value is a model."""

    path: str
    problem: str

    def at(self, *place: str) -> PayloadError:
        """Return the error of a value that stands at *place*."""
        path = ".".join(filter(None, (*place, self.path)))
        return PayloadError(self.problem, path=path)


def _printable(key: str) -> str:
    """Return a key that the payload chose, or ``?`` if a log should not show it."""
    short = len(key) <= _SHOWN_LENGTH
    return key if short and key.isascii() and key.isprintable() else "?"


def load_invocation(data: bytes) -> Invocation | PayloadError:
    """Load *data* as the message that its structure says it is."""
    raw = parse(data)
    if isinstance(raw, PayloadError):
        return raw
    return cast("Invocation | PayloadError", load_raw(recognise(raw), raw))


def load(model: type[T], data: bytes) -> T | PayloadError | ConfigurationError:
    """Load *data* as *model*: ours, or pydantic's or msgspec's.

    Returns:
        The model, or the error that says what is wrong with the data or the model.
    """
    raw = parse(data)
    if isinstance(raw, PayloadError):
        return raw
    origin = get_origin(model) or model
    value: Any
    if isinstance(origin, type) and issubclass(origin, Model):
        value = load_raw(origin, raw)
        arguments = get_args(model)
        if arguments and isinstance(value, Model):
            value = _with_properties(value, raw, arguments[0])
    else:
        reader = _find_reader(model)
        value = reader if isinstance(reader, ConfigurationError) else reader(data)
    if isinstance(value, _Failure):
        return value.at()
    return cast("T | PayloadError | ConfigurationError", value)


def _with_properties(
    model: Model, raw: dict[str, Any], argument: Any
) -> Model | PayloadError | ConfigurationError:
    """Read the properties of *model* as *argument*, the type in its brackets."""
    *outer, name = _PROPERTIES[type(model)]
    holder: Any = getattr(model, outer[0]) if outer else model
    before = getattr(holder, name)
    if before is None:
        return model
    value = _convert(before, argument)
    if isinstance(value, _Failure):
        return value.at(*outer, name)
    if isinstance(value, ConfigurationError):
        return value
    parts: dict[str, Any] = {name: value}
    for key in outer:
        parts = {key: ActionPayload.view(raw[key], parts)}
    return type(model).view(raw, parts)


def _convert(value: dict[str, Any], argument: Any) -> Any:
    """Read *value* as *argument*; a type that is not a model only types it."""
    typed_dict = is_typeddict(get_origin(argument) or argument)
    # Without pydantic a TypedDict is of use all the same: it types what came.
    if _kind(argument) is None or (typed_dict and not _has_pydantic()):
        return value
    reader = _find_reader(argument)
    if isinstance(reader, ConfigurationError):
        return reader
    read: Any = reader(json.dumps(value).encode("ascii"))
    # Pydantic drops the keys that a TypedDict does not name; here they stay.
    failed = isinstance(read, _Failure | ConfigurationError)
    return {**value, **read} if typed_dict and not failed else read


def _kind(model: Any) -> str | None:
    """Tell which library reads *model*; None if none does.

    A class of a library that nobody imported cannot exist, so none is imported.
    """
    origin = get_origin(model) or model
    if not isinstance(origin, type):
        return None
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    if struct is not None and issubclass(origin, struct):
        return "msgspec"
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    if (
        is_typeddict(origin)
        or hasattr(origin, "__dataclass_fields__")
        or (base is not None and issubclass(origin, base))
    ):
        return "pydantic"
    return None


def check_model(model: Any) -> ConfigurationError | None:
    """Say why nothing could be loaded as *model*, before there is anything to load."""
    origin = get_origin(model) or model
    if isinstance(origin, type) and issubclass(origin, Model):
        return None
    kind, name = _kind(model), _name(model)
    if kind is None:
        return ConfigurationError(
            f"{name} is not a model of port_webhook, a pydantic model, a TypedDict, a "
            "dataclass or a msgspec struct"
        )
    if kind == "pydantic" and not _has_pydantic():
        return ConfigurationError(
            f"{name} is read through pydantic 2, which is not installed"
        )
    return None


def _name(model: Any) -> str:
    return getattr(get_origin(model) or model, "__name__", type(model).__name__)


def _find_reader(model: Any) -> Reader | ConfigurationError:
    """Return what reads JSON as *model*."""
    error = check_model(model)
    if error is not None:
        return error
    read = _msgspec_reader if _kind(model) == "msgspec" else _pydantic_reader
    return read(model, _name(model))


def _has_pydantic() -> bool:
    try:
        import pydantic
    except ImportError:
        return False
    return hasattr(pydantic, "TypeAdapter")  # pydantic 1 has none


@lru_cache(maxsize=128)
def _adapter(model: Any) -> TypeAdapter[Any]:
    """Build pydantic's validator, which takes far longer than using it."""
    from pydantic import TypeAdapter

    return TypeAdapter(model)


def _pydantic_reader(model: Any, name: str) -> Reader | ConfigurationError:
    from pydantic import ValidationError
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    adapter: TypeAdapter[Any] | None = None
    problem = ""
    try:
        adapter = _adapter(model)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        # It speaks of types alone, since there are no data yet.
        problem = error.message.partition("\n")[0]
    except Exception as error:  # noqa: BLE001  # whatever a class of the user raises
        problem = type(error).__name__
    if adapter is None:
        return ConfigurationError(f"pydantic cannot use {name}: {problem}")

    def read(data: bytes) -> Any:
        try:
            return adapter.validate_json(data)
        except ValidationError as error:
            # The first is enough, and its message would quote values.
            first = error.errors(
                include_url=False, include_context=False, include_input=False
            )[0]
            return _pydantic_failure(first["loc"], first["type"])
        except PydanticUserError as error:
            # A class with a forward reference is finished when it is first used.
            reason = error.message.partition("\n")[0]
        return ConfigurationError(f"pydantic cannot use {name}: {reason}")

    return read


def _pydantic_failure(location: tuple[int | str, ...], kind: str) -> _Failure:
    from pydantic_core.core_schema import ErrorType

    path = ".".join(_printable(f"{step}") for step in location)
    if kind == "missing":
        return _Failure(path, "is missing")
    # A validator of the user may have made up the kind, with a value in it.
    known = kind in get_args(ErrorType)
    return _Failure(path, f"is not valid ({kind})" if known else "is not valid")


def _msgspec_reader(model: Any, name: str) -> Reader | ConfigurationError:
    from msgspec import DecodeError
    from msgspec.json import Decoder

    decoder: Decoder[Any] | None = None
    problem = ""
    try:
        decoder = Decoder(model)
    except Exception as error:  # noqa: BLE001  # whatever a class of the user raises
        problem = type(error).__name__
    if decoder is None:
        return ConfigurationError(f"msgspec cannot use {name}: {problem}")

    def read(data: bytes) -> Any:
        try:
            return decoder.decode(data)
        except DecodeError as error:
            return _msgspec_failure(str(error))

    return read


def _msgspec_failure(message: str) -> _Failure:
    """Take the path out of *message*, which says it nowhere else."""
    place = _MSGSPEC_PLACE.search(message)
    steps = _MSGSPEC_STEP.findall(place[1]) if place else []
    path = [_printable("?" if step == "..." else step) for step in steps]
    missing = _MSGSPEC_MISSING.match(message)
    if missing:
        return _Failure(".".join([*path, missing[1]]), "is missing")
    return _Failure(".".join(path), "is not valid")
