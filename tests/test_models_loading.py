"""Loading into pydantic's, msgspec's and the standard library's models."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import pickle
import subprocess
import sys
import types
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar

import msgspec
import pydantic
import pytest
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models import (
    ActionInvocation,
    ActionPayload,
    AnyInvocation,
    CatalogEvent,
    ChangelogMessage,
    CustomPayload,
    Entity,
    Model,
    TriggerData,
    User,
    WorkflowNodeRun,
    _reading,
    check_model,
    load,
    load_invocation,
)

ENVELOPE = Path(__file__).parent / "fixtures" / "payloads" / "envelope_create.json"
SENTINEL = "s3cret-value-that-nobody-may-quote"
T = TypeVar("T")
U = TypeVar("U")
# A type checker wants a constant in the brackets.
GENERIC: Any = ActionInvocation
# The older spelling of a union with None is another class of types.
OPTIONAL: Any = Optional


class Size(TypedDict):
    cpu: int


class Sized(TypedDict, total=False):
    cpu: int
    since: datetime


class OldSize(typing.TypedDict):
    cpu: int


class Box(TypedDict, Generic[T]):
    item: T


class Colour(enum.Enum):
    RED = "red"


class PydanticSize(pydantic.BaseModel):
    cpu: int


@dataclasses.dataclass
class DataSize:
    cpu: int


class StructSize(msgspec.Struct):
    cpu: int
    colour: Colour = Colour.RED
    sizes: dict[str, int] = {}
    steps: list[int] = []


class Nested(pydantic.BaseModel):
    sizes: list[PydanticSize]
    table: dict[str, int] = {}


class StructNested(msgspec.Struct):
    sizes: list[StructSize]


def envelope(properties):
    body = json.loads(ENVELOPE.read_bytes())
    body["payload"]["properties"] = properties
    return json.dumps(body).encode()


def loaded(model, data):
    """Load, for tests that know what comes out."""
    return load(model, data)


def refused(model, data=b"{}"):
    """Return the error that says why nothing can be loaded as *model*."""
    with pytest.raises(ConfigurationError) as caught:
        load(model, data)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.tb.tb_next is None
    return caught.value


def failed(model, data):
    with pytest.raises(PayloadError) as caught:
        load(model, data)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert caught.tb.tb_next is None  # it begins at the caller
    assert SENTINEL not in f"{error!s} {error!r} {vars(error)}"
    return error


# Models of others


@pytest.mark.parametrize("model", [PydanticSize, DataSize, StructSize])
def test_a_model_of_another_library_is_loaded(model):
    found = loaded(model, b'{"cpu": 2}')
    assert type(found) is model
    assert found.cpu == 2


def test_a_typed_dict_is_loaded_as_a_dict():
    assert loaded(Size, b'{"cpu": 2}') == {"cpu": 2}
    assert loaded(Sized, b'{"since": "2024-05-04T00:00:00Z"}') == {
        "since": datetime(2024, 5, 4, tzinfo=UTC)
    }


def test_a_generic_model_is_loaded_with_its_argument():
    assert loaded(Box[int], b'{"item": 2}') == {"item": 2}
    assert failed(Box[int], b'{"item": "x"}').path == "item"


@pytest.mark.parametrize(
    "model", [PydanticSize, DataSize, StructSize, Size, ActionInvocation, CustomPayload]
)
@pytest.mark.parametrize(
    "data",
    [
        b'{"cpu": 2, "cpu": 3}',
        b'{"cpu": NaN}',
        b'{"cpu": 2',
        b'{"cpu": "\xff"}',
        b"[" * 65 + b"]" * 65,
        b'{"cpu": ' + b"9" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
        b"",
    ],
)
def test_our_check_of_the_json_comes_first(model, data):
    assert failed(model, data).path == ""


@pytest.mark.parametrize("model", [PydanticSize, DataSize, StructSize, Size])
def test_a_wrong_value_of_any_model_names_its_field_and_quotes_nothing(model):
    error = failed(model, json.dumps({"cpu": SENTINEL}).encode())
    assert error.path == "cpu"
    error = failed(model, b"{}")
    assert error.path == "cpu"
    assert str(error) == "The payload's field cpu is missing."
    assert failed(model, b"[]").path == ""


def test_pydantic_says_the_kind_of_error():
    error = failed(PydanticSize, b'{"cpu": "x"}')
    assert str(error) == "The payload's field cpu is not valid (int_parsing)."


def test_the_path_goes_into_lists_and_maps():
    data = b'{"sizes": [{"cpu": 1}, {"cpu": "x"}]}'
    assert failed(Nested, data).path == "sizes.1.cpu"
    assert failed(StructNested, data).path == "sizes.1.cpu"
    assert failed(StructNested, b'{"sizes": [{}]}').path == "sizes.0.cpu"
    assert failed(Nested, b'{"sizes": [], "table": {"k": "x"}}').path == "table.k"
    # msgspec does not say which key.
    assert failed(StructSize, b'{"cpu": 1, "sizes": {"k": "x"}}').path == "sizes.?"
    assert failed(StructSize, b'{"cpu": 1, "steps": [1, "x"]}').path == "steps.1"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


class Pets(pydantic.BaseModel):
    one: int | list[str] = 1
    tagged: Cat | Dog | None = pydantic.Field(None, discriminator="kind")
    either: Cat | Dog | None = None
    keys: dict[int, dict[str, int]] = {}
    pair: tuple[int, int] = (1, 1)
    short: Annotated[str, pydantic.AfterValidator(str.strip)] | int = ""
    text: pydantic.Json[PydanticSize] | None = None
    alias: int = pydantic.Field(
        1, validation_alias=pydantic.AliasChoices("x", pydantic.AliasPath("deep", 1))
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        # Each step of pydantic's own is left out: a member of a union, a tag, a
        # function, a mark of a key.
        ({"one": "x"}, "one"),
        ({"one": [1]}, "one"),
        ({"tagged": {"kind": "cat", "lives": "x"}}, "tagged.lives"),
        ({"tagged": {"kind": "cat"}}, "tagged.lives"),
        ({"tagged": {"kind": "cow"}}, "tagged"),
        ({"tagged": {}}, "tagged"),
        ({"either": {"kind": "cat", "lives": "x"}}, "either.lives"),
        ({"short": []}, "short"),
        ({"text": '{"cpu": "x"}'}, "text"),
        ({"text": "[]"}, "text"),
        # A key that is refused is input; one that was taken names its value.
        ({"keys": {SENTINEL: {}}}, "keys"),
        ({"keys": {"1": {"a": "x"}}}, "keys.1.a"),
        ({"pair": [1]}, "pair.1"),
        ({"pair": [1, "x"]}, "pair.1"),
        ({"deep": [0, "x"]}, "deep.1"),
        ({"x": "x"}, "x"),
        ([], ""),
    ],
)
def test_a_path_is_one_of_the_document(body, path):
    assert failed(Pets, json.dumps(body).encode()).path == path


def test_a_path_below_the_brackets_is_one_of_the_document_too():
    model = GENERIC[PydanticSize | Nested]
    error = failed(model, envelope({"sizes": [{"cpu": "x"}]}))
    # pydantic lists the members of the union in order; the first one wants a cpu.
    assert error.path == "payload.properties.cpu"
    error = failed(GENERIC[Nested | None], envelope({"sizes": [{"cpu": "x"}]}))
    assert error.path == "payload.properties.sizes.0.cpu"


def test_a_key_that_should_not_reach_a_log_is_not_in_a_path():
    for key in ("a\nb", "ü", "x" * 65):
        body = {"sizes": [], "table": {key: "x"}}
        assert failed(Nested, json.dumps(body).encode()).path == "table.?"


def test_a_value_that_looks_like_msgspecs_place_is_not_taken_for_it():
    class Flag(msgspec.Struct):
        colour: Colour

    hostile = f"x' - at `$.{SENTINEL}`"
    data = json.dumps({"colour": hostile}).encode()
    assert failed(Flag, data).path == "colour"
    union = msgspec.defstruct("union", ["x"], tag="a") | msgspec.defstruct(
        "other", ["x"], tag="b"
    )
    holder = msgspec.defstruct("Holder", [("one", union)])
    data = json.dumps({"one": {"type": hostile}}).encode()
    assert failed(holder, data).path == "one.type"


def test_what_json_allows_and_the_library_does_not_is_a_payload_error():
    data = b'{"cpu": 1, "name": "\\ud800"}'
    assert failed(StructSize, data).path == ""
    assert failed(PydanticSize, data).path == ""


def test_a_validator_of_the_user_cannot_make_us_quote():
    class Careless(pydantic.BaseModel):
        cpu: str

        @pydantic.field_validator("cpu")
        @classmethod
        def refuse(cls, value):
            raise PydanticCustomError(value, "{v}", {"v": value})

    class Plain(pydantic.BaseModel):
        cpu: str

        @pydantic.field_validator("cpu")
        @classmethod
        def refuse(cls, value):
            raise ValueError(value)

    data = json.dumps({"cpu": SENTINEL}).encode()
    error = failed(Careless, data)
    assert str(error) == "The payload's field cpu is not valid."
    assert str(failed(Plain, data)).endswith("cpu is not valid (value_error).")


def test_an_exception_of_the_users_own_code_is_the_users():
    class Broken(pydantic.BaseModel):
        cpu: int

        @pydantic.field_validator("cpu")
        @classmethod
        def refuse(cls, value):
            raise KeyError(value)

    class BrokenStruct(msgspec.Struct):
        cpu: int

        def __post_init__(self):
            raise KeyError(self.cpu)

    for model in (Broken, BrokenStruct):
        with pytest.raises(KeyError):
            loaded(model, b'{"cpu": 2}')


class BrokenInputs(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def refuse(cls, value):
        raise TypeError(value)


class BrokenStruct(msgspec.Struct):
    name: str

    def __post_init__(self):
        raise AssertionError(self.name)


@dataclasses.dataclass
class BrokenData:
    name: str

    def __post_init__(self):
        raise KeyError(self.name)


def frames_of(error):
    """Return the locals of the frames that *error* passed, ours and the others'."""
    ours: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals["__name__"]
        group = ours if module.startswith("port_webhook.") else others
        group.append(dict(trace.tb_frame.f_locals))
        trace = trace.tb_next
    return ours, others


@pytest.mark.parametrize("model", [BrokenInputs, BrokenStruct, BrokenData])
@pytest.mark.parametrize("brackets", [False, True])
def test_no_frame_of_ours_holds_the_payload_when_the_users_own_code_fails(
    model, brackets
):
    properties = {"name": SENTINEL}
    data = envelope(properties) if brackets else json.dumps(properties).encode()
    with pytest.raises((TypeError, AssertionError, KeyError)) as caught:
        loaded(GENERIC[model] if brackets else model, data)
    ours, others = frames_of(caught.value)
    assert len(ours) >= 3
    assert SENTINEL not in repr(ours)
    assert SENTINEL in repr(others[1:])  # the user's frames are the user's
    assert caught.value.__context__ is None


def test_an_error_that_holds_a_frame_of_ours_that_still_runs_is_passed_on():
    kept = []

    class Keeper(msgspec.Struct):
        name: str

        def __post_init__(self):
            # With the frames that called it.
            frame: types.FrameType | None = sys._getframe()
            trace = None
            while frame is not None:
                trace = types.TracebackType(trace, frame, frame.f_lasti, 1)
                frame = frame.f_back
            kept.append(KeyError(self.name).with_traceback(trace))
            raise kept[0]

    with pytest.raises(KeyError):
        loaded(Keeper, b'{"name": "x"}')


@pytest.mark.parametrize("model", [Nested, StructNested, DataSize, Size])
def test_what_reads_a_model_is_built_once(model, monkeypatch):
    data = b'{"sizes": [{"cpu": 1}], "cpu": 1}'
    _reading._adapter.cache_clear()
    _reading._decoder.cache_clear()
    for _ in range(3):
        loaded(model, data)
    built = [each.cache_info() for each in (_reading._adapter, _reading._decoder)]
    assert [sum(each.hits for each in built), sum(each.misses for each in built)] == [
        2,
        1,
    ]
    assert all(each.maxsize for each in built)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (list[PydanticSize], [PydanticSize(cpu=1)]),
        (list[StructSize], [StructSize(cpu=1)]),
        (list[Size], [{"cpu": 1}]),
        (OPTIONAL[list[PydanticSize]], [PydanticSize(cpu=1)]),
    ],
)
def test_a_list_of_models_is_loaded(model, found):
    assert loaded(model, b'[{"cpu": 1}]') == found
    assert failed(model, b'[{"cpu": 1}, {"cpu": "x"}]').path == "1.cpu"


def test_a_union_of_models_is_loaded():
    assert loaded(PydanticSize | Nested, b'{"sizes": []}') == Nested(sizes=[])


# What is no model


@pytest.mark.parametrize(
    "model", [int, str, dict, list[int], Any, None, 5, "int", object(), int | None]
)
def test_what_is_no_model_is_a_configuration_error(model):
    error = refused(model, b"{}")
    assert "is not a model of port_webhook" in str(error)


def test_a_model_that_its_library_cannot_use_is_a_configuration_error():
    @dataclasses.dataclass
    class Odd:
        thing: object.__new__

    class Unfinished(pydantic.BaseModel):
        thing: "NobodyDefinedThis"  # type: ignore[name-defined]  # noqa: F821, UP037  # on purpose

    class BadStruct(msgspec.Struct):
        thing: "NobodyDefinedThis"  # type: ignore[name-defined]  # noqa: F821, UP037  # on purpose

    @dataclasses.dataclass
    class Holder:
        thing: Any

        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise KeyError(cls)

    for model, word in (
        (Odd, "Odd"),
        (Unfinished, "not fully defined"),
        (BadStruct, "NameError"),
        (Holder, "KeyError"),
    ):
        error = refused(model, b'{"thing": 1}')
        assert word in str(error)


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="pydantic takes typing.TypedDict from 3.12 on"
)
def test_the_older_typed_dict_is_a_configuration_error_that_says_what_to_use():
    for model, data in (
        (OldSize, b'{"cpu": 2}'),
        (ActionInvocation[OldSize], ENVELOPE.read_bytes()),
    ):
        error = refused(model, data)
        assert "typing_extensions.TypedDict" in str(error)


def test_without_pydantic_what_needs_it_is_a_configuration_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    for model in (Size, DataSize):
        error = refused(model, b'{"cpu": 2}')
        assert "pydantic 2, which is not installed" in str(error)
    assert loaded(StructSize, b'{"cpu": 2}').cpu == 2


# Our own


def test_our_models_are_loaded_by_name_whatever_the_shape_is():
    assert loaded(User, b'{"email": "ada@example.com"}').email == "ada@example.com"
    assert type(loaded(CustomPayload, ENVELOPE.read_bytes())) is CustomPayload
    with pytest.raises(PayloadError) as caught:
        load(User, b'{"email": 1}', validate=True)
    assert caught.value.path == "email"
    assert failed(User, b"[]").path == ""
    assert failed(WorkflowNodeRun, b"{}").path == "context"


def test_the_properties_are_read_as_the_type_in_the_brackets():
    for argument in (PydanticSize, DataSize, StructSize):
        model = loaded(GENERIC[argument], envelope({"cpu": 2}))
        assert type(model.properties) is argument
        assert model.properties is model.payload.properties
        assert model.to_dict()["payload"]["properties"] == {"cpu": 2}


def test_a_typed_dict_in_the_brackets_is_checked_and_keeps_unknown_keys():
    properties = {"cpu": 2, "since": "2024-05-04T00:00:00Z", "colour": "red"}
    model = loaded(ActionInvocation[Sized], envelope(properties))
    assert model.properties == {
        "cpu": 2,
        "since": datetime(2024, 5, 4, tzinfo=UTC),
        "colour": "red",
    }
    assert model.to_dict()["payload"]["properties"] == properties
    error = failed(ActionInvocation[Size], envelope({"cpu": SENTINEL}))
    assert error.path == "payload.properties.cpu"
    error = failed(ActionInvocation[Size], envelope(None))
    assert error.path == "payload.properties.cpu"
    assert "is missing" in str(error)
    assert failed(ActionInvocation[Size], b"{}").path == "action"


def test_the_inputs_of_trigger_data_are_read_too_unless_they_are_null():
    assert loaded(TriggerData[PydanticSize], b'{"inputs": {"cpu": 2}}').inputs.cpu == 2
    assert loaded(TriggerData[PydanticSize], b'{"inputs": null}').inputs is None
    assert failed(TriggerData[Size], b'{"inputs": {}}').path == "inputs.cpu"
    payload = loaded(ActionPayload[StructSize], b'{"properties": {"cpu": 2}}')
    assert payload.properties.cpu == 2


class Loose(pydantic.BaseModel):
    cpu: int = 7


def test_where_nothing_came_the_shortcut_is_of_the_type_and_the_field_is_none():
    model = loaded(GENERIC[Loose], envelope(None))
    assert model.payload.properties is None
    assert model.properties == Loose(cpu=7)
    assert model.properties is model.properties
    payload = loaded(ActionPayload[PydanticSize], b"{}")
    assert payload.properties is None


class Mine(ActionInvocation[T]): ...


class Further(Mine[T], Generic[U, T]): ...


class Sizing(ActionInvocation[PydanticSize]): ...


class MoreSizing(Further[str, PydanticSize]): ...


class SizedData(TriggerData[PydanticSize]): ...


class Plain(ActionInvocation): ...


@pytest.mark.parametrize(
    "model", [Mine[PydanticSize], Further[str, PydanticSize], Sizing, MoreSizing]
)
def test_the_inputs_that_a_subclass_names_are_read_too(model):
    found = loaded(model, envelope({"cpu": 2}))
    assert isinstance(found, ActionInvocation)
    assert type(found) is model
    assert found.properties == found.payload.properties == PydanticSize(cpu=2)
    error = failed(model, envelope({"cpu": "x"}))
    assert error.path == "payload.properties.cpu"
    check_model(model)


def test_a_subclass_that_leaves_them_open_is_loaded_as_it_is():
    for model in (Mine, Further, Plain):
        found = loaded(model, envelope({"cpu": "x"}))
        assert type(found) is model
        assert found.properties == {"cpu": "x"}


def test_from_dict_reads_the_inputs_that_a_subclass_names():
    assert SizedData.from_dict({"inputs": {"cpu": 2}}).inputs == PydanticSize(cpu=2)
    with pytest.raises(PayloadError) as caught:
        SizedData.from_dict({"inputs": {"cpu": SENTINEL}})
    assert caught.value.path == "inputs.cpu"
    assert SENTINEL not in repr(frames_of(caught.value)[0])


def test_from_dict_sees_the_brackets():
    in_brackets: Any = TriggerData[PydanticSize]
    assert in_brackets.from_dict({"inputs": {"cpu": 2}}).inputs == PydanticSize(cpu=2)
    with pytest.raises(PayloadError) as caught:
        in_brackets.from_dict({"inputs": {"cpu": SENTINEL}})
    assert caught.value.path == "inputs.cpu"
    assert caught.tb.tb_next is None


def test_brackets_make_a_class_of_its_own_once_for_each_type():
    model: Any = GENERIC[PydanticSize]
    assert model is GENERIC[PydanticSize]
    assert issubclass(model, ActionInvocation)
    assert model.__name__ == "ActionInvocation[PydanticSize]"
    assert GENERIC[DataSize] is not model
    assert GENERIC[PydanticSize | None].__name__.startswith("ActionInvocation[")
    found = loaded(model, envelope({"cpu": 2}))
    assert type(found) is model
    assert type(found.payload) is ActionPayload[PydanticSize]
    assert repr(found).startswith("<ActionInvocation[PydanticSize] action=")
    assert Mine[PydanticSize] is not model


def test_a_model_with_brackets_pickles_and_so_does_its_class():
    model: Any = GENERIC[PydanticSize]
    found = loaded(model, envelope({"cpu": 2}))
    for twin in (
        pickle.loads(pickle.dumps(found)),  # noqa: S301  # made a moment ago
        copy.copy(found),
        copy.deepcopy(found),
    ):
        assert twin == found
        assert type(twin) is model
        assert twin.properties == PydanticSize(cpu=2)
    for each in (model, Further[str, PydanticSize], ActionInvocation, Sizing, Entity):
        again = pickle.loads(pickle.dumps(each))  # noqa: S301  # made a moment ago
        assert again is each


def test_brackets_take_as_many_types_as_the_class_has_variables():
    for model, types_ in (
        (GENERIC, (Size, Size)),
        (Further, (Size,)),
        (CatalogEvent, (Size,)),
    ):
        generic: Any = model
        with pytest.raises(TypeError, match="types in brackets"):
            generic[types_]


def test_a_variable_inside_the_type_is_filled_later():
    generic: Any = GENERIC[Box[T]]
    assert loaded(generic[int], envelope({"item": 2})).properties == {"item": 2}
    assert failed(generic[int], envelope({"item": "x"})).path == (
        "payload.properties.item"
    )


class Own(Model, Generic[T]):
    """A generic model of a user's, of which Port's messages have no part."""


class OwnSize(Own[PydanticSize]): ...


def test_brackets_that_nothing_could_be_read_as_are_a_configuration_error():
    assert "Own is not generic over inputs" in str(refused(Own[PydanticSize]))
    with pytest.raises(ConfigurationError, match="not generic over inputs"):
        check_model(Own[PydanticSize])
    for model in (Own, OwnSize):
        assert loaded(model, b'{"name": "x"}').extra == {"name": "x"}


def test_a_model_of_ours_in_the_brackets_is_read_by_us():
    found = loaded(GENERIC[User], envelope({"email": "ada@example.com"}))
    assert found.properties == User.from_dict({"email": "ada@example.com"})
    body = envelope({"email": 5})
    with pytest.raises(PayloadError) as caught:
        load(GENERIC[User], body, validate=True)
    assert caught.value.path == "payload.properties.email"
    assert caught.value.run_id == "r_Vm1Engine"


@pytest.mark.parametrize(
    ("shape", "body", "path"),
    [
        (CustomPayload, {"inputs": {"cpu": 2}}, "inputs"),
        (CustomPayload, {"properties": {"cpu": 2}}, "properties"),
        (CustomPayload, {"payload": {"properties": {"cpu": 2}}}, "payload.properties"),
        (
            WorkflowNodeRun,
            {
                "payload": {"action": {}, "properties": {"cpu": 2}},
                "context": {"runId": "wfnr_1"},
            },
            "payload.properties",
        ),
        (TriggerData, {"inputs": {"cpu": 2}}, "inputs"),
    ],
)
def test_the_inputs_of_every_shape_are_read_as_the_type(shape, body, path):
    model = shape[PydanticSize]
    found = loaded(model, json.dumps(body).encode())
    assert found.inputs == PydanticSize(cpu=2)
    data = json.dumps(body).replace("2", '"x"').encode()
    assert failed(model, data).path == f"{path}.cpu"


def test_an_authors_own_body_without_inputs_has_none_of_any_type():
    custom: Any = CustomPayload[PydanticSize]
    assert loaded(custom, b"[1]").inputs is None


# Lists and unions of ours


def test_a_union_of_ours_is_the_member_that_came():
    union: Any = ActionInvocation | TriggerData
    for each in (union, OPTIONAL[union], TriggerData | ActionInvocation):
        assert type(loaded(each, ENVELOPE.read_bytes())) is ActionInvocation
        data = b'{"inputs": {}, "trigger": {}, "run": {}}'
        assert type(loaded(each, data)) is TriggerData
    changelog = (
        b'{"action":"x","resourceType":"y","status":"z","trigger":{},"context":{}}'
    )
    error = failed(union, changelog)
    assert "is a ChangelogMessage, not" in str(error)
    assert type(loaded(CustomPayload | ActionInvocation, ENVELOPE.read_bytes())) is (
        ActionInvocation
    )
    assert type(loaded(CustomPayload | TriggerData, ENVELOPE.read_bytes())) is (
        CustomPayload
    )
    assert loaded(OPTIONAL[User], b"null") is None
    assert load(OPTIONAL[User], b"null", validate=True) is None
    assert failed(User | Entity, b"null").path == ""


def test_the_union_of_all_messages_is_what_invocation_gives():
    for path in ENVELOPE.parent.glob("*.json"):
        data = path.read_bytes()
        union: Any = AnyInvocation
        assert loaded(union, data) == load_invocation(data)


def test_a_member_of_a_union_may_have_brackets():
    union: Any = GENERIC[PydanticSize] | ChangelogMessage
    assert loaded(union, envelope({"cpu": 2})).properties.cpu == 2
    assert failed(union, envelope({"cpu": "x"})).path == "payload.properties.cpu"
    check_model(union)


def test_a_list_of_ours_is_loaded():
    found = load(list[User], b'[{"id": "a"}, {"id": "b"}]', validate=True)
    assert [user.id for user in found] == ["a", "b"]
    assert failed(list[User], b"{}").path == ""
    assert failed(list[User], b'[{"id": "a"}, 5]').path == "1"
    with pytest.raises(PayloadError) as caught:
        load(list[User], b'[{"id": "a"}, {"id": 5}]', validate=True)
    assert caught.value.path == "1.id"
    check_model(list[User])
    check_model(OPTIONAL[User])


@pytest.mark.parametrize(
    "argument",
    [
        PydanticSize | Nested,
        PydanticSize | None,
        OPTIONAL[PydanticSize],
        Annotated[PydanticSize, "note"],
        NewType("SpecialSize", PydanticSize),
        TypeAliasType("SizeAlias", PydanticSize | Nested),
        Size | Nested,
        OPTIONAL[Size],
        OPTIONAL[StructSize],
        dict[str, PydanticSize],
    ],
)
def test_what_holds_a_model_is_checked_in_the_brackets(argument):
    error = failed(GENERIC[argument], envelope({"cpu": "x"}))
    assert error.path == "payload.properties.cpu"


def test_the_member_of_a_union_that_fits_is_found():
    for argument in (PydanticSize | Nested, OPTIONAL[PydanticSize]):
        model = loaded(GENERIC[argument], envelope({"cpu": 2}))
        assert model.properties == PydanticSize(cpu=2)
    model = loaded(GENERIC[Size | Nested], envelope({"cpu": 2, "colour": "red"}))
    assert model.properties == {"cpu": 2, "colour": "red"}
    model = loaded(GENERIC[dict[int, PydanticSize]], envelope({"1": {"cpu": 2}}))
    assert model.properties == {1: PydanticSize(cpu=2)}


def test_what_no_library_can_read_in_the_brackets_is_a_configuration_error():
    for argument in (
        PydanticSize | StructSize,
        User | PydanticSize,
        "NobodyDefinedThis",
    ):
        error = refused(GENERIC[argument], envelope({"cpu": 2}))
        by_pydantic = argument == "NobodyDefinedThis"
        reason = "cannot be used by pydantic" if by_pydantic else "no one library reads"
        assert reason in str(error)


@pytest.mark.parametrize(
    "model",
    [
        User | PydanticSize,
        list[User | StructSize],
        dict[str, User],
        list[dict[str, User]],
    ],
)
def test_models_of_ours_among_others_are_refused_at_set_up(model):
    with pytest.raises(ConfigurationError, match="no one library reads"):
        check_model(model)


def test_the_set_up_looks_into_the_brackets(monkeypatch):
    check_model(ActionInvocation)
    check_model(GENERIC[dict[str, int]])
    for argument in (DataSize, OPTIONAL[Size], PydanticSize | Nested):
        check_model(GENERIC[argument])
    monkeypatch.setitem(sys.modules, "pydantic", None)
    check_model(GENERIC[Size])
    for argument in (DataSize, OPTIONAL[Size]):
        with pytest.raises(ConfigurationError, match="2, which is not installed"):
            check_model(GENERIC[argument])


def test_any_other_type_in_the_brackets_only_types():
    for argument in (Any, dict[str, int], dict, T, NewType("Props", dict)):
        model = loaded(GENERIC[argument], envelope({"cpu": "x"}))
        assert model.properties == {"cpu": "x"}


def test_without_pydantic_a_typed_dict_in_the_brackets_only_types(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    model = loaded(ActionInvocation[Size], envelope({"cpu": "x"}))
    assert model.properties == {"cpu": "x"}
    refused(ActionInvocation[DataSize], envelope({"cpu": 2}))


def test_neither_library_is_imported_before_a_model_needs_it():
    code = f"""
import sys
from port_webhook.models import ActionInvocation, load, load_invocation
data = open({str(ENVELOPE)!r}, "rb").read()
load_invocation(data)
load(ActionInvocation, data)
assert not {{"pydantic", "msgspec"}} & set(sys.modules)
import msgspec
class Size(msgspec.Struct):
    action: str
assert load(Size, data).action == "create_vm"
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
