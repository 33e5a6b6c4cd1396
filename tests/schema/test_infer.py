"""From config classes to Kong's schemas: what is inferred, and what is refused with which words."""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Annotated, Any, List, Literal, NewType, Optional, Tuple, Union  # noqa: UP035

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from pluginserver.errors import SchemaError
from pluginserver.schema.annotations import KongKeys
from pluginserver.schema.infer import attributes, infer, jsonable, plugin_schema, public_values
from pluginserver.spec.wording import describe


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    A = 1
    B = "b"


class Unhashable(Enum):
    A = ["a"]  # noqa: RUF012


@attrs.define
class Limit:
    window: int = attrs.field(metadata=attributes(between=(1, 60)))
    by: Literal["ip", "key"] = "ip"
    note: str | None = None


@attrs.define
class Tree:
    children: list[Tree] = attrs.field(factory=list)


UserId = NewType("UserId", str)


def one(annotation: Any, **kwargs: Any) -> dict[str, Any]:
    """What is inferred for a single field ``x``."""
    cls = attrs.make_class("Config", {"x": attrs.field(type=annotation, **kwargs)})
    ((found,),) = ([field["x"] for field in infer(cls)],)
    return found


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, STRING),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (UserId, STRING),
        (TypeAliasType("Alias", str), STRING),
        (list[str], {"type": "array", "elements": STRING}),
        (List[int], {"type": "array", "elements": {"type": "integer"}}),  # noqa: UP006
        (tuple[str, ...], {"type": "array", "elements": STRING}),
        (Tuple[str, ...], {"type": "array", "elements": STRING}),  # noqa: UP006
        (Sequence[str], {"type": "array", "elements": STRING}),
        (set[str], {"type": "set", "elements": STRING}),
        (frozenset[Color], {"type": "set", "elements": {**STRING, "one_of": ["red", "blue"]}}),
        (dict[str, bool], {"type": "map", "keys": STRING, "values": {"type": "boolean"}}),
        (
            Mapping[Literal["a", "b"], float],
            {
                "type": "map",
                "keys": {**STRING, "one_of": ["a", "b"]},
                "values": {"type": "number"},
            },
        ),
        (list[list[int]], {"type": "array", "elements": one(list[int], default=None)}),
        (Literal["a", "b"], {**STRING, "one_of": ["a", "b"]}),
        (Literal["", "b"], {**STRING, "one_of": ["", "b"], "len_min": 0}),
        (Literal[1, 2], {"type": "integer", "one_of": [1, 2]}),
        (Literal[Color.RED], {**STRING, "one_of": ["red"]}),
        (Color, {**STRING, "one_of": ["red", "blue"]}),
        (Level, {"type": "integer", "one_of": [1, 2]}),
        (
            Annotated[str, attributes(len_min=2), "a marker of somebody else"],
            {**STRING, "len_min": 2},
        ),
        (
            list[Annotated[str, attributes(starts_with="www.")]],
            {"type": "array", "elements": {**STRING, "starts_with": "www."}},
        ),
    ],
)
def test_types(annotation: Any, expected: dict[str, Any]) -> None:
    assert one(annotation) == {**expected, "required": True}
    assert one(Optional[annotation]) == expected  # noqa: UP045
    assert one(annotation, default=None) == expected


def test_none_among_a_literals_values_makes_a_field_optional() -> None:
    assert one(Literal["a", None]) == {**STRING, "one_of": ["a"]}
    assert one(str | None) == STRING


def test_an_attrs_class_is_a_record() -> None:
    assert one(Limit) == {
        "type": "record",
        "required": True,
        "fields": [
            {"window": {"type": "integer", "required": True, "between": [1, 60]}},
            {"by": {"type": "string", "one_of": ["ip", "key"], "default": "ip"}},
            {"note": {"type": "string"}},
        ],
    }


def test_json_of_any_shape() -> None:
    anything = {"inline": {"description": "any JSON value"}}
    thing = {"inline": {"type": "object"}}
    mine = {"inline": {"type": "array"}}
    assert one(Any) == {"type": "json", "json_schema": anything}
    assert one(dict[str, Any]) == {"type": "json", "json_schema": thing, "required": True}
    assert one(dict) == one(Mapping[str, object]) == one(dict[str, Any])
    assert one(list[Any])["elements"] == {"type": "json", "json_schema": anything}
    assert one(Any, metadata=attributes(json_schema=mine))["json_schema"] == mine


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (str, "hello", "hello"),
        (bool, False, False),
        (int, 0, 0),
        (float, 1, 1),
        (Color, Color.RED, "red"),
        (Level, Level.HIGH, 2),
        (list[Color], [Color.BLUE], ["blue"]),
        (tuple[int, ...], (1, 2), [1, 2]),
        (set[str], {"b", "a"}, ["a", "b"]),
        (dict[str, int], {}, {}),
        (dict[Color, int], {Color.RED: 1}, {"red": 1}),
        (Limit, Limit(window=3), {"window": 3, "by": "ip"}),
        (list[str], attrs.Factory(list), []),
        (dict[str, Any], {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    ],
)
def test_defaults_are_told_as_json(annotation: Any, default: Any, expected: Any) -> None:
    found = one(annotation, default=default)
    assert found["default"] == expected
    assert "required" not in found
    json.dumps(found)


def test_an_empty_string_as_default_is_made_acceptable_to_kong() -> None:
    assert one(str, default="") == {"type": "string", "default": "", "len_min": 0}


def test_a_default_that_needs_the_object_is_not_told() -> None:
    assert one(str, default=attrs.Factory(lambda self: "x", takes_self=True)) == STRING


def test_a_default_that_cannot_be_made_is_an_error() -> None:
    def fail() -> str:
        raise ValueError("no luck")

    with pytest.raises(SchemaError, match=r"config\.x: the default .* \(ValueError: no luck\)"):
        one(str, default=attrs.Factory(fail))
    with pytest.raises(SchemaError, match=r"config\.x: the default"):
        one(float, default=float("inf"))
    with pytest.raises(SchemaError, match=r"config\.x: the default"):
        one(int, default=2**60)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bytes, "config.x: Kong has no type for bytes: use str"),
        (datetime.datetime, "use str, or int for seconds"),
        (datetime.timedelta, "use float for seconds"),
        (decimal.Decimal, "use float or str"),
        (pathlib.Path, "use str"),
        (uuid.UUID, "use str with uuid=True"),
        (re.Pattern[str], "use str with is_regex=True"),
        (complex, "use float"),
        (None, "config.x: the field has no type"),
        (type(None), "give it a type"),
        (Callable[[], int], "config.x: Kong has no type for"),
        (object(), "config.x: Kong has no type for"),
        (Union[int, str], "one type, or one type and None"),  # noqa: UP007
        (int | str | None, "one type, or one type and None"),
        (list[bytes], "config.x[]: Kong has no type for bytes"),
        (dict[str, bytes], "config.x{}: Kong has no type for bytes"),
        (dict[int, str], "config.x: the keys must be str"),
        (dict[bytes, str], "config.x (keys): Kong has no type for bytes"),
        (list[str | None], "config.x[]: Kong keeps no null inside a list"),
        (dict[str, str | None], "config.x{}: Kong keeps no null inside a list or map"),
        (list, "say what the list holds"),
        (set, "say what the set holds"),
        (tuple[int, str], "use tuple[X, ...] or an attrs class"),
        (tuple[int], "use tuple[X, ...] or an attrs class"),
        (set[Limit], "a set can hold only strings, numbers and booleans"),
        (set[list[str]], "a set can hold only strings, numbers and booleans"),
        (Literal["a", 1], "must be all strings or all numbers"),
        (Literal[True], "must be all strings or all numbers"),
        (Literal[None], "must be all strings or all numbers"),
        (Mixed, "the values of Mixed must be all strings or all numbers"),
        (Unhashable, "the values of Unhashable must be all strings or all numbers"),
        (Tree, "config.x.children[]: Tree contains itself"),
        (["str"], "config.x: the annotation ['str'] is not a type"),
    ],
)
def test_what_kong_cannot_express_is_an_error_that_names_the_field(
    annotation: Any, words: str
) -> None:
    with pytest.raises(SchemaError, match=re.escape(words)):
        one(annotation)


def test_a_dataclass_inside_is_an_error() -> None:
    import dataclasses

    made = dataclasses.make_dataclass("Made", [("a", int)])
    with pytest.raises(SchemaError, match="Made is a dataclass: make it an attrs class"):
        one(made)


def test_errors_name_the_place_inside_nested_classes() -> None:
    window = attrs.make_class("Window", {"window": attrs.field(type=bytes)})
    with pytest.raises(SchemaError, match=r"^config\.x\[\]\.window: "):
        one(list[window])


@attrs.define
class Dangling:
    x: NotThere  # type: ignore[name-defined]  # noqa: F821


def test_an_annotation_that_cannot_be_resolved_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"annotations of Dangling cannot be resolved.*NotThere"):
        infer(Dangling)


def test_fields_that_are_not_configurable_are_left_out() -> None:
    @attrs.define
    class Config:
        shown: str
        kong_keys: KongKeys = attrs.field(factory=KongKeys)
        _private: bytes = b""
        computed: bytes = attrs.field(default=b"", init=False)

    assert infer(Config) == [{"shown": {"type": "string", "required": True}}]


def test_a_field_can_have_another_name_in_kong() -> None:
    @attrs.define
    class Config:
        max_age: int = attrs.field(default=1, metadata=attributes(name="max-age"))
        other: int = attrs.field(default=1, alias="another")
        third: Annotated[int, attributes(name="3rd")] = 1

    assert [name for field in infer(Config) for name in field] == ["max-age", "another", "3rd"]


def test_two_fields_with_one_name_in_kong_are_an_error() -> None:
    @attrs.define
    class Config:
        a: int = 1
        b: int = attrs.field(default=1, metadata=attributes(name="a"))

    with pytest.raises(SchemaError, match=r"config\.a: two fields have this name"):
        infer(Config)


def test_what_the_author_writes_comes_before_what_is_inferred() -> None:
    given_ = attributes(required=True, len_min=3, description="what it is called")
    assert one(str, default="abc", metadata=given_) == {
        "type": "string",
        "default": "abc",
        "required": True,
        "len_min": 3,
        "description": "what it is called",
    }
    mine = {**attributes(len_max=5), "mine": object()}
    assert one(Annotated[str, attributes(len_min=1)], metadata=mine) == {
        "type": "string",
        "required": True,
        "len_min": 1,
        "len_max": 5,
    }


def test_attributes_that_json_cannot_hold_are_an_error() -> None:
    with pytest.raises(SchemaError, match=r"config\.x: .* cannot be told to Kong"):
        one(str, metadata=attributes(ne=b"x"))


def whole(*fields: Any, **module: Any) -> dict[str, Any]:
    return plugin_schema("p", list(fields), module)


def test_the_whole_schema() -> None:
    assert whole({"a": {"type": "string"}}) == {
        "name": "p",
        "fields": [{"config": {"type": "record", "fields": [{"a": {"type": "string"}}]}}],
    }


def test_restrictions_protocols_and_checks_between_fields() -> None:
    checks = [{"at_least_one_of": ("a", "b")}]
    found = whole(
        {"a": STRING},
        {"b": STRING},
        no_consumer=True,
        no_route=False,
        no_service=True,
        protocols={"https", "http"},
        entity_checks=checks,
    )
    assert found["fields"][0]["config"]["entity_checks"] == [{"at_least_one_of": ["a", "b"]}]
    assert found["fields"][1:] == [
        {"consumer": {"type": "foreign", "reference": "consumers", "eq": None}},
        {"service": {"type": "foreign", "reference": "services", "eq": None}},
        {
            "protocols": {
                "type": "set",
                "required": True,
                "default": ["http", "https"],
                "elements": {"type": "string", "one_of": ["http", "https"]},
            }
        },
    ]


@pytest.mark.parametrize("protocols", ["http", ["gopher"], [["http"]], 3])
def test_unknown_protocols_are_an_error(protocols: Any) -> None:
    with pytest.raises(SchemaError, match="protocols must be a list of some of grpc, "):
        whole(protocols=protocols)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "required": True, "default": "x"},
        {"type": "string", "one_of": ["a", "b"], "default": "a"},
        {"type": "integer", "one_of": [1, 2]},
        {"type": "set", "elements": STRING, "default": []},
        {"type": "map", "keys": STRING, "values": STRING, "default": {}},
        {"type": "array", "elements": {"type": "record", "fields": []}},
        {"type": "integer", "between": [1, 10], "default": 1.0},
        {"type": "number", "between": [0, 0.5]},
        {"type": "number", "gt": 0},
        {"type": "string", "len_min": 0, "len_max": 10, "default": ""},
        {"type": "array", "elements": STRING, "len_min": 1},
        {"type": "string", "match": "^%d+$"},
        {"type": "string", "match_all": [{"pattern": "%d", "err": "no digit"}]},
        {"type": "string", "match_any": {"patterns": ["a", "b"], "err": "neither"}},
        {"type": "string", "is_regex": True},
        {"type": "string", "uuid": True},
        {"type": "string", "unique": True},
        {"type": "string", "referenceable": True, "encrypted": True},
        {"type": "string", "examples": ["a"]},
        {"type": "string", "description": "0123456789"},
        {"type": "string", "description": "x" * 500},
        {"type": "string", "deprecation": {"message": "gone", "removal_in_version": "4.0"}},
        {"type": "json", "json_schema": {"inline": {"type": "object"}}},
        {"type": "record", "abstract": True},
        {"type": "string", "eq": None},
        {
            "type": "record",
            "fields": [{"a": STRING}, {"b": STRING}],
            "entity_checks": [
                {"mutually_exclusive": ["a", "b"]},
                {
                    "conditional": {
                        "if_field": "a",
                        "if_match": {"eq": "x"},
                        "then_field": "b",
                        "then_match": {"required": True},
                    }
                },
                {"mutually_exclusive_sets": {"set1": ["a"], "set2": ["b"]}},
            ],
        },
    ],
)
def test_what_kong_accepts(field: dict[str, Any]) -> None:
    (found,) = whole({"a-b": field})["fields"][0]["config"]["fields"]
    assert found == {"a-b": field}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (
            {"type": "string", "description": "123456789"},
            "config.x: description: must have length",
        ),
        ({"type": "string", "description": "x" * 501}, "must have length 500 at most"),
        ({"type": "string", "descripton": "x" * 20}, "did you mean 'description'?"),
        ({"type": "string", "nonsense": 1}, "config.x: Kong has no attribute 'nonsense'"),
        ({"type": "text"}, "the type must be one of array, boolean, "),
        ({"type": "any"}, "the type must be one of array, boolean, "),
        ({}, "the type must be one of"),
        ({"type": "function"}, "a function cannot be told to Kong"),
        ({"type": "integer", "default": "x"}, 'default: expected an integer, got "x" (a string)'),
        ({"type": "integer", "default": True}, "default: expected an integer, got true"),
        ({"type": "integer", "default": 1.5}, "default: expected an integer, got 1.5 (a number)"),
        ({"type": "string", "default": ""}, "which Kong accepts only with len_min=0"),
        ({"type": "string", "one_of": ["a"], "default": "b"}, 'must be one of ["a"], got "b"'),
        ({"type": "string", "one_of": [1]}, "one_of holds 1 (an integer), which is not a string"),
        ({"type": "integer", "not_one_of": [None]}, "not_one_of holds null"),
        ({"type": "array", "one_of": ["a"], "elements": STRING}, "one_of is for integer and"),
        ({"type": "string", "between": [1, 2]}, "between is for integer and number, not for"),
        ({"type": "integer", "between": [1]}, "between: must have length 2"),
        ({"type": "integer", "between": [1, "a"]}, "between[1]: expected a number"),
        ({"type": "integer", "len_min": 1}, "len_min is for array and map and set and string"),
        ({"type": "string", "len_min": "1"}, "len_min: expected an integer"),
        ({"type": "string", "required": None}, "required must not be None"),
        ({"type": "string", "default": None}, "default must not be None"),
        ({"type": "string", "required": "yes"}, "required: expected true or false"),
        ({"type": "string", "custom_validator": "f"}, "custom_validator holds Lua functions"),
        ({"type": "string", "match_all": ["a"]}, "match_all[0]: expected an object"),
        ({"type": "string", "match_all": [{"err": "x"}]}, "match_all[0].pattern: is missing"),
        ({"type": "string", "match_any": {"pattern": "x"}}, "did you mean 'patterns'?"),
        ({"type": "array"}, "a field of type array must have 'elements'"),
        ({"type": "map", "keys": STRING}, "a field of type map must have 'values'"),
        ({"type": "json"}, "must have 'json_schema'"),
        ({"type": "foreign"}, "must have 'reference'"),
        ({"type": "array", "elements": {"type": "text"}}, "config.x[]: the type must be one of"),
        ({"type": "map", "keys": STRING, "values": 1}, "config.x.values: the field must be a map"),
        ({"type": "record", "fields": {"a": STRING}}, "the fields must be a list of one-key maps"),
        ({"type": "record", "fields": [{"a": STRING, "b": STRING}]}, "a map with one key"),
        ({"type": "record", "fields": [{"": STRING}]}, "a field's name must be a string"),
        ({"type": "record", "fields": [{"a": STRING}] * 2}, "the field a is there twice"),
        (
            {"type": "record", "fields": [{"a": STRING}], "default": {"b": 1}},
            "config.x: default.b: is unknown",
        ),
        (
            {"type": "record", "fields": [{"a": {**STRING, "required": True}}], "default": {}},
            "config.x: default.a: is missing",
        ),
        (
            {
                "type": "map",
                "keys": {**STRING, "len_min": 2},
                "values": STRING,
                "default": {"a": "b"},
            },
            "the key 'a' of config.x: default: must have length 2",
        ),
        (
            {"type": "map", "keys": STRING, "values": STRING, "default": {"a": 1}},
            "config.x: default['a']: expected a string, got 1 (an integer)",
        ),
        (
            {"type": "set", "elements": STRING, "contains": "a", "default": ["b"]},
            'must contain "a"',
        ),
        ({"type": "string", "ne": "a", "default": "a"}, 'must not be "a"'),
        ({"type": "string", "eq": "a", "default": "b"}, 'must be "a", got "b"'),
        ({"type": "integer", "not_one_of": [1], "default": 1}, "must be none of [1]"),
        ({"type": "string", "uuid": True, "default": "x"}, "must be a UUID"),
        ({"type": "number", "gt": 1, "default": 1}, "must be greater than 1"),
        ({"type": "string", "match": "^%u+$", "default": "a"}, "must match the Lua pattern"),
        (
            {"type": "string", "not_match": "%s", "default": "a b"},
            "must not match the Lua pattern",
        ),
        (
            {"type": "string", "match_all": [{"pattern": "a"}, {"pattern": "b"}], "default": "a"},
            "must match all of the Lua patterns",
        ),
        (
            {"type": "string", "match_none": [{"pattern": "a"}, {"pattern": "b"}], "default": "b"},
            "must match none of the Lua patterns",
        ),
        (
            {"type": "string", "match_any": {"patterns": ["a", "b"]}, "default": "c"},
            "must match one of the Lua patterns",
        ),
        ({"type": "integer", "timestamp": True, "default": 0}, "must be a timestamp"),
        (
            {
                "type": "set",
                "elements": STRING,
                "mutually_exclusive_subsets": [["a", "b"], ["c"]],
                "default": ["a", "c"],
            },
            "must hold values of only one of",
        ),
        ({"type": "string", "match": "[a"}, '"[a" (a string), which is not a Lua pattern'),
        ({"type": "string", "not_match": "%"}, "not_match holds"),
        ({"type": "string", "match_none": [{"pattern": "(a"}]}, "unfinished capture"),
        ({"type": "string", "match_any": {"patterns": ["a", "a)"]}}, "match_any holds"),
        (
            {"type": "json", "json_schema": {"inline": {"type": "text"}}},
            "json_schema is not a JSON schema of draft 4: 'text' is not",
        ),
        ({"type": "string", "len_eq": 2, "default": "é" * 2}, "must have length 2, got"),
        ({"type": "record", "fields": [], "entity_checks": {}}, "entity_checks must be a list"),
        ({"type": "record", "fields": [], "entity_checks": ["a"]}, "must be a map with one key"),
        (
            {"type": "record", "fields": [], "entity_checks": [{"at_least_one": []}]},
            "did you mean 'at_least_one_of'?",
        ),
        (
            {"type": "record", "fields": [], "entity_checks": [{"distinct": ["a"]}]},
            "the entity check distinct names 'a', which is not a field",
        ),
        (
            {"type": "record", "fields": [], "entity_checks": [{"distinct": "a"}]},
            "takes names of fields",
        ),
        ({"type": "record", "fields": [], "entity_checks": [{"conditional": []}]}, "takes a map"),
    ],
)
def test_what_kong_refuses_is_an_error_that_names_the_field(
    field: dict[str, Any], words: str
) -> None:
    with pytest.raises(SchemaError, match=re.escape(words)) as caught:
        whole({"x": field})
    assert "config.x" in str(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "match": "^%u+$", "default": "GET"},
        {"type": "string", "not_match": "%s", "default": "ab"},
        {"type": "string", "match_all": [{"pattern": "a"}, {"pattern": "b"}], "default": "ab"},
        {"type": "string", "match_none": [{"pattern": "a"}], "default": "b"},
        {"type": "string", "match_any": {"patterns": ["a", "b"]}, "default": "b"},
        {"type": "string", "match": ".-" * 12 + "x", "default": "a" * 60},
        {"type": "string", "not_match": ".-" * 12 + "x", "default": "a" * 60},
        {"type": "integer", "timestamp": True, "default": 1},
        {
            "type": "set",
            "elements": {"type": "string"},
            "mutually_exclusive_subsets": [["a", "b"], ["c"]],
            "default": ["a", "b", "d"],
        },
        {"type": "json", "json_schema": {"inline": {"type": "object"}}},
        {"type": "json", "json_schema": {"namespace": "n"}},
    ],
)
def test_what_keeps_the_rules_is_good(field: dict[str, Any]) -> None:
    assert whole({"x": field})["fields"][0]["config"]["fields"] == [{"x": field}]


def test_a_lone_surrogate_is_not_text_for_kong() -> None:
    @attrs.define
    class Config:
        x: str = "a\udc80"

    with pytest.raises(SchemaError, match=r"config\.x: .* lone surrogate, which is not text"):
        infer(Config)
    with pytest.raises(TypeError, match="lone surrogate"):
        whole({"x": {"type": "string", "one_of": ["\udc80"]}})
    assert jsonable("\udc80", lenient=True) == "\udc80"


def test_a_schema_that_is_no_list_of_fields_is_an_error() -> None:
    with pytest.raises(SchemaError, match="config: the fields must be a list"):
        plugin_schema("p", {"message": STRING}, {})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_stays_as_it_is(value: Any) -> None:
    assert jsonable(value) == value


@given(st.dictionaries(st.text(), json_values))
def test_a_field_of_any_shape_never_breaks_the_judgement(field: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        whole({"x": field})


@given(
    st.sampled_from(["string", "integer", "array", "map", "record", "set", "number", "json"]),
    st.dictionaries(
        st.sampled_from(
            [
                "default",
                "elements",
                "keys",
                "values",
                "fields",
                "entity_checks",
                "one_of",
                "between",
                "len_min",
                "match_any",
                "contains",
                "eq",
                "json_schema",
                "description",
            ]
        ),
        json_values,
    ),
)
def test_attributes_of_any_shape_never_break_the_judgement(
    type_: str, field: dict[str, Any]
) -> None:
    try:
        found = whole({"x": {**field, "type": type_}})
    except SchemaError as error:
        assert "config.x" in str(error)
    else:
        assert found["fields"][0]["config"]["fields"] == [{"x": {**field, "type": type_}}]


def test_what_json_cannot_hold_is_shown_leniently() -> None:
    assert jsonable({1, 2}, lenient=True) == [1, 2]
    assert jsonable({"a": b"x", 3: float("nan")}, lenient=True) == {"a": "b'x'", "3": "nan"}
    with pytest.raises(TypeError, match="cannot be told to Kong"):
        jsonable(b"x")


def test_a_value_without_end_is_shown() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert describe(endless) == "something without end (a list)"


def test_public_values_are_those_of_the_configurable_fields() -> None:
    limit = Limit(window=1)
    limit.note = None
    assert public_values(limit) == {"window": 1, "by": "ip", "note": None}
