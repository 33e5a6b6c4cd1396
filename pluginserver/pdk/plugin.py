"""``kong.plugin``: the plugin that runs."""

from __future__ import annotations

from ..events.callbacks import callback
from .namespace import Namespace


class PluginInfo(Namespace):
    """Functions about the plugin, as Kong configured it."""

    __slots__ = ()

    NAME = "kong.plugin"

    def get_id(self) -> str:
        """The id of the plugin's configuration in Kong, a UUID.

        Phases: rewrite, access, response, log.
        """
        return callback("kong.plugin.get_id")
