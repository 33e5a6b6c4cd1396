"""Where plugins may be: what a program names, the files of a directory, entry points.

Nothing is loaded here; the registry (:mod:`pluginserver.plugins`) does that with the candidates.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

import attrs

from .loader import INIT, main_file

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Source: TypeAlias = Union[str, "os.PathLike[str]", ModuleType, type]
"""What a program can name: a file, a package's or another directory, a module, or a class."""

ENTRY_POINTS: Final = "pluginserver.plugins"
"""The group of entry points that name plugins: a module, or a class in one."""

_ABOUT_DISTRIBUTION: Final = (".dist-info", "egg-info")
"""How the directories end in which a distribution is described."""

_DEFAULTS: Final = {"version": "0.0.0", "priority": 0}
"""For a class that a program gives."""

_CLASS_NAMES: Final = (
    "name",
    "version",
    "priority",
    "on_error",
    "threads",
    "request_timeout",
    "protocol",
    "round_trips",
    "kong_pdk_style",
    "lua_style",
    "Schema",
    "protocols",
    "no_consumer",
    "no_route",
    "no_service",
)
"""What a class that is not its module's ``Plugin`` may define itself, for want of a module."""


@attrs.frozen
class Candidate:
    """Something that may be a plugin.

    :param name: what the plugin is called unless it gives itself a name.
    :param origin: a file or package's directory, a module, a class, an entry point.
    :param wanted: it was named by somebody, so that being no plugin is a failure.
    """

    name: str
    origin: Path | ModuleType | type | EntryPoint
    wanted: bool

    @property
    def file(self) -> Path | None:
        """The file or package's directory, if it is one."""
        return self.origin if isinstance(self.origin, Path) else None


def named(source: Source) -> Iterator[Candidate]:
    """The candidates in what a program names."""
    if isinstance(source, (ModuleType, type)):
        yield Candidate(_called(source), source, wanted=True)
        return
    path = Path(os.path.abspath(source))
    if path.is_dir() and not main_file(path).exists():
        yield from scan(path)
    else:
        yield Candidate(path.stem, path, wanted=True)


def scan(directory: Path) -> Iterator[Candidate]:
    """The files and packages of a directory, by name; none when it is gone."""
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.startswith(("_", ".")):
            continue
        if (path.suffix == ".py" and path.is_file()) or (path / INIT).is_file():
            yield Candidate(path.stem, path, wanted=False)


def installed() -> Iterator[Candidate]:
    """The entry points of the installed distributions."""
    if not _may_be_installed():
        return
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINTS):
        yield Candidate(entry_point.name, entry_point, wanted=True)


def _may_be_installed() -> bool:
    """Whether a distribution may have entry points for us: the library that tells costs much of a dump.

    It may unless all that is on the path are directories, in which no list of entry points names the group.
    """
    if any(hasattr(one, "find_distributions") for one in sys.meta_path if one is not PathFinder):
        return True
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except NotADirectoryError:
            return True
        except OSError:
            continue
        for name in names:
            if name.lower().endswith(_ABOUT_DISTRIBUTION) and _names_us(directory, name):
                return True
    return False


def _names_us(directory: str, name: str) -> bool:
    try:
        with open(os.path.join(directory, name, "entry_points.txt"), "rb") as file:
            return ENTRY_POINTS.encode() in file.read()
    except OSError:
        return False


def around(cls: type) -> Mapping[str, Any]:
    """What stands for a class's module: its module if the class is its ``Plugin``, else the class."""
    module = _home(cls)
    if module is not None:
        return {**_DEFAULTS, **vars(module)}
    fields = {field.name for field in attrs.fields(cls)} if attrs.has(cls) else set()
    own = {
        name: getattr(cls, name)
        for name in _CLASS_NAMES
        if name not in fields and hasattr(cls, name)
    }
    return {**_DEFAULTS, **own, "Plugin": cls}


def file_of(source: ModuleType | type) -> Path | None:
    """The file of a module, a package's directory; None for a class or when there is none."""
    file = getattr(source, "__file__", None)
    if not isinstance(file, str) or not isinstance(source, ModuleType):
        return None
    path = Path(os.path.abspath(file))
    return path.parent if path.name in (INIT, "__main__.py") else path


def _home(cls: type) -> ModuleType | None:
    """The module whose ``Plugin`` a class is."""
    module = sys.modules.get(cls.__module__)
    return module if getattr(module, "Plugin", None) is cls else None


def _called(source: ModuleType | type) -> str:
    if isinstance(source, type):
        module = _home(source)
        if module is None:
            return _dashed(source.__name__)
        source = module
    path = file_of(source)
    return path.stem if path is not None else source.__name__.rpartition(".")[2]


def _dashed(name: str) -> str:
    """``RateLimitPlugin`` as ``rate-limit``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    if len(words) > 1 and words[-1] == "Plugin":
        words.pop()
    return "-".join(words).lower()
