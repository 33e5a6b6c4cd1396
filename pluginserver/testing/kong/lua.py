"""Values as Kong's Lua holds them, on their way from and to the plugin server.

Lua has one type for arrays and maps, the table, and one for numbers, the double; nil in a table is
no entry at all.  Here a table is a list when its keys are 1 to n, else a dict; an empty one is a
list.  Text is str, with surrogates for bytes that are not UTF-8.

Rules kept here:

* :func:`received` makes a decoded message what Lua makes of it, :func:`sent` makes a PDK result what
  the server reads; what in it is bytes goes as bin;
* of a callback's arguments Lua passes on as many as LuaJIT takes for the length of their table, see
  :mod:`pluginserver.spec.holes`;
* nothing here knows the wire's bytes: see :mod:`pluginserver.testing.transports.wire`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from msgpack import ExtType, Timestamp

from ...spec import holes
from ...spec.limits import number
from .quirks import Quirks


class LuaError(Exception):
    """A throw in Kong's Lua: a PDK function refused its arguments, or Kong's client failed."""


class _Null:
    """The class of :data:`NULL`."""

    def __repr__(self) -> str:
        return "null"


NULL: Final = _Null()
"""A null in JSON that Kong decoded: a value, where nil is the absence of one.  It is sent as nil."""


class MultiTable(dict[str, Any]):
    """A table of several values by name: stays a map when it is empty."""


def received(value: Any) -> Any:
    """What Lua makes of a decoded MessagePack value."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is float:
        return number(value)
    if kind is int:
        return number(value)
    if kind is bytes:
        return value.decode("utf-8", "surrogateescape")
    if kind is list or kind is tuple:
        return as_table({place: received(item) for place, item in enumerate(value, 1)})
    if kind is dict:
        return as_table({received(key): received(item) for key, item in value.items()})
    if isinstance(value, (ExtType, Timestamp)):
        return None
    raise LuaError(f"a {kind.__name__} cannot be in a message")


def as_table(entries: dict[Any, Any]) -> list[Any] | dict[Any, Any]:
    """A table with these entries: nil values are no entries, keys 1 to n make a list."""
    kept = {key: value for key, value in entries.items() if value is not None}
    if all(place in kept for place in range(1, len(kept) + 1)):
        return [kept[place] for place in range(1, len(kept) + 1)]
    return kept


def sent(value: Any, quirks: Quirks) -> Any:
    """What the plugin server reads when Kong sends this value.

    :param value: None, bool, int, float, str, bytes (goes as bin), lists and mappings of those.
    """
    kind = type(value)
    if kind is str:
        return value if quirks.text_as_str else _strict(value)
    if value is None or kind is bool or kind is bytes or value is NULL:
        return value
    if kind is int or kind is float:
        return number(value) if quirks.lua_numbers else value
    if isinstance(value, MultiTable):
        return {key: sent(item, quirks) for key, item in value.items()}
    if isinstance(value, Mapping):
        return _sent_table({key: sent(item, quirks) for key, item in value.items()}, value, quirks)
    if isinstance(value, (list, tuple)):
        entries = {place: sent(item, quirks) for place, item in enumerate(value, 1)}
        return _sent_table(entries, value, quirks)
    raise LuaError(f"a {kind.__name__} cannot be sent")


def _sent_table(entries: dict[Any, Any], was: Any, quirks: Quirks) -> Any:
    out = as_table(entries)
    if isinstance(out, list):
        if not out and isinstance(was, Mapping) and not quirks.empty_map_as_list:
            return {}
        return [None if item is NULL else item for item in out]
    return {key: None if item is NULL else item for key, item in out.items()}


def _strict(value: str) -> str | bytes:
    """Text where it is UTF-8, else its bytes."""
    data = octets(value)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def octets(value: str) -> bytes:
    """The bytes that a text stands for."""
    return value.encode("utf-8", "surrogateescape")


def arguments(args: Any, quirks: Quirks) -> tuple[tuple[Any, ...], bool]:
    """The arguments with which Lua calls a PDK function.

    :param args: the callback's ``Args`` as decoded: a list, or anything else as the one argument.
    :returns: the arguments, and whether a value got lost behind a None: Lua passes on as many as the
        length of their table says.
    """
    if isinstance(args, dict):
        args = received(args)
        if isinstance(args, dict):
            args = _array_part(args)
    if not isinstance(args, (list, tuple)):
        return (received(args),), False
    values = [received(item) for item in args]
    if None not in values:
        return tuple(values), False
    if not quirks.cut_at_none:
        return tuple(values), False
    end = holes.border(values)
    return tuple(values[:end]), any(item is not None for item in values[end:])


def _array_part(entries: dict[Any, Any]) -> list[Any]:
    out: list[Any] = []
    while len(out) + 1 in entries:
        out.append(entries[len(out) + 1])
    return out


def type_name(value: Any) -> str:
    """The name of the value's type in Lua."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, (str, bytes)) else "table"


def tostring(value: Any) -> str:
    """The value as Lua's ``tostring`` prints it."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.14g}"
    if isinstance(value, (list, dict)):
        return f"table: 0x{id(value):012x}"
    return str(value)


def to_json(value: Any) -> str:
    """The value as Kong's JSON encoder writes it: an empty table is an object."""
    return json.dumps(_jsonable(value), separators=(",", ":"), ensure_ascii=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value] if value else {}
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return None if value is NULL else value
