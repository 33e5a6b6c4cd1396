"""Where a server's plugins come from: a registry, or what one is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from .registry import Plugins


def registry_of(
    plugins: Plugins | Sequence[str | os.PathLike[str] | ModuleType | type],
    directory: str | os.PathLike[str] | None,
    entry_points: bool,
) -> Plugins:
    """The registry that was given, or one of the sources that were.

    :raises ValueError: for both.
    """
    if not isinstance(plugins, Plugins):
        place = None if directory is None else Path(directory)
        return Plugins(plugins, directory=place, entry_points=entry_points)
    if directory is not None or entry_points:
        raise ValueError(
            "a registry knows its own sources: give no plugins_directory or entry_points"
        )
    return plugins
