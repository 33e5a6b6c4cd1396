"""Which plugins requests meet, and with which configuration.

Every plugin that is loaded is deployed for all requests, unless its configuration would be refused by
Kong: then it is left out, with the reason.  Rules kept here:

* a plugin that changes gets a new instance; a request that is under way is not disturbed, the next one
  meets the new instance;
* the gateway's list of plugins is replaced, never changed, while requests may look at it;
* what happened is returned as messages, one for each plugin, and written by whoever asked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import attrs

from ..logs import from_here
from ..plugins.registry import Plugin, Plugins
from ..spec.validators import fault
from ..testing import Gateway
from ..testing.kong.configuration import config_record
from ..testing.kong.router import Binding
from ..testing.transports.base import describe
from . import settings
from .fields import ShownField, shown_fields
from .settings import Settings, SettingsError

_CONSUMERS: Final = UUID("0f8c0d5e-6f0b-4c55-9d43-6a1d2f2b7c11")
"""Makes the ids of consumers from their names, so that they stay when the settings are read again."""

_KEPT: Final = " (the previous version stays in use)"


@attrs.frozen
class Message:
    """One line for the author.

    :param good: whether all is well.
    :param text: the line.
    """

    good: bool
    text: str


@attrs.frozen
class Status:
    """A plugin's state, to be shown.

    :param name: its name.
    :param version: its version; empty when it was never loaded.
    :param priority: its priority.
    :param phases: its phases.
    :param file: the name of its file.
    :param on: whether requests meet it.
    :param error: why it is left out, or why its file's latest state is not loaded; None for neither.
    :param path: the path of its file, from the current directory on when it is in it.
    :param plain: whether its module has all of its calls travel.
    :param fields: its configuration.
    """

    name: str
    version: str = ""
    priority: int = 0
    phases: tuple[str, ...] = ()
    file: str = ""
    on: bool = False
    error: str | None = None
    path: str = ""
    plain: bool = False
    fields: tuple[ShownField, ...] = ()


@attrs.define
class _Deployed:
    """A loaded plugin, and how it stands on the gateway.

    :param plugin: the plugin.
    :param config: what it was last configured with; None when it must be configured again in any case.
    :param binding: where the gateway has it; None when no request meets it.
    :param error: why it is left out.
    """

    plugin: Plugin
    config: dict[str, Any] | None = None
    binding: Binding | None = None
    error: str | None = None


class Deployment:
    """The plugins on one gateway; any thread may use it.

    :param gateway: the gateway, connected to the server that serves ``plugins``.
    :param plugins: the server's plugins.
    :param given: how they are configured.
    :param file: the file that this was read from, to be read again when it changes.
    """

    def __init__(
        self, gateway: Gateway, plugins: Plugins, given: Settings, file: Path | None = None
    ) -> None:
        self._gateway = gateway
        self._plugins = plugins
        self._settings = given
        self._file = file
        self._deployed: dict[str, _Deployed] = {}
        self._unused: list[str] = []
        self._told: set[str] = set()
        """What was said of files that are no plugin, and look as if they were meant to be one."""
        self._lock = threading.Lock()
        self._use(given)

    def start(self) -> list[Message]:
        """Put the loaded plugins on the gateway.

        :returns: what went wrong.
        """
        with self._lock:
            broken = [Message(False, str(error)) for error in self._plugins.failures.values()]
            return [*broken, *self._passed_over(), *self._deploy(None)]

    def update(self, changed: Iterable[Path]) -> list[Message]:
        """Follow files that have changed.

        :param changed: their paths.
        :returns: what happened, a message for each plugin.
        """
        paths = set(changed)
        with self._lock:
            messages = self._read() if self._file in paths else []
            kinds: dict[str, str] = {}
            for change in self._plugins.refresh(paths):
                if change.error is not None:
                    kept = _KEPT if change.name in self._plugins.names() else ""
                    messages.append(Message(False, f"{change.error}{kept}"))
                elif change.kind == "gone":
                    text = f"removed {change.name}: {change.path.name} does not hold it any more"
                    messages.append(Message(True, text))
                else:
                    kinds[change.name] = change.kind
            return messages + self._passed_over() + self._deploy(kinds)

    def status(self) -> list[Status]:
        """All plugins, in the order in which Kong runs them, then what could not be loaded."""
        failures = self._plugins.failures
        found = []
        for entry in list(self._deployed.values()):
            plugin = entry.plugin
            file = Path(plugin.source)
            broken = failures.pop(file.stem, None)
            found.append(
                Status(
                    plugin.name,
                    plugin.version or "",
                    plugin.priority,
                    plugin.phases,
                    file.name,
                    entry.binding is not None,
                    entry.error if broken is None else f"{broken}{_KEPT}",
                    from_here(file),
                    plugin.round_trips == "plain",
                    shown_fields(plugin, self._settings, self._file),
                )
            )
        found.sort(key=lambda one: (one.priority, one.name), reverse=True)
        return found + [Status(name, error=str(error)) for name, error in failures.items()]

    def passed_over(self) -> list[str]:
        """Why the files are no plugins that are none."""
        return [str(error) for error in self._plugins.passed_over.values()]

    def _passed_over(self) -> list[Message]:
        """What is new of the files that are no plugin, and look as if they were meant to be one."""
        before = self._told
        passed = self._plugins.passed_over.values()
        self._told = {str(error) for error in passed if error.meant}
        return [Message(False, text) for text in sorted(self._told - before)]

    def _read(self) -> list[Message]:
        """Read the settings' file again."""
        assert self._file is not None
        try:
            self._use(settings.read(self._file, self._settings.options))
        except SettingsError as error:
            return [Message(False, f"{error} (the previous settings stay in use)")]
        return [Message(True, f"read {self._file.name} again")]

    def _use(self, given: Settings) -> None:
        """Set the gateway up; plugins that this concerns are to be configured again."""
        was_off, self._settings = self._settings.off, given
        gateway = self._gateway
        gateway.consumers = {}
        for consumer in given.consumers:
            data = {"id": str(uuid5(_CONSUMERS, consumer["username"])), **consumer}
            gateway.consumer(data.pop("username"), **data)
        rotated = gateway.secrets != given.vault
        gateway.secrets = dict(given.vault)
        for name, entry in self._deployed.items():
            if rotated or (name in was_off) != (name in given.off):
                entry.config = None

    def _deploy(self, kinds: dict[str, str] | None) -> list[Message]:
        """Make the gateway's plugins those that are loaded.

        :param kinds: how plugins changed, to be told; None tells of errors only.
        """
        messages = []
        loaded = {plugin.name: plugin for plugin in self._plugins.all()}
        for name in [name for name in self._deployed if name not in loaded]:
            self._take_off(self._deployed.pop(name))
        for name, plugin in loaded.items():
            config = self._settings.config(name, plugin.schema)
            entry = self._deployed.setdefault(name, _Deployed(plugin))
            if entry.plugin is plugin and entry.config == config:
                continue
            entry.plugin, entry.config = plugin, config
            entry.error = self._configure(entry, config)
            if entry.error is not None:
                messages.append(Message(False, f"{name} is left out: {entry.error}"))
            elif kinds is not None:
                off = "" if entry.binding else " (it is off)"
                text = f"{kinds.get(name, 'configured')} {name} {plugin.version or ''}{off}"
                messages.append(Message(True, text))
        unused = self._settings.unused(list(loaded))
        messages += [Message(False, text) for text in unused if text not in self._unused]
        self._unused = unused
        return messages

    def _configure(self, entry: _Deployed, config: dict[str, Any]) -> str | None:
        """Put a plugin on the gateway, or configure it anew.

        :returns: why it cannot be on it; None when it is, or shall not be.
        """
        name, protocol = entry.plugin.name, entry.plugin.protocol
        off = name in self._settings.off
        error = None if off else _refusal(entry.plugin, config)
        if off or error is not None:
            self._take_off(entry)
        elif entry.binding is None:
            entry.binding = self._gateway.bind(name, config, protocol=protocol)
        else:
            entry.binding.info = describe(self._gateway.transport, name, protocol)
            entry.binding.configure(**config)
        return error

    def _take_off(self, entry: _Deployed) -> None:
        binding, entry.binding = entry.binding, None
        if binding is not None:
            self._gateway.bindings = [one for one in self._gateway.bindings if one is not binding]
            self._gateway.unbind(binding)


def _refusal(plugin: Plugin, config: dict[str, Any]) -> str | None:
    """Why Kong would refuse a configuration, and what to do; None when it would not."""
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
