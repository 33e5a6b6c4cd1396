"""ProtoBuf messages as Kong's library reads and writes them: see testing/kong/lua_protobuf.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginserver.rpc.protobuf import messages as ours
from pluginserver.spec.protobuf import MESSAGES, Field
from pluginserver.testing.kong.lua import NULL, LuaError
from pluginserver.testing.kong.lua_protobuf import decode, encode


@pytest.mark.parametrize(
    ("message", "fields", "data"),
    [
        ("String", {"v": "host"}, "0a04686f7374"),
        ("String", {"v": ""}, ""),
        ("String", {"v": "\udcff\udcfe"}, "0a02fffe"),
        ("ByteString", {"v": b"\xff"}, "0a01ff"),
        ("String", {}, ""),
        ("Int", {"v": 0}, ""),
        ("Int", {"v": 300}, "08ac02"),
        ("Int", {"v": 3.0}, "0803"),
        ("Int", {"v": -1}, "08ffffffffffffffffff01"),
        ("Number", {"v": 0.0}, ""),
        ("Number", {"v": 1.5}, "09000000000000f83f"),
        ("Bool", {"v": True}, "0801"),
        ("Bool", {"v": False}, "0800"),
        ("Bool", {}, ""),
        ("RawBodyResult", {"content": ""}, "0a00"),
        ("Value", {"null_value": 1}, "0801"),
        ("Value", {"number_value": 0}, "110000000000000000"),
        ("Value", {"bool_value": False}, "2000"),
        ("Value", {"struct_value": []}, "2a00"),
        ("KV", {"k": "a", "v": {"string_value": ""}}, "12021a00" + "0a0161"),
        ("Struct", {"fields": {"k": {"bool_value": True}}}, "0a07" + "12022001" + "0a016b"),
        ("UriCapturesResult", {"unnamed": ["a", ""], "named": []}, "0a01610a00"),
        ("Route", {"tags": {"a": "map"}, "unknown": 1}, ""),
        (
            "RpcCall",
            {"sequence": 4321, "cmd_handle_event": {"instance_id": 12345678, "event_name": "access"}},
            "a2020d" + "1206616363657373" + "08cec2f105" + "08e121",
        ),
    ],
)  # fmt: skip
def test_what_is_written(message: str, fields: Any, data: str) -> None:
    assert encode(message, fields).hex() == data


@pytest.mark.parametrize(
    ("message", "fields", "words"),
    [
        ("String", {"v": 5}, "string expected for field 'v', got number"),
        ("String", {"v": True}, "string expected for field 'v', got boolean"),
        ("String", {"v": NULL}, "string expected for field 'v', got userdata"),
        ("Int", {"v": "5"}, "number expected for field 'v', got string"),
        ("Int", {"v": 1.5}, "number expected for field 'v', got number"),
        ("Int", {"v": float("inf")}, "number expected for field 'v'"),
        ("Number", {"v": True}, "number expected"),
        ("Bool", {"v": 1}, "boolean expected for field 'v', got number"),
        ("Route", {"paths": "x"}, "table expected for field 'paths', got string"),
        ("Route", {"sources": [{"ip": "1"}]}, "string expected for field 'sources', got table"),
        ("Route", {"service": "x"}, "table expected for field 'service'"),
        ("UriCapturesResult", {"named": "x"}, "table expected for field 'named'"),
        ("Struct", {"fields": {5: {}}}, "string expected for field 'key', got number"),
    ],
)
def test_what_cannot_be_written(message: str, fields: Any, words: str) -> None:
    with pytest.raises(LuaError, match=words):
        encode(message, fields)


@pytest.mark.parametrize(
    ("message", "data", "fields"),
    [
        ("String", "", {"v": ""}),
        ("String", "0a02fffe", {"v": "\udcff\udcfe"}),
        ("Int", "", {"v": 0}),
        ("Int", "08ffffffffffffffffff01", {"v": -1}),
        ("Int", "08ffffffff0f", {"v": -1}),
        ("Bool", "", {"v": False}),
        ("Number", "09000000000000f83f", {"v": 1.5}),
        ("Value", "", {}),
        ("Value", "0800", {"null_value": "NULL_VALUE"}),
        ("Value", "0801", {"null_value": 1}),
        ("Value", "2001" + "1a0161", {"string_value": "a"}),
        ("KV", "12021a00", {"k": "", "v": {"string_value": ""}}),
        ("Consumer", "", {"id": "", "created_at": 0, "username": "", "custom_id": "", "tags": []}),
        ("Struct", "0a020801", {"fields": {"": None}}),
        ("ListValue", "0a001200", {"values": [{}]}),
        ("UriCapturesResult", "1200", {"unnamed": [], "named": {"": ""}}),
        ("String", "1001" + "1900000000000000ff" + "2500000000" + "0a0161", {"v": "a"}),
    ],
)
def test_what_is_read(message: str, data: str, fields: Any) -> None:
    assert decode(message, bytes.fromhex(data)) == fields


@pytest.mark.parametrize(
    ("message", "data", "words"),
    [
        ("String", "0801", "type mismatch for field 'v'"),
        ("Bool", "0a00", "type mismatch for field 'v'"),
        ("Struct", "0801", "type mismatch for field 'fields'"),
        ("String", "0a05", "unfinished bytes"),
        ("String", "0a", "invalid varint"),
        ("Int", "08" + "ff" * 11, "invalid varint"),
        ("Int", "0b", "invalid wire type 3"),
        ("Number", "0900", "unfinished bytes"),
    ],
)
def test_what_cannot_be_read(message: str, data: str, words: str) -> None:
    with pytest.raises(LuaError, match=words):
        decode(message, bytes.fromhex(data))


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.binary().map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53) + 1, 2**53 - 1)
PLAIN = st.recursive(
    st.booleans() | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, min_size=1) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)


def raw(value: Any) -> dict[str, Any]:
    """The ``Value`` that stands for a plain value."""
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, list):
        return {"list_value": {"values": [raw(item) for item in value]}}
    if isinstance(value, dict):
        return {"struct_value": {"fields": {key: raw(item) for key, item in value.items()}}}
    return {"number_value": value}


@given(PLAIN)
def test_values_between_kong_and_us(value: Any) -> None:
    assert ours.decode("Value", encode("Value", raw(value))) == value
    assert decode("Value", ours.encode("Value", value)) == raw(value)


def of_type(field: Field) -> st.SearchStrategy[Any]:
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "bool": st.booleans(),
        "int32": st.integers(-(2**31), 2**31 - 1),
        "int64": st.integers(-(2**63), 2**63 - 1),
        "double": st.floats(allow_nan=False),
        "string": TEXTS,
        "bytes": TEXTS,
    }
    one = scalars[field.type] if field.type in scalars else of_message(field.type)
    return st.lists(one) if field.repeated else one


def of_message(message: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={field.name: of_type(field) for field in MESSAGES[message]}
    )


ENTITIES = ["Consumer", "Service", "Route", "MemoryStats", "AuthenticateArgs"]


@pytest.mark.parametrize("message", ENTITIES)
@given(st.data())
def test_messages_between_kong_and_us(message: str, data: st.DataObject) -> None:
    fields = data.draw(of_message(message))
    assert decode(message, ours.encode(message, fields)) == decode(
        message, encode(message, fields)
    )
