"""``kong.log`` and ``kong.telemetry``: lines for Kong's log, and the record that log plugins send.

Rules kept here:

* what is logged goes to the exchange and to the node's log at once, under the plugin's name.
"""

from __future__ import annotations

import re
from typing import Any

from ..kong import lua
from ..kong.lua import LuaError
from ..kong.state import State
from .request import get_headers, get_query
from .table import entries_of, pdk, want_string, want_table


def _line(state: State, level: str, parts: tuple[Any, ...]) -> None:
    if not parts:
        raise LuaError("bad argument #1 to 'log': expected a message, got no value")
    state.log(level, "".join(map(lua.tostring, parts)))


@pdk("kong.log", "kong.log.notice")
def notice(state: State, *parts: Any) -> None:
    _line(state, "notice", parts)


@pdk("kong.log.debug")
def debug(state: State, *parts: Any) -> None:
    _line(state, "debug", parts)


@pdk("kong.log.info")
def info(state: State, *parts: Any) -> None:
    _line(state, "info", parts)


@pdk("kong.log.warn")
def warn(state: State, *parts: Any) -> None:
    _line(state, "warn", parts)


@pdk("kong.log.err")
def err(state: State, *parts: Any) -> None:
    _line(state, "err", parts)


@pdk("kong.log.crit")
def crit(state: State, *parts: Any) -> None:
    _line(state, "crit", parts)


@pdk("kong.log.alert")
def alert(state: State, *parts: Any) -> None:
    _line(state, "alert", parts)


@pdk("kong.log.emerg")
def emerg(state: State, *parts: Any) -> None:
    _line(state, "emerg", parts)


@pdk("kong.log.deprecation")
def deprecation(state: State, *parts: Any) -> None:
    words = [part for part in parts if not isinstance(part, (list, dict))]
    extra = next((part for part in parts if isinstance(part, dict)), {})
    text = "".join(map(lua.tostring, words))
    for name, phrase in (("after", "deprecated after"), ("removal", "scheduled for removal in")):
        if extra.get(name):
            text += f" ({phrase} {extra[name]})"
    state.log("warn", text)


@pdk("kong.log.inspect")
def inspect(state: State, *parts: Any) -> None:
    state.log("debug", " ".join(lua.to_json(part) for part in parts))


@pdk("kong.log.set_serialize_value")
def set_serialize_value(state: State, key: Any, value: Any = None, options: Any = None) -> None:
    key = want_string(key, "key")
    mode = entries_of(want_table(options or {}, "options")).get("mode") or "set"
    if mode not in ("set", "add", "replace"):
        raise LuaError("mode must be 'set', 'add' or 'replace'")
    path = key.split(".")
    if not re.fullmatch(r"[^.]+(\.[^.]+)*", key):
        raise LuaError("key must be a valid path")
    holder = state.serialize_values
    for part in path[:-1]:
        holder = holder.setdefault(part, {})
        if not isinstance(holder, dict):
            return
    there = path[-1] in holder
    if (mode == "add" and there) or (mode == "replace" and not there):
        return
    state.change("context", f"log value {key}", holder.get(path[-1]), value)
    holder[path[-1]] = value


@pdk("kong.log.serialize")
def serialize(state: State) -> str:
    return lua.to_json(record(state))


def record(state: State) -> dict[str, Any]:
    """What Kong's log plugins send of a request."""
    exchange = state.exchange
    total = int(exchange.duration * 1000)
    proxied = int(exchange.service_duration * 1000)
    out: dict[str, Any] = {
        "request": _request(state),
        "response": {
            "status": state.status,
            "headers": {
                name: values[0] if len(values) == 1 else values
                for name, values in state.response_headers.lists().items()
            },
            "size": len(exchange.response.body) if exchange.response else 0,
        },
        "latencies": {
            "request": total,
            "kong": total - proxied,
            "proxy": proxied if exchange.service_response else -1,
            "receive": 0,
        },
        "upstream_uri": exchange.service_request.target if exchange.service_request else "",
        "upstream_status": (
            str(exchange.service_response.status) if exchange.service_response else ""
        ),
        "client_ip": state.request.client_ip,
        "started_at": int(exchange.time * 1000),
        "source": {"service": "upstream"}.get(state.source, "kong"),
        "workspace": state.node.workspace_id,
        "workspace_name": "default",
        **_entities(state),
    }
    if exchange.service_request is not None:
        service = exchange.service_request
        out["tries"] = [
            {"ip": service.host, "port": service.port, "balancer_latency": 0, "balancer_start": 0}
        ]
    return _merged(out, state.serialize_values)


def _request(state: State) -> dict[str, Any]:
    request = state.request
    out: dict[str, Any] = {
        "id": state.exchange.id,
        "method": state.method,
        "uri": request.target,
        "url": f"{request.scheme}://{request.host}:{request.port}{request.target}",
        "querystring": get_query(state),
        "headers": get_headers(state),
        "size": len(request.target) + len(request.body) + len(str(request.headers)),
    }
    if state.tls:
        out["tls"] = {
            "version": state.tls.version,
            "client_verify": state.client_verify or "NONE",
        }
    return out


def _entities(state: State) -> dict[str, Any]:
    """What the request was matched with, as far as it was."""
    out: dict[str, Any] = {}
    if state.route:
        out["route"] = state.route.data
    if state.service:
        out["service"] = state.service.data
    if state.consumer:
        out["consumer"] = state.consumer
    if state.credential:
        out["authenticated_entity"] = {
            key: state.credential[key] for key in ("id", "consumer_id") if key in state.credential
        }
    return out


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in more.items():
        have = out.get(key)
        both = isinstance(value, dict) and isinstance(have, dict)
        out[key] = _merged(have, value) if both else value  # type: ignore[arg-type]
    return out


@pdk("kong.telemetry.log")
def telemetry_log(
    state: State,
    plugin: Any,
    config: Any,
    message_type: Any,
    message: Any,
    attributes: Any = None,
) -> None:
    want_string(plugin, "plugin_name")
    want_table(config, "plugin_config")
    want_string(message_type, "message_type")
    if attributes is not None:
        want_table(attributes, "attributes")
    state.log("debug", f"telemetry {message_type}: {lua.tostring(message)}")
