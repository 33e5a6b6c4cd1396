"""The plugins of a gateway under test, loaded one after another as the test names them.

Rules kept here:

* a file runs again only when it has changed, however many gateways load it;
* a gateway's collection knows no plugin that its test has not named;
* modules are dropped with the library that loaded them, never with a server that stops.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from ...errors import PluginServerError
from ...plugins.loader import Stamp, stamp
from ...plugins.registry import Plugins
from .base import GatewayError, Source


@attrs.define(eq=False)
class Library:
    """Loaded plugin files, for several gateways: a file runs again only when it has changed."""

    _loaded: dict[Path, tuple[Stamp | None, Plugins]] = attrs.field(factory=dict)
    _old: list[Plugins] = attrs.field(factory=list)

    def registry(self, source: Path | ModuleType | type) -> Plugins:
        """A registry that holds what the source holds, and nothing else.

        :raises GatewayError: when it cannot be loaded.
        """
        if not isinstance(source, Path):
            return self._keep(_load(source))
        found = stamp(source)
        if source in self._loaded and self._loaded[source][0] == found:
            return self._loaded[source][1]
        registry = self._keep(_load(source))
        self._loaded[source] = found, registry
        return registry

    def _keep(self, registry: Plugins) -> Plugins:
        self._old.append(registry)
        return registry

    def close(self) -> None:
        """Drop the plugins' modules."""
        while self._old:
            self._old.pop().close()
        self._loaded.clear()


def _load(source: Path | ModuleType | type) -> Plugins:
    registry = Plugins([source], entry_points=False)
    try:
        registry.load()
        for error in registry.failures.values():
            raise error
        if len(registry.names()) != 1:
            found = ", ".join(registry.names())
            raise GatewayError(
                f"{source} holds several plugins ({found}): name the file of one"
                if found
                else f"{source} holds no plugin: it has no version, priority and class Plugin"
            )
    except PluginServerError as error:
        registry.close()
        raise GatewayError(str(error)) from error
    except GatewayError:
        registry.close()
        raise
    return registry


class Collection:
    """The plugins that a test names, which come at any time; they are in :attr:`registry`.

    :param root: where relative paths begin.
    :param library: where loaded files are kept; one of its own when not given, which it closes.
    """

    def __init__(self, root: Path, library: Library | None = None) -> None:
        self.registry = Plugins(entry_points=False)
        """What the plugin server is given."""
        self._root = root
        self._library = library or Library()
        self._owns_library = library is None
        self._names: dict[Any, str] = {}

    def add(self, source: Source) -> str:
        """Load a plugin, unless this very one is loaded.

        :returns: its name.
        :raises GatewayError: when it cannot be loaded, or its name is taken.
        """
        known = source if isinstance(source, (ModuleType, type)) else self._path(source)
        if known not in self._names:
            (plugin,) = self._library.registry(known).all()
            if plugin.name in self.registry.names():
                raise GatewayError(
                    f"{source} is a second plugin named {plugin.name!r}: rename one"
                )
            self._names[known] = plugin.name
            self.registry.add(plugin)
        return self._names[known]

    def _path(self, source: str | os.PathLike[str]) -> Path:
        path = Path(os.path.abspath(self._root / source))
        if not path.exists():
            raise GatewayError(
                f"there is no plugin file {path}: relative paths begin at {self._root}"
            )
        return path

    def forget(self) -> None:
        """Forget what was added: another test begins."""
        self._names.clear()
        self.registry.clear()

    def drop(self) -> None:
        """Drop the plugins' modules, unless they are in somebody else's library."""
        if self._owns_library:
            self._library.close()
        self.registry.close()
