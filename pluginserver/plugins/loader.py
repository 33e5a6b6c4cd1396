"""Running plugin files as modules, so that servers in one process keep out of each other's way.

Theory of operation.  A plugin file gets a module of its own under a name that nobody else has
(``_pluginserver_7_hello``), which stays in :data:`sys.modules` until the registry closes: pickling,
:mod:`inspect` and annotations in strings work.  What it imports from the directory that it lies in (a
*shared* module) keeps its plain name, so that the plugins of one directory share it.

Rules kept here:

* one file runs at a time in the whole process (:data:`LOADING`): :data:`sys.path`,
  :data:`sys.modules` and :data:`sys.stdout` belong to everybody;
* while it runs its directory is first on the path, the shared modules of other directories and
  registries are out of sight, and its own are back;
* shared modules whose file has changed are forgotten, all of their directory, before a file runs;
* what imports ``kong_pdk`` finds our stand-ins from the first load on until the registry closes, unless the
  real one is installed;
* what the loading thread prints goes to stderr; other threads print where they did before;
* files run from their source: no stale bytecode after a quick edit, nothing written beside them.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import itertools
import os
import re
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import attrs

from ..compat.standins import FINDER
from ..logs import get_logger
from .guard import unpatched

LOADING: Final = threading.RLock()
"""Held while plugin code is loaded, by whatever registry."""

INIT: Final = "__init__.py"

SLOW_LOAD: Final = 5.0
"""Seconds after which it is worth a line that a file has not come to its end."""

_PREFIX: Final = "_pluginserver"
_numbers: Final = itertools.count(1)

Stamp = tuple[int, int]
"""Time in nanoseconds and size: a file with another stamp has changed."""


def stamp(path: str | Path | None) -> Stamp | None:
    """The stamp of a file, of a package's ``__init__.py`` for a directory; None when it is not there."""
    if path is None:
        return None
    try:
        found = os.stat(main_file(Path(path)))
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def main_file(path: Path) -> Path:
    """The file that runs when ``path``, a file or a package's directory, is loaded."""
    return path / INIT if path.is_dir() else path


@attrs.define
class _Shared:
    """A module that the plugins of a directory import by its plain name."""

    module: ModuleType
    file: str
    stamp: Stamp | None


@attrs.define(eq=False)
class Modules:
    """The modules of one registry."""

    _own: dict[str, ModuleType] = attrs.field(factory=dict, init=False)
    _shared: dict[Path, dict[str, _Shared]] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        with LOADING:
            _registries.add(self)

    @contextmanager
    def load(self, path: Path) -> Iterator[ModuleType]:
        """Run a file or package; inside the block its directory can still be imported from.

        The module is forgotten again when the block raises.

        :param path: an absolute path.
        :raises BaseException: whatever the code raises.
        """
        with self.window(path.parent):
            FINDER.hold(self)
            name = f"{_PREFIX}_{next(_numbers)}_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}"
            file = str(main_file(path))
            spec = importlib.util.spec_from_file_location(
                name,
                file,
                loader=_SourceLoader(name, file),
                submodule_search_locations=[str(path)] if path.is_dir() else None,
            )
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            self._own[name] = sys.modules[name] = module
            try:
                with _told_when_slow(path), unpatched(f"the plugin {path}"):
                    spec.loader.exec_module(module)
                yield module
            except BaseException:
                self.forget(module)
                raise

    @contextmanager
    def window(self, directory: Path | None = None) -> Iterator[None]:
        """Hold :data:`LOADING`, keep stdout clean, and let ``directory`` be imported from."""
        with LOADING, _stdout_to_stderr():
            if directory is None:
                yield
                return
            with self._sharing(directory):
                yield

    def forget(self, module: ModuleType) -> None:
        """Take a module that :meth:`load` made, with all inside of a package, out of :data:`sys.modules`."""
        with LOADING:
            name = module.__name__
            if self._own.pop(name, None) is None:
                return
            for known in list(sys.modules):
                if known == name or known.startswith(f"{name}."):
                    del sys.modules[known]

    def close(self) -> None:
        """Forget every module."""
        with LOADING:
            FINDER.let_go(self)
            for module in list(self._own.values()):
                self.forget(module)
            for directory, shared in self._shared.items():
                _remove(shared)
                sys.path_importer_cache.pop(str(directory), None)
            self._shared.clear()

    @contextmanager
    def _sharing(self, directory: Path) -> Iterator[None]:
        shared = self._shared.setdefault(directory, {})
        if any(stamp(one.file) != one.stamp for one in shared.values()):
            _remove(shared)
            shared.clear()
        hidden = {
            name: one.module
            for other in _registries
            for theirs in other._shared.values()
            if theirs is not shared
            for name, one in theirs.items()
            if sys.modules.get(name) is one.module
        }
        for name in hidden:
            del sys.modules[name]
        for name, one in shared.items():
            sys.modules.setdefault(name, one.module)
        before = set(sys.modules)
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path.insert(0, str(directory))
        _forget_listings()
        try:
            yield
        finally:
            sys.dont_write_bytecode = writes
            if str(directory) in sys.path:
                sys.path.remove(str(directory))
            for name in sys.modules.keys() - before:
                file = _plain_file(name, sys.modules[name], directory)
                if file is not None:
                    shared[name] = _Shared(sys.modules[name], file, stamp(file))
            sys.modules.update(hidden)


def _forget_listings() -> None:
    """Have the path's directories be listed again, since files may have come.

    :func:`importlib.invalidate_caches` does that too, but from CPython 3.13 on it loads
    :mod:`importlib.metadata` for it, which a dump does without.
    """
    for finder in list(sys.path_importer_cache.values()):
        invalidate = getattr(finder, "invalidate_caches", None)
        if invalidate is not None:
            invalidate()


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source each time, whatever bytecode lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Stdout:
    """Stands for stdout: one thread writes to stderr instead, until that is over.

    Plugin code may keep it (a logging handler does), so it leads to stdout afterwards.
    """

    def __init__(self) -> None:
        self.target = sys.stdout
        self.thread: int | None = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        mine = self.thread == threading.get_ident()
        return getattr(sys.stderr if mine else self.target, name)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    if sys.stdout is None or sys.stderr is None:
        yield
        return
    stdout = _Stdout()
    sys.stdout = stdout
    try:
        yield
    finally:
        stdout.thread = None
        if sys.stdout is stdout:
            sys.stdout = stdout.target


@contextmanager
def _told_when_slow(path: Path) -> Iterator[None]:
    """Write a line to the log when the code in the block takes long: nothing else is loaded meanwhile."""

    def tell() -> None:
        get_logger().warning(
            f"the plugin {path} has been loading for {SLOW_LOAD:g} s: see what its import waits for"
        )

    timer = threading.Timer(SLOW_LOAD, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _remove(shared: dict[str, _Shared]) -> None:
    for name, one in shared.items():
        if sys.modules.get(name) is one.module:
            del sys.modules[name]


def _plain_file(name: str, module: ModuleType, directory: Path) -> str | None:
    """The file of a module that was imported from ``directory`` by its plain name, else None.

    A library below the directory (a virtual environment in a project's root) does not count.
    """
    base = os.path.join(directory, *name.split("."))
    file = getattr(module, "__file__", None)
    if file in (f"{base}.py", os.path.join(base, INIT)):
        return str(file)
    if file is None and base in getattr(module, "__path__", ()):
        return base
    return None


_registries: Final[weakref.WeakSet[Modules]] = weakref.WeakSet()
