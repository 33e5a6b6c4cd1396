"""Dumps that are made before Kong starts: for images without Python, and for control planes.

Kong reads such a file by ``cat FILE`` as its query command.  Rules kept here:

* a file holds one plugin, since Kong from 3.9 on reads no other;
* its entry has a key that Kong ignores (3.9, kong/runloop/plugin_servers/plugin.lua), with what the plugin's
  files were: a file that is older than its plugin is found out;
* it is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ..errors import PluginServerError
from ..logs import get_logger
from ..plugins.plugin import Plugin
from ..plugins.registry import Plugins
from ..plugins.settings import Protocol
from ..plugins.source_files import digest

KEY: Final = "SourceSHA256"
"""The key of an entry that Kong ignores."""


def as_dump(plugin: Plugin, protocol: Protocol | None) -> bytes:
    """A plugin's dump, with what its files are now.

    :param protocol: what Kong is to speak; None for what the plugin says.
    :raises OSError: when one of its files cannot be read.
    """
    entry = plugin.describe()
    if isinstance(plugin.source, Path):
        entry[KEY] = digest(plugin.source)
    shown: Any = [entry]
    if (protocol or plugin.protocol) == "protobuf":
        shown = {"Protocol": "ProtoBuf:1", "Plugins": shown}
    return json.dumps(shown).encode() + b"\n"


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, whole or not at all.

    :param mode: its permissions.
    :raises OSError: when it cannot be written.
    """
    number, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            os.fchmod(number, mode)
        os.replace(made, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(made)
        raise


def stale(path: Path, plugins: Plugins) -> list[str]:
    """What in a dump is not as the plugins are now, in a sentence each.

    :param path: the dump.
    :raises PluginServerError: when it is none.
    """
    return [told for entry in _entries(path) if (told := _stale(path, entry, plugins))]


class DumpedPlugins(Plugins):
    """Plugins that Kong was told of by dumps: what is not as they are is logged when they are loaded.

    :param dumps: the files.
    :param sources: what :class:`~pluginserver.plugins.registry.Plugins` takes.
    """

    def __init__(self, dumps: Iterable[str | os.PathLike[str]], **sources: Any) -> None:
        super().__init__(**sources)
        self._dumps = [Path(path) for path in dumps]

    def load(self) -> None:
        """Load them, and compare."""
        super().load()
        for path in self._dumps:
            try:
                doubts = stale(path, self)
            except PluginServerError as error:
                doubts = [str(error)]
            for told in doubts:
                get_logger().warning(told)


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        dump = json.loads(path.read_bytes())
        entries = dump["Plugins"] if isinstance(dump, dict) else dump
        if all(isinstance(entry["Name"], str) for entry in entries):
            return list(entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PluginServerError(
            f"the dump {path} cannot be read ({error}): write it by pluginserver dump NAME --output FILE"
        ) from error
    raise PluginServerError(f"the file {path} is not a dump: a name in it is no text")


def _stale(path: Path, entry: dict[str, Any], plugins: Plugins) -> str:
    name = entry["Name"]
    again = f"run pluginserver dump {name} --output {path} again, and restart Kong"
    plugin = plugins.get(name)
    if KEY in entry and isinstance(plugin.source, Path):
        if entry[KEY] != digest(plugin.source):
            return (
                f"the dump {path} was made of other files than the plugin {name} has now: {again}"
            )
        return ""
    if any(entry.get(key) != value for key, value in plugin.describe().items()):
        return f"the dump {path} describes the plugin {name} otherwise than it is now: {again}"
    return ""
