"""Whether anything in a plugin ties its events to a thread: judged from its source.

Events that share a thread share its locks, its thread-local values and its running loop: a lock held across
a callback deadlocks the thread, a thread-local shows another user's value.  So a plugin shares the leader's
thread only when nothing like that is found in its own files, in the modules that they import from beside
them, and, for thread-local values and thread numbers, in the packages that they import.  Rules kept here:

* it is judged once, when an event of the plugin could share a thread for the first time, off the leader; a
  dump, which only loads the plugin, pays nothing;
* what cannot be read, or has changed since it was loaded, counts as tied;
* packages that were reviewed (:data:`REVIEWED`), and the standard library, do not count.
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from importlib.machinery import PathFinder
from inspect import getattr_static
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from .syntax import Import, Look, deep_tie, look, look_at

REVIEWED: Final = frozenset(
    {"pluginserver", "attr", "attrs", "structlog", "msgpack", "greenlet", "kong_pdk"}
)
"""Packages that use thread-locals or thread numbers, if at all, within a call, never across a callback.

Of kong_pdk a plugin gets no more than descriptions of functions and classes of errors.
"""

_NAMELESS: Final = frozenset({"<string>", "<stdin>"})
"""What Python calls all source that has no name: what is known by it may be somebody else's."""

_OURS: Final = str(Path(__file__).parents[1]) + os.sep
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


class ThreadTies:
    """The judgement of one plugin.

    :param cls: its class.
    :param phases: the phases that it has handlers for.
    :param source: the file or package's directory that it was loaded from, or a name.
    :param load_time: when it was loaded, in seconds since 1970.
    """

    def __init__(
        self, cls: type, phases: tuple[str, ...], source: Path | str, load_time: float
    ) -> None:
        self._cls = cls
        self._phases = phases
        self._source = source
        self._load_time = load_time
        self._lock = threading.Lock()
        self._found: list[str | None] = []
        self._looks: dict[str, Look | None] = {}
        """What was seen in the files whose code was met; a file that changes later is other code."""

    def reason(self) -> str | None:
        """What ties the plugin's events to a thread, with file and line; None when nothing was found.

        It is found out by the first call, which reads files.
        """
        with self._lock:
            if not self._found:
                self._found.append(self._judge())
            return self._found[0]

    def held(self, frame: FrameType | None) -> str | None:
        """What a handler that is suspended holds: a ``with`` block around one of its frames.

        :param frame: the innermost frame.
        :returns: what, with file and line; None when it holds nothing.
        """
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(_OURS):
                line = frame.f_lineno or frame.f_code.co_firstlineno
                if name not in self._looks:
                    self._looks[name] = look(name)
                seen = self._looks[name] or _generated(frame)
                if seen is None:
                    return f"a call of kong in code without a source ({name}:{line})"
                if any(first <= line <= last for first, last in seen.held):
                    return f"a call of kong while a with block is open ({name}:{line})"
            frame = frame.f_back
        return None

    def _judge(self) -> str | None:
        start, missing = self._start()
        if missing is not None:
            return missing
        packages: dict[str, str] = {}
        queue, seen = deque(start), set(start)
        while queue:
            path = queue.popleft()
            found = look(path)
            if found is None:
                return f"no source ({path}:1)"
            if os.stat(path).st_mtime > self._load_time:
                return f"the source has changed since it was loaded ({path}:1)"
            if found.ties:
                return f"{found.ties[0].what} ({path}:{found.ties[0].line})"
            for one in found.imports:
                inside = {file for file in self._own(one, path) if file not in seen}
                seen |= inside
                queue += sorted(inside)
                if (
                    not one.level
                    and one.module not in self._roots
                    and not self._beside(one.module)
                ):
                    packages.setdefault(one.module.partition(".")[0], one.module)
        return _tied_package(packages)

    # -- the plugin's own files

    def _start(self) -> tuple[list[str], str | None]:
        """The files to begin with; why there are none to be judged."""
        files: dict[str, None] = {}
        if isinstance(self._source, Path):
            path = self._source
            found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
            files.update(dict.fromkeys(str(one) for one in found))
        for base in self._cls.__mro__[:-1]:
            module = sys.modules.get(base.__module__)
            if module is not None and (file := getattr(module, "__file__", None)) is not None:
                files[file] = None
        for phase in self._phases:
            for name in _code_files(getattr_static(self._cls, phase)):
                if not os.path.isfile(name):
                    return [], f"no source of its handler {phase} ({name}:1)"
                files[name] = None
        own = [one for one in files if not one.startswith(_OURS)]
        return own, None if own else "no source"

    @property
    def _directory(self) -> str | None:
        """Where its own modules lie; None where that holds other people's, too."""
        if isinstance(self._source, Path):
            return str(self._source.parent)
        file = getattr(sys.modules.get(self._cls.__module__), "__file__", None)
        directory = None if file is None else os.path.dirname(file)
        return None if os.path.basename(directory or "") in _INSTALLED else directory

    @property
    def _roots(self) -> tuple[str, ...]:
        """The package that it is a part of, when it has a name."""
        name = self._cls.__module__
        return (
            (name.partition(".")[0],) if "." in name and not isinstance(self._source, Path) else ()
        )

    def _beside(self, module: str) -> bool:
        """Whether a module lies in its directory, or in its package."""
        top = module.partition(".")[0]
        directory = self._directory
        return top in self._roots or (
            directory is not None and bool(list(_files(os.path.join(directory, top))))
        )

    def _own(self, one: Import, path: str) -> Iterator[str]:
        """The files of its own that an import in ``path`` leads to."""
        parts = one.module.split(".") if one.module else []
        bases = []
        if one.level:
            base = path
            for _ in range(one.level):
                base = os.path.dirname(base)
            bases.append(base)
        elif self._directory is not None:
            bases.append(self._directory)
        for base in bases:
            for number in range(1, len(parts) + 1):
                yield from _files(os.path.join(base, *parts[:number]))
            for name in one.names:
                yield from _files(os.path.join(base, *parts, name))
        if not one.level and parts and parts[0] in self._roots:
            for name in [one.module, *(f"{one.module}.{name}" for name in one.names)]:
                file = getattr(sys.modules.get(name), "__file__", None)
                if file is not None:
                    yield file


def _files(base: str) -> Iterator[str]:
    """The file of the module that lies at a path without its ending, if it is there."""
    for file in (f"{base}.py", os.path.join(base, "__init__.py")):
        if os.path.isfile(file):
            yield file


def _code_files(handler: Any) -> Iterator[str]:
    """The files of a handler's code and of what it wraps; ``"?"`` for what has no code."""
    while handler is not None:
        handler = getattr(handler, "__func__", handler)
        call = vars(type(handler)).get("__call__")
        code = getattr(handler, "__code__", None) or getattr(call, "__code__", None)
        yield code.co_filename if isinstance(code, CodeType) else "?"
        handler = getattr(handler, "__wrapped__", None)


def _generated(frame: FrameType) -> Look | None:
    """What was seen in source that is in no file, such as the methods that attrs makes."""
    if frame.f_code.co_filename in _NAMELESS:
        return None
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    try:
        return look_at("".join(lines)) if lines else None
    except (SyntaxError, ValueError):
        return None


# -- packages that it imports


def _tied_package(packages: dict[str, str]) -> str | None:
    """What ties in one of these packages, by their top names; None when nothing does."""
    for top in packages:
        if top in sys.stdlib_module_names or top in REVIEWED:
            continue
        for path in _package_files(top):
            tie = deep_tie(path)
            if tie is not None:
                return f"{tie.what} in the package {top} ({path}:{tie.line})"
    return None


def _package_files(top: str) -> list[str]:
    """The files of a package that are loaded; all of them while none is."""
    loaded = [
        file
        for name, module in list(sys.modules.items())
        if name == top or name.startswith(f"{top}.")
        if (file := getattr(module, "__file__", None)) is not None and file.endswith(".py")
    ]
    if loaded:
        return loaded
    spec = PathFinder.find_spec(top)
    if spec is None:
        return []
    folders = list(spec.submodule_search_locations or ())
    inside = [str(path) for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    return inside or [name for name in [spec.origin] if name and name.endswith(".py")]
