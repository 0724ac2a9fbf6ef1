"""Loading into pydantic's, msgspec's and the standard library's models."""

from __future__ import annotations

import dataclasses
import enum
import json
import subprocess
import sys
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import pydantic
import pytest
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.models import (
    ActionInvocation,
    ActionPayload,
    CustomPayload,
    TriggerData,
    User,
    WorkflowNodeRun,
    load,
)

ENVELOPE = Path(__file__).parent / "fixtures" / "payloads" / "envelope_create.json"
SENTINEL = "s3cret-value-that-nobody-may-quote"
T = TypeVar("T")
# A type checker wants a constant in the brackets.
GENERIC: Any = ActionInvocation


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


def failed(model, data):
    error = load(model, data)
    assert isinstance(error, PayloadError), error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.__traceback__ is None
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


# What is no model


@pytest.mark.parametrize(
    "model", [int, str, dict, list[int], Any, None, 5, "int", object(), int | None]
)
def test_what_is_no_model_is_a_configuration_error(model):
    error = loaded(model, b"{}")
    assert isinstance(error, ConfigurationError)
    assert "is not a model of port_webhook" in str(error)


def test_a_model_that_its_library_cannot_use_is_a_configuration_error():
    @dataclasses.dataclass
    class Odd:
        thing: object.__new__  # type: ignore[valid-type]  # on purpose

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
        error = loaded(model, b'{"thing": 1}')
        assert isinstance(error, ConfigurationError)
        assert word in str(error)
        assert error.__context__ is None


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="pydantic takes typing.TypedDict from 3.12 on"
)
def test_the_older_typed_dict_is_a_configuration_error_that_says_what_to_use():
    for model, data in (
        (OldSize, b'{"cpu": 2}'),
        (ActionInvocation[OldSize], ENVELOPE.read_bytes()),
    ):
        error = loaded(model, data)
        assert isinstance(error, ConfigurationError)
        assert "typing_extensions.TypedDict" in str(error)


def test_without_pydantic_what_needs_it_is_a_configuration_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    for model in (Size, DataSize):
        error = loaded(model, b'{"cpu": 2}')
        assert isinstance(error, ConfigurationError)
        assert "pydantic 2, which is not installed" in str(error)
        assert error.__context__ is None
    assert loaded(StructSize, b'{"cpu": 2}').cpu == 2


# Our own


def test_our_models_are_loaded_by_name_whatever_the_shape_is():
    assert loaded(User, b'{"email": "ada@example.com"}').email == "ada@example.com"
    assert type(loaded(CustomPayload, ENVELOPE.read_bytes())) is CustomPayload
    assert failed(User, b'{"email": 1}').path == "email"
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


def test_any_other_type_in_the_brackets_only_types():
    for argument in (Any, dict[str, int], dict, T):
        model = loaded(GENERIC[argument], envelope({"cpu": "x"}))
        assert model.properties == {"cpu": "x"}


def test_without_pydantic_a_typed_dict_in_the_brackets_only_types(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    model = loaded(ActionInvocation[Size], envelope({"cpu": "x"}))
    assert model.properties == {"cpu": "x"}
    error = loaded(ActionInvocation[DataSize], envelope({"cpu": 2}))
    assert isinstance(error, ConfigurationError)


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
