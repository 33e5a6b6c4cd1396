"""The registry: finds plugins, loads them, and gives them out by name.

Theory of operation.  Plugins come from *sources* that the program names, from the plugins directory, and
from the entry points of installed distributions (group ``pluginserver.plugins``), in this order; of two
with one name the first stays.  :meth:`Plugins.load` loads all of them; without it, or when a file
appears later, :meth:`Plugins.get` looks for the name that it is asked for: in what is called so first,
then in the rest, since a plugin may give itself another name.

Rules kept here:

* looking up a loaded name takes no lock; whatever loads holds :data:`~pluginserver.plugins.loader.LOADING`;
* a file that does not define ``Plugin``, ``version`` and ``priority`` is passed over, and one whose
  source does not even hold the word ``Plugin`` is not run; names that begin with ``_`` or ``.`` are
  not looked at;
* what cannot be loaded costs itself: one line in the log, and its error in :attr:`Plugins.failures`; a file
  that looks as if it were meant to be a plugin, and is none, a warning;
* it is tried again only when its file has changed, or by :meth:`Plugins.reload`, which puts the new
  plugin in the place of the old one at once, or leaves the old one where it is;
* :meth:`Plugins.refresh` follows the files, and tells what happened instead of logging it: a plugin whose
  file is gone goes too, so that its name is free for the file's new name; a change in a file that is
  not a plugin is a change in what plugins share, so that all plugins of the directories above it are
  loaded again, and so is what could not be loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import attrs

from ..compat.recognition import OURS, Manner
from ..compat.standins import tell_both_installed
from ..errors import PluginError
from .discovery import Candidate, Source, installed, named, scan
from .guard import unpatched, validate_unpatching
from .judge import tell
from .loader import INIT, Modules, Stamp, main_file, stamp
from .loading import loading_errors, plugin_in_file, plugin_in_object, validate_source
from .losses import Losses, same_name
from .nearly import NotAPluginError
from .plugin import Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Change", "Plugin", "Plugins", "Source"]


@attrs.frozen
class Change:
    """What became of a plugin's file: see :meth:`Plugins.refresh`.

    :param kind: ``"loaded"``, ``"reloaded"``, ``"broken"`` or ``"gone"``.
    :param name: the plugin's name; for one that cannot be loaded what it would be called.
    :param path: its file or package's directory.
    :param error: why it is broken.
    """

    kind: Literal["loaded", "reloaded", "broken", "gone"]
    name: str
    path: Path
    error: PluginError | None = None


class Plugins:
    """The plugins of one server; any thread may use it.

    :param sources: what the program names.
    :param directory: the plugins directory.
    :param entry_points: whether installed distributions are asked.
    :param only: the names of the plugins that it gives out; all when empty.
    :param manner: how plugins for kong-pdk are taken.
    :param tell: called with each plugin that was loaded, to tell what is doubtful about it: the log, unless
        somebody else is to know.
    :raises PluginError: when the directory is none.
    """

    def __init__(
        self,
        sources: Iterable[Source] = (),
        directory: str | os.PathLike[str] | None = None,
        entry_points: bool = True,
        only: Collection[str] = (),
        manner: Manner = OURS,
        tell: Callable[[Plugin], object] = tell,
    ) -> None:
        self._manner = manner
        self._tell = tell
        self._sources = list(sources)
        self._directory = None if directory is None else _directory(directory)
        self._entry_points = entry_points
        self._only = frozenset(only)
        self._installed: list[Candidate] | None = None
        self._modules = Modules()
        self._plugins: dict[str, Plugin] = {}
        self._loaded: dict[Path, ModuleType] = {}
        """The modules of loaded plugins by file or package's directory."""
        self._tried: dict[object, Stamp | None] = {}
        """What was tried, and how its file was then."""
        self._losses = Losses()

    @property
    def failures(self) -> dict[str, PluginError]:
        """What could not be loaded, by what the plugin would be called from outside."""
        return {name: error for name, (_, error) in self._losses.failed.copy().items()}

    @property
    def passed_over(self) -> dict[str, NotAPluginError]:
        """The files that were found and are no plugin, by what one in them would be called, and why."""
        return {name: error for name, (_, error) in self._losses.passed.copy().items()}

    @property
    def directory(self) -> Path | None:
        """The plugins directory."""
        return self._directory

    def load(self) -> None:
        """Load all that is not loaded; what fails is logged and kept in :attr:`failures`.

        :raises UnknownPluginError: when one of the only ones that are wanted cannot be had.
        """
        if self._only:
            for name in sorted(self._only):
                self.get(name)
            return
        with self._modules.window():
            for candidate in self._candidates():
                self._try(candidate)

    def get(self, name: str) -> Plugin:
        """The plugin of that name, loaded now if it is not yet.

        :raises UnknownPluginError: when there is none, or it cannot be loaded; the text says which.
        """
        plugin = self._plugins.get(name)
        if plugin is None:
            with self._modules.window():
                plugin = self._plugins.get(name) or self._find(name)
        return plugin

    def all(self) -> list[Plugin]:
        """The loaded plugins, in the order in which they were loaded."""
        return list(self._plugins.values())

    def names(self) -> list[str]:
        """The names of the loaded plugins, in that order."""
        return list(self._plugins)

    def set_directory(self, path: str | os.PathLike[str]) -> None:
        """Look for plugins in another directory from now on; loaded ones stay.

        :raises PluginError: when it is not a directory.
        """
        directory = _directory(path)
        with self._modules.window():
            self._directory = directory
            self._losses.keep(directory)
            self._tried = {
                origin: at for origin, at in self._tried.items() if not isinstance(origin, Path)
            }

    def reload(self, path: str | os.PathLike[str]) -> Plugin:
        """Load a file again, and put its plugin in the place of the one that it held.

        The modules that the plugins of its directory share are loaded again if one of them has changed.

        :param path: a plugin's file, its package's directory, or a file in that.
        :returns: the new plugin.
        :raises PluginError: when it cannot be loaded; the old plugin stays then.
        """
        given = Path(os.path.abspath(path))
        with self._modules.window():
            file = next((one for one in self._loaded if one in (given, *given.parents)), given)
            if file.name == INIT:
                file = file.parent
            plugin = self._load_file(file)
            self._tried[file] = stamp(file)
            self._losses.forget(Candidate(file.stem, file, wanted=False))
            return plugin

    def refresh(self, changed: Iterable[str | os.PathLike[str]] = ()) -> list[Change]:
        """Bring the plugins in line with their files; what fails is kept in :attr:`failures`.

        :param changed: files that changed, besides those whose time stamp tells it.
        :returns: what happened, in order.
        """
        paths = {Path(os.path.abspath(path)) for path in changed}
        with self._modules.window():
            before = self._files()
            changes = [self._drop(path) for path in before if not main_file(path).exists()]
            fresh = {found.file for found in self._all_candidates() if self._stale(found, paths)}
            changes += self._reload_files(fresh)
            known = self._files()
            shared = [
                path
                for path in paths
                if path.suffix == ".py"
                and not any(_holds(file, path) for file in [*before, *known])
            ]
            changes += self._reload_files(
                {
                    file
                    for file in known
                    if file not in fresh and any(file.parent in path.parents for path in shared)
                }
            )
        return changes

    def add(self, plugin: Plugin) -> None:
        """Take in a plugin that another registry has loaded, which keeps its modules.

        :raises PluginError: when there is another one of that name.
        """
        with self._modules.window():
            self._register(plugin, None, None)

    def clear(self) -> None:
        """Forget every plugin, loaded or failed, with its modules, and the directory; the sources stay."""
        with self._modules.window():
            self._directory = None
            self._plugins = {}
            self._loaded = {}
            self._tried = {}
            self._losses.clear()
            self._modules.close()

    def close(self) -> None:
        """Take the modules of the plugins, and what they share, out of :data:`sys.modules`."""
        self._modules.close()

    def _find(self, name: str) -> Plugin:
        for called_so in (True, False):
            for candidate in self._candidates():
                if same_name(candidate.name, name) is called_so:
                    self._try(candidate)
                if name in self._plugins:
                    return self._plugins[name]
        raise self._losses.unknown(name, self._directory, self._plugins)

    def _candidates(self) -> Iterator[Candidate]:
        """What was not tried yet, or has changed since."""
        for candidate in self._all_candidates():
            if candidate.file in self._loaded:
                continue
            if self._tried.get(candidate.origin, ...) != stamp(candidate.file):
                yield candidate

    def _all_candidates(self) -> Iterator[Candidate]:
        for source in self._sources:
            yield from named(source)
        if self._directory is not None:
            yield from scan(self._directory)
        if self._entry_points:
            if self._installed is None:
                self._installed = list(installed())
            yield from self._installed

    def _try(self, candidate: Candidate) -> None:
        self._tried[candidate.origin] = stamp(candidate.file)
        self._losses.forget(candidate)
        try:
            if isinstance(candidate.origin, Path):
                self._load_file(candidate.origin)
            else:
                self._load_object(candidate.name, candidate.origin)
        except PluginError as error:
            self._losses.add(candidate, error)

    def _load_file(self, path: Path) -> Plugin:
        with loading_errors(f"the plugin {path}", main_file(path)):
            validate_source(path)
            validate_unpatching(path, main_file(path))
            with self._modules.load(path) as module:
                plugin = plugin_in_file(module, path, self._manner)
                self._register(plugin, path, module)
        self._tell(plugin)
        return plugin

    def _load_object(self, name: str, origin: ModuleType | type | EntryPoint) -> None:
        with loading_errors(f"the plugin {name}"):
            with unpatched(f"the plugin {name}"):
                plugin, path, module = plugin_in_object(name, origin, self._manner)
            if path is not None:
                validate_unpatching(path, main_file(path))
            self._register(plugin, path, module)
        self._tell(plugin)

    def _register(self, plugin: Plugin, path: Path | None, module: ModuleType | None) -> None:
        if self._only and plugin.name not in self._only:
            raise NotAPluginError(f"the plugin {plugin.name} is none of those that are wanted")
        first = self._plugins.get(plugin.name)
        if first is not None and (path is None or first.source != path):
            raise PluginError(
                f"the name {plugin.name} is used twice, by {first.source} and by {plugin.source}: "
                "the first stays; give one of them another name"
            )
        if plugin.lua_style is not None:
            tell_both_installed()
        plugins = {
            name: other
            for name, other in self._plugins.items()
            if path is None or other.source != path or name == plugin.name
        }
        self._plugins = {**plugins, plugin.name: plugin}
        if path is not None and module is not None:
            old = self._loaded.get(path)
            self._loaded[path] = module
            if old is not None:
                self._modules.forget(old)

    def _files(self) -> list[Path]:
        """The files of the plugins, and of what could not be loaded."""
        failed = [path for path, _ in self._losses.failed.values() if path is not None]
        return list(dict.fromkeys([*self._loaded, *failed]))

    def _stale(self, candidate: Candidate, changed: set[Path]) -> bool:
        file = candidate.file
        if file is None or not main_file(file).exists():
            return False
        if self._tried.get(file, ...) != stamp(file):
            return True
        return file in self._files() and any(_holds(file, path) for path in changed)

    def _reload_files(self, files: set[Path | None]) -> Iterator[Change]:
        for candidate in list(self._all_candidates()):
            if candidate.file is not None and candidate.file in files:
                yield from self._reload_file(candidate, candidate.file)

    def _reload_file(self, candidate: Candidate, path: Path) -> Iterator[Change]:
        before = next((one.name for one in self.all() if one.source == path), None)
        try:
            name = self.reload(path).name
        except PluginError as error:
            self._tried[path] = stamp(path)
            if self._losses.note(candidate, error, was=before is not None):
                yield Change("broken", before or candidate.name, path, error)
            return
        if before is not None and before != name:
            yield Change("gone", before, path)
        yield Change("reloaded" if before == name else "loaded", name, path)

    def _drop(self, path: Path) -> Change:
        names = [name for name, plugin in self._plugins.items() if plugin.source == path]
        self._plugins = {name: one for name, one in self._plugins.items() if name not in names}
        module = self._loaded.pop(path, None)
        if module is not None:
            self._modules.forget(module)
        self._tried.pop(path, None)
        self._losses.forget(Candidate(path.stem, path, wanted=False))
        return Change("gone", names[0] if names else path.stem, path)


def _directory(path: str | os.PathLike[str]) -> Path:
    directory = Path(os.path.abspath(path))
    if not directory.is_dir():
        raise PluginError(f"there is no directory {directory}: create it or name another one")
    return directory


def _holds(file: Path, path: Path) -> bool:
    return file == path or file in path.parents
