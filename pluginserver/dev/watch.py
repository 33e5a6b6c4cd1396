"""Watching the plugins' files.

Rules kept here:

* what changes after the first, empty set has come is never missed;
* changes at about the same time come as one set;
* caches, virtual environments and editors' temporary files are left out, but only below what is watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from watchfiles import awatch

from ..cli.watch import Below


async def changes(
    sources: Iterable[Path], files: Iterable[Path], stop: asyncio.Event
) -> AsyncIterator[set[Path]]:
    """The files that change, a set for those that change at about the same time.

    The first set is empty: it comes when nothing that changes from now on is missed.

    Directories are watched with all that is in them.  Of a file its directory is watched, for editors
    put a new file in the place of the old one, and plugins share modules that lie beside them.

    :param sources: directories, and files of plugins.
    :param files: further files.
    :param stop: ends the iteration when it is set.
    :raises OSError: when the system does not let us watch.
    """
    roots = {path for path in sources if path.is_dir()}
    beside = {path.parent for path in [*sources, *files] if not path.is_dir()} - roots
    queue: asyncio.Queue[set[Path]] = asyncio.Queue()
    watchers = [
        asyncio.create_task(_watch(queue, paths, recursive, stop))
        for paths, recursive in ((roots, True), (beside, False))
        if paths
    ]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.sleep(0)
    yield set()
    try:
        while not stop.is_set():
            getting = asyncio.create_task(queue.get())
            await asyncio.wait([getting, stopped, *watchers], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
                continue
            getting.cancel()
            for watcher in watchers:
                if watcher.done():
                    watcher.result()
    finally:
        stopped.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _watch(
    queue: asyncio.Queue[set[Path]], paths: set[Path], recursive: bool, stop: asyncio.Event
) -> None:
    async for found in awatch(
        *paths, watch_filter=Below(paths), recursive=recursive, stop_event=stop
    ):
        await queue.put({Path(path) for _, path in found})
