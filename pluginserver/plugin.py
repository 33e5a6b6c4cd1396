"""The old place of what is in :mod:`pluginserver.plugins.plugin` now."""

from .plugins.plugin import (
    PARTS,
    OnError,
    Plugin,
    build,
)

__all__ = ["PARTS", "OnError", "Plugin", "build"]
