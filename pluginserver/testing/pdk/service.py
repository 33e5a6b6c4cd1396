"""``kong.service``: where the request goes, with what, and what came back.

Rules kept here:

* what is set here, ``kong.request`` shows from then on; only where the request goes is kept apart;
* a function checks its arguments before it changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ...spec import arguments
from ...spec.bodies import to_multipart
from ..kong.headers import header_value, same
from ..kong.lua import LuaError, octets, to_json, tostring, type_name
from ..kong.state import Failure, State
from .request import gather, with_nulls
from .table import (
    entries_of,
    pdk,
    want_header,
    want_headers,
    want_integer,
    want_limit,
    want_string,
    want_table,
)

SERVICE: Final = "service request"
"""The word for the request to the service in the record of changes."""

METHODS: Final = frozenset(
    {
        *("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE"),
        *("MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK"),
    }
)
"""The methods that nginx knows."""

_PATH_SAFE: Final = "/!$&'()*+,;=:@-._~%"


@pdk("kong.service.set_upstream")
def set_upstream(state: State, host: Any) -> Any:
    name = want_string(host, "host")
    if name not in state.node.upstreams:
        return Failure(f"could not find an Upstream named '{name}'")
    _set_target(state, name, None)
    return True


@pdk("kong.service.set_target")
def set_target(state: State, host: Any, port: Any) -> None:
    name = want_string(host, "host")
    _set_target(state, name, want_integer(port, "port", 0, 65535))
    state.upstream_host = name


def _set_target(state: State, host: str, port: int | None) -> None:
    state.change(SERVICE, "target", state.target, (host, port))
    state.target = (host, port)


@pdk("kong.service.set_retries")
def set_retries(state: State, retries: Any) -> None:
    number = want_integer(retries, "retries", 0, 32767)
    state.change(SERVICE, "retries", state.retries, number)
    state.retries = number


@pdk("kong.service.set_timeouts")
def set_timeouts(state: State, connect: Any, write: Any, read: Any) -> None:
    timeouts = (
        want_integer(connect, "connect_timeout", 1, 2147483646),
        want_integer(write, "write_timeout", 1, 2147483646),
        want_integer(read, "read_timeout", 1, 2147483646),
    )
    state.change(SERVICE, "timeouts", state.timeouts, timeouts)
    state.timeouts = timeouts


@pdk("kong.service.set_tls_verify")
def set_tls_verify(state: State, on: Any) -> bool:
    if not isinstance(on, bool):
        raise LuaError("argument must be a boolean")
    state.change(SERVICE, "tls verify", state.tls_verify, on)
    state.tls_verify = on
    return True


@pdk("kong.service.set_tls_verify_depth")
def set_tls_verify_depth(state: State, depth: Any) -> bool:
    if isinstance(depth, bool) or not isinstance(depth, (int, float)):
        raise LuaError("argument must be a number")
    state.change(SERVICE, "tls verify depth", state.tls_verify_depth, int(depth))
    state.tls_verify_depth = int(depth)
    return True


@pdk("kong.service.request.enable_buffering")
def enable_buffering(state: State) -> None:
    version = state.request.http_version
    if version >= 2:
        raise LuaError(
            f"buffered proxying cannot currently be enabled with http/{version:g}, "
            "please use http/1.x instead"
        )
    state.change(SERVICE, "buffering", state.buffered, True)
    state.buffered = True


@pdk("kong.service.request.set_scheme")
def set_scheme(state: State, scheme: Any) -> None:
    if want_string(scheme, "scheme") not in ("http", "https"):
        raise LuaError(f"invalid scheme: {scheme}")
    state.change(SERVICE, "scheme", state.upstream_scheme, scheme)
    state.upstream_scheme = scheme


@pdk("kong.service.request.set_path")
def set_path(state: State, path: Any) -> None:
    if not want_string(path, "path").startswith("/"):
        raise LuaError("path must start with /")
    escaped = quote(octets(path), safe=_PATH_SAFE)
    state.change(SERVICE, "path", state.upstream_path, escaped)
    state.upstream_path = escaped


@pdk("kong.service.request.set_raw_query")
def set_raw_query(state: State, query: Any) -> None:
    _set_query(state, want_string(query, "query"))


@pdk("kong.service.request.set_query")
def set_query(state: State, args: Any) -> None:
    _set_query(state, ordered_args(want_table(args, "args")))


@pdk("kong.service.request.clear_query_arg")
def clear_query_arg(state: State, name: Any) -> None:
    name = want_string(name, "query argument name")
    if state.query:
        _set_query(state, arguments.without(state.query, name))


def _set_query(state: State, query: str) -> None:
    state.change(SERVICE, "query", state.query, query)
    state.query = query


@pdk("kong.service.request.set_method")
def set_method(state: State, method: Any) -> None:
    if want_string(method, "method") not in METHODS:
        raise LuaError(f"invalid method: {method}")
    state.change(SERVICE, "method", state.method, method)
    state.method = method


@pdk("kong.service.request.set_header")
def set_header(state: State, name: Any, value: Any) -> Any:
    values = want_header(name, value)
    if name.lower() == ":authority":
        return Failure("cannot set :authority pseudo-header on non-grpc requests")
    _set_header(state, name, values)
    return None


@pdk("kong.service.request.add_header")
def add_header(state: State, name: Any, value: Any) -> None:
    values = want_header(name, value)
    _set_header(state, name, [*state.headers.all(name), *values])


@pdk("kong.service.request.clear_header")
def clear_header(state: State, name: Any) -> None:
    state.change_headers(SERVICE, state.headers, want_string(name, "header"), [])


@pdk("kong.service.request.set_headers")
def set_headers(state: State, headers: Any) -> None:
    for name, values in want_headers(headers).items():
        _set_header(state, name, values)


def _set_header(state: State, name: str, values: list[Any]) -> None:
    if same(name) == "host" and values:
        state.upstream_host = header_value(values[-1])
    state.change_headers(SERVICE, state.headers, name, values)


@pdk("kong.service.request.set_raw_body")
def set_raw_body(state: State, body: Any) -> None:
    _set_body(state, octets(want_string(body, "body")))


@pdk("kong.service.request.set_body")
def set_body(state: State, args: Any, mimetype: Any = None) -> Any:
    args = want_table(args, "args")
    if mimetype is not None:
        want_string(mimetype, "mime")
    content_type = mimetype or state.headers.get("content-type")
    if not content_type:
        return Failure(
            "content type was neither explicitly given as an argument or received as a header"
        )
    media = content_type.partition(";")[0]
    if media == "application/x-www-form-urlencoded":
        body = ordered_args(args)
    elif media == "application/json":
        body = to_json(args)
    elif media == "multipart/form-data":
        body, content_type = _multipart(args, content_type)
    else:
        raise LuaError(f"unsupported content type {content_type}")
    _set_body(state, octets(body))
    state.change_headers(SERVICE, state.headers, "Content-Type", [content_type])
    return True


def _set_body(state: State, body: bytes) -> None:
    state.change(SERVICE, "body", state.body, body)
    state.body = body
    state.headers.set("Content-Length", [str(len(body))])


@pdk("kong.service.request.disable_tls")
def disable_tls(state: State) -> bool:
    state.change(SERVICE, "scheme", state.upstream_scheme, "http")
    state.upstream_scheme = "http"
    return True


@pdk("kong.service.response.get_status")
def get_status(state: State) -> int | None:
    return None if state.service_response is None else state.service_response.status


@pdk("kong.service.response.get_header")
def get_header(state: State, name: Any) -> str | None:
    name = want_string(name, "name")
    return None if state.service_response is None else state.service_response.headers.get(name)


@pdk("kong.service.response.get_headers")
def get_headers(state: State, max_headers: Any = None) -> dict[str, Any]:
    limit = want_limit(max_headers, "max_headers")
    if state.service_response is None or (
        state.phase == "response" and state.node.quirks.no_service_headers
    ):
        return {}
    return gather(state.service_response.headers.pairs(), limit)


@pdk("kong.service.response.get_raw_body")
def get_raw_body(state: State) -> bytes:
    if not state.buffered:
        raise LuaError(
            "service body is only available with buffered proxying "
            "(see: kong.service.request.enable_buffering function)"
        )
    return b"" if state.service_response is None else state.service_response.body


@pdk("kong.service.response.get_body")
def get_body(state: State, mimetype: Any = None, max_args: Any = None) -> Any:
    content_type = mimetype or get_header(state, "content-type")
    if not content_type:
        return Failure("missing content type")
    body = get_raw_body(state)
    media = want_string(content_type, "mimetype").partition(";")[0].strip().lower()
    if media == "application/x-www-form-urlencoded":
        return arguments.decode(header_value(body), want_limit(max_args, "max_args"))
    if media == "application/json":
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        return (
            with_nulls(value) if isinstance(value, (list, dict)) else Failure("invalid json body")
        )
    return Failure(f"unsupported content type '{content_type}'")


def ordered_args(args: list[Any] | dict[Any, Any]) -> str:
    """A query made of a table, in the order of its encoded names."""
    entries = entries_of(args)
    if not all(isinstance(name, str) for name in entries):
        raise LuaError("arg keys must be strings")
    for name, value in entries.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, (Mapping, list)):
                raise LuaError(f"attempt to use {type_name(one)} as query arg value of {name!r}")
    return arguments.ordered({name: _texts(value) for name, value in entries.items()})


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return value if isinstance(value, bool) else _text(value)


def _text(value: Any) -> str:
    return (
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else tostring(value)
    )


def _multipart(args: list[Any] | dict[Any, Any], content_type: str) -> tuple[str, str]:
    entries = entries_of(args)
    for name, value in entries.items():
        if not isinstance(name, str):
            raise LuaError(f"invalid key {name!r}: got {type_name(name)}, expected string")
        if isinstance(value, (list, dict)):
            raise LuaError(
                f"invalid value {name!r}: got table, expected string, number or boolean"
            )
    return to_multipart({name: _text(one) for name, one in entries.items()}, content_type)
