"""Kong's ProtoBuf:1 as data: its messages, and the PDK functions that it has.

Made from the service that Kong ships (``kong/include/kong/pluginsocket.proto``), unchanged since Kong 3.7.

Rules kept here:

* tables, and what is said of them: who encodes is :mod:`pluginserver.rpc.protobuf`;
* the messages of ``google.protobuf`` stand under their short names: ``Value``, ``Struct``, ``ListValue``,
  ``Empty``; the messages within messages under names of their own.  No name is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

SCALARS: Final = frozenset({"bool", "int32", "int64", "double", "string", "bytes", "enum"})
"""The types that are not messages."""


@attrs.frozen
class Field:
    """A field of a message.

    :param name: its name, which is never sent.
    :param number: the number that is.
    :param type: one of :data:`SCALARS`, or the name of a message; of a map, what its values are.
    :param repeated: it is a list.
    :param map: it is a map from strings.
    :param oneof: the group of which only one field can be set; empty for a field that is in none.
    """

    name: str
    number: int
    type: str
    repeated: bool = False
    map: bool = False
    oneof: str = ""


@attrs.frozen
class Callback:
    """What a PDK function takes and gives.

    :param argument: the message that is sent to Kong.
    :param result: the message that comes back.
    """

    argument: str
    result: str


# name=number:type, with * behind the type of a list, {} behind that of a map's values, and the name of a
# oneof with | before the name of each of its fields
_MESSAGES: Final = {
    "RpcCall": """
        sequence=1:int64 call|cmd_get_plugin_names=31:CmdGetPluginNames
        call|cmd_get_plugin_info=32:CmdGetPluginInfo call|cmd_start_instance=33:CmdStartInstance
        call|cmd_get_instance_status=34:CmdGetInstanceStatus
        call|cmd_close_instance=35:CmdCloseInstance call|cmd_handle_event=36:CmdHandleEvent""",
    "CmdGetPluginNames": "",
    "CmdGetPluginInfo": "name=1:string",
    "CmdStartInstance": "name=1:string config=2:bytes",
    "CmdGetInstanceStatus": "instance_id=1:int32",
    "CmdCloseInstance": "instance_id=1:int32",
    "CmdHandleEvent": "instance_id=1:int32 event_name=2:string",
    "RpcReturn": """
        sequence=1:int64 return|plugin_names=31:PluginNames return|plugin_info=32:PluginInfo
        return|instance_status=33:InstanceStatus""",
    "PluginNames": "names=1:string*",
    "PluginInfo": """
        name=1:string updated_at=2:int64 loaded_at=3:int64 phases=4:string* version=5:string
        priority=6:int32 schema=7:string""",
    "InstanceStatus": "name=1:string instance_id=2:int32 config=3:Value started_at=4:int64",
    "Empty": "",
    "Bool": "v=1:bool",
    "Int": "v=1:int32",
    "Number": "v=1:double",
    "String": "v=1:string",
    "ByteString": "v=1:bytes",
    "KV": "k=1:string v=2:Value",
    "Struct": "fields=1:Value{}",
    "Value": """
        kind|null_value=1:enum kind|number_value=2:double kind|string_value=3:string
        kind|bool_value=4:bool kind|struct_value=5:Struct kind|list_value=6:ListValue""",
    "ListValue": "values=1:Value*",
    "ExitArgs": "status=1:int32 body=2:bytes headers=3:Struct",
    "RawBodyResult": "kind|content=1:bytes kind|body_filepath=2:string kind|error=3:string",
    "UriCapturesResult": "unnamed=1:bytes* named=2:bytes{}",
    "Target": "host=1:string port=2:int32",
    "ConsumerSpec": "id=1:string by_username=2:bool",
    "Consumer": "id=1:string created_at=2:int64 username=3:string custom_id=4:string tags=5:string*",
    "AuthenticatedCredential": "id=1:string consumer_id=2:string",
    "AuthenticateArgs": "consumer=1:Consumer credential=2:AuthenticatedCredential",
    "ServiceKey": "id=1:string",
    "CertificateKey": "id=1:string",
    "Route": """
        id=1:string created_at=2:int64 updated_at=3:int64 name=4:string protocols=5:string*
        methods=6:string* hosts=7:string* paths=8:string* headers=9:string*
        https_redirect_status_code=10:int32 regex_priority=11:int32 strip_path=12:bool
        preserve_host=13:bool snis=14:string* sources=15:string* destinations=16:string*
        tags=17:string* service=18:ServiceKey""",
    "Service": """
        id=1:string created_at=2:int64 updated_at=3:int64 name=4:string retries=5:int32
        protocol=6:string host=7:string port=8:int32 path=9:string connect_timeout=10:int32
        write_timeout=11:int32 read_timeout=12:int32 tags=13:string*
        client_certificate=14:CertificateKey""",
    "MemoryStats": "lua_shared_dicts=1:LuaSharedDicts workers_lua_vms=2:WorkerLuaVM*",
    "LuaSharedDicts": "kong=1:DictStats kong_db_cache=2:DictStats",
    "DictStats": "allocated_slabs=1:int64 capacity=2:int64",
    "WorkerLuaVM": "http_allocated_gc=1:int64 pid=2:int64",
}


def _field(text: str) -> Field:
    name, _, rest = text.partition("=")
    oneof, _, name = name.rpartition("|")
    number, _, kind = rest.partition(":")
    return Field(
        name, int(number), kind.rstrip("*{}"), kind.endswith("*"), kind.endswith("}"), oneof
    )


MESSAGES: Final[Mapping[str, tuple[Field, ...]]] = MappingProxyType(
    {name: tuple(map(_field, text.split())) for name, text in _MESSAGES.items()}
)
"""Every message that is sent, by its name, with its fields in the order of their numbers."""

_FUNCTIONS: Final = (
    # argument, result, namespace, functions
    ("Empty", "String", "kong.client", "get_ip get_forwarded_ip"),
    ("Empty", "String", "kong.log", "serialize"),
    ("Empty", "String", "kong.nginx", "get_tls1_version_str get_subsystem"),
    ("Empty", "String", "kong.node", "get_id"),
    ("Empty", "String", "kong.request", "get_scheme get_host get_forwarded_scheme"),
    ("Empty", "String", "kong.request", "get_forwarded_host get_method get_path"),
    ("Empty", "String", "kong.request", "get_path_with_query get_raw_query"),
    ("Empty", "String", "kong.response", "get_source"),
    ("Empty", "Int", "kong.client", "get_port get_forwarded_port"),
    ("Empty", "Int", "kong.request", "get_port get_forwarded_port"),
    ("Empty", "Int", "kong.response", "get_status"),
    ("Empty", "Int", "kong.service.response", "get_status"),
    ("Empty", "Number", "kong.nginx", "req_start_time"),
    ("Empty", "Number", "kong.request", "get_http_version"),
    ("String", "String", "kong.nginx", "get_var"),
    ("String", "String", "kong.request", "get_query_arg get_header"),
    ("String", "String", "kong.response", "get_header"),
    ("String", "String", "kong.service.response", "get_header"),
    ("String", "Value", "kong.ctx.shared", "get"),
    ("String", "Value", "kong.nginx", "get_ctx"),
    ("String", "Bool", "kong.ip", "is_trusted"),
    ("String", "Bool", "kong.service", "set_upstream"),
    ("String", "Empty", "kong.response", "clear_header"),
    ("String", "Empty", "kong.service.request", "set_scheme set_path set_raw_query set_method"),
    ("String", "Empty", "kong.service.request", "clear_header"),
    ("Bool", "String", "kong.client", "get_protocol"),
    ("Int", "Struct", "kong.request", "get_query get_headers"),
    ("Int", "Struct", "kong.response", "get_headers"),
    ("Int", "Struct", "kong.service.response", "get_headers"),
    ("Int", "Empty", "kong.response", "set_status"),
    ("KV", "Empty", "kong.ctx.shared", "set"),
    ("KV", "Empty", "kong.log", "set_serialize_value"),
    ("KV", "Empty", "kong.response", "set_header add_header"),
    ("KV", "Empty", "kong.service.request", "set_header add_header"),
    ("KV", "String", "kong.nginx", "set_ctx"),
    ("Struct", "Empty", "kong.response", "set_headers"),
    ("Struct", "Empty", "kong.service.request", "set_query set_headers"),
    ("ListValue", "Empty", "kong.log", "alert crit err warn notice info debug"),
    ("ExitArgs", "Empty", "kong.response", "exit"),
    ("Target", "Empty", "kong.service", "set_target"),
    ("ByteString", "Empty", "kong.service.request", "set_raw_body"),
    ("Empty", "ByteString", "kong.service.response", "get_raw_body"),
    ("Empty", "RawBodyResult", "kong.request", "get_raw_body"),
    ("Empty", "UriCapturesResult", "kong.request", "get_uri_captures"),
    ("Empty", "Route", "kong.router", "get_route"),
    ("Empty", "Service", "kong.router", "get_service"),
    ("Empty", "Consumer", "kong.client", "get_consumer"),
    ("Empty", "AuthenticatedCredential", "kong.client", "get_credential"),
    ("Empty", "MemoryStats", "kong.node", "get_memory_stats"),
    ("ConsumerSpec", "Consumer", "kong.client", "load_consumer"),
    ("AuthenticateArgs", "Empty", "kong.client", "authenticate"),
)


def _callbacks() -> Iterator[tuple[str, Callback]]:
    for argument, result, namespace, names in _FUNCTIONS:
        for name in names.split():
            yield f"{namespace}.{name}", Callback(argument, result)


FUNCTIONS: Final[Mapping[str, Callback]] = MappingProxyType(dict(_callbacks()))
"""The PDK functions that ProtoBuf:1 has, by their full names; Kong knows no other."""

BUILT: Final = frozenset(
    {
        "kong.log",
        "kong.log.deprecation",
        "kong.log.emerg",
        "kong.log.inspect",
        "kong.plugin.get_id",
        "kong.request.get_body",
        "kong.request.get_forwarded_path",
        "kong.request.get_forwarded_prefix",
        "kong.request.get_raw_path",
        "kong.request.get_start_time",
        "kong.response.error",
        "kong.service.request.clear_query_arg",
        "kong.service.request.set_body",
        "kong.service.response.get_body",
        "kong.vault.is_reference",
    }
)
"""Further PDK functions that can be had in ProtoBuf:1, since they can be built from :data:`FUNCTIONS`."""


def missing(name: str) -> str:
    """The sentence for a function that cannot be had."""
    return f"Kong's ProtoBuf:1 has no {name}: serve this plugin with protocol = 'msgpack'"
