"""The encoder of :mod:`.messages`: dicts in, bytes out.

Rules kept here:

* one function for each type, chosen from the tables at import; the tags are bytes that are made there;
* the fields go out in the order of the table, which is that of their numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from ...spec.protobuf import MESSAGES, Field
from .. import pieces
from .wire import DEPTH, FIXED64, LENGTH, PLAIN, VARINT, WireError, varint

_WIRE: Final = {
    "bool": VARINT,
    "int32": VARINT,
    "int64": VARINT,
    "enum": VARINT,
    "double": FIXED64,
}
_DOUBLE: Final = struct.Struct("<d")


def encode(message: str, fields: Any) -> bytes:
    """The bytes of a message.

    :param message: its name, a key of :data:`~pluginserver.spec.protobuf.MESSAGES`.
    :param fields: its fields by name; of a message of :data:`~.wire.PLAIN` the plain value.
    :raises WireError: for a value that the message cannot carry; its text is a sentence about it.
    """
    return _encode(message, fields, 0)


def _encode(message: str, fields: Any, depth: int) -> bytes:
    if depth >= DEPTH:
        raise WireError(f"there are more than {DEPTH} values inside of each other")
    if message in PLAIN:
        return b"".join(_ENCODE_PLAIN[message](fields, depth))
    if not isinstance(fields, Mapping):
        raise WireError(f"{_shown(fields)} is not a map")
    out = []
    found = 0
    for field in _ENCODED[message]:
        value = fields.get(field.name)
        if value is not None:
            out.append(field.encode(field, value, depth))
        found += field.name in fields
    if found < len(fields):
        known = {field.name for field in _ENCODED[message]}
        raise WireError(f"{message} has no field {next(n for n in fields if n not in known)!r}")
    return b"".join(out)


@attrs.frozen
class _Encoded:
    """How a field is encoded.

    :param tag: its number and wire type, as bytes.
    :param encode: takes this, a value and the depth.
    """

    name: str
    type: str
    tag: bytes
    encode: Callable[[_Encoded, Any, int], bytes]


def blob(tag: bytes, data: bytes) -> bytes:
    """A field that has a length."""
    size = len(data)
    return tag + (bytes((size,)) if size < 0x80 else varint(size)) + data


def content(value: Any) -> bytes:
    """The bytes of a text.

    :raises WireError: for what is not a text, and for lone surrogates.
    """
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            return _escaped(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise WireError(f"{_shown(value)} is not a text")


def _escaped(value: str) -> bytes:
    try:
        return b"".join(pieces.escaped(value))
    except UnicodeEncodeError as error:
        raise WireError(f"{_shown(value)} cannot be sent: {error.reason}") from None


def _text(field: _Encoded, value: Any, _depth: int) -> bytes:
    return blob(field.tag, content(value))


def _number(field: _Encoded, value: Any, _depth: int) -> bytes:
    bits = 31 if field.type in ("int32", "enum") else 63
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -(1 << bits) <= value < 1 << bits:
        raise WireError(f"{field.name}: {_shown(value)} is not a whole number of {bits + 1} bits")
    return field.tag + varint(value)


def _flag(field: _Encoded, value: Any, _depth: int) -> bytes:
    if type(value) is not bool:
        raise WireError(f"{field.name}: {_shown(value)} is not True or False")
    return field.tag + (b"\x01" if value else b"\x00")


def _double(field: _Encoded, value: Any, _depth: int) -> bytes:
    return field.tag + _as_double(value)


def _as_double(value: Any) -> bytes:
    try:
        return _DOUBLE.pack(value)
    except (OverflowError, struct.error):
        raise WireError(f"{_shown(value)} is not a number that a double holds") from None


def _message(field: _Encoded, value: Any, depth: int) -> bytes:
    return blob(field.tag, _encode(field.type, value, depth + 1))


def _repeated(
    one: Callable[[_Encoded, Any, int], bytes],
) -> Callable[[_Encoded, Any, int], bytes]:
    def several(field: _Encoded, value: Any, depth: int) -> bytes:
        return b"".join(one(field, item, depth) for item in _items(value))

    return several


def _items(value: Any) -> Iterable[Any]:
    if not isinstance(value, (list, tuple)):
        raise WireError(f"{_shown(value)} is not a list")
    return value


def _map(field: _Encoded, value: Any, depth: int) -> bytes:
    if not isinstance(value, Mapping):
        raise WireError(f"{_shown(value)} is not a map")
    return b"".join(
        blob(field.tag, _key(key) + _ENTRY_VALUE[field.type](item, depth))
        for key, item in value.items()
    )


def _key(key: Any) -> bytes:
    if not isinstance(key, (str, bytes)):
        raise WireError(f"{_shown(key)} is not a text, as each key of a map must be")
    return blob(b"\x0a", content(key))


def _value_parts(value: Any, depth: int) -> tuple[bytes, ...]:
    """A ``Value`` with the kind that its type calls for."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return (blob(b"\x1a", content(value)),)
    if value is True or value is False:
        return (b"\x20\x01" if value else b"\x20\x00",)
    if isinstance(value, (int, float)):
        return (b"\x11", _as_double(value))
    if isinstance(value, Mapping):
        return (blob(b"\x2a", _encode("Struct", value, depth + 1)),)
    if isinstance(value, (list, tuple)):
        return (blob(b"\x32", _encode("ListValue", value, depth + 1)),)
    raise WireError(f"{_shown(value)} is of the type {type(value).__name__}, which cannot be sent")


def _struct_parts(value: Any, depth: int) -> tuple[bytes, ...]:
    return (_map(_STRUCT, value, depth),)


def _list_parts(value: Any, depth: int) -> tuple[bytes, ...]:
    return tuple(blob(b"\x0a", _encode("Value", item, depth + 1)) for item in _items(value))


_ENCODE_PLAIN: Final[dict[str, Callable[[Any, int], tuple[bytes, ...]]]] = {
    "Value": _value_parts,
    "Struct": _struct_parts,
    "ListValue": _list_parts,
}
_ENTRY_VALUE: Final[dict[str, Callable[[Any, int], bytes]]] = {
    "Value": lambda value, depth: blob(b"\x12", _encode("Value", value, depth + 2)),
    "bytes": lambda value, _depth: blob(b"\x12", content(value)),
}
_ENCODERS: Final[dict[str, Callable[[_Encoded, Any, int], bytes]]] = {
    "string": _text,
    "bytes": _text,
    "bool": _flag,
    "int32": _number,
    "int64": _number,
    "enum": _number,
    "double": _double,
}


def _encoded(field: Field) -> _Encoded:
    one = _map if field.map else _ENCODERS.get(field.type, _message)
    return _Encoded(
        field.name,
        field.type,
        varint(field.number << 3 | _wire_type(field)),
        _repeated(one) if field.repeated else one,
    )


def _wire_type(field: Field) -> int:
    return LENGTH if field.map else _WIRE.get(field.type, LENGTH)


_STRUCT: Final = _encoded(MESSAGES["Struct"][0])
_ENCODED: Final = {name: tuple(map(_encoded, fields)) for name, fields in MESSAGES.items()}


def _shown(value: Any) -> str:
    """A value for a message about it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
