"""A server that loads its plugins again when their files change, for ``-watch``.

It needs *watchfiles*, which the extra ``kong-python-server[dev]`` installs.  Rules kept here:

* what changes once the plugins are loaded is not missed: the first look compares the files' times;
* a watch that fails costs a line, and the server goes on without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, watch

from .. import logs
from ..server import PluginServer

TIMEOUT: Final = 1.0
"""Seconds between two looks whether the server has stopped."""

_log: Final = logs.get_logger()


class Below(DefaultFilter):
    """Leaves out caches, virtual environments and editors' files, inside of what is watched.

    :param roots: what is watched.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        super().__init__()
        self._roots = list(roots)

    def __call__(self, change: Change, path: str) -> bool:
        found = Path(path)
        root = next((root for root in self._roots if found.is_relative_to(root)), found.anchor)
        return super().__call__(change, str(found.relative_to(root)))


class WatchingServer(PluginServer):
    """A :class:`~pluginserver.PluginServer` that follows the files of its plugins directory."""

    def start(self) -> None:
        """Start the server, then the watch; raises what the server raises."""
        super().start()
        self._watching = threading.Event()
        if self.plugins.directory is not None:
            threading.Thread(
                target=_follow,
                args=(self, self.plugins.directory, self._watching),
                name="pluginserver-watch",
                daemon=True,
            ).start()

    def stop(self, grace: float | None = None) -> None:
        """End the watch, then the server."""
        watching = getattr(self, "_watching", None)
        if watching is not None:
            watching.set()
        super().stop(grace)


def _follow(server: PluginServer, directory: Path, stopping: threading.Event) -> None:
    """Reload whatever changes, until the server stops."""
    first = True
    try:
        for found in watch(
            directory,
            watch_filter=Below([directory]),
            stop_event=stopping,
            rust_timeout=int(TIMEOUT * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
        ):
            if (found or first) and not stopping.is_set():
                server.reload(Path(path) for _, path in found)
            first = False
    except Exception as error:
        _log.error(f"the plugins are not watched any more: {error}", exc_info=error)
