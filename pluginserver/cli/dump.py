"""What Kong's query command reads on stdout: plugins described in JSON or MessagePack.

Kong runs the command at its start and waits for it; its whole standard output must be the dump.
Rules kept here:

* stdout carries the dump and nothing else, whatever a plugin prints, in Python, in C or in a child
  process, and even when it prints later (:class:`Stdout`);
* a dump is written whole or not at all: what is asked for by name and cannot be described is an
  error;
* when everything is asked for, a bad file costs only itself, as it does in a running server; nothing at all
  is an error, which says what there is instead;
* only what describes a plugin is imported: no server, no ``cattrs``, and ``structlog`` only when
  there is something to say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..errors import PluginError
from ..plugins.plugin import Plugin
from ..plugins.registry import Plugins
from ..plugins.settings import Protocol

SHOWN: Final = 5
"""So many of the files that are no plugin are named when nothing else is found."""

_kept: Final[list[int]] = []
"""The real stdout's descriptor, when it was kept before there was a :class:`Stdout`."""


def keep_stdout() -> None:
    """Have what is written to stdout go to stderr from now on, except for the next dump.

    For whoever runs plugin code before it is known what is dumped.
    """
    sys.stdout.flush()
    _kept.append(os.dup(1))
    os.dup2(2, 1)
    sys.stdout = sys.stderr


class Stdout:
    """The real stdout, kept for the dump: what else is written to it goes to stderr from now on.

    That goes on after the block of the context manager, because C code writes when the process ends.
    """

    def __init__(self) -> None:
        if not _kept:
            keep_stdout()
        self._stream = os.fdopen(_kept.pop(), "wb", buffering=0)

    def __enter__(self) -> Stdout:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Write all of ``data``.

        :raises OSError: when nobody reads it.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self._stream.write(rest) :]


def as_json(
    plugins: Plugins, names: Sequence[str] = (), protocol: Protocol | None = None
) -> bytes:
    """Describe plugins for ``pluginserver_*_query_cmd``: a JSON array of ``{Name, Phases, ...}``.

    Kong speaks MsgPack:1 with what is described so; for ProtoBuf:1 the array is in an object that says it.
    Kong up to 3.8 takes every entry, Kong 3.9 and later only the first: ask for one name there.

    :param names: which, in this order; none for all that can be loaded.
    :param protocol: what Kong is to speak; default: what the plugins say.
    :raises PluginError: when one of them cannot be described, when all were asked for and there is none or
        every one of them failed, or when they say different protocols.
    """
    wanted = list(_wanted(plugins, names))
    shown: Any = [one.describe() for one in wanted]
    if (protocol or _protocol(wanted)) == "protobuf":
        shown = {"Protocol": "ProtoBuf:1", "Plugins": shown}
    return json.dumps(shown).encode() + b"\n"


def _protocol(plugins: Sequence[Plugin]) -> Protocol:
    """What the plugins of one dump say.

    :raises PluginError: when they do not agree.
    """
    first = {one.protocol: one.name for one in reversed(plugins)}
    if len(first) > 1:
        raise PluginError(
            f"the plugins {first['msgpack']} (msgpack) and {first['protobuf']} (protobuf) say different"
            " protocols, and a dump has one: dump each by its name, or say -protocol"
        )
    return next(iter(first), "msgpack")


def as_msgpack(plugins: Plugins, name: str) -> bytes:
    """Describe one plugin as ``GetPluginInfo`` does, in MessagePack.

    :raises PluginError: when it cannot be described.
    """
    from ..rpc.frames import packer

    return packer()(plugins.get(name).describe())


def _wanted(plugins: Plugins, names: Sequence[str]) -> Iterable[Plugin]:
    if names:
        return [plugins.get(name) for name in names]
    plugins.load()
    found = plugins.all()
    if not found and plugins.failures:
        raise PluginError("none of the plugins could be loaded: see the lines above")
    if not found:
        raise no_plugin(plugins, plugins.directory)
    return found


def no_plugin(plugins: Plugins, *places: object) -> PluginError:
    """The error when nothing was found that is a plugin: what there is instead, and why it is none.

    :param plugins: where nothing was found.
    :param places: where was looked.
    """
    where = ", ".join(map(str, places))
    passed = sorted(plugins.passed_over.values(), key=lambda error: not error.meant)
    if not passed:
        why = "say where they are, as -plugins-directory DIR"
    else:
        why = "; ".join(map(str, passed[:SHOWN]))
        why += f"; and {len(passed) - SHOWN} more files" if len(passed) > SHOWN else ""
    return PluginError(f"there is no plugin in {where}: {why}")
