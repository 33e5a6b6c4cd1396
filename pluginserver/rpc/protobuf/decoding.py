"""The decoder of :mod:`.messages`: bytes in, dicts out.

Rules kept here:

* one loop over the fields of any message (:func:`_fields`), with a function for each type that has a
  length, chosen from the tables at import;
* nothing is copied but the texts: a message within a message is a piece of the same bytes;
* ``into`` is what came before of the same field, with which it is merged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import attrs

from ...spec.protobuf import MESSAGES, SCALARS, Field
from .. import pieces
from .wire import DEPTH, FIXED64, LENGTH, VARINT, WireError, read_varint

EXACT: Final = 2.0**53
"""Up to here a double holds every whole number."""

_GROUP, _GROUP_END, _FIXED32 = 3, 4, 5
_DOUBLE: Final = struct.Struct("<d")


def decode(message: str, data: bytes) -> Any:
    """The fields of a message, by name; of a message of :data:`~.wire.PLAIN` the plain value.

    :param message: its name, a key of :data:`~pluginserver.spec.protobuf.MESSAGES`.
    :param data: its bytes.
    :raises WireError: for bytes that are not that message.
    """
    return _message(message, data, 0, len(data), 0, None)


Take = Callable[[dict[str, Any], "_Decoded", bytes, int, int, int], None]


@attrs.frozen
class _Decoded:
    """How a field is decoded.

    :param others: the other fields of its oneof, which it replaces.
    :param number: what a number of its type is.
    :param take: puts what has a length into the dict of the fields.
    :param missing: the value of a map's entry without one.
    """

    name: str
    type: str
    others: tuple[str, ...] = ()
    number: Callable[[int], Any] | None = None
    take: Take | None = None
    missing: Any = None


def _message(message: str, data: bytes, start: int, end: int, depth: int, into: Any) -> Any:
    if depth >= DEPTH:
        raise WireError(f"there are more than {DEPTH} messages inside of each other")
    plain = _PLAIN.get(message)
    if plain is not None:
        return plain(data, start, end, depth, into)
    return _fields(_DECODED[message], data, start, end, depth, {} if into is None else into)


def _fields(
    known: dict[int, _Decoded],
    data: bytes,
    position: int,
    end: int,
    depth: int,
    fields: dict[str, Any],
) -> dict[str, Any]:
    while position < end:
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, position - 1, end)
        field = known.get(tag)
        if field is None:
            position = _skip(data, tag, position, end)
            continue
        for other in field.others:
            fields.pop(other, None)
        if field.take is not None:
            start, position = _span(data, position, end)
            field.take(fields, field, data, start, position, depth)
        elif field.number is not None:
            number, position = read_varint(data, position, end)
            fields[field.name] = field.number(number)
        else:
            position += 8
            if position > end:
                raise WireError("a number does not end")
            fields[field.name] = _DOUBLE.unpack_from(data, position - 8)[0]
    return fields


def _span(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Where something begins and ends that has its length before it."""
    size = data[position] if position < end else 0x80
    if size < 0x80:
        position += 1
    else:
        size, position = read_varint(data, position, end)
    stop = position + size
    if stop > end:
        raise WireError("a field is longer than what it is in")
    return position, stop


def _skip(data: bytes, tag: int, position: int, end: int, groups: int = 0) -> int:
    """Where the field ends that begins with ``tag``, which is not known."""
    if not 0 < tag >> 3 < 1 << 29:
        raise WireError(f"there is no field {tag >> 3}")
    wire = tag & 7
    if wire == VARINT:
        return read_varint(data, position, end)[1]
    if wire == LENGTH:
        return _span(data, position, end)[1]
    if wire in (FIXED64, _FIXED32):
        position += 8 if wire == FIXED64 else 4
        if position > end:
            raise WireError("a number does not end")
        return position
    if wire == _GROUP and groups < DEPTH:
        while True:
            inner, position = read_varint(data, position, end)
            if inner & 7 == _GROUP_END:
                if inner >> 3 != tag >> 3:
                    break
                return position
            position = _skip(data, inner, position, end, groups + 1)
    raise WireError(f"the wire type {wire} does not fit there")


# -- values


def _text(data: bytes, start: int, end: int) -> str:
    if end - start > pieces.STEP:
        return pieces.decode(memoryview(data)[start:end])
    return data[start:end].decode("utf-8", "surrogateescape")


def _int32(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - (number >> 31 << 32)


def _int64(number: int) -> int:
    return number - (number >> 63 << 64)


def _value(data: bytes, start: int, end: int, depth: int, into: Any) -> Any:
    """What a ``Value`` stands for."""
    if end - start >= 2 and data[start] == 0x1A and data[start + 1] == end - start - 2 < 0x80:
        return data[start + 2 : end].decode("utf-8", "surrogateescape")  # nearly all of them
    fields: dict[str, Any] = {}
    if isinstance(into, dict):
        fields["struct_value"] = into
    elif isinstance(into, list):
        fields["list_value"] = into
    _fields(_DECODED["Value"], data, start, end, depth, fields)
    for value in fields.values():
        if type(value) is float and value.is_integer() and -EXACT <= value <= EXACT:
            return int(value)
        return value
    return None


def _struct(data: bytes, start: int, end: int, depth: int, into: Any) -> Any:
    fields = {"fields": {} if into is None else into}
    return _fields(_DECODED["Struct"], data, start, end, depth, fields)["fields"]


def _list(data: bytes, start: int, end: int, depth: int, into: Any) -> Any:
    fields = {"values": [] if into is None else into}
    return _fields(_DECODED["ListValue"], data, start, end, depth, fields)["values"]


_PLAIN: Final = {"Value": _value, "Struct": _struct, "ListValue": _list}


# -- fields that have a length


def _take_text(
    fields: dict[str, Any], field: _Decoded, data: bytes, start: int, end: int, _depth: int
) -> None:
    fields[field.name] = _text(data, start, end)


def _take_bytes(
    fields: dict[str, Any], field: _Decoded, data: bytes, start: int, end: int, _depth: int
) -> None:
    fields[field.name] = data[start:end]


def _take_message(
    fields: dict[str, Any], field: _Decoded, data: bytes, start: int, end: int, depth: int
) -> None:
    into = fields.get(field.name)
    fields[field.name] = _message(field.type, data, start, end, depth + 1, into)


def _take_entry(
    fields: dict[str, Any], field: _Decoded, data: bytes, start: int, end: int, depth: int
) -> None:
    entry = _fields(_ENTRIES[field.type], data, start, end, depth + 1, {})
    found = fields.setdefault(field.name, {})
    found[entry.get("key", "")] = entry.get("value", field.missing)


def _each(take: Take) -> Take:
    """Takes one item of a list."""

    def take_item(
        fields: dict[str, Any], field: _Decoded, data: bytes, start: int, end: int, depth: int
    ) -> None:
        one: dict[str, Any] = {}
        take(one, field, data, start, end, depth)
        fields.setdefault(field.name, []).append(one[field.name])

    return take_item


_NUMBERS: Final[dict[str, Callable[[int], Any]]] = {
    "bool": bool,
    "int32": _int32,
    "int64": _int64,
    "enum": lambda _number: None,  # there is no other enum than that of null_value
}
_TAKES: Final[dict[str, Take]] = {"string": _take_text, "bytes": _take_bytes}
_MISSING: Final = {"bytes": b""}


def _decoded(message: tuple[Field, ...]) -> dict[int, _Decoded]:
    """The fields of a message by their tags."""
    found = {}
    for field in message:
        others = tuple(
            other.name
            for other in message
            if other.oneof and other.oneof == field.oneof and other is not field
        )
        take = _TAKES.get(field.type, _take_message)
        if field.map:
            take = _take_entry
        elif field.repeated:
            take = _each(take)
        if field.map or field.repeated or field.type in _TAKES or field.type not in SCALARS:
            wire = LENGTH
            decoded = _Decoded(
                field.name, field.type, others, take=take, missing=_MISSING.get(field.type)
            )
        else:
            wire = FIXED64 if field.type == "double" else VARINT
            decoded = _Decoded(field.name, field.type, others, number=_NUMBERS.get(field.type))
        found[field.number << 3 | wire] = decoded
    return found


_DECODED: Final = {name: _decoded(fields) for name, fields in MESSAGES.items()}
_ENTRIES: Final = {
    kind: _decoded((Field("key", 1, "string"), Field("value", 2, kind)))
    for kind in ("Value", "bytes")
}
