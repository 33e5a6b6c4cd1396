"""The plugins of a gateway under test, loaded one after another as the test names them.

Rules kept here:

* a file runs again only when it has changed, however many gateways load it;
* a gateway's collection knows no plugin that its test has not named;
* what is doubtful about a plugin is a warning of each test that names it;
* modules are dropped with the library that loaded them, never with a server that stops.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from ...errors import PluginServerError
from ...plugins.judge import Finding, judge_loaded
from ...plugins.loader import Stamp, stamp
from ...plugins.registry import Plugin, Plugins
from .base import GatewayError, Source


class PluginWarning(UserWarning):
    """What is doubtful about a plugin under test: what a server logs when it loads it.

    Its place is the line of the plugin's file.
    """


@attrs.frozen
class Loaded:
    """A plugin, and what is doubtful about it."""

    plugin: Plugin
    findings: list[Finding]

    def warn(self) -> None:
        """Warn of what is doubtful, in each test anew."""
        for one in self.findings:
            text = f"{one.text} (plugin {self.plugin.name})"
            warnings.warn_explicit(text, PluginWarning, str(one.file), one.line)


@attrs.define(eq=False)
class Library:
    """Loaded plugin files, for several gateways: a file runs again only when it has changed."""

    _loaded: dict[Path, tuple[Stamp | None, Loaded]] = attrs.field(factory=dict)
    _old: list[Plugins] = attrs.field(factory=list)

    def load(self, source: Path | ModuleType | type) -> Loaded:
        """The plugin that the source holds.

        :raises GatewayError: when it cannot be loaded.
        """
        if not isinstance(source, Path):
            return self._load(source)
        found = stamp(source)
        if source in self._loaded and self._loaded[source][0] == found:
            return self._loaded[source][1]
        loaded = self._load(source)
        self._loaded[source] = found, loaded
        return loaded

    def _load(self, source: Path | ModuleType | type) -> Loaded:
        findings: list[Finding] = []
        registry = Plugins(
            [source],
            entry_points=False,
            tell=lambda plugin: findings.extend(judge_loaded(plugin)),
        )
        try:
            plugin = _only(registry, source)
        except BaseException:
            registry.close()
            raise
        self._old.append(registry)
        return Loaded(plugin, findings)

    def close(self) -> None:
        """Drop the plugins' modules."""
        while self._old:
            self._old.pop().close()
        self._loaded.clear()


def _only(registry: Plugins, source: Path | ModuleType | type) -> Plugin:
    """The plugin of a registry that has one.

    :raises GatewayError: when it has none, or several.
    """
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
        raise GatewayError(str(error)) from error
    return registry.all()[0]


class Collection:
    """The plugins that a test names, which come at any time; they are in :attr:`registry`.

    :param root: where relative paths begin.
    :param library: where loaded files are kept; one of its own when not given, which it closes.
    :param besides: where a relative path begins that is not there.
    """

    def __init__(
        self, root: Path, library: Library | None = None, besides: Path | None = None
    ) -> None:
        self.registry = Plugins(entry_points=False)
        """What the plugin server is given."""
        self._roots = [root, *([besides] if besides not in (None, root) else [])]
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
            loaded = self._library.load(known)
            plugin = loaded.plugin
            if plugin.name in self.registry.names():
                raise GatewayError(
                    f"{source} is a second plugin named {plugin.name!r}: rename one"
                )
            self._names[known] = plugin.name
            self.registry.add(plugin)
            loaded.warn()
        return self._names[known]

    def _path(self, source: str | os.PathLike[str]) -> Path:
        paths = [Path(os.path.abspath(root / source)) for root in self._roots]
        for path in paths:
            if path.exists():
                return path
        raise GatewayError(
            f"there is no plugin file {' nor '.join(map(str, paths))}: relative paths begin at"
            f" {', then at '.join(map(str, self._roots))}"
        )

    def forget(self) -> None:
        """Forget what was added: another test begins."""
        self._names.clear()
        self.registry.clear()

    def drop(self) -> None:
        """Drop the plugins' modules, unless they are in somebody else's library."""
        if self._owns_library:
            self._library.close()
        self.registry.close()
