"""The old place of what is in :mod:`pluginserver.plugins.plugin` now."""

from .plugins.plugin import PARTS, Plugin, build
from .plugins.settings import OnError

__all__ = ["PARTS", "OnError", "Plugin", "build"]
