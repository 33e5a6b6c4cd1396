"""The PDK functions that Kong has in ProtoBuf:1: the bytes of a call, and what Kong's answer means.

One table, :data:`PLAIN`, made from :data:`~pluginserver.spec.protobuf.FUNCTIONS` by the types of argument
and result.

Rules kept here:

* an answer is what MsgPack:1 gives, where Kong's messages tell it: names with lists of values, an empty
  list for Lua's empty table, None for nil;
* what Kong would misunderstand is refused before it is sent: False, which arrives as nil.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import PDKError
from ...pdk.values import json_text
from ...spec.entities import whole
from ...spec.protobuf import FUNCTIONS, MESSAGES, Callback
from .asks import Args, Ask, Begin, at
from .decoding import decode
from .encoding import blob, content, encode
from .wire import HEADER, WireError, frame

DEFAULT_LIMIT: Final = 100
"""How many headers or arguments Kong reads when it is not told: here it must be."""

JSON: Final = "application/json; charset=utf-8"


class NoBody(PDKError):
    """Kong does not have a body to give, or it is too large."""


# -- arguments


def _text(args: Args) -> bytes:
    return blob(b"\x0a", content(args[0])) if args else b""


def _limit(args: Args) -> bytes:
    return encode("Int", {"v": at(args, 0, DEFAULT_LIMIT)})


def _single(message: str) -> Callable[[Args], bytes]:
    """For a message of one field, ``v``."""
    return lambda args: encode(message, {"v": at(args, 0)})


def header_text(value: Any) -> Any:
    """A header's value as text, or a list of texts, as Lua would make it."""
    if isinstance(value, (list, tuple)):
        return [header_text(one) for one in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        value = whole(value)
        return f"{value:.14g}" if isinstance(value, float) else str(value)
    return value


def _header(args: Args) -> bytes:
    name, value = content(at(args, 0, "")), at(args, 1)
    if type(value) is str and value.isascii() and len(value) < 0x7E and len(name) < 0x80:
        # Nearly all of them, in a third of the time.
        return b"\x0a%c%b\x12%c\x1a%c%b" % (
            len(name),
            name,
            len(value) + 2,
            len(value),
            value.encode(),
        )
    if type(value) is not str:
        return blob(b"\x0a", name) + blob(b"\x12", encode("Value", header_text(value)))
    return blob(b"\x0a", name) + blob(b"\x12", blob(b"\x1a", content(value)))


def _headers(args: Args) -> bytes:
    headers = at(args, 0, {})
    if type(headers) is dict and {*map(type, headers)} == {str}:
        # An entry of a map is written like the message of a single header.
        return b"".join([blob(b"\x0a", _header(one)) for one in headers.items()])
    return encode("Struct", _as_headers(headers))


def _as_headers(headers: Any) -> Any:
    if isinstance(headers, Mapping):
        return {name: header_text(value) for name, value in headers.items()}
    return headers or {}


def _entry(args: Args) -> bytes:
    """A key and a value; nil removes."""
    value = at(args, 1)
    if len(args) > 2:
        raise WireError("the key and the value are all that Kong takes here: leave the rest out")
    if holds_false(value):
        raise WireError(
            "Kong takes False for nil here: use 0 or a text, or serve this plugin with"
            " protocol = 'msgpack'"
        )
    return encode("KV", {"k": at(args, 0, ""), "v": value})


def holds_false(value: Any) -> bool:
    """Whether a value is False, or holds it."""
    if isinstance(value, Mapping):
        return any(map(holds_false, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_false, value))
    return value is False


def _query(args: Args) -> bytes:
    query = at(args, 0, {})
    if isinstance(query, Mapping):
        query = {name: value for name, value in query.items() if value is not False}
        if holds_false(query):
            raise WireError("Kong takes False for nil here: leave it out")
    return encode("Struct", query or {})


def _words(args: Args) -> bytes:
    return encode("ListValue", args)


def _exit(args: Args) -> bytes:
    body, headers = at(args, 1), _as_headers(at(args, 2))
    if isinstance(body, (Mapping, list, tuple)):
        body = json_text(with_text(body))
        if not any(name.lower().replace("_", "-") == "content-type" for name in headers):
            headers = {**headers, "Content-Type": JSON}
    fields = {"status": at(args, 0), "body": body, "headers": headers or None}
    return encode("ExitArgs", fields)


def with_text(value: Any) -> Any:
    """A value for JSON, with text for bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        return {with_text(key): with_text(inner) for key, inner in value.items()}
    return [with_text(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _target(args: Args) -> bytes:
    return encode("Target", {"host": at(args, 0), "port": at(args, 1)})


def _consumer_spec(args: Args) -> bytes:
    return encode("ConsumerSpec", {"id": at(args, 0), "by_username": at(args, 1)})


def _identity(args: Args) -> bytes:
    """Of a consumer and a credential what Kong's messages have."""
    consumer, credential = at(args, 0), at(args, 1)
    if isinstance(credential, Mapping) and isinstance(credential.get("consumer"), Mapping):
        credential = {"consumer_id": credential["consumer"].get("id"), **credential}
    fields = {
        "consumer": _known("Consumer", consumer),
        "credential": _known("AuthenticatedCredential", credential),
    }
    return encode("AuthenticateArgs", fields)


def _known(message: str, fields: Any) -> Any:
    if not isinstance(fields, Mapping):
        return fields
    return {one.name: fields[one.name] for one in MESSAGES[message] if one.name in fields}


_ARGUMENTS: Final[dict[str, Callable[[Args], bytes]]] = {
    "String": _text,
    "Bool": _single("Bool"),
    "Int": _single("Int"),
    "ByteString": _text,
    "KV": _header,
    "Struct": _headers,
    "ListValue": _words,
    "ExitArgs": _exit,
    "Target": _target,
    "ConsumerSpec": _consumer_spec,
    "AuthenticateArgs": _identity,
}
"""For each message that is an argument, how it is made of the arguments of the call."""

_OWN_ARGUMENTS: Final[dict[str, Callable[[Args], bytes]]] = {
    "kong.request.get_query": _limit,
    "kong.request.get_headers": _limit,
    "kong.response.get_headers": _limit,
    "kong.service.response.get_headers": _limit,
    "kong.ctx.shared.set": _entry,
    "kong.nginx.set_ctx": _entry,
    "kong.log.set_serialize_value": _entry,
    "kong.service.request.set_query": _query,
}
"""The functions for which it is made otherwise."""


# -- results


def nothing(_data: bytes) -> None:
    """The result of a function that gives nothing."""


def _string(data: bytes) -> Any:
    """A text that is always there, if it is empty."""
    if len(data) > 1 and data[0] == 0x0A and data[1] == len(data) - 2 < 0x80:
        return data[2:].decode("utf-8", "surrogateescape")  # nearly all of them
    return decode("String", data).get("v", "")


def _string_or_none(data: bytes) -> Any:
    """A text that is None when it is empty."""
    return _string(data) or None


def _field(message: str, default: Any = None) -> Callable[[bytes], Any]:
    return lambda data: decode(message, data).get("v", default)


def _table(data: bytes) -> Any:
    return as_lua(decode("Value", data))


def as_lua(value: Any) -> Any:
    """A value with a list for every empty map, as MsgPack:1 has it."""
    if type(value) is dict:
        return {key: as_lua(inner) for key, inner in value.items()} if value else []
    return [as_lua(inner) for inner in value] if type(value) is list else value


def _lists(data: bytes) -> dict[str, list[Any]]:
    """Names with all their values; no value for one that was sent without."""
    found = decode("Struct", data)
    for name, value in found.items():
        if type(value) is not list:
            found[name] = [] if value is True else [value]
    return found  # type: ignore[no-any-return]


def body(data: bytes, limit: Any = 0) -> bytes:
    """The body of a request, also one that nginx wrote to a file.

    :param limit: the most bytes of such a file; 0 for no limit.
    :raises NoBody: when it is longer, or Kong says why there is none.
    :raises PDKError: for a file that cannot be read.
    """
    result = decode("RawBodyResult", data)
    if "error" in result:
        raise NoBody(f"kong.request.get_raw_body: {result['error']}")
    if "body_filepath" not in result:
        return result.get("content", b"")  # type: ignore[no-any-return]
    path = Path(result["body_filepath"])
    try:
        size = path.stat().st_size
        if limit and size > limit:
            raise NoBody(f"the request's body has {size} bytes, and {limit} are allowed")
        return path.read_bytes()
    except OSError as error:
        raise PDKError(
            f"nginx wrote the request's body to a file that cannot be read here ({error}): run this server"
            " as nginx's user, raise client_body_buffer_size, or serve this plugin with"
            " protocol = 'msgpack'"
        ) from error


def _captures(data: bytes) -> Any:
    found = decode("UriCapturesResult", data)
    unnamed = [one.decode("utf-8", "surrogateescape") for one in found.get("unnamed", ())]
    named = {
        name: one.decode("utf-8", "surrogateescape")
        for name, one in found.get("named", {}).items()
    }
    return {"unnamed": unnamed, "named": named} if unnamed or named else []


_NEVER_NIL: Final = {
    "Route": {"strip_path": False, "preserve_host": False, "regex_priority": 0},
    "Service": {"retries": 0},
}
"""The fields of an entity that Kong always has: what did not arrive is this."""


def _entity(message: str) -> Callable[[bytes], Any]:
    defaults: dict[str, Any] = _NEVER_NIL.get(message, {})

    def read(data: bytes) -> Any:
        fields = {
            name: value
            for name, value in decode(message, data).items()
            if value not in ("", [], {}) and name != "headers"  # Kong never fills a route's in
        }
        return {**defaults, **fields} if fields else None

    return read


def _memory(data: bytes) -> Any:
    """The memory that a node uses; a number that did not arrive is 0."""
    found = decode("MemoryStats", data)
    dicts = {"allocated_slabs": 0, "capacity": 0}
    return {
        "lua_shared_dicts": {
            name: {**dicts, **one} for name, one in found.get("lua_shared_dicts", {}).items()
        },
        "workers_lua_vms": [
            {"http_allocated_gc": 0, "pid": 0, **one} for one in found.get("workers_lua_vms", ())
        ],
    }


_RESULTS: Final[dict[str, Callable[[bytes], Any]]] = {
    "Empty": nothing,
    "String": _string,
    "Int": _field("Int", 0),
    "Number": _field("Number", 0.0),
    "Bool": _field("Bool"),
    "ByteString": _field("ByteString", b""),
    "Value": _table,
    "Struct": _lists,
    "RawBodyResult": body,
    "UriCapturesResult": _captures,
    "Route": _entity("Route"),
    "Service": _entity("Service"),
    "Consumer": _entity("Consumer"),
    "AuthenticatedCredential": _entity("AuthenticatedCredential"),
    "MemoryStats": _memory,
}
"""For each message that is a result, what the call gives."""

_OWN_RESULTS: Final[dict[str, Callable[[bytes], Any]]] = {
    "kong.client.get_protocol": _string_or_none,
    "kong.ip.is_trusted": _field("Bool", False),
    "kong.log.serialize": _string_or_none,
    "kong.nginx.get_tls1_version_str": _string_or_none,
    "kong.nginx.get_var": _string_or_none,
    "kong.nginx.set_ctx": nothing,
    "kong.request.get_http_version": lambda data: decode("Number", data).get("v"),
    "kong.service.response.get_status": lambda data: decode("Int", data).get("v") or None,
}
"""The functions that give something else."""


# -- calls


def _plain(name: str, callback: Callback) -> Begin:
    """A function that is one call."""
    prefix = frame(name.encode())
    read = _OWN_RESULTS.get(name) or _RESULTS[callback.result]
    if callback.argument == "Empty":
        always = Ask(prefix + frame(b""), read)
        return lambda _args: always
    argument_of = _OWN_ARGUMENTS.get(name) or _ARGUMENTS[callback.argument]

    def begin(args: Args) -> Ask:
        argument = argument_of(args)
        return Ask(prefix + len(argument).to_bytes(HEADER, "little") + argument, read)

    return begin


PLAIN: Final[dict[str, Begin]] = {
    name: _plain(name, callback) for name, callback in FUNCTIONS.items()
}
"""The functions of one call each."""
