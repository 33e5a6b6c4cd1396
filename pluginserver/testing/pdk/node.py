"""The rest of the PDK: the node and its nginx, the plugin, contexts, addresses, the vault.

Rules kept here:

* a variable that the test has set comes before Kong's own;
* an address is trusted only when the test says so.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from ...spec.secrets import is_reference
from ..kong import secrets
from ..kong.lua import LuaError, tostring
from ..kong.messages import STREAMS
from ..kong.state import Failure, State
from .table import pdk, want_string, want_table


@pdk("kong.cluster.get_id")
def cluster_id(state: State) -> str:
    return state.node.cluster_id


@pdk("kong.node.get_id")
def node_id(state: State) -> str:
    return state.node.node_id


@pdk("kong.node.get_hostname")
def node_hostname(state: State) -> str:
    return state.node.hostname


@pdk("kong.node.get_memory_stats")
def node_memory_stats(state: State, unit: Any = None, scale: Any = None) -> dict[str, Any]:
    unit = unit if unit is not None else "b"
    scale = scale if scale is not None else 2
    if unit not in _UNITS:
        raise LuaError(f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or scale < 0:
        raise LuaError("scale must be equal or greater than 0")

    def size(octets: int) -> int | str:
        factor, suffix = _UNITS[unit]
        return octets if factor == 1 else f"{octets / factor:.{int(scale)}f} {suffix}"

    return {
        "workers_lua_vms": [{"pid": state.node.worker_pid, "http_allocated_gc": size(47_104_000)}],
        "lua_shared_dicts": {
            name: {"allocated_slabs": size(used), "capacity": size(capacity)}
            for name, (used, capacity) in _SHARED_DICTS.items()
        },
    }


_UNITS: Final = {
    "b": (1, ""),
    "B": (1, ""),
    "k": (1024, "KiB"),
    "K": (1024, "KiB"),
    "m": (1024**2, "MiB"),
    "M": (1024**2, "MiB"),
    "g": (1024**3, "GiB"),
    "G": (1024**3, "GiB"),
}
_SHARED_DICTS: Final = {
    "kong": (40_960, 5_242_880),
    "kong_locks": (61_440, 8_388_608),
    "kong_db_cache": (110_592, 134_217_728),
}


@pdk("kong.nginx.get_var")
def nginx_var(state: State, name: Any) -> Any:
    name = want_string(name, "name")
    if name in state.vars:
        return state.vars[name]
    value = _variable(state, name)
    return value if value is None or isinstance(value, str) else str(value)


def _variable(state: State, name: str) -> Any:
    request = state.request
    if name.startswith("http_"):
        return state.headers.get(name[5:])
    if name.startswith("arg_"):
        for part in state.query.split("&"):
            key, equals, value = part.partition("=")
            if key.lower() == name[4:].lower() and equals:
                return value
        return None
    if name in ("remote_addr", "realip_remote_addr"):
        return request.client_ip
    table = {
        "args": state.query or None,
        "content_length": state.headers.get("content-length"),
        "content_type": state.headers.get("content-type"),
        "host": request.host,
        "hostname": state.node.hostname,
        "https": "on" if state.tls else "",
        "is_args": "?" if state.query else "",
        "nginx_version": "1.27.1",
        "pid": state.node.worker_pid,
        "query_string": state.query or None,
        "remote_port": request.client_port,
        "request": f"{request.method} {request.target} HTTP/{request.http_version}",
        "request_id": state.exchange.id,
        "request_method": state.method,
        "request_uri": request.target,
        "scheme": request.scheme,
        "server_port": request.port,
        "server_protocol": f"HTTP/{request.http_version}",
        "ssl_protocol": state.tls.version if state.tls else None,
        "ssl_server_name": state.tls.server_name if state.tls else None,
        "status": f"{state.status:03}",
        "uri": request.path,
        "upstream_host": state.upstream_host,
        "upstream_scheme": state.upstream_scheme,
        "upstream_uri": state.upstream_path,
    }
    return table.get(name)


@pdk("kong.nginx.get_tls1_version_str")
def tls_version(state: State) -> Any:
    return state.tls.version if state.tls else Failure("bad ssl: no TLS connection")


@pdk("kong.nginx.get_ctx")
def get_ctx(state: State, key: Any) -> Any:
    return state.ctx.get(_key(key))


@pdk("kong.nginx.set_ctx")
def set_ctx(state: State, key: Any, value: Any = None) -> None:
    _put(state, "ctx", state.ctx, key, value)


@pdk("kong.ctx.shared.get")
def get_shared(state: State, key: Any) -> Any:
    return state.shared.get(_key(key))


@pdk("kong.ctx.shared.set")
def set_shared(state: State, key: Any, value: Any = None) -> None:
    _put(state, "shared", state.shared, key, value)


def _key(key: Any) -> Any:
    return id(key) if isinstance(key, (list, dict)) else key


def _put(state: State, what: str, context: dict[Any, Any], key: Any, value: Any) -> None:
    if key is None:
        raise LuaError("table index is nil")
    state.change("context", f"{what} {key}", context.get(_key(key)), value)
    if value is None:
        context.pop(_key(key), None)
    else:
        context[_key(key)] = value


@pdk("kong.nginx.req_start_time")
def req_start_time(state: State) -> float:
    return round(state.exchange.time, 3)


@pdk("kong.nginx.get_subsystem")
def subsystem(state: State) -> str:
    return "stream" if state.request.scheme in STREAMS else "http"


@pdk("kong.nginx.get_statistics")
def statistics(state: State) -> dict[str, int]:
    total = state.node.requests
    return {
        "connections_accepted": total,
        "connections_active": 1,
        "connections_handled": total,
        "connections_reading": 0,
        "connections_waiting": 0,
        "connections_writing": 1,
        "total_requests": total,
    }


@pdk("kong.plugin.get_id")
def plugin_id(state: State) -> str | None:
    return None if state.plugin is None else state.plugin.id


@pdk("kong.ip.is_trusted")
def ip_is_trusted(state: State, address: Any) -> bool:
    return is_trusted(state, want_string(address, "address"))


def is_trusted(state: State, address: str) -> bool:
    """Whether an address is among the gateway's trusted ones."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(
        ip in ipaddress.ip_network(network, strict=False) for network in state.node.trusted_ips
    )


@pdk("kong.vault.is_reference")
def vault_is_reference(state: State, reference: Any) -> bool:
    return is_reference(reference)


@pdk("kong.vault.parse_reference")
def vault_parse_reference(state: State, reference: Any) -> Any:
    if not isinstance(reference, str):
        return Failure(f"not a reference [{tostring(reference)}]")
    found = secrets.parse(reference)
    return Failure(found) if isinstance(found, str) else found


@pdk("kong.vault.get")
def vault_get(state: State, reference: Any) -> Any:
    if not vault_is_reference(state, reference):
        return Failure(f"not a reference [{reference}]")
    value = secret(state, reference)
    return (
        Failure(f"could not get value from external vault [{reference}]")
        if value is None
        else value
    )


def secret(state: State, reference: str) -> str | None:
    """The secret behind a reference, None when the vaults have none."""
    return state.node.secret(reference)


@pdk("kong.vault.update")
def vault_update(state: State, options: Any) -> Any:
    options = dict(want_table(options, "options"))
    references = options.get("$refs")
    for name, reference in references.items() if isinstance(references, dict) else ():
        if isinstance(reference, str):
            options[name] = secret(state, reference)
        elif isinstance(reference, (list, dict)):
            options[name] = _updated(state, reference, options.get(name))
    return options


def _updated(state: State, references: Any, old: Any) -> Any:
    """A list or map with the secrets that its references name now; the rest stays."""
    if isinstance(references, dict):
        held = dict(old) if isinstance(old, dict) else {}
        return {**held, **{key: secret(state, one) for key, one in references.items()}}
    held_list = old if isinstance(old, list) else [None] * len(references)
    return [
        secret(state, one) if isinstance(one, str) else kept
        for one, kept in zip(references, held_list, strict=False)
    ]
