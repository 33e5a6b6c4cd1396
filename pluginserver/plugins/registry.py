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
* what cannot be loaded costs itself: one line in the log, and its error in :attr:`Plugins.failures`;
* it is tried again only when its file has changed, or by :meth:`Plugins.reload`, which puts the new
  plugin in the place of the old one at once, or leaves the old one where it is.
"""

from __future__ import annotations

import os
import re
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..errors import PluginError, UnknownPluginError
from ..logs import get_logger
from ..spec.wording import reason
from .discovery import Candidate, Source, around, file_of, installed, named, scan
from .loader import INIT, Modules, Stamp, main_file, stamp
from .plugin import PARTS, Plugin, build

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Plugin", "Plugins", "Source"]

_WORD: Final = re.compile(rb"\bPlugin\b|import\s*\*")


class _NoPlugin(PluginError):
    """Something is no plugin at all."""


class Plugins:
    """The plugins of one server; any thread may use it.

    :param sources: what the program names.
    :param directory: the plugins directory.
    :param entry_points: whether installed distributions are asked.
    :raises PluginError: when the directory is none.
    """

    def __init__(
        self,
        sources: Iterable[Source] = (),
        directory: str | os.PathLike[str] | None = None,
        entry_points: bool = True,
    ) -> None:
        self._sources = list(sources)
        self._directory = None if directory is None else _directory(directory)
        self._entry_points = entry_points
        self._installed: list[Candidate] | None = None
        self._modules = Modules()
        self._plugins: dict[str, Plugin] = {}
        self._loaded: dict[Path, ModuleType] = {}
        """The modules of loaded plugins by file or package's directory."""
        self._tried: dict[object, Stamp | None] = {}
        """What was tried, and how its file was then."""
        self._failures: dict[str, tuple[Path | None, PluginError]] = {}
        self._passed: dict[str, str] = {}
        """Why files were passed over."""

    @property
    def failures(self) -> dict[str, PluginError]:
        """What could not be loaded, by what the plugin would be called from outside."""
        return {name: error for name, (_, error) in self._failures.copy().items()}

    @property
    def directory(self) -> Path | None:
        """The plugins directory."""
        return self._directory

    def load(self) -> None:
        """Load all that is not loaded; what fails is logged and kept in :attr:`failures`."""
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

        :raises PluginError: when it is no directory.
        """
        directory = _directory(path)
        with self._modules.window():
            self._directory = directory
            self._failures = {
                name: (file, error)
                for name, (file, error) in self._failures.items()
                if file is None or file.parent == directory
            }
            self._passed = {}
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
            self._failures.pop(file.stem, None)
            return plugin

    def close(self) -> None:
        """Take the modules of the plugins, and what they share, out of :data:`sys.modules`."""
        self._modules.close()

    def _find(self, name: str) -> Plugin:
        for called_so in (True, False):
            for candidate in self._candidates():
                if (_key(candidate.name) == _key(name)) is called_so:
                    self._try(candidate)
                if name in self._plugins:
                    return self._plugins[name]
        raise self._unknown(name)

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
        if self._failures.get(candidate.name, (None, None))[0] == candidate.file:
            self._failures.pop(candidate.name, None)
        log = get_logger(plugin=candidate.name)
        try:
            if isinstance(candidate.origin, Path):
                self._load_file(candidate.origin)
            else:
                self._load_object(candidate.name, candidate.origin)
        except _NoPlugin as error:
            if candidate.wanted:
                self._failures[candidate.name] = candidate.file, error
                log.error(str(error))
            else:
                self._passed[candidate.name] = str(error)
                log.info(f"passed over: {error}")
        except PluginError as error:
            self._failures[candidate.name] = candidate.file, error
            log.error(str(error))
            log.debug("the traceback of the plugin that failed to load", exc_info=error)

    def _load_file(self, path: Path) -> Plugin:
        with _told(f"the plugin {path}", main_file(path)):
            if not _WORD.search(main_file(path).read_bytes()):
                raise _NoPlugin(f"{path} is no plugin: it defines no class Plugin")
            with self._modules.load(path) as module:
                _judge(module, path)
                plugin = build(vars(module), path.stem, path, _modtime(path))
                self._add(plugin, path, module)
        return plugin

    def _load_object(self, name: str, origin: ModuleType | type | EntryPoint) -> None:
        with _told(f"the plugin {name}"):
            if isinstance(origin, (ModuleType, type)):
                found: Any = origin
                label = origin.__name__
                if isinstance(origin, type):
                    label = f"{origin.__module__}.{origin.__qualname__}"
                path = file_of(origin)
            else:
                found = origin.load()
                label = f"the entry point {origin.name} = {origin.value}"
                path = None
            if isinstance(found, ModuleType):
                _judge(found, name)
                module: Mapping[str, Any] = vars(found)
            elif isinstance(found, type):
                module = around(found)
            else:
                raise _NoPlugin(f"{label} is no plugin: it must name a module or a class")
            plugin = build(module, name, path or label, _modtime(file_of(found)))
            self._add(plugin, path, found if isinstance(found, ModuleType) else None)

    def _add(self, plugin: Plugin, path: Path | None, module: ModuleType | None) -> None:
        first = self._plugins.get(plugin.name)
        if first is not None and (path is None or first.source != path):
            raise PluginError(
                f"the name {plugin.name} is used twice, by {first.source} and by {plugin.source}: "
                "the first stays; give one of them another name"
            )
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

    def _unknown(self, name: str) -> UnknownPluginError:
        where = f" in {self._directory}" if self._directory is not None else ""
        for key, (_, error) in self._failures.items():
            if _key(key) == _key(name):
                return UnknownPluginError(str(error))
        for key, why in self._passed.items():
            if _key(key) == _key(name):
                return UnknownPluginError(f"there is no plugin {name}{where}: {why}")
        known = (
            f"the loaded ones are {', '.join(self._plugins)}"
            if self._plugins
            else "none is loaded"
        )
        return UnknownPluginError(f"there is no plugin {name}{where}: {known}")


def _judge(module: ModuleType, called: object) -> None:
    missing = [part for part in PARTS if not hasattr(module, part)]
    if missing:
        raise _NoPlugin(f"{called} is no plugin: it defines no {' and no '.join(missing)}")


@contextmanager
def _told(what: str, file: Path | None = None) -> Iterator[None]:
    """Turn whatever plugin code raises while it is loaded into a :class:`PluginError`."""
    try:
        yield
    except PluginError:
        raise
    except BaseException as error:
        main = threading.current_thread() is threading.main_thread()
        if isinstance(error, KeyboardInterrupt) and main:
            raise
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if file is not None and frame.filename == str(file)
        ]
        line = f" (line {frames[-1].lineno})" if frames else ""
        raise PluginError(f"{what} cannot be loaded: {reason(error)}{line}") from error


def _directory(path: str | os.PathLike[str]) -> Path:
    directory = Path(os.path.abspath(path))
    if not directory.is_dir():
        raise PluginError(f"there is no directory {directory}: create it or name another one")
    return directory


def _key(name: str) -> str:
    """A name such that the file ``key_auth.py`` is tried first for the plugin ``key-auth``."""
    return name.replace("-", "_")


def _modtime(path: Path | None) -> float:
    return 0.0 if path is None else main_file(path).stat().st_mtime
