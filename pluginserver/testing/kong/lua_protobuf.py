"""ProtoBuf messages as lua-protobuf, Kong's library, reads and writes them; a message is a dict of fields.

It shares with the plugin server nothing but the table of messages, so that a mistake of the one is not
hidden by the same mistake of the other.

Rules kept here:

* text is what bytes are, with surrogates for those that are not UTF-8: nobody checks it;
* texts that are empty and numbers that are 0 are not sent, but for the one that is set of a oneof; a bool
  always is;
* fields go in the order of Lua's ``pairs``, which is any: here it is the order of their numbers backwards;
* what a message does not have is dropped silently, also where a map stands for a list;
* a message that was read has all its fields: those that did not arrive are their type's zero, messages and
  oneofs apart; an enum is its name, where it has one;
* what cannot be written or read is a :class:`~pluginserver.testing.kong.lua.LuaError`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from ...spec.protobuf import MESSAGES, Field
from .lua import NULL, LuaError, octets, type_name

_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)
_WIRE: Final = {"double": _FIXED64, "string": _BYTES, "bytes": _BYTES}
_NUMBERS: Final = frozenset({"bool", "int32", "int64", "enum"})
_ENUM: Final = {0: "NULL_VALUE"}
"""The names of the only enum that there is."""

_BITS: Final = (1 << 64) - 1


# -- writing


def encode(message: str, fields: Any) -> bytes:
    """The bytes of a message.

    :param message: its name, a key of :data:`~pluginserver.spec.protobuf.MESSAGES`.
    :param fields: its fields by name; also a list, which has no names, as Lua takes any table.
    :raises LuaError: for a value of another type.
    """
    if not isinstance(fields, Mapping):
        return b""
    return b"".join(
        _field(field, fields[field.name])
        for field in reversed(MESSAGES[message])
        if fields.get(field.name) is not None
    )


def _field(field: Field, value: Any) -> bytes:
    if field.map:
        _want(field, value, isinstance(value, (list, dict)), "table")
        entries = value.items() if isinstance(value, dict) else enumerate(value, 1)
        return b"".join(_entry(field, key, item) for key, item in entries)
    if field.repeated:
        _want(field, value, isinstance(value, (list, dict)), "table")
        return b"".join(_one(field, item) for item in value if isinstance(value, list))
    if not field.oneof and type(value) is not bool and value in ("", b"", 0):
        return b""
    return _one(field, value)


def _entry(field: Field, key: Any, value: Any) -> bytes:
    pair = (Field("value", 2, field.type), value), (Field("key", 1, "string"), key)
    return _tag(field.number, _BYTES) + _sized(b"".join(_one(*one) for one in pair))


def _one(field: Field, value: Any) -> bytes:
    kind = field.type
    if kind == "double":
        _want(field, value, type_name(value) == "number", "number")
        return _tag(field.number, _FIXED64) + struct.pack("<d", value)
    if kind in ("string", "bytes"):
        _want(field, value, type_name(value) == "string", "string")
        data = value if isinstance(value, bytes) else octets(value)
        return _tag(field.number, _BYTES) + _sized(data)
    if kind in _NUMBERS:
        wanted = "boolean" if kind == "bool" else "number"
        whole = type_name(value) == wanted and float(value).is_integer()
        _want(field, value, whole, wanted)
        return _tag(field.number, _VARINT) + _varint(int(value))
    _want(field, value, isinstance(value, (list, dict)), "table")
    return _tag(field.number, _BYTES) + _sized(encode(kind, value))


def _want(field: Field, value: Any, fits: bool, wanted: str) -> None:
    if not fits:
        got = "userdata" if value is NULL else type_name(value)
        raise LuaError(
            f"bad argument #2 to 'encode' ({wanted} expected for field '{field.name}', got {got})"
        )


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(number: int) -> bytes:
    number &= _BITS
    out = []
    while number >= 0x80:
        out.append(number % 0x80 | 0x80)
        number //= 0x80
    return bytes([*out, number])


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


# -- reading


def decode(message: str, data: bytes) -> dict[str, Any]:
    """The fields of a message.

    :param message: its name.
    :param data: its bytes.
    :raises LuaError: for bytes that are not that message.
    """
    out: dict[str, Any] = {}
    known = {field.number: field for field in MESSAGES[message]}
    for one in MESSAGES[message]:
        if not one.oneof:
            out.update(_zero(one))
    position = 0
    while position < len(data):
        tag, position = _number(data, position)
        wire = tag & 7
        content, position = _content(data, position, wire)
        field = known.get(tag >> 3)
        if field is not None:
            for other in MESSAGES[message] if field.oneof else ():
                out.pop(other.name if other.oneof == field.oneof else "", None)
            _take(out, field, wire, content)
    return out


def _zero(field: Field) -> dict[str, Any]:
    if field.map:
        return {field.name: {}}
    if field.repeated:
        return {field.name: []}
    zeros: dict[str, Any] = {"bool": False, "double": 0.0, "string": "", "bytes": ""}
    if field.type in zeros:
        return {field.name: zeros[field.type]}
    return {field.name: 0} if field.type in _NUMBERS else {}


def _take(out: dict[str, Any], field: Field, wire: int, content: int | bytes) -> None:
    kind = "" if field.map else field.type
    wanted = _WIRE.get(kind, _VARINT if kind in _NUMBERS else _BYTES)
    if wire != wanted:
        raise LuaError(
            f"type mismatch for field '{field.name}': wire type {wanted} expected, got {wire}"
        )
    if field.map:
        assert isinstance(content, bytes)
        key, value = _pair(field, content)
        out[field.name][key] = value
        return
    value = _value(field.type, content)
    if field.repeated:
        out[field.name].append(value)
    else:
        out[field.name] = value


def _pair(field: Field, data: bytes) -> tuple[str, Any]:
    key, value = "", None if field.type in MESSAGES else ""
    position = 0
    while position < len(data):
        tag, position = _number(data, position)
        content, position = _content(data, position, tag & 7)
        if tag == (1 << 3 | _BYTES):
            key = _value("string", content)
        elif tag == (2 << 3 | _BYTES):
            value = _value(field.type, content)
    return key, value


def _value(kind: str, content: int | bytes) -> Any:
    if isinstance(content, int):
        if kind == "bool":
            return content != 0
        bits = 32 if kind == "int32" else 64
        number = content & ((1 << bits) - 1)
        number -= (number >> (bits - 1)) << bits
        return _ENUM.get(number, number) if kind == "enum" else number
    if kind == "double":
        return struct.unpack("<d", content)[0]
    if kind in ("string", "bytes"):
        return content.decode("utf-8", "surrogateescape")
    return decode(kind, content)


def _number(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for count in range(10):
        if position + count >= len(data):
            break
        byte = data[position + count]
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return number & _BITS, position + count + 1
    raise LuaError(f"invalid varint value at offset {position + 1}")


def _content(data: bytes, position: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        return _number(data, position)
    sizes = {_FIXED64: 8, _FIXED32: 4}
    if wire == _BYTES:
        size, position = _number(data, position)
    elif wire in sizes:
        size = sizes[wire]
    else:
        raise LuaError(f"invalid wire type {wire} at offset {position + 1}")
    if position + size > len(data):
        raise LuaError(f"unfinished bytes at offset {position + 1}")
    return data[position : position + size], position + size
