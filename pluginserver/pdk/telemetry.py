"""``kong.telemetry``: log records for OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events.callbacks import callback
from .namespace import Namespace
from .values import check_text, to_lua_map


class Telemetry(Namespace):
    """Functions about telemetry."""

    __slots__ = ()

    NAME = "kong.telemetry"

    def log(
        self,
        plugin_name: str,
        plugin_config: Mapping[str, Any],
        message_type: str,
        message: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> bool | None:
        """Record a structured log entry, which Kong's OpenTelemetry plugin reports.

        :param plugin_config: Kong takes the plugin's id from ``__plugin_id`` in it.
        :param message_type: a word to sort the entries by.
        :param attributes: what else belongs to the entry.
        :returns: True, or None when that plugin is not set up to report logs.

        Since Kong 3.8.

        Phases: all.
        """
        sent = (
            check_text(plugin_name, "plugin_name"),
            to_lua_map(plugin_config, "plugin_config"),
            check_text(message_type, "message_type"),
            check_text(message, "message"),
        )
        if attributes is None:
            return callback("kong.telemetry.log", *sent)
        return callback("kong.telemetry.log", *sent, to_lua_map(attributes, "attributes"))
