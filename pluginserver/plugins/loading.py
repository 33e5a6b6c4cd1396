"""What a candidate holds: a module or a class that is a plugin, or the reason why it is not one.

Rules kept here:

* whatever plugin code raises while it is loaded becomes a :class:`~pluginserver.errors.PluginError`
  that names the plugin, and the file and the line of its own that it came from;
* what is not a plugin at all is told apart (:class:`NotAPluginError`): a directory may hold such files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..compat.dedicated import dedicated
from ..compat.recognition import OURS, Manner, lua_style
from ..errors import PluginError
from ..logs import is_librarys, is_own
from ..spec.wording import describe_error, is_users_interrupt
from .discovery import around, file_of
from .loader import main_file
from .nearly import NotAPluginError, lacking
from .places import place_of_failure
from .plugin import PARTS, THEIR_PARTS, Plugin, build

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_WORD: Final = re.compile(rb"\bPlugin\b|import\s*\*|start_dedicated_server")


@contextmanager
def loading_errors(what: str, file: Path | None = None) -> Iterator[None]:
    """Turn whatever plugin code raises while it is loaded into a :class:`PluginError`.

    :param what: what is loaded, for the error.
    :param file: its file, when it is told where it was.
    """
    try:
        yield
    except PluginError as error:
        if file is None or error.place is not None or isinstance(error, NotAPluginError):
            raise
        raise _at(str(error), type(error), file, error.__cause__) from error.__cause__
    except BaseException as error:
        if is_users_interrupt(error):
            raise
        text = f"{what} cannot be loaded: {describe_error(error)}"
        if isinstance(error, ModuleNotFoundError):
            text += ": install it where the server runs"
        raise _at(text, PluginError, file, error) from error


def _at(
    text: str, kind: type[PluginError], file: Path | None, cause: BaseException | None
) -> PluginError:
    """An error with the place in its text, where there may be one."""
    if file is None:
        return kind(text)
    place = place_of_failure(file, text, cause)
    error = kind(f"{text} ({place[0]}:{place[1]})")
    error.place = place
    return error


def validate_source(path: Path) -> None:
    """Look whether a file can be a plugin, without running it.

    :param path: a file, or a package's directory.
    :raises NotAPluginError: when its source does not even hold the word ``Plugin``, or what starts one.
    """
    if not _WORD.search(main_file(path).read_bytes()):
        raise lacking(path)


def plugin_in_file(module: ModuleType, path: Path, manner: Manner = OURS) -> Plugin:
    """The plugin in a file that was run.

    :param module: what came of it.
    :param path: the file, or a package's directory.
    :param manner: how plugins for kong-pdk are taken.
    :raises PluginError: when something is wrong with it.
    """
    names: Mapping[str, Any] = vars(module)
    name = path.stem
    pairs = lua_style(names, path, manner)
    if pairs is not None and "Plugin" not in names and not manner.always:
        started = dedicated(path, names)
        if started is not None:
            names = {**names, **started}
            name = names["name"]
    _validate(names, path, pairs)
    return _own(build(names, name, path, _modtime(path), pairs), path)


def plugin_in_object(
    name: str, origin: ModuleType | type | EntryPoint, manner: Manner = OURS
) -> tuple[Plugin, Path | None, ModuleType | None]:
    """The plugin in what a program or an installed distribution names.

    :param name: what it is called unless it gives itself a name.
    :param manner: how plugins for kong-pdk are taken.
    :returns: the plugin; its file, where only a module that was given has one; its module, if it is one.
    :raises PluginError: when something is wrong with it.
    """
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
    file = file_of(found)
    if isinstance(found, ModuleType):
        module: Mapping[str, Any] = vars(found)
        pairs = lua_style(module, file, manner)
        _validate(module, name, pairs)
    elif isinstance(found, type):
        module = around(found)
        pairs = lua_style(module, file, manner)
    else:
        raise NotAPluginError(f"{label} is not a plugin: it must name a module or a class")
    plugin = build(module, name, path or label, _modtime(file), pairs)
    return _own(plugin, file), path, found if isinstance(found, ModuleType) else None


def _own(plugin: Plugin, file: Path | None) -> Plugin:
    """A plugin whose code is known as a plugin's, also where it lies among libraries."""
    if file is not None and is_librarys(str(file)):
        is_own(plugin.package)
    return plugin


def _validate(module: Mapping[str, Any], called: object, pairs: bool | None) -> None:
    parts = PARTS if pairs is None else THEIR_PARTS
    missing = [part for part in parts if part not in module]
    if missing and isinstance(called, Path):
        raise lacking(called, missing)
    if missing:
        raise NotAPluginError(
            f"{called} is not a plugin: it defines no {' and no '.join(missing)}"
        )


def _modtime(path: Path | None) -> float:
    return 0.0 if path is None else main_file(path).stat().st_mtime
