"""Models whose inputs have a type of the user's: ``ActionInvocation[VmInputs]``.

Brackets create a subclass, once for each type, so that the type is known wherever the
class is passed.
"""

from __future__ import annotations

from typing import Any, ClassVar, ForwardRef, Generic, Self, cast
from weakref import WeakValueDictionary

from typing_extensions import TypeVar

from port_webhook.models._base import (
    Model,
    ModelType,
    join,
    part,
    parts_of,
    path_of,
    root_of,
)
from port_webhook.models._reading import read_inputs

P = TypeVar("P", default=dict[str, Any])
_OPEN: Any = P  # as a value, not as a type

_INPUTS = "@inputs"  # no key of Port's
# A class that nobody uses any more goes.
_made: WeakValueDictionary[tuple[Any, Any], ModelType] = WeakValueDictionary()


class InputsModel(Model, Generic[P]):
    """A model that holds inputs of the type ``P``."""

    # The type of the inputs; while it is open, a type variable.
    _argument: ClassVar[Any] = _OPEN
    # The attribute that is read when the model is loaded, if there is a type.
    _inputs_name: ClassVar[str] = "inputs"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__orig_bases__" not in vars(cls):
            # Brackets leave a class, which typing does not look into.
            cast("Any", cls).__parameters__ = _free(cls._argument)

    def __class_getitem__(cls, item: Any) -> Any:
        """Return the class whose inputs are of the type in the brackets."""
        given: tuple[Any, ...] = item if item.__class__ is tuple else (item,)
        free: tuple[Any, ...] = cast("Any", cls).__parameters__
        if len(given) != len(free):
            raise TypeError(f"{cls.__name__} takes {len(free)} types in brackets")
        types = [ForwardRef(one) if isinstance(one, str) else one for one in given]
        argument = _fill(cls._argument, dict(zip(free, types, strict=True)))
        if argument is cls._argument:
            return cls
        made = _made.get((cls, argument))
        return made or _made.setdefault((cls, argument), cls._make(argument, item))

    @classmethod
    def _make(cls, argument: Any, item: Any) -> ModelType:
        """Create the subclass whose inputs are an *argument*; *item* is in brackets."""
        shown = argument.__name__ if isinstance(argument, type) else str(argument)
        names: dict[str, Any] = {
            "__module__": cls.__module__,
            "__qualname__": f"{cls.__qualname__}[{shown}]",
            "__doc__": cls.__doc__,
            "_argument": argument,
            "_origin": (cls, item),
        }
        for name, field in cls._fields.items():
            inner: Any = field.kind
            if getattr(inner, "_argument", None) == cls._argument:
                generic, _ = getattr(inner, "_origin", (inner, None))
                kind = generic[argument]
                names[name] = part(field.key, kind, required=field.required)
        made: ModelType = ModelType(f"{cls.__name__}[{shown}]", (cls,), names)
        return made

    @classmethod
    def _load(cls, raw: Any, path: str, root: Any) -> Self:
        model = super()._load(raw, path, root)
        if not isinstance(cls._argument, TypeVar):
            getattr(model, cls._inputs_name)  # to be checked now
        return model

    def _typed(self, raw: dict[str, Any], path: str) -> P:
        """Read the inputs *raw*, found at *path*, as the type in the brackets."""
        parts = parts_of(self)
        if _INPUTS in parts:
            return cast("P", parts[_INPUTS])
        path = join(path_of(self), path)
        value = read_inputs(self._argument, raw, path, root_of(self))
        return cast("P", parts.setdefault(_INPUTS, value))


def _free(argument: Any) -> tuple[Any, ...]:
    is_variable = isinstance(argument, TypeVar)
    return (argument,) if is_variable else getattr(argument, "__parameters__", ())


def _fill(argument: Any, given: dict[Any, Any]) -> Any:
    """Replace the type variables by the *given* types."""
    if isinstance(argument, TypeVar):
        return given.get(argument, argument)
    free = _free(argument)
    return argument[tuple(given.get(each, each) for each in free)] if free else argument
