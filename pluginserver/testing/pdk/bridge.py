"""ProtoBuf:1's bridge to the PDK, as Kong's client has it: messages to arguments, results to messages.

Which message a function takes and gives is in :mod:`pluginserver.spec.protobuf`; the functions behind the
bridge are those of this package, which know nothing of it.

Rules kept here:

* a row for each message: :data:`UNWRAP` makes arguments of one, :data:`WRAP` a message of a result;
* nil, ``""`` and 0 become the same empty message, a second result is dropped: what the wire cannot carry
  is lost here as it is in Kong;
* what makes Kong's client throw is a :class:`~pluginserver.testing.kong.lua.LuaError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from ...spec.protobuf import FUNCTIONS
from ..kong import lua
from ..kong.lua import NULL, LuaError
from ..kong.lua_protobuf import decode, encode


@attrs.frozen
class BodyResult:
    """What ``kong.request.get_raw_body`` gives: one of three.

    :param content: the body.
    :param file: the file that holds it, where nginx has written it to one.
    :param error: why there is none.
    """

    content: bytes | str | None = None
    file: str | None = None
    error: str | None = None


def arguments(name: str, data: bytes) -> tuple[Any, ...]:
    """The arguments with which Kong calls a function.

    :param name: the function's full name, a key of :data:`~pluginserver.spec.protobuf.FUNCTIONS`.
    :param data: the bytes of its argument message.
    :raises LuaError: when they are not that message.
    """
    message = FUNCTIONS[name].argument
    return UNWRAP[message](decode(message, data))


def result(name: str, value: Any) -> bytes:
    """The bytes that carry a function's first result.

    :param name: the function's full name.
    :param value: the result as Lua has it; of a message of three kinds a :class:`BodyResult`.
    :raises LuaError: for one that the message cannot carry.
    """
    message = FUNCTIONS[name].result
    if name in _NO_RESULT:
        value = None
    return encode(message, WRAP[message](value))


_NO_RESULT: Final = frozenset({"kong.nginx.set_ctx"})
"""Functions whose result message is always empty."""


# -- from messages to arguments


def from_value(fields: Mapping[str, Any] | None) -> Any:
    """What Lua makes of a ``Value``: nil of one without a kind and of false, a text of null."""
    if not fields:
        return None
    ((kind, value),) = fields.items()
    if kind == "struct_value":
        return from_struct(value)
    if kind == "list_value":
        return lua.as_table(
            {place: from_value(item) for place, item in enumerate(value["values"], 1)}
        )
    return None if value is False else lua.received(value)


def from_struct(fields: Mapping[str, Any]) -> Any:
    """What Lua makes of a ``Struct``."""
    return lua.as_table({key: from_value(item) for key, item in fields["fields"].items()})


def _unpacked(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    """A list as arguments: a nil cuts the rest off."""
    values = [from_value(item) for item in fields["values"]]
    return tuple(values[: values.index(None)] if None in values else values)


def _scalar(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return (lua.received(fields["v"]),)


def _exit(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    headers = fields.get("headers")
    return fields["status"], fields["body"], None if headers is None else from_struct(headers)


def _fields(*names: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda fields: tuple(fields.get(name) for name in names)


UNWRAP: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]] = MappingProxyType(
    {
        "Empty": _fields(),
        "Bool": _scalar,
        "Int": _scalar,
        "String": _scalar,
        "ByteString": _scalar,
        "KV": lambda fields: (fields["k"], from_value(fields.get("v"))),
        "Struct": lambda fields: (from_struct(fields),),
        "ListValue": _unpacked,
        "ExitArgs": _exit,
        "Target": _fields("host", "port"),
        "ConsumerSpec": _fields("id", "by_username"),
        "AuthenticateArgs": _fields("consumer", "credential"),
    }
)
"""What becomes of each argument message."""


# -- from results to messages


def to_value(value: Any) -> dict[str, Any]:
    """The ``Value`` that Kong makes of a Lua value; its null has a number that is not in the enum."""
    if value is None or value is NULL:
        return {"null_value": 1}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, (int, float)):
        return {"number_value": value}
    if isinstance(value, (str, bytes)):
        return {"string_value": value}
    if isinstance(value, dict) and 1 not in value:
        return {"struct_value": to_struct(value)}
    items = value if isinstance(value, list) else _leading(value)
    if not items:
        return {"struct_value": {"fields": {}}}
    return {"list_value": {"values": [to_value(item) for item in items]}}


def _leading(table: Mapping[Any, Any]) -> list[Any]:
    """A table's entries 1, 2, 3 ... up to the first that is missing."""
    out: list[Any] = []
    while table.get(len(out) + 1) is not None:
        out.append(table[len(out) + 1])
    return out


def to_struct(value: Any) -> dict[str, Any]:
    """The ``Struct`` that Kong makes of a table."""
    if not isinstance(value, (list, dict)):
        raise LuaError(f"bad argument #1 to 'pairs' (table expected, got {lua.type_name(value)})")
    entries = value.items() if isinstance(value, dict) else enumerate(value, 1)
    return {"fields": {key: to_value(item) for key, item in entries if item is not None}}


def _captures(value: Any) -> dict[str, Any]:
    return {"unnamed": _leading(value["unnamed"]), "named": value["named"]}


def _body(value: Any) -> dict[str, Any]:
    one = value if isinstance(value, BodyResult) else BodyResult(value)
    return {"content": one.content, "body_filepath": one.file, "error": one.error}


def _entity(value: Any) -> Any:
    """An entity's own table: what the message does not know is dropped where it is encoded."""
    return {} if value is None else value


WRAP: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "Empty": lambda _value: {},
        **dict.fromkeys(("Bool", "Int", "Number", "String", "ByteString"), lambda v: {"v": v}),
        "Value": to_value,
        "Struct": to_struct,
        "RawBodyResult": _body,
        "UriCapturesResult": _captures,
        **dict.fromkeys(
            ("Consumer", "AuthenticatedCredential", "Route", "Service", "MemoryStats"), _entity
        ),
    }
)
"""What becomes of a result for each result message."""
