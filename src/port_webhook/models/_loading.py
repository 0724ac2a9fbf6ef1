"""From bytes to a model: ours, or one of pydantic's or msgspec's.

The bytes pass our strict check of the JSON first. Only then another library reads
the same bytes; it is imported when a model needs it, and never before.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin

from port_webhook._json import parse
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import PayloadError
from port_webhook.models._base import MUST_BE, Model, ModelType, join, load_model
from port_webhook.models._foreign import check_inputs, find_library, read_foreign
from port_webhook.models._generic import argument_of
from port_webhook.models._shapes import (
    ActionInvocation,
    CustomPayload,
    Message,
    recognise,
)

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from port_webhook.models._shapes import AnyInvocation

T = TypeVar("T")


@boundary
def load_invocation(data: bytes) -> AnyInvocation:
    """Load *data* as the message that its structure says it is.

    Raises:
        PayloadError: It is not strict JSON, or lacks what every such message has;
            ``path`` names the field.
    """
    raw = parse(data)
    return cast("AnyInvocation", load_model(recognise(raw), raw))


@boundary
def load(model: TypeForm[T], data: bytes, *, validate: bool = False) -> T:
    """Load *data* as *model*.

    Args:
        model: One of this library's models, or a list or a union of them; a pydantic
            model; a ``TypedDict`` or a dataclass, for which pydantic is needed; a
            msgspec struct; or a list or a union of those of one library.
        data: Strict JSON.
        validate: Check every field of this library's models now, in place of each
            when it is read. Other libraries always check all.

    Raises:
        PayloadError: *data* is not strict JSON, or not the model; ``path`` names the
            field.
        ConfigurationError: Nothing can be loaded as *model*.
    """
    raw = parse(data)
    if not _is_ours(model):
        return cast("T", read_foreign(find_library(model), model, raw, data))
    value = _read(model, raw, "", raw)
    if validate and value is not None:
        models: list[Model] = value if value.__class__ is list else [value]
        for each in models:
            each.validate()
    return cast("T", value)


@boundary
def check_model(model: TypeForm[Any]) -> None:
    """Check that something can be loaded as *model*, before there is anything to load.

    Raises:
        ConfigurationError: Nothing can.
    """
    if not _is_ours(model):
        find_library(model)
        return
    for each in _members(model):
        argument = argument_of(each)
        if argument is not None and check_inputs(argument) is not None:
            check_model(argument)


def _is_ours(model: Any) -> bool:
    """Tell whether *model* is a model of ours, or a list or a union of such."""
    members = _members(model)
    ours = [each for each in members if isinstance(each, ModelType)]
    return bool(ours) and all(each in ours or each is NoneType for each in members)


def _members(model: Any) -> tuple[Any, ...]:
    """Return the members of a union, of a list's too, or *model* alone."""
    origin = get_origin(model)
    if origin is list:
        return _members(get_args(model)[0])
    return get_args(model) if origin in (Union, UnionType) else (model,)


def _read(model: Any, raw: Any, path: str, root: Any) -> Any:
    """Read *raw* as *model*, which is ours."""
    if get_origin(model) is list:
        if raw.__class__ is not list:
            raise PayloadError(MUST_BE[list], path=path)
        (inner,) = get_args(model)
        return [
            _read(inner, each, join(path, f"{index}"), root)
            for index, each in enumerate(raw)
        ]
    members = [each for each in _members(model) if each is not NoneType]
    if raw is None and len(members) < len(_members(model)):
        return None
    shape = recognise(raw)
    # First what it is; last a custom payload, which anything can be.
    members.sort(
        key=lambda each: (not issubclass(each, shape), issubclass(each, CustomPayload))
    )
    errors: list[PayloadError] = []
    for each in members:
        try:
            return _read_one(each, shape, raw, path, root)
        except PayloadError as error:
            errors.append(error)
    raise errors[0]


def _read_one(model: Any, shape: type, raw: Any, path: str, root: Any) -> Any:
    """Read *raw*, whose structure is that of *shape*, as *model*."""
    is_message: bool = issubclass(model, Message)
    fits = shape is CustomPayload or issubclass(model, (shape, CustomPayload))
    if is_message and not fits:
        article = "an" if shape is ActionInvocation else "a"
        problem = f"is {article} {shape.__name__}, not {model.__name__}"
        raise PayloadError(problem, path=path)
    return load_model(model, raw, path, root)
