"""A plugin server for Kong, for plugins written in Python.

What a plugin, a program that embeds the server, or a test needs is here.  The names are looked up
when they are first used: to import the package costs next to nothing, because the dump commands that
Kong runs at start-up do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .cli.main import serve_itself as main
    from .errors import (
        ConfigError,
        EventEndedError,
        ListenError,
        OutsideEventError,
        PDKError,
        PhaseError,
        PluginError,
        PluginServerError,
        SchemaError,
        UnknownPluginError,
    )
    from .pdk import Kong, kong
    from .pdk.handler import KongHandler
    from .pdk.vault import Secret
    from .schema.annotations import KongKeys
    from .schema.infer import attributes
    from .server import PluginServer
    from .spec.entities import Consumer, Credential, MemoryStats, Route, Service
    from .spec.multimap import Headers, Query
    from .version import __version__

_HOMES: Final = {
    "ConfigError": "errors",
    "Consumer": "spec.entities",
    "Credential": "spec.entities",
    "EventEndedError": "errors",
    "Headers": "spec.multimap",
    "Kong": "pdk",
    "KongHandler": "pdk.handler",
    "KongKeys": "schema.annotations",
    "ListenError": "errors",
    "MemoryStats": "spec.entities",
    "OutsideEventError": "errors",
    "PDKError": "errors",
    "PhaseError": "errors",
    "PluginError": "errors",
    "PluginServer": "server",
    "PluginServerError": "errors",
    "Query": "spec.multimap",
    "Route": "spec.entities",
    "SchemaError": "errors",
    "Secret": "pdk.vault",
    "Service": "spec.entities",
    "UnknownPluginError": "errors",
    "__version__": "version",
    "attributes": "schema",
    "kong": "pdk",
    "main": "cli.main:serve_itself",
}

__all__ = [
    "ConfigError",
    "Consumer",
    "Credential",
    "EventEndedError",
    "Headers",
    "Kong",
    "KongHandler",
    "KongKeys",
    "ListenError",
    "MemoryStats",
    "OutsideEventError",
    "PDKError",
    "PhaseError",
    "PluginError",
    "PluginServer",
    "PluginServerError",
    "Query",
    "Route",
    "SchemaError",
    "Secret",
    "Service",
    "UnknownPluginError",
    "__version__",
    "attributes",
    "kong",
    "main",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, other_name = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f".{module}", __name__), other_name or name)
    globals()[name] = value
    return value
