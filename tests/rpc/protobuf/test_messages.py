"""The codec against Google's own, both ways, and against bytes that nobody means."""

from __future__ import annotations

import struct
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.cases import CASES

from pluginserver.rpc.protobuf.asks import Ask
from pluginserver.rpc.protobuf.functions import ask
from pluginserver.rpc.protobuf.messages import decode, encode
from pluginserver.rpc.protobuf.plain import header_text
from pluginserver.rpc.protobuf.wire import DEPTH, WireError, frame, varint
from pluginserver.spec.protobuf import MESSAGES, SCALARS, Field

TYPES: Final = descriptor_pb2.FieldDescriptorProto
NUMBERS: Final = {
    "bool": TYPES.TYPE_BOOL,
    "int32": TYPES.TYPE_INT32,
    "int64": TYPES.TYPE_INT64,
    "double": TYPES.TYPE_DOUBLE,
    "enum": TYPES.TYPE_ENUM,
}


def official(package: str, text: Any) -> dict[str, type[Message]]:
    """Google's classes for all messages of the table, all of them our own, with ``text`` for strings."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    file.enum_type.add(name="Null").value.add(name="NULL_VALUE", number=0)

    def add_type(target: Any, kind: str) -> None:
        if kind in SCALARS:
            target.type = NUMBERS.get(kind, text if kind == "string" else TYPES.TYPE_BYTES)
            if kind == "enum":
                target.type_name = f".{package}.Null"
        else:
            target.type = TYPES.TYPE_MESSAGE
            target.type_name = f".{package}.{kind}"

    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for field in fields:
            label = TYPES.LABEL_REPEATED if field.repeated or field.map else TYPES.LABEL_OPTIONAL
            target = made.field.add(name=field.name, number=field.number, label=label)
            if field.map:
                entry = made.nested_type.add(name=f"{field.name.title()}Entry")
                entry.options.map_entry = True
                for number, (part, kind) in enumerate(
                    (("key", "string"), ("value", field.type)), 1
                ):
                    add_type(
                        entry.field.add(name=part, number=number, label=TYPES.LABEL_OPTIONAL),
                        kind,
                    )
                if text == TYPES.TYPE_BYTES:
                    entry.field[0].type = TYPES.TYPE_STRING  # no key may be bytes
                target.type = TYPES.TYPE_MESSAGE
                target.type_name = f".{package}.{name}.{entry.name}"
            else:
                add_type(target, field.type)
            if field.oneof:
                if not made.oneof_decl:
                    made.oneof_decl.add(name=field.oneof)
                target.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in MESSAGES
    }


OFFICIAL: Final = official("exact", TYPES.TYPE_STRING)
LENIENT: Final = official("lenient", TYPES.TYPE_BYTES)
"""As :data:`OFFICIAL`, but for strings that need not be UTF-8: the same on the wire."""


def plain(message: Message) -> Any:
    """What our decoder makes of the same bytes."""
    name = message.DESCRIPTOR.name
    if name == "Value":
        kind = message.WhichOneof("kind")
        return None if kind in (None, "null_value") else converted(getattr(message, kind))
    if name == "ListValue":
        return [plain(value) for value in message.values]
    if name == "Struct":
        return {key: plain(value) for key, value in message.fields.items()}
    out: dict[str, Any] = {}
    for field in MESSAGES[name]:
        value = getattr(message, field.name)
        if field.map:
            value = {key: converted(item) for key, item in value.items()}
        elif field.repeated:
            value = [converted(item) for item in value]
        elif field.oneof or field.type not in SCALARS:
            value = converted(value) if message.HasField(field.name) else None
        if value or (field.oneof and value is not None) or isinstance(value, dict):
            out[field.name] = converted(value)
    return out


def converted(value: Any) -> Any:
    return plain(value) if isinstance(value, Message) else value


def bare(value: Any, message: str) -> Any:
    """A message of ours without what Google's does not tell from what is not there."""
    if message in ("Value", "Struct", "ListValue"):
        return value
    out = {}
    for field in MESSAGES[message]:
        item = value.get(field.name)
        if field.type not in SCALARS and isinstance(item, dict) and not field.map:
            item = bare(item, field.type)
        elif field.repeated and field.type not in SCALARS:
            item = [bare(one, field.type) for one in item or ()]
        if field.map:
            item = item or {}
        if item or (field.oneof and item is not None) or isinstance(item, dict):
            out[field.name] = item
    return out


def fill(message: Message, value: Any) -> Message:
    """Put one of our values into one of Google's messages."""
    name = message.DESCRIPTOR.name
    if name == "Value":
        if isinstance(value, bool):
            message.bool_value = value
        elif isinstance(value, str):
            message.string_value = value
        elif isinstance(value, (int, float)):
            message.number_value = value
        elif isinstance(value, dict):
            message.struct_value.SetInParent()
            fill(message.struct_value, value)
        elif isinstance(value, list):
            message.list_value.SetInParent()
            fill(message.list_value, value)
        return message
    if name == "ListValue":
        value = {"values": value}
    elif name == "Struct":
        value = {"fields": value}
    for field in MESSAGES[name]:
        item = value.get(field.name)
        if item is None:
            continue
        target = getattr(message, field.name)
        if field.map:
            for key, inner in item.items():
                if field.type == "bytes":
                    target[key] = inner
                else:
                    fill(target[key], inner)
        elif field.repeated:
            for inner in item:
                if field.type in SCALARS:
                    target.append(inner)
                else:
                    fill(target.add(), inner)
        elif field.type in SCALARS:
            setattr(message, field.name, item)
        else:
            target.SetInParent()
            fill(target, item)
    return message


SCALAR: Final[dict[str, st.SearchStrategy[Any]]] = {
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=200),
    "bytes": st.binary(max_size=200),
    "enum": st.none(),
}
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | SCALAR["double"] | SCALAR["string"],
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def of_field(field: Field) -> st.SearchStrategy[Any]:
    one = SCALAR.get(field.type)
    if one is None:
        one = of_message(field.type)
    if field.map:
        return st.dictionaries(st.text(max_size=20), one, max_size=4)
    return st.lists(one, max_size=4) if field.repeated else one


def of_message(name: str) -> st.SearchStrategy[Any]:
    if name == "Value":
        return VALUES
    if name == "Struct":
        return st.dictionaries(st.text(max_size=20), VALUES, max_size=4)
    if name == "ListValue":
        return st.lists(VALUES, max_size=4)
    fields = [field for field in MESSAGES[name] if field.type != "enum"]
    alone = {field.name: of_field(field) for field in fields if not field.oneof}
    several = st.fixed_dictionaries({}, optional=alone)
    choices = [
        st.fixed_dictionaries({field.name: of_field(field)}) for field in fields if field.oneof
    ]
    if not choices:
        return several
    return st.builds(lambda one, other: {**one, **other}, several, st.one_of(*choices))


MESSAGE: Final = st.sampled_from(sorted(MESSAGES)).flatmap(
    lambda name: st.tuples(st.just(name), of_message(name))
)


@settings(max_examples=CASES // 10, deadline=None)
@given(MESSAGE)
def test_googles_library_reads_what_is_encoded(case: tuple[str, Any]) -> None:
    name, value = case
    theirs = OFFICIAL[name].FromString(encode(name, value))
    assert theirs == fill(OFFICIAL[name](), value)


@settings(max_examples=CASES // 10, deadline=None)
@given(MESSAGE)
def test_what_googles_library_encodes_is_read(case: tuple[str, Any]) -> None:
    name, value = case
    data = fill(OFFICIAL[name](), value).SerializeToString()
    assert bare(decode(name, data), name) == bare(value, name)


@settings(max_examples=CASES // 10, deadline=None)
@given(MESSAGE, MESSAGE)
def test_what_comes_twice_is_merged(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    name = one[0]
    data = encode(*one) + encode(*(other if other[0] == name else one))
    assert bare(decode(name, data), name) == plain(OFFICIAL[name].FromString(data))


def mangled(data: bytes, cuts: list[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for place, byte in cuts:
        if out:
            out[place % len(out)] = byte
    return bytes(out)


DAMAGE: Final = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=0, max_size=4
)
BYTES: Final = st.one_of(
    st.tuples(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=40)),
    st.builds(
        lambda case, cuts, end: (case[0], mangled(encode(*case), cuts)[: end or None]),
        MESSAGE,
        DAMAGE,
        st.integers(-3, 0),
    ),
)


def has_bad_key(value: Any) -> bool:
    """Whether a key of a map is not UTF-8, which Google's library refuses."""
    if isinstance(value, dict):
        return any(
            (isinstance(key, str) and not key.isascii() and "\\udc" in ascii(key))
            or has_bad_key(inner)
            for key, inner in value.items()
        )
    return isinstance(value, list) and any(map(has_bad_key, value))


def lost_entry(message: Message) -> bool:
    """Whether Google's library keeps an entry of a map apart, because there is an unknown field in it."""
    fields = MESSAGES[message.DESCRIPTOR.name]
    maps = {field.number for field in fields if field.map}
    if any(unknown.field_number in maps for unknown in UnknownFieldSet(message)):
        return True
    inner: list[Any] = []
    for field, value in message.ListFields():
        if field.number in maps:
            inner += value.values()
        else:
            inner += [value] if isinstance(value, (Message, bytes, int, float)) else value
    return any(lost_entry(one) for one in inner if isinstance(one, Message))


def as_bytes(value: Any) -> Any:
    """With bytes for texts, except for keys."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: as_bytes(inner) for key, inner in value.items()}
    return [as_bytes(inner) for inner in value] if isinstance(value, list) else value


def without_nan(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return "not a number"
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return [without_nan(inner) for inner in value] if isinstance(value, list) else value


@settings(max_examples=CASES, deadline=None)
@given(BYTES)
def test_any_bytes_are_what_googles_library_takes_them_for_or_one_error(
    case: tuple[str, bytes],
) -> None:
    name, data = case
    try:
        theirs = LENIENT[name].FromString(data)
    except DecodeError:
        try:
            ours = decode(name, data)
        except WireError:
            return
        assert has_bad_key(ours), "Google's library refuses it"
        return
    ours = decode(name, data)
    assume(not lost_entry(theirs))
    assert without_nan(as_bytes(bare(ours, name))) == without_nan(plain(theirs))


# -- what Google's library cannot show


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80"])
def test_text_that_is_not_utf_8_is_kept(raw: bytes) -> None:
    data = b"\x0a" + bytes([len(raw)]) + raw
    text = decode("String", data)["v"]
    assert text == raw.decode("utf-8", "surrogateescape")
    assert encode("String", {"v": text}) == data
    assert encode("String", {"v": raw}) == data


def test_long_text_that_is_not_utf_8_is_kept() -> None:
    raw = b"\xff\xe2\x82\xac" * 100_000
    data = encode("String", {"v": raw})
    assert decode("String", data) == {"v": raw.decode("utf-8", "surrogateescape")}
    assert encode("String", decode("String", data)) == data


@pytest.mark.parametrize("null", [b"\x08\x00", b"\x08\x01", b""])
def test_every_null_is_none(null: bytes) -> None:
    assert decode("Value", null) is None


def test_none_is_a_value_without_a_kind() -> None:
    assert encode("Value", None) == b""
    assert encode("KV", {"k": "a", "v": None}) == b"\x0a\x01a"
    assert encode("ListValue", ["a", None]) == b"\x0a\x03\x1a\x01a\x0a\x00"


def test_a_whole_number_of_a_value_is_an_int() -> None:
    assert [repr(decode("Value", encode("Value", n))) for n in (5, 5.0, 5.5, 2.0**60)] == [
        "5",
        "5",
        "5.5",
        repr(2.0**60),
    ]


def test_defaults_that_are_given_are_sent_and_told_from_what_is_not_there() -> None:
    assert encode("Bool", {"v": False}) == b"\x08\x00"
    assert decode("Bool", b"\x08\x00") == {"v": False}
    assert encode("Bool", {}) == encode("Bool", {"v": None}) == b""
    assert decode("Bool", b"") == {}


def test_what_kong_is_known_to_send_is_read() -> None:
    call = bytes.fromhex("08e121a2020d08cec2f1051206616363657373")
    assert decode("RpcCall", call) == {
        "sequence": 4321,
        "cmd_handle_event": {"instance_id": 12345678, "event_name": "access"},
    }
    assert encode("RpcReturn", {"sequence": 4321}) == bytes.fromhex("08e121")
    assert encode("String", {"v": "host"}) == bytes.fromhex("0a04686f7374")


@pytest.mark.parametrize(
    ("message", "fields", "text"),
    [
        ("Int", {"v": 2**31}, "v: 2147483648 is not a whole number of 32 bits"),
        ("Int", {"v": "1"}, "v: '1' is not a whole number of 32 bits"),
        ("Int", {"v": True}, "v: True is not a whole number of 32 bits"),
        ("Int", {"w": 1}, "Int has no field 'w'"),
        ("Int", [1], "[1] is not a map"),
        ("Bool", {"v": 1}, "v: 1 is not True or False"),
        ("String", {"v": 1}, "1 is not a text"),
        ("String", {"v": "\ud800"}, "'\\ud800' cannot be sent: surrogates not allowed"),
        ("Value", {1: 2}, "1 is not a text, as each key of a map must be"),
        ("Value", {"a": {1}}, "{1} is of the type set, which cannot be sent"),
        ("Value", 10**400, "is not a number that a double holds"),
        ("ListValue", "abc", "'abc' is not a list"),
        ("Struct", ["a"], "['a'] is not a map"),
        ("UriCapturesResult", {"named": [1]}, "[1] is not a map"),
    ],
)
def test_a_value_that_cannot_be_sent_is_said(message: str, fields: Any, text: str) -> None:
    with pytest.raises(WireError) as raised:
        encode(message, fields)
    assert text in str(raised.value)


def test_values_inside_of_each_other_have_a_limit_both_ways() -> None:
    deep: Any = None
    for _ in range(DEPTH):
        deep = [deep]
    with pytest.raises(WireError, match="100 values"):
        encode("Value", deep)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(WireError, match="100 values"):
        encode("Value", circle)
    data = b""
    for _ in range(DEPTH):
        data = b"\x0a" + varint(len(data)) + data  # a ListValue within a Value, and so on
        data = b"\x32" + varint(len(data)) + data
    with pytest.raises(WireError, match="100 messages"):
        decode("Value", data)


@pytest.mark.parametrize(
    ("message", "data", "text"),
    [
        ("Int", b"\x08", "a number does not end"),
        ("Int", b"\x08" + b"\xff" * 10, "a number is too long"),
        ("String", b"\x0a\x05abc", "a field is longer than what it is in"),
        ("String", b"\x0a", "a number does not end"),
        ("Number", b"\x09abc", "a number does not end"),
        ("Int", b"\x00\x01", "there is no field 0"),
        ("Int", b"\x17\x01", "the wire type 7 does not fit there"),
        ("Int", b"\x15abc", "a number does not end"),
    ],
)
def test_bytes_that_are_no_message_are_one_error(message: str, data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text):
        decode(message, data)


def test_unknown_fields_are_skipped_whatever_they_are() -> None:
    unknown = b"\x78\x96\x01\x7a\x02hi\x79" + struct.pack("<d", 1.5) + b"\x7d\0\0\0\0"
    group = b"\x7b\x08\x01\x7c"
    assert decode("Int", unknown + b"\x08\x05" + group) == {"v": 5}


HEADER_VALUES: Final = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=130) | st.binary()
)


@settings(max_examples=CASES // 10, deadline=None)
@given(st.dictionaries(st.text(max_size=130), HEADER_VALUES | st.lists(HEADER_VALUES), max_size=4))
def test_headers_that_are_set_together_are_written_as_any_map_is(headers: dict[str, Any]) -> None:
    asked = ask("kong.response.set_headers", (headers,))
    assert isinstance(asked, Ask)
    texts = {name: header_text(value) for name, value in headers.items()}
    assert asked.frames.endswith(frame(encode("Struct", texts)))
