"""Which plugins are on the gateway, and with which configuration.

Every plugin that is loaded is on it for all requests, unless its configuration is not good enough
for Kong: then it is left out, with the reason.  Rules kept here:

* what changes is configured anew in its place: a request that is under way is not disturbed, the next
  one starts a new instance;
* the gateway's list of plugins is replaced, never changed, while requests may look at it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import attrs

from ..plugins.plugin import Plugin
from ..spec.validators import fault
from ..testing import Gateway
from ..testing.kong.configuration import config_record
from ..testing.kong.router import Binding
from ..testing.transports.base import describe
from . import settings
from .registry import LivePlugins
from .settings import Settings, SettingsError

_CONSUMERS: Final = UUID("0f8c0d5e-6f0b-4c55-9d43-6a1d2f2b7c11")
"""Makes the ids of consumers from their names, so that they stay when the settings are read again."""


@attrs.frozen
class Note:
    """One line for the author.

    :param good: whether all is well.
    :param text: the line.
    """

    good: bool
    text: str


@attrs.frozen
class Member:
    """A plugin as it is shown.

    :param name: its name.
    :param version: its version; empty when it was never loaded.
    :param priority: its priority.
    :param phases: its phases.
    :param file: where it comes from.
    :param on: whether requests meet it.
    :param trouble: why it is left out, or why its file's latest state is not loaded.
    """

    name: str
    version: str = ""
    priority: int = 0
    phases: tuple[str, ...] = ()
    file: str = ""
    on: bool = False
    trouble: str | None = None


@attrs.define
class _Place:
    """A plugin's place: what it was last configured with, and how that went."""

    plugin: Plugin
    config: dict[str, Any] | None = None
    """None when it must be configured whatever it is."""
    binding: Binding | None = None
    trouble: str | None = None


class Lineup:
    """The plugins on one gateway; any thread may use it.

    :param gateway: the gateway, connected to the server that serves ``plugins``.
    :param plugins: the server's plugins.
    :param given: how they are configured.
    :param file: the file that this was read from, to be read again when it changes.
    """

    def __init__(
        self, gateway: Gateway, plugins: LivePlugins, given: Settings, file: Path | None = None
    ) -> None:
        self._gateway = gateway
        self._plugins = plugins
        self._settings = given
        self._file = file
        self._places: dict[str, _Place] = {}
        self._strangers: list[str] = []
        self._lock = threading.Lock()
        self._use(given)

    def start(self) -> list[Note]:
        """Put the loaded plugins on the gateway.

        :returns: what went wrong.
        """
        with self._lock:
            broken = [Note(False, str(one.error)) for one in self._plugins.news if one.error]
            self._plugins.news.clear()
            return [*broken, *self._arrange(None)]

    def update(self, changed: Iterable[Path]) -> list[Note]:
        """Follow files that have changed.

        :returns: what happened, a line for each plugin.
        """
        paths = set(changed)
        with self._lock:
            notes = self._read() if self._file in paths else []
            happened: dict[str, str] = {}
            for news in self._plugins.refresh(paths):
                if news.error is not None:
                    kept = news.name in self._plugins.names()
                    old = " (the old one goes on)" if kept else ""
                    notes.append(Note(False, f"{news.error}{old}"))
                elif news.kind == "gone":
                    notes.append(Note(True, f"{news.name} is gone: {news.path.name} was removed"))
                else:
                    happened[news.name] = news.kind
            return notes + self._arrange(happened)

    def members(self) -> list[Member]:
        """All plugins, in the order in which Kong runs them, then what could not be loaded."""
        failures = self._plugins.failures
        found = []
        for place in list(self._places.values()):
            plugin = place.plugin
            file = Path(plugin.source)
            broken = failures.pop(file.stem, None)
            found.append(
                Member(
                    plugin.name,
                    plugin.version,
                    plugin.priority,
                    plugin.phases,
                    file.name,
                    place.binding is not None,
                    place.trouble if broken is None else f"{broken} (the old one goes on)",
                )
            )
        found.sort(key=lambda member: member.name, reverse=True)
        found.sort(key=lambda member: member.priority, reverse=True)
        return found + [Member(name, trouble=str(error)) for name, error in failures.items()]

    def _read(self) -> list[Note]:
        assert self._file is not None
        try:
            self._use(settings.read(self._file, self._settings.options))
        except SettingsError as error:
            return [Note(False, f"{error} (the old settings go on)")]
        return [Note(True, f"read {self._file.name} again")]

    def _use(self, given: Settings) -> None:
        was_off, self._settings = self._settings.off, given
        gateway = self._gateway
        gateway.consumers = {}
        for consumer in given.consumers:
            data = {"id": str(uuid5(_CONSUMERS, consumer["username"])), **consumer}
            gateway.consumer(data.pop("username"), **data)
        rotated = gateway.vault != given.vault
        gateway.vault = dict(given.vault)
        for name, place in self._places.items():
            if rotated or (name in was_off) != (name in given.off):
                place.config = None

    def _arrange(self, happened: dict[str, str] | None) -> list[Note]:
        """Make the gateway's plugins those that are loaded.

        :param happened: what became of plugins, to be told; None tells of troubles only.
        """
        notes = []
        loaded = {plugin.name: plugin for plugin in self._plugins.all()}
        for name in [name for name in self._places if name not in loaded]:
            self._take_off(self._places.pop(name))
        for name, plugin in loaded.items():
            config = self._settings.config(name, plugin.schema)
            place = self._places.setdefault(name, _Place(plugin))
            if place.plugin is plugin and place.config == config:
                continue
            place.plugin, place.config = plugin, config
            place.trouble = self._configure(place, config)
            if place.trouble is not None:
                notes.append(Note(False, f"{name} is left out: {place.trouble}"))
            elif happened is not None:
                what = happened.get(name, "configured")
                off = "" if place.binding else " (it is off)"
                notes.append(Note(True, f"{what} {name} {plugin.version}{off}"))
        strangers = self._settings.strangers(list(loaded))
        notes += [Note(False, text) for text in strangers if text not in self._strangers]
        self._strangers = strangers
        return notes

    def _configure(self, place: _Place, config: dict[str, Any]) -> str | None:
        """Put a plugin on the gateway, or configure it anew.

        :returns: why it cannot be on it; None when it is, or shall not be.
        """
        name = place.plugin.name
        off = name in self._settings.off
        trouble = None if off else _refusal(place.plugin, config)
        if off or trouble is not None:
            self._take_off(place)
        elif place.binding is None:
            place.binding = self._gateway.bind(name, config)
        else:
            place.binding.info = describe(self._gateway.transport, name)
            place.binding.configure(**config)
        return trouble

    def _take_off(self, place: _Place) -> None:
        binding, place.binding = place.binding, None
        if binding is not None:
            self._gateway.bindings = [one for one in self._gateway.bindings if one is not binding]
            self._gateway.unbind(binding)


def _refusal(plugin: Plugin, config: dict[str, Any]) -> str | None:
    """Why Kong would refuse a configuration, and what to do."""
    record = config_record(plugin.schema)
    found = None if record is None else fault(record, config, "config")
    if found is None:
        return None
    missing = re.fullmatch(r"config\.([^:]+): is missing", found)
    if missing is None:
        return f"Kong refuses {found}"
    return (
        f"its field {missing[1]} is required: give it with --config "
        f"{plugin.name}.{missing[1]}=VALUE, or under [plugins.{plugin.name}] in a --config-file"
    )
