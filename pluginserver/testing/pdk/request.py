"""``kong.request``: what the client sent, as far as no plugin has changed it.

Rules kept here:

* headers from a proxy (``X-Forwarded-*``) count only when the client is trusted;
* a result that Kong's client cannot send throws, as it does there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

from ...spec import arguments
from ..kong.headers import header_value
from ..kong.lua import NULL, LuaError
from ..kong.messages import host_name
from ..kong.router import normalize
from ..kong.state import Failure, State
from .node import is_trusted
from .table import pdk, want_limit, want_string

BODY_BUFFER: Final = 8192
"""nginx's ``client_body_buffer_size``, as Kong sets it."""


def _trusted_header(state: State, name: str) -> str | None:
    return state.headers.get(name) if is_trusted(state, state.request.client_ip) else None


@pdk("kong.request.get_scheme")
def get_scheme(state: State) -> str:
    return state.request.scheme


@pdk("kong.request.get_host")
def get_host(state: State) -> str:
    return state.request.host


@pdk("kong.request.get_port")
def get_port(state: State) -> int:
    return state.request.port


@pdk("kong.request.get_forwarded_scheme")
def get_forwarded_scheme(state: State) -> str:
    forwarded = _trusted_header(state, "x-forwarded-proto")
    return forwarded.lower() if forwarded is not None else state.request.scheme


@pdk("kong.request.get_forwarded_host")
def get_forwarded_host(state: State) -> str:
    forwarded = _trusted_header(state, "x-forwarded-host")
    return host_name(forwarded) if forwarded is not None else state.request.host


@pdk("kong.request.get_forwarded_port")
def get_forwarded_port(state: State) -> int:
    host = _trusted_header(state, "x-forwarded-host") or ""
    for digits in (
        _trusted_header(state, "x-forwarded-port") or "",
        host.rpartition("@")[2].partition(":")[2],
    ):
        if digits.isascii() and digits.isdigit() and 1 <= int(digits) <= 65535:
            return int(digits)
    return state.request.port


@pdk("kong.request.get_forwarded_path")
def get_forwarded_path(state: State) -> str:
    forwarded = _trusted_header(state, "x-forwarded-path")
    return forwarded if forwarded is not None else get_path(state)


@pdk("kong.request.get_forwarded_prefix")
def get_forwarded_prefix(state: State) -> str | None:
    forwarded = _trusted_header(state, "x-forwarded-prefix")
    return forwarded if forwarded is not None else state.stripped_prefix


@pdk("kong.request.get_http_version")
def get_http_version(state: State) -> float:
    return state.request.http_version


@pdk("kong.request.get_method")
def get_method(state: State) -> str:
    return state.method


@pdk("kong.request.get_path")
def get_path(state: State) -> str:
    return normalize(state.request.path)


@pdk("kong.request.get_raw_path")
def get_raw_path(state: State) -> str:
    return state.request.path


@pdk("kong.request.get_path_with_query")
def get_path_with_query(state: State) -> str:
    return state.request.target


@pdk("kong.request.get_raw_query")
def get_raw_query(state: State) -> str:
    return state.query


@pdk("kong.request.get_query_arg")
def get_query_arg(state: State, name: Any) -> Any:
    value = arguments.decode(state.query, 100).get(want_string(name, "query argument name"))
    return value[0] if isinstance(value, list) else value


@pdk("kong.request.get_query")
def get_query(state: State, max_args: Any = None) -> dict[str, Any]:
    return arguments.decode(state.query, want_limit(max_args, "max_args"))


@pdk("kong.request.get_header")
def get_header(state: State, name: Any) -> str | None:
    return state.headers.get(want_string(name, "header name"))


@pdk("kong.request.get_headers")
def get_headers(state: State, max_headers: Any = None) -> dict[str, Any]:
    return gather(state.headers.pairs(), want_limit(max_headers, "max_headers"))


@pdk("kong.request.get_raw_body")
def get_raw_body(state: State, max_allowed_file_size: Any = None) -> bytes | Failure:
    limited = state.node.quirks.body_limit
    if not state.node.version.sized_bodies:
        max_allowed_file_size = None
    if limited and len(state.body) > BODY_BUFFER and max_allowed_file_size is None:
        raise LuaError(
            "bad argument to the binary packer: request body did not fit into client body buffer, "
            "consider raising 'client_body_buffer_size'"
        )
    limit = max_allowed_file_size or 0
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0:
        raise LuaError("max_allowed_file_size must be a non-negative number")
    if 0 < limit < len(state.body) and len(state.body) > BODY_BUFFER:
        raise LuaError("bad argument to the binary packer: request body file too big")
    return state.body


@pdk("kong.request.get_body")
def get_body(
    state: State, mimetype: Any = None, max_args: Any = None, max_allowed_file_size: Any = None
) -> Any:
    content_type = mimetype or state.headers.get("content-type")
    if not content_type:
        return Failure("missing content type")
    media = want_string(content_type, "mimetype").partition(";")[0].strip().lower()
    limit = want_limit(max_args, "max_args")
    size = len(state.body)
    if size > BODY_BUFFER and (max_allowed_file_size is None or 0 < max_allowed_file_size < size):
        return Failure(
            "request body did not fit into client body buffer, "
            "consider raising 'client_body_buffer_size'"
        )
    if media == "application/x-www-form-urlencoded":
        return arguments.decode(header_value(state.body), limit)
    if media == "application/json":
        try:
            value = json.loads(state.body)
        except ValueError:
            value = None
        return (
            with_nulls(value) if isinstance(value, (list, dict)) else Failure("invalid json body")
        )
    if media == "multipart/form-data":
        return decode_multipart(state.body, state.headers.get("content-type") or content_type)
    return Failure(f"unsupported content type '{content_type}'")


@pdk("kong.request.get_start_time")
def get_start_time(state: State) -> int:
    return int(state.exchange.time * 1000)


@pdk("kong.request.get_uri_captures")
def get_uri_captures(state: State) -> dict[str, Any]:
    return {
        "unnamed": {key: value for key, value in state.captures.items() if isinstance(key, int)},
        "named": {key: value for key, value in state.captures.items() if isinstance(key, str)},
    }


def gather(pairs: Iterable[tuple[str, Any]], limit: int) -> dict[str, Any]:
    """Pairs as a table that nginx makes of them: one value alone, several as a list."""
    out: dict[str, Any] = {}
    for count, (name, value) in enumerate(pairs):
        if count == limit:
            break
        key = name.lower()
        if key not in out:
            out[key] = value
        elif isinstance(out[key], list):
            out[key].append(value)
        else:
            out[key] = [out[key], value]
    return out


def with_nulls(value: Any) -> Any:
    """Decoded JSON with Kong's null, which is a value, for every None."""
    if value is None:
        return NULL
    if isinstance(value, dict):
        return {key: with_nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_nulls(item) for item in value]
    return value


def decode_multipart(body: bytes, content_type: str) -> Any:
    """The fields of a multipart form, a list for a name that comes several times."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "surrogateescape")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        return Failure("unable to decode multipart body")
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            pairs.append((name, header_value(part.get_payload(decode=True))))
    out: dict[str, Any] = {}
    for name, value in pairs:
        if name in out:
            out[name] = [*(out[name] if isinstance(out[name], list) else [out[name]]), value]
        else:
            out[name] = value
    return out
