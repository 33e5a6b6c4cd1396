"""The RPC methods by which Kong calls a plugin server, and which of them brings a callback's result.

Rules kept here:

* on the wire a method of Kong's is :data:`PREFIX` and a name; only the constants with ``NAMES`` in theirs,
  and :data:`STEP_OF`, hold names without it;
* a callback that is not in :data:`STEP_OF` is answered with ``Step``, and any one with ``StepError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PREFIX: Final = "plugin."
"""Stands before the name of every method."""

SET_PLUGIN_DIR: Final = "plugin.SetPluginDir"
GET_PLUGIN_INFO: Final = "plugin.GetPluginInfo"
GET_STATUS: Final = "plugin.GetStatus"
START_INSTANCE: Final = "plugin.StartInstance"
INSTANCE_STATUS: Final = "plugin.InstanceStatus"
CLOSE_INSTANCE: Final = "plugin.CloseInstance"
HANDLE_EVENT: Final = "plugin.HandleEvent"
STEP: Final = "plugin.Step"
STEP_ERROR: Final = "plugin.StepError"

SERVER_STATUS: Final = "server.Status"
"""A method of this server's own, for whoever looks after it: Kong does not call it."""

STEP_NAMES: Final = (
    "Step",
    "StepError",
    "StepMultiMap",
    "StepCredential",
    "StepRoute",
    "StepService",
    "StepConsumer",
    "StepMemoryStats",
)
"""The methods that answer a callback, by their names without :data:`PREFIX`."""

STEPS: Final = frozenset(f"{PREFIX}{name}" for name in STEP_NAMES)
"""The methods that answer a callback."""

STEP_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kong.client.get_credential": "StepCredential",
        "kong.client.authenticate": "StepCredential",
        "kong.client.load_consumer": "StepConsumer",
        "kong.client.get_consumer": "StepConsumer",
        "kong.node.get_memory_stats": "StepMemoryStats",
        "kong.router.get_route": "StepRoute",
        "kong.router.get_service": "StepService",
        "kong.request.get_query": "StepMultiMap",
        "kong.request.get_headers": "StepMultiMap",
        "kong.response.get_headers": "StepMultiMap",
        "kong.service.response.get_headers": "StepMultiMap",
    }
)
"""The name of the step that answers a function of the PDK."""

MULTI_MAPS: Final = frozenset(name for name, step in STEP_OF.items() if step == "StepMultiMap")
"""The functions that give several values for a name."""
