"""The old place of what is in :mod:`pluginserver.spec.multimap` now."""

from .spec.multimap import (
    Headers,
    MultiMap,
    Query,
)

__all__ = ["Headers", "MultiMap", "Query"]
