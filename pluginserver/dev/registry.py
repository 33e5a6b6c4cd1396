"""The plugins of the development gateway: a registry that follows its files.

Rules kept here:

* a file that cannot be loaded leaves the plugin that it held as it was;
* a plugin whose file is gone goes too, so that its name is free for the file's new name;
* a change in a file that is no plugin is a change in what plugins share: all plugins of the
  directories above it are loaded again, and so is what could not be loaded;
* nothing is logged: what happened is returned, and told by whoever asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs

from ..errors import PluginError
from ..plugins.discovery import Candidate
from ..plugins.loader import main_file, stamp
from ..plugins.registry import Plugins, Source, _NoPlugin

Kind = Literal["loaded", "reloaded", "broken", "gone"]


@attrs.frozen
class News:
    """What became of a plugin.

    :param kind: ``"loaded"``, ``"reloaded"``, ``"broken"`` or ``"gone"``.
    :param name: the plugin's name; for one that cannot be loaded what it would be called.
    :param path: its file or package's directory.
    :param error: why it is broken.
    """

    kind: Kind
    name: str
    path: Path
    error: PluginError | None = None


class LivePlugins(Plugins):
    """The plugins in some files and directories.

    :param sources: the files, packages and directories.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        super().__init__(sources, entry_points=False)
        self.news: list[News] = []
        """What :meth:`load` found, to be told later."""

    def load(self) -> None:
        """Load what there is; what happened is in :attr:`news`."""
        self.news += self.refresh()

    def refresh(self, changed: Iterable[str | os.PathLike[str]] = ()) -> list[News]:
        """Bring the registry in line with the files.

        :param changed: files that changed, besides those whose time stamp tells it.
        :returns: what happened, in order.
        """
        paths = {Path(os.path.abspath(path)) for path in changed}
        with self._modules.window():
            before = self._files()
            news = [self._drop(path) for path in before if not main_file(path).exists()]
            fresh = {found.file for found in self._all_candidates() if self._stale(found, paths)}
            news += self._look(fresh)
            known = self._files()
            shared = [
                path
                for path in paths
                if path.suffix == ".py"
                and not any(_holds(file, path) for file in [*before, *known])
            ]
            news += self._look(
                {
                    file
                    for file in known
                    if file not in fresh and any(file.parent in path.parents for path in shared)
                }
            )
        return news

    def _files(self) -> list[Path]:
        """The files of the plugins, and of what could not be loaded."""
        failed = [path for path, _ in self._failures.values() if path is not None]
        return list(dict.fromkeys([*self._loaded, *failed]))

    def _stale(self, candidate: Candidate, changed: set[Path]) -> bool:
        file = candidate.file
        if file is None or not main_file(file).exists():
            return False
        if self._tried.get(file, ...) != stamp(file):
            return True
        return file in self._files() and any(_holds(file, path) for path in changed)

    def _look(self, files: set[Path | None]) -> Iterator[News]:
        for candidate in list(self._all_candidates()):
            if candidate.file in files:
                yield from self._reload(candidate)

    def _reload(self, candidate: Candidate) -> Iterator[News]:
        path = candidate.file
        assert path is not None
        before = next((one.name for one in self.all() if one.source == path), None)
        try:
            name = self.reload(path).name
        except PluginError as error:
            self._tried[path] = stamp(path)
            if candidate.wanted or before is not None or not isinstance(error, _NoPlugin):
                self._failures[candidate.name] = path, error
                yield News("broken", before or candidate.name, path, error)
        else:
            if before not in (None, name):
                assert before is not None
                yield News("gone", before, path)
            yield News("reloaded" if before == name else "loaded", name, path)

    def _drop(self, path: Path) -> News:
        names = [name for name, plugin in self._plugins.items() if plugin.source == path]
        self._plugins = {name: one for name, one in self._plugins.items() if name not in names}
        module = self._loaded.pop(path, None)
        if module is not None:
            self._modules.forget(module)
        self._tried.pop(path, None)
        self._failures.pop(path.stem, None)
        return News("gone", names[0] if names else path.stem, path)


def _holds(file: Path, path: Path) -> bool:
    return file == path or file in path.parents
