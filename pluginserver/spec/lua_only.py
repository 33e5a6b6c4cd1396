"""What plugins in Lua use and a plugin server cannot be asked for, with what to use instead.

Rules kept here:

* a name is here when Kong 3 gives it to plugins in Lua (kong/init.lua, kong/global.lua and kong/pdk) and no
  callback of a plugin server reaches it: it is no function, or gives out objects of Lua;
* what to use instead is there in every version of Kong from 3.0 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CACHE: Final = (
    "keep it in this process, in an attribute of the plugin that its constructor makes, or by"
    " functools.lru_cache"
)
_DATABASE: Final = (
    "use kong.client.load_consumer, kong.router.get_route and kong.router.get_service, or ask the Admin API"
    " of Kong"
)
_EVENTS: Final = "keep what servers share in a store of your own, such as Redis"
_SETTINGS: Final = "take what the plugin needs as a field of its configuration"

LUA_ONLY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kong.cache": _CACHE,
        "kong.core_cache": _CACHE,
        "kong.db": _DATABASE,
        "kong.ctx.plugin": (
            "use kong.ctx.shared, with names of your own, for what a later phase of the request needs"
        ),
        "kong.ctx.core": "use kong.ctx.shared",
        "kong.cluster_events": _EVENTS,
        "kong.worker_events": _EVENTS,
        "kong.configuration": _SETTINGS,
        "kong.default_workspace": _SETTINGS,
        "kong.version": _SETTINGS,
        "kong.version_num": _SETTINGS,
        "kong.dns": "use socket.getaddrinfo, or the HTTP client that you use anyhow",
        "kong.table": "use Python's own dicts and lists",
        "kong.metrics": "count in Python, with the library prometheus_client for one",
    }
)
"""What to use instead of each."""
