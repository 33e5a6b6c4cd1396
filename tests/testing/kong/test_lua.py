"""Values between Python and Kong's Lua: see pluginserver/testing/kong/lua.py."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.testing.kong import lua
from pluginserver.testing.kong.lua import NULL, LuaError, MultiTable
from pluginserver.testing.kong.quirks import Quirks

ON = Quirks()
OFF = Quirks.none()


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (None, None),
        (False, False),
        ("é", "é"),
        (b"\xe9", b"\xe9"),
        (1.0, 1),
        (-2.0, -2),
        (2.5, 2.5),
        (2**53 - 1, 2**53 - 1),
        (2**53, float(2**53)),
        (-(2**60), float(-(2**60))),
        (1e300, 1e300),
        ({}, []),
        ([], []),
        ({"a": {}, "b": [{}]}, {"a": [], "b": [[]]}),
        ([1, None, 3], {1: 1, 3: 3}),
        ([1, None], [1]),
        ({1: "one"}, ["one"]),
        ({1: "one", 2: "two"}, ["one", "two"]),
        ({"1": "one"}, {"1": "one"}),
        ({"a": None, "b": 1}, {"b": 1}),
        ({"a": NULL, "b": [NULL]}, {"a": None, "b": [None]}),
        ((1, 2), [1, 2]),
        (MultiTable(), {}),
        (MultiTable(a=["1"], b=[]), {"a": ["1"], "b": []}),
    ],
)
def test_what_kong_sends(value: Any, arrives: Any) -> None:
    sent = lua.sent(value, ON)
    assert sent == arrives
    assert type(sent) is type(arrives)


def test_a_kinder_kong() -> None:
    assert type(lua.sent(1.0, OFF)) is float
    assert type(lua.sent(2**53, OFF)) is int
    assert lua.sent({}, OFF) == {}
    assert lua.sent({"a": {}}, OFF) == {"a": {}}
    assert lua.sent("t\udce9", OFF) == b"t\xe9"
    assert lua.sent("té", OFF) == "té"


def test_what_lua_has_no_type_for() -> None:
    with pytest.raises(LuaError, match="object"):
        lua.sent(object(), ON)
    with pytest.raises(LuaError, match="set"):
        lua.received({1, 2})


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (b"\xff", "\udcff"),
        ([1, None, 3], {1: 1, 3: 3}),
        ({"a": None}, []),
        ({1: "x", 2: "y"}, ["x", "y"]),
        ({b"k": b"v"}, {"k": "v"}),
        (7.0, 7),
        ([], []),
        ((), []),
        (msgpack.ExtType(1, b""), None),
        (msgpack.Timestamp(0), None),
    ],
)
def test_what_lua_makes_of_a_message(value: Any, held: Any) -> None:
    assert lua.received(value) == held


@pytest.mark.parametrize(
    ("args", "called_with", "cut"),
    [
        (None, (None,), False),
        ([], (), False),
        ("x", ("x",), False),
        (["a", 1], ("a", 1), False),
        ([401, None, {"a": "b"}], (401,), True),
        ([401, None], (401,), False),
        ([None, {"id": "c"}], (None, {"id": "c"}), False),
        ([None, None, "x"], (), True),
        ([None, None], (), False),
        ({1: "a", 2: "b"}, ("a", "b"), False),
        ({"a": 1}, (), False),
        ({1: "a", 3: "c"}, ("a",), False),
    ],
)
def test_arguments(args: Any, called_with: tuple[Any, ...], cut: bool) -> None:
    assert lua.arguments(args, ON) == (called_with, cut)


@pytest.mark.parametrize(
    ("args", "count"),
    [
        ([None, "x"], 2),
        ([1, None, "x"], 1),
        ([None, None, "x"], 0),
        ([None, "x", "y"], 3),
        ([1, None, "x", "y"], 4),
        ([1, 2, None, "x"], 4),
    ],
)
def test_arguments_with_holes_arrive_as_luajit_counts_them(args: list[Any], count: int) -> None:
    assert lua.arguments(args, ON) == (tuple(args[:count]), count < len(args))


def test_nones_at_the_end_cut_nothing_off() -> None:
    assert lua.arguments(["a", None, None], ON) == (("a",), False)


def test_arguments_are_not_cut_in_a_kinder_kong() -> None:
    assert lua.arguments([401, None, {"a": "b"}], OFF) == ((401, None, {"a": "b"}), False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(1, 4), inner),
        max_leaves=20,
    )
)
def test_what_was_received_is_sent_as_it_is(value: Any) -> None:
    held = lua.received(value)
    assert lua.sent(held, ON) == held


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (None, "nil", "nil"),
        (True, "boolean", "true"),
        (False, "boolean", "false"),
        (3, "number", "3"),
        (2.5, "number", "2.5"),
        ("x", "string", "x"),
    ],
)
def test_types_and_texts(value: Any, name: str, text: str) -> None:
    assert lua.type_name(value) == name
    assert lua.tostring(value) == text


def test_a_table_is_printed_as_an_address() -> None:
    assert lua.type_name({}) == "table"
    assert lua.tostring({"a": 1}).startswith("table: 0x")


def test_json_of_tables() -> None:
    assert lua.to_json({"a": [], "b": [1, NULL], "c": b"\xc3\xa9", 3: True}) == (
        '{"a":{},"b":[1,null],"c":"é","3":true}'
    )
